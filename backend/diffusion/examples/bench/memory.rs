//! Time and peak memory of a training step by dtype, checkpointing and precision of moments.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};
use candle_core::{DType, Device, Tensor, backprop::GradStore};
use diffusion::{
    Threads,
    checkpoint::Checkpoints,
    ops,
    optimizer::{AdamW, AdamWConfig, MomentPrecision},
    unet::UNet,
    weights::{Parameters, Weights},
};

use crate::{
    files,
    sizes::{self, BATCH},
    table::median,
    work::{peak_megabytes, since},
};

const DTYPES: [&str; 2] = ["f32", "bf16"];
const MEMORIES: [&str; 2] = ["everything", "checkpoints"];
const MOMENTS: [&str; 2] = ["full", "8-bit"];

/// Prints a table; a process a row, because a peak is a process's.
pub(crate) fn compare(threads: usize, steps: usize) -> Result<()> {
    let folder = std::env::temp_dir().join("diffusion-bench");
    files::write(&folder)?;
    println!(
        "{:8} {:5} {:12} {:8} {:>9} {:>9} {:>9} {:>9} {:>8}   loss",
        "size",
        "dtype",
        "remembers",
        "moments",
        "step ms",
        "fastest",
        "before MB",
        "peak MB",
        "AdamW MB"
    );
    for (size, _) in sizes::unets() {
        for dtype in DTYPES {
            for memory in MEMORIES {
                for moments in MOMENTS {
                    let status = Command::new(std::env::current_exe()?)
                        .args(["memory-of", size, dtype, memory, moments])
                        .args([threads.to_string(), steps.to_string()])
                        .stdout(Stdio::inherit())
                        .status()?;
                    ensure!(status.success(), "{size} {dtype} {memory} {moments} failed");
                }
            }
        }
    }
    Ok(())
}

/// Times one row in this process.
pub(crate) fn row(choices: [&str; 4], threads: usize, steps: usize) -> Result<()> {
    let [size, dtype, memory, moments] = choices;
    let folder = std::env::temp_dir().join("diffusion-bench");
    let mut step = Step::new(
        &folder.join(format!("unet-{size}")),
        [dtype, memory, moments],
    )?;
    let before = peak_megabytes();
    let (mut times, mut loss) = (Vec::new(), 0.0);
    let pool = Threads::new(threads)?;
    for _ in 0..steps + 2 {
        let start = Instant::now();
        loss = pool.run(|| step.run())?;
        times.push(since(start));
    }
    let times = times.split_off(2);
    let fastest = times.iter().copied().fold(f64::INFINITY, f64::min);
    println!(
        "{size:8} {dtype:5} {memory:12} {moments:8} {:9.1} {fastest:9.1} {before:9.0} {:9.0} {:8.1}   {loss:.6}",
        median(times),
        peak_megabytes(),
        step.optimizer.state_bytes() as f64 / 1e6,
    );
    Ok(())
}

struct Step {
    unet: UNet,
    parameters: Parameters,
    optimizer: AdamW,
    inputs: Weights,
    dtype: DType,
    is_checkpointed: bool,
}

impl Step {
    fn new(place: &Path, [dtype, memory, moments]: [&str; 3]) -> Result<Self> {
        let weights = files::weights(place, "diffusion_pytorch_model")?;
        let parameters = Parameters::from_weights(&weights)?;
        let moments = match moments {
            "full" => MomentPrecision::Full,
            "8-bit" => MomentPrecision::EightBit,
            other => bail!("{other} is no precision of moments"),
        };
        Ok(Self {
            unet: UNet::new(files::config(place)?, &parameters.weights())?,
            parameters,
            optimizer: AdamW::new(AdamWConfig {
                lr: 1e-4,
                moments,
                ..AdamWConfig::default()
            }),
            inputs: files::inputs(place, BATCH)?,
            dtype: match dtype {
                "f32" => DType::F32,
                "bf16" => DType::BF16,
                other => bail!("{other} is no dtype"),
            },
            is_checkpointed: memory == MEMORIES[1],
        })
    }

    fn run(&mut self) -> Result<f32> {
        let (loss, gradients) = self.gradients()?;
        self.optimizer.step(&self.parameters, &gradients)?;
        Ok(loss)
    }

    fn gradients(&self) -> Result<(f32, GradStore)> {
        let input = |name: &str| self.inputs.get(name).context("written beside the weights");
        let latents = ops::cast(input("latents")?, self.dtype)?;
        let timesteps = input("timesteps")?;
        let context = input("context")?.clone().into();
        let loss = |prediction: Tensor| -> Result<Tensor> {
            let error = (ops::cast(&prediction, DType::F32)? - input("target")?)?;
            Ok(error.sqr()?.mean_all()?)
        };
        if self.is_checkpointed {
            let checkpoints = Checkpoints::new(&Device::Cpu)?;
            let ys =
                (self.unet).forward_checkpointed(&latents, timesteps, &context, &checkpoints)?;
            let loss = loss(ys)?;
            return Ok((loss.to_scalar()?, checkpoints.backward(&loss)?));
        }
        let loss = loss(self.unet.forward(&latents, timesteps, &context)?)?;
        Ok((loss.to_scalar()?, loss.backward()?))
    }
}
