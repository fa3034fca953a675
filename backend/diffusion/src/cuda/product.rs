//! Batched matrix products by rows, and the same as cuBLAS counts them, by columns.

use candle_core::{Result, bail};

/// How a matrix of `rows` by `columns` lies in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Whether memory holds the transposed matrix.
    pub(crate) transposed: bool,
    /// Distance of the rows of what memory holds.
    pub(crate) distance: usize,
    /// Distance of the matrices of a batch; 0 for one matrix shared by all.
    pub(crate) stride: usize,
}

impl Place {
    /// Rows that lie `distance` apart.
    pub(crate) fn rows(distance: usize) -> Self {
        Self {
            transposed: false,
            distance,
            stride: 0,
        }
    }

    /// The transposed matrix, whose rows lie `distance` apart.
    pub(crate) fn transposed(distance: usize) -> Self {
        Self {
            transposed: true,
            ..Self::rows(distance)
        }
    }

    /// The matrices of a batch lie `stride` apart.
    pub(crate) fn every(self, stride: usize) -> Self {
        Self { stride, ..self }
    }
}

/// `c = scale * a b + keep * c` for each matrix of a batch; sums run in f32.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Product {
    /// Rows of `a` and `c`.
    pub(crate) rows: usize,
    /// Columns of `a`, rows of `b`.
    pub(crate) inner: usize,
    /// Columns of `b` and `c`.
    pub(crate) columns: usize,
    pub(crate) batch: usize,
    pub(crate) a: Place,
    pub(crate) b: Place,
    pub(crate) c: Place,
    pub(crate) scale: f32,
    /// What is kept of `c`: 0 replaces it unread, 1 adds to it.
    pub(crate) keep: f32,
}

impl Product {
    /// One product of `[rows, inner]` and `[inner, columns]`, all without gaps.
    pub(crate) fn new([rows, inner, columns]: [usize; 3]) -> Self {
        Self {
            rows,
            inner,
            columns,
            batch: 1,
            a: Place::rows(inner),
            b: Place::rows(columns),
            c: Place::rows(columns),
            scale: 1.0,
            keep: 0.0,
        }
    }

    /// `a` is stored as its transpose, without gaps.
    pub(crate) fn with_a_transposed(self) -> Self {
        Self {
            a: Place::transposed(self.rows),
            ..self
        }
    }

    /// `b` is stored as its transpose, without gaps.
    pub(crate) fn with_b_transposed(self) -> Self {
        Self {
            b: Place::transposed(self.inner),
            ..self
        }
    }

    /// Adds to `c` if `add`, else replaces it.
    pub(crate) fn adding(self, add: bool) -> Self {
        Self {
            keep: f32::from(u8::from(add)),
            ..self
        }
    }
}

/// One operand of cuBLAS: a matrix by columns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operand {
    pub(crate) transposed: bool,
    pub(crate) leading: i32,
    pub(crate) stride: i64,
}

/// The sizes of `cublasGemmStridedBatchedEx`.
///
/// A matrix by rows is its transpose by columns, and `c^T = b^T a^T`: so the operands change
/// places, rows and columns too, and every flag stays.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ByColumns {
    pub(crate) m: i32,
    pub(crate) n: i32,
    pub(crate) k: i32,
    pub(crate) batch: i32,
    /// The first operand: `b` of the product.
    pub(crate) first: Operand,
    /// The second operand: `a` of the product.
    pub(crate) second: Operand,
    pub(crate) result: Operand,
}

impl ByColumns {
    pub(crate) fn new(product: &Product) -> Result<Self> {
        let int = |size: usize| match i32::try_from(size) {
            Ok(size) => Ok(size),
            Err(_) => bail!("a matrix product of size {size}"),
        };
        let operand = |place: Place| -> Result<Operand> {
            Ok(Operand {
                transposed: place.transposed,
                leading: int(place.distance)?,
                // Within a tensor's length, which is below 2^63.
                stride: i64::try_from(place.stride).unwrap_or(i64::MAX),
            })
        };
        Ok(Self {
            m: int(product.columns)?,
            n: int(product.rows)?,
            k: int(product.inner)?,
            batch: int(product.batch)?,
            first: operand(product.b)?,
            second: operand(product.a)?,
            result: operand(product.c)?,
        })
    }
}
