//! Every message that crosses a socket between clients and our services, as types.
//!
//! Invariants:
//! - Types, their reading and their writing only: no policy, no clock, no I/O, and nothing of ours below this crate.
//! - What arrives is read strictly ([`strict`]): an unknown type or key is an error that names it and what was expected.
//! - Names and meanings follow `docs/PROTOCOL.md`; one snapshot test per message keeps them.
#![warn(missing_docs)]
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

pub mod asr;
pub mod error;
pub mod round;
pub mod strict;
pub mod tts;
