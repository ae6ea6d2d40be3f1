//! A listening stream apart from its connections: the audio that is not answered for, and where it goes on after a break.
//!
//! ```text
//!  samples   0 ────────── settled ────────── sent ────────── pushed
//!                delivered   │  kept, sent again  │ kept, not sent yet
//! ```
//!
//! Invariants:
//! - Pure: no clock, no I/O.
//! - What is kept begins where everything before is delivered: at the server's `safe_sample`, or at the end of the last `final`, whichever is
//!   later. A new connection begins there, so no word is told twice, and none is lost.
//! - Segments are counted through all connections. One that was begun before a break keeps its number and is not begun twice.
//! - Every `final` of a turn is followed by a `turn_end`, also if the connection broke between them.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use wire::asr::stream::{ClientMessage, Closed, Empty, Finalize, Ready, TurnEnd, TurnEndReason};
use wire::asr::{Encoding, FinalOn, ServerMessage, StreamConfig};

use super::{Command, Event, Receipt, Resumed};
use crate::Error;
use crate::core::{Break, Core, Outgoing, is_passing};

/// Small enough for every balancer, large enough to catch up fast.
const MAX_FRAME: usize = 32 * 1024;
/// `ready` comes for the connection and for the options.
const N_READY: u8 = 2;

/// A stream of one client.
#[derive(Debug)]
pub(crate) struct Listening {
    config: StreamConfig,
    frame_bytes: u64,
    max_kept: usize,
    /// The audio from `kept_from` on, which is where everything before is settled.
    kept: VecDeque<u8>,
    /// In bytes from the start of the stream. Always at a sample.
    kept_from: u64,
    /// Not answered, in the order in which they were asked.
    finalizes: VecDeque<Mark>,
    is_finishing: bool,
    segments: Segments,
    ready: Option<Box<Ready>>,
    connection: Connection,
    n_connections: u32,
    closed: Option<Closed>,
}

/// A `finalize` and where in the audio it stands, in bytes.
#[derive(Debug)]
struct Mark {
    at: u64,
    id: Option<String>,
}

/// What was told of segments, in numbers that count through all connections.
#[derive(Debug, Default)]
struct Segments {
    /// What this connection's numbers are added to.
    offset: u64,
    begun: u64,
    ended: u64,
    answered: u64,
    /// Whose `final` came and whose `turn_end` did not yet.
    in_turn: Option<u64>,
}

/// What is true of one connection.
#[derive(Debug, Default)]
struct Connection {
    start_sample: u64,
    has_config: bool,
    n_ready: u8,
    /// In bytes: what was sent, and before it what need not be.
    sent: u64,
    n_finalizes: usize,
    has_close: bool,
    fatal: Option<Break>,
    has_advanced: bool,
}

impl Listening {
    /// A stream with these options, that keeps so many seconds of audio at most.
    ///
    /// # Errors
    /// The options describe audio that cannot be cut at a sample.
    pub(crate) fn new(config: StreamConfig, max_kept: Duration) -> Result<Listening, Error> {
        let width = match config.encoding.unwrap_or(Encoding::PcmS16le) {
            Encoding::PcmS16le => 2,
            Encoding::PcmF32le => 4,
            Encoding::Mulaw | Encoding::Alaw => 1,
            Encoding::OggOpus => {
                return Err(Error::Impossible(
                    "`ogg_opus` cannot be resumed: a stream of pages cannot be cut at a sample; send decoded samples"
                        .to_owned(),
                ));
            }
        };
        if config.start_sample.is_some() {
            return Err(Error::Impossible(
                "`start_sample` is the client's own business; a stream begins at 0".to_owned(),
            ));
        }
        // What both sides count samples with must not depend on a server's defaults.
        let rate = config.sample_rate.unwrap_or(16_000);
        let channels = config.channels.unwrap_or(1);
        let config = StreamConfig {
            encoding: Some(config.encoding.unwrap_or(Encoding::PcmS16le)),
            sample_rate: Some(rate),
            channels: Some(channels),
            ..config
        };
        let frame_bytes = width * u64::from(channels.max(1));
        let max_kept = max_kept.as_millis() * u128::from(u64::from(rate) * frame_bytes) / 1_000;
        Ok(Listening {
            config,
            frame_bytes,
            max_kept: usize::try_from(max_kept)
                .unwrap_or(usize::MAX)
                .max(MAX_FRAME),
            kept: VecDeque::new(),
            kept_from: 0,
            finalizes: VecDeque::new(),
            is_finishing: false,
            segments: Segments::default(),
            ready: None,
            connection: Connection::default(),
            n_connections: 0,
            closed: None,
        })
    }

    fn pushed(&self) -> u64 {
        self.kept_from + self.kept.len() as u64
    }

    fn n_samples(&self) -> u64 {
        self.pushed() / self.frame_bytes
    }

    fn settled(&self) -> u64 {
        self.kept_from / self.frame_bytes
    }

    /// Everything before this sample is delivered.
    fn settle(&mut self, sample: u64) {
        let sample = sample.min(self.n_samples());
        let n = (sample * self.frame_bytes).saturating_sub(self.kept_from);
        if n == 0 {
            return;
        }
        let n_kept = usize::try_from(n).unwrap_or(usize::MAX);
        self.kept.drain(..n_kept.min(self.kept.len()));
        self.kept_from += n;
        self.connection.sent = self.connection.sent.max(self.kept_from);
        self.connection.has_advanced = true;
    }

    fn audio(&mut self, until: u64) -> Option<Outgoing> {
        let from = self.connection.sent;
        let n = usize::try_from(until.saturating_sub(from)).unwrap_or(usize::MAX);
        if n == 0 {
            return None;
        }
        let skip = usize::try_from(from - self.kept_from).unwrap_or(usize::MAX);
        let frame: Vec<u8> = self
            .kept
            .range(skip..skip + n.min(MAX_FRAME))
            .copied()
            .collect();
        self.connection.sent += frame.len() as u64;
        Some(Outgoing::Binary(frame))
    }

    fn on_ready(&mut self, ready: Box<Ready>) -> Vec<Event> {
        self.connection.n_ready = self.connection.n_ready.saturating_add(1);
        if self.connection.n_ready != N_READY {
            return Vec::new();
        }
        let event = if self.ready.is_none() {
            Event::Ready(ready.clone())
        } else {
            Event::Resumed(Resumed {
                start_sample: self.connection.start_sample,
                instance: ready.instance.clone(),
                session_id: ready.session_id.clone(),
            })
        };
        self.ready = Some(ready);
        vec![event]
    }

    fn on_closed(&mut self, closed: Closed) -> Vec<Event> {
        let received = self.connection.start_sample + closed.received_samples;
        if self.connection.has_close && self.n_samples() <= received {
            self.settle(self.n_samples());
            self.closed = Some(closed);
            return self.output().map(Event::Closed).into_iter().collect();
        }
        // It goes down. All that it took is delivered, but a word that had just begun may lie in the silence at the end.
        let pre_roll = self.ready.as_ref().and_then(|it| {
            let seconds = it.config.vad.as_ref()?.pre_roll_secs?;
            let rate = self.config.sample_rate?;
            Some((f64::from(seconds) * f64::from(rate)).ceil())
        });
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float cast saturates, and a pre-roll is at most seconds"
        )]
        let pre_roll = pre_roll.unwrap_or(0.0) as u64;
        self.settle(received.saturating_sub(pre_roll));
        Vec::new()
    }

    fn has_turn_ends(&self) -> bool {
        let final_on = self.ready.as_ref().and_then(|it| it.config.final_on);
        final_on.unwrap_or(FinalOn::TurnEnd) == FinalOn::TurnEnd
    }

    fn on_message(&mut self, message: ServerMessage) -> Result<Vec<Event>, Break> {
        let segments = &mut self.segments;
        let offset = segments.offset;
        let event = match message {
            ServerMessage::Ready(ready) => return Ok(self.on_ready(ready)),
            ServerMessage::Closed(closed) => return Ok(self.on_closed(closed)),
            ServerMessage::SpeechStart(mut it) => {
                it.segment_id += offset;
                if it.segment_id <= segments.begun {
                    return Ok(Vec::new());
                }
                segments.begun = it.segment_id;
                Event::SpeechStart(it)
            }
            ServerMessage::Partial(mut it) => {
                it.segment_id += offset;
                Event::Partial(it)
            }
            ServerMessage::SpeechEnd(mut it) => {
                it.segment_id += offset;
                if it.segment_id <= segments.ended {
                    return Ok(Vec::new());
                }
                segments.ended = it.segment_id;
                Event::SpeechEnd(it)
            }
            ServerMessage::Final(mut it) => {
                it.segment_id += offset;
                segments.answered = it.segment_id;
                segments.in_turn = Some(it.segment_id);
                self.settle(it.end_sample);
                Event::Final(it)
            }
            ServerMessage::TurnEnd(mut it) => {
                it.segment_id += offset;
                segments.in_turn = None;
                Event::TurnEnd(it)
            }
            ServerMessage::Progress(it) => {
                self.settle(it.safe_sample);
                return Ok(Vec::new());
            }
            ServerMessage::Finalized(it) => {
                self.finalizes.pop_front();
                self.connection.n_finalizes = self.connection.n_finalizes.saturating_sub(1);
                Event::Finalized(it)
            }
            ServerMessage::Error(mut it) => {
                if let Some(segment) = &mut it.segment_id {
                    *segment += offset;
                    segments.answered = *segment;
                } else if !it.recoverable || self.connection.n_ready < N_READY {
                    let said = Break::Said {
                        code: it.code,
                        message: it.message,
                    };
                    if is_passing(it.code) && !it.recoverable {
                        // What is still owed may come, and the close frame.
                        self.connection.fatal = Some(said);
                        return Ok(Vec::new());
                    }
                    return Err(said);
                }
                Event::Error(it)
            }
            ServerMessage::ResetDone(_) | ServerMessage::Draining(_) => return Ok(Vec::new()),
        };
        Ok(vec![event])
    }
}

impl Core for Listening {
    type Command = Command;
    type Event = Event;
    type Output = Receipt;

    fn connected(&mut self) {
        self.n_connections += 1;
        self.connection = Connection {
            start_sample: self.settled(),
            sent: self.kept_from,
            ..Connection::default()
        };
    }

    fn outgoing(&mut self) -> Option<Outgoing> {
        if !self.connection.has_config {
            self.connection.has_config = true;
            let config = StreamConfig {
                start_sample: Some(self.connection.start_sample),
                ..self.config.clone()
            };
            return Some(text(&ClientMessage::Config(Box::new(config))));
        }
        if self.connection.n_ready < N_READY || self.connection.has_close {
            return None;
        }
        let mark = self.finalizes.get(self.connection.n_finalizes);
        if let Some(mark) = mark {
            // Of one whose audio is delivered only the answer is missing.
            if mark.at <= self.connection.sent {
                let id = mark.id.clone();
                self.connection.n_finalizes += 1;
                return Some(text(&ClientMessage::Finalize(Finalize { id })));
            }
            let at = mark.at;
            return self.audio(at);
        }
        if let Some(frame) = self.audio(self.pushed()) {
            return Some(frame);
        }
        if self.is_finishing {
            self.connection.has_close = true;
            return Some(text(&ClientMessage::Close(Empty {})));
        }
        None
    }

    fn keepalive(&self) -> Option<Outgoing> {
        let is_open = self.connection.n_ready == N_READY && !self.connection.has_close;
        is_open.then(|| text(&ClientMessage::Keepalive(Empty {})))
    }

    fn keepalive_every(&self) -> Duration {
        let idle = self.ready.as_ref().map(|it| it.limits.idle_timeout_s);
        Duration::from_secs(idle.unwrap_or(60)) / 3
    }

    fn on_text(&mut self, text: &str) -> Result<Vec<Event>, Break> {
        match parse(text)? {
            Some(message) => self.on_message(message),
            None => Ok(Vec::new()),
        }
    }

    fn on_binary(&mut self, _: Bytes) -> Result<Vec<Event>, Break> {
        Err(Break::Protocol("a recogniser sends no audio".to_owned()))
    }

    fn broken(&mut self, why: Break) -> (Break, Vec<Event>) {
        let why = self.connection.fatal.take().unwrap_or(why);
        // Nothing counts on this connection any more, whatever is asked meanwhile.
        self.connection.n_ready = 0;
        self.segments.offset = self.segments.answered;
        let is_between = self.segments.begun <= self.segments.answered;
        let mut events = Vec::new();
        if self.has_turn_ends() || is_between {
            events.extend(self.segments.in_turn.take().map(|segment_id| {
                Event::TurnEnd(TurnEnd {
                    segment_id,
                    probability: None,
                    reason: TurnEndReason::Close,
                })
            }));
        }
        (why, events)
    }

    fn has_advanced(&self) -> bool {
        self.connection.has_advanced
    }

    fn command(&mut self, command: Command) -> Vec<Event> {
        match command {
            Command::Audio(bytes) => self.kept.extend(bytes),
            Command::Finalize { id } => {
                let at = self.pushed();
                self.finalizes.push_back(Mark { at, id });
            }
            Command::Finish => self.is_finishing = true,
        }
        Vec::new()
    }

    fn abandoned(&mut self) -> bool {
        !self.is_finishing
    }

    fn deserted(&self) -> bool {
        false
    }

    fn has_room(&self) -> bool {
        self.kept.len() < self.max_kept
    }

    fn output(&self) -> Option<Receipt> {
        self.closed.map(|last| Receipt {
            samples: self.n_samples(),
            segments: self.segments.answered,
            connections: self.n_connections,
            last,
        })
    }
}

fn text(message: &ClientMessage) -> Outgoing {
    // Plain structs with text keys: serialising them cannot fail.
    Outgoing::Text(serde_json::to_string(message).unwrap_or_default())
}

/// Reads a text frame. A type of message that is not known here is newer than this client, and nothing to it.
fn parse(text: &str) -> Result<Option<ServerMessage>, Break> {
    const KNOWN: [&str; 12] = [
        "ready",
        "speech_start",
        "partial",
        "speech_end",
        "final",
        "turn_end",
        "progress",
        "finalized",
        "reset_done",
        "draining",
        "error",
        "closed",
    ];
    crate::socket::read(text, &KNOWN)
}

#[cfg(test)]
mod tests;
