//! Files of a model's folder beside its weights: configurations, vocabularies, prompts.

use std::sync::LazyLock;

use diffusion::{
    schedule::{NoiseSchedule, ScheduleConfig},
    text::{Cleaning, TextConfig, Tokenizer},
    unet::UNetConfig,
    vae::{AutoencoderConfig, KlConfig},
    weights::WeightsFile,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Target,
    target::{choice, texts, written},
};

pub(super) const TARGETS: &[Target] = &[
    Target::new("configuration", configuration, || {
        texts(&[
            r#"A{"block_out_channels":[32,64],"layers_per_block":1,"down_block_types":["CrossAttnDownBlock2D","DownBlock2D"],"up_block_types":["UpBlock2D","CrossAttnUpBlock2D"],"cross_attention_dim":64,"attention_head_dim":[4,8],"sample_size":16,"norm_num_groups":8}"#,
            r#"B{"vocab_size":600,"hidden_size":64,"num_hidden_layers":2,"num_attention_heads":4,"hidden_act":"gelu","architectures":["CLIPTextModelWithProjection"]}"#,
            r#"C{"_class_name":"AutoencoderKL","block_out_channels":[32,64],"down_block_types":["DownEncoderBlock2D","DownEncoderBlock2D"],"up_block_types":["UpDecoderBlock2D","UpDecoderBlock2D"],"latent_channels":4}"#,
            r#"C{"_class_name":"HaarTransform","levels":2,"low_divisor":1.2,"detail_factor":3.0}"#,
            r#"D{"_class_name":"DDIMScheduler","num_train_timesteps":1000,"beta_schedule":"scaled_linear","beta_start":0.00085,"beta_end":0.012,"prediction_type":"v_prediction","steps_offset":1}"#,
            r#"D{"_class_name":"PNDMScheduler","beta_schedule":"squaredcos_cap_v2","rescale_betas_zero_snr":true,"prediction_type":"v_prediction"}"#,
        ])
    })
    .longest(2048)
    .words(&[
        "null", "18446744073709551615", "9223372036854775808", "4294967296", "0", "-1", "1e308", "\"num_train_timesteps\":",
        "\"layers_per_block\":", "\"norm_num_groups\":", "\"attention_head_dim\":", "\"transformer_layers_per_block\":[", "\"beta_end\":",
        "\"clip_sample_range\":", "\"addition_embed_type\":\"text_time\"", "\"projection_class_embeddings_input_dim\":2816",
        "\"_class_name\":", "\"timestep_spacing\":\"trailing\"", "1.0",
    ]),
    Target::new("tokenizer_files", tokenizer_files, || vec![tokenizer_seed()])
        .longest(4096)
        .words(&[
            "<|startoftext|>", "<|endoftext|>", "</w>", "\"model_max_length\":", "\"pad_token\":{\"content\":\"!\"}", "\0", "\n", "\r\n",
            "#version: 0.2\n", "\u{120}", "4294967295", "\u{2028}",
        ]),
    Target::new("prompt", prompt, || {
        texts(&["Aa photo of sks dog", "Ba caf\u{e9} &amp; cr\u{c3}\u{a8}me", "A<|endoftext|>'S \u{1f600}\u{345}"])
    })
    .words(&[
        "<|startoftext|>", "<|endoftext|>", "'ll", "&amp;", "&#x41;", "&amp;lt;", "\u{fb01}", "\u{200b}", "\u{301}", "\u{c3}\u{a9}",
        "\u{ff21}", "\u{1b}[31m", "\u{2019}", "\u{345}", "\u{130}", "\u{feff}", "\u{f000}",
    ]),
];

/// Reading, checking and writing take little whatever sizes a file claims.
fn configuration(bytes: &[u8]) {
    let Some((choice, json)) = choice(bytes) else {
        return;
    };
    let empty = WeightsFile::from_bytes(b"\x02\0\0\0\0\0\0\0{}").expect("a file without tensors");
    match choice {
        0 => {
            if let Some(config) = settles::<UNetConfig>(json) {
                assert!(config.check_file(&empty).is_err());
            }
        }
        1 => {
            if let Some(config) = settles::<TextConfig>(json) {
                assert!(config.check_file(&empty).is_err());
            }
        }
        2 => {
            if let Ok(AutoencoderConfig::Kl(config)) = AutoencoderConfig::parse(json) {
                assert!(config.check_file(&empty).is_err());
                assert!(config.factor() > 0);
                settles::<KlConfig>(json);
            }
            if let Ok(config) = AutoencoderConfig::parse(json)
                && let (Ok(factor), Ok(_)) = (config.factor(), config.latent_channels())
            {
                assert!(factor.is_power_of_two());
            }
        }
        _ => {
            if let Ok(config) = ScheduleConfig::from_json(json)
                && let Ok(schedule) = NoiseSchedule::new(&config)
            {
                let alphas = schedule.alphas_cumprod();
                assert_eq!(alphas.len(), config.num_train_timesteps);
                assert!(
                    alphas.iter().all(|alpha| (0.0..=1.0).contains(alpha)),
                    "{config:?}"
                );
            }
        }
    }
}

fn settles<T: DeserializeOwned + Serialize>(json: &[u8]) -> Option<T> {
    let read: T = serde_json::from_slice(json).ok()?;
    if let Some(text) = written(&read) {
        let again: T = serde_json::from_str(&text).expect("what was written is read");
        assert_eq!(written(&again), Some(text));
    }
    Some(read)
}

fn tokenizer_seed() -> Vec<u8> {
    let vocabulary = r#"{"a":0,"b":1,"a</w>":2,"b</w>":3,"ab</w>":4,"!":5,"<|startoftext|>":6,"<|endoftext|>":7}"#;
    let config = r#"{"pad_token":"!","model_max_length":12}"#;
    [vocabulary, "#version: 0.2\na b</w>\n", config, "ab a b"]
        .join("\0")
        .into_bytes()
}

/// Vocabulary, merges, configuration and a prompt, a zero byte between them.
fn tokenizer_files(bytes: &[u8]) {
    let parts: Vec<&[u8]> = bytes.splitn(4, |byte| *byte == 0).collect();
    let &[vocabulary, merges, config, prompt] = parts.as_slice() else {
        return;
    };
    let config = (!config.is_empty()).then_some(config);
    let Ok(tokenizer) = Tokenizer::from_files(vocabulary, merges, config) else {
        return;
    };
    let prompt = String::from_utf8_lossy(prompt);
    let ids = tokenizer.encode(&prompt);
    assert_eq!(ids.len(), tokenizer.max_length());
    assert!(
        ids.iter()
            .all(|id| (*id as usize) < tokenizer.vocabulary_size())
    );
    let files = tokenizer.to_files();
    let again = Tokenizer::from_files(
        &files["vocab.json"],
        &files["merges.txt"],
        Some(&files["tokenizer_config.json"]),
    );
    assert_eq!(
        again.expect("what was written is read").encode(&prompt),
        ids
    );
}

static CLIP: LazyLock<[Tokenizer; 2]> = LazyLock::new(|| {
    [Cleaning::Transformers, Cleaning::Original]
        .map(|cleaning| Tokenizer::clip().with_cleaning(cleaning))
});

/// Every text has as many ids as it should, all of them known.
fn prompt(bytes: &[u8]) {
    let Some((choice, text)) = choice(bytes) else {
        return;
    };
    let text = String::from_utf8_lossy(text);
    let tokenizer = &CLIP[choice % 2];
    let ids = tokenizer.encode(&text);
    assert_eq!(ids.len(), 77);
    let tokens = tokenizer.tokenize(&text);
    assert!(ids.iter().chain(&tokens).all(|id| *id < 49_408));
    let kept = tokens.len().min(75);
    assert_eq!(ids[1..=kept], tokens[..kept]);
    assert_eq!(tokenizer.tokenize(&text), tokens);
}
