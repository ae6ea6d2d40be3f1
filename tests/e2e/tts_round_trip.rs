//! Text to speech to text, by the built-in models of both services.

use e2e::http::{post, upload};
use e2e::process::Program;
use e2e::{Tts, run};
use serde_json::json;

const RECOGNISER: Program = Program(env!("CARGO_BIN_EXE_asr_process"));

/// Sentences of the kind that the small recogniser knows.
const SENTENCES: [&str; 6] = [
    "My name is Grace.",
    "Don't forget the sugar.",
    "He is 25 years old.",
    "How many trains do you have?",
    "I need to change my problem.",
    "Turn on the light in the kitchen.",
];

fn words(text: &str) -> Vec<String> {
    let is_word = |it: char| it.is_alphanumeric() || it == '\'';
    text.to_lowercase()
        .split(|it| !is_word(it))
        .filter(|it| !it.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Words to be changed, added and left out to make one text of the other.
fn n_errors(heard: &[String], said: &[String]) -> usize {
    let mut row: Vec<usize> = (0..=said.len()).collect();
    for (n, word) in heard.iter().enumerate() {
        let mut corner = row[0];
        row[0] = n + 1;
        for (idx, other) in said.iter().enumerate() {
            let changed = corner + usize::from(word != other);
            corner = row[idx + 1];
            row[idx + 1] = changed.min(row[idx] + 1).min(corner + 1);
        }
    }
    row[said.len()]
}

#[test]
fn what_is_said_is_heard() {
    let tts = Tts::shared();
    let asr = RECOGNISER.start(&[]);
    run(async {
        let (mut n_wrong, mut n_words) = (0, 0);
        for text in SENTENCES {
            let body = json!({"text": text, "format": "wav", "sample_rate": 16_000}).to_string();
            let spoken = post(&tts.url("/v1/synthesize"), "application/json", body).await;
            let heard = upload(&asr.url("/v1/transcribe"), &spoken.body, &[]).await;
            let heard = heard.json()["text"].as_str().unwrap().to_owned();
            println!("said {text:?}, heard {heard:?}");
            let said = words(text);
            n_wrong += n_errors(&words(&heard), &said);
            n_words += said.len();
        }
        // Two small models, neither of which has met the other: a third of the words may be lost, not the meaning.
        assert!(3 * n_wrong <= n_words, "{n_wrong} of {n_words} words");
    });
}
