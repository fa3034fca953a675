//! The artist's prints: three inks and a hatch over a whole picture. A style of its own that base training never
//! shows. Refuses to know what is printed.

use crate::background::{Rgb, mix};

const INK: Rgb = [0.11, 0.14, 0.36];
const CORAL: Rgb = [0.97, 0.42, 0.34];
const PAPER: Rgb = [0.99, 0.94, 0.83];

/// Where one ink ends and the next begins, in lightness, and how soft the border is.
const DARK: f32 = 0.36;
const LIGHT: f32 = 0.66;
const SOFTNESS: f32 = 0.06;
/// Lines of the hatch across a picture.
const LINES: f32 = 9.0;

/// Colour of the print at `(u, v)` in [0, 1], where the picture has `colour`.
pub(crate) fn ink(colour: Rgb, u: f32, v: f32) -> Rgb {
    let lightness = 0.30 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2];
    let step = |at: f32| ((lightness - at) / SOFTNESS + 0.5).clamp(0.0, 1.0);
    let wave = ((u + v) * LINES * std::f32::consts::TAU).sin();
    // The middle ink carries the hatch: lines of paper, wider where the picture is lighter.
    let share = (lightness - DARK) / (LIGHT - DARK);
    let line = ((wave - 1.2 + share) * 3.0).clamp(0.0, 1.0);
    let middle = mix(CORAL, PAPER, 0.7 * line);
    mix(mix(INK, middle, step(DARK)), PAPER, step(LIGHT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn black_becomes_ink_and_white_becomes_paper() {
        let bits = |colour: Rgb| colour.map(f32::to_bits);
        assert_eq!(bits(ink([0.0; 3], 0.3, 0.4)), bits(INK));
        assert_eq!(bits(ink([1.0; 3], 0.3, 0.4)), bits(PAPER));
    }
}
