//! Whether the parts of a model fit each other, by their configurations alone.

use crate::{
    Error, Result,
    schedule::{NoiseSchedule, ScheduleConfig},
    text::{TextConfig, Tokenizer},
    unet::UNetConfig,
};

/// A text encoder's configuration with its tokenizer.
pub(super) type Text<'a> = (&'a TextConfig, &'a Tokenizer);

/// The configurations of a model's parts.
pub(super) struct Fit<'a> {
    pub(super) unet: &'a UNetConfig,
    pub(super) latent_channels: usize,
    pub(super) schedule: &'a ScheduleConfig,
    pub(super) text: Text<'a>,
    pub(super) second_text: Option<Text<'a>>,
}

impl Fit<'_> {
    /// Refuses parts that do not fit each other.
    pub(super) fn check(&self) -> Result<()> {
        NoiseSchedule::new(self.schedule)?;
        let invalid = |reason: String| Err(Error::InvalidConfig(reason));
        if self.unet.sample_size.is_none() {
            return invalid("the U-Net has no sample_size".to_owned());
        }
        let latent = self.latent_channels;
        let channels = (self.unet.in_channels, self.unet.out_channels);
        if channels != (latent, latent) {
            return invalid(format!(
                "a U-Net of {channels:?} channels for {latent} of latents"
            ));
        }
        self.check_text()
    }

    /// Refuses text that does not fit the denoiser or its tokenizers.
    fn check_text(&self) -> Result<()> {
        check_vocabulary(self.text)?;
        self.second_text.map_or(Ok(()), check_vocabulary)?;
        let second = self.second_text.map(|(config, _)| config);
        let hidden = second.map_or(0, |config| config.hidden_size);
        let states = self.text.0.hidden_size.saturating_add(hidden);
        let context = self.unet.cross_attention_dim;
        if states != context {
            return Err(Error::InvalidConfig(format!(
                "text of {states} channels for a context of {context}"
            )));
        }
        let sizes = self.unet.addition_time_embed_dim.unwrap_or(0);
        let sizes = sizes.saturating_mul(6);
        let given = second.map(|config| config.projection_dim.saturating_add(sizes));
        let expected = self.unet.added_channels();
        if given != expected || !second.is_none_or(TextConfig::projects) {
            return Err(Error::InvalidConfig(format!(
                "pooled text and sizes of {given:?} channels for {expected:?} beside the time embedding"
            )));
        }
        Ok(())
    }
}

fn check_vocabulary((config, tokenizer): Text<'_>) -> Result<()> {
    let (ids, known) = (tokenizer.vocabulary_size(), config.vocab_size);
    let (length, longest) = (tokenizer.max_length(), config.max_position_embeddings);
    if ids > known || length > longest {
        return Err(Error::InvalidConfig(format!(
            "a tokenizer of {ids} ids and {length} tokens for an encoder of {known} and {longest}"
        )));
    }
    Ok(())
}
