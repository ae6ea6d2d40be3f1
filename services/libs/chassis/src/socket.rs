//! One WebSocket: typed messages in, bounded messages out, and a polite end.
//!
//! ```text
//! client ──frames──►  recv ──► Received::{Text, Binary, Fault, Gone}        the session's task
//! client ◄─frames──  outbox ◄── send_text, send_binary, close, fail         (nobody else writes)
//! ```
//!
//! Invariants:
//! - No frame or message larger than `max_message_bytes` is held; what is larger ends the session with its error first.
//! - No more than `max_outbox_bytes` wait for a slow reader (or one message, if that is larger). Then sending waits, so
//!   the session stops reading, so the client's own TCP stops. After `slow_reader` the session ends. Nobody else waits.
//! - A peer that leaves two pings without any sign of life is gone; one that sends no message for `idle_timeout` is idle, and told so.
//! - The connection stays open after our Close until the peer has answered, left, or let `close_timeout` pass, and what
//!   still comes in is read and thrown away: closing over unread bytes would make TCP take back our last words.

use std::pin::Pin;

use actix_web::{FromRequest as _, HttpRequest, HttpResponse, web};
use actix_ws::{CloseReason, Item, Message, Session};
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use tokio::time::{Instant, Sleep};
use wire::error::ErrorCode;

use crate::api_error::{ApiError, rule};

mod frames;
mod line;
mod message;
mod outbox;

pub use actix_ws::CloseCode;
pub use bytestring::ByteString;
pub use message::{Fault, Gone, Limits, Received, SendError};

use frames::{Broken, Frames, Next};
pub(crate) use line::Line;
use outbox::{Body, Outbox};

/// Pings that a peer may leave unanswered.
const MAX_UNANSWERED: u8 = 2;

/// One connection, owned by its session's task. The only thing that writes to it.
///
/// Dropped without [`Socket::close`], it tells the peer of an internal error: that is a panic, or a bug.
pub struct Socket {
    session: Option<Session>,
    frames: Frames,
    /// The stream of frames cannot be followed any more: what still comes is thrown away.
    is_broken: bool,
    outbox: Outbox,
    line: Option<Line>,
    limits: Limits,
    /// A message that comes in several frames.
    partial: Option<Partial>,
    gone: Option<Gone>,
    /// Pings since the peer was last heard. Not a time: a session that was busy itself has not listened.
    n_unanswered: u8,
    last_active: Instant,
    next_ping: Instant,
    /// Armed for the earlier of two deadlines, which only ever move later: so it is looked at again when it fires and
    /// not with every message.
    timer: Pin<Box<Sleep>>,
}

struct Partial {
    is_text: bool,
    bytes: BytesMut,
}

/// Upgrades a request. Refuse whatever can be refused before calling this, while HTTP can still say why.
///
/// Of the peer's sub-protocols the first that is in `protocols` is chosen. The response is the handler's answer; the
/// socket goes into a task of its own, see [`crate::task::spawn`].
///
/// # Errors
/// If the request is not a WebSocket handshake.
pub fn upgrade(
    request: &HttpRequest,
    payload: web::Payload,
    protocols: &[&str],
    limits: Limits,
) -> Result<(HttpResponse, Socket), ApiError> {
    // The frames that come in are ours to read: see `frames`.
    let nothing = web::Payload::extract(request).into_inner();
    let handshake = nothing.and_then(|it| actix_ws::handle_with_protocols(request, it, protocols));
    let (response, session, _nothing) = handshake.map_err(|error| {
        ApiError::new(
            ErrorCode::InvalidRequest,
            format!("this address speaks WebSocket, and the request is no handshake: {error}"),
        )
    })?;
    let outbox = Outbox::new(limits.max_outbox_bytes);
    let response = response.map_body(|_, body| Body::wrap(body, &outbox));
    let now = Instant::now();
    let next_ping = now + limits.ping_interval;
    let socket = Socket {
        session: Some(session),
        frames: Frames::new(payload, limits.max_message_bytes),
        is_broken: false,
        outbox,
        line: Line::of(request),
        limits,
        partial: None,
        gone: None,
        n_unanswered: 0,
        last_active: now,
        next_ping,
        timer: Box::pin(tokio::time::sleep_until(
            next_ping.min(now + limits.idle_timeout),
        )),
    };
    Ok((response, socket))
}

impl Socket {
    /// Waits for the next message, pinging the peer meanwhile. To be polled all the time the session lives.
    ///
    /// Cancel safe: no message is lost when another arm of a `select!` is taken.
    pub async fn recv(&mut self) -> Received {
        loop {
            if let Some(gone) = self.gone {
                return Received::Gone(gone);
            }
            if self.is_broken {
                return Received::Gone(Gone::Vanished);
            }
            let next = tokio::select! {
                // What has come in is heard before silence is judged.
                biased;
                next = self.frames.next() => next,
                () = self.outbox.gone() => Next::Gone,
                () = &mut self.timer => {
                    if let Some(end) = self.on_timer() {
                        return end;
                    }
                    continue;
                }
            };
            // No await from here on, or a message could be lost.
            if let Some(received) = self.on_frame(next) {
                return received;
            }
        }
    }

    /// Sends a text message, waiting for room if the peer reads slowly.
    ///
    /// # Errors
    /// If the peer is gone or has been too slow for too long.
    pub async fn send_text(&mut self, text: impl Into<ByteString>) -> Result<(), SendError> {
        let text = text.into();
        self.send(text.len(), Message::Text(text)).await
    }

    /// Sends a binary message, waiting for room if the peer reads slowly.
    ///
    /// # Errors
    /// If the peer is gone or has been too slow for too long.
    pub async fn send_binary(&mut self, bytes: impl Into<Bytes>) -> Result<(), SendError> {
        let bytes = bytes.into();
        self.send(bytes.len(), Message::Binary(bytes)).await
    }

    /// Counts as a message from the peer: for work that rightly takes longer than `idle_timeout`.
    pub fn touch(&mut self) {
        self.last_active = Instant::now();
    }

    /// Bytes that wait for the peer to read.
    #[must_use]
    pub fn n_waiting_bytes(&self) -> usize {
        self.outbox.n_bytes()
    }

    /// Waits until at most `n_bytes` wait for the peer to read, or the connection has gone.
    ///
    /// For a session that has more to say than its peer reads and wants to listen meanwhile: what it has not sent yet it can
    /// still take back. To be awaited by one task at a time, which does not send meanwhile.
    pub fn drained_to(&self, n_bytes: usize) -> impl Future<Output = ()> + use<> {
        self.outbox.drained_to(n_bytes)
    }

    /// Ends the session with an error in the native protocol: the message, then a close with the code of the table.
    pub async fn fail(self, error: &ApiError) {
        error.log();
        let mut message = error.to_message(None);
        message.recoverable = false;
        let text = serde_json::to_string(&message).ok();
        self.close_for(error.code(), text).await;
    }

    /// Ends the session because of `code`, after a last message in the session's own dialect.
    pub async fn close_for(mut self, code: ErrorCode, last_words: Option<String>) {
        if let Some(text) = last_words {
            // There is always room for these: see `Outbox`.
            self.push(text.len(), Message::Text(text.into()));
        }
        self.close(rule(code).close, code.as_str()).await;
    }

    /// Ends the session: a close frame, then up to `close_timeout` for the peer to answer.
    ///
    /// Also the right answer to [`Received::Gone`], which it makes short.
    pub async fn close(mut self, code: CloseCode, reason: &str) {
        self.push_close(code, reason);
        let deadline = Instant::now() + self.limits.close_timeout;
        let is_answered = match self.gone {
            Some(Gone::Closed(_)) => true,
            Some(Gone::Vanished | Gone::Unresponsive) => false,
            None => tokio::time::timeout_at(deadline, self.answer())
                .await
                .is_ok(),
        };
        // What was pushed is written before the body ends, and the body ends before we hang up.
        self.outbox.release();
        let is_written = tokio::time::timeout_at(deadline, self.outbox.gone())
            .await
            .is_ok();
        match &self.line {
            Some(line) if is_answered && is_written => line.finish(),
            Some(line) => line.cut(),
            None => {}
        }
    }

    /// Waits for the peer's close frame, or for the end of the connection. What comes before it is thrown away.
    async fn answer(&mut self) {
        let gone = self.outbox.gone();
        tokio::pin!(gone);
        while !self.is_broken {
            let next = tokio::select! {
                next = self.frames.next() => next,
                () = &mut gone => return,
            };
            match next {
                Next::Gone | Next::Message(Message::Close(_)) => return,
                Next::Message(_) => {}
                Next::Broken(_) => self.is_broken = true,
            }
        }
        tokio::select! {
            () = self.frames.discard() => {}
            () = &mut gone => {}
        }
    }

    async fn send(&mut self, n_bytes: usize, message: Message) -> Result<(), SendError> {
        if self.gone.is_some() {
            return Err(SendError::Gone);
        }
        if !self.outbox.has_room(n_bytes) {
            let room = self.outbox.room(n_bytes);
            let waited = tokio::time::timeout(self.limits.slow_reader, room).await;
            if waited.is_err() {
                let after = self.limits.slow_reader;
                return Err(SendError::Slow(Fault::SlowConsumer { after }));
            }
        }
        if self.outbox.is_gone() {
            self.gone = Some(Gone::Vanished);
            return Err(SendError::Gone);
        }
        let Some(session) = &mut self.session else {
            return Err(SendError::Gone);
        };
        self.outbox.add(n_bytes);
        let sent = match message {
            Message::Text(text) => session.text(text).await,
            Message::Binary(bytes) => session.binary(bytes).await,
            Message::Continuation(_)
            | Message::Ping(_)
            | Message::Pong(_)
            | Message::Close(_)
            | Message::Nop => Ok(()),
        };
        self.touch();
        sent.map_err(|_closed| SendError::Gone)
    }

    /// Puts a message into the outbox at once; if there is no room at all, it is not sent.
    fn push(&mut self, n_bytes: usize, message: Message) {
        let Some(session) = &mut self.session else {
            return;
        };
        let pushed = match message {
            Message::Text(text) => session.text(text).now_or_never(),
            Message::Ping(bytes) => session.ping(&bytes).now_or_never(),
            Message::Pong(bytes) => session.pong(&bytes).now_or_never(),
            Message::Binary(_) | Message::Continuation(_) | Message::Close(_) | Message::Nop => {
                None
            }
        };
        if matches!(pushed, Some(Ok(()))) {
            self.outbox.add(n_bytes);
        }
    }

    fn push_close(&mut self, code: CloseCode, reason: &str) {
        let Some(session) = self.session.take() else {
            return;
        };
        let reason = CloseReason {
            code,
            description: (!reason.is_empty()).then(|| reason.to_owned()),
        };
        // Only a channel without room makes this wait, and the outbox keeps room for it.
        if session.close(Some(reason)).now_or_never().is_none() {
            tracing::debug!("the close frame found no room");
        }
    }

    /// What is due: the end of the session, or nothing yet and the timer is armed anew.
    fn on_timer(&mut self) -> Option<Received> {
        let now = Instant::now();
        let idle_until = self.last_active + self.limits.idle_timeout;
        if idle_until <= now {
            let after = self.limits.idle_timeout;
            return Some(Received::Fault(Fault::Idle { after }));
        }
        if self.next_ping <= now {
            if self.n_unanswered == MAX_UNANSWERED {
                self.gone = Some(Gone::Unresponsive);
                return Some(Received::Gone(Gone::Unresponsive));
            }
            self.n_unanswered += 1;
            self.next_ping = now + self.limits.ping_interval;
            // A peer that leaves the outbox full gets no pings on top, and is silent all the same.
            if self.outbox.has_room(0) {
                self.push(0, Message::Ping(Bytes::new()));
            }
        }
        let due = self.next_ping.min(idle_until);
        self.timer.as_mut().reset(due);
        None
    }

    fn on_frame(&mut self, next: Next) -> Option<Received> {
        let message = match next {
            Next::Message(message) => message,
            Next::Broken(broken) => return Some(self.on_broken(broken)),
            Next::Gone => {
                self.gone = Some(Gone::Vanished);
                return Some(Received::Gone(Gone::Vanished));
            }
        };
        self.n_unanswered = 0;
        match message {
            Message::Text(text) => {
                self.touch();
                Some(Received::Text(text))
            }
            Message::Binary(bytes) => {
                self.touch();
                Some(Received::Binary(bytes))
            }
            Message::Continuation(item) => {
                self.touch();
                self.on_piece(item)
            }
            Message::Ping(bytes) => {
                // A peer that pings and does not read gets no pongs: they are the least it leaves unread.
                if self.outbox.has_room(bytes.len()) {
                    self.push(bytes.len(), Message::Pong(bytes));
                }
                None
            }
            Message::Pong(_) | Message::Nop => None,
            Message::Close(reason) => {
                let code = reason.map(|it| it.code);
                self.gone = Some(Gone::Closed(code));
                self.push_close(code.unwrap_or(CloseCode::Normal), "");
                Some(Received::Gone(Gone::Closed(code)))
            }
        }
    }

    /// One frame of a message that comes in several.
    fn on_piece(&mut self, item: Item) -> Option<Received> {
        let (bytes, is_last) = match item {
            Item::FirstText(bytes) | Item::FirstBinary(bytes) if self.partial.is_some() => {
                drop(bytes);
                return Some(
                    self.end_stream(Fault::Protocol("a message began inside another".to_owned())),
                );
            }
            Item::FirstText(bytes) => {
                let begun = BytesMut::new();
                self.partial = Some(Partial {
                    is_text: true,
                    bytes: begun,
                });
                (bytes, false)
            }
            Item::FirstBinary(bytes) => {
                let begun = BytesMut::new();
                self.partial = Some(Partial {
                    is_text: false,
                    bytes: begun,
                });
                (bytes, false)
            }
            Item::Continue(bytes) => (bytes, false),
            Item::Last(bytes) => (bytes, true),
        };
        let Some(partial) = &mut self.partial else {
            return Some(self.end_stream(Fault::Protocol(
                "a message went on that had not begun".to_owned(),
            )));
        };
        if self.limits.max_message_bytes - partial.bytes.len() < bytes.len() {
            let limit = self.limits.max_message_bytes;
            return Some(self.end_stream(Fault::TooLarge { limit }));
        }
        // Copied, because a one-byte frame would otherwise keep the whole chunk alive that it came in.
        partial.bytes.extend_from_slice(&bytes);
        if !is_last {
            return None;
        }
        let whole = self.partial.take()?;
        if !whole.is_text {
            return Some(Received::Binary(whole.bytes.freeze()));
        }
        match ByteString::try_from(whole.bytes.freeze()) {
            Ok(text) => Some(Received::Text(text)),
            Err(_) => Some(self.end_stream(Fault::NotText)),
        }
    }

    fn on_broken(&mut self, broken: Broken) -> Received {
        self.end_stream(match broken {
            Broken::TooLarge => Fault::TooLarge {
                limit: self.limits.max_message_bytes,
            },
            Broken::NotText => Fault::NotText,
            Broken::Protocol(what) => Fault::Protocol(what),
        })
    }

    /// After this fault the next byte has no meaning.
    fn end_stream(&mut self, fault: Fault) -> Received {
        self.is_broken = true;
        self.partial = None;
        Received::Fault(fault)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.push_close(CloseCode::Error, ErrorCode::Internal.as_str());
    }
}

impl std::fmt::Debug for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Socket")
            .field("gone", &self.gone)
            .field("n_waiting_bytes", &self.n_waiting_bytes())
            .finish_non_exhaustive()
    }
}
