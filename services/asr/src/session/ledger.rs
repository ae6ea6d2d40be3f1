//! Where every sample went.
//!
//! Invariants:
//! - Counted in the client's own samples, so that the sums are exact at any rate.
//! - Accounts are settled from the first sample on, in order and once: `received = transcribed + silence + discarded + buffered`
//!   after every call.

use super::policy::RATE_HZ;

/// Relates positions in the core to the client's own sample count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// The client's samples a second. Not zero.
    pub rate_hz: u32,
    /// The client's position of the first sample of this session; above 0 after a resume.
    pub start_sample: u64,
}

impl Clock {
    /// The client's position at or just before `at`.
    pub fn sample(&self, at: u64) -> u64 {
        self.start_sample + self.elapsed(at)
    }

    /// Seconds from the client's sample 0.
    pub fn seconds(&self, at: u64) -> f64 {
        self.start_sample as f64 / f64::from(self.rate_hz) + at as f64 / RATE_HZ as f64
    }

    /// The client's samples from the start of the session to `at`.
    fn elapsed(&self, at: u64) -> u64 {
        let exact = u128::from(at) * u128::from(self.rate_hz) / u128::from(RATE_HZ);
        u64::try_from(exact).unwrap_or(u64::MAX)
    }
}

/// What became of a stretch of audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Transcribed,
    Silence,
    Discarded,
}

/// The accounts of a session, in the client's samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub received: u64,
    /// Went into a `Final`.
    pub transcribed: u64,
    /// Nobody spoke.
    pub silence: u64,
    /// Dropped by a reset, or with a failed segment.
    pub discarded: u64,
    /// Segments begun, which is segments answered when the session is closed.
    pub segments: u64,
}

impl Totals {
    /// Received, and neither delivered nor dropped yet.
    pub fn buffered(&self) -> u64 {
        self.received - self.settled()
    }

    pub(super) fn settled(&self) -> u64 {
        self.transcribed + self.silence + self.discarded
    }
}

/// Settles the accounts in the order of the stream.
#[derive(Debug)]
pub(super) struct Ledger {
    clock: Clock,
    totals: Totals,
}

impl Ledger {
    pub(super) fn new(clock: Clock) -> Ledger {
        Ledger {
            clock,
            totals: Totals::default(),
        }
    }

    pub(super) fn totals(&self) -> Totals {
        self.totals
    }

    /// The client has sent `client_samples` in all.
    pub(super) fn receive(&mut self, client_samples: u64) {
        self.totals.received = self.totals.received.max(client_samples);
    }

    pub(super) fn open_segment(&mut self) -> u64 {
        self.totals.segments += 1;
        self.totals.segments
    }

    /// Everything not settled yet and before `until` met this fate.
    pub(super) fn settle(&mut self, until: u64, fate: Fate) {
        // A resampler may round the last sample up: nothing is settled that was not received.
        self.settle_client(self.clock.elapsed(until).min(self.totals.received), fate);
    }

    /// Everything not settled yet met this fate. Returns how much that was.
    pub(super) fn settle_all(&mut self, fate: Fate) -> u64 {
        let rest = self.totals.buffered();
        self.settle_client(self.totals.received, fate);
        rest
    }

    fn settle_client(&mut self, until: u64, fate: Fate) {
        let newly = until.saturating_sub(self.totals.settled());
        match fate {
            Fate::Transcribed => self.totals.transcribed += newly,
            Fate::Silence => self.totals.silence += newly,
            Fate::Discarded => self.totals.discarded += newly,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TELEPHONE: Clock = Clock {
        rate_hz: 8_000,
        start_sample: 100,
    };

    #[test]
    fn times_go_on_from_where_the_client_resumed() {
        assert_eq!(TELEPHONE.sample(3), 101);
        assert!((TELEPHONE.seconds(16_000) - 1.0125).abs() < 1e-12);
        let fast = Clock {
            rate_hz: 44_100,
            start_sample: 0,
        };
        assert_eq!(
            fast.sample(16_000 * 86_400),
            44_100 * 86_400,
            "no drift in a day"
        );
    }

    #[test]
    fn shares_of_odd_lengths_add_up() {
        let mut ledger = Ledger::new(TELEPHONE);
        ledger.receive(10);
        for (until, fate) in [
            (3, Fate::Silence),
            (8, Fate::Transcribed),
            (9, Fate::Discarded),
            (15, Fate::Silence),
        ] {
            ledger.settle(until, fate);
        }
        let totals = ledger.totals();
        assert_eq!(
            (
                totals.silence,
                totals.transcribed,
                totals.discarded,
                totals.buffered()
            ),
            (1 + 3, 3, 0, 3)
        );
    }

    #[test]
    fn nothing_is_settled_that_was_not_received_and_nothing_twice() {
        let mut ledger = Ledger::new(TELEPHONE);
        ledger.receive(10);
        ledger.settle(22, Fate::Transcribed);
        assert_eq!(ledger.totals().transcribed, 10);
        ledger.settle(12, Fate::Silence);
        assert_eq!(ledger.settle_all(Fate::Discarded), 0);
        ledger.receive(14);
        assert_eq!(ledger.settle_all(Fate::Discarded), 4);
        assert_eq!(
            ledger.totals(),
            Totals {
                received: 14,
                transcribed: 10,
                silence: 0,
                discarded: 4,
                segments: 0
            }
        );
    }
}
