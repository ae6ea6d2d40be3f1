//! The messages of the WebSocket `GET /v1/stream/asr`.
//!
//! Invariants:
//! - Binary frames are audio and text frames are these messages; nothing else is sent either way.
//! - Times are seconds from the first sample of the stream (`start_sample` included); `_sample` counts the client's own samples.
//! - Every message that carries a transcript has a top-level `text`.
//! - Every `speech_start` is followed by exactly one `final` or `error` with its `segment_id`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::config::StreamConfig;
use crate::error::ErrorCode;
use crate::round;
use crate::strict::{self, Rejected};

/// What a client may send as text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientMessage {
    /// Options; only before the first audio.
    Config(Box<StreamConfig>),
    /// End the turn now.
    Finalize(Finalize),
    /// Forget the audio that is not delivered yet.
    Reset(Empty),
    /// The client is there, though silent.
    Keepalive(Empty),
    /// Deliver what is left, then close.
    Close(Empty),
}

/// `finalize`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finalize {
    /// Comes back in `finalized`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// A message without fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Empty {}

const CLIENT_TYPES: &str = "`config`, `finalize`, `reset`, `keepalive`, `close`";

impl ClientMessage {
    /// Reads one text frame.
    ///
    /// # Errors
    /// Says whether it was no JSON, an unknown `type`, or a field of a known one.
    pub fn parse(text: &str) -> Result<Self, Rejected> {
        if text.trim().is_empty() {
            return Err(Rejected::new(
                ErrorCode::InvalidJson,
                format!(
                    "the text frame is empty; expected a JSON object whose `type` is one of {CLIENT_TYPES}"
                ),
            ));
        }
        let value: Value = serde_json::from_str(text).map_err(|error| {
            Rejected::new(
                ErrorCode::InvalidJson,
                format!(
                    "text frames must be JSON messages, audio belongs in binary frames: {error}"
                ),
            )
        })?;
        let Value::Object(mut fields) = value else {
            return Err(Rejected::new(
                ErrorCode::InvalidJson,
                format!("expected a JSON object whose `type` is one of {CLIENT_TYPES}"),
            ));
        };
        let Some(Value::String(kind)) = fields.remove("type") else {
            return Err(Rejected::new(
                ErrorCode::UnknownMessage,
                format!("`type` is missing or not text; expected one of {CLIENT_TYPES}"),
            ));
        };
        let fields = Value::Object(fields);
        let parsed = match kind.as_str() {
            "config" => serde_json::from_value(fields).map(|it| Self::Config(Box::new(it))),
            "finalize" => serde_json::from_value(fields).map(Self::Finalize),
            "reset" => serde_json::from_value(fields).map(Self::Reset),
            "keepalive" => serde_json::from_value(fields).map(Self::Keepalive),
            "close" => serde_json::from_value(fields).map(Self::Close),
            unknown => {
                let unknown: String = unknown.chars().take(40).collect();
                return Err(Rejected::new(
                    ErrorCode::UnknownMessage,
                    format!(
                        "unknown message type. Given: {unknown:?}; expected one of {CLIENT_TYPES}"
                    ),
                ));
            }
        };
        parsed.map_err(|error| strict::field(&error, &format!("`{kind}`: ")))
    }
}

/// What the server sends as text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerMessage {
    /// The options in force; sent after the upgrade and after each `config`.
    Ready(Box<Ready>),
    /// Somebody speaks.
    SpeechStart(SpeechStart),
    /// The text so far.
    Partial(Partial),
    /// The speech of a segment has ended.
    SpeechEnd(SpeechEnd),
    /// The text of a segment, for good.
    Final(Box<Final>),
    /// The speaker has finished.
    TurnEnd(TurnEnd),
    /// How far the server is.
    Progress(Progress),
    /// Answers `finalize`.
    Finalized(Finalized),
    /// Answers `reset`.
    ResetDone(ResetDone),
    /// The server is going down; take the next turn elsewhere.
    Draining(Draining),
    /// Something went wrong.
    Error(StreamError),
    /// The last message: where every sample went.
    Closed(Closed),
}

/// `ready`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ready {
    /// Names this session in logs and support.
    pub session_id: String,
    /// Names the server process.
    pub instance: String,
    /// The version of this protocol.
    pub protocol: u32,
    /// The options in force, all filled in.
    pub config: StreamConfig,
    /// What the server will bear.
    pub limits: Limits,
}

/// What one session may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The longest frame, in bytes.
    pub max_frame_bytes: u64,
    /// Audio that may wait before the server stops reading the socket, in seconds.
    pub max_buffer_seconds: u64,
    /// Silence on the socket that ends the session, in seconds.
    pub idle_timeout_s: u64,
}

/// `speech_start`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpeechStart {
    /// Counts segments from 1.
    pub segment_id: u64,
    /// When the speech began, in seconds.
    #[serde(serialize_with = "round::seconds")]
    pub timestamp: f64,
}

/// `partial`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Partial {
    /// The segment that it belongs to.
    pub segment_id: u64,
    /// Counts the partials of the segment from 1.
    pub revision: u64,
    /// The whole text so far; may change.
    pub text: String,
    /// The part of it that will not change.
    pub stable_text: String,
    /// The end of the audio that it covers, in seconds.
    #[serde(serialize_with = "round::seconds")]
    pub timestamp: f64,
    /// 0 to 1.
    #[serde(serialize_with = "round::probability")]
    pub confidence: f32,
}

/// `speech_end`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpeechEnd {
    /// The segment that ended.
    pub segment_id: u64,
    /// When the speech ended, in seconds.
    #[serde(serialize_with = "round::seconds")]
    pub timestamp: f64,
    /// How long it was, in seconds.
    #[serde(serialize_with = "round::seconds")]
    pub duration: f64,
}

/// `final`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Final {
    /// The segment.
    pub segment_id: u64,
    /// Its text; empty if the sound was no speech.
    pub text: String,
    /// When the speech began, in seconds.
    #[serde(serialize_with = "round::seconds")]
    pub start_time: f64,
    /// When it ended, in seconds.
    #[serde(serialize_with = "round::seconds")]
    pub end_time: f64,
    /// The same end in the client's samples.
    pub end_sample: u64,
    /// The language spoken, as a code.
    pub language: String,
    /// 0 to 1.
    #[serde(serialize_with = "round::probability")]
    pub confidence: f32,
    /// The model's doubt that this was speech, 0 to 1.
    #[serde(serialize_with = "round::probability")]
    pub no_speech_prob: f32,
    /// The words, if `enable_timestamps` asks for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<Vec<StreamWord>>,
    /// From the end of the speech to the sending of this message, in milliseconds of wall time.
    pub latency_ms: u64,
}

/// A word of a `final`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamWord {
    /// Without surrounding spaces.
    pub word: String,
    /// In seconds.
    #[serde(serialize_with = "round::seconds")]
    pub start: f64,
    /// In seconds.
    #[serde(serialize_with = "round::seconds")]
    pub end: f64,
    /// 0 to 1.
    #[serde(serialize_with = "round::probability")]
    pub confidence: f32,
}

/// Why a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnEndReason {
    /// Smart Turn judged it complete.
    SmartTurn,
    /// Silence.
    Silence,
    /// The client asked.
    Finalize,
    /// It was too long.
    MaxDuration,
    /// The session ends.
    Close,
}

/// `turn_end`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TurnEnd {
    /// The last segment of the turn.
    pub segment_id: u64,
    /// Smart Turn's last word on it, 0 to 1; absent if it was not asked.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "round::probability_if_any"
    )]
    pub probability: Option<f32>,
    /// Why.
    pub reason: TurnEndReason,
}

/// `progress`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The position after the last sample received.
    pub received_sample: u64,
    /// Everything before this position is delivered; resume from here.
    pub safe_sample: u64,
    /// Audio received and not yet looked at, in milliseconds.
    pub queued_ms: u64,
}

/// `finalized`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finalized {
    /// The id of the `finalize`, if it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// `reset_done`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResetDone {
    /// Samples that will get no text.
    pub discarded_samples: u64,
}

/// `draining`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draining {
    /// The connection is cut after this long, in milliseconds.
    pub deadline_ms: u64,
}

/// `error`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamError {
    /// A stable name of the mistake.
    pub code: ErrorCode,
    /// What happened and what to do, for a person.
    pub message: String,
    /// Whether the session goes on; if not, a close frame follows.
    pub recoverable: bool,
    /// The segment that has no text because of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment_id: Option<u64>,
}

/// `closed`: `received = transcribed + silence + discarded`, exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// All samples received, on the client's clock.
    pub received_samples: u64,
    /// Samples whose speech went into a `final`.
    pub transcribed_samples: u64,
    /// Samples in which nobody spoke.
    pub silence_samples: u64,
    /// Samples dropped by `reset` or with an `error`.
    pub discarded_samples: u64,
    /// How many segments there were.
    pub segments: u64,
}

impl ServerMessage {
    /// The message as the text of a frame.
    #[must_use]
    pub fn to_text(&self) -> String {
        // Plain structs with text keys: serialising them cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
