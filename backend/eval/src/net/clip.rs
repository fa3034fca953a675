//! CLIP (Radford et al., arXiv 2103.00020), such as ViT-B/32, from files in the Hugging Face layout.
//!
//! Owns the image tower and the joining of both; the text tower is the substrate's. Refuses files that lack a tensor or
//! disagree with their configuration.

use candle_core::{DType, Device, Tensor};
use diffusion::{
    Error, Result,
    text::{TextConfig, TextEncoder, Tokenizer},
    weights::WeightsFile,
};
use serde::Deserialize;

use super::{
    embedding::{CaptionEncoder, Embeddings, ImageEncoder},
    layers::{Dense, Norm, normalised},
    preprocess::Preprocessor,
    read::Reader,
    transformer::{Block, Names, VisionConfig, embed},
};

const NAMES: Names = Names {
    norm1: "layer_norm1",
    q: "self_attn.q_proj",
    k: "self_attn.k_proj",
    v: "self_attn.v_proj",
    out: "self_attn.out_proj",
    norm2: "layer_norm2",
    widen: "mlp.fc1",
    narrow: "mlp.fc2",
};

/// Widest common space.
const PROJECTION: usize = 8192;

#[derive(Deserialize)]
struct ClipConfig {
    #[serde(default)]
    text_config: TextConfig,
    #[serde(default)]
    vision_config: VisionConfig,
    #[serde(default = "projection")]
    projection_dim: usize,
}

const fn projection() -> usize {
    512
}

/// Both towers.
#[derive(Debug)]
pub struct Clip {
    name: String,
    config: VisionConfig,
    preprocessor: Preprocessor,
    patches: Dense,
    class: Tensor,
    positions: Tensor,
    norm_in: Norm,
    blocks: Vec<Block>,
    norm_out: Norm,
    projection: Dense,
    text: TextEncoder,
    tokenizer: Tokenizer,
}

/// Files of a `CLIPModel` folder.
#[derive(Clone, Copy)]
pub struct ClipFiles<'a> {
    /// `model.safetensors`.
    pub weights: &'a [u8],
    /// `config.json`.
    pub config: &'a [u8],
    /// `preprocessor_config.json`; CLIP's own steps without it.
    pub preprocessor: Option<&'a [u8]>,
}

impl Clip {
    /// Loads both towers; `tokenizer` is [`Tokenizer::clip`] for every published model.
    ///
    /// The name is made of the sizes, such as `CLIP ViT 768x12/32`, since a file does not say who trained it.
    pub fn load(files: ClipFiles<'_>, tokenizer: Tokenizer) -> Result<Self> {
        let json = |source| Error::Json {
            file: "config.json".to_owned(),
            source,
        };
        let config: ClipConfig = serde_json::from_slice(files.config).map_err(json)?;
        let vision = config.vision_config;
        vision.check()?;
        let (width, space) = (vision.hidden_size, config.projection_dim);
        if !(1..=PROJECTION).contains(&space) {
            return Err(Error::InvalidConfig(format!("a common space of {space}")));
        }
        let file = WeightsFile::from_bytes(files.weights)?;
        let text = load_text(config.text_config, space, &file)?;
        if tokenizer.vocabulary_size() > text.config().vocab_size {
            return Err(Error::InvalidConfig(format!(
                "a tokenizer of {} tokens for {} embeddings",
                tokenizer.vocabulary_size(),
                text.config().vocab_size
            )));
        }
        let root = Reader::new(&file);
        let model = root.child("vision_model");
        let embeddings = model.child("embeddings");
        let kernel = [width, 3, vision.patch_size, vision.patch_size];
        let block =
            |index: usize| Block::new(&model.child("encoder.layers").child(index), &NAMES, &vision);
        Ok(Self {
            name: format!(
                "CLIP ViT {width}x{}/{}",
                vision.num_hidden_layers, vision.patch_size
            ),
            preprocessor: match files.preprocessor {
                Some(json) => Preprocessor::from_json(json).map_err(as_diffusion)?,
                None => Preprocessor::clip(vision.image_size),
            },
            patches: Dense::of_patches(
                &embeddings.tensor("patch_embedding.weight", &kernel)?,
                None,
            )?,
            class: embeddings.tensor("class_embedding", &[width])?,
            positions: embeddings.tensor("position_embedding.weight", &[vision.tokens(), width])?,
            norm_in: Norm::new(&model.child("pre_layrnorm"), width, vision.epsilon())?,
            blocks: (0..vision.num_hidden_layers)
                .map(block)
                .collect::<Result<_>>()?,
            norm_out: Norm::new(&model.child("post_layernorm"), width, vision.epsilon())?,
            projection: Dense::without_bias(&root.child("visual_projection"), width, space)?,
            config: vision,
            text,
            tokenizer,
        })
    }

    /// What pictures go through first.
    pub fn preprocessor(&self) -> &Preprocessor {
        &self.preprocessor
    }

    /// Preprocessed pictures `[n, 3, s, s]` to the common space, `[n, d]`, not normalised.
    pub fn image_features(&self, inputs: &Tensor) -> Result<Tensor> {
        let tokens = embed(
            inputs,
            &self.patches,
            (&self.class, &self.positions),
            &self.config,
        )?;
        let mut xs = self.norm_in.forward(&tokens)?;
        for block in &self.blocks {
            xs = block.forward(&xs)?;
        }
        let class = xs.narrow(1, 0, 1)?.squeeze(1)?.contiguous()?;
        self.projection.forward(&self.norm_out.forward(&class)?)
    }

    /// Token ids `[n, s]` to the common space, `[n, d]`, not normalised.
    pub fn text_features(&self, ids: &Tensor) -> Result<Tensor> {
        self.text.projected(ids, &self.text.forward(ids)?)
    }
}

/// The text tower as a model with its projection.
fn load_text(config: TextConfig, space: usize, file: &WeightsFile<'_>) -> Result<TextEncoder> {
    let config = TextConfig {
        projection_dim: space,
        architectures: Some(vec!["CLIPTextModelWithProjection".to_owned()]),
        ..config
    };
    let text = file.renamed(|name| name.starts_with("text_").then(|| name.to_owned()));
    let weights = config.load(&text, &Device::Cpu)?;
    TextEncoder::new(config, &weights)
}

fn as_diffusion(error: crate::Error) -> Error {
    match error {
        crate::Error::Diffusion(error) => error,
        other => Error::InvalidConfig(other.to_string()),
    }
}

impl ImageEncoder for Clip {
    fn name(&self) -> &str {
        &self.name
    }

    fn embed_images(&self, pixels: &Tensor) -> crate::Result<Embeddings> {
        let inputs = self.preprocessor.apply(pixels)?;
        let rows = normalised(&self.image_features(&inputs)?)?;
        Ok(Embeddings::new(&self.name, rows))
    }
}

impl CaptionEncoder for Clip {
    fn embed_captions(&self, captions: &[String]) -> crate::Result<Embeddings> {
        let ids: Vec<u32> = captions
            .iter()
            .flat_map(|caption| self.tokenizer.encode(caption))
            .collect();
        let shape = (captions.len(), self.tokenizer.max_length());
        let ids = Tensor::from_vec(ids, shape, &Device::Cpu)?.to_dtype(DType::U32)?;
        let rows = normalised(&self.text_features(&ids)?)?;
        Ok(Embeddings::new(&self.name, rows))
    }
}
