//! One training step: forward, backward, `AdamW`.

use std::{path::Path, time::Instant};

use anyhow::{Context, Result};
use candle_core::Tensor;
use diffusion::{
    optimizer::{AdamW, AdamWConfig},
    unet::UNet,
    weights::{Parameters, Weights},
};

use crate::{
    files,
    work::{Case, since},
};

pub(crate) struct Training {
    unet: UNet,
    parameters: Parameters,
    optimizer: AdamW,
    batch: Weights,
}

impl Training {
    pub(crate) fn new(place: &Path, batch: usize) -> Result<Self> {
        let weights = files::weights(place, "diffusion_pytorch_model")?;
        let parameters = Parameters::from_weights(&weights)?;
        Ok(Self {
            unet: UNet::new(files::config(place)?, &parameters.weights())?,
            parameters,
            optimizer: AdamW::new(AdamWConfig {
                lr: 1e-4,
                ..AdamWConfig::default()
            }),
            batch: files::inputs(place, batch)?,
        })
    }

    fn input(&self, name: &str) -> Result<&Tensor> {
        self.batch.get(name).context("written beside the weights")
    }
}

impl Case for Training {
    fn run(&mut self) -> Result<(Vec<(&'static str, f64)>, f64)> {
        let start = Instant::now();
        let prediction = self.unet.forward(
            self.input("latents")?,
            self.input("timesteps")?,
            &self.input("context")?.clone().into(),
        )?;
        let loss = (prediction - self.input("target")?)?.sqr()?.mean_all()?;
        let forward = since(start);
        let gradients = loss.backward()?;
        let backward = since(start);
        self.optimizer.step(&self.parameters, &gradients)?;
        let step = since(start);
        let times = vec![
            ("forward", forward),
            ("backward", backward - forward),
            ("optimizer", step - backward),
            ("step", step),
        ];
        Ok((times, f64::from(loss.to_scalar::<f32>()?)))
    }
}
