//! Textual inversion: new tokens whose embeddings train behind a frozen encoder.
//!
//! Gal et al., arXiv 2208.01618. The rows of the new tokens are tensors of their own, looked up
//! for ids past the table, so that a step copies and updates a few rows and never the table.

use std::{collections::BTreeMap, path::Path};

use candle_core::{DType, Device, Tensor, Var};

use super::Tokenizer;
use crate::{
    Error, Result,
    weights::{Parameters, Weights},
};

/// The frozen table, and where the rows of new tokens lie beside it.
const TABLE: &str = "embeddings.token_embedding.weight";
pub(super) const ADDED: &str = "token_embedding.added";

/// A placeholder in prompts, and the trainable embeddings that it stands for.
#[derive(Clone, Debug)]
pub struct TextualInversion {
    token: String,
    parameters: Parameters,
}

impl TextualInversion {
    /// A placeholder for `rows`, `[n, d]`, of which copies train.
    pub fn new(token: &str, rows: &Tensor) -> Result<Self> {
        let (count, width) = rows.dims2()?;
        if token.trim() != token || token.is_empty() || count * width == 0 {
            return Err(Error::InvalidArgument(format!(
                "{count} rows of {width} values for the token {token:?}"
            )));
        }
        let rows = [(ADDED.to_owned(), rows.to_dtype(DType::F32)?)];
        Ok(Self {
            token: token.to_owned(),
            parameters: Parameters::from_weights(&rows.into_iter().collect())?,
        })
    }

    /// A placeholder that starts as the tokens `ids` of a text encoder with these weights.
    pub fn like(token: &str, ids: &[u32], weights: &Weights) -> Result<Self> {
        let (_, table) = table(weights)?;
        let highest = ids.iter().max().map_or(0, |highest| *highest as usize);
        if highest >= table.dim(0)? {
            let reason = format!("no token has the id {highest}");
            return Err(Error::InvalidArgument(reason));
        }
        let ids = Tensor::new(ids, table.device())?;
        Self::new(token, &table.detach().index_select(&ids, 0)?)
    }

    /// The placeholder.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// What trains: one tensor of rows.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn rows(&self) -> &Var {
        let rows = self.parameters.get(ADDED);
        rows.expect("the constructor makes these parameters")
    }

    /// The weights of a text encoder that knows the new tokens too.
    ///
    /// Their ids follow those that `weights` know already, so inversions can follow one another,
    /// and [`Lora::over`](crate::lora::Lora::over), which freezes what it is given, goes first.
    /// Gradient flows to: [`TextualInversion::parameters`] and what trains in `weights`. The table
    /// is not copied.
    pub fn over(&self, weights: &Weights) -> Result<Weights> {
        let (name, table) = table(weights)?;
        let rows = self.rows().as_tensor();
        if table.dim(1)? != rows.dim(1)? {
            return Err(Error::ShapeMismatch {
                name: self.token.clone(),
                expected: vec![rows.dim(0)?, table.dim(1)?],
                actual: rows.dims().to_vec(),
            });
        }
        let name = name.replace("token_embedding.weight", ADDED);
        let rows = match weights.get(&name) {
            Some(earlier) => Tensor::cat(&[earlier, rows], 0)?,
            None => rows.clone(),
        };
        let mut all = weights.clone();
        all.insert(name, rows);
        Ok(all)
    }

    /// The tokenizer with the placeholder, for an encoder over [`TextualInversion::over`] of
    /// `weights`.
    pub fn tokenizer(&self, tokenizer: Tokenizer, weights: &Weights) -> Result<Tokenizer> {
        let (name, table) = table(weights)?;
        let name = name.replace("token_embedding.weight", ADDED);
        let earlier = weights.get(&name).map_or(Ok(0), |rows| rows.dim(0))?;
        let first = table.dim(0)? + earlier;
        let ids = first..first + self.rows().dim(0)?;
        let id = |id| u32::try_from(id).map_err(|_| Error::InvalidArgument(format!("id {id}")));
        tokenizer.with_added_token(&self.token, ids.map(id).collect::<Result<_>>()?)
    }

    /// Saves `learned_embeds.safetensors` as diffusers does: one tensor, called as the token.
    pub fn save(&self, path: impl AsRef<Path>, dtype: DType) -> Result<()> {
        let rows = self.rows().as_detached_tensor();
        let file: Weights = [(self.token.clone(), rows)].into_iter().collect();
        file.save(path, dtype, &BTreeMap::new())
    }

    /// Loads what [`TextualInversion::save`] or diffusers saved; one row may lack its axis.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let file = Weights::load(path, DType::F32, device)?;
        let mut tensors = file.iter();
        let (Some((token, rows)), None) = (tensors.next(), tensors.next()) else {
            let reason = format!("{} tensors where one token is expected", file.len());
            return Err(Error::MalformedWeights { reason });
        };
        Self::from_rows(token, rows)
    }

    /// Loads one tensor of a file that names its tensors by text encoder and not by token.
    ///
    /// Stable Diffusion XL's inversions hold `clip_l` for the first encoder and `clip_g` for the
    /// second.
    pub fn load_part(
        path: impl AsRef<Path>,
        part: &str,
        token: &str,
        device: &Device,
    ) -> Result<Self> {
        let file = Weights::load(path, DType::F32, device)?;
        let rows = file.get(part).ok_or_else(|| Error::MissingTensor {
            name: part.to_owned(),
            expected: vec![],
        })?;
        Self::from_rows(token, rows)
    }

    fn from_rows(token: &str, rows: &Tensor) -> Result<Self> {
        match rows.rank() {
            1 => Self::new(token, &rows.unsqueeze(0)?),
            _ => Self::new(token, rows),
        }
    }
}

/// The table of tokens and its full name.
fn table(weights: &Weights) -> Result<(&str, &Tensor)> {
    let mut tensors = weights.iter();
    let table = tensors.find(|(name, _)| name.ends_with(TABLE));
    table.ok_or_else(|| Error::MissingTensor {
        name: TABLE.to_owned(),
        expected: vec![],
    })
}
