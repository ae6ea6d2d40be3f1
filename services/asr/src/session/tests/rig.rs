//! A session with an edge around it that is made of paper: audio from a picture, models that answer when they are told to.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::ops::Range;

use super::super::*;
use crate::transcript::{Segment, Word};

/// A word that is spoken.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Spoken {
    pub(super) name: String,
    pub(super) at: Range<u64>,
}

/// A job that waits for its answer.
#[derive(Clone, Debug)]
pub(super) enum Waiting {
    Judge(JobId, Range<u64>),
    Transcribe(Transcribe),
}

impl Waiting {
    fn id(&self) -> JobId {
        match self {
            Waiting::Judge(id, _) => *id,
            Waiting::Transcribe(it) => it.job,
        }
    }

    fn is_draft(&self) -> bool {
        matches!(self, Waiting::Transcribe(it) if it.purpose == Purpose::Draft)
    }
}

/// The paper edge.
pub(super) struct Rig {
    pub(super) policy: Policy,
    pub(super) session: Session,
    pub(super) spoken: Vec<Spoken>,
    pub(super) waiting: VecDeque<Waiting>,
    pub(super) messages: Vec<Message>,
    pub(super) received: u64,
    pub(super) heard: u64,
    pub(super) forgotten: u64,
    /// In tenths; 0.9 when there are no more.
    pub(super) verdicts: VecDeque<u8>,
    /// What the recogniser says, in place of what was spoken.
    pub(super) texts: VecDeque<String>,
    /// Jobs nobody waits for any more. Their answers may still come.
    pub(super) cancelled: Vec<JobId>,
    pub(super) log: String,
    rate_hz: u32,
}

impl Rig {
    pub(super) fn new(policy: Policy) -> Rig {
        Rig::at_rate(policy, 16_000)
    }

    pub(super) fn at_rate(policy: Policy, rate_hz: u32) -> Rig {
        let clock = Clock {
            rate_hz,
            start_sample: 0,
        };
        Rig {
            session: Session::new(&policy, clock),
            policy,
            spoken: Vec::new(),
            waiting: VecDeque::new(),
            messages: Vec::new(),
            received: 0,
            heard: 0,
            forgotten: 0,
            verdicts: VecDeque::new(),
            texts: VecDeque::new(),
            cancelled: Vec::new(),
            log: String::new(),
            rate_hz,
        }
    }

    pub(super) fn on(&mut self, event: Event) {
        for action in self.session.on(event) {
            assert!(
                !self.is_closed(),
                "nothing happens after the end: {action:?}"
            );
            self.note(&action);
            match action {
                Action::Judge { job, range, .. } => {
                    self.check_range(&range, 8);
                    self.waiting.push_back(Waiting::Judge(job, range));
                }
                Action::Transcribe(it) => {
                    self.check_range(&it.range, 30);
                    self.waiting.push_back(Waiting::Transcribe(it));
                }
                Action::Cancel { job } => {
                    let idx = self.waiting.iter().position(|it| it.id() == job);
                    self.waiting
                        .remove(idx.expect("what is cancelled is awaited"));
                    self.cancelled.push(job);
                }
                Action::Forget { before } => {
                    assert!(
                        self.forgotten < before && before <= self.received,
                        "{before}"
                    );
                    self.forgotten = before;
                }
                Action::Emit(message) => self.messages.push(message),
            }
        }
        let n_judges = self
            .waiting
            .iter()
            .filter(|it| matches!(it, Waiting::Judge(..)))
            .count();
        let n_drafts = self.waiting.iter().filter(|it| it.is_draft()).count();
        assert!(n_judges <= 1 && n_drafts <= 1, "{:?}", self.waiting);
        let totals = self.session.totals();
        assert_eq!(
            totals.received,
            totals.transcribed + totals.silence + totals.discarded + totals.buffered()
        );
    }

    fn check_range(&self, range: &Range<u64>, most_seconds: u64) {
        assert!(
            range.start < range.end && range.end <= self.received,
            "{range:?} of {}",
            self.received
        );
        assert!(
            self.forgotten <= range.start,
            "{range:?} was forgotten up to {}",
            self.forgotten
        );
        assert!(
            range.end - range.start <= most_seconds * RATE_HZ,
            "{range:?} is too long"
        );
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(self.messages.last(), Some(Message::Closed(_)))
    }

    pub(super) fn receive(&mut self, n_samples: u64) {
        self.received += n_samples;
        // A resampler hands out a sample when it has heard all that belongs to it.
        let client_samples = (self.received * u64::from(self.rate_hz)).div_ceil(16_000);
        let until = self.received;
        self.on(Event::Received {
            until,
            client_samples,
        });
    }

    /// Hears the next frame, which has to be received.
    pub(super) fn hear(&mut self, probability: f32) {
        self.heard += self.policy.method.frame_samples();
        self.on(Event::Heard {
            until: self.heard,
            probability,
        });
    }

    /// Answers the job at `idx`, as the models would.
    pub(super) fn answer(&mut self, idx: usize) {
        match self.waiting.remove(idx).expect("a job waits") {
            Waiting::Judge(job, _) => {
                let probability = f32::from(self.verdicts.pop_front().unwrap_or(9)) / 10.0;
                self.on(Event::Judged { job, probability });
            }
            Waiting::Transcribe(wanted) => {
                let transcript = self.transcript(&wanted);
                self.on(Event::Transcribed {
                    job: wanted.job,
                    transcript,
                });
            }
        }
    }

    pub(super) fn fail(&mut self, idx: usize) {
        let event = match self.waiting.remove(idx).expect("a job waits") {
            Waiting::Judge(job, _) => Event::JudgeFailed { job },
            Waiting::Transcribe(it) => Event::TranscriptionFailed { job: it.job },
        };
        self.on(event);
    }

    pub(super) fn answer_all(&mut self) {
        while !self.waiting.is_empty() {
            self.answer(0);
        }
    }

    /// A perfect recogniser: the words whose middle is in the range, unless the test says otherwise.
    fn transcript(&mut self, wanted: &Transcribe) -> Transcript {
        let Range { start, end } = wanted.range;
        let mut words = Vec::new();
        let seconds = |at: u64| (at.clamp(start, end) - start) as f64 / 16_000.0;
        if let Some(text) = self.texts.pop_front() {
            // Spread evenly over the range.
            let n_words = text.split_whitespace().count() as u64;
            for (n, word) in (0..).zip(text.split_whitespace()) {
                let step = (end - start) / n_words;
                let at = start + n * step..start + (n + 1) * step;
                words.push((word.to_owned(), at));
            }
        } else {
            let inside = self
                .spoken
                .iter()
                .filter(|it| wanted.range.contains(&it.at.start.midpoint(it.at.end)));
            words.extend(inside.map(|it| (it.name.clone(), it.at.clone())));
        }
        let words: Vec<Word> = words
            .into_iter()
            .map(|(word, at)| Word {
                word: format!(" {word}"),
                start: seconds(at.start),
                end: seconds(at.end),
                probability: 0.9,
            })
            .collect();
        let segment = Segment {
            id: 1,
            seek: 0,
            start: 0.0,
            end: seconds(end),
            text: words.iter().map(|it| it.word.as_str()).collect(),
            tokens: vec![7; words.len()],
            avg_logprob: -0.1,
            compression_ratio: 1.0,
            no_speech_prob: 0.1,
            temperature: 0.0,
            words: (wanted.purpose != Purpose::Draft).then_some(words),
        };
        let has_text = !segment.text.is_empty();
        Transcript {
            segments: if has_text { vec![segment] } else { Vec::new() },
            language: "en".into(),
            language_probability: 1.0,
            duration_s: seconds(end),
            ..Transcript::default()
        }
    }

    /// A position in frames.
    fn place(&self, at: u64) -> String {
        let frame = self.policy.method.frame_samples();
        if at.is_multiple_of(frame) {
            (at / frame).to_string()
        } else {
            format!("{}+{}", at / frame, at % frame)
        }
    }

    fn span(&self, range: &Range<u64>) -> String {
        format!("{}..{}", self.place(range.start), self.place(range.end))
    }

    fn note(&mut self, action: &Action) {
        let line = match action {
            Action::Judge { range, .. } => {
                format!("  judge {}", self.span(range))
            }
            Action::Transcribe(Transcribe {
                purpose,
                range,
                prefix,
                context,
                ..
            }) => {
                let mut line = format!(
                    "  {} {}",
                    format!("{purpose:?}").to_lowercase(),
                    self.span(range)
                );
                if let Some(prefix) = prefix {
                    write!(line, " prefix {prefix:?}").unwrap();
                }
                if let Some(context) = context {
                    write!(line, " after {context:?}").unwrap();
                }
                line
            }
            Action::Cancel { job } => {
                let what = match self.waiting.iter().find(|it| it.id() == *job) {
                    Some(Waiting::Judge(_, range)) => format!("judge {}", self.span(range)),
                    Some(Waiting::Transcribe(it)) => {
                        format!(
                            "{} {}",
                            format!("{:?}", it.purpose).to_lowercase(),
                            self.span(&it.range)
                        )
                    }
                    None => panic!("a job is cancelled that nobody asked for"),
                };
                format!("  cancel {what}")
            }
            Action::Forget { .. } => return,
            Action::Emit(message) => self.line(message),
        };
        writeln!(self.log, "{line}").unwrap();
    }

    fn line(&self, message: &Message) -> String {
        match message {
            Message::SpeechStart { segment, at } => {
                format!("start {segment} at {}", self.place(*at))
            }
            Message::Partial(it) => {
                let rest = it
                    .text
                    .strip_prefix(&it.stable_text)
                    .expect("text begins with its stable part");
                format!(
                    "partial {}.{} {}|{rest}",
                    it.segment, it.revision, it.stable_text
                )
            }
            Message::SpeechEnd {
                segment,
                start,
                end,
            } => format!("end {segment} {}", self.span(&(*start..*end))),
            Message::Final(it) => format!(
                "final {} {:?} {}",
                it.segment,
                it.text,
                self.span(&(it.start..it.end))
            ),
            Message::Failed { segment, failure } => format!("failed {segment} {failure:?}"),
            Message::TurnEnd {
                segment,
                probability,
                reason,
            } => match probability {
                Some(probability) => format!("turn end {segment} {reason:?} {probability}"),
                None => format!("turn end {segment} {reason:?}"),
            },
            Message::Finalized { id } => format!("finalized {}", id.as_deref().unwrap_or("-")),
            Message::ResetDone { discarded } => {
                format!("reset done, discarded {}", self.place(*discarded))
            }
            Message::Closed(it) => format!(
                "closed: received {} transcribed {} silence {} discarded {} segments {}",
                self.place(it.received),
                self.place(it.transcribed),
                self.place(it.silence),
                self.place(it.discarded),
                it.segments
            ),
        }
    }
}

/// How soon the models answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answers {
    AtOnce,
    /// When the picture says so.
    ByHand,
}

/// One step of a picture.
///
/// A frame of audio is `.` (silence), `~` (doubtful), `#` (a sound that is no word) or a small letter (a word; equal letters side by
/// side are one). Then there are `|` (half a frame is received, not heard yet), `F` (finalize), `R` (reset), `I` (audio idle),
/// `D` (draining), `C` (close), `!` (the recogniser answers the oldest job), `%` (it fails), `?` (the judge answers) and `&` (it fails).
/// A number behind a step repeats it.
pub(super) fn steps(picture: &str) -> Vec<char> {
    let mut steps = Vec::new();
    let mut chars = picture.chars().filter(|c| !c.is_whitespace()).peekable();
    while let Some(c) = chars.next() {
        let mut n = String::new();
        while let Some(digit) = chars.next_if(char::is_ascii_digit) {
            n.push(digit);
        }
        steps.extend(std::iter::repeat_n(c, n.parse().unwrap_or(1)));
    }
    steps
}

/// The words of a picture, by the frames they are drawn over.
pub(super) fn words(steps: &[char], frame: u64) -> Vec<Spoken> {
    let mut spoken: Vec<Spoken> = Vec::new();
    let mut n_frames = 0;
    let mut previous = '.';
    for &c in steps {
        let is_audio = matches!(c, '.' | '~' | '#' | 'a'..='z');
        if !is_audio {
            continue;
        }
        let at = n_frames * frame..(n_frames + 1) * frame;
        match spoken.last_mut() {
            Some(word) if c == previous && c.is_ascii_lowercase() => word.at.end = at.end,
            Some(_) | None if c.is_ascii_lowercase() => spoken.push(Spoken {
                name: c.to_string(),
                at,
            }),
            Some(_) | None => {}
        }
        n_frames += 1;
        previous = c;
    }
    spoken
}

impl Rig {
    pub(super) fn play(&mut self, picture: &str, answers: Answers) {
        let steps = steps(picture);
        let frame = self.policy.method.frame_samples();
        self.spoken = words(&steps, frame);
        for step in steps {
            self.step(step, frame);
            if answers == Answers::AtOnce {
                self.answer_all();
            }
        }
    }

    fn step(&mut self, step: char, frame: u64) {
        let nth = |waiting: &VecDeque<Waiting>, judge: bool| {
            let found = waiting
                .iter()
                .position(|it| matches!(it, Waiting::Judge(..)) == judge);
            found.expect("the picture answers a job that is not there")
        };
        match step {
            '.' | '~' | '#' | 'a'..='z' => {
                // What a `|` received early is not received again.
                self.receive((self.heard + frame).saturating_sub(self.received));
                self.hear(match step {
                    '.' => 0.05,
                    '~' => 0.4,
                    _ => 0.9,
                });
            }
            '|' => self.receive(frame / 2),
            'F' => self.on(Event::Finalize {
                id: Some("f".into()),
            }),
            'R' => self.on(Event::Reset),
            'I' => self.on(Event::AudioIdle),
            'D' => self.on(Event::Draining),
            'C' => self.on(Event::Close),
            '!' => self.answer(nth(&self.waiting, false)),
            '%' => self.fail(nth(&self.waiting, false)),
            '?' => self.answer(nth(&self.waiting, true)),
            '&' => self.fail(nth(&self.waiting, true)),
            other => panic!("no such step: {other}"),
        }
    }
}
