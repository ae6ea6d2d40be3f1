//! Real threads with a scripted model. Order is made by gates that the model waits at, and by waiting
//! until the worker's thread has nothing to do, never by sleeping.

use std::time::Instant;

use self::scripted::{Bench, Request, Scripted, settings, start, start_with};
use super::*;
use crate::{
    lane::Lane,
    queue::StreamId,
    testing::{Gate, Health, soon},
};

mod ends;
mod scripted;

/// What a reader is told until the end: chunks, and `;` or the error.
fn read(chunks: &mut Chunks<String, String>) -> String {
    let mut told = String::new();
    loop {
        match soon(chunks.next()) {
            Some(Ok(chunk)) => told += &format!("{chunk} "),
            Some(Err(error)) => told += &format!("{error:?}"),
            None => break told + ";",
        }
    }
}

/// One request alone.
#[track_caller]
fn check_alone(script: &'static str, told: &str, calls: &[&str]) {
    let bench = start(2, 8);
    let mut chunks = bench.submit("a", script);
    assert_eq!(read(&mut chunks), told);
    assert_eq!(soon(chunks.next()), None, "there is one end");
    bench.rest();
    assert_eq!(bench.news(), calls);
    assert_eq!(bench.stepper.load().urgent.held, 0);
}

#[test]
fn chunks_come_in_order_and_end() {
    check_alone(
        "cc.l",
        "a0 a1 a2 ;",
        &[
            "admit a to 0",
            "step a",
            "step a",
            "step a",
            "step a",
            "evict a",
        ],
    );
    check_alone(
        "ce",
        "a0 ;",
        &["admit a to 0", "step a", "step a", "evict a"],
    );
    check_alone("e", ";", &["admit a to 0", "step a", "evict a"]);
}

#[test]
fn one_that_fails_ends_with_why() {
    let alone = &["admit a to 0", "step a", "step a", "evict a"];
    check_alone("cf", "a0 Failed(\"no a\");", alone);
    check_alone("cF", "a0 Failed(\"no a\");", alone);
    check_alone("cP", "a0 Panicked;", alone);
    check_alone("cM", "a0 Miscounted { n_outputs: 0 };", alone);
}

#[test]
fn one_that_is_not_let_in_is_not_evicted() {
    check_alone("F:", "Failed(\"no a\");", &["admit a to 0"]);
    check_alone("P:", "Panicked;", &["admit a to 0"]);
}

/// Three requests in a batch, of which `b` spoils the second step in some way.
#[track_caller]
fn check_together(spoiled: &'static str, told: &str, calls: &[&str]) {
    let bench = start(3, 8);
    let mut z = bench.submit("a", "wccl");
    bench.gate.wait_for(1);
    let mut b = bench.submit("b", spoiled);
    let mut c = bench.submit("c", "cl");
    bench.gate.open();
    assert_eq!(read(&mut z), "a0 a1 a2 a3 ;");
    assert_eq!(read(&mut b), told);
    assert_eq!(read(&mut c), "c0 c1 ;");
    bench.rest();
    let news = bench.news();
    assert_eq!(
        news[..5],
        [
            "admit a to 0",
            "step a",
            "admit b to 1",
            "step a b",
            "admit c to 2"
        ]
    );
    assert_eq!(news[5..], *calls);
}

#[test]
fn those_who_come_later_join_the_steps_one_by_one() {
    check_together(
        "ccl",
        "b0 b1 b2 ;",
        &["step a b c", "step a b c", "evict a", "evict b", "evict c"],
    );
}

#[test]
fn one_that_spoils_a_step_is_alone_with_it() {
    let alone = [
        "step a b c",
        "step a",
        "step b",
        "evict b",
        "step c",
        "step a c",
        "evict a",
        "evict c",
    ];
    check_together("cF", "b0 Failed(\"no b\");", &alone);
    check_together("cP", "b0 Panicked;", &alone);
    check_together("cM", "b0 Miscounted { n_outputs: 0 };", &alone);
}

#[test]
fn one_that_fails_by_itself_spoils_no_step() {
    check_together(
        "cf",
        "b0 Failed(\"no b\");",
        &["step a b c", "evict b", "step a c", "evict a", "evict c"],
    );
}

#[test]
fn a_step_that_only_fails_in_company_is_made_one_by_one() {
    check_together(
        "cSl",
        "b0 b1 b2 ;",
        &[
            "step a b c",
            "step a",
            "step b",
            "step c",
            "step a b c",
            "evict a",
            "evict b",
            "evict c",
        ],
    );
}

#[test]
fn who_reads_too_slowly_stands_still_alone() {
    let bench = start(2, 3);
    let mut slow = bench.submit("s", "cccccl");
    bench.rest();
    assert_eq!(bench.news(), ["admit s to 0", "step s", "step s", "step s"]);
    let mut fast = bench.submit("f", "ccccccccl");
    assert_eq!(read(&mut fast), "f0 f1 f2 f3 f4 f5 f6 f7 f8 ;");
    bench.rest();
    let news = bench.news();
    assert_eq!(news[0], "admit f to 1");
    assert!(news[1..10].iter().all(|it| it == "step f"), "{news:?}");

    // One chunk read makes room for one more.
    assert_eq!(soon(slow.next()), Some(Ok("s0".to_owned())));
    until_noted(&bench, "step s");
    bench.rest();
    assert_eq!(
        bench.news(),
        ["evict f", "step s"][usize::from(news.len() == 11)..]
    );
    assert_eq!(read(&mut slow), "s1 s2 s3 s4 s5 ;");
}

#[track_caller]
fn until_noted(bench: &Bench, what: &str) {
    let begin = Instant::now();
    while !bench.log.lines().iter().any(|it| it == what) {
        assert!(begin.elapsed() < crate::testing::LONG, "never: {what}");
        std::thread::yield_now();
    }
}

#[test]
fn with_room_for_one_chunk_its_end_still_fits() {
    let bench = start(1, 1);
    let mut chunks = bench.submit("a", "ccl");
    bench.rest();
    assert_eq!(read(&mut chunks), "a0 a1 a2 ;");
    let mut stopped = bench.submit("b", "ccl");
    bench.rest();
    bench.workers.join();
    assert_eq!(read(&mut stopped), "b0 Stopped;");
}

#[test]
fn who_has_gone_is_evicted_before_the_next_step() {
    let bench = start(3, 8);
    let leaves = bench.submit("l", "ccwccccccc");
    let mut stays = bench.submit("s", "ccccl");
    bench.gate.wait_for(1);
    bench.news();
    drop(leaves);
    bench.gate.open();
    assert!(read(&mut stays).ends_with(" ;"));
    assert_eq!(bench.news()[0], "evict l");
}

#[test]
fn who_leaves_during_a_step_that_fails_is_not_stepped_again() {
    let bench = start(3, 8);
    let leaves = bench.submit("l", "wcccc");
    bench.gate.wait_for(1);
    let gate = Arc::new(Gate::default());
    let waits = Request {
        name: "w",
        script: "cwl",
        gate: Arc::clone(&gate),
    };
    let mut waits = bench.stepper.submit(Job::new(Lane::Urgent, waits)).unwrap();
    let mut spoils = bench.submit("s", "Sl");
    bench.gate.open();
    // In the step of all three, which the last one of them will spoil.
    gate.wait_for(1);
    bench.news();
    drop(leaves);
    gate.open();
    assert_eq!(read(&mut waits), "w0 w1 w2 ;");
    assert_eq!(read(&mut spoils), "s0 s1 ;");
    bench.rest();
    assert_eq!(
        bench.news(),
        [
            "step w", "step s", "evict l", "step w s", "evict w", "evict s"
        ]
    );
}

#[test]
fn who_leaves_while_it_is_let_in_is_never_stepped() {
    let bench = start(1, 8);
    let leaves = bench.submit("l", "w:ccc");
    bench.gate.wait_for(1);
    drop(leaves);
    bench.gate.open();
    until_noted(&bench, "evict l");
    bench.rest();
    assert_eq!(bench.news(), ["admit l to 0", "evict l"]);
}

#[test]
fn a_sleeping_thread_is_woken_by_a_job_by_room_and_by_leaving() {
    let bench = start(2, 1);
    bench.rest();
    let mut reads = bench.submit("r", "ccl");
    until_noted(&bench, "step r");
    bench.rest();
    bench.news();
    assert_eq!(soon(reads.next()), Some(Ok("r0".to_owned())));
    until_noted(&bench, "step r");
    bench.rest();
    bench.news();
    drop(reads);
    until_noted(&bench, "evict r");
    bench.rest();
    assert_eq!(bench.stepper.load().urgent.held, 0);
}

#[test]
fn who_waits_for_a_slot_gets_the_next_that_is_free() {
    let bench = start(2, 1);
    let first = bench.submit("a", "ccl");
    let mut second = bench.submit("b", "ccl");
    let mut third = bench.submit("c", "cl");
    bench.rest();
    assert_eq!(bench.stepper.load().urgent.waiting, 1);
    bench.news();
    drop(first);
    until_noted(&bench, "step c");
    bench.rest();
    assert_eq!(bench.news(), ["evict a", "admit c to 0", "step c"]);
    assert_eq!(read(&mut third), "c0 c1 ;");
    assert_eq!(read(&mut second), "b0 b1 b2 ;");
}

#[test]
fn what_is_due_first_is_let_in_first() {
    let bench = start(1, 8);
    let mut first = bench.submit("a", "wl");
    bench.gate.wait_for(1);
    let now = Instant::now();
    let due = |name, ms| Job {
        due: Some(now + Duration::from_millis(ms)),
        ..bench.job(name, "l")
    };
    let mut others = [
        bench.submit("b", "l"),
        bench.stepper.submit(due("c", 900)).unwrap(),
        bench.stepper.submit(due("d", 100)).unwrap(),
    ];
    bench.gate.open();
    read(&mut first);
    for it in &mut others {
        read(it);
    }
    let mut admitted = bench.news();
    admitted.retain(|it| it.starts_with("admit"));
    assert_eq!(
        admitted,
        [
            "admit a to 0",
            "admit d to 0",
            "admit c to 0",
            "admit b to 0"
        ]
    );
}

#[test]
fn who_waited_too_long_is_told_though_nothing_else_happens() {
    let bench = start(1, 1);
    let _stalled = bench.submit("a", "ccl");
    // Who has more time than that does not keep the others waiting.
    let patient = Job {
        deadline: Some(Instant::now() + Duration::from_secs(3_600)),
        ..bench.job("c", "l")
    };
    let _patient = bench.stepper.submit(patient).unwrap();
    bench.rest();
    let late = Job {
        deadline: Some(Instant::now() + Duration::from_millis(30)),
        ..bench.job("b", "l")
    };
    let mut late = bench.stepper.submit(late).unwrap();
    assert_eq!(read(&mut late), "Expired;");
    assert_eq!(bench.stepper.load().urgent.held, 2);
}

#[test]
fn a_newer_one_takes_the_turn_of_the_older() {
    let bench = start(1, 8);
    let mut first = bench.submit("a", "wl");
    bench.gate.wait_for(1);
    let stream = |name| Job {
        replaces: Some(StreamId(1)),
        ..bench.job(name, "l")
    };
    let mut old = bench.stepper.submit(stream("b")).unwrap();
    let mut new = bench.stepper.submit(stream("c")).unwrap();
    assert_eq!(read(&mut old), "Replaced;");
    bench.gate.open();
    assert_eq!(read(&mut first), "a0 a1 ;");
    assert_eq!(read(&mut new), "c0 ;");
}

#[test]
fn no_runtime_is_needed() {
    let bench = start(1, 8);
    let mut chunks = bench.submit("a", "cl");
    assert_eq!(chunks.wait_next(), Some(Ok("a0".to_owned())));
    assert_eq!(chunks.wait_next(), Some(Ok("a1".to_owned())));
    assert_eq!(chunks.wait_next(), None);
    assert_eq!(chunks.wait_next(), None);
}

#[test]
fn what_happens_is_counted() {
    let registry = prometheus::Registry::new();
    let families = crate::Families::register(&registry, "t").unwrap();
    let bench = start_with(&settings(3, 2), families.steps("m"), Health::Sound);
    // The second is there before the first has made a step.
    let begins = Arc::new(Gate::default());
    let held = Request {
        name: "a",
        script: "w:cc",
        gate: Arc::clone(&begins),
    };
    let mut first = bench.stepper.submit(Job::new(Lane::Urgent, held)).unwrap();
    begins.wait_for(1);
    let _stalled = bench.submit("b", "ccc");
    begins.open();
    bench.rest();
    let _third = bench.submit("c", "w");
    bench.gate.wait_for(1);
    for script in ["l", "F:", "P:"] {
        drop(bench.stepper.submit(Job {
            lane: Lane::Normal,
            ..bench.job("d", script)
        }));
    }
    let text = prometheus::TextEncoder::new()
        .encode_to_string(&registry.gather())
        .unwrap();
    let seen: Vec<&str> = text
        .lines()
        .filter(|it| !it.starts_with('#') && !it.contains("_bucket") && !it.contains("seconds_sum"))
        .filter(|it| !it.ends_with(" 0"))
        .collect();
    expect_test::expect![[r#"
        t_batch_size_sum{model="m"} 4
        t_batch_size_count{model="m"} 3
        t_inference_seconds_count{stage="m"} 3
        t_inference_seconds_count{stage="m_admit"} 3
        t_queue_depth{lane="normal",model="m"} 3
        t_queue_wait_seconds_count{lane="urgent",model="m"} 3
        t_slots{model="m",state="running"} 1
        t_slots{model="m",state="stalled"} 2
    "#]]
    .assert_eq(&(seen.join("\n") + "\n"));
    bench.gate.open();
    soon(first.next()).unwrap().unwrap();
}
