//! WAV files, by hand: half of all uploads are WAV, and most of the broken ones.
//!
//! Lengths are believed only as far as there are bytes. Writers that stream leave them at zero or at their maximum;
//! such a file is whole, however long it turns out to be.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use super::kind::Kind;
use super::sink::{End, Sink};
use super::{Clip, DecodeError, tracks};
use crate::encoding::{alaw_to_linear, mulaw_to_linear};

/// Claims from here on mean that the writer did not know. Some leave 2 GiB, some 4, some a little less for the header.
const UNKNOWN_BYTES: u32 = 0x7FFF_0000;
/// Bytes converted at a time, a multiple of every frame that is a power of two long.
const PIECE_BYTES: usize = 64 << 10;

/// 32-bit full scale: 2 to the 31st.
const FULL_SCALE_32: f32 = 32_768.0 * 65_536.0;

/// How one sample is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sample {
    U8,
    S16,
    S24,
    S32,
    F32,
    F64,
    Mulaw,
    Alaw,
}

struct Format {
    sample: Sample,
    n_channels: u16,
    rate_hz: u32,
}

enum FormatError {
    CutOff,
    /// Left to the general decoder, which knows ADPCM.
    Other {
        tag: u16,
        bits: u16,
    },
}

pub(super) fn decode(bytes: &[u8], mut sink: Sink) -> Result<Clip, DecodeError> {
    let container = sink.container();
    let riff_bytes = bytes
        .get(4..8)
        .and_then(|size| size.first_chunk::<4>())
        .map_or(0, |size| u32::from_le_bytes(*size));
    let mut rest = bytes.get(12..).unwrap_or_default();
    let mut format = None;
    loop {
        let Some((&[i0, i1, i2, i3, s0, s1, s2, s3], body)) = rest.split_first_chunk::<8>() else {
            return Err(DecodeError::Truncated { container });
        };
        let size = u32::from_le_bytes([s0, s1, s2, s3]);
        let n_bytes = usize::try_from(size).unwrap_or(usize::MAX);
        match &[i0, i1, i2, i3] {
            b"fmt " => format = Some(body.get(..n_bytes).unwrap_or(body)),
            b"data" => {
                let Some(format) = format else {
                    let fault = "its samples come before their format".to_owned();
                    return Err(DecodeError::Malformed { container, fault });
                };
                let Format {
                    sample,
                    n_channels,
                    rate_hz,
                } = match Format::parse(format) {
                    Ok(format) => format,
                    Err(FormatError::CutOff) => return Err(DecodeError::Truncated { container }),
                    Err(FormatError::Other { tag: 2 | 0x11, .. }) => {
                        return tracks::decode(Kind::Wav, bytes, sink);
                    }
                    Err(FormatError::Other { tag, bits }) => {
                        let codec = format!("WAVE format {tag:#06x} with {bits} bits");
                        return Err(DecodeError::UnsupportedCodec { container, codec });
                    }
                };
                sink.open(rate_hz, u32::from(n_channels), sample.codec())?;
                let is_unknown =
                    size >= UNKNOWN_BYTES || (size == 0 && matches!(riff_bytes, 0 | 36 | u32::MAX));
                let data = if is_unknown {
                    body
                } else {
                    body.get(..n_bytes).unwrap_or(body)
                };
                let n_left_over = sample.read(data, n_channels, &mut sink)?;
                let frame_bytes = sample
                    .bytes()
                    .saturating_mul(usize::from(n_channels))
                    .max(1);
                let is_cut = !is_unknown && data.len() < n_bytes;
                let claimed = is_cut.then(|| n_bytes.checked_div(frame_bytes).unwrap_or(0) as u64);
                let is_whole = !is_cut && n_left_over == 0;
                return sink.finish(if is_whole {
                    End::Whole
                } else {
                    End::Early { claimed }
                });
            }
            _ => {}
        }
        // Chunks are padded to an even length.
        rest = body
            .get(n_bytes.saturating_add(n_bytes & 1)..)
            .unwrap_or_default();
    }
}

impl Format {
    fn parse(fields: &[u8]) -> Result<Self, FormatError> {
        let Some((&[t0, t1, c0, c1, r0, r1, r2, r3, _, _, _, _, _, _, b0, b1], extension)) =
            fields.split_first_chunk::<16>()
        else {
            return Err(FormatError::CutOff);
        };
        let mut tag = u16::from_le_bytes([t0, t1]);
        let bits = u16::from_le_bytes([b0, b1]);
        if tag == 0xFFFE {
            // The real tag begins the identifier behind size, valid bits and speaker mask.
            let real = extension
                .get(8..10)
                .and_then(|real| real.first_chunk::<2>())
                .ok_or(FormatError::CutOff)?;
            tag = u16::from_le_bytes(*real);
        }
        let sample = match (tag, bits) {
            (1, 1..=8) => Sample::U8,
            (1, 9..=16) => Sample::S16,
            (1, 17..=24) => Sample::S24,
            (1, 25..=32) => Sample::S32,
            (3, 32) => Sample::F32,
            (3, 64) => Sample::F64,
            (6, 8) => Sample::Alaw,
            (7, 8) => Sample::Mulaw,
            _ => return Err(FormatError::Other { tag, bits }),
        };
        Ok(Self {
            sample,
            n_channels: u16::from_le_bytes([c0, c1]),
            rate_hz: u32::from_le_bytes([r0, r1, r2, r3]),
        })
    }
}

impl Sample {
    pub(super) const fn codec(self) -> &'static str {
        match self {
            Self::U8 => "pcm_u8",
            Self::S16 => "pcm_s16le",
            Self::S24 => "pcm_s24le",
            Self::S32 => "pcm_s32le",
            Self::F32 => "pcm_f32le",
            Self::F64 => "pcm_f64le",
            Self::Mulaw => "mulaw",
            Self::Alaw => "alaw",
        }
    }

    const fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::Mulaw | Self::Alaw => 1,
            Self::S16 => 2,
            Self::S24 => 3,
            Self::S32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// Puts every whole frame into `sink`; returns how many bytes were left over.
    pub(super) fn read(
        self,
        data: &[u8],
        n_channels: u16,
        sink: &mut Sink,
    ) -> Result<usize, DecodeError> {
        let n_channels = usize::from(n_channels);
        let frame_bytes = self.bytes().saturating_mul(n_channels).max(1);
        let piece_bytes = PIECE_BYTES
            .checked_div(frame_bytes)
            .unwrap_or(1)
            .max(1)
            .saturating_mul(frame_bytes);
        let mut samples = Vec::new();
        for piece in data.chunks(piece_bytes) {
            samples.clear();
            self.convert(piece, &mut samples);
            sink.push(&samples, n_channels)?;
        }
        Ok(data.len().checked_rem(frame_bytes).unwrap_or(0))
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "samples are single precision inside"
    )]
    fn convert(self, bytes: &[u8], out: &mut Vec<f32>) {
        let linear = |linear: i16| f32::from(linear) / 32_768.0;
        match self {
            Self::U8 => out.extend(bytes.iter().map(|&byte| (f32::from(byte) - 128.0) / 128.0)),
            Self::S16 => out.extend(
                bytes
                    .as_chunks()
                    .0
                    .iter()
                    .map(|&bytes| linear(i16::from_le_bytes(bytes))),
            ),
            Self::S24 => out.extend(bytes.as_chunks().0.iter().map(|&[low, middle, high]| {
                i32::from_le_bytes([0, low, middle, high]) as f32 / FULL_SCALE_32
            })),
            Self::S32 => out.extend(
                bytes
                    .as_chunks()
                    .0
                    .iter()
                    .map(|&bytes| i32::from_le_bytes(bytes) as f32 / FULL_SCALE_32),
            ),
            Self::F32 => out.extend(
                bytes
                    .as_chunks()
                    .0
                    .iter()
                    .map(|&bytes| f32::from_le_bytes(bytes)),
            ),
            Self::F64 => out.extend(
                bytes
                    .as_chunks()
                    .0
                    .iter()
                    .map(|&bytes| f64::from_le_bytes(bytes) as f32),
            ),
            Self::Mulaw => out.extend(bytes.iter().map(|&byte| linear(mulaw_to_linear(byte)))),
            Self::Alaw => out.extend(bytes.iter().map(|&byte| linear(alaw_to_linear(byte)))),
        }
    }
}
