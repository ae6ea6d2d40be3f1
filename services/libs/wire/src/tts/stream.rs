//! The messages of the WebSocket `GET /v1/stream/tts`.
//!
//! Invariants:
//! - Every binary frame is audio, and directly follows the `audio_chunk` that describes it. Clients send text frames only.
//! - Positions and lengths named `_sample` count samples at the rate of the request, from the first sample of the request.
//! - Every request gets exactly one of `synthesis_complete`, `cancelled` and an `error` with its `request_id`, and nothing after it.
//! - Audio of one request is never mixed with that of another: requests are answered in the order in which they came.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::options::SpeechOptions;
use super::rest::Voice;
use crate::error::ErrorCode;
use crate::round;
use crate::strict::{self, Rejected};

/// What a client may send as text.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientMessage {
    /// Speak a text that is all there.
    Synthesize(Box<Synthesize>),
    /// Speak a text that comes in pieces; the first piece begins the request.
    Text(Box<Text>),
    /// Speak what has come so far, though no sentence has ended.
    Flush(OfRequest),
    /// The text in pieces is complete.
    End(OfRequest),
    /// Stop speaking.
    Cancel(Cancel),
    /// Learn a voice from a recording.
    RegisterVoice(Box<RegisterVoice>),
    /// Tell the voices.
    ListVoices(Empty),
    /// Forget a voice.
    DeleteVoice(DeleteVoice),
    /// The client is there, though silent.
    Keepalive(Empty),
    /// Speak what is left, then close.
    Close(Empty),
}

/// `synthesize`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Synthesize {
    /// Names the request on this connection; the server makes one up if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// What to say.
    pub text: String,
    /// Samples at the start that the client has already: they are made and not sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skip_samples: Option<u64>,
    /// How to say it.
    #[serde(flatten)]
    pub options: SpeechOptions,
}

/// `text`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Text {
    /// The request that it belongs to.
    pub request_id: String,
    /// The next piece of what to say, cut anywhere.
    pub text: String,
    /// As in `synthesize`; in the first piece only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skip_samples: Option<u64>,
    /// How to say it; in the first piece, later ones may repeat it.
    #[serde(flatten)]
    pub options: SpeechOptions,
}

/// `flush` and `end`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfRequest {
    /// The request.
    pub request_id: String,
}

/// `cancel`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cancel {
    /// The request; every one of this connection if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// `register_voice`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegisterVoice {
    /// What the voice shall be called.
    pub voice_id: String,
    /// A recording of it as base64: a file of any kind that the server reads.
    pub reference_audio: String,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The language that is spoken in it, as a code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// How the speaker agreed to this use; kept with the voice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent: Option<String>,
    /// Whether a voice of that name may be replaced; without it the name must be free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replace: Option<bool>,
}

/// `delete_voice`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeleteVoice {
    /// The voice.
    pub voice_id: String,
}

/// A message without fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Empty {}

const CLIENT_TYPES: &str = "`synthesize`, `text`, `flush`, `end`, `cancel`, `register_voice`, `list_voices`, `delete_voice`, `keepalive`, `close`";

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
        if !text.trim_start().starts_with('{') {
            return Err(Rejected::new(
                ErrorCode::InvalidJson,
                format!(
                    "text frames must be JSON messages; expected an object whose `type` is one of {CLIENT_TYPES}"
                ),
            ));
        }
        let mut fields = strict::fields(text.as_bytes())?;
        let Some(Value::String(kind)) = fields.remove("type") else {
            return Err(Rejected::new(
                ErrorCode::UnknownMessage,
                format!("`type` is missing or not text; expected one of {CLIENT_TYPES}"),
            ));
        };
        let parsed = match kind.as_str() {
            "synthesize" => synthesize(fields).map(|it| Self::Synthesize(Box::new(it))),
            "text" => piece(fields).map(|it| Self::Text(Box::new(it))),
            "flush" => strict::rest(fields, &[]).map(Self::Flush),
            "end" => strict::rest(fields, &[]).map(Self::End),
            "cancel" => strict::rest(fields, &[]).map(Self::Cancel),
            "register_voice" => {
                strict::rest(fields, &[]).map(|it| Self::RegisterVoice(Box::new(it)))
            }
            "list_voices" => strict::rest(fields, &[]).map(Self::ListVoices),
            "delete_voice" => strict::rest(fields, &[]).map(Self::DeleteVoice),
            "keepalive" => strict::rest(fields, &[]).map(Self::Keepalive),
            "close" => strict::rest(fields, &[]).map(Self::Close),
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
        parsed.map_err(|it| Rejected::new(it.code, format!("`{kind}`: {it}")))
    }

    /// The request that a text frame which was not understood speaks of, so that its error can name it.
    #[must_use]
    pub fn request_of(text: &str) -> Option<String> {
        let mut fields = strict::fields(text.as_bytes()).ok()?;
        strict::take(&mut fields, "request_id").ok()?
    }
}

/// The fields of `synthesize` and `text` beside the options.
const REQUEST_FIELDS: &[&str] = &["request_id", "text", "skip_samples"];

fn synthesize(mut fields: Map<String, Value>) -> Result<Synthesize, Rejected> {
    Ok(Synthesize {
        request_id: strict::take(&mut fields, "request_id")?,
        text: required(&mut fields, "text")?,
        skip_samples: strict::take(&mut fields, "skip_samples")?,
        options: strict::rest(fields, REQUEST_FIELDS)?,
    })
}

fn piece(mut fields: Map<String, Value>) -> Result<Text, Rejected> {
    Ok(Text {
        request_id: required(&mut fields, "request_id")?,
        text: required(&mut fields, "text")?,
        skip_samples: strict::take(&mut fields, "skip_samples")?,
        options: strict::rest(fields, REQUEST_FIELDS)?,
    })
}

pub(super) fn required(fields: &mut Map<String, Value>, name: &str) -> Result<String, Rejected> {
    strict::take(fields, name)?.ok_or_else(|| {
        Rejected::new(
            ErrorCode::InvalidParameter,
            format!("missing field `{name}`"),
        )
    })
}

/// What the server sends as text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerMessage {
    /// The options in force; the first message.
    Ready(Box<Ready>),
    /// A request has its turn.
    SynthesisStarted(SynthesisStarted),
    /// Describes the binary frame that follows.
    AudioChunk(AudioChunk),
    /// All of a request was sent.
    SynthesisComplete(SynthesisComplete),
    /// Nothing more of a request will be sent.
    Cancelled(Cancelled),
    /// A voice was learnt.
    VoiceRegistered(Box<VoiceRegistered>),
    /// A voice was forgotten.
    VoiceDeleted(VoiceDeleted),
    /// The voices there are.
    VoiceList(VoicesKnown),
    /// The server is going down; take the next request elsewhere.
    Draining(Draining),
    /// Something went wrong.
    Error(StreamError),
    /// The last message: what became of every request.
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
    /// What a request that says nothing gets.
    pub config: SpeechOptions,
    /// What the server will bear.
    pub limits: Limits,
}

/// What one session may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The longest frame, in bytes.
    pub max_frame_bytes: u64,
    /// The longest text of a request, in characters.
    pub max_text_chars: u64,
    /// Requests that may be under way at a time, the one that is spoken among them.
    pub max_requests: u64,
    /// Silence on the socket that ends the session, in seconds.
    pub idle_timeout_s: u64,
}

/// `synthesis_started`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SynthesisStarted {
    /// The request.
    pub request_id: String,
    /// The characters of its text, as far as it has come.
    pub text_length: u64,
    /// How long that will be when spoken, roughly.
    pub estimated_duration_ms: u64,
    /// Who speaks.
    pub voice_id: String,
    /// How samples are written.
    pub encoding: super::Encoding,
    /// Samples a second.
    pub sample_rate: u32,
    /// The seed in effect; with it the same request gives the same speech again.
    pub seed: u64,
}

/// `audio_chunk`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AudioChunk {
    /// The request.
    pub request_id: String,
    /// Counts the chunks of the request from 1.
    pub chunk_id: u64,
    /// Where the chunk begins in the audio of the request; what was skipped counts.
    pub start_sample: u64,
    /// How many samples the binary frame holds.
    pub samples: u64,
    /// The same in milliseconds.
    #[serde(serialize_with = "round::seconds")]
    pub duration_ms: f64,
    /// Samples a second.
    pub sample_rate: u32,
    /// The sentence that is spoken begins at this character of the request's text.
    pub text_start: u64,
    /// And ends before this one.
    pub text_end: u64,
    /// Words that begin in this chunk, with times that are reckoned and not measured; absent if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub estimated_words: Vec<EstimatedWord>,
}

/// A word of an `audio_chunk`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EstimatedWord {
    /// Without surrounding spaces.
    pub word: String,
    /// In seconds from the first sample of the request.
    #[serde(serialize_with = "round::seconds")]
    pub start: f64,
    /// In seconds.
    #[serde(serialize_with = "round::seconds")]
    pub end: f64,
}

/// `synthesis_complete`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SynthesisComplete {
    /// The request.
    pub request_id: String,
    /// How long its audio is, what was skipped included.
    #[serde(serialize_with = "round::seconds")]
    pub total_duration_ms: f64,
    /// The same in samples.
    pub total_samples: u64,
    /// Samples of these that were not sent because the client had them.
    pub skipped_samples: u64,
    /// How many chunks were sent.
    pub chunks_sent: u64,
    /// Wall time from its turn to the last chunk, as a part of the audio's duration; below 1 is faster than speech.
    #[serde(serialize_with = "round::probability")]
    pub real_time_factor: f32,
    /// Wall time from the arrival of the request (or of the first of its text) to its first chunk; absent if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_chunk_ms: Option<u64>,
}

/// `cancelled`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancelled {
    /// The request.
    pub request_id: String,
    /// How many chunks were sent.
    pub chunks_sent: u64,
    /// Where the audio that was sent ends; what was skipped counts.
    pub end_sample: u64,
}

/// `voice_registered`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VoiceRegistered {
    /// What it is called; as in `voice`, at the top for those who look no further.
    pub voice_id: String,
    /// All about it.
    pub voice: Voice,
}

/// `voice_deleted`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoiceDeleted {
    /// What it was called.
    pub voice_id: String,
}

/// `voice_list`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VoicesKnown {
    /// In the order of their names.
    pub voices: Vec<Voice>,
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
    /// The request that this ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The voice that was not registered or deleted because of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voice_id: Option<String>,
}

/// `closed`: `requests = completed + cancelled + failed`, exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// All requests of this connection.
    pub requests: u64,
    /// Those with a `synthesis_complete`.
    pub completed: u64,
    /// Those with a `cancelled`.
    pub cancelled: u64,
    /// Those with an `error`.
    pub failed: u64,
    /// How many chunks were sent.
    pub chunks_sent: u64,
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
