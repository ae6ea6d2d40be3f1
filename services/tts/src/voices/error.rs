//! Everything that can go wrong with voices, and whose fault it is.
//!
//! Invariants:
//! - One variant for each fault that a reader would act differently on; the code of each is decided here, without a wildcard.
//! - Cloning is cheap: one failed piece of work is told to everybody who waited for it.

use std::error::Error;
use std::sync::Arc;

use batcher::{CallError, SubmitError};
use chassis::api_error::Classify;
use wire::error::ErrorCode;

use super::id::{InvalidId, VoiceId};
use super::reference::ReferenceError;

/// A cause that only the log sees.
pub type Cause = Arc<dyn Error + Send + Sync>;

/// A failure around voices.
#[derive(Clone, Debug, thiserror::Error)]
pub enum VoiceError {
    /// Not an id.
    #[error(transparent)]
    Id(#[from] InvalidId),
    /// No such voice.
    #[error("no voice is named {given}; there are {known}")]
    Unknown {
        /// What was asked for, in backticks, and what it stands for.
        given: String,
        /// Some of what there is.
        known: String,
    },
    /// The id is taken.
    #[error("there is a voice `{id}` already; delete it first, or choose another id")]
    Exists {
        /// The id.
        id: VoiceId,
    },
    /// The voice came with the model.
    #[error("the voice `{id}` came with the model and cannot be changed")]
    BuiltIn {
        /// The id.
        id: VoiceId,
    },
    /// Somebody else's voice.
    #[error("the voice `{id}` was registered with another API key, and only that may change it")]
    NotOwner {
        /// The id.
        id: VoiceId,
    },
    /// A text beside the audio is not acceptable.
    #[error("`{name}` must {rule}. Given: {given}")]
    Text {
        /// By the name the client gave it.
        name: &'static str,
        /// Completes "must".
        rule: String,
        /// What was given.
        given: String,
    },
    /// The recording is no reference.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// There are as many voices as there may be.
    #[error(
        "this server keeps {limit} voices at most (`voices.max_voices`); delete one that is not needed"
    )]
    TooMany {
        /// How many there may be.
        limit: usize,
    },
    /// What is kept of the voice is damaged.
    #[error("what is kept of the voice `{id}` is damaged; delete it and register it again")]
    Damaged {
        /// The id.
        id: VoiceId,
    },
    /// The store has no room.
    #[error("there is no room to keep voices; the operator has to make some")]
    Full {
        /// For the log.
        #[source]
        cause: Cause,
    },
    /// The store does not work.
    #[error("the store of voices did not answer as it should; try again soon")]
    Storage {
        /// What was tried.
        doing: &'static str,
        /// For the log.
        #[source]
        cause: Cause,
    },
    /// A worker has no place for the work.
    #[error("the {worker} is busy; try again soon")]
    Busy {
        /// Which one.
        worker: &'static str,
    },
    /// A worker took too long to begin.
    #[error("the {worker} did not get to it in time")]
    Expired {
        /// Which one.
        worker: &'static str,
    },
    /// A worker failed on this recording.
    #[error("the {worker} failed on this recording")]
    Failed {
        /// Which one.
        worker: &'static str,
        /// For the log.
        #[source]
        cause: Cause,
    },
    /// A worker is gone; the process is about to end.
    #[error("the {worker} has stopped")]
    Stopped {
        /// Which one.
        worker: &'static str,
    },
}

impl Classify for VoiceError {
    fn code(&self) -> ErrorCode {
        match self {
            VoiceError::Id(_) | VoiceError::Text { .. } => ErrorCode::InvalidParameter,
            VoiceError::Unknown { .. } => ErrorCode::UnknownVoice,
            VoiceError::Exists { .. } => ErrorCode::VoiceExists,
            VoiceError::BuiltIn { .. } | VoiceError::NotOwner { .. } => ErrorCode::Forbidden,
            VoiceError::Reference(error) => error.code(),
            VoiceError::TooMany { .. } | VoiceError::Full { .. } => ErrorCode::StorageFull,
            VoiceError::Storage { .. } | VoiceError::Damaged { .. } => ErrorCode::StorageFailed,
            VoiceError::Busy { .. } => ErrorCode::Overloaded,
            VoiceError::Expired { .. } => ErrorCode::Timeout,
            VoiceError::Failed { .. } | VoiceError::Stopped { .. } => ErrorCode::Internal,
        }
    }

    fn param(&self) -> Option<&str> {
        match self {
            VoiceError::Id(_)
            | VoiceError::Unknown { .. }
            | VoiceError::Exists { .. }
            | VoiceError::BuiltIn { .. }
            | VoiceError::NotOwner { .. } => Some("voice_id"),
            VoiceError::Text { name, .. } => Some(name),
            VoiceError::Reference(_) => Some("reference_audio"),
            VoiceError::TooMany { .. }
            | VoiceError::Damaged { .. }
            | VoiceError::Full { .. }
            | VoiceError::Storage { .. }
            | VoiceError::Busy { .. }
            | VoiceError::Expired { .. }
            | VoiceError::Failed { .. }
            | VoiceError::Stopped { .. } => None,
        }
    }
}

impl VoiceError {
    /// A refusal by the queue of `worker`.
    pub fn refused(worker: &'static str, error: SubmitError) -> VoiceError {
        match error {
            SubmitError::Full { .. } => VoiceError::Busy { worker },
            SubmitError::Stopped => VoiceError::Stopped { worker },
        }
    }

    /// A job of `worker` that came to nothing.
    pub fn called<E: Error + Send + Sync + 'static>(
        worker: &'static str,
        error: CallError<E>,
    ) -> VoiceError {
        match error {
            CallError::Expired => VoiceError::Expired { worker },
            CallError::Stopped => VoiceError::Stopped { worker },
            CallError::Failed(_)
            | CallError::Panicked
            | CallError::Miscounted { .. }
            | CallError::Replaced => VoiceError::Failed {
                worker,
                cause: Arc::new(error),
            },
        }
    }
}
