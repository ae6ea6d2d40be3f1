//! What an operator sees of this service, beside what `batcher` and `chassis` count.
//!
//! Invariants:
//! - Every name is written once, here; handles are passed down and never looked up.
//! - Labels are closed sets, never an id and never a client's text.

use std::time::Duration;

use prometheus::{
    Counter, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts,
    Registry,
};

/// Seconds. The promise is the first sound within 60 ms for one user and within 500 ms for twenty.
const FIRST_CHUNK_BUCKETS: &[f64] = &[
    0.02, 0.03, 0.045, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0,
];
/// Time of computing for each second of speech; from 1 on a listener would have to wait.
const REAL_TIME_BUCKETS: &[f64] = &[
    0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25, 1.5, 2.0, 4.0,
];
/// Seconds. A cancel is promised to be over within 50 ms.
const CANCEL_BUCKETS: &[f64] = &[0.001, 0.005, 0.01, 0.02, 0.035, 0.05, 0.1, 0.25, 0.5, 1.0];

/// Which edge a piece of speech was asked of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    Stream,
    Rest,
}

impl Edge {
    const ALL: [Edge; 2] = [Edge::Stream, Edge::Rest];

    fn name(self) -> &'static str {
        match self {
            Edge::Stream => "stream",
            Edge::Rest => "rest",
        }
    }
}

/// What became of a request for speech.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Complete,
    /// The client said so, or left.
    Cancelled,
    Failed,
}

impl Outcome {
    const ALL: [Outcome; 3] = [Outcome::Complete, Outcome::Cancelled, Outcome::Failed];

    fn name(self) -> &'static str {
        match self {
            Outcome::Complete => "complete",
            Outcome::Cancelled => "cancelled",
            Outcome::Failed => "failed",
        }
    }
}

/// How a WebSocket ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Closed,
    Drained,
    Gone,
    Fault,
    Failed,
}

impl Ending {
    const ALL: [Ending; 5] = [
        Ending::Closed,
        Ending::Drained,
        Ending::Gone,
        Ending::Fault,
        Ending::Failed,
    ];

    fn name(self) -> &'static str {
        match self {
            Ending::Closed => "closed",
            Ending::Drained => "drained",
            Ending::Gone => "gone",
            Ending::Fault => "fault",
            Ending::Failed => "failed",
        }
    }
}

/// The handles of this service.
#[derive(Clone, Debug)]
pub struct TtsMetrics {
    /// Speech made, in seconds at the models' rate.
    pub audio: Counter,
    /// Characters of text taken.
    pub characters: IntCounter,
    /// Time that listeners had nothing to play in the middle of a request, in seconds.
    pub silences: Counter,
    /// From a `cancel` to the last byte sent.
    pub cancel: Histogram,
    /// Sentences that the cache had.
    pub cache_hits: IntCounter,
    /// Sentences that it had not.
    pub cache_misses: IntCounter,
    /// Bytes in the cache.
    pub cache_bytes: IntGauge,
    first_chunk: HistogramVec,
    real_time_factor: HistogramVec,
    outcomes: IntCounterVec,
    endings: IntCounterVec,
}

impl TtsMetrics {
    /// Registers everything.
    ///
    /// # Errors
    /// A name is already taken in the registry.
    pub fn register(registry: &Registry) -> Result<TtsMetrics, prometheus::Error> {
        let histograms = |name: &str, help: &str, buckets: &[f64]| {
            let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
            HistogramVec::new(options, &["edge"])
        };
        let cache = IntCounterVec::new(
            Opts::new(
                "tts_cache_total",
                "Sentences that the cache of phrases was asked for, by what it had.",
            ),
            &["outcome"],
        )?;
        let metrics = TtsMetrics {
            audio: Counter::new("tts_audio_seconds_total", "Speech made.")?,
            characters: IntCounter::new("tts_characters_total", "Characters of text taken.")?,
            silences: Counter::new(
                "tts_starved_seconds_total",
                "Time that listeners had nothing to play in the middle of a request.",
            )?,
            cancel: Histogram::with_opts(
                HistogramOpts::new(
                    "tts_cancel_seconds",
                    "From a cancel to the last byte sent of what was cancelled.",
                )
                .buckets(CANCEL_BUCKETS.to_vec()),
            )?,
            cache_hits: cache.with_label_values(&["hit"]),
            cache_misses: cache.with_label_values(&["miss"]),
            cache_bytes: IntGauge::new("tts_cache_bytes", "Speech kept to be said again.")?,
            first_chunk: histograms(
                "tts_first_chunk_seconds",
                "From the turn of a request to its first audio.",
                FIRST_CHUNK_BUCKETS,
            )?,
            real_time_factor: histograms(
                "tts_real_time_factor",
                "Time to make a request's speech, for each second of it.",
                REAL_TIME_BUCKETS,
            )?,
            outcomes: IntCounterVec::new(
                Opts::new(
                    "tts_utterances_total",
                    "Requests for speech, by what became of them.",
                ),
                &["edge", "outcome"],
            )?,
            endings: IntCounterVec::new(
                Opts::new("tts_sessions_total", "WebSockets ended, by how."),
                &["ending"],
            )?,
        };
        registry.register(Box::new(metrics.audio.clone()))?;
        registry.register(Box::new(metrics.characters.clone()))?;
        registry.register(Box::new(metrics.silences.clone()))?;
        registry.register(Box::new(metrics.cancel.clone()))?;
        registry.register(Box::new(cache))?;
        registry.register(Box::new(metrics.cache_bytes.clone()))?;
        registry.register(Box::new(metrics.first_chunk.clone()))?;
        registry.register(Box::new(metrics.real_time_factor.clone()))?;
        registry.register(Box::new(metrics.outcomes.clone()))?;
        registry.register(Box::new(metrics.endings.clone()))?;
        // Every series exists from the start, so that a rate is right from the first event.
        for ending in Ending::ALL {
            drop(metrics.endings.with_label_values(&[ending.name()]));
        }
        for edge in Edge::ALL {
            drop(metrics.first_chunk.with_label_values(&[edge.name()]));
            drop(metrics.real_time_factor.with_label_values(&[edge.name()]));
            for outcome in Outcome::ALL {
                let labels = [edge.name(), outcome.name()];
                drop(metrics.outcomes.with_label_values(&labels));
            }
        }
        Ok(metrics)
    }

    /// Notes how long the first audio of a request took.
    pub fn first_chunk(&self, edge: Edge, took: Duration) {
        self.first_chunk
            .with_label_values(&[edge.name()])
            .observe(took.as_secs_f64());
    }

    /// Counts a request that has ended. `audio` is what was made of it, `took` the time since its turn.
    pub fn ended(&self, edge: Edge, outcome: Outcome, audio: Duration, took: Duration) {
        let labels = [edge.name(), outcome.name()];
        self.outcomes.with_label_values(&labels).inc();
        if outcome == Outcome::Complete && !audio.is_zero() {
            self.real_time_factor
                .with_label_values(&[edge.name()])
                .observe(took.as_secs_f64() / audio.as_secs_f64());
        }
    }

    /// Counts the end of a WebSocket.
    pub fn session_ended(&self, ending: Ending) {
        self.endings.with_label_values(&[ending.name()]).inc();
    }
}
