//! Hit-rate against attack steps as an SVG drawing. Refuses to carry meaning by colour alone: the two models differ
//! in marks and dashes too, and the page has the numbers in a table.

use std::fmt::Write;

use shared::{evaluation::Estimate, language::Language, matrix::Point, say};

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 48.0;
const RIGHT: f64 = 140.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 44.0;

struct Frame {
    last: f64,
}

impl Frame {
    fn x(&self, step: u32) -> f64 {
        LEFT + f64::from(step) / self.last * (WIDTH - LEFT - RIGHT)
    }

    fn y(share: f64) -> f64 {
        TOP + (1.0 - share) * (HEIGHT - TOP - BOTTOM)
    }
}

/// One model's line with its interval as a band.
struct Line<'a> {
    class: &'static str,
    label: &'static str,
    value: &'a dyn Fn(&Point) -> Estimate,
}

/// The chart of both models: values in `[0, 1]` by step, rising. Classes `line`, `band`, `mark`, `label`, `tick` and `grid`
/// are for the page's style.
pub fn hit_rates(language: Language, steps: &[Point]) -> String {
    let last = steps.last().map_or(1, |step| step.attack_step).max(1);
    let frame = Frame {
        last: f64::from(last),
    };
    let label = say!(
        language,
        "Subject hit-rate by attack steps, clean and protected model"
    );
    let mut svg =
        format!(r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">"#);
    axes(&mut svg, language, &frame, steps);
    let lines = [
        Line {
            class: "clean",
            label: say!(language, "clean model"),
            value: &|step| step.clean,
        },
        Line {
            class: "protected",
            label: say!(language, "protected model"),
            value: &|step| step.protected,
        },
    ];
    for line in &lines {
        draw(&mut svg, &frame, steps, line);
    }
    svg.push_str("</svg>");
    svg
}

fn axes(svg: &mut String, language: Language, frame: &Frame, steps: &[Point]) {
    for tick in 0..=4 {
        let share = f64::from(tick) / 4.0;
        let (y, right) = (Frame::y(share), WIDTH - RIGHT);
        let _ = write!(
            svg,
            r#"<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1}" y2="{y:.1}"/><text class="tick" x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
            LEFT - 8.0,
            y + 4.0,
            language.decimal(share, 2),
        );
    }
    for step in steps {
        let x = frame.x(step.attack_step);
        let _ = write!(
            svg,
            r#"<text class="tick" x="{x:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
            HEIGHT - BOTTOM + 20.0,
            step.attack_step,
        );
    }
    let _ = write!(
        svg,
        r#"<text class="tick" x="{:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
        (LEFT + WIDTH - RIGHT) / 2.0,
        HEIGHT - 4.0,
        say!(language, "attack steps"),
    );
}

fn draw(svg: &mut String, frame: &Frame, steps: &[Point], line: &Line<'_>) {
    let at = |step: &Point, share: f64| {
        format!("{:.1},{:.1}", frame.x(step.attack_step), Frame::y(share))
    };
    let upper = steps.iter().map(|step| at(step, (line.value)(step).high));
    let lower = steps
        .iter()
        .rev()
        .map(|step| at(step, (line.value)(step).low));
    let band: Vec<String> = upper.chain(lower).collect();
    let path: Vec<String> = steps
        .iter()
        .map(|step| at(step, (line.value)(step).value))
        .collect();
    let class = line.class;
    let _ = write!(
        svg,
        r#"<polygon class="band {class}" points="{}"/><polyline class="line {class}" points="{}"/>"#,
        band.join(" "),
        path.join(" "),
    );
    for step in steps {
        let (x, y) = (
            frame.x(step.attack_step),
            Frame::y((line.value)(step).value),
        );
        let _ = if class == "clean" {
            write!(
                svg,
                r#"<circle class="mark {class}" cx="{x:.1}" cy="{y:.1}" r="4"/>"#
            )
        } else {
            write!(
                svg,
                r#"<rect class="mark {class}" x="{:.1}" y="{:.1}" width="8" height="8"/>"#,
                x - 4.0,
                y - 4.0
            )
        };
    }
    if let Some(step) = steps.last() {
        let _ = write!(
            svg,
            r#"<text class="label {class}" x="{:.1}" y="{:.1}">{}</text>"#,
            frame.x(step.attack_step) + 10.0,
            Frame::y((line.value)(step).value) + 4.0,
            line.label,
        );
    }
}
