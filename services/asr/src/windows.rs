//! Where the speech of a whole recording is: probabilities of its frames in, stretches to transcribe out, and times put back.
//!
//! ```text
//! clip ─ frames ─► Silero ─► probabilities ─ speech ─► stretches ─ gather ─► clips without silence ─► Whisper ─► restore
//! ```
//!
//! Invariants:
//! - Pure, and equal to faster-whisper 1.2.1 (`get_speech_timestamps`, `collect_chunks`, `restore_speech_timestamps`) number by
//!   number, its quirks included. Times are rounded to 0.01 s as there.
//! - Stretches are in order and do not overlap.

use std::ops::Range;
use std::time::Duration;

use crate::transcript::{Segment, Word};

/// Samples of a frame that Silero hears at a time.
pub const FRAME: usize = 512;
/// Samples of the frame before that it hears again.
const CONTEXT: usize = 64;
const RATE_HZ: f64 = 16_000.0;
/// A silence at least this long may be a place to cut speech that is too long, in samples.
const MIN_CUT_SILENCE: f64 = RATE_HZ * 98.0 / 1000.0;

/// How speech is told from silence.
#[derive(Clone, Debug, PartialEq)]
pub struct SpeechOptions {
    /// Speech begins at this probability.
    pub start_probability: f64,
    /// Speech ends below this one. `None`: 0.15 under `start_probability`, and 0.01 at least.
    pub stop_probability: Option<f64>,
    /// Shorter stretches are dropped.
    pub min_speech: Duration,
    /// Longer stretches are cut, at a silence if there is one. `None`: never.
    pub max_speech: Option<Duration>,
    /// Shorter silences do not end a stretch.
    pub min_silence: Duration,
    /// Added at both ends of a stretch.
    pub pad: Duration,
}

impl SpeechOptions {
    /// What the reference uses for one window after the other.
    pub fn sequential() -> SpeechOptions {
        SpeechOptions {
            start_probability: 0.5,
            stop_probability: None,
            min_speech: Duration::ZERO,
            max_speech: None,
            min_silence: Duration::from_millis(2000),
            pad: Duration::from_millis(400),
        }
    }

    /// What the reference uses for many windows at once, each at most `window` long.
    pub fn batched(window: Duration) -> SpeechOptions {
        SpeechOptions {
            max_speech: Some(window),
            min_silence: Duration::from_millis(160),
            ..SpeechOptions::sequential()
        }
    }
}

fn n_samples(duration: Duration) -> f64 {
    duration.as_secs_f64() * RATE_HZ
}

/// How many [`frames`] a recording of so many samples has.
pub fn n_frames(n_clip_samples: usize) -> usize {
    n_clip_samples / FRAME + 1
}

/// Some frames of a recording by their numbers, one after the other, as the reference hands them to Silero.
///
/// Zeros follow the last sample: up to a whole frame, and a whole frame where none were needed. The end of the last frame is
/// silenced, which the reference does by accident; it is seen only where fewer zeros than that were added.
pub fn frames(clip: &[f32], some: Range<usize>) -> Vec<f32> {
    let n_all = n_frames(clip.len());
    let end = some.end.min(n_all);
    let start = some.start.min(end);
    let n_samples = FRAME * (end - start);
    let mut frames = Vec::with_capacity(n_samples);
    let at_hand = FRAME * start..clip.len().min(FRAME * end);
    frames.extend_from_slice(clip.get(at_hand).unwrap_or_default());
    frames.resize(n_samples, 0.0);
    if end == n_all
        && let Some(silenced) = n_samples.checked_sub(CONTEXT)
    {
        frames[silenced..].fill(0.0);
    }
    frames
}

/// The stretches of speech in a recording of `n_samples`, given the probability of each of its [`frames`].
pub fn speech(
    probabilities: &[f32],
    n_clip_samples: usize,
    options: &SpeechOptions,
) -> Vec<Range<usize>> {
    let mut stretches = find(probabilities, n_clip_samples, options);
    pad(&mut stretches, n_clip_samples, n_samples(options.pad));
    stretches
}

/// The reference's walk over the frames. A position of 0 stands for "none", as there.
fn find(
    probabilities: &[f32],
    n_clip_samples: usize,
    options: &SpeechOptions,
) -> Vec<Range<usize>> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the reference compares single precision"
    )]
    let (start_probability, stop_probability) = {
        let stop = options
            .stop_probability
            .unwrap_or((options.start_probability - 0.15).max(0.01));
        (options.start_probability as f32, stop as f32)
    };
    let max_speech = options.max_speech.map_or(f64::INFINITY, |it| {
        n_samples(it) - FRAME as f64 - 2.0 * n_samples(options.pad)
    });
    let min_speech = n_samples(options.min_speech);
    let min_silence = n_samples(options.min_silence);

    let mut found = Vec::new();
    let mut start: Option<usize> = None;
    // Where the silence began that may end the stretch.
    let mut silent_from = 0;
    // The last silence at which a stretch that is too long may be cut, and where speech went on after it.
    let (mut cut_end, mut cut_next) = (0, 0);
    for (idx, &probability) in probabilities.iter().enumerate() {
        let at = FRAME * idx;
        let is_speech = start_probability <= probability;
        if is_speech && silent_from != 0 {
            silent_from = 0;
            if cut_next < cut_end {
                cut_next = at;
            }
        }
        let Some(begun) = start else {
            if is_speech {
                start = Some(at);
            }
            continue;
        };
        if max_speech < (at - begun) as f64 {
            if cut_end == 0 {
                found.push(begun..at);
                start = None;
                (cut_end, cut_next, silent_from) = (0, 0, 0);
                continue;
            }
            found.push(begun..cut_end);
            start = (cut_end <= cut_next).then_some(cut_next);
            (cut_end, cut_next, silent_from) = (0, 0, 0);
        }
        let Some(begun) = start else {
            continue;
        };
        if probability < stop_probability {
            if silent_from == 0 {
                silent_from = at;
            }
            let silence = (at - silent_from) as f64;
            if MIN_CUT_SILENCE < silence {
                cut_end = silent_from;
            }
            if silence < min_silence {
                continue;
            }
            if min_speech < silent_from.saturating_sub(begun) as f64 {
                found.push(begun..silent_from);
            }
            start = None;
            (cut_end, cut_next, silent_from) = (0, 0, 0);
        }
    }
    if let Some(begun) = start
        && min_speech < n_clip_samples.saturating_sub(begun) as f64
    {
        found.push(begun..n_clip_samples);
    }
    found
}

/// Widens the stretches, and shares a short silence between its neighbours.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a length in samples, cut as the reference does"
)]
fn pad(stretches: &mut [Range<usize>], n_clip_samples: usize, pad: f64) {
    let earlier = |at: usize| (at as f64 - pad).max(0.0) as usize;
    let later = |at: usize| (at as f64 + pad).min(n_clip_samples as f64) as usize;
    if let Some(first) = stretches.first_mut() {
        first.start = earlier(first.start);
    }
    for idx in 0..stretches.len() {
        let end = stretches[idx].end;
        let Some(next) = stretches.get_mut(idx + 1) else {
            stretches[idx].end = later(end);
            continue;
        };
        let silence = next.start - end;
        if (silence as f64) < 2.0 * pad {
            next.start -= silence / 2;
            stretches[idx].end += silence / 2;
        } else {
            next.start = earlier(next.start);
            stretches[idx].end = later(end);
        }
    }
}

/// Stretches that are transcribed as one clip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gathered {
    /// Where the clip begins in the recording without its silences, in samples.
    pub offset: usize,
    /// In order; together they are the clip.
    pub stretches: Vec<Range<usize>>,
}

impl Gathered {
    /// Length of the clip in samples.
    pub fn n_samples(&self) -> usize {
        self.stretches.iter().map(Range::len).sum()
    }

    /// The clip itself.
    pub fn clip(&self, recording: &[f32]) -> Vec<f32> {
        let mut clip = Vec::with_capacity(self.n_samples());
        for stretch in &self.stretches {
            clip.extend_from_slice(&recording[stretch.clone()]);
        }
        clip
    }
}

/// Puts stretches together into clips of at most `max_clip`, as many as fit; `None` makes one clip of all.
///
/// A stretch that is longer than that is a clip of its own. Without stretches there are no clips.
pub fn gather(stretches: &[Range<usize>], max_clip: Option<Duration>) -> Vec<Gathered> {
    let max = max_clip.map_or(f64::INFINITY, n_samples);
    let mut clips: Vec<Gathered> = Vec::new();
    let mut offset = 0;
    for stretch in stretches {
        match clips.last_mut() {
            Some(clip) if (clip.n_samples() + stretch.len()) as f64 <= max => {
                clip.stretches.push(stretch.clone());
            }
            Some(_) | None => {
                offset += clips.last().map_or(0, Gathered::n_samples);
                clips.push(Gathered {
                    offset,
                    stretches: vec![stretch.clone()],
                });
            }
        }
    }
    clips
}

/// Maps times of the recording without its silences to times of the recording.
#[derive(Clone, Debug)]
pub struct Restore {
    /// For each stretch: its end in the recording without silences, in samples.
    ends: Vec<usize>,
    /// For each stretch: the silence before it, in seconds.
    silences: Vec<f64>,
}

impl Restore {
    /// For the stretches that were kept.
    pub fn new(stretches: &[Range<usize>]) -> Restore {
        let mut restore = Restore {
            ends: Vec::new(),
            silences: Vec::new(),
        };
        let mut silent = 0;
        let mut previous_end = 0;
        for stretch in stretches {
            silent += stretch.start - previous_end;
            previous_end = stretch.end;
            restore.ends.push(stretch.end - silent);
            restore.silences.push(silent as f64 / RATE_HZ);
        }
        restore
    }

    /// Moves a segment, and its words, to where it was said.
    ///
    /// A word lies in one stretch, the one that holds its middle; a segment with words begins and ends with them.
    pub fn segment(&self, segment: &mut Segment) {
        if let Some(words) = segment.words.as_mut().filter(|it| !it.is_empty()) {
            for word in words.iter_mut() {
                self.word(word);
            }
            if let (Some(first), Some(last)) = (words.first(), words.last()) {
                (segment.start, segment.end) = (first.start, last.end);
            }
            return;
        }
        segment.start = self.time(segment.start, self.stretch_at(segment.start));
        segment.end = self.time(segment.end, self.stretch_ending_at(segment.end));
    }

    fn word(&self, word: &mut Word) {
        let stretch = self.stretch_at(f64::midpoint(word.start, word.end));
        word.start = self.time(word.start, stretch);
        word.end = self.time(word.end, stretch);
    }

    fn time(&self, seconds: f64, stretch: usize) -> f64 {
        round(self.silences.get(stretch).copied().unwrap_or(0.0) + seconds)
    }

    fn stretch_at(&self, seconds: f64) -> usize {
        let at = sample_at(seconds);
        self.ends
            .partition_point(|&end| end <= at)
            .min(self.ends.len().saturating_sub(1))
    }

    /// A time on the border of two stretches is the end of the first.
    fn stretch_ending_at(&self, seconds: f64) -> usize {
        let at = sample_at(seconds);
        self.ends
            .iter()
            .position(|&end| end == at)
            .unwrap_or_else(|| self.stretch_at(seconds))
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "times in a recording; negative ones become 0"
)]
fn sample_at(seconds: f64) -> usize {
    (seconds * RATE_HZ) as usize
}

/// To the nearest 0.01 s, a tie to the even digit, by the exact value: as Python does, and as no multiplication by 100 would.
fn round(seconds: f64) -> f64 {
    format!("{seconds:.2}").parse().unwrap_or(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_in_pieces_are_those_of_the_whole() {
        for n_samples in [0, 1, 447, 449, 511, 512, 513, 5 * FRAME - 1, 5 * FRAME] {
            let clip: Vec<f32> = (1_u16..).take(n_samples).map(f32::from).collect();
            let n_all = n_frames(n_samples);
            let whole = frames(&clip, 0..n_all);
            assert_eq!(whole.len(), n_all * FRAME);
            let n_heard = n_samples.min(whole.len() - CONTEXT);
            assert_eq!(whole[..n_heard], clip[..n_heard], "{n_samples}");
            assert!(whole[n_heard..].iter().all(|it| *it == 0.0), "{n_samples}");
            for step in 1..=n_all {
                // The last piece may be asked for beyond the end.
                let pieces = (0..n_all)
                    .step_by(step)
                    .flat_map(|at| frames(&clip, at..at + step));
                assert_eq!(pieces.collect::<Vec<_>>(), whole, "{n_samples}, {step}");
            }
            assert!(frames(&clip, n_all..n_all + 1).is_empty());
        }
    }
}
