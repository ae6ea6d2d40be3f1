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
//! # Guarantees
//!
//! - [`Batcher::submit`] never waits: there is a place or there is [`SubmitError::Full`].
//! - Every accepted job gets exactly one answer: an output or one [`CallError`].
//! - A place is held by the job, waiting or running, and given back when the job leaves the system.
//!   It is free again before the caller sees the answer.
//! - There is no timer. A batch is formed when a worker is free, so a quiet server adds no wait and a
//!   busy one fills its batches.
//! - A batch holds jobs of one lane and one key, oldest first. The oldest job of the highest lane that
//!   waits is always in the next batch.
//! - Lower lanes cannot starve: a lane that was not served for [`Settings::raise_after`] counts as the
//!   next one up until it is.
//! - A job whose caller has gone (the [`Answer`] was dropped) or whose deadline has passed never reaches
//!   the model, and one that is [replaced](Job::replaces) neither.
//! - One bad input fails alone: a call that fails or panics is repeated with one input at a time.
//! - A model is built, used and dropped on its own thread. When that thread ends, for any reason,
//!   [`Workers::ended`] says so and nobody waits for it: queued jobs are answered [`CallError::Stopped`].
//!
//! # Bounds
//!
//! | what | bound | when full |
//! |---|---|---|
//! | jobs in the system, by lane | [`Settings::places`] | [`SubmitError::Full`] |
//! | jobs of a stream waiting in a lane, with [`Job::replaces`] | 1 | the newer one takes over |
//! | jobs in a call, by lane | [`Settings::max_batch`] | the rest wait for the next call |
//! | replies | one per job, in a cell made with the job | cannot be full |
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

pub mod error;
pub mod gather;
pub mod lane;
pub mod metrics;
pub mod model;
pub mod queue;
pub mod reply;
pub mod worker;

pub use error::{CallError, SubmitError};
pub use lane::{Lane, PerLane};
pub use metrics::{Families, Metrics};
pub use model::{BuildError, Model};
pub use queue::{Batcher, BatcherOf, Job, LaneLoad, Load, StreamId};
pub use reply::Answer;
pub use worker::{EndReason, Ended, Settings, StartError, Watch, Workers, spawn};
