//! The state machine of one listening session: events in, actions out.
//!
//! ```text
//!  Received, Heard ──► inbox ──► speech ──► turn ──► segment ──► piece ──► Transcribe, Judge, Cancel
//!  Finalize, Close …     (in stream order)   │          │          ▲
//!  Judged ───────────────────────────────────┘          │          └────── Transcribed, TranscriptionFailed
//!                                                        └──► in order ──► Emit
//! ```
//!
//! Words: a *frame* is what the detector hears at a time, a *piece* is what the recogniser transcribes at a time, a *segment* is
//! what gets one `SpeechStart` and one `Final`, a *turn* is what Smart Turn judges.
//!
//! Invariants:
//! - Pure. No `async`, no clock, no I/O: time is the sample count, and effects are returned.
//! - Every `SpeechStart` is followed by exactly one `Final` or `Failed` of the same segment, in the order of the segments.
//! - Where turns, segments and pieces begin and end depends on the audio, the verdicts and the client's messages alone, never on
//!   how soon jobs are answered: while a verdict is awaited later frames wait too.
//! - `stable_text` grows letter by letter and is a prefix of the `Final` (words compared without case and punctuation).
//! - `received = transcribed + silence + discarded + buffered` after every event, in the client's samples.
//! - At most one verdict and one draft are awaited at any time. Answers to unknown jobs are ignored.
//!
//! Positions and lengths are samples at 16 kHz from the start of the session.

mod event;
mod inbox;
mod ledger;
mod message;
mod partials;
mod pieces;
mod policy;
mod segment;
mod speech;
mod telling;
mod turn;

use std::collections::VecDeque;
use std::mem;
use std::ops::Range;

pub use event::{Action, Event, JobId, Progress, Purpose, Transcribe};
pub use ledger::{Clock, Totals};
pub use message::{Failure, Final, Message, Partial, SegmentId, TurnEndReason};
pub use policy::{Drafts, FinalOn, Method, Policy, RATE_HZ};

use inbox::{Control, Inbox, Input};
use ledger::{Fate, Ledger};
use partials::Cadence;
use pieces::{Desk, Limits, Piece};
use segment::Segment;
use speech::{Change, Speech};
use turn::{Due, Patience, Pause};

use crate::transcript::Transcript;

/// A session of one client.
#[derive(Debug)]
pub struct Session {
    clock: Clock,
    pre_roll: u64,
    max_turn: u64,
    final_on: FinalOn,
    limits: Limits,
    patience: Patience,
    inbox: Inbox,
    speech: Speech,
    cadence: Option<Cadence>,
    turn: Option<Turn>,
    /// In the order in which the client hears of them. An open segment is the last.
    slots: VecDeque<Slot>,
    ledger: Ledger,
    /// Audio before this belongs to earlier segments.
    claimed: u64,
    forgotten: u64,
    phase: Phase,
    desk: Desk,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// Closes when no turn is open, once everything before this is heard.
    Draining(u64),
    Closing,
    Closed,
}

/// An open turn.
#[derive(Debug)]
struct Turn {
    audio_start: u64,
    pause: Option<Pause>,
    /// Smart Turn's last word.
    probability: Option<f32>,
    /// Whether the last slot is a segment that is not finished.
    in_segment: bool,
    last_segment: SegmentId,
}

/// Something the client is yet to hear.
#[derive(Debug)]
enum Slot {
    Segment(Box<Segment>),
    TurnEnd(Message),
    Finalized(Message),
    Closed,
}

impl Session {
    pub fn new(policy: &Policy, clock: Clock) -> Session {
        Session {
            clock,
            pre_roll: policy::samples(policy.pre_roll),
            max_turn: policy::samples(policy.max_turn).max(RATE_HZ),
            final_on: policy.final_on,
            limits: Limits::new(policy),
            patience: Patience::new(policy),
            inbox: Inbox::new(policy.method.frame_samples()),
            speech: Speech::new(policy),
            cadence: policy.drafts.map(Cadence::new),
            turn: None,
            slots: VecDeque::new(),
            ledger: Ledger::new(clock),
            claimed: 0,
            forgotten: 0,
            phase: Phase::Open,
            desk: Desk::default(),
        }
    }

    /// Takes in what happened and says what is to be done, in this order.
    pub fn on(&mut self, event: Event) -> Vec<Action> {
        if self.phase != Phase::Closed {
            self.take(event);
            self.listen();
            self.deliver();
        }
        if self.phase != Phase::Closed {
            self.forget();
        }
        mem::take(&mut self.desk.actions)
    }

    pub fn progress(&self) -> Progress {
        let totals = self.ledger.totals();
        Progress {
            received_sample: self.clock.start_sample + totals.received,
            safe_sample: self.clock.start_sample + totals.settled(),
            queued: self.inbox.received.saturating_sub(self.inbox.heard),
            retained: self.inbox.received.saturating_sub(self.forgotten),
        }
    }

    /// The accounts so far.
    pub fn totals(&self) -> Totals {
        self.ledger.totals()
    }

    fn take(&mut self, event: Event) {
        let ends = matches!(self.phase, Phase::Closing | Phase::Closed);
        match event {
            Event::Judged { job, probability } => self.judged(job, Some(probability)),
            Event::JudgeFailed { job } => self.judged(job, None),
            Event::Transcribed { job, transcript } => self.transcribed(job, transcript),
            Event::TranscriptionFailed { job } => self.transcription_failed(job),
            Event::Load { wait } => {
                if let Some(cadence) = &mut self.cadence {
                    cadence.load(policy::samples(wait));
                }
            }
            Event::Heard { until, probability } => self.inbox.frame(until, probability),
            // The client was told that nothing more is taken.
            _ if ends => {}
            Event::Received {
                until,
                client_samples,
            } => {
                self.inbox.received = self.inbox.received.max(until);
                self.ledger.receive(client_samples);
            }
            Event::Finalize { id } => self.inbox.control(Control::Finalize(id)),
            Event::AudioIdle => self.inbox.control(Control::AudioIdle),
            Event::Reset => self.reset(),
            Event::Draining => self.phase = Phase::Draining(self.inbox.received),
            Event::Close => self.close(),
        }
    }

    /// Goes through the audio and the client's messages in the order of the stream, as far as the verdicts allow.
    fn listen(&mut self) {
        loop {
            if let Phase::Draining(from) = self.phase
                && self.turn.is_none()
                && self.speech.possible_start().is_none()
                && self.inbox.has_heard(from)
            {
                self.close();
            }
            if self
                .turn
                .as_ref()
                .and_then(|it| it.pause.as_ref())
                .is_some_and(|it| it.awaited.is_some())
            {
                return;
            }
            match self.inbox.next() {
                None => return,
                Some(Input::Frame { until, probability }) => self.hear(until, probability),
                Some(Input::Control { at, control }) => match control {
                    Control::AudioIdle => {
                        self.end_turn(TurnEndReason::Silence, at);
                        // What had hardly begun was no speech.
                        self.speech.forget();
                    }
                    Control::Finalize(id) => {
                        self.end_turn(TurnEndReason::Finalize, at);
                        self.slots
                            .push_back(Slot::Finalized(Message::Finalized { id }));
                    }
                    Control::Close => {
                        self.end_turn(TurnEndReason::Close, at);
                        self.inbox.stop();
                        self.slots.push_back(Slot::Closed);
                    }
                },
            }
        }
    }

    fn close(&mut self) {
        self.phase = Phase::Closing;
        self.inbox.control(Control::Close);
    }

    fn hear(&mut self, until: u64, probability: f32) {
        let change = self.speech.hear(until, probability);
        let Some(turn) = &self.turn else {
            match change {
                Change::Started { at } => self.begin_turn(at, until),
                Change::None | Change::Paused { .. } => {}
            }
            return;
        };
        match (turn.pause.is_some(), change) {
            (false, Change::Paused { at }) => self.pause(at, until),
            (false, Change::None | Change::Started { .. }) => self.go_on(until),
            (true, Change::Started { at }) => self.resume(at, until),
            (true, Change::None | Change::Paused { .. }) => self.be_silent(until),
        }
    }

    fn begin_turn(&mut self, at: u64, until: u64) {
        let audio_start = at.saturating_sub(self.pre_roll).max(self.claimed);
        let last_segment = self.begin_segment(at, audio_start, until);
        self.turn = Some(Turn {
            audio_start,
            pause: None,
            probability: None,
            in_segment: true,
            last_segment,
        });
    }

    fn begin_segment(&mut self, at: u64, audio_start: u64, until: u64) -> SegmentId {
        let id = self.ledger.open_segment();
        let at = at.max(audio_start);
        self.desk.emit(Message::SpeechStart { segment: id, at });
        self.slots.push_back(Slot::Segment(Box::new(Segment::new(
            id,
            at,
            audio_start..until,
            self.limits,
        ))));
        if let Some(cadence) = &mut self.cadence {
            cadence.begin(at);
            cadence.heard(until - at);
        }
        id
    }

    /// Speech goes on.
    fn go_on(&mut self, until: u64) {
        let is_voiced = self.speech.is_voiced(until);
        let frame = self.inbox.frame_samples();
        let desk = &mut self.desk;
        if let Some(segment) = open_segment(&mut self.slots) {
            segment.speak(until, until, desk);
            if let Some(cadence) = &mut self.cadence {
                cadence.heard(if is_voiced { frame } else { 0 });
                if cadence.is_due(until) && segment.ask_draft(desk) {
                    cadence.asked(until);
                }
            }
        }
        if self
            .turn
            .as_ref()
            .is_some_and(|it| self.max_turn <= until - it.audio_start)
        {
            self.split_turn(until);
        }
    }

    /// Ends a turn that is too long where it is, and goes on with the next.
    fn split_turn(&mut self, until: u64) {
        let still_speaking = self.speech.clone();
        self.end_turn(TurnEndReason::MaxDuration, until);
        self.speech = still_speaking;
        self.begin_turn(until, until);
    }

    /// The speech ended at `at`, and the silence after it is long enough to be a pause.
    fn pause(&mut self, at: u64, until: u64) {
        if let Some(segment) = open_segment(&mut self.slots) {
            segment.pause(until, &mut self.desk);
            if self.final_on == FinalOn::VadStop {
                self.end_segment(at, until);
            }
        }
        if let Some(turn) = &mut self.turn {
            turn.pause = Some(Pause::new(at));
        }
        self.be_silent(until);
    }

    fn resume(&mut self, at: u64, until: u64) {
        let Some(turn) = &mut self.turn else {
            return;
        };
        turn.pause = None;
        let audio_start = at.saturating_sub(self.pre_roll).max(self.claimed);
        if turn.in_segment {
            if let Some(segment) = open_segment(&mut self.slots) {
                segment.speak(audio_start, until, &mut self.desk);
            }
            if let Some(cadence) = &mut self.cadence {
                cadence.begin(at);
                cadence.heard(until - at);
            }
            return;
        }
        turn.in_segment = true;
        let id = self.begin_segment(at, audio_start, until);
        if let Some(turn) = &mut self.turn {
            turn.last_segment = id;
        }
    }

    /// The silence has grown.
    fn be_silent(&mut self, until: u64) {
        // Sound that may become speech is not silence: no turn ends under it.
        let silent_until = self.speech.possible_start().unwrap_or(until);
        let Some(turn) = &mut self.turn else {
            return;
        };
        let Some(pause) = &mut turn.pause else {
            return;
        };
        if pause.is_committed(silent_until, &self.patience)
            && let Some(segment) = open_segment(&mut self.slots)
        {
            segment.commit();
        }
        match pause.due(silent_until, &self.patience) {
            Due::Nothing => {}
            Due::Look { again } => {
                let job = self.desk.name_job();
                pause.awaited = Some(job);
                let range = turn.audio_start.max(until.saturating_sub(turn::JUDGED))..until;
                self.desk.actions.push(Action::Judge { job, range, again });
            }
            Due::End => self.end_turn(TurnEndReason::Silence, until),
        }
    }

    fn judged(&mut self, job: JobId, probability: Option<f32>) {
        let Some(turn) = &mut self.turn else {
            return;
        };
        let Some(pause) = turn.pause.as_mut().filter(|it| it.awaited == Some(job)) else {
            return;
        };
        pause.awaited = None;
        let Some(probability) = probability else {
            return;
        };
        turn.probability = Some(probability);
        if self.patience.is_over(probability) {
            self.end_turn(TurnEndReason::SmartTurn, self.inbox.heard);
        }
    }

    /// Ends the open turn, if there is one. Audio before `at` belongs to it unless it has paused.
    fn end_turn(&mut self, reason: TurnEndReason, at: u64) {
        let Some(turn) = self.turn.take() else {
            return;
        };
        let last_voiced = if turn.pause.is_none() {
            self.speech.break_off()
        } else {
            None
        };
        if turn.in_segment {
            let end = turn
                .pause
                .as_ref()
                .map(|it| it.since)
                .or(last_voiced)
                .unwrap_or(at);
            self.end_segment(end, at);
        }
        let Turn {
            probability,
            last_segment: segment,
            ..
        } = turn;
        self.slots.push_back(Slot::TurnEnd(Message::TurnEnd {
            segment,
            probability,
            reason,
        }));
    }

    /// The speech of the open segment ended at `end`; its audio goes on to `until`, unless it has paused.
    fn end_segment(&mut self, end: u64, until: u64) {
        let Some(segment) = open_segment(&mut self.slots) else {
            return;
        };
        segment.finish(end, until, &mut self.desk);
        self.claimed = self.claimed.max(segment.audio_end().unwrap_or(until));
        let (id, start) = (segment.id, segment.start);
        self.desk.emit(Message::SpeechEnd {
            segment: id,
            start,
            end: end.max(start),
        });
        if let Some(turn) = &mut self.turn {
            turn.in_segment = false;
        }
    }

    fn transcribed(&mut self, job: JobId, transcript: Transcript) {
        let Some(segment) = self.slots.iter_mut().find_map(|it| it.segment_with(job)) else {
            return;
        };
        if segment.answered(job, transcript, &self.clock, &mut self.desk) == Some(Purpose::Draft) {
            self.draft_answered();
        }
    }

    fn transcription_failed(&mut self, job: JobId) {
        let Some(segment) = self.slots.iter_mut().find_map(|it| it.segment_with(job)) else {
            return;
        };
        let was_open = !segment.is_finished();
        match segment.failed(job, &mut self.desk) {
            None => self.draft_answered(),
            Some(rest) if was_open => {
                let (id, start) = (segment.id, segment.start);
                let until = segment.audio_end().unwrap_or(start);
                self.go_on_after_failure(id, start..until, rest);
            }
            Some(_) => {}
        }
    }

    fn draft_answered(&mut self) {
        if let Some(cadence) = &mut self.cadence {
            cadence.answered(self.inbox.heard);
        }
    }

    /// The open segment has failed, all of it; what was heard after it becomes the next.
    fn go_on_after_failure(
        &mut self,
        failed: SegmentId,
        speech: Range<u64>,
        rest: VecDeque<Piece>,
    ) {
        self.claimed = self.claimed.max(speech.end);
        self.desk.emit(Message::SpeechEnd {
            segment: failed,
            start: speech.start,
            end: speech.end.max(speech.start),
        });
        let Some(turn) = &mut self.turn else {
            return;
        };
        turn.in_segment = !rest.is_empty();
        if turn.in_segment {
            let id = self.ledger.open_segment();
            turn.last_segment = id;
            let segment = Segment::resumed(id, rest, self.limits);
            self.desk.emit(Message::SpeechStart {
                segment: id,
                at: segment.start,
            });
            self.slots.push_back(Slot::Segment(Box::new(segment)));
        }
    }

    /// Drops what is not delivered.
    fn reset(&mut self) {
        let discarded = self.ledger.settle_all(Fate::Discarded);
        if let Some(Turn {
            pause: Some(Pause {
                awaited: Some(job), ..
            }),
            ..
        }) = self.turn.take()
        {
            self.desk.actions.push(Action::Cancel { job });
        }
        self.speech.forget();
        let ids = self.inbox.reset();
        self.claimed = self.inbox.received;
        for slot in &mut self.slots {
            if let Slot::Segment(segment) = slot {
                if !segment.is_finished() {
                    let (id, start, end) = (segment.id, segment.start, self.claimed);
                    self.desk.emit(Message::SpeechEnd {
                        segment: id,
                        start,
                        end,
                    });
                }
                segment.fail(Failure::Reset, &mut self.desk);
            }
        }
        // A turn that was dropped did not end.
        self.slots.retain(|it| !matches!(it, Slot::TurnEnd(_)));
        self.deliver();
        for id in ids {
            self.desk.emit(Message::Finalized { id });
        }
        self.desk.emit(Message::ResetDone { discarded });
    }

    /// Tells the client what can be told, in order, and settles the accounts.
    fn deliver(&mut self) {
        while let Some(slot) = self.slots.front_mut() {
            if let Slot::Segment(segment) = slot {
                if self.cadence.is_some()
                    && let Some(partial) = segment.take_partial()
                {
                    self.desk.emit(Message::Partial(partial));
                }
                let Some(outcome) = segment.outcome() else {
                    return;
                };
                settle(&mut self.ledger, segment, outcome.is_ok());
                self.desk.emit(match outcome {
                    Ok(it) => Message::Final(Box::new(it)),
                    Err(failure) => Message::Failed {
                        segment: segment.id,
                        failure,
                    },
                });
            }
            match self.slots.pop_front() {
                Some(Slot::TurnEnd(message) | Slot::Finalized(message)) => self.desk.emit(message),
                Some(Slot::Closed) => {
                    self.ledger.settle_all(Fate::Silence);
                    self.desk.emit(Message::Closed(self.ledger.totals()));
                    self.phase = Phase::Closed;
                }
                Some(Slot::Segment(_)) | None => {}
            }
        }
        // Nobody speaks, and nobody is about to: only the pre-roll may still become part of a segment.
        self.ledger.settle(self.next_start(), Fate::Silence);
    }

    /// Where the audio of the next segment could begin.
    fn next_start(&self) -> u64 {
        let speech = self.speech.possible_start().unwrap_or(self.inbox.heard);
        speech.saturating_sub(self.pre_roll).max(self.claimed)
    }

    fn forget(&mut self) {
        let judged = self.turn.as_ref().map(|it| {
            it.audio_start
                .max(self.inbox.heard.saturating_sub(turn::JUDGED))
        });
        let pieces = self.slots.iter().filter_map(|it| match it {
            Slot::Segment(segment) => segment.needs_from(),
            Slot::TurnEnd(_) | Slot::Finalized(_) | Slot::Closed => None,
        });
        let before = pieces.chain(judged).fold(self.next_start(), u64::min);
        if self.forgotten + policy::FORGET_STEP <= before {
            self.forgotten = before;
            self.desk.actions.push(Action::Forget { before });
        }
    }
}

impl Slot {
    /// The segment that waits for `job`, if this is it.
    fn segment_with(&mut self, job: JobId) -> Option<&mut Segment> {
        match self {
            Slot::Segment(segment) if segment.has_job(job) => Some(segment),
            Slot::Segment(_) | Slot::TurnEnd(_) | Slot::Finalized(_) | Slot::Closed => None,
        }
    }
}

/// The segment that speech may still be added to.
fn open_segment(slots: &mut VecDeque<Slot>) -> Option<&mut Segment> {
    match slots.back_mut()? {
        Slot::Segment(segment) if !segment.is_finished() => Some(segment),
        Slot::Segment(_) | Slot::TurnEnd(_) | Slot::Finalized(_) | Slot::Closed => None,
    }
}

/// Says what became of the audio of a segment, and of the silence before it.
fn settle(ledger: &mut Ledger, segment: &Segment, is_told: bool) {
    if !is_told {
        ledger.settle(
            segment.audio_end().unwrap_or(segment.start),
            Fate::Discarded,
        );
        return;
    }
    for span in segment.transcribed() {
        ledger.settle(span.start, Fate::Silence);
        ledger.settle(span.end, Fate::Transcribed);
    }
}

#[cfg(test)]
mod tests;
