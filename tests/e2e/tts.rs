//! The synthesiser from outside.
//!
//! Services listen on ports of their own, so the tests run at once; what takes a real model shares one service where it leaves no trace in
//! it. A recogniser with real models is a process of its own here: see `main.rs`.
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

mod tts_bad;
mod tts_clients;
mod tts_messages;
mod tts_page;
mod tts_process;
mod tts_repeats;
mod tts_requests;
mod tts_rest;
mod tts_round_trip;
mod tts_stream;
mod tts_watermark;
