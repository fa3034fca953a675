//! Updates of parameters in place.

use candle_core::Result;

use super::executor::{Argument, Executor, Launch, View, long};

type Memory<E> = <E as Executor>::Memory;

/// Constants of one step of `AdamW`, as `optimizer::Update` defines them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AdamW {
    pub(crate) keep: f32,
    pub(crate) beta1: f32,
    pub(crate) beta2: f32,
    pub(crate) step_size: f32,
    pub(crate) second_scale: f32,
    pub(crate) epsilon: f32,
}

impl AdamW {
    /// Updates values and moments, all `f32`; the gradient may be of either kind.
    pub(crate) fn apply<E: Executor>(
        &self,
        device: &E,
        values: View<'_, Memory<E>>,
        gradient: View<'_, Memory<E>>,
        [first, second]: [View<'_, Memory<E>>; 2],
        total: usize,
    ) -> Result<()> {
        let views = [values, gradient, first, second].map(Argument::from);
        let constants = [
            self.keep,
            self.beta1,
            self.beta2,
            self.step_size,
            self.second_scale,
            self.epsilon,
        ];
        let constants = constants.map(Argument::Float);
        let arguments = [&views[..], &constants, &[long(total)?]].concat();
        device.launch(Launch::values("adamw", gradient.kind, total), &arguments)
    }
}

/// `average += (1 - keep) * (target - average)`.
pub(crate) fn approach<E: Executor>(
    device: &E,
    average: View<'_, Memory<E>>,
    target: View<'_, Memory<E>>,
    keep: f32,
    total: usize,
) -> Result<()> {
    let launch = Launch::values("approach", target.kind, total);
    let arguments = [average.into(), target.into(), keep.into(), long(total)?];
    device.launch(launch, &arguments)
}
