//! The engine against the plain reference loop of `tests/golden/tts`, on the built-in model and on every variant of the published interface.
//!
//! Skipped with a message where ONNX Runtime is not installed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "tests"
)]

#[path = "engine/support.rs"]
mod support;

#[path = "engine/batching.rs"]
mod batching;
#[path = "engine/doctor.rs"]
mod doctor;
#[path = "engine/golden.rs"]
mod golden;
#[path = "engine/refusals.rs"]
mod refusals;
#[path = "engine/watermark.rs"]
mod watermark;
