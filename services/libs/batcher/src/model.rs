//! What a model must be able to do to be put behind the queue.

use std::fmt::Display;

/// Why a model could not be built.
pub type BuildError = Box<dyn std::error::Error + Send + Sync>;

/// One call, one answer for each input.
///
/// Built, used and dropped on its own thread, so it need not be `Send`.
pub trait Model: 'static {
    /// What one job asks.
    type Input: Send + 'static;
    /// What one job gets.
    type Output: Send + 'static;
    /// Why a call failed. `Clone` and cheap, because a failed call is told to the log and to a caller.
    type Error: Clone + Send + Display + 'static;
    /// Inputs may share a call only if their keys are equal.
    type Key: PartialEq + Send + 'static;

    /// The key of an input. Called once a job, on the caller's thread.
    fn key(input: &Self::Input) -> Self::Key;

    /// Answers every input, in order. The batch is never empty and its keys are equal.
    ///
    /// When this fails, panics or returns other than one output an input, and the batch had several
    /// inputs, it is called again with each of them alone. So a model keeps no trace of a call that did
    /// not succeed.
    ///
    /// # Errors
    /// Fails the whole call.
    fn run(&mut self, batch: &[Self::Input]) -> Result<Vec<Self::Output>, Self::Error>;
}
