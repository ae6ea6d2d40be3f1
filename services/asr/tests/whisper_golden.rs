//! Our Whisper beside faster-whisper 1.2.1 in its sequential mode: same model, same samples, same options, temperature 0.
//!
//! The files in `golden/` are written by `tests/golden/whisper.py` from the repository's root. Both sides compute in
//! float32 with the same CTranslate2; the generator leaves out cases that noise of 1e-5 in the features would change, so
//! what is left should hold on other processors too.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "whisper_support/compare.rs"]
mod compare;
#[path = "whisper_support/inputs.rs"]
mod inputs;

use asr::models::whisper::{
    fallback::compression_ratio,
    load::{ModelCard, ModelFiles},
};
use batcher::Lane;
use serde_json::Value;

use self::{
    compare::differences,
    inputs::{clip, golden, input, options, recognizer},
};

/// Runs all cases of a model at once, so that they share calls as they would in a server.
async fn check_cases(model: &str, max_batch: usize, wanted: impl Fn(&Value) -> bool) {
    let (recognizer, workers) = recognizer(model, max_batch);
    let all = golden("whisper_cases.json");
    let cases: Vec<&Value> = all
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| it["model"] == model && wanted(it))
        .collect();
    assert!(!cases.is_empty());
    let runs = cases.iter().map(|case| async {
        let samples = clip(&input(case["input"].as_str().unwrap()));
        let options = options(&case["options"]);
        recognizer
            .transcribe(samples, &options, Lane::Background)
            .await
            .unwrap()
    });
    let transcripts = futures_util::future::join_all(runs).await;
    let mut wrong = Vec::new();
    for (case, ours) in cases.iter().zip(&transcripts) {
        let found = differences(ours, case);
        if !found.is_empty() {
            wrong.push(format!(
                "{} {}:\n    {}",
                case["input"],
                case["label"],
                found.join("\n    ")
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} cases differ:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
    drop(recognizer);
    workers.join();
}

fn is_long(case: &Value) -> bool {
    matches!(case["input"].as_str(), Some("five_minutes" | "minute"))
}

#[tokio::test]
async fn the_demo_model_writes_what_the_reference_writes() {
    check_cases("demo", 8, |it| !is_long(it)).await;
}

#[tokio::test]
async fn the_random_model_writes_what_the_reference_writes() {
    check_cases("random", 8, |it| !is_long(it)).await;
}

#[tokio::test]
async fn long_clips_of_the_demo_model_are_the_references() {
    check_cases("demo", 4, is_long).await;
}

#[tokio::test]
async fn long_clips_of_the_random_model_are_the_references() {
    check_cases("random", 4, is_long).await;
}

#[test]
fn texts_compress_to_the_references_sizes() {
    for row in golden("whisper_text.json")[0]["zlib"].as_array().unwrap() {
        let (text, n_bytes, n_compressed) =
            (row[0].as_str().unwrap(), row[1].as_f64(), row[2].as_f64());
        let expected = n_bytes.unwrap() / n_compressed.unwrap();
        assert!(
            (compression_ratio(text) - expected).abs() < 1e-12,
            "{text:?}"
        );
    }
}

#[test]
fn tokens_words_and_symbols_are_the_references() {
    for (model, expected) in golden("whisper_text.json")[0]["models"]
        .as_object()
        .unwrap()
    {
        let files = match model.as_str() {
            "demo" => asr::models::whisper::demo::files(),
            _ => ModelFiles::folder("random", inputs::fixtures().join("whisper-random")),
        };
        let card = ModelCard::read(&files).unwrap();
        let tokenizer = &card.tokenizer;
        let non_speech: Vec<u32> = serde_json::from_value(expected["non_speech"].clone()).unwrap();
        assert_eq!(tokenizer.non_speech_tokens(), non_speech, "{model}");
        for row in expected["texts"].as_array().unwrap() {
            let text = row["text"].as_str().unwrap();
            let ids: Vec<u32> = serde_json::from_value(row["ids"].clone()).unwrap();
            let whole = tokenizer.encode(text);
            assert!(
                whole.windows(ids.len().max(1)).any(|it| it == ids) || ids.is_empty(),
                "{model} {text:?}"
            );
            assert_eq!(
                tokenizer.decode(&ids),
                row["decoded"].as_str().unwrap(),
                "{model} {text:?}"
            );
            let languages = if model == "demo" {
                ["en", "en"]
            } else {
                ["en", "ja"]
            };
            for (language, expected) in languages.iter().zip(row["words"].as_array().unwrap()) {
                let mut with_end = ids.clone();
                with_end.push(tokenizer.special().eot);
                let words: Vec<Value> = tokenizer
                    .split_to_words(&with_end, language)
                    .into_iter()
                    .map(|it| serde_json::json!([it.word, it.tokens]))
                    .collect();
                assert_eq!(
                    &Value::Array(words),
                    expected,
                    "{model} {language} {text:?}"
                );
            }
        }
    }
}
