//! The command line of the `asr` binary.
//!
//! Invariants:
//! - A mistake in the settings ends with 78 before anything is started, and every one of them is printed.
//! - What is asked for (`--print-config`, `--version`) goes to standard output, everything else to standard error.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use chassis::settings::{Argument, EXIT_CONFIG, Loaded, Sources};
use chassis::stop::Stop;
use chassis::telemetry;
use clap::Parser;

use crate::server;
use crate::settings::{Raw, Settings};

/// The file that is read where none is named, if it is there.
const USUAL_FILE: &str = "config/asr.yaml";

/// Speech recognition over HTTP and WebSocket.
///
/// Settings: built-in defaults < the file < environment (VOICE__SERVER__PORT=8011, also ASR_PORT, ASR_INSTANCE_ID, STT_MODEL)
/// < --set < --host and --port. The shipped config/asr.yaml explains every key. Without any of them the server starts on port
/// 8001 with a small built-in model.
#[derive(Debug, Parser)]
#[command(name = "asr", version, after_help = EXAMPLES)]
struct Arguments {
    /// The YAML file with settings [default: config/asr.yaml, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The IP address to listen at
    #[arg(long, value_name = "H")]
    host: Option<String>,
    /// The port to listen at; 0 takes any free one
    #[arg(long, value_name = "N")]
    port: Option<String>,
    /// Any other setting; may be given many times
    #[arg(long, value_name = "key=value")]
    set: Vec<String>,
    /// Check the settings, print every problem, and exit
    #[arg(long)]
    check_config: bool,
    /// Print the settings in effect and where each came from, and exit
    #[arg(long)]
    print_config: bool,
}

const EXAMPLES: &str = "\
Examples:
  asr                                             the built-in model on port 8001
  asr --set model.name=large-v3 --port 8011       a model of scripts/download_models.sh
  asr --config /etc/voice/asr.yaml --check-config

  curl -F file=@speech.wav http://localhost:8001/v1/transcribe
  http://localhost:8001/docs describes every address";

/// Runs the program.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let loaded = Raw::load(&sources(&arguments));
    let checked = loaded.check(Raw::check);
    if arguments.print_config {
        print(&loaded.to_yaml());
    }
    let settings = match checked {
        Ok(settings) => settings,
        Err(problems) => {
            complain(&problems.to_string());
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    if arguments.print_config {
        return ExitCode::SUCCESS;
    }
    if arguments.check_config {
        print("the settings are in order\n");
        return ExitCode::SUCCESS;
    }
    if let Err(error) = telemetry::init(&settings.log) {
        complain(&error.to_string());
        return ExitCode::from(EXIT_CONFIG);
    }
    tell_sources(&loaded);
    actix_web::rt::System::new().block_on(serve(settings))
}

async fn serve(settings: Settings) -> ExitCode {
    let outcome = async {
        let (_, stop) = Stop::on_signals()?;
        server::start(settings)?.run(stop).await
    };
    match outcome.await {
        Ok(outcome) => outcome.exit_code(),
        Err(error) => {
            complain(&in_full(&error));
            ExitCode::FAILURE
        }
    }
}

fn sources(arguments: &Arguments) -> Sources {
    let usual = Path::new(USUAL_FILE);
    let file = arguments
        .config
        .clone()
        .or_else(|| usual.is_file().then(|| usual.to_owned()));
    let own = [
        ("--host", "server.host", &arguments.host),
        ("--port", "server.port", &arguments.port),
    ];
    let own = own.into_iter().filter_map(|(flag, key, value)| {
        Some(Argument {
            flag,
            key,
            value: value.clone()?,
        })
    });
    Sources {
        sets: arguments.set.clone(),
        arguments: own.collect(),
        ..Sources::of_process(file)
    }
}

fn tell_sources(loaded: &Loaded<Raw>) {
    let given = loaded
        .effective()
        .into_iter()
        .filter(|it| it.origin != chassis::settings::Origin::Default);
    for it in given {
        tracing::debug!(key = it.key, value = %it.value, origin = %it.origin, "setting");
    }
}

/// An error with its causes, the outermost first.
fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(it) = cause {
        let part = it.to_string();
        // Some libraries repeat the cause in their own words.
        if !text.ends_with(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        cause = it.source();
    }
    text
}

fn print(text: &str) {
    // A reader that has gone, as `head` does, is no error of ours.
    drop(std::io::stdout().write_all(text.as_bytes()));
}

fn complain(text: &str) {
    drop(writeln!(std::io::stderr(), "asr: {text}"));
}

#[cfg(test)]
mod tests {
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
            ..sources(&arguments)
        });
        let settings = loaded.check(Raw::check).unwrap();
        assert_eq!(settings.server.address.to_string(), "127.0.0.1:8011");
    }
}
