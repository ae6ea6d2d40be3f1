//! One request: its phrases, how far it is, and the words that were said.
//!
//! Invariants:
//! - Each word is told once, with the first piece that reaches its start; none begins before the one before it.

use std::collections::VecDeque;
use std::ops::Range;

use super::event::{Delivery, Order, RequestKey};
use super::message::{Message, Piece, Word};
use super::track::{Cut, Track};
use crate::models::conditioning::SAMPLE_RATE_HZ;

/// English is read at about 15 characters a second (150 words of 5 letters and a space a minute).
const CHARS_PER_SECOND: f64 = 15.0;

/// What the models are given at a time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Phrase {
    /// As it is said.
    pub spoken: String,
    /// Where it stands in the request's text, in characters.
    pub chars: Range<usize>,
    /// Silence before it, at the models' rate. Not before the first phrase of a request.
    pub pause_samples: usize,
    /// In order.
    pub words: Vec<WordShare>,
}

/// A word, and which part of its phrase's audio it is thought to take: 0 is the start and 1 the end.
#[derive(Clone, Debug, PartialEq)]
pub struct WordShare {
    pub text: String,
    pub start: f64,
    pub end: f64,
}

/// A request that is under way.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) key: RequestKey,
    pub(super) is_ready: bool,
    pub(super) text_has_ended: bool,
    has_started: bool,
    n_chars: u64,
    waiting: VecDeque<Phrase>,
    /// Given out and not ended; the first is heard.
    spoken: VecDeque<Heard>,
    /// What is being said, also after the phrase has ended.
    chars: Range<usize>,
    /// Phrases that have begun to be heard.
    n_heard: usize,
    track: Track,
    speed: f64,
    delivery: Delivery,
    held: Vec<u8>,
    /// Words with their times, to be told with the piece that reaches them.
    words: VecDeque<Word>,
    told_from: f64,
}

/// A phrase that was given out.
#[derive(Debug)]
struct Heard {
    chars: Range<usize>,
    pause_samples: usize,
    /// Where its own audio begins, once it does.
    from: Option<u64>,
    /// How long it may be, in the client's samples.
    expected: f64,
    words: VecDeque<WordShare>,
}

impl Request {
    pub(super) fn new(key: RequestKey, order: Order) -> Request {
        Request {
            key,
            is_ready: false,
            text_has_ended: false,
            has_started: false,
            n_chars: 0,
            waiting: VecDeque::new(),
            spoken: VecDeque::new(),
            chars: 0..0,
            n_heard: 0,
            speed: f64::from(order.speed.max(0.01)),
            delivery: order.delivery,
            track: Track::new(order),
            held: Vec::new(),
            words: VecDeque::new(),
            told_from: 0.0,
        }
    }

    pub(super) fn add(&mut self, phrases: Vec<Phrase>, n_chars: u64) {
        if self.text_has_ended {
            return;
        }
        self.n_chars = self.n_chars.max(n_chars);
        self.waiting.extend(phrases);
    }

    /// Says that it has its turn, once, as soon as there is something to say of it.
    pub(super) fn start(&mut self) -> Option<Message> {
        let has_text = !self.waiting.is_empty() || !self.spoken.is_empty();
        let is_due = self.is_ready && (self.text_has_ended || has_text);
        if self.has_started || !is_due {
            return None;
        }
        self.has_started = true;
        let seconds = self.n_chars as f64 / CHARS_PER_SECOND / self.speed;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float cast saturates"
        )]
        let estimated_ms = (seconds * 1_000.0).round() as u64;
        Some(Message::Started {
            key: self.key,
            n_chars: self.n_chars,
            estimated_ms,
        })
    }

    pub(super) fn next_phrase(&mut self) -> Option<Phrase> {
        if !self.is_ready {
            return None;
        }
        let phrase = self.waiting.pop_front()?;
        let seconds = phrase.spoken.chars().count() as f64 / CHARS_PER_SECOND / self.speed;
        self.spoken.push_back(Heard {
            chars: phrase.chars.clone(),
            pause_samples: phrase.pause_samples,
            from: None,
            expected: seconds * f64::from(self.track.rate_hz()),
            words: phrase.words.clone().into(),
        });
        Some(phrase)
    }

    /// Whether nothing of it is left to be given out, now or later.
    pub(super) fn is_spoken(&self) -> bool {
        self.is_ready && self.text_has_ended && self.waiting.is_empty()
    }

    /// Audio of the phrase that is heard.
    pub(super) fn hear(&mut self, samples: &[f32], is_last: bool) -> Vec<Piece> {
        let Some(phrase) = self.spoken.front_mut() else {
            return Vec::new();
        };
        self.chars = phrase.chars.clone();
        let mut bytes = Vec::new();
        if phrase.from.is_none() {
            if 0 < self.n_heard {
                bytes.extend(self.track.push(&silence(phrase.pause_samples, self.speed)));
            }
            phrase.from = Some(self.track.position());
            self.n_heard += 1;
        }
        bytes.extend(self.track.push(samples));
        self.place_words(is_last);
        self.hand_out(bytes, self.delivery == Delivery::AsMade)
    }

    /// The phrase that is heard has ended.
    pub(super) fn phrase_ended(&mut self) -> Vec<Piece> {
        self.place_words(true);
        self.spoken.pop_front();
        self.hand_out(Vec::new(), true)
    }

    /// Nothing more will be said: what the renderer still holds.
    pub(super) fn finish(&mut self) -> Vec<Piece> {
        let bytes = self.track.finish();
        self.hand_out(bytes, true)
    }

    pub(super) fn complete(&self) -> Message {
        Message::Complete {
            key: self.key,
            n_pieces: self.track.n_pieces(),
            n_samples: self.track.position(),
            n_skipped: self.track.n_skipped(),
        }
    }

    pub(super) fn cancelled(&self) -> Message {
        Message::Cancelled {
            key: self.key,
            n_pieces: self.track.n_pieces(),
            end: self.track.sent_until(),
        }
    }

    fn hand_out(&mut self, bytes: Vec<u8>, now: bool) -> Vec<Piece> {
        self.held.extend(bytes);
        if !now || self.held.is_empty() {
            return Vec::new();
        }
        let held = std::mem::take(&mut self.held);
        let cuts = self.track.cut(held);
        cuts.into_iter().map(|it| self.piece(it)).collect()
    }

    fn piece(&mut self, cut: Cut) -> Piece {
        let end_s = self.seconds(cut.start + cut.n_samples);
        let words = self.words_before(cut.start, end_s);
        Piece {
            of: self.key,
            number: cut.number,
            start: cut.start,
            n_samples: cut.n_samples,
            chars: self.chars.clone(),
            words,
            bytes: cut.bytes,
        }
    }

    /// The words that begin before `end_s`, but for those that ended before `start`: they are in audio that the client had already.
    fn words_before(&mut self, start: u64, end_s: f64) -> Vec<Word> {
        let start_s = self.seconds(start);
        let n_begun = self
            .words
            .iter()
            .take_while(|it| it.start_s < end_s)
            .count();
        self.words
            .drain(..n_begun)
            .filter(|it| start_s < it.end_s)
            .collect()
    }

    fn seconds(&self, position: u64) -> f64 {
        position as f64 / f64::from(self.track.rate_hz())
    }

    /// Gives times to the words that the audio has reached. The length of a phrase is estimated until it is known.
    fn place_words(&mut self, is_all: bool) {
        let position = self.track.position();
        let rate = f64::from(self.track.rate_hz());
        let Some(phrase) = self.spoken.front_mut() else {
            return;
        };
        let from = phrase.from.unwrap_or(position);
        let n_heard = (position - from) as f64;
        let length = if is_all {
            n_heard
        } else {
            phrase.expected.max(n_heard)
        };
        let is_reached = |it: &&WordShare| is_all || it.start * length < n_heard;
        let n_reached = phrase.words.iter().take_while(is_reached).count();
        for word in phrase.words.drain(..n_reached) {
            let at = |share: f64| (from as f64 + share * length) / rate;
            let start_s = at(word.start).max(self.told_from);
            let end_s = at(word.end).max(start_s);
            self.told_from = start_s;
            self.words.push_back(Word {
                text: word.text,
                start_s,
                end_s,
            });
        }
    }
}

/// A pause is as long for whoever wants fast speech as for whoever wants it slow: rendering changes its length with the speech.
fn silence(n_samples: usize, speed: f64) -> Vec<f32> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float cast saturates, and a pause is seconds"
    )]
    let n = (n_samples as f64 * speed).round() as usize;
    vec![0.0; n.min(10 * SAMPLE_RATE_HZ as usize)]
}
