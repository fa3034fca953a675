//! The embedded base model and metric encoder.

macro_rules! files {
    ($($path:literal,)*) => {
        &[$(($path, include_bytes!(concat!("../model/", $path))),)*]
    };
}

/// The base model as a diffusers folder: relative path and content of every file.
#[inline(never)]
pub fn model_files() -> &'static [(&'static str, &'static [u8])] {
    files![
        "NOTICE",
        "model_index.json",
        "persguard.json",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "text_encoder/model.safetensors",
        "tokenizer/merges.txt",
        "tokenizer/special_tokens_map.json",
        "tokenizer/tokenizer_config.json",
        "tokenizer/vocab.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/config.json",
    ]
}

/// The metric encoder of the demo domain, as `eval::Encoder::load` reads it.
#[inline(never)]
pub fn encoder() -> &'static [u8] {
    include_bytes!("../encoder.safetensors")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_small_and_every_file_is_named_once() {
        let size: usize = model_files().iter().map(|(_, content)| content.len()).sum();
        assert!(size < 24 << 20, "{size} bytes");
        let mut names: Vec<_> = model_files().iter().map(|(name, _)| name).collect();
        names.dedup();
        assert_eq!(names.len(), model_files().len());
        assert!(encoder().len() < 4 << 20);
    }

    #[test]
    fn the_card_names_identifiers_and_captions_that_a_node_may_draw_from() {
        let card = model_files()
            .iter()
            .find(|(name, _)| *name == "persguard.json");
        let quoted: Vec<_> = crate::IDENTIFIERS
            .iter()
            .map(|word| format!("\"{word}\""))
            .collect();
        let identifiers = format!("\"identifiers\":[{}]}}\n", quoted.join(","));
        let (_, content) = card.expect("the model has a card");
        let text = std::str::from_utf8(content).expect("the card is text");
        assert!(text.ends_with(&identifiers), "{text}");
        // What protection leaves alone: every class.
        for class in crate::CLASSES {
            assert!(text.contains(&format!(" {class}\"")), "{class}");
        }
    }
}
