//! Models that speak by script: slow, failing or panicking on demand, so that tests need no luck to see it.
//!
//! A sentence is two tokens for each of its characters, and sounds as a hum. Its script may be in its words, which makes it a matter of
//! one request: a sentence that begins with `script fail` fails after ten tokens, `script panic` panics there.
//!
//! Invariants:
//! - The same sentence gets the same sound, whoever else is in the step.
//! - A step takes the script's time, once for all sentences, as a real one does.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use batcher::{Families, Model, Slot, StepModel, Stepped, SteppedOf};
use chassis::home::Home;
use ndarray::Array2;

use super::chatterbox::{Decode, Sentence};
use super::conditioning::{
    Conditioning, FRAMES_PER_TOKEN, MEL_BINS, SAMPLES_PER_TOKEN, SPEAKER_WIDTH,
};
use super::onnx::{self, RunError};
use super::pack::{Pack, PackFiles, Precisions};
use super::{
    DECODER, EXTRACTOR, LANGUAGE_MODEL, Models, ModelsError, Running, decoding, dictionary,
    front_end, load_runtime, marker, preparer, recording, served, speaking, stepping,
};
use crate::settings::Settings;
use crate::speaker::Speaker;

/// What the models do.
#[derive(Clone, Copy, Debug, Default)]
pub struct Script {
    /// Time of each step of the language model.
    pub step_delay: Duration,
    /// Time of each call of the decoder.
    pub decode_delay: Duration,
    /// Time of each call of the encoder of recordings.
    pub extract_delay: Duration,
    /// What is spoken besides English, as codes.
    pub languages: &'static [&'static str],
}

/// Tokens for each character of a sentence.
const TOKENS_PER_CHAR: usize = 2;
/// Where a sentence fails whose script says so.
const FAILS_AT: usize = 10;

/// Starts models that do what `script` says.
///
/// # Errors
/// The built-in model, whose tokenizer and limits are used, is damaged.
pub fn start(
    script: Script,
    settings: &Settings,
    families: &Families,
) -> Result<(Models, Running), ModelsError> {
    let dictionary = dictionary(settings)?;
    let mut pack = Pack::read(&PackFiles::demo(), Precisions::default(), onnx::Device::Cpu)?;
    if !script.languages.is_empty() {
        pack.prompter = pack.prompter.speaking(script.languages);
    }
    let pack = Arc::new(pack);
    let served = served(settings, &pack)?;
    let (language_model, language_workers) = batcher::spawn_steps(
        stepping(settings, &pack),
        families.steps(LANGUAGE_MODEL),
        move || {
            Ok(ScriptedLanguage {
                delay: script.step_delay,
                spoken: BTreeMap::new(),
            })
        },
    );
    let (decoder, decoder_workers) = batcher::spawn(
        decoding(settings, NonZeroUsize::MIN),
        families.model(DECODER),
        move |_| {
            Ok(ScriptedDecoder {
                delay: script.decode_delay,
            })
        },
    );
    let (extractions, extractor_workers) = batcher::spawn(
        recording(EXTRACTOR, NonZeroUsize::MIN),
        families.model(EXTRACTOR),
        move |_| {
            Ok(ScriptedExtractor {
                delay: script.extract_delay,
            })
        },
    );
    let (recordings, preparer_workers) = preparer(settings, families);
    if settings.speech.watermark.is_some() {
        load_runtime(settings, &Home::of_process(settings.home.as_deref())?)?;
    }
    let (watermark, watermark_workers) = marker(settings, families).unzip();
    let models = Models {
        speaker: Speaker::new(language_model, decoder, speaking(settings, &pack)),
        front_end: front_end(settings, &pack, dictionary),
        served: Arc::new(served),
        device: "script".to_owned(),
        pack,
        recordings,
        extractions,
        watermark,
    };
    let mut workers = vec![
        language_workers,
        decoder_workers,
        extractor_workers,
        preparer_workers,
    ];
    workers.extend(watermark_workers);
    Ok((models, Running { workers }))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a model's own thread may take its time; that is what is scripted"
)]
fn take(time: Duration) {
    if !time.is_zero() {
        thread::sleep(time);
    }
}

struct ScriptedLanguage {
    delay: Duration,
    spoken: BTreeMap<Slot, Spoken>,
}

struct Spoken {
    n_tokens: usize,
    n_told: usize,
    order: Order,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Speak,
    Fail,
    Panic,
}

impl StepModel for ScriptedLanguage {
    type Request = Sentence;
    type Chunk = u32;
    type Error = RunError;

    fn admit(&mut self, slot: Slot, request: Sentence) -> Result<(), RunError> {
        let text = request.text.to_lowercase();
        let order = match text.as_str() {
            it if it.starts_with("script fail") => Order::Fail,
            it if it.starts_with("script panic") => Order::Panic,
            _ => Order::Speak,
        };
        let n_tokens = TOKENS_PER_CHAR * text.chars().count();
        let spoken = Spoken {
            n_tokens: n_tokens.min(request.max_tokens),
            n_told: 0,
            order,
        };
        self.spoken.insert(slot, spoken);
        Ok(())
    }

    fn step(&mut self, runnable: &[Slot]) -> Result<Vec<SteppedOf<Self>>, RunError> {
        take(self.delay);
        // First, because a step that does not succeed must leave no trace.
        let panics = |it: &Spoken| it.order == Order::Panic && it.n_told == FAILS_AT;
        let mut spoken = runnable.iter().filter_map(|slot| self.spoken.get(slot));
        assert!(!spoken.any(panics), "the script says so");
        let answers = runnable.iter().map(|slot| {
            let Some(spoken) = self.spoken.get_mut(slot) else {
                return Stepped::Finished;
            };
            if spoken.n_told == FAILS_AT && spoken.order == Order::Fail {
                return Stepped::Failed(RunError::new("the script says so"));
            }
            if spoken.n_told == spoken.n_tokens {
                return Stepped::Finished;
            }
            spoken.n_told += 1;
            // One of the 6561 tokens of speech.
            Stepped::Chunk(u32::try_from(spoken.n_told % 6_000).unwrap_or_default())
        });
        Ok(answers.collect())
    }

    fn evict(&mut self, slot: Slot) {
        self.spoken.remove(&slot);
    }

    /// A script says what is broken; the model is not.
    fn self_test(&mut self) -> Result<(), RunError> {
        Ok(())
    }
}

struct ScriptedDecoder {
    delay: Duration,
}

impl Model for ScriptedDecoder {
    type Input = Decode;
    type Output = Vec<f32>;
    type Error = RunError;
    type Key = ();

    fn key(_input: &Decode) {}

    fn run(&mut self, batch: &[Decode]) -> Result<Vec<Vec<f32>>, RunError> {
        take(self.delay);
        // 200 Hz: a period of 120 samples, so that every window goes on as the one before it.
        let hum = |idx: usize| 0.3 * (idx as f32 * std::f32::consts::TAU / 120.0).sin();
        let sound = |it: &Decode| (0..it.tokens.len() * SAMPLES_PER_TOKEN).map(hum).collect();
        Ok(batch.iter().map(sound).collect())
    }

    fn self_test(&mut self) -> Result<(), RunError> {
        Ok(())
    }
}

struct ScriptedExtractor {
    delay: Duration,
}

impl Model for ScriptedExtractor {
    type Input = Arc<[f32]>;
    type Output = Conditioning;
    type Error = RunError;
    type Key = ();

    fn key(_input: &Arc<[f32]>) {}

    fn run(&mut self, batch: &[Arc<[f32]>]) -> Result<Vec<Conditioning>, RunError> {
        take(self.delay);
        let of = |samples: &Arc<[f32]>| {
            let n_tokens = samples.len() / SAMPLES_PER_TOKEN;
            Conditioning {
                prefix: Array2::zeros((2, 4)),
                prompt_tokens: vec![1; n_tokens],
                speaker: vec![0.0; SPEAKER_WIDTH],
                mel: Array2::zeros((FRAMES_PER_TOKEN * n_tokens, MEL_BINS)),
            }
        };
        Ok(batch.iter().map(of).collect())
    }

    fn self_test(&mut self) -> Result<(), RunError> {
        Ok(())
    }
}
