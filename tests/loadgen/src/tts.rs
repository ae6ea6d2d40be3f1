//! Load on the synthesiser.
//!
//! - [`protocol`]: the messages, as a client knows them.
//! - [`playback`], [`record`]: what a listener notices, and whether promises were kept.
//! - [`session`]: one listener, in real time, over one or more sockets.
//! - [`mod@load`], [`limit`]: what can be run.
//! - [`report`]: how it reads.

pub(crate) mod limit;
pub(crate) mod load;
pub(crate) mod playback;
pub(crate) mod protocol;
pub(crate) mod record;
pub(crate) mod report;
pub(crate) mod session;

#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use futures_util::{SinkExt, StreamExt};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use self::limit::{Goals, Search};
use self::protocol::{Ask, Encoding, Said, Wanted};
use self::session::{Mix, Plan, Recording};
use crate::search::Bounds;
use crate::socket::{self, PATIENCE};
use crate::{chart, idle, soak, write_json};

/// Loads a synthesiser with listeners in real time.
///
/// Without a mode, --sessions listeners have sentences spoken for --seconds, and what was measured is printed. Exits
/// with 1 when anything was lost, refused, wrong or unaccounted for.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The server, host:port
    #[arg(long, default_value = "127.0.0.1:8002")]
    server: String,
    /// A name for reports and charts
    #[arg(long, default_value = "")]
    label: String,
    /// What is spoken: a sentence a line
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../baseline/tts_sentences.txt"))]
    sentences: PathBuf,
    /// A request speaks one to so many of them
    #[arg(long, default_value_t = 3, value_name = "N")]
    max_joined: usize,
    /// Who speaks, in turns
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "ID,…",
        default_value = "default"
    )]
    voices: Vec<String>,
    /// Register these recordings before, use them as well, and delete them afterwards
    #[arg(long, value_delimiter = ',', value_name = "FILE,…")]
    learn: Vec<PathBuf>,
    /// Concurrent listeners
    #[arg(short = 'n', long, default_value_t = 4)]
    sessions: usize,
    /// How long to ask; what is spoken then is heard to its end
    #[arg(short = 't', long, default_value_t = 30)]
    seconds: u64,
    /// How samples are written
    #[arg(long, value_enum, default_value = "pcm_s16le")]
    encoding: Encoding,
    /// Samples a second
    #[arg(long, default_value_t = 24_000, value_parser = clap::value_parser!(u32).range(8_000..=48_000))]
    sample_rate: u32,
    /// Shortest time to think, in milliseconds
    #[arg(long, default_value_t = 500, value_name = "MS")]
    pause_min_ms: u64,
    /// Longest time to think, in milliseconds
    #[arg(long, default_value_t = 2000, value_name = "MS")]
    pause_max_ms: u64,
    /// Do not listen in real time: ask for the next as soon as the last has ended, to see how much the server makes
    #[arg(long)]
    eager: bool,
    /// Listeners join one by one over this time, in seconds; what is asked within it is not timed
    #[arg(long, default_value_t = 3, value_name = "SECONDS")]
    warm_up: u64,
    /// The same seed asks the same
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
    /// Also cancel, go away without a word, send texts in pieces, and bring voices (of --learn)
    #[arg(long)]
    mixed: bool,
    /// With --mixed: of 1000 requests, so many are cancelled
    #[arg(long, default_value_t = 200, value_name = "N")]
    cancel: u64,
    /// With --find-limit: start here
    #[arg(long, default_value_t = 4, value_name = "N")]
    first: usize,
    /// With --find-limit: do not try more
    #[arg(long, default_value_t = 512, value_name = "N")]
    most: usize,
    /// With --find-limit: time at least about so many requests in each step
    #[arg(long, default_value_t = 40, value_name = "N")]
    min_requests: usize,
    /// With --find-limit: goal for p95 from the request to its first audio
    #[arg(long, default_value_t = 500.0, value_name = "MS")]
    goal_ms: f64,
    /// With --find-limit: of 1000 requests, so many may have a chunk that comes too late to be played
    #[arg(long, default_value_t = 0, value_name = "N")]
    goal_starved: usize,
}

#[derive(Args, Debug)]
#[group(multiple = false)]
struct Mode {
    /// Find the most listeners with p95 within the goal and nobody kept waiting within a sentence
    #[arg(long)]
    find_limit: bool,
    /// Hold N connections on which nothing is asked for --seconds
    #[arg(long, value_name = "N")]
    idle: Option<usize>,
    /// Go on for so long, say once a minute how it goes, and whether the server's memory grows
    #[arg(long, value_name = "SECONDS")]
    soak: Option<u64>,
}

const EXAMPLES: &str = "Examples:
  loadgen tts -n 20 -t 60 --pid $(pidof tts)         20 listeners for a minute
  loadgen tts -n 1 --max-joined 1                    how soon one user hears something
  loadgen tts --find-limit --svg load.svg            the most listeners with p95 <= 500 ms and nobody starved
  loadgen tts --soak 1800 -n 20 --mixed --learn a.wav,b.wav
                                                     half an hour with cancels, broken connections and changing voices";

/// With --mixed, of 1000 requests.
const VANISH: u64 = 50;
const NEW_VOICE: u64 = 50;
const IN_PIECES: u64 = 200;

/// The same for all requests; see [`Wanted`].
const SPEECH_SEED: u64 = 7;

/// Does what the arguments say. Returns whether all was well.
pub(crate) async fn run(arguments: &Arguments) -> Result<bool> {
    let json = arguments.json.as_deref();
    if let Some(n) = arguments.mode.idle {
        let url = wanted(arguments).url(&arguments.server);
        let hold = Duration::from_secs(arguments.seconds);
        let idle = idle::run(&url, n, hold, arguments.pid).await?;
        print!("{idle}");
        write_json(json, &idle)?;
        return Ok(idle.held == n);
    }
    let plan = plan(arguments)?;
    let own: Vec<&str> = plan.recordings.iter().map(|it| it.name.as_str()).collect();
    for recording in plan.recordings.iter() {
        let ask = Ask::RegisterVoice {
            voice: &recording.name,
            recording: &recording.base64,
        };
        about_voice(&plan, ask).await?;
    }
    let well = load(arguments, &plan).await;
    for name in own {
        about_voice(&plan, Ask::DeleteVoice { voice: name }).await?;
    }
    well
}

async fn load(arguments: &Arguments, plan: &Plan) -> Result<bool> {
    let json = arguments.json.as_deref();
    let tell = |line: &str| println!("{line}");
    if arguments.mode.find_limit {
        let search = Search {
            bounds: Bounds {
                first: arguments.first,
                most: arguments.most,
            },
            min_requests: arguments.min_requests,
            goals: Goals {
                first_chunk_ms: arguments.goal_ms,
                starved_per_mille: arguments.goal_starved,
            },
        };
        let found = limit::find(plan, search, &tell).await;
        found.print();
        write_json(json, &found)?;
        if let Some(path) = &arguments.svg {
            chart::of_search(&found, path, arguments.goal_ms)?;
        }
        return Ok(0 < found.limit);
    }
    let work = Box::pin(load::run(plan, arguments.sessions, plan.warm_up));
    let report = match arguments.mode.soak {
        Some(_) => {
            let (mut report, memory) = soak::watching(work, plan.server_pid, &tell).await;
            report.memory = Some(memory);
            report
        }
        None => work.await,
    };
    print!("{report}");
    write_json(json, &report)?;
    Ok(report.is_clean())
}

fn wanted(arguments: &Arguments) -> Wanted {
    Wanted {
        encoding: arguments.encoding,
        sample_rate: arguments.sample_rate,
        seed: SPEECH_SEED,
    }
}

fn plan(arguments: &Arguments) -> Result<Plan> {
    let path = &arguments.sentences;
    let sentences: Vec<String> = fs::read_to_string(path)
        .with_context(|| format!("cannot read {}", path.display()))?
        .lines()
        .map(|line| line.trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect();
    ensure!(!sentences.is_empty(), "{} is empty", path.display());
    let recordings: Vec<Recording> = arguments
        .learn
        .iter()
        .map(|path| recording(path))
        .collect::<Result<_>>()?;
    let voices: Vec<String> = arguments
        .voices
        .iter()
        .cloned()
        .chain(recordings.iter().map(|it| it.name.clone()))
        .collect();
    Ok(Plan {
        label: arguments.label.clone(),
        server: arguments.server.clone(),
        server_pid: arguments.pid,
        sentences: sentences.into(),
        voices: voices.into(),
        recordings: recordings.into(),
        wanted: wanted(arguments),
        seed: arguments.seed,
        max_joined: arguments.max_joined,
        pause_ms: (
            arguments.pause_min_ms,
            arguments.pause_max_ms.max(arguments.pause_min_ms),
        ),
        eager: arguments.eager,
        length: Duration::from_secs(arguments.mode.soak.unwrap_or(arguments.seconds)),
        warm_up: Duration::from_secs(arguments.warm_up),
        mix: arguments.mixed.then_some(Mix {
            cancel: arguments.cancel,
            vanish: VANISH,
            new_voice: NEW_VOICE,
            in_pieces: IN_PIECES,
        }),
    })
}

fn recording(path: &Path) -> Result<Recording> {
    let file = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let stem: String = stem
        .chars()
        .filter(|it| it.is_ascii_alphanumeric() || *it == '-' || *it == '_')
        .take(40)
        .collect();
    Ok(Recording {
        name: format!("loadgen-{stem}"),
        base64: STANDARD.encode(file),
    })
}

/// Asks on a connection of its own, and waits for the answer.
async fn about_voice(plan: &Plan, ask: Ask<'_>) -> Result<()> {
    let opened = socket::open(&plan.wanted.url(&plan.server)).await?;
    let mut socket = opened.map_err(|refusal| anyhow::anyhow!("refused: {refusal}"))?;
    socket.send(Message::text(ask.json().to_string())).await?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let received = timeout(left, socket.next()).await.context("no answer")?;
        let received = received.context("closed instead of an answer about a voice")??;
        let Message::Text(text) = received else {
            continue;
        };
        match serde_json::from_str(&text)? {
            Said::VoiceRegistered { .. } | Said::VoiceDeleted { .. } => break,
            Said::Error { code, message, .. } => anyhow::bail!("{code}: {message}"),
            Said::Ready
            | Said::SynthesisStarted { .. }
            | Said::AudioChunk(_)
            | Said::SynthesisComplete(_)
            | Said::Cancelled { .. }
            | Said::Closed(_)
            | Said::Draining
            | Said::Other => {}
        }
    }
    socket.close().await?;
    Ok(())
}
