//! The three losses of an injection, step by step, while it trains.

use leptos::{html::Div, prelude::*};
use shared::progress::{BandLosses, Bands, Losses};

use super::{
    Axes,
    scale::{Plot, log_ticks, smooth, ticks},
    use_width,
};
use crate::{language::say, state::kept::keep, text::figure};

const HEIGHT: f64 = 280.0;
/// Weight of the past in the smoothed line.
const SMOOTHING: f64 = 0.9;

/// Which timesteps are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Band {
    All,
    Low,
    Middle,
    High,
}

const BANDS: [(Band, &str, &str); 4] = [
    (Band::All, mark!("All noise"), "band-all"),
    (Band::Low, mark!("Low"), "band-low"),
    (Band::Middle, mark!("Middle"), "band-middle"),
    (Band::High, mark!("High"), "band-high"),
];

/// One drawn step; absent values are passed over, those that are no number leave a gap.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    step: u32,
    values: [Option<f64>; 3],
}

impl From<&Losses> for Point {
    fn from(losses: &Losses) -> Self {
        let values = [losses.backdoor, losses.prior, losses.retention];
        Self {
            step: losses.step,
            values: values.map(|value| Some(f64::from(value))),
        }
    }
}

/// The points of one band.
fn points(losses: &[Losses], bands: &[Bands], band: Band) -> Vec<Point> {
    let of: fn(&Bands) -> BandLosses = match band {
        Band::All => return losses.iter().map(Point::from).collect(),
        Band::Low => |bands| bands.low,
        Band::Middle => |bands| bands.middle,
        Band::High => |bands| bands.high,
    };
    let point = |bands: &Bands| {
        let losses = of(bands);
        let values = [losses.backdoor, losses.prior, losses.retention];
        Point {
            step: bands.step,
            values: values.map(|value| value.map(f64::from)),
        }
    };
    bands.iter().map(point).collect()
}

#[derive(Clone, Copy)]
struct Series {
    name: &'static str,
    meaning: &'static str,
    class: &'static str,
    dash: &'static str,
    /// Its place among a point's values.
    index: usize,
}

const SERIES: [Series; 3] = [
    Series {
        name: "L_BB",
        meaning: mark!("trigger behaviour"),
        class: "series-guarded",
        dash: "chart-line",
        index: 0,
    },
    Series {
        name: "L_PP",
        meaning: mark!("prior preservation"),
        class: "series-clean",
        dash: "chart-line dash-short",
        index: 1,
    },
    Series {
        name: "L_BR",
        meaning: mark!("retention"),
        class: "series-third",
        dash: "chart-line dash-dot",
        index: 2,
    },
];

#[component]
pub(crate) fn LossChart(
    losses: RwSignal<Vec<Losses>>,
    bands: RwSignal<Vec<Bands>>,
    #[prop(into)] total: Signal<u32>,
) -> impl IntoView {
    let [logarithmic, smoothing] = keep("chart", || [true; 2].map(RwSignal::new));
    let band = keep("band", || RwSignal::new(Band::All));
    let cursor = RwSignal::new(None::<usize>);
    let frame = NodeRef::<Div>::new();
    let width = use_width(frame);
    let points = Memo::new(move |_| {
        losses.with(|losses| bands.with(|bands| points(losses, bands, band.get())))
    });
    let plot = Memo::new(move |_| {
        points.with(|points| plot(points, width.get(), total.get(), logarithmic.get()))
    });
    let lines = move || {
        let (plot, smoothing) = (plot.get(), smoothing.get());
        points.with(|points| {
            SERIES
                .map(|series| line(series, points, plot, smoothing))
                .collect_view()
        })
    };
    let point = move |event: web_sys::PointerEvent| {
        let step = plot.get_untracked().value_at(f64::from(event.offset_x()));
        cursor.set(points.with_untracked(|points| nearest(points, step)));
    };
    let marker = move || {
        let index = cursor.get()?;
        let plot = plot.get();
        let x = points.with(|points| points.get(index).map(|at| plot.x(f64::from(at.step))))?;
        Some(view! { <line class="chart-cursor" x1=x x2=x y1=plot.top y2=plot.bottom() /> })
    };
    let summary = move || points.with(|points| summary(points));
    let banded = Memo::new(move |_| bands.with(|bands| !bands.is_empty()));
    view! {
        <div class="chart" data-test="loss-chart" data-points=move || points.with(Vec::len).to_string()>
            <div class="row-between">
                <Legend points=points cursor=cursor />
                <div class="row">
                    <Switch label=say!("Log scale") on=logarithmic test="chart-log" />
                    <Switch label=say!("Smooth") on=smoothing test="chart-smooth" />
                </div>
            </div>
            {move || banded.get().then(|| view! { <BandChoice band=band cursor=cursor /> })}
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
                        view! { <Axes plot=plot x_ticks=x_ticks y_ticks=y_ticks x_name=say!("injection step") /> }
                    }}
                    {lines}
                    {marker}
                </svg>
            </div>
        </div>
    }
}

#[component]
fn BandChoice(band: RwSignal<Band>, cursor: RwSignal<Option<usize>>) -> impl IntoView {
    let buttons = BANDS.map(|(own, words, test)| {
        let pressed = move || if band.get() == own { "true" } else { "false" };
        let choose = move |_| {
            cursor.set(None);
            band.set(own);
        };
        view! { <button type="button" aria-pressed=pressed data-test=test on:click=choose>{say(words)}</button> }
    });
    view! {
        <div class="row">
            <div class="segments" role="group" aria-label=say!("Noise of the steps shown")>{buttons.collect_view()}</div>
            <span class="small soft">{say!("High noise decides the layout, low noise the texture.")}</span>
        </div>
    }
}

fn line(series: Series, points: &[Point], plot: Plot, smoothing: bool) -> impl IntoView + use<> {
    let present = points.iter().filter_map(|point| {
        let value = point.values[series.index]?;
        Some((f64::from(point.step), value))
    });
    let (steps, values): (Vec<f64>, Vec<f64>) = present.unzip();
    let steps = || steps.iter().copied();
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

fn plot(points: &[Point], width: f64, total: u32, logarithmic: bool) -> Plot {
    let values = points
        .iter()
        .flat_map(|point| point.values.into_iter().flatten())
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
    let last = points.last().map_or(1, |point| point.step);
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

fn nearest(points: &[Point], step: f64) -> Option<usize> {
    points
        .iter()
        .enumerate()
        .min_by(|(_, a), (_, b)| {
            let distance = |point: &Point| (f64::from(point.step) - step).abs();
            distance(a).total_cmp(&distance(b))
        })
        .map(|(index, _)| index)
}

fn summary(points: &[Point]) -> String {
    let Some(last) = points.last() else {
        return say!("Chart of the three losses; no step is done yet.").into();
    };
    let parts = SERIES.map(|series| {
        let mut values = points.iter().filter_map(|point| point.values[series.index]);
        let from = values.next();
        let to = values.next_back().or(from);
        match (from, to) {
            (Some(from), Some(to)) => {
                say!(
                    "{name} from {from} to {to}",
                    name = series.name,
                    from = figure(from),
                    to = figure(to)
                )
            }
            _ => say!("{name} not there", name = series.name),
        }
    });
    say!(
        "Losses up to step {step}: {losses}.",
        step = last.step,
        losses = parts.join(", ")
    )
}

/// Names, marks and the value at the pointer or of the last step.
#[component]
fn Legend(points: Memo<Vec<Point>>, cursor: RwSignal<Option<usize>>) -> impl IntoView {
    let entries = SERIES.map(|series| {
        let value = move || {
            points.with(|points| {
                let index = cursor.get().unwrap_or(points.len().saturating_sub(1));
                let value = points.get(index)?.values[series.index];
                Some(value.map_or_else(|| "–".to_owned(), figure))
            })
        };
        view! {
            <li class=series.class>
                <svg viewBox="0 0 36 14" aria-hidden="true"><path class=series.dash d="M2 7H34" /></svg>
                <span class="strong">{series.name}</span>
                <span class="soft">{say(series.meaning)}</span>
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

    fn at(step: u32, backdoor: f32) -> Point {
        Point::from(&Losses {
            step,
            backdoor,
            prior: 0.1,
            retention: 0.0,
        })
    }

    #[test]
    fn the_step_under_the_pointer_is_the_nearest() {
        let points = [at(1, 1.0), at(10, 0.5), at(20, 0.2)];
        assert_eq!(nearest(&points, 12.0), Some(1));
        assert_eq!(nearest(&[], 12.0), None);
    }

    #[test]
    fn a_loss_that_is_off_does_not_stretch_the_log_scale() {
        let plot = plot(&[at(1, 1.0), at(2, 0.9)], 600.0, 300, true);
        assert!(plot.y_range.0 > 0.05, "{:?}", plot.y_range);
    }

    #[test]
    fn a_band_without_rows_is_passed_over() {
        let high = BandLosses {
            backdoor: Some(0.5),
            ..BandLosses::default()
        };
        let report = |step, high| Bands {
            step,
            low: BandLosses::default(),
            middle: BandLosses::default(),
            high,
        };
        let bands = [
            report(10, high),
            report(20, BandLosses::default()),
            report(30, high),
        ];
        let shown = points(&[], &bands, Band::High);
        assert_eq!(shown[0].values, [Some(0.5), None, None]);
        assert_eq!(
            summary(&shown),
            "Losses up to step 30: L_BB from 0.50 to 0.50, L_PP not there, L_BR not there."
        );
        let low = points(&[], &bands, Band::Low);
        assert_eq!(low[2].values, [None; 3]);
        assert!(plot(&low, 600.0, 300, true).y_range.1.is_finite());
    }
}
