//! The inputs of the golden cases, by the recipe that the generator follows, and models to give them to.
//!
//! Whole numbers only, so that both sides get the same samples to the bit.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use asr::{
    models::whisper::{
        demo,
        engine::{ComputeType, Device, Settings},
        load::ModelFiles,
    },
    recognizer::{Options, Recognizer, Task},
};
use batcher::{Metrics, PerLane, Workers};
use serde_json::Value;

pub(crate) const RATE: usize = 16_000;

const RECORDINGS: [&str; 10] = [
    "held_espeak_080",
    "held_espeak_082",
    "held_espeak_084",
    "held_ked_112",
    "held_ked_113",
    "held_ked_136",
    "held_slt_hts_110",
    "pair_01",
    "seen_flite_014",
    "tel_held_espeak_084",
];

pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures")
}

pub(crate) fn golden(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Float32 and one thread, as the generator runs the reference.
pub(crate) fn recognizer(model: &str, max_batch: usize) -> (Recognizer, Workers) {
    let files = match model {
        "demo" => demo::files(),
        "random" => ModelFiles::folder("random", fixtures().join("whisper-random")),
        other => panic!("no model {other}"),
    };
    let settings = Settings {
        device: Device::Cpu,
        compute_type: ComputeType::Float32,
        n_threads: 1,
    };
    let one = NonZeroUsize::MIN;
    let batching = batcher::Settings {
        name: "whisper",
        places: PerLane::all(1_000),
        max_batch: PerLane::all(NonZeroUsize::new(max_batch).unwrap()),
        workers: one,
        raise_after: Duration::from_secs(1),
        max_panics_in_a_row: one,
    };
    Recognizer::start(files, settings, batching, Metrics::unregistered()).unwrap()
}

pub(crate) fn read(name: &str) -> Vec<i64> {
    let path = fixtures().join("speech").join(format!("{name}.wav"));
    let mut file = hound::WavReader::open(path).unwrap();
    file.samples::<i16>()
        .map(|it| i64::from(it.unwrap()))
        .collect()
}

fn noise(n_samples: usize, shift: u32) -> Vec<i64> {
    let mut state: i64 = 1;
    let next = || {
        state = (state * 1_103_515_245 + 12_345) & 0x7FFF_FFFF;
        ((state >> 16) - 16_384) >> shift
    };
    std::iter::repeat_with(next).take(n_samples).collect()
}

fn chain(n_samples: usize) -> Vec<i64> {
    let mut samples = Vec::new();
    let mut i = 0;
    while samples.len() < n_samples {
        samples.extend(read(RECORDINGS[i * 7 % RECORDINGS.len()]));
        samples.extend(vec![0; i * 5 % 13 * 1_600]);
        i += 1;
    }
    samples.truncate(n_samples);
    samples
}

fn added(a: &[i64], b: &[i64]) -> Vec<i64> {
    let at = |samples: &[i64], i: usize| samples.get(i).copied().unwrap_or(0);
    (0..a.len().max(b.len()))
        .map(|i| at(a, i) + at(b, i))
        .collect()
}

pub(crate) fn input(name: &str) -> Vec<i64> {
    let a = || read("held_espeak_084");
    let b = || read("held_slt_hts_110");
    let silence = |n_samples: usize| vec![0; n_samples];
    let samples = match name {
        "silence" => silence(5 * RATE),
        "noise" => noise(5 * RATE, 4),
        "speech_in_noise" => added(&a(), &noise(a().len(), 6)),
        "clipped" => a().iter().map(|it| it * 8).collect(),
        "quiet" => a().iter().map(|it| it >> 6).collect(),
        "two_at_once" => added(&a(), &b()).iter().map(|it| it >> 1).collect(),
        "pause" => [a(), silence(40_000), b()].concat(),
        "late" => [silence(12 * RATE), b(), silence(10 * RATE)].concat(),
        "half_word" => a()[..RATE / 4].to_vec(),
        "click" => a()[8_000..8_320].to_vec(),
        "one_window" => chain(30 * RATE),
        "over_a_window" => chain(30 * RATE + 1_000),
        "minute" => chain(70 * RATE),
        "five_minutes" => chain(300 * RATE),
        recording => read(recording),
    };
    samples
        .into_iter()
        .map(|it| it.clamp(-32_768, 32_767))
        .collect()
}

pub(crate) fn clip(samples: &[i64]) -> Arc<[f32]> {
    samples
        .iter()
        .map(|it| f32::from(i16::try_from(*it).unwrap()) / 32_768.0)
        .collect()
}

/// Linear interpolation in whole numbers.
pub(crate) fn at_rate(samples: &[i64], rate: usize) -> Vec<i64> {
    let wide = |it: usize| i64::try_from(it).unwrap();
    (0..samples.len() * rate / RATE)
        .map(|i| {
            let (left, part) = (i * RATE / rate, i * RATE % rate);
            let right = (left + 1).min(samples.len() - 1);
            (samples[left] * wide(rate - part) + samples[right] * wide(part)).div_euclid(wide(rate))
        })
        .collect()
}

/// Temperature 0 only, and times as the reference gives them.
pub(crate) fn reference_options() -> Options {
    Options {
        temperatures: vec![0.0],
        clip_to_duration: false,
        ..Options::default()
    }
}

/// The reference's keyword arguments.
pub(crate) fn options(given: &Value) -> Options {
    let mut options = reference_options();
    for (key, value) in given.as_object().unwrap() {
        let text = || value.as_str().map(str::to_owned);
        let number = || value.as_f64();
        let small = || number().map(|it| format!("{it}").parse::<f32>().unwrap());
        let count = || usize::try_from(value.as_u64().unwrap()).unwrap();
        let flag = || value.as_bool().unwrap();
        match key.as_str() {
            "word_timestamps" => options.word_timestamps = flag(),
            "without_timestamps" => options.without_timestamps = flag(),
            "condition_on_previous_text" => options.condition_on_previous_text = flag(),
            "suppress_blank" => options.suppress_blank = flag(),
            "multilingual" => options.multilingual = flag(),
            "log_prob_threshold" => options.log_prob_threshold = number(),
            "compression_ratio_threshold" => options.compression_ratio_threshold = number(),
            "no_speech_threshold" => options.no_speech_threshold = number(),
            "hallucination_silence_threshold" => options.hallucination_silence_threshold = number(),
            "max_initial_timestamp" => options.max_initial_timestamp = number().unwrap(),
            "patience" => options.patience = small().unwrap(),
            "length_penalty" => options.length_penalty = small().unwrap(),
            "repetition_penalty" => options.repetition_penalty = small().unwrap(),
            "language_detection_threshold" => {
                options.language_detection_threshold = small().unwrap();
            }
            "language_detection_segments" => options.language_detection_segments = count(),
            "no_repeat_ngram_size" => options.no_repeat_ngram_size = count(),
            "beam_size" => options.beam_size = count(),
            "max_new_tokens" => options.max_new_tokens = Some(count()),
            "suppress_tokens" => {
                options.suppress_tokens = serde_json::from_value(value.clone()).unwrap();
            }
            "initial_prompt" => options.prompt = text(),
            "hotwords" => options.hotwords = text(),
            "prefix" => options.prefix = text(),
            "language" => options.language = text(),
            "task" => {
                assert_eq!(value, "translate");
                options.task = Task::Translate;
            }
            other => panic!("the golden file uses `{other}`, which this test does not know"),
        }
    }
    options
}
