//! What a connection is told, in no particular vocabulary.
//!
//! Positions are samples at the client's rate from the first of the request, what was skipped included.

use std::ops::Range;

use bytes::Bytes;
use wire::error::ErrorCode;

use super::event::RequestKey;

/// Why a request came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub code: ErrorCode,
    /// For the client.
    pub message: String,
}

/// A word and its estimated place, in seconds from the first sample of the request.
#[derive(Clone, Debug, PartialEq)]
pub struct Word {
    pub text: String,
    pub start_s: f64,
    pub end_s: f64,
}

/// Audio that is sent at a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    pub of: RequestKey,
    /// Counts the pieces of the request from 1.
    pub number: u64,
    /// Where it begins.
    pub start: u64,
    pub n_samples: u64,
    /// The characters of the request's text that are being said.
    pub chars: Range<usize>,
    /// Words that begin in it.
    pub words: Vec<Word>,
    pub bytes: Bytes,
}

/// What became of all requests: `requests = completed + cancelled + failed`, once none is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub requests: u64,
    pub completed: u64,
    pub cancelled: u64,
    pub failed: u64,
    pub pieces: u64,
}

/// What the client is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// A request has its turn.
    Started {
        key: RequestKey,
        /// Characters of its text, as far as it has come.
        n_chars: u64,
        estimated_ms: u64,
    },
    Piece(Piece),
    Complete {
        key: RequestKey,
        n_pieces: u64,
        n_samples: u64,
        n_skipped: u64,
    },
    Cancelled {
        key: RequestKey,
        n_pieces: u64,
        /// Where what was sent ends; where it would begin, if nothing was.
        end: u64,
    },
    Failed {
        key: RequestKey,
        failure: Failure,
    },
    /// Always the last message.
    Closed(Totals),
}
