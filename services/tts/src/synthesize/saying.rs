//! One text being spoken: its sentences in order, the silences between them, and what becomes of it.
//!
//! Invariants:
//! - Every one that was begun is counted once: complete, failed, or cancelled if it is dropped before.
//! - What is kept to be given as a whole is no longer than `speech.max_seconds`, at the speed at which it is given.

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
    pace: Pace,
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
        let pause = |it: &text::Sentence| {
            let pause = pause_of(it.pause_before, &app.settings.text);
            silence(pause, speech.speed)
        };
        let pauses = sentences.iter().map(pause).collect();
        let mut script = Script::new(app, voice, speech.clone(), pace);
        let mut narration = Narration::new(app);
        for sentence in sentences {
            let said = narration.say(script.line(&sentence.spoken));
            said.map_err(|it| TtsError::refused("speech model", it))?;
        }
        Ok(Saying {
            app: Arc::clone(app),
            speech,
            pace,
            script,
            narration,
            pauses,
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
        self.check_whole()?;
        Ok(Some(samples))
    }

    /// The script counts what the models make; slowed down, an answer is up to four times as long.
    fn check_whole(&self) -> Result<(), TtsError> {
        let limit_s = self.app.settings.speech.max_seconds.get();
        let seconds = self.script.n_samples() as f64 / f64::from(SAMPLE_RATE_HZ);
        let given_s = seconds / f64::from(self.speech.speed);
        match self.pace {
            Pace::Fast if f64::from(limit_s) < given_s => Err(TtsError::TooLong { limit_s }),
            Pace::Fast | Pace::RealTime => Ok(()),
        }
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

fn pause_of(pause: Pause, settings: &settings::Text) -> Duration {
    match pause {
        Pause::None => Duration::ZERO,
        Pause::Clause => settings.clause_pause,
        Pause::Sentence => settings.sentence_pause,
        Pause::Paragraph => settings.paragraph_pause,
    }
}

/// A pause is as long for whoever wants fast speech as for whoever wants it slow: rendering changes its length with the speech.
fn silence(pause: Duration, speed: f32) -> usize {
    let n_samples = pause.as_millis() * u128::from(SAMPLE_RATE_HZ) / 1_000;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float cast saturates, and a pause is seconds"
    )]
    let n_scaled = (n_samples as f64 * f64::from(speed)).round() as usize;
    n_scaled
}
