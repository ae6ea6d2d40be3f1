//! The second shape of model work: many steps, many chunks, and requests that come and go in between.

use std::{fmt, num::NonZeroUsize, sync::Arc, time::Duration};

use crate::{
    error::SubmitError,
    lane::PerLane,
    metrics::StepMetrics,
    model::{BuildError, StepModel},
    queue::{Door, Job, Load, Queue, Queueing},
    reply::{Chunks, Feed, Ring, feed},
    steps::rounds::Rounds,
    worker::{Plan, Workers, launch},
};

mod rounds;

/// How one model is queued for and stepped.
#[derive(Clone, Debug)]
pub struct StepSettings {
    /// Names the thread (`<name>-0`), of which the system shows the first 15 bytes.
    pub name: &'static str,
    /// How many jobs each lane may hold, waiting and in slots. A lane with none refuses every job.
    pub places: PerLane<usize>,
    /// How many requests are stepped together.
    pub slots: NonZeroUsize,
    /// How many chunks a reader may be behind. A slot whose reader is further behind stands still, and
    /// keeps its slot and its place: who reads for a client that may be slow has to give up in time.
    pub room: NonZeroUsize,
    /// As [`Settings::raise_after`](crate::Settings::raise_after).
    pub raise_after: Duration,
    /// As [`Settings::max_panics_in_a_row`](crate::Settings::max_panics_in_a_row); an admission and the
    /// step after it count as one batch.
    pub max_panics_in_a_row: NonZeroUsize,
}

/// Starts the worker, which builds its model and drops it on its own thread. Jobs may be submitted at
/// once; they wait until the model is there.
pub fn spawn_steps<M: StepModel>(
    settings: StepSettings,
    metrics: StepMetrics,
    build: impl Fn() -> Result<M, BuildError> + Send + Sync + 'static,
) -> (StepperOf<M>, Workers) {
    let queueing = Queueing {
        places: settings.places,
        // One is admitted between two steps, so that those who run never stand still for long.
        max_batch: PerLane::all(NonZeroUsize::MIN),
        raise_after: settings.raise_after,
    };
    let queue = Arc::new(StepQueue::<M>::new(&queueing, metrics.model.clone()));
    let plan = Plan {
        name: settings.name,
        n_workers: NonZeroUsize::MIN,
        max_panics_in_a_row: settings.max_panics_in_a_row,
    };
    let (queue_there, n_slots) = (Arc::clone(&queue), settings.slots);
    let workers = launch(
        plan,
        Arc::clone(&queue) as _,
        move |_worker| build(),
        move |model, hand| {
            let queue = Arc::clone(&queue_there);
            Rounds::new(model, hand, queue, metrics.clone(), n_slots).serve()
        },
    );
    let stepper = Stepper {
        door: Arc::new(Door(queue)),
        room: settings.room,
    };
    (stepper, workers)
}

/// Hands jobs to the worker of one model. Clones share one queue; dropping the last one stops the
/// worker.
pub struct Stepper<I, C, E>
where
    I: Send + 'static,
    C: Send + 'static,
    E: Clone + Send + 'static,
{
    door: Arc<Door<Requests<I, C, E>>>,
    room: NonZeroUsize,
}

/// The handle that jobs for a given model are submitted to.
pub type StepperOf<M> =
    Stepper<<M as StepModel>::Request, <M as StepModel>::Chunk, <M as StepModel>::Error>;

/// Requests, which have no keys, and what is owed to those who read.
type Requests<I, C, E> = Queue<(), I, Feed<C, E>>;

/// The queue of a model that is stepped.
type StepQueue<M> =
    Requests<<M as StepModel>::Request, <M as StepModel>::Chunk, <M as StepModel>::Error>;

impl<I, C, E> Stepper<I, C, E>
where
    I: Send + 'static,
    C: Send + 'static,
    E: Clone + Send + 'static,
{
    /// Puts a job in line, without waiting. [`Job::deadline`] is the latest moment to be given a slot,
    /// and [`Job::due`] orders those that wait for one.
    ///
    /// # Errors
    /// [`SubmitError::Full`] if every place of the lane is held by a job somebody still awaits, and
    /// [`SubmitError::Stopped`] once the worker stops.
    pub fn submit(&self, job: Job<I>) -> Result<Chunks<C, E>, SubmitError> {
        let queue = &self.door.0;
        queue.submit(job, (), || {
            feed(self.room, Arc::clone(queue) as Arc<dyn Ring>)
        })
    }

    /// How busy the model is. A short lock and a few reads.
    #[must_use]
    pub fn load(&self) -> Load {
        self.door.0.load()
    }
}

impl<I, C, E> Clone for Stepper<I, C, E>
where
    I: Send + 'static,
    C: Send + 'static,
    E: Clone + Send + 'static,
{
    fn clone(&self) -> Self {
        Stepper {
            door: Arc::clone(&self.door),
            room: self.room,
        }
    }
}

impl<I, C, E> fmt::Debug for Stepper<I, C, E>
where
    I: Send + 'static,
    C: Send + 'static,
    E: Clone + Send + 'static,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stepper")
            .field("load", &self.load())
            .finish()
    }
}

#[cfg(test)]
mod tests;
