//! Concurrent requests in, model calls out; knows no audio and no HTTP.
//!
//! ```text
//!  any task, any runtime                                     one named thread per worker
//!
//!  Batcher::submit(Job) ──place?──► urgent      ─┐
//!        │                 │        normal      ─┼─► gather ──► Model::run(&[Input])
//!        │                 no       background  ─┘  oldest of       │
//!        ▼                 ▼        (one queue)     the highest     │ failed or panicked:
//!     Answer ◄─────── SubmitError::Full             lane, and all   │ again, one by one
//!        ▲                                          that may share  │
//!        └───────────────────────── reply ◄───────  its call  ◄─────┘
//! ```
//!
//! There are two shapes of model work. A [`Model`] answers each input once, in one call, behind a
//! [`Batcher`]. A [`StepModel`] answers with many chunks, behind a [`Stepper`]: the same line in front,
//! but the first in it is given a slot, and all who hold one are stepped together.
//!
//! ```text
//!  Stepper::submit(Job) ──place?──► (the same line) ──first──► admit ──► slot 0 ─┐
//!        ▼                                                one a step     slot 1 ─┼─► StepModel::step(&[Slot])
//!     Chunks ◄──── room for a few ◄──── chunk, chunk, …, end ◄───────    slot 2 ─┘   those whose reader
//!        │                                                                  │        has room
//!        └─────── dropped, or all told ───────────────────────────────────► evict
//! ```
//!
//! # Guarantees
//!
//! - [`Batcher::submit`] never waits: there is a place or there is [`SubmitError::Full`].
//! - Every accepted job gets exactly one answer: an output or one [`CallError`].
//! - A place is held by the job, waiting or running, and given back when the job leaves the system.
//!   It is free again before the caller sees the answer.
//! - A batch is formed when a worker is free, so a quiet server adds no wait and a busy one fills its
//!   batches. Only between two calls in the background, and while nothing but background work waits,
//!   is a worker idle on purpose: for those it just answered to ask again, 10 ms at most and a
//!   sixteenth of the last call.
//! - A batch holds jobs of one lane and one key. In a lane, those with the earliest [`Job::due`] go
//!   first, those without one after them, and equals in the order in which they came. The first of the
//!   highest lane that waits is always in the next batch.
//! - Lower lanes cannot starve: a lane that was not served for [`Settings::raise_after`] counts as the
//!   next one up until it is.
//! - Nor can a job in its lane, be its key rare or its due late or none: when the oldest job of a lane
//!   has waited for `raise_after` since it came and since an oldest job of the lane was last taken, it
//!   is the first of the lane's next batch. So a job with `n` older ones in its lane is passed over by
//!   dues for at most `n + 1` times `raise_after`, and one without `due` in a lane of such never.
//! - A job whose caller has gone (the [`Answer`] was dropped) or whose deadline has passed never reaches
//!   the model, and one that is [replaced](Job::replaces) neither.
//! - One bad input fails alone: a call that fails or panics is repeated with one input, or slot, at a time.
//! - Who sends again and again what makes a model panic does not end the worker while the model passes
//!   its self test, however quiet the server is. A model that does not ends it.
//! - A model is built, used and dropped on its own thread. When that thread ends, for any reason,
//!   [`Workers::ended`] says so and nobody waits for it: queued jobs are answered [`CallError::Stopped`].
//!
//! And for those who are stepped:
//!
//! - A job's chunks come in order and have exactly one end: `None` after the last, or one [`CallError`].
//! - A slot is held from [`StepModel::admit`] to [`StepModel::evict`], which is called exactly once,
//!   before the end is told and the place given back.
//! - Who reads slowly delays nobody: a slot is stepped only if its reader has room for a chunk. It keeps
//!   its slot, so whoever reads must give up some time.
//! - Who drops its [`Chunks`] is evicted before the next step.
//! - At most one request is admitted between two steps, so those who run never stand still for longer.
//! - When no slot can be stepped and nobody can be admitted, the thread sleeps.
//! - When the worker stops, the running step finishes, and those in slots are told [`CallError::Stopped`].
//!
//! # Bounds
//!
//! | what | bound | when full |
//! |---|---|---|
//! | jobs in the system, by lane | [`Settings::places`] | [`SubmitError::Full`] |
//! | jobs of a stream waiting in a lane, with [`Job::replaces`] | 1 | the newer one takes over |
//! | jobs in a call, by lane | [`Settings::max_batch`] | the rest wait for the next call |
//! | replies | one per job, in a cell made with the job | cannot be full |
//! | requests that are stepped | [`StepSettings::slots`] | the rest wait in line |
//! | chunks that were not read, by job | [`StepSettings::room`] | its slot is not stepped |
//!
//! # Example
//!
//! ```
//! use std::{num::NonZeroUsize, time::Duration};
//! use batcher::{Job, Lane, Metrics, Model, PerLane, Settings, spawn};
//!
//! struct Lengths;
//!
//! impl Model for Lengths {
//!     type Input = String;
//!     type Output = usize;
//!     type Error = String;
//!     type Key = ();
//!
//!     fn key(_: &String) {}
//!
//!     fn run(&mut self, batch: &[String]) -> Result<Vec<usize>, String> {
//!         Ok(batch.iter().map(String::len).collect())
//!     }
//!
//!     fn self_test(&mut self) -> Result<(), String> {
//!         self.run(&["known to be good".to_owned()]).map(drop)
//!     }
//! }
//!
//! let settings = Settings {
//!     name: "lengths",
//!     places: PerLane::all(64),
//!     max_batch: PerLane::all(NonZeroUsize::new(8).unwrap()),
//!     workers: NonZeroUsize::MIN,
//!     raise_after: Duration::from_secs(2),
//!     max_panics_in_a_row: NonZeroUsize::new(3).unwrap(),
//! };
//! let (lengths, workers) = spawn(settings, Metrics::unregistered(), |_worker| Ok(Lengths));
//! let answer = lengths.submit(Job::new(Lane::Urgent, "four".to_owned()))?;
//! // In async code: `answer.await`.
//! assert_eq!(answer.wait(), Ok(4));
//! workers.join();
//! # Ok::<(), batcher::SubmitError>(())
//! ```
#![warn(missing_docs)]

pub mod calls;
pub mod error;
pub mod gather;
pub mod lane;
pub mod metrics;
pub mod model;
pub mod queue;
pub mod reply;
pub mod slots;
pub mod steps;
pub mod worker;

#[cfg(test)]
mod testing;

pub use calls::{Batcher, BatcherOf, Settings, spawn};
pub use error::{CallError, SubmitError};
pub use lane::{Lane, PerLane};
pub use metrics::{Families, Metrics, StepMetrics};
pub use model::{BuildError, Model, StepModel, Stepped, SteppedOf};
pub use queue::{Job, LaneLoad, Load, StreamId};
pub use reply::{Answer, Chunks};
pub use slots::Slot;
pub use steps::{StepSettings, Stepper, StepperOf, spawn_steps};
pub use worker::{EndReason, Ended, StartError, Watch, Workers};
