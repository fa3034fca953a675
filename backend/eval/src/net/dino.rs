//! DINO (Caron et al., arXiv 2104.14294), such as ViT-S/16, from files in the Hugging Face layout.
//!
//! Owns the image tower; there is no text. Refuses files that lack a tensor or disagree with their configuration.

use candle_core::Tensor;
use diffusion::{Error, Result, weights::WeightsFile};

use super::{
    embedding::{Embeddings, ImageEncoder},
    layers::{Dense, Norm, normalised},
    preprocess::Preprocessor,
    read::Reader,
    transformer::{Block, Names, VisionConfig, embed},
};

/// Names in files; transformers 5 has others in memory and saves these.
const NAMES: Names = Names {
    norm1: "layernorm_before",
    q: "attention.attention.query",
    k: "attention.attention.key",
    v: "attention.attention.value",
    out: "attention.output.dense",
    norm2: "layernorm_after",
    widen: "intermediate.dense",
    narrow: "output.dense",
};

/// A `ViTModel`.
#[derive(Debug)]
pub struct Dino {
    name: String,
    config: VisionConfig,
    preprocessor: Preprocessor,
    patches: Dense,
    class: Tensor,
    positions: Tensor,
    blocks: Vec<Block>,
    norm_out: Norm,
}

impl Dino {
    /// Loads `model.safetensors` and `config.json`, and `preprocessor_config.json` where another preparation than
    /// [`Preprocessor::dino`] is wanted.
    ///
    /// The name is made of the sizes, such as `DINO ViT 384x12/16`.
    pub fn load(weights: &[u8], config: &[u8], preprocessor: Option<&[u8]>) -> crate::Result<Self> {
        let json = |source| Error::Json {
            file: "config.json".to_owned(),
            source,
        };
        let config: VisionConfig = serde_json::from_slice(config).map_err(json)?;
        config.check()?;
        let file = WeightsFile::from_bytes(weights)?;
        let root = Reader::new(&file);
        let embeddings = root.child("embeddings");
        let (width, patch) = (config.hidden_size, config.patch_size);
        let projection = embeddings.child("patch_embeddings.projection");
        let kernel = projection.tensor("weight", &[width, 3, patch, patch])?;
        let block =
            |index: usize| Block::new(&root.child("encoder.layer").child(index), &NAMES, &config);
        Ok(Self {
            name: format!("DINO ViT {width}x{}/{patch}", config.num_hidden_layers),
            preprocessor: match preprocessor {
                Some(json) => Preprocessor::from_json(json)?,
                None => Preprocessor::dino(config.image_size),
            },
            patches: Dense::of_patches(&kernel, Some(projection.tensor("bias", &[width])?))?,
            class: embeddings
                .tensor("cls_token", &[1, 1, width])?
                .flatten_all()?,
            positions: embeddings
                .tensor("position_embeddings", &[1, config.tokens(), width])?
                .squeeze(0)?,
            blocks: (0..config.num_hidden_layers)
                .map(block)
                .collect::<Result<_>>()?,
            norm_out: Norm::new(&root.child("layernorm"), width, config.epsilon())?,
            config,
        })
    }

    /// What pictures go through first.
    pub fn preprocessor(&self) -> &Preprocessor {
        &self.preprocessor
    }

    /// Preprocessed pictures `[n, 3, s, s]` to the class token after the last normalisation, `[n, d]`.
    pub fn features(&self, inputs: &Tensor) -> Result<Tensor> {
        let mut xs = embed(
            inputs,
            &self.patches,
            (&self.class, &self.positions),
            &self.config,
        )?;
        for block in &self.blocks {
            xs = block.forward(&xs)?;
        }
        let class = xs.narrow(1, 0, 1)?.squeeze(1)?.contiguous()?;
        self.norm_out.forward(&class)
    }
}

impl ImageEncoder for Dino {
    fn name(&self) -> &str {
        &self.name
    }

    fn embed_images(&self, pixels: &Tensor) -> crate::Result<Embeddings> {
        let inputs = self.preprocessor.apply(pixels)?;
        let rows = normalised(&self.features(&inputs)?)?;
        Ok(Embeddings::new(&self.name, rows))
    }
}
