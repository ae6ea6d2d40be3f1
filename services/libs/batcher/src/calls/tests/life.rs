//! How workers begin and end.

use std::thread::Builder;

use super::*;

#[test]
fn a_model_lives_on_one_named_thread() {
    struct Homebound(Log);

    impl Homebound {
        fn note(&self, what: &str) {
            let thread = thread::current();
            self.0.note(format!("{what} on {}", thread.name().unwrap()));
        }
    }

    impl Drop for Homebound {
        fn drop(&mut self) {
            self.note("dropped");
        }
    }

    impl Model for Homebound {
        type Input = ();
        type Output = ();
        type Error = String;
        type Key = ();

        fn key((): &()) {}

        fn run(&mut self, batch: &[()]) -> Result<Vec<()>, String> {
            self.note("used");
            Ok(batch.to_vec())
        }

        fn self_test(&mut self) -> Result<(), String> {
            Ok(())
        }
    }

    let log = Log::default();
    let log_there = log.clone();
    let (batcher, mut workers) = spawn(settings(1), Metrics::unregistered(), move |worker| {
        let model = Homebound(log_there.clone());
        model.note(&format!("built as {worker}"));
        Ok(model)
    });
    soon(workers.ready()).unwrap();
    soon(batcher.submit(Job::new(Lane::Normal, ())).unwrap()).unwrap();
    drop(batcher);
    assert_eq!(soon(workers.ended()), ended(EndReason::Stopped));
    assert_eq!(
        log.lines(),
        [
            "built as 0 on scripted-0",
            "used on scripted-0",
            "dropped on scripted-0"
        ]
    );
}

#[test]
fn each_worker_builds_its_own() {
    let log = Log::default();
    let log_there = log.clone();
    let (_batcher, mut workers) = spawn(settings(3), Metrics::unregistered(), move |worker| {
        log_there.note(worker.to_string());
        Ok(Scripted::new(&log_there, Health::Sound))
    });
    soon(workers.ready()).unwrap();
    let mut built = log.lines();
    built.sort();
    assert_eq!(built, ["0", "1", "2"]);
}

#[test]
fn a_model_that_cannot_be_built_is_told() {
    let (batcher, mut workers) = spawn(settings(1), Metrics::unregistered(), |_| {
        Err::<Scripted, BuildError>("no such file".into())
    });
    let error = soon(workers.ready()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot build model `scripted` for worker 0"
    );
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.to_string(), "no such file");
    assert_eq!(soon(workers.ended()), ended(EndReason::NotBuilt));
    let refused = batcher.submit(job("a", Act::Answer)).unwrap_err();
    assert_eq!(refused, SubmitError::Stopped);
}

#[test]
fn a_panic_in_building_is_told() {
    let build = |_| -> Result<Scripted, BuildError> { panic!("corrupt weights") };
    let (_batcher, mut workers) = spawn(settings(1), Metrics::unregistered(), build);
    let error = soon(workers.ready()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "building model `scripted` for worker 0 panicked: corrupt weights"
    );
    assert_eq!(soon(workers.ended()), ended(EndReason::NotBuilt));
}

#[test]
fn a_job_may_come_before_its_model() {
    let gate = Arc::new(Gate::default());
    let gate_there = Arc::clone(&gate);
    let (batcher, _workers) = spawn(settings(1), Metrics::unregistered(), move |_| {
        gate_there.pass();
        Ok(Scripted::new(&Log::default(), Health::Sound))
    });
    let answer = batcher.submit(job("a", Act::Answer)).unwrap();
    gate.open();
    assert_eq!(soon(answer), yes("A"));
}

#[test]
fn stopping_lets_the_running_finish_and_tells_those_in_line() {
    let mut bench = start(1);
    let (gate, running) = bench.occupy();
    let waiting = bench.submit("a", Act::Answer);
    bench.workers.stop();
    assert_eq!(soon(waiting), Err(CallError::Stopped));
    gate.open();
    assert_eq!(soon(running), yes("Z"));
    assert_eq!(soon(bench.workers.ended()), ended(EndReason::Stopped));
    bench.workers.join();
}

#[test]
fn joining_waits_for_the_running_call() {
    let bench = start(1);
    let (gate, running) = bench.occupy();
    let Bench { workers, log, .. } = bench;
    let log_there = log.clone();
    let opener = Builder::new()
        .spawn(move || {
            log_there.note("open");
            gate.open();
        })
        .unwrap();
    workers.join();
    log.note("joined");
    opener.join().unwrap();
    assert_eq!(log.lines(), ["z", "open", "joined"]);
    assert_eq!(soon(running), yes("Z"));
}

#[test]
fn handles_and_workers_may_be_dropped_in_any_order() {
    let Bench {
        batcher, workers, ..
    } = start(2);
    drop(workers);
    let refused = batcher.submit(job("a", Act::Answer)).unwrap_err();
    assert_eq!(refused, SubmitError::Stopped);

    let Bench {
        batcher, workers, ..
    } = start(2);
    drop(batcher);
    workers.join();
}

#[test]
fn a_panic_outside_a_call_is_told() {
    struct Brittle;

    impl Drop for Brittle {
        fn drop(&mut self) {
            panic!("scripted");
        }
    }

    impl Model for Brittle {
        type Input = ();
        type Output = ();
        type Error = String;
        type Key = ();

        fn key((): &()) {}

        fn run(&mut self, batch: &[()]) -> Result<Vec<()>, String> {
            Ok(batch.to_vec())
        }

        fn self_test(&mut self) -> Result<(), String> {
            Ok(())
        }
    }

    let (batcher, mut workers) = spawn(settings(1), Metrics::unregistered(), |_| Ok(Brittle));
    soon(workers.ready()).unwrap();
    drop(batcher);
    assert_eq!(soon(workers.ended()), ended(EndReason::Panicked));
}
