//! The command line of the `asr` binary.

use std::process::ExitCode;

use chassis::cli::{self, Program};
use chassis::settings::require_variables;
use clap::Parser;

use crate::server::{self, ServeError};
use crate::settings::{Raw, Settings};

/// Speech recognition over HTTP and WebSocket.
///
/// Settings: built-in defaults < the file < environment (VOICE__SERVER__PORT=8011, also ASR_PORT, ASR_INSTANCE_ID, STT_MODEL)
/// < --set < --host and --port. The shipped config/asr.yaml explains every key. Without any of them the server starts on port
/// 8001 with a small built-in model.
#[derive(Debug, Parser)]
#[command(name = "asr", version, after_help = EXAMPLES)]
struct Arguments {
    #[command(flatten)]
    common: cli::Arguments,
}

const EXAMPLES: &str = "\
Examples:
  asr                                             the built-in model on port 8001
  asr --set model.name=large-v3 --port 8011       a model of scripts/download_models.sh
  asr --config /etc/voice/asr.yaml --check-config

  curl -F file=@speech.wav http://localhost:8001/v1/transcribe
  http://localhost:8001/docs describes every address";

const PROGRAM: Program<Raw, Settings> = Program {
    name: "asr",
    usual_file: "config/asr.yaml",
    load: Raw::load,
    check: Raw::check,
    log: |it| &it.log,
};

/// Runs the program. Nothing may come before it.
pub fn run() -> ExitCode {
    require_variables(&[
        // The published ONNX Runtime reports its use to its makers unless this is there when the library is loaded.
        ("ORT_DISABLE_TELEMETRY", "1"),
        // Not MALLOC_ARENA_MAX=1, which `tts` has: with 130 streams on two cores p95 of finals was 380 instead of 322 ms, and memory
        // the same. Silero's graph allocates some 4,000 times a second for each stream.
    ]);
    let arguments = Arguments::parse();
    PROGRAM.run(&arguments.common, |settings, stop| async move {
        let server: Result<_, ServeError> = server::start(settings);
        server?.run(stop).await
    })
}

#[cfg(test)]
mod tests {
    use chassis::settings::Sources;
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_are_well_formed_and_explained() {
        let mut command = Arguments::command();
        command.clone().debug_assert();
        let help = command.render_long_help().to_string();
        for word in [
            "--config",
            "--host",
            "--port",
            "--set",
            "--check-config",
            "--print-config",
            "--version",
            "8001",
        ] {
            assert!(help.contains(word), "{word} is not in:\n{help}");
        }
    }

    #[test]
    fn flags_are_stronger_than_sets() {
        let arguments = Arguments::parse_from([
            "asr",
            "--port",
            "8011",
            "--set",
            "server.port=8021",
            "--host",
            "127.0.0.1",
        ]);
        let loaded = Raw::load(&Sources {
            environment: Vec::new(),
            file: None,
            ..PROGRAM.sources(&arguments.common)
        });
        let settings = loaded.check(Raw::check).unwrap();
        assert_eq!(settings.server.address.to_string(), "127.0.0.1:8011");
    }
}
