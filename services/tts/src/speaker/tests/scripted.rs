//! A language model and a decoder that do what the text says: `20`, `20 then fail`, `30 decoder panics`.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::{Condvar, Mutex},
};

use batcher::{
    Metrics, Model, PerLane, Slot, StepMetrics, StepModel, StepSettings, Stepped, Workers, spawn,
    spawn_steps,
};
use ndarray::Array2;

use super::*;
use crate::models::{
    chatterbox::Sampling,
    conditioning::{Conditioning, SAMPLES_PER_TOKEN},
};

pub(super) const SLOTS: usize = 3;
pub(super) const PLACES: usize = 5;
pub(super) const ROOM: usize = 4;

/// Tokens that make the decoder do as it is told.
const TOLD: [(&str, u32); 4] = [
    ("fails", 6_001),
    ("panics", 6_002),
    ("shortens", 6_003),
    ("overflows", 6_004),
];

pub(super) struct Bench {
    pub(super) speaker: Speaker,
    pub(super) log: Log,
    pub(super) steps: Gate,
    pub(super) decodes: Gate,
    pub(super) language_workers: Workers,
    pub(super) decoder_workers: Workers,
}

impl Bench {
    pub(super) fn new() -> Bench {
        let (log, steps, decodes) = (Log::default(), Gate::default(), Gate::default());
        let many_panics = NonZeroUsize::new(100).unwrap();
        let settings = StepSettings {
            name: "language",
            places: PerLane::all(PLACES),
            slots: NonZeroUsize::new(SLOTS).unwrap(),
            room: NonZeroUsize::new(ROOM).unwrap(),
            raise_after: Duration::from_secs(60),
            max_panics_in_a_row: many_panics,
        };
        let (its_log, its_gate) = (log.clone(), steps.clone());
        let (language_model, language_workers) =
            spawn_steps(settings, StepMetrics::unregistered(), move || {
                Ok(Language {
                    rows: BTreeMap::new(),
                    log: its_log.clone(),
                    gate: its_gate.clone(),
                })
            });
        let settings = batcher::Settings {
            name: "decoder",
            places: PerLane::all(2 * PLACES),
            max_batch: PerLane::all(NonZeroUsize::MIN),
            workers: NonZeroUsize::MIN,
            raise_after: Duration::from_secs(60),
            max_panics_in_a_row: many_panics,
        };
        let (its_log, its_gate) = (log.clone(), decodes.clone());
        let (decoder, decoder_workers) = spawn(settings, Metrics::unregistered(), move |_worker| {
            Ok(Decoder {
                log: its_log.clone(),
                gate: its_gate.clone(),
            })
        });
        let settings = Settings {
            reach: Reach {
                lookahead: 3,
                context: 8,
            },
            sizes: vec![4, 8, 16, 30],
            whole: 500,
            tail: 3,
            margin: Duration::from_millis(50),
            first_within: Duration::from_secs(1),
        };
        Bench {
            speaker: Speaker::new(language_model, decoder, settings),
            log,
            steps,
            decodes,
            language_workers,
            decoder_workers,
        }
    }

    pub(super) fn speak(&self, text: &str, pace: Pace) -> Result<Speech, SubmitError> {
        self.speaker.speak(sentence(text), Manner::new(pace))
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // Workers are waited for when they are dropped.
        self.steps.open();
        self.decodes.open();
    }
}

pub(super) fn sentence(text: &str) -> Sentence {
    Sentence {
        text: text.to_owned(),
        language: None,
        voice: Arc::new(Conditioning {
            prefix: Array2::zeros((1, 1)),
            prompt_tokens: Vec::new(),
            speaker: Vec::new(),
            mel: Array2::zeros((0, 80)),
        }),
        sampling: Sampling {
            temperature: 0.0,
            top_p: 1.0,
            top_k: 0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            seed: 0,
        },
        exaggeration: 0.5,
        cfg_weight: 0.0,
        max_tokens: 1_000,
    }
}

/// Lets a speech go on, which gets no chunk, until something has happened.
pub(super) async fn until(speech: &mut Speech, has_happened: impl Fn() -> bool) {
    tokio::select! {
        _ = speech.next() => panic!("a chunk came"),
        () = soon(has_happened) => {}
    }
}

/// What the models were asked, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn note(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }

    pub(super) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub(super) fn of(&self, start: &str) -> Vec<String> {
        let lines = self.all();
        lines
            .into_iter()
            .filter(|it| it.starts_with(start))
            .collect()
    }

    pub(super) fn n_tokens(&self, text: &str) -> usize {
        self.of(&format!("token of {text}")).len()
    }

    pub(super) async fn until(&self, line: &str) {
        soon(|| self.all().iter().any(|it| it == line)).await;
    }
}

/// Waits for what happens on another thread.
pub(super) async fn soon(has_happened: impl Fn() -> bool) {
    for _ in 0..5_000 {
        if has_happened() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("it did not happen");
}

/// What a model waits at before each call.
#[derive(Clone, Debug, Default)]
pub(super) struct Gate(Arc<(Mutex<Passes>, Condvar)>);

#[derive(Debug)]
struct Passes {
    n_allowed: usize,
    n_reached: usize,
    n_passed: usize,
}

impl Default for Passes {
    fn default() -> Passes {
        Passes {
            n_allowed: usize::MAX,
            n_reached: 0,
            n_passed: 0,
        }
    }
}

impl Gate {
    pub(super) fn allow(&self, n_more: usize) {
        let mut passes = self.0.0.lock().unwrap();
        passes.n_allowed = passes.n_passed + n_more;
        self.0.1.notify_all();
    }

    pub(super) fn close(&self) {
        self.allow(0);
    }

    pub(super) fn open(&self) {
        self.0.0.lock().unwrap().n_allowed = usize::MAX;
        self.0.1.notify_all();
    }

    pub(super) fn n_passed(&self) -> usize {
        self.0.0.lock().unwrap().n_passed
    }

    pub(super) fn n_reached(&self) -> usize {
        self.0.0.lock().unwrap().n_reached
    }

    /// Waits until so many calls have come as far as the gate.
    pub(super) async fn reached(&self, n: usize) {
        soon(|| n <= self.n_reached()).await;
    }

    fn pass(&self) {
        let mut passes = self.0.0.lock().unwrap();
        passes.n_reached += 1;
        while passes.n_allowed <= passes.n_passed {
            passes = self.0.1.wait(passes).unwrap();
        }
        passes.n_passed += 1;
    }
}

struct Language {
    rows: BTreeMap<Slot, Row>,
    log: Log,
    gate: Gate,
}

struct Row {
    text: String,
    n_left: usize,
}

impl StepModel for Language {
    type Request = Sentence;
    type Chunk = u32;
    type Error = RunError;

    fn admit(&mut self, slot: Slot, request: Sentence) -> Result<(), RunError> {
        if request.text == "refuse" {
            return Err(scripted());
        }
        self.log.note(format!("admit {}", request.text));
        let n_tokens = request.text.split(' ').next().unwrap().parse().unwrap();
        let row = Row {
            text: request.text,
            n_left: n_tokens,
        };
        assert!(self.rows.insert(slot, row).is_none());
        Ok(())
    }

    fn step(&mut self, slots: &[Slot]) -> Result<Vec<Stepped<u32, RunError>>, RunError> {
        self.gate.pass();
        let panics = |it: &Slot| {
            let row = &self.rows[it];
            row.n_left == 0 && row.text.ends_with("then panic")
        };
        assert!(!slots.iter().any(panics), "scripted");
        let steps = slots.iter().map(|slot| {
            let row = self.rows.get_mut(slot).unwrap();
            if row.n_left == 0 {
                return match row.text.ends_with("then fail") {
                    true => Stepped::Failed(scripted()),
                    false => Stepped::Finished,
                };
            }
            row.n_left -= 1;
            self.log.note(format!("token of {}", row.text));
            let told = TOLD.iter().find(|it| row.text.ends_with(it.0));
            Stepped::Chunk(match told {
                Some((_, token)) if row.n_left == 20 => *token,
                _ => row.text.split(' ').next().unwrap().parse().unwrap(),
            })
        });
        Ok(steps.collect())
    }

    fn evict(&mut self, slot: Slot) {
        let row = self.rows.remove(&slot).unwrap();
        self.log.note(format!("evict {}", row.text));
    }

    fn self_test(&mut self) -> Result<(), RunError> {
        Ok(())
    }
}

struct Decoder {
    log: Log,
    gate: Gate,
}

impl Model for Decoder {
    type Input = Decode;
    type Output = Vec<f32>;
    type Error = RunError;
    type Key = ();

    fn key(_: &Decode) {}

    fn run(&mut self, batch: &[Decode]) -> Result<Vec<Vec<f32>>, RunError> {
        self.gate.pass();
        let [Decode { tokens, .. }] = batch else {
            panic!("one at a time");
        };
        let whose = tokens[0];
        self.log.note(match tokens.len() {
            n @ 100.. => format!("decode {n}"),
            _ => format!("decode of {whose}"),
        });
        let told = TOLD.iter().find(|it| tokens.contains(&i64::from(it.1)));
        let mut samples = vec![0.1; tokens.len() * SAMPLES_PER_TOKEN];
        match told.map(|it| it.0) {
            Some("fails") => return Err(scripted()),
            Some("panics") => panic!("scripted"),
            Some("shortens") => drop(samples.pop()),
            Some("overflows") => samples[7] = f32::NAN,
            _ => {}
        }
        Ok(vec![samples])
    }

    fn self_test(&mut self) -> Result<(), RunError> {
        Ok(())
    }
}

fn scripted() -> RunError {
    RunError::new("scripted")
}
