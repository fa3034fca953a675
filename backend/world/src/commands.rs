//! One file per command.

pub(crate) mod ablation;
pub(crate) mod attacks;
pub(crate) mod bench;
pub(crate) mod capacity;
pub(crate) mod competence;
pub(crate) mod evaluate;
pub(crate) mod gate;
pub(crate) mod look;
pub(crate) mod method;
pub(crate) mod noise;
pub(crate) mod pretrain;
pub(crate) mod publish;
pub(crate) mod redraw;

mod rows;

use std::collections::BTreeMap;
use std::io::Write;

use diffusion::device::DeviceName;
use diffusion::pipeline::Pipeline;
use eval::encoder::Encoder;
use shared::canonical::sha256_hex;
use world::bench::unit::Models;

/// The files of the embedded base model, as a pipeline takes them.
pub(crate) fn embedded() -> BTreeMap<String, Vec<u8>> {
    let owned = |&(name, content): &(&str, &[u8])| (name.to_owned(), content.to_vec());
    demo::model_files().iter().map(owned).collect()
}

/// The embedded models, loaded.
pub(crate) struct Embedded {
    pub(crate) pipeline: Pipeline,
    pub(crate) encoder: Encoder,
    /// SHA-256 of the base model's U-Net.
    pub(crate) base_sha256: String,
}

impl Embedded {
    pub(crate) fn load(device: DeviceName) -> anyhow::Result<Self> {
        let files = embedded();
        let unet = &files["unet/diffusion_pytorch_model.safetensors"];
        Ok(Self {
            pipeline: Pipeline::from_files(&files, &device.open()?)?,
            encoder: Encoder::load(demo::encoder())?,
            base_sha256: sha256_hex(unet),
        })
    }

    /// As the benchmark takes them.
    pub(crate) fn models(&self) -> Models<'_> {
        Models {
            pipeline: &self.pipeline,
            encoder: &self.encoder,
        }
    }
}

/// Prints a line; the commands' only way to speak.
pub(crate) fn say(line: impl std::fmt::Display) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Sets how many threads tensors are computed on.
pub(crate) fn pool(threads: usize) -> Result<(), rayon::ThreadPoolBuildError> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()
}
