//! Snapshots of a run, exact to the bit.
//!
//! Owns the file: safetensors with weights, optimiser moments and the teacher's latents; step and
//! random state in its metadata. Refuses a snapshot of another job.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use candle_core::{DType, Device};
use diffusion::weights::Weights;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::{
    Error, Result,
    teacher::{TeacherSet, TeacherSets},
};

const FORMAT: &str = "persguard-checkpoint-2";
const UNET: &str = "unet.";
const OPTIMIZER: &str = "optimizer.";
const AVERAGE: &str = "average.";
const CAPTIONS: &str = "teacher.captions";

/// A snapshot as bytes, ready for a file. Copies share them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    step: u32,
    bytes: Arc<Vec<u8>>,
}

impl Checkpoint {
    /// Reads a snapshot; only its header is checked here.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self> {
        let step = number(&header(&bytes)?, "step")?;
        let bytes = Arc::new(bytes);
        Ok(Self { step, bytes })
    }

    /// The file's content.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Injection steps done.
    pub fn step(&self) -> u32 {
        self.step
    }
}

/// Everything that the next step depends on.
#[derive(Debug)]
pub(crate) struct State {
    /// Injection steps done.
    pub(crate) step: u32,
    /// Parameters of the student.
    pub(crate) unet: Weights,
    /// State of the optimiser.
    pub(crate) optimizer: Weights,
    /// Running average of the student, where there is one.
    pub(crate) average: Option<Weights>,
    /// Random state of the training loop.
    pub(crate) rng: ChaCha8Rng,
    /// What the teacher drew.
    pub(crate) teacher: TeacherSets,
}

impl State {
    /// Writes a snapshot; `fingerprint` names the job and its inputs.
    pub(crate) fn to_checkpoint(&self, fingerprint: &str) -> Result<Checkpoint> {
        let named = |prefix: &'static str, weights: &Weights| -> Vec<_> {
            let rename = |(name, tensor): (&str, &candle_core::Tensor)| {
                (format!("{prefix}{name}"), tensor.clone())
            };
            weights.iter().map(rename).collect()
        };
        let mut tensors = named(UNET, &self.unet);
        tensors.extend(named(OPTIMIZER, &self.optimizer));
        if let Some(average) = &self.average {
            tensors.extend(named(AVERAGE, average));
        }
        for (concept, set) in self.teacher.concepts.iter().enumerate() {
            tensors.push((class_name(concept), set.class.clone()));
            tensors.push((backdoor_name(concept), set.backdoor.clone()));
        }
        let captions = self.teacher.captions.iter();
        tensors.extend(captions.map(|latents| (CAPTIONS.to_owned(), latents.clone())));
        let metadata = [
            ("persguard.format", FORMAT.to_owned()),
            ("fingerprint", fingerprint.to_owned()),
            ("step", self.step.to_string()),
            ("concepts", self.teacher.concepts.len().to_string()),
            ("rng.seed", hex::encode(self.rng.get_seed())),
            ("rng.stream", self.rng.get_stream().to_string()),
            ("rng.word_position", self.rng.get_word_pos().to_string()),
        ];
        let metadata: BTreeMap<String, String> = metadata
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
        Ok(Checkpoint {
            step: self.step,
            bytes: Arc::new(
                tensors
                    .into_iter()
                    .collect::<Weights>()
                    .to_bytes(DType::F32, &metadata)?,
            ),
        })
    }

    /// Reads a snapshot of the same job.
    pub(crate) fn from_checkpoint(
        checkpoint: &Checkpoint,
        fingerprint: &str,
        device: &Device,
    ) -> Result<Self> {
        let header = header(&checkpoint.bytes)?;
        if text(&header, "fingerprint")? != fingerprint {
            return Err(refused("it belongs to another job or other inputs"));
        }
        let weights = Weights::from_bytes(&checkpoint.bytes, DType::F32, device)?;
        let tensor = |name: &str| {
            let tensor = weights.get(name).cloned();
            tensor.ok_or_else(|| refused(&format!("it lacks {name}")))
        };
        let average = weights.with_prefix(AVERAGE);
        let is_averaged = average.iter().next().is_some();
        Ok(Self {
            step: checkpoint.step,
            average: is_averaged.then_some(average),
            unet: weights.with_prefix(UNET),
            optimizer: weights.with_prefix(OPTIMIZER),
            rng: random_state(&header)?,
            teacher: TeacherSets {
                concepts: (0..number(&header, "concepts")?)
                    .map(|concept| {
                        Ok(TeacherSet {
                            class: tensor(&class_name(concept))?,
                            backdoor: tensor(&backdoor_name(concept))?,
                        })
                    })
                    .collect::<Result<_>>()?,
                captions: weights.get(CAPTIONS).cloned(),
            },
        })
    }
}

fn class_name(concept: usize) -> String {
    format!("teacher.{concept}.class")
}

fn backdoor_name(concept: usize) -> String {
    format!("teacher.{concept}.backdoor")
}

type Header = HashMap<String, String>;

fn header(bytes: &[u8]) -> Result<Header> {
    let (_, metadata) = safetensors::SafeTensors::read_metadata(bytes)
        .map_err(|error| refused(&error.to_string()))?;
    let header = metadata.metadata().clone().unwrap_or_default();
    if text(&header, "persguard.format")? != FORMAT {
        return Err(refused("it has another format"));
    }
    Ok(header)
}

fn random_state(header: &Header) -> Result<ChaCha8Rng> {
    let mut seed = [0; 32];
    hex::decode_to_slice(text(header, "rng.seed")?, &mut seed)
        .map_err(|error| refused(&format!("rng.seed: {error}")))?;
    let mut rng = ChaCha8Rng::from_seed(seed);
    rng.set_stream(number(header, "rng.stream")?);
    rng.set_word_pos(number(header, "rng.word_position")?);
    Ok(rng)
}

fn text<'h>(header: &'h Header, key: &str) -> Result<&'h str> {
    let value = header.get(key);
    value
        .map(String::as_str)
        .ok_or_else(|| refused(&format!("it lacks {key}")))
}

fn number<T: std::str::FromStr>(header: &Header, key: &str) -> Result<T> {
    let value = text(header, key)?;
    value
        .parse()
        .map_err(|_| refused(&format!("{key} is {value}")))
}

fn refused(reason: &str) -> Error {
    Error::BadCheckpoint(reason.to_owned())
}
