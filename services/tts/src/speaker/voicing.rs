//! One sentence with the models.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use batcher::{Answer, Chunks, Job, Lane};
use tokio::time::{Instant, Sleep, sleep_until};

use super::{Pace, Recital, SpeakError, due};
use crate::{
    models::{chatterbox::Decode, conditioning::Conditioning, onnx::RunError},
    vocode::{Chunk, DecodedError, Next, Vocode, Window},
};

/// What a poll tells: a chunk, or why there are no more.
type Polled = Result<Chunk, SpeakError>;

/// Not to be polled after its last chunk or an error.
#[derive(Debug)]
pub(super) struct Voicing {
    pub(super) sentence_idx: usize,
    pub(super) pace: Pace,
    /// `None` once they have ended.
    tokens: Option<Chunks<u32, RunError>>,
    voice: Arc<Conditioning>,
    vocode: Vocode,
    decoding: Option<Decoding>,
    /// What was made before it was asked for.
    made: Option<Polled>,
    /// Wakes when a window is wanted although no token has come.
    alarm: Option<Pin<Box<Sleep>>>,
}

/// How far the language model is with a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// No token has come.
    Waits,
    IsMade,
    /// All tokens are there, and so much of their sound was not given out.
    AllMade {
        pending: Duration,
    },
}

/// A window that is with the decoder.
#[derive(Debug)]
struct Decoding {
    answer: Answer<Vec<f32>, RunError>,
    asked: Instant,
    n_tokens: usize,
}

impl Voicing {
    pub(super) fn new(
        sentence_idx: usize,
        pace: Pace,
        (tokens, voice): (Chunks<u32, RunError>, Arc<Conditioning>),
        vocode: Vocode,
    ) -> Voicing {
        Voicing {
            sentence_idx,
            pace,
            tokens: Some(tokens),
            voice,
            vocode,
            decoding: None,
            made: None,
            alarm: None,
        }
    }

    pub(super) fn progress(&self) -> Progress {
        if self.vocode.has_ended() {
            let pending = self.vocode.pending();
            return Progress::AllMade { pending };
        }
        if self.vocode.has_begun() {
            return Progress::IsMade;
        }
        Progress::Waits
    }

    /// The next chunk. `before` is what the listener will be given first, for a sentence whose turn has not come.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        recital: &mut Recital,
        before: Option<Duration>,
    ) -> Poll<Polled> {
        if let Some(made) = self.made.take() {
            return Poll::Ready(made);
        }
        loop {
            // All tokens that are there, before it is judged whether they are enough.
            while self.poll_token(context)?.is_ready() {}
            let demand = recital.demand(self.pace);
            let demand = before.map_or(demand, |before| demand.after(before));
            match self.vocode.next(&demand) {
                Next::Finished => return Poll::Ready(Ok(Chunk::NOTHING)),
                Next::Decode(window) => self.ask(window, recital)?,
                Next::Decoding => return self.poll_decoded(context, recital),
                Next::Wait(wait) => ready!(self.poll_alarm(context, wait)),
            }
        }
    }

    /// Goes on until there is a chunk, and keeps it.
    pub(super) fn prepare(
        &mut self,
        context: &mut Context<'_>,
        recital: &mut Recital,
        before: Duration,
    ) {
        if self.made.is_none()
            && let Poll::Ready(made) = self.poll(context, recital, Some(before))
        {
            self.made = Some(made);
        }
    }

    /// Takes in tokens until a window of the largest size could be decoded.
    pub(super) fn gather(&mut self, context: &mut Context<'_>) {
        while self.made.is_none() && !self.vocode.is_full() {
            match self.poll_token(context) {
                Poll::Pending => return,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => self.made = Some(Err(error)),
            }
        }
    }

    /// Takes in one token, or that there are no more. Never ready after that.
    fn poll_token(&mut self, context: &mut Context<'_>) -> Poll<Result<(), SpeakError>> {
        let Some(tokens) = &mut self.tokens else {
            return Poll::Pending;
        };
        match ready!(tokens.poll_next(context)) {
            Some(token) => {
                let token = token.map_err(SpeakError::LanguageModel)?;
                self.vocode.push(i64::from(token));
            }
            None => {
                self.tokens = None;
                self.vocode.end();
            }
        }
        Poll::Ready(Ok(()))
    }

    fn ask(&mut self, window: Window, recital: &Recital) -> Result<(), SpeakError> {
        let n_tokens = window.tokens.len();
        let input = Decode {
            tokens: window.tokens,
            voice: Arc::clone(&self.voice),
        };
        let lane = match self.pace {
            Pace::RealTime => Lane::Urgent,
            Pace::Fast => Lane::Background,
        };
        let answer = recital.speaker.decoder.submit(Job {
            due: due(window.due_in),
            ..Job::new(lane, input)
        })?;
        self.decoding = Some(Decoding {
            answer,
            asked: Instant::now(),
            n_tokens,
        });
        Ok(())
    }

    fn poll_decoded(&mut self, context: &mut Context<'_>, recital: &mut Recital) -> Poll<Polled> {
        let Some(decoding) = &mut self.decoding else {
            return Poll::Ready(Err(DecodedError::NotAsked.into()));
        };
        let answer = ready!(Pin::new(&mut decoding.answer).poll(context));
        let (n_tokens, took) = (decoding.n_tokens, decoding.asked.elapsed());
        self.decoding = None;
        let samples = answer.map_err(SpeakError::Decoder)?;
        recital.decoded(self.pace, n_tokens, took);
        Poll::Ready(Ok(self.vocode.decoded(&samples)?))
    }

    /// Ready once `wait` has passed, and never without one.
    fn poll_alarm(&mut self, context: &mut Context<'_>, wait: Option<Duration>) -> Poll<()> {
        let Some(at) = wait.and_then(|it| Instant::now().checked_add(it)) else {
            self.alarm = None;
            return Poll::Pending;
        };
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if alarm.deadline() != at {
            alarm.as_mut().reset(at);
        }
        alarm.as_mut().poll(context)
    }
}
