//! What holds for any story: order, one end for each request, and samples that add up.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::super::*;
use super::rig::{Late, order, phrase};

/// Something that may happen. Numbers are taken modulo what there is.
#[derive(Clone, Debug)]
enum Step {
    Ask {
        n_phrases: usize,
        is_whole: bool,
        skip: u64,
        max_piece: usize,
        delivery: Delivery,
        is_ready: bool,
    },
    Ready(usize),
    More(usize, usize),
    EndText(usize),
    Sound(usize),
    Last(usize),
    Ended,
    Fail(usize),
    Stranger(u64),
    Cancel(usize),
    Refuse(usize),
    Deny,
    Draining,
    Close,
    Abort(bool),
    Flushed,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ask = (
        0..4_usize,
        any::<bool>(),
        0..300_u64,
        1..200_usize,
        any::<bool>(),
        0..4_u8,
    )
        .prop_map(
            |(n_phrases, is_whole, skip, max_piece, whole, ready)| Step::Ask {
                n_phrases,
                is_whole,
                skip: if skip < 150 { 0 } else { skip },
                max_piece,
                delivery: if whole {
                    Delivery::WholePhrases
                } else {
                    Delivery::AsMade
                },
                is_ready: ready != 0,
            },
        );
    let step = prop_oneof![
        4 => ask,
        2 => any::<usize>().prop_map(Step::Ready),
        3 => (any::<usize>(), 0..3_usize).prop_map(|(of, n)| Step::More(of, n)),
        3 => any::<usize>().prop_map(Step::EndText),
        8 => (0..250_usize).prop_map(Step::Sound),
        6 => (0..250_usize).prop_map(Step::Last),
        2 => Just(Step::Ended),
        1 => any::<usize>().prop_map(Step::Fail),
        1 => any::<u64>().prop_map(Step::Stranger),
        2 => any::<usize>().prop_map(Step::Cancel),
        1 => any::<usize>().prop_map(Step::Refuse),
        1 => Just(Step::Deny),
        1 => Just(Step::Flushed),
    ];
    let end = prop_oneof![
        2 => Just(Step::Close),
        1 => Just(Step::Draining),
        1 => any::<bool>().prop_map(Step::Abort),
    ];
    (
        proptest::collection::vec(step.clone(), 0..60),
        end,
        proptest::collection::vec(step, 0..20),
    )
        .prop_map(|(mut steps, end, more)| {
            steps.push(end);
            steps.extend(more);
            steps
        })
}

/// What is known of a request from outside.
#[derive(Debug, Default)]
struct Seen {
    skip: u64,
    max_piece: usize,
    /// Every sample that the models made of it.
    made: Vec<f32>,
    sent: Vec<f32>,
    n_pieces: u64,
    has_started: bool,
    end: Option<&'static str>,
}

#[derive(Debug)]
struct World {
    utterances: Utterances,
    seen: BTreeMap<u64, Seen>,
    /// In order; what is given out and not over.
    speaking: VecDeque<(PhraseId, u64)>,
    stopped: BTreeSet<u64>,
    n_phrases: u64,
    n_samples: f32,
    /// The request whose messages come now.
    current: Option<u64>,
    closed: Option<Totals>,
}

impl World {
    fn new() -> World {
        World {
            utterances: Utterances::new(5),
            seen: BTreeMap::new(),
            speaking: VecDeque::new(),
            stopped: BTreeSet::new(),
            n_phrases: 0,
            n_samples: 0.0,
            current: None,
            closed: None,
        }
    }

    fn key(&self, any: usize) -> Option<RequestKey> {
        let n = self.seen.len();
        let key = self.seen.keys().nth(any.checked_rem(n)?)?;
        Some(RequestKey(*key))
    }

    fn on(&mut self, event: Event) {
        for action in self.utterances.on(event) {
            assert_eq!(self.closed, None, "{action:?} after the end");
            match action {
                Action::Speak { phrase, of, .. } => {
                    assert_eq!(phrase.0, self.n_phrases, "phrases are counted");
                    self.n_phrases += 1;
                    assert!(self.speaking.len() < IN_FLIGHT);
                    assert_eq!(
                        self.seen[&of.0].end, None,
                        "work for a request that has ended"
                    );
                    assert!(self.speaking.iter().all(|it| it.1 <= of.0), "out of order");
                    self.speaking.push_back((phrase, of.0));
                }
                Action::Stop { phrase } => {
                    assert!(self.stopped.insert(phrase.0), "stopped twice");
                    let n = self.speaking.len();
                    self.speaking.retain(|it| it.0 != phrase);
                    assert_eq!(
                        self.speaking.len(),
                        n - 1,
                        "stopped what was not being made"
                    );
                }
                Action::Emit(message) => self.hear(message),
            }
        }
    }

    fn hear(&mut self, message: Message) {
        let (key, end) = match message {
            Message::Started { key, .. } => {
                let seen = self.seen.get_mut(&key.0).unwrap();
                assert!(!seen.has_started && seen.end.is_none());
                seen.has_started = true;
                assert_eq!(self.current, None, "two requests at a time");
                self.current = Some(key.0);
                return;
            }
            Message::Piece(piece) => {
                self.hear_piece(&piece);
                return;
            }
            Message::Complete {
                key,
                n_pieces,
                n_samples,
                n_skipped,
            } => {
                assert_eq!(self.current, Some(key.0));
                let seen = &self.seen[&key.0];
                assert_eq!(n_pieces, seen.n_pieces);
                assert_eq!(n_samples, seen.made.len() as u64);
                assert_eq!(n_skipped, seen.skip.min(n_samples));
                let skipped = usize::try_from(n_skipped).unwrap();
                assert_eq!(
                    seen.sent,
                    seen.made[skipped..],
                    "what was made is what was sent"
                );
                (key, "complete")
            }
            Message::Cancelled { key, n_pieces, end } => {
                let seen = &self.seen[&key.0];
                assert_eq!(n_pieces, seen.n_pieces);
                assert_eq!(end, seen.skip + seen.sent.len() as u64);
                (key, "cancelled")
            }
            Message::Failed { key, .. } => (key, "failed"),
            Message::Closed(totals) => {
                self.closed = Some(totals);
                return;
            }
        };
        let seen = self.seen.get_mut(&key.0).unwrap();
        assert_eq!(seen.end.replace(end), None, "two ends of {key:?}");
        assert!(
            self.speaking.iter().all(|it| it.1 != key.0),
            "something is still made for {key:?}"
        );
        if self.current == Some(key.0) {
            self.current = None;
        }
    }

    fn hear_piece(&mut self, piece: &Piece) {
        assert_eq!(self.current, Some(piece.of.0), "a piece out of turn");
        let seen = self.seen.get_mut(&piece.of.0).unwrap();
        seen.n_pieces += 1;
        assert_eq!(piece.number, seen.n_pieces);
        assert_eq!(piece.start, seen.skip + seen.sent.len() as u64, "a gap");
        let samples = piece.bytes.chunks_exact(4);
        let samples: Vec<f32> = samples
            .map(|it| f32::from_le_bytes(it.try_into().unwrap()))
            .collect();
        assert_eq!(piece.n_samples, samples.len() as u64);
        assert!(!samples.is_empty() && samples.len() <= seen.max_piece);
        seen.sent.extend(samples);
    }

    fn chunk(&mut self, n: usize, is_last: bool) {
        let Some((phrase, of)) = self.speaking.front().copied() else {
            return;
        };
        assert_eq!(self.utterances.heard(), Some((phrase, RequestKey(of))));
        let samples: Vec<f32> = (0..n)
            .map(|_| {
                self.n_samples += 1.0;
                self.n_samples
            })
            .collect();
        self.seen.get_mut(&of).unwrap().made.extend(&samples);
        if is_last {
            self.speaking.pop_front();
        }
        self.on(Event::Chunk {
            phrase,
            samples,
            is_last,
        });
    }

    #[expect(
        clippy::too_many_lines,
        reason = "one step for each thing that may happen"
    )]
    fn play(&mut self, step: &Step) {
        match *step {
            Step::Ask {
                n_phrases,
                is_whole,
                skip,
                max_piece,
                delivery,
                is_ready,
            } => {
                let key = RequestKey(self.seen.len() as u64);
                let seen = Seen {
                    skip,
                    max_piece,
                    ..Seen::default()
                };
                if self.closed.is_some() {
                    return;
                }
                self.seen.insert(key.0, seen);
                let order = Order {
                    skip,
                    max_piece,
                    delivery,
                    ..order()
                };
                let order = match key.0 % 2 {
                    0 => order,
                    _ => Order {
                        render: Box::new(Late::default()),
                        ..order
                    },
                };
                self.on(Event::Asked { key, order });
                self.more(key, n_phrases);
                if is_whole {
                    self.on(Event::TextEnded { key });
                }
                if is_ready {
                    self.on(Event::Ready { key });
                }
            }
            Step::Ready(any) => self.with(any, |key| Event::Ready { key }),
            Step::More(any, n) => {
                if let Some(key) = self.key(any) {
                    self.more(key, n);
                }
            }
            Step::EndText(any) => self.with(any, |key| Event::TextEnded { key }),
            Step::Sound(n) => self.chunk(n, false),
            Step::Last(n) => self.chunk(n, true),
            Step::Ended => {
                if let Some((phrase, _)) = self.speaking.pop_front() {
                    self.on(Event::Ended { phrase });
                }
            }
            Step::Fail(any) => {
                let n = self.speaking.len();
                let spoken = any.checked_rem(n).and_then(|it| self.speaking.get(it));
                if let Some((phrase, _)) = spoken.copied() {
                    let failure = failure();
                    self.on(Event::Failed { phrase, failure });
                }
            }
            Step::Stranger(id) => {
                let phrase = PhraseId(self.n_phrases + id % 100);
                let samples = vec![9.0; 3];
                self.on(Event::Chunk {
                    phrase,
                    samples,
                    is_last: true,
                });
                self.on(Event::Ended { phrase });
            }
            Step::Cancel(any) => self.with(any, |key| Event::Cancel { key }),
            Step::Refuse(any) => self.with(any, |key| Event::Refused {
                key,
                failure: failure(),
            }),
            Step::Deny if self.closed.is_none() => {
                let key = RequestKey(self.seen.len() as u64);
                self.seen.insert(key.0, Seen::default());
                self.on(Event::Denied {
                    key,
                    failure: failure(),
                });
            }
            Step::Deny => {}
            Step::Draining => self.on(Event::Draining),
            Step::Close => self.on(Event::Close),
            Step::Abort(is_failure) => self.on(Event::Abort {
                failure: is_failure.then(failure),
            }),
            Step::Flushed => self.on(Event::Flushed),
        }
    }

    fn with(&mut self, any: usize, event: impl FnOnce(RequestKey) -> Event) {
        if let Some(key) = self.key(any) {
            self.on(event(key));
        }
    }

    fn more(&mut self, key: RequestKey, n: usize) {
        let phrases = (0..n).map(|it| phrase("One two.", it * 8)).collect();
        self.on(Event::Phrases {
            key,
            phrases,
            n_chars: 8,
        });
    }
}

fn failure() -> Failure {
    Failure {
        code: ErrorCode::SynthesisFailed,
        message: String::new(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn every_request_has_one_end_and_all_its_samples(steps in steps()) {
        let mut world = World::new();
        for step in &steps {
            world.play(step);
        }
        // Everything that is awaited comes.
        for any in 0..world.seen.len() {
            world.with(any, |key| Event::Ready { key });
            world.with(any, |key| Event::TextEnded { key });
        }
        while !world.speaking.is_empty() {
            world.chunk(100, true);
        }
        prop_assert!(world.closed.is_some() || world.utterances.is_over());
        world.on(Event::Flushed);
        let totals = world.closed.expect("it never closed");
        prop_assert_eq!(world.utterances.heard(), None);
        let count = |end| world.seen.values().filter(|it| it.end == Some(end)).count() as u64;
        prop_assert_eq!(
            totals,
            Totals {
                requests: world.seen.len() as u64,
                completed: count("complete"),
                cancelled: count("cancelled"),
                failed: count("failed"),
                pieces: world.seen.values().map(|it| it.n_pieces).sum(),
            }
        );
        prop_assert_eq!(totals.requests, totals.completed + totals.cancelled + totals.failed);
    }
}
