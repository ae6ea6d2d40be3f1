//! The audio of one request: rendered, counted, and cut into pieces.
//!
//! Invariants:
//! - Every sample that was rendered is sent in exactly one piece, or is one of the first `skip`.
//! - Pieces have at most `max_piece` samples and at least one.

use bytes::Bytes;

use super::event::Order;

/// What makes the client's bytes of the models' samples. Any split of the samples gives the same bytes.
pub trait Render {
    fn push(&mut self, samples: &[f32]) -> Rendered;
    /// There are no more samples: what is left. Called once, last.
    fn finish(&mut self) -> Rendered;
}

/// Bytes, and how many samples they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    pub bytes: Vec<u8>,
    pub n_samples: usize,
}

/// A piece, as far as the audio goes.
#[derive(Debug)]
pub(super) struct Cut {
    pub(super) number: u64,
    pub(super) start: u64,
    pub(super) n_samples: u64,
    pub(super) bytes: Bytes,
}

pub(super) struct Track {
    render: Box<dyn Render>,
    rate_hz: u32,
    bytes_per_sample: usize,
    skip: u64,
    max_piece: usize,
    /// Samples rendered.
    position: u64,
    /// Samples rendered that were cut or skipped.
    settled: u64,
    n_pieces: u64,
}

impl Track {
    pub(super) fn new(order: Order) -> Track {
        Track {
            render: order.render,
            rate_hz: order.rate_hz.max(1),
            bytes_per_sample: order.bytes_per_sample.max(1),
            skip: order.skip,
            max_piece: order.max_piece.max(1),
            position: 0,
            settled: 0,
            n_pieces: 0,
        }
    }

    pub(super) fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn n_pieces(&self) -> u64 {
        self.n_pieces
    }

    pub(super) fn n_skipped(&self) -> u64 {
        self.skip.min(self.position)
    }

    /// Where what was sent ends; where it would begin, if nothing was.
    pub(super) fn sent_until(&self) -> u64 {
        self.settled.max(self.skip)
    }

    pub(super) fn push(&mut self, samples: &[f32]) -> Vec<u8> {
        let rendered = self.render.push(samples);
        self.count(rendered)
    }

    pub(super) fn finish(&mut self) -> Vec<u8> {
        let rendered = self.render.finish();
        self.count(rendered)
    }

    fn count(&mut self, rendered: Rendered) -> Vec<u8> {
        let Rendered { bytes, n_samples } = rendered;
        debug_assert_eq!(bytes.len(), n_samples * self.bytes_per_sample);
        self.position += n_samples as u64;
        bytes
    }

    /// Cuts rendered bytes, which follow those that were cut before.
    pub(super) fn cut(&mut self, rendered: Vec<u8>) -> Vec<Cut> {
        let mut bytes = Bytes::from(rendered);
        let n_samples = (bytes.len() / self.bytes_per_sample) as u64;
        let n_skipped = self.skip.saturating_sub(self.settled).min(n_samples);
        self.settled += n_skipped;
        let n_skipped = usize::try_from(n_skipped).unwrap_or(usize::MAX);
        drop(
            bytes.split_to(
                n_skipped
                    .saturating_mul(self.bytes_per_sample)
                    .min(bytes.len()),
            ),
        );
        let mut cuts = Vec::new();
        while !bytes.is_empty() {
            let n_bytes = (self.max_piece * self.bytes_per_sample).min(bytes.len());
            let piece = bytes.split_to(n_bytes);
            let n_samples = (n_bytes / self.bytes_per_sample) as u64;
            self.n_pieces += 1;
            cuts.push(Cut {
                number: self.n_pieces,
                start: self.settled,
                n_samples,
                bytes: piece,
            });
            self.settled += n_samples;
        }
        cuts
    }
}

impl std::fmt::Debug for Track {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Track")
            .field("position", &self.position)
            .field("settled", &self.settled)
            .field("n_pieces", &self.n_pieces)
            .finish_non_exhaustive()
    }
}
