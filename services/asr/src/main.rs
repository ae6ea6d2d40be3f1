//! The `asr` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    asr::cli::run()
}
