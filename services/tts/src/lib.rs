//! Text in, speech out.
//!
//! ```text
//!              edge                 dialect                core                 models
//!  text ────► stream, synthesize ─► native, openai_… ───► utterance ─────────► language model ─► decoder
//!  audio ◄─── (await)        render ◄──────────────────── text, vocode  ◄───── (threads, through batcher)
//! ```
//!
//! Invariants:
//! - Only the edges and [`speaker`] await; the core is pure and counts time in samples.
//! - A model is owned by one named thread. When one ends, the process ends: systemd is the supervisor.
//! - Audio inside is mono `f32` at 24 kHz; one speech token is [`SAMPLES_PER_TOKEN`](models::conditioning::SAMPLES_PER_TOKEN) samples.

pub mod dialect;
pub mod error;
pub mod metrics;
pub mod models;
pub mod options;
pub mod render;
pub mod settings;
pub mod speaker;
pub mod text;
pub mod utterance;
pub mod vocode;
pub mod voices;
