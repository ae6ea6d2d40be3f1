//! The two ends of a job's answer.
//!
//! Invariants:
//! - A job is answered once, by giving its `Ticket` away. A ticket that is lost answers
//!   [`CallError::Stopped`], so no caller waits for ever.
//! - The place is free and the outcome counted before the caller can see the answer: who submits again
//!   on an answer finds the place it gave back.

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

/// The worker's end: the duty to answer one job, with the place it holds.
pub(crate) struct Ticket<O, E> {
    reply: oneshot::Sender<Result<O, CallError<E>>>,
    lane: Lane,
    place: Option<Place>,
}

impl<O, E> Ticket<O, E> {
    pub(crate) fn new(place: Place) -> (Ticket<O, E>, Answer<O, E>) {
        let (reply, answer) = oneshot::channel();
        let ticket = Ticket {
            reply,
            lane: place.lane,
            place: Some(place),
        };
        (ticket, Answer { answer })
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    /// Makes this the ticket of a newer job. What is returned first still has to be answered; it holds
    /// no place any more.
    pub(crate) fn renew(&mut self) -> (Ticket<O, E>, Answer<O, E>) {
        let (reply, answer) = oneshot::channel();
        let old = Ticket {
            reply: mem::replace(&mut self.reply, reply),
            lane: self.lane,
            place: None,
        };
        (old, Answer { answer })
    }

    /// Gives the place back early, for when the answer must wait until a lock is released.
    pub(crate) fn release(&mut self) {
        self.place = None;
    }

    pub(crate) fn answer(self, answer: Result<O, CallError<E>>, metrics: &Metrics) {
        let outcome = match &answer {
            _ if self.is_abandoned() => Outcome::Abandoned,
            Ok(_) => Outcome::Answered,
            Err(CallError::Failed(_) | CallError::Miscounted { .. }) => Outcome::Failed,
            Err(CallError::Panicked) => Outcome::Panicked,
            Err(CallError::Expired) => Outcome::Expired,
            Err(CallError::Replaced) => Outcome::Replaced,
            Err(CallError::Stopped) => Outcome::Stopped,
        };
        metrics.became(self.lane, outcome);
        // Order matters: a caller that submits as soon as it has its answer must find this place free.
        drop(self.place);
        // `Err` means that nobody listens any more, which has been counted above.
        drop(self.reply.send(answer));
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
