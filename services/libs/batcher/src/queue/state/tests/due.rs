//! Dues against the plainest thing that could be right, and what they may not do to the others.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[test]
fn what_is_due_earlier_goes_first() {
    let one = PerLane::all(NonZeroUsize::MIN);
    check_with(
        one,
        Duration::MAX,
        "n:a1 n:a2!90 n:a3 n:a4!30 n:a5!90 u:a6!99 take take take take take take",
        expect![[r#"
            urgent: a6
            normal: a4
            normal: a2
            normal: a5
            normal: a1
            normal: a3
        "#]],
    );
}

#[test]
fn dues_do_not_mix_keys_and_fill_the_batch_in_their_order() {
    check(
        "n:a1 n:b1!50 n:a2!20 n:a3!10 n:b2!5 take take take",
        expect![[r#"
            normal: b2 b1
            normal: a3 a2 a1
            idle
        "#]],
    );
}

#[test]
fn a_due_that_has_passed_is_no_deadline() {
    check(
        "n:a1!10 n:a2!5<20 +15 take +5 take",
        expect![[r#"
        normal: a2 a1
        idle
    "#]],
    );
}

#[test]
fn the_oldest_is_passed_over_for_so_long_and_no_longer() {
    let one = PerLane::all(NonZeroUsize::MIN);
    let raise_after = Duration::from_millis(100);
    // `a1` and `a2` are due at no time; something that is comes before each call.
    check_with(
        one,
        raise_after,
        "n:a1 +1 n:a2 n:x1!5 take +98 n:x2!5 take n:x3!5 +1 take take +98 n:x4!5 take +2 n:x5!5 take take",
        expect![[r#"
            normal: x1
            normal: x2
            normal: a1
            normal: x3
            normal: x4
            normal: a2
            normal: x5
        "#]],
    );
}

#[test]
fn a_replacement_brings_its_own_due_and_keeps_its_age() {
    check(
        "n:a1@x!10 +1 n:b1!20 +1 n:a2@x!30 n:c1!30 load take take take",
        expect![[r#"
            replaced: a1
            normal: 3 waiting, oldest 2 ms, recent 0 ms
            normal: b1
            normal: a2
            normal: c1
        "#]],
    );
    check(
        "n:a1@x n:b1 n:a2@x take take",
        expect![[r#"
        replaced: a1
        normal: a2
        normal: b1
    "#]],
    );
}

/// A job that stays.
#[derive(Debug)]
struct Stays(usize);

impl Abandonable for Stays {
    fn is_abandoned(&self) -> bool {
        false
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn arrival(key: u8, at: Instant, due: Option<Instant>) -> Arrival<u8> {
    Arrival {
        key,
        at,
        deadline: None,
        due,
        stream: None,
    }
}

#[derive(Clone, Debug)]
enum Event {
    Arrive { key: u8, due_ms: Option<u64> },
    Pass(u64),
    Take,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0_u8..2, prop::option::weighted(0.7, 0_u64..40))
            .prop_map(|(key, due_ms)| Event::Arrive { key, due_ms }),
        2 => (0_u64..20).prop_map(Event::Pass),
        3 => Just(Event::Take),
    ]
}

const RAISE_AFTER: u64 = 50;
const MAX_BATCH: usize = 2;

/// Kept in the order of arrival, and searched from end to end.
struct Plain {
    jobs: Vec<(usize, u8, Option<Instant>, Instant)>,
    oldest_taken: Option<Instant>,
}

impl Plain {
    fn take(&mut self, now: Instant) -> Vec<usize> {
        let Some(&oldest) = self.jobs.first() else {
            return Vec::new();
        };
        let mut order = self.jobs.clone();
        // Stable, so equals stay in the order of arrival.
        order.sort_by_key(|&(_, _, due, _)| due.unwrap_or(now + ms(1_000_000)));
        let passed_over_since = self.oldest_taken.into_iter().chain([oldest.3]).max();
        if ms(RAISE_AFTER) <= now - passed_over_since.unwrap() {
            order.retain(|job| job.0 != oldest.0);
            order.insert(0, oldest);
        }
        let key = order[0].1;
        order.retain(|job| job.1 == key);
        order.truncate(MAX_BATCH);
        if order.iter().any(|job| job.0 == oldest.0) {
            self.oldest_taken = Some(now);
        }
        self.jobs
            .retain(|job| order.iter().all(|taken| taken.0 != job.0));
        order.iter().map(|job| job.0).collect()
    }
}

proptest! {
    #[test]
    fn a_lane_goes_by_due_then_by_age(events in prop::collection::vec(event(), 1..80)) {
        let max_batch = PerLane::all(NonZeroUsize::new(MAX_BATCH).unwrap());
        let mut state = State::new(max_batch, ms(RAISE_AFTER));
        let mut plain = Plain { jobs: Vec::new(), oldest_taken: None };
        let mut now = Instant::now();
        for (id, event) in events.into_iter().enumerate() {
            match event {
                Event::Arrive { key, due_ms } => {
                    let due = due_ms.map(|it| now + ms(it));
                    state.push(Lane::Normal, arrival(key, now, due), Stays(id));
                    plain.jobs.push((id, key, due, now));
                }
                Event::Pass(it) => now += ms(it),
                Event::Take => {
                    let taken = state.take(now).batch;
                    let ids: Vec<usize> = taken.iter().map(|job| job.load.0).collect();
                    prop_assert_eq!(ids, plain.take(now));
                }
            }
        }
        prop_assert_eq!(state.n_waiting(Lane::Normal), plain.jobs.len());
    }

    /// A call each millisecond, and before each something comes that is due sooner than all else.
    #[test]
    fn dues_pass_a_job_over_for_so_long_and_no_longer(
        arrivals in prop::collection::vec(prop::bool::weighted(0.05), 1..300),
    ) {
        let mut state = State::new(PerLane::all(NonZeroUsize::MIN), ms(RAISE_AFTER));
        let begin = Instant::now();
        // By the job: when it came, and how many older ones waited in the lane.
        let mut patient = BTreeMap::new();
        let mut tick = 0;
        while tick < arrivals.len() || !patient.is_empty() {
            let now = begin + ms(u64::try_from(tick).unwrap());
            if arrivals.get(tick) == Some(&true) {
                patient.insert(tick, (now, state.n_waiting(Lane::Normal)));
                state.push(Lane::Normal, arrival(0, now, None), Stays(tick));
            }
            state.push(Lane::Normal, arrival(0, now, Some(begin)), Stays(usize::MAX));
            for job in state.take(now).batch {
                if let Some((came, n_older)) = patient.remove(&job.load.0) {
                    let limit = ms(RAISE_AFTER) * (u32::try_from(n_older).unwrap() + 1);
                    prop_assert!(now - came <= limit, "{n_older} older, {:?}", now - came);
                }
            }
            tick += 1;
        }
    }
}
