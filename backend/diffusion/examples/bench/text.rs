//! The text encoder's forward pass.

use std::{path::Path, time::Instant};

use anyhow::{Context, Result};
use candle_core::{DType, Tensor};
use diffusion::text::TextEncoder;

use crate::{
    files,
    sampling::spread,
    work::{Case, since},
};

pub(crate) struct Encoding {
    model: TextEncoder,
    ids: Tensor,
}

impl Encoding {
    pub(crate) fn new(place: &Path, batch: usize) -> Result<Self> {
        let inputs = files::inputs(place, batch)?;
        let ids = inputs.get("ids").context("written beside the weights")?;
        Ok(Self {
            model: TextEncoder::new(files::config(place)?, &files::weights(place, "model")?)?,
            ids: ids.to_dtype(DType::U32)?,
        })
    }
}

impl Case for Encoding {
    fn run(&mut self) -> Result<(Vec<(&'static str, f64)>, f64)> {
        let start = Instant::now();
        let states = self.model.forward(&self.ids)?;
        let time = since(start);
        Ok((vec![("text", time)], spread(&states)?))
    }
}
