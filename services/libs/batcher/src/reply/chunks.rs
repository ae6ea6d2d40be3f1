//! The two ends of an answer that comes in chunks.
//!
//! Invariants:
//! - The reader is told exactly one end, after every chunk that was given.
//! - There is always room for the end, however far the reader is behind.
//! - Whoever feeds is told when a reader that was behind makes room, and when it goes away.

use std::{
    fmt,
    num::NonZeroUsize,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::sync::mpsc;

use super::Reply;
use crate::error::CallError;

/// What is kept free for the end.
const END: usize = 1;

/// Wakes whoever feeds.
pub(crate) trait Ring: Send + Sync {
    fn ring(&self);
}

/// A reader that can take `room` chunks before it reads the first.
pub(crate) fn feed<C, E>(room: NonZeroUsize, feeder: Arc<dyn Ring>) -> (Feed<C, E>, Chunks<C, E>) {
    let (items, received) = mpsc::channel(room.get().saturating_add(END));
    let chunks = Chunks {
        items: received,
        feeder,
        has_ended: false,
    };
    (Feed { items }, chunks)
}

enum Item<C, E> {
    Chunk(C),
    End(Result<(), CallError<E>>),
}

/// The worker's end.
pub(crate) struct Feed<C, E> {
    items: mpsc::Sender<Item<C, E>>,
}

impl<C, E> Feed<C, E> {
    pub(crate) fn has_room(&self) -> bool {
        END < self.items.capacity()
    }

    pub(crate) fn give(&self, chunk: C) {
        // It has room, for the one who gives is the one who asked. `Err` means that the reader has gone.
        drop(self.items.try_send(Item::Chunk(chunk)));
    }

    pub(crate) fn finish(self) {
        self.end(Ok(()));
    }

    fn end(self, end: Result<(), CallError<E>>) {
        drop(self.items.try_send(Item::End(end)));
    }
}

impl<C, E: Clone> Reply for Feed<C, E> {
    type Error = E;

    fn is_abandoned(&self) -> bool {
        self.items.is_closed()
    }

    fn refuse(self, why: CallError<E>) {
        self.end(Err(why));
    }
}

/// The chunks of one job, to be read on any runtime. Dropping it abandons the job.
///
/// An abandoned job that waits never reaches the model, and one that holds a slot is evicted before the
/// next step. The chunks that were made but not read are lost.
#[must_use = "dropping the chunks abandons the job"]
pub struct Chunks<C, E> {
    items: mpsc::Receiver<Item<C, E>>,
    feeder: Arc<dyn Ring>,
    has_ended: bool,
}

impl<C, E> Chunks<C, E> {
    /// The next chunk; `None` when there are no more. May be dropped and asked again.
    ///
    /// After `None` and after an error, which is the last thing that is told, there is only `None`.
    pub async fn next(&mut self) -> Option<Result<C, CallError<E>>> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    /// As [`Chunks::next`], for those who poll.
    pub fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<C, CallError<E>>>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        self.items.poll_recv(context).map(|item| self.tell(item))
    }

    /// As [`Chunks::next`], but blocks this thread. For threads of one's own.
    ///
    /// # Panics
    /// In async code, where it would block the runtime.
    pub fn wait_next(&mut self) -> Option<Result<C, CallError<E>>> {
        if self.has_ended {
            return None;
        }
        let item = self.items.blocking_recv();
        self.tell(item)
    }

    fn tell(&mut self, item: Option<Item<C, E>>) -> Option<Result<C, CallError<E>>> {
        let end = match item {
            Some(Item::Chunk(chunk)) => {
                // Only who had no room is waited for. The worker gives to nobody without room, so the
                // one who makes the first room is the one who sees exactly that much of it.
                if self.items.capacity() <= END + 1 {
                    self.feeder.ring();
                }
                return Some(Ok(chunk));
            }
            Some(Item::End(end)) => end,
            None => Err(CallError::Stopped),
        };
        self.has_ended = true;
        end.err().map(Err)
    }
}

impl<C, E> Drop for Chunks<C, E> {
    fn drop(&mut self) {
        // Order matters: the worker that is woken must find that the reader has gone.
        self.items.close();
        if !self.has_ended {
            self.feeder.ring();
        }
    }
}

impl<C, E> fmt::Debug for Chunks<C, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunks")
            .field("n_ready", &self.items.len())
            .field("has_ended", &self.has_ended)
            .finish_non_exhaustive()
    }
}
