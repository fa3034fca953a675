//! `persguard-node plan`: what a training step will take, before anything is allocated.

mod table;

use std::{
    ffi::OsString,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use candle_core::{DType, Device};
use clap::{Parser, ValueEnum};
use diffusion::{
    optimizer::MomentPrecision,
    plan::{Models, Plan, Preset, Rate, Setup, Trained, plan},
};
use serde_json::{Value, json};

/// Bytes of what memory is sold in.
const GIB: f64 = (1_u64 << 30) as f64;

/// Pixels per latent on each side of the published models.
const FACTOR: usize = 8;

/// Tells what a training step takes: memory by what holds it, multiply-adds, and with --measure time.
#[derive(Parser)]
#[command(name = "persguard-node plan", bin_name = "persguard-node plan")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
struct Arguments {
    /// A folder in the diffusers layout; without it a published family.
    #[arg(long, conflicts_with = "family")]
    model: Option<PathBuf>,
    /// A published family.
    #[arg(long, value_enum, default_value = "sd1")]
    family: Family,
    /// Height and width of the images; the model's own without it.
    #[arg(long)]
    resolution: Option<usize>,
    /// Rows of one pass.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    batch: u16,
    /// What activations are kept in.
    #[arg(long, value_enum, default_value = "f32")]
    compute: Number,
    /// Compute activations again in the backward pass.
    #[arg(long)]
    checkpointing: bool,
    /// Keep the optimiser's running means in 8 bits.
    #[arg(long)]
    eight_bit: bool,
    /// Train low-rank adapters of this rank instead of all weights.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    lora: Option<u16>,
    /// A frozen copy of the denoiser beside it.
    #[arg(long, value_enum)]
    teacher: Option<Number>,
    /// Text encoders and autoencoder stay in memory beside it.
    #[arg(long, value_enum)]
    frozen: Option<Number>,
    /// Train two small passes here and tell the time of a step on this machine.
    #[arg(long)]
    measure: bool,
    /// Print what fits which card, for the published families.
    #[arg(long)]
    table: bool,
    /// Print JSON instead of lines.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Family {
    Sd1,
    Sd2,
    Sdxl,
}

#[derive(Clone, Copy, ValueEnum)]
enum Number {
    F32,
    Bf16,
}

impl From<Family> for Preset {
    fn from(family: Family) -> Self {
        match family {
            Family::Sd1 => Self::Sd1,
            Family::Sd2 => Self::Sd2,
            Family::Sdxl => Self::Sdxl,
        }
    }
}

impl From<Number> for DType {
    fn from(number: Number) -> Self {
        match number {
            Number::F32 => Self::F32,
            Number::Bf16 => Self::BF16,
        }
    }
}

/// Runs what follows `plan` on the command line.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let name = OsString::from("persguard-node plan");
    let arguments = Arguments::parse_from(std::iter::once(name).chain(arguments));
    let (code, answer) = match answer(&arguments) {
        Ok(answer) => (ExitCode::SUCCESS, answer),
        Err(error) => (ExitCode::FAILURE, format!("refused: {error}\n")),
    };
    match io::stdout().write_all(answer.as_bytes()) {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}

fn answer(arguments: &Arguments) -> diffusion::Result<String> {
    if arguments.table {
        return table::table();
    }
    let models = match &arguments.model {
        Some(folder) => Models::from_folder(folder)?,
        None => Preset::from(arguments.family).models(),
    };
    let setup = setup(arguments, &models)?;
    let planned = plan(&models, &setup)?;
    let seconds = arguments
        .measure
        .then(|| diffusion::in_pool(|| Rate::measure(&models, &small(&setup), 1, &Device::Cpu)))
        .transpose()?
        .map(|rate| rate.seconds(&planned));
    Ok(if arguments.json {
        format!("{}\n", as_json(&planned, seconds))
    } else {
        as_lines(&planned, seconds)
    })
}

fn setup(arguments: &Arguments, models: &Models) -> diffusion::Result<Setup> {
    let factor = models.vae.factor()?;
    let side = match arguments.resolution {
        None => models.unet.sample_size.unwrap_or(64),
        Some(pixels) if pixels >= factor && pixels <= 1 << 14 => pixels / factor,
        Some(pixels) => {
            let reason = format!("a resolution of {pixels} pixels");
            return Err(diffusion::Error::InvalidArgument(reason));
        }
    };
    let tokens = models.texts.first();
    Ok(Setup {
        batch: usize::from(arguments.batch),
        latent: (side, side),
        tokens: tokens.map_or(77, |text| text.max_position_embeddings),
        compute: arguments.compute.into(),
        checkpointing: arguments.checkpointing,
        moments: if arguments.eight_bit {
            MomentPrecision::EightBit
        } else {
            MomentPrecision::Full
        },
        trained: arguments
            .lora
            .map_or(Trained::All, |rank| Trained::LowRank(usize::from(rank))),
        teacher: arguments.teacher.map(DType::from),
        frozen: arguments.frozen.map(DType::from),
    })
}

/// The rows of the planned pass at half its height: seconds where the whole may take minutes.
fn small(setup: &Setup) -> Setup {
    let (height, width) = setup.latent;
    Setup {
        latent: (height.div_ceil(2), width),
        ..*setup
    }
}

fn as_json(planned: &Plan, seconds: Option<f64>) -> Value {
    json!({
        "plan": planned,
        "total_bytes": planned.memory.total(),
        "process_bytes_on_cpu": planned.memory.process(),
        "seconds_per_step": seconds,
    })
}

fn as_lines(planned: &Plan, seconds: Option<f64>) -> String {
    let memory = &planned.memory;
    let mut lines = vec![
        format!(
            "denoiser     {:.1} M values, {:.1} M trained",
            planned.unet_values as f64 / 1e6,
            planned.trained_values as f64 / 1e6
        ),
        format!(
            "products     {:.2} T multiply-adds a step",
            planned.products / 1e12
        ),
    ];
    let parts = [
        ("weights", memory.weights),
        ("moments", memory.moments),
        ("frozen", memory.frozen),
        ("activations", memory.activations),
        ("gradients", memory.gradients),
        ("buffers", memory.buffers),
        ("together", memory.total()),
        ("on the CPU", memory.process()),
    ];
    lines.extend(parts.map(|(name, bytes)| format!("{name:<12} {:.2} GiB", bytes / GIB)));
    let time = seconds.map(|seconds| format!("step         {seconds:.2} s on this machine"));
    lines.extend(time);
    lines.push(String::new());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(line: &str) -> diffusion::Result<String> {
        let arguments = std::iter::once("plan").chain(line.split_whitespace());
        answer(&Arguments::try_parse_from(arguments).expect("arguments parse"))
    }

    #[test]
    fn a_published_family_is_planned_in_json_and_in_lines() {
        let json = told("--family sdxl --resolution 1024 --json").unwrap();
        let json: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["plan"]["unet_values"], 2_567_463_684_u64);
        assert_eq!(json["seconds_per_step"], Value::Null);
        assert!(json["total_bytes"].as_f64() < json["process_bytes_on_cpu"].as_f64());
        let lines = told("--lora 8 --compute bf16 --checkpointing").unwrap();
        assert!(lines.contains("859.5 M values, 1.6 M trained"), "{lines}");
    }

    #[test]
    fn a_folder_is_planned_by_its_configurations() {
        let folder = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../diffusion/tests/fixtures/families/sdxl"
        );
        let json = told(&format!("--model {folder} --measure --json")).unwrap();
        let json: Value = serde_json::from_str(&json).unwrap();
        assert!(
            json["seconds_per_step"]
                .as_f64()
                .is_some_and(|seconds| seconds > 0.0)
        );
        assert!(told("--model /nowhere").is_err());
        assert!(told("--resolution 4").is_err());
    }

    #[test]
    fn the_table_names_every_card() {
        let table = told("--table").unwrap();
        for card in ["12", "16", "24", "80"] {
            assert!(table.contains(card), "{table}");
        }
    }
}
