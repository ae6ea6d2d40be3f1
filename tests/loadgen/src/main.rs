//! Real-time load for the servers, and what it did to them.
//!
//! One module for each service speaks its protocol and knows what to measure; everything else here does not know them.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool answers on its standard output"
)]

mod asr;
mod chart;
mod clip;
mod idle;
mod percentiles;
mod playlist;
mod process;
mod random;
mod search;
mod soak;
mod socket;
mod trouble;
mod tts;
mod words;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use serde::Serialize;

/// Real-time load for the servers: latency percentiles, accuracy, accounting and limits.
///
/// Plays recordings as microphones would, on one thread, and checks the promises of the protocol on the way.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Asr(Box<asr::Arguments>),
    Tts(Box<tts::Arguments>),
    /// Draws the searches of several servers into one picture
    Chart {
        /// Results of --find-limit --json
        #[arg(required = true)]
        results: Vec<PathBuf>,
        /// The picture
        #[arg(short, long)]
        out: PathBuf,
        /// A line across the picture, in milliseconds
        #[arg(long, default_value_t = 500.0)]
        goal_ms: f64,
    },
}

fn main() -> ExitCode {
    // Built together with the servers, the client has TLS and wants to know whose. `Err` means that it knows already.
    drop(rustls::crypto::ring::default_provider().install_default());
    match run(Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("loadgen: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<bool> {
    match cli.command {
        Command::Asr(arguments) => runtime()?.block_on(asr::run(&arguments)),
        Command::Tts(arguments) => runtime()?.block_on(tts::run(&arguments)),
        Command::Chart {
            results,
            out,
            goal_ms,
        } => chart::from_files(&results, &out, goal_ms).map(|()| true),
    }
}

/// One thread is enough for hundreds of streams, and leaves the other cores to the server.
fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?)
}

/// Keeps everything that was measured, if anybody wants it.
fn write_json(path: Option<&Path>, what: &impl Serialize) -> Result<()> {
    let Some(path) = path else {
        return Ok(());
    };
    let json = serde_json::to_string_pretty(what)?;
    fs::write(path, json + "\n").with_context(|| format!("cannot write {}", path.display()))
}
