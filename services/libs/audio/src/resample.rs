//! One stream from one rate to another, with state across calls.
//!
//! A polyphase windowed-sinc filter whose table is shared by every stream of the same two rates, so that a stream
//! itself is a few kilobytes. This is why it is not `rubato`, whose sinc resamplers build their table (a quarter of a
//! megabyte at this quality) for every instance, and whose FFT resamplers work in blocks that add delay.
//!
//! *Invariants*
//!
//! - Sample `n` of the output is at the time `n / to`; the filter's delay is taken out.
//! - After [`Resampler::finish`], `n` samples have become exactly `ceil(n * to / from)`.
//! - The output depends on the input alone and not on how it was cut.
//! - Flat to 0.1 dB up to 0.9 of the lower Nyquist frequency, 80 dB down above it.

mod kernel;

use crate::{SampleRate, Samples};
use kernel::Kernel;

/// Input samples taken at a time, which bounds the buffer of a stream whatever it is fed.
const STRIDE: usize = 1024;

/// A stream on its way from one rate to another.
///
/// It holds no memory before its first sample.
#[derive(Debug)]
pub struct Resampler {
    from: SampleRate,
    to: SampleRate,
    filter: Option<Filter>,
    received: Samples,
    produced: Samples,
}

#[derive(Debug)]
struct Filter {
    kernel: Kernel,
    /// The input that the next output still needs, and what came after it. The stream begins with the silence
    /// that the first output's filter reaches back into.
    heard: Vec<f32>,
    /// Where in `heard` the next output's filter begins.
    first: usize,
    /// How far the next output lies behind the input sample before it, in units of `1 / kernel.up()`.
    phase: usize,
}

impl Resampler {
    /// A resampler at the start of a stream. Equal rates pass samples through untouched.
    #[must_use]
    pub const fn new(from: SampleRate, to: SampleRate) -> Self {
        Self {
            from,
            to,
            filter: None,
            received: Samples::ZERO,
            produced: Samples::ZERO,
        }
    }

    /// Appends to `out` what can be said after hearing `input`: all but the last few milliseconds.
    pub fn push(&mut self, input: &[f32], out: &mut Vec<f32>) {
        self.received += Samples::of(input);
        let n_before = out.len();
        if self.from == self.to {
            out.extend_from_slice(input);
        } else if !input.is_empty() {
            let filter = self
                .filter
                .get_or_insert_with(|| Filter::new(self.from, self.to));
            for piece in input.chunks(STRIDE) {
                filter.push(piece, usize::MAX, out);
            }
        }
        self.produced += Samples((out.len() - n_before) as u64);
    }

    /// Appends the rest, as if silence followed, and starts over at zero.
    pub fn finish(&mut self, out: &mut Vec<f32>) {
        let due = self.received.convert_up(self.from, self.to) - self.produced;
        if let Some(mut filter) = self.filter.take() {
            let silence = [0.0; STRIDE];
            let mut n_missing = due.as_usize();
            while n_missing > 0 {
                let n_before = out.len();
                filter.push(&silence, n_missing, out);
                n_missing -= out.len() - n_before;
            }
        }
        (self.received, self.produced) = (Samples::ZERO, Samples::ZERO);
    }

    /// The rate of what is pushed.
    #[must_use]
    pub const fn from(&self) -> SampleRate {
        self.from
    }

    /// The rate of what comes out.
    #[must_use]
    pub const fn to(&self) -> SampleRate {
        self.to
    }

    /// Samples pushed since the start, at the input's rate.
    #[must_use]
    pub const fn received(&self) -> Samples {
        self.received
    }

    /// Samples given since the start, at the output's rate.
    #[must_use]
    pub const fn produced(&self) -> Samples {
        self.produced
    }

    /// Bytes held by this stream, for accounting. The filter's table is shared and not counted.
    #[must_use]
    pub fn allocated_bytes(&self) -> usize {
        self.filter.as_ref().map_or(0, |filter| {
            filter.heard.capacity() * size_of::<f32>() + filter.kernel.own_bytes()
        })
    }
}

impl Filter {
    fn new(from: SampleRate, to: SampleRate) -> Self {
        let kernel = Kernel::new(from, to);
        let n_before = kernel.n_taps() / 2 - 1;
        let mut heard = Vec::with_capacity(kernel.n_taps() + STRIDE);
        heard.resize(n_before, 0.0);
        Self {
            kernel,
            heard,
            first: 0,
            phase: 0,
        }
    }

    /// Gives at most `max` samples.
    fn push(&mut self, input: &[f32], max: usize, out: &mut Vec<f32>) {
        self.heard.extend_from_slice(input);
        let (n_taps, up, down) = (self.kernel.n_taps(), self.kernel.up(), self.kernel.down());
        let mut n_given = 0;
        while n_given < max
            && let Some(reach) = self.heard.get(self.first..self.first + n_taps)
        {
            out.push(self.kernel.at(self.phase, reach));
            n_given += 1;
            let moved = self.phase + down;
            self.first += moved / up;
            self.phase = moved % up;
        }
        // When one step is longer than what was heard, the next output begins beyond it.
        let n_past = self.first.min(self.heard.len());
        self.heard.drain(..n_past);
        self.first -= n_past;
    }
}

/// A whole clip at another rate: exactly `ceil(n * to / from)` samples.
#[must_use]
pub fn resample_all(input: &[f32], from: SampleRate, to: SampleRate) -> Vec<f32> {
    let length = Samples::of(input).convert_up(from, to);
    let mut out = Vec::with_capacity(length.as_usize());
    let mut resampler = Resampler::new(from, to);
    resampler.push(input, &mut out);
    resampler.finish(&mut out);
    out
}

#[cfg(test)]
mod tests;
