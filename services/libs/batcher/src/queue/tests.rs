//! The queue without workers: the tests take batches themselves, so nothing here depends on timing.

use std::{
    num::NonZeroUsize,
    pin::Pin,
    sync::Weak,
    task::{Context, Poll, Wake, Waker},
};

use expect_test::{Expect, expect};
use prometheus::{Registry, TextEncoder};

use super::*;
use crate::{
    Answer, Families, Model,
    calls::CallQueue,
    reply::{OneReply, one_answer},
};

/// Something to do when an input is dropped or a caller woken.
type Hook = Box<dyn Fn() + Send + Sync>;

#[derive(Default)]
struct Input {
    name: &'static str,
    on_drop: Option<Hook>,
}

impl Drop for Input {
    fn drop(&mut self) {
        if let Some(hook) = &self.on_drop {
            hook();
        }
    }
}

/// A model that no test here runs.
enum Unused {}

impl Model for Unused {
    type Input = Input;
    type Output = &'static str;
    type Error = &'static str;
    type Key = ();

    fn key(_: &Input) {}

    fn run(&mut self, _: &[Input]) -> Result<Vec<&'static str>, &'static str> {
        match *self {}
    }

    fn self_test(&mut self) -> Result<(), &'static str> {
        match *self {}
    }
}

type Answered = Answer<&'static str, &'static str>;
type Outcome = Result<&'static str, CallError<&'static str>>;

fn queue_with_places(places: PerLane<usize>) -> (Arc<CallQueue<Unused>>, Registry) {
    let registry = Registry::new();
    let metrics = Families::register(&registry, "t").unwrap().model("m");
    let queueing = Queueing {
        places,
        max_batch: PerLane::all(NonZeroUsize::new(4).unwrap()),
        raise_after: Duration::from_secs(1),
    };
    (Arc::new(Queue::new(&queueing, metrics)), registry)
}

fn submit(queue: &CallQueue<Unused>, job: Job<Input>) -> Result<Answered, SubmitError> {
    queue.submit(job, (), one_answer)
}

fn job(name: &'static str) -> Job<Input> {
    let input = Input {
        name,
        on_drop: None,
    };
    Job::new(Lane::Normal, input)
}

fn names(batch: &[Queued<(), Input, OneReply<&'static str, &'static str>>]) -> Vec<&'static str> {
    batch.iter().map(|job| job.load.input.name).collect()
}

fn answer_all(
    queue: &CallQueue<Unused>,
    batch: Vec<Queued<(), Input, OneReply<&'static str, &'static str>>>,
) {
    for job in batch {
        job.load.ticket.answer(Ok("yes"), &queue.metrics);
    }
}

/// What a caller sees that looks once.
fn look(answer: &mut Answer<&'static str, &'static str>) -> Poll<Outcome> {
    Pin::new(answer).poll(&mut Context::from_waker(Waker::noop()))
}

fn check_series(registry: &Registry, wanted: &str, expected: Expect) {
    let text = TextEncoder::new()
        .encode_to_string(&registry.gather())
        .unwrap();
    let seen: String = text
        .lines()
        .filter(|line| line.starts_with(wanted) && !line.ends_with(" 0"))
        .flat_map(|line| [line, "\n"])
        .collect();
    expected.assert_eq(&seen);
}

#[test]
fn a_full_lane_refuses_and_the_others_do_not_care() {
    let (queue, registry) = queue_with_places(PerLane {
        urgent: 1,
        normal: 2,
        background: 0,
    });
    let _first = submit(&queue, job("first")).unwrap();
    let _second = submit(&queue, job("second")).unwrap();
    assert_eq!(
        submit(&queue, job("third")).unwrap_err(),
        SubmitError::Full { capacity: 2 }
    );
    let urgent = Job {
        lane: Lane::Urgent,
        ..job("urgent")
    };
    let _urgent = submit(&queue, urgent).unwrap();
    let background = Job {
        lane: Lane::Background,
        ..job("background")
    };
    assert_eq!(
        submit(&queue, background).unwrap_err(),
        SubmitError::Full { capacity: 0 }
    );
    check_series(
        &registry,
        "t_jobs_total",
        expect![[r#"
        t_jobs_total{lane="background",model="m",outcome="refused"} 1
        t_jobs_total{lane="normal",model="m",outcome="refused"} 1
    "#]],
    );
    check_series(
        &registry,
        "t_queue_depth",
        expect![[r#"
        t_queue_depth{lane="normal",model="m"} 2
        t_queue_depth{lane="urgent",model="m"} 1
    "#]],
    );
}

#[test]
fn a_running_job_keeps_its_place_even_if_its_caller_has_gone() {
    let (queue, registry) = queue_with_places(PerLane::all(1));
    let answer = submit(&queue, job("first")).unwrap();
    let running = queue.next_batch().unwrap();
    drop(answer);
    assert_eq!(
        submit(&queue, job("second")).unwrap_err(),
        SubmitError::Full { capacity: 1 }
    );
    let load = queue.load().normal;
    assert_eq!((load.held, load.waiting), (1, 0));
    answer_all(&queue, running);
    assert_eq!(queue.load().normal.held, 0);
    let _third = submit(&queue, job("third")).unwrap();
    check_series(
        &registry,
        "t_jobs_total",
        expect![[r#"
        t_jobs_total{lane="normal",model="m",outcome="abandoned"} 1
        t_jobs_total{lane="normal",model="m",outcome="refused"} 1
    "#]],
    );
}

#[test]
fn a_waiting_job_whose_caller_has_gone_yields_its_place_when_it_is_needed() {
    let (queue, registry) = queue_with_places(PerLane::all(1));
    drop(submit(&queue, job("first")).unwrap());
    assert_eq!(queue.load().normal.held, 1);
    let _second = submit(&queue, job("second")).unwrap();
    assert_eq!(queue.load().normal.held, 1);
    assert_eq!(names(&queue.next_batch().unwrap()), ["second"]);
    check_series(
        &registry,
        "t_jobs_total",
        expect![[r#"
        t_jobs_total{lane="normal",model="m",outcome="abandoned"} 1
    "#]],
    );
}

#[test]
fn an_expired_job_yields_its_place_when_it_is_needed_and_is_told() {
    let (queue, registry) = queue_with_places(PerLane::all(1));
    let mut first = submit(
        &queue,
        Job {
            deadline: Some(Instant::now()),
            ..job("first")
        },
    )
    .unwrap();
    assert_eq!(look(&mut first), Poll::Pending);
    let _second = submit(&queue, job("second")).unwrap();
    assert_eq!(look(&mut first), Poll::Ready(Err(CallError::Expired)));
    check_series(
        &registry,
        "t_jobs_total",
        expect![[r#"
        t_jobs_total{lane="normal",model="m",outcome="expired"} 1
    "#]],
    );
}

#[test]
fn the_dead_are_answered_before_a_batch_is_handed_out() {
    let (queue, registry) = queue_with_places(PerLane::all(3));
    let mut first = submit(
        &queue,
        Job {
            deadline: Some(Instant::now()),
            ..job("first")
        },
    )
    .unwrap();
    drop(submit(&queue, job("second")).unwrap());
    let _third = submit(&queue, job("third")).unwrap();
    let batch = queue.next_batch().unwrap();
    assert_eq!(names(&batch), ["third"]);
    assert_eq!(look(&mut first), Poll::Ready(Err(CallError::Expired)));
    assert_eq!(queue.load().normal.held, 1);
    check_series(
        &registry,
        "t_jobs_total",
        expect![[r#"
        t_jobs_total{lane="normal",model="m",outcome="abandoned"} 1
        t_jobs_total{lane="normal",model="m",outcome="expired"} 1
    "#]],
    );
    check_series(&registry, "t_queue_depth", expect![[r#""#]]);
}

#[test]
fn a_replacement_needs_no_place_of_its_own() {
    let (queue, registry) = queue_with_places(PerLane::all(1));
    let of_stream = |name, stream| Job {
        replaces: Some(StreamId(stream)),
        ..job(name)
    };
    let mut first = submit(&queue, of_stream("first", 7)).unwrap();
    let mut second = submit(&queue, of_stream("second", 7)).unwrap();
    assert_eq!(look(&mut first), Poll::Ready(Err(CallError::Replaced)));
    let refused = submit(&queue, of_stream("other", 8)).unwrap_err();
    assert_eq!(refused, SubmitError::Full { capacity: 1 });
    assert_eq!(
        (queue.load().normal.held, queue.load().normal.waiting),
        (1, 1)
    );

    let batch = queue.next_batch().unwrap();
    assert_eq!(names(&batch), ["second"]);
    answer_all(&queue, batch);
    assert_eq!(look(&mut second), Poll::Ready(Ok("yes")));
    assert_eq!(queue.load().normal.held, 0);
    check_series(
        &registry,
        "t_jobs_total",
        expect![[r#"
        t_jobs_total{lane="normal",model="m",outcome="answered"} 1
        t_jobs_total{lane="normal",model="m",outcome="refused"} 1
        t_jobs_total{lane="normal",model="m",outcome="replaced"} 1
    "#]],
    );
}

#[test]
fn closing_answers_those_inside_and_refuses_the_rest() {
    let (queue, registry) = queue_with_places(PerLane::all(3));
    let mut running = submit(&queue, job("running")).unwrap();
    let batch = queue.next_batch().unwrap();
    let mut waiting = submit(&queue, job("waiting")).unwrap();
    queue.close();
    assert_eq!(look(&mut waiting), Poll::Ready(Err(CallError::Stopped)));
    assert_eq!(
        submit(&queue, job("late")).unwrap_err(),
        SubmitError::Stopped
    );
    assert!(queue.next_batch().is_none());
    assert_eq!(look(&mut running), Poll::Pending);
    answer_all(&queue, batch);
    assert_eq!(look(&mut running), Poll::Ready(Ok("yes")));
    check_series(
        &registry,
        "t_jobs_total",
        expect![[r#"
            t_jobs_total{lane="normal",model="m",outcome="answered"} 1
            t_jobs_total{lane="normal",model="m",outcome="stopped"} 2
        "#]],
    );
    check_series(&registry, "t_queue_depth", expect![[r#""#]]);
}

#[test]
fn the_last_handle_shuts_the_door() {
    let (queue, _registry) = queue_with_places(PerLane::all(3));
    let door = Arc::new(Door(Arc::clone(&queue)));
    let other = Arc::clone(&door);
    let mut answer = submit(&queue, job("first")).unwrap();
    drop(door);
    assert_eq!(look(&mut answer), Poll::Pending);
    assert_eq!(queue.load().normal.waiting, 1);
    drop(other);
    assert_eq!(look(&mut answer), Poll::Ready(Err(CallError::Stopped)));
}

#[test]
fn a_lost_ticket_does_not_leave_its_caller_waiting() {
    let (queue, _registry) = queue_with_places(PerLane::all(1));
    let mut answer = submit(&queue, job("first")).unwrap();
    drop(queue.next_batch().unwrap());
    assert_eq!(look(&mut answer), Poll::Ready(Err(CallError::Stopped)));
    assert_eq!(queue.load().normal.held, 0);
}

struct OnWake(Hook);

impl Wake for OnWake {
    fn wake(self: Arc<Self>) {
        self.0();
    }
}

/// Notes each time it is called, and whether the queue's lock was free and places were held then.
fn spy(queue: &Arc<CallQueue<Unused>>) -> (Hook, Arc<Mutex<Vec<&'static str>>>) {
    let notes = Arc::new(Mutex::new(Vec::new()));
    let (queue, notes_there): (Weak<CallQueue<Unused>>, _) =
        (Arc::downgrade(queue), Arc::clone(&notes));
    let hook = Box::new(move || {
        // A test that failed has dropped the queue; a second panic now would hide the first.
        let Some(queue) = queue.upgrade() else {
            return;
        };
        let note = match queue.line.try_lock() {
            Err(_locked) => "under the lock",
            Ok(_) if queue.places.held(Lane::Normal) == 0 => "no place held",
            Ok(_) => "a place held",
        };
        notes_there.lock().unwrap().push(note);
    });
    (hook, notes)
}

#[test]
fn who_sees_an_answer_finds_the_place_free() {
    let (queue, _registry) = queue_with_places(PerLane::all(1));
    let mut answer = submit(&queue, job("first")).unwrap();
    let (hook, notes) = spy(&queue);
    let waker = Waker::from(Arc::new(OnWake(hook)));
    assert_eq!(
        Pin::new(&mut answer).poll(&mut Context::from_waker(&waker)),
        Poll::Pending
    );
    let batch = queue.next_batch().unwrap();
    answer_all(&queue, batch);
    assert_eq!(*notes.lock().unwrap(), ["no place held"]);
}

/// Submits an input and a caller that both watch what is done to them.
#[track_caller]
fn check_unlocked(deadline: Option<Instant>, leave: impl FnOnce(&CallQueue<Unused>)) {
    let (queue, _registry) = queue_with_places(PerLane::all(1));
    let (on_drop, dropped) = spy(&queue);
    let watched = Job {
        input: Input {
            name: "watched",
            on_drop: Some(on_drop),
        },
        lane: Lane::Normal,
        deadline,
        due: None,
        replaces: Some(StreamId(1)),
    };
    let mut answer = submit(&queue, watched).unwrap();
    let (on_wake, woken) = spy(&queue);
    let waker = Waker::from(Arc::new(OnWake(on_wake)));
    assert_eq!(
        Pin::new(&mut answer).poll(&mut Context::from_waker(&waker)),
        Poll::Pending
    );
    leave(&queue);
    for notes in [dropped, woken] {
        let notes = notes.lock().unwrap();
        assert_eq!(notes.len(), 1);
        assert_ne!(notes[0], "under the lock");
    }
}

#[test]
fn nothing_of_a_callers_runs_under_the_lock() {
    let now = Some(Instant::now());
    check_unlocked(None, Close::close);
    check_unlocked(None, |queue| {
        let newer = Job {
            replaces: Some(StreamId(1)),
            ..job("newer")
        };
        drop(submit(queue, newer));
    });
    check_unlocked(now, |queue| drop(submit(queue, job("needs the place"))));
    check_unlocked(now, |queue| {
        let urgent = Job {
            lane: Lane::Urgent,
            ..job("urgent")
        };
        let _answer = submit(queue, urgent).unwrap();
        drop(queue.next_batch());
    });
}

/// Long enough that a test which waited for it would be seen to.
const FOR_EVER: Duration = Duration::from_secs(600);

fn in_background(name: &'static str) -> Job<Input> {
    Job {
        lane: Lane::Background,
        ..job(name)
    }
}

/// Lingers on a thread, and submits meanwhile.
fn linger_while(
    queue: &Arc<CallQueue<Unused>>,
    n_returning: usize,
    job: Option<Job<Input>>,
) -> Option<Answered> {
    let began = Instant::now();
    let there = Arc::clone(queue);
    let lingering = std::thread::Builder::new()
        .spawn(move || there.linger(n_returning, FOR_EVER))
        .unwrap();
    let answer = job.map(|job| {
        while queue.lock().n_idle == 0 {
            assert!(began.elapsed() < FOR_EVER / 10, "it does not linger");
            std::thread::yield_now();
        }
        submit(queue, job).unwrap()
    });
    lingering.join().unwrap();
    assert!(began.elapsed() < FOR_EVER / 2, "it lingered to the end");
    answer
}

#[test]
fn who_was_answered_in_the_background_may_share_the_next_call() {
    let (queue, _registry) = queue_with_places(PerLane::all(9));
    let _waits = submit(&queue, in_background("waits")).unwrap();
    let _returns = linger_while(&queue, 1, Some(in_background("returns")));
    assert_eq!(names(&queue.next_batch().unwrap()), ["waits", "returns"]);
}

#[test]
fn nobody_lingers_for_what_cannot_share_or_would_delay_others() {
    let (queue, _registry) = queue_with_places(PerLane::all(9));
    // Nobody waits, so nobody is delayed by taking turns.
    linger_while(&queue, 3, None);
    let mut answers = vec![submit(&queue, in_background("one")).unwrap()];
    // Nobody was answered.
    linger_while(&queue, 0, None);
    // Somebody in a hurry comes.
    answers.extend(linger_while(&queue, 1, Some(job("hurries"))));
    // Somebody in a hurry is there.
    linger_while(&queue, 1, None);
    drop(queue.next_batch().unwrap());
    for name in ["two", "three", "four"] {
        answers.push(submit(&queue, in_background(name)).unwrap());
    }
    // The next call is full.
    linger_while(&queue, 1, None);
    queue.close();
    linger_while(&queue, 1, None);
}

#[test]
fn lingering_ends_when_nobody_returns() {
    let (queue, _registry) = queue_with_places(PerLane::all(9));
    let _waits = submit(&queue, in_background("waits")).unwrap();
    queue.linger(1, Duration::from_millis(1));
    assert_eq!(names(&queue.next_batch().unwrap()), ["waits"]);
}
