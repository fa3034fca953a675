//! The node protocol: a lease, inputs by signed URL, progress up, commands down.
//!
//! A node holds no database or object-storage credentials. Every call after the lease carries the
//! fencing token; a node whose token is stale is told `fenced` and must drop its work.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    JobId, NodeId,
    artifact::ArtifactKind,
    job::{Failure, JobKind, JobMetrics, JobSpec},
    progress::Progress,
    training_node::{MAX_WORD, NodeFacts},
};

/// A node asks for work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateLease {
    /// The node, the same over restarts of its process.
    pub node_id: NodeId,
    /// What it calls itself.
    pub name: String,
    /// Worker threads that it will use.
    pub threads: u32,
    /// Memory that a job may use; of several devices, the largest one's.
    pub memory_bytes: u64,
    /// Families of base models that its trainer can train.
    #[serde(default = "tiny")]
    pub families: Vec<String>,
    /// What it found on its machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<NodeFacts>,
    /// What the job would run on, where a node has several devices or several jobs share one; else the node's only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<LeaseDevice>,
}

/// A device of a node, as far as another job is concerned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct LeaseDevice {
    /// What opens it: `cpu`, or `cuda:0`.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 128))]
    pub name: String,
    /// Memory that its jobs may use together.
    pub memory_bytes: u64,
    /// What of it is left beside what was planned for the jobs that run there.
    pub free_memory_bytes: u64,
}

impl CreateLease {
    /// What the job would run on, as far as the node said: the device that it names, or the only one that it has.
    pub fn device_name(&self) -> Option<&str> {
        if let Some(device) = &self.device {
            return Some(&device.name);
        }
        let found = self.facts.as_ref().map_or(&[][..], |facts| &facts.devices);
        match found {
            [only] => Some(only.name.as_str()).filter(|name| is_device_name(name)),
            _ => None,
        }
    }
}

impl LeaseDevice {
    /// Whether a node of ours could tell this.
    pub fn is_credible(&self) -> bool {
        is_device_name(&self.name)
            && i64::try_from(self.memory_bytes).is_ok()
            && self.free_memory_bytes <= self.memory_bytes
    }
}

/// Whether a device may be called so where people read it.
fn is_device_name(name: &str) -> bool {
    (1..=MAX_WORD).contains(&name.len()) && !name.chars().any(char::is_control)
}

/// Turns a join token into a credential; the token is worth nothing afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct JoinNode {
    /// The token, as it was shown when the node was created.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 200))]
    pub token: String,
}

/// Who a node is from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JoinedNode {
    /// Its id.
    pub node_id: NodeId,
    /// What its operator calls it.
    pub name: String,
    /// Its bearer token for the node protocol and nothing else. Shown once.
    pub credential: String,
}

/// What a node that says nothing can train.
fn tiny() -> Vec<String> {
    vec!["tiny".into()]
}

/// What an input is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum InputRole {
    /// A file of the base model, named by its path in the diffusers folder.
    ModelFile,
    /// The metric encoder.
    Encoder,
    /// A cleaned protected image, named `00/003.png`: position of its concept, position in its set.
    ProtectedImage,
    /// The patch of a concept's pattern, named `00.png` by the concept's position.
    Patch,
    /// A cleaned picture of the control set, named `00/003.png` like the protected ones of the attacked concept.
    ControlImage,
    /// The protected U-Net that a job goes on from.
    StartUnet,
    /// The protected U-Net that an evaluation judges.
    ProtectedUnet,
    /// State of an earlier attempt to go on from.
    Resume,
    /// A file of a study: its plan, or what earlier jobs of it found, named as they named it.
    Matrix,
}

/// A file that the job needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobInput {
    /// What it is for.
    pub role: InputRole,
    /// Relative path under its role.
    pub name: String,
    /// Verified after the download.
    pub sha256: String,
    /// Verified after the download.
    pub size_bytes: u64,
    /// Signed, short-lived.
    pub url: String,
}

/// A job, lent to one node until the lease runs out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Lease {
    /// The job.
    pub job_id: JobId,
    /// What it does.
    pub kind: JobKind,
    /// The fencing token: rises with every claim of the job.
    pub token: i64,
    /// Seconds until the lease runs out unless renewed.
    pub lease_seconds: u64,
    /// How many nodes tried it, this one included.
    pub attempt: u32,
    /// Memory that was planned for it; absent where nobody planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required_memory_bytes: Option<u64>,
    /// What the job is told.
    pub spec: JobSpec,
    /// What it needs.
    pub inputs: Vec<JobInput>,
    /// The span that it was created by, in the form of W3C Trace Context; absent where the server makes no traces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

/// Renews the lease and carries progress.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    /// The fencing token.
    pub token: i64,
    /// Whether the device has started to work.
    pub running: bool,
    /// What happened since the last heartbeat, oldest first, at most 1000.
    pub progress: Vec<Progress>,
}

/// What the node must do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum NodeCommand {
    /// Go on.
    Continue,
    /// Stop, then confirm with `canceled`.
    Cancel,
    /// Stop and give the job back, with what is saved of it: this node takes no more work.
    Release,
    /// Stop and forget: another node holds the job, or it is over.
    Fenced,
}

/// Answer to a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HeartbeatAnswer {
    /// What to do next.
    pub command: NodeCommand,
    /// Seconds until the lease runs out.
    pub lease_seconds: u64,
}

/// Announces an output or a resume checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateNodeUpload {
    /// The fencing token.
    pub token: i64,
    /// SHA-256 of the bytes.
    pub sha256: String,
    /// Exact size.
    pub size_bytes: u64,
    /// Whether the node sends a large file in parts; without it the answer is one address for all of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_parts: bool,
}

/// Where to PUT the bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NodeUpload {
    /// Signed, short-lived; absent where the store holds these bytes already.
    pub url: Option<String>,
    /// Headers that were signed with the URL and must be sent with the bytes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The upload that was begun, where the file shall come in parts; then there is no URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<NodeParts>,
}

/// Files above this come in parts where a node asks for it; those of most jobs are below.
pub const LARGE_UPLOAD_BYTES: u64 = 8 * 1024 * 1024;

/// An upload in parts that was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NodeParts {
    /// Names the upload in the calls that follow.
    pub upload_id: String,
    /// How many parts there are; they count from 1.
    pub count: u32,
}

/// Names an upload in parts: to ask what is missing, or to say that all of it was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NodeDelivery {
    /// The fencing token.
    pub token: i64,
    /// SHA-256 of the whole file.
    pub sha256: String,
    /// Its exact size.
    pub size_bytes: u64,
    /// The upload.
    pub upload_id: String,
}

/// Parts that are missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MissingParts {
    /// The first of them; none where everything arrived.
    pub parts: Vec<MissingPart>,
}

/// Where to PUT a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MissingPart {
    /// Counts from 1.
    pub number: u32,
    /// Where it begins in the file.
    pub offset: u64,
    /// Its exact size.
    pub size_bytes: u64,
    /// Signed, short-lived: asking again signs it anew.
    pub url: String,
    /// Headers that were signed with the URL and must be sent with the bytes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

/// Registers uploaded state from which another attempt can go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SaveResume {
    /// The fencing token.
    pub token: i64,
    /// Training step that it was taken after.
    pub step: u32,
    /// SHA-256 of the uploaded bytes.
    pub sha256: String,
    /// Their size.
    pub size_bytes: u64,
}

/// An uploaded output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct JobOutput {
    /// What it is for.
    pub kind: ArtifactKind,
    /// File name, such as `clean/200/00.png`.
    pub name: String,
    /// SHA-256 of the uploaded bytes.
    pub sha256: String,
    /// Their size.
    pub size_bytes: u64,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "result", rename_all = "snake_case", deny_unknown_fields)]
pub enum AttemptResult {
    /// All outputs are uploaded.
    Succeeded {
        /// The outputs.
        outputs: Vec<JobOutput>,
        /// What the device measured.
        metrics: JobMetrics,
    },
    /// It failed.
    Failed {
        /// Why.
        failure: Failure,
    },
    /// It stopped because the job was canceled.
    Canceled,
    /// The node is going away; give the job to another.
    Released,
}

/// Ends an attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct FinishAttempt {
    /// The fencing token.
    pub token: i64,
    /// How it ended.
    pub outcome: AttemptResult,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_device_has_no_more_left_than_it_has() {
        let device = |name: &str, memory_bytes, free_memory_bytes| LeaseDevice {
            name: name.to_owned(),
            memory_bytes,
            free_memory_bytes,
        };
        assert!(device("cuda:0", 5, 5).is_credible());
        assert!(device("cpu", 5, 0).is_credible());
        assert!(!device("cpu", 5, 6).is_credible());
        assert!(!device("", 5, 5).is_credible());
        assert!(!device(&"x".repeat(MAX_WORD + 1), 5, 5).is_credible());
        assert!(!device("cuda\0", 5, 5).is_credible());
        assert!(!device("cpu", u64::MAX, 5).is_credible());
    }

    #[test]
    fn nodes_and_servers_of_before_name_no_device_and_no_plan() {
        let request = r#"{"node_id":"nod_00000000000000000000000000000000","name":"n","threads":1,"memory_bytes":5}"#;
        let request: CreateLease = serde_json::from_str(request).unwrap();
        assert_eq!(request.device, None);
        assert_eq!(request.device_name(), None);
        let text = serde_json::to_string(&request).unwrap();
        assert!(!text.contains("device"), "{text}");
    }

    #[test]
    fn the_only_device_of_a_node_needs_no_naming() {
        let asks = |devices: &[&str], named: Option<&str>| -> Option<String> {
            let device = |name: &&str| json!({ "name": name, "model": "M", "memory_bytes": 5 });
            let devices: Vec<Value> = devices.iter().map(device).collect();
            let mut request = json!({ "node_id": NodeId::nil(), "name": "n", "threads": 1, "memory_bytes": 5,
                "facts": { "devices": devices } });
            if let Some(name) = named {
                request["device"] =
                    json!({ "name": name, "memory_bytes": 5, "free_memory_bytes": 5 });
            }
            let request: CreateLease = serde_json::from_value(request).unwrap();
            request.device_name().map(str::to_owned)
        };
        assert_eq!(asks(&["cpu"], None).as_deref(), Some("cpu"));
        let two = ["cuda:0", "cuda:1"];
        assert_eq!(asks(&two, Some("cuda:1")).as_deref(), Some("cuda:1"));
        assert_eq!(asks(&two, None), None, "it may be either");
        assert_eq!(asks(&[], None), None);
        assert_eq!(asks(&["\n"], None), None, "nobody calls a device so");
    }
}
