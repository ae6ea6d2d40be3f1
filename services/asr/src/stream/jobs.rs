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

#[cfg(test)]
mod tests {
    use chassis::settings::Problems;
    use wire::asr::StreamConfig;

    use super::*;
    use crate::models::Served;
    use crate::recognizer::Window;
    use crate::settings::Raw;

    fn options(prompt: Option<&str>) -> StreamOptions {
        let settings = Raw::defaults().check(&mut Problems::default()).unwrap();
        let served = Served {
            name: "demo".to_owned(),
            aliases: Vec::new(),
            languages: vec!["en"],
            multilingual: false,
            translates: false,
            window: Window::Full,
            device: "cpu".to_owned(),
        };
        let asked = StreamConfig {
            prompt: prompt.map(str::to_owned),
            ..StreamConfig::default()
        };
        StreamOptions::new(&asked, &settings, &served).unwrap()
    }

    fn work(purpose: Purpose, context: Option<&str>) -> Transcribe {
        Transcribe {
            job: JobId(1),
            purpose,
            range: 0..16_000,
            prefix: None,
            context: context.map(str::to_owned),
        }
    }

    #[test]
    fn a_model_is_prompted_with_what_the_session_said_and_no_other() {
        let prompt = |asked: Option<&str>, context: Option<&str>| {
            let stream = StreamId::unique();
            recognition(&options(asked), work(Purpose::Final, context), stream).prompt
        };
        // One session after the other.
        let both = prompt(Some("Names: Ada."), Some(" said before"));
        assert_eq!(both.as_deref(), Some("Names: Ada. said before"));
        assert_eq!(prompt(None, None), None);
        assert_eq!(prompt(Some("Bob."), None).as_deref(), Some("Bob."));
        assert_eq!(prompt(None, None), None);
        assert_eq!(prompt(None, Some("so")).as_deref(), Some("so"));
    }

    #[test]
    fn a_draft_may_be_replaced_by_the_session_s_next_and_nothing_else_may() {
        let stream = StreamId::unique();
        let replaces = |purpose| recognition(&options(None), work(purpose, None), stream).replaces;
        assert_eq!(replaces(Purpose::Draft), Some(stream));
        assert_eq!(replaces(Purpose::Final), None);
        assert_eq!(replaces(Purpose::Cut), None);
    }

    /// A session of hours has many thousands of jobs.
    #[tokio::test]
    async fn what_has_ended_is_forgotten() {
        let mut jobs = Jobs::default();
        for nth in 0..100 {
            let job = JobId(nth);
            let asked = Instant::now();
            if nth % 3 == 0 {
                jobs.add(job, std::future::pending());
                jobs.cancel(job);
                assert!(matches!(jobs.next().await, Done::Cancelled));
            } else if nth % 3 == 1 {
                let answer = Ok(0.5);
                jobs.add(job, async move { Done::Judged { job, asked, answer } });
                assert!(matches!(jobs.next().await, Done::Judged { .. }));
            } else {
                jobs.add(job, async move {
                    Done::Transcribed {
                        job,
                        purpose: Purpose::Draft,
                        asked,
                        answer: Ok(Transcript::default()),
                    }
                });
                assert!(matches!(jobs.next().await, Done::Transcribed { .. }));
            }
        }
        assert_eq!((jobs.handles.len(), jobs.running.len()), (0, 0));
    }

    #[tokio::test]
    async fn a_session_that_ends_leaves_no_job_behind() {
        let held = Arc::new(());
        let mut jobs = Jobs::default();
        for nth in 0..3 {
            let mine = Arc::clone(&held);
            jobs.add(JobId(nth), async move {
                std::future::pending::<()>().await;
                drop(mine);
                Done::Cancelled
            });
        }
        assert_eq!(Arc::strong_count(&held), 4);
        drop(jobs);
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
