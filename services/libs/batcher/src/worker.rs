//! The named threads that own the models, of either shape.
//!
//! Invariants:
//! - A model is built, used and dropped on one thread.
//! - Every worker says once whether it is ready and once that it has ended, however it ends.

use std::{
    fmt, io,
    num::NonZeroUsize,
    sync::{Arc, atomic::AtomicUsize},
    thread::{Builder, JoinHandle},
};

use tokio::sync::mpsc;

use crate::{
    model::BuildError,
    queue::Close,
    worker::{
        hand::Hand,
        pulse::Pulse,
        thread::{Departure, Thread, send},
    },
};

pub(crate) mod hand;
mod pulse;
mod thread;

pub use pulse::Watch;

/// How many threads there are, and what they are called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) name: &'static str,
    pub(crate) n_workers: NonZeroUsize,
    pub(crate) max_panics_in_a_row: NonZeroUsize,
}

/// Starts the threads. Each builds a model and serves it until it says why it ends.
pub(crate) fn launch<M: 'static>(
    plan: Plan,
    queue: Arc<dyn Close>,
    build: impl Fn(usize) -> Result<M, BuildError> + Send + Sync + 'static,
    serve: impl Fn(M, Hand) -> EndReason + Send + Sync + 'static,
) -> Workers {
    let n_workers = plan.n_workers.get();
    let pulse = Arc::new(Pulse::new(n_workers));
    // One message from each worker, so neither can ever be full.
    let (ready, ready_news) = mpsc::channel(n_workers);
    let (ended, ended_news) = mpsc::channel(n_workers);
    let n_alive = Arc::new(AtomicUsize::new(n_workers));
    let (build, serve) = (Arc::new(build), Arc::new(serve));

    let mut threads = Vec::with_capacity(n_workers);
    for worker in 0..n_workers {
        let departure = Departure {
            queue: Arc::clone(&queue),
            n_alive: Arc::clone(&n_alive),
            news: ended.clone(),
            ended: Ended {
                model: plan.name,
                worker,
                reason: EndReason::NotBuilt,
            },
        };
        let thread = Thread {
            model: plan.name,
            worker,
            hand: Hand::new(&plan, worker, Arc::clone(&pulse)),
        };
        let (build, serve) = (Arc::clone(&build), Arc::clone(&serve));
        let ready_here = ready.clone();
        let spawned = Builder::new()
            .name(format!("{}-{worker}", plan.name))
            .spawn(move || thread.live(&*build, &*serve, ready_here, departure));
        match spawned {
            Ok(handle) => threads.push(handle),
            Err(source) => send(
                &ready,
                Err(StartError::Thread {
                    model: plan.name,
                    worker,
                    source,
                }),
            ),
        }
    }
    Workers {
        queue,
        pulse,
        ready: ready_news,
        ended: ended_news,
        threads,
    }
}

/// The threads of one model. Dropping it stops them and waits until the running calls have ended.
pub struct Workers {
    queue: Arc<dyn Close>,
    pulse: Arc<Pulse>,
    ready: mpsc::Receiver<Result<(), StartError>>,
    ended: mpsc::Receiver<Ended>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Waits until every worker has built its model. May be dropped and asked again.
    ///
    /// # Errors
    /// The first that could not be built. The other workers go on; asked again, this speaks of them.
    pub async fn ready(&mut self) -> Result<(), StartError> {
        while let Some(news) = self.ready.recv().await {
            news?;
        }
        Ok(())
    }

    /// Waits until a worker ends, for any reason; a process should not outlive that. May be dropped and
    /// asked again: each end is told once, and after the last this never resolves.
    pub async fn ended(&mut self) -> Ended {
        match self.ended.recv().await {
            Some(ended) => ended,
            None => std::future::pending().await,
        }
    }

    /// For a watchdog. Does not keep the workers running.
    #[must_use]
    pub fn watch(&self) -> Watch {
        Watch::new(&self.pulse)
    }

    /// Stops: nothing more is accepted, queued jobs are answered [`CallError::Stopped`](crate::CallError::Stopped), running calls
    /// finish. Does not wait for them.
    pub fn stop(&self) {
        self.queue.close();
    }

    /// Stops, and blocks until the running calls have ended and the models are dropped.
    pub fn join(self) {}
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop();
        for thread in self.threads.drain(..) {
            // `Err` means that it panicked, which `Ended` has told.
            drop(thread.join());
        }
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers")
            .field("n_threads", &self.threads.len())
            .field("watch", &self.watch())
            .finish_non_exhaustive()
    }
}

/// A model could not be built.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Building it failed.
    #[error("cannot build model `{model}` for worker {worker}")]
    Build {
        /// `Settings::name`.
        model: &'static str,
        /// The worker's number, from 0.
        worker: usize,
        /// Why.
        #[source]
        source: BuildError,
    },
    /// Building it panicked.
    #[error("building model `{model}` for worker {worker} panicked: {message}")]
    Panicked {
        /// `Settings::name`.
        model: &'static str,
        /// The worker's number, from 0.
        worker: usize,
        /// What the panic said.
        message: String,
    },
    /// The system gave no thread.
    #[error("cannot start the thread of model `{model}` for worker {worker}")]
    Thread {
        /// `Settings::name`.
        model: &'static str,
        /// The worker's number, from 0.
        worker: usize,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// A worker has ended; its model is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("worker {worker} of model `{model}` has ended: {reason}")]
pub struct Ended {
    /// `Settings::name`.
    pub model: &'static str,
    /// The worker's number, from 0.
    pub worker: usize,
    /// Why.
    pub reason: EndReason,
}

/// Why a worker has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndReason {
    /// It was stopped, or the last handle was dropped.
    #[error("it was stopped")]
    Stopped,
    /// Its model could not be built; [`Workers::ready`] tells why.
    #[error("its model could not be built")]
    NotBuilt,
    /// Too many batches in a row panicked, and then the model did not pass its self test.
    #[error("its model panicked in {in_a_row} batches in a row and failed its self test")]
    TooManyPanics {
        /// How many batches that were.
        in_a_row: usize,
    },
    /// A panic outside a model call, as in dropping the model or an output.
    #[error("it panicked outside a model call")]
    Panicked,
}
