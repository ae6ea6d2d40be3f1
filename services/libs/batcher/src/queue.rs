//! The line in front of a model, of either shape.
//!
//! Invariants:
//! - Every accepted job is in exactly one of: the line, a worker's hands, answered.
//! - Nothing of a caller's runs under the lock: inputs are dropped and answers given (which wakes tasks)
//!   after it is released.
//! - Once closed, the line is empty and stays so.

use std::{
    mem,
    num::NonZeroUsize,
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
    queue::state::{Abandonable, Arrival, Entry, State, Taken},
    reply::{Places, Reply, Ring, Ticket},
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
    /// When the answer is needed. In a lane, what is due earlier goes first, and what is due at no time
    /// in particular goes after all that is; see the crate's guarantees for the limits. Nothing happens
    /// when it passes.
    pub due: Option<Instant>,
    /// The stream this job belongs to. If a job of the same stream waits in the same lane, this one
    /// takes over its place and its turn, and that one is answered [`CallError::Replaced`].
    pub replaces: Option<StreamId>,
}

impl<I> Job<I> {
    /// A job that has all the time and replaces nothing.
    pub fn new(lane: Lane, input: I) -> Job<I> {
        Job {
            input,
            lane,
            deadline: None,
            due: None,
            replaces: None,
        }
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
    /// How long the oldest turn has waited. Zero if none waits.
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

/// What the handles share. The workers hold the queue and not the door, so it falls shut by itself.
pub(crate) struct Door<Q: Close>(pub(crate) Arc<Q>);

impl<Q: Close> Drop for Door<Q> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// What falls shut when nobody can submit any more, or nobody can answer.
pub(crate) trait Close: Send + Sync {
    /// Accepts nothing more and answers those in line. Running calls are not touched.
    fn close(&self);
}

/// How jobs are queued for a model.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Queueing {
    pub(crate) places: PerLane<usize>,
    pub(crate) max_batch: PerLane<NonZeroUsize>,
    pub(crate) raise_after: Duration,
}

/// The queue of one model: inputs, their keys, and what is owed to their callers.
pub(crate) struct Queue<K, I, R> {
    line: Mutex<Guarded<K, I, R>>,
    /// Told when there is something to look at while a worker idles, and when the line closes.
    changed: Condvar,
    places: Arc<Places>,
    pub(crate) metrics: Metrics,
}

struct Guarded<K, I, R> {
    state: State<K, Waiting<I, R>>,
    is_closed: bool,
    is_rung: bool,
    n_idle: usize,
    #[cfg(test)]
    idle_until: Option<Until>,
}

/// A job on its way to the model.
pub(crate) struct Waiting<I, R> {
    pub(crate) input: I,
    pub(crate) ticket: Ticket<R>,
}

impl<I, R: Reply> Abandonable for Waiting<I, R> {
    fn is_abandoned(&self) -> bool {
        self.ticket.is_abandoned()
    }
}

/// A job in line, with its turn.
pub(crate) type Queued<K, I, R> = Entry<K, Waiting<I, R>>;

/// What an idle worker waits for, besides the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// A job in line.
    Job,
    /// Somebody rings, or somebody in line is to be told that it is too late.
    Ring,
    /// Each of the two.
    JobOrRing,
}

impl<K, I, R> Queue<K, I, R>
where
    K: PartialEq,
    R: Reply,
{
    pub(crate) fn new(queueing: &Queueing, metrics: Metrics) -> Queue<K, I, R> {
        Queue {
            line: Mutex::new(Guarded {
                state: State::new(queueing.max_batch, queueing.raise_after),
                is_closed: false,
                is_rung: false,
                n_idle: 0,
                #[cfg(test)]
                idle_until: None,
            }),
            changed: Condvar::new(),
            places: Places::new(queueing.places),
            metrics,
        }
    }

    /// `open` makes the two ends of the answer.
    pub(crate) fn submit<A>(
        &self,
        job: Job<I>,
        key: K,
        open: impl FnOnce() -> (R, A),
    ) -> Result<A, SubmitError> {
        let lane = job.lane;
        let arrival = Arrival {
            key,
            at: Instant::now(),
            deadline: job.deadline,
            due: job.due,
            stream: job.replaces,
        };
        let input = job.input;
        let mut line = self.lock();
        if line.is_closed {
            drop(line);
            self.metrics.became(lane, Outcome::Stopped);
            return Err(SubmitError::Stopped);
        }
        if let Some(mut turn) = job
            .replaces
            .and_then(|stream| line.state.take_turn(lane, stream))
        {
            let (reply, answer) = open();
            let old_arrival = mem::replace(&mut turn.arrival, arrival);
            let old_input = mem::replace(&mut turn.load.input, input);
            let old_ticket = turn.load.ticket.renew(reply);
            line.state.put_back(lane, turn);
            // Who sleeps does so until a deadline that may be later than the new one.
            let wakes = 0 < line.n_idle;
            drop(line);
            if wakes {
                self.changed.notify_one();
            }
            drop((old_arrival, old_input));
            old_ticket.refuse(CallError::Replaced, &self.metrics);
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
                let (reply, answer) = open();
                let ticket = Ticket::new(place, reply);
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
            self.changed.notify_one();
        }
        if submitted.is_err() {
            self.metrics.became(lane, Outcome::Refused);
        }
        self.dismiss(dead, &CallError::Expired);
        submitted
    }

    pub(crate) fn load(&self) -> Load {
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
    pub(crate) fn next_batch(&self) -> Option<Vec<Queued<K, I, R>>> {
        loop {
            let batch = self.take_batch();
            if !batch.is_empty() {
                return Some(batch);
            }
            if !self.sleep(Until::Job) {
                return None;
            }
        }
    }

    /// Waits a moment for `n_returning` callers, who were just answered in the background, to ask again.
    ///
    /// A long recording asks for its next window as soon as it has the last. Others that waited during the call would go without
    /// it, and the two would take turns for ever instead of sharing calls. Waits only while nothing but background work is in
    /// line, and no longer than until all are there that can be, or `at_most` has passed.
    pub(crate) fn linger(&self, n_returning: usize, at_most: Duration) {
        let until = Instant::now() + at_most;
        let mut line = self.lock();
        let n_wanted = {
            let n_all = line.state.n_waiting(Lane::Background) + n_returning;
            n_all.min(line.state.max_batch(Lane::Background))
        };
        loop {
            let n_waiting = line.state.n_waiting(Lane::Background);
            let is_alone = Lane::ALL
                .into_iter()
                .all(|lane| lane == Lane::Background || line.state.n_waiting(lane) == 0);
            let left = until.saturating_duration_since(Instant::now());
            let is_worth_it = 0 < n_waiting && n_waiting < n_wanted && is_alone;
            if line.is_closed || !is_worth_it || left.is_zero() {
                return;
            }
            line.n_idle += 1;
            let waited = self.changed.wait_timeout(line, left);
            line = waited.unwrap_or_else(PoisonError::into_inner).0;
            line.n_idle -= 1;
        }
    }

    /// The next batch, which is empty if nobody waits. Tells those who waited in vain.
    pub(crate) fn take_batch(&self) -> Vec<Queued<K, I, R>> {
        let mut line = self.lock();
        // Not before: who had to wait for the lock would judge deadlines by an old time.
        let now = Instant::now();
        let Taken { lane, batch, dead } = line.state.take(now);
        if !batch.is_empty() || !dead.is_empty() {
            line.publish(&self.metrics);
        }
        drop(line);
        self.dismiss(dead, &CallError::Expired);
        for job in &batch {
            let wait = now.saturating_duration_since(job.arrival.at);
            self.metrics.waited(lane, wait);
        }
        batch
    }

    /// Tells those who wait in vain, without taking anybody.
    pub(crate) fn sweep(&self) {
        let mut line = self.lock();
        let dead = line.state.sweep(Instant::now());
        if dead.is_empty() {
            return;
        }
        line.publish(&self.metrics);
        drop(line);
        self.dismiss(dead, &CallError::Expired);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    /// Whether a worker sleeps and has no reason to wake.
    #[cfg(test)]
    pub(crate) fn is_asleep(&self) -> bool {
        let line = self.lock();
        let until = line.idle_until;
        0 < line.n_idle && !until.is_some_and(|until| line.is_reason(until))
    }

    /// Sleeps until there is something to look at. `false` once closed.
    pub(crate) fn sleep(&self, until: Until) -> bool {
        let mut line = self.lock();
        while !line.is_closed && !line.is_reason(until) {
            line.n_idle += 1;
            #[cfg(test)]
            {
                line.idle_until = Some(until);
            }
            line = self.wait(line, until);
            line.n_idle -= 1;
        }
        if until != Until::Job {
            // Whoever rang before now is heard, for the worker looks after this.
            line.is_rung = false;
        }
        !line.is_closed
    }

    fn wait<'a>(
        &self,
        line: MutexGuard<'a, Guarded<K, I, R>>,
        until: Until,
    ) -> MutexGuard<'a, Guarded<K, I, R>> {
        // Who waits for a job is told of every change of the line; there is nobody in it that could die.
        let deadline = match until {
            Until::Job | Until::JobOrRing => None,
            Until::Ring => line.state.next_deadline(),
        };
        match deadline {
            None => self
                .changed
                .wait(line)
                .unwrap_or_else(PoisonError::into_inner),
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                let waited = self.changed.wait_timeout(line, left);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }

    fn dismiss(&self, jobs: Vec<Queued<K, I, R>>, why: &CallError<R::Error>) {
        for job in jobs {
            let Waiting { input, ticket } = job.load;
            drop(input);
            ticket.refuse(why.clone(), &self.metrics);
        }
    }

    /// A panic under the lock could only come from a model's `Key`; the line is whole even then, so the
    /// other sessions go on.
    fn lock(&self) -> MutexGuard<'_, Guarded<K, I, R>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, I, R> Close for Queue<K, I, R>
where
    K: PartialEq + Send,
    I: Send,
    R: Reply + Send,
{
    fn close(&self) {
        // Order matters: shut the door before answering those inside, or a late caller waits for ever.
        let mut line = self.lock();
        line.is_closed = true;
        let left = line.state.take_all();
        line.publish(&self.metrics);
        drop(line);
        self.changed.notify_all();
        self.dismiss(left, &CallError::Stopped);
    }
}

impl<K, I, R> Ring for Queue<K, I, R>
where
    K: PartialEq + Send,
    I: Send,
    R: Reply + Send,
{
    fn ring(&self) {
        let mut line = self.lock();
        line.is_rung = true;
        let wake = 0 < line.n_idle;
        drop(line);
        if wake {
            self.changed.notify_one();
        }
    }
}

impl<K: PartialEq, I, R: Reply> Guarded<K, I, R> {
    fn publish(&self, metrics: &Metrics) {
        for lane in Lane::ALL {
            metrics.waiting(lane, self.state.n_waiting(lane));
        }
    }

    fn is_reason(&self, until: Until) -> bool {
        let is_job = || !self.state.is_empty();
        let is_late = || {
            let deadline = self.state.next_deadline();
            deadline.is_some_and(|deadline| deadline <= Instant::now())
        };
        match until {
            Until::Job => is_job(),
            Until::Ring => self.is_rung || is_late(),
            Until::JobOrRing => self.is_rung || is_job(),
        }
    }
}

#[cfg(test)]
mod tests;
