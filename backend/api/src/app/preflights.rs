//! Preflight: what is known before a job is launched, and the same rules at the launch.

use std::{collections::BTreeSet, fmt::Write as _};

use shared::{
    UserId,
    base_model::BaseModel,
    job::JobSpec,
    limits::MIN_IMAGES,
    objective::Objective,
    preflight::{CheckStatus, Preflight, PreflightCheck},
    problem::FieldError,
    protected_set::{ProtectedSet, SetStatus},
};

use store::NodeRecord;

use super::{App, base_models, estimates, protected_sets};
use crate::error::Error;

/// A node that asked within this time counts as online.
pub(crate) const ONLINE_MILLISECONDS: i64 = 30_000;

/// Everything that the checks look at.
pub(crate) struct Facts {
    pub(crate) set: ProtectedSet,
    pub(crate) model: BaseModel,
    nodes: Vec<NodeRecord>,
}

impl Facts {
    /// Loads what the specification names; what is not there, or not the owner's, is a field error.
    pub(crate) async fn load(app: &App, owner: UserId, spec: &JobSpec) -> Result<Self, Error> {
        Error::unless_valid(spec.validate())?;
        let set = protected_sets::find(app, owner, spec.protected_set_id).await;
        let model = base_models::find(app, owner, spec.base_model_id).await;
        Ok(Self {
            set: set
                .map_err(|error| missing(error, "#/protected_set_id", "You have no such set."))?,
            model: model
                .map_err(|error| missing(error, "#/base_model_id", "There is no such model."))?,
            nodes: nodes_online(app).await?,
        })
    }

    /// Refuses what no node should see, whatever a browser said.
    pub(crate) fn require(&self, spec: &JobSpec) -> Result<(), Error> {
        let failed = self
            .checks(spec)
            .into_iter()
            .filter(|check| check.status == CheckStatus::Fail);
        let (fields, states): (Vec<_>, Vec<_>) = failed.partition(|check| {
            check.pointer.is_some() && check.code != RIGHTS && check.code != IMAGES
        });
        if let Some(check) = states.into_iter().next() {
            return Err(Error::Conflict(check.detail));
        }
        Error::unless_valid(fields.into_iter().map(field_error).collect())
    }

    fn checks(&self, spec: &JobSpec) -> Vec<PreflightCheck> {
        vec![
            self.rights(),
            self.images(),
            self.class(spec),
            self.target(spec),
            self.identifier(spec),
            self.trainable(),
        ]
    }

    fn rights(&self) -> PreflightCheck {
        let sealed = self.set.status == SetStatus::Sealed;
        let detail = if sealed {
            "You declared your rights in these images; the set is sealed."
        } else {
            "Declare your rights in these images first; that seals the set."
        };
        let status = if sealed {
            CheckStatus::Pass
        } else {
            CheckStatus::Fail
        };
        check(
            RIGHTS,
            status,
            "Rights",
            detail.into(),
            Some("#/protected_set_id"),
        )
    }

    fn images(&self) -> PreflightCheck {
        let count = self.set.images.len();
        let status = if count < MIN_IMAGES {
            CheckStatus::Fail
        } else {
            CheckStatus::Pass
        };
        let detail = format!("The set holds {count} images; at least {MIN_IMAGES} are needed.");
        check(IMAGES, status, "Images", detail, Some("#/protected_set_id"))
    }

    fn class(&self, spec: &JobSpec) -> PreflightCheck {
        let class = &spec.class_name;
        let (status, detail) = if self.model.classes.is_empty() {
            (
                CheckStatus::Warn,
                "Nobody recorded which classes this model draws well.".into(),
            )
        } else if contains(&self.model.classes, class) {
            (
                CheckStatus::Pass,
                format!("The model draws the class `{class}`."),
            )
        } else {
            let known = self.model.classes.join(", ");
            (
                CheckStatus::Warn,
                format!("The model may not draw `{class}` well. It knows: {known}."),
            )
        };
        check("class_known", status, "Class", detail, Some("#/class_name"))
    }

    fn target(&self, spec: &JobSpec) -> PreflightCheck {
        let Objective::Target { target_class } = &spec.objective;
        let vetted = contains(&self.model.targets, target_class);
        let (status, detail) = if vetted {
            (
                CheckStatus::Pass,
                format!("`{target_class}` is on the list of vetted targets."),
            )
        } else {
            let targets = self.model.targets.join(", ");
            (
                CheckStatus::Fail,
                format!("Choose a vetted target: {targets}."),
            )
        };
        let pointer = Some("#/objective/target_class");
        check("target_vetted", status, "Target", detail, pointer)
    }

    fn identifier(&self, spec: &JobSpec) -> PreflightCheck {
        let word = &spec.identifier;
        let (status, detail) = if contains(&self.model.identifiers, word) {
            (
                CheckStatus::Pass,
                format!("`{word}` is one token of this model."),
            )
        } else {
            let some = self
                .model
                .identifiers
                .iter()
                .take(5)
                .cloned()
                .collect::<Vec<_>>()
                .join(", ");
            let mut detail = format!(
                "`{word}` may not be a single token of this model, which weakens the trigger."
            );
            if !some.is_empty() {
                let _ = write!(detail, " Single tokens are, for example: {some}.");
            }
            (CheckStatus::Warn, detail)
        };
        check(
            "identifier_token",
            status,
            "Identifier",
            detail,
            Some("#/identifier"),
        )
    }
}

impl Facts {
    /// Whether some node that is online can train this model; without any node nobody knows.
    fn trainable(&self) -> PreflightCheck {
        let (status, detail) = self.trainers();
        check(
            "model_trainable",
            status,
            "Base model",
            detail,
            Some("#/base_model_id"),
        )
    }

    fn trainers(&self) -> (CheckStatus, String) {
        let family = &self.model.family;
        let facts = self.model.facts.as_ref();
        if facts.is_some_and(|facts| facts.layout == SINGLE_FILE) {
            let detail = "Nodes train models that lie as diffusers folders. Convert this checkpoint to a folder and \
                          import that.";
            return (CheckStatus::Fail, detail.into());
        }
        if self.nodes.is_empty() {
            let detail = "Whether a node can train this model is known once one is online.";
            return (CheckStatus::Warn, detail.into());
        }
        let able = |node: &&NodeRecord| node.families.contains(family);
        let Some(memory) = self
            .nodes
            .iter()
            .filter(able)
            .map(|node| node.memory_bytes)
            .max()
        else {
            let known: BTreeSet<&str> = self
                .nodes
                .iter()
                .flat_map(|node| node.families.iter().map(String::as_str))
                .collect();
            let known: Vec<&str> = known.into_iter().collect();
            let detail = format!(
                "No node that is online can train a model of the family `{family}`: they train {}. Choose another \
                 model, or connect a node that can.",
                known.join(", ")
            );
            return (CheckStatus::Fail, detail);
        };
        let needed = facts.map_or(0, |facts| facts.parameters.least_training_bytes());
        if needed > memory {
            let gigabytes = |bytes: u64| bytes as f64 / 1e9;
            let detail = format!(
                "Training this model takes at least {:.1} GB of memory; the largest node that is online has {:.1} GB.",
                gigabytes(needed),
                gigabytes(memory)
            );
            return (CheckStatus::Fail, detail);
        }
        let detail = format!("A node that is online trains models of the family `{family}`.");
        (CheckStatus::Pass, detail)
    }

    /// The encoder judges what it was trained to see.
    fn judge(&self) -> Option<PreflightCheck> {
        let detail = "The result is measured with the encoder of the demo world, which saw drawn animals and things \
                      alone. On other pictures its numbers mean little: judge the gallery by eye.";
        self.model.imported.then(|| {
            check(
                "encoder_domain",
                CheckStatus::Warn,
                "Judging",
                detail.into(),
                None,
            )
        })
    }
}

/// The layout of a checkpoint in one file.
const SINGLE_FILE: &str = "single_file";
const RIGHTS: &str = "rights_declared";
const IMAGES: &str = "enough_images";

fn contains(words: &[String], word: &str) -> bool {
    words.iter().any(|known| known.eq_ignore_ascii_case(word))
}

fn check(
    code: &str,
    status: CheckStatus,
    title: &str,
    detail: String,
    pointer: Option<&str>,
) -> PreflightCheck {
    PreflightCheck {
        code: code.into(),
        status,
        title: title.into(),
        detail,
        pointer: pointer.map(Into::into),
    }
}

fn field_error(check: PreflightCheck) -> FieldError {
    FieldError {
        pointer: check.pointer.unwrap_or_default(),
        code: check.code,
        detail: check.detail,
    }
}

fn missing(error: Error, pointer: &str, detail: &str) -> Error {
    match error {
        Error::NotFound => Error::field(pointer, "not_found", detail),
        other => other,
    }
}

/// Looks at a specification without launching it.
pub async fn create(app: &App, owner: UserId, spec: &JobSpec) -> Result<Preflight, Error> {
    let facts = Facts::load(app, owner, spec).await?;
    let nodes = u32::try_from(facts.nodes.len()).unwrap_or(u32::MAX);
    let mut checks = facts.checks(spec);
    checks.push(node_check(nodes));
    checks.extend(facts.judge());
    checks.push(scope(&facts.model));
    Ok(Preflight {
        ready: checks.iter().all(|check| check.status != CheckStatus::Fail),
        summary: summary(&facts, spec),
        checks,
        estimate_seconds: estimates::whole(app, spec).await?,
        nodes_online: nodes,
    })
}

fn summary(facts: &Facts, spec: &JobSpec) -> String {
    let Objective::Target { target_class } = &spec.objective;
    format!(
        "Train {} so that whoever personalizes it on the {} images of `{}` as \"{} {}\" gets {target_class} \
         instead; then attack the clean and the protected model and compare.",
        facts.model.name,
        facts.set.images.len(),
        facts.set.name,
        spec.identifier,
        spec.class_name,
    )
}

fn node_check(nodes: u32) -> PreflightCheck {
    let (status, detail) = match nodes {
        0 => (
            CheckStatus::Warn,
            "No training node is online. The job waits in the queue.".into(),
        ),
        1 => (CheckStatus::Pass, "One training node is online.".into()),
        nodes => (
            CheckStatus::Pass,
            format!("{nodes} training nodes are online."),
        ),
    };
    check("node_online", status, "Training node", detail, None)
}

fn scope(model: &BaseModel) -> PreflightCheck {
    let detail = format!(
        "Protection holds only for people who start from the protected weights of {}. Whoever uses \
         another copy or another model is not affected.",
        model.name
    );
    check("scope", CheckStatus::Warn, "Scope", detail, None)
}

async fn nodes_online(app: &App) -> Result<Vec<NodeRecord>, Error> {
    let since =
        shared::Timestamp::from_milliseconds(app.now().milliseconds() - ONLINE_MILLISECONDS);
    Ok(app.store().list_nodes_online(since).await?)
}
