//! `world bench`: the demo benchmark, from the embedded models to one JSON file and one page.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use candle_core::Device;
use diffusion::device::{DeviceName, describe};
use shared::canonical::sha256_hex;
use shared::job::{Attackers, Budget, Injection, Mode};
use world::attributes::Class;
use world::bench::matrix::{Part, units};
use world::bench::page::{self, Content};
use world::bench::run::{self, Settings};
use world::bench::summary::{Base, Summary, summarise};
use world::bench::unit::{Models, UnitResult};
use world::file;
use world::seeds::Split;
use world::train::gate::{self, Prompt};
use world::train::sampling;

use super::{Embedded, say};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Minutes that may pass; no run starts that would end later.
    #[arg(long, default_value_t = 60.0)]
    budget: f64,
    /// Which part of the matrix: `development` for tuning, `held-out` for the record.
    #[arg(long, value_enum, default_value = "held-out")]
    part: Part,
    /// How subjects are protected: `paper`, or looking ahead `fast`, `balanced` or `strong`.
    #[arg(long, default_value = "paper", value_parser = mode)]
    mode: Mode,
    /// Runs at once, one thread each.
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// At most so many runs.
    #[arg(long, default_value_t = usize::MAX)]
    limit: usize,
    /// Prompts of the base model's gate.
    #[arg(long, default_value_t = 192)]
    prompts: usize,
    /// Directory of results, pictures and the page.
    #[arg(long, default_value = "target/bench/protect")]
    out: PathBuf,
    /// Takes finished runs of an earlier build as they are, and starts none.
    #[arg(long)]
    only_page: bool,
}

pub(crate) fn run(arguments: &Arguments, device: DeviceName) -> anyhow::Result<()> {
    let start = Instant::now();
    let budget = minutes(arguments.budget)?;
    fs::create_dir_all(&arguments.out)?;
    let embedded = Embedded::load(device)?;
    let models = embedded.models();
    let base = base(arguments, models, &embedded.base_sha256)?;
    say(format!(
        "base model: class={:.3} tint={:.3} accessory={:.3} background={:.3} diversity={:.3} n={}",
        base.class, base.tint, base.accessory, base.background, base.diversity, base.n
    ))?;
    let settings = Settings {
        units: units(arguments.part, arguments.mode),
        quality: false,
        workers: arguments.workers,
        budget: budget.saturating_sub(start.elapsed()),
        limit: arguments.limit,
        out: arguments.out.clone(),
    };
    let results = results(&settings, arguments.only_page, arguments.budget, models)?;
    report(arguments, &base, &results, &embedded.base_sha256)
}

/// Runs what is missing, or takes what is finished; at least one result.
pub(super) fn results(
    settings: &Settings,
    only_page: bool,
    budget: f64,
    models: Models<'_>,
) -> anyhow::Result<Vec<UnitResult>> {
    let results = if only_page {
        run::finished(settings)
    } else {
        run::run(
            settings,
            models,
            &program_on(models.pipeline.device())?,
            &tell,
        )?
    };
    anyhow::ensure!(
        !results.is_empty(),
        "no run ended within {budget} minutes; one takes two to five on one core"
    );
    Ok(results)
}

/// The budget, which must be a span of time.
pub(super) fn minutes(budget: f64) -> anyhow::Result<Duration> {
    let seconds = Duration::try_from_secs_f64(60.0 * budget);
    seconds.map_err(|_| anyhow::anyhow!("--budget takes minutes, such as 60"))
}

pub(super) fn mode(name: &str) -> Result<Mode, String> {
    let budget = match name {
        "paper" => return Ok(Mode::Paper),
        "fast" => Budget::Fast,
        "balanced" => Budget::Balanced,
        "strong" => Budget::Strong,
        _ => return Err("use paper, fast, balanced or strong".to_owned()),
    };
    Ok(Mode::Trajectory {
        budget,
        attackers: Attackers::Full,
    })
}

/// How a mode protects with the demo's settings.
pub(super) fn injection(mode: Mode) -> Injection {
    match mode {
        Mode::Paper => Injection::default(),
        Mode::Trajectory { budget, .. } => Injection::ahead(budget),
    }
}

/// SHA-256 of this program, which holds the method, the judge and the models: other bits, other results.
pub(super) fn program() -> anyhow::Result<String> {
    let bytes = fs::read(std::env::current_exe()?)?;
    Ok(sha256_hex(&bytes))
}

/// [`program`] with the device where that is not the processor: another device, other last bits.
pub(super) fn program_on(device: &Device) -> anyhow::Result<String> {
    let program = program()?;
    if device.is_cpu() {
        return Ok(program);
    }
    let model = describe(device)?.model;
    Ok(sha256_hex(format!("{program} {model}").as_bytes()))
}

fn tell(result: &UnitResult) -> anyhow::Result<()> {
    let checkpoints = &result.subject.report.checkpoints;
    let rates = |rate: fn(&shared::evaluation::CheckpointResult) -> f64| {
        let all: Vec<String> = checkpoints
            .iter()
            .map(|checkpoint| format!("{:.2}", rate(checkpoint)))
            .collect();
        all.join("/")
    };
    say(format!(
        "{} hit_clean={} hit_protected={} objective_protected={} class_clean={} seconds={:.0}",
        result.unit.directory().display(),
        rates(|c| c.clean.hit_rate.value),
        rates(|c| c.protected.hit_rate.value),
        rates(|c| c.protected.objective_rate.value),
        rates(|c| c.clean.class_rate.value),
        result.seconds,
    ))?;
    Ok(())
}

/// Reads what the base model draws for held-out prompts; kept beside the results for the same model.
fn base(arguments: &Arguments, models: Models<'_>, sha256: &str) -> anyhow::Result<Base> {
    let name = format!("base-{}-{}.json", &sha256[..16], arguments.prompts);
    let path = arguments.out.join(name);
    if let Some(base) = fs::read(&path)
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok())
    {
        return Ok(base);
    }
    say("reading the base model")?;
    let prompts: Vec<Prompt> = (0..arguments.prompts as u64)
        .map(|index| Prompt::composed_from(Split::Evaluation, index))
        .collect();
    let texts: Vec<String> = prompts.iter().map(|prompt| prompt.text.clone()).collect();
    let wanted: Vec<_> = prompts.iter().map(|prompt| prompt.wanted).collect();
    let measured = diffusion::in_pool(|| -> anyhow::Result<Base> {
        let unet = models.pipeline.unet()?;
        let draw = |texts: &[String], seed| {
            sampling::pictures(models.pipeline, &unet, texts, seed, &sampling::CONFIG)
        };
        let pixels = draw(&texts, 1)?;
        let classes: Vec<String> = Class::ALL
            .iter()
            .cycle()
            .take(32)
            .map(|&class| Prompt::plain(class).text)
            .collect();
        let (first, second) = (draw(&classes, 1 << 20)?, draw(&classes, 1 << 21)?);
        let accuracy = gate::Accuracy::measure(models.encoder, &pixels, &wanted)?;
        let diversity = gate::diversity(models.encoder, &first, &second)?;
        Ok(Base::new(&accuracy, texts.len(), diversity))
    })?;
    file::write(&path, &serde_json::to_vec(&measured)?)?;
    Ok(measured)
}

fn report(
    arguments: &Arguments,
    base: &Base,
    results: &[UnitResult],
    base_sha256: &str,
) -> anyhow::Result<()> {
    let summary = summarise(results);
    let all = serde_json::json!({
        "benchmark": "protect",
        "part": arguments.part,
        "mode": arguments.mode,
        "base_sha256": base_sha256,
        "base": base,
        "summary": summary,
        "runs": results,
    });
    let json = arguments.out.join("protect.json");
    file::write(&json, &serde_json::to_vec_pretty(&all)?)?;
    let content = Content {
        base,
        summary: &summary,
        results,
        base_sha256,
        out: &arguments.out,
    };
    let html = arguments.out.join("protect.html");
    file::write(&html, page::page(content)?.as_bytes())?;
    say(format!("{} and {}", json.display(), html.display()))?;
    say(read_out(base, &summary))?;
    Ok(())
}

fn read_out(base: &Base, summary: &Summary) -> String {
    let last = summary.steps.last();
    format!(
        "class_acc={:.3} tint_acc={:.3} accessory_acc={:.3} hit_clean={:.3} hit_protected={:.3} s50_clean={} \
         s50_protected={} innocent_delta={:.3} n={}",
        base.class,
        base.tint,
        base.accessory,
        last.map_or(0.0, |step| step.hit_clean.value),
        last.map_or(0.0, |step| step.hit_protected.value),
        summary.s50_clean,
        summary.s50_protected,
        summary.innocent_delta.value,
        summary.runs,
    )
}
