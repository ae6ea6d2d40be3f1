//! Faster or slower at the same pitch: waveform-similarity overlap-add.

use std::num::{NonZeroU16, NonZeroU32};

use audio::SampleRate;
use wsola::TimeStretch;

/// A stream at another speed.
#[derive(Debug)]
pub(super) struct Speed {
    stretch: TimeStretch,
    /// What one call of the library gives.
    hop: Vec<f32>,
    tempo: f32,
    n_pushed: u64,
    n_given: u64,
}

impl Speed {
    pub(super) fn new(rate: SampleRate, tempo: f32) -> Speed {
        let rate = NonZeroU32::new(rate.hz()).unwrap_or(NonZeroU32::MIN);
        let mut stretch =
            TimeStretch::new(rate, NonZeroU16::MIN).expect("the library refuses no rate");
        stretch.set_tempo(tempo);
        let hop = vec![0.0; stretch.min_output_buff_size()];
        Speed {
            stretch,
            hop,
            tempo,
            n_pushed: 0,
            n_given: 0,
        }
    }

    pub(super) fn push(&mut self, samples: &[f32]) -> Vec<f32> {
        self.n_pushed += samples.len() as u64;
        self.stretch.push(samples);
        let stretched = self.pull();
        self.n_given += stretched.len() as u64;
        stretched
    }

    /// The rest, so that in all there is as much as the tempo asks for: the library works in whole steps.
    pub(super) fn finish(mut self) -> Vec<f32> {
        self.stretch.set_draining();
        let mut rest = self.pull();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a length"
        )]
        let n_due = (self.n_pushed as f64 / f64::from(self.tempo)).round() as u64;
        let n_left = usize::try_from(n_due.saturating_sub(self.n_given)).unwrap_or(0);
        rest.resize(n_left, 0.0);
        rest
    }

    fn pull(&mut self) -> Vec<f32> {
        let mut stretched = Vec::new();
        // An error means that more is wanted before there is another step.
        while let Ok(n) = self.stretch.pull(&mut self.hop) {
            let Some(given) = self.hop.get(..n).filter(|it| !it.is_empty()) else {
                break;
            };
            stretched.extend_from_slice(given);
        }
        stretched
    }
}
