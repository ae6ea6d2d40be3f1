//! The service as a process of its own, for what only a process can show: signals, exit codes, memory.

use std::process::ExitCode;

fn main() -> ExitCode {
    tts::cli::run()
}
