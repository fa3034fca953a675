//! Which token fills prompts up, by the files of a `tokenizer/` folder as transformers reads them.

use serde_json::{Map, Value};

use super::Tokenizer;
use crate::{Error, Result};

/// The padding that a file names, as a text or as an object with its `content`.
pub(super) fn pad_token(fields: &Map<String, Value>) -> Option<&str> {
    let pad = fields.get("pad_token")?;
    pad.get("content").unwrap_or(pad).as_str()
}

impl Tokenizer {
    /// This tokenizer, made from `config`, with the padding that `special_tokens_map.json` names: the map speaks last,
    /// and some folders of Stable Diffusion 2 name their `!` in it alone.
    ///
    /// Transformers does not read the map where `config` lists `added_tokens_decoder`, as its releases from 4.34 on
    /// write it (`PreTrainedTokenizerBase._from_pretrained`).
    pub fn with_special_tokens(self, map: &[u8], config: Option<&[u8]>) -> Result<Self> {
        let config = config.map(|config| read("tokenizer_config.json", config));
        let config = config.transpose()?.unwrap_or_default();
        if config.contains_key("added_tokens_decoder") {
            return Ok(self);
        }
        match pad_token(&read("special_tokens_map.json", map)?) {
            Some(pad) => self.padded_with(pad),
            None => Ok(self),
        }
    }
}

fn read(file: &str, bytes: &[u8]) -> Result<Map<String, Value>> {
    serde_json::from_slice(bytes).map_err(|source| Error::Json {
        file: format!("tokenizer/{file}"),
        source,
    })
}
