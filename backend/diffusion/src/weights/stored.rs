//! A tensor that lies in a file: what it is, and where.

use super::element::ElementType;

/// A tensor of a [`super::WeightsFile`], not yet read.
#[derive(Clone, Debug)]
pub struct StoredTensor {
    pub(super) part: usize,
    pub(super) start: u64,
    pub(super) element: ElementType,
    pub(super) shape: Vec<usize>,
    pub(super) transposed: bool,
}

impl StoredTensor {
    /// Type of the values.
    pub fn element(&self) -> ElementType {
        self.element
    }

    /// Shape of the tensor as it will be read.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of values.
    pub fn value_count(&self) -> usize {
        self.shape.iter().product()
    }

    /// Shape of the tensor as it lies in the file.
    pub(super) fn file_shape(&self) -> Vec<usize> {
        let mut shape = self.shape.clone();
        if self.transposed {
            shape.reverse();
        }
        shape
    }

    /// One of `count` equal pieces along the first axis, if there are so many.
    pub(crate) fn piece(&self, index: usize, count: usize) -> Option<Self> {
        let rows = *self.shape.first()?;
        if self.transposed || index >= count || !rows.is_multiple_of(count) {
            return None;
        }
        let mut piece = self.clone();
        piece.shape[0] = rows / count;
        let bytes = piece.value_count() * self.element.size_in_bytes();
        piece.start += (index * bytes) as u64;
        Some(piece)
    }

    /// The same values without axes of one behind the second: a 1x1 kernel as a matrix.
    pub(crate) fn as_matrix(&self) -> Self {
        let mut matrix = self.clone();
        if !self.transposed && self.shape.len() > 2 && self.shape[2..].iter().all(|dim| *dim == 1) {
            matrix.shape.truncate(2);
        }
        matrix
    }

    /// A matrix with rows and columns exchanged when it is read.
    pub(crate) fn flipped(&self) -> Option<Self> {
        (self.shape.len() == 2).then(|| {
            let mut flipped = self.clone();
            flipped.shape.reverse();
            flipped.transposed = !self.transposed;
            flipped
        })
    }
}
