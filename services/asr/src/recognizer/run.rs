//! One clip's way through the model: its language, then its windows, each at one temperature after the other.
//!
//! Invariants:
//! - At most one job of a clip is with the model at a time.
//! - A window whose attempt was poor goes back with its encoding, where the call could keep it.

use std::sync::Arc;

use batcher::Lane;

use super::{
    ENGLISH, LanguageScore, Options, RecognizeError, Recognizer,
    sequence::{Sequence, Taken},
};
use crate::models::whisper::{
    fallback::{Metrics, Thresholds, Verdict},
    item::{Attempt, Decoding, Heard, Placement, WindowFrames, Work, Written},
    prompt::{Language, MAX_POSITIONS, Prompt, max_length_for},
    timestamps::{self, FRAMES_PER_S},
    words::Alignment,
};

/// Tokens a draft may have for each second of its window: fast speech has about six.
const DRAFT_TOKENS_PER_S: usize = 12;
/// Tokens a draft may have besides.
const DRAFT_TOKENS: usize = 16;
/// Forced prefixes are counted in steps of this many tokens, so that drafts with different ones share calls.
const PREFIX_STEP: usize = 32;

/// One clip's way through the model.
pub(super) struct Run<'a> {
    pub(super) recognizer: &'a Recognizer,
    pub(super) options: &'a Options,
    pub(super) lane: Lane,
    pub(super) temperatures: &'a [f32],
    pub(super) suppress_tokens: Arc<[i32]>,
    /// Known from the start, or since the first window.
    pub(super) language: Language,
    /// How sure we are of it, if it was detected.
    pub(super) score: Option<LanguageScore>,
    pub(super) n_fallback_windows: usize,
}

impl Run<'_> {
    /// Listens to several windows until one is sure of its language, else takes the one most windows found.
    pub(super) async fn settle_language(
        &mut self,
        sequence: &Sequence<'_>,
    ) -> Result<(), RecognizeError> {
        let mut votes: Vec<(u32, usize, f32)> = Vec::new();
        for window_idx in 0..self.options.language_detection_segments {
            let Some(window) = sequence.language_window(window_idx) else {
                break;
            };
            let heard = self
                .recognizer
                .ask(window, Work::Languages, self.options, self.lane)
                .await?;
            let (token, probability) = *heard.languages.first().ok_or(RecognizeError::Mismatch)?;
            if self.options.language_detection_threshold < probability {
                votes = vec![(token, 1, probability)];
                break;
            }
            match votes.iter_mut().find(|it| it.0 == token) {
                Some(vote) => *vote = (token, vote.1 + 1, vote.2.max(probability)),
                None => votes.push((token, 1, probability)),
            }
        }
        // The first of equals, as the reference has it.
        let most = votes.iter().map(|it| it.1).max();
        if let Some((token, _, probability)) = votes.into_iter().find(|it| Some(it.1) == most) {
            self.language = Language::Token(token);
            self.score = self.recognizer.scored((token, probability));
        }
        Ok(())
    }

    pub(super) fn window_language(&self) -> Language {
        if self.options.multilingual && self.language != Language::Only {
            return Language::Detect;
        }
        self.language
    }

    /// Decodes a window at one temperature after the other. `None` if there was nothing to hear.
    pub(super) async fn decode(
        &mut self,
        window: &WindowFrames,
        prompt: Prompt,
    ) -> Result<Option<Taken>, RecognizeError> {
        let mut poor: Vec<Written> = Vec::new();
        let mut prompt = prompt;
        let mut window = window.clone();
        let mut temperature = 0.0;
        for (attempt_idx, it) in self.temperatures.iter().enumerate() {
            temperature = *it;
            self.n_fallback_windows += usize::from(attempt_idx == 1);
            let work = Work::Attempt(self.attempt(&prompt, temperature, &window));
            let heard = self
                .recognizer
                .ask(window.clone(), work, self.options, self.lane)
                .await?;
            self.note_language(&heard, &mut prompt);
            window.encoded = heard.encoded;
            let written = heard.written.ok_or(RecognizeError::Mismatch)?;
            match written.verdict {
                Verdict::Silence => return Ok(None),
                Verdict::Accepted => {
                    return Ok(Some(self.taken(
                        written,
                        temperature,
                        heard.alignment,
                        &prompt,
                    )));
                }
                Verdict::Poor => poor.push(written),
            }
        }
        let thresholds = self.thresholds();
        let metrics: Vec<Metrics> = poor.iter().map(|it| it.metrics).collect();
        let best = thresholds
            .least_poor(metrics.iter())
            .ok_or(RecognizeError::Mismatch)?;
        let written = poor.swap_remove(best);
        if thresholds.is_silence(&written.metrics) {
            return Ok(None);
        }
        let alignment = self.place(&window, &written, &prompt).await?;
        Ok(Some(self.taken(written, temperature, alignment, &prompt)))
    }

    /// Words of an attempt that was only taken for want of a better one, and so was not aligned when it was written.
    async fn place(
        &self,
        window: &WindowFrames,
        written: &Written,
        prompt: &Prompt,
    ) -> Result<Option<Alignment>, RecognizeError> {
        if !self.wants_words() {
            return Ok(None);
        }
        let placement = Placement {
            language: match prompt.language {
                Language::Token(token) => Some(token),
                Language::Only | Language::Detect => None,
            },
            task: self.options.task,
            text: window.text_tokens(&self.recognizer.card.tokenizer, &written.tokens),
        };
        let work = Work::Placement(placement);
        let heard = self
            .recognizer
            .ask(window.clone(), work, self.options, self.lane)
            .await?;
        Ok(heard.alignment)
    }

    fn attempt(&self, prompt: &Prompt, temperature: f32, window: &WindowFrames) -> Attempt {
        let options = self.options;
        let is_sampled = 0.0 < temperature;
        Attempt {
            prompt: prompt.clone(),
            decoding: Decoding {
                // What one kind of decoding does not use must not keep its jobs from sharing calls.
                beam_size: if is_sampled || options.draft {
                    1
                } else {
                    options.beam_size
                },
                n_hypotheses: if is_sampled { options.best_of } else { 1 },
                patience: if is_sampled || options.draft {
                    1.0
                } else {
                    options.patience
                },
                length_penalty: options.length_penalty,
                repetition_penalty: options.repetition_penalty,
                no_repeat_ngram_size: options.no_repeat_ngram_size,
                temperature,
                max_length: self.max_length(prompt, window),
                max_initial_timestamp_idx: timestamps::s_to_frames(
                    options.max_initial_timestamp / timestamps::TIMESTAMP_S / FRAMES_PER_S,
                ),
                suppress_blank: options.suppress_blank,
                suppress_tokens: Arc::clone(&self.suppress_tokens),
            },
            thresholds: self.thresholds(),
            words: self.wants_words(),
        }
    }

    fn max_length(&self, prompt: &Prompt, window: &WindowFrames) -> usize {
        if self.options.draft {
            let n_forced = prompt.n_forced().next_multiple_of(PREFIX_STEP);
            let n_steps = window.width * DRAFT_TOKENS_PER_S / 100 + DRAFT_TOKENS + n_forced;
            return max_length_for(n_steps, prompt);
        }
        match self.options.max_new_tokens {
            Some(max) => (prompt.tokens.len() + max).min(MAX_POSITIONS),
            None => MAX_POSITIONS,
        }
    }

    fn thresholds(&self) -> Thresholds {
        Thresholds {
            compression_ratio: self.options.compression_ratio_threshold,
            log_prob: self.options.log_prob_threshold,
            no_speech: self.options.no_speech_threshold,
        }
    }

    fn wants_words(&self) -> bool {
        self.options.word_timestamps && !self.options.draft
    }

    fn note_language(&mut self, heard: &Heard, prompt: &mut Prompt) {
        let Some(best) = heard.languages.first().copied() else {
            return;
        };
        prompt.settle_language(best.0);
        if self.language == Language::Detect {
            self.language = Language::Token(best.0);
            self.score = self.recognizer.scored(best);
        }
    }

    fn taken(
        &self,
        written: Written,
        temperature: f32,
        alignment: Option<Alignment>,
        prompt: &Prompt,
    ) -> Taken {
        let language = match prompt.language {
            Language::Token(token) => self.recognizer.card.tokenizer.language_code(token),
            Language::Only | Language::Detect => None,
        };
        Taken {
            tokens: written.tokens,
            metrics: written.metrics,
            temperature,
            alignment,
            language: language.unwrap_or(ENGLISH.code),
        }
    }

    pub(super) fn score(&self) -> LanguageScore {
        if let Some(score) = &self.score {
            return score.clone();
        }
        match self.language {
            Language::Only => ENGLISH,
            Language::Token(token) => self.recognizer.scored((token, 1.0)).unwrap_or(ENGLISH),
            // There was no window to hear it in.
            Language::Detect => LanguageScore {
                probability: 0.0,
                ..ENGLISH
            },
        }
    }
}
