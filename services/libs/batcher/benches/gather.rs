//! Taking a batch from a line of 256: the work a free worker does under the lock.

use std::{collections::VecDeque, hint::black_box, num::NonZeroUsize};

use batcher::gather::take_batch;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

const N_WAITING: u32 = 256;

fn gather(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("gather");
    for (name, n_keys) in [
        ("one_key", 1),
        ("four_keys", 4),
        ("every_key_its_own", N_WAITING),
    ] {
        // As large as a job that carries its samples behind a pointer.
        let line: VecDeque<(u32, [u64; 16])> =
            (0..N_WAITING).map(|job| (job % n_keys, [0; 16])).collect();
        let max = NonZeroUsize::MIN.saturating_add(15);
        group.bench_function(name, |bencher| {
            bencher.iter_batched_ref(
                || line.clone(),
                |line| black_box(take_batch(line, max, |a, b| a.0 == b.0)),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, gather);
criterion_main!(benches);
