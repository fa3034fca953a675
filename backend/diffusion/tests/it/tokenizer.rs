//! The tokenizer against `CLIPTokenizer`.

use std::fs;

use diffusion::text::Tokenizer;
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
fn vocabulary_without_special_tokens_is_refused() {
    let error = Tokenizer::from_files(br#"{"a</w>":0}"#, b"", None).unwrap_err();
    assert!(error.to_string().contains("<|startoftext|>"), "{error}");
}
