//! Looking tensors up by name in files that are checked first. Refuses a wrong shape before it reads a byte.

use candle_core::{DType, Device, Tensor};
use diffusion::{Error, Result, weights::WeightsFile};

/// A place in the tree of names of a file.
pub(super) struct Reader<'a> {
    file: &'a WeightsFile<'a>,
    prefix: String,
}

impl<'a> Reader<'a> {
    pub(super) fn new(file: &'a WeightsFile<'a>) -> Self {
        Self {
            file,
            prefix: String::new(),
        }
    }

    /// The subtree called `name`.
    pub(super) fn child(&self, name: impl std::fmt::Display) -> Self {
        Self {
            file: self.file,
            prefix: format!("{}{name}.", self.prefix),
        }
    }

    /// A tensor of this place as `f32` on the CPU.
    pub(super) fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let name = format!("{}{name}", self.prefix);
        let Some(stored) = self.file.get(&name) else {
            return Err(Error::MissingTensor {
                name,
                expected: shape.to_vec(),
            });
        };
        if stored.shape() != shape {
            return Err(Error::ShapeMismatch {
                actual: stored.shape().to_vec(),
                expected: shape.to_vec(),
                name,
            });
        }
        self.file.read(&name, DType::F32, &Device::Cpu)
    }
}
