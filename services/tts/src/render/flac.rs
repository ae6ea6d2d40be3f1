//! FLAC as a stream: every block as soon as it is full, and a header that leaves the total length open.

use audio::SampleRate;
use flacenc::bitsink::ByteSink;
use flacenc::component::{BitRepr, StreamInfo};
use flacenc::config;
use flacenc::encode_fixed_size_frame;
use flacenc::error::{Verified, Verify as _};
use flacenc::source::{Fill as _, FrameBuf};

use super::{RenderError, to_i16};

/// Samples of one block: 85 ms at 48 kHz, half a second at 8 kHz.
const BLOCK: usize = 4_096;
const BITS: usize = 16;

/// A stream of FLAC frames.
pub(super) struct Flac {
    config: Verified<config::Encoder>,
    info: StreamInfo,
    /// Less than a block of samples.
    waiting: Vec<i32>,
    n_frames: usize,
}

impl Flac {
    pub(super) fn new(rate: SampleRate, head: &mut Vec<u8>) -> Result<Flac, RenderError> {
        let n_hz = usize::try_from(rate.hz()).unwrap_or(usize::MAX);
        let mut info = StreamInfo::new(n_hz, 1, BITS).map_err(|error| failed(&error))?;
        info.set_block_sizes(BLOCK, BLOCK)
            .map_err(|error| failed(&error))?;
        // 0 and 0: not known.
        info.set_frame_sizes(0, 0).map_err(|error| failed(&error))?;
        let config = config::Encoder::default()
            .into_verified()
            .map_err(|(_, error)| failed(&error))?;
        // The only block of metadata, so it is marked as the last; its body has 34 bytes.
        head.extend_from_slice(b"fLaC\x80\x00\x00\x22");
        let mut sink = ByteSink::new();
        info.write(&mut sink).map_err(|error| failed(&error))?;
        head.extend_from_slice(sink.as_slice());
        Ok(Flac {
            config,
            info,
            waiting: Vec::new(),
            n_frames: 0,
        })
    }

    pub(super) fn push(
        &mut self,
        samples: &[f32],
        is_last: bool,
        bytes: &mut Vec<u8>,
    ) -> Result<(), RenderError> {
        self.waiting
            .extend(samples.iter().map(|it| i32::from(to_i16(*it))));
        let waiting = std::mem::take(&mut self.waiting);
        let mut blocks = waiting.chunks_exact(BLOCK);
        for block in &mut blocks {
            self.block(block, bytes)?;
        }
        let rest = blocks.remainder();
        if is_last && !rest.is_empty() {
            self.block(rest, bytes)?;
        } else {
            self.waiting = rest.to_vec();
        }
        Ok(())
    }

    fn block(&mut self, samples: &[i32], bytes: &mut Vec<u8>) -> Result<(), RenderError> {
        // The library takes no block under 32 samples; the last one is filled up with silence, a millisecond or two.
        let n = samples.len().max(32);
        let mut padded = samples.to_vec();
        padded.resize(n, 0);
        let mut buffer = FrameBuf::with_size(1, n).map_err(|error| failed(&error))?;
        buffer
            .fill_interleaved(&padded)
            .map_err(|error| failed(&error))?;
        let frame = encode_fixed_size_frame(&self.config, &buffer, self.n_frames, &self.info)
            .map_err(|error| failed(&error))?;
        self.n_frames += 1;
        let mut sink = ByteSink::new();
        frame.write(&mut sink).map_err(|error| failed(&error))?;
        bytes.extend_from_slice(sink.as_slice());
        Ok(())
    }
}

impl std::fmt::Debug for Flac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flac")
            .field("n_frames", &self.n_frames)
            .finish_non_exhaustive()
    }
}

fn failed(error: &dyn std::fmt::Display) -> RenderError {
    RenderError::Encoder {
        format: "flac",
        cause: error.to_string(),
    }
}
