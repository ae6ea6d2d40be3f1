//! A live Ogg/Opus stream (RFC 7845) to mono samples at 48 kHz.
//!
//! *Invariants*
//!
//! - At most one page (65,307 bytes) and one packet are buffered, and at most ten seconds and one page are given at a time.
//! - The samples to skip at the start and the padding at the end, as the stream declares them, never come out. A stream that has
//!   more of them than of others, by a minute, is refused: what is decoded is in proportion to what is given.
//! - A packet that cannot be decoded is replaced by silence; a page that is damaged or missing is counted and skipped.
//! - The output depends on the bytes alone and not on how they were cut.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

mod page;
mod stream;

use std::fmt;

use crate::SampleRate;
use page::Found;
use stream::Stream;

/// Why a stream is not Ogg/Opus that we can play. The decoder is of no use afterwards.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OggOpusError {
    /// The bytes are not an Ogg stream.
    #[error("this is not an Ogg stream: it does not begin with a whole page")]
    NotOgg,
    /// It is Ogg and not Opus.
    #[error("the Ogg stream does not hold Opus: no stream in it begins with `OpusHead`")]
    NotOpus,
    /// The Opus header asks for something we do not do.
    #[error("the Opus header cannot be used: {fault}")]
    Header {
        /// What is wrong with it.
        fault: &'static str,
    },
    /// It throws away more than it plays, by far: nothing is gained by decoding the rest.
    #[error("the Ogg/Opus stream is made of samples that it says are not to be played")]
    Hollow,
}

/// What one [`OggOpusDecoder::push`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// Bytes taken. If fewer than given, push the rest: output is bounded, because a stream may say in one byte
    /// that 60 ms pass.
    pub n_bytes: usize,
    /// Samples appended to the output, at 48 kHz.
    pub n_samples: usize,
    /// Packets that could not be decoded, and pages that were damaged or missing.
    pub n_damaged: usize,
}

/// Bytes of one Ogg/Opus stream in, mono samples at 48 kHz out.
///
/// It holds a few bytes before the first one arrives, and some tens of kilobytes once it plays.
#[derive(Default)]
pub struct OggOpusDecoder {
    /// An unfinished page.
    buffer: Vec<u8>,
    has_seen_page: bool,
    is_lost: bool,
    stream: Stream,
}

impl OggOpusDecoder {
    /// The rate of what comes out, whatever the encoder was fed.
    pub const RATE: SampleRate = SampleRate::HZ_48000;

    /// Once this many samples were given, a push returns after the page that it is at.
    const ENOUGH_SAMPLES: usize = 480_000;

    /// A decoder at the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Decodes every page that is whole and appends its samples to `out`.
    ///
    /// # Errors
    ///
    /// The stream is not Ogg/Opus at all. Damage inside a stream is not an error: it is counted.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<f32>) -> Result<Pushed, OggOpusError> {
        let (n_before, mut rest, mut n_damaged) = (out.len(), bytes, 0_usize);
        while out.len().saturating_sub(n_before) < Self::ENOUGH_SAMPLES {
            match page::find(&self.buffer) {
                Found::Unfinished { n_needed } => {
                    let n_missing = n_needed.saturating_sub(self.buffer.len());
                    let Some((taken, left)) = rest.split_at_checked(n_missing.min(rest.len()))
                    else {
                        break;
                    };
                    if taken.is_empty() {
                        break;
                    }
                    self.buffer.extend_from_slice(taken);
                    rest = left;
                }
                Found::Garbage { n_bytes } => {
                    if !self.has_seen_page {
                        return Err(OggOpusError::NotOgg);
                    }
                    // One gap is one piece of damage, however long.
                    n_damaged = n_damaged.saturating_add(usize::from(!self.is_lost));
                    self.is_lost = true;
                    self.buffer.drain(..n_bytes.min(self.buffer.len()));
                }
                Found::Page(page) => {
                    (self.has_seen_page, self.is_lost) = (true, false);
                    n_damaged = n_damaged.saturating_add(self.stream.read(&page, out)?);
                    self.buffer.clear();
                }
            }
        }
        Ok(Pushed {
            n_bytes: bytes.len().saturating_sub(rest.len()),
            n_samples: out.len().saturating_sub(n_before),
            n_damaged,
        })
    }

    /// Bytes of an unfinished page that wait for the rest of it.
    #[must_use]
    pub const fn pending_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Whether the stream's last page has been read.
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        self.stream.has_ended()
    }

    /// How many channels are averaged; `None` before the header.
    #[must_use]
    pub fn n_channels(&self) -> Option<u16> {
        self.stream.n_channels()
    }
}

impl fmt::Debug for OggOpusDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OggOpusDecoder")
            .field("pending_bytes", &self.buffer.len())
            .field("n_channels", &self.n_channels())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
