//! Frames that Silero hears a second on one core, for so many streams at a time.
//!
//! A stream in real time has 31.25 frames a second: 7,813 frames a second are 250 streams a core.

use asr::models::onnx;
use asr::models::silero::{FRAME, Input, Memory, Silero};
use batcher::Model as _;
use chassis::home::Home;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

fn noise(n_samples: usize) -> Vec<f32> {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 83_886_080.0 - 0.1
    };
    std::iter::repeat_with(next).take(n_samples).collect()
}

fn silero(criterion: &mut Criterion) {
    let home = Home::of_process(None).expect("`scripts/setup.sh` was run");
    onnx::load_runtime(&home.onnx_runtime()).expect("`scripts/setup.sh` was run");
    let path = home
        .model_file("silero_vad.onnx")
        .expect("`scripts/setup.sh` was run");
    let mut silero = Silero::load(&path).expect("it is the model that the set-up installs");
    let mut group = criterion.benchmark_group("silero");
    // A stream brings about three frames when its socket delivers every 100 ms.
    const N_FRAMES: usize = 3;
    for n_streams in [1_u64, 8, 32, 128] {
        let inputs: Vec<Input> = (0..n_streams)
            .map(|_| Input {
                memory: Memory::of_stream(),
                frames: noise(N_FRAMES * FRAME),
            })
            .collect();
        group.throughput(Throughput::Elements(n_streams * N_FRAMES as u64));
        group.bench_with_input(
            BenchmarkId::from_parameter(n_streams),
            &inputs,
            |bencher, inputs| {
                bencher.iter(|| silero.run(inputs).expect("whole frames"));
            },
        );
    }
    group.finish();
}

criterion_group!(benches, silero);
criterion_main!(benches);
