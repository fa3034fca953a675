//! Group and layer normalisation.

use candle_core::Result;

use super::{
    executor::{Argument, Executor, Kind, Launch, THREADS, View, int},
    sums::{Cover, totals},
};

type Memory<E> = <E as Executor>::Memory;

/// Sizes of a group normalisation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GroupNorm {
    pub(crate) batch: usize,
    pub(crate) channels: usize,
    pub(crate) groups: usize,
    pub(crate) positions: usize,
    pub(crate) epsilon: f32,
    pub(crate) silu: bool,
}

/// Operands of a normalisation.
pub(crate) struct Operands<'a, M> {
    pub(crate) xs: View<'a, M>,
    pub(crate) weight: View<'a, M>,
    pub(crate) bias: View<'a, M>,
}

/// Gradients of a normalisation: of the input, the weight and the bias.
pub(crate) type Gradients<M> = [M; 3];

impl GroupNorm {
    fn planes(&self) -> usize {
        self.batch * self.channels
    }

    fn arguments<M>(&self) -> Result<[Argument<'static, M>; 4]> {
        Ok([
            int(self.channels)?,
            int(self.channels / self.groups)?,
            int(self.positions)?,
            self.silu.into(),
        ])
    }

    fn moments<E: Executor>(&self, device: &E, xs: View<'_, Memory<E>>) -> Result<Memory<E>> {
        let groups = self.batch * self.groups;
        let length = self.channels / self.groups * self.positions;
        let moments = device.allocate(Kind::F32, 2 * groups)?;
        let target = View::new(&moments, Kind::F32);
        let launch = Launch {
            // Few blocks with much to read each: more threads to keep the memory busy.
            threads: length.next_multiple_of(32).clamp(32, 1024),
            ..Launch::pieces("group_moments", xs.kind, groups, length)
        };
        let arguments = [xs.into(), target.into(), int(length)?, self.epsilon.into()];
        device.launch(launch, &arguments)?;
        Ok(moments)
    }

    /// The normalisation.
    pub(crate) fn forward<E: Executor>(
        &self,
        device: &E,
        o: &Operands<'_, Memory<E>>,
    ) -> Result<Memory<E>> {
        let kind = o.xs.kind;
        let moments = self.moments(device, o.xs)?;
        let ys = device.allocate(kind, self.planes() * self.positions)?;
        let views = [
            o.xs,
            View::new(&moments, Kind::F32),
            o.weight,
            o.bias,
            View::new(&ys, kind),
        ];
        let arguments = [&views.map(Argument::from)[..], &self.arguments()?].concat();
        device.launch(self.launch("group_norm", kind), &arguments)?;
        Ok(ys)
    }

    fn launch(&self, kernel: &'static str, kind: Kind) -> Launch {
        Launch::pieces(kernel, kind, self.planes(), self.positions)
    }

    /// Gradients of [`GroupNorm::forward`].
    pub(crate) fn backward<E: Executor>(
        &self,
        device: &E,
        o: &Operands<'_, Memory<E>>,
        gradient: View<'_, Memory<E>>,
    ) -> Result<Gradients<Memory<E>>> {
        let kind = o.xs.kind;
        let moments = self.moments(device, o.xs)?;
        let dw = device.allocate(Kind::F32, self.planes())?;
        let db = device.allocate(Kind::F32, self.planes())?;
        let dx = device.allocate(kind, self.planes() * self.positions)?;
        let moments = View::new(&moments, Kind::F32);
        let sums = [View::new(&dw, Kind::F32), View::new(&db, Kind::F32)];
        let read = [o.xs, gradient, moments, o.weight, o.bias].map(Argument::from);
        let sizes = self.arguments()?;
        let written = sums.map(Argument::from);
        let arguments = [&read[..], &written, &sizes].concat();
        device.launch(self.launch("group_norm_sums", kind), &arguments)?;
        let target = [View::new(&dx, kind).into()];
        let arguments = [&read[..], &written, &target, &sizes].concat();
        device.launch(self.launch("group_norm_gradient", kind), &arguments)?;
        let [dw, db] = sums;
        Ok([
            dx,
            totals(device, dw, kind, self.batch, self.channels)?,
            totals(device, db, kind, self.batch, self.channels)?,
        ])
    }
}

/// Sizes of a layer normalisation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LayerNorm {
    pub(crate) rows: usize,
    pub(crate) length: usize,
    pub(crate) epsilon: f32,
}

/// Gradients of a layer normalisation: of the input, and if asked for of weight and bias.
pub(crate) type LayerGradients<M> = (M, Option<[M; 2]>);

/// Rows of a block: one a warp.
const ROWS: usize = THREADS / 32;

impl LayerNorm {
    fn launch(&self, kernel: &'static str, kind: Kind) -> Launch {
        Launch::pieces(kernel, kind, self.rows.div_ceil(ROWS), THREADS)
    }

    fn arguments<M>(&self) -> Result<[Argument<'static, M>; 3]> {
        Ok([int(self.rows)?, int(self.length)?, self.epsilon.into()])
    }

    /// The normalisation.
    pub(crate) fn forward<E: Executor>(
        &self,
        device: &E,
        o: &Operands<'_, Memory<E>>,
    ) -> Result<Memory<E>> {
        let kind = o.xs.kind;
        let ys = device.allocate(kind, self.rows * self.length)?;
        let views = [o.xs, o.weight, o.bias, View::new(&ys, kind)].map(Argument::from);
        let arguments = [&views[..], &self.arguments()?].concat();
        device.launch(self.launch("layer_norm", kind), &arguments)?;
        Ok(ys)
    }

    /// Gradients of [`LayerNorm::forward`]: of the input, and if `affine` of weight and bias.
    pub(crate) fn backward<E: Executor>(
        &self,
        device: &E,
        [xs, weight]: [View<'_, Memory<E>>; 2],
        gradient: View<'_, Memory<E>>,
        affine: bool,
    ) -> Result<LayerGradients<Memory<E>>> {
        let kind = xs.kind;
        let dx = device.allocate(kind, self.rows * self.length)?;
        let moments = device.allocate(Kind::F32, 2 * self.rows)?;
        let moments = View::new(&moments, Kind::F32);
        let views = [xs, gradient, weight, View::new(&dx, kind), moments].map(Argument::from);
        let arguments = [&views[..], &self.arguments()?].concat();
        device.launch(self.launch("layer_norm_gradient", kind), &arguments)?;
        let sums = affine.then(|| self.affine(device, [xs, gradient, moments]));
        Ok((dx, sums.transpose()?))
    }

    /// Gradients of weight and bias.
    fn affine<E: Executor>(
        &self,
        device: &E,
        read: [View<'_, Memory<E>>; 3],
    ) -> Result<[Memory<E>; 2]> {
        let kind = read[0].kind;
        let cover = Cover::new(self.rows, self.length);
        let dw = device.allocate(Kind::F32, cover.chunks * self.length)?;
        let db = device.allocate(Kind::F32, cover.chunks * self.length)?;
        let parts = [View::new(&dw, Kind::F32), View::new(&db, Kind::F32)];
        let sizes = [int(self.rows)?, int(self.length)?, int(cover.chunk)?];
        let (read, written) = (read.map(Argument::from), parts.map(Argument::from));
        let arguments = [&read[..], &written, &sizes].concat();
        let launch = Launch::pieces("layer_norm_sums", kind, 1, THREADS).on(cover.grid);
        device.launch(launch, &arguments)?;
        let [dw, db] = parts;
        Ok([
            totals(device, dw, kind, cover.chunks, self.length)?,
            totals(device, db, kind, cover.chunks, self.length)?,
        ])
    }
}
