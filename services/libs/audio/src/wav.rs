//! The WAV header, for files whose length is known and for streams whose is not.

use crate::SampleRate;
use crate::encoding::{Encoding, encode};

/// How long a WAV file says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// This many bytes of samples follow.
    Bytes(u32),
    /// As many as come: both sizes are written as `0xFFFF_FFFF`, which every player reads as "to the end".
    Unknown,
}

impl Length {
    /// The length of `n_samples` of one channel after another, or [`Unknown`](Self::Unknown) beyond 4 GiB.
    #[must_use]
    pub fn of(n_samples: usize, encoding: Encoding) -> Self {
        let n_bytes = n_samples.saturating_mul(encoding.bytes_per_sample());
        match u32::try_from(n_bytes) {
            // The whole-file size above it must fit as well.
            Ok(n_bytes) if n_bytes <= u32::MAX - 64 => Self::Bytes(n_bytes),
            _ => Self::Unknown,
        }
    }
}

/// A header for `n_channels` interleaved channels of `encoding`; the samples follow it directly.
///
/// 44 bytes for 16-bit PCM, 58 for the others, which the format requires to carry a `fact` chunk.
#[must_use]
pub fn header(encoding: Encoding, rate: SampleRate, n_channels: u16, length: Length) -> Vec<u8> {
    let sample_bytes: u16 = match encoding {
        Encoding::PcmS16le => 2,
        Encoding::PcmF32le => 4,
        Encoding::Mulaw | Encoding::Alaw => 1,
    };
    let format_tag: u16 = match encoding {
        Encoding::PcmS16le => 1,
        Encoding::PcmF32le => 3,
        Encoding::Alaw => 6,
        Encoding::Mulaw => 7,
    };
    let is_plain = encoding == Encoding::PcmS16le;
    let frame_bytes = n_channels.saturating_mul(sample_bytes);
    let (n_data, n_frames) = match length {
        Length::Bytes(n_bytes) => (n_bytes, n_bytes / u32::from(frame_bytes.max(1))),
        Length::Unknown => (u32::MAX, u32::MAX),
    };
    let n_before_data: u32 = if is_plain { 36 } else { 50 };
    // Chunks are padded to an even length; the pad is counted here and not in the chunk's own size.
    let n_riff = n_data
        .saturating_add(n_before_data)
        .saturating_add(n_data & 1);

    let mut bytes = Vec::with_capacity(58);
    bytes.extend_from_slice(b"RIFF");
    bytes.extend_from_slice(&n_riff.to_le_bytes());
    bytes.extend_from_slice(b"WAVEfmt ");
    bytes.extend_from_slice(&(if is_plain { 16_u32 } else { 18 }).to_le_bytes());
    bytes.extend_from_slice(&format_tag.to_le_bytes());
    bytes.extend_from_slice(&n_channels.to_le_bytes());
    bytes.extend_from_slice(&rate.hz().to_le_bytes());
    bytes.extend_from_slice(
        &rate
            .hz()
            .saturating_mul(u32::from(frame_bytes))
            .to_le_bytes(),
    );
    bytes.extend_from_slice(&frame_bytes.to_le_bytes());
    bytes.extend_from_slice(&(8 * sample_bytes).to_le_bytes());
    if !is_plain {
        bytes.extend_from_slice(&0_u16.to_le_bytes());
        bytes.extend_from_slice(b"fact");
        bytes.extend_from_slice(&4_u32.to_le_bytes());
        bytes.extend_from_slice(&n_frames.to_le_bytes());
    }
    bytes.extend_from_slice(b"data");
    bytes.extend_from_slice(&n_data.to_le_bytes());
    bytes
}

/// A whole mono file.
#[must_use]
pub fn file(samples: &[f32], encoding: Encoding, rate: SampleRate) -> Vec<u8> {
    let mut bytes = header(encoding, rate, 1, Length::of(samples.len(), encoding));
    let n_header = bytes.len();
    encode(samples, encoding, &mut bytes);
    if (bytes.len() - n_header) % 2 == 1 {
        bytes.push(0);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::{Limits, Target, decode};

    const LIMITS: Limits = Limits {
        max_seconds: 60,
        max_channels: 2,
        min_rate_hz: 1000,
        max_rate_hz: 192_000,
    };

    #[test]
    fn a_plain_header_is_the_44_bytes_that_everybody_writes() {
        let bytes = header(
            Encoding::PcmS16le,
            SampleRate::HZ_24000,
            2,
            Length::Bytes(1000),
        );
        let expected = [
            b"RIFF\x0C\x04\0\0WAVEfmt \x10\0\0\0\x01\0\x02\0".as_slice(),
            &24_000_u32.to_le_bytes(),
            &96_000_u32.to_le_bytes(),
            b"\x04\0\x10\0data\xE8\x03\0\0",
        ];
        assert_eq!(bytes, expected.concat());
    }

    #[test]
    fn files_can_be_read_back_in_every_encoding() {
        // An odd number, so that eight-bit files need their pad.
        let samples: Vec<f32> = (0_u8..101).map(|n| f32::from(n) / 128.0 - 0.4).collect();
        for encoding in Encoding::ALL {
            let bytes = file(&samples, encoding, SampleRate::HZ_8000);
            assert_eq!(bytes.len() % 2, 0);
            assert_eq!(
                u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]) as usize,
                bytes.len() - 8
            );
            let clip = decode(&bytes, Target::Source, &LIMITS).unwrap();
            assert_eq!(
                (clip.samples.len(), clip.source.codec),
                (101, encoding.name())
            );
            assert_eq!((clip.rate, clip.incomplete), (SampleRate::HZ_8000, None));
            for (given, got) in samples.iter().zip(&clip.samples) {
                assert!(
                    (given - got).abs() < 0.02,
                    "{encoding}: {given} became {got}"
                );
            }
        }
    }

    #[test]
    fn a_stream_may_end_wherever_it_likes() {
        let mut bytes = header(Encoding::PcmS16le, SampleRate::HZ_16000, 1, Length::Unknown);
        encode(&[0.5; 777], Encoding::PcmS16le, &mut bytes);
        let clip = decode(&bytes, Target::Source, &LIMITS).unwrap();
        assert_eq!((clip.samples, clip.incomplete), (vec![0.5; 777], None));
    }

    #[test]
    fn what_does_not_fit_in_32_bits_is_left_open() {
        assert_eq!(Length::of(1000, Encoding::PcmF32le), Length::Bytes(4000));
        assert_eq!(Length::of(1 << 30, Encoding::PcmF32le), Length::Unknown);
        assert_eq!(Length::of(usize::MAX, Encoding::PcmS16le), Length::Unknown);
    }
}
