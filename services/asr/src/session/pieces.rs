//! One piece of audio on its way to text: the jobs it needs, and what they told.
//!
//! Invariants:
//! - A piece has at most one draft and one other job under way; what is cancelled is never waited for.
//! - The parts that a piece is transcribed in meet at positions that depend on the audio and the answers alone.
//! - What a piece tells begins with everything that was ever shown of it as stable.

use std::mem;
use std::ops::Range;

use super::ledger::Clock;
use super::message::Message;
use super::partials::{Agreement, Contradiction};
use super::policy::{self, Policy, RATE_HZ};
use super::telling::{self, Telling};
use super::{Action, JobId, Purpose, Transcribe};
use crate::transcript::Transcript;

/// Where the actions of one event are collected, and names for jobs are given out.
#[derive(Debug, Default)]
pub(super) struct Desk {
    n_jobs: u64,
    pub(super) actions: Vec<Action>,
}

impl Desk {
    pub(super) fn name_job(&mut self) -> JobId {
        self.n_jobs += 1;
        JobId(self.n_jobs)
    }

    pub(super) fn cancel(&mut self, job: Option<Job>) {
        if let Some(Job { id, .. }) = job {
            self.actions.push(Action::Cancel { job: id });
        }
    }

    pub(super) fn emit(&mut self, message: Message) {
        self.actions.push(Action::Emit(message));
    }

    fn transcribe(
        &mut self,
        purpose: Purpose,
        range: Range<u64>,
        prefix: Option<String>,
        context: Option<String>,
    ) -> Job {
        let job = self.name_job();
        let wanted = Transcribe {
            job,
            purpose,
            range: range.clone(),
            prefix,
            context,
        };
        self.actions.push(Action::Transcribe(wanted));
        Job {
            id: job,
            purpose,
            range,
        }
    }
}

/// A transcription under way.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Job {
    pub(super) id: JobId,
    pub(super) purpose: Purpose,
    pub(super) range: Range<u64>,
}

/// How pieces are cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    max_piece: u64,
    cut_margin: u64,
    /// Whether the client sees text before it is final.
    shows: bool,
}

impl Limits {
    pub(super) fn new(policy: &Policy) -> Limits {
        let max_piece = policy::samples(policy.max_piece).clamp(RATE_HZ, 28 * RATE_HZ);
        let cut_margin = policy::samples(policy.cut_margin).min(max_piece / 2);
        Limits {
            max_piece,
            cut_margin,
            shows: policy.drafts.is_some(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Speech goes on.
    Open,
    /// A pause: the text is on its way, and thrown away if speech goes on.
    Paused,
    /// Nothing will be added.
    Sealed,
}

/// A stretch of audio that becomes one stretch of text.
#[derive(Debug)]
pub(super) struct Piece {
    /// The first sample, counting the parts that have their text.
    pub(super) start: u64,
    /// The first sample that has no text for good.
    pub(super) from: u64,
    pub(super) until: u64,
    state: State,
    limits: Limits,
    job: Option<Job>,
    draft: Option<Job>,
    /// The recogniser was told once what its text has to begin with.
    insisted: bool,
    /// The next draft has to begin with the stable text: the last one did not.
    insist_next: bool,
    agreement: Agreement,
    /// Told about `start..from`, and as shown.
    told: Telling,
    told_shown: String,
    /// Told about `from..until`.
    answer: Option<Telling>,
    /// What is shown after `told_shown`.
    shown: String,
    /// Of what is shown.
    pub(super) confidence: f32,
    pub(super) shown_until: u64,
}

impl Piece {
    pub(super) fn new(start: u64, until: u64, limits: Limits) -> Piece {
        Piece {
            start,
            from: start,
            until,
            state: State::Open,
            limits,
            job: None,
            draft: None,
            insisted: false,
            insist_next: false,
            agreement: Agreement::default(),
            told: Telling::nothing(),
            told_shown: String::new(),
            answer: None,
            shown: String::new(),
            confidence: 0.0,
            shown_until: start,
        }
    }

    /// Speech goes on until `until`; if it had paused, what was told about it until there is dropped.
    pub(super) fn extend(&mut self, until: u64, desk: &mut Desk) {
        debug_assert!(
            self.state != State::Sealed,
            "nothing is added to a sealed piece"
        );
        if self.state == State::Paused {
            self.state = State::Open;
            self.answer = None;
            self.insisted = false;
            if self
                .job
                .as_ref()
                .is_some_and(|it| it.purpose == Purpose::Final)
            {
                desk.cancel(self.job.take());
            }
        }
        self.until = self.until.max(until);
        self.advance(desk);
    }

    /// Speech may be over.
    pub(super) fn pause(&mut self, until: u64, desk: &mut Desk) {
        self.until = self.until.max(until);
        if self.state == State::Open {
            self.state = State::Paused;
            desk.cancel(self.draft.take());
            self.advance(desk);
        }
    }

    /// Speech is over.
    pub(super) fn seal(&mut self) {
        debug_assert!(
            self.state != State::Open,
            "a piece pauses before it is sealed"
        );
        self.state = State::Sealed;
    }

    pub(super) fn is_sealed(&self) -> bool {
        self.state == State::Sealed
    }

    pub(super) fn is_paused(&self) -> bool {
        self.state == State::Paused
    }

    /// Whether the text is there, for good.
    pub(super) fn is_told(&self) -> bool {
        self.state == State::Sealed && self.answer.is_some()
    }

    /// A look at the unfinished speech. Returns whether there is anything to look at.
    pub(super) fn ask_draft(&mut self, desk: &mut Desk) -> bool {
        if self.state != State::Open
            || self.draft.is_some()
            || self.job.is_some()
            || self.until <= self.from
        {
            return false;
        }
        let prefix = mem::take(&mut self.insist_next)
            .then(|| self.agreement.stable_text())
            .and_then(presence);
        self.draft = Some(desk.transcribe(
            Purpose::Draft,
            self.from..self.until,
            prefix,
            self.context(),
        ));
        true
    }

    pub(super) fn has_job(&self, job: JobId) -> bool {
        [&self.job, &self.draft]
            .into_iter()
            .flatten()
            .any(|it| it.id == job)
    }

    /// Gives up. Nothing is waited for any more.
    pub(super) fn cancel(&mut self, desk: &mut Desk) {
        desk.cancel(self.job.take());
        desk.cancel(self.draft.take());
    }

    /// Takes the job out, because it was answered.
    pub(super) fn take_job(&mut self, job: JobId) -> Option<Job> {
        self.draft
            .take_if(|it| it.id == job)
            .or_else(|| self.job.take_if(|it| it.id == job))
    }

    /// Takes the answer to `job`. Returns whether there is something new to show.
    pub(super) fn answered(
        &mut self,
        job: &Job,
        transcript: Transcript,
        clock: &Clock,
        desk: &mut Desk,
    ) -> bool {
        let telling = Telling::new(transcript);
        match job.purpose {
            Purpose::Draft => self.drafted(job, &telling),
            Purpose::Final => self.finished(job, telling, clock, desk),
            Purpose::Cut => self.cut(job, telling, clock, desk),
        }
    }

    fn drafted(&mut self, job: &Job, telling: &Telling) -> bool {
        if telling.text.trim().is_empty() {
            return false;
        }
        match self.agreement.observe(&telling.text) {
            Ok(shown) => self.show(shown, telling.confidence(), job.range.end),
            Err(Contradiction) => {
                self.insist_next = true;
                false
            }
        }
    }

    fn finished(
        &mut self,
        job: &Job,
        mut telling: Telling,
        clock: &Clock,
        desk: &mut Desk,
    ) -> bool {
        if !self.agreement.holds(&telling.text) && !self.insisted {
            self.insist(job, desk);
            return false;
        }
        telling.text = self.agreement.compose(&telling.text);
        let mut news = false;
        // What nobody is shown promises nothing, so that the text does not depend on how soon this answer came.
        if self.limits.shows
            && let Ok(shown) = self.agreement.observe(&telling.text)
        {
            news = self.show(shown, telling.confidence(), job.range.end);
        }
        self.answer = Some(telling.shifted(clock.seconds(job.range.start)));
        news
    }

    /// Keeps the words that are safe from the edge of the part and goes on after them.
    fn cut(&mut self, job: &Job, telling: Telling, clock: &Clock, desk: &mut Desk) -> bool {
        if !self.agreement.holds_so_far(&telling.text) && !self.insisted {
            self.insist(job, desk);
            return false;
        }
        let (n_words, next) = self.cut_point(job, &telling);
        let confidence = telling.confidence();
        let mut kept = match n_words {
            Some(n_words) => telling.keep_words(n_words),
            None => telling,
        };
        let (shown, text) = self.agreement.commit(&kept.text);
        kept.text = text;
        self.told
            .append(kept.shifted(clock.seconds(job.range.start)));
        telling::join(&mut self.told_shown, &shown);
        self.from = next;
        self.insisted = false;
        let shown = self.agreement.stable_text();
        self.show(shown, confidence, next);
        self.advance(desk);
        true
    }

    /// How many words of a part are kept (`None`: all that was told), and where the next part begins.
    fn cut_point(&self, job: &Job, telling: &Telling) -> (Option<usize>, u64) {
        let length = job.range.end - job.range.start;
        let at = |seconds: f64| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "clamped to the part"
            )]
            let offset = (seconds * RATE_HZ as f64).round().clamp(0.0, length as f64) as u64;
            offset
        };
        let safe = length - self.limits.cut_margin;
        let n_safe = telling
            .words
            .iter()
            .take_while(|it| at(it.end) <= safe)
            .count();
        let last = n_safe.checked_sub(1).map(|idx| at(telling.words[idx].end));
        let next = telling.words.get(n_safe).map(|it| at(it.start));
        // Between two words rather than at the end of one: word times are good to about 0.02 s.
        let point = match (last, next) {
            (Some(last), Some(next)) => last.midpoint(next.max(last)),
            (Some(last), None) => last,
            // Nothing was said before a word that begins late.
            (None, Some(next)) => next.saturating_sub(RATE_HZ / 5),
            (None, None) => 0,
        };
        // However the words lie, half a second at least must be done with, or the piece would never end.
        if point < RATE_HZ / 2 {
            (None, job.range.end)
        } else {
            (Some(n_safe), job.range.start + point)
        }
    }

    /// Asks again, with the words that the client was promised.
    fn insist(&mut self, job: &Job, desk: &mut Desk) {
        self.insisted = true;
        let prefix = presence(self.agreement.stable_text());
        self.job = Some(desk.transcribe(job.purpose, job.range.clone(), prefix, self.context()));
    }

    /// Starts the next job, if one is due and none is under way.
    fn advance(&mut self, desk: &mut Desk) {
        if self.job.is_some() || self.answer.is_some() {
            return;
        }
        if self.limits.max_piece < self.until - self.from {
            // Drafts of a piece that is being cut would have to be drafted again after it.
            desk.cancel(self.draft.take());
            let range = self.from..self.from + self.limits.max_piece;
            self.job = Some(desk.transcribe(Purpose::Cut, range, None, self.context()));
        } else if self.state != State::Open {
            if self.from < self.until {
                self.job = Some(desk.transcribe(
                    Purpose::Final,
                    self.from..self.until,
                    None,
                    self.context(),
                ));
            } else {
                self.answer = Some(Telling::nothing());
            }
        }
    }

    fn context(&self) -> Option<String> {
        presence(self.told.text.trim().to_owned())
    }

    fn show(&mut self, shown: String, confidence: f32, until: u64) -> bool {
        let news = shown != self.shown || until != self.shown_until;
        self.shown = shown;
        self.confidence = confidence;
        self.shown_until = until;
        news
    }

    /// Stable and whole text of the piece as it may be shown now.
    pub(super) fn view(&self) -> (String, String) {
        let mut stable = self.told_shown.clone();
        telling::join(&mut stable, &self.agreement.stable_text());
        let mut whole = self.told_shown.clone();
        telling::join(&mut whole, &self.shown);
        (stable, whole)
    }

    /// All that was told, and the same as it is shown. For a piece that [is told](Piece::is_told).
    pub(super) fn into_told(mut self) -> (Telling, String) {
        let answer = self.answer.unwrap_or_else(Telling::nothing);
        let shown = self.agreement.shown(&answer.text);
        telling::join(&mut self.told_shown, &shown);
        self.told.append(answer);
        (self.told, self.told_shown)
    }

    /// What is left of the piece after a failed job: the audio that the job did not cover.
    pub(super) fn after(mut self, failed: &Job, desk: &mut Desk) -> Option<Piece> {
        self.cancel(desk);
        if self.until <= failed.range.end {
            return None;
        }
        let mut rest = Piece::new(failed.range.end, self.until, self.limits);
        rest.state = self.state;
        rest.advance(desk);
        Some(rest)
    }
}

fn presence(text: String) -> Option<String> {
    if text.trim().is_empty() {
        None
    } else {
        Some(text)
    }
}
