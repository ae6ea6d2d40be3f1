//! Models that answer by script: slow, failing or panicking on demand, so that tests need no luck to see it.
//!
//! The recogniser hears one word for each quarter of a second, so that longer audio has longer text that begins alike. Its
//! script may be in the prompt, which makes it a matter of one session: `script fail`, `script panic`, `script wait 500`
//! (milliseconds). The detector hears speech where a frame is loud, and the judge says what the script says.
//!
//! Invariants:
//! - The same input gets the same answer, whoever else is in the call.
//! - A call takes at least the script's delay, once for the whole batch, as a real one does.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use batcher::{Families, Model};

use super::onnx::RunError;
use super::whisper::demo;
use super::whisper::fallback::{Metrics, Verdict};
use super::whisper::item::{Attempt, Heard, Input, Key, ModelError, Work, Written};
use super::whisper::load::ModelCard;
use super::{Models, ModelsError, Running, Served, silero, silero_file};
use crate::recognizer::{Recognizer, Window};
use crate::settings::Settings;

/// What the models do.
#[derive(Clone, Copy, Debug)]
pub struct Script {
    /// Time of each call of the recogniser.
    pub recognizer_delay: Duration,
    /// Time of each call of the detector.
    pub detector_delay: Duration,
    /// The verdict on every turn.
    pub turn_probability: f32,
    /// Time of each call of the judge.
    pub turn_delay: Duration,
}

impl Default for Script {
    fn default() -> Script {
        Script {
            recognizer_delay: Duration::ZERO,
            detector_delay: Duration::ZERO,
            turn_probability: 0.9,
            turn_delay: Duration::ZERO,
        }
    }
}

/// What is heard, word by word; after the last it goes on with the first.
const WORDS: [&str; 12] = [
    " one", " two", " three", " four", " five", " six", " seven", " eight", " nine", " ten",
    " eleven", " twelve",
];
/// Frames of 10 ms for each word.
const FRAMES_PER_WORD: usize = 25;
/// A frame with a sample beyond this is speech.
const LOUD: f32 = 0.05;

/// Starts models that do what `script` says.
///
/// # Errors
/// The built-in model, whose tokenizer is used, is damaged.
pub fn start(
    script: Script,
    settings: &Settings,
    families: &Families,
) -> Result<(Models, Running), ModelsError> {
    let card = Arc::new(ModelCard::read(&demo::files())?);
    let served = Served {
        name: "demo".to_owned(),
        aliases: settings.model.aliases.clone(),
        languages: card.languages(),
        multilingual: false,
        translates: false,
        window: Window::OwnLength,
        device: "script".to_owned(),
    };
    let own_card = Arc::clone(&card);
    let batching = super::whisper_batching(settings, settings.model.workers.max(1));
    let (whisper, whisper_workers) =
        batcher::spawn(batching, families.model(super::RECOGNIZER), move |_| {
            Ok(ScriptedWhisper {
                script,
                card: Arc::clone(&own_card),
            })
        });
    let (detector, detector_workers) = batcher::spawn(
        super::detector_batching(settings),
        families.model(super::DETECTOR),
        move |_| {
            Ok(ScriptedDetector {
                delay: script.detector_delay,
            })
        },
    );
    let (file_detector, file_detector_workers) = batcher::spawn(
        super::file_detector_batching(settings),
        families.model(super::FILE_DETECTOR),
        move |_| {
            Ok(ScriptedFileDetector {
                delay: script.detector_delay,
            })
        },
    );
    let (judge, judge_workers) = batcher::spawn(
        super::judge_batching(settings),
        families.model(super::JUDGE),
        move |_| {
            Ok(ScriptedJudge {
                probability: script.turn_probability,
                delay: script.turn_delay,
            })
        },
    );
    let (uploads, upload_workers) = super::uploads(settings, families);
    let recognizer = Recognizer::new(whisper, card);
    let models = Models {
        recognizer,
        served: Arc::new(served),
        detector,
        file_detector,
        judge,
        uploads,
    };
    Ok((
        models,
        Running {
            workers: vec![
                whisper_workers,
                detector_workers,
                file_detector_workers,
                judge_workers,
                upload_workers,
            ],
        },
    ))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a model's own thread may take its time; that is what is scripted"
)]
fn take(time: Duration) {
    thread::sleep(time);
}

struct ScriptedWhisper {
    script: Script,
    card: Arc<ModelCard>,
}

impl ScriptedWhisper {
    fn answer(&self, input: &Input) -> Result<Heard, ModelError> {
        let Work::Attempt(attempt) = &input.work else {
            return Ok(Heard::default());
        };
        let orders = self.orders(attempt);
        if let Some(wait) = orders.iter().position(|it| it == "wait") {
            let millis = orders
                .get(wait + 1)
                .and_then(|it| it.parse().ok())
                .unwrap_or(0);
            take(Duration::from_millis(millis));
        }
        assert!(!orders.iter().any(|it| it == "panic"), "the script says so");
        if orders.iter().any(|it| it == "fail") {
            return Err(ModelError::Engine {
                cause: "the script says so".into(),
            });
        }
        let n_frames = input.window.n_frames;
        let text: String = WORDS
            .iter()
            .cycle()
            .take(n_frames / FRAMES_PER_WORD)
            .copied()
            .collect();
        Ok(Heard {
            written: Some(self.written(attempt, &text)),
            ..Heard::default()
        })
    }

    /// The words of the prompt, if they are a script.
    fn orders(&self, attempt: &Attempt) -> Vec<String> {
        let prompt = attempt
            .prompt
            .tokens
            .get(1..attempt.prompt.sot_idx)
            .unwrap_or_default();
        let text = self.card.tokenizer.decode(prompt);
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        if words.first().is_some_and(|it| it == "script") {
            words
        } else {
            Vec::new()
        }
    }

    fn written(&self, attempt: &Attempt, text: &str) -> Written {
        let n_tokens = attempt.prompt.tokens.len();
        let forced = attempt
            .prompt
            .tokens
            .get(n_tokens - attempt.prompt.n_forced()..)
            .unwrap_or_default();
        let prefix = self.card.tokenizer.decode(forced);
        // What was promised to the client stands; the rest of what is heard follows.
        let rest = text.get(prefix.len()..).unwrap_or_default();
        let mut tokens = forced.to_vec();
        tokens.extend(self.card.tokenizer.encode(rest));
        Written {
            tokens,
            metrics: Metrics {
                avg_logprob: -0.2,
                compression_ratio: 1.0,
                no_speech_prob: 0.01,
            },
            verdict: Verdict::Accepted,
        }
    }
}

impl Model for ScriptedWhisper {
    type Input = Input;
    type Output = Heard;
    type Error = ModelError;
    type Key = Key;

    fn key(input: &Input) -> Key {
        input.key()
    }

    fn run(&mut self, batch: &[Input]) -> Result<Vec<Heard>, ModelError> {
        take(self.script.recognizer_delay);
        batch.iter().map(|it| self.answer(it)).collect()
    }

    fn self_test(&mut self) -> Result<(), ModelError> {
        Ok(())
    }
}

/// Speech is what is loud.
fn heard(frames: &[f32]) -> Vec<f32> {
    let loud = |frame: &[f32]| {
        if frame.iter().any(|it| LOUD < it.abs()) {
            0.95
        } else {
            0.02
        }
    };
    frames.chunks(silero::FRAME).map(loud).collect()
}

struct ScriptedDetector {
    delay: Duration,
}

impl Model for ScriptedDetector {
    type Input = silero::Input;
    type Output = silero::Output;
    type Error = RunError;
    type Key = ();

    fn key(_input: &silero::Input) {}

    fn run(&mut self, batch: &[silero::Input]) -> Result<Vec<silero::Output>, RunError> {
        take(self.delay);
        let answer = |it: &silero::Input| silero::Output {
            probabilities: heard(&it.frames),
            memory: it.memory.clone(),
        };
        Ok(batch.iter().map(answer).collect())
    }

    fn self_test(&mut self) -> Result<(), RunError> {
        Ok(())
    }
}

struct ScriptedFileDetector {
    delay: Duration,
}

impl Model for ScriptedFileDetector {
    type Input = silero_file::Input;
    type Output = silero_file::Output;
    type Error = RunError;
    type Key = ();

    fn key(_input: &silero_file::Input) {}

    fn run(&mut self, batch: &[silero_file::Input]) -> Result<Vec<silero_file::Output>, RunError> {
        take(self.delay);
        let answer = |it: &silero_file::Input| silero_file::Output {
            probabilities: heard(&it.frames),
            memory: it.memory.clone(),
        };
        Ok(batch.iter().map(answer).collect())
    }

    fn self_test(&mut self) -> Result<(), RunError> {
        Ok(())
    }
}

struct ScriptedJudge {
    probability: f32,
    delay: Duration,
}

impl Model for ScriptedJudge {
    type Input = Arc<[f32]>;
    type Output = f32;
    type Error = RunError;
    type Key = ();

    fn key(_input: &Arc<[f32]>) {}

    fn run(&mut self, batch: &[Arc<[f32]>]) -> Result<Vec<f32>, RunError> {
        take(self.delay);
        Ok(vec![self.probability; batch.len()])
    }

    fn self_test(&mut self) -> Result<(), RunError> {
        Ok(())
    }
}
