//! What every service says when it refuses or fails: the closed set of codes, and the two shapes that carry one.
//!
//! Invariants:
//! - A code, once published, keeps its spelling and its meaning.
//! - There is a code of its own only for what a client would act differently on.
//! - What a code *costs* (status, close code, log level) is not said here: `chassis::api_error` holds that one table.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why something was refused or failed, in words that programs compare.
///
/// On the wire a code is its [`ErrorCode::as_str`], for example `AUDIO_TOO_LONG`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ErrorCode {
    /// The request is malformed in a way that no narrower code names.
    InvalidRequest,
    /// The text is not JSON, or is nested or sized beyond what is parsed.
    InvalidJson,
    /// A socket message has a `type` that this endpoint does not know, or none.
    UnknownMessage,
    /// A field or setting that this endpoint does not know.
    UnknownField,
    /// Well-formed, but the value is impossible: out of range, or at odds with another value.
    InvalidParameter,
    /// A binary frame where text is due, a text frame where binary is due, or a message at the wrong time.
    UnexpectedMessage,
    /// The bytes are not audio, or are audio that is damaged beyond reading.
    InvalidAudio,
    /// Audio of a kind that this server does not read.
    UnsupportedAudio,
    /// Some samples were not numbers, or half a sample was left over; the rest was used.
    InvalidSamples,
    /// The audio lasts longer than this server accepts.
    AudioTooLong,
    /// The audio, or what is left of it without silence, is too short to work with.
    AudioTooShort,
    /// Nobody speaks in the audio.
    NoSpeech,
    /// The text is longer than this server accepts.
    TextTooLong,
    /// The body of the request is larger than this server accepts.
    PayloadTooLarge,
    /// The socket frame or message is larger than this server accepts.
    FrameTooLarge,
    /// No model of that name is served here.
    UnknownModel,
    /// The model does not speak that language.
    UnknownLanguage,
    /// No voice of that name is known here.
    UnknownVoice,
    /// There is a voice of that name already.
    VoiceExists,
    /// No key, or a key that is not known.
    Unauthorized,
    /// The caller is known, and this is not theirs to do.
    Forbidden,
    /// Nothing lives at that address.
    NotFound,
    /// Something lives at that address, but it does not answer that method.
    MethodNotAllowed,
    /// This caller asks too often; others are served.
    RateLimited,
    /// The client was too slow to send its request.
    RequestTimeout,
    /// The work was not done in the time allowed for it.
    Timeout,
    /// Every place for a connection is taken.
    AtCapacity,
    /// The model's queue is full or too slow.
    Overloaded,
    /// The server is shutting down; another instance will serve.
    Draining,
    /// The server is starting and cannot serve yet.
    NotReady,
    /// The client does not read what it is sent.
    SlowConsumer,
    /// Nothing was sent for longer than this server waits.
    IdleTimeout,
    /// The peer broke the WebSocket protocol.
    ProtocolError,
    /// Fetching audio from that address is not allowed.
    UrlForbidden,
    /// The address could not be fetched.
    UrlFailed,
    /// The recogniser failed on this piece of audio.
    TranscriptionFailed,
    /// The synthesiser failed on this piece of text.
    SynthesisFailed,
    /// What is kept could not be read or written; nothing was changed.
    StorageFailed,
    /// There is no room to keep more; nothing was changed.
    StorageFull,
    /// A fault of ours that no narrower code names.
    Internal,
}

impl ErrorCode {
    /// Every code, in the order of their declaration.
    pub const ALL: [ErrorCode; 40] = [
        ErrorCode::InvalidRequest,
        ErrorCode::InvalidJson,
        ErrorCode::UnknownMessage,
        ErrorCode::UnknownField,
        ErrorCode::InvalidParameter,
        ErrorCode::UnexpectedMessage,
        ErrorCode::InvalidAudio,
        ErrorCode::UnsupportedAudio,
        ErrorCode::InvalidSamples,
        ErrorCode::AudioTooLong,
        ErrorCode::AudioTooShort,
        ErrorCode::NoSpeech,
        ErrorCode::TextTooLong,
        ErrorCode::PayloadTooLarge,
        ErrorCode::FrameTooLarge,
        ErrorCode::UnknownModel,
        ErrorCode::UnknownLanguage,
        ErrorCode::UnknownVoice,
        ErrorCode::VoiceExists,
        ErrorCode::Unauthorized,
        ErrorCode::Forbidden,
        ErrorCode::NotFound,
        ErrorCode::MethodNotAllowed,
        ErrorCode::RateLimited,
        ErrorCode::RequestTimeout,
        ErrorCode::Timeout,
        ErrorCode::AtCapacity,
        ErrorCode::Overloaded,
        ErrorCode::Draining,
        ErrorCode::NotReady,
        ErrorCode::SlowConsumer,
        ErrorCode::IdleTimeout,
        ErrorCode::ProtocolError,
        ErrorCode::UrlForbidden,
        ErrorCode::UrlFailed,
        ErrorCode::TranscriptionFailed,
        ErrorCode::SynthesisFailed,
        ErrorCode::StorageFailed,
        ErrorCode::StorageFull,
        ErrorCode::Internal,
    ];

    /// The spelling on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorCode::InvalidRequest => "INVALID_REQUEST",
            ErrorCode::InvalidJson => "INVALID_JSON",
            ErrorCode::UnknownMessage => "UNKNOWN_MESSAGE",
            ErrorCode::UnknownField => "UNKNOWN_FIELD",
            ErrorCode::InvalidParameter => "INVALID_PARAMETER",
            ErrorCode::UnexpectedMessage => "UNEXPECTED_MESSAGE",
            ErrorCode::InvalidAudio => "INVALID_AUDIO",
            ErrorCode::UnsupportedAudio => "UNSUPPORTED_AUDIO",
            ErrorCode::InvalidSamples => "INVALID_SAMPLES",
            ErrorCode::AudioTooLong => "AUDIO_TOO_LONG",
            ErrorCode::AudioTooShort => "AUDIO_TOO_SHORT",
            ErrorCode::NoSpeech => "NO_SPEECH",
            ErrorCode::TextTooLong => "TEXT_TOO_LONG",
            ErrorCode::PayloadTooLarge => "PAYLOAD_TOO_LARGE",
            ErrorCode::FrameTooLarge => "FRAME_TOO_LARGE",
            ErrorCode::UnknownModel => "UNKNOWN_MODEL",
            ErrorCode::UnknownLanguage => "UNKNOWN_LANGUAGE",
            ErrorCode::UnknownVoice => "UNKNOWN_VOICE",
            ErrorCode::VoiceExists => "VOICE_EXISTS",
            ErrorCode::Unauthorized => "UNAUTHORIZED",
            ErrorCode::Forbidden => "FORBIDDEN",
            ErrorCode::NotFound => "NOT_FOUND",
            ErrorCode::MethodNotAllowed => "METHOD_NOT_ALLOWED",
            ErrorCode::RateLimited => "RATE_LIMITED",
            ErrorCode::RequestTimeout => "REQUEST_TIMEOUT",
            ErrorCode::Timeout => "TIMEOUT",
            ErrorCode::AtCapacity => "AT_CAPACITY",
            ErrorCode::Overloaded => "OVERLOADED",
            ErrorCode::Draining => "DRAINING",
            ErrorCode::NotReady => "NOT_READY",
            ErrorCode::SlowConsumer => "SLOW_CONSUMER",
            ErrorCode::IdleTimeout => "IDLE_TIMEOUT",
            ErrorCode::ProtocolError => "PROTOCOL_ERROR",
            ErrorCode::UrlForbidden => "URL_FORBIDDEN",
            ErrorCode::UrlFailed => "URL_FAILED",
            ErrorCode::TranscriptionFailed => "TRANSCRIPTION_FAILED",
            ErrorCode::SynthesisFailed => "SYNTHESIS_FAILED",
            ErrorCode::StorageFailed => "STORAGE_FAILED",
            ErrorCode::StorageFull => "STORAGE_FULL",
            ErrorCode::Internal => "INTERNAL",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The body of every HTTP answer that is not a success: `{"error":{…}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ErrorDetail,
}

/// What went wrong, in the fields that clients of OpenAI's API read, and `recoverable`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorDetail {
    /// For programs.
    pub code: ErrorCode,
    /// For people: what, the limit, the given value, what to do.
    pub message: String,
    /// The family, in OpenAI's words, for example `invalid_request_error`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The parameter at fault, or null.
    #[serde(default)]
    pub param: Option<String>,
    /// Whether the same request may succeed later, unchanged.
    pub recoverable: bool,
}

/// The message that a WebSocket carries when something goes wrong: `{"type":"error",…}`.
///
/// When `recoverable` is false, a close frame follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "error")]
pub struct ErrorMessage {
    /// For programs.
    pub code: ErrorCode,
    /// For people: what, the limit, the given value, what to do.
    pub message: String,
    /// Whether the session goes on.
    pub recoverable: bool,
    /// The segment that this error ends, if it ends one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment_id: Option<u64>,
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn serde_and_as_str_spell_alike() {
        for code in ErrorCode::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
            let back: ErrorCode = serde_json::from_value(code.as_str().into()).unwrap();
            assert_eq!(back, code);
        }
    }

    #[test]
    fn all_lists_each_code_once_in_order() {
        for (place, code) in ErrorCode::ALL.iter().enumerate() {
            assert_eq!(*code as usize, place, "{code} is out of place");
        }
        assert_eq!(ErrorCode::ALL.len(), ErrorCode::Internal as usize + 1);
    }

    #[test]
    fn an_http_error_reads_like_openai_s() {
        let body = ErrorBody {
            error: ErrorDetail {
                code: ErrorCode::AudioTooLong,
                message: "too long".to_owned(),
                kind: "invalid_request_error".to_owned(),
                param: Some("file".to_owned()),
                recoverable: false,
            },
        };
        expect![[r#"{"error":{"code":"AUDIO_TOO_LONG","message":"too long","type":"invalid_request_error","param":"file","recoverable":false}}"#]]
            .assert_eq(&serde_json::to_string(&body).unwrap());
    }

    #[test]
    fn a_socket_error_names_its_segment_only_if_it_has_one() {
        let mut message = ErrorMessage {
            code: ErrorCode::TranscriptionFailed,
            message: "failed".to_owned(),
            recoverable: true,
            segment_id: Some(3),
        };
        expect![[r#"{"type":"error","code":"TRANSCRIPTION_FAILED","message":"failed","recoverable":true,"segment_id":3}"#]]
            .assert_eq(&serde_json::to_string(&message).unwrap());
        message.segment_id = None;
        expect![[r#"{"type":"error","code":"TRANSCRIPTION_FAILED","message":"failed","recoverable":true}"#]]
            .assert_eq(&serde_json::to_string(&message).unwrap());
    }
}
