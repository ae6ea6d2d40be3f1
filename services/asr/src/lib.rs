//! Speech in, text out.
//!
//! ```text
//!              edge                dialect            core                      models
//!  bytes ───► stream ───────────► native ──────────► session ──actions──►  silero, smart_turn, whisper
//!  bytes ───► transcribe ───────► openai_rest, …     windows, transcript   (threads, through batcher)
//!            (await)              (pure)             (pure)
//! ```
//!
//! Invariants:
//! - Only the edges ([`stream`], [`transcribe`]) and [`recognizer`] await; the core is pure and counts time in samples.
//! - A model is owned by one named thread. When one ends, the process ends: systemd is the supervisor.
//! - Not ready before every model is built and warm; unready for ever once draining.
//! - Start and stop follow the order in `chassis::server`.

pub mod app;
pub mod cli;
pub mod dialect;
pub mod error;
pub mod metrics;
pub mod models;
pub mod openapi;
pub mod options;
pub mod recognizer;
pub mod routes;
pub mod server;
pub mod session;
pub mod settings;
pub mod stream;
#[cfg(test)]
mod testing;
pub mod transcribe;
pub mod transcript;
pub mod windows;

// So that a program that runs the service inside itself needs no other crate of ours.
pub use chassis::server::Outcome;
pub use chassis::settings::{Problems, Sources};
pub use chassis::stop::{Stop, StopHandle};

/// Runs a future that serves, on this thread and on those that its server starts.
pub fn block_on<F: Future>(serving: F) -> F::Output {
    actix_web::rt::System::new().block_on(serving)
}
