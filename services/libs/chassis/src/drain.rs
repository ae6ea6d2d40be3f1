//! Stopping without cutting: work holds a guard, and the guard is the count.
//!
//! Invariants:
//! - After [`Drain::begin`], no work starts: [`Drain::enter`] refuses.
//! - [`Drain::finished`] returns when the last [`Guard`] is dropped, or at its deadline, and then says how many were held.

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use wire::error::ErrorCode;

use crate::api_error::Classify;

/// The switch that stops a service, and the count of the work that is still to finish.
///
/// Clones are the same switch.
#[derive(Clone, Debug, Default)]
pub struct Drain {
    begun: CancellationToken,
    guards: TaskTracker,
}

/// Held by everything that must finish before the process ends: a session, a request.
#[derive(Debug)]
#[must_use = "work that drops its guard early is cut by the drain"]
pub struct Guard {
    begun: CancellationToken,
    _place: TaskTrackerToken,
}

/// The service is stopping: work that has not begun is for another instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server is shutting down; connect again and another instance will answer")]
pub struct Draining;

impl Classify for Draining {
    fn code(&self) -> ErrorCode {
        ErrorCode::Draining
    }
}

impl Drain {
    /// A drain that has not begun.
    #[must_use]
    pub fn new() -> Drain {
        Drain::default()
    }

    /// Starts a piece of work.
    ///
    /// # Errors
    /// [`Draining`] once the drain has begun.
    pub fn enter(&self) -> Result<Guard, Draining> {
        // Take the place first: a drain that begins between the two lines still waits for it.
        let place = self.guards.token();
        if self.begun.is_cancelled() {
            return Err(Draining);
        }
        Ok(Guard {
            begun: self.begun.clone(),
            _place: place,
        })
    }

    /// Begins to stop. Everything that holds a [`Guard`] is told.
    pub fn begin(&self) {
        self.begun.cancel();
        self.guards.close();
    }

    /// Whether the service is stopping.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.begun.is_cancelled()
    }

    /// Resolves when the drain begins; at once if it has.
    pub fn begun(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        self.begun.clone().cancelled_owned()
    }

    /// How many guards are held.
    #[must_use]
    pub fn n_held(&self) -> usize {
        self.guards.len()
    }

    /// Waits until the last guard is dropped. Only meaningful after [`Drain::begin`].
    ///
    /// # Errors
    /// The number of guards still held when the deadline had passed.
    pub async fn finished(&self, deadline: Duration) -> Result<(), usize> {
        match tokio::time::timeout(deadline, self.guards.wait()).await {
            Ok(()) => Ok(()),
            Err(_elapsed) => Err(self.guards.len()),
        }
    }
}

impl Guard {
    /// Resolves when the drain begins; at once if it has. For one arm of a session's `select!`.
    pub fn draining(&self) -> WaitForCancellationFutureOwned {
        self.begun.clone().cancelled_owned()
    }

    /// Whether the drain has begun.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.begun.is_cancelled()
    }
}

impl Clone for Guard {
    /// Another guard for the same work, which may be handed on even while the drain runs.
    fn clone(&self) -> Guard {
        Guard {
            begun: self.begun.clone(),
            _place: self._place.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(120);

    #[tokio::test(start_paused = true)]
    async fn waits_for_the_last_guard() {
        let drain = Drain::new();
        let first = drain.enter().unwrap();
        let second = drain.enter().unwrap();
        drain.begin();
        let work = tokio::spawn(async move {
            first.draining().await;
            drop(first);
            tokio::time::sleep(Duration::from_secs(7)).await;
            drop(second);
        });
        let began = tokio::time::Instant::now();
        assert_eq!(drain.finished(LONG).await, Ok(()));
        assert_eq!(began.elapsed(), Duration::from_secs(7));
        work.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn says_how_many_were_cut() {
        let drain = Drain::new();
        let _stuck = (drain.enter().unwrap(), drain.enter().unwrap());
        drain.begin();
        assert_eq!(drain.finished(LONG).await, Err(2));
    }

    #[test]
    fn nothing_enters_once_begun() {
        let drain = Drain::new();
        let guard = drain.enter().unwrap();
        assert!(!guard.is_draining());
        drain.begin();
        assert!(guard.is_draining());
        assert_eq!(drain.enter().unwrap_err(), Draining);
        assert_eq!(drain.n_held(), 1, "a refused entry leaves nothing behind");
    }

    #[tokio::test(start_paused = true)]
    async fn a_cloned_guard_counts_on_its_own() {
        let drain = Drain::new();
        let guard = drain.enter().unwrap();
        drain.begin();
        let handed_on = guard.clone();
        drop(guard);
        assert_eq!(drain.finished(Duration::from_millis(1)).await, Err(1));
        drop(handed_on);
        assert_eq!(drain.finished(Duration::from_millis(1)).await, Ok(()));
    }
}
