//! Real threads with a scripted model. Order is made by gates that the model waits at, never by sleeping.

use std::{thread, time::Instant};

use self::scripted::{Act, Bench, Scripted, job, settings, start, start_with};
use super::*;
use crate::{
    error::CallError,
    lane::Lane,
    testing::{Gate, Health, Log, soon},
    worker::{EndReason, Ended},
};

mod life;
mod scripted;

fn ended(reason: EndReason) -> Ended {
    Ended {
        model: "scripted",
        worker: 0,
        reason,
    }
}

fn yes(name: &str) -> Result<String, CallError<String>> {
    Ok(name.to_owned())
}

/// Submits jobs that are sure to share a call; `answers` and `calls` are what is expected.
#[track_caller]
fn check(
    jobs: &[(&'static str, Act)],
    answers: &[Result<String, CallError<String>>],
    calls: &[&str],
) {
    let bench = start(1);
    let (gate, first) = bench.occupy();
    let pending: Vec<_> = jobs
        .iter()
        .map(|(name, act)| bench.submit(name, act.clone()))
        .collect();
    gate.open();
    assert_eq!(soon(first), yes("Z"));
    let given: Vec<_> = pending.into_iter().map(soon).collect();
    assert_eq!(given, answers);
    assert_eq!(bench.log.lines()[1..], *calls);
    assert_eq!(bench.batcher.load().urgent.held, 0);
}

#[test]
fn what_waits_while_a_call_runs_shares_the_next() {
    check(
        &[
            ("a1", Act::Answer),
            ("b1", Act::Answer),
            ("a2", Act::Answer),
        ],
        &[yes("A1"), yes("B1"), yes("A2")],
        &["a1 a2", "b1"],
    );
}

/// Two that ask again as soon as they are answered, as long recordings do. Each call is long enough to be lingered after for as long as
/// it ever is; a machine that is busy may be too late for that once or twice.
#[test]
fn two_that_take_turns_in_the_background_soon_share_a_call() {
    let bench = start(1);
    let ask = || {
        let gate = Arc::new(Gate::default());
        let job = Job {
            lane: Lane::Background,
            ..job("a", Act::Wait(Arc::clone(&gate)))
        };
        (gate, bench.batcher.submit(job).unwrap())
    };
    let (mut gate, mut runs) = ask();
    gate.wait_for(1);
    let (mut next_gate, mut waits) = ask();
    for _ in 0..20 {
        thread::park_timeout(Duration::from_millis(200));
        gate.open();
        assert_eq!(runs.wait(), yes("A"));
        let (again_gate, again) = ask();
        next_gate.wait_for(1);
        if bench.log.lines().last().is_some_and(|it| it == "a a") {
            next_gate.open();
            again_gate.open();
            assert_eq!((waits.wait(), again.wait()), (yes("A"), yes("A")));
            return;
        }
        (gate, runs) = (next_gate, waits);
        (next_gate, waits) = (again_gate, again);
    }
    // Or the worker would be waited for.
    gate.open();
    next_gate.open();
    panic!("they never shared one: {:?}", bench.log.lines());
}

#[test]
fn one_that_panics_fails_alone() {
    check(
        &[("a1", Act::Answer), ("a2", Act::Panic), ("a3", Act::Answer)],
        &[yes("A1"), Err(CallError::Panicked), yes("A3")],
        &["a1 a2 a3", "a1", "a2", "a3"],
    );
}

#[test]
fn one_that_fails_fails_alone() {
    check(
        &[("a1", Act::Answer), ("a2", Act::Fail), ("a3", Act::Answer)],
        &[
            yes("A1"),
            Err(CallError::Failed("no a2".to_owned())),
            yes("A3"),
        ],
        &["a1 a2 a3", "a1", "a2", "a3"],
    );
}

#[test]
fn one_that_is_miscounted_fails_alone() {
    check(
        &[
            ("a1", Act::Answer),
            ("a2", Act::Miscount(0)),
            ("a3", Act::Miscount(3)),
        ],
        &[
            yes("A1"),
            Err(CallError::Miscounted { n_outputs: 0 }),
            Err(CallError::Miscounted { n_outputs: 3 }),
        ],
        &["a1 a2 a3", "a1", "a2", "a3"],
    );
}

#[test]
fn one_alone_is_not_tried_twice() {
    check(
        &[("a1", Act::Fail)],
        &[Err(CallError::Failed("no a1".to_owned()))],
        &["a1"],
    );
}

#[test]
fn a_call_that_only_fails_in_company_answers_everybody() {
    check(
        &[("a1", Act::Answer), ("a2", Act::Shy)],
        &[yes("A1"), yes("A2")],
        &["a1 a2", "a1", "a2"],
    );
}

#[test]
fn who_left_or_is_late_is_not_tried_again() {
    let bench = start(1);
    let (first_gate, _first) = bench.occupy();
    let gate = Arc::new(Gate::default());
    let stays = bench.submit("a1", Act::Wait(Arc::clone(&gate)));
    let leaves = bench.submit("a2", Act::Answer);
    let deadline = Instant::now() + Duration::from_secs(3);
    let is_late = bench
        .batcher
        .submit(Job {
            deadline: Some(deadline),
            ..job("a3", Act::Answer)
        })
        .unwrap();
    let spoils = bench.submit("a4", Act::Fail);
    first_gate.open();
    gate.wait_for(1);
    drop(leaves);
    while Instant::now() < deadline {
        thread::park_timeout(deadline - Instant::now());
    }
    gate.open();
    assert_eq!(soon(stays), yes("A1"));
    assert_eq!(soon(is_late), Err(CallError::Expired));
    assert_eq!(soon(spoils), Err(CallError::Failed("no a4".to_owned())));
    assert_eq!(bench.log.lines(), ["z", "a1 a2 a3 a4", "a1", "a4"]);
}

#[test]
fn several_workers_share_the_queue() {
    let bench = start(2);
    let (gate, first) = bench.occupy();
    // The first worker stands at the gate, so this answer comes from the other.
    assert_eq!(soon(bench.submit("a1", Act::Answer)), yes("A1"));
    let (other_gate, second) = bench.occupy();
    let third = bench.submit("a2", Act::Answer);
    gate.open();
    assert_eq!(soon(first), yes("Z"));
    assert_eq!(soon(third), yes("A2"));
    other_gate.open();
    assert_eq!(soon(second), yes("Z"));
}

#[track_caller]
fn check_broken(health: Health) {
    let mut bench = start_with(1, health);
    // A call that came back starts the count anew, and one that failed came back.
    for act in [
        Act::Panic,
        Act::Panic,
        Act::Answer,
        Act::Panic,
        Act::Panic,
        Act::Fail,
        Act::Panic,
        Act::Panic,
    ] {
        drop(soon(bench.submit("a", act)));
    }
    assert!(!bench.log.lines().contains(&"self test".to_owned()));
    assert_eq!(
        soon(bench.submit("a", Act::Panic)),
        Err(CallError::Panicked)
    );
    assert_eq!(
        soon(bench.workers.ended()),
        ended(EndReason::TooManyPanics { in_a_row: 3 })
    );
    let refused = bench.batcher.submit(job("a", Act::Answer)).unwrap_err();
    assert_eq!(refused, SubmitError::Stopped);
}

#[test]
fn a_model_that_panics_and_fails_its_self_test_ends_its_worker() {
    check_broken(Health::Fails);
    check_broken(Health::Panics);
}

#[test]
fn who_makes_a_model_panic_again_and_again_on_a_quiet_server_ends_nobody() {
    let bench = start(1);
    for _ in 0..20 {
        assert_eq!(
            soon(bench.submit("a", Act::Panic)),
            Err(CallError::Panicked)
        );
    }
    assert_eq!(soon(bench.submit("b", Act::Answer)), yes("B"));
    let n_tests = bench
        .log
        .lines()
        .into_iter()
        .filter(|it| *it == "self test");
    assert_eq!(n_tests.count(), 6, "one for each three panics");
}

#[test]
fn a_model_that_answers_the_others_is_not_broken() {
    // Three batches in a row, of a key each.
    check(
        &[
            ("a1", Act::Panic),
            ("a2", Act::Answer),
            ("b1", Act::Panic),
            ("b2", Act::Answer),
            ("c1", Act::Panic),
            ("c2", Act::Answer),
            ("d", Act::Answer),
        ],
        &[
            Err(CallError::Panicked),
            yes("A2"),
            Err(CallError::Panicked),
            yes("B2"),
            Err(CallError::Panicked),
            yes("C2"),
            yes("D"),
        ],
        &[
            "a1 a2", "a1", "a2", "b1 b2", "b1", "b2", "c1 c2", "c1", "c2", "d",
        ],
    );
}

#[test]
fn when_the_last_worker_ends_those_in_line_are_told() {
    let mut bench = start_with(1, Health::Fails);
    let (gate, _occupied) = bench.occupy();
    // One key each, so that each is a batch of its own.
    let panics = ["a", "b", "c"].map(|name| bench.submit(name, Act::Panic));
    let left = bench.submit("d", Act::Answer);
    gate.open();
    for answer in panics {
        assert_eq!(soon(answer), Err(CallError::Panicked));
    }
    assert_eq!(soon(left), Err(CallError::Stopped));
    soon(bench.workers.ended());
}

#[test]
fn while_another_worker_lives_the_queue_is_open() {
    let mut bench = start_with(2, Health::Fails);
    let (gate, occupied) = bench.occupy();
    for _ in 0..3 {
        assert_eq!(
            soon(bench.submit("a", Act::Panic)),
            Err(CallError::Panicked)
        );
    }
    let end = soon(bench.workers.ended());
    assert_eq!(end.reason, EndReason::TooManyPanics { in_a_row: 3 });
    let waiting = bench.submit("b", Act::Answer);
    gate.open();
    assert_eq!(soon(occupied), yes("Z"));
    assert_eq!(soon(waiting), yes("B"));
}

#[test]
fn the_watch_sees_calls_run_and_end() {
    let bench = start(1);
    let watch = bench.workers.watch();
    assert_eq!((watch.progress(), watch.oldest_call()), (0, None));
    let (gate, running) = bench.occupy();
    assert_eq!(watch.progress(), 0);
    assert!(watch.oldest_call().is_some());
    gate.open();
    soon(running).unwrap();
    assert_eq!((watch.progress(), watch.oldest_call()), (1, None));
    assert!(soon(bench.submit("a", Act::Panic)).is_err());
    assert_eq!((watch.progress(), watch.oldest_call()), (2, None));
}

#[test]
fn no_runtime_is_needed() {
    let bench = start(1);
    assert_eq!(bench.submit("a", Act::Answer).wait(), yes("A"));
}

#[test]
fn what_a_call_took_is_measured() {
    let registry = prometheus::Registry::new();
    let families = crate::Families::register(&registry, "t").unwrap();
    // Two models share the families.
    let (batcher, _workers) = spawn(settings(1), families.model("one"), |_| {
        Ok(Scripted::new(&Log::default(), Health::Sound))
    });
    let _other = families.model("other");
    assert!(
        batcher
            .submit(job("a", Act::Answer))
            .unwrap()
            .wait()
            .is_ok()
    );
    assert!(batcher.submit(job("a", Act::Fail)).unwrap().wait().is_err());
    let text = prometheus::TextEncoder::new()
        .encode_to_string(&registry.gather())
        .unwrap();
    let counts: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("_count") || line.starts_with("t_jobs"))
        .filter(|line| !line.ends_with(" 0"))
        .collect();
    expect_test::expect![[r#"
        [
            "t_batch_size_count{model=\"one\"} 2",
            "t_inference_seconds_count{stage=\"one\"} 2",
            "t_jobs_total{lane=\"urgent\",model=\"one\",outcome=\"answered\"} 1",
            "t_jobs_total{lane=\"urgent\",model=\"one\",outcome=\"failed\"} 1",
            "t_queue_wait_seconds_count{lane=\"urgent\",model=\"one\"} 2",
        ]
    "#]]
    .assert_debug_eq(&counts);
    assert!(text.contains(r#"t_jobs_total{lane="urgent",model="other",outcome="answered"} 0"#));
    assert!(text.contains(r#"t_batch_size_bucket{model="one",le="1"} 2"#));
}
