//! A study's job: plans the attack matrix, runs some of its cells, or puts everything together.
//!
//! Owns the files that pass from one job to the next. Refuses to run a cell that its plan does not have.

use std::{
    collections::BTreeSet,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use eval::matrix::{
    AuditPrompts, Audited, Folder, Sets, Settings, Stage, audit, measure_pace, merge,
};
use eval::page::{Content, page};
use serde::{Serialize, de::DeserializeOwned};
use shared::{
    artifact::ArtifactKind,
    certificate::{HeldOut, KNOWN_BYPASSES, Software},
    job::{JobProgress, Mode},
    language::Language,
    matrix::{CellResult, Cost, Plan},
    progress::Progress,
    study::{StudyOrder, StudyOutput, StudyTask, page_name},
};

use self::setup::Setup;
use super::{Halt, Job, bad_input, evaluate::halt, file_failure, internal, voice};
use crate::message::{MATRIX, Message, Output};

mod request;
mod setup;

const PLAN: &str = "plan.json";
const COST: &str = "cost.json";
const CELLS: &str = "cells.json";
const REPORT: &str = "report.json";
const RUNNING: &str = "Running cells of the attack matrix";
const AUDITING: &str = "Drawing from both models without an attack";
/// What injection held out, as the protect job opened it.
const HELD_OUT: &str = "held-out.json";

pub(super) fn run(job: &Job<'_>) -> Result<Message, Halt> {
    let begin = std::time::Instant::now();
    let order = job.assignment.spec.evaluation.study.as_deref();
    let order = order.ok_or_else(|| bad_input("a study came without an order".to_owned()))?;
    let setup = Setup::load(job, order)?;
    voice::say(&Message::Running);
    let outputs = match &order.task {
        StudyTask::Plan => plan(job, order, &setup)?,
        StudyTask::Run { cells } => run_cells(job, cells, &setup)?,
        StudyTask::Merge => put_together(job, &setup)?,
    };
    Ok(Message::Succeeded {
        outputs,
        metrics: job.metrics(0.0, begin.elapsed().as_secs_f64()),
    })
}

fn plan(job: &Job<'_>, order: &StudyOrder, setup: &Setup) -> Result<Vec<Output>, Halt> {
    let mut plan = setup.plan(job, order)?;
    let sets = Sets::default();
    let stage = setup.stage(&plan, &sets);
    let mut tick = |phase: &str, done: usize, total: usize| tell(job, phase, done, total);
    let pace = measure_pace(&stage, count(job.workers()), &mut tick);
    let pace = pace.map_err(|error| halt(&error))?;
    if let Some(minutes) = order.request.budget_minutes {
        plan.cut_to(minutes, &pace, &BTreeSet::new());
    }
    let cost = plan.cost(plan.kept().len(), &pace, &BTreeSet::new());
    if plan.kept().is_empty() {
        let minutes = order.request.budget_minutes.unwrap_or_default();
        let first = plan.cost(1, &pace, &BTreeSet::new());
        return Err(bad_input(format!(
            "the first cell takes {:.1} minutes here, the budget is {minutes}: give more",
            first.minutes
        )));
    }
    job.write_outputs([
        (ArtifactKind::MatrixPlan, PLAN.to_owned(), json(&plan)?),
        (ArtifactKind::MatrixCell, COST.to_owned(), json(&cost)?),
    ])
}

fn run_cells(job: &Job<'_>, numbers: &[u32], setup: &Setup) -> Result<Vec<Output>, Halt> {
    let mut own: Plan = read(job, PLAN)?;
    setup.has_the_networks_of(&own)?;
    let number = |cell: &shared::matrix::Cell| numbers.contains(&cell.number);
    own.cells = own
        .kept()
        .iter()
        .filter(|cell| number(cell))
        .cloned()
        .collect();
    own.kept = count(own.cells.len());
    if own.cells.len() != numbers.len() {
        return Err(bad_input("the plan has no such cells".to_owned()));
    }
    let folder = folder(job);
    let sets = Sets::default();
    let stage = setup.stage(&own, &sets);
    let settings = Settings {
        workers: job.workers(),
        budget: Duration::MAX,
    };
    let done = AtomicUsize::new(0);
    let told = |_: &eval::matrix::Finished| {
        let ended = 1 + done.fetch_add(1, Ordering::Relaxed);
        tell(job, RUNNING, ended, own.cells.len())
    };
    tell(job, RUNNING, 0, own.cells.len()).map_err(|error| halt(&error))?;
    let results = eval::matrix::run(&stage, &folder, &settings, &told);
    let results = results.map_err(|error| halt(&error))?;
    let mut outputs = kept_files(job)?;
    let results = (ArtifactKind::MatrixCells, CELLS.to_owned(), json(&results)?);
    outputs.extend(job.write_outputs([results])?);
    Ok(outputs)
}

fn put_together(job: &Job<'_>, setup: &Setup) -> Result<Vec<Output>, Halt> {
    let plan: Plan = read(job, PLAN)?;
    let cost: Option<Cost> = read_if_there(&job.directory.join(MATRIX), COST)?;
    let folder = folder(job);
    let kept = plan.kept().iter();
    let results: Vec<CellResult> = kept.filter_map(|cell| folder.result(&plan, cell)).collect();
    let sets = Sets::default();
    let stage = setup.stage(&plan, &sets);
    let mut tick = |_: &str, done: usize, total: usize| tell(job, AUDITING, done, total);
    let probes = setup.probes(job, &plan);
    // Whoever canceled wants to see what was tested, and soon.
    let probes = if results.len() < plan.kept().len() {
        probes.brief()
    } else {
        probes
    };
    let audit = match plan.kept().first() {
        Some(headline) => audit(&stage, headline, &probes, &mut tick),
        None => Ok(Audited::default()),
    };
    let Audited { audit, attention } = audit.map_err(|error| halt(&error))?;
    let report = merge(&plan, &results, audit, cost.unwrap_or_default());
    let held_out: Option<HeldOut> = read_if_there(&job.directory.join(MATRIX), HELD_OUT)?;
    let issued_at = report_time();
    let title = setup.title();
    let known_bypasses = KNOWN_BYPASSES.map(str::to_owned);
    let pages: Vec<_> = pages(Content {
        language: Language::default(),
        report: &report,
        title: &title,
        issued_at,
        certificate: held_out.as_ref().map(|_| "certificate.json"),
        known_bypasses: &known_bypasses,
        picture: &|result, name| folder.picture(&plan, &result.cell, name),
        // The page may be handed on: protected pictures stay with their owner.
        references: &|_| Vec::new(),
        attention: &attention,
    })
    .collect();
    let output = StudyOutput {
        report,
        software: software()?,
        held_out,
    };
    let report = (
        ArtifactKind::MatrixReport,
        REPORT.to_owned(),
        json(&output)?,
    );
    job.write_outputs(std::iter::once(report).chain(pages))
}

/// The report's page, once for each language.
fn pages(content: Content<'_>) -> impl Iterator<Item = (ArtifactKind, String, Vec<u8>)> {
    Language::ALL.into_iter().map(move |language| {
        let page = page(&Content {
            language,
            ..content
        });
        (
            ArtifactKind::ReportPage,
            page_name(language).to_owned(),
            page.into_bytes(),
        )
    })
}

/// When the report was made: the page shows it to people; the certificate has the server's own time.
#[expect(clippy::disallowed_methods, reason = "no number depends on it")]
fn report_time() -> shared::Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let milliseconds = since.map_or(0, |since| since.as_millis());
    shared::Timestamp::from_milliseconds(i64::try_from(milliseconds).unwrap_or(i64::MAX))
}

fn software() -> Result<Software, Halt> {
    let path = std::env::current_exe().map_err(|error| internal(error.to_string()))?;
    let bytes = fs::read(&path).map_err(|error| file_failure(&path, &error))?;
    Ok(Software {
        name: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        sha256: shared::canonical::sha256_hex(&bytes),
    })
}

fn folder(job: &Job<'_>) -> Folder {
    Folder::new(job.directory.join(MATRIX))
}

/// Everything that the cells left in their folder, under the names that the merge looks for.
fn kept_files(job: &Job<'_>) -> Result<Vec<Output>, Halt> {
    let root = job.directory.join(MATRIX);
    let mut outputs = Vec::new();
    for part in ["cells", "base"] {
        let mut waiting = vec![root.join(part)];
        while let Some(folder) = waiting.pop() {
            let entries = fs::read_dir(&folder).map_err(|error| file_failure(&folder, &error))?;
            for entry in entries {
                let path = entry.map_err(|error| file_failure(&folder, &error))?.path();
                if path.is_dir() {
                    waiting.push(path);
                } else {
                    outputs.push(kept_file(job, &path)?);
                }
            }
        }
    }
    outputs.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(outputs)
}

fn kept_file(job: &Job<'_>, path: &std::path::Path) -> Result<Output, Halt> {
    let own = path
        .strip_prefix(job.directory)
        .map_err(|error| internal(error.to_string()))?;
    let name = own
        .strip_prefix(MATRIX)
        .map_err(|error| internal(error.to_string()))?;
    let picture = path.extension().is_some_and(|end| end == "png");
    Ok(Output {
        kind: if picture {
            ArtifactKind::GalleryImage
        } else {
            ArtifactKind::MatrixCell
        },
        name: name.to_string_lossy().into_owned(),
        path: PathBuf::from(own),
    })
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, Halt> {
    serde_json::to_vec(value).map_err(|error| internal(error.to_string()))
}

/// A file that came along for the study.
fn read<T: DeserializeOwned>(job: &Job<'_>, name: &str) -> Result<T, Halt> {
    let found = read_if_there(&job.directory.join(MATRIX), name)?;
    found.ok_or_else(|| bad_input(format!("{name} is missing")))
}

/// A file that some studies have; one that is there and damaged is an error all the same.
fn read_if_there<T: DeserializeOwned>(folder: &Path, name: &str) -> Result<Option<T>, Halt> {
    let path = folder.join(name);
    let bytes = match fs::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        read => read.map_err(|error| file_failure(&path, &error))?,
    };
    let value = serde_json::from_slice(&bytes);
    value
        .map(Some)
        .map_err(|error| bad_input(format!("{name}: {error}")))
}

/// Tells how far the job is; an error where it shall stop.
fn tell(job: &Job<'_>, phase: &str, step: usize, total: usize) -> eval::Result<()> {
    let progress = Progress::Step(JobProgress {
        phase: phase.to_owned(),
        step: count(step),
        total: count(total),
    });
    if voice::progress(progress) && !job.is_stopped() {
        Ok(())
    } else {
        Err(eval::Error::Canceled { step: 0 })
    }
}

fn count(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

impl Setup {
    /// What all cells of a plan are run on.
    fn stage<'a>(&'a self, plan: &'a Plan, sets: &'a Sets) -> Stage<'a> {
        Stage {
            plan,
            pipeline: &self.pipeline,
            protected: &self.protected,
            encoder: &self.encoder,
            people: &self.people,
            overlay: self.overlay.as_ref(),
            sets,
            nets: self.supplied.nets(),
        }
    }

    /// Refuses to run cells of a plan whose faces other networks read.
    fn has_the_networks_of(&self, plan: &Plan) -> Result<(), Halt> {
        if plan.inputs.faces_sha256 == self.supplied.faces_sha256() {
            return Ok(());
        }
        Err(bad_input(
            "this study was planned on a node with other face networks: start every node with the same --networks"
                .to_owned(),
        ))
    }

    /// What is drawn of the models as they are.
    fn probes(&self, job: &Job<'_>, plan: &Plan) -> AuditPrompts {
        let own = std::iter::once(&self.words.same);
        let identifiers = own.chain(&self.words.pool).cloned().collect();
        let looks_ahead = job.assignment.spec.injection.mode != Mode::Paper;
        let held_out = self.words.held_out.clone();
        let words = (identifiers, held_out);
        AuditPrompts::of_tier(plan, self.other_classes(), words, looks_ahead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_absent_is_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let look = || read_if_there::<HeldOut>(folder.path(), HELD_OUT);
        assert!(matches!(look(), Ok(None)));
        let words = r#"{"sha256":"","salt":"","identifiers":["zwx"],"templates":[]}"#;
        let path = folder.path().join(HELD_OUT);
        fs::write(&path, words).expect("it is written");
        assert!(matches!(look(), Ok(Some(found)) if found.identifiers == ["zwx"]));
        fs::write(&path, &words[..words.len() - 1]).expect("it is written");
        assert!(look().is_err(), "cut off");
        fs::write(&path, "").expect("it is written");
        assert!(look().is_err(), "empty");
    }
}
