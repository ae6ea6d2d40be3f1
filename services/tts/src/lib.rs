//! Text in, speech out.
//!
//! ```text
//!              edge                 dialect                core                 models
//!  text ────► stream, synthesize ─► native, openai_… ───► utterance ─────────► language model ─► decoder
//!  audio ◄─── (await)        render ◄──────────────────── text, vocode  ◄───── (threads, through batcher)
//! ```
//!
//! Invariants:
//! - Only the edges, [`narration`], [`speaker`] and [`voices`] await; the core is pure and counts time in samples.
//! - A model is owned by one named thread. When one ends, the process ends: systemd is the supervisor.
//! - Audio inside is mono `f32` at 24 kHz; one speech token is [`SAMPLES_PER_TOKEN`](models::conditioning::SAMPLES_PER_TOKEN) samples.

pub mod app;
pub mod cli;
pub mod dialect;
pub mod error;
pub mod metrics;
pub mod models;
pub mod narration;
pub mod openapi;
pub mod options;
pub mod phrases;
pub mod registry;
pub mod render;
pub mod routes;
pub mod server;
pub mod settings;
pub mod speaker;
pub mod stream;
pub mod synthesize;
pub mod text;
pub mod utterance;
pub mod vocode;
pub mod voices;

// So that a program that runs the service inside itself needs no other crate of ours.
pub use chassis::server::Outcome;
pub use chassis::settings::{Problems, Sources};
pub use chassis::stop::{Stop, StopHandle};

/// Runs a future that serves, on this thread and on those that its server starts.
pub fn block_on<F: Future>(serving: F) -> F::Output {
    actix_web::rt::System::new().block_on(serving)
}
