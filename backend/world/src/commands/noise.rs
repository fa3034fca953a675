//! `world noise`: start noise of the embedded model, for references drawn elsewhere.

use std::collections::BTreeMap;
use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use diffusion::pipeline::Pipeline;
use diffusion::sample::start_noise;
use diffusion::weights::Weights;

use super::embedded;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The safetensors file to write; its tensor is called `noise`.
    out: PathBuf,
    /// Seeds, one a picture.
    #[arg(long, value_delimiter = ',', default_value = "7,8")]
    seeds: Vec<u64>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let pipeline = Pipeline::from_files(&embedded(), &Device::Cpu)?;
    let rows: Vec<Tensor> = arguments
        .seeds
        .iter()
        .map(|&seed| start_noise(&pipeline, seed, &Device::Cpu))
        .collect::<Result<_, _>>()?;
    let noise = Weights::from_iter([("noise".to_owned(), Tensor::cat(&rows, 0)?)]);
    noise.save(&arguments.out, DType::F32, &BTreeMap::new())?;
    Ok(())
}
