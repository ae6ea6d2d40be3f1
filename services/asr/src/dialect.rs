//! Vocabularies of the outside: pure translators to and from the core.
//!
//! Invariants:
//! - Pure. A dialect neither awaits nor decides; it says the same thing in other words.
//! - A vocabulary is one file here. The edge ([`crate::stream`]) is written against [`Dialect`] alone.

pub mod languages;
pub mod native;
pub mod openai_rest;
pub mod subtitles;

use std::time::Duration;

use wire::asr::StreamConfig;
use wire::asr::stream::Limits;
use wire::error::ErrorMessage;

use crate::error::AsrError;
use crate::options::StreamOptions;
use crate::session::{Message, Progress};

/// What a client asks of a stream.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Options; only before the first audio.
    Configure(Box<StreamConfig>),
    Finalize {
        id: Option<String>,
    },
    Reset,
    Keepalive,
    Close,
}

/// What a client is told beside what the core has to say.
#[derive(Debug)]
pub enum Notice<'a> {
    Ready {
        session_id: &'a str,
        instance: &'a str,
        options: &'a StreamOptions,
        limits: Limits,
    },
    Progress(Progress),
    Draining {
        deadline: Duration,
    },
    Error(ErrorMessage),
}

/// The vocabulary of one socket.
pub trait Dialect {
    /// What a text frame asks for.
    ///
    /// # Errors
    /// The client is told, and the session goes on.
    fn command(&mut self, text: &str) -> Result<Command, AsrError>;

    /// The text frame for what the core says, if this vocabulary has a word for it. `latency` is the wall time from the end of
    /// the speech to now, where the message is a final.
    fn said(
        &mut self,
        message: Message,
        options: &StreamOptions,
        latency: Duration,
    ) -> Option<String>;

    /// The text frame for a notice, if this vocabulary has a word for it.
    fn notice(&mut self, notice: Notice<'_>) -> Option<String>;
}

#[cfg(test)]
pub(crate) mod tests {
    //! Transcripts for the tests of the dialects.

    use crate::transcript::{Segment, Transcript, Word};

    pub(crate) fn segment(start: f64, end: f64, text: &str) -> Segment {
        Segment {
            id: 1,
            seek: 0,
            start,
            end,
            text: text.to_owned(),
            tokens: vec![50_364, 440],
            avg_logprob: -0.28,
            compression_ratio: 1.2,
            no_speech_prob: 0.01,
            temperature: 0.0,
            words: None,
        }
    }

    pub(crate) fn word(word: &str, start: f64, end: f64) -> Word {
        Word {
            word: word.to_owned(),
            start,
            end,
            probability: 0.9,
        }
    }

    pub(crate) fn transcript() -> Transcript {
        Transcript {
            segments: vec![
                segment(0.0, 1.5, " Turn on the light."),
                segment(2.0, 2.5, " Now."),
            ],
            language: "en".to_owned(),
            language_probability: 1.0,
            duration_s: 3.25,
            ..Transcript::default()
        }
    }
}
