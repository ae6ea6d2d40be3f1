//! What an operator sees of the queues.

use std::time::Duration;

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

use crate::{
    error::CallError,
    lane::{Lane, PerLane},
};

/// Seconds. From "the worker was free" (VAD calls take about a millisecond) over the promise of half a
/// second from the end of speech to the final text, to the age at which a caller gives up.
const WAIT_BUCKETS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 1.0, 2.5, 10.0, 30.0,
];

/// Seconds. A VAD call takes 0.2 to 20 ms, a call of a large Whisper on a CPU many seconds.
const CALL_BUCKETS: &[f64] = &[
    0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 1.0, 2.5, 5.0,
    10.0, 30.0,
];

const BATCH_BUCKETS: &[f64] = &[1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 64.0];

/// The metric families of every model in a process. Registered once.
///
/// | name | labels | what |
/// |---|---|---|
/// | `<prefix>_queue_depth` | `model`, `lane` | jobs that wait |
/// | `<prefix>_queue_wait_seconds` | `model`, `lane` | from submitting to the start of the call |
/// | `<prefix>_batch_size` | `model` | inputs in a call |
/// | `<prefix>_inference_seconds` | `stage` (the model) | length of a call |
/// | `<prefix>_jobs_total` | `model`, `lane`, `outcome` | what became of every submitted job |
/// | `<prefix>_slots` | `model`, `state` | slots of a stepping model that are `running` or `stalled` |
///
/// A step of a [`StepModel`](crate::StepModel) is a call of `<model>`, and letting a request in is one
/// of the stage `<model>_admit`. A stalled slot waits until its reader makes room.
///
/// `outcome` is one of `answered`, `failed`, `panicked`, `abandoned`, `expired`, `replaced`, `stopped`
/// and `refused`.
#[derive(Clone, Debug)]
pub struct Families {
    depth: IntGaugeVec,
    wait: HistogramVec,
    batch: HistogramVec,
    call: HistogramVec,
    jobs: IntCounterVec,
    slots: IntGaugeVec,
}

impl Families {
    /// Registers the families under `<prefix>_`.
    ///
    /// # Errors
    /// When a name is not valid or is already taken in the registry.
    pub fn register(registry: &Registry, prefix: &str) -> Result<Families, prometheus::Error> {
        let families = Families::new(prefix)?;
        registry.register(Box::new(families.depth.clone()))?;
        registry.register(Box::new(families.wait.clone()))?;
        registry.register(Box::new(families.batch.clone()))?;
        registry.register(Box::new(families.call.clone()))?;
        registry.register(Box::new(families.jobs.clone()))?;
        registry.register(Box::new(families.slots.clone()))?;
        Ok(families)
    }

    fn new(prefix: &str) -> Result<Families, prometheus::Error> {
        let name = |rest: &str| format!("{prefix}_{rest}");
        Ok(Families {
            depth: IntGaugeVec::new(
                Opts::new(name("queue_depth"), "Jobs that wait for the model."),
                &["model", "lane"],
            )?,
            wait: HistogramVec::new(
                HistogramOpts::new(
                    name("queue_wait_seconds"),
                    "Time from submitting a job to the start of its call.",
                )
                .buckets(WAIT_BUCKETS.to_vec()),
                &["model", "lane"],
            )?,
            batch: HistogramVec::new(
                HistogramOpts::new(name("batch_size"), "Inputs in one model call.")
                    .buckets(BATCH_BUCKETS.to_vec()),
                &["model"],
            )?,
            call: HistogramVec::new(
                HistogramOpts::new(name("inference_seconds"), "Length of one model call.")
                    .buckets(CALL_BUCKETS.to_vec()),
                &["stage"],
            )?,
            jobs: IntCounterVec::new(
                Opts::new(name("jobs_total"), "What became of every submitted job."),
                &["model", "lane", "outcome"],
            )?,
            slots: IntGaugeVec::new(
                Opts::new(name("slots"), "Held slots of a stepping model."),
                &["model", "state"],
            )?,
        })
    }

    /// The handles of one model; `name` becomes the label `model` (and `stage`).
    ///
    /// Every series exists from here on, at zero, so that a rate is right from the first job.
    #[must_use]
    pub fn model(&self, name: &str) -> Metrics {
        let jobs = |lane: Lane, outcome: Outcome| {
            self.jobs
                .with_label_values(&[name, lane.name(), outcome.name()])
        };
        Metrics {
            lanes: PerLane::from_fn(|lane| LaneMetrics {
                depth: self.depth.with_label_values(&[name, lane.name()]),
                wait: self.wait.with_label_values(&[name, lane.name()]),
                outcomes: Outcome::ALL.map(|outcome| jobs(lane, outcome)),
            }),
            batch: self.batch.with_label_values(&[name]),
            call: self.call.with_label_values(&[name]),
        }
    }

    /// The handles of one model that is stepped.
    #[must_use]
    pub fn steps(&self, name: &str) -> StepMetrics {
        StepMetrics {
            model: self.model(name),
            admission: self.call.with_label_values(&[&format!("{name}_admit")]),
            running: self.slots.with_label_values(&[name, "running"]),
            stalled: self.slots.with_label_values(&[name, "stalled"]),
        }
    }
}

/// The handles of one model.
#[derive(Clone, Debug)]
pub struct Metrics {
    lanes: PerLane<LaneMetrics>,
    batch: Histogram,
    call: Histogram,
}

#[derive(Clone, Debug)]
struct LaneMetrics {
    depth: IntGauge,
    wait: Histogram,
    outcomes: [IntCounter; Outcome::ALL.len()],
}

impl Metrics {
    /// Handles that no registry knows, for tests and tools.
    ///
    /// # Panics
    /// Never: the names are valid.
    #[must_use]
    pub fn unregistered() -> Metrics {
        Families::new("unregistered")
            .expect("the names are valid")
            .model("unregistered")
    }

    pub(crate) fn became(&self, lane: Lane, outcome: Outcome) {
        self.lanes[lane].outcomes[outcome as usize].inc();
    }

    /// The count is taken from the queue itself and not kept beside it, so it cannot drift.
    pub(crate) fn waiting(&self, lane: Lane, n_jobs: usize) {
        self.lanes[lane]
            .depth
            .set(i64::try_from(n_jobs).unwrap_or(i64::MAX));
    }

    pub(crate) fn waited(&self, lane: Lane, wait: Duration) {
        self.lanes[lane].wait.observe(wait.as_secs_f64());
    }

    pub(crate) fn called(&self, n_inputs: usize, took: Duration) {
        let n_inputs = u32::try_from(n_inputs).unwrap_or(u32::MAX);
        self.batch.observe(f64::from(n_inputs));
        self.call.observe(took.as_secs_f64());
    }
}

/// The handles of one model that is stepped.
#[derive(Clone, Debug)]
pub struct StepMetrics {
    pub(crate) model: Metrics,
    admission: Histogram,
    running: IntGauge,
    stalled: IntGauge,
}

impl StepMetrics {
    /// Handles that no registry knows, for tests and tools.
    ///
    /// # Panics
    /// Never: the names are valid.
    #[must_use]
    pub fn unregistered() -> StepMetrics {
        Families::new("unregistered")
            .expect("the names are valid")
            .steps("unregistered")
    }

    pub(crate) fn admitted(&self, took: Duration) {
        self.admission.observe(took.as_secs_f64());
    }

    pub(crate) fn held(&self, n_running: usize, n_stalled: usize) {
        let whole = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.running.set(whole(n_running));
        self.stalled.set(whole(n_stalled));
    }
}

/// What became of a submitted job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Answered,
    /// Failed, or answered with a wrong number of outputs.
    Failed,
    Panicked,
    Abandoned,
    Expired,
    Replaced,
    Stopped,
    /// Not accepted: the lane was full.
    Refused,
}

impl Outcome {
    const ALL: [Outcome; 8] = [
        Outcome::Answered,
        Outcome::Failed,
        Outcome::Panicked,
        Outcome::Abandoned,
        Outcome::Expired,
        Outcome::Replaced,
        Outcome::Stopped,
        Outcome::Refused,
    ];

    /// What a job became that was told `why`.
    pub(crate) fn of<E>(why: &CallError<E>) -> Outcome {
        match why {
            CallError::Failed(_) | CallError::Miscounted { .. } => Outcome::Failed,
            CallError::Panicked => Outcome::Panicked,
            CallError::Expired => Outcome::Expired,
            CallError::Replaced => Outcome::Replaced,
            CallError::Stopped => Outcome::Stopped,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Outcome::Answered => "answered",
            Outcome::Failed => "failed",
            Outcome::Panicked => "panicked",
            Outcome::Abandoned => "abandoned",
            Outcome::Expired => "expired",
            Outcome::Replaced => "replaced",
            Outcome::Stopped => "stopped",
            Outcome::Refused => "refused",
        }
    }
}
