//! Where a listener is in what was delivered, and how long the decoder takes: by this the time of the next window is judged.
//!
//! Invariants:
//! - Pure: `now` is the time since the listener came, and never runs backwards.
//! - A listener starts to play with the first audio and goes on without a pause; if there is none left, he waits.

use std::time::Duration;

use super::duration;
use crate::models::conditioning::SAMPLES_PER_TOKEN;

/// Somebody who plays the sentences of one utterance, one after the other.
#[derive(Clone, Debug)]
pub struct Listener {
    /// When all that was delivered will have been played.
    plays_until: Option<Duration>,
    n_windows: usize,
    /// What a decoder call takes for each token of its window, the wait for it included.
    per_token: Duration,
}

/// What a listener needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// Delivered and not yet played. `None` before the first audio.
    pub ahead: Option<Duration>,
    /// Windows that were decoded for him.
    pub n_windows: usize,
    /// What a decoder call takes for each token of its window.
    pub per_token: Duration,
}

impl Listener {
    /// `per_token` is what others lately had to wait for each token of a decoder call, until he makes his own experience.
    pub fn new(per_token: Duration) -> Listener {
        Listener {
            plays_until: None,
            n_windows: 0,
            per_token,
        }
    }

    pub fn demand(&self, now: Duration) -> Demand {
        Demand {
            ahead: self.plays_until.map(|until| until.saturating_sub(now)),
            n_windows: self.n_windows,
            per_token: self.per_token,
        }
    }

    /// A window of `n_tokens` came back `took` after it was asked for.
    ///
    /// A longer time is believed at once and a shorter one slowly: too early costs a little work, too late is heard.
    pub fn decoded(&mut self, n_tokens: usize, took: Duration) {
        let per_token = took / u32::try_from(n_tokens.max(1)).unwrap_or(u32::MAX);
        self.per_token = match self.n_windows {
            0 => per_token,
            _ if self.per_token < per_token => per_token,
            _ => (self.per_token * 3 + per_token) / 4,
        };
        self.n_windows += 1;
    }

    /// So many samples were handed over. Tells for how long he had nothing to play.
    pub fn delivered(&mut self, now: Duration, n_samples: usize) -> Duration {
        let until = self.plays_until.unwrap_or(now);
        self.plays_until = Some(until.max(now) + duration(n_samples));
        now.saturating_sub(until)
    }

    /// There was nothing to say for a while. If he has played all he had, he begins anew.
    pub fn rested(&mut self, now: Duration) {
        if self.plays_until.is_some_and(|until| until <= now) {
            self.plays_until = None;
            self.n_windows = 0;
        }
    }

    pub fn per_token(&self) -> Duration {
        self.per_token
    }
}

impl Demand {
    /// Of somebody who waits for the whole and does not listen before.
    pub const NONE: Demand = Demand {
        ahead: Some(Duration::MAX),
        n_windows: 0,
        per_token: Duration::ZERO,
    };

    /// For what is played after `pending` more.
    #[must_use]
    pub fn after(self, pending: Duration) -> Demand {
        Demand {
            ahead: Some(self.ahead.unwrap_or_default().saturating_add(pending)),
            ..self
        }
    }

    /// What a call with so many tokens may take.
    pub(super) fn call(&self, n_tokens: usize) -> Duration {
        let n_tokens = u32::try_from(n_tokens).unwrap_or(u32::MAX);
        self.per_token.saturating_mul(n_tokens)
    }

    /// What a listener should still have when such a call begins: half as much again as it takes.
    pub(super) fn needed(&self, n_tokens: usize) -> Duration {
        self.call(n_tokens).saturating_mul(3) / 2
    }

    /// The most tokens of a call for which `ahead` is enough.
    pub(super) fn affordable(&self, ahead: Duration) -> usize {
        let each = self.per_token.as_nanos() * 3 / 2;
        if each == 0 {
            return usize::MAX;
        }
        usize::try_from(ahead.as_nanos() / each).unwrap_or(usize::MAX)
    }

    /// How many tokens are played while a call with `n_tokens` lasts.
    pub(super) fn tokens_per_call(&self, n_tokens: usize) -> usize {
        let token = duration(SAMPLES_PER_TOKEN).as_nanos();
        usize::try_from(self.call(n_tokens).as_nanos().div_ceil(token)).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn what_was_delivered_is_played_from_the_first_on() {
        let mut listener = Listener::new(ms(1));
        assert_eq!(listener.demand(ms(50)).ahead, None);
        assert_eq!(listener.delivered(ms(100), 24_000), Duration::ZERO);
        assert_eq!(listener.demand(ms(100)).ahead, Some(ms(1_000)));
        assert_eq!(listener.delivered(ms(400), 12_000), Duration::ZERO);
        assert_eq!(listener.demand(ms(500)).ahead, Some(ms(1_100)));
        assert_eq!(listener.demand(ms(9_000)).ahead, Some(Duration::ZERO));
    }

    #[test]
    fn who_has_nothing_to_play_waits_and_then_goes_on() {
        let mut listener = Listener::new(ms(1));
        listener.delivered(ms(0), 2_400);
        assert_eq!(listener.delivered(ms(130), 2_400), ms(30));
        assert_eq!(listener.demand(ms(130)).ahead, Some(ms(100)));
    }

    #[test]
    fn who_was_given_nothing_because_nothing_was_said_begins_anew() {
        let mut listener = Listener::new(ms(1));
        listener.decoded(10, ms(10));
        listener.delivered(ms(0), 2_400);
        listener.rested(ms(99));
        assert_eq!(listener.demand(ms(99)).ahead, Some(ms(1)));
        assert_eq!(listener.demand(ms(99)).n_windows, 1);
        listener.rested(ms(100));
        assert_eq!(listener.demand(ms(100)).ahead, None);
        assert_eq!(listener.demand(ms(100)).n_windows, 0);
        assert_eq!(listener.delivered(ms(5_000), 2_400), Duration::ZERO);
    }

    #[test]
    fn slower_is_believed_at_once_and_faster_slowly() {
        let mut listener = Listener::new(ms(9));
        listener.decoded(10, ms(40));
        assert_eq!(listener.per_token(), ms(4), "his own first experience");
        listener.decoded(20, ms(160));
        assert_eq!(listener.per_token(), ms(8));
        listener.decoded(20, ms(80));
        assert_eq!(listener.per_token(), ms(7));
    }

    #[test]
    fn the_next_sentence_is_played_after_what_is_left() {
        let demand = Listener::new(ms(1)).demand(ms(0)).after(ms(700));
        assert_eq!(demand.ahead, Some(ms(700)));
        assert_eq!(demand.after(ms(100)).ahead, Some(ms(800)));
    }
}
