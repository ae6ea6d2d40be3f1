//! How a worker calls its model: no call is unseen by the watchdog, and none unwinds.

use std::{
    any::Any,
    fmt::Display,
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{EndReason, Plan, pulse::Pulse};
use crate::{error::CallError, metrics::Metrics};

/// Makes the calls of one worker.
pub(crate) struct Hand {
    model: &'static str,
    worker: usize,
    pulse: Arc<Pulse>,
    max_panics_in_a_row: NonZeroUsize,
    n_panics_in_a_row: usize,
}

impl Hand {
    pub(super) fn new(plan: &Plan, worker: usize, pulse: Arc<Pulse>) -> Hand {
        Hand {
            model: plan.name,
            worker,
            pulse,
            max_panics_in_a_row: plan.max_panics_in_a_row,
            n_panics_in_a_row: 0,
        }
    }

    /// One call with so many inputs, and the time it took.
    pub(crate) fn call<T, E: Display>(
        &self,
        n_inputs: usize,
        call: impl FnOnce() -> Result<T, E>,
    ) -> (Result<T, CallError<E>>, Duration) {
        let begin = Instant::now();
        self.pulse.call_begins(self.worker, begin);
        // What a panic may have left half done is the model's own; its contract says to leave nothing.
        let result = catch_unwind(AssertUnwindSafe(call));
        self.pulse.call_ends(self.worker);
        let took = begin.elapsed();

        let (model, worker) = (self.model, self.worker);
        let result = match result {
            Ok(Ok(output)) => Ok(output),
            Ok(Err(error)) => {
                tracing::warn!(model, worker, n_inputs, %error, "a model call failed");
                Err(CallError::Failed(error))
            }
            Err(panic) => {
                let panic = message_of(&*panic);
                tracing::error!(model, worker, n_inputs, panic, "a model call panicked");
                Err(CallError::Panicked)
            }
        };
        (result, took)
    }

    /// One call that is to give an output for each input, and gives no other number if it is `Ok`.
    pub(crate) fn call_for_each<T, E: Display>(
        &self,
        n_inputs: usize,
        metrics: &Metrics,
        call: impl FnOnce() -> Result<Vec<T>, E>,
    ) -> Result<Vec<T>, CallError<E>> {
        let (result, took) = self.call(n_inputs, call);
        metrics.called(n_inputs, took);
        let outputs = result?;
        let n_outputs = outputs.len();
        if n_outputs != n_inputs {
            let (model, worker) = (self.model, self.worker);
            tracing::error!(model, worker, n_inputs, n_outputs, "a model miscounted");
            return Err(CallError::Miscounted { n_outputs });
        }
        Ok(outputs)
    }

    /// To be told after each round of calls whether any came back, be it with an error.
    ///
    /// A row of panics alone does not tell a broken model from a caller who sends what it cannot bear
    /// while nobody else asks for anything. The model itself does, by what it makes of a good input.
    ///
    /// # Errors
    /// The model is broken, and its worker is to end.
    pub(crate) fn judge<E: Display>(
        &mut self,
        came_back: bool,
        self_test: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), EndReason> {
        if came_back {
            self.n_panics_in_a_row = 0;
            return Ok(());
        }
        self.n_panics_in_a_row += 1;
        if self.n_panics_in_a_row < self.max_panics_in_a_row.get() {
            return Ok(());
        }
        let (model, worker, in_a_row) = (self.model, self.worker, self.n_panics_in_a_row);
        if self.call(1, self_test).0.is_ok() {
            tracing::error!(
                model,
                worker,
                in_a_row,
                "a model panics again and again, but passes its self test: somebody sends what it cannot bear"
            );
            self.n_panics_in_a_row = 0;
            return Ok(());
        }
        tracing::error!(
            model,
            worker,
            in_a_row,
            "a model panics again and again, and fails its self test; its worker ends"
        );
        Err(EndReason::TooManyPanics { in_a_row })
    }
}

pub(super) fn message_of(panic: &(dyn Any + Send)) -> &str {
    if let Some(message) = panic.downcast_ref::<&str>() {
        return message;
    }
    panic
        .downcast_ref::<String>()
        .map_or("no message", String::as_str)
}
