//! The model work that one session awaits.
//!
//! Invariants:
//! - Dropping it abandons everything: a session that ends leaves nothing running for it in a queue.
//! - A cancelled job is dropped where it is; its answer is never heard.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use batcher::{Lane, StreamId};
use futures_util::StreamExt as _;
use futures_util::future::{AbortHandle, Abortable, LocalBoxFuture};
use futures_util::stream::FuturesUnordered;

use crate::error::AsrError;
use crate::models::{Hearing, Models};
use crate::options::StreamOptions;
use crate::recognizer::{Options, RecognizeError};
use crate::session::{JobId, Purpose, Transcribe};
use crate::transcript::Transcript;

/// A final that finds no place is asked again after so long; its audio was accepted and is owed a text.
const ASK_AGAIN: Duration = Duration::from_millis(25);

/// A job that came to an end.
#[derive(Debug)]
pub(super) enum Done {
    /// Probabilities of frames; the first ends at `first_end`.
    Heard {
        generation: u64,
        first_end: u64,
        answer: Result<(Vec<f32>, Hearing), AsrError>,
    },
    Judged {
        job: JobId,
        asked: Instant,
        answer: Result<f32, AsrError>,
    },
    Transcribed {
        job: JobId,
        purpose: Purpose,
        asked: Instant,
        answer: Result<Transcript, RecognizeError>,
    },
    Cancelled,
}

/// The jobs of one session.
#[derive(Default)]
pub(super) struct Jobs {
    running: FuturesUnordered<LocalBoxFuture<'static, Done>>,
    handles: HashMap<JobId, AbortHandle>,
}

impl Jobs {
    /// Waits for the next job to end; for ever, if there is none.
    pub(super) async fn next(&mut self) -> Done {
        match self.running.next().await {
            Some(Done::Judged { job, asked, answer }) => {
                self.handles.remove(&job);
                Done::Judged { job, asked, answer }
            }
            Some(Done::Transcribed {
                job,
                purpose,
                asked,
                answer,
            }) => {
                self.handles.remove(&job);
                Done::Transcribed {
                    job,
                    purpose,
                    asked,
                    answer,
                }
            }
            Some(done) => done,
            None => std::future::pending().await,
        }
    }

    /// Asks for the probabilities of frames.
    pub(super) fn hear(
        &mut self,
        models: &Models,
        generation: u64,
        hearing: Hearing,
        (first_end, frames): (u64, Vec<f32>),
    ) {
        let heard = models.hear(hearing, frames, Lane::Urgent);
        self.running.push(Box::pin(async move {
            Done::Heard {
                generation,
                first_end,
                answer: heard.await,
            }
        }));
    }

    /// Asks whether a turn is over.
    pub(super) fn judge(
        &mut self,
        models: &Models,
        job: JobId,
        clip: Arc<[f32]>,
        (lane, deadline): (Lane, Option<Instant>),
    ) {
        let asked = Instant::now();
        let judged = models.judge(clip, lane, deadline);
        self.add(job, async move {
            Done::Judged {
                job,
                asked,
                answer: judged.await,
            }
        });
    }

    /// Asks for a text.
    pub(super) fn transcribe(
        &mut self,
        models: &Models,
        work: Transcribe,
        clip: Arc<[f32]>,
        (options, stream): (&StreamOptions, StreamId),
    ) {
        let asked = Instant::now();
        let Transcribe { job, purpose, .. } = work;
        let options = recognition(options, work, stream);
        let recognizer = models.recognizer.clone();
        self.add(job, async move {
            let answer = match purpose {
                Purpose::Draft => recognizer.transcribe(clip, &options, Lane::Normal).await,
                Purpose::Final | Purpose::Cut => loop {
                    match recognizer
                        .transcribe(clip.clone(), &options, Lane::Urgent)
                        .await
                    {
                        Err(RecognizeError::Refused(batcher::SubmitError::Full { .. })) => {
                            tokio::time::sleep(ASK_AGAIN).await;
                        }
                        answer => break answer,
                    }
                },
            };
            Done::Transcribed {
                job,
                purpose,
                asked,
                answer,
            }
        });
    }

    /// Drops a job.
    pub(super) fn cancel(&mut self, job: JobId) {
        if let Some(handle) = self.handles.remove(&job) {
            handle.abort();
        }
    }

    fn add(&mut self, job: JobId, work: impl Future<Output = Done> + 'static) {
        let (handle, registration) = AbortHandle::new_pair();
        self.handles.insert(job, handle);
        let work = Abortable::new(work, registration);
        self.running.push(Box::pin(
            async move { work.await.unwrap_or(Done::Cancelled) },
        ));
    }
}

impl std::fmt::Debug for Jobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Jobs")
            .field("n_running", &self.running.len())
            .finish_non_exhaustive()
    }
}

/// The recogniser's options for a job of a session.
fn recognition(options: &StreamOptions, work: Transcribe, stream: StreamId) -> Options {
    let base = options.recognition.clone();
    // What was said before in the same breath is better context than the client's prompt alone.
    let prompt = match (base.prompt.as_deref(), work.context) {
        (Some(prompt), Some(context)) => Some(format!("{prompt} {}", context.trim())),
        (None, Some(context)) => Some(context),
        (prompt, None) => prompt.map(str::to_owned),
    };
    let draft = work.purpose == Purpose::Draft;
    Options {
        prompt,
        prefix: work.prefix,
        draft,
        word_timestamps: options.words && !draft || work.purpose == Purpose::Cut,
        replaces: draft.then_some(stream),
        // Otherwise a language that is to be detected costs every short final a second encoding.
        language_with_first_window: true,
        ..base
    }
}
