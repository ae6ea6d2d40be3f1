//! A decoder that does everything that makes joining hard, and nothing else.

use super::super::{MUTED_SAMPLES, SAMPLES_PER_TOKEN};

/// What it does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Artefacts {
    /// Every call draws its own noise, of this level.
    pub(super) noise: f32,
    /// The phase is summed up from the start of the call; otherwise from the start of each token.
    pub(super) sums_phase: bool,
    /// A call begins muted.
    pub(super) mutes_head: bool,
}

impl Artefacts {
    pub(super) const NONE: Artefacts = Artefacts {
        noise: 0.0,
        sums_phase: false,
        mutes_head: false,
    };
    pub(super) const HEAD: Artefacts = Artefacts {
        mutes_head: true,
        ..Artefacts::NONE
    };
    /// The noise is about 30 dB below the voice.
    pub(super) const ALL: Artefacts = Artefacts {
        noise: 0.01,
        sums_phase: true,
        mutes_head: true,
    };
}

/// Looks three tokens ahead and three back.
#[derive(Debug)]
pub(super) struct Toy {
    artefacts: Artefacts,
    /// xorshift64
    random: u64,
}

const REACH: usize = 3;
const TAPS: [f32; 2 * REACH + 1] = [0.05, 0.1, 0.2, 0.3, 0.2, 0.1, 0.05];

impl Toy {
    pub(super) fn new(artefacts: Artefacts) -> Toy {
        Toy {
            artefacts,
            random: 0x9e37_79b9_7f4a_7c15,
        }
    }

    pub(super) fn decode(&mut self, tokens: &[i64]) -> Vec<f32> {
        let pitch = smoothed(tokens, |it| 110.0 + (it % 101) as f32);
        let loudness = smoothed(tokens, |it| 0.1 + (it * 7 % 31) as f32 / 100.0);
        let mut samples = Vec::with_capacity(tokens.len() * SAMPLES_PER_TOKEN);
        let mut phase = 0.0_f32;
        for token_idx in 0..tokens.len() {
            if !self.artefacts.sums_phase {
                phase = pitch[token_idx] * 0.7;
            }
            for sample_idx in 0..SAMPLES_PER_TOKEN {
                let part = sample_idx as f32 / SAMPLES_PER_TOKEN as f32;
                let hz = between(&pitch, token_idx, part);
                phase = (phase + hz / 24_000.0).fract();
                let voice: f32 = (1_u8..=8)
                    .map(|it| {
                        let harmonic = f32::from(it);
                        (phase * harmonic * std::f32::consts::TAU).sin() / harmonic
                    })
                    .sum();
                let noise = self.artefacts.noise * self.draw();
                // Silent at the borders of tokens, where a phase that is not summed up would jump.
                let swell = if self.artefacts.sums_phase {
                    1.0
                } else {
                    (part * std::f32::consts::PI).sin()
                };
                samples.push(between(&loudness, token_idx, part) * voice * swell + noise);
            }
        }
        if self.artefacts.mutes_head {
            for (sample_idx, sample) in samples.iter_mut().take(2 * MUTED_SAMPLES).enumerate() {
                let risen = sample_idx.saturating_sub(MUTED_SAMPLES) as f32;
                *sample *= risen / MUTED_SAMPLES as f32;
            }
        }
        samples
    }

    /// Between -1 and 1.
    fn draw(&mut self) -> f32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 40) as f32 / 8_388_608.0 - 1.0
    }
}

fn smoothed(tokens: &[i64], value: impl Fn(i64) -> f32) -> Vec<f32> {
    (0..tokens.len())
        .map(|at| {
            let near = TAPS.iter().enumerate().filter_map(|(tap_idx, tap)| {
                let token = tokens.get((at + tap_idx).checked_sub(REACH)?)?;
                Some(tap * value(*token))
            });
            near.sum()
        })
        .collect()
}

/// From the value of the token before to its own: looking back only, a token depends on no more than the taps reach ahead.
fn between(values: &[f32], at: usize, part: f32) -> f32 {
    let before = if at == 0 { values[0] } else { values[at - 1] };
    before + (values[at] - before) * part
}
