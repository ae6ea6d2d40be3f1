//! How requests, workers and models end.

use std::{
    sync::Mutex,
    task::{Context, Wake, Waker},
};

use super::*;
use crate::worker::{EndReason, Ended, StartError};

fn ended(reason: EndReason) -> Ended {
    Ended {
        model: "scripted",
        worker: 0,
        reason,
    }
}

struct OnWake(Box<dyn Fn() + Send + Sync>);

impl Wake for OnWake {
    fn wake(self: Arc<Self>) {
        self.0();
    }
}

#[test]
fn who_sees_the_end_finds_the_place_free_and_the_slot_empty() {
    for script in ["w:e", "w:f", "w:F", "w:P"] {
        let bench = start(1, 8);
        let mut chunks = bench.submit("a", script);
        bench.gate.wait_for(1);
        let notes = Arc::new(Mutex::new(Vec::new()));
        let (stepper, log, notes_there) =
            (bench.stepper.clone(), bench.log.clone(), Arc::clone(&notes));
        // Called by the worker in the moment in which it tells the end.
        let on_wake = OnWake(Box::new(move || {
            let is_evicted = log.lines().contains(&"evict a".to_owned());
            let note = (stepper.load().urgent.held, is_evicted);
            notes_there.lock().unwrap().push(note);
        }));
        let waker = Waker::from(Arc::new(on_wake));
        let mut context = Context::from_waker(&waker);
        assert!(chunks.poll_next(&mut context).is_pending());
        bench.gate.open();
        bench.rest();
        assert_eq!(*notes.lock().unwrap(), [(0, true)], "{script}");
        drop(read(&mut chunks));
    }
}

#[test]
fn stopping_lets_the_step_finish_and_tells_everybody() {
    let mut bench = start(1, 8);
    let mut running = bench.submit("a", "cwccl");
    let mut waiting = bench.submit("b", "l");
    bench.gate.wait_for(1);
    bench.workers.stop();
    assert_eq!(read(&mut waiting), "Stopped;");
    let refused = bench.stepper.submit(bench.job("c", "l")).unwrap_err();
    assert_eq!(refused, SubmitError::Stopped);
    bench.gate.open();
    assert_eq!(read(&mut running), "a0 a1 Stopped;");
    assert_eq!(soon(bench.workers.ended()), ended(EndReason::Stopped));
    assert_eq!(
        bench.news(),
        ["admit a to 0", "step a", "step a", "evict a"]
    );
}

#[test]
fn a_sleeping_worker_is_stopped_by_the_last_handle() {
    let bench = start(1, 1);
    let mut stalled = bench.submit("a", "ccl");
    bench.rest();
    let Bench {
        stepper,
        mut workers,
        ..
    } = bench;
    drop(stepper.clone());
    drop(stepper);
    assert_eq!(soon(workers.ended()), ended(EndReason::Stopped));
    assert_eq!(read(&mut stalled), "a0 Stopped;");
}

#[test]
fn who_makes_a_model_panic_again_and_again_on_a_quiet_server_ends_nobody() {
    let bench = start(2, 8);
    for _ in 0..6 {
        assert_eq!(read(&mut bench.submit("a", "P:")), "Panicked;");
        assert_eq!(read(&mut bench.submit("a", "P")), "Panicked;");
    }
    assert_eq!(read(&mut bench.submit("b", "l")), "b0 ;");
    let news = bench.news().into_iter();
    assert_eq!(
        news.filter(|it| it == "self test").count(),
        4,
        "one for each three panics"
    );
}

#[test]
fn a_model_that_panics_and_fails_its_self_test_ends_its_worker() {
    for (health, script) in [
        (Health::Fails, "P:"),
        (Health::Fails, "P"),
        (Health::Panics, "P"),
    ] {
        let mut bench = start_with(&settings(2, 8), StepMetrics::unregistered(), health);
        // What comes back starts the count anew.
        for (script, told) in [
            (script, "Panicked;"),
            (script, "Panicked;"),
            ("l", "a0 ;"),
            (script, "Panicked;"),
            (script, "Panicked;"),
            ("F", "Failed(\"no a\");"),
            (script, "Panicked;"),
            (script, "Panicked;"),
        ] {
            assert_eq!(read(&mut bench.submit("a", script)), told);
        }
        assert!(!bench.log.lines().contains(&"self test".to_owned()));
        assert_eq!(read(&mut bench.submit("a", script)), "Panicked;");
        assert_eq!(
            soon(bench.workers.ended()),
            ended(EndReason::TooManyPanics { in_a_row: 3 })
        );
        let refused = bench.stepper.submit(bench.job("b", "l")).unwrap_err();
        assert_eq!(refused, SubmitError::Stopped);
    }
}

#[test]
fn a_model_found_broken_evicts_those_it_serves() {
    let settings = settings(2, 1);
    let mut bench = start_with(&settings, StepMetrics::unregistered(), Health::Fails);
    let mut stalled = bench.submit("s", "ccl");
    bench.rest();
    for _ in 0..3 {
        assert_eq!(read(&mut bench.submit("a", "P:")), "Panicked;");
    }
    // Before anything is read: a step of `s` would show that the model still works.
    assert_eq!(
        soon(bench.workers.ended()),
        ended(EndReason::TooManyPanics { in_a_row: 3 })
    );
    assert_eq!(bench.news().last().unwrap(), "evict s");
    assert_eq!(read(&mut stalled), "s0 Stopped;");
}

#[test]
fn a_model_that_cannot_be_built_is_told() {
    let (stepper, mut workers) = spawn_steps(settings(1, 1), StepMetrics::unregistered(), || {
        Err::<Scripted, BuildError>("no such file".into())
    });
    assert!(matches!(
        soon(workers.ready()),
        Err(StartError::Build {
            model: "scripted",
            worker: 0,
            ..
        })
    ));
    assert_eq!(soon(workers.ended()), ended(EndReason::NotBuilt));
    assert_eq!(stepper.load().urgent.held, 0);
}

#[test]
fn the_watch_sees_admissions_and_steps() {
    let bench = start(1, 8);
    let watch = bench.workers.watch();
    let mut chunks = bench.submit("a", "w:wl");
    bench.gate.wait_for(1);
    assert!(watch.oldest_call().is_some());
    bench.gate.open();
    read(&mut chunks);
    bench.rest();
    assert_eq!((watch.progress(), watch.oldest_call()), (3, None));
}
