//! Whole files and recordings full of silence, beside faster-whisper's own way from the file to the text.
//!
//! The reference decodes with FFmpeg; we decode and resample with our own code, so samples differ by a little and times
//! may by a few hundredths. What is written must be the same.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "whisper_support/compare.rs"]
mod compare;
#[path = "whisper_support/inputs.rs"]
mod inputs;

use std::ops::Range;

use asr::{
    recognizer::Options,
    transcript::Transcript,
    windows::{Restore, gather},
};
use audio::{
    SampleRate,
    container::{Limits, Target, decode},
};
use batcher::Lane;
use serde_json::Value;

use self::{
    compare::differences,
    inputs::{at_rate, clip, fixtures, golden, input, recognizer, reference_options},
};

/// Words may move by this much when the samples are not the same to the bit. Seconds.
const MOVED: f64 = 0.06;

const LIMITS: Limits = Limits {
    max_seconds: 600,
    max_channels: 8,
    min_rate_hz: 8_000,
    max_rate_hz: 192_000,
};

fn words() -> Options {
    Options {
        word_timestamps: true,
        ..reference_options()
    }
}

/// A file of whole numbers, channels interleaved.
fn wav(samples: &[i64], rate: u32, channels: u16) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let spec = hound::WavSpec {
        channels,
        sample_rate: rate,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = hound::WavWriter::new(&mut bytes, spec).unwrap();
    for sample in samples {
        file.write_sample(i16::try_from(*sample).unwrap()).unwrap();
    }
    file.finalize().unwrap();
    bytes.into_inner()
}

fn file(row: &Value) -> (String, Vec<u8>) {
    if let Some(name) = row["file"].as_str() {
        return (
            name.to_owned(),
            std::fs::read(fixtures().join("containers").join(name)).unwrap(),
        );
    }
    let name = row["input"].as_str().unwrap();
    let samples = input(name);
    if row["channels"] == 2 {
        let both: Vec<i64> = samples.iter().flat_map(|it| [*it, *it >> 1]).collect();
        return (format!("{name} in stereo"), wav(&both, 16_000, 2));
    }
    let rate = u32::try_from(row["rate"].as_u64().unwrap()).unwrap();
    let resampled = at_rate(&samples, usize::try_from(rate).unwrap());
    (format!("{name} at {rate} Hz"), wav(&resampled, rate, 1))
}

/// Words with their times, as both sides give them.
fn spoken(transcript: &Transcript) -> Vec<(String, f64, f64)> {
    let words = transcript
        .segments
        .iter()
        .flat_map(|it| it.words.iter().flatten());
    words
        .map(|it| (it.word.clone(), it.start, it.end))
        .collect()
}

fn spoken_by_reference(result: &Value) -> Vec<(String, f64, f64)> {
    let segments = result["segments"].as_array().unwrap();
    let words = segments
        .iter()
        .flat_map(|it| it["words"].as_array().unwrap());
    words
        .map(|it| {
            (
                it[0].as_str().unwrap().to_owned(),
                it[1].as_f64().unwrap(),
                it[2].as_f64().unwrap(),
            )
        })
        .collect()
}

#[tokio::test]
async fn every_file_is_read_as_the_reference_reads_it() {
    let (recognizer, _workers) = recognizer("demo", 8);
    let rows = golden("whisper_files.json");
    let runs = rows.as_array().unwrap().iter().map(|row| async {
        let (name, bytes) = file(row);
        let decoded = decode(&bytes, Target::Rate(SampleRate::HZ_16000), &LIMITS).unwrap();
        let transcript = recognizer
            .transcribe(decoded.samples.into(), &words(), Lane::Background)
            .await;
        (name, spoken(&transcript.unwrap()), spoken_by_reference(row))
    });
    let mut wrong = Vec::new();
    for (name, ours, reference) in futures_util::future::join_all(runs).await {
        let same_words = ours
            .iter()
            .map(|it| &it.0)
            .eq(reference.iter().map(|it| &it.0));
        let moved = ours
            .iter()
            .zip(&reference)
            .map(|(a, b)| (a.1 - b.1).abs().max((a.2 - b.2).abs()));
        let moved = moved.fold(0.0, f64::max);
        if !same_words || MOVED < moved {
            wrong.push(format!(
                "{name}, moved by {moved:.2} s:\n    {ours:?}\n    {reference:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        50 <= rows.as_array().unwrap().len(),
        "the containers are missing from the golden file"
    );
}

#[tokio::test]
async fn silence_is_cut_out_and_times_are_put_back() {
    let (recognizer, _workers) = recognizer("demo", 8);
    for row in golden("whisper_joined.json").as_array().unwrap() {
        let name = row["input"].as_str().unwrap();
        let recording = clip(&input(name));
        let spans: Vec<[usize; 2]> = serde_json::from_value(row["speech"].clone()).unwrap();
        let spans: Vec<Range<usize>> = spans.into_iter().map(|[start, end]| start..end).collect();
        let joined = gather(&spans, None).remove(0).clip(&recording);
        for (options, restored) in [
            (words(), "restored"),
            (reference_options(), "restored_plain"),
        ] {
            let transcript = recognizer
                .transcribe(joined.clone().into(), &options, Lane::Background)
                .await;
            let mut transcript = transcript.unwrap();
            if options.word_timestamps {
                assert_eq!(
                    differences(&transcript, &row["joined"]),
                    [""; 0],
                    "{name}, joined"
                );
            }
            let restore = Restore::new(&spans);
            for segment in &mut transcript.segments {
                restore.segment(segment);
            }
            assert_eq!(
                differences(&transcript, &row[restored]),
                [""; 0],
                "{name}, {restored}"
            );
        }
    }
}
