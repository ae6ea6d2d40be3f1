//! Uploaded bytes in, mono audio at 16 kHz out: decoding a file is a job like any other.
//!
//! Invariants:
//! - A file cannot take more memory or time than its limits in seconds allow, whatever its header says.

use std::sync::Arc;

use audio::SampleRate;
use audio::container::{self, DecodeError, Limits, RawFormat, Target};
use batcher::Model;
use bytes::Bytes;

/// A file as it came.
#[derive(Clone, Debug)]
pub struct Upload {
    pub bytes: Bytes,
    /// Present if the bytes are samples without a container.
    pub raw: Option<RawFormat>,
}

/// What a file holds.
#[derive(Clone, Debug)]
pub struct Recording {
    /// Mono at 16 kHz. Shared from the beginning: who copies hours of it holds up everybody on the same thread.
    pub samples: Arc<[f32]>,
    /// The file's own rate.
    pub rate: SampleRate,
}

/// Decodes files.
#[derive(Clone, Copy, Debug)]
pub struct Decoder {
    limits: Limits,
}

impl Decoder {
    /// For audio of at most so many seconds, of any sensible rate and channel count.
    pub fn new(max_seconds: u32) -> Decoder {
        Decoder {
            limits: Limits {
                max_seconds,
                max_channels: 32,
                min_rate_hz: 1_000,
                max_rate_hz: 384_000,
            },
        }
    }
}

impl Model for Decoder {
    type Input = Upload;
    type Output = Recording;
    type Error = DecodeError;
    type Key = ();

    fn key(_input: &Upload) {}

    fn run(&mut self, batch: &[Upload]) -> Result<Vec<Recording>, DecodeError> {
        let target = Target::Rate(SampleRate::HZ_16000);
        let decode = |it: &Upload| {
            let clip = match it.raw {
                Some(format) => container::decode_raw(&it.bytes, format, target, &self.limits),
                None => container::decode(&it.bytes, target, &self.limits),
            }?;
            Ok(Recording {
                samples: clip.samples.into(),
                rate: clip.source.rate,
            })
        };
        batch.iter().map(decode).collect()
    }

    /// Nothing is kept from one file to the next, so nothing can be broken for good.
    fn self_test(&mut self) -> Result<(), DecodeError> {
        Ok(())
    }
}
