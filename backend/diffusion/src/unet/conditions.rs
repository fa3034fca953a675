//! What a prediction is conditioned on, row by row.

use candle_core::{D, Tensor};

use crate::Result;

/// Text, and what Stable Diffusion XL adds to the time embedding.
///
/// All tensors share their first axis, one row per prediction.
#[derive(Clone, Debug)]
pub struct Conditions {
    /// States of the text, `[b, s, d]`.
    pub context: Tensor,
    /// Which states are seen, `[b, s]`: 1 seen, 0 hidden. Without it all are.
    pub mask: Option<Tensor>,
    /// Pooled text and sizes, where the model takes them.
    pub added: Option<AddedConditions>,
}

/// The micro-conditions of Stable Diffusion XL (Podell et al., arXiv 2307.01952, section 2.2).
#[derive(Clone, Debug)]
pub struct AddedConditions {
    /// Pooled and projected text of the last encoder, `[b, p]`.
    pub pooled: Tensor,
    /// Original height and width, top and left of the crop, target height and width: `[b, 6]`.
    pub time_ids: Tensor,
}

impl From<Tensor> for Conditions {
    /// Text alone.
    fn from(context: Tensor) -> Self {
        Self {
            context,
            mask: None,
            added: None,
        }
    }
}

impl Conditions {
    /// Rows.
    pub fn rows(&self) -> Result<usize> {
        Ok(self.context.dim(0)?)
    }

    /// The rows `indices` (`u32`, `[n]`), in that order.
    pub fn select(&self, indices: &Tensor) -> Result<Self> {
        self.map(|tensor| Ok(tensor.index_select(indices, 0)?))
    }

    /// One row, `count` times.
    pub fn repeat(&self, count: usize) -> Result<Self> {
        self.map(|tensor| Ok(tensor.repeat(first_axis(tensor, count))?))
    }

    /// The same conditions out of the graph.
    #[must_use]
    pub fn detach(&self) -> Self {
        self.map(|tensor| Ok(tensor.detach()))
            .expect("detaching cannot fail")
    }

    /// Everything that counts as "no text": zeros where the text was, sizes as they are.
    pub fn without_text(&self) -> Result<Self> {
        let added = self.added.as_ref().map(|added| {
            Ok::<_, crate::Error>(AddedConditions {
                pooled: added.pooled.zeros_like()?,
                time_ids: added.time_ids.clone(),
            })
        });
        Ok(Self {
            context: self.context.zeros_like()?,
            mask: self.mask.clone(),
            added: added.transpose()?,
        })
    }

    /// The rows of all `parts`, which must agree in what they hold.
    pub fn cat(parts: &[&Self]) -> Result<Self> {
        let join = |part: fn(&Self) -> Option<&Tensor>| -> Result<Option<Tensor>> {
            let tensors: Vec<_> = parts
                .iter()
                .filter_map(|conditions| part(conditions))
                .collect();
            if tensors.is_empty() {
                return Ok(None);
            }
            if tensors.len() != parts.len() {
                return Err(crate::Error::InvalidArgument(
                    "some of the joined conditions lack what the others have".to_owned(),
                ));
            }
            Ok(Some(Tensor::cat(&tensors, 0)?))
        };
        let pooled = join(|conditions| conditions.added.as_ref().map(|added| &added.pooled))?;
        let time_ids = join(|conditions| conditions.added.as_ref().map(|added| &added.time_ids))?;
        let contexts: Vec<_> = parts.iter().map(|conditions| &conditions.context).collect();
        Ok(Self {
            context: Tensor::cat(&contexts, 0)?,
            mask: join(|conditions| conditions.mask.as_ref())?,
            added: pooled
                .zip(time_ids)
                .map(|(pooled, time_ids)| AddedConditions { pooled, time_ids }),
        })
    }

    /// Whether every part has one row per row of the context.
    pub(super) fn is_consistent(&self) -> bool {
        let rows = self.context.dims().first();
        let (batch, length) = (rows.copied(), self.context.dim(D::Minus2).ok());
        let mask = self.mask.as_ref();
        let masked = mask.is_none_or(|mask| mask.dims().first().copied() == batch);
        let lengths = mask.is_none_or(|mask| mask.dims2().is_ok() && mask.dim(1).ok() == length);
        let added = self.added.as_ref();
        let added = added.is_none_or(|added| {
            added.pooled.dims().first() == rows && added.time_ids.dims().first() == rows
        });
        masked && lengths && added
    }

    fn map(&self, change: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Self> {
        let added = self.added.as_ref().map(|added| {
            Ok::<_, crate::Error>(AddedConditions {
                pooled: change(&added.pooled)?,
                time_ids: change(&added.time_ids)?,
            })
        });
        Ok(Self {
            context: change(&self.context)?,
            mask: self.mask.as_ref().map(&change).transpose()?,
            added: added.transpose()?,
        })
    }
}

/// Repetitions of a tensor of any rank along its first axis.
fn first_axis(tensor: &Tensor, count: usize) -> Vec<usize> {
    let mut repeats = vec![1; tensor.rank()];
    repeats[0] = count;
    repeats
}
