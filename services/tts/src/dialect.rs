//! Vocabularies of the outside: pure translators to and from the core.
//!
//! Invariants:
//! - Pure. A dialect neither awaits nor decides; it says the same thing in other words.
//! - A vocabulary is one file here. The edge of sockets ([`crate::stream`]) is written against [`Dialect`] alone.

pub mod native;
pub mod openai_speech;

use std::time::Duration;

use bytes::Bytes;
use wire::error::ErrorCode;
use wire::strict::Rejected;
use wire::tts::stream::{Limits, RegisterVoice, Synthesize, Text};
use wire::tts::{Encoding, SpeechOptions, Voice};

use crate::utterance::Message;

/// What a client asks of a socket.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Speak a text that is all there.
    Synthesize(Box<Synthesize>),
    /// Speak a text that comes in pieces.
    Text(Box<Text>),
    /// Speak what has come of it so far.
    Flush {
        request: String,
    },
    /// It is complete.
    End {
        request: String,
    },
    /// Stop one request, or all of them.
    Cancel {
        request: Option<String>,
    },
    RegisterVoice(Box<RegisterVoice>),
    ListVoices,
    DeleteVoice {
        voice: String,
    },
    Keepalive,
    Close,
}

/// A text frame that was not understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Misheard {
    pub rejected: Rejected,
    /// The request that it would begin, if that is not under way: then the error is its end.
    pub request: Option<String>,
    /// Whether more text of that request may come.
    pub is_text: bool,
}

/// What a message of the core leaves out of its request, because only the edge knows it.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    pub request: &'a str,
    pub voice: &'a str,
    pub encoding: Encoding,
    pub rate_hz: u32,
    pub seed: u64,
    /// Chunks that were sent: of the request, or with `Closed` of all.
    pub n_sent: u64,
    /// Where the last of them ends.
    pub sent_until: u64,
    /// From the arrival of the request to its first chunk.
    pub first_chunk: Option<Duration>,
    /// From its turn until now.
    pub took: Duration,
}

/// What a client is told beside what the core has to say.
#[derive(Debug)]
pub enum Notice<'a> {
    Ready {
        session_id: &'a str,
        instance: &'a str,
        config: &'a SpeechOptions,
        limits: Limits,
    },
    VoiceRegistered(Voice),
    VoiceDeleted {
        voice: String,
    },
    Voices(Vec<Voice>),
    Draining {
        deadline: Duration,
    },
    Error {
        code: ErrorCode,
        message: String,
        recoverable: bool,
        /// The voice that it is about.
        voice: Option<String>,
    },
}

/// A frame for the client.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    Text(String),
    Binary(Bytes),
}

/// The vocabulary of one socket.
pub trait Dialect {
    /// What a text frame asks for.
    ///
    /// # Errors
    /// The client is told, and the session goes on.
    fn command(&mut self, text: &str) -> Result<Command, Misheard>;

    /// The frames for what the core says of a request, none if this vocabulary has no word for it. They are sent together.
    fn said(&mut self, message: Message, facts: &Facts<'_>) -> Vec<Frame>;

    /// The text frame for a notice, if this vocabulary has a word for it.
    fn notice(&mut self, notice: Notice<'_>) -> Option<String>;
}
