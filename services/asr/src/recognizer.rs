//! A clip in, its transcript out: the sequential algorithm over a model that other clips share.
//!
//! ```text
//! prepare ─► features ─► [window ─► attempt ─► good? ─► segments, next window] ─► transcript
//!              (own        ▲          │ queue     │ no: the next temperature, as a job of its own
//!              thread)     └──────────┴───────────┘
//! ```
//!
//! Each window is one job, so windows of many clips share calls, and only a window that failed is decoded again.
//! A clip's own windows go one after the other, because each is conditioned on the text before it.
//!
//! Invariants:
//! - Dropping the future abandons the job that waits; one that runs finishes unheard.

pub mod options;
mod run;
mod sequence;

use std::{cell::RefCell, collections::BTreeSet, sync::Arc};

use audio::mel::{Features, LogMel, Scratch};
use batcher::{Batcher, CallError, Job, Lane, SubmitError, Workers};

pub use self::options::{Options, Task, Window};
use self::{run::Run, sequence::Sequence};
use crate::{
    models::whisper::{
        WhisperModel,
        engine::Settings,
        item::{Heard, Input, ModelError, WindowFrames, Work},
        languages,
        load::{LoadError, ModelCard, ModelFiles},
        prompt::Language,
    },
    transcript::Transcript,
};

/// Samples of a second.
const RATE_HZ: f64 = 16_000.0;

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

/// A clip made ready for the model: what is done before there is a place in its queue.
#[derive(Clone, Debug)]
pub struct Prepared {
    features: Arc<Features>,
    duration_s: f64,
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

    /// Makes one clip ready: mono, 16 kHz.
    ///
    /// Off the caller's thread: a minute of audio takes longer than a socket's thread may be held.
    ///
    /// # Errors
    /// If the computation panicked.
    pub async fn prepare(&self, clip: Arc<[f32]>) -> Result<Prepared, RecognizeError> {
        thread_local! {
            static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::default());
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "a sample count is far below 2^52"
        )]
        let duration_s = clip.len() as f64 / RATE_HZ;
        let log_mel = Arc::clone(&self.log_mel);
        let computed = tokio::task::spawn_blocking(move || {
            let mut features = Features::default();
            SCRATCH.with_borrow_mut(|scratch| log_mel.whisper(&clip, scratch, &mut features));
            Arc::new(features)
        });
        let features = computed
            .await
            .map_err(|_panicked| RecognizeError::Features)?;
        Ok(Prepared {
            features,
            duration_s,
        })
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
        self.asked_language(options)?;
        let prepared = self.prepare(clip).await?;
        self.transcribe_prepared(&prepared, options, lane).await
    }

    /// Transcribes a clip that was made ready before. It may be asked for again, when the queue was full.
    ///
    /// # Errors
    /// As for [`transcribe`](Recognizer::transcribe).
    pub async fn transcribe_prepared(
        &self,
        clip: &Prepared,
        options: &Options,
        lane: Lane,
    ) -> Result<Transcript, RecognizeError> {
        check(options)?;
        let asked = self.asked_language(options)?;
        let mut run = self.run(options, lane, asked);
        let mut sequence = Sequence::new(options, &self.card, Arc::clone(&clip.features));
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
        let (segments, n_silent_windows) = sequence.finish(clip.duration_s);
        let score = run.score();
        Ok(Transcript {
            segments,
            language: score.code.to_owned(),
            language_probability: score.probability,
            duration_s: clip.duration_s,
            n_fallback_windows: run.n_fallback_windows,
            n_silent_windows,
        })
    }

    /// The language of a clip, as [`transcribe_prepared`](Recognizer::transcribe_prepared) finds it before it begins. `None` if it was given or
    /// is the model's only one.
    ///
    /// # Errors
    /// As there.
    pub async fn settle_language(
        &self,
        clip: &Prepared,
        options: &Options,
        lane: Lane,
    ) -> Result<Option<LanguageScore>, RecognizeError> {
        check(options)?;
        let asked = self.asked_language(options)?;
        if asked != Language::Detect {
            return Ok(None);
        }
        let features = Arc::clone(&clip.features);
        let mut run = self.run(options, lane, asked);
        run.settle_language(&Sequence::new(options, &self.card, features))
            .await?;
        Ok(run.score)
    }

    fn run<'a>(&'a self, options: &'a Options, lane: Lane, asked: Language) -> Run<'a> {
        Run {
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
        }
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
        let features = self.prepare(clip).await?.features;
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
            due: None,
            replaces: options.replaces,
        };
        Ok(self.whisper.submit(job)?.await?)
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
