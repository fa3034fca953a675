//! Activations, gated GELU and shifts per channel.

use candle_core::Result;

use super::executor::{Argument, Executor, Kind, Launch, View, int, long};
use crate::ops::Activation;

type Memory<E> = <E as Executor>::Memory;

fn code<M>(kind: Activation) -> Argument<'static, M> {
    // The order of the enumeration in `pointwise.cuh`.
    Argument::Int(match kind {
        Activation::Silu => 0,
        Activation::Gelu => 1,
        Activation::QuickGelu => 2,
    })
}

/// The activation of `total` values.
pub(crate) fn activation<E: Executor>(
    device: &E,
    kind: Activation,
    xs: View<'_, Memory<E>>,
    total: usize,
) -> Result<Memory<E>> {
    let ys = device.allocate(xs.kind, total)?;
    let launch = Launch::values("activation", xs.kind, total);
    let target = View::new(&ys, xs.kind);
    device.launch(
        launch,
        &[xs.into(), target.into(), code(kind), long(total)?],
    )?;
    Ok(ys)
}

/// Gradient of [`activation`].
pub(crate) fn activation_gradient<E: Executor>(
    device: &E,
    kind: Activation,
    xs: View<'_, Memory<E>>,
    gradient: View<'_, Memory<E>>,
    total: usize,
) -> Result<Memory<E>> {
    let dx = device.allocate(xs.kind, total)?;
    let launch = Launch::values("activation_gradient", xs.kind, total);
    let target = View::new(&dx, xs.kind);
    let operands = [xs.into(), gradient.into(), target.into()];
    let arguments = [&operands[..], &[code(kind), long(total)?]].concat();
    device.launch(launch, &arguments)?;
    Ok(dx)
}

/// Gated GELU of `rows` rows of `2 * half` values.
pub(crate) fn geglu<E: Executor>(
    device: &E,
    xs: View<'_, Memory<E>>,
    rows: usize,
    half: usize,
) -> Result<Memory<E>> {
    let ys = device.allocate(xs.kind, rows * half)?;
    let launch = Launch::pieces("geglu", xs.kind, rows, half);
    let target = View::new(&ys, xs.kind);
    device.launch(launch, &[xs.into(), target.into(), int(half)?])?;
    Ok(ys)
}

/// Gradient of [`geglu`].
pub(crate) fn geglu_gradient<E: Executor>(
    device: &E,
    xs: View<'_, Memory<E>>,
    gradient: View<'_, Memory<E>>,
    rows: usize,
    half: usize,
) -> Result<Memory<E>> {
    let dx = device.allocate(xs.kind, 2 * rows * half)?;
    let launch = Launch::pieces("geglu_gradient", xs.kind, rows, half);
    let target = View::new(&dx, xs.kind);
    device.launch(
        launch,
        &[xs.into(), gradient.into(), target.into(), int(half)?],
    )?;
    Ok(dx)
}

/// Adds one value to each of `planes` planes.
pub(crate) fn add_to_channels<E: Executor>(
    device: &E,
    xs: View<'_, Memory<E>>,
    shift: View<'_, Memory<E>>,
    planes: usize,
    positions: usize,
) -> Result<Memory<E>> {
    let ys = device.allocate(xs.kind, planes * positions)?;
    let launch = Launch::pieces("add_to_channels", xs.kind, planes, positions);
    let target = View::new(&ys, xs.kind);
    device.launch(
        launch,
        &[xs.into(), shift.into(), target.into(), int(positions)?],
    )?;
    Ok(ys)
}

/// Values of `f32` in another kind.
pub(crate) fn rounded<E: Executor>(
    device: &E,
    xs: View<'_, Memory<E>>,
    kind: Kind,
    total: usize,
) -> Result<Memory<E>> {
    let ys = device.allocate(kind, total)?;
    let launch = Launch::values("rounded", kind, total);
    let target = View::new(&ys, kind);
    device.launch(launch, &[xs.into(), target.into(), long(total)?])?;
    Ok(ys)
}
