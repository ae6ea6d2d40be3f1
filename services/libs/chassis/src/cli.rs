//! The command line that every service has: where settings come from, what is asked about them, and the exit code.
//!
//! Invariants:
//! - A mistake in the settings ends with 78 before anything is started, and every one of them is printed.
//! - What is asked for (`--print-config`, `--version`) goes to standard output, everything else to standard error.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use crate::server::Outcome;
use crate::settings::{Argument, EXIT_CONFIG, Loaded, Log, Origin, Problems, Sources};
use crate::stop::Stop;
use crate::telemetry;

/// The arguments that every service takes.
#[derive(Clone, Debug, Default, clap::Args)]
// No group: it would be named as the struct of the service is.
#[group(skip)]
pub struct Arguments {
    /// The YAML file with settings [default: the service's file in config/, if there is one]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The IP address to listen at
    #[arg(long, value_name = "H")]
    pub host: Option<String>,
    /// The port to listen at; 0 takes any free one
    #[arg(long, value_name = "N")]
    pub port: Option<String>,
    /// Any other setting; may be given many times
    #[arg(long, value_name = "key=value")]
    pub set: Vec<String>,
    /// Check the settings, print every problem, and exit
    #[arg(long)]
    pub check_config: bool,
    /// Print the settings in effect and where each came from, and exit
    #[arg(long)]
    pub print_config: bool,
}

/// What a service is to its command line: raw settings `R` that are checked to settings `S`.
pub struct Program<R, S> {
    /// Stands before every complaint: `asr`.
    pub name: &'static str,
    /// The file that is read where none is named, if it is there.
    pub usual_file: &'static str,
    /// Reads every source over the defaults.
    pub load: fn(&Sources) -> Loaded<R>,
    /// Checks every rule.
    pub check: fn(&R, &mut Problems) -> Option<S>,
    /// What the log is to look like.
    pub log: fn(&S) -> &Log,
}

impl<R: Serialize, S> Program<R, S> {
    /// Does what the arguments ask for: tells about the settings, or serves until stopped.
    ///
    /// Blocks the calling thread.
    pub fn run<F, E>(
        &self,
        arguments: &Arguments,
        serve: impl FnOnce(S, Stop) -> F + 'static,
    ) -> ExitCode
    where
        F: Future<Output = Result<Outcome, E>>,
        E: Error + 'static,
        S: 'static,
    {
        let loaded = (self.load)(&self.sources(arguments));
        let checked = loaded.check(self.check);
        if arguments.print_config {
            print(&loaded.to_yaml());
        }
        let settings = match checked {
            Ok(settings) => settings,
            Err(problems) => {
                self.complain(&problems.to_string());
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
        if let Err(error) = telemetry::init((self.log)(&settings)) {
            self.complain(&error.to_string());
            return ExitCode::from(EXIT_CONFIG);
        }
        tell_sources(&loaded);
        let served = actix_rt::System::new().block_on(async {
            let (_, stop) = Stop::on_signals().map_err(|it| in_full(&it))?;
            serve(settings, stop).await.map_err(|it| in_full(&it))
        });
        match served {
            Ok(outcome) => outcome.exit_code(),
            Err(text) => {
                self.complain(&text);
                ExitCode::FAILURE
            }
        }
    }

    /// The settings alone, for a command that does not serve.
    ///
    /// # Errors
    /// Every problem with them.
    pub fn settings(&self, arguments: &Arguments) -> Result<S, Problems> {
        (self.load)(&self.sources(arguments)).check(self.check)
    }

    /// Where the settings come from: the file, the environment of this process, the arguments.
    #[must_use]
    pub fn sources(&self, arguments: &Arguments) -> Sources {
        let usual = Path::new(self.usual_file);
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

    /// Writes to standard error in the program's name.
    pub fn complain(&self, text: &str) {
        drop(writeln!(std::io::stderr(), "{}: {text}", self.name));
    }
}

impl<R, S> fmt::Debug for Program<R, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

fn tell_sources<R: Serialize>(loaded: &Loaded<R>) {
    let given = loaded
        .effective()
        .into_iter()
        .filter(|it| it.origin != Origin::Default);
    for it in given {
        tracing::debug!(key = it.key, value = %it.value, origin = %it.origin, "setting");
    }
}

/// An error with its causes, the outermost first.
#[must_use]
pub fn in_full(error: &dyn Error) -> String {
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

/// Writes to standard output.
pub fn print(text: &str) {
    // A reader that has gone, as `head` does, is no error of ours.
    drop(std::io::stdout().write_all(text.as_bytes()));
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("it did not start")]
    struct Outer(#[source] io::Error);

    #[derive(Debug, thiserror::Error)]
    #[error("it did not start: no such thing")]
    struct Repeating(#[source] io::Error);

    #[test]
    fn causes_are_told_once() {
        let cause = || io::Error::other("no such thing");
        for error in [
            &Outer(cause()) as &dyn Error,
            &Repeating(cause()) as &dyn Error,
        ] {
            assert_eq!(in_full(error), "it did not start: no such thing");
        }
    }
}
