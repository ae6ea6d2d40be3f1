//! Whether work is still being done, for systemd and for `GET /livez`.
//!
//! Invariants:
//! - A service is alive while it is idle or its work makes progress: a process that answers HTTP and has a stuck model is
//!   dead.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What there is to do, and how much has been done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// Grows with every piece of work that is finished. It may start anywhere, and wrap.
    pub n_done: u64,
    /// Whether nothing waits and nothing runs.
    pub is_idle: bool,
}

/// Judges from successive looks at the work whether it goes on.
pub struct Liveness {
    stall_limit: Duration,
    probe: Box<dyn Fn() -> Work + Send + Sync>,
    seen: Mutex<Option<Seen>>,
}

#[derive(Clone, Copy)]
struct Seen {
    work: Work,
    /// Since when nothing has moved, while there was something to do.
    since: Instant,
}

impl Liveness {
    /// Work may stand still for `stall_limit` at most: well above the longest single call of a model.
    #[must_use]
    pub fn new(
        stall_limit: Duration,
        probe: impl Fn() -> Work + Send + Sync + 'static,
    ) -> Liveness {
        Liveness {
            stall_limit,
            probe: Box::new(probe),
            seen: Mutex::new(None),
        }
    }

    /// Looks at the work. It may be asked often or seldom, and by several.
    #[must_use]
    pub fn check(&self, now: Instant) -> bool {
        let work = (self.probe)();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let stalled_since =
            seen.filter(|it| !it.work.is_idle && !work.is_idle && it.work.n_done == work.n_done);
        let since = stalled_since.map_or(now, |it| it.since);
        *seen = Some(Seen { work, since });
        now.saturating_duration_since(since) < self.stall_limit
    }
}

impl fmt::Debug for Liveness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Liveness")
            .field("stall_limit", &self.stall_limit)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    /// Each step: seconds since the start, work done, idle or busy, and what is expected.
    fn check(steps: &[(u64, u64, bool, bool)]) {
        let work = Arc::new(Mutex::new(Work {
            n_done: 0,
            is_idle: true,
        }));
        let seen = Arc::clone(&work);
        let liveness = Liveness::new(LIMIT, move || *seen.lock().unwrap());
        let start = Instant::now();
        for (at_s, n_done, is_idle, is_alive) in steps {
            *work.lock().unwrap() = Work {
                n_done: *n_done,
                is_idle: *is_idle,
            };
            let now = start + Duration::from_secs(*at_s);
            assert_eq!(liveness.check(now), *is_alive, "at {at_s} s");
        }
    }

    #[test]
    fn idle_is_alive_for_ever() {
        check(&[(0, 5, true, true), (10_000, 5, true, true)]);
    }

    #[test]
    fn progress_is_life() {
        check(&[
            (0, 5, false, true),
            (59, 6, false, true),
            (118, 7, false, true),
        ]);
    }

    #[test]
    fn work_that_stands_still_is_death() {
        check(&[
            (0, 5, false, true),
            (59, 5, false, true),
            (60, 5, false, false),
            (61, 6, false, true),
        ]);
    }

    #[test]
    fn the_clock_starts_with_the_work_and_not_with_the_last_look() {
        check(&[
            (0, 5, true, true),
            (600, 5, false, true),
            (659, 5, false, true),
            (660, 5, false, false),
        ]);
    }
}
