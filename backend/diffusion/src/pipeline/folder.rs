//! A model folder in the diffusers layout, listed.

use serde::de::DeserializeOwned;

use super::{
    files::{
        MODEL_WEIGHTS, SCHEDULER, SECOND_TEXT, SECOND_TOKENIZER, Source, TEXT, TEXT_WEIGHTS,
        TOKENIZER, weights,
    },
    parts::{Parts, TextPart, VaePart},
};
use crate::{
    Error, Result,
    plan::Models,
    schedule::ScheduleConfig,
    text::{TextConfig, Tokenizer},
    unet::UNetConfig,
    vae::AutoencoderConfig,
};

/// Reads configurations and headers of a folder.
pub(super) fn parts(source: &dyn Source) -> Result<Parts<'_>> {
    let has = |name: &str| Ok::<_, Error>(source.find(name)?.is_some());
    let second_text = has(&format!("{SECOND_TEXT}/config.json"))?
        .then(|| text(source, SECOND_TEXT, SECOND_TOKENIZER));
    let model_index = has("model_index.json")?.then(|| parse(source, "model_index.json"));
    let vae = match vae(source)? {
        AutoencoderConfig::Haar(config) => VaePart::Haar(config),
        AutoencoderConfig::Kl(config) => {
            VaePart::Kl(config, weights(source, "vae", MODEL_WEIGHTS)?)
        }
    };
    Ok(Parts {
        unet: (unet(source)?, weights(source, "unet", MODEL_WEIGHTS)?),
        vae,
        text: text(source, TEXT, TOKENIZER)?,
        second_text: second_text.transpose()?,
        schedule: schedule(source)?,
        model_index: model_index.transpose()?,
    })
}

/// Reads configurations alone.
pub(super) fn models(source: &dyn Source) -> Result<Models> {
    let mut texts = vec![text_config(source, TEXT)?];
    if source
        .find(&format!("{SECOND_TEXT}/config.json"))?
        .is_some()
    {
        texts.push(text_config(source, SECOND_TEXT)?);
    }
    Ok(Models {
        unet: unet(source)?,
        texts,
        vae: vae(source)?,
    })
}

fn unet(source: &dyn Source) -> Result<UNetConfig> {
    parse(source, "unet/config.json")
}

fn vae(source: &dyn Source) -> Result<AutoencoderConfig> {
    AutoencoderConfig::parse(&require(source, "vae/config.json")?)
}

fn text_config(source: &dyn Source, part: &str) -> Result<TextConfig> {
    parse(source, &format!("{part}/config.json"))
}

fn require(source: &dyn Source, name: &str) -> Result<Vec<u8>> {
    source
        .find(name)?
        .ok_or_else(|| Error::MissingFile(name.to_owned()))
}

fn parse<T: DeserializeOwned>(source: &dyn Source, name: &str) -> Result<T> {
    let json = |source| Error::Json {
        file: name.to_owned(),
        source,
    };
    serde_json::from_slice(&require(source, name)?).map_err(json)
}

fn schedule(source: &dyn Source) -> Result<ScheduleConfig> {
    let json = |source| Error::Json {
        file: SCHEDULER.to_owned(),
        source,
    };
    ScheduleConfig::from_json(&require(source, SCHEDULER)?).map_err(json)
}

fn text<'a>(source: &'a dyn Source, part: &str, folder: &str) -> Result<TextPart<'a>> {
    Ok(TextPart {
        config: text_config(source, part)?,
        file: weights(source, part, TEXT_WEIGHTS)?,
        tokenizer: tokenizer(source, folder)?,
    })
}

fn tokenizer(source: &dyn Source, folder: &str) -> Result<Tokenizer> {
    let config = source.find(&format!("{folder}/tokenizer_config.json"))?;
    let tokenizer = Tokenizer::from_files(
        &require(source, &format!("{folder}/vocab.json"))?,
        &require(source, &format!("{folder}/merges.txt"))?,
        config.as_deref(),
    )?;
    match source.find(&format!("{folder}/special_tokens_map.json"))? {
        Some(map) => tokenizer.with_special_tokens(&map, config.as_deref()),
        None => Ok(tokenizer),
    }
}
