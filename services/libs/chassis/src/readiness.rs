//! Whether the service may be sent work: latches that only open, and reasons in words.
//!
//! Invariants:
//! - Not ready until every [`Latch`] is released; a forgotten latch keeps the process unready, not ready.
//! - Unready for ever once draining.
//! - "Full" and "a worker is down" are asked when somebody wants to know, so they can never be stale.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::drain::Drain;

type Check = dyn Fn() -> Option<String> + Send + Sync;

/// Answers "may I be sent work, and if not, why not?". Clones are the same answer.
#[derive(Clone)]
pub struct Readiness {
    drain: Drain,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Said before the drain begins, so that a balancer has time to notice.
    is_leaving: bool,
    /// What is still awaited; a released latch leaves a hole.
    waiting: Vec<Option<&'static str>>,
    checks: Vec<Arc<Check>>,
}

/// One thing that must happen before the service is ready. Release it when it has happened.
///
/// Dropping a latch without releasing it leaves the service unready for good.
#[derive(Debug)]
#[must_use = "a latch that is dropped keeps the service unready for good"]
pub struct Latch {
    readiness: Readiness,
    idx: usize,
}

impl Readiness {
    /// Ready as soon as no latch is held, until `drain` begins.
    #[must_use]
    pub fn new(drain: Drain) -> Readiness {
        Readiness {
            drain,
            state: Arc::default(),
        }
    }

    /// Keeps the service unready until the latch is released. `what` completes "waiting for ...".
    pub fn latch(&self, what: &'static str) -> Latch {
        let mut state = self.lock();
        state.waiting.push(Some(what));
        Latch {
            readiness: self.clone(),
            idx: state.waiting.len() - 1,
        }
    }

    /// Adds a condition that may come and go. It gives the reason while the service should not be sent work.
    ///
    /// It is called whenever readiness is asked for, so it must be quick.
    pub fn unless(&self, check: impl Fn() -> Option<String> + Send + Sync + 'static) {
        self.lock().checks.push(Arc::new(check));
    }

    /// Makes the service unready for good, ahead of its drain.
    pub fn leave(&self) {
        self.lock().is_leaving = true;
    }

    /// Whether the service was made unready for good.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.lock().is_leaving || self.drain.has_begun()
    }

    /// Why the service should not be sent work; empty when it is ready.
    #[must_use]
    pub fn reasons(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        let state = self.lock();
        if state.is_leaving || self.drain.has_begun() {
            reasons.push("draining".to_owned());
        }
        let waiting = state.waiting.iter().flatten();
        reasons.extend(waiting.map(|what| format!("waiting for {what}")));
        let checks = state.checks.clone();
        // A check is foreign code: it must not run under our lock.
        drop(state);
        reasons.extend(checks.iter().filter_map(|check| check()));
        reasons
    }

    /// Whether the service may be sent work.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.reasons().is_empty()
    }

    /// Whether everything that is needed to serve is there, full or draining as the service may be.
    #[must_use]
    pub fn is_loaded(&self) -> bool {
        self.lock().waiting.iter().all(Option::is_none)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // No code that can panic runs under the lock, and a half-made change is not possible.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readiness")
            .field("reasons", &self.reasons())
            .finish()
    }
}

impl Latch {
    /// What was awaited has happened.
    pub fn release(self) {
        self.readiness.lock().waiting[self.idx] = None;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn ready_when_the_last_latch_is_released() {
        let readiness = Readiness::new(Drain::new());
        let model = readiness.latch("the model");
        let voice = readiness.latch("the voices");
        assert_eq!(
            readiness.reasons(),
            ["waiting for the model", "waiting for the voices"]
        );
        model.release();
        assert_eq!(readiness.reasons(), ["waiting for the voices"]);
        assert!(!readiness.is_loaded());
        voice.release();
        assert!(readiness.is_ready());
        assert!(readiness.is_loaded());
    }

    #[test]
    fn a_dropped_latch_stays_shut() {
        let readiness = Readiness::new(Drain::new());
        drop(readiness.latch("the model"));
        assert!(!readiness.is_ready());
    }

    #[test]
    fn a_condition_may_come_and_go() {
        let readiness = Readiness::new(Drain::new());
        let full = Arc::new(AtomicBool::new(true));
        let seen = Arc::clone(&full);
        readiness.unless(move || seen.load(Ordering::Relaxed).then(|| "full".to_owned()));
        assert_eq!(readiness.reasons(), ["full"]);
        assert!(readiness.is_loaded(), "full is not the same as not loaded");
        full.store(false, Ordering::Relaxed);
        assert!(readiness.is_ready());
    }

    #[test]
    fn unready_for_ever_once_leaving() {
        let drain = Drain::new();
        let readiness = Readiness::new(drain.clone());
        readiness.leave();
        assert_eq!(readiness.reasons(), ["draining"]);
        assert!(
            !drain.has_begun(),
            "what comes in meanwhile is still served"
        );
        assert!(readiness.is_loaded());
    }

    #[test]
    fn unready_for_ever_once_draining() {
        let drain = Drain::new();
        let readiness = Readiness::new(drain.clone());
        let late = readiness.latch("the model");
        drain.begin();
        late.release();
        assert_eq!(readiness.reasons(), ["draining"]);
    }
}
