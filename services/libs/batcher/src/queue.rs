//! The line in front of a model.
//!
//! Invariants:
//! - Every accepted job is in exactly one of: the line, a worker's batch, answered.
//! - Nothing of a caller's runs under the lock: inputs are dropped and answers given (which wakes tasks)
//!   after it is released.
//! - Once closed, the line is empty and stays so.

use std::{
    fmt, mem,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    error::{CallError, SubmitError},
    lane::{Lane, PerLane},
    metrics::{Metrics, Outcome},
    model::Model,
    queue::state::{Abandonable, Arrival, Entry, State},
    reply::{Answer, Places, Ticket},
    worker::Settings,
};

mod state;

/// Names a stream of jobs of which only the newest matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamId(pub u64);

impl StreamId {
    /// An id that this function has not given before in this process.
    #[must_use]
    pub fn unique() -> StreamId {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        StreamId(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// What to ask, how soon, and until when.
#[derive(Clone, Debug)]
pub struct Job<I> {
    /// What the model is given.
    pub input: I,
    /// How soon it matters.
    pub lane: Lane,
    /// After this moment the answer is of no use: if the call has not begun by then, it will not.
    /// A job that expired is answered when a worker next looks at the queue, that is, at the latest
    /// when the running call ends.
    pub deadline: Option<Instant>,
    /// The stream this job belongs to. If a job of the same stream waits in the same lane, this one
    /// takes over its place and its turn, and that one is answered [`CallError::Replaced`].
    pub replaces: Option<StreamId>,
}

impl<I> Job<I> {
    /// A job without a deadline that replaces nothing.
    pub fn new(lane: Lane, input: I) -> Job<I> {
        Job {
            input,
            lane,
            deadline: None,
            replaces: None,
        }
    }
}

/// Hands jobs to the workers of one model. Clones share one queue; dropping the last one stops the workers.
pub struct Batcher<I, O, E> {
    door: Arc<dyn Line<I, O, E>>,
}

/// The handle that jobs for a given model are submitted to.
pub type BatcherOf<M> = Batcher<<M as Model>::Input, <M as Model>::Output, <M as Model>::Error>;

impl<I, O, E> Batcher<I, O, E> {
    pub(crate) fn new<M>(queue: Arc<Queue<M>>) -> Batcher<I, O, E>
    where
        M: Model<Input = I, Output = O, Error = E>,
    {
        Batcher {
            door: Arc::new(Door(queue)),
        }
    }

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

/// How busy each lane is.
pub type Load = PerLane<LaneLoad>;

/// How busy one lane is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneLoad {
    /// The jobs it may hold.
    pub places: usize,
    /// The jobs it holds, waiting and running.
    pub held: usize,
    /// The jobs that wait. Those whose callers have gone count until a worker next looks.
    pub waiting: usize,
    /// How long the turn at the front has waited. Zero if none waits.
    pub oldest_wait: Duration,
    /// How long the latest ones had waited when their calls began: a running mean that halves with
    /// every second in which none began.
    pub recent_wait: Duration,
}

impl LaneLoad {
    /// How long a job submitted now may expect to wait, judged by its predecessors: the larger of the
    /// two waits.
    #[must_use]
    pub fn wait(&self) -> Duration {
        self.oldest_wait.max(self.recent_wait)
    }
}

/// Hides the model from those who submit: a real and a scripted one look the same.
trait Line<I, O, E>: Send + Sync {
    fn submit(&self, job: Job<I>) -> Result<Answer<O, E>, SubmitError>;
    fn load(&self) -> Load;
}

/// What the handles share. The workers hold the queue and not the door, so it falls shut by itself.
struct Door<M: Model>(Arc<Queue<M>>);

impl<M: Model> Line<M::Input, M::Output, M::Error> for Door<M> {
    fn submit(&self, job: Job<M::Input>) -> Result<Answer<M::Output, M::Error>, SubmitError> {
        self.0.submit(job)
    }

    fn load(&self) -> Load {
        self.0.load()
    }
}

impl<M: Model> Drop for Door<M> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The queue of one model.
pub(crate) struct Queue<M: Model> {
    line: Mutex<Guarded<M>>,
    /// Told when a job arrives while a worker idles, and when the line closes.
    arrived: Condvar,
    places: Arc<Places>,
    pub(crate) metrics: Metrics,
}

struct Guarded<M: Model> {
    state: State<M::Key, Waiting<M>>,
    is_closed: bool,
    n_idle: usize,
}

/// A job on its way to the model.
pub(crate) struct Waiting<M: Model> {
    pub(crate) input: M::Input,
    pub(crate) ticket: Ticket<M::Output, M::Error>,
}

impl<M: Model> Abandonable for Waiting<M> {
    fn is_abandoned(&self) -> bool {
        self.ticket.is_abandoned()
    }
}

/// A job in line, with its turn.
pub(crate) type Queued<M> = Entry<<M as Model>::Key, Waiting<M>>;

impl<M: Model> Queue<M> {
    pub(crate) fn new(settings: &Settings, metrics: Metrics) -> Queue<M> {
        Queue {
            line: Mutex::new(Guarded {
                state: State::new(settings.max_batch, settings.raise_after),
                is_closed: false,
                n_idle: 0,
            }),
            arrived: Condvar::new(),
            places: Places::new(settings.places),
            metrics,
        }
    }

    fn submit(&self, job: Job<M::Input>) -> Result<Answer<M::Output, M::Error>, SubmitError> {
        let Job {
            input,
            lane,
            deadline,
            replaces,
        } = job;
        let arrival = Arrival {
            key: M::key(&input),
            at: Instant::now(),
            deadline,
            stream: replaces,
        };
        let mut line = self.lock();
        if line.is_closed {
            drop(line);
            self.metrics.became(lane, Outcome::Stopped);
            return Err(SubmitError::Stopped);
        }
        if let Some(turn) = replaces.and_then(|stream| line.state.turn_of(lane, stream)) {
            let old_arrival = mem::replace(&mut turn.arrival, arrival);
            let old_input = mem::replace(&mut turn.load.input, input);
            let (old_ticket, answer) = turn.load.ticket.renew();
            drop(line);
            drop((old_arrival, old_input));
            old_ticket.answer(Err(CallError::Replaced), &self.metrics);
            return Ok(answer);
        }

        let mut place = self.places.take(lane);
        let mut dead = Vec::new();
        if place.is_none() {
            // The places of those who have gone count only now that they are needed.
            dead = line.state.sweep(arrival.at);
            for job in &mut dead {
                job.load.ticket.release();
            }
            place = self.places.take(lane);
        }
        let submitted = match place {
            Some(place) => {
                let (ticket, answer) = Ticket::new(place);
                line.state.push(lane, arrival, Waiting { input, ticket });
                Ok(answer)
            }
            None => Err(SubmitError::Full {
                capacity: self.places.capacity(lane),
            }),
        };
        line.publish(&self.metrics);
        // A worker that is told twice, or told in vain, only looks and sleeps again. None sleeps while a
        // job waits: each job that finds a sleeper wakes one, and each worker looks before it sleeps.
        let wake = submitted.is_ok() && 0 < line.n_idle;
        drop(line);
        if wake {
            self.arrived.notify_one();
        }
        if submitted.is_err() {
            self.metrics.became(lane, Outcome::Refused);
        }
        self.dismiss(dead, &CallError::Expired);
        submitted
    }

    fn load(&self) -> Load {
        let now = Instant::now();
        let line = self.lock();
        PerLane::from_fn(|lane| LaneLoad {
            places: self.places.capacity(lane),
            held: self.places.held(lane),
            waiting: line.state.n_waiting(lane),
            oldest_wait: line.state.oldest_wait(lane, now),
            recent_wait: line.state.recent_wait(lane, now),
        })
    }

    /// Waits for the next batch, which is never empty. `None` once the queue is closed.
    pub(crate) fn next_batch(&self) -> Option<Vec<Queued<M>>> {
        let mut line = self.lock();
        loop {
            let now = Instant::now();
            let taken = line.state.take(now);
            if !taken.batch.is_empty() || !taken.dead.is_empty() {
                line.publish(&self.metrics);
                drop(line);
                self.dismiss(taken.dead, &CallError::Expired);
                for job in &taken.batch {
                    let wait = now.saturating_duration_since(job.arrival.at);
                    self.metrics.waited(taken.lane, wait);
                }
                if !taken.batch.is_empty() {
                    return Some(taken.batch);
                }
                line = self.lock();
                continue;
            }
            if line.is_closed {
                return None;
            }
            line.n_idle += 1;
            line = self
                .arrived
                .wait(line)
                .unwrap_or_else(PoisonError::into_inner);
            line.n_idle -= 1;
        }
    }

    /// Accepts nothing more and answers those in line. Running calls are not touched.
    pub(crate) fn close(&self) {
        // Order matters: shut the door before answering those inside, or a late caller waits for ever.
        let mut line = self.lock();
        line.is_closed = true;
        let left = line.state.take_all();
        line.publish(&self.metrics);
        drop(line);
        self.arrived.notify_all();
        self.dismiss(left, &CallError::Stopped);
    }

    fn dismiss(&self, jobs: Vec<Queued<M>>, why: &CallError<M::Error>) {
        for job in jobs {
            let Waiting { input, ticket } = job.load;
            drop(input);
            ticket.answer(Err(why.clone()), &self.metrics);
        }
    }

    /// A panic under the lock could only come from a model's `Key`; the line is whole even then, so the
    /// other sessions go on.
    fn lock(&self) -> MutexGuard<'_, Guarded<M>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<M: Model> Guarded<M> {
    fn publish(&self, metrics: &Metrics) {
        for lane in Lane::ALL {
            metrics.waiting(lane, self.state.n_waiting(lane));
        }
    }
}

#[cfg(test)]
mod tests;
