//! Trainable tensors by name.

use std::collections::BTreeMap;

use candle_core::Var;

use super::{Weights, pattern};
use crate::{Error, Result};

/// Variables by name, in the order of their names.
///
/// A model built from [`Parameters::weights`] shares their storage: after an optimiser's step its
/// next forward pass uses the new values.
#[derive(Clone, Debug, Default)]
pub struct Parameters {
    variables: BTreeMap<String, Var>,
}

impl Parameters {
    /// Variables with copies of `weights`, which stay untouched.
    pub fn from_weights(weights: &Weights) -> Result<Self> {
        let variables = weights
            .iter()
            .map(|(name, tensor)| {
                Ok((
                    name.to_owned(),
                    Var::from_tensor(&tensor.detach().copy()?.contiguous()?)?,
                ))
            })
            .collect::<Result<_>>()?;
        Ok(Self { variables })
    }

    /// Variables with copies of those `weights` whose names match one of `patterns`.
    ///
    /// In a pattern each `*` stands for any characters, dots included:
    /// `down_blocks.*.attentions.*`. A pattern that matches nothing is refused by name. What is
    /// left out stays frozen: see [`Parameters::over`].
    pub fn matching(weights: &Weights, patterns: &[impl AsRef<str>]) -> Result<Self> {
        let names = weights.iter().map(|(name, _)| name).collect::<Vec<_>>();
        let chosen: Weights = pattern::select(names.iter().copied(), patterns)?
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), weights.get(name)?.clone())))
            .collect();
        Self::from_weights(&chosen)
    }

    /// `weights` with the variables in the places of their names: what a model is built from
    /// whose other tensors are frozen.
    ///
    /// Gradient flows to: the variables. No memory is copied.
    #[must_use]
    pub fn over(&self, weights: &Weights) -> Weights {
        let mut all: Weights = (weights.iter())
            .map(|(name, tensor)| (name.to_owned(), tensor.detach()))
            .collect();
        for (name, variable) in self.iter() {
            all.insert(name, variable.as_tensor().clone());
        }
        all
    }

    /// The variables of several models as one set, each under its own prefix: what one optimiser's step updates.
    ///
    /// The variables are shared, not copied. A name that occurs twice is refused.
    pub fn joined(parts: &[(&str, &Self)]) -> Result<Self> {
        let mut variables = BTreeMap::new();
        for (prefix, part) in parts {
            for (name, variable) in part.iter() {
                let name = format!("{prefix}{name}");
                if variables.contains_key(&name) {
                    return Err(Error::InvalidArgument(format!(
                        "two parameters are called {name}"
                    )));
                }
                variables.insert(name, variable.clone());
            }
        }
        Ok(Self { variables })
    }

    /// The variables as tensors that share their storage and track gradients.
    pub fn weights(&self) -> Weights {
        self.iter()
            .map(|(name, variable)| (name.to_owned(), variable.as_tensor().clone()))
            .collect()
    }

    /// A copy of the present values.
    pub fn snapshot(&self) -> Weights {
        self.weights().deep_copy()
    }

    /// Overwrites all values in place; names and shapes must be exactly the parameters'.
    pub fn assign(&self, weights: &Weights) -> Result<()> {
        for (name, variable) in self.iter() {
            let tensor = weights.get(name).ok_or_else(|| Error::MissingTensor {
                name: name.to_owned(),
                expected: variable.dims().to_vec(),
            })?;
            if tensor.dims() != variable.dims() {
                return Err(Error::ShapeMismatch {
                    name: name.to_owned(),
                    expected: variable.dims().to_vec(),
                    actual: tensor.dims().to_vec(),
                });
            }
        }
        if let Some((name, _)) = weights.iter().find(|(name, _)| self.get(name).is_none()) {
            return Err(Error::InvalidArgument(format!(
                "no parameter is called {name}"
            )));
        }
        for (name, variable) in self.iter() {
            if let Some(tensor) = weights.get(name) {
                variable.set(&tensor.detach().copy()?)?;
            }
        }
        Ok(())
    }

    /// The variable called `name`.
    pub fn get(&self, name: &str) -> Option<&Var> {
        self.variables.get(name)
    }

    /// All variables in the order of their names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Var)> {
        self.variables
            .iter()
            .map(|(name, variable)| (name.as_str(), variable))
    }

    /// Number of variables.
    pub fn len(&self) -> usize {
        self.variables.len()
    }

    /// Whether there is no variable.
    pub fn is_empty(&self) -> bool {
        self.variables.is_empty()
    }
}
