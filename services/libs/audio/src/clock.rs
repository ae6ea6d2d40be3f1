//! Positions on a stream's sample clock, and the rate at which it ticks.
//!
//! *Invariants*
//!
//! - A rate is never zero.
//! - Conversions are integer arithmetic, so a position does not drift however long the stream runs.
//! - Arithmetic saturates: a hostile start position cannot make a session panic or wrap around.

use std::fmt;
use std::num::NonZeroU32;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::time::Duration;

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// How many samples of one channel make a second. Never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SampleRate(NonZeroU32);

impl SampleRate {
    /// Telephone speech.
    pub const HZ_8000: Self = Self::known(8_000);
    /// What Whisper, Silero and Smart Turn hear.
    pub const HZ_16000: Self = Self::known(16_000);
    /// What OpenAI's realtime interface speaks.
    pub const HZ_24000: Self = Self::known(24_000);
    /// Opus, and most sound cards.
    pub const HZ_48000: Self = Self::known(48_000);

    /// A rate of `hz`, or `None` for zero.
    #[must_use]
    pub const fn new(hz: u32) -> Option<Self> {
        match NonZeroU32::new(hz) {
            Some(hz) => Some(Self(hz)),
            None => None,
        }
    }

    /// The rate in hertz.
    #[must_use]
    pub const fn hz(self) -> u32 {
        self.0.get()
    }

    const fn known(hz: u32) -> Self {
        Self(NonZeroU32::new(hz).expect("the rates named here are not zero"))
    }
}

impl fmt::Display for SampleRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} Hz", self.0)
    }
}

/// A position on, or a length of, one stream's sample clock.
///
/// The clock starts at zero with the stream and never restarts, so two positions in one session always compare
/// in the order they were heard. Adding and subtracting saturate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Samples(pub u64);

impl Samples {
    /// The start of a stream; no length.
    pub const ZERO: Self = Self(0);

    /// How many samples lie in a slice.
    #[must_use]
    pub const fn of(samples: &[f32]) -> Self {
        Self(samples.len() as u64)
    }

    /// The whole samples in `duration` at `rate`, rounded to the nearest.
    #[must_use]
    pub fn from_duration(duration: Duration, rate: SampleRate) -> Self {
        let scaled = duration.as_nanos().saturating_mul(u128::from(rate.hz()));
        Self(saturate(
            (scaled.saturating_add(NANOS_PER_SECOND / 2)) / NANOS_PER_SECOND,
        ))
    }

    /// The whole samples in `seconds` at `rate`, rounded to the nearest; negative or not-a-number gives zero.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float cast saturates, and not-a-number becomes zero"
    )]
    pub fn from_seconds(seconds: f64, rate: SampleRate) -> Self {
        Self((seconds * f64::from(rate.hz())).round() as u64)
    }

    /// How long this many samples last, to the nanosecond below.
    #[must_use]
    pub fn duration(self, rate: SampleRate) -> Duration {
        let hz = u64::from(rate.hz());
        let nanos = u128::from(self.0 % hz) * NANOS_PER_SECOND / u128::from(hz);
        Duration::from_secs(self.0 / hz) + Duration::from_nanos(saturate(nanos))
    }

    /// How long this many samples last, in seconds.
    #[must_use]
    pub fn seconds(self, rate: SampleRate) -> f64 {
        self.0 as f64 / f64::from(rate.hz())
    }

    /// The last position on a clock of rate `to` that is not after this one on a clock of rate `from`.
    #[must_use]
    pub fn convert_down(self, from: SampleRate, to: SampleRate) -> Self {
        Self(saturate(
            u128::from(self.0) * u128::from(to.hz()) / u128::from(from.hz()),
        ))
    }

    /// The first position on a clock of rate `to` that is not before this one on a clock of rate `from`.
    ///
    /// Also the exact length that [`crate::resample`] gives to this many samples.
    #[must_use]
    pub fn convert_up(self, from: SampleRate, to: SampleRate) -> Self {
        let scaled = u128::from(self.0) * u128::from(to.hz());
        Self(saturate(scaled.div_ceil(u128::from(from.hz()))))
    }

    /// This length as an index, or `usize::MAX` where it does not fit.
    #[must_use]
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl Add for Samples {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Samples {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Samples {
    type Output = Self;
    /// The distance from `other` to `self`, or zero if `other` is later.
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl SubAssign for Samples {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

fn saturate(wide: u128) -> u64 {
    u64::try_from(wide).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HZ_44100: SampleRate = SampleRate::known(44_100);

    #[test]
    fn zero_is_not_a_rate() {
        assert_eq!(SampleRate::new(0), None);
        assert_eq!(SampleRate::new(16_000), Some(SampleRate::HZ_16000));
    }

    #[test]
    fn durations_are_exact_where_they_can_be() {
        assert_eq!(
            Samples(24_000).duration(SampleRate::HZ_16000),
            Duration::from_millis(1500)
        );
        assert_eq!(
            Samples::from_duration(Duration::from_millis(200), SampleRate::HZ_16000),
            Samples(3200)
        );
        assert_eq!(Samples(1).duration(HZ_44100), Duration::from_nanos(22_675));
        assert_eq!(
            Samples::from_duration(Duration::MAX, SampleRate::HZ_48000),
            Samples(u64::MAX)
        );
    }

    #[test]
    fn seconds_that_make_no_sense_are_zero_or_saturate() {
        assert_eq!(
            Samples::from_seconds(f64::NAN, SampleRate::HZ_16000),
            Samples::ZERO
        );
        assert_eq!(
            Samples::from_seconds(-1.0, SampleRate::HZ_16000),
            Samples::ZERO
        );
        assert_eq!(
            Samples::from_seconds(1e300, SampleRate::HZ_16000),
            Samples(u64::MAX)
        );
        assert_eq!(
            Samples::from_seconds(0.52, SampleRate::HZ_16000),
            Samples(8320)
        );
    }

    #[test]
    fn conversion_rounds_the_way_it_says() {
        assert_eq!(
            Samples(4).convert_down(SampleRate::HZ_48000, SampleRate::HZ_16000),
            Samples(1)
        );
        assert_eq!(
            Samples(4).convert_up(SampleRate::HZ_48000, SampleRate::HZ_16000),
            Samples(2)
        );
        assert_eq!(
            Samples(441).convert_up(HZ_44100, SampleRate::HZ_16000),
            Samples(160)
        );
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Samples(1) - Samples(2), Samples::ZERO);
        assert_eq!(Samples(u64::MAX) + Samples(1), Samples(u64::MAX));
    }

    proptest! {
        #[test]
        fn down_is_at_most_one_below_up(n in 0..u64::MAX / 200_000, from in 1..200_000_u32, to in 1..200_000_u32) {
            let (from, to) = (SampleRate::new(from).unwrap(), SampleRate::new(to).unwrap());
            let (down, up) = (Samples(n).convert_down(from, to), Samples(n).convert_up(from, to));
            prop_assert!(down <= up && up.0 - down.0 <= 1);
            prop_assert!(down.convert_down(to, from) <= Samples(n));
            prop_assert!(up.convert_up(to, from) >= Samples(n));
        }

        #[test]
        fn a_length_survives_the_way_through_duration(n in 0..1_u64 << 40, hz in 1..200_000_u32) {
            let rate = SampleRate::new(hz).unwrap();
            prop_assert_eq!(Samples::from_duration(Samples(n).duration(rate), rate), Samples(n));
        }
    }
}
