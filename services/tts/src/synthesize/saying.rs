//! One text being spoken: its sentences in order, the silences between them, and what becomes of it.
//!
//! Invariants:
//! - Every one that was begun is counted once: complete, failed, or cancelled if it is dropped before.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::app::App;
use crate::error::TtsError;
use crate::metrics::{Edge, Outcome};
use crate::models::conditioning::SAMPLE_RATE_HZ;
use crate::narration::{Narration, Script};
use crate::options::Speech;
use crate::settings;
use crate::speaker::Pace;
use crate::text::{self, Pause};
use crate::voices::Voice;

/// A text that is being spoken. Dropping it abandons what is not spoken yet.
pub(super) struct Saying {
    app: Arc<App>,
    pub(super) speech: Speech,
    script: Script,
    narration: Narration,
    /// Samples of silence before each sentence.
    pauses: Vec<usize>,
    /// Sentences that have begun to be heard.
    n_heard: usize,
    /// Tokens of the sentences that have ended, and of the one that is heard.
    n_tokens: (usize, usize),
    began: Instant,
    outcome: Option<Outcome>,
}

impl Saying {
    /// Gives a text to the models.
    pub(super) fn begin(
        app: &Arc<App>,
        sentences: &[text::Sentence],
        (voice, speech, pace): (Arc<Voice>, Speech, Pace),
    ) -> Result<Saying, TtsError> {
        let pause = |it: &text::Sentence| pause_samples(it.pause_before, &app.settings.text);
        let mut script = Script::new(app, voice, speech.clone(), pace);
        let mut narration = Narration::new(app);
        for sentence in sentences {
            let said = narration.say(script.line(&sentence.spoken));
            said.map_err(|it| TtsError::refused("speech model", it))?;
        }
        Ok(Saying {
            app: Arc::clone(app),
            speech,
            script,
            narration,
            pauses: sentences.iter().map(pause).collect(),
            n_heard: 0,
            n_tokens: (0, 0),
            began: Instant::now(),
            outcome: None,
        })
    }

    /// The next samples, at the models' rate; `None` after the last. May not be asked again after that.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<f32>>, TtsError> {
        let next = self.hear().await;
        match &next {
            Ok(Some(_)) => {}
            Ok(None) => self.end(Outcome::Complete),
            Err(_) => self.end(Outcome::Failed),
        }
        next
    }

    async fn hear(&mut self) -> Result<Option<Vec<f32>>, TtsError> {
        let (sentence_idx, chunk) = loop {
            let Some(spoken) = self.narration.next().await else {
                return Ok(None);
            };
            let chunk = spoken.chunk?;
            // A chunk may only say that a sentence has ended.
            if !chunk.samples.is_empty() {
                break (spoken.sentence_idx, chunk);
            }
        };
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
        if self.script.n_samples() == 0 {
            let took = self.began.elapsed();
            self.app.metrics.first_chunk(Edge::Rest, took);
        }
        self.script.count(samples.len())?;
        Ok(Some(samples))
    }

    /// Speech tokens so far.
    pub(super) fn n_tokens(&self) -> usize {
        self.n_tokens.0 + self.n_tokens.1
    }

    fn end(&mut self, outcome: Outcome) {
        if self.outcome.replace(outcome).is_some() {
            return;
        }
        let seconds = self.script.n_samples() as f64 / f64::from(SAMPLE_RATE_HZ);
        let audio = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        let took = self.began.elapsed();
        self.app.metrics.ended(Edge::Rest, outcome, audio, took);
    }
}

impl Drop for Saying {
    fn drop(&mut self) {
        if self.outcome.is_none() {
            self.end(Outcome::Cancelled);
        }
    }
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
