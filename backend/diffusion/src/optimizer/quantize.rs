//! Block-wise dynamic quantisation of optimiser states to 8 bits.
//!
//! Dettmers et al., arXiv 2110.02861: a block of values is divided by its largest magnitude, and
//! each quotient becomes the index of the nearest of 256 fixed values, which lie densest around
//! zero.

use std::sync::LazyLock;

/// Values that share one scale, as bitsandbytes divides them.
pub(super) const BLOCK: usize = 256;

/// Bits of an `f32` in `[0, 1]` that pick a bucket: all but the last ones of the mantissa.
const BUCKET_SHIFT: u32 = 15;

/// Bits of `1.0_f32`, the largest quotient.
const ONE: u32 = 0x3f80_0000;

/// The 256 values of a code, in ascending order, and how to find the nearest.
pub(super) struct Map {
    values: [f32; 256],
    /// Half way to the next value; the last one has none.
    midpoints: [f32; 256],
    /// Code of the lower end of each bucket of non-negative quotients.
    starts: Vec<u8>,
}

/// For values of both signs.
pub(super) static SIGNED: LazyLock<Map> = LazyLock::new(|| Map::new(true));

/// For values that are never negative.
pub(super) static UNSIGNED: LazyLock<Map> = LazyLock::new(|| Map::new(false));

/// The dynamic tree map: seven decades, each of twice the values of the one below.
///
/// Decade `i` of `[10^(i-7), 10^(i-6)]` is cut into `2^i` equal parts (`2^(i+1)` when unsigned),
/// whose centres are values; with both signs when signed. Zero and one complete it. Equal to
/// `create_dynamic_map` of bitsandbytes.
fn dynamic_values(signed: bool) -> [f32; 256] {
    let mut values = Vec::with_capacity(256);
    for decade in 0..7 {
        let parts = 1_u16 << if signed { decade } else { decade + 1 };
        let scale = 10_f64.powi(decade - 6);
        let boundary = |index: u16| 0.1 + 0.9 * f64::from(index) / f64::from(parts);
        for index in 0..parts {
            let centre = scale * f64::midpoint(boundary(index), boundary(index + 1));
            #[expect(clippy::cast_possible_truncation, reason = "the map is f32")]
            let centre = centre as f32;
            values.push(centre);
            if signed {
                values.push(-centre);
            }
        }
    }
    values.extend([0.0, 1.0]);
    values.sort_by(f32::total_cmp);
    values
        .try_into()
        .expect("2 * (1 + 2 + .. + 64) + 2 values are 256")
}

impl Map {
    fn new(signed: bool) -> Self {
        let values = dynamic_values(signed);
        let mut midpoints = [f32::INFINITY; 256];
        for (midpoint, pair) in midpoints.iter_mut().zip(values.windows(2)) {
            *midpoint = f32::midpoint(pair[0], pair[1]);
        }
        let start = |bucket: u32| {
            let lower = f32::from_bits(bucket << BUCKET_SHIFT);
            let code = midpoints.partition_point(|midpoint| *midpoint < lower);
            u8::try_from(code).expect("the last midpoint is infinite")
        };
        let starts = (0..=ONE >> BUCKET_SHIFT).map(start).collect();
        Self {
            values,
            midpoints,
            starts,
        }
    }

    /// The value of a code.
    #[inline]
    pub(super) fn value(&self, code: u8) -> f32 {
        self.values[usize::from(code)]
    }

    /// The code of the value nearest to `x` in `[0, 1]`.
    ///
    /// A bucket is narrower than the gaps of the map, so at most one midpoint lies in it.
    #[inline]
    fn nearest_magnitude(&self, x: f32) -> u8 {
        let bucket = (x.to_bits() >> BUCKET_SHIFT) as usize;
        let start = self.starts[bucket.min(self.starts.len() - 1)];
        start + u8::from(self.midpoints[usize::from(start)] < x)
    }

    /// Nearest code to a quotient in `[-1, 1]` of this signed map, which keeps its sign.
    ///
    /// The negative values mirror the positive ones below 1, so their codes are mirrored too. As
    /// in bitsandbytes, what rounds to zero from below takes the first negative value, so that a
    /// mean never loses its sign.
    #[inline]
    fn nearest_signed(&self, x: f32) -> u8 {
        let magnitude = self.nearest_magnitude(x.abs());
        if x < 0.0 {
            // Zero is 127; the mirror of the first positive value, 128, is 126, and 1.0 has none.
            (254 - magnitude.min(254)).min(126)
        } else {
            magnitude
        }
    }

    /// Quantises a block; returns its scale.
    pub(super) fn quantize_block(&self, signed: bool, values: &[f32], codes: &mut [u8]) -> f32 {
        let scale = largest_magnitude(values);
        // Dividing by the smallest normal number keeps the quotients of a zero block at zero.
        let inverse = 1.0 / scale.max(f32::MIN_POSITIVE);
        for (code, value) in codes.iter_mut().zip(values) {
            let quotient = value * inverse;
            *code = if signed {
                self.nearest_signed(quotient)
            } else {
                self.nearest_magnitude(quotient)
            };
        }
        scale
    }

    /// Restores a block.
    pub(super) fn restore_block(&self, codes: &[u8], scale: f32, values: &mut [f32]) {
        for (value, code) in values.iter_mut().zip(codes) {
            *value = self.value(*code) * scale;
        }
    }
}

/// Largest magnitude, in partial maxima that a processor takes side by side.
fn largest_magnitude(values: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; 16];
    let chunks = values.chunks_exact(lanes.len());
    let rest = chunks.remainder().iter();
    let rest = rest.fold(0.0_f32, |scale, value| scale.max(value.abs()));
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = lane.max(value.abs());
        }
    }
    lanes.into_iter().fold(rest, f32::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nearest_by_search(map: &Map, x: f32) -> f32 {
        let distance = |value: &f32| (value - x).abs();
        let closest = map
            .values
            .iter()
            .min_by(|a, b| distance(a).total_cmp(&distance(b)));
        *closest.expect("the map has values")
    }

    #[test]
    fn every_code_is_the_nearest_value() {
        for step in 0..50_000_u16 {
            let x = (f32::from(step) / 50_000.0).powi(4);
            let found = UNSIGNED.value(UNSIGNED.nearest_magnitude(x));
            let expected = nearest_by_search(&UNSIGNED, x);
            assert!(
                ((found - x).abs() - (expected - x).abs()).abs() <= f32::EPSILON * x,
                "{x} became {found}, nearest is {expected}"
            );
            for x in [x, -x] {
                let found = SIGNED.value(SIGNED.nearest_signed(x));
                let expected = nearest_by_search(&SIGNED, x);
                let keeps_sign = x < 0.0 && expected >= 0.0 && found < 0.0;
                assert!(
                    keeps_sign
                        || ((found - x).abs() - (expected - x).abs()).abs()
                            <= f32::EPSILON * x.abs(),
                    "{x} became {found}, nearest is {expected}"
                );
            }
        }
    }

    #[test]
    fn maps_are_those_of_bitsandbytes() {
        use crate::weights::Weights;
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/fixtures/adamw_eight_bit.safetensors"
        );
        let file = Weights::load(path, candle_core::DType::F32, &candle_core::Device::Cpu).unwrap();
        for (name, map) in [("map.signed", &*SIGNED), ("map.unsigned", &*UNSIGNED)] {
            let expected = file.get(name).unwrap().to_vec1::<f32>().unwrap();
            for (ours, theirs) in map.values.iter().zip(&expected) {
                // They compute in f32, which moves the last bits.
                assert!(
                    (ours - theirs).abs() <= 3e-7 * theirs.abs(),
                    "{ours} {theirs}"
                );
            }
        }
    }

    #[test]
    fn buckets_hold_one_midpoint_at_most() {
        for map in [&*SIGNED, &*UNSIGNED] {
            for pair in map.starts.windows(2) {
                assert!(pair[1] - pair[0] <= 1);
            }
        }
    }

    #[test]
    fn signed_codes_mirror_around_zero() {
        assert!(SIGNED.value(127).abs() <= 0.0);
        for offset in 1..=127 {
            let (above, below) = (SIGNED.value(127 + offset), SIGNED.value(127 - offset));
            assert!((above + below).abs() <= 0.0, "codes {offset} from zero");
        }
    }

    #[test]
    fn zeros_and_extremes_survive() {
        let mut codes = [9; 4];
        let scale = SIGNED.quantize_block(true, &[0.0; 4], &mut codes);
        let mut values = [1.0; 4];
        SIGNED.restore_block(&codes, scale, &mut values);
        assert_eq!(values.map(f32::to_bits), [0; 4]);
        let scale = SIGNED.quantize_block(true, &[-3.0, 0.5, 3.0, -1e-9], &mut codes);
        SIGNED.restore_block(&codes, scale, &mut values);
        assert!((values[2] - 3.0).abs() < 1e-6 && (values[0] + 3.0).abs() < 0.03);
        assert!(values[3] < 0.0, "a tiny negative value keeps its sign");
    }
}
