//! Every submitted job gets exactly one answer, and the right one, whatever happens around it.
//!
//! Real threads run a model that takes one permit a call, so the script decides how calls fall between
//! the other events; what the threads do in between is left to chance.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use batcher::{
    Answer, Batcher, CallError, Families, Job, Lane, Model, PerLane, Settings, StreamId,
    SubmitError, spawn,
};
use prometheus::Registry;
use proptest::prelude::*;

use crate::{counts::check_counts, permits::Permits};

#[derive(Clone, Copy, Debug)]
enum Act {
    Answer,
    Fail,
    Panic,
    Miscount,
}

#[derive(Clone, Debug)]
enum Event {
    Submit {
        act: Act,
        key: u8,
        lane: Lane,
        stream: Option<u64>,
        due_ms: Option<u64>,
        expired: bool,
    },
    /// The caller of the n-th open answer goes away.
    Abandon(prop::sample::Index),
    /// So many calls may run.
    Permit(usize),
    /// The threads get a chance to act before the next event.
    Breathe,
    Stop,
}

fn event() -> impl Strategy<Value = Event> {
    let act = prop_oneof![
        6 => Just(Act::Answer),
        2 => Just(Act::Fail),
        1 => Just(Act::Panic),
        1 => Just(Act::Miscount),
    ];
    let submit = (
        act,
        0_u8..2,
        prop::sample::select(Lane::ALL.to_vec()),
        prop::option::of(0_u64..2),
        prop::option::of(0_u64..3),
        prop::bool::weighted(0.1),
    )
        .prop_map(|(act, key, lane, stream, due_ms, expired)| Event::Submit {
            act,
            key,
            lane,
            stream,
            due_ms,
            expired,
        });
    prop_oneof![
        20 => submit,
        3 => any::<prop::sample::Index>().prop_map(Event::Abandon),
        6 => (1_usize..4).prop_map(Event::Permit),
        3 => Just(Event::Breathe),
        1 => Just(Event::Stop),
    ]
}

#[derive(Debug)]
struct Input {
    id: usize,
    key: u8,
    lane: Lane,
    act: Act,
}

struct Scripted {
    permits: Arc<Permits>,
    calls: Arc<Mutex<Vec<Vec<usize>>>>,
    sound: bool,
}

impl Model for Scripted {
    type Input = Input;
    type Output = usize;
    type Error = String;
    type Key = u8;

    fn key(input: &Input) -> u8 {
        input.key
    }

    fn run(&mut self, batch: &[Input]) -> Result<Vec<usize>, String> {
        let mixed = batch
            .iter()
            .any(|it| (it.key, it.lane) != (batch[0].key, batch[0].lane));
        assert!(
            !mixed && !batch.is_empty() && batch.len() <= MAX_BATCH,
            "{batch:?}"
        );
        self.calls
            .lock()
            .unwrap()
            .push(batch.iter().map(|it| it.id).collect());
        self.permits.take();
        let mut outputs = Vec::new();
        for input in batch {
            match input.act {
                Act::Answer => outputs.push(input.id),
                Act::Fail => return Err(input.id.to_string()),
                Act::Panic => std::panic::resume_unwind(Box::new("scripted")),
                Act::Miscount => {}
            }
        }
        Ok(outputs)
    }

    fn self_test(&mut self) -> Result<(), String> {
        if self.sound {
            Ok(())
        } else {
            Err("unwell".to_owned())
        }
    }
}

const MAX_BATCH: usize = 3;
const PLACES: usize = 6;

struct Caller {
    id: usize,
    act: Act,
    expired: bool,
    answer: Answer<usize, String>,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn every_job_gets_exactly_one_answer(
        events in prop::collection::vec(event(), 1..60),
        n_workers in 1_usize..4,
        sound: bool,
    ) {
        let registry = Registry::new();
        let permits = Arc::new(Permits::default());
        let _at_last = permits.unlimited_at_last();
        permits.change(|left| *left = Some(0));
        let calls = Arc::new(Mutex::new(Vec::new()));
        let build = {
            let (permits, calls) = (Arc::clone(&permits), Arc::clone(&calls));
            move |_| Ok(Scripted { permits: Arc::clone(&permits), calls: Arc::clone(&calls), sound })
        };
        let metrics = Families::register(&registry, "t").unwrap().model("m");
        let (batcher, workers) = spawn(settings(n_workers), metrics, build);

        let mut callers: Vec<Caller> = Vec::new();
        let mut n_submitted = 0;
        let mut n_abandoned = 0;
        for event in events {
            match event {
                Event::Submit { act, key, lane, stream, due_ms, expired } => {
                    let id = n_submitted;
                    n_submitted += 1;
                    let job = Job {
                        input: Input { id, key, lane, act },
                        lane,
                        deadline: expired.then(Instant::now),
                        due: due_ms.map(|ms| Instant::now() + Duration::from_millis(ms)),
                        replaces: stream.map(StreamId),
                    };
                    match batcher.submit(job) {
                        Ok(answer) => callers.push(Caller { id, act, expired, answer }),
                        Err(SubmitError::Full { capacity }) => prop_assert_eq!(capacity, PLACES),
                        // Panics may have ended all the workers, so that nobody need have called `stop`.
                        Err(SubmitError::Stopped) => {}
                    }
                }
                Event::Abandon(which) if !callers.is_empty() => {
                    let which = which.index(callers.len());
                    drop(callers.swap_remove(which));
                    n_abandoned += 1;
                }
                Event::Abandon(_) => {}
                Event::Permit(n) => permits.change(|left| *left = left.map(|left| left + n)),
                Event::Breathe => std::thread::park_timeout(Duration::from_micros(200)),
                Event::Stop => workers.stop(),
            }
            check_bounds(&batcher)?;
        }
        permits.change(|left| *left = None);

        let mut told = BTreeMap::new();
        for caller in callers {
            *told.entry(check_answer(caller, &calls)?).or_insert(0) += 1;
        }
        drop(batcher);
        workers.join();

        // The model is asked once for a job, or twice when it had company the first time.
        let calls = calls.lock().unwrap();
        for id in 0..n_submitted {
            let asked: Vec<usize> =
                calls.iter().filter(|call| call.contains(&id)).map(Vec::len).collect();
            prop_assert!(
                matches!(asked[..], [] | [_] | [2..=MAX_BATCH, 1]),
                "job {} was in calls of {:?}", id, asked
            );
        }
        check_counts(&registry, n_submitted, n_abandoned, &told)?;
    }
}

fn settings(n_workers: usize) -> Settings {
    Settings {
        name: "scripted",
        places: PerLane::all(PLACES),
        max_batch: PerLane::all(NonZeroUsize::new(MAX_BATCH).unwrap()),
        workers: NonZeroUsize::new(n_workers).unwrap(),
        raise_after: Duration::from_micros(300),
        max_panics_in_a_row: NonZeroUsize::new(3).unwrap(),
    }
}

fn check_bounds(batcher: &Batcher<Input, usize, String>) -> Result<(), TestCaseError> {
    let load = batcher.load();
    for lane in Lane::ALL {
        prop_assert!(load[lane].held <= PLACES && load[lane].waiting <= load[lane].held);
    }
    Ok(())
}

/// Awaits an answer; tells the outcome it must have been counted as.
fn check_answer(
    caller: Caller,
    calls: &Mutex<Vec<Vec<usize>>>,
) -> Result<&'static str, TestCaseError> {
    let Caller {
        id,
        act,
        expired,
        answer,
    } = caller;
    let Some(answer) = within_long(answer) else {
        return Err(TestCaseError::fail(format!("job {id} was never answered")));
    };
    let n_calls = calls
        .lock()
        .unwrap()
        .iter()
        .filter(|call| call.contains(&id))
        .count();
    let outcome = match (answer, act) {
        (Ok(output), Act::Answer) => {
            prop_assert_eq!(output, id);
            "answered"
        }
        (Err(CallError::Failed(whose)), Act::Fail) => {
            prop_assert_eq!(whose, id.to_string());
            "failed"
        }
        (Err(CallError::Miscounted { n_outputs: 0 }), Act::Miscount) => "failed",
        (Err(CallError::Panicked), Act::Panic) => "panicked",
        (Err(CallError::Expired), _) if expired => "expired",
        (Err(CallError::Replaced), _) => "replaced",
        (Err(CallError::Stopped), _) => "stopped",
        (answer, act) => {
            return Err(TestCaseError::fail(format!(
                "job {id} is to {act:?}, got {answer:?}"
            )));
        }
    };
    let was_called = matches!(outcome, "answered" | "failed" | "panicked");
    prop_assert!(
        was_called == (0 < n_calls),
        "job {} {}, {} calls",
        id,
        outcome,
        n_calls
    );
    Ok(outcome)
}

fn within_long<F: Future>(future: F) -> Option<F::Output> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let limited = async { tokio::time::timeout(Duration::from_secs(20), future).await };
    runtime.block_on(limited).ok()
}
