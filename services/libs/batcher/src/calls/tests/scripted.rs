//! A model that does as each input says, and gates to hold its calls at.

use std::rc::Rc;

use super::super::*;
use crate::{
    lane::Lane,
    testing::{Gate, Health, Log},
};

/// What the model does with an input. Its name begins with its key.
#[derive(Clone)]
pub(super) struct Input {
    pub(super) name: &'static str,
    pub(super) act: Act,
}

#[derive(Clone)]
pub(super) enum Act {
    Answer,
    Fail,
    Panic,
    /// Adds so many outputs too many, or leaves its own out.
    Miscount(usize),
    /// Fails in company and answers alone.
    Shy,
    Wait(Arc<Gate>),
}

pub(super) struct Scripted {
    log: Log,
    health: Health,
    /// Makes the model `!Send`, as a real one may be.
    _not_send: Rc<()>,
}

impl Scripted {
    pub(super) fn new(log: &Log, health: Health) -> Scripted {
        Scripted {
            log: log.clone(),
            health,
            _not_send: Rc::new(()),
        }
    }
}

impl Model for Scripted {
    type Input = Input;
    type Output = String;
    type Error = String;
    type Key = char;

    fn key(input: &Input) -> char {
        input.name.chars().next().unwrap()
    }

    fn run(&mut self, batch: &[Input]) -> Result<Vec<String>, String> {
        let names: Vec<&str> = batch.iter().map(|it| it.name).collect();
        self.log.note(names.join(" "));
        let mut outputs = Vec::new();
        for input in batch {
            let output = input.name.to_uppercase();
            match &input.act {
                Act::Answer => outputs.push(output),
                Act::Fail => return Err(format!("no {}", input.name)),
                Act::Panic => panic!("scripted"),
                Act::Miscount(n_outputs) => outputs.extend(vec![output; *n_outputs]),
                Act::Shy if batch.len() == 1 => outputs.push(output),
                Act::Shy => return Err("not alone".to_owned()),
                Act::Wait(gate) => {
                    gate.pass();
                    outputs.push(output);
                }
            }
        }
        Ok(outputs)
    }

    fn self_test(&mut self) -> Result<(), String> {
        self.log.note("self test");
        self.health.test()
    }
}

pub(super) fn settings(n_workers: usize) -> Settings {
    Settings {
        name: "scripted",
        places: PerLane::all(16),
        max_batch: PerLane::all(NonZeroUsize::new(8).unwrap()),
        workers: NonZeroUsize::new(n_workers).unwrap(),
        raise_after: Duration::from_secs(60),
        max_panics_in_a_row: NonZeroUsize::new(3).unwrap(),
    }
}

pub(super) struct Bench {
    pub(super) batcher: BatcherOf<Scripted>,
    pub(super) workers: Workers,
    pub(super) log: Log,
}

pub(super) fn start(n_workers: usize) -> Bench {
    start_with(n_workers, Health::Sound)
}

pub(super) fn start_with(n_workers: usize, health: Health) -> Bench {
    let log = Log::default();
    let log_there = log.clone();
    let build = move |_| Ok(Scripted::new(&log_there, health));
    let (batcher, workers) = spawn(settings(n_workers), Metrics::unregistered(), build);
    Bench {
        batcher,
        workers,
        log,
    }
}

impl Bench {
    pub(super) fn submit(&self, name: &'static str, act: Act) -> Answer<String, String> {
        self.batcher.submit(job(name, act)).unwrap()
    }

    /// Occupies a worker until the gate is opened.
    pub(super) fn occupy(&self) -> (Arc<Gate>, Answer<String, String>) {
        let gate = Arc::new(Gate::default());
        let answer = self.submit("z", Act::Wait(Arc::clone(&gate)));
        gate.wait_for(1);
        (gate, answer)
    }
}

pub(super) fn job(name: &'static str, act: Act) -> Job<Input> {
    Job::new(Lane::Urgent, Input { name, act })
}
