//! Sounds to test with: a voice of sorts, and what is none. All at 24 kHz.

use std::f32::consts::TAU;

const RATE: f32 = 24_000.0;

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "tests ask for a few seconds"
)]
fn n_samples(seconds: f32) -> usize {
    (seconds * RATE) as usize
}

/// Somebody going "ma ma ma" with a falling pitch: harmonics under two formants, four syllables a second.
pub(crate) fn voice(seconds: f32, pitch_hz: f32) -> Vec<f32> {
    let mut phase = 0.0_f32;
    let sample = |idx: usize| {
        let time = idx as f32 / RATE;
        let pitch = pitch_hz * (1.0 + 0.1 * (TAU * 0.7 * time).sin());
        phase = (phase + TAU * pitch / RATE) % TAU;
        let sound: f32 = (1..=16)
            .map(|harmonic| {
                let harmonic = harmonic as f32;
                let hz = harmonic * pitch;
                let formants = resonance(hz, 600.0) + 0.5 * resonance(hz, 1_700.0);
                formants * (harmonic * phase).sin()
            })
            .sum();
        let syllable = 0.5 - 0.5 * (TAU * 4.0 * time).cos();
        0.15 * syllable * syllable * sound
    };
    (0..n_samples(seconds)).map(sample).collect()
}

fn resonance(hz: f32, formant_hz: f32) -> f32 {
    1.0 / (1.0 + ((hz - formant_hz) / 150.0).powi(2))
}

pub(crate) fn tone(seconds: f32, hz: f32, amplitude: f32) -> Vec<f32> {
    let sample = |idx: usize| {
        // Whole hertz go through whole turns each second.
        let turns = hz * (idx % 24_000) as f32 / RATE;
        amplitude * (TAU * turns).sin()
    };
    (0..n_samples(seconds)).map(sample).collect()
}

pub(crate) fn silence(seconds: f32) -> Vec<f32> {
    vec![0.0; n_samples(seconds)]
}

/// White noise between plus and minus `amplitude`.
pub(crate) fn noise(seconds: f32, amplitude: f32) -> Vec<f32> {
    let mut state = 0x2545_F491_u32;
    let sample = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        amplitude * (state as f32 / u32::MAX as f32 * 2.0 - 1.0)
    };
    (0..n_samples(seconds)).map(sample).collect()
}

/// Noise that is louder the lower: wind, traffic.
pub(crate) fn rumble(seconds: f32, amplitude: f32) -> Vec<f32> {
    let mut level = 0.0;
    let walk = noise(seconds, 0.02).into_iter().map(|step| {
        level = 0.998 * level + step;
        amplitude * level
    });
    walk.collect()
}

pub(crate) fn mixed(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}
