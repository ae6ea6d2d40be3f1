//! Everything that can go wrong in this service, and whose fault it is.
//!
//! Invariants:
//! - One variant for each fault that a reader would act differently on; the code of each is decided here, without a wildcard.
//! - A message says what is wrong, the limit and the given value, and what to do if we know.

use batcher::SubmitError;
use chassis::api_error::Classify;
use wire::error::ErrorCode;
use wire::strict::Rejected;

use crate::models::chatterbox::PromptError;
use crate::options::OptionsError;
use crate::render::RenderError;
use crate::speaker::{Fault, SpeakError};
use crate::text::TextError;
use crate::voices::VoiceError;

/// A failure of this service.
#[derive(Debug, thiserror::Error)]
pub enum TtsError {
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
    /// An option that cannot be had.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// A form that audio cannot be had in.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// The text cannot be spoken.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The model cannot say the text.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// Something about voices.
    #[error(transparent)]
    Voice(#[from] VoiceError),
    /// The speech is longer than one request may have.
    #[error(
        "the speech is longer than {limit_s} s, the most of one request; send the text in several"
    )]
    TooLong {
        /// In seconds.
        limit_s: u32,
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
    /// A model failed on this text.
    #[error("the {model} failed on this text")]
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
    /// The voices have not been read yet.
    #[error("the server is starting: waiting for the voices")]
    NotReady,
}

/// A cause that only the log sees.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Classify for TtsError {
    fn code(&self) -> ErrorCode {
        match self {
            TtsError::Rejected(rejected) => rejected.code,
            TtsError::Parameter { .. } => ErrorCode::InvalidParameter,
            TtsError::Malformed(_) => ErrorCode::InvalidRequest,
            TtsError::Options(error) => error.code(),
            TtsError::Render(error) => match error {
                RenderError::SampleRate { .. } | RenderError::Speed { .. } => {
                    ErrorCode::InvalidParameter
                }
                RenderError::Encoder { .. } => ErrorCode::SynthesisFailed,
            },
            TtsError::Text(TextError::NothingToSay { .. }) => ErrorCode::InvalidParameter,
            TtsError::Text(TextError::TooLong { .. }) | TtsError::TooLong { .. } => {
                ErrorCode::TextTooLong
            }
            TtsError::Prompt(error) => match error {
                PromptError::UnknownLanguage { .. } => ErrorCode::UnknownLanguage,
                PromptError::Nothing | PromptError::NeedsDictionary { .. } => {
                    ErrorCode::InvalidParameter
                }
                PromptError::TooLong { .. } => ErrorCode::TextTooLong,
                PromptError::Tokenizer(_) => ErrorCode::SynthesisFailed,
            },
            TtsError::Voice(error) => error.code(),
            TtsError::Busy { .. } => ErrorCode::Overloaded,
            TtsError::Expired { .. } => ErrorCode::Timeout,
            TtsError::Failed { .. } => ErrorCode::SynthesisFailed,
            TtsError::Stopped { .. } => ErrorCode::Internal,
            TtsError::NotReady => ErrorCode::NotReady,
        }
    }

    fn param(&self) -> Option<&str> {
        match self {
            TtsError::Parameter { name, .. } => Some(name),
            TtsError::Options(error) => error.param(),
            TtsError::Render(error) => match error {
                RenderError::SampleRate { .. } => Some("sample_rate"),
                RenderError::Speed { .. } => Some("speed"),
                RenderError::Encoder { .. } => None,
            },
            TtsError::Prompt(PromptError::UnknownLanguage { .. }) => Some("language"),
            TtsError::Text(_) | TtsError::Prompt(_) | TtsError::TooLong { .. } => Some("text"),
            TtsError::Voice(error) => error.param(),
            TtsError::Rejected(_)
            | TtsError::Malformed(_)
            | TtsError::Busy { .. }
            | TtsError::Expired { .. }
            | TtsError::Failed { .. }
            | TtsError::Stopped { .. }
            | TtsError::NotReady => None,
        }
    }
}

impl TtsError {
    /// A parameter with an impossible value: `rule` completes "`name` must ...".
    pub fn parameter(
        name: &'static str,
        rule: impl std::fmt::Display,
        given: impl std::fmt::Debug,
    ) -> TtsError {
        TtsError::Parameter {
            name,
            message: format!("`{name}` must {rule}. Given: {given:?}"),
        }
    }

    /// A refusal by the queue of `model`.
    pub fn refused(model: &'static str, error: SubmitError) -> TtsError {
        match error {
            SubmitError::Full { .. } => TtsError::Busy { model },
            SubmitError::Stopped => TtsError::Stopped { model },
        }
    }
}

impl From<SpeakError> for TtsError {
    fn from(error: SpeakError) -> TtsError {
        let model = match &error {
            SpeakError::Watermark(_) => "watermark",
            SpeakError::Refused(_)
            | SpeakError::LanguageModel(_)
            | SpeakError::Decoder(_)
            | SpeakError::Decoded(_) => "speech model",
        };
        match error.fault() {
            Fault::Busy => TtsError::Busy { model },
            Fault::Expired => TtsError::Expired { model },
            Fault::Stopped => TtsError::Stopped { model },
            Fault::Failed => TtsError::Failed {
                model,
                cause: Box::new(error),
            },
        }
    }
}
