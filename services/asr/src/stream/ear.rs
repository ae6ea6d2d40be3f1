//! The bytes of one stream in, audio at 16 kHz by position out.
//!
//! ```text
//! bytes ─► decoder ─► mono at the client's rate ─► resampler ─► backlog ─► history ─► frames, clips
//! ```
//!
//! Invariants:
//! - No more audio than the history's bound is held, plus what one small piece of bytes can make.
//! - Every sample of the client is counted once, when it is decoded. Nothing is dropped: what does not fit is not taken.
//! - The frames handed out are gapless and their ends are multiples of the frame's length.

use std::ops::Range;
use std::sync::Arc;

use audio::encoding::PcmDecoder;
use audio::history::History;
use audio::ogg_opus::{OggOpusDecoder, OggOpusError};
use audio::resample::Resampler;
use audio::{SampleRate, Samples};

use crate::options::Sound;

/// Bytes of PCM decoded at a time: well under a millisecond of work.
const PCM_PIECE: usize = 16 * 1024;
/// Bytes of Opus decoded at a time: at most one whole page, which is half a minute of sound at the very most.
const OPUS_PIECE: usize = 512;

/// Decodes one stream and remembers its last seconds.
#[derive(Debug)]
pub struct Ear {
    decoder: Decoder,
    resampler: Resampler,
    history: History,
    /// Resampled, and not in the history yet for want of room.
    backlog: Vec<f32>,
    mono: Vec<f32>,
    frame: u64,
    /// Frames before this position were handed out.
    heard: u64,
    client_samples: u64,
    has_begun: bool,
}

#[derive(Debug)]
enum Decoder {
    Pcm(PcmDecoder),
    Opus(Box<OggOpusDecoder>),
}

/// What became of a piece of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Listened {
    /// Taken from the front. 0: there is no room now.
    pub n_bytes: usize,
    /// Samples that were no numbers, or lay on damaged pages, and were replaced.
    pub n_replaced: usize,
}

impl Ear {
    /// An ear at the start of a stream, which holds at most `max_samples` and hands out frames of `frame` samples.
    pub fn new(sound: Sound, rate: SampleRate, frame: u64, max_samples: usize) -> Ear {
        let decoder = match sound {
            Sound::Pcm { encoding, channels } => Decoder::Pcm(PcmDecoder::new(encoding, channels)),
            Sound::OggOpus => Decoder::Opus(Box::new(OggOpusDecoder::new())),
        };
        Ear {
            decoder,
            resampler: Resampler::new(rate, SampleRate::HZ_16000),
            history: History::new(Samples::ZERO, max_samples),
            backlog: Vec::new(),
            mono: Vec::new(),
            frame,
            heard: 0,
            client_samples: 0,
            has_begun: false,
        }
    }

    /// Decodes from the front of `bytes` as much as there is room for, at most a piece.
    ///
    /// # Errors
    /// The stream is not what it was said to be; the ear is of no further use.
    pub fn listen(&mut self, bytes: &[u8]) -> Result<Listened, OggOpusError> {
        self.settle();
        if self.has_backlog() || self.history.room() == 0 {
            return Ok(Listened::default());
        }
        self.has_begun = true;
        self.mono.clear();
        let (n_bytes, n_replaced) = match &mut self.decoder {
            Decoder::Pcm(pcm) => {
                let piece = bytes.get(..PCM_PIECE).unwrap_or(bytes);
                (piece.len(), pcm.push(piece, &mut self.mono).n_replaced)
            }
            Decoder::Opus(opus) => {
                let piece = bytes.get(..OPUS_PIECE).unwrap_or(bytes);
                // It may take less than it is given: a few bytes can stand for much sound.
                let pushed = opus.push(piece, &mut self.mono)?;
                (pushed.n_bytes, pushed.n_damaged)
            }
        };
        self.client_samples += self.mono.len() as u64;
        self.resampler.push(&self.mono, &mut self.backlog);
        self.settle();
        Ok(Listened {
            n_bytes,
            n_replaced,
        })
    }

    /// The audio is at its end: hands over what the resampler still holds. Gives the bytes of an unfinished sample, which are lost.
    pub fn finish(&mut self) -> usize {
        let n_left = match &mut self.decoder {
            Decoder::Pcm(pcm) => pcm.discard_pending(),
            Decoder::Opus(opus) => opus.pending_bytes(),
        };
        self.resampler.finish(&mut self.backlog);
        self.settle();
        n_left
    }

    /// Whether decoded audio waits for room.
    pub fn has_backlog(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Moves audio that waited to where there is room now. Says whether any moved.
    pub fn settle(&mut self) -> bool {
        let n = self.backlog.len().min(self.history.room());
        let Some(fitting) = self.backlog.get(..n).filter(|it| !it.is_empty()) else {
            return false;
        };
        // It fits by construction.
        let pushed = self.history.push(fitting);
        debug_assert!(pushed.is_ok());
        self.backlog.drain(..n);
        if self.backlog.is_empty() && 64 * 1024 < self.backlog.capacity() {
            self.backlog = Vec::new();
        }
        true
    }

    /// The end of the audio at hand, at 16 kHz.
    pub fn until(&self) -> u64 {
        self.history.end().0
    }

    /// Whether any bytes were given: then the stream has begun, though no sample may be whole yet.
    pub fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Samples of the client, at its own rate, decoded so far.
    pub fn client_samples(&self) -> u64 {
        self.client_samples
    }

    /// Audio at hand, at 16 kHz.
    pub fn n_held(&self) -> u64 {
        self.history.len() as u64 + self.backlog.len() as u64
    }

    /// How many whole frames wait to be heard.
    pub fn n_frames(&self) -> u64 {
        self.until().saturating_sub(self.heard) / self.frame
    }

    /// The next frames, at most `max`, and the end of the first of them. Counts them as handed out.
    pub fn take_frames(&mut self, max: u64) -> Option<(u64, Vec<f32>)> {
        let n = self.n_frames().min(max);
        if n == 0 {
            return None;
        }
        let start = self.heard;
        let end = start + n * self.frame;
        let samples = self.history.slice(Samples(start)..Samples(end))?.to_vec();
        self.heard = end;
        Some((start + self.frame, samples))
    }

    /// A stretch of audio; `None` if any of it is not at hand.
    pub fn clip(&self, range: &Range<u64>) -> Option<Arc<[f32]>> {
        self.history
            .slice(Samples(range.start)..Samples(range.end))
            .map(Arc::from)
    }

    /// Frees what lies before `before` and was handed out.
    pub fn forget(&mut self, before: u64) {
        self.history.forget_before(Samples(before.min(self.heard)));
    }

    /// Skips the frames at hand that were not handed out.
    pub fn skip(&mut self) {
        self.heard += self.n_frames() * self.frame;
    }
}

#[cfg(test)]
mod tests {
    use audio::encoding::{Channels, Encoding};
    use proptest::prelude::*;

    use super::*;

    fn ear(rate_hz: u32, max_samples: usize) -> Ear {
        let sound = Sound::Pcm {
            encoding: Encoding::PcmS16le,
            channels: Channels::Mono,
        };
        Ear::new(sound, SampleRate::new(rate_hz).unwrap(), 512, max_samples)
    }

    fn bytes(n_samples: usize) -> Vec<u8> {
        (0..n_samples)
            .flat_map(|it| u16::try_from(it % 20_000).unwrap().to_le_bytes())
            .collect()
    }

    fn hear(ear: &mut Ear, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = &bytes[ear.listen(bytes).unwrap().n_bytes..];
        }
    }

    #[test]
    fn what_does_not_fit_is_not_taken_and_nothing_is_lost() {
        let mut ear = ear(16_000, 2_048);
        let all = bytes(10_000);
        let mut rest = &all[..];
        let mut heard = Vec::new();
        while !rest.is_empty() || ear.n_frames() > 0 {
            let n = ear.listen(rest).unwrap().n_bytes;
            rest = &rest[n..];
            assert!(ear.history.len() <= 2_048);
            while let Some((_, frames)) = ear.take_frames(3) {
                heard.extend(frames);
            }
            ear.forget(u64::MAX);
            ear.settle();
        }
        assert_eq!(ear.client_samples(), 10_000);
        assert_eq!(heard.len(), 10_000 / 512 * 512);
        assert!((heard[9_000] - 9_000.0 / 32_768.0).abs() < 1e-6);
    }

    #[test]
    fn frames_follow_each_other_by_position() {
        let mut ear = ear(16_000, 100_000);
        ear.listen(&bytes(1_600)).unwrap();
        assert_eq!(ear.take_frames(2).map(|it| it.0), Some(512));
        assert_eq!(
            ear.take_frames(2).map(|it| (it.0, it.1.len())),
            Some((1_536, 512))
        );
        assert_eq!(ear.take_frames(2), None);
        ear.listen(&bytes(1_600)).unwrap();
        ear.skip();
        ear.listen(&bytes(600)).unwrap();
        assert_eq!(ear.take_frames(9).map(|it| it.0), Some(3_584));
    }

    #[test]
    fn half_a_sample_begins_the_stream() {
        let mut ear = ear(8_000, 100_000);
        assert!(!ear.has_begun());
        ear.listen(&[7]).unwrap();
        assert_eq!((ear.has_begun(), ear.client_samples()), (true, 0));
    }

    #[test]
    fn a_half_sample_at_the_end_is_told() {
        let mut ear = ear(8_000, 100_000);
        ear.listen(&bytes(800)).unwrap();
        ear.listen(&[7]).unwrap();
        assert_eq!(ear.finish(), 1);
        assert_eq!((ear.until(), ear.client_samples()), (1_600, 800));
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(cuts in proptest::collection::vec(1_usize..700, 1..40), rate in prop_oneof![Just(8_000), Just(16_000), Just(44_100), Just(48_000)]) {
            let all = bytes(cuts.iter().sum::<usize>() / 2);
            let mut whole = ear(rate, 1_000_000);
            hear(&mut whole, &all);
            whole.finish();
            let mut cut = ear(rate, 1_000_000);
            let mut rest = &all[..];
            for n in cuts {
                let (piece, later) = rest.split_at(n.min(rest.len()));
                hear(&mut cut, piece);
                rest = later;
            }
            hear(&mut cut, rest);
            cut.finish();
            prop_assert_eq!(cut.client_samples(), whole.client_samples());
            prop_assert_eq!(cut.until(), whole.until());
            prop_assert_eq!(cut.clip(&(0..cut.until())), whole.clip(&(0..whole.until())));
        }
    }
}
