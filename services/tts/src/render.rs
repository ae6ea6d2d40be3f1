//! Samples of the model, made into what the client asked for: another speed, another rate, another format.
//!
//! ```text
//!  f32 at 24 kHz ─► speed ─► resample ─► encode ─► bytes
//! ```
//!
//! Invariants:
//! - Pure, and a stream: what can be given is given at once, and the bytes depend on the samples alone and not on how they were cut.
//! - `n` samples at speed 1 become exactly `ceil(n * rate / 24000)` in the formats that carry a length, padded by less than a frame
//!   of the codec in MP3, which carries none.
//! - Samples beyond full scale are clipped, never wrapped.
//!
//! A second of speech costs under a millisecond raw and a few in MP3, Opus or FLAC: enough to keep it off a socket's thread.

mod flac;
mod mp3;
mod opus;
mod speed;

#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;

use audio::SampleRate;
use audio::encoding::{self, Encoding};
use audio::resample::Resampler;
use audio::wav;

use crate::models::conditioning::SAMPLE_RATE_HZ;

/// How much faster than the model speaks.
pub const SPEED: RangeInclusive<f32> = 0.25..=4.0;
/// In Hz; a format may take fewer.
pub const SAMPLE_RATE: RangeInclusive<u32> = 8_000..=48_000;

/// The forms of audio that can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// 16-bit WAV. Its header says that the length is unknown, because it is.
    Wav,
    /// Constant bit rate up to 24 kHz, an average bit rate above.
    Mp3,
    /// Opus packets in Ogg pages.
    Opus,
    /// 16 bits, without the total length, which is not known in time.
    Flac,
    /// Samples and nothing else.
    Raw(Encoding),
}

/// What is to be made of the model's samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    pub format: Format,
    /// Within [`SAMPLE_RATE`], and one that the format takes.
    pub sample_rate: SampleRate,
    /// Within [`SPEED`]; 1 leaves the samples as they are.
    pub speed: f32,
}

/// Why a shape is impossible, or an encoder failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RenderError {
    #[error("`sample_rate` must be {expected} for {format}. Given: {given}")]
    SampleRate {
        format: &'static str,
        expected: &'static str,
        given: u32,
    },
    #[error("`speed` must be from 0.25 to 4. Given: {given}")]
    Speed { given: f32 },
    #[error("the {format} encoder failed: {cause}")]
    Encoder { format: &'static str, cause: String },
}

/// Bytes that are ready, and the samples they bring, at the rate of the shape.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    pub bytes: Vec<u8>,
    /// A codec may still hold some of them.
    pub samples: usize,
}

/// One stream of audio on its way out.
#[derive(Debug)]
pub struct Renderer {
    speed: Option<speed::Speed>,
    resampler: Resampler,
    encoder: Encoder,
    /// Kept to save the allocation.
    resampled: Vec<f32>,
}

#[derive(Debug)]
enum Encoder {
    Raw(Encoding),
    Mp3(Box<mp3::Mp3>),
    Opus(Box<opus::OggOpus>),
    Flac(Box<flac::Flac>),
}

impl Format {
    /// For `Content-Type`.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Wav => "audio/wav",
            Format::Mp3 => "audio/mpeg",
            Format::Opus => "audio/ogg",
            Format::Flac => "audio/flac",
            Format::Raw(Encoding::PcmS16le | Encoding::PcmF32le) => "audio/pcm",
            Format::Raw(Encoding::Mulaw) => "audio/basic",
            Format::Raw(Encoding::Alaw) => "audio/x-alaw-basic",
        }
    }

    /// Whether the format takes the rate, which is within [`SAMPLE_RATE`].
    ///
    /// # Errors
    /// Names the rates it takes.
    pub fn check_rate(self, rate: SampleRate) -> Result<(), RenderError> {
        let (format, expected, takes) = match self {
            Format::Mp3 => ("mp3", mp3::RATES_IN_WORDS, mp3::RATES.contains(&rate.hz())),
            Format::Opus => (
                "opus",
                opus::RATES_IN_WORDS,
                opus::RATES.contains(&rate.hz()),
            ),
            Format::Wav | Format::Flac | Format::Raw(_) => {
                let takes = SAMPLE_RATE.contains(&rate.hz());
                ("this format", "from 8000 to 48000", takes)
            }
        };
        if takes {
            return Ok(());
        }
        Err(RenderError::SampleRate {
            format,
            expected,
            given: rate.hz(),
        })
    }
}

impl Renderer {
    /// A stream at its beginning, and the bytes that come before any sample.
    ///
    /// # Errors
    /// The shape is impossible.
    pub fn new(shape: &Shape) -> Result<(Renderer, Vec<u8>), RenderError> {
        if !SPEED.contains(&shape.speed) {
            return Err(RenderError::Speed { given: shape.speed });
        }
        let rate = shape.sample_rate;
        shape.format.check_rate(rate)?;
        let mut head = Vec::new();
        let encoder = match shape.format {
            Format::Wav => {
                let encoding = Encoding::PcmS16le;
                head = wav::header(encoding, rate, 1, wav::Length::Unknown);
                Encoder::Raw(encoding)
            }
            Format::Raw(encoding) => Encoder::Raw(encoding),
            Format::Mp3 => Encoder::Mp3(Box::new(mp3::Mp3::new(rate))),
            Format::Opus => Encoder::Opus(Box::new(opus::OggOpus::new(rate, &mut head)?)),
            Format::Flac => Encoder::Flac(Box::new(flac::Flac::new(rate, &mut head)?)),
        };
        let is_changed = f32::EPSILON < (shape.speed - 1.0).abs();
        let renderer = Renderer {
            speed: is_changed.then(|| speed::Speed::new(model_rate(), shape.speed)),
            resampler: Resampler::new(model_rate(), rate),
            encoder,
            resampled: Vec::new(),
        };
        Ok((renderer, head))
    }

    /// What can be given after these samples.
    ///
    /// # Errors
    /// The encoder failed; the stream is over.
    pub fn push(&mut self, samples: &[f32]) -> Result<Rendered, RenderError> {
        self.resampled.clear();
        match &mut self.speed {
            None => self.resampler.push(samples, &mut self.resampled),
            Some(speed) => {
                let stretched = speed.push(samples);
                self.resampler.push(&stretched, &mut self.resampled);
            }
        }
        self.encode(false)
    }

    /// What is left.
    ///
    /// # Errors
    /// The encoder failed.
    pub fn finish(mut self) -> Result<Rendered, RenderError> {
        self.resampled.clear();
        if let Some(speed) = self.speed.take() {
            self.resampler.push(&speed.finish(), &mut self.resampled);
        }
        self.resampler.finish(&mut self.resampled);
        self.encode(true)
    }

    fn encode(&mut self, is_last: bool) -> Result<Rendered, RenderError> {
        let samples = &self.resampled;
        let mut bytes = Vec::new();
        match &mut self.encoder {
            Encoder::Raw(format) => encoding::encode(samples, *format, &mut bytes),
            Encoder::Mp3(mp3) => mp3.push(samples, is_last, &mut bytes)?,
            Encoder::Opus(opus) => opus.push(samples, is_last, &mut bytes)?,
            Encoder::Flac(flac) => flac.push(samples, is_last, &mut bytes)?,
        }
        Ok(Rendered {
            bytes,
            samples: samples.len(),
        })
    }
}

/// A whole clip, encoded as its samples come: nothing but its bytes is kept. A WAV file then has its length.
#[derive(Debug)]
pub struct Whole {
    renderer: Renderer,
    shape: Shape,
    rendered: Rendered,
}

impl Whole {
    /// Nothing in it yet.
    ///
    /// # Errors
    /// The shape is impossible.
    pub fn new(shape: &Shape) -> Result<Whole, RenderError> {
        let (renderer, bytes) = Renderer::new(shape)?;
        Ok(Whole {
            renderer,
            shape: *shape,
            rendered: Rendered { bytes, samples: 0 },
        })
    }

    /// Adds samples.
    ///
    /// # Errors
    /// The encoder failed.
    pub fn push(&mut self, samples: &[f32]) -> Result<(), RenderError> {
        let more = self.renderer.push(samples)?;
        self.rendered.add(more);
        Ok(())
    }

    /// All of it.
    ///
    /// # Errors
    /// The encoder failed.
    pub fn finish(self) -> Result<Rendered, RenderError> {
        let Whole {
            renderer,
            shape,
            mut rendered,
        } = self;
        rendered.add(renderer.finish()?);
        if shape.format == Format::Wav {
            let encoding = Encoding::PcmS16le;
            let length = wav::Length::of(rendered.samples, encoding);
            let head = wav::header(encoding, shape.sample_rate, 1, length);
            // In the place of the one that left the length open.
            if let Some(open) = rendered.bytes.get_mut(..head.len()) {
                open.copy_from_slice(&head);
            }
        }
        Ok(rendered)
    }
}

impl Rendered {
    fn add(&mut self, more: Rendered) {
        self.bytes.extend(more.bytes);
        self.samples += more.samples;
    }
}

fn model_rate() -> SampleRate {
    SampleRate::new(SAMPLE_RATE_HZ).expect("24000 is not zero")
}

/// As the formats with 16 bits want it.
#[expect(
    clippy::cast_possible_truncation,
    reason = "clamped to the range of 16 bits; a sample that is no number becomes 0"
)]
fn to_i16(sample: f32) -> i16 {
    (sample.clamp(-1.0, 1.0) * 32_767.0).round() as i16
}
