//! The `tts` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    // The published ONNX Runtime reports its use to its makers unless this is there when the library is loaded.
    chassis::settings::require_variable("ORT_DISABLE_TELEMETRY", "1");
    tts::cli::run()
}
