//! Whole files of foreign making to samples: WAV, AIFF, CAF, FLAC, MP3, Ogg, WebM, M4A, or raw PCM.
//!
//! *Invariants*
//!
//! - The bytes decide what a file is. Names and content types are not looked at: clients lie about them daily.
//! - Memory is bounded by the limits given and by the input's size, never by what a header claims.
//! - A file that ends early is decoded as far as its container allows, and the clip says so: whoever uploads half a file wants
//!   the text of that half. AIFF and CAF files, and M4A files with their index at the end, do not allow it.

#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

mod he_aac;
mod kind;
mod matroska;
mod mp4;
mod ogg;
mod sink;
mod tracks;
mod wav;

use crate::encoding::Encoding;
use crate::{SampleRate, Samples};
use kind::Kind;
use sink::Sink;

/// What a file may be. Everything outside is refused with the limit in the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest audio accepted, in seconds of playing time.
    pub max_seconds: u32,
    /// The most channels accepted.
    pub max_channels: u16,
    /// The lowest rate accepted, in hertz.
    pub min_rate_hz: u32,
    /// The highest rate accepted, in hertz.
    pub max_rate_hz: u32,
}

/// The rate at which a clip is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// As the file has it.
    Source,
    /// Resampled while decoding, so that the file never lies in memory at its own rate.
    Rate(SampleRate),
}

/// A decoded file.
#[derive(Clone, Debug, PartialEq)]
pub struct Clip {
    /// All channels averaged into one.
    pub samples: Vec<f32>,
    /// The rate of `samples`.
    pub rate: SampleRate,
    /// What the file was.
    pub source: Source,
    /// Present if the file ended before its own header or structure said it would.
    pub incomplete: Option<Incomplete>,
}

/// What a file was before it became a clip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The kind of file: `wav`, `aiff`, `caf`, `flac`, `mp3`, `adts`, `ogg`, `mp4`, `matroska` (WebM is one) or `raw`.
    pub container: &'static str,
    /// The codec inside: `pcm_s16le`, `mulaw`, `flac`, `mp3`, `vorbis`, `opus`, `aac` and so on.
    pub codec: &'static str,
    /// The file's own rate.
    pub rate: SampleRate,
    /// How many channels were averaged.
    pub n_channels: u16,
}

/// A file that ended early, whose header claims more than there is, or that was damaged on the way. What could not be
/// decoded in the middle became silence, so that times hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incomplete {
    /// The length claimed, at the file's own rate, where the file makes a claim.
    pub claimed: Option<Samples>,
    /// The length found, at the file's own rate.
    pub found: Samples,
}

/// Why a file gave no clip.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// There are no bytes at all.
    #[error("the file is empty")]
    Empty,
    /// No known container starts like this.
    #[error(
        "this is not audio that we know; send WAV, AIFF, CAF, FLAC, MP3, Ogg (Vorbis or Opus), WebM (Opus or Vorbis), \
         or M4A (AAC)"
    )]
    NotAudio,
    /// The file ends before its first audio.
    #[error("the {container} file ends before any audio; it was cut off or is empty")]
    Truncated {
        /// As in [`Source::container`].
        container: &'static str,
    },
    /// The file contradicts its own format.
    #[error("the {container} file is damaged: {fault}")]
    Malformed {
        /// As in [`Source::container`].
        container: &'static str,
        /// What is wrong, in the decoder's words.
        fault: String,
    },
    /// The container is fine and holds no audio track.
    #[error("the {container} file has no audio track")]
    NoAudioTrack {
        /// As in [`Source::container`].
        container: &'static str,
    },
    /// The container is known and what it holds is not.
    #[error("the {container} file holds `{codec}`, which we cannot decode")]
    UnsupportedCodec {
        /// As in [`Source::container`].
        container: &'static str,
        /// The codec as far as it could be told.
        codec: String,
    },
    /// The audio track has no samples.
    #[error("the {container} file holds no samples")]
    NoSamples {
        /// As in [`Source::container`].
        container: &'static str,
    },
    /// The rate is zero or absurd.
    #[error("the sample rate must be {min_hz} to {max_hz} Hz. Given: {given_hz}")]
    Rate {
        /// What the file says.
        given_hz: u32,
        /// [`Limits::min_rate_hz`].
        min_hz: u32,
        /// [`Limits::max_rate_hz`].
        max_hz: u32,
    },
    /// No channels or too many.
    #[error("there must be 1 to {limit} channels. Given: {given}")]
    Channels {
        /// What the file says.
        given: u32,
        /// [`Limits::max_channels`].
        limit: u16,
    },
    /// The audio is longer than [`Limits::max_seconds`]. How long is not known: decoding stopped there.
    #[error("the audio is longer than {limit_s} s, the most accepted here")]
    TooLong {
        /// [`Limits::max_seconds`].
        limit_s: u32,
    },
    /// A floating-point file holds samples that are no numbers.
    #[error("the audio holds samples that are not finite numbers (first at {at_s:.3} s)")]
    NotFinite {
        /// Where the first one is, in seconds.
        at_s: f64,
    },
}

/// How raw PCM without a header is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawFormat {
    /// How a sample is written.
    pub encoding: Encoding,
    /// Samples per second and channel.
    pub rate: SampleRate,
    /// Interleaved channels, 1 or more.
    pub n_channels: u16,
}

/// Decodes a whole file, averages its channels, and resamples it to `target`.
///
/// # Errors
///
/// See [`DecodeError`]. A file that merely ends early is not an error: see [`Clip::incomplete`].
pub fn decode(bytes: &[u8], target: Target, limits: &Limits) -> Result<Clip, DecodeError> {
    if bytes.is_empty() {
        return Err(DecodeError::Empty);
    }
    let (kind, bytes) = Kind::of(bytes).ok_or(DecodeError::NotAudio)?;
    let sink = Sink::new(kind.name(), target, *limits);
    match kind {
        Kind::Wav => wav::decode(bytes, sink),
        Kind::Ogg if ogg::is_opus(bytes) => ogg::decode_opus(bytes, sink),
        Kind::Ogg
        | Kind::Aiff
        | Kind::Caf
        | Kind::Flac
        | Kind::Mp3
        | Kind::Adts
        | Kind::Mp4
        | Kind::Matroska => tracks::decode(kind, bytes, sink),
    }
}

/// Reads raw PCM. A last frame that is not whole makes the clip [`Incomplete`].
///
/// # Errors
///
/// As [`decode`], as far as they can occur.
pub fn decode_raw(
    bytes: &[u8],
    format: RawFormat,
    target: Target,
    limits: &Limits,
) -> Result<Clip, DecodeError> {
    if bytes.is_empty() {
        return Err(DecodeError::Empty);
    }
    let sample = match format.encoding {
        Encoding::PcmS16le => wav::Sample::S16,
        Encoding::PcmF32le => wav::Sample::F32,
        Encoding::Mulaw => wav::Sample::Mulaw,
        Encoding::Alaw => wav::Sample::Alaw,
    };
    let mut sink = Sink::new("raw", target, *limits);
    sink.open(
        format.rate.hz(),
        u32::from(format.n_channels),
        sample.codec(),
    )?;
    let n_left_over = sample.read(bytes, format.n_channels, &mut sink)?;
    sink.finish(if n_left_over == 0 {
        sink::End::Whole
    } else {
        sink::End::Early { claimed: None }
    })
}

#[cfg(test)]
mod tests;
