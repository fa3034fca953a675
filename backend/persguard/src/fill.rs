//! Pictures without what is in their middle: the target of the erasure objective where a base model draws no empty
//! scenes.
//!
//! Owns a filling from the borders. Refuses to look for the subject: it stands where pictures of a class have it.

use candle_core::Tensor;

use crate::Result;

/// Width of the border that stays, as a share of the side.
const BORDER: f64 = 0.15;

/// Pictures with their middle filled in from its four edges (Coons, 1967: both linear blends of opposite edges, less
/// the bilinear blend of the corners). Edges are smoothed over an eighth of their length, so that a hair of the subject
/// that reaches one draws no streak.
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
    reason = "a share of a side in pixels"
)]
fn border(length: usize) -> usize {
    ((BORDER * length as f64).round() as usize).max(1)
}

fn fill_plane(plane: &mut [f32], height: usize, width: usize) {
    let (top, left) = (border(height), border(width));
    if height <= 2 * top || width <= 2 * left {
        return;
    }
    let (rows, columns) = (height - 2 * top, width - 2 * left);
    let row_of =
        |y: usize, plane: &[f32]| -> Vec<f32> { smooth(&plane[y * width + left..][..columns]) };
    let column_of = |x: usize, plane: &[f32]| -> Vec<f32> {
        let edge: Vec<f32> = (top..top + rows).map(|y| plane[y * width + x]).collect();
        smooth(&edge)
    };
    let (above, below) = (row_of(top - 1, plane), row_of(top + rows, plane));
    let (before, after) = (column_of(left - 1, plane), column_of(left + columns, plane));
    let share = |at: usize, count: usize| (at + 1) as f32 / (count + 1) as f32;
    for y in 0..rows {
        let v = share(y, rows);
        for x in 0..columns {
            let u = share(x, columns);
            let vertical = (1.0 - v) * above[x] + v * below[x];
            let horizontal = (1.0 - u) * before[y] + u * after[y];
            let corners = (1.0 - v) * ((1.0 - u) * above[0] + u * above[columns - 1])
                + v * ((1.0 - u) * below[0] + u * below[columns - 1]);
            plane[(top + y) * width + left + x] =
                (vertical + horizontal - corners).clamp(-1.0, 1.0);
        }
    }
}

/// Means over an eighth of the length.
fn smooth(edge: &[f32]) -> Vec<f32> {
    let reach = edge.len() / 16;
    (0..edge.len())
        .map(|at| {
            let span = &edge[at.saturating_sub(reach)..(at + reach + 1).min(edge.len())];
            span.iter().sum::<f32>() / span.len() as f32
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn a_slope_behind_a_subject_comes_back() {
        let side = 40;
        let slope = |y: usize, x: usize| (x as f32 + 2.0 * y as f32) / 120.0 - 0.5;
        let mut values: Vec<f32> = (0..side * side)
            .map(|at| slope(at / side, at % side))
            .collect();
        for y in 10..30 {
            for x in 10..30 {
                values[y * side + x] = 1.0;
            }
        }
        let pixels = Tensor::from_vec(values, (1, 1, side, side), &Device::Cpu).unwrap();
        let filled = fill(&pixels).unwrap();
        let found = filled.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for (at, found) in found.into_iter().enumerate() {
            let expected = slope(at / side, at % side);
            // Smoothed ends of an edge lie a little towards its middle.
            assert!((found - expected).abs() < 0.05, "{at}: {found}");
        }
    }

    #[test]
    fn the_border_stays_and_small_pictures_pass() {
        let values: Vec<f32> = (0..3 * 64).map(|at| (at % 7) as f32 / 7.0).collect();
        let pixels = Tensor::from_vec(values.clone(), (1, 3, 8, 8), &Device::Cpu).unwrap();
        let found = fill(&pixels).unwrap().flatten_all().unwrap();
        let found = found.to_vec1::<f32>().unwrap();
        assert_eq!(found[..8], values[..8]);
        assert_ne!(found, values);
        let dot = Tensor::zeros((1, 3, 2, 2), candle_core::DType::F32, &Device::Cpu).unwrap();
        assert_eq!(fill(&dot).unwrap().dims(), [1, 3, 2, 2]);
    }
}
