//! What the loop costs a step, with a model that costs nothing.
//!
//! `step` is a round of so many slots whose readers always have room: no thread is woken for the worker.
//! `alone` is a request of one chunk from submit to end: mostly the operating system waking threads.

use std::{hint::black_box, num::NonZeroUsize, sync::Arc, time::Duration};

use batcher::{
    Job, Lane, PerLane, Slot, StepMetrics, StepModel, StepSettings, Stepped, Stepper, Workers,
    spawn_steps,
};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

/// As many steps as the request asks for, each with a chunk.
struct Free {
    left: Vec<u64>,
}

impl StepModel for Free {
    type Request = u64;
    type Chunk = u64;
    type Error = Arc<str>;

    fn admit(&mut self, slot: Slot, n_steps: u64) -> Result<(), Arc<str>> {
        self.left[slot.index()] = n_steps;
        Ok(())
    }

    fn step(&mut self, slots: &[Slot]) -> Result<Vec<Stepped<u64, Arc<str>>>, Arc<str>> {
        let step = |slot: &Slot| {
            let left = &mut self.left[slot.index()];
            *left -= 1;
            if *left == 0 {
                Stepped::Last(*left)
            } else {
                Stepped::Chunk(*left)
            }
        };
        Ok(slots.iter().map(step).collect())
    }

    fn evict(&mut self, _slot: Slot) {}

    fn self_test(&mut self) -> Result<(), Arc<str>> {
        Ok(())
    }
}

fn start(n_slots: usize, room: usize) -> (Stepper<u64, u64, Arc<str>>, Workers) {
    let settings = StepSettings {
        name: "free",
        places: PerLane::all(1024),
        slots: NonZeroUsize::MIN.saturating_add(n_slots - 1),
        room: NonZeroUsize::MIN.saturating_add(room - 1),
        raise_after: Duration::from_secs(1),
        max_panics_in_a_row: NonZeroUsize::MIN,
    };
    spawn_steps(settings, StepMetrics::unregistered(), move || {
        Ok(Free {
            left: vec![0; n_slots],
        })
    })
}

fn steps(criterion: &mut Criterion) {
    const N_STEPS: u64 = 1_000;
    let mut group = criterion.benchmark_group("steps");
    for n_slots in [1, 4, 16] {
        let (stepper, _workers) = start(n_slots, 2_000);
        group.throughput(criterion::Throughput::Elements(N_STEPS));
        group.bench_function(BenchmarkId::new("step", n_slots), |bencher| {
            bencher.iter(|| {
                let all: Vec<_> = (0..n_slots)
                    .map(|_| stepper.submit(Job::new(Lane::Urgent, N_STEPS)))
                    .collect();
                for mut chunks in all.into_iter().flatten() {
                    while let Some(chunk) = chunks.wait_next() {
                        black_box(chunk).ok();
                    }
                }
            });
        });
    }

    let (stepper, _workers) = start(4, 4);
    group.throughput(criterion::Throughput::Elements(1));
    group.bench_function("alone", |bencher| {
        bencher.iter(|| {
            let chunks = stepper.submit(Job::new(Lane::Urgent, 1));
            chunks.map(|mut chunks| while black_box(chunks.wait_next()).is_some() {})
        });
    });
    group.finish();
}

criterion_group!(benches, steps);
criterion_main!(benches);
