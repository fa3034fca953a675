//! `world evaluate`: the attack matrix on a protected model of the demo world, from the plan to a signed certificate.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use diffusion::device::DeviceName;
use diffusion::pipeline::Pipeline;
use eval::attack::recipe::built_in;
use eval::matrix::{
    self, AttentionPicture, AuditPrompts, Audited, Finished, Folder, Nets, Sets, Stage, Supplied,
};
use eval::page::{self, Content};
use shared::Timestamp;
use shared::certificate::{self, Certificate, HeldOut, KIND, Software};
use shared::job::Mode;
use shared::language::Language;
use shared::matrix::{Cell, CellResult, MatrixReport, Plan, Tier};
use shared::revocation::SigningKeys;
use shared::signed::StatementKey;
use shared::study::page_name;
use world::bench::cast::{Cast, cast};
use world::bench::evaluate::{self, Protected};
use world::file;

use super::bench::{injection, minutes, mode, program};
use super::{Embedded, say};

/// Where results go unless told otherwise.
const OUT: &str = "target/bench/eval";
/// What the page is called.
pub(super) const TITLE: &str = "Violet the dog, under attack";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How much is planned: `smoke`, `standard` or `full`.
    #[arg(long, default_value = "smoke", value_parser = tier)]
    tier: Tier,
    /// Minutes that the cells may take; those that would not fit are listed as not tested.
    #[arg(long)]
    budget: Option<f64>,
    /// Cells at once, one thread each.
    #[arg(long, default_value_t = 2)]
    workers: u32,
    /// How the demo's subject is protected first: `paper`, or looking ahead `fast`, `balanced` or `strong`.
    #[arg(long, default_value = "strong", value_parser = mode)]
    mode: Mode,
    /// A U-Net that is already protected; needs `--held-out` and `--spec`.
    #[arg(long, requires_all = ["held_out", "spec"])]
    protected: Option<PathBuf>,
    /// What opens its commitment: `held-out.json`.
    #[arg(long)]
    held_out: Option<PathBuf>,
    /// The job that protected it.
    #[arg(long)]
    spec: Option<PathBuf>,
    /// Folder of networks for distances to real pictures (`efficientnet-lite0.safetensors`, `real`).
    #[arg(long)]
    networks: Option<PathBuf>,
    /// 32 bytes of an Ed25519 private key; made where there is none.
    #[arg(long)]
    key: Option<PathBuf>,
    /// Puts page, certificate and keys into this folder too: `backend/demo/evaluation`, with which the product ships.
    #[arg(long)]
    publish: Option<PathBuf>,
    /// Directory of results, page and certificate.
    #[arg(long, default_value = OUT)]
    out: PathBuf,
}

fn tier(name: &str) -> Result<Tier, String> {
    let all = [Tier::Smoke, Tier::Standard, Tier::Full];
    let found = all.into_iter().find(|tier| tier.as_str() == name);
    found.ok_or_else(|| "use smoke, standard or full".to_owned())
}

pub(crate) fn run(arguments: &Arguments, device: DeviceName) -> anyhow::Result<()> {
    // Kept cells do not say which device computed them.
    anyhow::ensure!(
        device == DeviceName::Cpu || arguments.out != Path::new(OUT),
        "give --device {device} an --out of its own: {OUT} is the processor's"
    );
    fs::create_dir_all(&arguments.out)?;
    let Embedded {
        pipeline, encoder, ..
    } = Embedded::load(device)?;
    let start = Instant::now();
    let protected = protected(arguments, &pipeline)?;
    say(format!(
        "protected model ready after {:.1} minutes",
        start.elapsed().as_secs_f64() / 60.0
    ))?;
    let cast = cast()?;
    for person in &cast {
        person.write(&arguments.out)?;
    }
    let request = evaluate::request(arguments.tier, &protected, built_in(), &cast);
    let plan = Plan::new(&request)
        .map_err(|errors| anyhow::anyhow!("this cannot be planned: {errors:?}"))?;
    let people = cast
        .iter()
        .zip(0..)
        .map(|(cast, at)| Ok((at, cast.person(pipeline.image_side())?)));
    let people = people.collect::<anyhow::Result<BTreeMap<_, _>>>()?;
    let sets = Sets::default();
    let supplied = arguments.networks.as_deref();
    let supplied = supplied.map(|folder| Supplied::load(folder, pipeline.image_side()));
    let supplied = supplied.transpose()?.unwrap_or_default();
    let stage = Stage {
        plan: &plan,
        pipeline: &pipeline,
        protected: &protected.weights,
        encoder: &encoder,
        people: &people,
        overlay: None,
        sets: &sets,
        nets: Nets {
            faces: None,
            ..supplied.nets()
        },
    };
    let words = &request.words;
    let identifiers: Vec<String> = std::iter::once(&words.same)
        .chain(&words.pool)
        .cloned()
        .collect();
    let looks_ahead = matches!(protected.spec.injection.mode, Mode::Trajectory { .. });
    let held_out = words
        .held_out
        .iter()
        .chain(&words.natural)
        .cloned()
        .collect();
    let words = (identifiers, held_out);
    let (report, attention) = attack(arguments, &stage, (words, looks_ahead))?;
    publish(arguments, (&report, &attention), &protected, &cast)?;
    let counts = report.counts;
    Ok(say(format!(
        "cells={} competent={} resisted={} minutes={:.1}",
        report.cells.len(),
        counts.competent,
        counts.resisted,
        start.elapsed().as_secs_f64() / 60.0
    ))?)
}

fn protected(arguments: &Arguments, pipeline: &Pipeline) -> anyhow::Result<Protected> {
    if let (Some(weights), Some(opened), Some(spec)) =
        (&arguments.protected, &arguments.held_out, &arguments.spec)
    {
        let spec = serde_json::from_slice(&fs::read(spec)?)?;
        return Protected::load(weights, opened, spec, pipeline.device());
    }
    say("protecting the demo's subject")?;
    let spec = evaluate::spec(injection(arguments.mode), 1);
    diffusion::in_pool(|| Protected::train(pipeline, spec, &program()?, &arguments.out))
}

/// Plans in minutes, cuts to the budget, runs, audits and merges.
fn attack(
    arguments: &Arguments,
    stage: &Stage<'_>,
    audited: ((Vec<String>, Vec<String>), bool),
) -> anyhow::Result<(MatrixReport, Vec<AttentionPicture>)> {
    let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    let mut quiet = |_: &str, _: usize, _: usize| Ok(());
    let pace = one_thread.install(|| matrix::measure_pace(stage, arguments.workers, &mut quiet))?;
    say(format!(
        "milliseconds a step {:?}, a picture {:.0}",
        pace.milliseconds_per_step, pace.milliseconds_per_picture
    ))?;
    let folder = Folder::new(&arguments.out);
    let mut plan = stage.plan.clone();
    let ready = folder.ready(&plan);
    if let Some(budget) = arguments.budget {
        minutes(budget)?;
        plan.cut_to(budget, &pace, &ready);
    }
    let planned = plan.cost(plan.kept().len(), &pace, &ready);
    say(format!(
        "planned: {} of {} cells, {} attack steps, {} pictures, {:.1} minutes",
        planned.cells,
        plan.cells.len(),
        planned.steps,
        planned.pictures,
        planned.minutes
    ))?;
    let stage = Stage {
        plan: &plan,
        ..*stage
    };
    let settings = matrix::Settings {
        workers: arguments.workers as usize,
        budget: Duration::MAX,
    };
    let results = matrix::run(&stage, &folder, &settings, &tell)?;
    let audit = match plan.kept().first() {
        Some(headline) => {
            let prompts = audit_prompts(&stage, headline, audited);
            diffusion::in_pool(|| matrix::audit(&stage, headline, &prompts, &mut |_, _, _| Ok(())))?
        }
        None => Audited::default(),
    };
    let Audited { audit, attention } = audit;
    Ok((matrix::merge(&plan, &results, audit, planned), attention))
}

fn audit_prompts(
    stage: &Stage<'_>,
    headline: &Cell,
    (words, looks_ahead): ((Vec<String>, Vec<String>), bool),
) -> AuditPrompts {
    let subject = stage.plan.subject(headline);
    let free = |class: &&&str| **class != subject.class_name && **class != demo::TARGET;
    let other_classes = demo::CLASSES.iter().filter(free);
    let other_classes = other_classes.map(|class| (*class).to_owned()).collect();
    AuditPrompts::of_tier(stage.plan, other_classes, words, looks_ahead)
}

/// Results pass through the judge's error type, which has none for a broken pipe: nobody is told then.
fn tell(finished: &Finished) -> eval::Result<()> {
    let result = &finished.result;
    let hits = |pick: fn(&shared::evaluation::CheckpointResult) -> f64| {
        let rates = result
            .checkpoints
            .iter()
            .map(|found| format!("{:.2}", pick(found)));
        rates.collect::<Vec<_>>().join("/")
    };
    let line = format!(
        "cell {}: {} at {:e}, {} \"{}\", subject {}, seed {}: hit_clean={} hit_protected={} {} seconds={:.0}{}",
        result.cell.number,
        result.cell.recipe.family.slug(),
        result.cell.learning_rate,
        serde_json::to_string(&result.cell.identifier)
            .unwrap_or_default()
            .trim_matches('"'),
        result.cell.word,
        result.cell.subject,
        result.cell.seed,
        hits(|found| found.clean.hit_rate.value),
        hits(|found| found.protected.hit_rate.value),
        result.grade.as_str(),
        finished.seconds,
        if finished.was_ready { " (kept)" } else { "" },
    );
    say(line).map_err(eval::Error::Folder)
}

/// When the certificate is signed.
#[expect(clippy::disallowed_methods, reason = "no number depends on it")]
fn issued_at() -> anyhow::Result<Timestamp> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    Ok(Timestamp::from_milliseconds(i64::try_from(
        now.as_millis(),
    )?))
}

/// Report, page, keys and certificate.
fn publish(
    arguments: &Arguments,
    (report, attention): (&MatrixReport, &[AttentionPicture]),
    protected: &Protected,
    cast: &[Cast],
) -> anyhow::Result<()> {
    let out = &arguments.out;
    let key = key(arguments.key.as_deref().unwrap_or(&out.join("signing-key")))?;
    let issued_at = issued_at()?;
    let opened = &protected.commitment;
    let certificate = Certificate {
        version: certificate::VERSION,
        issued_at,
        signer: key.public(),
        software: Software {
            name: "persguard".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            sha256: program()?,
        },
        injection: protected.spec.clone(),
        held_out: HeldOut {
            sha256: opened.sha256.clone(),
            salt: opened.salt.clone(),
            identifiers: opened.identifiers.clone(),
            templates: opened.templates.clone(),
        },
        report: report.clone(),
        scope: certificate::SCOPE.map(str::to_owned).to_vec(),
        known_bypasses: certificate::KNOWN_BYPASSES.map(str::to_owned).to_vec(),
    };
    let keys = SigningKeys {
        keys: vec![key.public()],
    };
    file::write(&out.join("keys.json"), &serde_json::to_vec_pretty(&keys)?)?;
    file::write(
        &out.join("certificate.json"),
        &key.sign(KIND, &certificate)?,
    )?;
    file::write(
        &out.join("report.json"),
        &serde_json::to_vec_pretty(report)?,
    )?;
    let (folder, plan) = (Folder::new(out), report.plan());
    let picture = |result: &CellResult, name: &str| folder.picture(&plan, &result.cell, name);
    let references = |subject: u32| {
        cast.get(subject as usize)
            .map(|cast| cast.files.clone())
            .unwrap_or_default()
    };
    let content = Content {
        language: Language::default(),
        report,
        title: TITLE,
        issued_at,
        certificate: Some("certificate.json"),
        known_bypasses: &certificate.known_bypasses,
        picture: &picture,
        references: &references,
        attention,
    };
    let pages = Language::ALL.map(|language| {
        let page = page::page(&Content {
            language,
            ..content
        });
        (page_name(language), page)
    });
    for (name, page) in &pages {
        file::write(&out.join(name), page.as_bytes())?;
    }
    if let Some(folder) = &arguments.publish {
        fs::create_dir_all(folder)?;
        publish_pages(folder, &pages)?;
        for name in ["certificate.json", "keys.json"] {
            fs::copy(out.join(name), folder.join(name))?;
        }
    }
    Ok(say(format!(
        "{} and {}",
        out.join("report.html").display(),
        out.join("certificate.json").display()
    ))?)
}

/// Puts the pages where the product takes them from: the first one has the pictures of all.
pub(super) fn publish_pages(folder: &Path, pages: &[(&str, String)]) -> anyhow::Result<()> {
    let mut whole = None::<&String>;
    for (name, page) in pages {
        let short = whole.map(|whole| demo::without_pictures(page, whole));
        file::write(
            &folder.join(name),
            short.as_ref().unwrap_or(page).as_bytes(),
        )?;
        whole.get_or_insert(page);
    }
    Ok(())
}

/// Reads the signing key, or makes one that nobody else can read.
fn key(path: &Path) -> anyhow::Result<StatementKey> {
    if !path.is_file() {
        let mut seed = [0_u8; 32];
        getrandom::fill(&mut seed).map_err(|error| anyhow::anyhow!("no random bytes: {error}"))?;
        private(path, &seed)?;
    }
    let bytes = fs::read(path)?;
    let seed = <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| {
        anyhow::anyhow!(
            "{} holds {} bytes; a key has 32",
            path.display(),
            bytes.len()
        )
    })?;
    Ok(StatementKey::from_seed(&seed))
}

fn private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;

    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(bytes)
}
