//! One WebSocket: audio out at the pace of a microphone, messages in.
//!
//! Invariants:
//! - Every frame has its own due time, counted from the beginning of the session, so the pace does not drift:
//!   a frame that is late does not make the next one late.
//! - Reading never waits for writing, so a message is timed when it comes in.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::{self, Either};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::time::{sleep_until, timeout};
use tokio_tungstenite::tungstenite::{self, Message};

use super::protocol::Said;
use super::record::Record;
use crate::clip::RATE;
use crate::playlist::Stream;
use crate::socket::{PATIENCE, Socket};

/// A resumed stream has caught up when a frame is no later than this.
const CAUGHT_UP: Duration = Duration::from_millis(20);

/// Where a session stands between two connections.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) stream: Stream,
    /// Wall time of the first sample of the stream.
    pub(crate) zero: Instant,
    /// The next sample to send.
    pub(crate) position: u64,
    pub(crate) frame_samples: u64,
    /// The session closes when it has sent this much.
    pub(crate) until: u64,
    /// This connection breaks when it has sent this much.
    pub(crate) break_at: Option<u64>,
}

impl Source {
    /// When the samples up to `position` have been spoken, and so the earliest time to send them.
    pub(crate) fn due(&self, position: u64) -> Instant {
        self.zero + Duration::from_nanos(position * 1_000_000_000 / u64::from(RATE))
    }
}

/// How a connection ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// With `closed`, as agreed.
    Closed,
    /// We broke it on purpose.
    Broken,
    /// The server or the network did.
    Lost(String),
}

/// Plays the source until it is at its end or breaks.
pub(crate) async fn play(socket: Socket, source: &mut Source, record: &RefCell<Record>) -> Ending {
    let (sink, messages) = socket.split();
    let writing = std::pin::pin!(write(sink, source, record));
    let reading = std::pin::pin!(read(messages, record));
    match future::select(writing, reading).await {
        Either::Left((Ok(Written::Break), _)) => Ending::Broken,
        Either::Left((Ok(Written::All), reading)) => match timeout(PATIENCE, reading).await {
            Ok(ending) => ending,
            Err(_) => Ending::Lost("no `closed` within a minute".to_owned()),
        },
        // The reader knows better why: the server says so before it hangs up.
        Either::Left((Err(error), reading)) => match timeout(Duration::from_secs(1), reading).await
        {
            Ok(ending) => ending,
            Err(_) => Ending::Lost(format!("sending: {error}")),
        },
        Either::Right((ending, _)) => ending,
    }
}

enum Written {
    All,
    Break,
}

async fn write(
    mut sink: SplitSink<Socket, Message>,
    source: &mut Source,
    record: &RefCell<Record>,
) -> Result<Written, tungstenite::Error> {
    let mut samples = Vec::new();
    // After a resume the backlog goes out at once; only then does the pace count again.
    let mut catching_up = source.position != 0;
    while source.position < source.until {
        let from = source.position;
        let to = (from + source.frame_samples).min(source.until);
        samples.resize(usize::try_from(to - from).unwrap_or(0), 0);
        source.stream.fill(from, &mut samples);
        let frame: Vec<u8> = samples
            .iter()
            .flat_map(|sample| sample.to_le_bytes())
            .collect();
        let due = source.due(to);
        sleep_until(due.into()).await;
        let n_bytes = frame.len() as u64;
        sink.send(Message::Binary(Bytes::from(frame))).await?;
        let sent = Instant::now();
        let mut record = record.borrow_mut();
        let late = sent.saturating_duration_since(due);
        catching_up &= late > CAUGHT_UP;
        if !catching_up {
            record.late.push(late);
        }
        record.sent_bytes += n_bytes;
        record.sent(from, to, sent, source.stream.begun_before(to));
        source.position = to;
        if source.break_at.is_some_and(|at| at <= to) {
            return Ok(Written::Break);
        }
    }
    sink.send(Message::text(r#"{"type":"close"}"#)).await?;
    Ok(Written::All)
}

async fn read(mut messages: SplitStream<Socket>, record: &RefCell<Record>) -> Ending {
    let mut closed = false;
    while let Some(received) = messages.next().await {
        let at = Instant::now();
        match received {
            Ok(Message::Text(text)) => match serde_json::from_str::<Said>(&text) {
                Ok(said) => {
                    if closed {
                        record
                            .borrow_mut()
                            .violation(format!("a message after `closed`: {text}"));
                    }
                    closed |= record.borrow_mut().hear(said, at);
                }
                Err(error) => record
                    .borrow_mut()
                    .violation(format!("cannot read `{text}`: {error}")),
            },
            Ok(Message::Close(frame)) if !closed => {
                return Ending::Lost(format!("closed by the server: {frame:?}"));
            }
            Ok(_) => {}
            Err(_) if closed => break,
            Err(error) => return Ending::Lost(error.to_string()),
        }
    }
    if closed {
        Ending::Closed
    } else {
        Ending::Lost("end of stream".to_owned())
    }
}
