//! What a worker's thread does, whatever it serves: build, and tell when it ends.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::mpsc;

use super::{
    EndReason, Ended, StartError,
    hand::{Hand, message_of},
};
use crate::{model::BuildError, queue::Close};

/// What a worker's thread knows.
pub(super) struct Thread {
    pub(super) model: &'static str,
    pub(super) worker: usize,
    pub(super) hand: Hand,
}

impl Thread {
    pub(super) fn live<M>(
        self,
        build: &dyn Fn(usize) -> Result<M, BuildError>,
        serve: &dyn Fn(M, Hand) -> EndReason,
        ready: mpsc::Sender<Result<(), StartError>>,
        mut departure: Departure,
    ) {
        let (model, worker) = (self.model, self.worker);
        let built = match catch_unwind(AssertUnwindSafe(|| build(worker))) {
            Ok(Ok(built)) => built,
            Ok(Err(source)) => {
                return send(
                    &ready,
                    Err(StartError::Build {
                        model,
                        worker,
                        source,
                    }),
                );
            }
            Err(panic) => {
                let message = message_of(&*panic).to_owned();
                return send(
                    &ready,
                    Err(StartError::Panicked {
                        model,
                        worker,
                        message,
                    }),
                );
            }
        };
        send(&ready, Ok(()));
        drop(ready);
        // Stands if anything below unwinds.
        departure.ended.reason = EndReason::Panicked;
        departure.ended.reason = serve(built, self.hand);
    }
}

/// Tells that a worker has ended, when dropped. By then its model is gone.
pub(super) struct Departure {
    pub(super) queue: Arc<dyn Close>,
    pub(super) n_alive: Arc<AtomicUsize>,
    pub(super) news: mpsc::Sender<Ended>,
    pub(super) ended: Ended,
}

impl Drop for Departure {
    fn drop(&mut self) {
        if self.n_alive.fetch_sub(1, Ordering::AcqRel) == 1 {
            // Order matters: who hears of the end must find the queue closed.
            self.queue.close();
        }
        send(&self.news, self.ended);
    }
}

/// For channels that cannot be full. Whether somebody still listens does not matter.
pub(super) fn send<T>(news: &mpsc::Sender<T>, message: T) {
    drop(news.try_send(message));
}
