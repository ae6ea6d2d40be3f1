//! The `asr` binary.
fn main() {}
