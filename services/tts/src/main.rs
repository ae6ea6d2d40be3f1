//! The `tts` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    tts::cli::run()
}
