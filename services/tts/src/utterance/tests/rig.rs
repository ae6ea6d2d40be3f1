//! A connection whose models say what a test wants.

use std::fmt::Write as _;

use super::super::*;

/// Four bytes a sample, unchanged.
struct Plain;

impl Render for Plain {
    fn push(&mut self, samples: &[f32]) -> Rendered {
        Rendered {
            bytes: samples.iter().flat_map(|it| it.to_le_bytes()).collect(),
            n_samples: samples.len(),
        }
    }

    fn finish(&mut self) -> Rendered {
        Rendered::default()
    }
}

/// The same, always five samples behind, as a resampler is.
#[derive(Default)]
pub(super) struct Late(Vec<f32>);

impl Render for Late {
    fn push(&mut self, samples: &[f32]) -> Rendered {
        self.0.extend(samples);
        let n_ready = self.0.len().saturating_sub(5);
        let ready: Vec<f32> = self.0.drain(..n_ready).collect();
        Plain.push(&ready)
    }

    fn finish(&mut self) -> Rendered {
        Plain.push(&mem::take(&mut self.0))
    }
}

pub(super) fn order() -> Order {
    Order {
        render: Box::new(Plain),
        rate_hz: 24_000,
        bytes_per_sample: 4,
        skip: 0,
        max_piece: 1_000_000,
        delivery: Delivery::AsMade,
        speed: 1.0,
    }
}

/// A phrase whose words take equal parts of it.
pub(super) fn phrase(text: &str, from: usize) -> Phrase {
    let words: Vec<&str> = text.split(' ').collect();
    let share = 1.0 / words.len() as f64;
    let placed = words.iter().enumerate().map(|(at, word)| WordShare {
        text: (*word).to_owned(),
        start: at as f64 * share,
        end: (at + 1) as f64 * share,
    });
    Phrase {
        spoken: text.to_owned(),
        chars: from..from + text.len(),
        pause_samples: 0,
        words: placed.collect(),
    }
}

pub(super) fn phrases(texts: &[&str]) -> Vec<Phrase> {
    let mut from = 0;
    let mut all = Vec::new();
    for text in texts {
        all.push(phrase(text, from));
        from += text.len();
    }
    all
}

pub(super) struct Rig {
    pub(super) utterances: Utterances,
    pub(super) actions: Vec<Action>,
    n_chars: std::collections::HashMap<u64, usize>,
}

impl Rig {
    pub(super) fn new(max_requests: usize) -> Rig {
        Rig {
            utterances: Utterances::new(max_requests),
            actions: Vec::new(),
            n_chars: std::collections::HashMap::new(),
        }
    }

    pub(super) fn on(&mut self, event: Event) {
        let actions = self.utterances.on(event);
        self.actions.extend(actions);
    }

    /// All that was told was sent.
    pub(super) fn flushed(&mut self) {
        self.on(Event::Flushed);
    }

    /// A request whose text comes in pieces.
    pub(super) fn open(&mut self, key: u64, change: impl FnOnce(&mut Order)) {
        let mut order = order();
        change(&mut order);
        let key = RequestKey(key);
        self.on(Event::Asked { key, order });
        self.on(Event::Ready { key });
    }

    pub(super) fn ask(&mut self, key: u64, phrases: Vec<Phrase>) {
        self.open(key, |_| {});
        self.more(key, phrases);
        self.end_text(key);
    }

    pub(super) fn more(&mut self, key: u64, phrases: Vec<Phrase>) {
        let so_far = self.n_chars.entry(key).or_default();
        let from = *so_far;
        let mut phrases = phrases;
        for phrase in &mut phrases {
            *so_far += phrase.spoken.len();
            if phrase.chars.start < from {
                phrase.chars = phrase.chars.start + from..phrase.chars.end + from;
            }
        }
        let n_chars = *so_far as u64;
        self.on(Event::Phrases {
            key: RequestKey(key),
            phrases,
            n_chars,
        });
    }

    pub(super) fn end_text(&mut self, key: u64) {
        self.on(Event::TextEnded {
            key: RequestKey(key),
        });
    }

    fn chunk(&mut self, n_samples: usize, is_last: bool) {
        let (phrase, _) = self.utterances.heard().expect("nothing is heard");
        self.on(Event::Chunk {
            phrase,
            samples: vec![0.5; n_samples],
            is_last,
        });
    }

    pub(super) fn sound(&mut self, n_samples: usize) {
        self.chunk(n_samples, false);
    }

    pub(super) fn last(&mut self, n_samples: usize) {
        self.chunk(n_samples, true);
    }

    pub(super) fn ended(&mut self) {
        let (phrase, _) = self.utterances.heard().expect("nothing is heard");
        self.on(Event::Ended { phrase });
    }

    pub(super) fn fail(&mut self) {
        let (phrase, _) = self.utterances.heard().expect("nothing is heard");
        let failure = Failure {
            code: ErrorCode::SynthesisFailed,
            message: String::new(),
        };
        self.on(Event::Failed { phrase, failure });
    }

    /// All that was done, a line each.
    pub(super) fn told(&self) -> String {
        self.actions.iter().fold(String::new(), |mut all, it| {
            writeln!(all, "{}", line(it)).unwrap();
            all
        })
    }
}

fn line(action: &Action) -> String {
    let message = match action {
        Action::Speak { phrase, of, text } => {
            return format!("speak {} of {}: {}", phrase.0, of.0, text.spoken);
        }
        Action::Stop { phrase } => return format!("stop {}", phrase.0),
        Action::Emit(message) => message,
    };
    match message {
        Message::Started {
            key,
            n_chars,
            estimated_ms,
        } => format!("{} started: {n_chars} characters, {estimated_ms} ms", key.0),
        Message::Piece(it) => {
            assert_eq!(it.bytes.len() as u64, 4 * it.n_samples);
            let words: String = it
                .words
                .iter()
                .map(|word| format!(", {}@{:.2}", word.text, word.start_s))
                .collect();
            format!(
                "{} piece {}: {}+{} of {:?}{words}",
                it.of.0, it.number, it.start, it.n_samples, it.chars
            )
        }
        Message::Complete {
            key,
            n_pieces,
            n_samples,
            n_skipped,
        } => format!(
            "{} complete: {n_pieces} pieces, {n_samples} samples, {n_skipped} skipped",
            key.0
        ),
        Message::Cancelled { key, n_pieces, end } => {
            format!("{} cancelled: {n_pieces} pieces, up to {end}", key.0)
        }
        Message::Failed { key, failure } => format!("{} failed: {}", key.0, failure.code),
        Message::Closed(totals) => format!(
            "closed: {} = {} + {} + {}, {} pieces",
            totals.requests, totals.completed, totals.cancelled, totals.failed, totals.pieces
        ),
    }
}
