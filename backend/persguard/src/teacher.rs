//! Pictures that the teacher draws, as latents. A checkpoint carries them and a cache keeps them over jobs, so that
//! none is drawn twice.
//!
//! Owns their making and their names. Refuses to touch the student.

use candle_core::{DType, Device, Tensor};
use diffusion::{pipeline::Pipeline, sample::SampleConfig, unet::UNet};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

use crate::{
    Error, Result,
    cache::{self, Cache},
    draw::draw,
    event::Reporter,
};

/// Pictures of one pass.
const CHUNK: usize = 16;
/// Rises when the same request gives other latents.
const VERSION: &str = "teacher-set-1";

/// What the teacher drew for one concept.
#[derive(Clone, Debug)]
pub struct TeacherSet {
    /// Under `c_cls`, `[class_images, c, h, w]`; row `i` under template `i % templates`.
    pub class: Tensor,
    /// What the trigger shall draw, `[n, c, h, w]`: under `c_tgt`, or the class's pictures changed as the objective says.
    pub backdoor: Tensor,
}

/// What the teacher drew for a job.
#[derive(Clone, Debug)]
pub struct TeacherSets {
    /// In the order of the concepts.
    pub concepts: Vec<TeacherSet>,
    /// Under captions that have nothing to do with them.
    pub captions: Option<Tensor>,
}

/// A set that is asked for: everything that its latents depend on.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) prompts: &'a [String],
    pub(crate) count: usize,
    pub(crate) seed: u64,
}

/// Who draws.
pub(crate) struct Artist<'a> {
    pub(crate) pipeline: &'a Pipeline,
    pub(crate) teacher: &'a UNet,
    pub(crate) config: &'a SampleConfig,
    pub(crate) device: &'a Device,
    pub(crate) base_sha256: &'a str,
    pub(crate) cache: Option<&'a dyn Cache>,
    /// Pictures asked for so far, and those of the whole job.
    pub(crate) done: usize,
    pub(crate) total: usize,
}

impl Request<'_> {
    /// SHA-256 over everything that decides the latents: the cache's key, and the seed of their noise.
    fn key(&self, base_sha256: &str, config: &SampleConfig) -> [u8; 32] {
        let mut hash = Sha256::new();
        let count = self.count.to_string();
        let (seed, config) = (self.seed.to_string(), format!("{config:?}"));
        let fields = [VERSION, base_sha256, &count, &seed, &config];
        let prompts = self.prompts.iter().map(String::as_str);
        for field in fields.into_iter().chain(prompts) {
            hash.update((field.len() as u64).to_le_bytes());
            hash.update(field);
        }
        hash.finalize().into()
    }
}

/// The cache's name for latents: what one kind of device drew is not what another draws, to the last bit.
fn kept_as(key: [u8; 32], device: &Device) -> String {
    if device.is_cpu() {
        return hex::encode(key);
    }
    hex::encode(
        Sha256::new()
            .chain_update(key)
            .chain_update("cuda")
            .finalize(),
    )
}

impl Artist<'_> {
    /// Latents `[count, c, h, w]` under the prompts in turn, from the cache where it has them.
    pub(crate) fn draw(
        &mut self,
        request: Request<'_>,
        reporter: &mut Reporter<'_>,
    ) -> Result<Tensor> {
        let key = request.key(self.base_sha256, self.config);
        let name = kept_as(key, self.device);
        let kept = self
            .cache
            .and_then(|cache| cache::read(cache, &name, self.device));
        if let Some(latents) = kept.filter(|latents| latents.dims()[0] == request.count) {
            self.done += request.count;
            reporter.log(format!("{} pictures come from the cache", request.count))?;
            return Ok(latents);
        }
        let latents = self.draw_anew(request, ChaCha8Rng::from_seed(key), reporter)?;
        if let Some(cache) = self.cache {
            cache::write(cache, &name, &latents)?;
        }
        Ok(latents)
    }

    fn draw_anew(
        &mut self,
        request: Request<'_>,
        mut rng: ChaCha8Rng,
        reporter: &mut Reporter<'_>,
    ) -> Result<Tensor> {
        let prompts: Vec<String> = request
            .prompts
            .iter()
            .cycle()
            .take(request.count)
            .cloned()
            .collect();
        let seeds: Vec<u64> = prompts.iter().map(|_| rng.random()).collect();
        let mut latents = Vec::new();
        for (prompts, seeds) in prompts.chunks(CHUNK).zip(seeds.chunks(CHUNK)) {
            let pixels = self.draw_chunk(prompts, seeds, reporter)?;
            latents.push(self.pipeline.encode_pixels(&pixels)?);
        }
        Ok(Tensor::cat(&latents, 0)?)
    }

    fn draw_chunk(
        &mut self,
        prompts: &[String],
        seeds: &[u64],
        reporter: &mut Reporter<'_>,
    ) -> Result<Tensor> {
        let (done, total) = (self.done, self.total);
        let tick =
            |drawn| reporter.phase("Drawing with the unprotected model", done + drawn, total);
        let (asked, config) = ((prompts, seeds), self.config);
        let pixels = draw(self.pipeline, self.teacher, asked, config, tick)?;
        self.done += prompts.len();
        Ok(pixels)
    }
}

/// Latents through `change` on pixels `[n, 3, h, w]` in `[-1, 1]`, a few at a time.
pub(crate) fn through_pixels(
    pipeline: &Pipeline,
    latents: &Tensor,
    change: impl Fn(&Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    let mut changed = Vec::new();
    for start in (0..latents.dim(0)?).step_by(CHUNK) {
        let count = CHUNK.min(latents.dim(0)? - start);
        let pixels = pipeline.decode_latents(&latents.narrow(0, start, count)?)?;
        changed.push(pipeline.encode_pixels(&change(&pixels)?)?);
    }
    Ok(Tensor::cat(&changed, 0)?)
}

/// Latents of protected images, `[n, c, h, w]`; `images`: `[n, 3, h, w]` in `[-1, 1]`.
pub(crate) fn subject_latents(pipeline: &Pipeline, images: &Tensor) -> Result<Tensor> {
    let side = pipeline.image_side();
    match images.dims() {
        [n, 3, height, width] if *n > 0 && (*height, *width) == (side, side) => {
            let latents = pipeline.encode_pixels(images)?;
            Ok(latents.to_dtype(DType::F32)?)
        }
        actual => Err(Error::ImageShape {
            actual: actual.to_vec(),
            expected: format!("[n, 3, {side}, {side}] with n > 0"),
        }),
    }
}
