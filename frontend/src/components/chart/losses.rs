//! The three losses of an injection, step by step, while it trains.

use leptos::{html::Div, prelude::*};
use shared::progress::Losses;

use super::{
    Axes,
    scale::{Plot, log_ticks, smooth, ticks},
    use_width,
};
use crate::text::figure;

const HEIGHT: f64 = 280.0;
/// Weight of the past in the smoothed line.
const SMOOTHING: f64 = 0.9;

#[derive(Clone, Copy)]
struct Series {
    name: &'static str,
    meaning: &'static str,
    class: &'static str,
    dash: &'static str,
    value: fn(&Losses) -> f64,
}

const SERIES: [Series; 3] = [
    Series {
        name: "L_BB",
        meaning: "trigger behaviour",
        class: "series-guarded",
        dash: "chart-line",
        value: |losses| f64::from(losses.backdoor),
    },
    Series {
        name: "L_PP",
        meaning: "prior preservation",
        class: "series-clean",
        dash: "chart-line dash-short",
        value: |losses| f64::from(losses.prior),
    },
    Series {
        name: "L_BR",
        meaning: "retention",
        class: "series-third",
        dash: "chart-line dash-dot",
        value: |losses| f64::from(losses.retention),
    },
];

#[component]
pub(crate) fn LossChart(
    losses: RwSignal<Vec<Losses>>,
    #[prop(into)] total: Signal<u32>,
) -> impl IntoView {
    let logarithmic = RwSignal::new(true);
    let smoothing = RwSignal::new(true);
    let cursor = RwSignal::new(None::<usize>);
    let frame = NodeRef::<Div>::new();
    let width = use_width(frame);
    let plot = Memo::new(move |_| {
        losses.with(|losses| plot(losses, width.get(), total.get(), logarithmic.get()))
    });
    let lines = move || {
        let (plot, smoothing) = (plot.get(), smoothing.get());
        losses.with(|losses| {
            SERIES
                .map(|series| line(series, losses, plot, smoothing))
                .collect_view()
        })
    };
    let point = move |event: web_sys::PointerEvent| {
        let step = plot.get_untracked().value_at(f64::from(event.offset_x()));
        cursor.set(losses.with_untracked(|losses| nearest(losses, step)));
    };
    let marker = move || {
        let index = cursor.get()?;
        let plot = plot.get();
        let x = losses.with(|losses| losses.get(index).map(|at| plot.x(f64::from(at.step))))?;
        Some(view! { <line class="chart-cursor" x1=x x2=x y1=plot.top y2=plot.bottom() /> })
    };
    let summary = move || losses.with(|losses| summary(losses));
    view! {
        <div class="chart" data-test="loss-chart" data-points=move || losses.with(Vec::len).to_string()>
            <div class="row-between">
                <Legend losses=losses cursor=cursor />
                <div class="row">
                    <Switch label="Log scale" on=logarithmic test="chart-log" />
                    <Switch label="Smooth" on=smoothing test="chart-smooth" />
                </div>
            </div>
            <div node_ref=frame>
                <svg
                    class="chart-frame"
                    role="img"
                    aria-label=summary
                    viewBox=move || format!("0 0 {:.0} {HEIGHT}", width.get())
                    on:pointermove=point
                    on:pointerleave=move |_| cursor.set(None)
                >
                    {move || {
                        let plot = plot.get();
                        let y_ticks = if plot.logarithmic { log_ticks(plot.y_range) } else { ticks(plot.y_range, 4.0) };
                        let x_ticks = ticks(plot.x_range, (plot.width / 90.0).clamp(2.0, 8.0));
                        view! { <Axes plot=plot x_ticks=x_ticks y_ticks=y_ticks x_name="injection step" /> }
                    }}
                    {lines}
                    {marker}
                </svg>
            </div>
        </div>
    }
}

fn line(series: Series, losses: &[Losses], plot: Plot, smoothing: bool) -> impl IntoView + use<> {
    let values: Vec<f64> = losses.iter().map(series.value).collect();
    let steps = || losses.iter().map(|losses| f64::from(losses.step));
    let raw = plot.path(steps().zip(values.iter().copied()));
    let smooth = smoothing.then(|| plot.path(steps().zip(smooth(&values, SMOOTHING))));
    let (faint, strong) = match smooth {
        Some(smooth) => (Some(raw), smooth),
        None => (None, raw),
    };
    view! {
        <g class=series.class>
            {faint.map(|path| view! { <path class="chart-faint" d=path /> })}
            <path class=series.dash d=strong />
        </g>
    }
}

fn plot(losses: &[Losses], width: f64, total: u32, logarithmic: bool) -> Plot {
    let values = losses
        .iter()
        .flat_map(|losses| SERIES.map(|series| (series.value)(losses)))
        .filter(|value| value.is_finite() && (!logarithmic || *value > 0.0));
    let (low, high) = values.fold((f64::INFINITY, 0.0_f64), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    let high = if high > 0.0 { high } else { 1.0 };
    let y_range = if logarithmic {
        // Below a ten-thousandth of the largest value there is nothing to see.
        (low.min(high / 10.0).max(high * 1e-4) * 0.9, high * 1.1)
    } else {
        (0.0, high * 1.05)
    };
    let last = losses.last().map_or(1, |losses| losses.step);
    Plot {
        left: 52.0,
        top: 10.0,
        width: (width - 52.0 - 14.0).max(60.0),
        height: HEIGHT - 10.0 - 44.0,
        x_range: (1.0, f64::from(total.max(last).max(2))),
        y_range,
        logarithmic,
    }
}

fn nearest(losses: &[Losses], step: f64) -> Option<usize> {
    losses
        .iter()
        .enumerate()
        .min_by(|(_, a), (_, b)| {
            let distance = |losses: &Losses| (f64::from(losses.step) - step).abs();
            distance(a).total_cmp(&distance(b))
        })
        .map(|(index, _)| index)
}

fn summary(losses: &[Losses]) -> String {
    let (Some(first), Some(last)) = (losses.first(), losses.last()) else {
        return "Chart of the three losses; no step is done yet.".into();
    };
    let parts = SERIES.map(|series| {
        let (from, to) = ((series.value)(first), (series.value)(last));
        format!("{} from {} to {}", series.name, figure(from), figure(to))
    });
    format!("Losses up to step {}: {}.", last.step, parts.join(", "))
}

/// Names, marks and the value at the pointer or of the last step.
#[component]
fn Legend(losses: RwSignal<Vec<Losses>>, cursor: RwSignal<Option<usize>>) -> impl IntoView {
    let entries = SERIES.map(|series| {
        let value = move || {
            losses.with(|losses| {
                let index = cursor.get().unwrap_or(losses.len().saturating_sub(1));
                losses.get(index).map(|losses| figure((series.value)(losses)))
            })
        };
        view! {
            <li class=series.class>
                <svg viewBox="0 0 36 14" aria-hidden="true"><path class=series.dash d="M2 7H34" /></svg>
                <span class="strong">{series.name}</span>
                <span class="soft">{series.meaning}</span>
                <span class="number" data-test=format!("loss-{}", series.name)>{value}</span>
            </li>
        }
    });
    view! { <ul class="legend">{entries.collect_view()}</ul> }
}

#[component]
fn Switch(label: &'static str, on: RwSignal<bool>, test: &'static str) -> impl IntoView {
    view! {
        <label class="switch">
            <input
                type="checkbox"
                data-test=test
                prop:checked=move || on.get()
                on:change=move |event| on.set(event_target_checked(&event))
            />
            {label}
        </label>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(step: u32, backdoor: f32) -> Losses {
        Losses {
            step,
            backdoor,
            prior: 0.1,
            retention: 0.0,
        }
    }

    #[test]
    fn the_step_under_the_pointer_is_the_nearest() {
        let losses = [at(1, 1.0), at(10, 0.5), at(20, 0.2)];
        assert_eq!(nearest(&losses, 12.0), Some(1));
        assert_eq!(nearest(&[], 12.0), None);
    }

    #[test]
    fn a_loss_that_is_off_does_not_stretch_the_log_scale() {
        let plot = plot(&[at(1, 1.0), at(2, 0.9)], 600.0, 300, true);
        assert!(plot.y_range.0 > 0.05, "{:?}", plot.y_range);
    }
}
