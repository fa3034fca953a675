//! The metric encoder of the demo domain: pictures and captions in one space, and attributes read from pictures.
//!
//! It owns the layers, the file format and the reading; it refuses to train itself (the demo world does
//! that) and to know any attribute by name: names and values come with the weights. It is never CLIP, and
//! similarities of different encoders are never compared.

mod image_tower;
#[cfg(test)]
mod tests;
mod vocabulary;

use std::collections::BTreeMap;

use candle_core::{D, DType, Device, Tensor};
use diffusion::text::{TextConfig, TextEncoder, Tokenizer};
use diffusion::weights::Weights;
use diffusion::{Error, Result, ops};
use serde::{Deserialize, Serialize};

pub use image_tower::{FEATURES, ImageTower, SIDE};

/// Key of the file's metadata that holds the configuration.
const METADATA: &str = "encoder";

/// One attribute that the encoder reads, with the names of its values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribute {
    /// For example "class".
    pub name: String,
    /// For example "dog", "cat".
    pub values: Vec<String>,
}

/// What a file of weights says about itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EncoderConfig {
    /// Attributes, in the order of their readings.
    pub attributes: Vec<Attribute>,
    /// The caption half, a CLIP text model.
    pub text: TextConfig,
    /// Width of the common space.
    pub embedding: usize,
}

/// An attribute as read from one picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading<'a> {
    /// The attribute's name.
    pub attribute: &'a str,
    /// The likeliest value's name.
    pub value: &'a str,
    /// Position of that value in [`Attribute::values`].
    pub index: usize,
    /// How sure the encoder is, in [0, 1].
    pub probability: f32,
}

/// Pictures and captions to vectors, pictures to attributes.
#[derive(Debug)]
pub struct Encoder {
    config: EncoderConfig,
    image: ImageTower,
    text: TextEncoder,
    /// The words that the caption half was trained with, where they are known.
    tokenizer: Option<Tokenizer>,
    image_projection: Tensor,
    text_projection: Tensor,
    heads: Vec<(Tensor, Tensor)>,
}

impl EncoderConfig {
    /// Name and shape of every tensor, except the caption half's, which start with `text.`.
    pub fn shapes(&self) -> Vec<(String, Vec<usize>)> {
        let mut shapes = ImageTower::shapes();
        shapes.push((
            "image.projection.weight".into(),
            vec![self.embedding, FEATURES],
        ));
        shapes.push((
            "text_projection.weight".into(),
            vec![self.embedding, self.text.hidden_size],
        ));
        for attribute in &self.attributes {
            let count = attribute.values.len();
            shapes.push((
                format!("head.{}.weight", attribute.name),
                vec![count, FEATURES],
            ));
            shapes.push((format!("head.{}.bias", attribute.name), vec![count]));
        }
        shapes
    }

    /// Metadata to store with the weights.
    pub fn metadata(&self) -> BTreeMap<String, String> {
        let text = serde_json::to_string(self).expect("the configuration is plain data");
        BTreeMap::from([(METADATA.to_owned(), text)])
    }
}

impl Encoder {
    /// Reads a safetensors file written with [`EncoderConfig::metadata`]. The weights become `f32`, on the CPU.
    pub fn load(bytes: &[u8]) -> Result<Self> {
        let malformed = |reason: String| Error::MalformedWeights { reason };
        let (_, header) = safetensors::SafeTensors::read_metadata(bytes)
            .map_err(|error| malformed(error.to_string()))?;
        let text = header
            .metadata()
            .as_ref()
            .and_then(|metadata| metadata.get(METADATA));
        let text = text.ok_or_else(|| malformed(format!("no {METADATA:?} in its metadata")))?;
        let config = serde_json::from_str(text).map_err(|error| malformed(error.to_string()))?;
        let weights = Weights::from_bytes(bytes, DType::F32, &Device::Cpu)?;
        Self::from_weights(config, &weights)
    }

    /// The encoder over these tensors; it shares their storage.
    pub fn from_weights(config: EncoderConfig, weights: &Weights) -> Result<Self> {
        for (name, expected) in config.shapes() {
            tensor(weights, &name, &expected)?;
        }
        let get = |name: &str| {
            let missing = || Error::MissingTensor {
                name: name.to_owned(),
                expected: Vec::new(),
            };
            weights.get(name).cloned().ok_or_else(missing)
        };
        let head = |attribute: &Attribute| {
            let name = format!("head.{}", attribute.name);
            Ok((
                get(&format!("{name}.weight"))?,
                get(&format!("{name}.bias"))?,
            ))
        };
        Ok(Self {
            image: ImageTower::new(|name, shape| tensor(weights, name, shape))?,
            text: TextEncoder::new(config.text.clone(), &weights.with_prefix("text."))?,
            tokenizer: vocabulary::of(&config.text),
            image_projection: get("image.projection.weight")?,
            text_projection: get("text_projection.weight")?,
            heads: config.attributes.iter().map(head).collect::<Result<_>>()?,
            config,
        })
    }

    /// The same encoder with the words that it was trained with, where those are not the demo domain's. Refuses a
    /// tokenizer of another size.
    pub fn with_tokenizer(self, tokenizer: Tokenizer) -> crate::Result<Self> {
        if !vocabulary::fits(&tokenizer, &self.config.text) {
            return Err(self.no_words());
        }
        Ok(Self {
            tokenizer: Some(tokenizer),
            ..self
        })
    }

    /// The words that prompts are read with: never those of a base model, whose ids may mean other words here.
    pub fn tokenizer(&self) -> crate::Result<&Tokenizer> {
        self.tokenizer.as_ref().ok_or_else(|| self.no_words())
    }

    fn no_words(&self) -> crate::Error {
        crate::Error::EncoderVocabulary {
            tokens: self.config.text.vocab_size,
            length: self.config.text.max_position_embeddings,
        }
    }

    /// Whether a base model was trained with these very words, as those of the encoder's domain are.
    pub fn has_the_words_of(&self, base: &Tokenizer) -> bool {
        let same = |own: &Tokenizer| {
            let same_size = own.vocabulary_size() == base.vocabulary_size();
            same_size && own.to_files() == base.to_files()
        };
        self.tokenizer.as_ref().is_some_and(same)
    }

    /// Ids of whole prompts, `[prompts, length]`, for [`Self::embed_text`]. Words that are not in the vocabulary become
    /// pieces of words; a prompt that is too long loses its tail.
    pub fn token_ids(&self, prompts: &[String]) -> crate::Result<Tensor> {
        let tokenizer = self.tokenizer()?;
        let ids = prompts.iter().flat_map(|prompt| tokenizer.encode(prompt));
        let ids: Vec<u32> = ids.collect();
        let shape = (prompts.len(), tokenizer.max_length());
        Ok(Tensor::from_vec(ids, shape, &Device::Cpu)?)
    }

    /// What the encoder knows.
    pub fn config(&self) -> &EncoderConfig {
        &self.config
    }

    /// The caption half.
    pub fn text_encoder(&self) -> &TextEncoder {
        &self.text
    }

    /// `pixels: [n, 3, 32, 32]` in [-1, 1]; result `[n, 128]`, the input of the heads.
    /// Gradient flows to: weights, `pixels`.
    pub fn features(&self, pixels: &Tensor) -> Result<Tensor> {
        self.image.features(pixels)
    }

    /// Features to unit vectors, `[n, d]`.
    pub fn project(&self, features: &Tensor) -> Result<Tensor> {
        normalise(&ops::linear(features, &self.image_projection, None)?)
    }

    /// `pixels: [n, 3, 32, 32]` in [-1, 1]; result `[n, d]`, rows of length 1.
    pub fn embed_images(&self, pixels: &Tensor) -> Result<Tensor> {
        self.project(&self.features(pixels)?)
    }

    /// `ids: [n, length]` of whole captions, end token included; result `[n, d]`, rows of length 1.
    pub fn embed_text(&self, ids: &Tensor) -> Result<Tensor> {
        self.project_text(ids, &self.text.forward(ids)?)
    }

    /// The caption half's hidden states `[n, length, w]` to unit vectors, `[n, d]`.
    pub fn project_text(&self, ids: &Tensor, hidden: &Tensor) -> Result<Tensor> {
        let ends = self.text.pooled(ids, hidden)?;
        normalise(&ops::linear(&ends, &self.text_projection, None)?)
    }

    /// For every attribute its logits, `[n, values]`.
    pub fn logits(&self, features: &Tensor) -> Result<Vec<Tensor>> {
        let read =
            |(weight, bias): &(Tensor, Tensor)| Ok(ops::linear(features, weight, Some(bias))?);
        self.heads.iter().map(read).collect()
    }

    /// For every picture its attributes, in the order of the configuration. `pixels` as in
    /// [`Self::embed_images`].
    pub fn attributes(&self, pixels: &Tensor) -> Result<Vec<Vec<Reading<'_>>>> {
        let mut readings = vec![Vec::new(); pixels.dim(0)?];
        let logits = self.logits(&self.features(pixels)?)?;
        for (attribute, logits) in self.config.attributes.iter().zip(logits) {
            let rows = candle_nn::ops::softmax(&logits, D::Minus1)?.to_vec2::<f32>()?;
            for (row, readings) in rows.iter().zip(&mut readings) {
                let best = row
                    .iter()
                    .enumerate()
                    .max_by(|(_, a), (_, b)| a.total_cmp(b));
                let (index, &probability) = best.ok_or_else(|| no_values(attribute))?;
                let value = &attribute.values[index];
                readings.push(Reading {
                    attribute: &attribute.name,
                    value,
                    index,
                    probability,
                });
            }
        }
        Ok(readings)
    }
}

fn tensor(weights: &Weights, name: &str, expected: &[usize]) -> Result<Tensor> {
    let Some(tensor) = weights.get(name) else {
        return Err(Error::MissingTensor {
            name: name.to_owned(),
            expected: expected.to_vec(),
        });
    };
    if tensor.dims() != expected {
        return Err(Error::ShapeMismatch {
            name: name.to_owned(),
            expected: expected.to_vec(),
            actual: tensor.dims().to_vec(),
        });
    }
    Ok(tensor.clone())
}

fn no_values(attribute: &Attribute) -> Error {
    Error::InvalidArgument(format!("attribute {} has no values", attribute.name))
}

fn normalise(xs: &Tensor) -> Result<Tensor> {
    let length = (xs.sqr()?.sum_keepdim(D::Minus1)? + 1e-12)?.sqrt()?;
    Ok(xs.broadcast_div(&length)?)
}
