//! What the tests with real threads share. Order is made by gates that calls wait at, never by sleeping.

use std::{
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

/// A door that a call waits at, and that tells when one does.
#[derive(Default)]
pub(crate) struct Gate {
    /// How many calls have come to it, and whether it is open.
    seen: Mutex<(usize, bool)>,
    changed: Condvar,
}

impl Gate {
    pub(crate) fn pass(&self) {
        let mut seen = self.seen.lock().unwrap();
        seen.0 += 1;
        self.changed.notify_all();
        // A call whose test has failed goes on in the end: the test is to fail, and not to wait for the call for ever.
        drop(
            self.changed
                .wait_timeout_while(seen, 3 * LONG, |seen| !seen.1)
                .unwrap(),
        );
    }

    pub(crate) fn wait_for(&self, n_calls: usize) {
        let seen = self.seen.lock().unwrap();
        let (seen, timeout) = self
            .changed
            .wait_timeout_while(seen, LONG, |seen| seen.0 < n_calls)
            .unwrap();
        drop(seen);
        assert!(!timeout.timed_out(), "no call came to the gate");
    }

    pub(crate) fn open(&self) {
        self.seen.lock().unwrap().1 = true;
        self.changed.notify_all();
    }
}

/// No test should take this long; one that does has hung.
pub(crate) const LONG: Duration = Duration::from_secs(20);

#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn note(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    /// Those since it was last asked.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// What becomes of a model's self test.
#[derive(Clone, Copy)]
pub(crate) enum Health {
    Sound,
    Fails,
    Panics,
}

impl Health {
    pub(crate) fn test(self) -> Result<(), String> {
        match self {
            Health::Sound => Ok(()),
            Health::Fails => Err("unwell".to_owned()),
            Health::Panics => panic!("scripted"),
        }
    }
}

/// Awaits without hanging for ever.
#[track_caller]
pub(crate) fn soon<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime
        .block_on(async { tokio::time::timeout(LONG, future).await })
        .expect("nothing came")
}
