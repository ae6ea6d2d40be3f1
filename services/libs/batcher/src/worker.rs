//! The named threads that own the models.
//!
//! Invariants:
//! - A model is built, used and dropped on one thread.
//! - Every job of a batch is answered before the next batch is taken.
//! - Every worker says once whether it is ready and once that it has ended, however it ends.

use std::{
    fmt, io,
    num::NonZeroUsize,
    sync::{Arc, atomic::AtomicUsize},
    thread::{Builder, JoinHandle},
    time::Duration,
};

use tokio::sync::mpsc;

use crate::{
    lane::PerLane,
    metrics::Metrics,
    model::{BuildError, Model},
    queue::{Batcher, BatcherOf, Queue},
    worker::{
        pulse::Pulse,
        thread::{Departure, Thread, send},
    },
};

mod pulse;
mod thread;

pub use pulse::Watch;

/// How one model is queued for and run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Names the threads (`<name>-<worker>`), of which the system shows the first 15 bytes.
    pub name: &'static str,
    /// How many jobs each lane may hold, waiting and running. With fewer than `max_batch` times
    /// `workers` no lane can fill a batch on every worker. A lane with none refuses every job.
    pub places: PerLane<usize>,
    /// How many jobs of each lane may share a call. A call in a lower lane is what a higher one waits
    /// for, so lower lanes may want smaller batches.
    pub max_batch: PerLane<NonZeroUsize>,
    /// How many threads share the queue, each with a model of its own.
    pub workers: NonZeroUsize,
    /// A lane that waited this long, since its oldest job came or since it was last served, counts as
    /// the next one up; after twice as long as two up. Zero: lanes do not matter, the oldest job goes
    /// first. [`Duration::MAX`]: a busy higher lane may starve a lower one.
    pub raise_after: Duration,
    /// A worker ends after so many batches in a row in which calls panicked and none came back.
    pub max_panics_in_a_row: NonZeroUsize,
}

/// Starts the workers. Each builds its own model (`build` is given the worker's number, from 0) and
/// drops it on its own thread. Jobs may be submitted at once; they wait until a model is there.
pub fn spawn<M: Model>(
    settings: Settings,
    metrics: Metrics,
    build: impl Fn(usize) -> Result<M, BuildError> + Send + Sync + 'static,
) -> (BatcherOf<M>, Workers) {
    let n_workers = settings.workers.get();
    let queue = Arc::new(Queue::<M>::new(&settings, metrics));
    let pulse = Arc::new(Pulse::new(n_workers));
    // One message from each worker, so neither can ever be full.
    let (ready, ready_news) = mpsc::channel(n_workers);
    let (ended, ended_news) = mpsc::channel(n_workers);
    let n_alive = Arc::new(AtomicUsize::new(n_workers));
    let build = Arc::new(build);

    let mut threads = Vec::with_capacity(n_workers);
    for worker in 0..n_workers {
        let departure = Departure {
            queue: Arc::clone(&queue),
            n_alive: Arc::clone(&n_alive),
            news: ended.clone(),
            ended: Ended {
                model: settings.name,
                worker,
                reason: EndReason::NotBuilt,
            },
        };
        let thread = Thread {
            model: settings.name,
            worker,
            max_panics_in_a_row: settings.max_panics_in_a_row,
            queue: Arc::clone(&queue),
            pulse: Arc::clone(&pulse),
        };
        let build = Arc::clone(&build);
        let ready_here = ready.clone();
        let spawned = Builder::new()
            .name(format!("{}-{worker}", settings.name))
            .spawn(move || thread.live(&*build, ready_here, departure));
        match spawned {
            Ok(handle) => threads.push(handle),
            Err(source) => send(
                &ready,
                Err(StartError::Thread {
                    model: settings.name,
                    worker,
                    source,
                }),
            ),
        }
    }

    let workers = Workers {
        queue: Arc::clone(&queue) as Arc<dyn Close>,
        pulse,
        ready: ready_news,
        ended: ended_news,
        threads,
    };
    (Batcher::new(queue), workers)
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

/// Hides the model from those who only wait for its end.
trait Close: Send + Sync {
    fn close(&self);
}

impl<M: Model> Close for Queue<M> {
    fn close(&self) {
        Queue::close(self);
    }
}

/// A model could not be built.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Building it failed.
    #[error("cannot build model `{model}` for worker {worker}")]
    Build {
        /// [`Settings::name`].
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
        /// [`Settings::name`].
        model: &'static str,
        /// The worker's number, from 0.
        worker: usize,
        /// What the panic said.
        message: String,
    },
    /// The system gave no thread.
    #[error("cannot start the thread of model `{model}` for worker {worker}")]
    Thread {
        /// [`Settings::name`].
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
    /// [`Settings::name`].
    pub model: &'static str,
    /// The worker's number, from 0.
    pub worker: usize,
    /// Why.
    pub reason: EndReason,
}

/// Why a worker has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndReason {
    /// It was stopped, or the last [`Batcher`] was dropped.
    #[error("it was stopped")]
    Stopped,
    /// Its model could not be built; [`Workers::ready`] tells why.
    #[error("its model could not be built")]
    NotBuilt,
    /// Too many batches in a row panicked: the model is taken for broken.
    #[error("its model panicked in {in_a_row} batches in a row")]
    TooManyPanics {
        /// How many batches that were.
        in_a_row: usize,
    },
    /// A panic outside a model call, as in dropping the model or an output.
    #[error("it panicked outside a model call")]
    Panicked,
}

#[cfg(test)]
mod tests;
