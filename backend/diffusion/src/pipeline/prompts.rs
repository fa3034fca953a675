//! Prompts to conditions: one text encoder, or two side by side.

use candle_core::{Device, Tensor};
use serde_json::Value;

use super::Pipeline;
use crate::{
    Error, Result,
    text::Tokenizer,
    unet::{AddedConditions, Conditions},
};

impl Pipeline {
    /// Conditions of prompts, one row each.
    ///
    /// With one encoder the context is its last state. With two, as in Stable Diffusion XL, it is
    /// the states before the last of both, side by side, and the pooled text of the second joins
    /// the sizes of an uncropped image (Podell et al., arXiv 2307.01952, sections 2.1 and 2.2).
    pub fn encode_prompts(&self, prompts: &[String]) -> Result<Conditions> {
        let ids = token_ids(self.device(), &self.tokenizer, prompts)?;
        let Some(second) = &self.second_text else {
            return Ok(self.text.forward(&ids)?.into());
        };
        let first = self.text.states(&ids)?.penultimate;
        let ids = token_ids(self.device(), &second.tokenizer, prompts)?;
        let states = second.encoder.states(&ids)?;
        Ok(Conditions {
            context: Tensor::cat(&[&first, &states.penultimate], 2)?,
            mask: None,
            added: Some(AddedConditions {
                pooled: second.encoder.projected(&ids, &states.last)?,
                time_ids: self.time_ids(prompts.len(), first.device())?,
            }),
        })
    }

    /// Conditions without a prompt, what guidance leads away from: one row.
    ///
    /// The empty prompt, or zeros where `model_index.json` asks for them
    /// (`force_zeros_for_empty_prompt`, on by default with two encoders).
    pub fn unconditional(&self) -> Result<Conditions> {
        let empty = self.encode_prompts(&[String::new()])?;
        let index = self.model_index.as_ref();
        let asked = index.and_then(|index| index.get("force_zeros_for_empty_prompt"));
        let zeros = asked.and_then(Value::as_bool).unwrap_or(true);
        if self.second_text.is_some() && zeros {
            return empty.without_text();
        }
        Ok(empty)
    }

    /// Sizes of an image of the model's own size that nobody cropped.
    fn time_ids(&self, rows: usize, device: &Device) -> Result<Tensor> {
        let side = self.image_side() as f32;
        let ids = Tensor::new(&[[side, side, 0.0, 0.0, side, side]], device)?;
        Ok(ids.repeat((rows, 1))?)
    }
}

fn token_ids(device: &Device, tokenizer: &Tokenizer, prompts: &[String]) -> Result<Tensor> {
    if prompts.is_empty() {
        return Err(Error::InvalidArgument("no prompts".to_owned()));
    }
    let ids: Vec<u32> = prompts
        .iter()
        .flat_map(|prompt| tokenizer.encode(prompt))
        .collect();
    let shape = (prompts.len(), tokenizer.max_length());
    Ok(Tensor::from_vec(ids, shape, device)?)
}
