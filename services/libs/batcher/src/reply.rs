//! The two ends of a job's answer: one output, or chunks and an end.
//!
//! Invariants:
//! - A job is answered, or its chunks ended, once: by giving its `Ticket` away. A ticket that is lost
//!   tells [`CallError::Stopped`], so no caller waits for ever.
//! - The place is free and the outcome counted before the caller can see the answer or the end: who
//!   submits again on it finds the place it gave back.

use std::{
    fmt, mem,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use tokio::sync::oneshot;

use crate::{
    error::CallError,
    lane::{Lane, PerLane},
    metrics::{Metrics, Outcome},
};

mod chunks;

pub use chunks::Chunks;
pub(crate) use chunks::{Feed, Ring, feed};

/// The worker's end of what a caller holds.
pub(crate) trait Reply {
    type Error: Clone;

    /// Whether the caller has gone.
    fn is_abandoned(&self) -> bool;

    /// Tells the caller why there is nothing, or nothing more, for it.
    fn refuse(self, why: CallError<Self::Error>);
}

/// The answer to one job, to be awaited on any runtime. Dropping it abandons the job.
///
/// An abandoned job that still waits never reaches the model. One that runs finishes, unheard.
#[must_use = "dropping the answer abandons the job"]
pub struct Answer<O, E> {
    answer: oneshot::Receiver<Result<O, CallError<E>>>,
}

impl<O, E> Answer<O, E> {
    /// Blocks this thread until the answer is there. For threads of one's own.
    ///
    /// # Panics
    /// In async code, where it would block the runtime.
    ///
    /// # Errors
    /// As awaiting the answer.
    pub fn wait(self) -> Result<O, CallError<E>> {
        self.answer
            .blocking_recv()
            .unwrap_or(Err(CallError::Stopped))
    }
}

impl<O, E> Future for Answer<O, E> {
    type Output = Result<O, CallError<E>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.answer)
            .poll(context)
            .map(|answer| answer.unwrap_or(Err(CallError::Stopped)))
    }
}

impl<O, E> fmt::Debug for Answer<O, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").finish_non_exhaustive()
    }
}

/// The worker's end of an [`Answer`].
pub(crate) type OneReply<O, E> = oneshot::Sender<Result<O, CallError<E>>>;

pub(crate) fn one_answer<O, E>() -> (OneReply<O, E>, Answer<O, E>) {
    let (reply, answer) = oneshot::channel();
    (reply, Answer { answer })
}

impl<O, E: Clone> Reply for OneReply<O, E> {
    type Error = E;

    fn is_abandoned(&self) -> bool {
        self.is_closed()
    }

    fn refuse(self, why: CallError<E>) {
        // `Err` means that nobody listens any more, which has been counted.
        drop(self.send(Err(why)));
    }
}

/// The duty to answer one job, with the place it holds.
pub(crate) struct Ticket<R> {
    reply: R,
    lane: Lane,
    place: Option<Place>,
}

impl<R> Ticket<R> {
    pub(crate) fn lane(&self) -> Lane {
        self.lane
    }
}

impl<R: Reply> Ticket<R> {
    pub(crate) fn new(place: Place, reply: R) -> Ticket<R> {
        Ticket {
            reply,
            lane: place.lane,
            place: Some(place),
        }
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.reply.is_abandoned()
    }

    /// Makes this the ticket of a newer job. What is returned first still has to be answered; it holds
    /// no place any more.
    pub(crate) fn renew(&mut self, reply: R) -> Ticket<R> {
        Ticket {
            reply: mem::replace(&mut self.reply, reply),
            lane: self.lane,
            place: None,
        }
    }

    /// Gives the place back early, for when the answer must wait until a lock is released.
    pub(crate) fn release(&mut self) {
        self.place = None;
    }

    pub(crate) fn refuse(self, why: CallError<R::Error>, metrics: &Metrics) {
        let outcome = Outcome::of(&why);
        self.leave(outcome, metrics).refuse(why);
    }

    /// Counts what became of the job and gives its place back; what is left is to tell the caller.
    fn leave(self, outcome: Outcome, metrics: &Metrics) -> R {
        let abandoned = self.is_abandoned().then_some(Outcome::Abandoned);
        metrics.became(self.lane, abandoned.unwrap_or(outcome));
        // Order matters: a caller that submits as soon as it is told must find this place free.
        drop(self.place);
        self.reply
    }
}

impl<O, E: Clone> Ticket<OneReply<O, E>> {
    pub(crate) fn answer(self, answer: Result<O, CallError<E>>, metrics: &Metrics) {
        let outcome = answer.as_ref().err().map_or(Outcome::Answered, Outcome::of);
        drop(self.leave(outcome, metrics).send(answer));
    }
}

impl<C, E: Clone> Ticket<Feed<C, E>> {
    /// Whether the reader can take one more chunk.
    pub(crate) fn has_room(&self) -> bool {
        self.reply.has_room()
    }

    /// One more chunk. Call it only if there is room.
    pub(crate) fn give(&self, chunk: C) {
        self.reply.give(chunk);
    }

    /// There are no more chunks, because all have been given.
    pub(crate) fn finish(self, metrics: &Metrics) {
        self.leave(Outcome::Answered, metrics).finish();
    }
}

/// The places of every lane, and how many are held.
#[derive(Debug)]
pub(crate) struct Places {
    capacity: PerLane<usize>,
    held: PerLane<AtomicUsize>,
}

impl Places {
    pub(crate) fn new(capacity: PerLane<usize>) -> Arc<Places> {
        Arc::new(Places {
            capacity,
            held: PerLane::from_fn(|_| AtomicUsize::new(0)),
        })
    }

    pub(crate) fn capacity(&self, lane: Lane) -> usize {
        self.capacity[lane]
    }

    pub(crate) fn held(&self, lane: Lane) -> usize {
        self.held[lane].load(Ordering::Acquire)
    }

    /// A place, if one is free.
    pub(crate) fn take(self: &Arc<Places>, lane: Lane) -> Option<Place> {
        let capacity = self.capacity[lane];
        self.held[lane]
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |held| {
                (held < capacity).then_some(held + 1)
            })
            .ok()?;
        Some(Place {
            places: Arc::clone(self),
            lane,
        })
    }
}

/// One unit of a lane's capacity, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    lane: Lane,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.held[self.lane].fetch_sub(1, Ordering::AcqRel);
    }
}
