//! The tokenizer against `CLIPTokenizer`.

use std::{fs, time::Instant};

use diffusion::text::{Cleaning, Tokenizer};
use serde::Deserialize;

use crate::support::path;

#[derive(Deserialize)]
struct Expected {
    strings: Vec<String>,
    ids: Vec<Vec<u32>>,
}

fn fixture() -> Tokenizer {
    let read = |name: &str| fs::read(path("tokenizer").join(name)).expect("fixture exists");
    let config = read("tokenizer_config.json");
    Tokenizer::from_files(&read("vocab.json"), &read("merges.txt"), Some(&config)).unwrap()
}

#[test]
fn ids_agree_with_transformers() {
    let expected = fs::read(path("tokenizer/expected.json")).unwrap();
    let expected: Expected = serde_json::from_slice(&expected).unwrap();
    assert!(expected.strings.len() >= 10);
    let tokenizer = fixture();
    for (text, ids) in expected.strings.iter().zip(expected.ids) {
        assert_eq!(tokenizer.encode(text), ids, "{text:?}");
    }
}

/// Id that fills up a prompt under these files; `!` is 33 in the fixture's vocabulary.
fn padding(config: Option<&str>, map: Option<&str>) -> u32 {
    let read = |name: &str| fs::read(path("tokenizer").join(name)).expect("fixture exists");
    let config = config.map(str::as_bytes);
    let made = Tokenizer::from_files(&read("vocab.json"), &read("merges.txt"), config).unwrap();
    let made = match map {
        Some(map) => made.with_special_tokens(map.as_bytes(), config).unwrap(),
        None => made,
    };
    *made.encode("dog").last().expect("a prompt has tokens")
}

#[test]
fn special_tokens_map_has_the_last_word_on_padding() {
    let end = fixture().end_id();
    let (by_end, by_mark) = (
        r#"{"pad_token":"<|endoftext|>"}"#,
        r#"{"pad_token":{"content":"!","lstrip":false}}"#,
    );
    // Both layouts of Stable Diffusion 2.
    assert_eq!(padding(Some(by_end), Some(by_mark)), 33);
    assert_eq!(padding(Some(by_mark), Some(by_mark)), 33);
    // A map that is silent or absent leaves it to the configuration, and that to CLIP.
    assert_eq!(padding(Some(by_mark), Some("{}")), 33);
    assert_eq!(padding(Some(by_mark), None), 33);
    assert_eq!(padding(None, None), end);
    assert_eq!(padding(None, Some(by_mark)), 33);
    // Newer files hold everything in the configuration.
    let newer = r#"{"pad_token":"<|endoftext|>","added_tokens_decoder":{}}"#;
    assert_eq!(padding(Some(newer), Some(by_mark)), end);
}

#[test]
fn padding_without_an_id_is_refused_by_its_file_or_name() {
    let map = |text: &str| fixture().with_special_tokens(text.as_bytes(), None);
    let error = map("[").unwrap_err().to_string();
    assert!(error.contains("special_tokens_map.json"), "{error}");
    let error = map(r#"{"pad_token":"[PAD]"}"#).unwrap_err().to_string();
    assert!(error.contains("[PAD]"), "{error}");
}

#[test]
fn written_files_read_back_to_the_same_ids() {
    let tokenizer = Tokenizer::for_words(["dog", "photo", "caterpillar", "cat"], 12).unwrap();
    let files = tokenizer.to_files();
    let config = &files["tokenizer_config.json"];
    let again =
        Tokenizer::from_files(&files["vocab.json"], &files["merges.txt"], Some(config)).unwrap();
    for text in ["a photo of a dog", "caterpillars, cats & t@t", "猫"] {
        assert_eq!(tokenizer.encode(text), again.encode(text));
    }
    assert_eq!(again.max_length(), 12);
}

#[test]
fn each_listed_word_is_one_token() {
    let words = [
        "a", "aaaa", "abab", "cab", "ab", "abx", "banana", "bandana", "ohwx", "olis",
    ];
    let tokenizer = Tokenizer::for_words(words, 16).unwrap();
    for word in words {
        let ids = tokenizer.tokenize(word);
        assert_eq!(
            ids,
            [tokenizer.id(&format!("{word}</w>")).unwrap()],
            "{word}"
        );
    }
    assert!(tokenizer.tokenize("bananas").len() > 1);
    assert_eq!(tokenizer.tokenize("t@t").len(), 3);
}

#[test]
fn long_text_keeps_its_end_token() {
    let tokenizer = fixture();
    let ids = tokenizer.encode(&"dog ".repeat(100));
    assert_eq!(ids.len(), tokenizer.max_length());
    assert_eq!(ids[0], tokenizer.start_id());
    assert_eq!(ids[ids.len() - 1], tokenizer.end_id());
}

#[test]
fn carriage_returns_end_lines_however_many() {
    let vocabulary = br#"{"ab</w>":0,"<|startoftext|>":1,"<|endoftext|>":2}"#;
    for merges in [
        "a b</w>",
        "a b</w>\r\n",
        "a b</w>\r",
        "#version: 0.2\r\na b</w>\r\r\n",
    ] {
        let tokenizer = Tokenizer::from_files(vocabulary, merges.as_bytes(), None).unwrap();
        assert_eq!(tokenizer.tokenize("ab"), [0], "{merges:?}");
    }
}

#[test]
fn vocabulary_without_special_tokens_is_refused() {
    let error = Tokenizer::from_files(br#"{"a</w>":0}"#, b"", None).unwrap_err();
    assert!(error.to_string().contains("<|startoftext|>"), "{error}");
}

/// Ids of the same strings in every way to clean them (`fixtures/clip_tokenizer.py`).
#[derive(Deserialize)]
struct Golden {
    strings: Vec<String>,
    transformers: Vec<Vec<u32>>,
    with_ftfy: Vec<Vec<u32>>,
    without_ftfy: Vec<Vec<u32>>,
    original: Vec<Vec<u32>>,
}

#[test]
fn every_cleaning_gives_the_ids_of_its_program() {
    let golden = fs::read(path("clip_tokenizer.json")).unwrap();
    let golden: Golden = serde_json::from_slice(&golden).unwrap();
    assert!(golden.strings.len() > 100);
    let ways = [
        (Cleaning::Transformers, golden.transformers),
        (Cleaning::SlowWithFtfy, golden.with_ftfy),
        (Cleaning::SlowWithoutFtfy, golden.without_ftfy),
        (Cleaning::Original, golden.original),
    ];
    let mut wrong = Vec::new();
    for (cleaning, expected) in ways {
        let tokenizer = Tokenizer::clip().with_cleaning(cleaning);
        for (text, ids) in golden.strings.iter().zip(expected) {
            let found = tokenizer.tokenize(text);
            if found != ids {
                wrong.push(format!("{cleaning:?} {text:?}: {found:?} for {ids:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn clip_has_its_published_ids() {
    let tokenizer = Tokenizer::clip();
    assert_eq!(tokenizer.vocabulary_size(), 49_408);
    assert_eq!((tokenizer.start_id(), tokenizer.end_id()), (49_406, 49_407));
    // As every guide to these models prints it.
    let ids = tokenizer.tokenize("a photo of a cat");
    assert_eq!(ids, [320, 1125, 539, 320, 2368]);
    assert_eq!(tokenizer.encode("").len(), 77);
    let padded = tokenizer.padded_with("!").unwrap().encode("cat");
    assert_eq!(padded[..4], [49_406, 2368, 49_407, 0]);
}

#[test]
fn a_megabyte_is_cut_in_a_moment() {
    let ways = [
        Cleaning::Transformers,
        Cleaning::SlowWithFtfy,
        Cleaning::SlowWithoutFtfy,
        Cleaning::Original,
    ];
    let texts = [
        "a".repeat(1 << 20),
        "dog ".repeat(1 << 18),
        "\u{c3}\u{a9}".repeat(1 << 18),
        "&".repeat(1 << 20),
    ];
    for cleaning in ways {
        let tokenizer = Tokenizer::clip().with_cleaning(cleaning);
        for text in &texts {
            let start = Instant::now();
            assert_eq!(tokenizer.encode(text).len(), 77);
            // A hundred times what it takes, and far below what quadratic time would.
            assert!(
                start.elapsed().as_secs() < 60,
                "{cleaning:?} {:?}",
                &text[..4]
            );
        }
    }
    assert_eq!(
        Tokenizer::clip().tokenize(&"dog ".repeat(1 << 16)).len(),
        1 << 16
    );
}
