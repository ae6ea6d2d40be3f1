//! When the audio came, in wall time: what latencies are measured from.
//!
//! Invariants:
//! - Bounded: marks closer together than `GRAIN` share one, and those before what is still awaited are forgotten.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Latencies are told in milliseconds and judged in tens of them.
const GRAIN: Duration = Duration::from_millis(5);
/// Marks kept at most: five seconds of real-time audio at the grain, and hours of it where it comes in one piece.
const MAX_MARKS: usize = 1_024;

/// Positions of a stream and when each was there.
#[derive(Clone, Debug, Default)]
pub struct Arrivals {
    /// The end of the audio that had come, and when.
    marks: VecDeque<(u64, Instant)>,
}

impl Arrivals {
    /// The audio reaches `until` now.
    pub fn note(&mut self, until: u64, now: Instant) {
        match self.marks.back_mut() {
            Some((reached, at)) if now.saturating_duration_since(*at) < GRAIN => {
                *reached = until.max(*reached);
            }
            _ => self.marks.push_back((until, now)),
        }
        if MAX_MARKS < self.marks.len() {
            // Every other mark: old times get coarser instead of unknown.
            let mut keep = false;
            self.marks.retain(|_| {
                keep = !keep;
                keep
            });
        }
    }

    /// When the sample before `position` was there; now, if it is still to come.
    pub fn when(&self, position: u64, now: Instant) -> Instant {
        let idx = self
            .marks
            .partition_point(|(reached, _)| *reached < position);
        self.marks.get(idx).map_or(now, |(_, at)| *at)
    }

    /// Forgets what lies before `position`.
    pub fn forget(&mut self, position: u64) {
        while self
            .marks
            .front()
            .is_some_and(|(reached, _)| *reached < position)
        {
            self.marks.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_came_with_the_frame_that_held_it() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut arrivals = Arrivals::default();
        arrivals.note(320, at(0));
        arrivals.note(640, at(20));
        arrivals.note(960, at(22));
        arrivals.note(1_280, at(60));
        assert_eq!(arrivals.when(1, at(99)), at(0));
        assert_eq!(arrivals.when(321, at(99)), at(20));
        assert_eq!(arrivals.when(960, at(99)), at(20));
        assert_eq!(arrivals.when(1_280, at(99)), at(60));
        assert_eq!(arrivals.when(1_281, at(99)), at(99));
        arrivals.forget(900);
        assert_eq!(arrivals.when(1_000, at(99)), at(60));
    }

    #[test]
    fn an_endless_stream_does_not_grow_it() {
        let start = Instant::now();
        let mut arrivals = Arrivals::default();
        for n in 0..100_000_u64 {
            arrivals.note(n * 320, start + Duration::from_millis(20 * n));
        }
        assert!(arrivals.marks.len() <= MAX_MARKS);
        assert_eq!(
            arrivals.when(99_999 * 320, start),
            start + Duration::from_millis(20 * 99_999)
        );
    }
}
