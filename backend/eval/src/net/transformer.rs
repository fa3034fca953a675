//! The vision transformer that CLIP and DINO share (Dosovitskiy et al., arXiv 2010.11929), normalised first.
//!
//! Owns patches, blocks and the bounds of configurations. Refuses pictures of another size than its own: positions are
//! not interpolated.

use candle_core::Tensor;
use diffusion::{
    Error, Result,
    ops::{self, Activation, Mask},
    text::HiddenActivation,
};
use serde::Deserialize;

use super::{
    layers::{Dense, Norm},
    read::Reader,
};

/// Most of anything in a configuration; ViT-bigG has 48 layers of 1664 and 8192.
const LAYERS: usize = 64;
const WIDTH: usize = 16_384;
const IMAGE: usize = 1024;

/// Sizes of a vision transformer, as `config.json` gives them.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default)]
pub(super) struct VisionConfig {
    pub(super) hidden_size: usize,
    pub(super) intermediate_size: usize,
    pub(super) num_hidden_layers: usize,
    pub(super) num_attention_heads: usize,
    pub(super) num_channels: usize,
    pub(super) image_size: usize,
    pub(super) patch_size: usize,
    pub(super) hidden_act: HiddenActivation,
    pub(super) layer_norm_eps: f64,
}

impl Default for VisionConfig {
    /// CLIP's ViT-B/32, whose files leave out what equals it.
    fn default() -> Self {
        Self {
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            num_channels: 3,
            image_size: 224,
            patch_size: 32,
            hidden_act: HiddenActivation::QuickGelu,
            layer_norm_eps: 1e-5,
        }
    }
}

impl VisionConfig {
    pub(super) fn check(&self) -> Result<()> {
        let Self {
            hidden_size: width,
            num_attention_heads: heads,
            image_size: image,
            patch_size: patch,
            ..
        } = *self;
        let within = |value: usize, most: usize| (1..=most).contains(&value);
        let sizes = within(width, WIDTH)
            && within(self.intermediate_size, 4 * WIDTH)
            && within(self.num_hidden_layers, LAYERS)
            && within(image, IMAGE)
            && within(patch, image)
            && within(heads, width);
        let whole = sizes && width.is_multiple_of(heads) && image.is_multiple_of(patch);
        if whole && self.num_channels == 3 && self.layer_norm_eps > 0.0 {
            return Ok(());
        }
        Err(Error::InvalidConfig(format!(
            "a vision transformer of {self:?}"
        )))
    }

    /// Tokens: one a patch, and the class token.
    pub(super) fn tokens(&self) -> usize {
        (self.image_size / self.patch_size).pow(2) + 1
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "an epsilon of f32 arithmetic"
    )]
    pub(super) fn epsilon(&self) -> f32 {
        self.layer_norm_eps as f32
    }
}

/// What the parts of a block are called in a family's files.
pub(super) struct Names {
    pub(super) norm1: &'static str,
    pub(super) q: &'static str,
    pub(super) k: &'static str,
    pub(super) v: &'static str,
    pub(super) out: &'static str,
    pub(super) norm2: &'static str,
    pub(super) widen: &'static str,
    pub(super) narrow: &'static str,
}

/// Self-attention and a feed-forward layer.
#[derive(Clone, Debug)]
pub(super) struct Block {
    norm1: Norm,
    q: Dense,
    k: Dense,
    v: Dense,
    out: Dense,
    norm2: Norm,
    widen: Dense,
    narrow: Dense,
    heads: usize,
    activation: Activation,
}

impl Block {
    pub(super) fn new(reader: &Reader<'_>, names: &Names, config: &VisionConfig) -> Result<Self> {
        let (width, inner) = (config.hidden_size, config.intermediate_size);
        let dense = |name: &str| Dense::new(&reader.child(name), width, width);
        let norm = |name: &str| Norm::new(&reader.child(name), width, config.epsilon());
        Ok(Self {
            norm1: norm(names.norm1)?,
            q: dense(names.q)?,
            k: dense(names.k)?,
            v: dense(names.v)?,
            out: dense(names.out)?,
            norm2: norm(names.norm2)?,
            widen: Dense::new(&reader.child(names.widen), width, inner)?,
            narrow: Dense::new(&reader.child(names.narrow), inner, width)?,
            heads: config.num_attention_heads,
            activation: config.hidden_act.into(),
        })
    }

    pub(super) fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let normed = self.norm1.forward(xs)?;
        let (q, k) = (self.q.forward(&normed)?, self.k.forward(&normed)?);
        let v = self.v.forward(&normed)?;
        let attended = ops::attention(&q, &k, &v, self.heads, Mask::None)?;
        let xs = ops::add(&self.out.forward(&attended)?, xs)?;
        let hidden = self.widen.forward(&self.norm2.forward(&xs)?)?;
        let hidden = ops::activation(&hidden, self.activation)?;
        Ok(ops::add(&self.narrow.forward(&hidden)?, &xs)?)
    }
}

/// The class token, then one row a patch: `[n, 3, s, s]` to `[n, tokens, width]`, positions added.
///
/// `class: [width]`, `positions: [tokens, width]`. Refuses pictures of another size.
pub(super) fn embed(
    pixels: &Tensor,
    patches: &Dense,
    (class, positions): (&Tensor, &Tensor),
    config: &VisionConfig,
) -> Result<Tensor> {
    let (count, side, patch) = (pixels.dim(0)?, config.image_size, config.patch_size);
    if pixels.dims() != [count, 3, side, side] || count == 0 {
        return Err(Error::InvalidArgument(format!(
            "pictures {:?} for a network of [n, 3, {side}, {side}]",
            pixels.dims()
        )));
    }
    let grid = side / patch;
    let cut = pixels
        .reshape((count * 3, grid, patch, grid * patch))?
        .reshape(&[count, 3, grid, patch, grid, patch][..])?
        .permute(vec![0, 2, 4, 1, 3, 5])?
        .contiguous()?
        .reshape((count, grid * grid, 3 * patch * patch))?;
    let class = class
        .reshape((1, 1, config.hidden_size))?
        .repeat((count, 1, 1))?;
    let tokens = Tensor::cat(&[&class, &patches.forward(&cut)?], 1)?;
    Ok(tokens.broadcast_add(positions)?)
}
