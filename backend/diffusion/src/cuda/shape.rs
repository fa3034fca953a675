//! Nearest upsampling and transposes.

use candle_core::Result;

use super::executor::{Argument, Executor, Launch, THREADS, View, int};

type Memory<E> = <E as Executor>::Memory;

/// Sizes of an upsampling of `planes` planes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Upsample {
    pub(crate) planes: usize,
    /// Height and width of the smaller plane.
    pub(crate) from: [usize; 2],
    /// Height and width of the larger plane.
    pub(crate) to: [usize; 2],
}

impl Upsample {
    fn run<E: Executor>(
        &self,
        device: &E,
        kernel: &'static str,
        xs: View<'_, Memory<E>>,
        [height, width]: [usize; 2],
    ) -> Result<Memory<E>> {
        let ys = device.allocate(xs.kind, self.planes * height * width)?;
        let launch = Launch::pieces(kernel, xs.kind, self.planes, height * width);
        let target = View::new(&ys, xs.kind);
        let ([from_height, from_width], [to_height, to_width]) = (self.from, self.to);
        let arguments = [
            xs.into(),
            target.into(),
            int(from_height)?,
            int(from_width)?,
            int(to_height)?,
            int(to_width)?,
        ];
        device.launch(launch, &arguments)?;
        Ok(ys)
    }

    /// The larger planes.
    pub(crate) fn forward<E: Executor>(
        &self,
        device: &E,
        xs: View<'_, Memory<E>>,
    ) -> Result<Memory<E>> {
        self.run(device, "upsample", xs, self.to)
    }

    /// Gradient of the smaller planes.
    pub(crate) fn backward<E: Executor>(
        &self,
        device: &E,
        gradient: View<'_, Memory<E>>,
    ) -> Result<Memory<E>> {
        self.run(device, "upsample_gradient", gradient, self.from)
    }
}

/// Matrices that one launch covers: a device has at most 65535 blocks in z.
const MATRICES: usize = 65535;

/// Transposes `batch` matrices of `rows` by `columns`.
pub(crate) fn transpose<E: Executor>(
    device: &E,
    xs: View<'_, Memory<E>>,
    batch: usize,
    [rows, columns]: [usize; 2],
) -> Result<Memory<E>> {
    let ys = device.allocate(xs.kind, batch * rows * columns)?;
    let target = View::new(&ys, xs.kind);
    for first in (0..batch).step_by(MATRICES) {
        let matrices = MATRICES.min(batch - first);
        let grid = [columns.div_ceil(32), rows.div_ceil(32), matrices];
        let launch = Launch::pieces("transpose", xs.kind, 1, THREADS).on(grid);
        let views = [xs, target].map(|view| Argument::from(view.skip(first * rows * columns)));
        let arguments = [&views[..], &[int(rows)?, int(columns)?]].concat();
        device.launch(launch, &arguments)?;
    }
    Ok(ys)
}
