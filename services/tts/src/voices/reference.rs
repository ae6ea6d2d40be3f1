//! A recording in, a reference out: what every family of models can be conditioned with.
//!
//! ```text
//! any file ─► mono, 24 kHz ─► finite? long enough? ─► trimmed ─► somebody speaks? ─► at most 15 s ─► whole tokens
//! ```
//!
//! Invariants:
//! - Pure: the same upload under the same rules gives the same samples, and so the same [`Digest`].
//! - A reference says nothing of a family: the level that one wants is set on the way to the models, by [`Level`].
//! - A reference is a multiple of [`SAMPLES_PER_TOKEN`] long, so that its frames and its tokens end together.
//!
//! [`Level`]: super::level::Level

use audio::container::{self, Clip, DecodeError, Limits, RawFormat, Target};
use audio::encoding::Encoding;
use audio::{SampleRate, Samples, resample, wav};
use batcher::Model;
use bytes::Bytes;
use chassis::api_error::Classify;
use serde::{Deserialize, Serialize};
use wire::error::ErrorCode;

use super::digest::Digest;
use super::{level, speech};
use crate::models::conditioning::SAMPLES_PER_TOKEN;

/// The rate of every reference.
pub(super) const RATE: SampleRate = SampleRate::HZ_24000;

/// What a reference may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// Shorter ones are refused, before and after silence is trimmed.
    pub min: Samples,
    /// Files of more seconds are refused.
    pub max_seconds: u32,
    /// So much is kept.
    pub keep: Samples,
    /// Whether references in which nobody seems to speak are refused.
    pub check_speech: bool,
}

/// A recording as it came.
#[derive(Clone, Debug)]
pub enum Upload {
    /// A file of any kind that [`audio::container`] reads.
    File(Bytes),
    /// Samples without a container.
    Raw {
        /// As they came.
        bytes: Bytes,
        /// How to read them.
        format: RawFormat,
    },
    /// Samples that are decoded already.
    Decoded {
        /// Of one channel.
        samples: Vec<f32>,
        /// Theirs.
        rate: SampleRate,
    },
}

/// A recording, ready for every family.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    /// Mono, at 24 kHz, a multiple of [`SAMPLES_PER_TOKEN`] long.
    pub samples: Vec<f32>,
    /// Of the samples.
    pub digest: Digest,
    /// What could be better.
    pub warnings: Vec<Warning>,
}

/// What could be better about a reference that is good enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Warning {
    /// Less than five seconds.
    Short,
    /// The beginning was used and the rest was not.
    Cut,
    /// Recorded too loud.
    Clipped,
    /// Recorded too quietly.
    Quiet,
    /// From a telephone, or another source of less than 16 kHz.
    Narrow,
    /// The file ends before it says it does.
    Incomplete,
}

impl Warning {
    /// What it means and what to do.
    pub fn text(self) -> &'static str {
        match self {
            Warning::Short => {
                "less than 5 s of speech: the voice will resemble its model less; 6 to 15 s are best"
            }
            Warning::Cut => "only the beginning was used: longer references do not help",
            Warning::Clipped => "the recording is clipped: record it again at a lower level",
            Warning::Quiet => {
                "the recording is very quiet: its noise will be heard; record it again, closer"
            }
            Warning::Narrow => {
                "the recording has less than 8 kHz of bandwidth, like a telephone; so will the voice"
            }
            Warning::Incomplete => {
                "the file ends before it says it does; what was there has been used"
            }
        }
    }
}

/// Why a recording is no reference.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ReferenceError {
    /// It cannot be read.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// It is too short.
    #[error(
        "the reference must last {least_s:.1} s at least, better 6 to 15 s. Given: {given_s:.2} s"
    )]
    TooShort {
        /// What there is.
        given_s: f64,
        /// What there has to be.
        least_s: f64,
    },
    /// It is too short without its silence.
    #[error(
        "the reference must hold {least_s:.1} s of speech at least, better 6 to 15 s. Given: {given_s:.2} s between silences, in a recording of {recorded_s:.2} s"
    )]
    MostlySilent {
        /// Without silence at both ends.
        given_s: f64,
        /// What there has to be.
        least_s: f64,
        /// With silence.
        recorded_s: f64,
    },
    /// It is shorter than this family of models accepts.
    #[error(
        "this model needs references of more than {above_s:.1} s. Given: {given_s:.2} s; `voices.accept_short` lets them pass"
    )]
    TooShortForModel {
        /// What there is, without silence at both ends.
        given_s: f64,
        /// There has to be more.
        above_s: f64,
    },
    /// It is too long.
    #[error(
        "the reference must last {limit_s} s at most, and 6 to 15 s are best. Given: {given_s:.2} s"
    )]
    TooLong {
        /// What there is.
        given_s: f64,
        /// What there may be.
        limit_s: u32,
    },
    /// There is nothing to hear.
    #[error("the reference is silent: nothing in it is louder than -60 dB of full scale")]
    Silent,
    /// There is something to hear, and it is not a voice.
    #[error(
        "nobody seems to speak in the reference: it has no changing, voiced sound, as noise, tones and whispering have none"
    )]
    NoSpeech,
    /// A sample is not a number, or became infinite.
    #[error("the reference holds samples that are not finite numbers (first at {at_s:.3} s)")]
    NotFinite {
        /// Where.
        at_s: f64,
    },
}

impl Classify for ReferenceError {
    fn code(&self) -> ErrorCode {
        match self {
            ReferenceError::Decode(error) => match error {
                DecodeError::Empty
                | DecodeError::NotAudio
                | DecodeError::Truncated { .. }
                | DecodeError::Malformed { .. }
                | DecodeError::NoAudioTrack { .. }
                | DecodeError::NoSamples { .. } => ErrorCode::InvalidAudio,
                DecodeError::UnsupportedCodec { .. } => ErrorCode::UnsupportedAudio,
                DecodeError::Rate { .. } | DecodeError::Channels { .. } => {
                    ErrorCode::InvalidParameter
                }
                DecodeError::TooLong { .. } => ErrorCode::AudioTooLong,
                DecodeError::NotFinite { .. } => ErrorCode::InvalidSamples,
            },
            ReferenceError::TooShort { .. }
            | ReferenceError::MostlySilent { .. }
            | ReferenceError::TooShortForModel { .. } => ErrorCode::AudioTooShort,
            ReferenceError::TooLong { .. } => ErrorCode::AudioTooLong,
            ReferenceError::Silent | ReferenceError::NoSpeech => ErrorCode::NoSpeech,
            ReferenceError::NotFinite { .. } => ErrorCode::InvalidSamples,
        }
    }
}

impl Rules {
    /// Makes a reference of a recording.
    ///
    /// # Errors
    /// If it cannot be one; see [`ReferenceError`].
    pub fn prepare(&self, upload: &Upload) -> Result<Reference, ReferenceError> {
        let recording = self.decode(upload)?;
        self.check_length(&recording.samples)?;
        let loudness = speech::Loudness::of(&recording.samples);
        let heard = loudness.heard().ok_or(ReferenceError::Silent)?;
        let recorded = Samples::of(&recording.samples);
        let heard = heard.samples(recording.samples.len());
        let trimmed = &recording.samples[heard];
        self.check_trimmed(trimmed, recorded)?;

        let is_cut = self.keep < Samples::of(trimmed);
        let kept = kept_samples(trimmed, self.keep.as_usize());
        let samples = trimmed[..kept].to_vec();
        if self.check_speech && !speech::is_present(&samples) {
            return Err(ReferenceError::NoSpeech);
        }
        let problems = [
            (Samples::of(&samples) < SHORT, Warning::Short),
            (is_cut, Warning::Cut),
            (is_clipped(&samples), Warning::Clipped),
            (loudness.loud_db < QUIET_DB, Warning::Quiet),
            (recording.is_narrow, Warning::Narrow),
            (recording.is_incomplete, Warning::Incomplete),
        ];
        Ok(Reference {
            digest: Digest::of_samples(&samples),
            samples,
            warnings: problems
                .into_iter()
                .filter_map(|(is_so, warning)| is_so.then_some(warning))
                .collect(),
        })
    }

    fn decode(&self, upload: &Upload) -> Result<Recording, ReferenceError> {
        let limits = Limits {
            // A file of just the limit may have padding of its codec behind it; `check_length` is exact.
            max_seconds: self.max_seconds + 1,
            max_channels: 32,
            min_rate_hz: 1_000,
            max_rate_hz: 384_000,
        };
        let target = Target::Rate(RATE);
        let decoded = match upload {
            Upload::File(bytes) => container::decode(bytes, target, &limits),
            Upload::Raw { bytes, format } => container::decode_raw(bytes, *format, target, &limits),
            Upload::Decoded { samples, rate } => return Recording::of_samples(samples, *rate),
        };
        match decoded {
            Ok(clip) => Ok(Recording::of_clip(clip)),
            // Without the second of grace in its words.
            Err(DecodeError::TooLong { .. }) => Err(DecodeError::TooLong {
                limit_s: self.max_seconds,
            }
            .into()),
            Err(error) => Err(error.into()),
        }
    }

    fn check_length(&self, samples: &[f32]) -> Result<(), ReferenceError> {
        let given = Samples::of(samples);
        if given < self.min {
            return Err(ReferenceError::TooShort {
                given_s: given.seconds(RATE),
                least_s: self.min.seconds(RATE),
            });
        }
        let given_s = given.seconds(RATE);
        if f64::from(self.max_seconds) + CODEC_PADDING_S < given_s {
            return Err(ReferenceError::TooLong {
                given_s,
                limit_s: self.max_seconds,
            });
        }
        Ok(())
    }

    fn check_trimmed(&self, trimmed: &[f32], recorded: Samples) -> Result<(), ReferenceError> {
        let given = Samples::of(trimmed);
        if given < self.min {
            return Err(ReferenceError::MostlySilent {
                given_s: given.seconds(RATE),
                least_s: self.min.seconds(RATE),
                recorded_s: recorded.seconds(RATE),
            });
        }
        Ok(())
    }
}

/// MP3 and AAC add up to about a tenth of a second.
const CODEC_PADDING_S: f64 = 0.25;
/// Five seconds, from which Turbo was trained.
const SHORT: Samples = Samples(5 * 24_000);
/// Loud frames below this are those of somebody far from the microphone.
const QUIET_DB: f32 = -40.0;
/// How far before the limit a pause is looked for: one second.
const CUT_WINDOW: usize = 24_000;

struct Recording {
    samples: Vec<f32>,
    is_narrow: bool,
    is_incomplete: bool,
}

impl Recording {
    fn of_clip(clip: Clip) -> Recording {
        Recording {
            is_narrow: clip.source.rate < SampleRate::HZ_16000,
            is_incomplete: clip.incomplete.is_some(),
            samples: clip.samples,
        }
    }

    /// Treats them as a file's: what goes beyond full scale is clipped.
    fn of_samples(samples: &[f32], rate: SampleRate) -> Result<Recording, ReferenceError> {
        if let Some(idx) = samples.iter().position(|it| !it.is_finite()) {
            return Err(ReferenceError::NotFinite {
                at_s: Samples::of(&samples[..idx]).seconds(rate),
            });
        }
        let clipped: Vec<f32> = samples.iter().map(|it| it.clamp(-1.0, 1.0)).collect();
        let mut samples = resample::resample_all(&clipped, rate, RATE);
        samples.iter_mut().for_each(|it| *it = it.clamp(-1.0, 1.0));
        Ok(Recording {
            samples,
            is_narrow: rate < SampleRate::HZ_16000,
            is_incomplete: false,
        })
    }
}

/// How many samples are kept: whole tokens, at most `limit`, and if that cuts something off, up to where it is quietest.
fn kept_samples(samples: &[f32], limit: usize) -> usize {
    let whole = |it: usize| it / SAMPLES_PER_TOKEN * SAMPLES_PER_TOKEN;
    if samples.len() <= limit {
        return whole(samples.len());
    }
    let ends = (whole(limit.saturating_sub(CUT_WINDOW))..=whole(limit)).step_by(SAMPLES_PER_TOKEN);
    let ends = ends.filter(|it| 0 < *it);
    let loudness = |end: &usize| speech::energy_around(samples, *end);
    let quietest = ends.min_by(|a, b| loudness(a).total_cmp(&loudness(b)));
    quietest.unwrap_or_else(|| whole(limit))
}

/// Whether the waveform's peaks are flat: many samples share the largest magnitude, at or near full scale.
fn is_clipped(samples: &[f32]) -> bool {
    const NEAR_FULL_SCALE: f32 = 0.95;
    let peak = level::peak(samples);
    // Speech that just reaches its peak spends about one sample in 20,000 so near it; clipped speech one in 100.
    let n_flat = samples.iter().filter(|it| 0.98 * peak <= it.abs()).count();
    NEAR_FULL_SCALE <= peak && samples.len() < n_flat * 1_000
}

impl Reference {
    /// The samples as a WAV file that any player reads, bit for bit.
    pub fn to_wav(&self) -> Vec<u8> {
        wav::file(&self.samples, Encoding::PcmF32le, RATE)
    }
}

/// Reads what [`Reference::to_wav`] wrote. `None` if it is not what has this digest.
pub(super) fn from_wav(bytes: &[u8], digest: &Digest) -> Option<Vec<f32>> {
    let limits = Limits {
        max_seconds: 3_600,
        max_channels: 1,
        min_rate_hz: RATE.hz(),
        max_rate_hz: RATE.hz(),
    };
    let clip = container::decode(bytes, Target::Source, &limits).ok()?;
    (Digest::of_samples(&clip.samples) == *digest).then_some(clip.samples)
}

/// Makes references on a thread of its own.
#[derive(Clone, Copy, Debug)]
pub struct Preparer {
    /// Its rules.
    pub rules: Rules,
}

impl Model for Preparer {
    type Input = Upload;
    type Output = Reference;
    type Error = ReferenceError;
    type Key = ();

    fn key(_input: &Upload) {}

    fn run(&mut self, batch: &[Upload]) -> Result<Vec<Reference>, ReferenceError> {
        batch.iter().map(|it| self.rules.prepare(it)).collect()
    }

    fn self_test(&mut self) -> Result<(), ReferenceError> {
        // Keeps nothing from one file to the next.
        Ok(())
    }
}

#[cfg(test)]
mod tests;
