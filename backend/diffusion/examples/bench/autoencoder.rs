//! The autoencoder, one way or the other.

use std::{path::Path, time::Instant};

use anyhow::{Context, Result};
use candle_core::Tensor;
use diffusion::vae::AutoencoderKl;

use crate::{
    files,
    sampling::spread,
    work::{Case, since},
};

pub(crate) struct Coding {
    model: AutoencoderKl,
    encodes: bool,
    input: Tensor,
}

impl Coding {
    pub(crate) fn new(place: &Path, batch: usize, encodes: bool) -> Result<Self> {
        let weights = files::weights(place, "diffusion_pytorch_model")?;
        let inputs = files::inputs(place, batch)?;
        let input = inputs.get(if encodes { "pixels" } else { "latents" });
        Ok(Self {
            model: AutoencoderKl::new(files::config(place)?, &weights)?,
            encodes,
            input: input.context("written beside the weights")?.clone(),
        })
    }
}

impl Case for Coding {
    fn run(&mut self) -> Result<(Vec<(&'static str, f64)>, f64)> {
        let start = Instant::now();
        let (phase, result) = if self.encodes {
            ("encode", self.model.encode(&self.input)?)
        } else {
            ("decode", self.model.decode(&self.input)?)
        };
        let time = since(start);
        Ok((vec![(phase, time)], spread(&result)?))
    }
}
