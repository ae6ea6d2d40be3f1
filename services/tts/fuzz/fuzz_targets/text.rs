//! A text in any language, whole and in pieces: the same sentences, in order, none too long.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tts::text::{Dictionary, FrontEnd, Limits, Sentence};

const LANGUAGES: [&str; 8] = ["en", "de", "fr", "ru", "zh", "ja", "ar", "xx"];

fuzz_target!(|input: (u8, u8, &str)| {
    let (language, length, text) = input;
    let language = LANGUAGES[usize::from(language) % LANGUAGES.len()];
    let limits = Limits {
        min_chars: 20,
        target_chars: 80,
        max_chars: 120,
        max_text_chars: 100_000,
    };
    let front = FrontEnd::new(limits, Dictionary::default()).with_tags(["laugh"]);
    let mut end = 0;
    for sentence in front.sentences(text, language).unwrap_or_default() {
        assert!(sentence.source.start >= end && sentence.source.end <= text.len());
        assert_eq!(sentence.text, text[sentence.source.clone()]);
        assert!(sentence.spoken.chars().count() <= limits.max_chars);
        end = sentence.source.end;
    }
    let whole = streamed(&front, language, text, text.len().max(1));
    assert_eq!(
        whole,
        streamed(&front, language, text, usize::from(length) + 1)
    );
});

fn streamed(front: &FrontEnd, language: &str, text: &str, length: usize) -> Vec<Sentence> {
    let mut stream = front.stream(language);
    let mut sentences = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(
            rest.char_indices()
                .nth(length)
                .map_or(rest.len(), |it| it.0),
        );
        sentences.extend(stream.push(piece).unwrap_or_default());
        rest = after;
    }
    sentences.extend(stream.end());
    sentences
}
