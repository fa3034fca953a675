//! Sixty-eight landmarks of a face, by the tiny dense network, and the square that they align it to.
//!
//! Owns the forward pass and the alignment. Refuses to rotate: descriptors were trained on upright squares.

use candle_core::Tensor;
use diffusion::ops;

use super::{
    super::window::Padding,
    Place, Rectangle,
    manifest::{Manifest, ManifestFiles},
    prepared,
    separable::Separable,
};
use crate::Result;

/// Side of its input.
const SIDE: usize = 112;
/// Mean colour of its training, that of the descriptor too.
pub(super) const MEAN: [f32; 3] = [122.782, 117.001, 104.298];
/// Landmarks.
const POINTS: usize = 68;
/// Where eyes' and mouth's middle lies in an aligned square, and what share of its side the eyes are from the mouth.
const ACROSS: f64 = 0.5;
const DOWN: f64 = 0.43;
const SHARE: f64 = 0.45;

/// Three convolutions whose sums go on.
#[derive(Debug)]
struct Dense {
    first: First,
    second: Separable,
    third: Separable,
}

#[derive(Debug)]
enum First {
    Full(Tensor, Tensor),
    Separable(Separable),
}

impl Dense {
    fn new(manifest: &Manifest, name: &str, inputs: usize, outputs: usize) -> Result<Self> {
        let part = |part: &str| format!("{name}/{part}");
        let first = if inputs == 3 {
            First::Full(
                manifest.kernel(&part("conv0/filters"), 3, inputs, outputs)?,
                manifest.vector(&part("conv0/bias"), outputs)?,
            )
        } else {
            First::Separable(Separable::new(manifest, &part("conv0"), inputs, outputs)?)
        };
        Ok(Self {
            first,
            second: Separable::new(manifest, &part("conv1"), outputs, outputs)?,
            third: Separable::new(manifest, &part("conv2"), outputs, outputs)?,
        })
    }

    fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let first = match &self.first {
            First::Full(kernel, bias) => ops::conv2d_padded_after(xs, kernel, Some(bias), 2)?,
            First::Separable(layer) => layer.forward(xs, 2, Padding::Same)?,
        };
        let first = first.relu()?;
        let second = self.second.forward(&first, 1, Padding::Same)?;
        let third = self
            .third
            .forward(&(&first + &second)?.relu()?, 1, Padding::Same)?;
        Ok((first + (second + third)?)?.relu()?)
    }
}

/// The landmark network.
#[derive(Debug)]
pub struct Landmarks {
    blocks: [Dense; 3],
    weight: Tensor,
    bias: Tensor,
}

impl Landmarks {
    /// Loads `face_landmark_68_tiny_model`.
    pub fn load(files: ManifestFiles<'_>) -> Result<Self> {
        let manifest = Manifest::read(files)?;
        Ok(Self {
            blocks: [
                Dense::new(&manifest, "dense0", 3, 32)?,
                Dense::new(&manifest, "dense1", 32, 64)?,
                Dense::new(&manifest, "dense2", 64, 128)?,
            ],
            weight: manifest.matrix("fc/weights", 128, 2 * POINTS)?,
            bias: manifest.vector("fc/bias", 2 * POINTS)?,
        })
    }

    /// A prepared crop `[1, 3, 112, 112]` to x and y in turn, `[1, 136]`, in shares of the padded square.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let mut xs = input.clone();
        for block in &self.blocks {
            xs = block.forward(&xs)?;
        }
        let pooled = xs.mean((2, 3))?;
        Ok(ops::linear(&pooled, &self.weight, Some(&self.bias))?)
    }

    /// Points of a face's crop `[1, 3, h, w]` in `[0, 255]`, in pixels of the crop.
    pub fn points(&self, crop: &Tensor) -> Result<Vec<[f64; 2]>> {
        let (_, _, height, width) = crop.dims4()?;
        let shares = self.forward(&prepared(crop, SIDE, Place::Middle, MEAN)?)?;
        let side = height.max(width) as f64;
        let before = [(side - width as f64) / 2.0, (side - height as f64) / 2.0];
        let shares = shares.flatten_all()?.to_vec1::<f32>()?;
        let (pairs, _) = shares.as_chunks::<2>();
        Ok(pairs
            .iter()
            .map(|pair| [0, 1].map(|axis| f64::from(pair[axis]) * side - before[axis]))
            .collect())
    }
}

/// The upright square of a face, as dlib's descriptor was trained on: its side is the mean distance of the eyes from the
/// mouth over 0.45, and their common middle lies at 0.5 across and 0.43 down.
///
/// `points`: 68 in pixels of the crop whose corner lies at `origin` and that has `size` (width, height).
pub fn aligned(
    points: &[[f64; 2]],
    origin: (f64, f64),
    (width, height): (usize, usize),
) -> Rectangle {
    let middle = |points: &[[f64; 2]]| {
        let sum = points.iter().fold([0.0, 0.0], |sum, point| {
            [sum[0] + point[0], sum[1] + point[1]]
        });
        sum.map(|sum| sum / points.len() as f64)
    };
    let (left, right) = (middle(&points[36..42]), middle(&points[42..48]));
    let mouth = middle(&points[48..68]);
    let apart = |a: [f64; 2]| (a[0] - mouth[0]).hypot(a[1] - mouth[1]);
    let side = (f64::midpoint(apart(left), apart(right)) / SHARE).floor();
    let centre = middle(&[left, right, mouth]);
    let x = (origin.0 + centre[0] - ACROSS * side).max(0.0).floor();
    let y = (origin.1 + centre[1] - DOWN * side).max(0.0).floor();
    [
        x,
        y,
        side.min(width as f64 + x),
        side.min(height as f64 + y),
    ]
}
