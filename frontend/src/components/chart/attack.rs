//! What the attack reached by its number of steps, without and with protection, with intervals.

use leptos::{html::Div, prelude::*};
use shared::evaluation::{ArmResult, CheckpointResult, Estimate, EvaluationReport};

use super::{
    Axes,
    scale::{Plot, ticks},
    use_width,
};
use crate::language::say;

const HEIGHT: f64 = 280.0;

/// Which number is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Mean cosine similarity to the protected images.
    Similarity,
    /// Share of images that show the subject.
    HitRate,
    /// Share of images in which the objective fired.
    ObjectiveRate,
    /// Share of images in which the objective fired and the subject is not there.
    Psr,
}

impl Measure {
    pub(crate) const ALL: [Self; 4] = [
        Self::Similarity,
        Self::HitRate,
        Self::ObjectiveRate,
        Self::Psr,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Similarity => say!("Similarity"),
            Self::HitRate => say!("Shows the subject"),
            Self::ObjectiveRate => say!("Objective fired"),
            Self::Psr => say!("Objective fired, no subject"),
        }
    }

    pub(crate) const fn of(self, arm: &ArmResult) -> Estimate {
        match self {
            Self::Similarity => arm.similarity,
            Self::HitRate => arm.hit_rate,
            Self::ObjectiveRate => arm.objective_rate,
            Self::Psr => arm.psr,
        }
    }

    /// Whether a report holds it: reports of earlier versions lack what was measured later.
    pub(crate) fn is_in(self, report: &EvaluationReport) -> bool {
        let mut checkpoints = report.checkpoints.iter();
        checkpoints.any(|checkpoint| self.of(&checkpoint.protected).n > 0)
    }
}

#[derive(Clone, Copy)]
struct Arm {
    name: &'static str,
    class: &'static str,
    dash: &'static str,
    of: fn(&CheckpointResult) -> &ArmResult,
}

const ARMS: [Arm; 2] = [
    Arm {
        name: mark!("Without protection"),
        class: "series-clean",
        dash: "chart-line dash-short",
        of: |checkpoint| &checkpoint.clean,
    },
    Arm {
        name: mark!("With protection"),
        class: "series-guarded",
        dash: "chart-line",
        of: |checkpoint| &checkpoint.protected,
    },
];

#[component]
pub(crate) fn AttackChart(report: EvaluationReport, measure: RwSignal<Measure>) -> impl IntoView {
    let frame = NodeRef::<Div>::new();
    let width = use_width(frame);
    let threshold = report.hit_threshold;
    let label = say!("Chart by attack step; the table beside it holds the same numbers.");
    let drawing = move || {
        let measure = measure.get();
        let plot = plot(&report, measure, width.get());
        let x_ticks = report
            .checkpoints
            .iter()
            .map(|checkpoint| f64::from(checkpoint.attack_step))
            .collect::<Vec<_>>();
        let limit = (measure == Measure::Similarity).then(|| {
            let y = plot.y(threshold);
            view! {
                <line class="chart-threshold" x1=plot.left x2=plot.right() y1=y y2=y />
                <text class="chart-text" x=plot.left + 4.0 y=y - 6.0>{say!("counts as the subject above this")}</text>
            }
        });
        let arms = ARMS.map(|arm| draw_arm(arm, &report.checkpoints, measure, plot));
        view! {
            <Axes plot=plot x_ticks=x_ticks y_ticks=ticks(plot.y_range, 4.0) x_name=say!("attack steps") />
            {limit}
            {arms.collect_view()}
        }
    };
    view! {
        <div class="chart" data-test="attack-chart">
            <ul class="legend">{ARMS.map(legend).collect_view()}</ul>
            <div node_ref=frame>
                <svg class="chart-frame" role="img" aria-label=label viewBox=move || format!("0 0 {:.0} {HEIGHT}", width.get())>
                    {drawing}
                </svg>
            </div>
        </div>
    }
}

fn legend(arm: Arm) -> impl IntoView + use<> {
    view! {
        <li class=arm.class>
            <svg viewBox="0 0 36 14" aria-hidden="true"><path class=arm.dash d="M2 7H34" /></svg>
            <span class="strong">{say(arm.name)}</span>
        </li>
    }
}

fn draw_arm(
    arm: Arm,
    checkpoints: &[CheckpointResult],
    measure: Measure,
    plot: Plot,
) -> impl IntoView + use<> {
    let points: Vec<(f64, Estimate)> = checkpoints
        .iter()
        .map(|checkpoint| {
            let estimate = measure.of((arm.of)(checkpoint));
            (f64::from(checkpoint.attack_step), estimate)
        })
        .collect();
    let line = plot.path(
        points
            .iter()
            .map(|(step, estimate)| (*step, estimate.value)),
    );
    let upper = points.iter().map(|(step, estimate)| (*step, estimate.high));
    let lower = points
        .iter()
        .rev()
        .map(|(step, estimate)| (*step, estimate.low));
    let band = format!("{}Z", plot.path(upper.chain(lower)));
    let marks = points
        .iter()
        .map(|(step, estimate)| {
            view! { <circle class="chart-mark" cx=plot.x(*step) cy=plot.y(estimate.value) r="4" /> }
        })
        .collect_view();
    view! {
        <g class=arm.class>
            <path class="chart-band" d=band />
            <path class=arm.dash d=line />
            {marks}
        </g>
    }
}

fn plot(report: &EvaluationReport, measure: Measure, width: f64) -> Plot {
    let steps = report
        .checkpoints
        .iter()
        .map(|checkpoint| f64::from(checkpoint.attack_step));
    let (first, last) = steps.fold((f64::INFINITY, 0.0_f64), |(low, high), step| {
        (low.min(step), high.max(step))
    });
    let y_range = if measure == Measure::Similarity {
        let ends = report
            .checkpoints
            .iter()
            .flat_map(|checkpoint| ARMS.map(|arm| measure.of((arm.of)(checkpoint))))
            .flat_map(|estimate| [estimate.low, estimate.high])
            .chain([report.hit_threshold]);
        let (low, high) = ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        ((low - 0.05).max(-1.0), (high + 0.05).min(1.0))
    } else {
        (0.0, 1.0)
    };
    Plot {
        left: 46.0,
        top: 14.0,
        width: (width - 46.0 - 18.0).max(60.0),
        height: HEIGHT - 14.0 - 44.0,
        x_range: (first.min(last), last),
        y_range,
        logarithmic: false,
    }
}
