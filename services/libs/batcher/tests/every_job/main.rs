//! What holds for every submitted job, whatever happens around it.
#![allow(clippy::unwrap_used, reason = "every function here belongs to a test")]

mod counts;
mod one_answer;
mod one_end;
mod permits;
mod stepped;
