//! What the worker does between two looks at the line: leave, admit, step.
//!
//! Invariants:
//! - Each admitted request is evicted exactly once, before its reader is told the end.
//! - One that was abandoned is evicted before the next step, and one whose reader is behind is not in it.
//! - Between two steps at most one request is admitted.
//! - Every slot of a step goes exactly one step further, or leaves.
//! - When nothing can be done, the thread sleeps.

use std::{num::NonZeroUsize, slice, sync::Arc};

use super::StepQueue;
use crate::{
    error::CallError,
    metrics::StepMetrics,
    model::{StepModel, Stepped, SteppedOf},
    queue::{Until, Waiting},
    reply::{Feed, Ticket},
    slots::{Reader, Slot, Slots},
    worker::{EndReason, hand::Hand},
};

type Holder<M> = Ticket<Feed<<M as StepModel>::Chunk, <M as StepModel>::Error>>;

impl<C, E: Clone> Reader for Ticket<Feed<C, E>> {
    fn is_gone(&self) -> bool {
        self.is_abandoned()
    }

    fn has_room(&self) -> bool {
        Ticket::has_room(self)
    }
}

/// A model and those it serves, on its thread.
pub(super) struct Rounds<M: StepModel> {
    model: M,
    hand: Hand,
    queue: Arc<StepQueue<M>>,
    metrics: StepMetrics,
    slots: Slots<Holder<M>>,
}

impl<M: StepModel> Rounds<M> {
    pub(super) fn new(
        model: M,
        hand: Hand,
        queue: Arc<StepQueue<M>>,
        metrics: StepMetrics,
        n_slots: NonZeroUsize,
    ) -> Rounds<M> {
        Rounds {
            model,
            hand,
            queue,
            metrics,
            slots: Slots::new(n_slots),
        }
    }

    /// Steps until it is stopped or the model is found broken. Those in slots are told then.
    pub(super) fn serve(mut self) -> EndReason {
        let reason = self.run();
        for slot in self.slots.held() {
            self.leave(slot, Err(CallError::Stopped));
        }
        self.metrics.held(0, 0);
        reason
    }

    fn run(&mut self) -> EndReason {
        while !self.queue.is_closed() {
            for slot in self.slots.abandoned() {
                // What it is told is not heard.
                self.leave(slot, Err(CallError::Stopped));
            }
            let admission = self.admit();
            let runnable = self.slots.runnable();
            self.metrics
                .held(runnable.len(), self.slots.held().len() - runnable.len());
            let step = (!runnable.is_empty()).then(|| self.step(&runnable));
            // Whether a call came back. That one was let in says little of a model that cannot step.
            match step.or(admission) {
                Some(came_back) => {
                    if let Err(reason) = self.hand.judge(came_back, || self.model.self_test()) {
                        return reason;
                    }
                }
                None => self.sleep(),
            }
        }
        EndReason::Stopped
    }

    fn sleep(&self) {
        self.queue.sleep(match self.slots.free() {
            Some(_) => Until::JobOrRing,
            None => Until::Ring,
        });
    }

    /// Lets one in, if there is a slot and somebody waits. Tells whether the call came back.
    fn admit(&mut self) -> Option<bool> {
        let Some(slot) = self.slots.free() else {
            self.queue.sweep();
            return None;
        };
        let Waiting { input, ticket } = self.queue.take_batch().pop()?.load;
        let (admitted, took) = self.hand.call(1, || self.model.admit(slot, input));
        self.metrics.admitted(took);
        let Err(fault) = admitted else {
            self.slots.fill(slot, ticket);
            return Some(true);
        };
        let came_back = !matches!(fault, CallError::Panicked);
        ticket.refuse(fault, &self.metrics.model);
        Some(came_back)
    }

    /// One step further in each of the slots. Tells whether any call came back.
    fn step(&mut self, slots: &[Slot]) -> bool {
        let fault = match self.call(slots) {
            Ok(stepped) => {
                for (&slot, it) in slots.iter().zip(stepped) {
                    self.deliver(slot, it);
                }
                return true;
            }
            Err(fault) => fault,
        };
        let mut came_back = !matches!(fault, CallError::Panicked);
        if let &[slot] = slots {
            self.leave(slot, Err(fault));
            return came_back;
        }

        for &slot in slots {
            if self.slots.get(slot).is_none_or(Reader::is_gone) {
                continue;
            }
            let result = self.call(slice::from_ref(&slot));
            came_back |= !matches!(result, Err(CallError::Panicked));
            match result.map(|mut stepped| stepped.pop()) {
                Ok(Some(it)) => self.deliver(slot, it),
                Ok(None) => self.leave(slot, Err(CallError::Miscounted { n_outputs: 0 })),
                Err(fault) => self.leave(slot, Err(fault)),
            }
        }
        came_back
    }

    fn call(&mut self, slots: &[Slot]) -> Result<Vec<SteppedOf<M>>, CallError<M::Error>> {
        self.hand
            .call_for_each(slots.len(), &self.metrics.model, || self.model.step(slots))
    }

    fn deliver(&mut self, slot: Slot, stepped: SteppedOf<M>) {
        let (chunk, end) = match stepped {
            Stepped::Quiet => (None, None),
            Stepped::Chunk(chunk) => (Some(chunk), None),
            Stepped::Last(chunk) => (Some(chunk), Some(Ok(()))),
            Stepped::Finished => (None, Some(Ok(()))),
            Stepped::Failed(error) => (None, Some(Err(CallError::Failed(error)))),
        };
        if let (Some(chunk), Some(holder)) = (chunk, self.slots.get(slot)) {
            holder.give(chunk);
        }
        if let Some(end) = end {
            self.leave(slot, end);
        }
    }

    fn leave(&mut self, slot: Slot, end: Result<(), CallError<M::Error>>) {
        let Some(ticket) = self.slots.take(slot) else {
            return;
        };
        // Order matters: who is told the end finds the slot empty, as well as the place.
        self.model.evict(slot);
        match end {
            Ok(()) => ticket.finish(&self.metrics.model),
            Err(why) => ticket.refuse(why, &self.metrics.model),
        }
    }
}
