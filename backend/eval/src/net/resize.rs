//! Resizing of 8-bit pictures, bit for bit as Pillow does it, since published processors are defined by it.
//!
//! Owns the filters and the two passes. Refuses other depths.

/// How neighbours count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// A triangle of radius 1.
    Bilinear,
    /// Keys' cubic with sharpness -0.5, of radius 2.
    Bicubic,
}

impl Filter {
    const fn support(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    fn weight(self, distance: f64) -> f64 {
        const SHARPNESS: f64 = -0.5;
        let (x, a) = (distance.abs(), SHARPNESS);
        match self {
            Self::Bilinear => (1.0 - x).max(0.0),
            Self::Bicubic if x < 1.0 => ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * a,
            Self::Bicubic => 0.0,
        }
    }
}

/// Fractional bits of the fixed-point weights.
const BITS: u32 = 32 - 8 - 2;

/// The inputs of one output: the first, and a weight for each.
struct Window {
    first: usize,
    weights: Vec<i32>,
}

/// One plane of `height x width` bytes at another size.
///
/// Antialiased: going down, the filter is as wide as an output pixel. Along rows first, rounded to bytes, then along
/// columns, with weights of 22 fractional bits; a direction that keeps its size is left alone.
pub(super) fn resize(
    plane: &[u8],
    (height, width): (usize, usize),
    (new_height, new_width): (usize, usize),
    filter: Filter,
) -> Vec<u8> {
    debug_assert_eq!(plane.len(), height * width);
    let wide = if width == new_width {
        plane.to_vec()
    } else {
        let windows = windows(width, new_width, filter);
        let rows = plane.chunks_exact(width);
        rows.flat_map(|row| windows.iter().map(|window| along(window, row, 1, 0)))
            .collect()
    };
    if height == new_height {
        return wide;
    }
    let windows = windows(height, new_height, filter);
    windows
        .iter()
        .flat_map(|window| (0..new_width).map(|x| along(window, &wide, new_width, x)))
        .collect()
}

/// The weighted sum of one window over values that lie `stride` apart.
fn along(window: &Window, values: &[u8], stride: usize, offset: usize) -> u8 {
    let weights = window.weights.iter().enumerate();
    let sum: i32 = weights
        .map(|(index, weight)| weight * i32::from(values[(window.first + index) * stride + offset]))
        .sum();
    u8::try_from(((sum + (1 << (BITS - 1))) >> BITS).clamp(0, 255)).expect("clamped to a byte")
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positions are clamped to the picture and weights are near 1"
)]
fn windows(inputs: usize, outputs: usize, filter: Filter) -> Vec<Window> {
    let scale = inputs as f64 / outputs as f64;
    let stretch = scale.max(1.0);
    let support = filter.support() * stretch;
    let window = |output: usize| {
        let centre = (output as f64 + 0.5) * scale;
        let first = (centre - support + 0.5).max(0.0) as usize;
        let last = ((centre + support + 0.5) as usize).min(inputs);
        let raw: Vec<f64> = (first..last)
            .map(|input| filter.weight((input as f64 - centre + 0.5) / stretch))
            .collect();
        let total: f64 = raw.iter().sum();
        let fixed = |weight: f64| (weight / total * f64::from(1 << BITS)).round() as i32;
        Window {
            first,
            weights: raw.into_iter().map(fixed).collect(),
        }
    };
    (0..outputs).map(window).collect()
}
