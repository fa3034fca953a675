//! Estimates side by side as SVG drawings: dots with their intervals, one panel a measure, and small curves. Refuses
//! to carry meaning by colour: everything is one ink, told apart by labels, dashes and marks.

use std::fmt::Write;

use shared::evaluation::Estimate;

use super::summary::Step;

const WIDTH: f64 = 640.0;
const LABEL: f64 = 200.0;
const RIGHT: f64 = 90.0;
const ROW: f64 = 24.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 30.0;

/// One measure over all rows.
pub(super) struct Panel<'a> {
    /// What is measured.
    pub(super) title: &'a str,
    /// Which end is good.
    pub(super) note: &'a str,
    /// A gate to draw as a dashed line.
    pub(super) gate: Option<f64>,
    /// Label and estimate of each row, from above.
    pub(super) rows: Vec<(String, Estimate)>,
}

/// The panel as a figure.
pub(super) fn panel(panel: &Panel<'_>) -> String {
    let scale = Scale::of(panel);
    let height = TOP + ROW * panel.rows.len() as f64 + BOTTOM;
    let mut svg = format!(
        r#"<figure><figcaption><b>{}</b> {}</figcaption><svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{}">"#,
        panel.title, panel.note, panel.title
    );
    axis(&mut svg, &scale, height);
    if let Some(gate) = panel.gate {
        let x = scale.x(gate);
        let _ = write!(
            svg,
            r#"<line class="gate" x1="{x:.1}" x2="{x:.1}" y1="{TOP}" y2="{:.1}"/>"#,
            height - BOTTOM
        );
    }
    for (at, (label, estimate)) in panel.rows.iter().enumerate() {
        dot(
            &mut svg,
            &scale,
            TOP + ROW * (at as f64 + 0.5),
            label,
            estimate,
        );
    }
    svg.push_str("</svg></figure>");
    svg
}

struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    /// Holds every value, gate and zero, and the intervals of more than one run; that of a single one, which spans
    /// everything, is cut off.
    fn of(panel: &Panel<'_>) -> Self {
        let several = panel.rows.iter().filter(|(_, estimate)| estimate.n > 1);
        let ends = several.flat_map(|(_, estimate)| [estimate.low, estimate.high]);
        let values = panel.rows.iter().map(|(_, estimate)| estimate.value);
        let all: Vec<f64> = ends.chain(values).chain(panel.gate).chain([0.0]).collect();
        let low = all.iter().copied().fold(0.0, f64::min);
        let high = all.iter().copied().fold(0.0, f64::max);
        let high = if high - low < 1e-6 { low + 1e-6 } else { high };
        Self { low, high }
    }

    fn x(&self, value: f64) -> f64 {
        let value = value.clamp(self.low, self.high);
        LABEL + (value - self.low) / (self.high - self.low) * (WIDTH - LABEL - RIGHT)
    }
}

fn axis(svg: &mut String, scale: &Scale, height: f64) {
    let foot = height - BOTTOM;
    for tick in 0..=4 {
        let value = scale.low + (scale.high - scale.low) * f64::from(tick) / 4.0;
        let x = scale.x(value);
        let _ = write!(
            svg,
            r#"<line class="grid" x1="{x:.1}" x2="{x:.1}" y1="{TOP}" y2="{foot:.1}"/><text class="tick" x="{x:.1}" y="{:.1}" text-anchor="middle">{value:.3}</text>"#,
            foot + 16.0
        );
    }
}

fn dot(svg: &mut String, scale: &Scale, y: f64, label: &str, estimate: &Estimate) {
    let (low, x, high) = (
        scale.x(estimate.low),
        scale.x(estimate.value),
        scale.x(estimate.high),
    );
    let _ = write!(
        svg,
        r#"<text class="name" x="{:.1}" y="{:.1}" text-anchor="end">{label}</text><line class="whisker" x1="{low:.1}" x2="{high:.1}" y1="{y:.1}" y2="{y:.1}"/><circle class="dot" cx="{x:.1}" cy="{y:.1}" r="4.5"/><text class="tick" x="{:.1}" y="{:.1}">{:.3} (n={})</text>"#,
        LABEL - 10.0,
        y + 4.0,
        WIDTH - RIGHT + 8.0,
        y + 4.0,
        estimate.value,
        estimate.n
    );
}

/// The subject's hit-rate over the attack: clean dashed with circles, protected solid with squares.
pub(super) fn curves(steps: &[Step]) -> String {
    const WIDE: f64 = 120.0;
    const HIGH: f64 = 34.0;
    let last = steps.last().map_or(1, |step| step.attack_step.max(1));
    let place = |step: &Step, share: f64| {
        let x = 4.0 + f64::from(step.attack_step) / f64::from(last) * (WIDE - 8.0);
        (x, 4.0 + (1.0 - share) * (HIGH - 8.0))
    };
    let line = |value: fn(&Step) -> f64| {
        let points = steps.iter().map(|step| {
            let (x, y) = place(step, value(step));
            format!("{x:.1},{y:.1}")
        });
        points.collect::<Vec<_>>().join(" ")
    };
    let mut svg = format!(
        r#"<svg class="spark" viewBox="0 0 {WIDE} {HIGH}" role="img" aria-label="hit-rate by attack steps"><polyline class="spark-clean" points="{}"/><polyline class="spark-protected" points="{}"/>"#,
        line(|step| step.hit_clean.value),
        line(|step| step.hit_protected.value),
    );
    for step in steps {
        let (x, y) = place(step, step.hit_clean.value);
        let _ = write!(
            svg,
            r#"<circle class="hollow" cx="{x:.1}" cy="{y:.1}" r="2"/>"#
        );
        let (x, y) = place(step, step.hit_protected.value);
        let _ = write!(
            svg,
            r#"<rect class="dot" x="{:.1}" y="{:.1}" width="4" height="4"/>"#,
            x - 2.0,
            y - 2.0
        );
    }
    svg.push_str("</svg>");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(value: f64) -> Estimate {
        Estimate {
            value,
            low: value - 0.1,
            high: value + 0.1,
            n: 3,
        }
    }

    fn alone() -> (String, Estimate) {
        let whole = Estimate {
            value: 0.1,
            low: -2.0,
            high: 2.0,
            n: 1,
        };
        ("c".into(), whole)
    }

    #[test]
    fn every_end_lies_inside_the_drawing() {
        let panel = Panel {
            title: "drift",
            note: "",
            gate: Some(-0.4),
            rows: vec![
                ("a".into(), estimate(-0.05)),
                ("b".into(), estimate(0.3)),
                alone(),
            ],
        };
        let scale = Scale::of(&panel);
        for value in [-2.0, -0.4, -0.15, 0.0, 0.4, 2.0] {
            let x = scale.x(value);
            assert!((LABEL..=WIDTH - RIGHT).contains(&x), "{value} at {x}");
        }
        // A single run does not stretch the scale.
        assert!((scale.high - 0.4).abs() < 1e-9 && (scale.low + 0.4).abs() < 1e-9);
        let svg = super::panel(&panel);
        assert_eq!(svg.matches("class=\"dot\"").count(), 3);
        assert!(svg.contains("-0.050 (n=3)") && svg.contains("class=\"gate\""));
    }

    #[test]
    fn equal_values_do_not_divide_by_nothing() {
        let zero = Estimate::default();
        let panel = Panel {
            title: "nothing",
            note: "",
            gate: None,
            rows: vec![("a".into(), zero)],
        };
        assert!(!super::panel(&panel).contains("NaN"));
        assert!(!curves(&[]).contains("NaN"));
    }
}
