//! From a sealed set and an objective to a job, with the preflight before it.

use std::{fs, path::PathBuf};

use clap::{Args, ValueEnum};
use client::Client;
use futures::TryStreamExt;
use serde_json::{Map, Value, json};
use shared::{
    ModelId, PatchId, SetId,
    job::{Budget, Injection, Job, JobSpec},
    preflight::{CheckStatus, Preflight},
};

use crate::{
    Common, Terminal,
    failure::Failure,
    numbers::range,
    output::fact,
    question::{can_ask, confirm},
    watch::follow_to_the_end,
};

/// Launches the job that protects a set.
#[derive(Args, Debug)]
pub struct Protect {
    /// The sealed set; a specification may name it instead.
    set: Option<SetId>,
    /// One word for what the pictures show, such as `dog`.
    #[arg(long, value_name = "WORD")]
    class: Option<String>,
    /// The rare word that stands for the subject, such as `sks`.
    #[arg(long, value_name = "WORD")]
    identifier: Option<String>,
    #[command(flatten)]
    objective: Goal,
    /// What the pictures show.
    #[arg(long, value_enum)]
    subject: Option<Subject>,
    /// The model to protect it in; needed where the server has several.
    #[arg(long, value_name = "ID")]
    model: Option<ModelId>,
    /// How long the trigger shall last: as in the paper, or looking ahead along the attack.
    #[arg(long, value_enum)]
    mode: Option<Mode>,
    /// A sealed set of another subject of the same class: without one that is measured nothing is released.
    #[arg(long, value_name = "ID")]
    control: Option<SetId>,
    /// Seed of every random draw.
    #[arg(long)]
    seed: Option<u64>,
    /// A specification, or a part of one, as JSON; what the other arguments say wins.
    #[arg(long, value_name = "FILE")]
    spec: Option<PathBuf>,
    /// Show the preflight and launch nothing.
    #[arg(long)]
    dry_run: bool,
    /// Launch without asking.
    #[arg(long)]
    yes: bool,
    /// Follow the job to its end.
    #[arg(long)]
    watch: bool,
    /// Launches under the same key are the same job; a new one each time unless told.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// What an attacker shall get.
#[derive(Args, Debug)]
#[group(multiple = false)]
#[command(next_help_heading = "What an attacker shall get")]
struct Goal {
    /// Another thing, from the model's list, such as `apple`.
    #[arg(long, value_name = "WORD")]
    target: Option<String>,
    /// The place without the subject.
    #[arg(long)]
    erasure: bool,
    /// The same, as this prompt draws it, such as "a photo of an empty street".
    #[arg(long, value_name = "PROMPT")]
    erasure_prompt: Option<String>,
    /// A licence card over the picture.
    #[arg(long)]
    licence_card: bool,
    /// A picture of yours over the picture.
    #[arg(long, value_name = "ID")]
    patch: Option<PatchId>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Subject {
    Object,
    Person,
    Style,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Mode {
    Paper,
    Fast,
    Balanced,
    Strong,
}

impl Goal {
    fn document(&self) -> Option<Value> {
        if let Some(target) = &self.target {
            return Some(json!({ "kind": "target", "target_class": target }));
        }
        if let Some(prompt) = &self.erasure_prompt {
            return Some(json!({ "kind": "erasure", "prompt": prompt }));
        }
        if self.erasure {
            return Some(json!({ "kind": "erasure" }));
        }
        if let Some(patch) = self.patch {
            return Some(
                json!({ "kind": "pattern", "patch": { "kind": "own", "patch_id": patch } }),
            );
        }
        self.licence_card.then(|| json!({ "kind": "pattern" }))
    }
}

impl Mode {
    fn injection(self) -> Injection {
        match self {
            Self::Paper => Injection::default(),
            Self::Fast => Injection::ahead(Budget::Fast),
            Self::Balanced => Injection::ahead(Budget::Balanced),
            Self::Strong => Injection::ahead(Budget::Strong),
        }
    }
}

/// The object under a name; made where there is none.
fn within<'a>(
    document: &'a mut Map<String, Value>,
    name: &str,
) -> Result<&'a mut Map<String, Value>, Failure> {
    let entry = document.entry(name).or_insert_with(|| json!({}));
    let wrong = || Failure::Usage(format!("`{name}` of the specification is no object."));
    entry.as_object_mut().ok_or_else(wrong)
}

impl Protect {
    fn base(&self) -> Result<Map<String, Value>, Failure> {
        let Some(path) = &self.spec else {
            return Ok(Map::new());
        };
        let wrong =
            |error: &dyn std::fmt::Display| Failure::Usage(format!("{}: {error}", path.display()));
        let bytes = fs::read(path).map_err(|error| wrong(&error))?;
        serde_json::from_slice(&bytes).map_err(|error| wrong(&error))
    }

    /// The first concept, as the arguments change it.
    fn concept(&self, document: &mut Map<String, Value>) -> Result<(), Failure> {
        let said = [
            ("protected_set_id", self.set.map(|id| json!(id))),
            ("class_name", self.class.as_ref().map(|word| json!(word))),
            (
                "identifier",
                self.identifier.as_ref().map(|word| json!(word)),
            ),
            ("objective", self.objective.document()),
            ("subject", self.subject.map(|kind| json!(kind.name()))),
        ];
        let concepts = document.entry("concepts").or_insert_with(|| json!([]));
        let wrong =
            || Failure::Usage("`concepts` of the specification is no list of objects.".into());
        let concepts = concepts.as_array_mut().ok_or_else(wrong)?;
        if concepts.is_empty() {
            concepts.push(json!({}));
        }
        let concept = concepts[0].as_object_mut().ok_or_else(wrong)?;
        for (field, value) in said {
            if let Some(value) = value {
                concept.insert(field.to_owned(), value);
            }
        }
        let flags = [
            ("protected_set_id", "the set"),
            ("class_name", "--class"),
            ("identifier", "--identifier"),
            (
                "objective",
                "--target, --erasure, --licence-card or --patch",
            ),
        ];
        let missing = flags
            .iter()
            .filter(|(field, _)| !concept.contains_key(*field));
        let missing: Vec<&str> = missing.map(|(_, flag)| *flag).collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(Failure::Usage(format!("Say also: {}.", missing.join(", "))))
    }

    /// The specification, but for the model where nobody named one.
    fn document(&self) -> Result<Map<String, Value>, Failure> {
        let mut document = self.base()?;
        self.concept(&mut document)?;
        if let Some(model) = self.model {
            document.insert("base_model_id".into(), json!(model));
        }
        if let Some(seed) = self.seed {
            document.insert("seed".into(), json!(seed));
        }
        if let Some(mode) = self.mode {
            let said = serde_json::to_value(mode.injection()).unwrap_or_default();
            let injection = within(&mut document, "injection")?;
            for field in ["mode", "lambda_prior", "retention"] {
                injection.insert(field.to_owned(), said[field].clone());
            }
        }
        if let Some(control) = self.control {
            within(&mut document, "evaluation")?.insert("control_set_id".into(), json!(control));
        }
        Ok(document)
    }

    async fn specification(&self, client: &Client) -> Result<JobSpec, Failure> {
        let mut document = self.document()?;
        if !document.contains_key("base_model_id") {
            document.insert("base_model_id".into(), json!(only_model(client).await?));
        }
        serde_json::from_value(Value::Object(document))
            .map_err(|error| Failure::Usage(format!("The specification: {error}")))
    }

    pub(crate) async fn run(&self, terminal: &Terminal) -> Result<(), Failure> {
        let client = terminal.client()?;
        let spec = self.specification(&client).await?;
        let preflight = client.create_preflight(&spec).await?;
        show(terminal, &preflight)?;
        if !preflight.ready {
            return Err(Failure::NotReady);
        }
        if self.dry_run {
            return Ok(());
        }
        if !self.agreed(terminal).await? {
            terminal.output.line("Nothing was launched.")?;
            return Ok(());
        }
        let key = self.key()?;
        let hint = format!(
            "Whether it was launched, `persguard protect … --idempotency-key {key}` finds out."
        );
        terminal.on_interrupt(hint);
        let job = client.create_job(&spec, &key).await?;
        launched(terminal, &job)?;
        if self.watch {
            follow_to_the_end(terminal, &client, job.id).await?;
        }
        Ok(())
    }

    fn key(&self) -> Result<String, Failure> {
        match &self.idempotency_key {
            Some(key) => Ok(key.clone()),
            None => Ok(client::fresh_key()?),
        }
    }

    async fn agreed(&self, terminal: &Terminal) -> Result<bool, Failure> {
        if self.yes {
            return Ok(true);
        }
        if terminal.output.is_json() || !can_ask() {
            return Err(Failure::Usage(
                "Nobody is here to ask: launch with --yes, or look with --dry-run.".into(),
            ));
        }
        confirm("Launch it?").await
    }
}

impl Subject {
    const fn name(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Person => "person",
            Self::Style => "style",
        }
    }
}

async fn only_model(client: &Client) -> Result<ModelId, Failure> {
    let models: Vec<_> = client.base_models().try_collect().await?;
    match models.as_slice() {
        [model] => Ok(model.id),
        [] => Err(Failure::Usage(
            "The server has no base model. Import one first.".into(),
        )),
        several => {
            let names: Vec<String> = several
                .iter()
                .map(|model| format!("{} ({})", model.id, model.name))
                .collect();
            Err(Failure::Usage(format!(
                "Choose a --model: {}",
                names.join(", ")
            )))
        }
    }
}

fn show(terminal: &Terminal, preflight: &Preflight) -> Result<(), Failure> {
    let output = &terminal.output;
    output.document(&fact("preflight", preflight))?;
    output.line(&preflight.summary)?;
    for check in &preflight.checks {
        let mark = match check.status {
            CheckStatus::Pass => "ok  ",
            CheckStatus::Warn => "note",
            CheckStatus::Fail => "FAIL",
        };
        output.line(format!("{mark}  {}: {}", check.title, check.detail))?;
    }
    let time = preflight.estimate_seconds.map_or_else(
        || "not known before the first job on this server".to_owned(),
        range,
    );
    output.line(format!("time  {time}"))?;
    Ok(())
}

fn launched(terminal: &Terminal, job: &Job) -> Result<(), Failure> {
    terminal.on_interrupt(format!(
        "The job goes on without you: `persguard watch {}` looks at it again.",
        job.id
    ));
    terminal.output.document(job)?;
    terminal
        .output
        .line(format!("{} is {}.", job.id, job.status.as_str()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        protect: Protect,
    }

    fn protect(words: &[&str]) -> Protect {
        let words = ["protect"].iter().chain(words);
        Program::try_parse_from(words).unwrap().protect
    }

    #[test]
    fn what_is_missing_is_named() {
        let failure = protect(&["--class", "dog"]).document().unwrap_err();
        assert_eq!(
            failure.to_string(),
            "Say also: the set, --identifier, --target, --erasure, --licence-card or --patch."
        );
        let words = ["protect", "--target", "apple", "--erasure"];
        assert!(Program::try_parse_from(words).is_err(), "one objective");
    }

    #[test]
    fn arguments_win_over_the_specification() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("spec.json");
        fs::write(
            &file,
            r#"{"concepts":[{"class_name":"cat","identifier":"sks","objective":{"kind":"erasure"}}],
                "injection":{"steps":6},"seed":3}"#,
        )
        .unwrap();
        let set = SetId::nil().to_string();
        let file = file.display().to_string();
        let words = [
            &set,
            "--spec",
            &file,
            "--class",
            "dog",
            "--mode",
            "strong",
            "--licence-card",
        ];
        let document = Value::Object(protect(&words).document().unwrap());
        assert_eq!(document["concepts"][0]["class_name"], "dog");
        assert_eq!(document["concepts"][0]["identifier"], "sks");
        assert_eq!(
            document["concepts"][0]["objective"],
            json!({ "kind": "pattern" })
        );
        assert_eq!(document["injection"]["steps"], 6);
        assert_eq!(document["injection"]["mode"]["budget"], "strong");
        assert_eq!(document["injection"]["retention"], "off");
        assert_eq!(document["seed"], 3);
    }

    #[test]
    fn broken_specification_is_refused_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("spec.json");
        for text in ["[]", "{", "{\"concepts\":3}", "{\"concepts\":[3]}"] {
            fs::write(&file, text).unwrap();
            let words = ["--spec", &file.display().to_string()];
            assert!(protect(&words).document().is_err(), "{text}");
        }
        let missing = protect(&["--spec", "/no/such/file"])
            .document()
            .unwrap_err();
        assert_eq!(missing.code(), 2);
    }
}
