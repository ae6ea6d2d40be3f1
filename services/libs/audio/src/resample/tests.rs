use std::f64::consts::TAU;

use proptest::prelude::*;

use super::*;

fn rate(hz: u32) -> SampleRate {
    SampleRate::new(hz).unwrap()
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "samples are single precision"
)]
fn tone(hz: f64, rate_hz: u32, n_samples: usize) -> Vec<f32> {
    (0..n_samples)
        .map(|n| (0.5 * (TAU * hz * n as f64 / f64::from(rate_hz)).sin()) as f32)
        .collect()
}

fn noise(n_samples: usize) -> Vec<f32> {
    let mut state = 1_u32;
    let step = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    std::iter::repeat_with(step).take(n_samples).collect()
}

fn level_db(samples: &[f32]) -> f64 {
    let power: f64 = samples
        .iter()
        .map(|&sample| f64::from(sample).powi(2))
        .sum();
    10.0 * (power / samples.len() as f64 + 1e-30).log10()
}

/// Away from the ends, where the tone begins and stops abruptly.
fn middle(samples: &[f32]) -> &[f32] {
    &samples[samples.len() / 4..samples.len() * 3 / 4]
}

const PAIRS: [(u32, u32); 12] = [
    (48_000, 16_000),
    (44_100, 16_000),
    (24_000, 16_000),
    (22_050, 16_000),
    (11_025, 16_000),
    (8_000, 16_000),
    (96_000, 16_000),
    (192_000, 16_000),
    (24_000, 48_000),
    (24_000, 44_100),
    (24_000, 8_000),
    (37_123, 16_000),
];

#[test]
fn tones_in_the_passband_come_out_at_their_place_and_level() {
    for (from, to) in PAIRS {
        let n_samples = from as usize;
        for fraction in [0.01, 0.3, 0.6, 0.9] {
            let hz = fraction * f64::from(from.min(to)) / 2.0;
            let out = resample_all(&tone(hz, from, n_samples), rate(from), rate(to));
            let ideal = tone(hz, to, out.len());
            let error: Vec<f32> = out
                .iter()
                .zip(&ideal)
                .map(|(got, wanted)| got - wanted)
                .collect();
            let error_db = level_db(middle(&error)) - level_db(middle(&ideal));
            assert!(
                error_db < -70.0,
                "{from} to {to} at {hz:.0} Hz: {error_db:.1} dB"
            );
        }
    }
}

#[test]
fn tones_that_would_alias_are_gone() {
    for (from, to) in PAIRS.into_iter().filter(|(from, to)| from > to) {
        for above in [1.0, 1.05, 1.2, 1.9] {
            let hz = above * f64::from(to) / 2.0;
            if hz >= f64::from(from) / 2.0 {
                continue;
            }
            let given = tone(hz, from, from as usize);
            let out = resample_all(&given, rate(from), rate(to));
            let left_db = level_db(middle(&out)) - level_db(middle(&given));
            assert!(
                left_db < -75.0,
                "{from} to {to} at {hz:.0} Hz: {left_db:.1} dB"
            );
        }
    }
}

#[test]
fn images_of_a_low_rate_are_gone() {
    // 3,900 Hz at 8 kHz has an image at 4,100 Hz once there is room for it.
    let given = tone(3400.0, 8_000, 16_000);
    let out = resample_all(&given, rate(8_000), rate(16_000));
    let ideal = tone(3400.0, 16_000, out.len());
    let error: Vec<f32> = out
        .iter()
        .zip(&ideal)
        .map(|(got, wanted)| got - wanted)
        .collect();
    assert!(level_db(middle(&error)) < -80.0);
}

#[test]
fn a_constant_stays_what_it_is() {
    for (from, to) in PAIRS {
        let out = resample_all(&vec![0.5; from as usize / 2], rate(from), rate(to));
        for &sample in middle(&out) {
            assert!((sample - 0.5).abs() < 1e-5, "{from} to {to}: {sample}");
        }
    }
}

#[test]
fn an_impulse_keeps_its_time() {
    let mut given = vec![0.0; 48_000];
    given[24_000] = 1.0;
    let out = resample_all(&given, rate(48_000), rate(16_000));
    let loudest = (0..out.len())
        .max_by(|&a, &b| out[a].total_cmp(&out[b]))
        .unwrap();
    assert_eq!(loudest, 8_000);
}

#[test]
fn cuts_do_not_matter() {
    let given = noise(20_000);
    for (from, to) in PAIRS {
        let whole = resample_all(&given, rate(from), rate(to));
        for n_cut in [1, 160, 441, 4096] {
            let mut resampler = Resampler::new(rate(from), rate(to));
            let mut out = Vec::new();
            for piece in given.chunks(n_cut) {
                resampler.push(piece, &mut out);
                assert_eq!(resampler.produced(), Samples::of(&out));
            }
            assert_eq!(resampler.received(), Samples(20_000));
            resampler.finish(&mut out);
            assert_eq!(out, whole, "{from} to {to} in pieces of {n_cut}");
        }
    }
}

#[test]
fn little_is_held_back() {
    let mut resampler = Resampler::new(rate(48_000), rate(16_000));
    let mut out = Vec::new();
    resampler.push(&noise(48_000), &mut out);
    let held_back = 16_000 - out.len();
    assert!(held_back <= 64, "{held_back} samples, more than 4 ms");
}

#[test]
fn a_stream_is_small_and_an_idle_one_is_nothing() {
    let mut resampler = Resampler::new(rate(48_000), rate(16_000));
    assert_eq!(resampler.allocated_bytes(), 0);
    resampler.push(&noise(100_000), &mut Vec::new());
    assert!(
        resampler.allocated_bytes() <= 8 << 10,
        "{}",
        resampler.allocated_bytes()
    );
    let mut resampler = Resampler::new(rate(47_999), rate(16_000));
    resampler.push(&noise(100_000), &mut Vec::new());
    assert!(
        resampler.allocated_bytes() <= 16 << 10,
        "{}",
        resampler.allocated_bytes()
    );
}

#[test]
fn it_can_be_used_again() {
    let given = noise(5_000);
    let mut resampler = Resampler::new(rate(44_100), rate(16_000));
    let (mut first, mut second) = (Vec::new(), Vec::new());
    resampler.push(&given, &mut first);
    resampler.finish(&mut first);
    resampler.push(&given, &mut second);
    resampler.finish(&mut second);
    assert_eq!(first, second);
}

#[test]
fn equal_rates_pass_through() {
    let given = noise(1000);
    assert_eq!(resample_all(&given, rate(16_000), rate(16_000)), given);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_length_is_exact(n_samples in 0..3000_usize, from in 1000..192_001_u32, to in 1000..192_001_u32) {
        let out = resample_all(&vec![0.25; n_samples], rate(from), rate(to));
        prop_assert_eq!(Samples::of(&out), Samples(n_samples as u64).convert_up(rate(from), rate(to)));
        prop_assert!(out.iter().all(|sample| sample.is_finite()));
    }
}
