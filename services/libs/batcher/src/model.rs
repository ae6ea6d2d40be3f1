//! The two shapes of model work: what a model must be able to do to be put behind the queue.

use std::fmt::Display;

use crate::slots::Slot;

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

    /// Whether the model still works: it computes something that is known to be good, such as what it
    /// was warmed with. Asked when many panics in a row leave it open whether the model is broken or
    /// somebody sends it what it cannot bear. What keeps no state may just say `Ok`.
    ///
    /// # Errors
    /// As a panic, it ends the worker.
    fn self_test(&mut self) -> Result<(), Self::Error>;
}

/// Many calls, many answers: a request is given a slot, and steps of all the slots together make its
/// chunks, one by one.
///
/// Built, used and dropped on its own thread, so it need not be `Send`.
pub trait StepModel: 'static {
    /// What one job asks.
    type Request: Send + 'static;
    /// What one job gets, many times.
    type Chunk: Send + 'static;
    /// Why a call failed. `Clone` and cheap, because a failed call is told to the log and to a caller.
    type Error: Clone + Send + Display + 'static;

    /// Begins a request in a slot that is free. A slot in which this failed or panicked stays free, and
    /// is not evicted; whatever was left in it is overwritten by the next that is admitted there.
    ///
    /// # Errors
    /// Fails the request.
    fn admit(&mut self, slot: Slot, request: Self::Request) -> Result<(), Self::Error>;

    /// Goes one step further in each of the slots, and says what came of it: one for each, in order.
    /// The slots are admitted, distinct, in rising order, and never none; those left out stand still.
    ///
    /// When this fails, panics or returns other than one for each slot, and there were several, it is
    /// called again with each of them alone. So a model keeps no trace of a step that did not succeed.
    ///
    /// # Errors
    /// Fails the whole step.
    fn step(&mut self, slots: &[Slot]) -> Result<Vec<SteppedOf<Self>>, Self::Error>;

    /// Forgets what is in a slot. Called exactly once for every request that was admitted: when it
    /// finished, failed or was abandoned, and when the worker stops.
    fn evict(&mut self, slot: Slot);

    /// As [`Model::self_test`]. Slots may be admitted meanwhile, and are not to notice.
    ///
    /// # Errors
    /// As a panic, it ends the worker.
    fn self_test(&mut self) -> Result<(), Self::Error>;
}

/// What came of a step of a given model.
pub type SteppedOf<M> = Stepped<<M as StepModel>::Chunk, <M as StepModel>::Error>;

/// What came of a step in one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stepped<C, E> {
    /// Nothing to tell yet.
    Quiet,
    /// One more chunk, and not the last.
    Chunk(C),
    /// The last chunk; the request is finished.
    Last(C),
    /// The request is finished, without a chunk.
    Finished,
    /// The request failed. The other slots did not.
    Failed(E),
}
