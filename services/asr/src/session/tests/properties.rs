//! What holds whatever is said, whatever the client sends, and whenever the models answer.

use std::collections::VecDeque;
use std::ops::Range;

use proptest::prelude::*;

use super::rig::{Spoken, Waiting};
use super::*;

/// What the client does next.
#[derive(Clone, Debug)]
enum Step {
    /// Frames of a word, of a sound that is no word, of doubt, or of silence.
    Word(u64),
    Sound(u64),
    Doubt(u64),
    Silence(u64),
    /// A part of a frame.
    Scrap(u64),
    Finalize,
    Idle,
    Reset,
    Drain,
}

impl Step {
    fn frames(&self) -> (u64, f32) {
        match *self {
            Step::Word(n) | Step::Sound(n) => (n, 0.9),
            Step::Doubt(n) => (n, 0.4),
            Step::Silence(n) => (n, 0.05),
            Step::Scrap(_) | Step::Finalize | Step::Idle | Step::Reset | Step::Drain => (0, 0.0),
        }
    }
}

fn audio() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1u64..40).prop_map(Step::Word),
        1 => (60u64..150).prop_map(Step::Word),
        1 => (1u64..5).prop_map(Step::Sound),
        1 => (1u64..12).prop_map(Step::Doubt),
        5 => (1u64..30).prop_map(Step::Silence),
        1 => (90u64..130).prop_map(Step::Silence),
    ]
}

/// What does not depend on when it comes.
fn orderly() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => audio(),
        1 => (1u64..512).prop_map(Step::Scrap),
        1 => Just(Step::Finalize),
        1 => Just(Step::Idle),
    ];
    prop::collection::vec(step, 1..40)
}

fn anything() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => audio(),
        1 => (1u64..512).prop_map(Step::Scrap),
        1 => Just(Step::Finalize),
        1 => Just(Step::Idle),
        1 => Just(Step::Reset),
        1 => prop_oneof![9 => Just(Step::Idle), 1 => Just(Step::Drain)],
    ];
    prop::collection::vec(step, 1..40)
}

/// Long speech is cut often, turns are often too long.
fn policy() -> impl Strategy<Value = Policy> {
    let method = prop_oneof![
        3 => Just(Method::SileroSmartTurn),
        1 => Just(Method::Silero),
        1 => Just(Method::Energy),
    ];
    let final_on = prop_oneof![Just(FinalOn::TurnEnd), Just(FinalOn::VadStop)];
    (method, final_on, any::<bool>(), 1u64..8, 2u64..40).prop_map(
        |(method, final_on, drafts, piece, turn)| {
            let preset = Policy::preset(method);
            Policy {
                final_on,
                drafts: preset.drafts.filter(|_| drafts),
                max_piece: Duration::from_secs(piece),
                cut_margin: Duration::from_millis(500),
                max_turn: Duration::from_secs(turn),
                ..preset
            }
        },
    )
}

/// Chance, from a seed: xorshift64*.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, n_sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n_sides
    }
}

/// A few words that depend on the range alone.
fn nonsense(range: &Range<u64>) -> String {
    const WORDS: [&str; 6] = ["yes", "Yes.", "no", "-", "no,", "oh"];
    let mut dice = Dice(1 + range.start + (range.end << 32));
    let n_words = dice.roll(5);
    let words: Vec<_> = (0..n_words)
        .map(|_| WORDS[usize::try_from(dice.roll(6)).unwrap()])
        .collect();
    words.join(" ")
}

/// How the models behave.
#[derive(Clone, Copy, Debug)]
struct Manners {
    seed: u64,
    /// Frames are heard, and turns are judged, one time in so many. 1: at once.
    slowness: u64,
    /// The same for texts.
    text_slowness: u64,
    /// One answer in so many is a failure. 0: none.
    failures: u64,
    /// Texts are nonsense that depends on the range alone, whatever was said and whatever was asked for.
    babbles: bool,
}

const PROMPT: Manners = Manners {
    seed: 1,
    slowness: 1,
    text_slowness: 1,
    failures: 0,
    babbles: false,
};

/// A client, a session and its models.
struct Play {
    rig: Rig,
    dice: Dice,
    manners: Manners,
    frames: VecDeque<f32>,
    seen: Seen,
}

/// What the client has been told, held against what was promised.
#[derive(Default)]
struct Seen {
    n_messages: usize,
    started: VecDeque<(SegmentId, u64)>,
    n_started: u64,
    ended: Vec<(SegmentId, Range<u64>)>,
    stable: Vec<String>,
    totals: Totals,
    safe: u64,
}

fn norms(text: &str) -> Vec<String> {
    let words = text.split_whitespace().map(|it| {
        it.chars()
            .filter(|c| c.is_alphanumeric())
            .collect::<String>()
    });
    words
        .map(|it| it.to_lowercase())
        .filter(|it| !it.is_empty())
        .collect()
}

impl Seen {
    fn look(&mut self, rig: &Rig) {
        for message in &rig.messages[self.n_messages..] {
            self.hear(message);
        }
        let n_new = rig.messages.len() - self.n_messages;
        self.n_messages = rig.messages.len();
        let totals = rig.session.totals();
        let gained = |of: fn(&Totals) -> u64| {
            of(&totals)
                .checked_sub(of(&self.totals))
                .expect("accounts only grow")
        };
        let (_, _) = (gained(|it| it.transcribed), gained(|it| it.silence));
        let failed = rig.messages[rig.messages.len() - n_new..]
            .iter()
            .any(|it| matches!(it, Message::Failed { .. } | Message::ResetDone { .. }));
        assert!(
            failed || gained(|it| it.discarded) == 0,
            "audio is discarded without a word"
        );
        self.totals = totals;
        let safe = rig.session.progress().safe_sample;
        assert!(self.safe <= safe && safe <= totals.received);
        self.safe = safe;
    }

    fn hear(&mut self, message: &Message) {
        match message {
            Message::SpeechStart { segment, at } => {
                self.n_started += 1;
                assert_eq!(*segment, self.n_started, "segments are counted");
                self.started.push_back((*segment, *at));
                self.stable.push(String::new());
            }
            Message::Partial(it) => {
                let open: Vec<_> = self.started.iter().map(|it| it.0).collect();
                assert_eq!(open.first(), Some(&it.segment), "texts come in order");
                assert!(
                    !it.text.is_empty() && it.text.starts_with(&it.stable_text),
                    "{it:?}"
                );
                let stable = self.stable.last_mut().unwrap();
                if open.len() == 1 {
                    assert!(
                        it.stable_text.starts_with(stable.as_str()),
                        "{stable:?} became {:?}",
                        it.stable_text
                    );
                    stable.clone_from(&it.stable_text);
                }
            }
            Message::SpeechEnd {
                segment,
                start,
                end,
            } => {
                assert!(start <= end);
                assert!(
                    self.started.contains(&(*segment, *start)),
                    "what ends has started"
                );
                assert!(
                    self.ended.iter().all(|it| it.0 != *segment),
                    "and ends once"
                );
                self.ended.push((*segment, *start..*end));
            }
            Message::Final(it) => {
                self.answered(it.segment);
                let said = (it.segment, it.start..it.end);
                assert!(
                    self.ended.contains(&said),
                    "a final comes after the end of its speech"
                );
                let stable = norms(&self.stable[usize::try_from(it.segment - 1).unwrap()]);
                assert!(
                    norms(&it.text).starts_with(&stable),
                    "{stable:?} was promised, then came {:?}",
                    it.text
                );
                assert!(
                    it.words.is_sorted_by(|a, b| a.start <= b.start),
                    "{:?}",
                    it.words
                );
            }
            Message::Failed { segment, .. } => {
                self.answered(*segment);
                assert!(self.ended.iter().any(|it| it.0 == *segment));
            }
            Message::TurnEnd { segment, .. } => {
                assert!(
                    self.started.iter().all(|it| it.0 > *segment),
                    "a turn ends after its last segment"
                );
            }
            Message::Finalized { .. } | Message::ResetDone { .. } => {}
            Message::Closed(totals) => {
                assert!(self.started.is_empty(), "every start was answered");
                assert_eq!(totals.buffered(), 0, "{totals:?}");
                assert_eq!(totals.segments, self.n_started);
            }
        }
    }

    fn answered(&mut self, segment: SegmentId) {
        let first = self.started.pop_front().expect("one answer for each start");
        assert_eq!(first.0, segment, "in order");
    }
}

impl Play {
    fn new(policy: &Policy, rate_hz: u32, manners: Manners, verdicts: &[u8]) -> Play {
        let mut rig = Rig::at_rate(policy.clone(), rate_hz);
        rig.verdicts = verdicts.iter().copied().collect();
        let (dice, frames, seen) = (Dice(manners.seed | 1), VecDeque::new(), Seen::default());
        Play {
            rig,
            dice,
            manners,
            frames,
            seen,
        }
    }

    fn on(&mut self, event: Event) {
        self.rig.on(event);
        self.seen.look(&self.rig);
    }

    /// Lets the models work for a while.
    fn work(&mut self, all: bool) {
        loop {
            let Manners {
                slowness,
                text_slowness,
                ..
            } = if all { PROMPT } else { self.manners };
            let mut idle = true;
            if !self.frames.is_empty() && self.dice.roll(slowness) == 0 {
                idle = false;
                let probability = self.frames.pop_front().unwrap();
                self.rig.hear(probability);
                self.seen.look(&self.rig);
            }
            let is_judge = |it: &Waiting| matches!(it, Waiting::Judge(..));
            let judge = self.rig.waiting.iter().position(is_judge);
            if let Some(idx) = judge.filter(|_| self.dice.roll(slowness) == 0) {
                idle = false;
                self.answer(idx);
            }
            // The text asked for first is there first, or any.
            let texts: Vec<usize> = (0..self.rig.waiting.len())
                .filter(|&it| !is_judge(&self.rig.waiting[it]))
                .collect();
            if !texts.is_empty() && self.dice.roll(text_slowness) == 0 {
                idle = false;
                let n = if text_slowness == 1 {
                    0
                } else {
                    self.dice.roll(texts.len() as u64)
                };
                self.answer(texts[usize::try_from(n).unwrap()]);
            }
            if idle {
                return self.check_room();
            }
        }
    }

    /// An edge that holds as much audio as it must is never stuck: then a job is out, or audio is missing.
    fn check_room(&self) {
        if self.rig.waiting.is_empty() && self.frames.is_empty() && !self.rig.is_closed() {
            let retained = self.rig.session.progress().retained;
            let bound = self.rig.policy.least_history();
            assert!(
                retained <= bound,
                "an edge that holds {bound} would wait for ever: {retained}"
            );
        }
    }

    fn answer(&mut self, idx: usize) {
        if self.manners.failures > 0 && self.dice.roll(self.manners.failures) == 0 {
            self.rig.fail(idx);
        } else {
            if let Waiting::Transcribe(wanted) = &self.rig.waiting[idx]
                && self.manners.babbles
            {
                let text = nonsense(&wanted.range);
                self.rig.texts.push_back(text);
            }
            self.rig.answer(idx);
        }
        self.seen.look(&self.rig);
        // An answer that crossed its cancellation.
        if let Some(job) = self.rig.cancelled.pop() {
            self.on(Event::Judged {
                job,
                probability: 1.0,
            });
            self.on(Event::TranscriptionFailed { job });
        }
    }

    fn run(&mut self, steps: &[Step]) {
        let frame = self.rig.policy.method.frame_samples();
        let mut n_frames = 0;
        let mut until = 0;
        for step in steps {
            let (n, probability) = step.frames();
            for _ in 0..n {
                until += frame;
                n_frames += 1;
                self.receive((n_frames * frame).max(until) - self.rig.received);
                self.frames.push_back(probability);
                self.work(false);
            }
            match step {
                // The next frame begins with it.
                Step::Scrap(n) => {
                    let n = *n % frame;
                    let ahead = self.rig.received - n_frames * frame;
                    if ahead < n {
                        self.receive(n - ahead);
                    }
                }
                Step::Finalize => self.on(Event::Finalize { id: None }),
                Step::Idle => self.on(Event::AudioIdle),
                Step::Reset => self.on(Event::Reset),
                Step::Drain => self.on(Event::Draining),
                Step::Word(_) | Step::Sound(_) | Step::Doubt(_) | Step::Silence(_) => {}
            }
            self.work(false);
            if self.rig.is_closed() {
                return;
            }
        }
        self.on(Event::Close);
        self.work(true);
        assert!(self.rig.is_closed(), "a closed session ends");
        assert!(
            self.rig.waiting.is_empty(),
            "nobody waits at the end: {:?}",
            self.rig.waiting
        );
    }

    fn receive(&mut self, n_samples: u64) {
        if n_samples > 0 {
            self.rig.receive(n_samples);
            self.seen.look(&self.rig);
        }
    }

    fn finals(&self) -> Vec<Final> {
        let mut finals = Vec::new();
        for message in &self.rig.messages {
            if let Message::Final(it) = message {
                finals.push(Final::clone(it));
            }
        }
        finals
    }
}

/// The words of the steps, and where the client cut in.
fn script(steps: &[Step], frame: u64) -> (Vec<Spoken>, Vec<u64>) {
    let mut spoken = Vec::new();
    let mut cuts = Vec::new();
    let mut at = 0;
    for step in steps {
        let (n, _) = step.frames();
        if let Step::Word(_) = step {
            let name = format!("w{}", spoken.len());
            spoken.push(Spoken {
                name,
                at: at..at + n * frame,
            });
        }
        if n == 0 {
            cuts.push(at);
        }
        at += n * frame;
    }
    (spoken, cuts)
}

fn rates() -> impl Strategy<Value = u32> {
    prop_oneof![
        Just(8_000),
        Just(11_025),
        Just(16_000),
        Just(44_100),
        Just(48_000)
    ]
}

fn speeds() -> impl Strategy<Value = Manners> {
    (any::<u64>(), 1u64..20, 1u64..200, any::<bool>()).prop_map(
        |(seed, slowness, text_slowness, babbles)| Manners {
            seed,
            slowness,
            text_slowness,
            failures: 0,
            babbles,
        },
    )
}

fn manners() -> impl Strategy<Value = Manners> {
    (speeds(), prop_oneof![Just(0u64), Just(3)])
        .prop_map(|(speeds, failures)| Manners { failures, ..speeds })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// The promises to the client, the accounts, the limits of jobs: see `Seen` and `Rig::on`.
    #[test]
    fn promises_are_kept(
        steps in anything(),
        policy in policy(),
        rate_hz in rates(),
        manners in manners(),
        verdicts in prop::collection::vec(0u8..10, 0..30),
    ) {
        let mut play = Play::new(&policy, rate_hz, manners, &verdicts);
        play.rig.spoken = script(&steps, policy.method.frame_samples()).0;
        play.run(&steps);
    }

    /// With a perfect recogniser every word arrives, once and in order, however the audio was cut into pieces.
    #[test]
    fn no_word_is_lost_or_doubled(
        steps in orderly(),
        policy in policy(),
        speeds in speeds(),
        verdicts in prop::collection::vec(0u8..10, 0..30),
    ) {
        let manners = Manners { babbles: false, ..speeds };
        let mut play = Play::new(&policy, 16_000, manners, &verdicts);
        let (spoken, cuts) = script(&steps, policy.method.frame_samples());
        play.rig.spoken.clone_from(&spoken);
        play.run(&steps);

        let finals = play.finals();
        let heard: Vec<&str> = finals.iter().flat_map(|it| it.text.split_whitespace()).collect();
        let in_order: Vec<&str> = spoken.iter().map(|it| it.name.as_str()).filter(|it| heard.contains(it)).collect();
        prop_assert_eq!(&heard, &in_order);
        let words: Vec<&str> = finals.iter().flat_map(|it| &it.words).map(|it| it.word.trim()).collect();
        prop_assert_eq!(&words, &heard);
        for word in finals.iter().flat_map(|it| &it.words) {
            let at = &spoken.iter().find(|it| it.name == word.word.trim()).unwrap().at;
            let seconds = |at: u64| at as f64 / 16_000.0;
            prop_assert!(seconds(at.start) - 1e-9 <= word.start && word.end <= seconds(at.end) + 1e-9, "{:?} {:?}", word, at);
        }
        // Enough of a word is speech; what a client cuts in two may be too little on both sides.
        let enough = policy::whole_frames(policy.start, policy.method.frame_samples());
        for word in spoken.iter().filter(|it| enough <= it.at.end - it.at.start) {
            let is_cut = cuts.iter().any(|at| word.at.start <= at + 512 && *at <= word.at.end);
            prop_assert!(is_cut || heard.contains(&word.name.as_str()), "{} is missing in {:?}", word.name, heard);
        }
        let totals = play.rig.session.totals();
        prop_assert_eq!(totals.discarded, 0);
        let spans: u64 = finals.iter().map(|it| it.end - it.start).sum();
        prop_assert!(policy.method != Method::Silero || spans <= totals.transcribed, "{} of {:?}", spans, totals);
    }

    /// Slow models delay what is said to the client, and change nothing in it.
    #[test]
    fn slowness_changes_nothing(
        steps in orderly(),
        policy in policy(),
        speeds in speeds(),
        verdicts in prop::collection::vec(0u8..10, 0..30),
    ) {
        let policy = Policy { drafts: None, ..policy };
        let told = |manners| {
            let mut play = Play::new(&policy, 16_000, manners, &verdicts);
            play.rig.spoken = script(&steps, policy.method.frame_samples()).0;
            play.run(&steps);
            let mut messages = mem::take(&mut play.rig.messages);
            // Starts and ends of speech are told at once, texts when they are there: each kind keeps its order.
            messages.sort_by_key(|it| {
                let is_start = matches!(it, Message::SpeechStart { .. });
                let is_end = matches!(it, Message::SpeechEnd { .. });
                (is_start, is_end)
            });
            messages
        };
        prop_assert_eq!(told(speeds), told(Manners { babbles: speeds.babbles, ..PROMPT }));
    }
}
