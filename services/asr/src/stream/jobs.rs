//! The model work that one session awaits.
//!
//! Invariants:
//! - Dropping it abandons everything: a session that ends leaves nothing running for it in a queue.
//! - A cancelled job is dropped where it is; its answer is never heard.
//! - However many finals a session owes, a few of them are with the recogniser; the rest waits here, in order.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use batcher::{Lane, StreamId};
use futures_util::StreamExt as _;
use futures_util::future::{AbortHandle, Abortable, LocalBoxFuture};
use futures_util::stream::FuturesUnordered;
use tokio::sync::Semaphore;

use crate::error::AsrError;
use crate::models::{Hearing, Models};
use crate::options::StreamOptions;
use crate::recognizer::{Options, RecognizeError, Recognizer};
use crate::session::{JobId, Purpose, Transcribe};
use crate::transcript::Transcript;

/// A final that finds no place is asked again after so long; its audio was accepted and is owed a text.
const ASK_AGAIN: Duration = Duration::from_millis(25);
/// Finals of one session that are with the recogniser at a time. More of them would stand there before those of others, and
/// keep new sessions out.
const MAX_FINALS: usize = 4;

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
pub(super) struct Jobs {
    running: FuturesUnordered<LocalBoxFuture<'static, Done>>,
    handles: HashMap<JobId, AbortHandle>,
    /// Places for finals.
    finals: Arc<Semaphore>,
}

impl Default for Jobs {
    fn default() -> Jobs {
        Jobs {
            running: FuturesUnordered::new(),
            handles: HashMap::new(),
            finals: Arc::new(Semaphore::new(MAX_FINALS)),
        }
    }
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
        recognizer: &Recognizer,
        work: Transcribe,
        clip: Arc<[f32]>,
        (options, stream): (&StreamOptions, StreamId),
    ) {
        let asked = Instant::now();
        let Transcribe { job, purpose, .. } = work;
        let options = recognition(options, work, stream);
        let recognizer = recognizer.clone();
        let finals = Arc::clone(&self.finals);
        self.add(job, async move {
            let answer = match purpose {
                Purpose::Draft => recognizer.transcribe(clip, &options, Lane::Normal).await,
                Purpose::Final | Purpose::Cut => {
                    // Nobody closes it, so it is always given.
                    let _place = finals.acquire().await;
                    owed(&recognizer, clip, &options).await
                }
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

/// The text of a clip that is owed one: asked for until there is a place.
async fn owed(
    recognizer: &Recognizer,
    clip: Arc<[f32]>,
    options: &Options,
) -> Result<Transcript, RecognizeError> {
    // Once, however often the queue is full.
    let prepared = recognizer.prepare(clip).await?;
    loop {
        match recognizer
            .transcribe_prepared(&prepared, options, Lane::Urgent)
            .await
        {
            Err(RecognizeError::Refused(batcher::SubmitError::Full { .. })) => {
                tokio::time::sleep(ASK_AGAIN).await;
            }
            answer => return answer,
        }
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
    use std::num::NonZeroUsize;
    use std::sync::{Mutex, mpsc};

    use batcher::{Model, PerLane, Workers};
    use chassis::settings::Problems;
    use wire::asr::StreamConfig;

    use super::*;
    use crate::models::Served;
    use crate::models::whisper::demo;
    use crate::models::whisper::fallback::{Metrics, Verdict};
    use crate::models::whisper::item::{Heard, Input, ModelError, Written};
    use crate::models::whisper::load::ModelCard;
    use crate::recognizer::Window;
    use crate::settings::Raw;

    /// Longer than anything here takes.
    const LONG: Duration = Duration::from_secs(60);

    /// Hears nothing, and one call of it each time it is let.
    struct Gated {
        opened: Arc<Mutex<mpsc::Receiver<()>>>,
    }

    impl Model for Gated {
        type Input = Input;
        type Output = Heard;
        type Error = ModelError;
        type Key = ();

        fn key(_input: &Input) {}

        fn run(&mut self, batch: &[Input]) -> Result<Vec<Heard>, ModelError> {
            // When the test has ended nobody opens any more, and nobody waits.
            let _end = self.opened.lock().unwrap().recv();
            let heard = |_: &Input| Heard {
                written: Some(Written {
                    tokens: Vec::new(),
                    metrics: Metrics {
                        avg_logprob: -0.2,
                        compression_ratio: 1.0,
                        no_speech_prob: 0.9,
                    },
                    verdict: Verdict::Silence,
                }),
                ..Heard::default()
            };
            Ok(batch.iter().map(heard).collect())
        }

        fn self_test(&mut self) -> Result<(), ModelError> {
            Ok(())
        }
    }

    /// A recogniser that runs one job at a time, each when it is let. To be dropped from the right, or its thread waits for ever.
    fn gated(n_places: usize) -> (Workers, Recognizer, mpsc::SyncSender<()>) {
        let (open, opened) = mpsc::sync_channel(64);
        let opened = Arc::new(Mutex::new(opened));
        let batching = batcher::Settings {
            name: "gated",
            places: PerLane::all(n_places),
            max_batch: PerLane::all(NonZeroUsize::MIN),
            workers: NonZeroUsize::MIN,
            raise_after: LONG,
            max_panics_in_a_row: NonZeroUsize::MIN,
        };
        let metrics = batcher::Metrics::unregistered();
        let (whisper, workers) = batcher::spawn(batching, metrics, move |_| {
            let opened = Arc::clone(&opened);
            Ok(Gated { opened })
        });
        let card = Arc::new(ModelCard::read(&demo::files()).unwrap());
        (workers, Recognizer::new(whisper, card), open)
    }

    fn ask(jobs: &mut Jobs, recognizer: &Recognizer, nth: u64, clip: Arc<[f32]>) {
        let work = Transcribe {
            job: JobId(nth),
            ..work(Purpose::Final, None)
        };
        jobs.transcribe(recognizer, work, clip, (&options(None), StreamId::unique()));
    }

    fn second() -> Arc<[f32]> {
        vec![0.1; 16_000].into()
    }

    /// Lets the jobs run until so many finals are in the queue, and a while longer.
    async fn until_held(jobs: &mut Jobs, recognizer: &Recognizer, n_held: usize) {
        let held = async {
            while recognizer.load().urgent.held < n_held {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        };
        tokio::select! {
            held = tokio::time::timeout(LONG, held) => held.unwrap(),
            done = jobs.next() => panic!("{done:?}"),
        }
    }

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

    #[tokio::test]
    async fn a_session_that_owes_many_finals_has_few_in_the_queue_and_another_s_comes_soon() {
        let (_workers, recognizer, open) = gated(512);
        let mut one = Jobs::default();
        for nth in 0..100 {
            ask(&mut one, &recognizer, nth, second());
        }
        until_held(&mut one, &recognizer, MAX_FINALS).await;
        assert_eq!(recognizer.load().urgent.held, MAX_FINALS);
        let mut other = Jobs::default();
        ask(&mut other, &recognizer, 0, second());
        until_held(&mut other, &recognizer, MAX_FINALS + 1).await;
        for _ in 0..=MAX_FINALS {
            open.send(()).unwrap();
        }
        let rest_of_one = async {
            while let Done::Transcribed { answer, .. } = one.next().await {
                answer.unwrap();
            }
        };
        let heard = tokio::time::timeout(LONG, async {
            tokio::select! {
                done = other.next() => done,
                () = rest_of_one => panic!("a job of the first session was no final"),
            }
        });
        assert!(matches!(
            heard.await.unwrap(),
            Done::Transcribed { answer: Ok(_), .. }
        ));
    }

    #[tokio::test]
    async fn a_final_that_is_cancelled_gives_its_place_to_the_next() {
        let (_workers, recognizer, open) = gated(512);
        let mut jobs = Jobs::default();
        let n_finals = 2 * MAX_FINALS as u64;
        for nth in 0..n_finals {
            ask(&mut jobs, &recognizer, nth, second());
        }
        until_held(&mut jobs, &recognizer, MAX_FINALS).await;
        // Those that have a place, and one that waits for one.
        for nth in 0..=MAX_FINALS as u64 {
            jobs.cancel(JobId(nth));
        }
        for _ in 0..n_finals {
            open.send(()).unwrap();
        }
        let mut n_heard = 0;
        let all = async {
            for _ in 0..n_finals {
                n_heard += u64::from(matches!(jobs.next().await, Done::Transcribed { .. }));
            }
        };
        tokio::time::timeout(LONG, all).await.unwrap();
        assert_eq!(n_heard, n_finals - MAX_FINALS as u64 - 1);
        assert_eq!(jobs.finals.available_permits(), MAX_FINALS);
    }

    #[tokio::test]
    async fn the_features_of_a_final_are_computed_once_however_long_the_queue_is_full() {
        let (_workers, recognizer, open) = gated(1);
        let mut other = Jobs::default();
        ask(&mut other, &recognizer, 0, second());
        until_held(&mut other, &recognizer, 1).await;
        let mut jobs = Jobs::default();
        let clip = second();
        ask(&mut jobs, &recognizer, 0, Arc::clone(&clip));
        // From a clip that nobody holds nothing is computed again.
        let let_go = async {
            while 1 < Arc::strong_count(&clip) {
                tokio::time::sleep(ASK_AGAIN).await;
            }
            tokio::time::sleep(4 * ASK_AGAIN).await;
        };
        tokio::select! {
            let_go = tokio::time::timeout(LONG, let_go) => let_go.unwrap(),
            done = jobs.next() => panic!("{done:?}"),
        }
        open.send(()).unwrap();
        open.send(()).unwrap();
        let done = tokio::time::timeout(LONG, jobs.next()).await.unwrap();
        assert!(matches!(done, Done::Transcribed { answer: Ok(_), .. }));
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
