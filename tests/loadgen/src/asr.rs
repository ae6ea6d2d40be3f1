//! Load on the recogniser.
//!
//! - [`protocol`]: the messages, as a client knows them.
//! - [`connection`], [`session`]: one user, in real time, over one or more sockets.
//! - [`record`], [`score`], [`report`]: what was heard, what it means, how it reads.
//! - [`load`], [`limit`], [`calibrate`]: what can be run.
//! - [`uploads`]: whole files beside the streams.

pub(crate) mod calibrate;
pub(crate) mod connection;
pub(crate) mod limit;
pub(crate) mod load;
pub(crate) mod protocol;
pub(crate) mod record;
pub(crate) mod report;
pub(crate) mod score;
pub(crate) mod session;
pub(crate) mod uploads;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use self::limit::{Goals, Search};
use self::load::Crowd;
use self::protocol::{FinalOn, Wanted};
use self::session::Plan;
use crate::playlist::{Playlist, faint_noise};
use crate::search::Bounds;
use crate::{chart, clip, idle, soak, write_json};

/// Loads a recogniser with real-time streams.
///
/// Without a mode, plays --sessions streams for --seconds and prints what was measured. Exits with 1 when
/// anything was lost, refused, wrong or unaccounted for.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The server, host:port
    #[arg(long, default_value = "127.0.0.1:8001")]
    server: String,
    /// A name for reports and charts
    #[arg(long, default_value = "")]
    label: String,
    /// Folder with WAV recordings (mono, 16 kHz, 16 bit) and expected.json with their texts
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/speech"))]
    clips_dir: PathBuf,
    /// Play only these recordings
    #[arg(long, value_delimiter = ',', value_name = "NAME,…")]
    clips: Vec<String>,
    /// Concurrent sessions
    #[arg(short = 'n', long, default_value_t = 4)]
    sessions: usize,
    /// How long to play; each session then ends its recording and the pause after it
    #[arg(short = 't', long, default_value_t = 30)]
    seconds: u64,
    /// Milliseconds of audio in a frame, as 20, 40 or 100
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u64).range(5..=1000))]
    frame_ms: u64,
    /// Play no recordings: sessions that listen and hear nobody
    #[arg(long)]
    silent: bool,
    /// Ask for no partials
    #[arg(long)]
    no_partials: bool,
    /// What ends a piece of speech
    #[arg(long, value_enum, default_value = "vad_stop")]
    final_on: FinalOn,
    /// Shortest pause between recordings, in milliseconds
    #[arg(long, default_value_t = 1500, value_name = "MS")]
    pause_min_ms: u64,
    /// Longest pause between recordings, in milliseconds
    #[arg(long, default_value_t = 4000, value_name = "MS")]
    pause_max_ms: u64,
    /// Sessions join one by one over this time, in seconds; what ends within it is not timed
    #[arg(long, default_value_t = 3, value_name = "SECONDS")]
    warm_up: u64,
    /// The same seed plays the same streams
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Process of the server on this machine, to report its processor use and memory
    #[arg(long)]
    pid: Option<u32>,
    /// Write everything measured as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// With --find-limit: draw latency against load
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    #[command(flatten)]
    mode: Mode,
    /// Beside the streams, upload files and break connections to resume them
    #[arg(long)]
    mixed: bool,
    /// With --mixed: clients that upload file after file [default: a tenth of the sessions]
    #[arg(long)]
    uploaders: Option<usize>,
    /// With --mixed: mean seconds until a session's connection breaks
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    break_every: u64,
    /// With --find-limit: start here
    #[arg(long, default_value_t = 2, value_name = "N")]
    first: usize,
    /// With --find-limit: do not try more
    #[arg(long, default_value_t = 512, value_name = "N")]
    most: usize,
    /// With --find-limit: time at least about so many recordings in each step
    #[arg(long, default_value_t = 60, value_name = "N")]
    min_utterances: usize,
    /// With --find-limit: goal for p95 from end of speech to final
    #[arg(long, default_value_t = 500.0, value_name = "MS")]
    goal_ms: f64,
    /// With --find-limit: goal for p95 from the turn decision to final
    #[arg(long, default_value_t = 300.0, value_name = "MS")]
    goal_decision_ms: f64,
    /// With --calibrate: a decision within this time of the end of speech was the first look
    #[arg(long, default_value_t = 450, value_name = "MS")]
    first_look_ms: u64,
}

#[derive(Args, Debug)]
#[group(multiple = false)]
struct Mode {
    /// Find the most sessions with p95 within the goals and every final there
    #[arg(long)]
    find_limit: bool,
    /// Hold N sessions on which nobody speaks for --seconds
    #[arg(long, value_name = "N")]
    idle: Option<usize>,
    /// Play for so long, and say once a minute how it goes
    #[arg(long, value_name = "SECONDS")]
    soak: Option<u64>,
    /// Find the recordings that end a turn at the first look
    #[arg(long)]
    calibrate: bool,
}

const EXAMPLES: &str = "Examples:
  loadgen asr -n 20 -t 60 --pid $(pidof asr)         20 streams for a minute, one final per pause
  loadgen asr --find-limit --svg load.svg            the most streams with p95 <= 500 ms
  loadgen asr --soak 1800 -n 20 --mixed              half an hour of streams, uploads and broken connections
  loadgen asr --idle 5000 -t 20 --pid $(pidof asr)   memory of 5,000 silent sessions";

/// Does what the arguments say. Returns whether all was well.
pub(crate) async fn run(arguments: &Arguments) -> Result<bool> {
    let wanted = Wanted {
        partials: !arguments.no_partials,
        final_on: arguments.final_on,
        start_sample: 0,
    };
    let seconds = Duration::from_secs(arguments.seconds);
    if let Some(n) = arguments.mode.idle {
        let url = wanted.url(&arguments.server);
        let idle = idle::run(&url, n, seconds, arguments.pid).await?;
        print!("{idle}");
        write_json(arguments.json.as_deref(), &idle)?;
        return Ok(idle.held == n);
    }
    let plan = plan(arguments)?;
    if arguments.mode.find_limit {
        return find_limit(arguments, &plan).await;
    }
    if arguments.mode.calibrate {
        let found = calibrate::run(&plan, Duration::from_millis(arguments.first_look_ms)).await;
        for (name, delays) in &found.decisions_ms {
            println!("{name:<28} {delays:?} ms");
        }
        println!("{}", found.at_first_look.join(","));
        write_json(arguments.json.as_deref(), &found)?;
        return Ok(!found.at_first_look.is_empty());
    }
    let crowd = Crowd {
        sessions: arguments.sessions,
        uploaders: match (arguments.mixed, arguments.uploaders) {
            (false, _) => 0,
            (true, Some(n)) => n,
            (true, None) => arguments.sessions.div_ceil(10),
        },
        join_within: plan.warm_up,
    };
    let report = match arguments.mode.soak {
        Some(_) => {
            let tell = |line: &str| println!("{line}");
            let work = Box::pin(load::run(&plan, crowd));
            let ((mut report, _), memory) = soak::watching(work, plan.server_pid, &tell).await;
            report.memory = Some(memory);
            report
        }
        None => load::run(&plan, crowd).await.0,
    };
    print!("{report}");
    write_json(arguments.json.as_deref(), &report)?;
    Ok(report.is_clean())
}

async fn find_limit(arguments: &Arguments, plan: &Plan) -> Result<bool> {
    let search = Search {
        bounds: Bounds {
            first: arguments.first,
            most: arguments.most,
        },
        min_utterances: arguments.min_utterances,
        goals: Goals {
            end_to_final_ms: arguments.goal_ms,
            decision_to_final_ms: arguments.goal_decision_ms,
        },
    };
    let tell = |line: &str| println!("{line}");
    let found = limit::find(plan, search, &tell).await;
    found.print();
    write_json(arguments.json.as_deref(), &found)?;
    if let Some(path) = &arguments.svg {
        chart::of_search(&found, path, arguments.goal_ms)?;
    }
    Ok(0 < found.limit)
}

fn plan(arguments: &Arguments) -> Result<Plan> {
    let clips = match arguments.silent {
        true => Vec::new(),
        false => clip::load(&arguments.clips_dir, &arguments.clips)?,
    };
    let pause = |ms: u64| ms * u64::from(clip::RATE) / 1000;
    Ok(Plan {
        label: arguments.label.clone(),
        server: arguments.server.clone(),
        server_pid: arguments.pid,
        playlist: Playlist {
            clips: clips.into_iter().map(Arc::new).collect(),
            pause: (
                pause(arguments.pause_min_ms),
                pause(arguments.pause_max_ms.max(arguments.pause_min_ms)),
            ),
        },
        noise: faint_noise(),
        seed: arguments.seed,
        frame_ms: arguments.frame_ms,
        partials: !arguments.no_partials,
        final_on: arguments.final_on,
        length: Duration::from_secs(arguments.mode.soak.unwrap_or(arguments.seconds)),
        warm_up: Duration::from_secs(arguments.warm_up),
        break_every: arguments
            .mixed
            .then(|| Duration::from_secs(arguments.break_every.max(1))),
    })
}
