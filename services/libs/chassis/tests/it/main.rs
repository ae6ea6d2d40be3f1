//! The whole assembly, on real sockets: port 0, loopback, one small service.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "the helpers of tests fail as tests do"
)]

mod client;
mod http;
mod log;
mod memory;
mod service;
mod sockets;
mod stopping;
mod systemd;
