//! An endless stream made of recordings and pauses, addressed by sample.
//!
//! Invariants:
//! - A stream is a function of its seed: asked twice for the same samples it gives the same samples,
//!   which is what lets a client replay after a broken connection.
//! - Pauses are not digital silence but faint noise, as a microphone gives.

use std::sync::Arc;

use crate::clip::{Clip, RATE};
use crate::random::Random;

/// What all streams of a run are made of.
#[derive(Clone, Debug)]
pub(crate) struct Playlist {
    pub(crate) clips: Vec<Arc<Clip>>,
    /// Shortest and longest pause between two recordings, in samples.
    pub(crate) pause: (u64, u64),
}

/// One recording in a stream.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// Position of the first sample of the recording.
    pub(crate) start: u64,
    pub(crate) clip: Arc<Clip>,
}

impl Item {
    /// Position of the first voiced sample.
    pub(crate) fn speech_start(&self) -> u64 {
        self.start + self.clip.voiced.start as u64
    }

    /// Position just after the last voiced sample.
    pub(crate) fn speech_end(&self) -> u64 {
        self.start + self.clip.voiced.end as u64
    }

    fn end(&self) -> u64 {
        self.start + self.clip.samples.len() as u64
    }
}

/// The stream of one session.
#[derive(Debug)]
pub(crate) struct Stream {
    playlist: Playlist,
    random: Random,
    /// What is still to come of this round: every recording once, in its own order.
    round: Vec<Arc<Clip>>,
    items: Vec<Item>,
    /// Where the next recording begins.
    next_start: u64,
    noise: Arc<[i16]>,
}

/// Noise of about -75 dBFS that repeats after a prime number of samples, so no period falls in step with a window.
pub(crate) fn faint_noise() -> Arc<[i16]> {
    const PRIME: usize = 15_991;
    let mut random = Random::new(0x5EED);
    (0..PRIME)
        .map(|_| i16::try_from(random.between(0, 10)).unwrap_or(0) - 5)
        .collect()
}

impl Stream {
    /// The first recording begins after a random part of a pause, so sessions are out of step.
    pub(crate) fn new(playlist: &Playlist, seed: u64, noise: Arc<[i16]>) -> Stream {
        let mut random = Random::new(seed);
        let longest_clip = playlist
            .clips
            .iter()
            .map(|clip| clip.samples.len() as u64)
            .max()
            .unwrap_or(0);
        let next_start = random.between(0, playlist.pause.1 + longest_clip);
        Stream {
            playlist: playlist.clone(),
            random,
            round: Vec::new(),
            items: Vec::new(),
            next_start,
            noise,
        }
    }

    /// Writes the samples from `from` on into `out`.
    pub(crate) fn fill(&mut self, from: u64, out: &mut [i16]) {
        let to = from + out.len() as u64;
        self.extend(to);
        let phase = distance(0, from % self.noise.len() as u64);
        let noise = self.noise.iter().cycle().skip(phase);
        for (sample, noise) in out.iter_mut().zip(noise) {
            *sample = *noise;
        }
        let first = self.items.partition_point(|item| item.end() <= from);
        for item in &self.items[first..] {
            if item.start >= to {
                break;
            }
            let begin = item.start.max(from);
            let end = item.end().min(to);
            let source = distance(item.start, begin)..distance(item.start, end);
            let target = distance(from, begin)..distance(from, end);
            out[target].copy_from_slice(&item.clip.samples[source]);
        }
    }

    /// Recordings that begin before `position`.
    pub(crate) fn begun_before(&mut self, position: u64) -> &[Item] {
        self.extend(position);
        let n = self.items.partition_point(|item| item.start < position);
        &self.items[..n]
    }

    /// The next position at or after `position` that lies between two recordings, at the end of a pause.
    pub(crate) fn next_rest(&mut self, position: u64) -> u64 {
        self.extend(position + 1);
        let n = self.items.partition_point(|item| item.start < position);
        match self.items.get(n) {
            Some(next) => next.start,
            // Nothing is ever played.
            None => position,
        }
    }

    /// Makes the stream known up to and including the first recording that begins at or after `to`.
    fn extend(&mut self, to: u64) {
        while self.items.last().is_none_or(|last| last.start < to) {
            if self.round.is_empty() {
                self.round.clone_from(&self.playlist.clips);
                self.random.shuffle(&mut self.round);
            }
            let Some(clip) = self.round.pop() else {
                return;
            };
            let item = Item {
                start: self.next_start,
                clip,
            };
            self.next_start = item.end()
                + self
                    .random
                    .between(self.playlist.pause.0, self.playlist.pause.1);
            self.items.push(item);
        }
    }
}

/// From one position to a later one within a frame or a recording.
fn distance(from: u64, to: u64) -> usize {
    usize::try_from(to - from).unwrap_or(usize::MAX)
}

/// Samples in a time. Stream times are far below 2^53 samples, so nothing is lost.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped at zero; positions are small"
)]
pub(crate) fn samples(seconds: f64) -> u64 {
    (seconds.max(0.0) * f64::from(RATE)).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn playlist() -> Playlist {
        let clip = |name: &str, n: usize, level: i16| {
            Arc::new(Clip {
                name: name.to_owned(),
                text: String::new(),
                samples: vec![level; n],
                voiced: 10..n - 10,
                file: Vec::new(),
            })
        };
        Playlist {
            clips: vec![clip("a", 1000, 7000), clip("b", 2500, 9000)],
            pause: (400, 900),
        }
    }

    #[test]
    fn the_stream_does_not_depend_on_how_it_is_asked() {
        let noise = faint_noise();
        let mut whole = vec![0; 60_000];
        Stream::new(&playlist(), 5, Arc::clone(&noise)).fill(0, &mut whole);
        for size in [1usize, 160, 441, 4096] {
            let mut stream = Stream::new(&playlist(), 5, Arc::clone(&noise));
            let mut pieces = Vec::new();
            while pieces.len() < whole.len() {
                let mut piece = vec![0; size.min(whole.len() - pieces.len())];
                stream.fill(pieces.len() as u64, &mut piece);
                pieces.extend(piece);
            }
            assert!(pieces == whole, "frames of {size}");
        }
        // Going back gives the same again.
        let mut stream = Stream::new(&playlist(), 5, noise);
        let mut again = vec![0; 5000];
        stream.fill(50_000, &mut again);
        stream.fill(20_000, &mut again);
        assert!(again[..] == whole[20_000..25_000]);
    }

    #[test]
    fn items_say_what_the_samples_are() {
        let mut stream = Stream::new(&playlist(), 9, faint_noise());
        let items = stream.begun_before(100_000).to_vec();
        assert!(items.len() > 20, "{}", items.len());
        for pair in items.windows(2) {
            let pause = pair[1].start - pair[0].end();
            assert!((400..=900).contains(&pause), "{pause}");
        }
        for item in &items {
            let mut heard = vec![0; item.clip.samples.len() + 2];
            stream.fill(item.start - 1, &mut heard);
            assert!(heard[0].abs() < 10 && heard[1] == item.clip.samples[0]);
            assert!(heard[heard.len() - 1].abs() < 10);
        }
        let rest = stream.next_rest(items[3].start + 1);
        assert_eq!(rest, items[4].start);
        assert_eq!(stream.next_rest(items[4].start), items[4].start);
    }

    #[test]
    fn every_recording_is_played_equally_often() {
        let mut stream = Stream::new(&playlist(), 11, faint_noise());
        let items = stream.begun_before(500_000);
        let n_a = items.iter().filter(|item| item.clip.name == "a").count();
        assert!(items.len().abs_diff(2 * n_a) <= 2);
    }
}
