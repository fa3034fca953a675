//! What a configuration implies, compared with what a file lists, before any tensor is made.

use std::collections::BTreeSet;

use candle_core::{DType, Device, Tensor};

use super::{Weights, file::WeightsFile, stored::StoredTensor};
use crate::{
    Error, Result,
    nn::{self, Init, Source},
};

/// Stands in for the tensors of a file: it knows their shapes and has no values.
struct Checker<'a> {
    file: &'a WeightsFile<'a>,
    implied: BTreeSet<String>,
}

impl Source for Checker<'_> {
    fn tensor(&mut self, name: &str, shape: &[usize], _init: Init) -> Result<Tensor> {
        let stored = self.file.get(name).ok_or_else(|| Error::MissingTensor {
            name: name.to_owned(),
            expected: shape.to_vec(),
        })?;
        if stored.shape() != shape {
            return Err(Error::ShapeMismatch {
                name: name.to_owned(),
                expected: shape.to_vec(),
                actual: stored.shape().to_vec(),
            });
        }
        if !stored.element().is_weight() {
            return Err(Error::MalformedTensor {
                name: name.to_owned(),
                reason: format!(
                    "its values are {}; quantised weights are not supported",
                    stored.element().name()
                ),
            });
        }
        self.implied.insert(name.to_owned());
        nn::stand_in(shape)
    }
}

impl WeightsFile<'_> {
    /// Checks that the tensors which `build` asks for are listed with their shapes.
    ///
    /// Returns their names, in order. It stops at the first that is not there, so a configuration of
    /// absurd size costs no more than the file that comes with it.
    pub(crate) fn check<T>(
        &self,
        build: impl FnOnce(&mut dyn Source) -> Result<T>,
    ) -> Result<BTreeSet<String>> {
        let mut checker = Checker {
            file: self,
            implied: BTreeSet::new(),
        };
        build(&mut checker)?;
        Ok(checker.implied)
    }

    /// Number of values in the tensors that `build` asks for, after [`WeightsFile::check`].
    pub(crate) fn check_values<T>(
        &self,
        build: impl FnOnce(&mut dyn Source) -> Result<T>,
    ) -> Result<usize> {
        let names = self.check(build)?;
        let stored = names.iter().filter_map(|name| self.get(name));
        Ok(stored.map(StoredTensor::value_count).sum())
    }

    /// Reads the tensors that `build` asks for, after all of them have been checked.
    pub(crate) fn load_implied<T>(
        &self,
        dtype: DType,
        device: &Device,
        build: impl FnOnce(&mut dyn Source) -> Result<T>,
    ) -> Result<Weights> {
        let names = self.check(build)?.into_iter();
        names
            .map(|name| {
                let tensor = self.read(&name, dtype, device)?;
                Ok((name, tensor))
            })
            .collect()
    }
}
