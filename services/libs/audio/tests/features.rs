//! Features against files written by `tests/golden/features.py` from the reference implementation.
#![expect(clippy::panic, clippy::print_stdout, reason = "helpers of tests")]

use std::fs;
use std::path::Path;

use audio::mel::{Features, HOP, LogMel, Scratch};

/// Largest difference allowed between a value and the reference's. Values span about -1.5 to 1.5.
const TOLERANCE: f32 = 1e-4;
const PICKED_FRAMES: usize = 16;

fn speech() -> Vec<i16> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../tests/fixtures/speech/held_ked_136.wav");
    let bytes = fs::read(path).expect("the fixture is part of the repository");
    bytes[44..]
        .chunks_exact(2)
        .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
        .collect()
}

fn noise(n_samples: usize, shift: u32) -> Vec<i16> {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        i16::try_from(((state >> 16).cast_signed() - 32_768) >> shift).expect("sixteen bits")
    };
    std::iter::repeat_with(next).take(n_samples).collect()
}

fn chirp(n_samples: usize) -> Vec<i16> {
    let (mut phase, mut step) = (0_u32, 0_u32);
    let next = || {
        phase = phase.wrapping_add(step);
        step += (1 << 30) / u32::try_from(n_samples).expect("short");
        let ramp = (phase >> 15).cast_signed();
        let folded = if ramp < 65_536 { ramp } else { 131_071 - ramp };
        i16::try_from(folded - 32_768).expect("sixteen bits")
    };
    std::iter::repeat_with(next).take(n_samples).collect()
}

fn impulse(n_samples: usize, at: usize) -> Vec<i16> {
    let mut samples = vec![0; n_samples];
    samples[at] = i16::MAX;
    samples
}

fn input(name: &str) -> Vec<f32> {
    let samples = match name {
        "speech" => speech(),
        "noise" => noise(24_000, 0),
        "quiet" => noise(8_000, 8),
        "chirp" => chirp(32_000),
        "impulse" => impulse(4_000, 1_234),
        "silence" => vec![0; 8_000],
        "empty" => Vec::new(),
        "one" => noise(1, 1),
        "ragged" => noise(777, 2),
        other => panic!("no input is called {other}"),
    };
    samples
        .into_iter()
        .map(|sample| f32::from(sample) / 32_768.0)
        .collect()
}

fn picked(n_frames: usize) -> Vec<usize> {
    let mut frames: Vec<usize> = (0..n_frames)
        .step_by((n_frames / PICKED_FRAMES).max(1))
        .collect();
    if frames.last() != Some(&(n_frames - 1)) {
        frames.push(n_frames - 1);
    }
    frames
}

fn golden(name: &str) -> Vec<f32> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(format!("{name}.f32"));
    let bytes = fs::read(path).expect("the golden file is part of the repository");
    bytes
        .chunks_exact(4)
        .map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]))
        .collect()
}

/// `values` is rows of `n_frames`.
fn compare(name: &str, values: &[f32], n_frames: usize) {
    let golden = golden(name);
    let frames = picked(n_frames);
    assert_eq!(
        golden.len(),
        values.len() / n_frames * frames.len(),
        "{name} has another shape"
    );
    let mut worst = 0.0_f32;
    for (row, expected) in values
        .chunks_exact(n_frames)
        .zip(golden.chunks_exact(frames.len()))
    {
        for (&frame, expected) in frames.iter().zip(expected) {
            worst = worst.max((row[frame] - expected).abs());
        }
    }
    println!("{name}: worst difference {worst:e}");
    assert!(worst <= TOLERANCE, "{name} is off by {worst}");
}

#[test]
fn whisper_features_equal_faster_whisper_s() {
    let mut scratch = Scratch::default();
    let mut features = Features::default();
    for n_mels in [80, 128] {
        let log_mel = LogMel::new(n_mels);
        for name in [
            "speech", "noise", "quiet", "chirp", "impulse", "silence", "empty", "one", "ragged",
        ] {
            let samples = input(name);
            log_mel.whisper(&samples, &mut scratch, &mut features);
            assert_eq!(
                (features.n_mels(), features.n_frames()),
                (n_mels, LogMel::n_frames(samples.len()))
            );
            compare(
                &format!("whisper-{n_mels}-{name}"),
                features.values(),
                features.n_frames(),
            );
        }
    }
}

#[test]
fn buffers_carry_nothing_from_call_to_call() {
    let log_mel = LogMel::new(80);
    let (mut used, mut features, mut fresh) =
        (Scratch::default(), Features::default(), Features::default());
    log_mel.whisper(&input("noise"), &mut used, &mut features);
    // Fewer frames than are worked on together, and so quiet that anything louder left over would lift its floor.
    for quiet in [vec![0.0; 700], vec![0.0; 160 * 17]] {
        log_mel.whisper(&quiet, &mut used, &mut features);
        log_mel.whisper(&quiet, &mut Scratch::default(), &mut fresh);
        assert_eq!(features, fresh);
        assert!(
            features
                .values()
                .iter()
                .all(|&value| (value + 1.5).abs() < 1e-6)
        );
    }
}

#[test]
fn a_window_is_cut_from_the_clip_and_padded_with_zeros() {
    let log_mel = LogMel::new(80);
    let mut features = Features::default();
    log_mel.whisper(&input("speech"), &mut Scratch::default(), &mut features);
    let n_frames = features.n_frames();
    let width = 400;
    let mut window = vec![f32::NAN; 80 * width];
    features.window(100, 1000, width, &mut window);
    let n_copied = n_frames - 100;
    assert!(
        n_copied < width,
        "the fixture is short enough to need padding"
    );
    for (row, source) in window
        .chunks_exact(width)
        .zip(features.values().chunks_exact(n_frames))
    {
        assert_eq!(row[..n_copied], source[100..]);
        assert!(row[n_copied..].iter().all(|&value| value == 0.0));
    }
    features.window(100, 7, width, &mut window);
    assert_eq!(window[..7], features.values()[100..107]);
    assert!(window[7..width].iter().all(|&value| value == 0.0));
    features.window(usize::MAX, 10, width, &mut window);
    assert!(window.iter().all(|&value| value == 0.0));
}

#[test]
fn every_hop_is_a_frame() {
    let log_mel = LogMel::new(80);
    let mut features = Features::default();
    for n_samples in [HOP - 1, HOP, 15 * HOP, 16 * HOP + 1, 33 * HOP] {
        log_mel.whisper(
            &vec![0.1; n_samples],
            &mut Scratch::default(),
            &mut features,
        );
        assert_eq!(features.values().len(), 80 * (n_samples / HOP + 1));
    }
}
