//! One second of a live stream in frames of 20 ms. A second of time for every `n` seconds of audio is `n` streams to a core.

use std::hint::black_box;

use audio::SampleRate;
use audio::resample::{Resampler, resample_all};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn rate(hz: u32) -> SampleRate {
    SampleRate::new(hz).expect("no rate here is zero")
}

fn resample(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("resample");
    group.throughput(Throughput::Elements(1));
    for (from, to) in [
        (48_000, 16_000),
        (44_100, 16_000),
        (24_000, 16_000),
        (8_000, 16_000),
        (24_000, 48_000),
        (47_999, 16_000),
    ] {
        let second: Vec<f32> = (0..from).map(|n| (n % 97) as f32 / 97.0 - 0.5).collect();
        let mut resampler = Resampler::new(rate(from), rate(to));
        let mut out = Vec::new();
        group.bench_function(format!("{from}_to_{to}/1s"), |bencher| {
            bencher.iter(|| {
                out.clear();
                for frame in black_box(&second).chunks(second.len() / 50) {
                    resampler.push(frame, &mut out);
                }
            });
        });
    }
    group.finish();
    // The first stream of its kind builds the table for all that follow.
    let short = [0.0; 441];
    criterion.bench_function("resample/new_stream/44100_to_16000", |bencher| {
        bencher.iter(|| resample_all(black_box(&short), rate(44_100), rate(16_000)));
    });
}

criterion_group!(benches, resample);
criterion_main!(benches);
