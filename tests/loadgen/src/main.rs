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
mod percentiles;
mod playlist;
mod process;
mod random;
mod words;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

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
        Command::Asr(arguments) => {
            // One thread is enough for hundreds of streams, and leaves the other cores to the server.
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(asr::run(&arguments))
        }
        Command::Chart {
            results,
            out,
            goal_ms,
        } => chart::from_files(&results, &out, goal_ms).map(|()| true),
    }
}
