//! Signs of life, kept by the workers and read by a watchdog.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Marks a worker that runs no call.
const IDLE: u64 = u64::MAX;

#[derive(Debug)]
pub(crate) struct Pulse {
    /// The starts of calls are kept as microseconds from here, so that they fit an atomic.
    epoch: Instant,
    n_calls: AtomicU64,
    running_since: Box<[AtomicU64]>,
}

impl Pulse {
    pub(crate) fn new(n_workers: usize) -> Pulse {
        Pulse {
            epoch: Instant::now(),
            n_calls: AtomicU64::new(0),
            running_since: (0..n_workers).map(|_| AtomicU64::new(IDLE)).collect(),
        }
    }

    pub(crate) fn call_begins(&self, worker: usize, now: Instant) {
        self.running_since[worker].store(self.micros(now), Ordering::Release);
    }

    pub(crate) fn call_ends(&self, worker: usize) {
        self.running_since[worker].store(IDLE, Ordering::Release);
        self.n_calls.fetch_add(1, Ordering::Release);
    }

    fn oldest_call(&self, now: Instant) -> Option<Duration> {
        let starts = self
            .running_since
            .iter()
            .map(|it| it.load(Ordering::Acquire));
        let oldest = starts.filter(|&start| start != IDLE).min()?;
        Some(Duration::from_micros(
            self.micros(now).saturating_sub(oldest),
        ))
    }

    fn micros(&self, now: Instant) -> u64 {
        let since_epoch = now.saturating_duration_since(self.epoch);
        u64::try_from(since_epoch.as_micros()).unwrap_or(IDLE - 1)
    }
}

/// Signs of life of the workers of one model.
#[derive(Clone)]
pub struct Watch {
    pulse: Arc<Pulse>,
}

impl Watch {
    pub(crate) fn new(pulse: &Arc<Pulse>) -> Watch {
        Watch {
            pulse: Arc::clone(pulse),
        }
    }

    /// How many calls have ended, well or not. Only grows; stands still while nothing is asked.
    #[must_use]
    pub fn progress(&self) -> u64 {
        self.pulse.n_calls.load(Ordering::Acquire)
    }

    /// How long the oldest running call has been running; `None` if none runs.
    #[must_use]
    pub fn oldest_call(&self) -> Option<Duration> {
        self.pulse.oldest_call(Instant::now())
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("progress", &self.progress())
            .field("oldest_call", &self.oldest_call())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_of_the_running_calls_counts() {
        let pulse = Pulse::new(3);
        let at = |ms| pulse.epoch + Duration::from_millis(ms);
        assert_eq!(pulse.oldest_call(at(5)), None);
        pulse.call_begins(2, at(10));
        pulse.call_begins(0, at(30));
        assert_eq!(pulse.oldest_call(at(40)), Some(Duration::from_millis(30)));
        pulse.call_ends(2);
        assert_eq!(pulse.oldest_call(at(40)), Some(Duration::from_millis(10)));
        pulse.call_ends(0);
        assert_eq!(pulse.oldest_call(at(40)), None);
        assert_eq!(pulse.n_calls.load(Ordering::Acquire), 2);
    }

    #[test]
    fn a_call_that_begins_with_the_clock_is_running() {
        let pulse = Pulse::new(1);
        pulse.call_begins(0, pulse.epoch);
        assert_eq!(pulse.oldest_call(pulse.epoch), Some(Duration::ZERO));
    }
}
