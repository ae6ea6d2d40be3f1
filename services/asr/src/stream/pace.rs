//! Whether audio comes as fast as it is spoken, or faster.
//!
//! Who sends a recording can wait; who speaks cannot. A client that was cut off sends what it kept all at once when it is back,
//! and speaks on: from then on it is live again, though it stays ahead of the clock that began with the session.

use std::time::{Duration, Instant};

use crate::session::RATE_HZ;

/// How far a live client may get ahead of the clock: frames come in bunches.
const AHEAD: Duration = Duration::from_millis(500);
/// Who was not faster than speech for so long is live.
const SETTLED: Duration = Duration::from_secs(3);

/// Follows how fast the audio of a session comes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    /// When the first audio came.
    began: Option<Instant>,
    until: u64,
    /// What came since is measured from here: the beginning, or the last time that more came than had time to be spoken.
    mark: (u64, Option<Instant>),
    faster_at: Option<Instant>,
}

impl Pace {
    /// The audio reaches `until`, in samples at [`RATE_HZ`], at this moment.
    pub fn note(&mut self, until: u64, now: Instant) {
        self.began.get_or_insert(now);
        self.until = until;
        let (from, at) = (self.mark.0, *self.mark.1.get_or_insert(now));
        if exceeds(until.saturating_sub(from), at, now) {
            self.mark = (until, Some(now));
            self.faster_at = Some(now);
        }
    }

    /// Whether more audio came than could be spoken since the beginning.
    pub fn is_ahead(&self, now: Instant) -> bool {
        self.began
            .is_some_and(|began| exceeds(self.until, began, now))
    }

    /// Whether audio came faster than it is spoken within the last seconds.
    pub fn is_faster(&self, now: Instant) -> bool {
        self.faster_at
            .is_some_and(|at| now.saturating_duration_since(at) <= SETTLED)
    }
}

/// Whether so many samples are too many for the time since.
fn exceeds(n_samples: u64, since: Instant, now: Instant) -> bool {
    let audio = Duration::from_millis(n_samples * 1_000 / RATE_HZ);
    now.saturating_duration_since(since) + AHEAD < audio
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Audio of a clock that runs by hand.
    struct Client {
        pace: Pace,
        start: Instant,
        now_ms: u64,
        until: u64,
    }

    impl Client {
        fn new() -> Client {
            Client {
                pace: Pace::default(),
                start: Instant::now(),
                now_ms: 0,
                until: 0,
            }
        }

        /// Sends pieces of so many milliseconds, one every `every_ms`, and says whether it was at the pace of speech after each.
        fn sends(&mut self, n: usize, piece_ms: u64, every_ms: u64) -> Vec<bool> {
            let mut live = Vec::new();
            for _ in 0..n {
                self.until += piece_ms * RATE_HZ / 1_000;
                let now = self.start + Duration::from_millis(self.now_ms);
                self.pace.note(self.until, now);
                live.push(!self.pace.is_faster(now));
                self.now_ms += every_ms;
            }
            live
        }

        fn is_ahead(&self) -> bool {
            let now = self.start + Duration::from_millis(self.now_ms);
            self.pace.is_ahead(now)
        }
    }

    #[test]
    fn who_speaks_is_live_all_the_time() {
        assert!(Client::new().sends(1_000, 40, 40).iter().all(|it| *it));
    }

    #[test]
    fn a_recording_is_not() {
        for every_ms in [0, 4, 20] {
            let live = Client::new().sends(1_000, 40, every_ms);
            // Half a second is no haste yet.
            assert!(!live[50..].contains(&true), "{every_ms}");
        }
    }

    #[test]
    fn who_comes_back_with_what_was_kept_is_live_again_soon() {
        let mut client = Client::new();
        assert_eq!(client.sends(1, 20_000, 40), [false]);
        let live = client.sends(200, 40, 40);
        let first = live.iter().position(|it| *it).unwrap();
        assert_eq!(first, 75, "three seconds of frames");
        assert!(live[first..].iter().all(|it| *it));
        assert!(client.is_ahead(), "that does not change");
    }

    #[test]
    fn a_network_that_halts_and_catches_up_changes_nothing() {
        let mut client = Client::new();
        assert!(client.sends(100, 40, 40).iter().all(|it| *it));
        client.now_ms += 10_000;
        assert!(client.sends(250, 40, 0).iter().all(|it| *it));
        assert!(!client.is_ahead());
        assert!(client.sends(100, 40, 40).iter().all(|it| *it));
    }

    #[test]
    fn frames_of_a_second_are_speech_too() {
        let live = Client::new().sends(20, 1_000, 1_000);
        assert!(live[4..].iter().all(|it| *it), "{live:?}");
    }
}
