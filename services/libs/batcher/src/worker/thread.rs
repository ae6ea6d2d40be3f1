//! What a worker's thread does: build, answer, and tell when it ends.

use std::{
    any::Any,
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind},
    slice,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use tokio::sync::mpsc;

use super::{EndReason, Ended, StartError, pulse::Pulse};
use crate::{
    error::CallError,
    model::{BuildError, Model},
    queue::{Queue, Queued},
};

/// What a worker's thread knows.
pub(super) struct Thread<M: Model> {
    pub(super) model: &'static str,
    pub(super) worker: usize,
    pub(super) max_panics_in_a_row: NonZeroUsize,
    pub(super) queue: Arc<Queue<M>>,
    pub(super) pulse: Arc<Pulse>,
}

impl<M: Model> Thread<M> {
    pub(super) fn live(
        self,
        build: &dyn Fn(usize) -> Result<M, BuildError>,
        ready: mpsc::Sender<Result<(), StartError>>,
        mut departure: Departure<M>,
    ) {
        let (model, worker) = (self.model, self.worker);
        let built = match catch_unwind(AssertUnwindSafe(|| build(worker))) {
            Ok(Ok(built)) => built,
            Ok(Err(source)) => {
                return send(
                    &ready,
                    Err(StartError::Build {
                        model,
                        worker,
                        source,
                    }),
                );
            }
            Err(panic) => {
                let message = message_of(&*panic).to_owned();
                return send(
                    &ready,
                    Err(StartError::Panicked {
                        model,
                        worker,
                        message,
                    }),
                );
            }
        };
        send(&ready, Ok(()));
        drop(ready);
        // Stands if anything below unwinds.
        departure.ended.reason = EndReason::Panicked;
        departure.ended.reason = self.serve(built);
    }

    /// Answers batches until there are no more.
    fn serve(&self, mut model: M) -> EndReason {
        let mut n_panics_in_a_row = 0;
        while let Some(batch) = self.queue.next_batch() {
            let survived = self.answer(&mut model, batch);
            n_panics_in_a_row = if survived { 0 } else { n_panics_in_a_row + 1 };
            if self.max_panics_in_a_row.get() <= n_panics_in_a_row {
                tracing::error!(
                    model = self.model,
                    worker = self.worker,
                    in_a_row = n_panics_in_a_row,
                    "a model panics again and again; its worker ends"
                );
                return EndReason::TooManyPanics {
                    in_a_row: n_panics_in_a_row,
                };
            }
        }
        EndReason::Stopped
    }

    /// Answers every job of a batch. Tells whether any call came back, be it with an error.
    fn answer(&self, model: &mut M, batch: Vec<Queued<M>>) -> bool {
        let metrics = &self.queue.metrics;
        let (inputs, tickets): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .map(|job| (job.load.input, (job.load.ticket, job.arrival.deadline)))
            .unzip();
        let fault = match self.call(model, &inputs) {
            Ok(outputs) => {
                // Before the answers: with its place, a job gives back its memory.
                drop(inputs);
                for ((ticket, _), output) in tickets.into_iter().zip(outputs) {
                    ticket.answer(Ok(output), metrics);
                }
                return true;
            }
            Err(fault) => fault,
        };
        let mut came_back = !matches!(fault, CallError::Panicked);
        if inputs.len() == 1 {
            drop(inputs);
            for (ticket, _) in tickets {
                ticket.answer(Err(fault.clone()), metrics);
            }
            return came_back;
        }

        for (input, (ticket, deadline)) in inputs.into_iter().zip(tickets) {
            let is_late = deadline.is_some_and(|deadline| deadline <= Instant::now());
            if is_late || ticket.is_abandoned() {
                drop(input);
                ticket.answer(Err(CallError::Expired), metrics);
                continue;
            }
            let result = self.call(model, slice::from_ref(&input));
            drop(input);
            came_back |= !matches!(result, Err(CallError::Panicked));
            let answer = result.and_then(|outputs| {
                let mut outputs = outputs.into_iter();
                outputs.next().ok_or(CallError::Miscounted { n_outputs: 0 })
            });
            ticket.answer(answer, metrics);
        }
        came_back
    }

    /// One call. `Ok` has as many outputs as there are inputs.
    fn call(
        &self,
        model: &mut M,
        inputs: &[M::Input],
    ) -> Result<Vec<M::Output>, CallError<M::Error>> {
        let begin = Instant::now();
        self.pulse.call_begins(self.worker, begin);
        // What a panic may have left half done is the model's own; its contract says to leave nothing.
        let result = catch_unwind(AssertUnwindSafe(|| model.run(inputs)));
        self.pulse.call_ends(self.worker);
        self.queue.metrics.called(inputs.len(), begin.elapsed());

        let (model, worker, n_inputs) = (self.model, self.worker, inputs.len());
        match result {
            Ok(Ok(outputs)) if outputs.len() == n_inputs => Ok(outputs),
            Ok(Ok(outputs)) => {
                let n_outputs = outputs.len();
                tracing::error!(model, worker, n_inputs, n_outputs, "a model miscounted");
                Err(CallError::Miscounted { n_outputs })
            }
            Ok(Err(error)) => {
                tracing::warn!(model, worker, n_inputs, %error, "a model call failed");
                Err(CallError::Failed(error))
            }
            Err(panic) => {
                let panic = message_of(&*panic);
                tracing::error!(model, worker, n_inputs, panic, "a model call panicked");
                Err(CallError::Panicked)
            }
        }
    }
}

/// Tells that a worker has ended, when dropped. By then its model is gone.
pub(super) struct Departure<M: Model> {
    pub(super) queue: Arc<Queue<M>>,
    pub(super) n_alive: Arc<AtomicUsize>,
    pub(super) news: mpsc::Sender<Ended>,
    pub(super) ended: Ended,
}

impl<M: Model> Drop for Departure<M> {
    fn drop(&mut self) {
        if self.n_alive.fetch_sub(1, Ordering::AcqRel) == 1 {
            // Order matters: who hears of the end must find the queue closed.
            self.queue.close();
        }
        send(&self.news, self.ended);
    }
}

/// For channels that cannot be full. Whether somebody still listens does not matter.
pub(super) fn send<T>(news: &mpsc::Sender<T>, message: T) {
    drop(news.try_send(message));
}

fn message_of(panic: &(dyn Any + Send)) -> &str {
    if let Some(message) = panic.downcast_ref::<&str>() {
        return message;
    }
    panic
        .downcast_ref::<String>()
        .map_or("no message", String::as_str)
}
