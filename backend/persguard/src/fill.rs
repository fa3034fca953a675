//! Pictures without what stands in them: the target of the erasure objective where a base model draws no empty scenes.
//!
//! Owns a filling from both sides. Refuses to look for the subject: it stands where pictures of a class have it.

use candle_core::Tensor;

use crate::Result;

/// Width of the border that stays on the left and on the right, as a share of the width.
const BORDER: f64 = 0.1;

/// Pictures whose every row runs in a line from its left border to its right one (ours).
///
/// What is behind a subject lies in layers, sky over ground, and a subject fills the height more often than the width:
/// filling from all four edges drew the hat's colours down to the ground. Borders are means over their width and over a
/// sixteenth of the height, so that a hair of the subject that reaches one draws no streak.
///
/// `pixels: [n, 3, h, w]` in `[-1, 1]`; gives the same shape and range.
pub fn fill(pixels: &Tensor) -> Result<Tensor> {
    let (n, channels, height, width) = pixels.dims4()?;
    let mut values = pixels.flatten_all()?.to_vec1::<f32>()?;
    for plane in values.chunks_exact_mut(height * width) {
        fill_plane(plane, height, width);
    }
    let shape = (n, channels, height, width);
    Ok(Tensor::from_vec(values, shape, pixels.device())?)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a width in pixels"
)]
fn border(width: usize) -> usize {
    ((BORDER * width as f64).round() as usize).max(1)
}

fn fill_plane(plane: &mut [f32], height: usize, width: usize) {
    let edge = border(width);
    if width <= 2 * edge {
        return;
    }
    let side = |first: usize, plane: &[f32]| -> Vec<f32> {
        let rows = (0..height).map(|y| mean(&plane[y * width + first..][..edge]));
        smooth(&rows.collect::<Vec<_>>())
    };
    let (left, right) = (side(0, plane), side(width - edge, plane));
    let inner = width - 2 * edge;
    for (y, row) in plane.chunks_exact_mut(width).enumerate() {
        for (x, value) in row[edge..width - edge].iter_mut().enumerate() {
            let share = (x + 1) as f32 / (inner + 1) as f32;
            *value = (1.0 - share) * left[y] + share * right[y];
        }
    }
}

fn mean(values: &[f32]) -> f32 {
    values.iter().sum::<f32>() / values.len() as f32
}

/// Means over a sixteenth of the length.
fn smooth(edge: &[f32]) -> Vec<f32> {
    let reach = edge.len() / 32;
    (0..edge.len())
        .map(|at| mean(&edge[at.saturating_sub(reach)..(at + reach + 1).min(edge.len())]))
        .collect()
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn layers_behind_a_subject_come_back() {
        let side = 40;
        let layer = |y: usize, x: usize| {
            let height = if y < 20 { 0.8 } else { -0.6 };
            height + x as f32 / 400.0
        };
        let mut values: Vec<f32> = (0..side * side)
            .map(|at| layer(at / side, at % side))
            .collect();
        // A subject from the ground to above the upper edge.
        for y in 0..35 {
            for x in 8..32 {
                values[y * side + x] = 1.0;
            }
        }
        let pixels = Tensor::from_vec(values, (1, 1, side, side), &Device::Cpu).unwrap();
        let filled = fill(&pixels).unwrap().flatten_all().unwrap();
        for (at, found) in filled.to_vec1::<f32>().unwrap().into_iter().enumerate() {
            let (y, x) = (at / side, at % side);
            let smoothed = y == 19 || y == 20;
            let gap = (found - layer(y, x)).abs();
            assert!(gap < 0.01 || smoothed, "{y} {x}: {found}");
        }
    }

    #[test]
    fn the_border_stays_and_small_pictures_pass() {
        let values: Vec<f32> = (0..3 * 64).map(|at| (at % 7) as f32 / 7.0).collect();
        let pixels = Tensor::from_vec(values.clone(), (1, 3, 8, 8), &Device::Cpu).unwrap();
        let found = fill(&pixels).unwrap().flatten_all().unwrap();
        let found = found.to_vec1::<f32>().unwrap();
        assert!((found[8] - values[8]).abs() < 1e-6 && (found[15] - values[15]).abs() < 1e-6);
        assert_ne!(found, values);
        let dot = Tensor::zeros((1, 3, 2, 2), candle_core::DType::F32, &Device::Cpu).unwrap();
        assert_eq!(fill(&dot).unwrap().dims(), [1, 3, 2, 2]);
    }
}
