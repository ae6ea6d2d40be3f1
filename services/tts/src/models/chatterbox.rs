//! Chatterbox: text and a voice in, speech tokens out; speech tokens and a voice in, audio out.
//!
//! ```text
//!  Sentence ──► prompt ──► embed_tokens ─┐   ┌────────── one step for all rows ──────────┐
//!  Conditioning (prefix) ────────────────┴─► │ language_model ─► sampling ─► embed_tokens │ ─► tokens
//!                                            └───────────────────────────────────────────┘
//!  reference audio ──► speech_encoder ──► Conditioning          tokens, Conditioning ──► conditional_decoder ──► audio
//! ```
//!
//! Invariants:
//! - One implementation for every published family and precision: what differs is read from the files by [`Pack`](super::pack::Pack).
//! - A sentence's tokens do not depend on what else is spoken at the time.
//! - Nothing here waits or reads a clock.

pub mod extractor;
pub mod guard;
pub mod language;
pub mod language_model;
pub mod prompt;
pub mod sampling;
pub mod scheme;
pub mod vocoder;

mod batch;
mod cache;
mod graphs;

pub use extractor::Extractor;
pub use language_model::{LanguageModel, Sentence};
pub use prompt::PromptError;
pub use sampling::Sampling;
pub use scheme::Scheme;
pub use vocoder::{Decode, Vocoder};

/// A token of silence, as the published clients append it.
pub const SILENCE: u32 = 4299;
