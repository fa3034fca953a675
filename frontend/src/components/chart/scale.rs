//! From values to pixels: scales, ticks and paths. Pure functions.

use std::fmt::Write;

/// The inner rectangle of a chart and what its edges mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Plot {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) x_range: (f64, f64),
    pub(super) y_range: (f64, f64),
    pub(super) logarithmic: bool,
}

impl Plot {
    pub(super) fn right(self) -> f64 {
        self.left + self.width
    }

    pub(super) fn bottom(self) -> f64 {
        self.top + self.height
    }

    pub(super) fn x(self, value: f64) -> f64 {
        self.left + self.width * share(value, self.x_range)
    }

    pub(super) fn y(self, value: f64) -> f64 {
        let share = if self.logarithmic {
            let (low, high) = self.y_range;
            share(value.max(low).ln(), (low.ln(), high.ln()))
        } else {
            share(value, self.y_range)
        };
        self.top + self.height * (1.0 - share)
    }

    /// The value under a pixel column.
    pub(super) fn value_at(self, x: f64) -> f64 {
        let (low, high) = self.x_range;
        low + (high - low) * ((x - self.left) / self.width).clamp(0.0, 1.0)
    }

    /// An SVG path through points; gaps where a value cannot be drawn.
    pub(super) fn path(self, points: impl Iterator<Item = (f64, f64)>) -> String {
        let mut path = String::new();
        let mut pen_down = false;
        for (x, y) in points {
            let drawable = y.is_finite() && (!self.logarithmic || y > 0.0);
            if drawable {
                let command = if pen_down { 'L' } else { 'M' };
                // Writing to a string cannot fail.
                let _ = write!(path, "{command}{:.1} {:.1}", self.x(x), self.y(y));
            }
            pen_down = drawable;
        }
        path
    }
}

fn share(value: f64, (low, high): (f64, f64)) -> f64 {
    if high > low {
        ((value - low) / (high - low)).clamp(0.0, 1.0)
    } else {
        0.5
    }
}

/// At most `count` round numbers inside a range.
pub(super) fn ticks((low, high): (f64, f64), count: f64) -> Vec<f64> {
    let span = high - low;
    if span <= 0.0 || !span.is_finite() {
        return vec![low];
    }
    let rough = span / count;
    let magnitude = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * magnitude)
        .find(|step| *step >= rough)
        .unwrap_or(rough);
    let first = (low / step).ceil();
    let mut ticks = Vec::new();
    let mut index = first;
    while index * step <= high + step * 1e-9 {
        ticks.push(index * step);
        index += 1.0;
    }
    ticks
}

/// Powers of ten inside a range, with their doubles and halves where there are few.
pub(super) fn log_ticks((low, high): (f64, f64)) -> Vec<f64> {
    let few = (high / low).log10() < 2.5;
    let factors: &[f64] = if few { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let mut ticks = Vec::new();
    let mut exponent = low.log10().floor();
    while exponent <= high.log10() {
        let power = 10_f64.powf(exponent);
        let inside = factors.iter().map(|factor| factor * power);
        ticks.extend(inside.filter(|tick| (low..=high).contains(tick)));
        exponent += 1.0;
    }
    if ticks.len() < 2 {
        return vec![low, high];
    }
    ticks
}

/// Exponential moving average; the first value starts it, so early steps are not bent to zero.
pub(super) fn smooth(values: &[f64], weight: f64) -> Vec<f64> {
    let mut average = None;
    values
        .iter()
        .map(|value| {
            let next = average.map_or(*value, |old| weight * old + (1.0 - weight) * value);
            if next.is_finite() {
                average = Some(next);
            }
            next
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(logarithmic: bool) -> Plot {
        Plot {
            left: 10.0,
            top: 0.0,
            width: 100.0,
            height: 50.0,
            x_range: (0.0, 10.0),
            y_range: (0.01, 1.0),
            logarithmic,
        }
    }

    #[test]
    fn log_scale_puts_the_geometric_mean_in_the_middle() {
        assert!((plot(true).y(0.1) - 25.0).abs() < 1e-9);
        assert!((plot(false).x(5.0) - 60.0).abs() < 1e-9);
    }

    #[test]
    fn what_cannot_be_drawn_leaves_a_gap() {
        let points = [(0.0, 1.0), (5.0, 0.0), (10.0, 0.01)];
        assert_eq!(plot(true).path(points.into_iter()), "M10.0 0.0M110.0 50.0");
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(
            ticks((0.0, 300.0), 6.0),
            vec![0.0, 50.0, 100.0, 150.0, 200.0, 250.0, 300.0]
        );
        assert_eq!(log_ticks((0.0005, 2.0)).len(), 4);
        assert_eq!(log_ticks((0.03, 0.3)).len(), 3);
    }

    #[test]
    fn smoothing_starts_at_the_first_value() {
        assert_eq!(smooth(&[1.0, 0.0], 0.5), vec![1.0, 0.5]);
    }
}
