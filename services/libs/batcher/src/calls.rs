//! The first shape of model work: one call, one answer for each input.

use std::{fmt, num::NonZeroUsize, sync::Arc, time::Duration};

use crate::{
    error::SubmitError,
    lane::PerLane,
    metrics::Metrics,
    model::{BuildError, Model},
    queue::{Door, Job, Load, Queue, Queueing},
    reply::{Answer, OneReply, one_answer},
    worker::{Plan, Workers, launch},
};

mod serve;

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
    /// After so many batches in a row in which calls panicked and none came back, the model has to pass
    /// its [`Model::self_test`], or its worker ends. So one who sends again and again what the model
    /// cannot bear ends nobody, however quiet the server is, and a broken model is still found out.
    pub max_panics_in_a_row: NonZeroUsize,
}

/// Starts the workers. Each builds its own model (`build` is given the worker's number, from 0) and
/// drops it on its own thread. Jobs may be submitted at once; they wait until a model is there.
pub fn spawn<M: Model>(
    settings: Settings,
    metrics: Metrics,
    build: impl Fn(usize) -> Result<M, BuildError> + Send + Sync + 'static,
) -> (BatcherOf<M>, Workers) {
    let queueing = Queueing {
        places: settings.places,
        max_batch: settings.max_batch,
        raise_after: settings.raise_after,
    };
    let queue = Arc::new(CallQueue::<M>::new(&queueing, metrics));
    let plan = Plan {
        name: settings.name,
        n_workers: settings.workers,
        max_panics_in_a_row: settings.max_panics_in_a_row,
    };
    let queue_there = Arc::clone(&queue);
    let workers = launch(plan, Arc::clone(&queue) as _, build, move |model, hand| {
        serve::serve(model, hand, &queue_there)
    });
    (batcher::<M>(queue), workers)
}

fn batcher<M: Model>(queue: Arc<CallQueue<M>>) -> BatcherOf<M> {
    Batcher {
        door: Arc::new(Entrance::<M>(Door(queue))),
    }
}

/// Hands jobs to the workers of one model. Clones share one queue; dropping the last one stops the workers.
pub struct Batcher<I, O, E> {
    door: Arc<dyn Line<I, O, E>>,
}

/// The handle that jobs for a given model are submitted to.
pub type BatcherOf<M> = Batcher<<M as Model>::Input, <M as Model>::Output, <M as Model>::Error>;

impl<I, O, E> Batcher<I, O, E> {
    /// Puts a job in line, without waiting.
    ///
    /// # Errors
    /// [`SubmitError::Full`] if every place of the lane is held by a job somebody still awaits, and
    /// [`SubmitError::Stopped`] once the workers stop.
    pub fn submit(&self, job: Job<I>) -> Result<Answer<O, E>, SubmitError> {
        self.door.submit(job)
    }

    /// How busy the model is. A short lock and a few reads: cheap enough to ask before each partial.
    #[must_use]
    pub fn load(&self) -> Load {
        self.door.load()
    }
}

impl<I, O, E> Clone for Batcher<I, O, E> {
    fn clone(&self) -> Self {
        Batcher {
            door: Arc::clone(&self.door),
        }
    }
}

impl<I, O, E> fmt::Debug for Batcher<I, O, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batcher")
            .field("load", &self.load())
            .finish()
    }
}

/// Hides the model from those who submit: a real and a scripted one look the same.
trait Line<I, O, E>: Send + Sync {
    fn submit(&self, job: Job<I>) -> Result<Answer<O, E>, SubmitError>;
    fn load(&self) -> Load;
}

/// The queue of a model that answers once.
pub(crate) type CallQueue<M> = Queue<
    <M as Model>::Key,
    <M as Model>::Input,
    OneReply<<M as Model>::Output, <M as Model>::Error>,
>;

struct Entrance<M: Model>(Door<CallQueue<M>>);

impl<M: Model> Line<M::Input, M::Output, M::Error> for Entrance<M> {
    fn submit(&self, job: Job<M::Input>) -> Result<Answer<M::Output, M::Error>, SubmitError> {
        let key = M::key(&job.input);
        self.0.0.submit(job, key, one_answer)
    }

    fn load(&self) -> Load {
        self.0.0.load()
    }
}

#[cfg(test)]
mod tests;
