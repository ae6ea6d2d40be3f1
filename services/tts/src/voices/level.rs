//! How loud a reference has to be for a family of models.

use ebur128::{EbuR128, Mode};

use crate::models::conditioning::SAMPLE_RATE_HZ;

/// The rule of a family. It is applied on the way to the models, never to what is stored, so that the same voice serves
/// another family later.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Level {
    /// As it is.
    AsIs,
    /// References that peak above `above` are scaled to peak at `to`. English and multilingual Chatterbox mangle the
    /// first words of louder ones: 0.5 and 0.3.
    Peak {
        /// Louder ones are scaled.
        above: f32,
        /// To this.
        to: f32,
    },
    /// Scaled to an integrated loudness in LUFS (ITU-R BS.1770). Turbo and Nano were trained so: -27.
    Loudness {
        /// The goal.
        lufs: f64,
    },
}

impl Level {
    /// Of the English and the multilingual models.
    pub const ENGLISH: Level = Level::Peak {
        above: 0.5,
        to: 0.3,
    };
    /// Of Turbo and Nano.
    pub const TURBO: Level = Level::Loudness { lufs: -27.0 };

    /// Scales mono audio at 24 kHz. Audio too quiet or too short to be measured stays as it is.
    pub fn apply(self, samples: &mut [f32]) {
        let factor = match self {
            Level::AsIs => return,
            Level::Peak { above, to } => match peak(samples) {
                peak if above < peak => to / peak,
                _ => return,
            },
            Level::Loudness { lufs } => match loudness(samples) {
                Some(given) => gain(lufs - given),
                None => return,
            },
        };
        for sample in samples {
            *sample *= factor;
        }
    }
}

/// The largest magnitude.
pub(super) fn peak(samples: &[f32]) -> f32 {
    samples.iter().fold(0.0, |peak, it| peak.max(it.abs()))
}

/// Integrated loudness in LUFS; `None` if every block lies below the absolute gate of -70 LUFS or there is none.
fn loudness(samples: &[f32]) -> Option<f64> {
    let mut meter = EbuR128::new(1, SAMPLE_RATE_HZ, Mode::I).ok()?;
    meter.add_frames_f32(samples).ok()?;
    meter.loudness_global().ok().filter(|it| it.is_finite())
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a gain needs no more than f32"
)]
fn gain(decibels: f64) -> f32 {
    10_f64.powf(decibels / 20.0) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sine of 997 Hz, where the weighting of BS.1770 is 0 dB by definition of its offset.
    fn tone(amplitude: f32, seconds: usize) -> Vec<f32> {
        let step = std::f32::consts::TAU * 997.0 / 24_000.0;
        (0..24_000 * seconds)
            .map(|idx| amplitude * (step * (idx % 24_000) as f32).sin())
            .collect()
    }

    #[test]
    fn a_full_scale_tone_measures_as_the_standard_says() {
        // BS.1770: 0 dBFS at 997 Hz in one channel is -3.01 LKFS.
        let measured = loudness(&tone(1.0, 3)).unwrap();
        assert!((measured + 3.01).abs() < 0.05, "{measured}");
    }

    #[test]
    fn turbo_s_references_come_out_at_27_below() {
        for amplitude in [0.9, 0.1, 0.003] {
            let mut samples = tone(amplitude, 3);
            Level::TURBO.apply(&mut samples);
            let measured = loudness(&samples).unwrap();
            assert!((measured + 27.0).abs() < 0.01, "{measured}");
        }
    }

    #[test]
    fn english_references_are_only_ever_made_quieter() {
        for (given, expected) in [(0.9, 0.3), (0.51, 0.3), (0.5, 0.5), (0.1, 0.1)] {
            let mut samples = tone(given, 1);
            let scale = given / peak(&samples);
            samples.iter_mut().for_each(|it| *it *= scale);
            Level::ENGLISH.apply(&mut samples);
            let measured = peak(&samples);
            assert!((measured - expected).abs() < 1e-4, "{given}: {measured}");
        }
    }

    #[test]
    fn what_cannot_be_measured_stays() {
        for level in [Level::AsIs, Level::ENGLISH, Level::TURBO] {
            for mut samples in [vec![], vec![0.0; 48_000], vec![1e-7; 48_000]] {
                let before = samples.clone();
                level.apply(&mut samples);
                assert_eq!(samples, before);
            }
        }
    }
}
