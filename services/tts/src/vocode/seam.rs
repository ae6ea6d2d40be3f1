//! How two windows become one: where the second matches the end of the first best, how loud it is there, and the blend.

use std::ops::RangeInclusive;

/// The two windows are blended over 20 ms.
pub(super) const FADE: usize = 480;
/// The second may be shifted by 5 ms either way: somewhere in 10 ms every voice above 100 Hz comes round to the same phase.
pub(super) const MAX_LAG: usize = 120;

/// Quieter than this (-80 dB) there is no shape to match and no level to keep.
const QUIET: f32 = 1e-4;
/// By how much the second window may be made louder or softer: a third, about 3 dB, either way.
const GAINS: RangeInclusive<f32> = 0.7..=1.4;
/// The level of the second window returns to its own in 20 ms.
const LEVEL: usize = 480;

/// Where and how a window is joined to the one before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Seam {
    /// Samples by which the window is shifted.
    lag: isize,
    /// How alike the two are there, 0 to 1.
    likeness: f32,
    /// What the window is multiplied by so that it is as loud as the one before.
    gain: f32,
}

impl Seam {
    const PLAIN: Seam = Seam {
        lag: 0,
        likeness: 1.0,
        gain: 1.0,
    };

    /// Finds the place in `samples` near `at` that looks like the end of `held`.
    ///
    /// The first `muted` samples are not looked at, and with `room` samples after what is wanted the window is shifted by no more.
    pub(super) fn find(
        held: &[f32],
        samples: &[f32],
        at: usize,
        muted: usize,
        room: usize,
    ) -> Seam {
        let held_level = level(held);
        if held_level < QUIET {
            return Seam::PLAIN;
        }
        let zone = at.saturating_sub(held.len());
        let back = zone.saturating_sub(muted).min(MAX_LAG);
        let ahead = room.min(samples.len() - at).min(MAX_LAG);
        let mut best: Option<(f32, usize, f32)> = None;
        // From the middle outwards, so that of equals the least shift is taken.
        for distance in 0..=MAX_LAG {
            let earlier = (distance <= back).then(|| zone - distance);
            let later = (0 < distance && distance <= ahead).then_some(zone + distance);
            for start in [earlier, later].into_iter().flatten() {
                let there = &samples[start..start + held.len()];
                let there_level = level(there);
                if there_level < QUIET {
                    continue;
                }
                let likeness = product(held, there) / (held_level * there_level);
                // Rounding must not decide between equals.
                if best.is_none_or(|it| it.0 + 1e-4 < likeness) {
                    best = Some((likeness, start, there_level));
                }
            }
        }
        let Some((likeness, start, there_level)) = best else {
            return Seam {
                likeness: 0.0,
                ..Seam::PLAIN
            };
        };
        Seam {
            lag: start.cast_signed() - zone.cast_signed(),
            likeness: likeness.clamp(0.0, 1.0),
            gain: (held_level / there_level).clamp(*GAINS.start(), *GAINS.end()),
        }
    }

    /// Where the window has what belongs to its own position `at`.
    pub(super) fn shift(&self, at: usize) -> usize {
        at.saturating_add_signed(self.lag)
    }

    /// The end of the window before, turning into this one.
    ///
    /// The power stays the same all the way: the more alike the two are, the more they add up by themselves.
    pub(super) fn blend(&self, held: &[f32], samples: &[f32], at: usize) -> Vec<f32> {
        let end = self.shift(at);
        let there = &samples[end - held.len()..end];
        let n = held.len() as f32;
        let mut blended = Vec::with_capacity(held.len());
        for (sample_idx, (old, new)) in held.iter().zip(there).enumerate() {
            let angle = (sample_idx as f32 + 0.5) / n * std::f32::consts::FRAC_PI_2;
            let (rise, fall) = angle.sin_cos();
            let power = (1.0 + 2.0 * rise * fall * self.likeness).sqrt();
            blended.push((fall * old + rise * self.gain * new) / power);
        }
        blended
    }

    /// Lets the level of `samples` return to its own from `start` on.
    pub(super) fn level(&self, samples: &mut [f32], start: usize) {
        for (sample_idx, sample) in samples.iter_mut().skip(start).take(LEVEL).enumerate() {
            let left = 1.0 - (sample_idx as f32 + 0.5) / LEVEL as f32;
            *sample *= 1.0 + (self.gain - 1.0) * left;
        }
    }
}

/// Root mean square.
fn level(samples: &[f32]) -> f32 {
    if samples.is_empty() {
        return 0.0;
    }
    product(samples, samples).sqrt()
}

/// The mean of the products.
fn product(a: &[f32], b: &[f32]) -> f32 {
    let sum: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
    sum / a.len() as f32
}
