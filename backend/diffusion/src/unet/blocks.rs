//! Residual and transformer blocks of the U-Net.

use candle_core::{DType, Tensor};

use super::{AttentionObserver, Conditions, CrossAttention, observe};
use crate::{
    Result,
    checkpoint::Memory,
    nn::{Bias, Conv2d, ConvShape, GroupNorm, LayerNorm, Linear, Scope},
    ops::{self, Mask},
};

/// Epsilon of the normalisation before a transformer; diffusers fixes it.
const TRANSFORMER_EPSILON: f32 = 1e-6;

/// Epsilon of layer normalisations; diffusers fixes it.
const LAYER_EPSILON: f32 = 1e-5;

/// Sizes that blocks of one level share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) channels: usize,
    pub(super) heads: usize,
    pub(super) depth: usize,
    pub(super) time_channels: usize,
    pub(super) context_channels: usize,
    pub(super) groups: usize,
    pub(super) epsilon: f32,
    pub(super) linear_projection: bool,
}

/// What cross-attention looks at.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    context: Tensor,
    /// Added to the scores of every head, `[b, s]`.
    bias: Option<Tensor>,
    observer: Option<AttentionObserver>,
}

/// Score of a hidden token; diffusers adds the same.
const HIDDEN: f64 = -10_000.0;

impl Seen {
    /// The context in the dtype of the computation; scores are added in `f32`.
    pub(super) fn new(conditions: &Conditions, dtype: DType) -> Result<Self> {
        let bias = |mask: &Tensor| {
            let hidden = mask.to_dtype(DType::F32)?.affine(-1.0, 1.0)?;
            Ok::<_, crate::Error>((hidden * HIDDEN)?)
        };
        Ok(Self {
            context: ops::cast(&conditions.context, dtype)?,
            bias: conditions.mask.as_ref().map(bias).transpose()?,
            observer: None,
        })
    }

    pub(super) fn observed(self, observer: Option<AttentionObserver>) -> Self {
        Self { observer, ..self }
    }
}

/// Two convolutions around the time embedding, with a shortcut.
#[derive(Clone, Debug)]
pub(super) struct Residual {
    norm1: GroupNorm,
    conv1: Conv2d,
    time: Linear,
    norm2: GroupNorm,
    conv2: Conv2d,
    shortcut: Option<Conv2d>,
}

impl Residual {
    pub(super) fn new(mut scope: Scope<'_>, inputs: usize, sizes: Sizes) -> Result<Self> {
        let Sizes {
            channels,
            groups,
            epsilon,
            ..
        } = sizes;
        let shortcut = (inputs != channels).then(|| {
            Conv2d::new(
                scope.child("conv_shortcut"),
                ConvShape::one(inputs, channels),
            )
        });
        Ok(Self {
            shortcut: shortcut.transpose()?,
            norm1: GroupNorm::new(scope.child("norm1"), inputs, groups, epsilon)?,
            conv1: Conv2d::new(scope.child("conv1"), ConvShape::three(inputs, channels))?,
            time: Linear::new(
                scope.child("time_emb_proj"),
                sizes.time_channels,
                channels,
                Bias::With,
            )?,
            norm2: GroupNorm::new(scope.child("norm2"), channels, groups, epsilon)?,
            conv2: Conv2d::new(scope.child("conv2"), ConvShape::three(channels, channels))?,
        })
    }

    /// [`Residual::forward`] as a segment.
    pub(super) fn run(&self, xs: &Tensor, time: &Tensor, memory: Memory<'_>) -> Result<Tensor> {
        let block = self.clone();
        memory.run(&[xs, time], move |inputs| {
            block.forward(&inputs[0], &inputs[1])
        })
    }

    /// `xs: [b, i, h, w]`, `time: [b, t]` after its activation.
    pub(super) fn forward(&self, xs: &Tensor, time: &Tensor) -> Result<Tensor> {
        let ys = self.conv1.forward(&self.norm1.forward_silu(xs)?)?;
        let ys = ops::add_to_channels(&ys, &self.time.forward(time)?)?;
        let ys = self.conv2.forward(&self.norm2.forward_silu(&ys)?)?;
        Ok(match &self.shortcut {
            Some(shortcut) => ops::add(&shortcut.forward(xs)?, &ys)?,
            None => ops::add(xs, &ys)?,
        })
    }
}

/// Attention of tokens to a context.
#[derive(Clone, Debug)]
struct Attention {
    q: Linear,
    k: Linear,
    v: Linear,
    out: Linear,
    heads: usize,
    /// Whether the context's first token is left out of the gradient.
    holds_first: bool,
}

impl Attention {
    fn new(mut scope: Scope<'_>, channels: usize, context: usize, heads: usize) -> Result<Self> {
        Ok(Self {
            q: Linear::new(scope.child("to_q"), channels, channels, Bias::Without)?,
            k: Linear::new(scope.child("to_k"), context, channels, Bias::Without)?,
            v: Linear::new(scope.child("to_v"), context, channels, Bias::Without)?,
            out: Linear::new(scope.child("to_out.0"), channels, channels, Bias::With)?,
            heads,
            holds_first: false,
        })
    }

    /// `(height, width)` is the size of the feature map that the tokens are.
    fn forward(&self, xs: &Tensor, seen: &Seen, (height, width): (usize, usize)) -> Result<Tensor> {
        let (q, mut k) = (self.q.forward(xs)?, self.k.forward(&seen.context)?);
        let mut v = self.v.forward(&seen.context)?;
        if self.holds_first {
            (k, v) = (hold_first(&k)?, hold_first(&v)?);
        }
        if let Some(observer) = &seen.observer {
            let probabilities = observe::probabilities(&q, &k, self.heads, seen.bias.as_ref())?;
            observer.see(&CrossAttention {
                height,
                width,
                probabilities: &probabilities,
            })?;
        }
        let mask = match &seen.bias {
            Some(bias) => Mask::Bias(bias),
            None => Mask::None,
        };
        self.out
            .forward(&ops::attention(&q, &k, &v, self.heads, mask)?)
    }
}

/// `xs: [b, s, c]` as it is. Gradient flows to: every token but the first.
fn hold_first(xs: &Tensor) -> Result<Tensor> {
    let first = xs.narrow(1, 0, 1)?.detach();
    match xs.dim(1)? {
        1 => Ok(first),
        length => Ok(Tensor::cat(&[&first, &xs.narrow(1, 1, length - 1)?], 1)?),
    }
}

/// Self-attention, cross-attention and a gated feed-forward layer.
#[derive(Clone, Debug)]
struct Layer {
    norm1: LayerNorm,
    attention: Attention,
    norm2: LayerNorm,
    cross_attention: Attention,
    norm3: LayerNorm,
    widen: Linear,
    narrow: Linear,
}

impl Layer {
    fn new(mut scope: Scope<'_>, sizes: Sizes) -> Result<Self> {
        let Sizes {
            channels: c,
            heads,
            context_channels,
            ..
        } = sizes;
        Ok(Self {
            norm1: LayerNorm::new(scope.child("norm1"), c, LAYER_EPSILON)?,
            attention: Attention::new(scope.child("attn1"), c, c, heads)?,
            norm2: LayerNorm::new(scope.child("norm2"), c, LAYER_EPSILON)?,
            cross_attention: Attention::new(scope.child("attn2"), c, context_channels, heads)?,
            norm3: LayerNorm::new(scope.child("norm3"), c, LAYER_EPSILON)?,
            widen: Linear::new(scope.child("ff.net.0.proj"), c, 8 * c, Bias::With)?,
            narrow: Linear::new(scope.child("ff.net.2"), 4 * c, c, Bias::With)?,
        })
    }

    fn forward(&self, xs: &Tensor, seen: &Seen, size: (usize, usize)) -> Result<Tensor> {
        let normed = self.norm1.forward(xs)?;
        let own = Seen {
            context: normed.clone(),
            bias: None,
            observer: None,
        };
        let xs = ops::add(&self.attention.forward(&normed, &own, size)?, xs)?;
        let normed = self.norm2.forward(&xs)?;
        let xs = ops::add(&self.cross_attention.forward(&normed, seen, size)?, &xs)?;
        let hidden = ops::geglu(&self.widen.forward(&self.norm3.forward(&xs)?)?)?;
        Ok(ops::add(&self.narrow.forward(&hidden)?, &xs)?)
    }
}

/// Projection of tokens; diffusers has two kinds, which differ in the shape of the weight.
#[derive(Clone, Debug)]
enum Projection {
    Convolution(Conv2d),
    Linear(Linear),
}

impl Projection {
    fn new(scope: Scope<'_>, sizes: Sizes) -> Result<Self> {
        let c = sizes.channels;
        Ok(if sizes.linear_projection {
            Self::Linear(Linear::new(scope, c, c, Bias::With)?)
        } else {
            Self::Convolution(Conv2d::new(scope, ConvShape::one(c, c))?)
        })
    }

    /// `tokens: [b, n, c]`.
    fn forward(&self, tokens: &Tensor) -> Result<Tensor> {
        match self {
            Self::Convolution(convolution) => convolution.forward_tokens(tokens),
            Self::Linear(linear) => linear.forward(tokens),
        }
    }
}

/// Transformer layers over the pixels of a feature map.
#[derive(Clone, Debug)]
pub(super) struct Transformer {
    norm: GroupNorm,
    project_in: Projection,
    layers: Vec<Layer>,
    project_out: Projection,
}

impl Transformer {
    pub(super) fn new(mut scope: Scope<'_>, sizes: Sizes) -> Result<Self> {
        Ok(Self {
            norm: GroupNorm::new(
                scope.child("norm"),
                sizes.channels,
                sizes.groups,
                TRANSFORMER_EPSILON,
            )?,
            project_in: Projection::new(scope.child("proj_in"), sizes)?,
            layers: (0..sizes.depth)
                .map(|index| {
                    Layer::new(
                        scope.child(format_args!("transformer_blocks.{index}")),
                        sizes,
                    )
                })
                .collect::<Result<_>>()?,
            project_out: Projection::new(scope.child("proj_out"), sizes)?,
        })
    }

    /// Leaves the context's first token out of the gradient of cross-attention.
    pub(super) fn hold_first(&mut self) {
        for layer in &mut self.layers {
            layer.cross_attention.holds_first = true;
        }
    }

    /// [`Transformer::forward`] as a segment.
    pub(super) fn run(&self, xs: &Tensor, seen: &Seen, memory: Memory<'_>) -> Result<Tensor> {
        let (block, bias) = (self.clone(), seen.bias.clone());
        let observer = seen.observer.clone();
        memory.run(&[xs, &seen.context], move |inputs| {
            let seen = Seen {
                context: inputs[1].clone(),
                bias: bias.clone(),
                observer: observer.clone(),
            };
            block.forward(&inputs[0], &seen)
        })
    }

    /// `xs: [b, c, h, w]`.
    pub(super) fn forward(&self, xs: &Tensor, seen: &Seen) -> Result<Tensor> {
        let (_, _, height, width) = xs.dims4()?;
        let tokens = ops::to_tokens(&self.norm.forward(xs)?)?;
        let mut tokens = self.project_in.forward(&tokens)?;
        for layer in &self.layers {
            tokens = layer.forward(&tokens, seen, (height, width))?;
        }
        let ys = self.project_out.forward(&tokens)?;
        Ok(ops::add(&ops::to_image(&ys, height, width)?, xs)?)
    }
}
