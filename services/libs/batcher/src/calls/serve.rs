//! What a worker does with its batches: one call, and one for each input if that does not succeed.
//!
//! Invariants:
//! - Every job of a batch is answered before the next batch is taken.

use std::{
    slice,
    time::{Duration, Instant},
};

use super::CallQueue;
use crate::{
    error::CallError,
    lane::Lane,
    model::Model,
    queue::Queued,
    reply::OneReply,
    worker::{EndReason, hand::Hand},
};

type QueuedCall<M> = Queued<
    <M as Model>::Key,
    <M as Model>::Input,
    OneReply<<M as Model>::Output, <M as Model>::Error>,
>;

/// The longest that a worker lingers for background callers to ask again.
const MAX_LINGER: Duration = Duration::from_millis(10);
/// Nor does it linger for more than this part of the call that it made them wait for.
const LINGER_PART: u32 = 16;

/// Answers batches until there are no more.
pub(super) fn serve<M: Model>(mut model: M, mut hand: Hand, queue: &CallQueue<M>) -> EndReason {
    while let Some(batch) = queue.next_batch() {
        let n_returning = n_returning(batch.iter().map(|it| it.load.ticket.lane()));
        let began = Instant::now();
        let came_back = answer(&mut model, &hand, queue, batch);
        if let Err(reason) = hand.judge(came_back, || model.self_test()) {
            return reason;
        }
        queue.linger(n_returning, linger_after(began.elapsed()));
    }
    EndReason::Stopped
}

/// How many of a batch may ask again at once: those in the background, who have a long recording to go through.
fn n_returning(lanes: impl Iterator<Item = Lane>) -> usize {
    lanes.filter(|it| *it == Lane::Background).count()
}

/// How long a worker lingers after a batch that took so long.
fn linger_after(took: Duration) -> Duration {
    MAX_LINGER.min(took / LINGER_PART)
}

/// Answers every job of a batch. Tells whether any call came back, be it with an error.
fn answer<M: Model>(
    model: &mut M,
    hand: &Hand,
    queue: &CallQueue<M>,
    batch: Vec<QueuedCall<M>>,
) -> bool {
    let metrics = &queue.metrics;
    let mut call =
        |inputs: &[M::Input]| hand.call_for_each(inputs.len(), metrics, || model.run(inputs));
    let (inputs, tickets): (Vec<_>, Vec<_>) = batch
        .into_iter()
        .map(|job| (job.load.input, (job.load.ticket, job.arrival.deadline)))
        .unzip();
    let fault = match call(&inputs) {
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
            ticket.refuse(fault.clone(), metrics);
        }
        return came_back;
    }

    for (input, (ticket, deadline)) in inputs.into_iter().zip(tickets) {
        let is_late = deadline.is_some_and(|deadline| deadline <= Instant::now());
        if is_late || ticket.is_abandoned() {
            drop(input);
            ticket.refuse(CallError::Expired, metrics);
            continue;
        }
        let result = call(slice::from_ref(&input));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_lingers_for_nobody_but_those_in_the_background() {
        assert_eq!(n_returning([Lane::Background; 3].into_iter()), 3);
        assert_eq!(n_returning([Lane::Normal; 3].into_iter()), 0);
        assert_eq!(n_returning([Lane::Urgent; 3].into_iter()), 0);
    }

    #[test]
    fn a_worker_lingers_for_a_sixteenth_of_a_call_and_for_ten_milliseconds_at_most() {
        let micros = |took| linger_after(Duration::from_micros(took)).as_micros();
        assert_eq!(micros(0), 0);
        assert_eq!(micros(1_600), 100);
        assert_eq!(micros(16_000), 1_000);
        assert_eq!(micros(160_000), 10_000);
        assert_eq!(micros(20_000_000), 10_000);
    }
}
