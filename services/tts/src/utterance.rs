//! What one connection has been asked to say: requests in order, sentences in order, and the audio that was sent.
//!
//! ```text
//!  Asked, Ready, Phrases, TextEnded ─► requests ─► phrases ─► Speak        at most two at a time: one is heard, one is being made
//!  Cancel, Draining, Close, Abort ───────┘            ▲
//!                     Chunk, Ended, Failed ───────────┘──► track ─► Emit   (skip, pieces, positions)
//!  Flushed ─► Emit the totals, if nothing is under way and nothing new is taken
//! ```
//!
//! Words: a *request* is what a client asks for and hears the end of, a *phrase* is what the models are given at a time, a *piece* is
//! what is sent at a time.
//!
//! Invariants:
//! - Pure. No `async`, no clock, no I/O: effects are returned.
//! - Every request gets exactly one of `Complete`, `Cancelled` and `Failed`, and nothing after it.
//! - `Closed` is said when nothing else is left to be sent. Who asks between the last end and that is refused, and counted.
//! - `Started`, pieces and `Complete` come in the order in which the requests came; those of one request are never mixed with another's.
//! - The pieces of a request follow one another without a gap, from `skip` on: all of its samples are sent or skipped, none twice.
//! - What is sent depends on the text, the audio and `skip`, never on how soon they came.
//! - At most [`IN_FLIGHT`] phrases are being spoken. Answers about others are ignored.

mod event;
mod message;
mod request;
mod track;

use std::collections::VecDeque;
use std::mem;

pub use event::{Action, Delivery, Event, Order, PhraseId, RequestKey};
pub use message::{Failure, Message, Piece, Totals, Word};
pub use request::{Phrase, WordShare};
pub use track::{Render, Rendered};

use request::Request;
use wire::error::ErrorCode;

/// Phrases that are being spoken at a time: while one is heard the next is made, and no more work than that is lost by a cancel.
pub const IN_FLIGHT: usize = 2;

/// The requests of one connection.
#[derive(Debug)]
pub struct Utterances {
    max_requests: usize,
    requests: VecDeque<Request>,
    /// In the order in which they will be heard; the first is heard now.
    in_flight: VecDeque<Spoken>,
    n_phrases: u64,
    phase: Phase,
    totals: Totals,
    actions: Vec<Action>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// What was asked for is still said, nothing new.
    Draining,
    /// The same, because the client wants to go.
    Closing,
    Closed,
}

#[derive(Clone, Copy, Debug)]
struct Spoken {
    id: PhraseId,
    of: RequestKey,
}

impl Utterances {
    /// A connection that may have so many requests under way.
    pub fn new(max_requests: usize) -> Utterances {
        Utterances {
            max_requests: max_requests.max(1),
            requests: VecDeque::new(),
            in_flight: VecDeque::new(),
            n_phrases: 0,
            phase: Phase::Open,
            totals: Totals::default(),
            actions: Vec::new(),
        }
    }

    /// Takes in what happened and says what is to be done, in this order.
    pub fn on(&mut self, event: Event) -> Vec<Action> {
        if self.phase != Phase::Closed {
            self.take(event);
            self.advance();
        }
        mem::take(&mut self.actions)
    }

    /// The phrase whose audio is due, and its request. The audio of the other has to wait where it is made.
    pub fn heard(&self) -> Option<(PhraseId, RequestKey)> {
        self.in_flight.front().map(|it| (it.id, it.of))
    }

    /// Whether nothing is under way and nothing new is taken: the last word waits for [`Event::Flushed`].
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Draining | Phase::Closing) && self.requests.is_empty()
    }

    /// What became of the requests so far.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Asked { key, order } => self.asked(key, order),
            Event::Denied { key, failure } => self.deny(key, failure),
            Event::Ready { key } => self.with(key, |it| it.is_ready = true),
            Event::Phrases {
                key,
                phrases,
                n_chars,
            } => self.with(key, |it| it.add(phrases, n_chars)),
            Event::TextEnded { key } => self.with(key, |it| it.text_has_ended = true),
            Event::Chunk {
                phrase,
                samples,
                is_last,
            } => self.chunk(phrase, &samples, is_last),
            Event::Ended { phrase } => self.ended(phrase),
            Event::Failed { phrase, failure } => {
                if let Some(spoken) = self.in_flight.iter().find(|it| it.id == phrase) {
                    self.fail(spoken.of, failure);
                }
            }
            Event::Refused { key, failure } => self.fail(key, failure),
            Event::Cancel { key } => self.cancel(key),
            Event::Draining => {
                if self.phase == Phase::Open {
                    self.phase = Phase::Draining;
                }
            }
            Event::Close => self.phase = Phase::Closing,
            Event::Abort { failure } => self.abort(failure.as_ref()),
            Event::Flushed => self.flushed(),
        }
    }

    fn with(&mut self, key: RequestKey, change: impl FnOnce(&mut Request)) {
        if let Some(request) = self.requests.iter_mut().find(|it| it.key == key) {
            change(request);
        }
    }

    fn asked(&mut self, key: RequestKey, order: Order) {
        let refusal = match self.phase {
            Phase::Draining => Some(Failure {
                code: ErrorCode::Draining,
                message: "the server is going down and takes no new requests; connect again"
                    .to_owned(),
            }),
            Phase::Closing | Phase::Closed => Some(Failure {
                code: ErrorCode::UnexpectedMessage,
                message: "nothing can be asked for after `close`".to_owned(),
            }),
            Phase::Open if self.max_requests <= self.requests.len() => Some(Failure {
                code: ErrorCode::RateLimited,
                message: format!(
                    "at most {} requests may be under way on one connection; wait for the end of one. Given: one more",
                    self.max_requests
                ),
            }),
            Phase::Open => None,
        };
        if let Some(failure) = refusal {
            return self.deny(key, failure);
        }
        self.totals.requests += 1;
        self.requests.push_back(Request::new(key, order));
    }

    fn deny(&mut self, key: RequestKey, failure: Failure) {
        self.totals.requests += 1;
        self.totals.failed += 1;
        self.emit(Message::Failed { key, failure });
    }

    fn chunk(&mut self, phrase: PhraseId, samples: &[f32], is_last: bool) {
        let Some(request) = self.hearing(phrase) else {
            return;
        };
        let pieces = request.hear(samples, is_last);
        self.send(pieces);
        if is_last {
            self.ended(phrase);
        }
    }

    fn ended(&mut self, phrase: PhraseId) {
        let Some(request) = self.hearing(phrase) else {
            return;
        };
        let pieces = request.phrase_ended();
        self.in_flight.pop_front();
        self.send(pieces);
    }

    /// The request of a phrase, if it is this phrase that is heard.
    ///
    /// It is the first: those before it have ended, and while they had not, no phrase after theirs was given out first.
    fn hearing(&mut self, phrase: PhraseId) -> Option<&mut Request> {
        let heard = *self.in_flight.front()?;
        let is_known = self.in_flight.iter().any(|it| it.id == phrase);
        debug_assert!(
            heard.id == phrase || !is_known,
            "audio of a phrase before its turn"
        );
        let first = self.requests.front_mut()?;
        debug_assert_eq!(first.key, heard.of);
        (heard.id == phrase && heard.of == first.key).then_some(first)
    }

    fn send(&mut self, pieces: Vec<Piece>) {
        self.totals.pieces += pieces.len() as u64;
        self.actions.extend(
            pieces
                .into_iter()
                .map(|it| Action::Emit(Message::Piece(it))),
        );
    }

    fn emit(&mut self, message: Message) {
        self.actions.push(Action::Emit(message));
    }

    /// Takes a request out, and lets go of what is spoken for it.
    fn drop_request(&mut self, key: RequestKey) -> Option<Request> {
        let at = self.requests.iter().position(|it| it.key == key)?;
        let actions = &mut self.actions;
        self.in_flight.retain(|it| {
            if it.of == key {
                actions.push(Action::Stop { phrase: it.id });
            }
            it.of != key
        });
        self.requests.remove(at)
    }

    fn cancel(&mut self, key: RequestKey) {
        if let Some(request) = self.drop_request(key) {
            self.totals.cancelled += 1;
            self.emit(request.cancelled());
        }
    }

    fn fail(&mut self, key: RequestKey, failure: Failure) {
        if self.drop_request(key).is_some() {
            self.totals.failed += 1;
            self.emit(Message::Failed { key, failure });
        }
    }

    fn abort(&mut self, failure: Option<&Failure>) {
        // Who is refused later is told of the drain, if there is one.
        if self.phase == Phase::Open {
            self.phase = Phase::Closing;
        }
        while let Some(key) = self.requests.front().map(|it| it.key) {
            match failure {
                Some(failure) => self.fail(key, failure.clone()),
                None => self.cancel(key),
            }
        }
    }

    fn flushed(&mut self) {
        if self.is_over() {
            self.phase = Phase::Closed;
            self.emit(Message::Closed(self.totals));
        }
    }

    /// Begins and ends whatever can be, until nothing moves any more.
    fn advance(&mut self) {
        while let Some(first) = self.requests.front_mut() {
            if let Some(started) = first.start() {
                self.emit(started);
            }
            self.speak();
            if !self.finish_first() {
                return;
            }
        }
    }

    /// Gives out phrases, as far as they may be in flight and it is known which is next.
    fn speak(&mut self) {
        for request in &mut self.requests {
            while self.in_flight.len() < IN_FLIGHT {
                let Some(phrase) = request.next_phrase() else {
                    break;
                };
                let id = PhraseId(self.n_phrases);
                self.n_phrases += 1;
                self.in_flight.push_back(Spoken {
                    id,
                    of: request.key,
                });
                self.actions.push(Action::Speak {
                    phrase: id,
                    of: request.key,
                    text: phrase,
                });
            }
            if !request.is_spoken() {
                return;
            }
        }
    }

    /// Says that the first request has ended, if it has.
    fn finish_first(&mut self) -> bool {
        let is_done = self.requests.front().is_some_and(|it| {
            it.is_spoken() && !self.in_flight.iter().any(|spoken| spoken.of == it.key)
        });
        if !is_done {
            return false;
        }
        if let Some(mut request) = self.requests.pop_front() {
            let pieces = request.finish();
            self.send(pieces);
            self.totals.completed += 1;
            self.emit(request.complete());
        }
        true
    }
}

#[cfg(test)]
mod tests;
