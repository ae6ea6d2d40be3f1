//! Speech in, text out.

pub mod session;
pub mod transcript;
