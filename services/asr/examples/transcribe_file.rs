//! Transcribes files with the library alone, without a server, and says how long it took.
//!
//! ```text
//! cargo run --release --example transcribe_file -- [--model FOLDER] [--words] [--own-length] FILE...
//! ```
//!
//! Without `--model` the small built-in one is used. Several files are transcribed at once and share the model's calls.

#![allow(clippy::print_stdout, reason = "a command line tool")]

use std::{
    env, fs,
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use asr::{
    models::whisper::{
        demo,
        engine::{ComputeType, Device, Settings},
        load::ModelFiles,
    },
    recognizer::{Options, Recognizer, Window},
    transcript::Transcript,
};
use audio::{
    SampleRate,
    container::{Limits, Target, decode},
};
use batcher::{Lane, Metrics, PerLane};

const LIMITS: Limits = Limits {
    max_seconds: 4 * 3_600,
    max_channels: 8,
    min_rate_hz: 4_000,
    max_rate_hz: 192_000,
};
const MAX_BATCH: NonZeroUsize = NonZeroUsize::new(8).expect("8 is not zero");

struct Arguments {
    model: ModelFiles,
    options: Options,
    files: Vec<String>,
}

fn arguments() -> Result<Arguments> {
    let mut parsed = Arguments {
        model: demo::files(),
        options: Options::default(),
        files: Vec::new(),
    };
    let mut given = env::args().skip(1);
    while let Some(argument) = given.next() {
        match argument.as_str() {
            "--model" => {
                let folder = given.next().context("--model wants a folder")?;
                parsed.model = ModelFiles::folder("model", folder);
            }
            "--words" => parsed.options.word_timestamps = true,
            "--own-length" => parsed.options.window = Window::OwnLength,
            option if option.starts_with("--") => bail!("unknown option {option}"),
            file => parsed.files.push(file.to_owned()),
        }
    }
    if parsed.files.is_empty() {
        bail!("which files? [--model FOLDER] [--words] [--own-length] FILE...");
    }
    Ok(parsed)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let Arguments {
        model,
        options,
        files,
    } = arguments()?;
    let settings = Settings {
        device: Device::Cpu,
        compute_type: ComputeType::Default,
        n_threads: 0,
    };
    let batching = batcher::Settings {
        name: "whisper",
        places: PerLane::all(files.len().max(1)),
        max_batch: PerLane::all(MAX_BATCH),
        workers: NonZeroUsize::MIN,
        raise_after: Duration::from_secs(1),
        max_panics_in_a_row: NonZeroUsize::MIN,
    };
    let began = Instant::now();
    let (recognizer, mut workers) =
        Recognizer::start(model, settings, batching, Metrics::unregistered())?;
    workers.ready().await?;
    println!("model loaded in {:.0?}", began.elapsed());

    let runs = files
        .iter()
        .map(|file| transcribe(&recognizer, &options, file));
    for (file, result) in files.iter().zip(futures_util::future::join_all(runs).await) {
        match result {
            Ok((transcript, took)) => show(file, &transcript, took),
            Err(error) => println!("{file}: {error:#}"),
        }
    }
    Ok(())
}

async fn transcribe(
    recognizer: &Recognizer,
    options: &Options,
    file: &str,
) -> Result<(Transcript, Duration)> {
    let bytes = fs::read(file).context("cannot be read")?;
    let began = Instant::now();
    let clip = decode(&bytes, Target::Rate(SampleRate::HZ_16000), &LIMITS)?;
    let transcript = recognizer
        .transcribe(clip.samples.into(), options, Lane::Background)
        .await?;
    Ok((transcript, began.elapsed()))
}

fn show(file: &str, transcript: &Transcript, took: Duration) {
    let speed = transcript.duration_s / took.as_secs_f64();
    println!(
        "{file}: {:.2} s of {} ({:.0} %), done after {took:.0?}, {speed:.1} times real time",
        transcript.duration_s,
        transcript.language,
        transcript.language_probability * 100.0,
    );
    for segment in &transcript.segments {
        println!(
            "  {:7.2} - {:7.2} {}",
            segment.start, segment.end, segment.text
        );
        for word in segment.words.iter().flatten() {
            println!(
                "    {:7.2} - {:7.2} {:3.0} % {}",
                word.start,
                word.end,
                word.probability * 100.0,
                word.word
            );
        }
    }
}
