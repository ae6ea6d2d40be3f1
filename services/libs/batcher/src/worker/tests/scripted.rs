//! A model that does as each input says, and gates to hold its calls at.

use std::{
    rc::Rc,
    sync::{Condvar, Mutex},
};

use super::super::*;
use crate::{lane::Lane, queue::Job, reply::Answer};

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

/// A door that a call waits at, and that tells when one does.
#[derive(Default)]
pub(super) struct Gate {
    /// How many calls have come to it, and whether it is open.
    seen: Mutex<(usize, bool)>,
    changed: Condvar,
}

impl Gate {
    pub(super) fn pass(&self) {
        let mut seen = self.seen.lock().unwrap();
        seen.0 += 1;
        self.changed.notify_all();
        drop(self.changed.wait_while(seen, |seen| !seen.1).unwrap());
    }

    pub(super) fn wait_for(&self, n_calls: usize) {
        let seen = self.seen.lock().unwrap();
        let (seen, timeout) = self
            .changed
            .wait_timeout_while(seen, LONG, |seen| seen.0 < n_calls)
            .unwrap();
        drop(seen);
        assert!(!timeout.timed_out(), "no call came to the gate");
    }

    pub(super) fn open(&self) {
        self.seen.lock().unwrap().1 = true;
        self.changed.notify_all();
    }
}

/// No test should take this long; one that does has hung.
pub(super) const LONG: Duration = Duration::from_secs(20);

#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(super) fn note(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

pub(super) struct Scripted {
    log: Log,
    /// Makes the model `!Send`, as a real one may be.
    _not_send: Rc<()>,
}

impl Scripted {
    pub(super) fn new(log: &Log) -> Scripted {
        Scripted {
            log: log.clone(),
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
    let log = Log::default();
    let log_there = log.clone();
    let build = move |_| Ok(Scripted::new(&log_there));
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

/// Awaits without hanging for ever.
#[track_caller]
pub(super) fn soon<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime
        .block_on(async { tokio::time::timeout(LONG, future).await })
        .expect("nothing came")
}
