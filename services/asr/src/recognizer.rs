//! A clip in, its transcript out: the sequential algorithm over a model that other clips share.
//!
//! ```text
//! transcribe ─► features ─► [window ─► attempt ─► good? ─► segments, next window] ─► transcript
//!                 (own        ▲          │ queue     │ no: the next temperature, as a job of its own
//!                 thread)     └──────────┴───────────┘
//! ```
//!
//! Each window is one job, so windows of many clips share calls, and only a window that failed is decoded again.
//! A clip's own windows go one after the other, because each is conditioned on the text before it.
//!
//! Invariants:
//! - Dropping the future abandons the job that waits; one that runs finishes unheard.
//! - At most one job of a clip is with the model at a time.

pub mod options;
mod sequence;

use std::{cell::RefCell, collections::BTreeSet, sync::Arc};

use audio::mel::{Features, LogMel, Scratch};
use batcher::{Batcher, CallError, Job, Lane, SubmitError, Workers};

pub use self::options::{Options, Task, Window};
use self::sequence::{Sequence, Taken};
use crate::{
    models::whisper::{
        WhisperModel,
        engine::Settings,
        fallback::{Metrics, Thresholds, Verdict},
        item::{
            Attempt, Decoding, Heard, Input, ModelError, Placement, WindowFrames, Work, Written,
        },
        languages,
        load::{LoadError, ModelCard, ModelFiles},
        prompt::{Language, MAX_POSITIONS, Prompt, max_length_for},
        timestamps::{self, FRAMES_PER_S},
        words::Alignment,
    },
    transcript::Transcript,
};

/// Samples of a second.
const RATE_HZ: f64 = 16_000.0;
/// Tokens a draft may have for each second of its window: fast speech has about six.
const DRAFT_TOKENS_PER_S: usize = 12;
/// Tokens a draft may have besides.
const DRAFT_TOKENS: usize = 16;
/// Forced prefixes are counted in steps of this many tokens, so that drafts with different ones share calls.
const PREFIX_STEP: usize = 32;

/// Why a clip was not transcribed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RecognizeError {
    #[error("the model `{model}` does not write the language `{given}`; it writes {known}")]
    Language {
        model: String,
        given: String,
        known: String,
    },
    #[error("`{option}` {expected}. Given: {given}")]
    Option {
        option: &'static str,
        expected: &'static str,
        given: String,
    },
    #[error("the recogniser is busy: {0}")]
    Refused(#[from] SubmitError),
    #[error("the recogniser failed: {0}")]
    Failed(#[from] CallError<ModelError>),
    #[error("the features of the clip could not be computed")]
    Features,
    #[error("the recogniser answered something else than was asked")]
    Mismatch,
}

/// A language and how likely it is.
#[derive(Clone, Debug, PartialEq)]
pub struct LanguageScore {
    pub code: &'static str,
    pub probability: f32,
}

/// A loaded model that transcribes clips. Clones share it.
#[derive(Clone, Debug)]
pub struct Recognizer {
    whisper: Batcher<Input, Heard, ModelError>,
    card: Arc<ModelCard>,
    log_mel: Arc<LogMel>,
}

impl Recognizer {
    /// Starts the threads that own the model. Clips may be given at once; they wait until it is loaded.
    ///
    /// # Errors
    /// If anything but the weights is missing or wrong. The rest is told by [`Workers::ready`].
    pub fn start(
        files: ModelFiles,
        settings: Settings,
        batching: batcher::Settings,
        metrics: batcher::Metrics,
    ) -> Result<(Recognizer, Workers), LoadError> {
        let card = Arc::new(ModelCard::read(&files)?);
        let own_card = Arc::clone(&card);
        let (whisper, workers) = batcher::spawn(batching, metrics, move |_worker| {
            Ok(WhisperModel::load(
                &files,
                Arc::clone(&own_card),
                &settings,
            )?)
        });
        Ok((Recognizer::new(whisper, card), workers))
    }

    /// Over a model that runs already.
    pub fn new(whisper: Batcher<Input, Heard, ModelError>, card: Arc<ModelCard>) -> Recognizer {
        Recognizer {
            whisper,
            log_mel: Arc::new(LogMel::new(card.n_mels)),
            card,
        }
    }

    /// What the model is and can do.
    pub fn card(&self) -> &ModelCard {
        &self.card
    }

    /// How busy the model is.
    pub fn load(&self) -> batcher::Load {
        self.whisper.load()
    }

    /// Transcribes one clip: mono, 16 kHz.
    ///
    /// # Errors
    /// If an option is out of range, the queue is full, or the model fails.
    pub async fn transcribe(
        &self,
        clip: Arc<[f32]>,
        options: &Options,
        lane: Lane,
    ) -> Result<Transcript, RecognizeError> {
        check(options)?;
        let asked = self.asked_language(options)?;
        #[expect(
            clippy::cast_precision_loss,
            reason = "a sample count is far below 2^52"
        )]
        let duration_s = clip.len() as f64 / RATE_HZ;
        let features = self.features(clip).await?;
        let mut run = Run {
            recognizer: self,
            options,
            lane,
            temperatures: if options.draft {
                &[0.0]
            } else {
                &options.temperatures
            },
            suppress_tokens: self.suppressed(options),
            language: asked,
            score: None,
            n_fallback_windows: 0,
        };
        let mut sequence = Sequence::new(options, &self.card, features);
        if asked == Language::Detect && !sequence.first_window_tells_language() {
            run.settle_language(&sequence).await?;
        }
        while let Some(window) = sequence.window() {
            let prompt = sequence.prompt(run.window_language());
            match run.decode(&window, prompt).await? {
                Some(taken) => sequence.take(&window, &taken),
                None => sequence.skip(&window),
            }
        }
        let (segments, n_silent_windows) = sequence.finish(duration_s);
        let score = run.score();
        Ok(Transcript {
            segments,
            language: score.code.to_owned(),
            language_probability: score.probability,
            duration_s,
            n_fallback_windows: run.n_fallback_windows,
            n_silent_windows,
        })
    }

    /// The languages of a clip's first window, the likeliest first. Only English for a model that knows no other.
    ///
    /// # Errors
    /// If the queue is full or the model fails.
    pub async fn detect_language(
        &self,
        clip: Arc<[f32]>,
        options: &Options,
        lane: Lane,
    ) -> Result<Vec<LanguageScore>, RecognizeError> {
        if !self.card.tokenizer.is_multilingual() {
            return Ok(vec![ENGLISH]);
        }
        let features = self.features(clip).await?;
        let sequence = Sequence::new(options, &self.card, features);
        let Some(window) = sequence.language_window(0) else {
            return Ok(Vec::new());
        };
        let heard = self.ask(window, Work::Languages, options, lane).await?;
        Ok(heard
            .languages
            .iter()
            .filter_map(|it| self.scored(*it))
            .collect())
    }

    async fn ask(
        &self,
        window: WindowFrames,
        work: Work,
        options: &Options,
        lane: Lane,
    ) -> Result<Heard, RecognizeError> {
        let job = Job {
            input: Input { window, work },
            lane,
            deadline: options.deadline,
            replaces: options.replaces,
        };
        Ok(self.whisper.submit(job)?.await?)
    }

    /// Off the caller's thread: a minute of audio takes longer than a socket's thread may be held.
    async fn features(&self, clip: Arc<[f32]>) -> Result<Arc<Features>, RecognizeError> {
        thread_local! {
            static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::default());
        }
        let log_mel = Arc::clone(&self.log_mel);
        let computed = tokio::task::spawn_blocking(move || {
            let mut features = Features::default();
            SCRATCH.with_borrow_mut(|scratch| log_mel.whisper(&clip, scratch, &mut features));
            Arc::new(features)
        });
        computed.await.map_err(|_panicked| RecognizeError::Features)
    }

    fn asked_language(&self, options: &Options) -> Result<Language, RecognizeError> {
        let tokenizer = &self.card.tokenizer;
        let Some(given) = &options.language else {
            return Ok(if tokenizer.is_multilingual() {
                Language::Detect
            } else {
                Language::Only
            });
        };
        let code = languages::code(given);
        let found = match code {
            Some("en") if !tokenizer.is_multilingual() => Some(Language::Only),
            Some(code) if tokenizer.is_multilingual() => {
                tokenizer.language_token(code).map(Language::Token)
            }
            _ => None,
        };
        found.ok_or_else(|| RecognizeError::Language {
            model: self.card.name.clone(),
            given: given.clone(),
            known: self.card.languages().join(", "),
        })
    }

    fn suppressed(&self, options: &Options) -> Arc<[i32]> {
        if options.suppress_tokens.is_empty() {
            return Arc::new([]);
        }
        let special = self.card.tokenizer.special();
        let mut tokens: BTreeSet<i32> = options
            .suppress_tokens
            .iter()
            .copied()
            .filter(|it| 0 <= *it)
            .collect();
        let id = |it: &u32| i32::try_from(*it).ok();
        if options.suppress_tokens.contains(&-1) {
            tokens.extend(
                self.card
                    .tokenizer
                    .non_speech_tokens()
                    .iter()
                    .filter_map(id),
            );
        }
        // Whatever else is asked for: these steer the decoder and are never text.
        let steering = [
            special.transcribe,
            special.translate,
            special.sot,
            special.sot_prev,
            special.sot_lm,
            special.no_speech,
        ];
        tokens.extend(steering.iter().filter_map(id));
        tokens.into_iter().collect()
    }

    fn scored(&self, (token, probability): (u32, f32)) -> Option<LanguageScore> {
        let code = self.card.tokenizer.language_code(token)?;
        Some(LanguageScore { code, probability })
    }
}

const ENGLISH: LanguageScore = LanguageScore {
    code: "en",
    probability: 1.0,
};

/// One clip's way through the model.
struct Run<'a> {
    recognizer: &'a Recognizer,
    options: &'a Options,
    lane: Lane,
    temperatures: &'a [f32],
    suppress_tokens: Arc<[i32]>,
    /// Known from the start, or since the first window.
    language: Language,
    /// How sure we are of it, if it was detected.
    score: Option<LanguageScore>,
    n_fallback_windows: usize,
}

impl Run<'_> {
    /// Listens to several windows until one is sure of its language, else takes the one most windows found.
    async fn settle_language(&mut self, sequence: &Sequence<'_>) -> Result<(), RecognizeError> {
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

    fn window_language(&self) -> Language {
        if self.options.multilingual && self.language != Language::Only {
            return Language::Detect;
        }
        self.language
    }

    /// Decodes a window at one temperature after the other. `None` if there was nothing to hear.
    async fn decode(
        &mut self,
        window: &WindowFrames,
        prompt: Prompt,
    ) -> Result<Option<Taken>, RecognizeError> {
        let mut poor: Vec<Written> = Vec::new();
        let mut prompt = prompt;
        let mut temperature = 0.0;
        for (attempt_idx, it) in self.temperatures.iter().enumerate() {
            temperature = *it;
            self.n_fallback_windows += usize::from(attempt_idx == 1);
            let work = Work::Attempt(self.attempt(&prompt, temperature, window));
            let heard = self
                .recognizer
                .ask(window.clone(), work, self.options, self.lane)
                .await?;
            self.note_language(&heard, &mut prompt);
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
        let alignment = self.place(window, &written, &prompt).await?;
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

    fn score(&self) -> LanguageScore {
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

fn check(options: &Options) -> Result<(), RecognizeError> {
    let positive = [
        ("beam_size", options.beam_size),
        ("best_of", options.best_of),
        (
            "language_detection_segments",
            options.language_detection_segments,
        ),
        ("max_new_tokens", options.max_new_tokens.unwrap_or(1)),
    ];
    for (option, given) in positive {
        if given == 0 {
            return Err(RecognizeError::Option {
                option,
                expected: "must be at least 1",
                given: given.to_string(),
            });
        }
    }
    let is_known = options
        .temperatures
        .iter()
        .all(|it| (0.0..=2.0).contains(it));
    if options.temperatures.is_empty() || !is_known {
        return Err(RecognizeError::Option {
            option: "temperatures",
            expected: "must name at least one temperature from 0 to 2",
            given: format!("{:?}", options.temperatures),
        });
    }
    if !(0.0..=30.0).contains(&options.max_initial_timestamp) {
        return Err(RecognizeError::Option {
            option: "max_initial_timestamp",
            expected: "must be from 0 to 30 seconds",
            given: options.max_initial_timestamp.to_string(),
        });
    }
    Ok(())
}
