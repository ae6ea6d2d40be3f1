//! A model that does in each step what the request's script says, and notes what it is asked.

use std::{collections::BTreeMap, rc::Rc};

use super::super::*;
use crate::{
    lane::Lane,
    model::{Stepped, SteppedOf},
    slots::Slot,
    testing::{Gate, Health, Log},
};

/// One letter a step:
/// - `c` a chunk, `.` nothing yet, `l` the last chunk, `e` the end without one, `f` it failed;
/// - `F` the whole step fails, `P` panics, `M` is miscounted, `S` fails unless it is alone;
/// - `w` waits at the gate, then makes a chunk.
///
/// Before a colon, what letting it in does: `F`, `P` or `w`.
#[derive(Clone)]
pub(super) struct Request {
    pub(super) name: &'static str,
    pub(super) script: &'static str,
    pub(super) gate: Arc<Gate>,
}

struct Row {
    name: &'static str,
    steps: &'static [u8],
    n_chunks: usize,
    gate: Arc<Gate>,
}

pub(super) struct Scripted {
    rows: BTreeMap<Slot, Row>,
    log: Log,
    health: Health,
    /// Makes the model `!Send`, as a real one may be.
    _not_send: Rc<()>,
}

impl Scripted {
    pub(super) fn new(log: &Log, health: Health) -> Scripted {
        Scripted {
            rows: BTreeMap::new(),
            log: log.clone(),
            health,
            _not_send: Rc::new(()),
        }
    }
}

impl Row {
    fn chunk(&self) -> String {
        format!("{}{}", self.name, self.n_chunks)
    }

    fn stepped(&self, letter: u8) -> Stepped<String, String> {
        match letter {
            b'.' => Stepped::Quiet,
            b'l' => Stepped::Last(self.chunk()),
            b'e' => Stepped::Finished,
            b'f' => Stepped::Failed(format!("no {}", self.name)),
            _ => Stepped::Chunk(self.chunk()),
        }
    }
}

impl StepModel for Scripted {
    type Request = Request;
    type Chunk = String;
    type Error = String;

    fn admit(&mut self, slot: Slot, request: Request) -> Result<(), String> {
        let name = request.name;
        self.log.note(format!("admit {name} to {}", slot.index()));
        let (admission, script) = request
            .script
            .split_once(':')
            .unwrap_or(("", request.script));
        match admission {
            "F" => return Err(format!("no {name}")),
            "P" => panic!("scripted"),
            "w" => request.gate.pass(),
            _ => {}
        }
        let row = Row {
            name,
            steps: script.as_bytes(),
            n_chunks: 0,
            gate: request.gate,
        };
        assert!(self.rows.insert(slot, row).is_none(), "{slot:?} is held");
        Ok(())
    }

    fn step(&mut self, slots: &[Slot]) -> Result<Vec<SteppedOf<Scripted>>, String> {
        let names: Vec<&str> = slots.iter().map(|it| self.rows[it].name).collect();
        self.log.note(format!("step {}", names.join(" ")));
        let mut stepped = Vec::new();
        for slot in slots {
            let row = &self.rows[slot];
            match row.steps[0] {
                b'F' => return Err(format!("no {}", row.name)),
                b'P' => panic!("scripted"),
                b'M' => continue,
                b'S' if slots.len() != 1 => return Err("not alone".to_owned()),
                b'w' => row.gate.pass(),
                _ => {}
            }
            stepped.push(row.stepped(row.steps[0]));
        }
        // Nothing is kept of a step that does not succeed.
        if stepped.len() == slots.len() {
            for (slot, it) in slots.iter().zip(&stepped) {
                let row = self.rows.get_mut(slot).unwrap();
                row.steps = &row.steps[1..];
                row.n_chunks += usize::from(matches!(it, Stepped::Chunk(_)));
            }
        }
        Ok(stepped)
    }

    fn evict(&mut self, slot: Slot) {
        let row = self.rows.remove(&slot).unwrap();
        self.log.note(format!("evict {}", row.name));
    }

    fn self_test(&mut self) -> Result<(), String> {
        self.log.note("self test");
        self.health.test()
    }
}

pub(super) struct Bench {
    pub(super) stepper: StepperOf<Scripted>,
    pub(super) workers: Workers,
    pub(super) log: Log,
    pub(super) gate: Arc<Gate>,
}

pub(super) fn settings(n_slots: usize, room: usize) -> StepSettings {
    StepSettings {
        name: "scripted",
        places: PerLane::all(8),
        slots: NonZeroUsize::new(n_slots).unwrap(),
        room: NonZeroUsize::new(room).unwrap(),
        raise_after: Duration::from_secs(60),
        max_panics_in_a_row: NonZeroUsize::new(3).unwrap(),
    }
}

pub(super) fn start(n_slots: usize, room: usize) -> Bench {
    start_with(
        &settings(n_slots, room),
        StepMetrics::unregistered(),
        Health::Sound,
    )
}

pub(super) fn start_with(settings: &StepSettings, metrics: StepMetrics, health: Health) -> Bench {
    let log = Log::default();
    let log_there = log.clone();
    let build = move || Ok(Scripted::new(&log_there, health));
    let (stepper, workers) = spawn_steps(settings.clone(), metrics, build);
    let gate = Arc::new(Gate::default());
    Bench {
        stepper,
        workers,
        log,
        gate,
    }
}

impl Bench {
    pub(super) fn job(&self, name: &'static str, script: &'static str) -> Job<Request> {
        let gate = Arc::clone(&self.gate);
        Job::new(Lane::Urgent, Request { name, script, gate })
    }

    pub(super) fn submit(
        &self,
        name: &'static str,
        script: &'static str,
    ) -> Chunks<String, String> {
        self.stepper.submit(self.job(name, script)).unwrap()
    }

    /// Waits until the thread sleeps, which it does only when nothing can be done.
    pub(super) fn rest(&self) {
        let begin = std::time::Instant::now();
        while !self.stepper.door.0.is_asleep() {
            assert!(
                begin.elapsed() < crate::testing::LONG,
                "the thread does not rest"
            );
            std::thread::yield_now();
        }
    }

    /// What was noted since it was last asked.
    pub(super) fn news(&self) -> Vec<String> {
        self.log.take()
    }
}
