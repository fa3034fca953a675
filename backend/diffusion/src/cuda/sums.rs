//! Sums of planes and of columns, in a fixed order.

use candle_core::Result;

use super::executor::{Executor, Kind, Launch, THREADS, View, int};

type Memory<E> = <E as Executor>::Memory;

/// Rows that one block adds up, at most.
const CHUNK: usize = 512;

/// Blocks for sums over columns: 32 columns in x, pieces of rows in y.
pub(super) struct Cover {
    pub(super) chunk: usize,
    pub(super) chunks: usize,
    pub(super) grid: [usize; 3],
}

impl Cover {
    pub(super) fn new(rows: usize, columns: usize) -> Self {
        // A device has at most 65535 blocks in y.
        let chunk = CHUNK.max(rows.div_ceil(65535));
        let chunks = rows.div_ceil(chunk);
        Self {
            chunk,
            chunks,
            grid: [columns.div_ceil(32), chunks, 1],
        }
    }
}

/// Sum of each of `planes` planes: `[planes]`, in the kind of `xs`.
pub(crate) fn plane_sums<E: Executor>(
    device: &E,
    xs: View<'_, Memory<E>>,
    planes: usize,
    positions: usize,
) -> Result<Memory<E>> {
    planes_into(device, "plane_sums_rounded", xs, xs.kind, planes, positions)
}

/// Sum of each of `planes` planes in `f32`.
pub(super) fn plane_sums_in_f32<E: Executor>(
    device: &E,
    xs: View<'_, Memory<E>>,
    planes: usize,
    positions: usize,
) -> Result<Memory<E>> {
    planes_into(device, "plane_sums", xs, Kind::F32, planes, positions)
}

fn planes_into<E: Executor>(
    device: &E,
    kernel: &'static str,
    xs: View<'_, Memory<E>>,
    kind: Kind,
    planes: usize,
    positions: usize,
) -> Result<Memory<E>> {
    let sums = device.allocate(kind, planes)?;
    let launch = Launch::pieces(kernel, xs.kind, planes, positions);
    let target = View::new(&sums, kind);
    device.launch(launch, &[xs.into(), target.into(), int(positions)?])?;
    Ok(sums)
}

/// Sums over rows of `[rows, columns]`: `[columns]`, in the kind of `xs`.
pub(crate) fn column_sums<E: Executor>(
    device: &E,
    xs: View<'_, Memory<E>>,
    rows: usize,
    columns: usize,
) -> Result<Memory<E>> {
    let cover = Cover::new(rows, columns);
    let parts = device.allocate(Kind::F32, cover.chunks * columns)?;
    let target = View::new(&parts, Kind::F32);
    launch(
        device,
        "column_sums",
        xs.kind,
        (xs, target),
        &cover,
        (rows, columns),
    )?;
    totals(device, target, xs.kind, cover.chunks, columns)
}

/// Sums over rows of `f32` partial sums, rounded to `kind` once.
pub(super) fn totals<E: Executor>(
    device: &E,
    parts: View<'_, Memory<E>>,
    kind: Kind,
    rows: usize,
    columns: usize,
) -> Result<Memory<E>> {
    let sums = device.allocate(kind, columns)?;
    let whole = Cover {
        chunk: rows,
        chunks: 1,
        grid: [columns.div_ceil(32), 1, 1],
    };
    let views = (parts, View::new(&sums, kind));
    launch(
        device,
        "column_sums_rounded",
        kind,
        views,
        &whole,
        (rows, columns),
    )?;
    Ok(sums)
}

fn launch<E: Executor>(
    device: &E,
    kernel: &'static str,
    kind: Kind,
    (xs, sums): (View<'_, Memory<E>>, View<'_, Memory<E>>),
    cover: &Cover,
    (rows, columns): (usize, usize),
) -> Result<()> {
    let sizes = [int(rows)?, int(columns)?, int(cover.chunk)?];
    let arguments = [&[xs.into(), sums.into()], &sizes[..]].concat();
    device.launch(
        Launch::pieces(kernel, kind, 1, THREADS).on(cover.grid),
        &arguments,
    )
}
