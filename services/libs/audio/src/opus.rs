//! Opus packets to mono samples at 48 kHz, for every container that carries them.
//!
//! *Invariants*
//!
//! - A packet gives as many samples as its first bytes announce, whether it can be decoded or not: time is never lost.
//! - A packet that makes the decoder panic costs that packet. `ropus` is safe Rust but for a few inner loops, and arithmetic on
//!   hostile packets may overflow where debug builds check it.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use std::panic::{AssertUnwindSafe, catch_unwind};

use ropus::{DecodeMode, OpusMSDecoder};

/// The rate at which Opus counts, whatever was encoded.
pub(crate) const RATE_HZ: u32 = 48_000;
/// The longest packet, 120 ms.
const MAX_PACKET_SAMPLES: usize = 5760;
/// Vorbis' channel orders, which Opus borrows, end at 7.1.
const MAX_CHANNELS: u8 = 8;

/// The `OpusHead` packet of RFC 7845, also found in WebM and CAF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) n_channels: u8,
    /// Samples at 48 kHz that the decoder needs to settle, to be thrown away.
    pub(crate) pre_skip: u16,
    /// 256ths of a decibel.
    gain: i16,
    layout: Layout,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Layout {
    /// One stream of one or two channels.
    Single,
    /// Several streams in one packet, the first `n_coupled` of them in stereo.
    Multi {
        n_streams: u8,
        n_coupled: u8,
        mapping: Vec<u8>,
    },
}

impl Head {
    pub(crate) const MAGIC: &'static [u8] = b"OpusHead";

    pub(crate) fn parse(packet: &[u8]) -> Result<Self, &'static str> {
        let body = packet
            .strip_prefix(Self::MAGIC)
            .ok_or("it does not begin with `OpusHead`")?;
        let Some((
            &[
                version,
                n_channels,
                skip_low,
                skip_high,
                _,
                _,
                _,
                _,
                gain_low,
                gain_high,
                family,
            ],
            rest,
        )) = body.split_first_chunk::<11>()
        else {
            return Err("it is cut off");
        };
        Self::new(
            Fields {
                version,
                n_channels,
                pre_skip: u16::from_le_bytes([skip_low, skip_high]),
                gain: i16::from_le_bytes([gain_low, gain_high]),
                family,
            },
            rest,
        )
    }

    /// The `dOps` box of MP4: the same fields, big endian, without the magic.
    pub(crate) fn parse_mp4(fields: &[u8]) -> Result<Self, &'static str> {
        let Some((
            &[
                version,
                n_channels,
                skip_high,
                skip_low,
                _,
                _,
                _,
                _,
                gain_high,
                gain_low,
                family,
            ],
            rest,
        )) = fields.split_first_chunk::<11>()
        else {
            return Err("it is cut off");
        };
        Self::new(
            Fields {
                version,
                n_channels,
                pre_skip: u16::from_be_bytes([skip_high, skip_low]),
                gain: i16::from_be_bytes([gain_high, gain_low]),
                family,
            },
            rest,
        )
    }

    fn new(fields: Fields, rest: &[u8]) -> Result<Self, &'static str> {
        let Fields {
            version,
            n_channels,
            pre_skip,
            gain,
            family,
        } = fields;
        if version & 0xF0 != 0 {
            return Err("its version is newer than 1");
        }
        let layout = match (family, n_channels) {
            (0, 1 | 2) => Layout::Single,
            (0 | 1, 0) => return Err("it has no channels"),
            (1 | 255, 1..=MAX_CHANNELS) => Self::multi(n_channels, rest)?,
            (0 | 1 | 255, _) => return Err("it has too many channels"),
            _ => return Err("its channel mapping is not one of mono, stereo and surround"),
        };
        Ok(Self {
            n_channels,
            pre_skip,
            gain,
            layout,
        })
    }

    fn multi(n_channels: u8, rest: &[u8]) -> Result<Layout, &'static str> {
        let (Some(&n_streams), Some(&n_coupled)) = (rest.first(), rest.get(1)) else {
            return Err("it is cut off");
        };
        let mapping = rest
            .get(2..)
            .and_then(|mapping| mapping.get(..usize::from(n_channels)))
            .ok_or("it is cut off")?;
        let n_decoded = u16::from(n_streams).saturating_add(u16::from(n_coupled));
        let is_mapped = |&channel: &u8| channel == 255 || u16::from(channel) < n_decoded;
        // More streams than channels would only be decoded to be thrown away.
        if n_streams == 0
            || n_coupled > n_streams
            || n_streams > n_channels
            || !mapping.iter().all(is_mapped)
        {
            return Err("its channel mapping contradicts itself");
        }
        Ok(Layout::Multi {
            n_streams,
            n_coupled,
            mapping: mapping.to_vec(),
        })
    }
}

struct Fields {
    version: u8,
    n_channels: u8,
    pre_skip: u16,
    gain: i16,
    family: u8,
}

/// The packet could not be decoded; silence of its length was given instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damaged;

/// Packets of one stream in, mono samples out.
pub(crate) struct PacketDecoder {
    head: Head,
    decoder: Option<Decoder>,
    /// Interleaved samples of one packet.
    pcm: Vec<i16>,
}

enum Decoder {
    Single(Box<ropus::Decoder>),
    Multi(Box<OpusMSDecoder>),
}

impl PacketDecoder {
    pub(crate) fn new(head: Head) -> Self {
        Self {
            head,
            decoder: None,
            pcm: Vec::new(),
        }
    }

    pub(crate) fn head(&self) -> &Head {
        &self.head
    }

    /// Appends the packet's samples to `out`, all channels averaged.
    pub(crate) fn decode(&mut self, packet: &[u8], out: &mut Vec<f32>) -> Result<(), Damaged> {
        let n_samples = duration(packet).ok_or(Damaged)?;
        let decoded = catch_unwind(AssertUnwindSafe(|| self.decode_packet(packet, n_samples)));
        match decoded {
            Ok(Some(())) => {
                mix(&self.pcm, usize::from(self.head.n_channels), out);
                Ok(())
            }
            Ok(None) => {
                out.resize(out.len().saturating_add(n_samples), 0.0);
                Err(Damaged)
            }
            Err(_panic) => {
                // What it left behind may be in any state.
                self.decoder = None;
                out.resize(out.len().saturating_add(n_samples), 0.0);
                Err(Damaged)
            }
        }
    }

    fn decode_packet(&mut self, packet: &[u8], n_samples: usize) -> Option<()> {
        if self.decoder.is_none() {
            self.decoder = Some(Decoder::new(&self.head)?);
        }
        self.pcm.clear();
        self.pcm
            .resize(n_samples.checked_mul(usize::from(self.head.n_channels))?, 0);
        let n_decoded = match self.decoder.as_mut()? {
            Decoder::Single(decoder) => decoder
                .decode(packet, &mut self.pcm, DecodeMode::Normal)
                .ok()?,
            Decoder::Multi(decoder) => {
                let (n_bytes, max) = (
                    i32::try_from(packet.len()).ok()?,
                    i32::try_from(n_samples).ok()?,
                );
                let n_decoded = decoder
                    .decode(Some(packet), n_bytes, &mut self.pcm, max, false)
                    .ok()?;
                usize::try_from(n_decoded).ok()?
            }
        };
        (n_decoded == n_samples).then_some(())
    }
}

impl Decoder {
    fn new(head: &Head) -> Option<Self> {
        match &head.layout {
            Layout::Single => {
                let channels = if head.n_channels == 1 {
                    ropus::Channels::Mono
                } else {
                    ropus::Channels::Stereo
                };
                let mut decoder = ropus::Decoder::new(RATE_HZ, channels).ok()?;
                decoder.set_gain(i32::from(head.gain)).ok()?;
                Some(Self::Single(Box::new(decoder)))
            }
            Layout::Multi {
                n_streams,
                n_coupled,
                mapping,
            } => {
                let (n_channels, n_streams) = (i32::from(head.n_channels), i32::from(*n_streams));
                let rate = i32::try_from(RATE_HZ).ok()?;
                let mut decoder =
                    OpusMSDecoder::new(rate, n_channels, n_streams, i32::from(*n_coupled), mapping)
                        .ok()?;
                decoder.set_gain(i32::from(head.gain));
                Some(Self::Multi(Box::new(decoder)))
            }
        }
    }
}

fn mix(pcm: &[i16], n_channels: usize, out: &mut Vec<f32>) {
    #[expect(clippy::cast_precision_loss, reason = "at most eight channels")]
    let scale = 1.0 / (32_768.0 * n_channels as f32);
    out.extend(pcm.chunks_exact(n_channels.max(1)).map(|frame| {
        let sum: i32 = frame
            .iter()
            .copied()
            .map(i32::from)
            .fold(0, i32::saturating_add);
        #[expect(clippy::cast_precision_loss, reason = "nineteen bits")]
        let sum = sum as f32;
        sum * scale
    }));
}

/// Samples at 48 kHz that a packet holds, by RFC 6716 section 3.1, or `None` for what is no packet.
///
/// In a packet of several streams all have the same length, so the first says it.
pub(crate) fn duration(packet: &[u8]) -> Option<usize> {
    let &toc = packet.first()?;
    let frame: usize = match (toc >> 3, (toc >> 3) & 3) {
        (0..=11, 0) => 480,
        (0..=11, 1) => 960,
        (0..=11, 2) => 1920,
        (0..=11, _) => 2880,
        (12..=15, size) if size & 1 == 0 => 480,
        (12..=15, _) => 960,
        (_, 0) => 120,
        (_, 1) => 240,
        (_, 2) => 480,
        _ => 960,
    };
    let n_frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => usize::from(packet.get(1)? & 0x3F),
    };
    let n_samples = frame.checked_mul(n_frames)?;
    (1..=MAX_PACKET_SAMPLES)
        .contains(&n_samples)
        .then_some(n_samples)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn head_bytes(n_channels: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut bytes = b"OpusHead\x01".to_vec();
        bytes.push(n_channels);
        bytes.extend_from_slice(&312_u16.to_le_bytes());
        bytes.extend_from_slice(&16_000_u32.to_le_bytes());
        bytes.extend_from_slice(&(-256_i16).to_le_bytes());
        bytes.push(family);
        bytes.extend_from_slice(rest);
        bytes
    }

    #[test]
    fn a_head_is_read() {
        let head = Head::parse(&head_bytes(2, 0, &[])).unwrap();
        assert_eq!((head.n_channels, head.pre_skip, head.gain), (2, 312, -256));
        let surround = Head::parse(&head_bytes(6, 1, &[4, 2, 0, 4, 1, 2, 3, 5])).unwrap();
        assert_eq!(
            surround.layout,
            Layout::Multi {
                n_streams: 4,
                n_coupled: 2,
                mapping: vec![0, 4, 1, 2, 3, 5]
            }
        );
    }

    #[test]
    fn the_mp4_form_says_the_same() {
        let ogg = Head::parse(&head_bytes(2, 0, &[])).unwrap();
        let mp4 = Head::parse_mp4(&[0, 2, 1, 56, 0, 0, 0x3E, 0x80, 0xFF, 0, 0]).unwrap();
        assert_eq!(mp4, ogg);
    }

    #[test]
    fn heads_that_contradict_themselves_are_refused() {
        for bytes in [
            head_bytes(0, 0, &[]),
            head_bytes(3, 0, &[]),
            head_bytes(2, 1, &[]),
            head_bytes(2, 1, &[0, 0, 0, 1]),
            head_bytes(2, 1, &[1, 2, 0, 1]),
            head_bytes(2, 1, &[1, 1, 0, 2]),
            head_bytes(9, 255, &[1; 32]),
            head_bytes(4, 2, &[1; 32]),
        ] {
            assert!(Head::parse(&bytes).is_err(), "{bytes:?}");
        }
        let mut newer = head_bytes(1, 0, &[]);
        newer[8] = 0x11;
        assert_eq!(Head::parse(&newer), Err("its version is newer than 1"));
    }

    #[test]
    fn durations_follow_the_first_bytes() {
        for (packet, samples) in [
            (vec![0x00_u8], Some(480)),
            (vec![0x18], Some(2880)),
            (vec![0x68], Some(960)),
            (vec![0x80], Some(120)),
            (vec![0xF9], Some(1920)),
            (vec![0x1B, 2], Some(5760)),
            (vec![0x1B, 3], None),
            (vec![0x03, 0], None),
            (vec![0x03], None),
            (vec![], None),
        ] {
            assert_eq!(duration(&packet), samples, "{packet:?}");
        }
    }

    #[test]
    fn damage_becomes_silence_of_its_length() {
        let mut decoder = PacketDecoder::new(Head::parse(&head_bytes(1, 0, &[])).unwrap());
        let mut out = Vec::new();
        // Two frames of equal length cannot share one byte.
        assert_eq!(decoder.decode(&[0xF9, 1], &mut out), Err(Damaged));
        assert_eq!(out, vec![0.0; 1920]);
        assert_eq!(decoder.decode(&[], &mut out), Err(Damaged));
        assert_eq!(out.len(), 1920);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn no_packet_is_too_strange(
            packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..12),
            layout in 0..3_usize,
        ) {
            let head = match layout {
                0 => head_bytes(1, 0, &[]),
                1 => head_bytes(2, 0, &[]),
                _ => head_bytes(3, 1, &[2, 1, 0, 1, 2]),
            };
            let mut decoder = PacketDecoder::new(Head::parse(&head).unwrap());
            for packet in packets {
                let mut out = Vec::new();
                let decoded = decoder.decode(&packet, &mut out);
                prop_assert_eq!(out.len(), duration(&packet).unwrap_or(0));
                prop_assert!(decoded.is_err() || !out.is_empty());
                prop_assert!(out.iter().all(|sample| (-1.0..=1.0).contains(sample)));
            }
        }
    }
}
