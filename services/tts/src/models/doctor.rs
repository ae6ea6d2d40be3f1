//! What a model folder holds and how well it works here, in words: `tts doctor MODEL_DIR`.
//!
//! Answers by measurement what the published models leave open, so that the first contact with real weights is a report and not a riddle.

use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use audio::clock::SampleRate;
use audio::container::{self, Limits, Target};
use batcher::{Model, Slot, StepModel, Stepped};

use super::chatterbox::vocoder::VocoderSettings;
use super::chatterbox::{Decode, Extractor, LanguageModel, Sentence, Vocoder};
use super::conditioning::{Conditioning, SAMPLE_RATE_HZ, SAMPLES_PER_TOKEN};
use super::onnx::{GraphFile, OpenError, RunError, SessionSettings};
use super::pack::{Pack, PackError, PackFiles, Part, Precisions};

/// What is said for the measurements: of a length at which every pack is safe.
const TEXT: &str = "The weather is nice today and the sun is shining.";
/// How many say it together.
const TOGETHER: [usize; 4] = [1, 2, 4, 8];
/// Tokens of each row that are timed.
const N_TIMED: usize = 24;
/// A decoder's prompt, shortened for comparison.
const SHORT_PROMPT_SECONDS: f32 = 4.0;

/// Why there is no report.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DoctorError {
    #[error(transparent)]
    Pack(#[from] PackError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("the model can be opened but not used: {0}")]
    Run(#[from] RunError),
}

/// Lines of a heading and what was found.
#[derive(Debug, Default)]
pub struct Report {
    lines: String,
}

impl Report {
    fn heading(&mut self, heading: &str) {
        let gap = if self.lines.is_empty() { "" } else { "\n" };
        self.add(format_args!("{gap}{heading}"));
    }

    fn found(&mut self, what: &str, found: impl fmt::Display) {
        self.add(format_args!("  {what:<22} {found}"));
    }

    fn add(&mut self, line: fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _: fmt::Result = writeln!(self.lines, "{line}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines)
    }
}

/// Reads, opens and tries a model.
///
/// # Errors
/// It is of no use at all; the error says why.
pub fn examine(
    files: &PackFiles,
    precisions: Precisions,
    settings: SessionSettings,
) -> Result<Report, DoctorError> {
    let mut report = Report::default();
    let pack = Arc::new(Pack::read(files, precisions, settings.device)?);
    describe_files(&mut report, &pack);
    describe_pack(&mut report, &pack);
    if let Some(warning) = pack.warning(settings.device) {
        report.found("warning", warning);
    }

    report.heading("Language model");
    let since = Instant::now();
    let mut model = LanguageModel::load(&pack, settings)?;
    report.found("loaded and tried in", seconds(since.elapsed()));
    for trial in model.trials() {
        let outcome = match &trial.outcome {
            Ok(off) if trial.is_good() => format!("exact: off by {off:.1e}"),
            Ok(off) => format!(
                "not exact: off by {off:.1e}, allowed {:.0e}",
                trial.tolerance
            ),
            Err(reason) => format!("fails: {}", reason.chars().take(80).collect::<String>()),
        };
        report.found(&trial.scheme.to_string(), outcome);
    }
    report.found("rows share calls by", model.scheme());
    report.found("tokens embed together", yes(model.embeds_together()));

    report.heading("Voice");
    let voice = describe_voice(&mut report, &pack, settings)?;
    let tokens = time_speech(&mut report, &mut model, &pack, &voice)?;
    drop(model);
    describe_decoder(&mut report, &pack, settings, &voice, &tokens)?;
    Ok(report)
}

fn describe_files(report: &mut Report, pack: &Pack) {
    report.heading("Files");
    for part in [
        Part::SpeechEncoder,
        Part::EmbedTokens,
        Part::LanguageModel,
        Part::ConditionalDecoder,
    ] {
        let file = pack.graph(part);
        let mut found = file.to_string();
        if let GraphFile::Path(path) = file {
            let n_bytes = std::fs::metadata(path).map_or(0, |it| it.len());
            let _: fmt::Result = write!(found, ", {n_bytes} bytes");
            if path.is_symlink() {
                found.push_str(", a link: ONNX Runtime may refuse sidecars outside the folder");
            }
        }
        for sidecar in &pack.declared.get(part).sidecars {
            let _: fmt::Result = write!(found, ", with {sidecar}");
        }
        report.found(part.stem(), found);
        report.found("", format_args!("operators: {}", operators(pack, part)));
    }
    report.found("identity", &pack.id);
    report.found("identity of voices", &pack.voice_id);
}

/// The most frequent ones, and all that are not of the standard set.
fn operators(pack: &Pack, part: Part) -> String {
    let mut counted: Vec<_> = pack.declared.get(part).operators.iter().collect();
    counted.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let shown = counted.iter().enumerate().filter(|(rank, (name, _))| {
        *rank < 6 || name.contains("Attention") || name.contains("NBits") || name.contains("Quant")
    });
    let shown: Vec<String> = shown
        .map(|(_, (name, count))| format!("{name} {count}"))
        .collect();
    shown.join(", ")
}

fn describe_pack(report: &mut Report, pack: &Pack) {
    let shape = &pack.shape;
    report.heading("What it is");
    report.found("family", pack.family);
    report.found("languages", pack.prompter.languages().join(" "));
    report.found(
        "language model",
        format_args!(
            "{} layers, {} heads of {} remembered as {}, {} wide, {} logits",
            shape.n_layers,
            shape.n_kv_heads,
            shape.head_dim,
            shape.kv,
            shape.hidden,
            shape
                .n_logits
                .map_or_else(|| "unknown".to_owned(), |it| it.to_string()),
        ),
    );
    report.found("explicit positions", yes(shape.asks.lm_positions));
    report.found("learned positions", yes(shape.asks.embed_positions));
    report.found("exaggeration", yes(shape.asks.exaggeration));
    report.found("cfg_weight", yes(pack.supports_cfg()));
    report.found("text", pack.prompter.describe());
    let defaults = pack.defaults.sampling;
    report.found(
        "defaults",
        format_args!(
            "temperature {}, top_p {}, top_k {}, min_p {}, repetition_penalty {}",
            defaults.temperature,
            defaults.top_p,
            defaults.top_k,
            defaults.min_p,
            defaults.repetition_penalty
        ),
    );
    report.found(
        "safe length",
        format_args!("{} characters", pack.limits.safe_chars),
    );
}

fn describe_voice(
    report: &mut Report,
    pack: &Pack,
    settings: SessionSettings,
) -> Result<Arc<Conditioning>, DoctorError> {
    let mut extractor = Extractor::load(pack, settings)?;
    let recording = pack.default_voice.as_ref().map(|it| it.len());
    report.found(
        "default voice",
        recording.map_or_else(|| "none".to_owned(), |it| format!("{it} bytes")),
    );
    let audio: Arc<[f32]> = reference(pack).into();
    let since = Instant::now();
    let voice = extractor.run(&[Arc::clone(&audio)])?.remove(0);
    report.found("extracted in", seconds(since.elapsed()));
    report.found(
        "tensors",
        format_args!(
            "prefix {:?}, {} prompt tokens, {} mel frames",
            voice.prefix.shape(),
            voice.prompt_tokens.len(),
            voice.mel.nrows()
        ),
    );
    let half = audio.len() / 2 / SAMPLES_PER_TOKEN * SAMPLES_PER_TOKEN;
    if half > 0 {
        let halves = [audio[..half].into(), audio[half..].into()];
        let [first, second] = &extractor.run(&halves)?[..] else {
            return Err(RunError::new("two recordings gave no two voices").into());
        };
        report.found(
            "halves alike",
            format_args!(
                "{:.3} (cosine of the speaker embeddings)",
                cosine(&first.speaker, &second.speaker)
            ),
        );
    }
    Ok(Arc::new(voice))
}

/// The recording the pack brings, else a hum.
fn reference(pack: &Pack) -> Vec<f32> {
    let limits = Limits {
        max_seconds: 60,
        max_channels: 2,
        min_rate_hz: 8_000,
        max_rate_hz: 96_000,
    };
    let rate = SampleRate::new(SAMPLE_RATE_HZ).map(Target::Rate);
    let wav = pack.default_voice.as_deref();
    let clip = wav
        .zip(rate)
        .map(|(wav, rate)| container::decode(wav, rate, &limits));
    let mut samples = match clip {
        Some(Ok(clip)) => clip.samples,
        Some(Err(_)) | None => hum(),
    };
    samples.truncate(samples.len() / SAMPLES_PER_TOKEN * SAMPLES_PER_TOKEN);
    samples
}

/// Six seconds of a sawtooth at 120 Hz, louder and softer.
fn hum() -> Vec<f32> {
    let period = SAMPLE_RATE_HZ / 120;
    let saw = |it: u32| f32::from(u8::try_from(it % period).unwrap_or(u8::MAX)) / 1000.0 - 0.1;
    let swell = |it: u32| f32::from(u8::try_from(it / 240 % 100).unwrap_or(u8::MAX)) / 100.0;
    (0..6 * SAMPLE_RATE_HZ)
        .map(|it| saw(it) * swell(it))
        .collect()
}

fn sentence(pack: &Pack, voice: &Arc<Conditioning>) -> Sentence {
    let mut sampling = pack.defaults.sampling;
    sampling.temperature = 0.0;
    Sentence {
        text: TEXT.to_owned(),
        language: None,
        voice: Arc::clone(voice),
        sampling,
        exaggeration: pack.defaults.exaggeration,
        cfg_weight: 0.0,
        max_tokens: pack.limits.max_tokens,
    }
}

/// Says a sentence alone and in company, and answers its tokens.
fn time_speech(
    report: &mut Report,
    model: &mut LanguageModel,
    pack: &Pack,
    voice: &Arc<Conditioning>,
) -> Result<Vec<u32>, DoctorError> {
    report.heading("Speech");
    let slot = Slot::new(0);
    let since = Instant::now();
    model.admit(slot, sentence(pack, voice))?;
    report.found("prompt read in", seconds(since.elapsed()));
    let mut tokens = Vec::new();
    let since = Instant::now();
    let ended = loop {
        match model.step(&[slot])?.remove(0) {
            Stepped::Quiet => {}
            Stepped::Chunk(token) => tokens.push(token),
            Stepped::Last(token) => {
                tokens.push(token);
                break "cut";
            }
            Stepped::Finished => break "stopped by itself",
            Stepped::Failed(error) => return Err(error.into()),
        }
    };
    model.evict(slot);
    report.found(
        "a sentence",
        format_args!(
            "{} tokens in {}, {ended}",
            tokens.len(),
            seconds(since.elapsed())
        ),
    );
    let mut alone = None;
    for n_rows in TOGETHER {
        let rate = tokens_per_second(model, pack, voice, n_rows)?;
        let alone = *alone.get_or_insert(rate);
        report.found(
            &format!("{n_rows} together"),
            format_args!("{rate:.0} tokens/s, {:.1} times one", rate / alone),
        );
    }
    Ok(tokens)
}

fn tokens_per_second(
    model: &mut LanguageModel,
    pack: &Pack,
    voice: &Arc<Conditioning>,
    n_rows: usize,
) -> Result<f64, DoctorError> {
    let slots: Vec<Slot> = (0..n_rows).map(Slot::new).collect();
    for slot in &slots {
        model.admit(*slot, sentence(pack, voice))?;
    }
    // The first steps are of the prompt, and of bringing the rows together.
    let mut running = slots.clone();
    for _ in 0..2 {
        running = still_running(model, &running)?;
    }
    let since = Instant::now();
    let mut n_tokens = 0u32;
    for _ in 0..N_TIMED {
        if running.is_empty() {
            break;
        }
        running = still_running(model, &running)?;
        n_tokens += u32::try_from(running.len()).unwrap_or_default();
    }
    let elapsed = since.elapsed();
    for slot in slots {
        model.evict(slot);
    }
    Ok(f64::from(n_tokens) / elapsed.as_secs_f64())
}

fn still_running(model: &mut LanguageModel, slots: &[Slot]) -> Result<Vec<Slot>, RunError> {
    let stepped = model.step(slots)?;
    let goes_on = |it: &Stepped<u32, RunError>| matches!(it, Stepped::Chunk(_) | Stepped::Quiet);
    let running = slots.iter().zip(&stepped).filter(|(_, it)| goes_on(it));
    Ok(running.map(|(slot, _)| *slot).collect())
}

fn describe_decoder(
    report: &mut Report,
    pack: &Pack,
    session: SessionSettings,
    voice: &Arc<Conditioning>,
    tokens: &[u32],
) -> Result<(), DoctorError> {
    report.heading("Decoder");
    let decode = Decode {
        tokens: tokens.iter().map(|it| i64::from(*it)).collect(),
        voice: Arc::clone(voice),
    };
    let mut levels = Vec::new();
    for max_prompt_seconds in [None, Some(SHORT_PROMPT_SECONDS)] {
        let settings = VocoderSettings {
            session,
            max_prompt_seconds,
        };
        let mut vocoder = Vocoder::load(pack, settings)?;
        if max_prompt_seconds.is_none() {
            report.found("sentences together", yes(vocoder.decodes_together()));
        }
        let since = Instant::now();
        let first = vocoder.run(std::slice::from_ref(&decode))?.remove(0);
        let elapsed = since.elapsed();
        let prompt = max_prompt_seconds.map_or_else(|| "whole".to_owned(), |it| format!("{it} s"));
        report.found(
            &format!("{prompt} prompt"),
            format_args!("{} samples in {}", first.len(), seconds(elapsed)),
        );
        if max_prompt_seconds.is_none() {
            let second = vocoder.run(std::slice::from_ref(&decode))?.remove(0);
            let noise = if first == second {
                "no"
            } else {
                "yes: two calls differ"
            };
            report.found("draws noise", noise);
            let peak = first.iter().fold(0f32, |max, it| max.max(it.abs()));
            report.found("peak", format_args!("{peak:.2}"));
        }
        levels.push(envelope(&first));
    }
    let alike = cosine(&levels[0], &levels[1]);
    report.found(
        "short prompt sounds",
        format_args!("{alike:.3} alike (cosine of the loudness by 20 ms)"),
    );
    Ok(())
}

fn envelope(samples: &[f32]) -> Vec<f32> {
    let windows = samples.chunks(SAMPLES_PER_TOKEN / 2);
    windows
        .map(|it| it.iter().map(|it| it * it).sum::<f32>().sqrt())
        .collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(f32::MIN_POSITIVE)
}

fn seconds(duration: Duration) -> String {
    format!("{:.3} s", duration.as_secs_f64())
}

fn yes(it: bool) -> &'static str {
    if it { "yes" } else { "no" }
}
