//! What waits for the peer to read: a count of it, and the body that hands it to the connection.
//!
//! Invariants:
//! - Every byte in the channel of `actix_ws` is counted, from [`Outbox::add`] until [`Body`] hands it on.
//! - The channel has 32 places. Ordinary messages take no more than [`MAX_MESSAGES`], so that an error, a close and a
//!   pong never wait.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use bytes::Bytes;
use tokio::sync::{Notify, oneshot};

/// Messages that may wait in the channel, of its 32.
const MAX_MESSAGES: usize = 28;

/// The session's end. The body ends when this is released or dropped, and everything has been handed on.
pub(super) struct Outbox {
    shared: Rc<Shared>,
    open: Option<oneshot::Sender<()>>,
    /// Handed to the body when it is made.
    released: Cell<Option<oneshot::Receiver<()>>>,
}

#[derive(Default)]
struct Shared {
    max_bytes: usize,
    n_bytes: Cell<usize>,
    n_messages: Cell<usize>,
    is_gone: Cell<bool>,
    /// Told when bytes were handed on and when the connection has gone. The session may wait for several things at once, so all that
    /// wait are told; none misses it, because nothing runs between its look and its wait.
    changed: Notify,
}

/// The connection's end: what `actix_ws` has encoded, and then nothing for as long as the session wants to listen.
pub(super) struct Body {
    inner: BoxBody,
    has_ended: bool,
    shared: Rc<Shared>,
    released: Option<oneshot::Receiver<()>>,
}

impl Outbox {
    pub(super) fn new(max_bytes: usize) -> Outbox {
        let (open, released) = oneshot::channel();
        Outbox {
            shared: Rc::new(Shared {
                max_bytes,
                ..Shared::default()
            }),
            open: Some(open),
            released: Cell::new(Some(released)),
        }
    }

    pub(super) fn n_bytes(&self) -> usize {
        self.shared.n_bytes.get()
    }

    /// Whether a message of so many bytes may be added. An empty outbox takes any.
    pub(super) fn has_room(&self, n_bytes: usize) -> bool {
        self.shared.has_room(n_bytes)
    }

    /// Waits for room, or for the connection to go.
    pub(super) async fn room(&self, n_bytes: usize) {
        while !self.is_gone() && !self.has_room(n_bytes) {
            self.shared.changed.notified().await;
        }
    }

    /// Waits until at most so many bytes are left, or for the connection to go.
    pub(super) fn drained_to(&self, n_bytes: usize) -> impl Future<Output = ()> + use<> {
        let shared = Rc::clone(&self.shared);
        async move {
            while !shared.is_gone.get() && n_bytes < shared.n_bytes.get() {
                shared.changed.notified().await;
            }
        }
    }

    pub(super) fn add(&self, n_bytes: usize) {
        let shared = &self.shared;
        shared.n_bytes.set(shared.n_bytes.get() + framed(n_bytes));
        shared.n_messages.set(shared.n_messages.get() + 1);
    }

    pub(super) fn is_gone(&self) -> bool {
        self.shared.is_gone.get()
    }

    /// Lets the body end.
    pub(super) fn release(&mut self) {
        self.open = None;
    }

    /// Waits for the body to have ended, or the connection with it.
    pub(super) fn gone(&self) -> impl Future<Output = ()> + use<> {
        let shared = Rc::clone(&self.shared);
        async move {
            while !shared.is_gone.get() {
                shared.changed.notified().await;
            }
        }
    }
}

impl Shared {
    fn has_room(&self, n_bytes: usize) -> bool {
        let n_waiting = self.n_bytes.get();
        let fits = n_waiting == 0 || n_waiting + framed(n_bytes) <= self.max_bytes;
        fits && self.n_messages.get() < MAX_MESSAGES
    }

    fn hand_on(&self, n_bytes: usize) {
        let left = self.n_bytes.get().saturating_sub(n_bytes);
        self.n_bytes.set(left);
        if left == 0 {
            self.n_messages.set(0);
        }
        self.changed.notify_waiters();
    }
}

/// The length of a frame as a server writes it: no mask, and the length in 0, 2 or 8 bytes more (RFC 6455, 5.2).
fn framed(n_bytes: usize) -> usize {
    let header = match n_bytes {
        0..=125 => 2,
        126..=0xffff => 4,
        _ => 10,
    };
    header + n_bytes
}

impl Body {
    pub(super) fn wrap(inner: BoxBody, outbox: &Outbox) -> BoxBody {
        BoxBody::new(Body {
            inner,
            has_ended: false,
            shared: Rc::clone(&outbox.shared),
            released: outbox.released.take(),
        })
    }
}

impl MessageBody for Body {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        if !self.has_ended {
            match Pin::new(&mut self.inner).poll_next(cx) {
                Poll::Ready(Some(Ok(chunk))) => {
                    self.shared.hand_on(chunk.len());
                    return Poll::Ready(Some(Ok(chunk)));
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(None) => self.has_ended = true,
                Poll::Pending => return Poll::Pending,
            }
        }
        // A body that ends makes the server close, over whatever the peer has still in flight. So it ends only when the
        // session has stopped listening.
        match &mut self.released {
            Some(released) => Pin::new(released).poll(cx).map(|_dropped| None),
            None => Poll::Ready(None),
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.shared.is_gone.set(true);
        self.shared.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_outbox_takes_any_message_and_a_filled_one_only_what_fits() {
        let outbox = Outbox::new(100);
        assert!(outbox.has_room(1_000_000));
        outbox.add(50);
        assert!(outbox.has_room(46));
        assert!(!outbox.has_room(47));
        outbox.shared.hand_on(52);
        assert!(outbox.has_room(47));
        assert_eq!(outbox.n_bytes(), 0);
    }

    #[test]
    fn many_small_messages_leave_places_for_last_words() {
        let outbox = Outbox::new(1_000_000);
        let mut n_added = 0;
        while outbox.has_room(1) {
            outbox.add(1);
            n_added += 1;
        }
        assert_eq!(n_added, MAX_MESSAGES);
    }

    #[test]
    fn lengths_are_those_of_rfc_6455() {
        let cases = [
            (0, 2),
            (125, 127),
            (126, 130),
            (65_535, 65_539),
            (65_536, 65_546),
        ];
        for (payload, frame) in cases {
            assert_eq!(framed(payload), frame);
        }
    }

    #[tokio::test]
    async fn waiting_for_the_peer_to_read_ends_when_it_has() {
        let outbox = Outbox::new(1_000);
        outbox.add(100);
        outbox.add(100);
        let drained = outbox.drained_to(110);
        tokio::pin!(drained);
        assert!(futures_util::poll!(&mut drained).is_pending());
        outbox.shared.hand_on(50);
        assert!(futures_util::poll!(&mut drained).is_pending());
        outbox.shared.hand_on(44);
        drained.await;
        outbox.drained_to(110).await;
        outbox.shared.is_gone.set(true);
        outbox.drained_to(0).await;
    }

    #[tokio::test]
    async fn waiting_for_room_ends_when_the_connection_goes() {
        let outbox = Outbox::new(10);
        outbox.add(100);
        let body = Body {
            inner: BoxBody::new(()),
            has_ended: false,
            shared: Rc::clone(&outbox.shared),
            released: None,
        };
        let room = outbox.room(1);
        tokio::pin!(room);
        assert!(futures_util::poll!(&mut room).is_pending());
        drop(body);
        room.await;
        assert!(outbox.is_gone());
    }
}
