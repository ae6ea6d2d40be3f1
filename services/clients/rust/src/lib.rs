//! Clients of the speech servers whose streams survive broken connections.
//!
//! - [`asr`]: audio in, text out. The client keeps the audio that is not answered for, and sends it again to whichever instance
//!   takes the stream after a break: every word is delivered once.
//! - [`tts`]: text in, audio out. The client knows how far the audio has come, and lets another instance go on from that sample.
//!
//! ```text
//!  your code ──commands──► drive ⇄ socket            awaits, times out, connects again
//!  your code ◄──events────   │
//!                           core                     pure: what to send, what is answered, where to go on
//! ```
//!
//! Invariants:
//! - The cores are pure: no `async`, no clock, no I/O. Whatever is random or takes time is handed to them.
//! - Every channel has a bound. Who does not read events slows the stream; who sends faster than the server hears waits.
//! - A stream ends in exactly one way: with its last event, or with one [`Error`].
#![warn(missing_docs)]

pub mod asr;
mod core;
mod drive;
mod retry;
mod socket;
#[cfg(feature = "tls")]
pub mod tls;
pub mod tts;

pub use retry::Patience;

/// Why a stream is over though it was not finished.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// What was asked for is impossible; nothing was sent.
    #[error("{0}")]
    Impossible(String),
    /// The server said no, and would say so again.
    #[error("refused: {code}: {message}")]
    Refused {
        /// As in the table of errors of the protocol, or `HTTP 404` and the like from something that is none of our servers.
        code: String,
        /// For people.
        message: String,
    },
    /// No connection did any better than the one before it, so many times in a row.
    #[error("gave up after {attempts} attempts without progress; the last one: {last}")]
    GaveUp {
        /// How many.
        attempts: u32,
        /// What became of the last one.
        last: String,
    },
    /// The server said something that the protocol does not allow.
    #[error("the server broke the protocol: {0}")]
    Protocol(String),
    /// The stream is over; its events, or the result of `finish`, tell how it ended.
    #[error("the stream is over")]
    Over,
}

/// The examples of the documentation compile.
#[cfg(doctest)]
#[doc = include_str!("../../../../docs/CLIENTS.md")]
struct Documentation;
