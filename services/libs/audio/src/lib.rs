//! Samples and the clock that counts them: everything that happens to audio outside a model.
//!
//! *Invariants*
//!
//! - Inside, audio is mono `f32` in `[-1, 1]` at a known rate. Bytes, channels and containers exist only in
//!   [`encoding`], [`container`] and [`ogg_opus`]; other rates only there and in [`resample`].
//! - Bytes are hostile. No input makes this crate panic, loop without progress, or hold more memory than its
//!   stated bound.
//! - Streaming types give the same samples however their input is cut.
//! - Nothing here awaits, reads a clock, logs, starts a thread or knows a wire format of ours.
#![warn(missing_docs)]

pub mod clock;
pub mod container;
pub mod encoding;
pub mod history;
pub mod mel;
pub mod ogg_opus;
mod opus;
pub mod resample;
pub mod wav;

pub use clock::{SampleRate, Samples};
