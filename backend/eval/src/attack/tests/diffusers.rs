//! Twenty steps of every family beside those of diffusers' scripts, on the same images, timesteps and noise.
//!
//! `tests/fixtures/attacks.py` computed the reference values.

use std::path::Path;

use diffusion::schedule::PredictionType;
use shared::attack::Adaptive;

use super::{super::trainer::Batch, *};

/// Of losses, and of the distance that weights travelled (EVALUATION: numbers match diffusers' scripts).
const TOLERANCE: f64 = 1e-3;

fn fixture() -> Weights {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/attacks.safetensors");
    Weights::load(path, DType::F32, &Device::Cpu).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let square = |(a, b): (&f32, &f32)| (f64::from(*a) - f64::from(*b)).powi(2);
    a.iter().zip(b).map(square).sum::<f64>().sqrt()
}

fn words(prompts: [&str; 3], placeholder: Option<(&str, &str)>) -> Words {
    Words {
        subject: "sks dog".into(),
        instance: prompts.map(String::from).into(),
        class: "a photo of a dog".into(),
        drawing: prompts[0].into(),
        class_captions: Vec::new(),
        placeholder: placeholder.map(|(token, initializer)| Placeholder {
            token: token.into(),
            initializer: initializer.into(),
        }),
    }
}

const PROMPTS: [&str; 3] = [
    "a photo of sks dog",
    "sks dog on the beach",
    "a photo of sks dog",
];

/// A recipe under the name of its reference values.
struct Reference {
    name: &'static str,
    recipe: AttackRecipe,
    words: Words,
    prediction: PredictionType,
}

impl Reference {
    fn new(name: &'static str, family: Family) -> Self {
        Self {
            name,
            recipe: AttackRecipe {
                stock_learning_rate: 1e-3,
                learning_rates: vec![1e-3],
                ..recipe(family)
            },
            words: words(PROMPTS, None),
            prediction: PredictionType::Epsilon,
        }
    }

    fn plain(name: &'static str) -> Self {
        let mut reference = Self::new(name, Family::DreamboothUnet);
        reference.recipe.prior_preservation = false;
        reference
    }

    /// Trains on the fixture's batches and compares losses; gives the attack, its parameters before, and the values.
    fn train(&self) -> (Attack, Weights, Weights) {
        let folder =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../diffusion/tests/fixtures/pipeline");
        let mut pipeline = Pipeline::load(folder, &Device::Cpu).unwrap();
        pipeline.schedule.prediction_type = self.prediction;
        let file = fixture();
        let setup = Setup {
            pipeline: &pipeline,
            start: &pipeline.unet_weights,
            instance: file.get("instance").unwrap(),
            words: &self.words,
            class_latents: file.get("class"),
            class_images: 0,
            captioned: None,
            recipe: &self.recipe,
            learning_rate: self.recipe.stock_learning_rate,
            seed: 1,
            sampling: crate::fixture::sampling(),
        };
        let mut attack = start(setup).unwrap();
        let starts = file.with_prefix(&format!("{}.start.", self.name));
        if !starts.is_empty() {
            attack.trainer.student.parameters.assign(&starts).unwrap();
        }
        let before = attack.trainer.student.parameters.snapshot();
        let losses: Vec<f32> = (0..20)
            .map(|step| self.step(&mut attack, &file, step))
            .collect();
        let expected = values(file.get(&format!("{}.losses", self.name)).unwrap());
        let off = distance(&losses, &expected) / distance(&expected, &[0.0; 20]);
        assert!(off < TOLERANCE, "{} losses: {off:.1e}", self.name);
        (
            attack,
            before,
            file.with_prefix(&format!("{}.end.", self.name)),
        )
    }

    fn step(&self, attack: &mut Attack, file: &Weights, step: usize) -> f32 {
        let count = if self.recipe.prior_preservation { 4 } else { 2 };
        let row = |name: &str| {
            file.get(name)
                .unwrap()
                .get(step)
                .unwrap()
                .narrow(0, 0, count)
                .unwrap()
        };
        let whole =
            |name: &str| -> Vec<u32> { row(name).to_dtype(DType::U32).unwrap().to_vec1().unwrap() };
        let rows = whole("rows");
        let images = |name: &str, rows: &[u32]| {
            file.get(name)
                .unwrap()
                .index_select(&Tensor::new(rows, &Device::Cpu).unwrap(), 0)
                .unwrap()
        };
        let mut latents = images("instance", &rows[..2]);
        let mut prompts: Vec<u32> = rows[..2]
            .iter()
            .map(|row| attack.trainer.instance.prompts[*row as usize])
            .collect();
        if count == 4 {
            latents = Tensor::cat(&[latents, images("class", &rows[2..])], 0).unwrap();
            // The instance prompts are two different ones; the class prompt joined them third.
            prompts.extend([2, 2]);
        }
        let batch = Batch {
            instances: 2,
            latents,
            prompts,
            timesteps: whole("timesteps")
                .iter()
                .map(|timestep| *timestep as usize)
                .collect(),
            noise: row("noise"),
        };
        attack.trainer.train_on(&batch).unwrap()
    }

    /// Compares the ways that parameters travelled, all together.
    fn compare(&self) {
        let (attack, before, expected) = self.train();
        let after = attack.trainer.student.parameters.snapshot();
        assert!(!expected.is_empty());
        let (mut off, mut way) = (0.0, 0.0);
        for (name, expected) in expected.iter() {
            let own = match name {
                "row" => "text_encoder.token_embedding.added".to_owned(),
                name if name.starts_with("text_encoder.") || name.starts_with("unet.") => {
                    name.to_owned()
                }
                name => format!("unet.{name}"),
            };
            let [before, after] =
                [&before, &after].map(|weights| values(weights.get(&own).expect(&own)));
            let expected = values(expected);
            off += distance(&after, &expected).powi(2);
            way += distance(&before, &expected).powi(2);
        }
        let off = (off / way).sqrt();
        assert!(
            off < TOLERANCE,
            "{} weights: {off:.1e} of their way",
            self.name
        );
    }
}

#[test]
fn dreambooth_matches_with_prior() {
    Reference::new("prior", Family::DreamboothUnet).compare();
}

#[test]
fn dreambooth_matches_without_prior() {
    Reference::plain("plain").compare();
}

#[test]
fn min_snr_matches_for_noise_and_velocity() {
    let adaptive = Adaptive {
        min_snr_gamma: Some(5.0),
        ..Adaptive::default()
    };
    let mut reference = Reference::plain("min_snr");
    reference.recipe.adaptive = adaptive;
    reference.compare();
    reference.name = "velocity";
    reference.prediction = PredictionType::VPrediction;
    reference.compare();
}

#[test]
fn dreambooth_with_text_encoder_matches() {
    Reference::new("text", Family::DreamboothTextEncoder).compare();
}

#[test]
fn lora_matches() {
    Reference::new("lora", Family::Lora { rank: 2 }).compare();
}

#[test]
fn textual_inversion_matches() {
    let mut reference = Reference::new("inversion", Family::TextualInversion);
    let prompts = ["a photo of <sks>", "<sks> on the beach", "a photo of <sks>"];
    reference.words = words(prompts, Some(("<sks>", "dog")));
    reference.recipe.learning_rates = vec![5e-3];
    reference.recipe.stock_learning_rate = 5e-3;
    reference.compare();
}

#[test]
fn custom_diffusion_matches() {
    let mut reference = Reference::new("custom", Family::CustomDiffusion);
    let prompts = [
        "a photo of <sks> dog",
        "<sks> dog on the beach",
        "a photo of <sks> dog",
    ];
    reference.words = words(prompts, Some(("<sks>", "beach")));
    reference.compare();
}
