//! What one stream or one file asks for, checked against the settings and the model.
//!
//! Invariants:
//! - A value out of range is refused with its limits; nothing is clamped in silence.
//! - What is in effect is told back: [`StreamOptions::effective`] is what `ready` shows.

use std::ops::RangeInclusive;
use std::time::Duration;

use audio::SampleRate;
use audio::encoding::{Channels, Encoding as Pcm};
use wire::asr::{Encoding, FinalOn, StreamConfig, Task, TranscribeRequest, VadConfig, VadKind};

use crate::error::AsrError;
use crate::models::Served;
use crate::recognizer::{Options, Task as WhisperTask};
use crate::session::{self, Clock, Drafts, Method, Policy};
use crate::settings::{Decode, Settings, raw_policy};

pub const MAX_BEAM_SIZE: usize = 16;
pub const SAMPLE_RATE: RangeInclusive<u32> = 8_000..=48_000;
pub const PARTIAL_INTERVAL_MS: RangeInclusive<u64> = 100..=10_000;
pub const START_MS: RangeInclusive<u64> = 10..=2_000;
pub const STOP_MS: RangeInclusive<u64> = 30..=5_000;
pub const MAX_STOP_MS: RangeInclusive<u64> = 100..=30_000;
pub const PRE_ROLL_MS: RangeInclusive<u64> = 0..=2_000;
pub const MAX_TURN_MS: RangeInclusive<u64> = 5_000..=3_600_000;
/// Text for the model beyond this is refused; the model itself keeps only the last few hundred tokens.
pub const MAX_PROMPT_CHARS: usize = 8_000;
/// No stream is longer than this many samples: beyond, positions could overflow.
const MAX_START_SAMPLE: u64 = 1 << 53;

/// How the bytes of a stream become samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sound {
    Pcm { encoding: Pcm, channels: Channels },
    OggOpus,
}

/// One stream, as it will be done.
#[derive(Clone, Debug)]
pub struct StreamOptions {
    pub sound: Sound,
    /// Of the client's samples.
    pub rate: SampleRate,
    pub clock: Clock,
    pub policy: Policy,
    /// For finals; drafts are made from it too.
    pub recognition: Options,
    /// Whether finals carry words.
    pub words: bool,
    /// All keys with the values in effect.
    pub effective: StreamConfig,
}

/// The method that a kind of the interface means.
pub fn method(kind: VadKind) -> Method {
    match kind {
        VadKind::SileroSmartTurn => Method::SileroSmartTurn,
        VadKind::Silero => Method::Silero,
        VadKind::Energy => Method::Energy,
    }
}

impl StreamOptions {
    /// What `asked` means under `settings` on the model that is served.
    pub fn new(
        asked: &StreamConfig,
        settings: &Settings,
        served: &Served,
    ) -> Result<StreamOptions, AsrError> {
        if let Some(model) = &asked.model {
            served.check_name(model)?;
        }
        let stream = &settings.stream;
        let encoding = asked.encoding.unwrap_or(stream.encoding);
        let rate_hz = rate(asked.sample_rate, encoding, stream.sample_rate)?;
        let n_channels = asked.channels.unwrap_or(stream.channels);
        let channels = Channels::new(n_channels)
            .ok_or_else(|| AsrError::parameter("channels", "be 1 or 2", n_channels))?;
        let rate = SampleRate::new(rate_hz)
            .ok_or_else(|| AsrError::parameter("sample_rate", "not be 0", rate_hz))?;
        let start_sample = asked.start_sample.unwrap_or(0);
        if MAX_START_SAMPLE < start_sample {
            return Err(AsrError::parameter(
                "start_sample",
                format!("be at most {MAX_START_SAMPLE}"),
                start_sample,
            ));
        }
        let words = asked.enable_timestamps.unwrap_or(stream.enable_timestamps);
        let recognition = Recognition {
            language: asked.language.as_deref(),
            task: asked.task,
            prompt: asked.prompt.as_deref(),
            hotwords: asked.hotwords.as_deref(),
            beam_size: asked.beam_size,
            temperature: asked.temperature,
            words,
        }
        .options(&settings.decode, served)?;
        let policy = stream_policy(asked, settings)?;
        let effective = effective(asked, settings, served, &policy, &recognition);
        Ok(StreamOptions {
            sound: match encoding {
                Encoding::PcmS16le => Sound::Pcm {
                    encoding: Pcm::PcmS16le,
                    channels,
                },
                Encoding::PcmF32le => Sound::Pcm {
                    encoding: Pcm::PcmF32le,
                    channels,
                },
                Encoding::Mulaw => Sound::Pcm {
                    encoding: Pcm::Mulaw,
                    channels,
                },
                Encoding::Alaw => Sound::Pcm {
                    encoding: Pcm::Alaw,
                    channels,
                },
                Encoding::OggOpus => Sound::OggOpus,
            },
            rate,
            clock: Clock {
                rate_hz,
                start_sample,
            },
            policy,
            recognition,
            words,
            effective: StreamConfig {
                encoding: Some(encoding),
                sample_rate: Some(rate_hz),
                channels: Some(n_channels),
                ..effective
            },
        })
    }
}

fn rate(asked: Option<u32>, encoding: Encoding, default: u32) -> Result<u32, AsrError> {
    let opus = audio::ogg_opus::OggOpusDecoder::RATE.hz();
    match (encoding, asked) {
        (Encoding::OggOpus, None) => Ok(opus),
        (Encoding::OggOpus, Some(given)) if given == opus => Ok(opus),
        (Encoding::OggOpus, Some(given)) => Err(AsrError::parameter(
            "sample_rate",
            format!("be left out or {opus} with `ogg_opus`, whose clock it is"),
            given,
        )),
        (_, None) => Ok(default),
        (_, Some(given)) => in_range("sample_rate", given, &SAMPLE_RATE),
    }
}

fn stream_policy(asked: &StreamConfig, settings: &Settings) -> Result<Policy, AsrError> {
    let none = VadConfig::default();
    let vad = asked.vad.as_ref().unwrap_or(&none);
    let kind = vad.kind.unwrap_or(settings.vad.raw.kind);
    let mut raw = settings.vad.raw.clone();
    if kind != raw.kind {
        // Numbers that were set for one method mean nothing to another.
        (
            raw.threshold,
            raw.stop_threshold,
            raw.start_ms,
            raw.stop_ms,
            raw.max_turn_ms,
        ) = (None, None, None, None, None);
    }
    let threshold = vad.threshold.or(asked.vad_threshold);
    if let Some(given) = threshold {
        raw.threshold = Some(in_range("vad.threshold", given, &(0.01..=0.99))?);
        raw.stop_threshold = None;
    }
    if let Some(given) = vad.turn_threshold {
        raw.turn_threshold = in_range("vad.turn_threshold", given, &(0.01..=0.99))?;
    }
    raw.start_ms = millis("vad.start_secs", vad.start_secs, &START_MS)?.or(raw.start_ms);
    raw.stop_ms = millis("vad.stop_secs", vad.stop_secs, &STOP_MS)?.or(raw.stop_ms);
    raw.max_stop_ms =
        millis("vad.max_stop_secs", vad.max_stop_secs, &MAX_STOP_MS)?.unwrap_or(raw.max_stop_ms);
    raw.pre_roll_ms =
        millis("vad.pre_roll_secs", vad.pre_roll_secs, &PRE_ROLL_MS)?.unwrap_or(raw.pre_roll_ms);
    raw.max_turn_ms =
        millis("vad.max_turn_secs", vad.max_turn_secs, &MAX_TURN_MS)?.or(raw.max_turn_ms);
    let mut policy = raw_policy(&raw, method(kind));
    if vad.stop_secs.is_none() && vad.max_stop_secs.is_none() {
        // The limit was set for another method, and the client is not to mend what it did not say.
        policy.max_stop = policy.max_stop.max(policy.stop);
    }
    if policy.max_stop < policy.stop {
        return Err(AsrError::parameter(
            "vad.max_stop_secs",
            "not be shorter than `vad.stop_secs`",
            (policy.max_stop.as_secs_f64(), policy.stop.as_secs_f64()),
        ));
    }
    let interval = match asked.partial_interval_ms {
        Some(given) => Duration::from_millis(in_range(
            "partial_interval_ms",
            u64::from(given),
            &PARTIAL_INTERVAL_MS,
        )?),
        None => settings.stream.partial_interval,
    };
    let partials = asked.partials.unwrap_or(settings.stream.partials);
    Ok(Policy {
        final_on: match asked.final_on.unwrap_or(settings.stream.final_on) {
            FinalOn::TurnEnd => session::FinalOn::TurnEnd,
            FinalOn::VadStop => session::FinalOn::VadStop,
        },
        drafts: partials.then(|| Drafts {
            interval,
            max_interval: settings.stream.max_partial_interval.max(interval),
            min_new_speech: Duration::from_millis(250),
        }),
        ..policy
    })
}

fn millis(
    name: &'static str,
    given: Option<f32>,
    range: &RangeInclusive<u64>,
) -> Result<Option<u64>, AsrError> {
    let Some(given) = given else {
        return Ok(None);
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float cast saturates"
    )]
    let millis = (f64::from(given) * 1_000.0).round() as u64;
    if given.is_nan() || given < 0.0 || !range.contains(&millis) {
        let (least, most) = (
            *range.start() as f64 / 1_000.0,
            *range.end() as f64 / 1_000.0,
        );
        return Err(AsrError::parameter(
            name,
            format!("lie between {least} and {most}"),
            given,
        ));
    }
    Ok(Some(millis))
}

fn in_range<N>(name: &'static str, given: N, range: &RangeInclusive<N>) -> Result<N, AsrError>
where
    N: PartialOrd + Copy + std::fmt::Display + std::fmt::Debug,
{
    if range.contains(&given) {
        return Ok(given);
    }
    Err(AsrError::parameter(
        name,
        format!("lie between {} and {}", range.start(), range.end()),
        given,
    ))
}

/// What a request may say about recognition, whatever kind of request it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Recognition<'a> {
    pub language: Option<&'a str>,
    pub task: Option<Task>,
    pub prompt: Option<&'a str>,
    pub hotwords: Option<&'a str>,
    pub beam_size: Option<u32>,
    pub temperature: Option<f32>,
    pub words: bool,
}

impl<'a> From<&'a TranscribeRequest> for Recognition<'a> {
    fn from(it: &'a TranscribeRequest) -> Recognition<'a> {
        Recognition {
            language: it.language.as_deref(),
            task: it.task,
            prompt: it.prompt.as_deref(),
            hotwords: it.hotwords.as_deref(),
            beam_size: it.beam_size,
            temperature: it.temperature,
            words: it.timestamps.unwrap_or(false),
        }
    }
}

impl Recognition<'_> {
    /// The recogniser's options for this request.
    pub fn options(&self, decode: &Decode, served: &Served) -> Result<Options, AsrError> {
        let task = self.task.unwrap_or(decode.task);
        if task == Task::Translate && !served.translates {
            return Err(AsrError::parameter(
                "task",
                format!(
                    "be `transcribe`: the model `{}` was not trained to translate",
                    served.name
                ),
                "translate",
            ));
        }
        let language = match self.language {
            Some("" | "auto") => None,
            Some(given) => Some(served.language(given)?),
            None => decode.language,
        };
        let beam_size = match self.beam_size {
            Some(given) => in_range("beam_size", given as usize, &(1..=MAX_BEAM_SIZE))?,
            None => decode.beam_size,
        };
        let temperatures = match self.temperature {
            Some(given) => {
                let first = in_range("temperature", given, &(0.0..=1.0))?;
                let above = decode.temperatures.iter().copied().filter(|it| first < *it);
                [first].into_iter().chain(above).collect()
            }
            None => decode.temperatures.clone(),
        };
        Ok(Options {
            // A model of one language is not asked for another; nothing is to be detected.
            language: if served.multilingual {
                language.map(str::to_owned)
            } else {
                Some("en".to_owned())
            },
            task: match task {
                Task::Transcribe => WhisperTask::Transcribe,
                Task::Translate => WhisperTask::Translate,
            },
            prompt: text("prompt", self.prompt)?.or_else(|| decode.prompt.clone()),
            hotwords: text("hotwords", self.hotwords)?.or_else(|| decode.hotwords.clone()),
            beam_size,
            best_of: decode.best_of,
            patience: decode.patience,
            length_penalty: decode.length_penalty,
            temperatures,
            compression_ratio_threshold: Some(decode.compression_ratio_threshold),
            log_prob_threshold: Some(decode.log_prob_threshold),
            no_speech_threshold: Some(decode.no_speech_threshold),
            condition_on_previous_text: decode.condition_on_previous_text,
            word_timestamps: self.words,
            window: served.window,
            ..Options::default()
        })
    }
}

fn text(name: &'static str, given: Option<&str>) -> Result<Option<String>, AsrError> {
    let n_chars = given.map_or(0, |it| it.chars().count());
    if MAX_PROMPT_CHARS < n_chars {
        return Err(AsrError::parameter(
            name,
            format!("have at most {MAX_PROMPT_CHARS} characters"),
            n_chars,
        ));
    }
    Ok(given.filter(|it| !it.trim().is_empty()).map(str::to_owned))
}

fn effective(
    asked: &StreamConfig,
    settings: &Settings,
    served: &Served,
    policy: &Policy,
    recognition: &Options,
) -> StreamConfig {
    let secs = |it: Duration| Some(it.as_secs_f32());
    StreamConfig {
        language: Some(
            recognition
                .language
                .clone()
                .unwrap_or_else(|| "auto".to_owned()),
        ),
        task: asked.task.or(Some(settings.decode.task)),
        model: Some(served.name.clone()),
        prompt: recognition.prompt.clone(),
        hotwords: recognition.hotwords.clone(),
        beam_size: u32::try_from(recognition.beam_size).ok(),
        temperature: recognition.temperatures.first().copied(),
        partials: Some(policy.drafts.is_some()),
        partial_interval_ms: policy
            .drafts
            .and_then(|it| u32::try_from(it.interval.as_millis()).ok()),
        enable_timestamps: Some(recognition.word_timestamps),
        vad: Some(VadConfig {
            kind: Some(
                asked
                    .vad
                    .as_ref()
                    .and_then(|it| it.kind)
                    .unwrap_or(settings.vad.raw.kind),
            ),
            threshold: Some(policy.start_probability),
            start_secs: secs(policy.start),
            stop_secs: secs(policy.stop),
            max_stop_secs: secs(policy.max_stop),
            pre_roll_secs: secs(policy.pre_roll),
            turn_threshold: Some(policy.turn_probability),
            max_turn_secs: secs(policy.max_turn),
        }),
        final_on: asked.final_on.or(Some(settings.stream.final_on)),
        start_sample: Some(asked.start_sample.unwrap_or(0)),
        ..StreamConfig::default()
    }
}

#[cfg(test)]
mod tests;
