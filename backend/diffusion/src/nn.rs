//! Layers with named weights, shared by all models of the package.
//!
//! A model's structure is written once, as a constructor over a [`Scope`]. With [`Reader`] it
//! checks and takes the tensors of a file; with [`Initializer`] it draws fresh ones.
//!
//! A layer carries a low-rank correction when its source has one beside the weight.
//! Layers compute in the dtype of their input: weights are converted on the way.

pub(crate) mod adapter;

use candle_core::{DType, Device, Tensor};
use rand::RngCore;
use rand_distr::{Distribution, StandardNormal, Uniform};

use self::adapter::Adapter;
use crate::{Error, Result, ops, weights::Weights};

/// How a fresh tensor is filled.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Init {
    /// Uniform in `[-bound, bound]`.
    Uniform(f32),
    /// Normal with this standard deviation.
    Normal(f32),
    /// One value.
    Constant(f32),
}

/// Where tensors come from.
pub(crate) trait Source {
    fn tensor(&mut self, name: &str, shape: &[usize], init: Init) -> Result<Tensor>;

    /// A tensor that a model takes where it is given, of whatever shape.
    fn extra(&mut self, _name: &str) -> Option<Tensor> {
        None
    }

    /// The low-rank correction of the layer called `layer` with a weight of this shape.
    fn adapter(&mut self, _layer: &str, _shape: &[usize]) -> Result<Option<Adapter>> {
        Ok(None)
    }
}

/// Stands in for a tensor where shapes are all that counts: one value under strides of zero has
/// every shape and takes no memory.
pub(crate) fn stand_in(shape: &[usize]) -> Result<Tensor> {
    Ok(Tensor::zeros((), DType::F32, &Device::Cpu)?.broadcast_as(shape)?)
}

/// Takes tensors from weights, checking presence and shape.
pub(crate) struct Reader<'a>(pub(crate) &'a Weights);

impl Source for Reader<'_> {
    fn tensor(&mut self, name: &str, shape: &[usize], _init: Init) -> Result<Tensor> {
        let tensor = self.0.get(name).ok_or_else(|| Error::MissingTensor {
            name: name.to_owned(),
            expected: shape.to_vec(),
        })?;
        if tensor.dims() != shape {
            return Err(Error::ShapeMismatch {
                name: name.to_owned(),
                expected: shape.to_vec(),
                actual: tensor.dims().to_vec(),
            });
        }
        Ok(tensor.clone())
    }

    fn extra(&mut self, name: &str) -> Option<Tensor> {
        self.0.get(name).cloned()
    }

    fn adapter(&mut self, layer: &str, shape: &[usize]) -> Result<Option<Adapter>> {
        Adapter::find(self.0, layer, shape)
    }
}

/// Draws tensors and remembers them.
pub(crate) struct Initializer<'a> {
    rng: &'a mut dyn RngCore,
    weights: Weights,
}

impl<'a> Initializer<'a> {
    pub(crate) fn new(rng: &'a mut dyn RngCore) -> Self {
        Self {
            rng,
            weights: Weights::new(),
        }
    }

    pub(crate) fn into_weights(self) -> Weights {
        self.weights
    }
}

impl Source for Initializer<'_> {
    fn tensor(&mut self, name: &str, shape: &[usize], init: Init) -> Result<Tensor> {
        let count = shape.iter().product();
        let values: Vec<f32> = match init {
            Init::Constant(value) => vec![value; count],
            Init::Uniform(bound) => {
                let uniform = Uniform::new_inclusive(-bound, bound)
                    .map_err(|error| Error::InvalidConfig(format!("{name}: {error}")))?;
                (0..count).map(|_| uniform.sample(&mut self.rng)).collect()
            }
            Init::Normal(deviation) => (0..count)
                .map(|_| deviation * Distribution::<f32>::sample(&StandardNormal, &mut self.rng))
                .collect(),
        };
        let tensor = Tensor::from_vec(values, shape, &Device::Cpu)?;
        self.weights.insert(name, tensor.clone());
        Ok(tensor)
    }
}

/// A place in the tree of names, and the source that names are looked up in.
pub(crate) struct Scope<'a> {
    source: &'a mut dyn Source,
    prefix: String,
}

impl<'a> Scope<'a> {
    /// The root of the tree.
    pub(crate) fn root(source: &'a mut dyn Source) -> Self {
        Self {
            source,
            prefix: String::new(),
        }
    }

    /// The subtree called `name`.
    pub(crate) fn child(&mut self, name: impl std::fmt::Display) -> Scope<'_> {
        Scope {
            source: &mut *self.source,
            prefix: format!("{}{name}.", self.prefix),
        }
    }

    /// A tensor of this place.
    pub(crate) fn tensor(&mut self, name: &str, shape: &[usize], init: Init) -> Result<Tensor> {
        self.source
            .tensor(&format!("{}{name}", self.prefix), shape, init)
    }

    /// A tensor of this place, if there is one.
    pub(crate) fn extra(&mut self, name: &str) -> Option<Tensor> {
        self.source.extra(&format!("{}{name}", self.prefix))
    }

    /// The low-rank correction of the layer at this place.
    fn adapter(&mut self, shape: &[usize]) -> Result<Option<Adapter>> {
        let layer = self.prefix.strip_suffix('.').unwrap_or(&self.prefix);
        self.source.adapter(layer, shape)
    }
}

/// A weight in the dtype of the layer's input: the input chooses the dtype of the computation.
///
/// Gradient flows to: `weight`, in its own dtype.
fn like(xs: &Tensor, weight: &Tensor) -> Result<Tensor> {
    Ok(ops::cast(weight, xs.dtype())?)
}

/// Whether a layer adds a bias.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bias {
    With,
    Without,
}

/// A linear layer.
#[derive(Clone, Debug)]
pub(crate) struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
    adapter: Option<Adapter>,
}

impl Linear {
    /// Fresh weights and biases are uniform in `±1/sqrt(inputs)`, as in `PyTorch`.
    pub(crate) fn new(
        mut scope: Scope<'_>,
        inputs: usize,
        outputs: usize,
        bias: Bias,
    ) -> Result<Self> {
        let init = Init::Uniform(1.0 / (inputs as f32).sqrt());
        Ok(Self {
            weight: scope.tensor("weight", &[outputs, inputs], init)?,
            bias: match bias {
                Bias::With => Some(scope.tensor("bias", &[outputs], init)?),
                Bias::Without => None,
            },
            adapter: scope.adapter(&[outputs, inputs])?,
        })
    }

    /// Fresh weights are normal with the given deviation, biases zero.
    pub(crate) fn normal(
        mut scope: Scope<'_>,
        inputs: usize,
        outputs: usize,
        deviation: f32,
    ) -> Result<Self> {
        Ok(Self {
            weight: scope.tensor("weight", &[outputs, inputs], Init::Normal(deviation))?,
            bias: Some(scope.tensor("bias", &[outputs], Init::Constant(0.0))?),
            adapter: scope.adapter(&[outputs, inputs])?,
        })
    }

    pub(crate) fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let bias = self.bias.as_ref().map(|bias| like(xs, bias)).transpose()?;
        let ys = ops::linear(xs, &like(xs, &self.weight)?, bias.as_ref())?;
        Ok(match &self.adapter {
            Some(adapter) => (ys + adapter.linear(xs)?)?,
            None => ys,
        })
    }
}

/// A 2-D convolution with a bias.
#[derive(Clone, Debug)]
pub(crate) struct Conv2d {
    weight: Tensor,
    bias: Tensor,
    stride: usize,
    padding: usize,
    adapter: Option<Adapter>,
}

/// Sizes of a convolution layer.
#[derive(Clone, Copy)]
pub(crate) struct ConvShape {
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
}

impl ConvShape {
    /// A 3x3 kernel of stride 1.
    pub(crate) fn three(inputs: usize, outputs: usize) -> Self {
        Self {
            inputs,
            outputs,
            kernel: 3,
            stride: 1,
        }
    }

    /// A 1x1 kernel of stride 1.
    pub(crate) fn one(inputs: usize, outputs: usize) -> Self {
        Self {
            inputs,
            outputs,
            kernel: 1,
            stride: 1,
        }
    }
}

impl Conv2d {
    /// Odd kernels, padded so that stride 1 keeps the size. Fresh values as in `PyTorch`.
    pub(crate) fn new(mut scope: Scope<'_>, shape: ConvShape) -> Result<Self> {
        let ConvShape {
            inputs,
            outputs,
            kernel,
            stride,
        } = shape;
        let init = Init::Uniform(1.0 / ((inputs * kernel * kernel) as f32).sqrt());
        Ok(Self {
            weight: scope.tensor("weight", &[outputs, inputs, kernel, kernel], init)?,
            bias: scope.tensor("bias", &[outputs], init)?,
            stride,
            padding: kernel / 2,
            adapter: scope.adapter(&[outputs, inputs, kernel, kernel])?,
        })
    }

    /// The layer on images padded below and on the right only. Autoencoders take no adapters.
    pub(crate) fn forward_padded_after(&self, xs: &Tensor) -> Result<Tensor> {
        let (weight, bias) = (like(xs, &self.weight)?, like(xs, &self.bias)?);
        Ok(ops::conv2d_padded_after(
            xs,
            &weight,
            Some(&bias),
            self.stride,
        )?)
    }

    pub(crate) fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let (weight, bias) = (like(xs, &self.weight)?, like(xs, &self.bias)?);
        let ys = ops::conv2d(xs, &weight, Some(&bias), self.stride, self.padding)?;
        Ok(match &self.adapter {
            Some(adapter) => (ys + adapter.convolution(xs, self.stride, self.padding)?)?,
            None => ys,
        })
    }

    /// A 1x1 kernel on pixels that are tokens, `[b, n, c]`: one product instead of one an image.
    pub(crate) fn forward_tokens(&self, tokens: &Tensor) -> Result<Tensor> {
        let weight = like(tokens, &self.weight)?.flatten_from(1)?;
        let ys = ops::linear(tokens, &weight, Some(&like(tokens, &self.bias)?))?;
        Ok(match &self.adapter {
            Some(adapter) => (ys + adapter.linear(tokens)?)?,
            None => ys,
        })
    }
}

/// Weight and bias of a normalisation; fresh ones are the identity.
fn affine(mut scope: Scope<'_>, channels: usize) -> Result<(Tensor, Tensor)> {
    Ok((
        scope.tensor("weight", &[channels], Init::Constant(1.0))?,
        scope.tensor("bias", &[channels], Init::Constant(0.0))?,
    ))
}

/// Group normalisation.
#[derive(Clone, Debug)]
pub(crate) struct GroupNorm {
    weight: Tensor,
    bias: Tensor,
    groups: usize,
    epsilon: f32,
}

impl GroupNorm {
    pub(crate) fn new(
        scope: Scope<'_>,
        channels: usize,
        groups: usize,
        epsilon: f32,
    ) -> Result<Self> {
        if groups == 0 || !channels.is_multiple_of(groups) {
            return Err(Error::InvalidConfig(format!(
                "{channels} channels in {groups} groups"
            )));
        }
        let (weight, bias) = affine(scope, channels)?;
        Ok(Self {
            weight,
            bias,
            groups,
            epsilon,
        })
    }

    pub(crate) fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        Ok(ops::group_norm(
            xs,
            &like(xs, &self.weight)?,
            &like(xs, &self.bias)?,
            self.groups,
            self.epsilon,
        )?)
    }

    pub(crate) fn forward_silu(&self, xs: &Tensor) -> Result<Tensor> {
        Ok(ops::group_norm_silu(
            xs,
            &like(xs, &self.weight)?,
            &like(xs, &self.bias)?,
            self.groups,
            self.epsilon,
        )?)
    }
}

/// Layer normalisation.
#[derive(Clone, Debug)]
pub(crate) struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    epsilon: f32,
}

impl LayerNorm {
    pub(crate) fn new(scope: Scope<'_>, channels: usize, epsilon: f32) -> Result<Self> {
        let (weight, bias) = affine(scope, channels)?;
        Ok(Self {
            weight,
            bias,
            epsilon,
        })
    }

    pub(crate) fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let (weight, bias) = (like(xs, &self.weight)?, like(xs, &self.bias)?);
        Ok(ops::layer_norm(xs, &weight, &bias, self.epsilon)?)
    }
}
