//! One session: its socket, its audio, its jobs, and the core that decides.
//!
//! Invariants:
//! - A thin loop: take what comes, translate, ask the core, do what it says, in this order.
//! - While audio waits for room the socket is not read; what the client sent is never dropped.
//! - At most one VAD job is out, so frames are heard in order; its recurrent state travels with it.
//! - However it ends, everything it had in a queue is abandoned, and if the client is there it is told `closed`.

mod acting;

use std::sync::Arc;
use std::time::{Duration, Instant};

use batcher::StreamId;
use bytes::Bytes;
use chassis::api_error::ApiError;
use chassis::limits::Admission;
use chassis::socket::{Fault, Received, SendError, Socket};
use wire::asr::StreamConfig;
use wire::error::ErrorCode;

use super::arrivals::Arrivals;
use super::ear::Ear;
use super::jobs::{Done, Jobs};
use super::pace::Pace;
use crate::app::App;
use crate::dialect::{Command, Dialect, Notice};
use crate::metrics::Ending;
use crate::models::Hearing;
use crate::options::StreamOptions;
use crate::session::{Event, Method, Purpose, RATE_HZ, Session};

/// Frames of one VAD job at most: a second of audio, so that one session's backlog does not hold up the others.
const MAX_FRAMES: u64 = 32;
/// How soon to look again whether silence on the socket is silence, when the audio is not all heard yet.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// After a broken frame: time for the texts that are owed. There may be nobody left to read them.
const LAST_TEXTS: Duration = Duration::from_secs(10);

/// Why a session stops.
#[derive(Debug)]
enum End {
    /// The core has said its last.
    Closed,
    Gone,
    Slow(Fault),
    Failed(ApiError),
}

impl From<SendError> for End {
    fn from(error: SendError) -> End {
        match error {
            SendError::Gone => End::Gone,
            SendError::Slow(fault) => End::Slow(fault),
        }
    }
}

/// Why the core was asked to close.
#[derive(Debug)]
enum Closing {
    Asked,
    Drain,
    Fault(Fault),
}

/// A session.
pub(super) struct Listening {
    app: Arc<App>,
    dialect: Box<dyn Dialect>,
    id: String,
    asked: StreamConfig,
    options: StreamOptions,
    session: Session,
    ear: Ear,
    hearing: Option<Hearing>,
    /// Grows with every reset: what was heard before is not heard any more.
    generation: u64,
    jobs: Jobs,
    stream: StreamId,
    arrivals: Arrivals,
    pace: Pace,
    /// The rest of the last binary frame.
    pending: Bytes,
    n_replaced: usize,
    closing: Option<Closing>,
    /// The decoder has given its last samples.
    finished: bool,
    /// The core knows that the audio is at its end.
    close_sent: bool,
    drain_until: Option<Instant>,
    /// When the process is about to end.
    drain_end: Option<Instant>,
    idle_at: Option<Instant>,
    progress_at: Option<Instant>,
    progress_sent: Instant,
    counted_samples: u64,
    draft_asked: Option<Instant>,
    held_back: bool,
}

impl Listening {
    pub(super) fn new(
        app: Arc<App>,
        dialect: Box<dyn Dialect>,
        id: String,
        asked: StreamConfig,
        options: StreamOptions,
    ) -> Listening {
        Listening {
            session: Session::new(&options.policy, options.clock),
            ear: ear(&app, &options),
            hearing: Some(Hearing::of_stream()),
            app,
            dialect,
            id,
            asked,
            options,
            generation: 0,
            jobs: Jobs::default(),
            stream: StreamId::unique(),
            arrivals: Arrivals::default(),
            pace: Pace::default(),
            pending: Bytes::new(),
            n_replaced: 0,
            closing: None,
            finished: false,
            close_sent: false,
            drain_until: None,
            drain_end: None,
            idle_at: None,
            progress_at: None,
            progress_sent: Instant::now(),
            counted_samples: 0,
            draft_asked: None,
            held_back: false,
        }
    }

    /// Serves the client until either side ends.
    pub(super) async fn run(mut self, mut socket: Socket, admission: Admission) {
        tracing::debug!("opened");
        let draining = admission.guard.draining();
        let end = self.serve(&mut socket, draining).await;
        let ending = match (&end, &self.closing) {
            (End::Closed, Some(Closing::Fault(_))) => Ending::Fault,
            (End::Closed, Some(Closing::Asked)) => Ending::Closed,
            (End::Closed, Some(Closing::Drain) | None) => Ending::Drained,
            (End::Gone, _) => Ending::Gone,
            (End::Slow(_), _) => Ending::Fault,
            (End::Failed(_), _) => Ending::Failed,
        };
        self.app.metrics.ended(ending);
        tracing::debug!(?ending, "ended");
        self.part(socket, end).await;
        // Now the drain may go on.
        drop(admission);
    }

    async fn serve(&mut self, socket: &mut Socket, draining: impl Future<Output = ()>) -> End {
        tokio::pin!(draining);
        if let Err(end) = self.send_ready(socket).await {
            return end;
        }
        loop {
            let may_read = self.may_read(socket);
            let awaits_drain = self.drain_until.is_none();
            let tick = self.next_tick();
            let done = tokio::select! {
                received = socket.recv(), if may_read => self.on_received(socket, received).await,
                done = self.jobs.next() => self.on_done(socket, done).await,
                () = &mut draining, if awaits_drain => self.on_draining(socket).await,
                () = until(tick) => self.on_tick(socket).await,
            };
            let done = match done {
                Ok(()) => self.advance(socket).await,
                Err(end) => Err(end),
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    /// Whether the socket may be read. After a fault of the frames there is nothing more to read.
    fn may_read(&mut self, socket: &mut Socket) -> bool {
        let deaf = matches!(self.closing, Some(Closing::Fault(_)));
        let room = self.pending.is_empty() && !self.ear.has_backlog();
        if !room && !self.held_back {
            self.app.metrics.held_back.inc();
        }
        if room && self.held_back {
            // It was we who did not read: that is no silence of the client.
            socket.touch();
        }
        self.held_back = !room;
        !deaf && (room || self.closing.is_some())
    }

    fn next_tick(&self) -> Option<Instant> {
        [self.idle_at, self.progress_at, self.drain_until]
            .into_iter()
            .flatten()
            .min()
    }

    async fn on_received(&mut self, socket: &mut Socket, received: Received) -> Result<(), End> {
        match received {
            // The client has asked for the end, or there is none to wait for: what it says now is not heard.
            Received::Text(_) | Received::Binary(_) if self.closing.is_some() => Ok(()),
            Received::Binary(bytes) => {
                self.take_audio(bytes);
                Ok(())
            }
            Received::Text(text) => match self.dialect.command(&text) {
                Ok(command) => self.on_command(socket, command).await,
                Err(error) => self.tell(socket, &error.into()).await,
            },
            // Who has asked for the end has nothing more to say while the last texts are made.
            Received::Fault(Fault::Idle { .. }) if self.closing.is_some() => {
                socket.touch();
                Ok(())
            }
            Received::Fault(fault) => {
                self.closing.get_or_insert(Closing::Fault(fault));
                self.drain_until.get_or_insert(Instant::now() + LAST_TEXTS);
                Ok(())
            }
            Received::Gone(gone) => {
                tracing::debug!(?gone, "the client left");
                Err(End::Gone)
            }
        }
    }

    fn take_audio(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.pending = bytes;
            let now = Instant::now();
            self.idle_at = Some(now + self.app.settings.stream.audio_idle);
            self.owe_progress(now);
        }
    }

    fn owe_progress(&mut self, now: Instant) {
        let due = self.progress_sent + self.app.settings.stream.progress_interval;
        self.progress_at.get_or_insert(due.max(now));
    }

    async fn on_command(&mut self, socket: &mut Socket, command: Command) -> Result<(), End> {
        match command {
            Command::Configure(config) => self.configure(socket, *config).await,
            Command::Finalize { id } => self.on(socket, Event::Finalize { id }).await,
            Command::Reset => {
                self.generation += 1;
                // A job that is out keeps its place until it comes back; a second one would take another session's.
                if let Some(hearing) = &mut self.hearing {
                    *hearing = Hearing::of_stream();
                }
                self.ear.skip();
                self.on(socket, Event::Reset).await
            }
            Command::Keepalive => Ok(()),
            Command::Close => {
                self.closing = Some(Closing::Asked);
                Ok(())
            }
        }
    }

    async fn configure(&mut self, socket: &mut Socket, config: StreamConfig) -> Result<(), End> {
        // A single byte is half a sample, and a page of headers is none: what they began would be lost.
        if self.ear.has_begun() {
            let error = ApiError::new(
                ErrorCode::UnexpectedMessage,
                "`config` must come before the first audio; the options in force stay. Open another stream for others",
            );
            return self.tell(socket, &error).await;
        }
        let asked = config.over(self.asked.clone());
        match StreamOptions::new(&asked, &self.app.settings, self.app.models.served()) {
            Ok(options) => {
                self.session = Session::new(&options.policy, options.clock);
                self.ear = ear(&self.app, &options);
                self.asked = asked;
                self.options = options;
                self.send_ready(socket).await
            }
            Err(error) => self.tell(socket, &error.into()).await,
        }
    }

    async fn on_done(&mut self, socket: &mut Socket, done: Done) -> Result<(), End> {
        let mut events = Vec::new();
        match done {
            Done::Heard { generation, .. } if generation != self.generation => {
                self.hearing = Some(Hearing::of_stream());
            }
            Done::Heard {
                first_end, answer, ..
            } => {
                let (probabilities, hearing) = answer.map_err(|it| End::Failed(it.into()))?;
                self.hearing = Some(hearing);
                events = heard(first_end, self.options.policy.method, &probabilities);
                if self.options.policy.drafts.is_some() {
                    let wait = self.app.models.recognizer.load().normal.wait();
                    events.insert(0, Event::Load { wait });
                }
            }
            Done::Judged { job, asked, answer } => {
                self.app
                    .metrics
                    .turn_decision
                    .observe(asked.elapsed().as_secs_f64());
                events.push(match answer {
                    Ok(probability) => Event::Judged { job, probability },
                    Err(error) => {
                        ApiError::from(error).log();
                        Event::JudgeFailed { job }
                    }
                });
            }
            Done::Transcribed {
                job,
                purpose,
                asked,
                answer,
            } => events.push(match answer {
                Ok(transcript) => {
                    self.app
                        .metrics
                        .transcribed(transcript.n_fallback_windows, transcript.n_silent_windows);
                    self.draft_asked = (purpose == Purpose::Draft).then_some(asked);
                    Event::Transcribed { job, transcript }
                }
                Err(error) => {
                    if purpose != Purpose::Draft {
                        tracing::error!(%error, "a segment was not transcribed");
                    }
                    Event::TranscriptionFailed { job }
                }
            }),
            Done::Cancelled => {}
        }
        for event in events {
            self.on(socket, event).await?;
        }
        Ok(())
    }

    async fn on_draining(&mut self, socket: &mut Socket) -> Result<(), End> {
        let deadline = self.app.service.drain_times().deadline;
        // The drain itself is over at the deadline; what is left must be said before.
        let margin = (deadline / 10).min(Duration::from_secs(2));
        let now = Instant::now();
        self.drain_until = Some(now + deadline.saturating_sub(margin));
        self.drain_end = Some(now + deadline.saturating_sub(margin / 2));
        self.notice(socket, Notice::Draining { deadline }).await?;
        self.on(socket, Event::Draining).await
    }

    async fn on_tick(&mut self, socket: &mut Socket) -> Result<(), End> {
        let now = Instant::now();
        if self.drain_until.is_some_and(|it| it <= now) {
            if self.closing.is_some() {
                // The texts that are owed did not come in time.
                return Err(End::Failed(ApiError::new(
                    ErrorCode::Timeout,
                    "the last texts were not ready in time",
                )));
            }
            self.closing = Some(Closing::Drain);
            // Whoever is still owed a text then is told so, which the end of the process would not do.
            let last_texts = now + LAST_TEXTS;
            self.drain_until = Some(self.drain_end.map_or(last_texts, |it| it.min(last_texts)));
        }
        if self.progress_at.is_some_and(|it| it <= now) {
            self.progress_at = None;
            self.progress_sent = now;
            self.notice(socket, Notice::Progress(self.session.progress()))
                .await?;
        }
        if self.idle_at.is_some_and(|it| it <= now) {
            let caught_up =
                self.pending.is_empty() && !self.ear.has_backlog() && self.ear.n_frames() == 0;
            if caught_up && self.hearing.is_some() {
                self.idle_at = None;
                self.on(socket, Event::AudioIdle).await?;
            } else {
                self.idle_at = Some(now + LOOK_AGAIN);
            }
        }
        Ok(())
    }
}

fn ear(app: &App, options: &StreamOptions) -> Ear {
    let bound = audio::Samples::from_seconds(
        app.settings.stream.max_buffer.as_secs_f64(),
        audio::SampleRate::HZ_16000,
    )
    .0;
    // What the client asked for may need more than what the operator had in mind; less would wait for ever.
    let least = options.policy.least_history() + RATE_HZ;
    let max_samples = usize::try_from(bound.max(least)).unwrap_or(usize::MAX);
    Ear::new(
        options.sound,
        options.rate,
        options.policy.method.frame_samples(),
        max_samples,
    )
}

/// What the core is told about frames, of which the first ends at `first_end`.
fn heard(first_end: u64, method: Method, probabilities: &[f32]) -> Vec<Event> {
    let ends = (first_end..).step_by(usize::try_from(method.frame_samples()).unwrap_or(usize::MAX));
    ends.zip(probabilities)
        .map(|(until, probability)| Event::Heard {
            until,
            probability: *probability,
        })
        .collect()
}

async fn until(tick: Option<Instant>) {
    match tick {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
