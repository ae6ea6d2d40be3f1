//! Sentences in, their sound out: drives the language model and the decoder for one listener.
//!
//! ```text
//!  say ─► Sentence ─► language model ─► tokens ─► vocode ─► Decode ─► decoder ─► vocode ─► Chunk
//!             │            (a slot)                 ▲ one window at a time           │
//!             └─ the next: gathers tokens meanwhile └──────────── Listener ◄─────────┘ delivered
//! ```
//!
//! Nothing here runs by itself: whoever awaits [`Recital::next`] or [`Speech::next`] drives it. Who stops asking stops reading tokens.
//! Those of the sentences that were begun are made and wait, so that no slot is held for him, and no further sentence is begun.
//!
//! Invariants:
//! - The chunks of a sentence are its waveform without gap; those of the next sentence come after all of them.
//! - At most one window of a sentence is with the decoder, while its further tokens are made.
//! - At most [`AT_ONCE`] sentences of a recital are with the language model: the one that is spoken and, once that has its slot, the next.
//! - Dropping it abandons everything: slots are left before the next step, and windows that wait are not decoded.
//! - Each sentence has exactly one end: a chunk that is its last, or an error. One without tokens has an empty last chunk.

mod error;
mod voicing;

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use batcher::{Batcher, Job, Lane, Stepper, SubmitError};
use tokio::time::Instant;

pub use self::error::{Fault, SpeakError};
use self::voicing::{Progress, Voicing};
use crate::{
    models::{
        chatterbox::{Decode, Sentence},
        onnx::RunError,
    },
    vocode::{Chunk, Demand, Head, Listener, Policy, Reach, Vocode},
};

/// Sentences of a [`Recital`] that are with the language model at a time. Each holds a place, and one of the decoder.
pub const AT_ONCE: usize = 2;

/// How sentences are cut, as far as no request changes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Of the model pack.
    pub reach: Reach,
    /// New tokens of the first window, the second, and so on, for who listens meanwhile.
    pub sizes: Vec<usize>,
    /// The most new tokens of a window, for who waits for the whole.
    pub whole: usize,
    /// Silence tokens after each sentence.
    pub tail: usize,
    /// As [`Policy::margin`].
    pub margin: Duration,
    /// As [`Policy::first_within`].
    pub first_within: Duration,
}

/// How soon sound is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Somebody listens meanwhile: he begins with the first chunk and must never wait for the next.
    RealTime,
    /// Somebody waits for the whole: in few large windows, which cost least, behind those who listen.
    Fast,
}

/// What a request says about how its sentences are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    pub pace: Pace,
    /// The most tokens of a chunk, for who listens meanwhile.
    pub max_chunk_tokens: Option<usize>,
    pub head: Head,
    /// The latest moment for each sentence to be given a slot.
    pub deadline: Option<std::time::Instant>,
}

impl Manner {
    pub fn new(pace: Pace) -> Manner {
        Manner {
            pace,
            max_chunk_tokens: None,
            head: Head::Keep,
            deadline: None,
        }
    }
}

/// The models of one pack, which many speak with at a time. Clones share them.
///
/// The decoder needs a place for every sentence that the language model has one for, in [`Lane::Urgent`] for those who listen and in
/// [`Lane::Background`] for those who do not: it is asked in the middle of a sentence, when it is too late to refuse.
#[derive(Clone, Debug)]
pub struct Speaker {
    language_model: Stepper<Sentence, u32, RunError>,
    decoder: Batcher<Decode, Vec<f32>, RunError>,
    settings: Arc<Settings>,
    /// What a decoder call lately took for each token, in nanoseconds: where new listeners begin to reckon.
    per_token: Arc<AtomicU64>,
}

impl Speaker {
    /// Over models that run already.
    pub fn new(
        language_model: Stepper<Sentence, u32, RunError>,
        decoder: Batcher<Decode, Vec<f32>, RunError>,
        settings: Settings,
    ) -> Speaker {
        Speaker {
            language_model,
            decoder,
            settings: Arc::new(settings),
            per_token: Arc::default(),
        }
    }

    /// Speaks one sentence.
    ///
    /// # Errors
    /// If there is no place for it. Whatever happens later is told by [`Speech::next`].
    pub fn speak(&self, sentence: Sentence, manner: Manner) -> Result<Speech, SubmitError> {
        let mut recital = self.recite();
        recital.say(sentence, manner)?;
        Ok(Speech { recital })
    }

    /// Speaks one sentence after the other, for one listener.
    pub fn recite(&self) -> Recital {
        Recital {
            listener: Listener::new(Duration::from_nanos(self.per_token.load(Ordering::Relaxed))),
            speaker: self.clone(),
            began: Instant::now(),
            spoken: None,
            next: None,
            waiting: VecDeque::new(),
            n_said: 0,
        }
    }

    /// How busy the language model is.
    pub fn load(&self) -> batcher::Load {
        self.language_model.load()
    }

    /// How busy the decoder is.
    pub fn decoder_load(&self) -> batcher::Load {
        self.decoder.load()
    }

    fn policy(&self, manner: &Manner) -> Policy {
        let settings = &*self.settings;
        let policy = Policy {
            reach: settings.reach,
            sizes: match manner.pace {
                Pace::RealTime => settings.sizes.clone(),
                Pace::Fast => vec![settings.whole],
            },
            tail: settings.tail,
            head: manner.head,
            margin: settings.margin,
            first_within: settings.first_within,
        };
        match (manner.pace, manner.max_chunk_tokens) {
            (Pace::RealTime, Some(max_tokens)) => policy.capped(max_tokens),
            _ => policy,
        }
    }
}

/// One sentence that is being spoken. Dropping it abandons it.
#[derive(Debug)]
#[must_use = "dropping it abandons the sentence"]
pub struct Speech {
    recital: Recital,
}

impl Speech {
    /// The next chunk; `None` after the last and after an error. May be dropped and asked again.
    pub async fn next(&mut self) -> Option<Result<Chunk, SpeakError>> {
        Some(self.recital.next().await?.chunk)
    }
}

/// Sentences that are spoken one after the other. Dropping it abandons them.
#[derive(Debug)]
#[must_use = "dropping it abandons the sentences"]
pub struct Recital {
    speaker: Speaker,
    listener: Listener,
    began: Instant,
    spoken: Option<Voicing>,
    /// The sentence after it.
    next: Option<Voicing>,
    /// The sentences after that, of which the language model does not know yet.
    waiting: VecDeque<Waiting>,
    n_said: usize,
}

#[derive(Clone, Debug)]
struct Waiting {
    sentence_idx: usize,
    sentence: Sentence,
    manner: Manner,
}

/// What came of one of the sentences of a recital.
#[derive(Clone, Debug)]
pub struct Spoken {
    /// As [`Recital::say`] named it.
    pub sentence_idx: usize,
    /// The next of its chunks, or why there are no more.
    pub chunk: Result<Chunk, SpeakError>,
    /// For how long the listener had nothing to play, if he plays at once what he is given.
    pub late: Duration,
}

impl Recital {
    /// Has one more sentence spoken, after those before it. Returns its name: they are counted from 0.
    ///
    /// # Errors
    /// If it is to be spoken now and there is no place for it.
    pub fn say(&mut self, sentence: Sentence, manner: Manner) -> Result<usize, SubmitError> {
        let waiting = Waiting {
            sentence_idx: self.n_said,
            sentence,
            manner,
        };
        // One may be over before the next was begun: that one still comes first.
        if self.spoken.is_none() && self.waiting.is_empty() {
            self.listener.rested(self.began.elapsed());
            self.spoken = Some(self.begin(waiting)?);
        } else {
            self.waiting.push_back(waiting);
        }
        self.n_said += 1;
        Ok(self.n_said - 1)
    }

    /// Notes audio that the listener is given from elsewhere, in its turn. Tells for how long he had nothing to play.
    pub fn hand_over(&mut self, n_samples: usize, pace: Pace) -> Duration {
        if pace == Pace::Fast {
            return Duration::ZERO;
        }
        let now = self.began.elapsed();
        if self.n_open() == 0 {
            self.listener.rested(now);
        }
        self.listener.delivered(now, n_samples)
    }

    /// Abandons one sentence. What was given out of it stays given out; of those after it nothing is lost.
    pub fn stop(&mut self, sentence_idx: usize) {
        let is_it = |it: &mut Voicing| it.sentence_idx == sentence_idx;
        drop(self.next.take_if(is_it));
        self.waiting.retain(|it| it.sentence_idx != sentence_idx);
        if self.spoken.take_if(is_it).is_some() {
            self.spoken = self.next.take();
        }
    }

    /// Sentences said and not finished.
    pub fn n_open(&self) -> usize {
        usize::from(self.spoken.is_some()) + usize::from(self.next.is_some()) + self.waiting.len()
    }

    /// What comes next; `None` when all is spoken that was said so far. May be dropped and asked again.
    ///
    /// Each sentence ends once, with a chunk that is its last or with an error; the others are spoken all the same.
    pub async fn next(&mut self) -> Option<Spoken> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// As [`Recital::next`], for those who poll.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Spoken>> {
        let mut spoken = match self.spoken.take() {
            Some(spoken) => spoken,
            None => {
                let Some(waiting) = self.waiting.pop_front() else {
                    return Poll::Ready(None);
                };
                let sentence_idx = waiting.sentence_idx;
                match self.begin(waiting) {
                    Ok(begun) => begun,
                    Err(refused) => {
                        return Poll::Ready(Some(Spoken {
                            sentence_idx,
                            chunk: Err(refused.into()),
                            late: Duration::ZERO,
                        }));
                    }
                }
            }
        };
        let polled = spoken.poll(context, self, None);
        let Poll::Ready(chunk) = polled else {
            let progress = spoken.progress();
            self.spoken = Some(spoken);
            self.prepare(context, progress);
            return Poll::Pending;
        };
        let delivered = self.deliver(&spoken, chunk);
        let is_over = !matches!(&delivered.chunk, Ok(it) if !it.is_last);
        self.spoken = if is_over {
            self.next.take()
        } else {
            Some(spoken)
        };
        Poll::Ready(Some(delivered))
    }

    /// Goes on with the next sentence while this one is spoken.
    ///
    /// Not before this one has its slot: if each of many had given one to his next, none would be left for what comes first.
    /// Its tokens are taken in as far as a window needs them, and decoded once it is known how much comes before.
    fn prepare(&mut self, context: &mut Context<'_>, progress: Progress) {
        if self.next.is_none()
            && progress != Progress::Waits
            && let Some(waiting) = self.waiting.pop_front()
        {
            match self.begin(waiting.clone()) {
                Ok(begun) => self.next = Some(begun),
                // It is tried again, and told when its turn has come.
                Err(_refused) => self.waiting.push_front(waiting),
            }
        }
        let Some(mut next) = self.next.take() else {
            return;
        };
        match progress {
            Progress::AllMade { pending } => next.prepare(context, self, pending),
            Progress::Waits | Progress::IsMade => next.gather(context),
        }
        self.next = Some(next);
    }

    fn begin(&self, waiting: Waiting) -> Result<Voicing, SubmitError> {
        let Waiting {
            sentence_idx,
            sentence,
            manner,
        } = waiting;
        // Who listens already goes before who has heard nothing yet, and has places of his own.
        let (lane, due) = match manner.pace {
            Pace::RealTime if sentence_idx == 0 => (Lane::Normal, None),
            Pace::RealTime => {
                let demand = self.demand(manner.pace);
                (Lane::Urgent, due(demand.ahead.unwrap_or_default()))
            }
            Pace::Fast => (Lane::Background, None),
        };
        let voice = Arc::clone(&sentence.voice);
        let tokens = self.speaker.language_model.submit(Job {
            deadline: manner.deadline,
            due,
            ..Job::new(lane, sentence)
        })?;
        let vocode = Vocode::new(self.speaker.policy(&manner));
        Ok(Voicing::new(
            sentence_idx,
            manner.pace,
            (tokens, voice),
            vocode,
        ))
    }

    fn demand(&self, pace: Pace) -> Demand {
        match pace {
            Pace::RealTime => self.listener.demand(self.began.elapsed()),
            Pace::Fast => Demand::NONE,
        }
    }

    fn decoded(&mut self, pace: Pace, n_tokens: usize, took: Duration) {
        if pace == Pace::RealTime {
            self.listener.decoded(n_tokens, took);
            let nanos = u64::try_from(self.listener.per_token().as_nanos()).unwrap_or(u64::MAX);
            self.speaker.per_token.store(nanos, Ordering::Relaxed);
        }
    }

    fn deliver(&mut self, of: &Voicing, chunk: Result<Chunk, SpeakError>) -> Spoken {
        let late = match &chunk {
            Ok(chunk) if of.pace == Pace::RealTime && !chunk.samples.is_empty() => {
                let now = self.began.elapsed();
                self.listener.delivered(now, chunk.samples.len())
            }
            _ => Duration::ZERO,
        };
        Spoken {
            sentence_idx: of.sentence_idx,
            chunk,
            late,
        }
    }
}

/// The moment `within` from now. One that is too far off to be told is none.
fn due(within: Duration) -> Option<std::time::Instant> {
    Some(Instant::now().checked_add(within)?.into_std())
}

#[cfg(test)]
mod tests;
