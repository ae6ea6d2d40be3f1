//! Why a job was refused, and why an accepted job has no output.

/// A job was not accepted. Nothing has happened; the caller still decides what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// Every place of the job's lane is held by a job that waits or runs.
    #[error("all {capacity} places of the lane are taken")]
    Full {
        /// The number of places the lane has.
        capacity: usize,
    },
    /// The workers have stopped, or are stopping; no job will be accepted again.
    #[error("the model has stopped")]
    Stopped,
}

/// An accepted job has no output.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError<E> {
    /// The model said no to this input, which was then alone in its call.
    #[error("the model failed: {0}")]
    Failed(E),
    /// The model panicked on this input, which was then alone in its call.
    #[error("the model panicked")]
    Panicked,
    /// The model gave other than one output for this input, which was then alone in its call.
    #[error("the model gave {n_outputs} outputs for one input")]
    Miscounted {
        /// How many it gave.
        n_outputs: usize,
    },
    /// The deadline passed while the job waited. It cost the model nothing.
    #[error("the deadline passed in the queue")]
    Expired,
    /// A newer job of the same stream took this one's turn. It cost the model nothing.
    #[error("a newer job took its turn")]
    Replaced,
    /// The workers stopped before this job's call began, or ended during it.
    #[error("the model has stopped")]
    Stopped,
}
