//! Features of half a minute. `scripts/bench_asr.sh` sets them beside faster-whisper's.

use std::hint::black_box;

use audio::mel::{Features, LogMel, Scratch};
use criterion::{Criterion, criterion_group, criterion_main};

fn noise(n_samples: usize) -> Vec<f32> {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    std::iter::repeat_with(next).take(n_samples).collect()
}

fn mel(criterion: &mut Criterion) {
    let samples = noise(480_000);
    let mut scratch = Scratch::default();
    for n_mels in [80, 128] {
        let log_mel = LogMel::new(n_mels);
        let mut features = Features::default();
        criterion.bench_function(&format!("mel/whisper_{n_mels}/30s"), |bencher| {
            bencher.iter(|| log_mel.whisper(black_box(&samples), &mut scratch, &mut features));
        });
    }
    criterion.bench_function("mel/build", |bencher| {
        bencher.iter(|| LogMel::new(black_box(80)));
    });
}

criterion_group!(benches, mel);
criterion_main!(benches);
