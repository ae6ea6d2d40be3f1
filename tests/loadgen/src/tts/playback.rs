//! A listener's loudspeaker, as far as time goes.

use std::time::{Duration, Instant};

/// Begins to play with the first piece, and must get every other one before it has played all that it has.
#[derive(Debug, Default)]
pub(crate) struct Playback {
    /// When the first sample would have been played had it never stopped since: moved on by every stop.
    zero: Option<Instant>,
    /// How long all that came is.
    length: Duration,
    /// For each piece that came too late: by how much. The player stood still for so long.
    pub(crate) late: Vec<Duration>,
    /// For the piece that came with the least time to spare after the first: that time.
    pub(crate) least_spare: Option<Duration>,
}

impl Playback {
    /// A piece of `length` has come.
    pub(crate) fn arrive(&mut self, at: Instant, length: Duration) {
        if let Some(zero) = self.zero {
            let due = zero + self.length;
            let spare = due.saturating_duration_since(at);
            let late = at.saturating_duration_since(due);
            if !late.is_zero() {
                self.late.push(late);
                self.zero = Some(zero + late);
            }
            self.least_spare = Some(self.least_spare.map_or(spare, |least| least.min(spare)));
        } else {
            self.zero = Some(at);
        }
        self.length += length;
    }

    /// When all that came will have been played. `None` if nothing came.
    pub(crate) fn ends(&self) -> Option<Instant> {
        self.zero.map(|zero| zero + self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn what_comes_in_time_is_not_late_and_the_least_spare_is_kept() {
        let zero = Instant::now();
        let mut playback = Playback::default();
        assert_eq!(playback.ends(), None);
        for at in [0, 60, 290] {
            playback.arrive(zero + MS(at), MS(200));
        }
        assert_eq!(playback.late, []);
        // The third was needed at 400.
        assert_eq!(playback.least_spare, Some(MS(110)));
        assert_eq!(playback.ends(), Some(zero + MS(600)));
    }

    #[test]
    fn a_stop_is_counted_once_and_delays_all_that_follows() {
        let zero = Instant::now();
        let mut playback = Playback::default();
        for at in [0, 250, 450, 600] {
            playback.arrive(zero + MS(at), MS(200));
        }
        // The second was 50 late; the third came just when the second had been played.
        assert_eq!(playback.late, [MS(50)]);
        assert_eq!(playback.least_spare, Some(Duration::ZERO));
        assert_eq!(playback.ends(), Some(zero + MS(850)));
    }
}
