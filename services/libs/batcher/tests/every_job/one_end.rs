//! Every stepped job gets its chunks in order and exactly one end, and every admitted request exactly
//! one evict, whatever happens around it.
//!
//! A real thread runs a model that takes one permit a call, so the script decides how calls fall between
//! the other events; what the thread does in between is left to chance.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use batcher::{
    CallError, Chunks, Families, Job, Lane, PerLane, StepSettings, StepperOf, StreamId,
    SubmitError, spawn_steps,
};
use prometheus::Registry;
use proptest::prelude::*;

use crate::{
    counts::check_counts,
    permits::Permits,
    stepped::{Admission, End, Plan, ROOM, Request, SLOTS, Scripted, Seen},
};

#[derive(Clone, Debug)]
enum Event {
    Submit {
        plan: Plan,
        lane: Lane,
        stream: Option<u64>,
        due_ms: Option<u64>,
        expired: bool,
    },
    /// The n-th open reader takes what is there, but not more than so many chunks.
    Read(prop::sample::Index, usize),
    /// The n-th open reader goes away.
    Leave(prop::sample::Index),
    /// So many calls may run.
    Permit(usize),
    /// The thread gets a chance to act before the next event.
    Breathe,
    Stop,
}

fn plan() -> impl Strategy<Value = Plan> {
    let admission = prop_oneof![
        8 => Just(Admission::Well),
        1 => Just(Admission::Fails),
        1 => Just(Admission::Panics),
    ];
    let end = prop_oneof![
        3 => Just(End::Finished),
        3 => Just(End::Last),
        1 => Just(End::Failed),
        1 => Just(End::StepFails),
        1 => Just(End::StepPanics),
        1 => Just(End::Miscounted),
    ];
    let steps = prop::collection::vec(prop::bool::weighted(0.8), 0..8);
    (admission, steps, end).prop_map(|(admission, steps, end)| Plan {
        admission,
        steps,
        end,
    })
}

fn event() -> impl Strategy<Value = Event> {
    let submit = (
        plan(),
        prop::sample::select(Lane::ALL.to_vec()),
        prop::option::weighted(0.2, 0_u64..2),
        prop::option::of(0_u64..3),
        prop::bool::weighted(0.1),
    )
        .prop_map(|(plan, lane, stream, due_ms, expired)| Event::Submit {
            plan,
            lane,
            stream,
            due_ms,
            expired,
        });
    let which = || any::<prop::sample::Index>();
    prop_oneof![
        12 => submit,
        12 => (which(), 1_usize..4).prop_map(|(which, n)| Event::Read(which, n)),
        3 => which().prop_map(Event::Leave),
        10 => (1_usize..8).prop_map(Event::Permit),
        6 => Just(Event::Breathe),
        1 => Just(Event::Stop),
    ]
}

const PLACES: usize = 5;

struct Caller {
    id: usize,
    plan: Plan,
    expired: bool,
    chunks: Chunks<(usize, usize), usize>,
    n_read: Arc<AtomicUsize>,
    /// Those that were read.
    told: usize,
    end: Option<Result<(), CallError<usize>>>,
}

impl Caller {
    fn is_told(
        &mut self,
        item: Option<Result<(usize, usize), CallError<usize>>>,
    ) -> Result<(), TestCaseError> {
        prop_assert!(
            self.end.is_none(),
            "job {} was told more than one end",
            self.id
        );
        match item {
            Some(Ok(chunk)) => {
                prop_assert_eq!(chunk, (self.id, self.told), "in order");
                self.told += 1;
            }
            Some(Err(error)) => self.end = Some(Err(error)),
            None => self.end = Some(Ok(())),
        }
        Ok(())
    }

    /// Reads what is there.
    fn read(&mut self, at_most: usize) -> Result<(), TestCaseError> {
        for _ in 0..at_most {
            if self.end.is_some() {
                break;
            }
            self.n_read.store(self.told + 1, Ordering::SeqCst);
            let mut context = Context::from_waker(Waker::noop());
            match self.chunks.poll_next(&mut context) {
                Poll::Ready(item) => self.is_told(item)?,
                Poll::Pending => break,
            }
        }
        Ok(())
    }
}

/// All of them read at once, until each was told its end.
fn read_to_the_end(callers: &mut [Caller]) -> Result<(), TestCaseError> {
    let begin = Instant::now();
    while let Some(waits) = callers.iter().find(|it| it.end.is_none()) {
        let is_late = Duration::from_secs(20) < begin.elapsed();
        prop_assert!(!is_late, "job {} was never told", waits.id);
        for caller in &mut *callers {
            caller.read(usize::MAX)?;
        }
        std::thread::yield_now();
    }
    for caller in callers {
        let mut context = Context::from_waker(Waker::noop());
        let after = caller.chunks.poll_next(&mut context);
        prop_assert!(after == Poll::Ready(None), "an end is the last");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn every_job_gets_its_chunks_and_one_end(
        events in prop::collection::vec(event(), 1..80),
        sound: bool,
    ) {
        let registry = Registry::new();
        let permits = Arc::new(Permits::default());
        let _at_last = permits.unlimited_at_last();
        permits.change(|left| *left = Some(0));
        let seen = Arc::new(Mutex::new(Seen::default()));
        let build = {
            let (permits, seen) = (Arc::clone(&permits), Arc::clone(&seen));
            move || Ok(Scripted::new(&permits, &seen, sound))
        };
        let metrics = Families::register(&registry, "t").unwrap().steps("m");
        let (stepper, workers) = spawn_steps(settings(), metrics, build);

        let mut callers: Vec<Caller> = Vec::new();
        let (mut n_submitted, mut n_left) = (0, 0);
        for event in events {
            match event {
                Event::Submit { plan, lane, stream, due_ms, expired } => {
                    let (id, n_read) = (n_submitted, Arc::new(AtomicUsize::new(0)));
                    n_submitted += 1;
                    let input = Request { id, plan: plan.clone(), n_read: Arc::clone(&n_read) };
                    let job = Job {
                        deadline: expired.then(Instant::now),
                        due: due_ms.map(|ms| Instant::now() + Duration::from_millis(ms)),
                        replaces: stream.map(StreamId),
                        ..Job::new(lane, input)
                    };
                    match stepper.submit(job) {
                        Ok(chunks) => {
                            let (told, end) = (0, None);
                            callers.push(Caller { id, plan, expired, chunks, n_read, told, end });
                        }
                        Err(SubmitError::Full { capacity }) => prop_assert_eq!(capacity, PLACES),
                        Err(SubmitError::Stopped) => {}
                    }
                }
                Event::Read(which, n) if !callers.is_empty() => {
                    let which = which.index(callers.len());
                    callers[which].read(n)?;
                }
                Event::Leave(which) if !callers.is_empty() => {
                    let left = callers.swap_remove(which.index(callers.len()));
                    n_left += usize::from(left.end.is_none());
                    if left.end.is_some() {
                        callers.push(left);
                    }
                }
                Event::Read(..) | Event::Leave(_) => {}
                Event::Permit(n) => permits.change(|left| *left = left.map(|left| left + n)),
                Event::Breathe => std::thread::park_timeout(Duration::from_micros(200)),
                Event::Stop => workers.stop(),
            }
            check_bounds(&stepper)?;
        }
        permits.change(|left| *left = None);

        // Some that do not read delay none of the others, if there is a slot for those.
        let n_slow = callers.len().min(SLOTS - 1);
        read_to_the_end(&mut callers[n_slow..])?;
        read_to_the_end(&mut callers[..n_slow])?;
        drop(stepper);
        workers.join();

        let seen = seen.lock().unwrap();
        prop_assert!(seen.faults.is_empty(), "{:?}", &seen.faults);
        prop_assert_eq!(&seen.admitted, &seen.evicted);
        prop_assert!(seen.admitted.values().all(|&n| n == 1), "{:?}", &seen.admitted);
        let mut told = BTreeMap::new();
        for caller in &callers {
            *told.entry(outcome(caller, seen.admitted.contains_key(&caller.id))?).or_insert(0) += 1;
        }
        check_counts(&registry, n_submitted, n_left, &told)?;
    }
}

fn settings() -> StepSettings {
    StepSettings {
        name: "scripted",
        places: PerLane::all(PLACES),
        slots: NonZeroUsize::new(SLOTS).unwrap(),
        room: NonZeroUsize::new(ROOM).unwrap(),
        raise_after: Duration::from_micros(300),
        max_panics_in_a_row: NonZeroUsize::new(3).unwrap(),
    }
}

fn check_bounds(stepper: &StepperOf<Scripted>) -> Result<(), TestCaseError> {
    let load = stepper.load();
    for lane in Lane::ALL {
        prop_assert!(load[lane].held <= PLACES && load[lane].waiting <= load[lane].held);
    }
    Ok(())
}

/// What a job must have been counted as, by what its caller was told, which must be what was planned.
fn outcome(caller: &Caller, was_admitted: bool) -> Result<&'static str, TestCaseError> {
    let Caller {
        id,
        plan,
        expired,
        told,
        end,
        ..
    } = caller;
    let n_planned = plan.steps.iter().filter(|&&it| it).count();
    let n_whole = n_planned + usize::from(plan.end == End::Last);
    let (outcome, n_chunks) = match (end, plan.admission, plan.end) {
        (Some(Ok(())), Admission::Well, End::Finished | End::Last) => ("answered", Some(n_whole)),
        (Some(Err(CallError::Failed(whose))), Admission::Fails, _) if whose == id => {
            ("failed", Some(0))
        }
        (Some(Err(CallError::Panicked)), Admission::Panics, _) => ("panicked", Some(0)),
        (Some(Err(CallError::Failed(whose))), Admission::Well, End::Failed | End::StepFails)
            if whose == id =>
        {
            ("failed", Some(n_planned))
        }
        (Some(Err(CallError::Panicked)), Admission::Well, End::StepPanics) => {
            ("panicked", Some(n_planned))
        }
        (Some(Err(CallError::Miscounted { n_outputs: 0 })), Admission::Well, End::Miscounted) => {
            ("failed", Some(n_planned))
        }
        (Some(Err(CallError::Expired)), ..) if *expired => ("expired", Some(0)),
        (Some(Err(CallError::Replaced)), ..) => ("replaced", Some(0)),
        (Some(Err(CallError::Stopped)), ..) => ("stopped", None),
        (end, ..) => {
            return Err(TestCaseError::fail(format!(
                "job {id} is to {plan:?}, got {end:?}"
            )));
        }
    };
    if let Some(n_chunks) = n_chunks {
        prop_assert_eq!(*told, n_chunks, "job {} {}", id, outcome);
    }
    let must_be_admitted = 0 < *told || outcome == "answered";
    let must_not = matches!(outcome, "expired" | "replaced");
    prop_assert!(was_admitted || !must_be_admitted, "job {} {}", id, outcome);
    prop_assert!(!(was_admitted && must_not), "job {} {}", id, outcome);
    Ok(outcome)
}
