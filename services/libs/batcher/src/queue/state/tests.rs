//! A line is drawn as a script, one word an event:
//!
//! - `u:a1`, `n:a1`, `b:a1`: a job of the key `a` arrives in the urgent, normal or background lane;
//! - `n:a1@s`: it belongs to the stream `s`; `n:a1<50`: its deadline is 50 ms from now; `n:a1!50`: it is
//!   due then, and all three in this order: `n:a1@s!50<60`;
//! - `+50`: 50 ms pass;
//! - `-a1`: the caller of `a1` goes away;
//! - `take`: a worker is free; `sweep`: a place is needed; `close`: the line closes; `load`: somebody asks.

use std::{cell::RefCell, collections::BTreeSet, fmt::Write as _, rc::Rc};

use expect_test::{Expect, expect};

use super::*;

mod due;

struct Named {
    name: String,
    gone: Rc<RefCell<BTreeSet<String>>>,
}

impl Abandonable for Named {
    fn is_abandoned(&self) -> bool {
        self.gone.borrow().contains(&self.name)
    }
}

/// At most three to a call, two in the background; lanes are raised after 100 ms.
fn check(script: &str, expected: Expect) {
    let at_most = |n| NonZeroUsize::new(n).unwrap();
    let max_batch = PerLane {
        background: at_most(2),
        ..PerLane::all(at_most(3))
    };
    check_with(max_batch, Duration::from_millis(100), script, expected);
}

fn check_with(
    max_batch: PerLane<NonZeroUsize>,
    raise_after: Duration,
    script: &str,
    expected: Expect,
) {
    let mut state = State::new(max_batch, raise_after);
    let gone = Rc::new(RefCell::new(BTreeSet::new()));
    let mut now = Instant::now();
    let mut seen = String::new();
    for word in script.split_whitespace() {
        if let Some(ms) = word.strip_prefix('+') {
            now += Duration::from_millis(ms.parse().unwrap());
        } else if let Some(name) = word.strip_prefix('-') {
            gone.borrow_mut().insert(name.to_owned());
        } else if word == "take" {
            let taken = state.take(now);
            list(&mut seen, "dead", &taken.dead);
            if taken.batch.is_empty() {
                seen.push_str("idle\n");
            } else {
                list(&mut seen, taken.lane.name(), &taken.batch);
            }
        } else if word == "sweep" {
            list(&mut seen, "dead", &state.sweep(now));
        } else if word == "close" {
            list(&mut seen, "left", &state.take_all());
        } else if word == "load" {
            for lane in Lane::ALL {
                let (name, n_waiting) = (lane.name(), state.n_waiting(lane));
                let oldest_ms = state.oldest_wait(lane, now).as_millis();
                let recent_ms = state.recent_wait(lane, now).as_millis();
                if 0 < n_waiting || 0 < recent_ms {
                    writeln!(
                        seen,
                        "{name}: {n_waiting} waiting, oldest {oldest_ms} ms, recent {recent_ms} ms"
                    )
                    .unwrap();
                }
            }
        } else {
            let replaced = arrive(&mut state, &gone, now, word);
            if let Some(name) = replaced {
                writeln!(seen, "replaced: {name}").unwrap();
            }
        }
    }
    expected.assert_eq(&seen);
}

/// Returns the name of the job that was replaced.
fn arrive(
    state: &mut State<char, Named>,
    gone: &Rc<RefCell<BTreeSet<String>>>,
    now: Instant,
    word: &str,
) -> Option<String> {
    let (lane, job) = word.split_once(':').unwrap();
    let lane = match lane {
        "u" => Lane::Urgent,
        "n" => Lane::Normal,
        "b" => Lane::Background,
        other => panic!("no lane {other}"),
    };
    let (job, deadline_ms) = match job.split_once('<') {
        Some((job, ms)) => (job, Some(ms.parse().unwrap())),
        None => (job, None),
    };
    let (job, due_ms) = match job.split_once('!') {
        Some((job, ms)) => (job, Some(ms.parse().unwrap())),
        None => (job, None),
    };
    let (name, stream) = match job.split_once('@') {
        Some((name, stream)) => (name, Some(StreamId(u64::from(stream.as_bytes()[0])))),
        None => (job, None),
    };
    let arrival = Arrival {
        key: name.chars().next().unwrap(),
        at: now,
        deadline: deadline_ms.map(|ms| now + Duration::from_millis(ms)),
        due: due_ms.map(|ms| now + Duration::from_millis(ms)),
        stream,
    };
    let load = Named {
        name: name.to_owned(),
        gone: Rc::clone(gone),
    };
    match stream.and_then(|stream| state.take_turn(lane, stream)) {
        Some(mut turn) => {
            turn.arrival = arrival;
            let replaced = mem::replace(&mut turn.load, load);
            state.put_back(lane, turn);
            Some(replaced.name)
        }
        None => {
            state.push(lane, arrival, load);
            None
        }
    }
}

fn list(seen: &mut String, what: &str, jobs: &[Entry<char, Named>]) {
    if !jobs.is_empty() {
        let names: Vec<&str> = jobs.iter().map(|job| job.load.name.as_str()).collect();
        writeln!(seen, "{what}: {}", names.join(" ")).unwrap();
    }
}

#[test]
fn higher_lanes_go_first_and_never_mix() {
    check(
        "b:a1 n:a2 u:a3 n:a4 u:a5 take take take take",
        expect![[r#"
            urgent: a3 a5
            normal: a2 a4
            background: a1
            idle
        "#]],
    );
}

#[test]
fn each_lane_has_its_own_batch_size() {
    check(
        "b:a1 b:a2 b:a3 u:a4 u:a5 u:a6 u:a7 take take take take",
        expect![[r#"
            urgent: a4 a5 a6
            urgent: a7
            background: a1 a2
            background: a3
        "#]],
    );
}

#[test]
fn keys_do_not_mix_and_the_oldest_is_never_passed_over() {
    check(
        "u:c1 u:a1 u:a2 u:c2 u:a3 take take take",
        expect![[r#"
        urgent: c1 c2
        urgent: a1 a2 a3
        idle
    "#]],
    );
}

#[test]
fn the_abandoned_cost_nothing() {
    check(
        "u:a1 u:a2 u:b1 -a1 -b1 take take",
        expect![[r#"
        dead: a1 b1
        urgent: a2
        idle
    "#]],
    );
}

#[test]
fn when_all_have_gone_the_worker_idles() {
    check(
        "u:a1 n:a2 -a1 -a2 take",
        expect![[r#"
        dead: a1 a2
        idle
    "#]],
    );
}

#[test]
fn the_expired_are_told_even_from_behind() {
    check(
        "u:a1 b:b1<50 u:a2<51 +50 take take",
        expect![[r#"
        dead: b1
        urgent: a1 a2
        idle
    "#]],
    );
}

#[test]
fn a_deadline_is_the_first_moment_that_is_too_late() {
    check(
        "u:a1<50 +49 take u:a2<50 +50 take",
        expect![[r#"
        urgent: a1
        dead: a2
        idle
    "#]],
    );
}

#[test]
fn a_sweep_finds_the_dead_of_every_lane() {
    check(
        "u:a1 n:a2<10 b:a3 b:a4 -a3 +10 sweep take take",
        expect![[r#"
        dead: a2 a3
        urgent: a1
        background: a4
    "#]],
    );
}

#[test]
fn the_newest_of_a_stream_takes_the_turn_of_the_waiting_one() {
    check(
        "n:a1@x n:b1 n:a2@x take take take",
        expect![[r#"
        replaced: a1
        normal: a2
        normal: b1
        idle
    "#]],
    );
}

#[test]
fn other_streams_and_other_lanes_are_not_replaced() {
    check(
        "n:a1@x n:a2@y u:a3@x n:a4 n:a5 take take take",
        expect![[r#"
        urgent: a3
        normal: a1 a2 a4
        normal: a5
    "#]],
    );
}

#[test]
fn a_replacement_brings_its_own_key_and_deadline() {
    check(
        "n:a1@x<20 n:b1@x n:b2 +30 take",
        expect![[r#"
        replaced: a1
        normal: b1 b2
    "#]],
    );
}

#[test]
fn a_job_whose_call_began_is_not_replaced() {
    check(
        "n:a1@x take n:a2@x take",
        expect![[r#"
        normal: a1
        normal: a2
    "#]],
    );
}

#[test]
fn a_waiting_lane_rises_with_age() {
    // At 99 ms the background is still itself; at 100 it counts as normal, and is the oldest there.
    check(
        "b:a1 +99 n:b1 take",
        expect![[r#"
        normal: b1
    "#]],
    );
    check(
        "b:a1 +99 n:b1 +1 take take",
        expect![[r#"
        background: a1
        normal: b1
    "#]],
    );
}

#[test]
fn it_rises_twice() {
    check(
        "b:a1 +199 u:b1 take",
        expect![[r#"
        urgent: b1
    "#]],
    );
    check(
        "b:a1 +199 u:b1 +1 take take",
        expect![[r#"
        background: a1
        urgent: b1
    "#]],
    );
}

#[test]
fn among_equals_the_older_goes_first() {
    // `n:b1` has itself risen to urgent, and `u:c1` is older than it.
    check(
        "u:c1 +1 n:b1 +100 take take",
        expect![[r#"
        urgent: c1
        normal: b1
    "#]],
    );
}

#[test]
fn a_long_line_of_old_jobs_gets_one_early_batch_at_a_time() {
    check(
        "b:a1 b:a2 b:a3 b:a4 b:a5 +200 u:x1 take u:x2 take +100 u:x3 take +100 take take take",
        expect![[r#"
            background: a1 a2
            urgent: x1 x2
            urgent: x3
            background: a3 a4
            background: a5
            idle
        "#]],
    );
}

#[test]
fn without_ageing_a_busy_lane_starves_the_others() {
    let three = PerLane::all(NonZeroUsize::new(3).unwrap());
    check_with(
        three,
        Duration::MAX,
        "b:a1 +1000000 u:x1 take",
        expect![[r#"
        urgent: x1
    "#]],
    );
}

#[test]
fn ageing_at_once_makes_all_lanes_equal() {
    let three = PerLane::all(NonZeroUsize::new(3).unwrap());
    check_with(
        three,
        Duration::ZERO,
        "b:a1 +1 u:x1 b:a2 take take",
        expect![[r#"
        background: a1 a2
        urgent: x1
    "#]],
    );
}

#[test]
fn a_replacement_keeps_the_age_of_its_turn() {
    check(
        "n:a1@x +60 n:a2@x +40 u:b1 load take take",
        expect![[r#"
            replaced: a1
            urgent: 1 waiting, oldest 0 ms, recent 0 ms
            normal: 1 waiting, oldest 100 ms, recent 0 ms
            normal: a2
            urgent: b1
        "#]],
    );
}

#[test]
fn closing_returns_everybody() {
    check(
        "b:a1 u:a2 n:a3 close take",
        expect![[r#"
        left: a2 a3 a1
        idle
    "#]],
    );
}

#[test]
fn the_recent_wait_follows_and_fades() {
    check(
        "load u:a1 +400 take load u:a2 +400 load take load +1000 load +60000 load",
        expect![[r#"
            urgent: a1
            urgent: 0 waiting, oldest 0 ms, recent 100 ms
            urgent: 1 waiting, oldest 400 ms, recent 75 ms
            urgent: a2
            urgent: 0 waiting, oldest 0 ms, recent 156 ms
            urgent: 0 waiting, oldest 0 ms, recent 78 ms
        "#]],
    );
}
