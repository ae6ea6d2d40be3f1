//! EDGE of one session: awaits the client, the voices, the models and the server's end, and tells the core.
//!
//! Invariants:
//! - Only this task writes to the socket; a request speaks through the core or not at all.
//! - Audio is awaited only when all that was made before is on its way, so who reads slowly is spoken to slowly, and can still be heard:
//!   until as many answers wait for it as may.
//! - A panic or a dropped session abandons its work with its requests.

mod acting;
mod asking;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chassis::api_error::ApiError;
use chassis::limits::Admission;
use chassis::socket::{Fault, Received, SendError, Socket};
use wire::error::ErrorCode;
use wire::tts::SpeechOptions;

use super::jobs::{Done, Jobs};
use super::names::Names;
use super::outgoing::Outgoing;
use super::request::Request;
use crate::app::App;
use crate::dialect::Dialect;
use crate::error::TtsError;
use crate::metrics::Ending;
use crate::narration::{self, Line, Narration};
use crate::options::Speech;
use crate::speaker::{Fault as SpeechFault, Spoken};
use crate::utterance::{Event, Failure, PhraseId, RequestKey, Utterances};

/// A phrase that finds no place is asked for again after so long.
const ASK_AGAIN: Duration = Duration::from_millis(10);
/// A text in pieces of which nothing came for so long is not coming.
const TEXT_PATIENCE: Duration = Duration::from_secs(60);
/// After the end of a drain: time for the last words.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Who is connected, and how.
pub(super) struct Client {
    pub(super) id: String,
    pub(super) dialect: Box<dyn Dialect>,
    /// What every request gets that does not say otherwise: as asked for, and in effect.
    pub(super) asked: SpeechOptions,
    pub(super) speech: Speech,
}

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

/// A phrase as the models are given it, kept until it is spoken: they may have no place for it yet.
#[derive(Clone, Debug)]
struct Saying {
    id: PhraseId,
    of: RequestKey,
    line: Line,
    /// Silence before it, until it is heard.
    pause_samples: usize,
    since: Instant,
}

/// A session.
pub(super) struct Speaking {
    app: Arc<App>,
    client: Client,
    utterances: Utterances,
    requests: HashMap<RequestKey, Request>,
    names: Names,
    n_keys: u64,
    jobs: Jobs,
    narration: Narration,
    /// What the narration was given, by its names.
    said: BTreeMap<usize, Saying>,
    unsaid: VecDeque<Saying>,
    outgoing: Outgoing,
    /// Bytes that may be on their way before more are sent: a second of the latest audio.
    max_on_the_way: usize,
    /// Since when what is to be sent finds no room.
    stuck_since: Option<Instant>,
    n_sent: u64,
    closing: Option<Closing>,
    /// The client was told that the server stops.
    drain_until: Option<Instant>,
}

impl Speaking {
    pub(super) fn new(app: Arc<App>, client: Client, jobs: Jobs) -> Speaking {
        let speech = &client.speech;
        Speaking {
            narration: Narration::new(&app),
            said: BTreeMap::new(),
            utterances: Utterances::new(app.settings.stream.max_requests.get()),
            app,
            max_on_the_way: speech.rate.hz() as usize * speech.encoding.bytes_per_sample(),
            client,
            requests: HashMap::new(),
            names: Names::default(),
            n_keys: 0,
            jobs,
            unsaid: VecDeque::new(),
            outgoing: Outgoing::default(),
            stuck_since: None,
            n_sent: 0,
            closing: None,
            drain_until: None,
        }
    }

    /// Serves the client until either side ends.
    pub(super) async fn run(mut self, mut socket: Socket, admission: Admission) {
        tracing::debug!("opened");
        let draining = admission.guard.draining();
        let end = self.serve(&mut socket, draining).await;
        // Nobody hears these ends, but they are counted.
        self.on(Event::Abort { failure: None });
        let ending = match (&end, &self.closing) {
            (End::Closed, Some(Closing::Fault(_))) | (End::Slow(_), _) => Ending::Fault,
            (End::Closed, Some(Closing::Asked)) => Ending::Closed,
            (End::Closed, Some(Closing::Drain) | None) => Ending::Drained,
            (End::Gone, _) => Ending::Gone,
            (End::Failed(_), _) => Ending::Failed,
        };
        self.app.metrics.session_ended(ending);
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
            if let Err(end) = self.send_what_fits(socket).await {
                return end;
            }
            let may_send = self.outgoing.is_empty();
            let has_room = socket.n_waiting_bytes() <= self.max_on_the_way;
            let drained = socket.drained_to(self.max_on_the_way);
            let is_faulty = matches!(self.closing, Some(Closing::Fault(_)));
            let is_deaf = is_faulty || self.outgoing.is_full();
            let awaits_drain = self.drain_until.is_none();
            let tick = self.next_tick(socket);
            let Speaking {
                narration, jobs, ..
            } = &mut *self;
            let done = tokio::select! {
                received = socket.recv(), if !is_deaf => self.on_received(socket, received).await,
                done = jobs.next() => self.on_done(socket, done).await,
                spoken = hear(narration), if may_send => {
                    self.on_spoken(spoken);
                    Ok(())
                }
                // Without room only if the connection has gone, of which `recv` tells otherwise.
                () = drained, if !has_room => {
                    if is_deaf && self.max_on_the_way < socket.n_waiting_bytes() {
                        Err(End::Gone)
                    } else {
                        Ok(())
                    }
                }
                () = &mut draining, if awaits_drain => self.on_draining(socket).await,
                () = until(tick) => self.on_tick(),
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    /// When something is due that nobody tells of.
    fn next_tick(&self, socket: &Socket) -> Option<Instant> {
        let again = (!self.unsaid.is_empty()).then(|| Instant::now() + ASK_AGAIN);
        let text = self.requests.values().filter_map(|it| {
            let (last_at, is_pending) = it.waits_for_text()?;
            let patience = if is_pending {
                self.app.settings.stream.text_wait
            } else {
                TEXT_PATIENCE
            };
            Some(last_at + patience)
        });
        let stuck = self
            .stuck_since
            .filter(|_| 0 < socket.n_waiting_bytes())
            .map(|it| it + self.app.service.server().slow_reader);
        text.chain(again).chain(stuck).chain(self.drain_until).min()
    }

    async fn on_received(&mut self, socket: &mut Socket, received: Received) -> Result<(), End> {
        match received {
            Received::Text(text) => {
                // A voice is of use to others even if this client leaves; everything else is for it alone.
                match self.client.dialect.command(&text) {
                    Ok(command) => self.on_command(socket, command).await,
                    Err(misheard) => self.on_misheard(socket, misheard).await,
                }
            }
            Received::Binary(_) => {
                let error = ApiError::new(
                    ErrorCode::UnexpectedMessage,
                    "binary frames have no meaning here; recordings go into `register_voice` as base64",
                );
                self.tell(socket, &error, None).await
            }
            Received::Fault(fault) => {
                let failure = Failure {
                    code: ApiError::from(fault.clone()).code(),
                    message: fault.to_string(),
                };
                self.closing = Some(Closing::Fault(fault));
                self.drain_until = Some(Instant::now() + LAST_WORDS);
                self.on(Event::Abort {
                    failure: Some(failure),
                });
                Ok(())
            }
            Received::Gone(gone) => {
                tracing::debug!(?gone, "the client left");
                Err(End::Gone)
            }
        }
    }

    async fn on_done(&mut self, socket: &mut Socket, done: Done) -> Result<(), End> {
        match done {
            Done::Found { of, answer } => {
                match answer {
                    Ok(voice) => {
                        if let Some(request) = self.requests.get_mut(&of) {
                            request.found(&self.app, voice);
                            self.on(Event::Ready { key: of });
                        }
                    }
                    Err(error) => self.refuse(of, TtsError::from(error)),
                }
                Ok(())
            }
            Done::Registered { voice, answer } => self.on_registered(socket, voice, answer).await,
            Done::Deleted { voice, answer } => self.on_deleted(socket, voice, answer).await,
            Done::Listed(answer) => self.on_listed(socket, answer).await,
        }
    }

    fn on_spoken(&mut self, spoken: Spoken) {
        let Spoken {
            sentence_idx,
            chunk,
            late: _,
        } = spoken;
        let Some(saying) = self.said.get_mut(&sentence_idx) else {
            return;
        };
        let said = saying.clone();
        saying.pause_samples = 0;
        if narration::has_ended(&chunk) {
            self.said.remove(&sentence_idx);
        }
        match chunk {
            Ok(chunk) => {
                let request = self.requests.get_mut(&said.of);
                let made = request.map(|it| it.made(chunk.samples.len(), said.pause_samples));
                if let Some(Err(error)) = made {
                    self.give_up(said.id, error);
                    return;
                }
                self.on(Event::Chunk {
                    phrase: said.id,
                    samples: chunk.samples,
                    is_last: chunk.is_last,
                });
            }
            Err(error) if error.fault() == SpeechFault::Busy && self.may_wait(&said) => {
                // In the order in which they are to be heard.
                let later = std::mem::take(&mut self.said);
                for idx in later.keys() {
                    self.narration.stop(*idx);
                }
                for saying in later.into_values().rev().chain([said]) {
                    self.unsaid.push_front(saying);
                }
            }
            Err(error) => self.give_up(said.id, TtsError::from(error)),
        }
    }

    /// No more comes of a phrase: its request ends.
    fn give_up(&mut self, phrase: PhraseId, error: TtsError) {
        let error = ApiError::from(error);
        error.log();
        self.on(Event::Failed {
            phrase,
            failure: failure(&error),
        });
    }

    /// Whether it is too soon to give up on a phrase that finds no place.
    fn may_wait(&self, saying: &Saying) -> bool {
        saying.since.elapsed() < self.app.settings.model.max_wait
    }

    async fn on_draining(&mut self, socket: &mut Socket) -> Result<(), End> {
        let deadline = self.app.service.drain_times().deadline;
        // The drain itself is over at the deadline; what is left must be said before.
        let margin = (deadline / 10).min(Duration::from_secs(2));
        self.drain_until = Some(Instant::now() + deadline.saturating_sub(margin));
        self.notice_draining(socket, deadline).await?;
        self.on(Event::Draining);
        Ok(())
    }

    fn on_tick(&mut self) -> Result<(), End> {
        let now = Instant::now();
        let slow_reader = self.app.service.server().slow_reader;
        if self.stuck_since.is_some_and(|it| it + slow_reader <= now) {
            return Err(End::Slow(Fault::SlowConsumer { after: slow_reader }));
        }
        if self.drain_until.is_some_and(|it| it <= now) {
            // Not so after `close`: what was asked for before goes on until now.
            if matches!(self.closing, Some(Closing::Drain | Closing::Fault(_))) {
                return Err(End::Failed(ApiError::new(
                    ErrorCode::Timeout,
                    "the last words could not be sent in time",
                )));
            }
            self.closing = Some(Closing::Drain);
            self.drain_until = Some(now + LAST_WORDS);
            let failure = Failure {
                code: ErrorCode::Draining,
                message: "the server had to stop before this was said; ask another instance"
                    .to_owned(),
            };
            self.on(Event::Abort {
                failure: Some(failure),
            });
        }
        self.look_after_texts(now);
        self.say_unsaid();
        Ok(())
    }

    /// Speaks what waits for a text that is slow to come, and gives up on one that does not come.
    fn look_after_texts(&mut self, now: Instant) {
        let wait = self.app.settings.stream.text_wait;
        let waiting: Vec<(RequestKey, Duration, bool)> = self
            .requests
            .iter()
            .filter_map(|(key, it)| {
                let (last_at, is_pending) = it.waits_for_text()?;
                Some((*key, now.saturating_duration_since(last_at), is_pending))
            })
            .collect();
        for (key, waited, is_pending) in waiting {
            if TEXT_PATIENCE <= waited {
                let error = ApiError::new(
                    ErrorCode::Timeout,
                    format!(
                        "no text came for {} s; send `end` when a text is complete",
                        TEXT_PATIENCE.as_secs()
                    ),
                );
                self.refuse(key, error);
            } else if is_pending && wait <= waited {
                self.flush(key);
            }
        }
    }
}

/// Waits for what is spoken next; for ever, if nothing is.
async fn hear(narration: &mut Narration) -> Spoken {
    match narration.next().await {
        Some(spoken) => spoken,
        None => std::future::pending().await,
    }
}

fn failure(error: &ApiError) -> Failure {
    Failure {
        code: error.code(),
        message: error.message(),
    }
}

async fn until(tick: Option<Instant>) {
    match tick {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
