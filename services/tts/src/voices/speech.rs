//! Where somebody speaks in a recording, and whether: by loudness and periodicity, without a model.
//!
//! Invariants:
//! - Pure, and linear in the length of the audio.
//! - A doubtful recording counts as speech: a wrong refusal costs a user more than a poor voice.

use crate::models::conditioning::SAMPLE_RATE_HZ;

/// 20 ms at 24 kHz.
pub(super) const FRAME: usize = 480;
/// Nothing below this is heard, in dB of full scale.
const SILENCE_DB: f32 = -60.0;
/// So far below the loud frames lies what is trimmed. Fricatives at the edges of words reach about -30; room noise of a
/// poor microphone about -40.
const TRIM_DB: f32 = 35.0;
/// Kept on both sides of what is heard: 120 ms.
const MARGIN_FRAMES: usize = 6;
/// The level of loud frames is that of the tenth loudest, so that a click does not set it.
const LOUD_RANK: usize = 10;

/// What a recording is like, frame by frame.
#[derive(Debug)]
pub(super) struct Loudness {
    /// In dB of full scale.
    frames_db: Vec<f32>,
    /// Of loud frames.
    pub(super) loud_db: f32,
}

/// Frames in which something is heard, from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    first: usize,
    /// The last one.
    last: usize,
}

impl Loudness {
    pub(super) fn of(samples: &[f32]) -> Loudness {
        let frames_db: Vec<f32> = samples.chunks(FRAME).map(level_db).collect();
        let mut sorted = frames_db.clone();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let rank = LOUD_RANK.min(sorted.len().saturating_sub(1));
        let loud_db = sorted.get(rank).copied().unwrap_or(f32::NEG_INFINITY);
        Loudness { frames_db, loud_db }
    }

    /// `None` if all is silence.
    pub(super) fn heard(&self) -> Option<Heard> {
        if self.loud_db < SILENCE_DB {
            return None;
        }
        let threshold = (self.loud_db - TRIM_DB).max(SILENCE_DB);
        let is_heard = |it: &f32| threshold <= *it;
        Some(Heard {
            first: self.frames_db.iter().position(is_heard)?,
            last: self.frames_db.iter().rposition(is_heard)?,
        })
    }

    /// How far loud and quiet parts lie apart, in dB, between the first and the last frame heard.
    fn range_db(&self, heard: Heard) -> f32 {
        let mut frames: Vec<f32> = self.frames_db[heard.first..=heard.last].to_vec();
        frames.sort_by(f32::total_cmp);
        let at = |tenths: usize| frames[(frames.len() - 1) * tenths / 10];
        at(9) - at(1)
    }
}

impl Heard {
    /// In samples, with a margin.
    pub(super) fn samples(self, n_samples: usize) -> std::ops::Range<usize> {
        let start = self.first.saturating_sub(MARGIN_FRAMES) * FRAME;
        let end = (self.last + 1 + MARGIN_FRAMES) * FRAME;
        start..end.min(n_samples)
    }
}

/// How much is heard around a place: where it is little, a cut hurts no word.
pub(super) fn energy_around(samples: &[f32], idx: usize) -> f32 {
    let end = samples.len().min(idx + FRAME);
    energy(&samples[idx.saturating_sub(FRAME).min(end)..end])
}

/// Voiced sound shorter than this, in seconds, is no speech.
const MIN_VOICED_S: f64 = 0.3;
/// Syllables and pauses move the level by at least this; hum, tones and steady noise do not.
const MIN_RANGE_DB: f32 = 6.0;

/// Whether somebody speaks in trimmed audio.
pub(super) fn is_present(samples: &[f32]) -> bool {
    let loudness = Loudness::of(samples);
    let Some(heard) = loudness.heard() else {
        return false;
    };
    MIN_RANGE_DB <= loudness.range_db(heard)
        && MIN_VOICED_S <= voiced_seconds(samples, loudness.loud_db)
}

/// Pitch is looked for at 8 kHz.
const DECIMATION: usize = 3;
const PITCH_RATE_HZ: usize = SAMPLE_RATE_HZ as usize / DECIMATION;
/// 400 Hz, and 60 Hz.
const MIN_LAG: usize = PITCH_RATE_HZ / 400;
const MAX_LAG: usize = PITCH_RATE_HZ / 60;
const WINDOW: usize = 320;
const HOP: usize = 160;
/// Frames so far below the loud ones are not judged.
const VOICED_DB: f32 = 30.0;
/// A voiced frame is at least this similar to itself one period later,
const MIN_SIMILARITY: f32 = 0.5;
/// and this less so in between. Low rumble is similar to itself at every short distance.
const MIN_DIP: f32 = 0.4;

/// How long the vocal folds swing.
fn voiced_seconds(samples: &[f32], loud_db: f32) -> f64 {
    // The mean of three is low-pass enough: what folds over from above 4 kHz is weak in voiced sound.
    let narrow: Vec<f32> = samples
        .chunks_exact(DECIMATION)
        .map(|it| it.iter().sum::<f32>() / DECIMATION as f32)
        .collect();
    let mut n_voiced = 0_u32;
    let mut window = Vec::with_capacity(WINDOW + MAX_LAG);
    for start in (0..narrow.len().saturating_sub(WINDOW + MAX_LAG)).step_by(HOP) {
        window.clear();
        window.extend_from_slice(&narrow[start..start + WINDOW + MAX_LAG]);
        if loud_db - VOICED_DB <= level_db(&window) && is_voiced(&mut window) {
            n_voiced += 1;
        }
    }
    f64::from(n_voiced) * HOP as f64 / PITCH_RATE_HZ as f64
}

fn is_voiced(window: &mut [f32]) -> bool {
    let mean = window.iter().sum::<f32>() / window.len() as f32;
    window.iter_mut().for_each(|it| *it -= mean);
    let own = energy(&window[..WINDOW]);
    let mut lowest = 1.0_f32;
    let mut deepest_rise = false;
    for lag in 1..=MAX_LAG {
        // Distances below the shortest period only show how deep the dip before it is.
        let later = &window[lag..lag + WINDOW];
        let product: f32 = window[..WINDOW].iter().zip(later).map(|(a, b)| a * b).sum();
        let similarity = product / (own * energy(later)).sqrt().max(f32::MIN_POSITIVE);
        lowest = lowest.min(similarity);
        deepest_rise |=
            MIN_LAG <= lag && MIN_SIMILARITY <= similarity && lowest + MIN_DIP <= similarity;
    }
    deepest_rise
}

fn energy(samples: &[f32]) -> f32 {
    samples.iter().map(|it| it * it).sum()
}

fn level_db(samples: &[f32]) -> f32 {
    let power = energy(samples) / samples.len().max(1) as f32;
    10.0 * power.max(1e-12).log10()
}

#[cfg(test)]
mod tests;
