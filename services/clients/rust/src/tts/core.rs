//! A speech apart from its connections: what is to be said, and how far its audio has come.
//!
//! Invariants:
//! - Pure: no clock, no I/O.
//! - A new connection is asked for the same again, with the seed and the options that the first one told, from the end of the last chunk on.
//! - Chunks follow one another without a gap and without an overlap, whatever a server sends.
//! - The text is cut into the same sentences again: where a server did not wait any longer for text, and spoke what it had, the next one is
//!   told to.

use std::time::Duration;

use bytes::Bytes;
use wire::tts::stream::{
    AudioChunk, Cancel, Cancelled, ClientMessage, OfRequest, StreamError, SynthesisComplete,
    SynthesisStarted, Synthesize, Text,
};
use wire::tts::{Encoding, ServerMessage, SpeechOptions};

use super::{Chunk, Command, End, Event, Resumed};
use crate::core::{Break, Core, Outgoing, is_passing};
use wire::error::ErrorCode;

/// The only request of its connection.
const REQUEST: &str = "speech";

/// What one client wants said.
#[derive(Debug)]
pub(crate) struct Speaking {
    options: SpeechOptions,
    /// Said as one text, and not in pieces.
    is_whole: bool,
    items: Vec<Item>,
    has_ended: bool,
    is_cancelled: bool,
    started: Option<SynthesisStarted>,
    /// The end of the last chunk, in samples.
    position: u64,
    n_chunks: u64,
    /// The ends of the sentences that were heard, in characters.
    heard_ends: Vec<u64>,
    connection: Connection,
    n_connections: u32,
    end: Option<End>,
}

/// What was asked for, in order.
#[derive(Debug, PartialEq)]
enum Item {
    /// `is_late`: so long after the one before it that the server may have spoken that one meanwhile.
    Text {
        text: String,
        is_late: bool,
    },
    Flush,
    End,
}

#[derive(Debug, Default)]
struct Connection {
    is_ready: bool,
    instance: String,
    n_sent: usize,
    is_begun: bool,
    has_cancel: bool,
    /// Described, and not come yet.
    chunk: Option<AudioChunk>,
    /// What is before this came on an earlier connection.
    start_sample: u64,
    fatal: Option<Break>,
}

impl Speaking {
    /// A text that comes in pieces.
    pub(crate) fn in_pieces(options: SpeechOptions) -> Speaking {
        Speaking {
            options,
            is_whole: false,
            items: Vec::new(),
            has_ended: false,
            is_cancelled: false,
            started: None,
            position: 0,
            n_chunks: 0,
            heard_ends: Vec::new(),
            connection: Connection::default(),
            n_connections: 0,
            end: None,
        }
    }

    /// A text that is all there.
    pub(crate) fn whole(text: String, options: SpeechOptions) -> Speaking {
        let is_late = false;
        Speaking {
            is_whole: true,
            items: vec![Item::Text { text, is_late }],
            has_ended: true,
            ..Speaking::in_pieces(options)
        }
    }

    fn skip(&self) -> Option<u64> {
        (0 < self.position).then_some(self.position)
    }

    fn first(&mut self, text: String) -> ClientMessage {
        self.connection.is_begun = true;
        let options = self.options.clone();
        let skip_samples = self.skip();
        if self.is_whole {
            return ClientMessage::Synthesize(Box::new(Synthesize {
                request_id: Some(REQUEST.to_owned()),
                text,
                skip_samples,
                options,
            }));
        }
        ClientMessage::Text(Box::new(Text {
            request_id: REQUEST.to_owned(),
            text,
            skip_samples,
            options,
        }))
    }

    fn next(&mut self) -> Option<ClientMessage> {
        if !self.connection.is_ready || self.end.is_some() {
            return None;
        }
        if self.is_cancelled {
            let is_due = !std::mem::replace(&mut self.connection.has_cancel, true);
            return is_due.then(|| {
                ClientMessage::Cancel(Cancel {
                    request_id: Some(REQUEST.to_owned()),
                })
            });
        }
        let of_request = || OfRequest {
            request_id: REQUEST.to_owned(),
        };
        loop {
            let item = self.items.get(self.connection.n_sent)?;
            let is_begun = self.connection.is_begun;
            let message = match item {
                Item::Text { text, .. } if is_begun => ClientMessage::Text(Box::new(Text {
                    request_id: REQUEST.to_owned(),
                    text: text.clone(),
                    ..Text::default()
                })),
                Item::Text { text, .. } => {
                    let text = text.clone();
                    self.first(text)
                }
                Item::Flush if is_begun => ClientMessage::Flush(of_request()),
                Item::Flush => {
                    self.connection.n_sent += 1;
                    continue;
                }
                Item::End if is_begun => ClientMessage::End(of_request()),
                // Nothing was to be said: a request of its own says so too. Its end comes next.
                Item::End => return Some(self.first(String::new())),
            };
            self.connection.n_sent += 1;
            return Some(message);
        }
    }

    /// Tells the next server where to cut, wherever the last one may have cut because no more text came.
    fn mark_cuts(&mut self) {
        if self.is_whole {
            return;
        }
        let mut ends = std::mem::take(&mut self.heard_ends).into_iter().peekable();
        let mut items = std::mem::take(&mut self.items).into_iter().peekable();
        let mut n_chars = 0;
        while let Some(item) = items.next() {
            let Item::Text { text, .. } = &item else {
                self.items.push(item);
                continue;
            };
            let length = text.chars().count() as u64;
            n_chars += length;
            let mut end = None;
            while let Some(at) = ends.next_if(|at| *at <= n_chars) {
                end = Some(at);
                self.heard_ends.push(at);
            }
            // Only marks and spaces are left of this piece behind the sentence.
            let is_cut = end.is_some_and(|at| {
                let n_left = n_chars - at;
                let skipped = usize::try_from(length.saturating_sub(n_left)).unwrap_or(usize::MAX);
                n_left <= length && !text.chars().skip(skipped).any(char::is_alphanumeric)
            });
            self.items.push(item);
            let waited = match items.peek() {
                Some(Item::Text { is_late, .. }) => *is_late,
                None => true,
                Some(Item::Flush | Item::End) => false,
            };
            if is_cut && waited {
                self.items.push(Item::Flush);
            }
        }
        self.heard_ends.extend(ends);
    }

    fn on_started(&mut self, it: SynthesisStarted) -> Result<Vec<Event>, Break> {
        let Some(first) = &self.started else {
            // What the first server chose, the next one has to be told.
            self.options.seed = Some(it.seed);
            self.options.encoding = Some(it.encoding);
            self.options.sample_rate = Some(it.sample_rate);
            self.started = Some(it.clone());
            return Ok(vec![Event::Started(it)]);
        };
        let same = (first.seed, first.encoding, first.sample_rate)
            == (it.seed, it.encoding, it.sample_rate);
        if !same {
            return Err(Break::Protocol(
                "another instance speaks with other options than were asked for".to_owned(),
            ));
        }
        Ok(vec![Event::Resumed(Resumed {
            start_sample: self.position,
            instance: self.connection.instance.clone(),
        })])
    }

    fn on_complete(&mut self, it: SynthesisComplete) -> Result<Vec<Event>, Break> {
        if it.total_samples != self.position {
            return Err(Break::Protocol(format!(
                "the speech has {} samples, and {} came",
                it.total_samples, self.position
            )));
        }
        Ok(self.ended(End::Complete {
            total_samples: self.position,
            connections: self.n_connections,
            last: Some(it),
        }))
    }

    fn on_cancelled(&mut self, last: Option<Cancelled>) -> Vec<Event> {
        self.ended(End::Cancelled {
            end_sample: self.position,
            connections: self.n_connections,
            last,
        })
    }

    fn ended(&mut self, end: End) -> Vec<Event> {
        self.end = Some(end.clone());
        vec![Event::End(end)]
    }

    fn on_error(&mut self, it: StreamError) -> Result<Vec<Event>, Break> {
        let is_fatal = !it.recoverable;
        let said = Break::Said {
            code: it.code,
            message: it.message.clone(),
        };
        if it.request_id.is_some() {
            // The end of the request. A text that did not come in time does not come sooner elsewhere.
            return Err(if is_passing(it.code) && it.code != ErrorCode::Timeout {
                said
            } else {
                Break::Refused {
                    status: 400,
                    code: it.code.as_str().to_owned(),
                    message: it.message,
                    retry_after: None,
                }
            });
        }
        if is_fatal && is_passing(it.code) {
            self.connection.fatal = Some(said);
            return Ok(Vec::new());
        }
        Err(said)
    }

    fn bytes_per_sample(&self) -> usize {
        match self.options.encoding.unwrap_or(Encoding::PcmS16le) {
            Encoding::PcmS16le => 2,
            Encoding::PcmF32le => 4,
            Encoding::Mulaw | Encoding::Alaw => 1,
        }
    }
}

impl Core for Speaking {
    type Command = Command;
    type Event = Event;
    type Output = End;

    fn connected(&mut self) {
        self.n_connections += 1;
        if 1 < self.n_connections {
            self.mark_cuts();
        }
        self.connection = Connection {
            start_sample: self.position,
            ..Connection::default()
        };
    }

    fn outgoing(&mut self) -> Option<Outgoing> {
        let message = self.next()?;
        // Plain structs with text keys: serialising them cannot fail.
        Some(Outgoing::Text(
            serde_json::to_string(&message).unwrap_or_default(),
        ))
    }

    fn keepalive(&self) -> Option<Outgoing> {
        // While nothing was said yet. A text that stops coming is the server's to end.
        let is_waiting = self.connection.is_ready && !self.connection.is_begun;
        is_waiting.then(|| Outgoing::Text(r#"{"type":"keepalive"}"#.to_owned()))
    }

    fn keepalive_every(&self) -> Duration {
        Duration::from_secs(20)
    }

    fn on_text(&mut self, text: &str) -> Result<Vec<Event>, Break> {
        const KNOWN: [&str; 6] = [
            "ready",
            "synthesis_started",
            "audio_chunk",
            "synthesis_complete",
            "cancelled",
            "error",
        ];
        let Some(message) = crate::socket::read(text, &KNOWN)? else {
            return Ok(Vec::new());
        };
        match message {
            ServerMessage::Ready(ready) => {
                self.connection.is_ready = true;
                self.connection.instance = ready.instance;
                if self.n_connections == 1 {
                    // A server elsewhere may have other defaults.
                    self.options = self.options.clone().over(ready.config);
                }
                Ok(Vec::new())
            }
            ServerMessage::SynthesisStarted(it) => self.on_started(it),
            ServerMessage::AudioChunk(it) => {
                self.connection.chunk = Some(it);
                Ok(Vec::new())
            }
            ServerMessage::SynthesisComplete(it) => self.on_complete(it),
            ServerMessage::Cancelled(it) => Ok(self.on_cancelled(Some(it))),
            ServerMessage::Error(it) => self.on_error(it),
            ServerMessage::VoiceRegistered(_)
            | ServerMessage::VoiceDeleted(_)
            | ServerMessage::VoiceList(_)
            | ServerMessage::Draining(_)
            | ServerMessage::Closed(_) => Ok(Vec::new()),
        }
    }

    fn on_binary(&mut self, bytes: Bytes) -> Result<Vec<Event>, Break> {
        let protocol = |what: String| Err(Break::Protocol(what));
        let Some(it) = self.connection.chunk.take() else {
            return protocol("audio that no `audio_chunk` describes".to_owned());
        };
        let width = self.bytes_per_sample();
        if Some(bytes.len()) != usize::try_from(it.samples).ok().map(|n| n * width) {
            return protocol(format!(
                "{} bytes are not {} samples",
                bytes.len(),
                it.samples
            ));
        }
        if self.position < it.start_sample {
            return protocol(format!(
                "a gap: audio from sample {} after sample {}",
                it.start_sample, self.position
            ));
        }
        let end = it.start_sample + it.samples;
        if end <= self.position {
            return Ok(Vec::new());
        }
        let n_known = usize::try_from(self.position - it.start_sample).unwrap_or(usize::MAX);
        let audio = bytes.slice(n_known * width..);
        let start_s = self.position as f64 / f64::from(it.sample_rate.max(1));
        let is_resumed = 0 < self.connection.start_sample;
        let is_first = self.position == self.connection.start_sample;
        let mut words = it.estimated_words;
        if is_resumed && is_first {
            // Told with the last chunk of the connection before, in which they began.
            words.retain(|word| start_s <= word.start);
        }
        if self.heard_ends.last() != Some(&it.text_end) {
            self.heard_ends.push(it.text_end);
        }
        self.n_chunks += 1;
        let chunk = Chunk {
            chunk_id: self.n_chunks,
            start_sample: self.position,
            samples: end - self.position,
            sample_rate: it.sample_rate,
            text_start: it.text_start,
            text_end: it.text_end,
            estimated_words: words,
            audio,
        };
        self.position = end;
        Ok(vec![Event::Chunk(chunk)])
    }

    fn broken(&mut self, why: Break) -> (Break, Vec<Event>) {
        let why = self.connection.fatal.take().unwrap_or(why);
        self.connection.is_ready = false;
        self.connection.is_begun = false;
        // Nobody is left to be told to stop.
        let events = if self.is_cancelled && self.end.is_none() {
            self.on_cancelled(None)
        } else {
            Vec::new()
        };
        (why, events)
    }

    fn has_advanced(&self) -> bool {
        self.connection.start_sample < self.position
    }

    fn command(&mut self, command: Command) -> Vec<Event> {
        match command {
            Command::Cancel => {
                self.is_cancelled = true;
                if !self.connection.is_begun && self.end.is_none() {
                    return self.on_cancelled(None);
                }
            }
            Command::Push { .. } | Command::Flush | Command::End if self.has_ended => {}
            Command::Push { text, is_late } => self.items.push(Item::Text { text, is_late }),
            Command::Flush => self.items.push(Item::Flush),
            Command::End => {
                self.has_ended = true;
                self.items.push(Item::End);
            }
        }
        Vec::new()
    }

    fn abandoned(&mut self) -> bool {
        // Nobody is left who could write more.
        self.command(Command::End);
        false
    }

    fn deserted(&self) -> bool {
        true
    }

    fn has_room(&self) -> bool {
        true
    }

    fn output(&self) -> Option<End> {
        self.end.clone()
    }
}

#[cfg(test)]
mod tests;
