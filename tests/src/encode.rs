//! Samples in other rates and encodings, written from the standards and not with the code under test.

use std::f64::consts::PI;

/// G.711 mu-law.
pub fn mulaw(samples: &[i16]) -> Vec<u8> {
    samples.iter().map(|it| mulaw_of(*it)).collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "each field of the byte is masked to its bits"
)]
fn mulaw_of(sample: i16) -> u8 {
    const BIAS: i32 = 0x84;
    const CLIP: i32 = 32_635;
    let sign: u8 = if sample < 0 { 0x80 } else { 0 };
    let magnitude = i32::from(sample).abs().min(CLIP) + BIAS;
    let exponent = 31 - magnitude.leading_zeros() - 7;
    let mantissa = (magnitude >> (exponent + 3)) & 0x0f;
    !(sign | (exponent as u8) << 4 | mantissa as u8)
}

/// G.711 A-law.
pub fn alaw(samples: &[i16]) -> Vec<u8> {
    samples.iter().map(|it| alaw_of(*it)).collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "each field of the byte is masked to its bits"
)]
fn alaw_of(sample: i16) -> u8 {
    let sign: u8 = if sample < 0 { 0 } else { 0x80 };
    // Twelve bits and a sign; -1 - x, so that the halves mirror each other.
    let magnitude = if sample < 0 {
        -1 - i32::from(sample)
    } else {
        i32::from(sample)
    } >> 3;
    let exponent = (32 - magnitude.leading_zeros()).saturating_sub(5);
    let mantissa = if exponent == 0 {
        magnitude >> 1
    } else {
        magnitude >> exponent
    } & 0x0f;
    (sign | (exponent as u8) << 4 | mantissa as u8) ^ 0x55
}

/// 32-bit floats.
pub fn floats(samples: &[i16]) -> Vec<u8> {
    samples
        .iter()
        .flat_map(|it| (f32::from(*it) / 32_768.0).to_le_bytes())
        .collect()
}

/// The same samples in both channels.
pub fn stereo(samples: &[i16]) -> Vec<i16> {
    samples.iter().flat_map(|it| [*it, *it]).collect()
}

/// Another rate: a windowed sinc, slow and plain.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positions within the samples"
)]
pub fn resampled(samples: &[i16], from_hz: u32, to_hz: u32) -> Vec<i16> {
    const HALF: i64 = 24;
    let step = f64::from(from_hz) / f64::from(to_hz);
    // Below both halves of the rates nothing folds back.
    let cutoff = (1.0 / step).min(1.0) * 0.95;
    let n = (samples.len() as f64 / step) as usize;
    let value = |idx: usize| {
        let centre = idx as f64 * step;
        let near = centre.floor() as i64;
        let mut sum = 0.0;
        for at in near - HALF + 1..=near + HALF {
            let Some(sample) = usize::try_from(at).ok().and_then(|it| samples.get(it)) else {
                continue;
            };
            let x = at as f64 - centre;
            let sinc = if x.abs() < 1e-9 {
                cutoff
            } else {
                (PI * x * cutoff).sin() / (PI * x)
            };
            let window = 0.5 + 0.5 * (PI * x / HALF as f64).cos();
            sum += f64::from(*sample) * sinc * window;
        }
        sum.round().clamp(-32_768.0, 32_767.0) as i16
    };
    (0..n).map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g711_has_its_known_bytes() {
        assert_eq!(
            mulaw(&[0, -1, 32_767, -32_768, 1_000]),
            [0xff, 0x7f, 0x80, 0x00, 0xce]
        );
        assert_eq!(
            alaw(&[0, -1, 32_767, -32_768, 1_000]),
            [0xd5, 0x55, 0xaa, 0x2a, 0xfa]
        );
    }

    #[test]
    fn a_tone_is_the_same_tone_at_another_rate() {
        let tone = |rate: f64, n: usize| -> Vec<i16> {
            #[expect(clippy::cast_possible_truncation, reason = "within 10000")]
            let value = |it: usize| ((it as f64 / rate * 440.0 * 2.0 * PI).sin() * 10_000.0) as i16;
            (0..n).map(value).collect()
        };
        let resampled = resampled(&tone(16_000.0, 16_000), 16_000, 44_100);
        assert_eq!(resampled.len(), 44_100);
        let wanted = tone(44_100.0, 44_100);
        let worst = (1_000..43_000)
            .map(|it| (resampled[it] - wanted[it]).abs())
            .max();
        assert!(worst < Some(100), "{worst:?}");
    }
}
