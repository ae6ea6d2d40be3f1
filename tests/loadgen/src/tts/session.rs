//! One listener: has texts spoken one after the other, plays each to its end, thinks, and goes on.
//!
//! With a [`Mix`] it also stops listening in the middle, goes away without a word, brings a voice of its own, and sends
//! texts piece by piece.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use tokio::time::{sleep, timeout_at};
use tokio_tungstenite::tungstenite::Message;

use super::protocol::{Ask, Said, Wanted};
use super::record::{Record, Request};
use crate::random::Random;
use crate::socket::{self, PATIENCE, Socket};

/// A recording that voices are learnt from.
#[derive(Clone, Debug)]
pub(crate) struct Recording {
    pub(crate) name: String,
    pub(crate) base64: String,
}

/// How often, out of 1000 requests, a listener does something else than listen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mix {
    pub(crate) cancel: u64,
    pub(crate) vanish: u64,
    pub(crate) new_voice: u64,
    pub(crate) in_pieces: u64,
}

/// What all listeners of a run have in common.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// A name for reports and charts.
    pub(crate) label: String,
    /// `host:port`.
    pub(crate) server: String,
    /// The server's process, if it runs on this machine.
    pub(crate) server_pid: Option<u32>,
    pub(crate) sentences: Arc<[String]>,
    pub(crate) voices: Arc<[String]>,
    pub(crate) recordings: Arc<[Recording]>,
    pub(crate) wanted: Wanted,
    pub(crate) seed: u64,
    /// A request speaks one to so many sentences.
    pub(crate) max_joined: usize,
    /// Shortest and longest time to think, in milliseconds.
    pub(crate) pause_ms: (u64, u64),
    /// Nobody listens: the next request comes as soon as the last has ended.
    pub(crate) eager: bool,
    /// How long to go on asking; what is spoken then is heard to its end.
    pub(crate) length: Duration,
    /// Requests before this are not timed.
    pub(crate) warm_up: Duration,
    pub(crate) mix: Option<Mix>,
}

/// How often a listener whose connection the server cut tries again.
const MAX_LOST: usize = 5;
/// Of a text in pieces: at a time.
const PIECE_CHARS: usize = 8;
const PIECE_EVERY: Duration = Duration::from_millis(20);
/// What is to be interrupted is as long as so many sentences: short ones are made before anybody can.
const LONG: usize = 6;
/// Interrupted within this time of asking: some before the first sound, most after it.
const INTERRUPT_WITHIN_MS: u64 = 400;

/// What a listener does in the middle.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Interruption {
    Cancel,
    Vanish,
}

/// What is next.
struct Turn {
    text: String,
    voice: String,
    /// The voice has to be learnt from this first, and is forgotten afterwards.
    learn: Option<usize>,
    in_pieces: bool,
    interruption: Option<(Interruption, Duration)>,
}

/// How a connection ended.
enum Ending {
    Closed,
    Vanished,
    Lost(String),
}

struct Session<'a> {
    plan: &'a Plan,
    number: u64,
    random: Random,
    record: Record,
    until: Instant,
}

/// Runs one listener to the end.
pub(crate) async fn run(plan: &Plan, number: u64, starts_at: Instant) -> Record {
    let mut random = Random::new(plan.seed ^ number.wrapping_mul(0xA076_1D64_78BD_642F));
    // Not all at the same time.
    let phase = Duration::from_millis(random.between(0, plan.pause_ms.1));
    let wanted = plan.wanted;
    let mut session = Session {
        plan,
        number,
        random,
        record: Record::new(wanted.encoding.bytes_per_sample(), wanted.sample_rate),
        until: starts_at + plan.length,
    };
    sleep((starts_at + phase).saturating_duration_since(Instant::now())).await;
    while Instant::now() < session.until {
        session.record.begin_connection();
        let ending = match socket::open(&plan.wanted.url(&plan.server)).await {
            Ok(Ok(socket)) => session.converse(socket).await,
            Ok(Err(refusal)) => {
                session.record.complaints.refused = Some(refusal);
                break;
            }
            Err(error) => Ending::Lost(format!("{error:#}")),
        };
        match ending {
            Ending::Closed => break,
            Ending::Vanished => {}
            Ending::Lost(why) => {
                session.record.complaints.lost.push(why);
                if session.record.complaints.lost.len() == MAX_LOST {
                    break;
                }
            }
        }
        sleep(Duration::from_millis(session.random.between(20, 500))).await;
    }
    session.record.begin_connection();
    session.record
}

impl Session<'_> {
    async fn converse(&mut self, mut socket: Box<Socket>) -> Ending {
        match self.take_turns(&mut socket).await {
            Ok(true) => {}
            // Without a word, as a program that dies.
            Ok(false) => return Ending::Vanished,
            Err(why) => return Ending::Lost(why),
        }
        match self.farewell(&mut socket).await {
            Ok(()) => Ending::Closed,
            Err(why) => Ending::Lost(why),
        }
    }

    /// Returns whether it is time to close, and not to vanish.
    async fn take_turns(&mut self, socket: &mut Socket) -> Result<bool, String> {
        let plan = self.plan;
        while Instant::now() < self.until {
            let turn = self.choose();
            if let Some(recording) = turn.learn {
                let ask = Ask::RegisterVoice {
                    voice: &turn.voice,
                    recording: &plan.recordings[recording].base64,
                };
                self.ask_about_voice(socket, &turn.voice, ask).await?;
            }
            if !self.speak(socket, &turn).await? {
                return Ok(false);
            }
            if turn.learn.is_some() {
                let ask = Ask::DeleteVoice { voice: &turn.voice };
                self.ask_about_voice(socket, &turn.voice, ask).await?;
            }
            if plan.eager {
                continue;
            }
            let pause = self.random.between(plan.pause_ms.0, plan.pause_ms.1);
            let heard = self.record.last().and_then(|it| {
                // Who cancelled hears no more.
                it.playback.ends().filter(|_| it.cancelled.is_none())
            });
            let now = Instant::now();
            let next = heard.map_or(now, |it| it.max(now)) + Duration::from_millis(pause);
            self.listen(socket, next, |_| false).await?;
        }
        Ok(true)
    }

    fn choose(&mut self) -> Turn {
        let plan = self.plan;
        let mix = plan.mix;
        let mut one_of = |part: Option<u64>| {
            let dice = self.random.between(0, 999);
            part.is_some_and(|part| dice < part)
        };
        let cancel = one_of(mix.map(|it| it.cancel));
        let vanish = one_of(mix.map(|it| it.vanish));
        let new_voice = one_of(mix.map(|it| it.new_voice)) && !plan.recordings.is_empty();
        let in_pieces = one_of(mix.map(|it| it.in_pieces));
        let interruption = match (cancel, vanish) {
            // Who brought a voice takes it away again.
            (_, true) if !new_voice => Some(Interruption::Vanish),
            (true, _) => Some(Interruption::Cancel),
            (false, _) => None,
        };
        let n_sentences = match interruption {
            Some(_) => LONG,
            None => 1 + self.random.index(plan.max_joined.max(1)),
        };
        let text: Vec<&str> = (0..n_sentences)
            .map(|_| plan.sentences[self.random.index(plan.sentences.len())].as_str())
            .collect();
        let learn = new_voice.then(|| self.random.index(plan.recordings.len()));
        Turn {
            text: text.join(" "),
            voice: match learn {
                Some(_) => format!(
                    "loadgen-{}-{}-{}",
                    std::process::id(),
                    self.number,
                    self.record.requests.len()
                ),
                None => plan.voices[self.random.index(plan.voices.len())].clone(),
            },
            learn,
            in_pieces,
            interruption: interruption.map(|what| {
                let after = self.random.between(0, INTERRUPT_WITHIN_MS);
                (what, Duration::from_millis(after))
            }),
        }
    }

    /// Has one text spoken. Returns false if the listener is to be gone.
    async fn speak(&mut self, socket: &mut Socket, turn: &Turn) -> Result<bool, String> {
        let id = format!("r{}", self.record.requests.len());
        let voice = turn.voice.as_str();
        let n_chars = turn.text.chars().count() as u64;
        // Where a piece ends can move the end of a sentence, and a new voice is another each time.
        let comparable = !turn.in_pieces && turn.learn.is_none();
        let what = comparable.then(|| format!("{voice}: {}", turn.text));
        self.record
            .requests
            .push(Request::new(id.clone(), what, n_chars, turn.in_pieces));
        if turn.in_pieces {
            let chars: Vec<char> = turn.text.chars().collect();
            for piece in chars.chunks(PIECE_CHARS) {
                let text: String = piece.iter().collect();
                let ask = Ask::Text {
                    id: &id,
                    text: &text,
                    voice,
                };
                send(socket, ask).await?;
                self.listen(socket, Instant::now() + PIECE_EVERY, has_ended)
                    .await?;
            }
            send(socket, Ask::End { id: &id }).await?;
        } else {
            let ask = Ask::Synthesize {
                id: &id,
                text: &turn.text,
                voice,
            };
            send(socket, ask).await?;
        }
        if let Some((what, after)) = turn.interruption
            && !self
                .listen(socket, Instant::now() + after, has_ended)
                .await?
        {
            if what == Interruption::Vanish {
                return Ok(false);
            }
            if let Some(request) = self.record.last() {
                request.cancelled = Some(Instant::now());
            }
            send(socket, Ask::Cancel { id: &id }).await?;
        }
        match self
            .listen(socket, Instant::now() + PATIENCE, has_ended)
            .await?
        {
            true => Ok(true),
            false => Err(format!("{id} did not end within a minute")),
        }
    }

    async fn ask_about_voice(
        &mut self,
        socket: &mut Socket,
        voice: &str,
        ask: Ask<'_>,
    ) -> Result<(), String> {
        self.record.voice_asked = Some((voice.to_owned(), Instant::now()));
        send(socket, ask).await?;
        let answered = |record: &Record| record.voice_asked.is_none();
        match self
            .listen(socket, Instant::now() + PATIENCE, answered)
            .await?
        {
            true => Ok(()),
            false => Err("no answer about a voice within a minute".to_owned()),
        }
    }

    async fn farewell(&mut self, socket: &mut Socket) -> Result<(), String> {
        let before = self.record.connections_closed;
        send(socket, Ask::Close).await?;
        let closed = |record: &Record| before < record.connections_closed;
        match self
            .listen(socket, Instant::now() + PATIENCE, closed)
            .await?
        {
            true => Ok(()),
            false => Err("no `closed` within a minute".to_owned()),
        }
    }

    /// Hears what comes until `done`, or until the deadline: then false.
    async fn listen(
        &mut self,
        socket: &mut Socket,
        deadline: Instant,
        done: impl Fn(&Record) -> bool,
    ) -> Result<bool, String> {
        loop {
            if done(&self.record) {
                return Ok(true);
            }
            let Ok(received) = timeout_at(deadline.into(), socket.next()).await else {
                return Ok(false);
            };
            let at = Instant::now();
            match received {
                Some(Ok(Message::Text(text))) => match serde_json::from_str::<Said>(&text) {
                    Ok(said) => {
                        self.record.hear(said, at);
                    }
                    Err(error) => self
                        .record
                        .complaints
                        .violation(format!("cannot read `{text}`: {error}")),
                },
                Some(Ok(Message::Binary(bytes))) => self.record.hear_audio(bytes.len(), at),
                Some(Ok(Message::Close(frame))) => {
                    return Err(format!("closed by the server: {frame:?}"));
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Err(error)) => return Err(error.to_string()),
                None => return Err("end of stream".to_owned()),
            }
        }
    }
}

fn has_ended(record: &Record) -> bool {
    record.requests.last().is_none_or(|it| it.ended.is_some())
}

async fn send(socket: &mut Socket, ask: Ask<'_>) -> Result<(), String> {
    socket
        .send(Message::text(ask.json().to_string()))
        .await
        .map_err(|error| format!("sending: {error}"))
}
