//! The log and the registry of metrics.
//!
//! Invariants:
//! - The log goes to standard error, so that what a command prints can be piped.
//! - A line that cannot be written is lost. The service goes on.
//! - Not before settings are read: how to log is one of them. Problems with the settings are printed by `main`.

use std::io::{self, IsTerminal as _};

use prometheus::process_collector::ProcessCollector;
use prometheus::{IntGauge, Opts, Registry};
use tracing_subscriber::EnvFilter;

use crate::service::Identity;
use crate::settings::{Log, LogFormat};

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The rules of `log.level` make no filter.
    #[error("`log.level` cannot be used")]
    Level(#[from] tracing_subscriber::filter::ParseError),
    /// It was set up before, in this process.
    #[error("the log was set up twice")]
    Twice(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Sends the log to standard error, as the settings say, panics included.
///
/// # Errors
/// If the rules cannot be used, or the log is set up already.
pub fn init(log: &Log) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(&log.level)?;
    let is_terminal = io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(is_terminal)
        // It would tell them on standard error, and panic where that is what has failed: a full disk, a closed pipe.
        .log_internal_errors(false);
    let is_json = match log.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !is_terminal,
    };
    if is_json {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.try_init()
    }
    .map_err(TelemetryError::Twice)?;
    // A panic is one line of the log like any other: in JSON where the log is JSON, and in its span.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let backtrace = std::backtrace::Backtrace::capture();
        tracing::error!(place, %backtrace, "panic: {}", panic.payload_as_str().unwrap_or("without a message"));
    }));
    Ok(())
}

/// A registry with `process_*` and `build_info`.
pub(crate) fn registry(identity: &Identity) -> Result<Registry, prometheus::Error> {
    let registry = Registry::new();
    registry.register(Box::new(ProcessCollector::for_self()))?;
    let opts = Opts::new("build_info", "Always 1; the labels say what runs.")
        .const_label("service", identity.name)
        .const_label("version", identity.version)
        .const_label("commit", identity.commit)
        .const_label("instance_id", identity.instance.clone());
    let build_info = IntGauge::with_opts(opts)?;
    build_info.set(1);
    registry.register(Box::new(build_info))?;
    Ok(registry)
}
