//! Drawing from both models as they are, a few pictures at a time, which bounds memory.

use candle_core::Tensor;
use diffusion::{sample::SampleConfig, unet::UNet};

use crate::{
    Result,
    draw::draw_each,
    evaluation::image_seeds,
    matrix::{
        arm,
        cell::{Stage, Tick},
    },
};

/// Both models and what is drawn with.
pub(super) struct Drawer<'a, 't> {
    pub(super) stage: &'a Stage<'a>,
    pub(super) sampling: SampleConfig,
    pub(super) seed: u64,
    /// Clean, protected.
    pub(super) models: [UNet; 2],
    pub(super) tick: Tick<'t>,
}

impl<'a, 't> Drawer<'a, 't> {
    const AT_ONCE: usize = 16;

    pub(super) fn new(stage: &'a Stage<'a>, seed: u64, tick: Tick<'t>) -> Result<Self> {
        Ok(Self {
            stage,
            sampling: arm::sampling(&stage.plan.settings)?,
            seed,
            models: [
                stage.pipeline.unet()?,
                UNet::new(stage.pipeline.unet_config.clone(), stage.protected)?,
            ],
            tick,
        })
    }

    /// The same prompts and seeds on both models: clean, protected.
    pub(super) fn twins(&mut self, prompts: &[String], stream: u64) -> Result<[Tensor; 2]> {
        Ok([
            self.draw(0, prompts, stream)?,
            self.draw(1, prompts, stream)?,
        ])
    }

    /// Pictures of one of the models.
    pub(super) fn draw(&mut self, model: usize, prompts: &[String], stream: u64) -> Result<Tensor> {
        let mut drawn = Vec::new();
        self.draw_in_parts(model, prompts, stream, &mut |part| {
            drawn.push(part);
            Ok(())
        })?;
        Ok(Tensor::cat(&drawn, 0)?)
    }

    /// The same, a few at a time.
    pub(super) fn draw_in_parts(
        &mut self,
        model: usize,
        prompts: &[String],
        stream: u64,
        each: &mut dyn FnMut(Tensor) -> Result<()>,
    ) -> Result<()> {
        let all = prompts.len();
        let seeds = image_seeds(self.seed, stream, all);
        let parts = prompts
            .chunks(Self::AT_ONCE)
            .zip(seeds.chunks(Self::AT_ONCE));
        for (part, (prompts, seeds)) in parts.enumerate() {
            let before = part * Self::AT_ONCE;
            let mut progress =
                |done: usize, _: usize| (self.tick)("Drawing twins", before + done, all);
            each(draw_each(
                self.stage.pipeline,
                &self.models[model],
                (prompts, seeds),
                &self.sampling,
                &mut progress,
            )?)?;
        }
        Ok(())
    }
}
