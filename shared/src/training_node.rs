//! Training nodes as operators manage them: joined by a token that works once, watched, drained, removed.
//!
//! What a node and the server say to each other is `node`'s.

use serde::{Deserialize, Serialize};

use crate::{
    AttemptId, JobId, NodeId, Timestamp,
    job::{JobKind, JobProgress, JobStatus},
    limits::{DEFAULT_JOIN_MINUTES, MAX_JOIN_MINUTES, MAX_NAME_CHARACTERS},
    problem::{FieldError, check},
};

/// Longest text that a node says of itself.
pub(crate) const MAX_WORD: usize = 128;
/// Most devices, or features of a processor, that it tells of.
const MAX_WORDS: usize = 64;

const fn default_minutes() -> u32 {
    DEFAULT_JOIN_MINUTES
}

fn check_name(errors: &mut Vec<FieldError>, name: &str) {
    let name = name.trim();
    let fits = !name.is_empty() && name.chars().count() <= MAX_NAME_CHARACTERS;
    let fits = fits && !name.chars().any(char::is_control);
    check(errors, fits, "#/name", "invalid_length", || {
        format!("Give a name of 1 to {MAX_NAME_CHARACTERS} characters.")
    });
}

/// Makes a node that can join.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({ "name": "gpu-1", "expires_in_minutes": 60 })))]
#[serde(deny_unknown_fields)]
pub struct CreateNode {
    /// What to call it.
    #[cfg_attr(
        feature = "openapi",
        schema(min_length = 1, max_length = 100, pattern = "\\S")
    )]
    pub name: String,
    /// Minutes until its join token ends, 1 to 10080; 60 unless told.
    #[serde(default = "default_minutes")]
    #[cfg_attr(
        feature = "openapi",
        schema(minimum = 1, maximum = 10080, default = 60)
    )]
    pub expires_in_minutes: u32,
}

impl CreateNode {
    /// Every reason why this node is not made.
    pub fn validate(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        check_name(&mut errors, &self.name);
        let fits = (1..=MAX_JOIN_MINUTES).contains(&self.expires_in_minutes);
        check(
            &mut errors,
            fits,
            "#/expires_in_minutes",
            "out_of_range",
            || format!("Choose 1 to {MAX_JOIN_MINUTES} minutes."),
        );
        errors
    }
}

/// A node and the token that it joins by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CreatedNode {
    /// The node.
    pub node: TrainingNode,
    /// Works once, until it ends. Shown once.
    pub join_token: String,
    /// The line to paste on the machine that shall train.
    pub command: String,
}

/// Changes a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({ "intake": "draining" })))]
#[serde(deny_unknown_fields)]
pub struct UpdateNode {
    /// What to call it.
    #[serde(
        default,
        deserialize_with = "crate::patching::present",
        skip_serializing_if = "Option::is_none"
    )]
    #[cfg_attr(feature = "openapi", schema(value_type = String, required = false, min_length = 1, max_length = 100, pattern = "\\S"))]
    pub name: Option<String>,
    /// Whether it takes jobs.
    #[serde(
        default,
        deserialize_with = "crate::patching::present",
        skip_serializing_if = "Option::is_none"
    )]
    #[cfg_attr(feature = "openapi", schema(value_type = NodeIntake, required = false))]
    pub intake: Option<NodeIntake>,
}

impl UpdateNode {
    /// Every reason why this change is refused.
    pub fn validate(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if let Some(name) = &self.name {
            check_name(&mut errors, name);
        }
        errors
    }
}

/// Whether a node takes jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum NodeIntake {
    /// It does.
    Open,
    /// It ends what it has and takes nothing new.
    Paused,
    /// It gives back what it has, with what is saved of it, and takes nothing new.
    Draining,
}

/// Where a node comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum NodeOrigin {
    /// The server started it beside itself.
    Local,
    /// It joined by a token.
    Joined,
}

/// Whether a node is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum NodeStatus {
    /// It has not joined yet.
    Waiting,
    /// It did not join while its token worked.
    Expired,
    /// It gave a sign of life just now.
    Online,
    /// It is silent.
    Offline,
    /// It was removed.
    Removed,
}

/// What a node found on its machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NodeFacts {
    /// Version of its program.
    #[serde(default)]
    pub version: String,
    /// What it computes on.
    #[serde(default)]
    pub devices: Vec<NodeDevice>,
    /// What its processor can do that matters here, such as `avx2`.
    #[serde(default)]
    pub cpu_features: Vec<String>,
    /// Memory of the machine that nothing used when it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_memory_bytes: Option<u64>,
}

/// Something to compute on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NodeDevice {
    /// What opens it: `cpu`, or `cuda:0`.
    pub name: String,
    /// As its driver calls it.
    pub model: String,
    /// Memory that a job may use.
    pub memory_bytes: u64,
    /// What it computed when the node measured it: thousand million operations of a matrix product a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gigaflops: Option<u32>,
}

impl NodeFacts {
    /// Whether these are facts that a node of ours could tell.
    pub fn is_credible(&self) -> bool {
        let word = |text: &String| text.len() <= MAX_WORD;
        let bytes = |size: u64| i64::try_from(size).is_ok();
        let device = |device: &NodeDevice| {
            word(&device.name) && word(&device.model) && bytes(device.memory_bytes)
        };
        word(&self.version)
            && self.devices.len() <= MAX_WORDS
            && self.devices.iter().all(device)
            && self.cpu_features.len() <= MAX_WORDS
            && self.cpu_features.iter().all(word)
            && self.free_memory_bytes.is_none_or(bytes)
    }
}

/// A node as operators see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TrainingNode {
    /// Identifies the node.
    pub id: NodeId,
    /// What it is called.
    pub name: String,
    /// Where it comes from.
    pub origin: NodeOrigin,
    /// Whether it is there.
    pub status: NodeStatus,
    /// Whether it takes jobs.
    pub intake: NodeIntake,
    /// When its join token ends, until it joined.
    pub join_expires_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it joined.
    pub joined_at: Option<Timestamp>,
    /// Its last sign of life, exact to five seconds.
    pub last_seen_at: Option<Timestamp>,
    /// Threads that it computes with.
    pub threads: u32,
    /// Memory that a job may use.
    pub memory_bytes: u64,
    /// Families of base models that it can train.
    pub families: Vec<String>,
    /// What it found on its machine.
    pub facts: NodeFacts,
    /// The jobs that it holds.
    pub current: Vec<NodeAttempt>,
}

/// One node's try at one job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NodeAttempt {
    /// Identifies the try.
    pub id: AttemptId,
    /// The job.
    pub job_id: JobId,
    /// What it does.
    pub kind: JobKind,
    /// The fencing token that the node held it by.
    pub token: i64,
    /// What of the node it was given to, such as `cpu` or `cuda:0`; absent where the node did not say.
    #[serde(default)]
    pub device: Option<String>,
    /// Where the job stands now, whoever holds it.
    pub job_status: JobStatus,
    /// How far it is now.
    pub job_progress: JobProgress,
    /// Whether whoever asks may open the job: it belongs to the organisation that they ask in.
    #[serde(default)]
    pub visible: bool,
    /// When the node took it.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// What became of the job then: `queued` where it went on elsewhere.
    pub ended_as: Option<JobStatus>,
    /// Why, for people.
    pub reason: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_fields_are_named() {
        let pointers = |text: &str| -> Vec<String> {
            let request: CreateNode = serde_json::from_str(text).unwrap();
            let errors = request.validate().into_iter();
            errors.map(|error| error.pointer).collect()
        };
        assert!(pointers(r#"{"name":"gpu"}"#).is_empty());
        assert_eq!(pointers(r#"{"name":" "}"#), ["#/name"]);
        assert_eq!(pointers(r#"{"name":"a\nb"}"#), ["#/name"]);
        for minutes in [0, MAX_JOIN_MINUTES + 1] {
            let text = format!(r#"{{"name":"gpu","expires_in_minutes":{minutes}}}"#);
            assert_eq!(pointers(&text), ["#/expires_in_minutes"]);
        }
    }

    #[test]
    fn patch_changes_what_it_names_and_removes_nothing() {
        let parse = |text| serde_json::from_str::<UpdateNode>(text);
        assert_eq!(parse("{}").unwrap(), UpdateNode::default());
        assert!(parse(r#"{"name":null}"#).is_err());
        assert!(parse(r#"{"intake":"sometimes"}"#).is_err());
        assert!(!parse(r#"{"name":""}"#).unwrap().validate().is_empty());
    }

    #[test]
    fn facts_are_bounded() {
        let mut facts = NodeFacts::default();
        assert!(facts.is_credible());
        facts.free_memory_bytes = Some(u64::MAX);
        assert!(!facts.is_credible());
        facts.free_memory_bytes = None;
        facts.cpu_features = vec![String::new(); MAX_WORDS + 1];
        assert!(!facts.is_credible());
        facts.cpu_features = vec!["x".repeat(MAX_WORD + 1)];
        assert!(!facts.is_credible());
    }
}
