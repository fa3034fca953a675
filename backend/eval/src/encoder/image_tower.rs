//! The picture half of the metric encoder: five convolutions, a mean, one projection.

use candle_core::Tensor;
use diffusion::{Result, ops};

/// Side of the pictures it reads, in pixels.
pub const SIDE: usize = 32;
/// Features a picture is reduced to before the projection and the heads.
pub const FEATURES: usize = 128;

const GROUPS: usize = 8;
const EPSILON: f32 = 1e-5;

/// (channels in, channels out, stride); a layer that keeps its size adds its input.
const LAYERS: [(usize, usize, usize); 5] = [
    (3, 32, 1),
    (32, 64, 2),
    (64, 64, 1),
    (64, 128, 2),
    (128, FEATURES, 1),
];

/// Picture to features.
#[derive(Clone, Debug)]
pub struct ImageTower {
    layers: Vec<Layer>,
}

#[derive(Clone, Debug)]
struct Layer {
    weight: Tensor,
    bias: Tensor,
    norm_weight: Tensor,
    norm_bias: Tensor,
    stride: usize,
}

impl ImageTower {
    /// Name and shape of every tensor of the tower.
    pub fn shapes() -> Vec<(String, Vec<usize>)> {
        let named = LAYERS
            .iter()
            .enumerate()
            .map(|(index, &(inputs, outputs, _))| {
                [
                    (
                        format!("image.layers.{index}.conv.weight"),
                        vec![outputs, inputs, 3, 3],
                    ),
                    (format!("image.layers.{index}.conv.bias"), vec![outputs]),
                    (format!("image.layers.{index}.norm.weight"), vec![outputs]),
                    (format!("image.layers.{index}.norm.bias"), vec![outputs]),
                ]
            });
        named.flatten().collect()
    }

    /// The tower over tensors found by name.
    pub fn new(mut tensor: impl FnMut(&str, &[usize]) -> Result<Tensor>) -> Result<Self> {
        let shapes = Self::shapes();
        let mut layers = Vec::with_capacity(LAYERS.len());
        for (names, &(_, _, stride)) in shapes.chunks_exact(4).zip(&LAYERS) {
            let mut get = |at: usize| tensor(&names[at].0, &names[at].1);
            layers.push(Layer {
                weight: get(0)?,
                bias: get(1)?,
                norm_weight: get(2)?,
                norm_bias: get(3)?,
                stride,
            });
        }
        Ok(Self { layers })
    }

    /// `pixels: [n, 3, 32, 32]` in [-1, 1]; result `[n, 128]`. Gradient flows to: weights, `pixels`.
    pub fn features(&self, pixels: &Tensor) -> Result<Tensor> {
        let mut xs = pixels.clone();
        for layer in &self.layers {
            let ys = ops::conv2d(&xs, &layer.weight, Some(&layer.bias), layer.stride, 1)?;
            let ys =
                ops::group_norm_silu(&ys, &layer.norm_weight, &layer.norm_bias, GROUPS, EPSILON)?;
            xs = if xs.dims() == ys.dims() {
                (xs + ys)?
            } else {
                ys
            };
        }
        Ok(xs.flatten_from(2)?.mean(2)?)
    }
}
