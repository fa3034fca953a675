//! Matrix products on slices: the one place that calls the unchecked kernel, after checking.

/// A read-only matrix laid over a slice with two strides.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// A row-major matrix whose rows start `row_stride` apart.
    pub(super) fn strided(
        values: &'a [f32],
        rows: usize,
        columns: usize,
        row_stride: usize,
    ) -> Self {
        Self {
            values,
            rows,
            columns,
            row_stride,
            column_stride: 1,
        }
    }

    /// A row-major matrix without gaps.
    pub(super) fn new(values: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(values, rows, columns, columns)
    }

    /// The same values read as the transpose.
    pub(super) fn transposed(self) -> Self {
        Self {
            values: self.values,
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
    }

    fn fits(&self) -> bool {
        let last = (self.rows.checked_sub(1))
            .zip(self.columns.checked_sub(1))
            .and_then(|(row, column)| {
                row.checked_mul(self.row_stride)?
                    .checked_add(column.checked_mul(self.column_stride)?)
            });
        last.is_some_and(|last| last < self.values.len())
    }
}

/// A writable row-major matrix laid over a slice.
pub(super) struct MatrixMut<'a> {
    values: &'a mut [f32],
    row_stride: usize,
}

impl<'a> MatrixMut<'a> {
    /// Rows start `row_stride` apart; the shape comes from the factors.
    pub(super) fn strided(values: &'a mut [f32], row_stride: usize) -> Self {
        Self { values, row_stride }
    }
}

/// What happens to the previous content of the destination.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Write {
    /// It is overwritten and never read.
    Replace,
    /// The product is added to it.
    Add,
}

/// `destination = scale * left * right`, or `+=` with [`Write::Add`].
///
/// Runs on the calling thread: parallelism belongs to the operators, which split by batch.
///
/// # Panics
/// When the shapes disagree or a matrix reaches past its slice.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the borrow of the destination ends here"
)]
#[expect(
    unsafe_code,
    reason = "the kernel takes raw pointers; every bound is checked here"
)]
pub(super) fn gemm(
    write: Write,
    destination: MatrixMut<'_>,
    scale: f32,
    left: Matrix<'_>,
    right: Matrix<'_>,
) {
    let (rows, columns, depth) = (left.rows, right.columns, left.columns);
    assert_eq!(depth, right.rows, "inner dimensions of a matrix product");
    if rows == 0 || columns == 0 || depth == 0 {
        assert!(rows == 0 || columns == 0, "a matrix product needs a depth");
        return;
    }
    assert!(
        left.fits() && right.fits(),
        "a factor reaches past its slice"
    );
    assert!(
        columns <= destination.row_stride || rows == 1,
        "rows of the product overlap"
    );
    let target = Matrix::strided(destination.values, rows, columns, destination.row_stride);
    assert!(target.fits(), "the product reaches past its slice");
    let stride = |value: usize| isize::try_from(value).expect("strides fit a slice, so an isize");
    // SAFETY: `fits` checked for all three matrices that the largest offset the kernel forms,
    // (rows - 1) * row_stride + (columns - 1) * column_stride, lies inside the slice. The
    // destination is borrowed mutably, so it aliases neither factor, and its rows do not overlap.
    // Strides fit an isize because they were compared with slice lengths.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            depth,
            destination.values.as_mut_ptr(),
            1,
            stride(destination.row_stride),
            write == Write::Add,
            left.values.as_ptr(),
            stride(left.column_stride),
            stride(left.row_stride),
            right.values.as_ptr(),
            stride(right.column_stride),
            stride(right.row_stride),
            1.0,
            scale,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn product_of_strided_and_transposed_views_is_exact() {
        let left = [1.0, 2.0, 9.0, 3.0, 4.0, 9.0];
        let right = [5.0, 7.0, 6.0, 8.0];
        let mut product = [1.0; 4];
        gemm(
            Write::Add,
            MatrixMut::strided(&mut product, 2),
            2.0,
            Matrix::strided(&left, 2, 2, 3),
            Matrix::new(&right, 2, 2).transposed(),
        );
        assert_eq!(
            product.map(f32::to_bits),
            [39.0, 45.0, 87.0, 101.0_f32].map(f32::to_bits)
        );
    }

    #[test]
    #[should_panic(expected = "reaches past its slice")]
    fn factor_longer_than_its_slice_is_refused() {
        let mut product = [0.0; 4];
        let short = [0.0; 3];
        let target = MatrixMut::strided(&mut product, 2);
        gemm(
            Write::Replace,
            target,
            1.0,
            Matrix::new(&short, 2, 2),
            Matrix::new(&[0.0; 4], 2, 2),
        );
    }

    #[test]
    #[should_panic(expected = "rows of the product overlap")]
    fn overlapping_rows_are_refused() {
        let mut product = [0.0; 4];
        let factor = [0.0; 4];
        let target = MatrixMut::strided(&mut product, 1);
        gemm(
            Write::Replace,
            target,
            1.0,
            Matrix::new(&factor, 2, 2),
            Matrix::new(&factor, 2, 2),
        );
    }
}
