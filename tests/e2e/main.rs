//! Everything that is tested from outside, in one binary.
#![allow(clippy::unwrap_used, reason = "every function here belongs to a test")]

mod layering;
