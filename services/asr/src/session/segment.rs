//! A segment: the pieces of what will be one `Final`, and what has been shown of it.
//!
//! Invariants:
//! - Text is told in the order of the pieces.
//! - Shown text begins with its stable text, and stable text only grows, letter by letter.

use std::collections::VecDeque;
use std::ops::Range;

use super::ledger::Clock;
use super::message::{Failure, Final, Partial, SegmentId};
use super::pieces::{Desk, Job, Limits, Piece};
use super::telling::{self, Telling};
use super::{JobId, Purpose};
use crate::transcript::Transcript;

#[derive(Debug)]
pub(super) struct Segment {
    pub(super) id: SegmentId,
    /// Where the speech began.
    pub(super) start: u64,
    limits: Limits,
    /// Those that are not told yet, and the one that speech may still be added to.
    pieces: VecDeque<Piece>,
    told: Telling,
    shown: String,
    /// The audio of `told`.
    told_spans: Vec<Range<u64>>,
    /// Where the speech ended, once the segment has.
    end: Option<u64>,
    failure: Option<(Failure, u64)>,
    n_partials: u64,
    sent: (String, String),
    unsent: Option<Partial>,
}

impl Segment {
    /// Speech that began at `start`; its audio, from `audio_start`, is heard until `until`.
    pub(super) fn new(id: SegmentId, start: u64, audio: Range<u64>, limits: Limits) -> Segment {
        Segment::of(
            id,
            start,
            VecDeque::from([Piece::new(audio.start, audio.end, limits)]),
            limits,
        )
    }

    fn of(id: SegmentId, start: u64, pieces: VecDeque<Piece>, limits: Limits) -> Segment {
        Segment {
            id,
            start,
            limits,
            pieces,
            told: Telling::nothing(),
            shown: String::new(),
            told_spans: Vec::new(),
            end: None,
            failure: None,
            n_partials: 0,
            sent: Default::default(),
            unsent: None,
        }
    }

    /// Speech goes on until `until`, after a pause or without; `at` is where a new piece would begin.
    pub(super) fn speak(&mut self, at: u64, until: u64, desk: &mut Desk) {
        match self.pieces.back_mut() {
            Some(piece) if !piece.is_sealed() => piece.extend(until, desk),
            Some(_) | None => {
                let after = self.audio_end().unwrap_or(0);
                let mut piece = Piece::new(at.max(after), until, self.limits);
                piece.extend(until, desk);
                self.pieces.push_back(piece);
            }
        }
    }

    pub(super) fn pause(&mut self, until: u64, desk: &mut Desk) {
        if let Some(piece) = self.pieces.back_mut()
            && !piece.is_sealed()
        {
            piece.pause(until, desk);
        }
    }

    /// What was said before the pause is not taken back.
    pub(super) fn commit(&mut self) {
        if let Some(piece) = self.pieces.back_mut()
            && !piece.is_sealed()
        {
            piece.seal();
            self.fold();
        }
    }

    /// The speech ended at `end`; the audio goes on to `until`, if it has not paused before.
    pub(super) fn finish(&mut self, end: u64, until: u64, desk: &mut Desk) {
        if let Some(piece) = self.pieces.back_mut()
            && !piece.is_sealed()
        {
            if !piece.is_paused() {
                piece.pause(until, desk);
            }
            piece.seal();
        }
        self.end = Some(end.max(self.start));
        self.fold();
    }

    pub(super) fn is_finished(&self) -> bool {
        self.end.is_some()
    }

    pub(super) fn ask_draft(&mut self, desk: &mut Desk) -> bool {
        self.pieces.back_mut().is_some_and(|it| it.ask_draft(desk))
    }

    pub(super) fn has_job(&self, job: JobId) -> bool {
        self.pieces.iter().any(|it| it.has_job(job))
    }

    /// Takes the job that was answered out of its piece.
    fn take_job(&mut self, job: JobId) -> Option<(usize, Job)> {
        let taken = |(idx, it): (usize, &mut Piece)| it.take_job(job).map(|job| (idx, job));
        self.pieces.iter_mut().enumerate().find_map(taken)
    }

    /// Takes an answer. Returns what it was for.
    pub(super) fn answered(
        &mut self,
        job: JobId,
        transcript: Transcript,
        clock: &Clock,
        desk: &mut Desk,
    ) -> Option<Purpose> {
        let (idx, job) = self.take_job(job)?;
        let news = self.pieces[idx].answered(&job, transcript, clock, desk);
        if news {
            self.look();
        }
        self.fold();
        Some(job.purpose)
    }

    /// Takes a failure. `None`: it was only a draft. Otherwise the segment has failed as far as the failed audio reaches, and what
    /// it held after that is given back as the beginning of another segment.
    pub(super) fn failed(&mut self, job: JobId, desk: &mut Desk) -> Option<VecDeque<Piece>> {
        let (idx, job) = self.take_job(job)?;
        if job.purpose == Purpose::Draft {
            return None;
        }
        if self.end.is_some() {
            self.fail(Failure::Transcription, desk);
            return Some(VecDeque::new());
        }
        let mut rest = self.pieces.split_off(idx + 1);
        let failed = self.pieces.pop_back();
        if let Some(left) = failed.and_then(|it| it.after(&job, desk)) {
            rest.push_front(left);
        }
        self.end = Some(job.range.end);
        self.drop_text(Failure::Transcription, job.range.end, desk);
        Some(rest)
    }

    /// A segment of what another gave back.
    pub(super) fn resumed(id: SegmentId, pieces: VecDeque<Piece>, limits: Limits) -> Segment {
        let start = pieces.front().map_or(0, |it| it.start);
        let mut segment = Segment::of(id, start, pieces, limits);
        segment.fold();
        segment
    }

    /// The segment gets no text.
    pub(super) fn fail(&mut self, failure: Failure, desk: &mut Desk) {
        let until = self.audio_end().unwrap_or(self.start);
        self.drop_text(failure, until, desk);
    }

    fn drop_text(&mut self, failure: Failure, until: u64, desk: &mut Desk) {
        for mut piece in self.pieces.drain(..) {
            piece.cancel(desk);
        }
        self.unsent = None;
        self.failure = Some((failure, until));
    }

    /// Takes over what the first pieces told, as far as it is for good.
    fn fold(&mut self) {
        let mut folded = None;
        while self.pieces.front().is_some_and(Piece::is_told)
            && let Some(piece) = self.pieces.pop_front()
        {
            folded = Some((piece.confidence, piece.until));
            self.told_spans.push(piece.start..piece.until);
            let (told, shown) = piece.into_told();
            self.told.append(told);
            telling::join(&mut self.shown, &shown);
        }
        let Some((confidence, until)) = folded else {
            return;
        };
        if self.pieces.is_empty() {
            self.show(self.shown.clone(), self.shown.clone(), confidence, until);
        } else {
            self.look();
        }
    }

    /// Has what is known now shown.
    fn look(&mut self) {
        let Some(piece) = self.pieces.front() else {
            return;
        };
        let (piece_stable, piece_whole) = piece.view();
        let (mut stable, mut whole) = (self.shown.clone(), self.shown.clone());
        telling::join(&mut stable, &piece_stable);
        telling::join(&mut whole, &piece_whole);
        let (confidence, until) = (piece.confidence, piece.shown_until);
        self.show(stable, whole, confidence, until);
    }

    fn show(&mut self, stable: String, whole: String, confidence: f32, until: u64) {
        let (stable, whole) = (
            stable.trim_start().to_owned(),
            whole.trim_start().to_owned(),
        );
        if whole.is_empty() || (&stable, &whole) == (&self.sent.0, &self.sent.1) {
            return;
        }
        self.unsent = Some(Partial {
            segment: self.id,
            revision: 0,
            text: whole,
            stable_text: stable,
            until,
            confidence,
        });
    }

    /// What is to be shown next, if anything has changed.
    pub(super) fn take_partial(&mut self) -> Option<Partial> {
        let mut partial = self.unsent.take()?;
        if self.end.is_some() {
            // The final says it all.
            return None;
        }
        self.n_partials += 1;
        partial.revision = self.n_partials;
        self.sent = (partial.stable_text.clone(), partial.text.clone());
        Some(partial)
    }

    /// The outcome, once there is one.
    pub(super) fn outcome(&self) -> Option<Result<Final, Failure>> {
        if let Some((failure, _)) = self.failure {
            return Some(Err(failure));
        }
        let end = self.end?;
        if !self.pieces.is_empty() {
            return None;
        }
        let told = &self.told;
        Some(Ok(Final {
            segment: self.id,
            text: told.text.trim().to_owned(),
            start: self.start,
            end,
            words: told.words.clone(),
            language: told.language.clone(),
            language_probability: told.language_probability,
            confidence: told.confidence(),
            no_speech_prob: told.no_speech_prob,
            avg_logprob: told.avg_logprob(),
        }))
    }

    /// The audio that was transcribed, for the accounts.
    pub(super) fn transcribed(&self) -> &[Range<u64>] {
        &self.told_spans
    }

    /// Where the audio of the segment ends, as far as it is known.
    pub(super) fn audio_end(&self) -> Option<u64> {
        if let Some((_, until)) = self.failure {
            return Some(until);
        }
        self.pieces
            .back()
            .map(|it| it.until)
            .or_else(|| self.told_spans.last().map(|it| it.end))
    }

    /// The first audio that a job may still ask for.
    pub(super) fn needs_from(&self) -> Option<u64> {
        self.pieces.front().map(|it| it.from)
    }
}
