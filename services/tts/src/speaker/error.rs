//! Why a sentence was not spoken to its end, and what that means for who asked.

use batcher::{CallError, SubmitError};

use crate::{models::onnx::RunError, vocode::DecodedError};

/// A sentence has no sound, or no more.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SpeakError {
    #[error("the speech model is busy: {0}")]
    Refused(#[from] SubmitError),
    #[error("the language model failed: {0}")]
    LanguageModel(#[source] CallError<RunError>),
    #[error("the decoder failed: {0}")]
    Decoder(#[source] CallError<RunError>),
    #[error(transparent)]
    Decoded(#[from] DecodedError),
    #[error("the watermark failed: {0}")]
    Watermark(#[source] CallError<RunError>),
}

/// What is to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is wrong but the time: it may be tried again.
    Busy,
    /// A model could not do it.
    Failed,
    /// The server stops, or a model has.
    Stopped,
    /// It waited for too long.
    Expired,
}

impl SpeakError {
    pub fn fault(&self) -> Fault {
        match self {
            SpeakError::Refused(SubmitError::Full { .. }) => Fault::Busy,
            SpeakError::Refused(SubmitError::Stopped) => Fault::Stopped,
            SpeakError::LanguageModel(error)
            | SpeakError::Decoder(error)
            | SpeakError::Watermark(error) => match error {
                CallError::Failed(_) | CallError::Panicked | CallError::Miscounted { .. } => {
                    Fault::Failed
                }
                CallError::Expired | CallError::Replaced => Fault::Expired,
                CallError::Stopped => Fault::Stopped,
            },
            SpeakError::Decoded(_) => Fault::Failed,
        }
    }
}
