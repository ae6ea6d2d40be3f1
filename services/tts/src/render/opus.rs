//! Opus in Ogg, as RFC 7845 has it.
//!
//! A page holds a tenth of a second: short enough to be heard at once, and always the same, however the samples came.

use audio::SampleRate;
use ogg::{PacketWriteEndInfo, PacketWriter};
use ropus::{Application, Bitrate, Channels, Encoder};

use super::RenderError;

pub(super) const RATES: [u32; 5] = [8_000, 12_000, 16_000, 24_000, 48_000];
pub(super) const RATES_IN_WORDS: &str = "8000, 12000, 16000, 24000 or 48000";
/// Transparent for one voice.
const BITS_PER_S: u32 = 32_000;
const FRAMES_PER_S: u32 = 50;
const FRAMES_PER_PAGE: u64 = 5;
/// Ogg counts time at this rate whatever the stream has.
const GRANULES_PER_S: u64 = 48_000;
/// The largest packet that the format allows for.
const MAX_PACKET: usize = 1_275;
/// One stream to a file, so any number will do.
const SERIAL: u32 = 1;

/// A stream of Opus packets.
pub(super) struct OggOpus {
    encoder: Encoder,
    pages: PacketWriter<'static, Vec<u8>>,
    rate: SampleRate,
    /// Less than a frame of samples.
    waiting: Vec<f32>,
    /// The last packet, until it is known whether it is the last of all.
    packet: Option<Vec<u8>>,
    n_frames: u64,
    n_samples: u64,
    /// Granules that the decoder is to drop: the encoder looks ahead.
    pre_skip: u64,
}

impl OggOpus {
    pub(super) fn new(rate: SampleRate, head: &mut Vec<u8>) -> Result<OggOpus, RenderError> {
        let mut encoder = Encoder::builder(rate.hz(), Channels::Mono, Application::Audio)
            .build()
            .map_err(|error| failed(&error))?;
        encoder
            .set_bitrate(Bitrate::Bits(BITS_PER_S))
            .map_err(|error| failed(&error))?;
        let pre_skip = u64::from(encoder.lookahead()) * GRANULES_PER_S / u64::from(rate.hz());
        let mut opus = OggOpus {
            encoder,
            pages: PacketWriter::new(Vec::new()),
            rate,
            waiting: Vec::new(),
            packet: None,
            n_frames: 0,
            n_samples: 0,
            pre_skip,
        };
        opus.head().map_err(|error| failed(&error))?;
        head.append(opus.pages.inner_mut());
        Ok(opus)
    }

    fn head(&mut self) -> std::io::Result<()> {
        let mut identification = Vec::with_capacity(19);
        identification.extend_from_slice(b"OpusHead\x01\x01");
        let pre_skip = u16::try_from(self.pre_skip).unwrap_or(u16::MAX);
        identification.extend_from_slice(&pre_skip.to_le_bytes());
        identification.extend_from_slice(&self.rate.hz().to_le_bytes());
        // No gain, one mono stream.
        identification.extend_from_slice(&[0, 0, 0]);
        let vendor = b"voice-agent";
        let mut comments = Vec::with_capacity(27);
        comments.extend_from_slice(b"OpusTags");
        comments.extend_from_slice(&11_u32.to_le_bytes());
        comments.extend_from_slice(vendor);
        comments.extend_from_slice(&0_u32.to_le_bytes());
        for packet in [identification, comments] {
            self.pages
                .write_packet(packet, SERIAL, PacketWriteEndInfo::EndPage, 0)?;
        }
        Ok(())
    }

    pub(super) fn push(
        &mut self,
        samples: &[f32],
        is_last: bool,
        bytes: &mut Vec<u8>,
    ) -> Result<(), RenderError> {
        self.n_samples += samples.len() as u64;
        self.waiting.extend_from_slice(samples);
        let n_frame = usize::try_from(self.rate.hz() / FRAMES_PER_S).unwrap_or(usize::MAX);
        if is_last {
            // Silence until the encoder has let go of the last sample.
            let n_held = usize::try_from(self.encoder.lookahead()).unwrap_or(0);
            let n_due = (self.waiting.len() + n_held).next_multiple_of(n_frame);
            self.waiting.resize(n_due, 0.0);
        }
        let waiting = std::mem::take(&mut self.waiting);
        let mut frames = waiting.chunks_exact(n_frame);
        for frame in &mut frames {
            let mut packet = vec![0; MAX_PACKET];
            let n = self
                .encoder
                .encode_float(frame, &mut packet)
                .map_err(|error| failed(&error))?;
            packet.truncate(n);
            let before = self.packet.replace(packet);
            self.write(before, false)?;
        }
        self.waiting = frames.remainder().to_vec();
        if is_last {
            let last = self.packet.take();
            self.write(last, true)?;
        }
        bytes.append(self.pages.inner_mut());
        Ok(())
    }

    fn write(&mut self, packet: Option<Vec<u8>>, is_last: bool) -> Result<(), RenderError> {
        let Some(packet) = packet else {
            return Ok(());
        };
        self.n_frames += 1;
        let rate = u64::from(self.rate.hz());
        let (end, granule) = if is_last {
            // The true length: what was added to fill the last frame is dropped by the decoder.
            let n_granules = (self.n_samples * GRANULES_PER_S).div_ceil(rate);
            (PacketWriteEndInfo::EndStream, self.pre_skip + n_granules)
        } else {
            let granule = self.n_frames * GRANULES_PER_S / u64::from(FRAMES_PER_S);
            let end = match self.n_frames % FRAMES_PER_PAGE {
                0 => PacketWriteEndInfo::EndPage,
                _ => PacketWriteEndInfo::NormalPacket,
            };
            (end, granule)
        };
        self.pages
            .write_packet(packet, SERIAL, end, granule)
            .map_err(|error| failed(&error))
    }
}

impl std::fmt::Debug for OggOpus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OggOpus")
            .field("rate", &self.rate)
            .finish_non_exhaustive()
    }
}

fn failed(error: &dyn std::fmt::Display) -> RenderError {
    RenderError::Encoder {
        format: "opus",
        cause: error.to_string(),
    }
}
