//! The recent past of one stream, addressed by absolute position.
//!
//! *Invariants*
//!
//! - It never holds more than its bound, and while it is empty it holds no memory.
//! - What it holds is one contiguous stretch that ends at the last sample pushed.
//! - A position keeps its meaning for the life of the stream.

use std::ops::Range;

use crate::Samples;

/// The push would pass the bound. Nothing was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the history has room for {room} more samples. Given: {given}")]
pub struct Full {
    /// Samples offered.
    pub given: usize,
    /// Samples that would fit.
    pub room: usize,
}

/// The last samples of one stream.
#[derive(Clone, Debug)]
pub struct History {
    max_samples: usize,
    /// Position of `samples[n_dead]`.
    start: Samples,
    samples: Vec<f32>,
    /// Forgotten samples still in front. Removed when they outnumber the living, so that forgetting costs
    /// a constant per sample and a slice is always contiguous.
    n_dead: usize,
}

/// Capacity not worth giving back: a quarter of a second at 16 kHz.
const SMALL: usize = 4096;

impl History {
    /// An empty history whose next sample is at position `start`, for at most `max_samples`.
    #[must_use]
    pub const fn new(start: Samples, max_samples: usize) -> Self {
        Self {
            max_samples,
            start,
            samples: Vec::new(),
            n_dead: 0,
        }
    }

    /// Appends samples at the end.
    ///
    /// # Errors
    ///
    /// [`Full`] if they do not all fit; the caller has to [`forget_before`](Self::forget_before) something.
    pub fn push(&mut self, samples: &[f32]) -> Result<(), Full> {
        let room = self.room();
        if samples.len() > room {
            return Err(Full {
                given: samples.len(),
                room,
            });
        }
        if self.samples.len() + samples.len() > self.samples.capacity() {
            self.bury();
            // Doubling, but never past the bound.
            let n_needed = self.samples.len() + samples.len();
            let n_wanted = n_needed
                .max(self.samples.capacity().saturating_mul(2))
                .min(self.max_samples);
            self.samples.reserve_exact(n_wanted - self.samples.len());
        }
        self.samples.extend_from_slice(samples);
        Ok(())
    }

    /// Position of the oldest sample held; of the next sample if there is none.
    #[must_use]
    pub const fn start(&self) -> Samples {
        self.start
    }

    /// Position of the next sample to come.
    #[must_use]
    pub fn end(&self) -> Samples {
        self.start + Samples(self.len() as u64)
    }

    /// How many samples are held.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.samples.len() - self.n_dead
    }

    /// Whether no sample is held.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many more samples fit.
    #[must_use]
    pub const fn room(&self) -> usize {
        self.max_samples.saturating_sub(self.len())
    }

    /// The samples of `range`, or `None` if any of them is forgotten, still to come, or the range runs backwards.
    #[must_use]
    pub fn slice(&self, range: Range<Samples>) -> Option<&[f32]> {
        if range.start < self.start || range.end > self.end() {
            return None;
        }
        let (from, to) = (
            (range.start - self.start).as_usize(),
            (range.end - self.start).as_usize(),
        );
        self.living().get(from..to)
    }

    /// Everything from `position` on: nothing if it is still to come, all if it is long forgotten.
    #[must_use]
    pub fn since(&self, position: Samples) -> &[f32] {
        let n_skipped = (position - self.start).as_usize();
        self.living().get(n_skipped..).unwrap_or_default()
    }

    /// Forgets every sample before `position`. Beyond the end it forgets all and the clock stays.
    pub fn forget_before(&mut self, position: Samples) {
        let n_forgotten = (position - self.start).as_usize().min(self.len());
        self.start += Samples(n_forgotten as u64);
        self.n_dead += n_forgotten;
        if self.n_dead < self.len() {
            return;
        }
        self.bury();
        let n_living = self.samples.len();
        if n_living == 0 {
            self.samples = Vec::new();
        } else if self.samples.capacity() > SMALL.max(4 * n_living) {
            self.samples.shrink_to(2 * n_living);
        }
    }

    /// Bytes held, for accounting.
    #[must_use]
    pub const fn allocated_bytes(&self) -> usize {
        self.samples.capacity() * size_of::<f32>()
    }

    fn living(&self) -> &[f32] {
        &self.samples[self.n_dead..]
    }

    fn bury(&mut self) {
        self.samples.drain(..self.n_dead);
        self.n_dead = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numbered(range: Range<u64>) -> Vec<f32> {
        range.map(|n| n as f32).collect()
    }

    fn at(range: Range<u64>) -> Range<Samples> {
        Samples(range.start)..Samples(range.end)
    }

    #[test]
    fn positions_are_absolute() {
        let mut history = History::new(Samples(100), 50);
        history.push(&numbered(100..120)).unwrap();
        assert_eq!(history.slice(at(105..107)), Some([105.0, 106.0].as_slice()));
        history.forget_before(Samples(110));
        assert_eq!(
            (history.start(), history.end(), history.len()),
            (Samples(110), Samples(120), 10)
        );
        assert_eq!(history.slice(at(109..111)), None);
        assert_eq!(
            history.slice(at(110..120)),
            Some(numbered(110..120).as_slice())
        );
        assert_eq!(history.slice(at(110..121)), None);
        assert_eq!(history.slice(Samples(115)..Samples(112)), None);
        assert_eq!(history.slice(at(120..120)), Some([].as_slice()));
        assert_eq!(history.since(Samples(118)), [118.0, 119.0]);
        assert_eq!(history.since(Samples(0)).len(), 10);
        assert!(history.since(Samples(121)).is_empty());
    }

    #[test]
    fn a_full_history_takes_nothing_of_what_does_not_fit() {
        let mut history = History::new(Samples::ZERO, 10);
        history.push(&numbered(0..8)).unwrap();
        assert_eq!(
            history.push(&numbered(8..11)),
            Err(Full { given: 3, room: 2 })
        );
        history.push(&numbered(8..10)).unwrap();
        assert_eq!((history.room(), history.end()), (0, Samples(10)));
        history.forget_before(Samples(3));
        history.push(&numbered(10..13)).unwrap();
        assert_eq!(history.since(Samples::ZERO), numbered(3..13));
    }

    #[test]
    fn forgetting_the_future_keeps_the_clock() {
        let mut history = History::new(Samples::ZERO, 10);
        history.push(&numbered(0..8)).unwrap();
        history.forget_before(Samples(u64::MAX));
        assert_eq!(
            (history.start(), history.end(), history.len()),
            (Samples(8), Samples(8), 0)
        );
        history.push(&[8.0]).unwrap();
        assert_eq!(history.slice(at(8..9)), Some([8.0].as_slice()));
    }

    #[test]
    fn memory_follows_what_is_held() {
        let mut history = History::new(Samples::ZERO, 16_000 * 120);
        assert_eq!(history.allocated_bytes(), 0);
        history.push(&vec![0.0; 16_000 * 60]).unwrap();
        history.forget_before(history.end() - Samples(8000));
        assert!(
            history.allocated_bytes() <= 2 * 8000 * 4,
            "{}",
            history.allocated_bytes()
        );
        history.forget_before(history.end());
        assert_eq!(history.allocated_bytes(), 0);
        history.push(&vec![0.0; 16_000 * 120]).unwrap();
        assert!(history.allocated_bytes() <= 16_000 * 120 * 4);
    }

    proptest! {
        #[test]
        fn it_agrees_with_remembering_everything(
            steps in prop::collection::vec((0..700_usize, 0..900_u64), 1..60),
            max in 1..2000_usize,
        ) {
            let mut history = History::new(Samples::ZERO, max);
            let (mut end, mut start) = (0_u64, 0_u64);
            for (n_pushed, n_forgotten) in steps {
                let fits = n_pushed <= max - history.len();
                prop_assert_eq!(history.push(&numbered(end..end + n_pushed as u64)).is_ok(), fits);
                end += if fits { n_pushed as u64 } else { 0 };
                start = (start + n_forgotten).min(end);
                history.forget_before(Samples(start));
                let expected = numbered(start..end);
                prop_assert_eq!(history.slice(at(start..end)), Some(expected.as_slice()));
                prop_assert!(history.allocated_bytes() <= max * 4);
            }
        }
    }
}
