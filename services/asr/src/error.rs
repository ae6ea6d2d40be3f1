//! Everything that can go wrong in this service, and whose fault it is.
//!
//! Invariants:
//! - One variant for each fault that a reader would act differently on; the code of each is decided here, without a wildcard.
//! - A message says what is wrong, the limit and the given value, and what to do if we know.

use audio::container::DecodeError;
use batcher::{CallError, SubmitError};
use chassis::api_error::Classify;
use wire::error::ErrorCode;
use wire::strict::Rejected;

use crate::recognizer::RecognizeError;

/// A failure of this service.
#[derive(Debug, thiserror::Error)]
pub enum AsrError {
    /// A text, query or form that was not understood.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// A value that is impossible, or at odds with another.
    #[error("{message}")]
    Parameter {
        /// By the name the client gave it.
        name: &'static str,
        /// With limit and given value.
        message: String,
    },
    /// The request as a whole is malformed.
    #[error("{0}")]
    Malformed(String),
    /// No such model here.
    #[error("no model named `{given}` is served here; served: {served}")]
    UnknownModel {
        /// What was asked for.
        given: String,
        /// What there is.
        served: String,
    },
    /// The model does not speak the language.
    #[error("`language` must be `auto` or one of {known}. Given: {given:?}")]
    UnknownLanguage {
        /// What was asked for.
        given: String,
        /// What there is.
        known: String,
    },
    /// The upload is not usable audio.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The body is too large.
    #[error("the upload is larger than {limit} bytes, the most accepted here")]
    TooLarge {
        /// In bytes.
        limit: u64,
    },
    /// A model has no place for the work.
    #[error("the {model} is busy; try again soon")]
    Busy {
        /// Which one.
        model: &'static str,
    },
    /// A model took too long to begin.
    #[error("the {model} did not get to it in time")]
    Expired {
        /// Which one.
        model: &'static str,
    },
    /// A model failed on this input.
    #[error("the {model} failed on this audio")]
    Failed {
        /// Which one.
        model: &'static str,
        /// For the log.
        #[source]
        cause: BoxError,
    },
    /// A model is gone; the process is about to end.
    #[error("the {model} has stopped")]
    Stopped {
        /// Which one.
        model: &'static str,
    },
    /// An address may not be fetched.
    #[error("{0}")]
    UrlForbidden(String),
    /// An address could not be fetched.
    #[error("{message}")]
    UrlFailed {
        /// For the client.
        message: String,
        /// For the log.
        #[source]
        cause: Option<BoxError>,
    },
}

/// A cause that only the log sees.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Classify for AsrError {
    fn code(&self) -> ErrorCode {
        match self {
            AsrError::Rejected(rejected) => rejected.code,
            AsrError::Parameter { .. } => ErrorCode::InvalidParameter,
            AsrError::Malformed(_) => ErrorCode::InvalidRequest,
            AsrError::UnknownModel { .. } => ErrorCode::UnknownModel,
            AsrError::UnknownLanguage { .. } => ErrorCode::UnknownLanguage,
            AsrError::Decode(error) => decode_code(error),
            AsrError::TooLarge { .. } => ErrorCode::PayloadTooLarge,
            AsrError::Busy { .. } => ErrorCode::Overloaded,
            AsrError::Expired { .. } => ErrorCode::Timeout,
            AsrError::Failed { .. } => ErrorCode::TranscriptionFailed,
            AsrError::Stopped { .. } => ErrorCode::Internal,
            AsrError::UrlForbidden(_) => ErrorCode::UrlForbidden,
            AsrError::UrlFailed { .. } => ErrorCode::UrlFailed,
        }
    }

    fn param(&self) -> Option<&str> {
        match self {
            AsrError::Parameter { name, .. } => Some(name),
            AsrError::UnknownModel { .. } => Some("model"),
            AsrError::UnknownLanguage { .. } => Some("language"),
            AsrError::Decode(_) | AsrError::TooLarge { .. } => Some("file"),
            AsrError::UrlForbidden(_) | AsrError::UrlFailed { .. } => Some("audio_url"),
            AsrError::Rejected(_)
            | AsrError::Malformed(_)
            | AsrError::Busy { .. }
            | AsrError::Expired { .. }
            | AsrError::Failed { .. }
            | AsrError::Stopped { .. } => None,
        }
    }
}

fn decode_code(error: &DecodeError) -> ErrorCode {
    match error {
        DecodeError::Empty
        | DecodeError::NotAudio
        | DecodeError::Truncated { .. }
        | DecodeError::Malformed { .. }
        | DecodeError::NoAudioTrack { .. }
        | DecodeError::NoSamples { .. } => ErrorCode::InvalidAudio,
        DecodeError::UnsupportedCodec { .. } => ErrorCode::UnsupportedAudio,
        DecodeError::Rate { .. } | DecodeError::Channels { .. } => ErrorCode::InvalidParameter,
        DecodeError::TooLong { .. } => ErrorCode::AudioTooLong,
        DecodeError::NotFinite { .. } => ErrorCode::InvalidSamples,
    }
}

impl AsrError {
    /// A parameter with an impossible value: `rule` completes "`name` must ...".
    pub fn parameter(
        name: &'static str,
        rule: impl std::fmt::Display,
        given: impl std::fmt::Debug,
    ) -> AsrError {
        AsrError::Parameter {
            name,
            message: format!("`{name}` must {rule}. Given: {given:?}"),
        }
    }

    /// A refusal by the queue of `model`.
    pub fn refused(model: &'static str, error: SubmitError) -> AsrError {
        match error {
            SubmitError::Full { .. } => AsrError::Busy { model },
            SubmitError::Stopped => AsrError::Stopped { model },
        }
    }

    /// A job of `model` that came to nothing.
    pub fn called<E: std::error::Error + Send + Sync + 'static>(
        model: &'static str,
        error: CallError<E>,
    ) -> AsrError {
        match error {
            CallError::Expired => AsrError::Expired { model },
            CallError::Stopped => AsrError::Stopped { model },
            CallError::Failed(_)
            | CallError::Panicked
            | CallError::Miscounted { .. }
            | CallError::Replaced => AsrError::Failed {
                model,
                cause: Box::new(error),
            },
        }
    }
}

impl From<RecognizeError> for AsrError {
    fn from(error: RecognizeError) -> AsrError {
        const MODEL: &str = "recogniser";
        match error {
            RecognizeError::Language { given, known, .. } => {
                AsrError::UnknownLanguage { given, known }
            }
            RecognizeError::Option { option, .. } => AsrError::Parameter {
                name: option,
                message: error.to_string(),
            },
            RecognizeError::Refused(error) => AsrError::refused(MODEL, error),
            RecognizeError::Failed(error) => AsrError::called(MODEL, error),
            RecognizeError::Features | RecognizeError::Mismatch => AsrError::Failed {
                model: MODEL,
                cause: Box::new(error),
            },
        }
    }
}
