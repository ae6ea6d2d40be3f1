//! One second of a live stream in frames of 20 ms, as it comes off a socket.

use std::hint::black_box;

use audio::encoding::{self, Channels, Encoding, PcmDecoder};
use criterion::{Criterion, criterion_group, criterion_main};

fn encoding(criterion: &mut Criterion) {
    let samples: Vec<f32> = (0..16_000).map(|n| (n % 97) as f32 / 97.0 - 0.5).collect();
    for encoding in Encoding::ALL {
        let mut bytes = Vec::new();
        encoding::encode(&samples, encoding, &mut bytes);
        let mut decoder = PcmDecoder::new(encoding, Channels::Mono);
        let mut out = Vec::new();
        criterion.bench_function(&format!("decode/{encoding}/1s"), |bencher| {
            bencher.iter(|| {
                out.clear();
                for frame in black_box(&bytes).chunks(bytes.len() / 50) {
                    decoder.push(frame, &mut out);
                }
            });
        });
        criterion.bench_function(&format!("encode/{encoding}/1s"), |bencher| {
            bencher.iter(|| {
                bytes.clear();
                encoding::encode(black_box(&samples), encoding, &mut bytes);
            });
        });
    }
}

criterion_group!(benches, encoding);
criterion_main!(benches);
