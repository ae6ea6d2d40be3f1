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
