//! The command line of the `tts` binary.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use chassis::cli::{self, Program};
use chassis::settings::{EXIT_CONFIG, require_variables};
use clap::{Parser, Subcommand};

use crate::models;
use crate::server::{self, ServeError};
use crate::settings::{Raw, Settings};

/// Speech synthesis over HTTP and WebSocket.
///
/// Settings: built-in defaults < the file < environment (VOICE__SERVER__PORT=8012, also TTS_PORT, TTS_INSTANCE_ID) < --set < --host
/// and --port. The shipped config/tts.yaml explains every key. Without any of them the server starts on port 8002 with a small
/// built-in model.
#[derive(Debug, Parser)]
#[command(name = "tts", version, after_help = EXAMPLES)]
struct Arguments {
    #[command(flatten)]
    common: cli::Arguments,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Look at a model: what its folder holds, what it can do, and how fast it is here
    Doctor {
        /// The folder [default: the model of the settings]
        #[arg(value_name = "MODEL_DIR")]
        folder: Option<PathBuf>,
    },
}

const EXAMPLES: &str = "\
Examples:
  tts                                              the built-in model on port 8002
  tts --set model.name=chatterbox --port 8012      a model of scripts/download_models.sh
  tts --config /etc/voice/tts.yaml --check-config
  tts doctor /opt/voice/models/chatterbox    what is in a model folder, and how it does here

  curl -d '{\"text\":\"Hello there.\"}' -H 'content-type: application/json' http://localhost:8002/v1/synthesize -o hello.wav
  http://localhost:8002/docs describes every address";

const PROGRAM: Program<Raw, Settings> = Program {
    name: "tts",
    usual_file: "config/tts.yaml",
    load: Raw::load,
    check: Raw::check,
    log: |it| &it.log,
};

/// Runs the program. Nothing may come before it.
pub fn run() -> ExitCode {
    require_variables(&[
        // The published ONNX Runtime reports its use to its makers unless this is there when the library is loaded.
        ("ORT_DISABLE_TELEMETRY", "1"),
        // glibc gives every model's thread memory of its own to allocate from. What one call frees there serves no other thread,
        // and with lengths that differ from call to call it crumbles: resident memory grew by 22 MB in 22 minutes of mixed load.
        ("MALLOC_ARENA_MAX", "1"),
    ]);
    let arguments = Arguments::parse();
    if let Some(Command::Doctor { folder }) = &arguments.command {
        return examine(&arguments.common, folder.as_deref());
    }
    PROGRAM.run(&arguments.common, |settings, stop| async move {
        let server: Result<_, ServeError> = server::start(settings);
        server?.run(stop).await
    })
}

fn examine(arguments: &cli::Arguments, folder: Option<&Path>) -> ExitCode {
    let settings = match PROGRAM.settings(arguments) {
        Ok(settings) => settings,
        Err(problems) => {
            PROGRAM.complain(&problems.to_string());
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    match models::examine(&settings, folder) {
        Ok(report) => {
            cli::print(&report.to_string());
            ExitCode::SUCCESS
        }
        Err(error) => {
            PROGRAM.complain(&cli::in_full(&error));
            ExitCode::FAILURE
        }
    }
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
            "doctor",
            "8002",
        ] {
            assert!(help.contains(word), "{word} is not in:\n{help}");
        }
    }

    #[test]
    fn flags_are_stronger_than_sets() {
        let arguments =
            Arguments::parse_from(["tts", "--port", "8012", "--set", "server.port=8022"]);
        let loaded = Raw::load(&Sources {
            environment: Vec::new(),
            file: None,
            ..PROGRAM.sources(&arguments.common)
        });
        let settings = loaded.check(Raw::check).unwrap();
        assert_eq!(settings.server.address.port(), 8012);
    }

    #[test]
    fn a_folder_is_looked_at() {
        let arguments = Arguments::parse_from(["tts", "--port", "1", "doctor", "/models/x"]);
        let Some(Command::Doctor { folder }) = arguments.command else {
            panic!("{arguments:?}")
        };
        assert_eq!(folder, Some(PathBuf::from("/models/x")));
    }
}
