//! How far this package is from diffusers on one family: shared by the tests and by the program that prints it.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use diffusion::{
    Result,
    optimizer::{AdamW, AdamWConfig},
    pipeline::Pipeline,
    sample::{SampleConfig, sample_from},
    unet::{AddedConditions, Conditions, UNet},
    weights::{Parameters, Weights},
};

/// Families with fixtures made by `fixtures/families.py`.
pub(crate) const FAMILIES: [&str; 3] = ["sd1", "sd2", "sdxl"];

/// What `families.py` trained for, and how.
const STEPS: usize = 20;
const LEARNING_RATE: f64 = 1e-3;

/// What the images of `families.py` show.
pub(crate) const PROMPTS: [&str; 2] = ["a photo of a dog", "the beach"];

/// Largest differences relative to the largest value of a tensor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Errors {
    /// Of the prediction.
    pub(crate) forward: f32,
    /// Of the worst gradient.
    pub(crate) gradient: f32,
    /// Of the worst tensor after training.
    pub(crate) trained: f32,
    /// Of the images.
    pub(crate) image: f32,
}

/// Folder of a family's model.
pub(crate) fn folder(family: &str) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    fixtures.join("families").join(family)
}

/// Compares prediction, gradients, training and sampling.
pub(crate) fn errors(family: &str) -> Result<Errors> {
    let pipeline = Pipeline::load(folder(family), &Device::Cpu)?;
    let file = folder(family).with_extension("safetensors");
    let file = Weights::load(file, DType::F32, &Device::Cpu)?;
    let parameters = Parameters::from_weights(&pipeline.unet_weights)?;
    let unet = UNet::new(pipeline.unet_config.clone(), &parameters.weights())?;
    let batch = Batch::new(&file);
    let mut optimizer = AdamW::new(AdamWConfig {
        lr: LEARNING_RATE,
        ..AdamWConfig::default()
    });
    let (mut forward, mut gradient) = (0.0, 0.0);
    for step in 0..STEPS {
        let prediction = batch.predict(&unet)?;
        let loss = (&prediction - tensor(&file, "target"))?.sqr()?.mean_all()?;
        let gradients = loss.backward()?;
        if step == 0 {
            forward = relative_error(&prediction, &tensor(&file, "prediction"));
            let expected = file.with_prefix("gradient.");
            gradient = worst(&expected, |name| {
                parameters.get(name).and_then(|v| gradients.get(v)).cloned()
            });
        }
        optimizer.step(&parameters, &gradients)?;
    }
    let trained = worst(&file.with_prefix("trained."), |name| {
        parameters.get(name).map(|v| v.as_tensor().clone())
    });
    let images = draw(&pipeline, &tensor(&file, "noise"))?;
    let image = relative_error(&images, &tensor(&file, "images"));
    Ok(Errors {
        forward,
        gradient,
        trained,
        image,
    })
}

/// Images of [`PROMPTS`] in `[0, 1]`, drawn as `families.py` draws them.
pub(crate) fn draw(pipeline: &Pipeline, noise: &Tensor) -> Result<Tensor> {
    let config = SampleConfig {
        steps: 10,
        guidance_scale: 3.0,
        sampler: pipeline
            .schedule
            .sampler()
            .expect("families name their samplers"),
        ..SampleConfig::default()
    };
    let prompts = PROMPTS.map(str::to_owned);
    let pixels = sample_from(pipeline, &pipeline.unet()?, &prompts, noise, &config)?;
    Ok(pixels.affine(0.5, 0.5)?)
}

/// Inputs of one prediction.
struct Batch {
    latents: Tensor,
    timesteps: Tensor,
    conditions: Conditions,
}

impl Batch {
    fn new(file: &Weights) -> Self {
        let added = file.get("pooled").map(|pooled| AddedConditions {
            pooled: pooled.clone(),
            time_ids: tensor(file, "time_ids"),
        });
        Self {
            latents: tensor(file, "latents"),
            timesteps: tensor(file, "timesteps"),
            conditions: Conditions {
                context: tensor(file, "context"),
                mask: Some(tensor(file, "mask")),
                added,
            },
        }
    }

    fn predict(&self, unet: &UNet) -> Result<Tensor> {
        unet.forward(&self.latents, &self.timesteps, &self.conditions)
    }
}

fn tensor(file: &Weights, name: &str) -> Tensor {
    let tensor = file.get(name);
    tensor.expect("the fixture has this tensor").clone()
}

fn worst(expected: &Weights, actual: impl Fn(&str) -> Option<Tensor>) -> f32 {
    let error = |(name, tensor): (&str, &Tensor)| match actual(name) {
        Some(actual) => relative_error(&actual, tensor),
        None => f32::INFINITY,
    };
    expected.iter().map(error).fold(0.0, f32::max)
}

/// All values of a tensor.
pub(crate) fn values(tensor: &Tensor) -> Vec<f32> {
    tensor
        .detach()
        .flatten_all()
        .and_then(|flat| flat.to_vec1())
        .expect("f32 tensor")
}

/// Largest difference relative to the largest expected value.
pub(crate) fn relative_error(actual: &Tensor, expected: &Tensor) -> f32 {
    assert_eq!(actual.dims(), expected.dims());
    let (actual, expected) = (values(actual), values(expected));
    assert!(
        actual.iter().all(|value| value.is_finite()),
        "values are finite"
    );
    let largest = |values: &mut dyn Iterator<Item = f32>| values.fold(0.0, f32::max);
    let scale = largest(&mut expected.iter().map(|value| value.abs()));
    let difference = largest(&mut actual.iter().zip(&expected).map(|(a, b)| (a - b).abs()));
    difference / scale.max(1e-12)
}
