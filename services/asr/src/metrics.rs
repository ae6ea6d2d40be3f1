//! What an operator sees of this service, beside what `batcher` and `chassis` count.
//!
//! Invariants:
//! - Every name is written once, here; handles are passed down and never looked up.
//! - Labels are closed sets, never an id and never a client's text.

use std::time::Duration;

use prometheus::{
    Counter, CounterVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts, Registry,
};

/// Seconds. The promise is a final within 0.5 s of the end of speech at the 95th percentile; the pause that ends speech is 0.2 s.
const FINAL_BUCKETS: &[f64] = &[
    0.05, 0.1, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.65, 0.8, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0,
];
/// Seconds. Partials come every 0.3 to 1.5 s of speech; what is older than that has been overtaken.
const PARTIAL_BUCKETS: &[f64] = &[0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 3.0];
/// Seconds. Smart Turn takes 10 to 60 ms.
const DECISION_BUCKETS: &[f64] = &[0.005, 0.01, 0.02, 0.04, 0.06, 0.1, 0.2, 0.35, 0.5, 1.0];
/// Seconds. The length of a file, or of a stream, is minutes; its processing a small part of it.
const FILE_BUCKETS: &[f64] = &[0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

/// How a stream ended.
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
pub struct AsrMetrics {
    /// Audio of streams, in seconds.
    pub stream_audio: Counter,
    /// Audio of files, in seconds.
    pub file_audio: Counter,
    /// Audio of streams that was dropped because its segment failed, in seconds.
    pub audio_lost: Counter,
    /// Audio of streams that was dropped because the client said so, in seconds.
    pub audio_reset: Counter,
    /// From asking for a draft to sending it.
    pub partial_latency: Histogram,
    /// From the end of speech to sending the final.
    pub final_latency: Histogram,
    /// From asking Smart Turn to its verdict.
    pub turn_decision: Histogram,
    /// From the decoded file to its last segment.
    pub file_duration: Histogram,
    /// Segments with a final.
    pub finals: IntCounter,
    /// Segments with an error.
    pub failures: IntCounter,
    /// Windows decoded more than once.
    pub fallbacks: IntCounter,
    /// Windows in which the model heard no speech.
    pub silences: IntCounter,
    /// Times a socket was not read because its session was behind.
    pub held_back: IntCounter,
    endings: IntCounterVec,
}

impl AsrMetrics {
    /// Registers everything.
    ///
    /// # Errors
    /// A name is already taken in the registry.
    pub fn register(registry: &Registry) -> Result<AsrMetrics, prometheus::Error> {
        let audio = CounterVec::new(
            Opts::new("asr_audio_seconds_total", "Audio received, by kind."),
            &["kind"],
        )?;
        let discarded = CounterVec::new(
            Opts::new(
                "asr_audio_discarded_seconds_total",
                "Audio of streams that was neither transcribed nor silence, by why.",
            ),
            &["reason"],
        )?;
        let segments = IntCounterVec::new(
            Opts::new(
                "asr_segments_total",
                "Segments of streams, by what they got.",
            ),
            &["outcome"],
        )?;
        let windows = IntCounterVec::new(
            Opts::new(
                "asr_windows_total",
                "Windows that were not simply decoded, by why.",
            ),
            &["kind"],
        )?;
        let endings = IntCounterVec::new(
            Opts::new("asr_sessions_total", "Streams ended, by how."),
            &["ending"],
        )?;
        registry.register(Box::new(audio.clone()))?;
        registry.register(Box::new(discarded.clone()))?;
        registry.register(Box::new(segments.clone()))?;
        registry.register(Box::new(windows.clone()))?;
        registry.register(Box::new(endings.clone()))?;
        // Every series exists from the start, so that a rate is right from the first event.
        for ending in Ending::ALL {
            drop(endings.with_label_values(&[ending.name()]));
        }
        let histogram = |name: &str, help: &str, buckets: &[f64]| {
            let histogram =
                Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))?;
            registry.register(Box::new(histogram.clone()))?;
            Ok::<_, prometheus::Error>(histogram)
        };
        let held_back = IntCounter::new(
            "asr_sockets_held_back_total",
            "Times a socket was not read because its session held all the audio it may.",
        )?;
        registry.register(Box::new(held_back.clone()))?;
        Ok(AsrMetrics {
            stream_audio: audio.with_label_values(&["stream"]),
            file_audio: audio.with_label_values(&["file"]),
            audio_lost: discarded.with_label_values(&["failed"]),
            audio_reset: discarded.with_label_values(&["reset"]),
            partial_latency: histogram(
                "asr_partial_latency_seconds",
                "From asking for a partial text to sending it.",
                PARTIAL_BUCKETS,
            )?,
            final_latency: histogram(
                "asr_final_latency_seconds",
                "From the end of speech to sending the final text.",
                FINAL_BUCKETS,
            )?,
            turn_decision: histogram(
                "asr_turn_decision_seconds",
                "From asking whether a turn is over to the verdict.",
                DECISION_BUCKETS,
            )?,
            file_duration: histogram(
                "asr_file_seconds",
                "From a decoded file to its last segment.",
                FILE_BUCKETS,
            )?,
            finals: segments.with_label_values(&["final"]),
            failures: segments.with_label_values(&["error"]),
            fallbacks: windows.with_label_values(&["fallback"]),
            silences: windows.with_label_values(&["silent"]),
            held_back,
            endings,
        })
    }

    /// Counts the end of a stream.
    pub fn ended(&self, ending: Ending) {
        self.endings.with_label_values(&[ending.name()]).inc();
    }

    /// Counts what was special about a transcript.
    pub fn transcribed(&self, n_fallback_windows: usize, n_silent_windows: usize) {
        self.fallbacks.inc_by(n_fallback_windows as u64);
        self.silences.inc_by(n_silent_windows as u64);
    }

    /// Notes the latency of a final.
    pub fn final_sent(&self, latency: Duration) {
        self.finals.inc();
        self.final_latency.observe(latency.as_secs_f64());
    }
}
