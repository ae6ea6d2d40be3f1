//! One text being spoken: its sentences in order, the silences between them, and what becomes of it.
//!
//! Invariants:
//! - Every one that was begun is counted once: complete, failed, or cancelled if it is dropped before.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::app::App;
use crate::error::TtsError;
use crate::metrics::{Edge, Outcome};
use crate::models::chatterbox::{Sampling, Sentence};
use crate::models::conditioning::SAMPLE_RATE_HZ;
use crate::options::Speech;
use crate::phrases::Key;
use crate::settings;
use crate::speaker::{Manner, Pace, Recital};
use crate::text::{self, Pause};
use crate::voices::Voice;

/// A text that is being spoken. Dropping it abandons what is not spoken yet.
pub(super) struct Saying {
    app: Arc<App>,
    pub(super) speech: Speech,
    source: Source,
    /// Samples of silence before each sentence.
    pauses: Vec<usize>,
    /// Sentences that have begun to be heard.
    n_heard: usize,
    n_samples: usize,
    max_samples: usize,
    /// Tokens of the sentences that have ended, and of the one that is heard.
    n_tokens: (usize, usize),
    began: Instant,
    outcome: Option<Outcome>,
    /// What is to be kept, as far as it has come.
    kept: Option<(Key, Vec<f32>)>,
}

enum Source {
    Models(Box<Recital>),
    /// It was said before.
    Kept(Option<Arc<[f32]>>),
}

impl Saying {
    /// Gives a text to the models.
    pub(super) fn begin(
        app: &Arc<App>,
        sentences: Vec<text::Sentence>,
        (voice, speech, pace): (Arc<Voice>, Speech, Pace),
    ) -> Result<Saying, TtsError> {
        let pause = |it: &text::Sentence| pause_samples(it.pause_before, &app.settings.text);
        let pauses = sentences.iter().map(pause).collect();
        let key = app.phrases.as_ref().map(|_| {
            let spoken: Vec<&str> = sentences.iter().map(|it| it.spoken.as_str()).collect();
            Key::new(&spoken.join("\n"), &voice, &speech)
        });
        let kept = app.phrases.as_ref().zip(key);
        let said_before = kept.and_then(|(phrases, key)| phrases.get(&key));
        let is_new = said_before.is_none();
        let source = match said_before {
            Some(samples) => Source::Kept(Some(samples)),
            None => Source::Models(Box::new(recite(app, sentences, (&voice, &speech, pace))?)),
        };
        let max_seconds = app.settings.speech.max_seconds.get() as usize;
        Ok(Saying {
            app: Arc::clone(app),
            speech,
            source,
            pauses,
            n_heard: 0,
            n_samples: 0,
            max_samples: max_seconds.saturating_mul(SAMPLE_RATE_HZ as usize),
            n_tokens: (0, 0),
            began: Instant::now(),
            outcome: None,
            kept: key.filter(|_| is_new).map(|key| (key, Vec::new())),
        })
    }

    /// The next samples, at the models' rate; `None` after the last. May not be asked again after that.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<f32>>, TtsError> {
        let next = match &mut self.source {
            Source::Kept(samples) => Ok(samples.take().map(|it| it.to_vec())),
            Source::Models(_) => self.hear().await,
        };
        match &next {
            Ok(Some(samples)) => self.count(samples),
            Ok(None) => {
                self.keep();
                self.end(Outcome::Complete);
            }
            Err(_) => self.end(Outcome::Failed),
        }
        next
    }

    async fn hear(&mut self) -> Result<Option<Vec<f32>>, TtsError> {
        let Source::Models(recital) = &mut self.source else {
            return Ok(None);
        };
        let spoken = loop {
            let Some(spoken) = recital.next().await else {
                return Ok(None);
            };
            let chunk = spoken.chunk?;
            // A chunk may only say that a sentence has ended.
            if !chunk.samples.is_empty() {
                break (spoken.sentence_idx, chunk, spoken.late);
            }
        };
        let (sentence_idx, chunk, late) = spoken;
        self.app.metrics.silences.inc_by(late.as_secs_f64());
        let mut samples = chunk.samples;
        if self.n_heard <= sentence_idx {
            let missed = self.pauses.get(self.n_heard..=sentence_idx);
            // Nothing is waited for before the first sentence.
            let silence: usize = match self.n_heard {
                0 => 0,
                _ => missed.unwrap_or_default().iter().sum(),
            };
            self.n_heard = sentence_idx + 1;
            self.n_tokens.0 += self.n_tokens.1;
            samples.splice(0..0, std::iter::repeat_n(0.0, silence));
        }
        self.n_tokens.1 = chunk.n_tokens;
        if self.max_samples < self.n_samples + samples.len() {
            return Err(TtsError::TooLong {
                limit_s: self.app.settings.speech.max_seconds.get(),
            });
        }
        Ok(Some(samples))
    }

    /// Speech tokens so far.
    pub(super) fn n_tokens(&self) -> usize {
        self.n_tokens.0 + self.n_tokens.1
    }

    fn count(&mut self, samples: &[f32]) {
        if self.n_samples == 0 {
            let took = self.began.elapsed();
            self.app.metrics.first_chunk(Edge::Rest, took);
        }
        self.n_samples += samples.len();
        if let Some((_, kept)) = &mut self.kept {
            kept.extend_from_slice(samples);
        }
        let takes = |it: &crate::phrases::Phrases| it.takes(self.n_samples);
        if !self.app.phrases.as_ref().is_some_and(takes) {
            self.kept = None;
        }
    }

    fn keep(&mut self) {
        if let (Some(phrases), Some((key, samples))) = (&self.app.phrases, self.kept.take()) {
            phrases.put(key, samples);
        }
    }

    fn end(&mut self, outcome: Outcome) {
        if self.outcome.replace(outcome).is_some() {
            return;
        }
        let seconds = self.n_samples as f64 / f64::from(SAMPLE_RATE_HZ);
        let audio = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        let metrics = &self.app.metrics;
        if matches!(self.source, Source::Models(_)) {
            metrics.audio.inc_by(seconds);
        }
        metrics.ended(Edge::Rest, outcome, audio, self.began.elapsed());
    }
}

impl Drop for Saying {
    fn drop(&mut self) {
        if self.outcome.is_none() {
            self.end(Outcome::Cancelled);
        }
    }
}

fn recite(
    app: &App,
    sentences: Vec<text::Sentence>,
    (voice, speech, pace): (&Voice, &Speech, Pace),
) -> Result<Recital, TtsError> {
    let manner = Manner {
        max_chunk_tokens: Some(speech.chunk_tokens),
        ..Manner::new(pace)
    };
    let mut recital = app.models.speaker.recite();
    for (idx, sentence) in sentences.into_iter().enumerate() {
        let sentence = Sentence {
            text: sentence.spoken,
            language: Some(speech.language.clone()),
            voice: Arc::clone(&voice.conditioning),
            sampling: Sampling {
                // Otherwise every sentence would begin with the same draws.
                seed: speech.sampling.seed.wrapping_add(idx as u64),
                ..speech.sampling
            },
            exaggeration: speech.exaggeration,
            cfg_weight: speech.cfg_weight,
            max_tokens: app.models.max_tokens(),
        };
        let said = recital.say(sentence, manner);
        said.map_err(|it| TtsError::refused("speech model", it))?;
    }
    Ok(recital)
}

fn pause_samples(pause: Pause, settings: &settings::Text) -> usize {
    let pause = match pause {
        Pause::None => Duration::ZERO,
        Pause::Clause => settings.clause_pause,
        Pause::Sentence => settings.sentence_pause,
        Pause::Paragraph => settings.paragraph_pause,
    };
    let n_samples = pause.as_millis() * u128::from(SAMPLE_RATE_HZ) / 1_000;
    usize::try_from(n_samples).unwrap_or(usize::MAX)
}
