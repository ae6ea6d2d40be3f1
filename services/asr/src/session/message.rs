//! What a session tells its client, in no particular vocabulary.
//!
//! Positions are samples at 16 kHz from the start of the session; [`Clock`](super::Clock) turns them into the client's
//! time. Words alone carry seconds, already on the client's clock.

use super::ledger::Totals;
use crate::transcript::Word;

/// Counts the segments of a session from 1.
pub type SegmentId = u64;

/// Why a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnEndReason {
    /// Smart Turn judged it complete.
    SmartTurn,
    /// Silence, or no more audio.
    Silence,
    /// The client asked.
    Finalize,
    /// It was too long; speech goes on as the next turn.
    MaxDuration,
    /// The session ends.
    Close,
}

/// Why a segment has no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The recogniser failed on it.
    Transcription,
    /// The client dropped it by a reset.
    Reset,
}

/// The text of a segment so far.
#[derive(Clone, Debug, PartialEq)]
pub struct Partial {
    pub segment: SegmentId,
    /// Counts the partials of the segment from 1.
    pub revision: u64,
    /// Begins with `stable_text`, letter by letter.
    pub text: String,
    /// Only ever grows within a segment, letter by letter.
    pub stable_text: String,
    /// The end of the audio that the text covers.
    pub until: u64,
    /// In [0, 1].
    pub confidence: f32,
}

/// The text of a segment, for good.
#[derive(Clone, Debug, PartialEq)]
pub struct Final {
    pub segment: SegmentId,
    /// Begins with every `stable_text` of the segment, compared word by word without case and punctuation.
    /// Empty if the sound was no speech.
    pub text: String,
    /// Where the speech began.
    pub start: u64,
    /// Where the speech ended.
    pub end: u64,
    /// Empty if the recogniser gave none. Seconds on the client's clock.
    pub words: Vec<Word>,
    /// A code, or empty if nothing was recognised.
    pub language: String,
    pub language_probability: f32,
    /// In [0, 1].
    pub confidence: f32,
    /// In [0, 1].
    pub no_speech_prob: f32,
    /// Mean log-probability of the tokens.
    pub avg_logprob: f32,
}

/// What the client is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    SpeechStart {
        segment: SegmentId,
        at: u64,
    },
    Partial(Partial),
    SpeechEnd {
        segment: SegmentId,
        start: u64,
        end: u64,
    },
    Final(Box<Final>),
    /// In place of the `Final`: the segment has no text.
    Failed {
        segment: SegmentId,
        failure: Failure,
    },
    TurnEnd {
        /// The last segment of the turn.
        segment: SegmentId,
        /// Smart Turn's last word on the turn; `None` if it was not asked or could not say.
        probability: Option<f32>,
        reason: TurnEndReason,
    },
    Finalized {
        id: Option<String>,
    },
    ResetDone {
        /// In the client's samples.
        discarded: u64,
    },
    /// Always the last message: the session is over.
    Closed(Totals),
}
