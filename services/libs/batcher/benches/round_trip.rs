//! What the queue costs a job, with a model that costs nothing.
//!
//! `alone` is a submit, two thread hops and an answer: mostly the operating system waking threads.
//! `crowd` submits 64 jobs before it reads an answer, which is what a busy server does.
//! `load` is the snapshot that a session takes before each partial.

use std::{hint::black_box, num::NonZeroUsize, time::Duration};

use batcher::{Batcher, Job, Lane, Metrics, Model, PerLane, Settings, Workers, spawn};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

struct Free;

impl Model for Free {
    type Input = u64;
    type Output = u64;
    type Error = String;
    type Key = ();

    fn key(_: &u64) {}

    fn run(&mut self, batch: &[u64]) -> Result<Vec<u64>, String> {
        Ok(batch.to_vec())
    }

    fn self_test(&mut self) -> Result<(), String> {
        Ok(())
    }
}

fn start() -> (Batcher<u64, u64, String>, Workers) {
    let settings = Settings {
        name: "free",
        places: PerLane::all(1024),
        max_batch: PerLane::all(NonZeroUsize::MIN.saturating_add(15)),
        workers: NonZeroUsize::MIN,
        raise_after: Duration::from_secs(1),
        max_panics_in_a_row: NonZeroUsize::MIN,
    };
    spawn(settings, Metrics::unregistered(), |_| Ok(Free))
}

fn round_trip(criterion: &mut Criterion) {
    let (batcher, _workers) = start();
    let mut group = criterion.benchmark_group("round_trip");

    group.throughput(Throughput::Elements(1));
    group.bench_function("alone", |bencher| {
        bencher.iter(|| {
            let answer = batcher.submit(Job::new(Lane::Urgent, 1));
            black_box(answer.map(batcher::Answer::wait))
        });
    });

    const CROWD: u64 = 64;
    group.throughput(Throughput::Elements(CROWD));
    group.bench_function("crowd", |bencher| {
        bencher.iter(|| {
            let answers: Vec<_> = (0..CROWD)
                .map(|job| batcher.submit(Job::new(Lane::Urgent, job)))
                .collect();
            for answer in answers {
                black_box(answer.map(batcher::Answer::wait)).ok();
            }
        });
    });

    group.throughput(Throughput::Elements(1));
    group.bench_function("load", |bencher| bencher.iter(|| black_box(batcher.load())));
    group.finish();
}

criterion_group!(benches, round_trip);
criterion_main!(benches);
