//! The features that Smart Turn hears, to the last bit.
//!
//! The weights are 8-bit integers, so the model is a staircase: features that differ by 1e-7 move its answer by 0.1 on some turns
//! (seen on a telephone recording). Whisper's features, which are good to 1e-4, would not do. So the order and the precision of
//! every step is that of the reference: single precision until the signal is normalised, summed pairwise as numpy sums, then double
//! precision, and single precision again at the end.
//!
//! Invariants:
//! - Heard are the last 8 s of the turn, with silence before them if there are fewer.

use std::f64::consts::TAU;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use realfft::num_complex::Complex64;
use realfft::{RealFftPlanner, RealToComplex};

pub(super) const N_MELS: usize = 80;
pub(super) const N_FRAMES: usize = 800;
const HOP: usize = 160;
pub(super) const N_SAMPLES: usize = N_FRAMES * HOP;
/// 25 ms.
const FRAME: usize = 400;
const N_BINS: usize = FRAME / 2 + 1;
const RATE_HZ: f64 = 16_000.0;

/// The plan of the computation, and its buffers.
pub(super) struct Features {
    fft: Arc<dyn RealToComplex<f64>>,
    window: Vec<f64>,
    filters: Vec<Filter>,
    padded: Vec<f64>,
    frame: Vec<f64>,
    spectrum: Vec<Complex64>,
    scratch: Vec<Complex64>,
    power: Vec<f64>,
    logs: Vec<f64>,
}

impl fmt::Debug for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Features").finish_non_exhaustive()
    }
}

/// One band: the bins it reaches over, and their weights.
struct Filter {
    bins: Range<usize>,
    weights: Vec<f64>,
}

impl Features {
    pub(super) fn new() -> Features {
        let fft = RealFftPlanner::new().plan_fft_forward(FRAME);
        Features {
            // Periodic Hann.
            window: (0..FRAME)
                .map(|n| 0.5 - 0.5 * (TAU * n as f64 / FRAME as f64).cos())
                .collect(),
            filters: filters(),
            padded: Vec::new(),
            frame: fft.make_input_vec(),
            spectrum: fft.make_output_vec(),
            scratch: fft.make_scratch_vec(),
            power: vec![0.0; N_BINS],
            logs: vec![0.0; N_MELS * N_FRAMES],
            fft,
        }
    }

    /// Writes the features of `turn`: 80 rows of 800.
    ///
    /// # Panics
    /// If `out` is of another length.
    pub(super) fn compute(&mut self, turn: &[f32], out: &mut [f32]) {
        assert_eq!(
            out.len(),
            N_MELS * N_FRAMES,
            "Smart Turn hears 80 bands of 800 frames"
        );
        let heard = &turn[turn.len().saturating_sub(N_SAMPLES)..];
        let mut signal = vec![0.0; N_SAMPLES - heard.len()];
        signal.extend_from_slice(heard);
        normalise(&mut signal);
        self.mirror(&signal);

        // The reference computes a frame more and drops it.
        for frame_idx in 0..N_FRAMES {
            self.transform(frame_idx);
            for (mel_idx, filter) in self.filters.iter().enumerate() {
                let bins = &self.power[filter.bins.clone()];
                let energy: f64 = bins
                    .iter()
                    .zip(&filter.weights)
                    .map(|(bin, weight)| bin * weight)
                    .sum();
                self.logs[mel_idx * N_FRAMES + frame_idx] = energy.max(1e-10).log10();
            }
        }
        let floor = self.logs.iter().copied().fold(f64::NEG_INFINITY, f64::max) - 8.0;
        for (out, log) in out.iter_mut().zip(&self.logs) {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "features are single precision"
            )]
            let value = ((log.max(floor) + 4.0) / 4.0) as f32;
            *out = value;
        }
    }

    /// Frames are centred: the signal is mirrored at its ends, without its first and last sample.
    fn mirror(&mut self, signal: &[f32]) {
        let reach = FRAME / 2;
        let before = signal[1..=reach].iter().rev();
        let after = signal[signal.len() - 1 - reach..signal.len() - 1]
            .iter()
            .rev();
        self.padded.clear();
        self.padded
            .extend(before.chain(signal).chain(after).map(|&it| f64::from(it)));
    }

    fn transform(&mut self, frame_idx: usize) {
        let start = frame_idx * HOP;
        let samples = &self.padded[start..start + FRAME];
        for ((value, sample), weight) in self.frame.iter_mut().zip(samples).zip(&self.window) {
            *value = sample * weight;
        }
        self.fft
            .process_with_scratch(&mut self.frame, &mut self.spectrum, &mut self.scratch)
            .expect("the buffers were made for this plan");
        for (power, bin) in self.power.iter_mut().zip(&self.spectrum) {
            *power = bin.norm_sqr();
        }
    }
}

/// Zero mean and unit variance, over the silence before the turn too.
#[expect(clippy::cast_precision_loss, reason = "128000 is exact")]
fn normalise(signal: &mut [f32]) {
    let n = signal.len() as f32;
    let mean = pairwise_sum(signal) / n;
    let squares: Vec<f32> = signal.iter().map(|it| (it - mean) * (it - mean)).collect();
    let deviation = (pairwise_sum(&squares) / n + 1e-7).sqrt();
    for sample in signal {
        *sample = (*sample - mean) / deviation;
    }
}

/// The sum in the order in which numpy adds contiguous values.
fn pairwise_sum(values: &[f32]) -> f32 {
    const BLOCK: usize = 128;
    const LANES: usize = 8;
    if values.len() > BLOCK {
        let half = values.len() / 2;
        let (left, right) = values.split_at(half - half % LANES);
        return pairwise_sum(left) + pairwise_sum(right);
    }
    let mut rows = values.chunks_exact(LANES);
    let Some(first) = rows.next() else {
        return values.iter().sum();
    };
    let mut lanes = [0.0; LANES];
    lanes.copy_from_slice(first);
    for row in &mut rows {
        for (lane, value) in lanes.iter_mut().zip(row) {
            *lane += value;
        }
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    let sum = ((a + b) + (c + d)) + ((e + f) + (g + h));
    rows.remainder().iter().fold(sum, |sum, value| sum + value)
}

/// Triangular filters on Slaney's mel scale, each of area 1.
fn filters() -> Vec<Filter> {
    // Linear up to 1 kHz, logarithmic above.
    let step = 6.4f64.ln() / 27.0;
    let top_mel = 15.0 + (RATE_HZ / 2.0 / 1000.0).ln() / step;
    let corner = |n: usize| {
        let mel = top_mel * n as f64 / (N_MELS + 1) as f64;
        if mel < 15.0 {
            200.0 * mel / 3.0
        } else {
            1000.0 * (step * (mel - 15.0)).exp()
        }
    };
    let make = |mel_idx: usize| {
        let (low, centre, high) = (corner(mel_idx), corner(mel_idx + 1), corner(mel_idx + 2));
        let weight = |bin: usize| {
            let hz = bin as f64 * RATE_HZ / FRAME as f64;
            let (up, down) = ((hz - low) / (centre - low), (high - hz) / (high - centre));
            up.min(down).max(0.0) * (2.0 / (high - low))
        };
        let reached: Vec<usize> = (0..N_BINS).filter(|&bin| weight(bin) > 0.0).collect();
        let bins = match (reached.first(), reached.last()) {
            (Some(&first), Some(&last)) => first..last + 1,
            (None, _) | (_, None) => 0..0,
        };
        Filter {
            weights: bins.clone().map(weight).collect(),
            bins,
        }
    };
    (0..N_MELS).map(make).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_numpys() {
        // numpy 2.4.6: np.sum(np.float32(1) / np.arange(1, n + 1, dtype=np.float32))
        for (n, expected) in [
            (1, 1.0f32),
            (7, 2.592_857_4),
            (100, 5.187_378_4),
            (1_000, 7.485_471_7),
            (128_000, 12.337_005),
        ] {
            #[expect(clippy::cast_precision_loss, reason = "small")]
            let values: Vec<f32> = (1..=n).map(|it| 1.0 / it as f32).collect();
            assert_eq!(
                pairwise_sum(&values).to_bits(),
                expected.to_bits(),
                "{n}: {}",
                pairwise_sum(&values)
            );
        }
    }

    #[test]
    fn every_band_hears_something() {
        for (idx, filter) in filters().iter().enumerate() {
            assert!(!filter.bins.is_empty(), "band {idx}");
        }
    }
}
