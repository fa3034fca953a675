//! Line charts in SVG, drawn at the width they have, told apart by dash and mark as well as colour.

mod attack;
mod losses;
mod scale;

use leptos::{ev, html::Div, prelude::*};

pub(crate) use attack::{AttackChart, Measure};
pub(crate) use losses::LossChart;
use scale::Plot;

/// Pixels a chart measures before its first layout.
const FIRST_WIDTH: f64 = 640.0;

/// The width of an element, followed through window resizes.
fn use_width(node: NodeRef<Div>) -> Signal<f64> {
    let width = RwSignal::new(FIRST_WIDTH);
    let measure = move || {
        if let Some(element) = node.get_untracked() {
            let measured = f64::from(element.client_width());
            if measured > 0.0 && (measured - width.get_untracked()).abs() > 0.5 {
                width.set(measured);
            }
        }
    };
    node.on_load(move |_| request_animation_frame(measure));
    let handle = window_event_listener(ev::resize, move |_| measure());
    on_cleanup(move || handle.remove());
    width.into()
}

/// Grid lines and their labels.
#[component]
fn Axes(plot: Plot, x_ticks: Vec<f64>, y_ticks: Vec<f64>, x_name: &'static str) -> impl IntoView {
    let rows = y_ticks
        .into_iter()
        .map(|tick| {
            let y = plot.y(tick);
            view! {
                <line class="chart-grid" x1=plot.left x2=plot.right() y1=y y2=y />
                <text class="chart-text" x=plot.left - 8.0 y=y + 4.0 text-anchor="end">
                    {crate::text::figure(tick)}
                </text>
            }
        })
        .collect_view();
    let columns = x_ticks
        .into_iter()
        .map(|tick| {
            view! {
                <text class="chart-text" x=plot.x(tick) y=plot.bottom() + 18.0 text-anchor="middle">
                    {crate::language::decimal(tick, 0)}
                </text>
            }
        })
        .collect_view();
    view! {
        {rows}
        {columns}
        <line class="chart-axis" x1=plot.left x2=plot.right() y1=plot.bottom() y2=plot.bottom() />
        <text class="chart-text" x=plot.right() y=plot.bottom() + 36.0 text-anchor="end">{x_name}</text>
    }
}
