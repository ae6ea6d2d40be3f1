//! A model that is stepped as each request's plan says, and notes what should never be.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use batcher::{Slot, StepModel, Stepped};

use crate::permits::Permits;

pub(crate) const SLOTS: usize = 3;
pub(crate) const ROOM: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Well,
    Fails,
    Panics,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Finished,
    Last,
    Failed,
    StepFails,
    StepPanics,
    Miscounted,
}

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) admission: Admission,
    /// `false` for a step without a chunk.
    pub(crate) steps: Vec<bool>,
    pub(crate) end: End,
}

pub(crate) struct Request {
    pub(crate) id: usize,
    pub(crate) plan: Plan,
    /// How many chunks were read, or are just being read.
    pub(crate) n_read: Arc<AtomicUsize>,
}

struct Row {
    request: Request,
    n_steps: usize,
    n_chunks: usize,
}

#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) admitted: BTreeMap<usize, usize>,
    pub(crate) evicted: BTreeMap<usize, usize>,
    /// What should never be, told by the model.
    pub(crate) faults: Vec<String>,
}

pub(crate) struct Scripted {
    rows: BTreeMap<Slot, Row>,
    permits: Arc<Permits>,
    seen: Arc<Mutex<Seen>>,
    sound: bool,
}

impl Scripted {
    pub(crate) fn new(permits: &Arc<Permits>, seen: &Arc<Mutex<Seen>>, sound: bool) -> Scripted {
        Scripted {
            rows: BTreeMap::new(),
            permits: Arc::clone(permits),
            seen: Arc::clone(seen),
            sound,
        }
    }

    fn fault(&self, is_fault: bool, what: impl FnOnce() -> String) {
        if is_fault {
            self.seen.lock().unwrap().faults.push(what());
        }
    }
}

type Step = Stepped<(usize, usize), usize>;

impl StepModel for Scripted {
    type Request = Request;
    type Chunk = (usize, usize);
    type Error = usize;

    fn admit(&mut self, slot: Slot, request: Request) -> Result<(), usize> {
        self.permits.take();
        self.fault(SLOTS <= slot.index(), || format!("{slot:?} is none"));
        self.fault(self.rows.contains_key(&slot), || {
            format!("{slot:?} is held")
        });
        match request.plan.admission {
            Admission::Well => {}
            Admission::Fails => return Err(request.id),
            Admission::Panics => std::panic::resume_unwind(Box::new("scripted")),
        }
        *self
            .seen
            .lock()
            .unwrap()
            .admitted
            .entry(request.id)
            .or_default() += 1;
        let row = Row {
            request,
            n_steps: 0,
            n_chunks: 0,
        };
        self.rows.insert(slot, row);
        Ok(())
    }

    fn step(&mut self, slots: &[Slot]) -> Result<Vec<Step>, usize> {
        self.permits.take();
        self.fault(
            slots.is_empty() || !slots.is_sorted_by(|a, b| a < b),
            || format!("stepped {slots:?}"),
        );
        let mut stepped = Vec::new();
        for slot in slots {
            let Some(row) = self.rows.get(slot) else {
                self.fault(true, || format!("{slot:?} is free and stepped"));
                continue;
            };
            let Row {
                request,
                n_steps,
                n_chunks,
            } = row;
            let room = n_chunks - request.n_read.load(Ordering::SeqCst).min(*n_chunks);
            self.fault(ROOM <= room, || format!("{} has no room", request.id));
            let chunk = (request.id, *n_chunks);
            stepped.push(match request.plan.steps.get(*n_steps) {
                Some(true) => Stepped::Chunk(chunk),
                Some(false) => Stepped::Quiet,
                None => match request.plan.end {
                    End::Finished => Stepped::Finished,
                    End::Last => Stepped::Last(chunk),
                    End::Failed => Stepped::Failed(request.id),
                    End::StepFails => return Err(request.id),
                    End::StepPanics => std::panic::resume_unwind(Box::new("scripted")),
                    End::Miscounted => continue,
                },
            });
        }
        if stepped.len() == slots.len() {
            for (slot, it) in slots.iter().zip(&stepped) {
                let row = self.rows.get_mut(slot).unwrap();
                row.n_steps += 1;
                row.n_chunks += usize::from(matches!(it, Stepped::Chunk(_)));
            }
        }
        Ok(stepped)
    }

    fn evict(&mut self, slot: Slot) {
        let row = self.rows.remove(&slot);
        self.fault(row.is_none(), || format!("{slot:?} is free and evicted"));
        if let Some(row) = row {
            *self
                .seen
                .lock()
                .unwrap()
                .evicted
                .entry(row.request.id)
                .or_default() += 1;
        }
    }

    fn self_test(&mut self) -> Result<(), usize> {
        if self.sound { Ok(()) } else { Err(0) }
    }
}
