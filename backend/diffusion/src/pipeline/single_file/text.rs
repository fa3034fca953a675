//! Text encoders in the original layouts: names and configurations.

use crate::{
    Error, Result,
    text::{HiddenActivation, TextConfig},
    weights::{StoredTensor, WeightsFile},
};

/// Channels of a head in all published text encoders.
const HEAD: usize = 64;

/// The tensors of `OpenAI`'s encoder: transformers' names behind a prefix.
pub(super) fn clip<'a>(file: &WeightsFile<'a>, prefix: &str) -> WeightsFile<'a> {
    file.renamed(|name| {
        let name = name.strip_prefix(prefix)?;
        // Some tools left out the level that others write.
        let full = name.starts_with("text_model.") || name.starts_with("text_projection.");
        Some(if full {
            name.to_owned()
        } else {
            format!("text_model.{name}")
        })
    })
}

/// The tensors of an open encoder under transformers' names.
///
/// Queries, keys and values lie in one matrix there, and the projection multiplies from the right.
pub(super) fn open_clip<'a>(file: &WeightsFile<'a>, prefix: &str) -> WeightsFile<'a> {
    file.mapped(|name, stored| match name.strip_prefix(prefix) {
        Some(name) => tensors(name, stored),
        None => Vec::new(),
    })
}

fn tensors(name: &str, stored: &StoredTensor) -> Vec<(String, StoredTensor)> {
    let keep = |name: String| vec![(name, stored.clone())];
    match name {
        "token_embedding.weight" => keep("text_model.embeddings.token_embedding.weight".to_owned()),
        "positional_embedding" => {
            keep("text_model.embeddings.position_embedding.weight".to_owned())
        }
        "text_projection" => stored
            .flipped()
            .map(|flipped| ("text_projection.weight".to_owned(), flipped))
            .into_iter()
            .collect(),
        _ => match name.strip_prefix("transformer.resblocks.") {
            Some(rest) => layer(rest, stored),
            None => match name.strip_prefix("ln_final.") {
                Some(leaf) => keep(format!("text_model.final_layer_norm.{leaf}")),
                None => Vec::new(),
            },
        },
    }
}

/// Layers with their names in transformers.
const LAYERS: &[(&str, &str)] = &[
    ("ln_1.", "layer_norm1"),
    ("ln_2.", "layer_norm2"),
    ("mlp.c_fc.", "mlp.fc1"),
    ("mlp.c_proj.", "mlp.fc2"),
    ("attn.out_proj.", "self_attn.out_proj"),
];

fn layer(rest: &str, stored: &StoredTensor) -> Vec<(String, StoredTensor)> {
    let Some((index, rest)) = rest.split_once('.') else {
        return Vec::new();
    };
    let place = format!("text_model.encoder.layers.{index}");
    if let Some(leaf) = rest.strip_prefix("attn.in_proj_") {
        let pieces = ["q", "k", "v"].into_iter().enumerate();
        return pieces
            .filter_map(|(piece, name)| {
                let name = format!("{place}.self_attn.{name}_proj.{leaf}");
                Some((name, stored.piece(piece, 3)?))
            })
            .collect();
    }
    let named = LAYERS.iter().find_map(|(old, new)| {
        let leaf = rest.strip_prefix(old)?;
        Some((format!("{place}.{new}.{leaf}"), stored.clone()))
    });
    named.into_iter().collect()
}

/// The configuration of `OpenAI`'s encoder.
pub(super) fn config(file: &WeightsFile<'_>) -> Result<TextConfig> {
    let shape = |name: &str| {
        let name = format!("text_model.{name}.weight");
        match file.get(&name).map(StoredTensor::shape) {
            Some([rows, columns]) => Ok((*rows, *columns)),
            _ => Err(Error::MissingTensor {
                name,
                expected: Vec::new(),
            }),
        }
    };
    let (vocab_size, hidden_size) = shape("embeddings.token_embedding")?;
    let (positions, _) = shape("embeddings.position_embedding")?;
    let (intermediate_size, _) = shape("encoder.layers.0.mlp.fc1")?;
    if hidden_size < HEAD || !hidden_size.is_multiple_of(HEAD) {
        return Err(Error::InvalidConfig(format!(
            "text of {hidden_size} channels in heads of {HEAD}; give the text encoder's configuration"
        )));
    }
    let layer = |layer: &usize| {
        let name = format!("text_model.encoder.layers.{layer}.mlp.fc1.weight");
        file.get(&name).is_some()
    };
    let end = vocab_size.checked_sub(1).map(u32::try_from);
    Ok(TextConfig {
        vocab_size,
        hidden_size,
        intermediate_size,
        num_hidden_layers: (0..file.len()).take_while(layer).count(),
        num_attention_heads: hidden_size / HEAD,
        max_position_embeddings: positions,
        eos_token_id: end.and_then(std::result::Result::ok),
        ..TextConfig::default()
    })
}

/// The configuration of an open encoder whose last layer is not used, as in Stable Diffusion 2.
pub(super) fn config_before_last(file: &WeightsFile<'_>) -> Result<TextConfig> {
    let config = config(file)?;
    Ok(TextConfig {
        num_hidden_layers: config.num_hidden_layers.saturating_sub(1),
        hidden_act: HiddenActivation::Gelu,
        ..config
    })
}

/// The configuration of an open encoder with its projection.
pub(super) fn projecting_config(file: &WeightsFile<'_>) -> Result<TextConfig> {
    let config = config(file)?;
    let projection = file.get("text_projection.weight");
    let outputs = projection.and_then(|stored| stored.shape().first().copied());
    Ok(TextConfig {
        projection_dim: outputs.unwrap_or(config.hidden_size),
        hidden_act: HiddenActivation::Gelu,
        architectures: Some(vec!["CLIPTextModelWithProjection".to_owned()]),
        ..config
    })
}
