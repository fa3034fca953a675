//! CLIP's text transformer, trainable, with transformers' tensor names.

use candle_core::{DType, Device, Tensor};
use rand::Rng;

use super::{TextConfig, inversion::ADDED};
use crate::{
    Error, Result,
    checkpoint::{Checkpoints, Memory},
    nn::{Bias, Init, Initializer, LayerNorm, Linear, Reader, Scope, Source},
    ops::{self, Activation, Mask},
    weights::{Weights, WeightsFile},
};

/// Standard deviation of fresh embeddings, as in transformers.
const EMBEDDING_DEVIATION: f32 = 0.02;

/// Start of the names of all tensors but those of the projection.
const PREFIX: &str = "text_model.";

/// Start of the names of the projection's tensors.
const PROJECTION: &str = "text_projection.";

/// The end token's id in configurations written before transformers 4.31, which was wrong: there
/// the end token is the one with the highest id.
const LEGACY_END: u32 = 2;

impl TextConfig {
    /// Fresh weights, distributed as transformers initialises the same layers.
    pub fn initialize(&self, rng: &mut impl Rng) -> Result<Weights> {
        let mut source = Initializer::new(rng);
        self.build(&mut source)?;
        Ok(source.into_weights())
    }

    /// Checks that a file lists all tensors of this model, without reading any.
    ///
    /// Returns the number of values in them.
    pub fn check_file(&self, file: &WeightsFile<'_>) -> Result<usize> {
        prefixed(file).check_values(|source| Network::build(self, source))
    }

    /// Reads the tensors of this model as `f32`, and no others, once all have been checked.
    pub fn load(&self, file: &WeightsFile<'_>, device: &Device) -> Result<Weights> {
        prefixed(file).load_implied(DType::F32, device, |source| Network::build(self, source))
    }

    /// Asks `source` for every tensor.
    pub(crate) fn build(&self, source: &mut dyn Source) -> Result<()> {
        Network::build(self, source).map(drop)
    }
}

/// Standard deviations of fresh layers.
#[derive(Clone, Copy)]
struct Deviations {
    inward: f32,
    outward: f32,
    widen: f32,
}

impl Deviations {
    #[expect(clippy::cast_possible_truncation, reason = "deviations of f32 weights")]
    fn new(config: &TextConfig) -> Self {
        let root = (config.hidden_size as f64).powf(-0.5) * config.initializer_factor;
        let depth = (2.0 * config.num_hidden_layers as f64).powf(-0.5);
        let widen = (2.0 * config.hidden_size as f64).powf(-0.5) * config.initializer_factor;
        Self {
            inward: (root * depth) as f32,
            outward: root as f32,
            widen: widen as f32,
        }
    }
}

/// Causal self-attention and a feed-forward layer, normalised first.
#[derive(Clone, Debug)]
struct Layer {
    norm1: LayerNorm,
    q: Linear,
    k: Linear,
    v: Linear,
    out: Linear,
    norm2: LayerNorm,
    widen: Linear,
    narrow: Linear,
    heads: usize,
    activation: Activation,
}

impl Layer {
    fn new(mut scope: Scope<'_>, config: &TextConfig) -> Result<Self> {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let deviations = Deviations::new(config);
        let norm1 = LayerNorm::new(scope.child("layer_norm1"), hidden, epsilon(config))?;
        let norm2 = LayerNorm::new(scope.child("layer_norm2"), hidden, epsilon(config))?;
        let mut attention = scope.child("self_attn");
        let mut project = |name: &str, deviation: f32| {
            Linear::normal(attention.child(name), hidden, hidden, deviation)
        };
        let (q, k) = (
            project("q_proj", deviations.inward)?,
            project("k_proj", deviations.inward)?,
        );
        let v = project("v_proj", deviations.inward)?;
        let out = project("out_proj", deviations.outward)?;
        let mut mlp = scope.child("mlp");
        Ok(Self {
            widen: Linear::normal(mlp.child("fc1"), hidden, inner, deviations.widen)?,
            narrow: Linear::normal(mlp.child("fc2"), inner, hidden, deviations.inward)?,
            norm1,
            q,
            k,
            v,
            out,
            norm2,
            heads: config.num_attention_heads,
            activation: config.hidden_act.into(),
        })
    }

    fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let normed = self.norm1.forward(xs)?;
        let (q, k) = (self.q.forward(&normed)?, self.k.forward(&normed)?);
        let attended = ops::attention(&q, &k, &self.v.forward(&normed)?, self.heads, Mask::Causal)?;
        let xs = ops::add(&self.out.forward(&attended)?, xs)?;
        let hidden = self.widen.forward(&self.norm2.forward(&xs)?)?;
        let hidden = ops::activation(&hidden, self.activation)?;
        Ok(ops::add(&self.narrow.forward(&hidden)?, &xs)?)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "an epsilon of f32 arithmetic"
)]
fn epsilon(config: &TextConfig) -> f32 {
    config.layer_norm_eps as f32
}

#[derive(Clone, Debug)]
struct Network {
    tokens: Tensor,
    /// Rows of ids past the table.
    added: Option<Tensor>,
    positions: Tensor,
    layers: Vec<Layer>,
    norm: LayerNorm,
    projection: Option<Linear>,
}

impl Network {
    #[expect(clippy::cast_possible_truncation, reason = "deviations of f32 weights")]
    fn build(config: &TextConfig, source: &mut dyn Source) -> Result<Self> {
        let (hidden, heads) = (config.hidden_size, config.num_attention_heads);
        if heads == 0 || !hidden.is_multiple_of(heads) {
            return Err(Error::InvalidConfig(format!(
                "{hidden} channels in {heads} heads"
            )));
        }
        let mut root = Scope::root(source);
        let mut model = root.child("text_model");
        let mut embeddings = model.child("embeddings");
        let init = Init::Normal(EMBEDDING_DEVIATION * config.initializer_factor as f32);
        let tokens = [config.vocab_size, hidden];
        let positions = [config.max_position_embeddings, hidden];
        let tokens = embeddings.tensor("token_embedding.weight", &tokens, init)?;
        let positions = embeddings.tensor("position_embedding.weight", &positions, init)?;
        let added = embeddings.extra(ADDED);
        let layers = (0..config.num_hidden_layers)
            .map(|index| Layer::new(model.child(format_args!("encoder.layers.{index}")), config))
            .collect::<Result<_>>()?;
        let norm = LayerNorm::new(model.child("final_layer_norm"), hidden, epsilon(config))?;
        let projection = config.projects().then(|| {
            let outputs = config.projection_dim;
            Linear::new(
                root.child("text_projection"),
                hidden,
                outputs,
                Bias::Without,
            )
        });
        Ok(Self {
            tokens,
            added,
            positions,
            layers,
            norm,
            projection: projection.transpose()?,
        })
    }
}

/// The name of a tensor in files of most versions, from that of transformers 5.
fn full_name(name: &str) -> String {
    let outside = name.starts_with(PROJECTION);
    let prefix = if outside { "" } else { PREFIX };
    format!("{prefix}{name}")
}

/// A file under full names.
fn prefixed<'a>(file: &WeightsFile<'a>) -> WeightsFile<'a> {
    if file.iter().any(|(name, _)| name.starts_with(PREFIX)) {
        return file.clone();
    }
    file.renamed(|name| Some(full_name(name)))
}

impl Network {
    /// Number of ids: those of the table and those after it.
    fn ids(&self) -> Result<usize> {
        let added = self.added.as_ref().map_or(Ok(0), |added| added.dim(0))?;
        Ok(self.tokens.dim(0)? + added)
    }

    /// `ids: [n]`; result `[n, d]`. Gradient flows to: the table, the added rows.
    fn embed(&self, ids: &Tensor) -> Result<Tensor> {
        let Some(added) = &self.added else {
            return Ok(self.tokens.index_select(ids, 0)?);
        };
        let first = u32::try_from(self.tokens.dim(0)?).unwrap_or(u32::MAX);
        let ids: Vec<u32> = ids.to_vec1()?;
        let pick = |table: &Tensor, row: &dyn Fn(u32) -> u32| {
            let rows: Vec<_> = ids.iter().map(|id| row(*id)).collect();
            table.index_select(&Tensor::new(rows, table.device())?, 0)
        };
        let known = pick(&self.tokens, &|id| if id < first { id } else { 0 })?;
        let new = pick(added, &|id| id.saturating_sub(first))?;
        let is_new: Vec<_> = ids.iter().map(|id| u8::from(*id >= first)).collect();
        let is_new = Tensor::new(is_new, known.device())?.unsqueeze(1)?;
        Ok(is_new
            .broadcast_as(known.shape())?
            .where_cond(&new, &known)?)
    }
}

/// States of a sequence's tokens.
#[derive(Clone, Debug)]
pub struct TextStates {
    /// Of the last layer after the final normalisation: `[b, s, d]`.
    pub last: Tensor,
    /// Of the layer before the last, not normalised: `[b, s, d]` (what Stable Diffusion XL reads).
    pub penultimate: Tensor,
}

/// A text encoder.
#[derive(Clone, Debug)]
pub struct TextEncoder {
    config: TextConfig,
    weights: Weights,
    network: Network,
    dtype: DType,
}

impl TextEncoder {
    /// Builds the model over `weights`, whose storage it shares; every tensor is checked.
    ///
    /// Names may lack the leading `text_model.`, as in files written by transformers 5.
    pub fn new(config: TextConfig, weights: &Weights) -> Result<Self> {
        let weights = if weights.iter().any(|(name, _)| name.starts_with(PREFIX)) {
            weights.clone()
        } else {
            let named = |(name, tensor): (&str, &Tensor)| (full_name(name), tensor.clone());
            weights.iter().map(named).collect()
        };
        let network = Network::build(&config, &mut Reader(&weights))?;
        Ok(Self {
            config,
            weights,
            network,
            dtype: DType::F32,
        })
    }

    /// The same model computing in `dtype`, `f32` (as it starts) or `bf16`.
    ///
    /// Weights stay as they are and get gradients in their own dtype; states have this one.
    #[must_use]
    pub fn computing_in(self, dtype: DType) -> Self {
        Self { dtype, ..self }
    }

    /// The configuration.
    pub fn config(&self) -> &TextConfig {
        &self.config
    }

    /// The weights that the model was built from, with their full names.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// States of the last layer after the final normalisation.
    ///
    /// `ids: [b, s]` (`u32`); result `[b, s, d]`. Gradient flows to: all weights.
    pub fn forward(&self, ids: &Tensor) -> Result<Tensor> {
        Ok(self.states(ids)?.last)
    }

    /// States of the last layer and of the one before it.
    ///
    /// `ids: [b, s]` (`u32`). Gradient flows to: all weights.
    pub fn states(&self, ids: &Tensor) -> Result<TextStates> {
        self.read(ids, Memory::Everything)
    }

    /// [`TextEncoder::states`] that remembers only what passes between layers.
    ///
    /// Gradients as with [`TextEncoder::states`], through [`Checkpoints::backward`].
    pub fn states_checkpointed(
        &self,
        ids: &Tensor,
        checkpoints: &Checkpoints,
    ) -> Result<TextStates> {
        self.read(ids, Memory::Checkpoints(checkpoints))
    }

    fn read(&self, ids: &Tensor, memory: Memory<'_>) -> Result<TextStates> {
        let (batch, length) = ids.dims2()?;
        let highest = ids.flatten_all()?.max_all()?.to_scalar::<u32>()? as usize;
        if length > self.config.max_position_embeddings || highest >= self.network.ids()? {
            return Err(Error::InvalidArgument(format!(
                "{length} tokens up to id {highest} for {} positions and {} ids",
                self.config.max_position_embeddings,
                self.network.ids()?
            )));
        }
        let tokens = self.network.embed(&ids.flatten_all()?)?;
        let tokens = tokens.reshape((batch, length, self.config.hidden_size))?;
        let xs = tokens.broadcast_add(&self.network.positions.narrow(0, 0, length)?)?;
        let mut xs = ops::cast(&xs, self.dtype)?;
        let mut penultimate = xs.clone();
        for layer in &self.network.layers {
            penultimate = xs;
            let layer = layer.clone();
            xs = memory.run(&[&penultimate], move |inputs| layer.forward(&inputs[0]))?;
        }
        Ok(TextStates {
            last: self.network.norm.forward(&xs)?,
            penultimate,
        })
    }

    /// [`TextEncoder::pooled`] through the projection of a `CLIPTextModelWithProjection`.
    ///
    /// `ids: [b, s]`, `last: [b, s, d]` from [`TextEncoder::states`]; result `[b, p]`. Gradient
    /// flows to: `last`, the projection. A model without a projection is refused.
    pub fn projected(&self, ids: &Tensor, last: &Tensor) -> Result<Tensor> {
        let projection = self.network.projection.as_ref().ok_or(Error::Unsupported {
            what: "pooled text",
            value: "the text encoder has no projection".to_owned(),
        })?;
        projection.forward(&self.pooled(ids, last)?)
    }

    /// The state at the first end token of each sequence.
    ///
    /// `ids: [b, s]`, `states: [b, s, d]` from [`TextEncoder::forward`]; result `[b, d]`.
    /// Gradient flows to: `states`.
    pub fn pooled(&self, ids: &Tensor, states: &Tensor) -> Result<Tensor> {
        let (batch, length, _) = states.dims3()?;
        let rows = ids.to_dtype(DType::U32)?.to_vec2::<u32>()?;
        let mut positions = Vec::with_capacity(batch);
        for (entry, row) in rows.iter().enumerate() {
            let highest = row.iter().max().copied();
            let end = self
                .config
                .eos_token_id
                .filter(|id| *id != LEGACY_END)
                .or(highest);
            // Without an end token transformers reads the first position.
            let position = row.iter().position(|id| Some(*id) == end).unwrap_or(0);
            let position = entry * length + position;
            positions.push(u32::try_from(position).map_err(|_| {
                Error::InvalidArgument(format!("{batch} sequences of {length} tokens"))
            })?);
        }
        let positions = Tensor::new(positions, states.device())?;
        Ok(states.flatten(0, 1)?.index_select(&positions, 0)?)
    }
}
