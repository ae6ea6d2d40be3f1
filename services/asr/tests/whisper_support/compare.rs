//! What a transcript may differ in from the reference's.

#![allow(dead_code, reason = "each test binary uses its part")]

use asr::transcript::{Segment, Transcript, Word};
use serde_json::Value;

/// Times may differ by this. Seconds.
const TIME: f64 = 0.0101;
/// Log-probabilities and the probability of silence may differ by this.
const PROBABILITY: f64 = 1e-3;
/// The mean probability of a word's tokens may differ by this: it is for display, and small where it is unsteady.
const WORD_PROBABILITY: f64 = 1e-2;
/// The probability of the language may differ by this.
const LANGUAGE_PROBABILITY: f64 = 1e-3;

/// Everything in which `ours` is not the reference's, in words.
pub(crate) fn differences(ours: &Transcript, reference: &Value) -> Vec<String> {
    let mut found = Vec::new();
    if ours.language != reference["language"] {
        found.push(format!(
            "language {} for {}",
            ours.language, reference["language"]
        ));
    } else {
        near(
            "language_probability",
            f64::from(ours.language_probability),
            &reference["language_probability"],
            LANGUAGE_PROBABILITY,
            &mut found,
        );
    }
    let segments = reference["segments"].as_array().unwrap();
    if ours.segments.len() != segments.len() {
        found.push(format!(
            "{} segments for {}",
            ours.segments.len(),
            segments.len()
        ));
    }
    for (ours, reference) in ours.segments.iter().zip(segments) {
        let mut in_segment = Vec::new();
        compare_segment(ours, reference, &mut in_segment);
        found.extend(
            in_segment
                .into_iter()
                .map(|it| format!("segment {}: {it}", ours.id)),
        );
    }
    found
}

fn compare_segment(ours: &Segment, reference: &Value, found: &mut Vec<String>) {
    let tokens: Vec<u32> = serde_json::from_value(reference["tokens"].clone()).unwrap();
    if ours.tokens != tokens {
        found.push(format!("tokens {:?} for {tokens:?}", ours.tokens));
    }
    if reference["text"] != ours.text.as_str() {
        found.push(format!("text {:?} for {}", ours.text, reference["text"]));
    }
    if reference["seek"] != ours.seek {
        found.push(format!("seek {} for {}", ours.seek, reference["seek"]));
    }
    near("start", ours.start, &reference["start"], TIME, found);
    near("end", ours.end, &reference["end"], TIME, found);
    near(
        "avg_logprob",
        f64::from(ours.avg_logprob),
        &reference["avg_logprob"],
        PROBABILITY,
        found,
    );
    near(
        "no_speech_prob",
        f64::from(ours.no_speech_prob),
        &reference["no_speech_prob"],
        PROBABILITY,
        found,
    );
    // Whole sizes make it: any difference is larger than this.
    near(
        "compression_ratio",
        f64::from(ours.compression_ratio),
        &reference["compression_ratio"],
        1e-6,
        found,
    );
    match (&ours.words, reference["words"].as_array()) {
        (None, None) => {}
        (Some(ours), Some(reference)) => compare_words(ours, reference, found),
        (ours, _) => found.push(format!(
            "words {:?} and the reference disagrees",
            ours.is_some()
        )),
    }
}

fn compare_words(ours: &[Word], reference: &[Value], found: &mut Vec<String>) {
    if ours.len() != reference.len() {
        found.push(format!("{} words for {}", ours.len(), reference.len()));
    }
    for (ours, reference) in ours.iter().zip(reference) {
        if reference[0] != ours.word.as_str() {
            found.push(format!("word {:?} for {}", ours.word, reference[0]));
        }
        near(
            &format!("start of {:?}", ours.word),
            ours.start,
            &reference[1],
            TIME,
            found,
        );
        near(
            &format!("end of {:?}", ours.word),
            ours.end,
            &reference[2],
            TIME,
            found,
        );
        near(
            &format!("probability of {:?}", ours.word),
            f64::from(ours.probability),
            &reference[3],
            WORD_PROBABILITY,
            found,
        );
    }
}

fn near(what: &str, ours: f64, reference: &Value, tolerance: f64, found: &mut Vec<String>) {
    let reference = reference.as_f64().unwrap();
    // Written so that a NaN is a difference.
    let is_near = (ours - reference).abs() <= tolerance;
    if !is_near {
        found.push(format!("{what} {ours} for {reference}"));
    }
}
