//! The recogniser from outside, and the repository as a whole. The synthesiser has a binary of its own (`tts.rs`): a process has one ONNX
//! Runtime environment, which the real models of one service take.
//!
//! `layering` and `shipped` are about the repository, the others about what a service does to its clients. Services listen on
//! ports of their own, so the tests run at once; what takes a real model shares one service where it leaves no trace in it.
#![allow(clippy::unwrap_used, reason = "every function here belongs to a test")]
#![allow(
    clippy::too_many_lines,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::semicolon_if_nothing_returned,
    reason = "a scenario reads best in one piece, and its numbers are small"
)]
#![allow(
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "as above: what is not expected fails the test"
)]

mod accounting;
mod bad_files;
mod bad_messages;
mod bounds;
mod clients;
mod defects;
mod drain;
mod encodings;
mod isolation;
mod layering;
mod monitoring;
mod operations;
mod overload;
mod process;
mod shipped;
mod stream;
mod uploads;
