//! Raw PCM bytes to mono samples and back, in any split.
//!
//! *Invariants*
//!
//! - Bytes that do not yet make a frame (one sample of every channel) are kept for the next push: at most
//!   seven of them.
//! - What comes out is finite and in `[-1, 1]`. Samples that were not finite become zero and are counted.
//! - The output depends on the bytes alone and not on how they were cut.

mod g711;

use std::fmt;
use std::str::FromStr;

pub use g711::{alaw_to_linear, linear_to_alaw, linear_to_mulaw, mulaw_to_linear};

/// How one sample is written in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Signed 16-bit, little endian. 32768 stands for 1.0.
    PcmS16le,
    /// IEEE single precision, little endian, full scale at 1.0.
    PcmF32le,
    /// G.711 mu-law, 8 bits.
    Mulaw,
    /// G.711 A-law, 8 bits.
    Alaw,
}

impl Encoding {
    /// All of them, in the order of documentation.
    pub const ALL: [Self; 4] = [Self::PcmS16le, Self::PcmF32le, Self::Mulaw, Self::Alaw];

    /// The name used in every interface: `pcm_s16le`, `pcm_f32le`, `mulaw`, `alaw`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PcmS16le => "pcm_s16le",
            Self::PcmF32le => "pcm_f32le",
            Self::Mulaw => "mulaw",
            Self::Alaw => "alaw",
        }
    }

    /// How many bytes one sample of one channel takes.
    #[must_use]
    pub const fn bytes_per_sample(self) -> usize {
        match self {
            Self::PcmS16le => 2,
            Self::PcmF32le => 4,
            Self::Mulaw | Self::Alaw => 1,
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The name is none of [`Encoding::ALL`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`encoding` must be one of `pcm_s16le`, `pcm_f32le`, `mulaw`, `alaw`. Given: {given}")]
pub struct UnknownEncoding {
    /// What was asked for.
    pub given: String,
}

impl FromStr for Encoding {
    type Err = UnknownEncoding;

    fn from_str(given: &str) -> Result<Self, UnknownEncoding> {
        let known = Self::ALL
            .into_iter()
            .find(|encoding| encoding.name() == given);
        known.ok_or_else(|| UnknownEncoding {
            given: given.to_owned(),
        })
    }
}

/// How many channels a stream interleaves. They are averaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channels {
    /// One.
    Mono,
    /// Two, left first.
    Stereo,
}

impl Channels {
    /// One or two channels, or `None` for any other number.
    #[must_use]
    pub const fn new(n_channels: u32) -> Option<Self> {
        match n_channels {
            1 => Some(Self::Mono),
            2 => Some(Self::Stereo),
            _ => None,
        }
    }

    /// The number of channels.
    #[must_use]
    pub const fn count(self) -> usize {
        match self {
            Self::Mono => 1,
            Self::Stereo => 2,
        }
    }
}

/// What one [`PcmDecoder::push`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// Mono samples appended to the output.
    pub n_samples: usize,
    /// Samples, counted before channels are mixed, that were not finite and became zero.
    pub n_replaced: usize,
}

/// The longest frame: two channels of four bytes.
const MAX_FRAME_BYTES: usize = 8;

/// Bytes of one stream in, mono samples at the stream's rate out.
#[derive(Clone, Debug)]
pub struct PcmDecoder {
    encoding: Encoding,
    channels: Channels,
    pending: [u8; MAX_FRAME_BYTES],
    n_pending: usize,
}

impl PcmDecoder {
    /// A decoder with nothing pending.
    #[must_use]
    pub const fn new(encoding: Encoding, channels: Channels) -> Self {
        Self {
            encoding,
            channels,
            pending: [0; MAX_FRAME_BYTES],
            n_pending: 0,
        }
    }

    /// Decodes every whole frame in what was pending plus `bytes`, appends it to `out`, keeps the rest.
    pub fn push(&mut self, mut bytes: &[u8], out: &mut Vec<f32>) -> Pushed {
        let (n_before, frame_bytes) = (out.len(), self.bytes_per_frame());
        let mut n_replaced = 0;
        out.reserve(bytes.len() / frame_bytes + 1);
        if self.n_pending > 0 {
            let (head, rest) = bytes.split_at(bytes.len().min(frame_bytes - self.n_pending));
            self.keep(head);
            bytes = rest;
            if self.n_pending == frame_bytes {
                let frame = self.pending;
                n_replaced += self.decode_frames(&frame[..frame_bytes], out);
                self.n_pending = 0;
            }
        }
        let (whole, rest) = bytes.split_at(bytes.len() - bytes.len() % frame_bytes);
        n_replaced += self.decode_frames(whole, out);
        self.keep(rest);
        Pushed {
            n_samples: out.len() - n_before,
            n_replaced,
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.pending[self.n_pending..self.n_pending + bytes.len()].copy_from_slice(bytes);
        self.n_pending += bytes.len();
    }

    /// `frames` holds whole frames only.
    fn decode_frames(&self, frames: &[u8], out: &mut Vec<f32>) -> usize {
        match (self.encoding, self.channels) {
            (Encoding::PcmS16le, Channels::Mono) => {
                out.extend(whole_chunks(frames).map(s16le));
                0
            }
            (Encoding::PcmS16le, Channels::Stereo) => {
                out.extend(
                    whole_chunks(frames).map(|[a, b, c, d]| mean(s16le([a, b]), s16le([c, d]))),
                );
                0
            }
            (Encoding::PcmF32le, Channels::Mono) => {
                let mut n_replaced = 0;
                out.extend(whole_chunks(frames).map(|bytes| f32le(bytes, &mut n_replaced)));
                n_replaced
            }
            (Encoding::PcmF32le, Channels::Stereo) => {
                let mut n_replaced = 0;
                out.extend(whole_chunks(frames).map(|[a, b, c, d, e, f, g, h]| {
                    mean(
                        f32le([a, b, c, d], &mut n_replaced),
                        f32le([e, f, g, h], &mut n_replaced),
                    )
                }));
                n_replaced
            }
            (Encoding::Mulaw, channels) => eight_bits(frames, channels, mulaw_to_linear, out),
            (Encoding::Alaw, channels) => eight_bits(frames, channels, alaw_to_linear, out),
        }
    }

    /// How many bytes of an unfinished frame wait for the rest of it: 0 to 7.
    #[must_use]
    pub const fn pending_bytes(&self) -> usize {
        self.n_pending
    }

    /// Forgets an unfinished frame and says how many bytes it had.
    pub const fn discard_pending(&mut self) -> usize {
        let n_discarded = self.n_pending;
        self.n_pending = 0;
        n_discarded
    }

    /// How many bytes one frame takes.
    #[must_use]
    pub const fn bytes_per_frame(&self) -> usize {
        self.encoding.bytes_per_sample() * self.channels.count()
    }
}

/// Appends `samples` to `out` in `encoding`. What lies outside `[-1, 1]` is clipped; not-a-number becomes zero.
pub fn encode(samples: &[f32], encoding: Encoding, out: &mut Vec<u8>) {
    out.reserve(samples.len() * encoding.bytes_per_sample());
    match encoding {
        Encoding::PcmS16le => out.extend(
            samples
                .iter()
                .flat_map(|&sample| to_s16(sample).to_le_bytes()),
        ),
        Encoding::PcmF32le => out.extend(samples.iter().flat_map(|&sample| {
            let finite = if sample.is_nan() {
                0.0
            } else {
                sample.clamp(-1.0, 1.0)
            };
            finite.to_le_bytes()
        })),
        Encoding::Mulaw => out.extend(
            samples
                .iter()
                .map(|&sample| linear_to_mulaw(to_s16(sample))),
        ),
        Encoding::Alaw => out.extend(samples.iter().map(|&sample| linear_to_alaw(to_s16(sample)))),
    }
}

/// The nearest 16-bit value, clipped; the inverse of dividing by 32768.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    reason = "a float cast saturates, and not-a-number becomes zero"
)]
pub const fn to_s16(sample: f32) -> i16 {
    (sample * SCALE).round() as i16
}

/// 16-bit full scale. A power of two, so that the way there and back loses nothing.
const SCALE: f32 = 32_768.0;

fn whole_chunks<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> + '_ {
    let (chunks, _none) = bytes.as_chunks::<N>();
    chunks.iter().copied()
}

fn s16le(bytes: [u8; 2]) -> f32 {
    f32::from(i16::from_le_bytes(bytes)) / SCALE
}

fn f32le(bytes: [u8; 4], n_replaced: &mut usize) -> f32 {
    let sample = f32::from_le_bytes(bytes);
    if sample.is_finite() {
        // Louder than full scale is common in float streams and harmless once clipped;
        // unclipped, 1e30 overflows the power spectrum.
        sample.clamp(-1.0, 1.0)
    } else {
        *n_replaced += 1;
        0.0
    }
}

fn eight_bits(
    frames: &[u8],
    channels: Channels,
    linear: fn(u8) -> i16,
    out: &mut Vec<f32>,
) -> usize {
    let sample = |byte| f32::from(linear(byte)) / SCALE;
    match channels {
        Channels::Mono => out.extend(frames.iter().map(|&byte| sample(byte))),
        Channels::Stereo => {
            out.extend(whole_chunks(frames).map(|[left, right]| mean(sample(left), sample(right))));
        }
    }
    0
}

fn mean(left: f32, right: f32) -> f32 {
    // Halved, so exact for anything that came from integers.
    (left + right) * 0.5
}

#[cfg(test)]
mod tests;
