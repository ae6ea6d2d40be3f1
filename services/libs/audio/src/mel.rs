//! Whisper's log-mel spectrogram.
//!
//! *Invariants*
//!
//! - Features equal faster-whisper's to 1e-4.
//! - The loudest point of the whole array handed in sets its floor: features of a part are not a part of the
//!   features.
//! - A plan is built once, shared by reference, and never changes.

mod filters;
mod logarithm;

use std::f64::consts::TAU;
use std::fmt;
use std::sync::Arc;

use rustfft::num_complex::Complex32;
use rustfft::{Fft, FftPlanner};

use filters::Filters;
use logarithm::log10;

/// Samples from one frame to the next: 10 ms at 16 kHz.
pub const HOP: usize = 160;

/// Samples in one frame: 25 ms at 16 kHz.
const FRAME: usize = 400;
/// How far a frame reaches before its own position. Frames are centred, the signal is mirrored at its ends.
const REACH: usize = FRAME / 2;
const N_BINS: usize = FRAME / 2 + 1;
/// Frames worked on together, one to a lane: sums over bins then run side by side, and rows, which lie far apart, are
/// written a cache line at a time.
const LANES: usize = 16;
type Lanes = [f32; LANES];

/// Features of one clip, row by row: all frames of band 0, then of band 1, and so on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Features {
    n_mels: usize,
    n_frames: usize,
    values: Vec<f32>,
}

impl Features {
    /// How many mel bands (rows).
    #[must_use]
    pub const fn n_mels(&self) -> usize {
        self.n_mels
    }

    /// How many frames (columns).
    #[must_use]
    pub const fn n_frames(&self) -> usize {
        self.n_frames
    }

    /// All values, `n_mels` rows of `n_frames`.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Copies frames `start..start + n_frames` into `out`, row by row, `width` to a row.
    ///
    /// What lies beyond the clip, or beyond `n_frames`, is 0.0: faster-whisper pads features and not silence.
    ///
    /// # Panics
    ///
    /// If `out` is not `n_mels * width` long.
    pub fn window(&self, start: usize, n_frames: usize, width: usize, out: &mut [f32]) {
        assert_eq!(
            out.len(),
            self.n_mels * width,
            "the window must have a place for every band and frame"
        );
        if width == 0 {
            return;
        }
        let from = start.min(self.n_frames);
        let n_copied = n_frames.min(width).min(self.n_frames - from);
        for (mel_idx, row) in out.chunks_exact_mut(width).enumerate() {
            let (copied, padding) = row.split_at_mut(n_copied);
            let at = mel_idx * self.n_frames + from;
            copied.copy_from_slice(&self.values[at..at + n_copied]);
            padding.fill(0.0);
        }
    }
}

/// Buffers that one thread keeps from call to call.
#[derive(Default)]
pub struct Scratch {
    frames: [Vec<f32>; 2],
    signal: Vec<Complex32>,
    spectrum: Vec<Complex32>,
    fft: Vec<Complex32>,
    power: Vec<Lanes>,
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scratch").finish_non_exhaustive()
    }
}

/// Tables for one number of mel bands. To be built once and shared between threads.
pub struct LogMel {
    filters: Filters,
    /// Hann's window, periodic: 400 of 401 points. Halved, because a frame is taken out of a sum of two.
    half_window: Vec<f32>,
    fft: Arc<dyn Fft<f32>>,
}

impl fmt::Debug for LogMel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogMel")
            .field("n_mels", &self.n_mels())
            .finish_non_exhaustive()
    }
}

impl LogMel {
    /// Tables for `n_mels` bands: 80 for most models, 128 for large-v3, turbo and their distillations.
    #[must_use]
    pub fn new(n_mels: usize) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the window is single precision in the reference too"
        )]
        let hann = |n| (0.5 - 0.5 * (TAU * n as f64 / FRAME as f64).cos()) as f32;
        Self {
            filters: Filters::new(n_mels, N_BINS),
            half_window: (0..FRAME).map(|n| hann(n) * 0.5).collect(),
            fft: FftPlanner::new().plan_fft_forward(FRAME),
        }
    }

    /// How many mel bands come out.
    #[must_use]
    pub fn n_mels(&self) -> usize {
        self.filters.n_mels()
    }

    /// How many frames `n_samples` give: those of the audio and the one that begins the 160 zeros after it.
    ///
    /// faster-whisper calls `n_frames - 1` the content frames.
    #[must_use]
    pub const fn n_frames(n_samples: usize) -> usize {
        (n_samples + HOP) / HOP
    }

    /// faster-whisper's features of a whole clip at 16 kHz, into `features` (resized, its memory kept).
    pub fn whisper(&self, samples: &[f32], scratch: &mut Scratch, features: &mut Features) {
        features.n_mels = self.n_mels();
        features.n_frames = Self::n_frames(samples.len());
        features
            .values
            .resize(features.n_mels * features.n_frames, 0.0);
        self.fill(
            Padded {
                samples,
                n_zeros: HOP,
            },
            scratch,
            &mut features.values,
        );
    }

    /// `out` holds `n_mels` rows; the number of frames follows from its length.
    fn fill(&self, signal: Padded<'_>, scratch: &mut Scratch, out: &mut [f32]) {
        let n_frames = out.len() / self.n_mels();
        for frame in &mut scratch.frames {
            frame.resize(FRAME, 0.0);
        }
        scratch.signal.resize(FRAME, Complex32::default());
        scratch.spectrum.resize(FRAME, Complex32::default());
        scratch
            .fft
            .resize(self.fft.get_outofplace_scratch_len(), Complex32::default());
        scratch.power.resize(N_BINS, [0.0; LANES]);

        let mut loudest = [f32::MIN; LANES];
        for first in (0..n_frames).step_by(LANES) {
            let n_lanes = LANES.min(n_frames - first);
            for lane in (0..n_lanes).step_by(2) {
                self.power_of_two_frames(signal, first + lane, lane, scratch);
            }
            let rows = out.chunks_exact_mut(n_frames);
            for (band, row) in self.filters.bands().zip(rows) {
                let logs = band
                    .apply(&scratch.power)
                    .map(|power| log10(larger(power, 1e-10)));
                // Lanes behind the last frame hold something else.
                let logs = &logs[..n_lanes];
                row[first..first + n_lanes].copy_from_slice(logs);
                for (loudest, &log) in loudest.iter_mut().zip(logs) {
                    *loudest = larger(*loudest, log);
                }
            }
        }
        let floor = loudest.into_iter().fold(f32::MIN, larger) - 8.0;
        for value in out {
            *value = (larger(*value, floor) + 4.0) * 0.25;
        }
    }

    /// The power spectra of a frame and the one after it, into two lanes of `scratch.power`.
    ///
    /// One complex transform does both: with one frame as real and the other as imaginary part, the spectra are the even
    /// and the odd half of the result. That costs little more than half of two real transforms. What the louder frame rounds
    /// off lies 14 decades under its power; the floor of the features lies eight under.
    fn power_of_two_frames(
        &self,
        signal: Padded<'_>,
        frame_idx: usize,
        lane: usize,
        scratch: &mut Scratch,
    ) {
        let [left, right] = &mut scratch.frames;
        signal.frame(frame_idx * HOP, left);
        signal.frame((frame_idx + 1) * HOP, right);
        let samples = left.iter().zip(right).zip(&self.half_window);
        for (place, ((left, right), weight)) in scratch.signal.iter_mut().zip(samples) {
            *place = Complex32::new(*left * weight, *right * weight);
        }
        self.fft.process_outofplace_with_scratch(
            &mut scratch.signal,
            &mut scratch.spectrum,
            &mut scratch.fft,
        );
        let mirrored = scratch.spectrum[..1]
            .iter()
            .chain(scratch.spectrum.iter().rev());
        for (power, (bin, mirror)) in scratch
            .power
            .iter_mut()
            .zip(scratch.spectrum.iter().zip(mirrored))
        {
            let (even, odd) = (bin + mirror.conj(), bin - mirror.conj());
            power[lane] = even.norm_sqr();
            power[lane + 1] = odd.norm_sqr();
        }
    }
}

/// The larger of two numbers that are numbers. `f32::max` also minds those that are not, which keeps loops from running
/// in vectors.
fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// A signal with zeros appended, mirrored at both ends.
#[derive(Clone, Copy)]
struct Padded<'a> {
    samples: &'a [f32],
    n_zeros: usize,
}

impl Padded<'_> {
    /// The frame centred at `centre`.
    fn frame(&self, centre: usize, out: &mut [f32]) {
        if let Some(start) = centre.checked_sub(REACH)
            && let Some(inside) = self.samples.get(start..start + FRAME)
        {
            out.copy_from_slice(inside);
            return;
        }
        for (n, place) in out.iter_mut().enumerate() {
            *place = self.mirrored(centre + n);
        }
    }

    /// The sample at `shifted - REACH`, for positions up to `REACH` outside the signal.
    ///
    /// A signal shorter than the reach is mirrored again and again, as numpy does.
    fn mirrored(&self, shifted: usize) -> f32 {
        let last = self.samples.len() + self.n_zeros - 1;
        if last == 0 {
            return self.samples.first().copied().unwrap_or(0.0);
        }
        let around = shifted.abs_diff(REACH) % (2 * last);
        let at = if around > last {
            2 * last - around
        } else {
            around
        };
        self.samples.get(at).copied().unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_counted_as_faster_whisper_does() {
        for (n_samples, n_frames) in [(0, 1), (159, 1), (160, 2), (16_000, 101), (480_000, 3001)] {
            assert_eq!(LogMel::n_frames(n_samples), n_frames);
        }
    }
}
