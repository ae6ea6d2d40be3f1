//! How often and how soon to connect again.
//!
//! Invariants:
//! - Pure: what is random is given.
//! - Attempts are counted from the last progress, so a long stream may break any number of times, and a dead server is given up.

use std::time::Duration;

use crate::Error;
use crate::core::Break;

/// How long a stream bears a server that does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Attempts in a row without progress before the stream fails. Progress is what was delivered, or to be ready for longer than
    /// `longest_wait`.
    pub attempts: u32,
    /// The wait before the second attempt is a random part of this, before the third of twice this, and so on.
    pub first_wait: Duration,
    /// No random wait is longer. A `Retry-After` of the server comes on top.
    pub longest_wait: Duration,
    /// A `Retry-After` counts as at most this.
    pub longest_retry_after: Duration,
    /// A connection that is not made within this time has failed.
    pub connect: Duration,
    /// A connection on which nothing comes for this long, not even the answer to a ping, is broken.
    pub silence: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            attempts: 12,
            first_wait: Duration::from_millis(100),
            longest_wait: Duration::from_secs(5),
            longest_retry_after: Duration::from_mins(1),
            connect: Duration::from_secs(10),
            silence: Duration::from_secs(30),
        }
    }
}

/// The attempts since the last progress.
#[derive(Debug)]
pub(crate) struct Retry {
    patience: Patience,
    n_failed: u32,
}

impl Retry {
    pub(crate) fn new(patience: Patience) -> Retry {
        Retry {
            patience,
            n_failed: 0,
        }
    }

    /// Something was delivered, or could have been for long: whatever happens next is a new trouble.
    pub(crate) fn progressed(&mut self) {
        self.n_failed = 0;
    }

    /// How long to wait before the next attempt. `random` is in [0, 1).
    ///
    /// # Errors
    /// There is none: the server would say the same again, or it was tried often enough.
    pub(crate) fn after(&mut self, why: &Break, random: f64) -> Result<Duration, Error> {
        if let Some(error) = why.as_final() {
            return Err(error);
        }
        self.n_failed += 1;
        if self.patience.attempts <= self.n_failed {
            return Err(Error::GaveUp {
                attempts: self.n_failed,
                last: why.to_string(),
            });
        }
        let doubled = 2_u32.saturating_pow(self.n_failed - 1);
        let window = self
            .patience
            .first_wait
            .saturating_mul(doubled)
            .min(self.patience.longest_wait);
        let asked = why.retry_after().unwrap_or(Duration::ZERO);
        Ok(asked.min(self.patience.longest_retry_after) + window.mul_f64(random.clamp(0.0, 1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost() -> Break {
        Break::Lost("reset".to_owned())
    }

    fn full(retry_after: Option<u64>) -> Break {
        Break::Refused {
            status: 503,
            code: "AT_CAPACITY".to_owned(),
            message: "full".to_owned(),
            retry_after: retry_after.map(Duration::from_secs),
        }
    }

    #[test]
    fn waits_double_up_to_the_longest_and_are_a_random_part_of_it() {
        let mut retry = Retry::new(Patience::default());
        let waits: Vec<u128> = (0..8)
            .map(|_| retry.after(&lost(), 1.0).unwrap().as_millis())
            .collect();
        assert_eq!(waits, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        retry.progressed();
        assert_eq!(
            retry.after(&lost(), 0.5).unwrap(),
            Duration::from_millis(50)
        );
        assert_eq!(retry.after(&lost(), 0.0).unwrap(), Duration::ZERO);
    }

    #[test]
    fn a_retry_after_is_kept_and_spread() {
        let mut retry = Retry::new(Patience::default());
        assert_eq!(
            retry.after(&full(Some(2)), 0.5).unwrap(),
            Duration::from_millis(2_050)
        );
        assert_eq!(
            retry.after(&full(Some(86_400)), 0.0).unwrap(),
            Duration::from_mins(1)
        );
        assert!(retry.after(&full(None), 1.0).unwrap() < Duration::from_secs(1));
    }

    #[test]
    fn attempts_without_progress_are_limited_and_progress_begins_anew() {
        let patience = Patience {
            attempts: 3,
            ..Patience::default()
        };
        let mut retry = Retry::new(patience);
        for _ in 0..5 {
            assert!(retry.after(&lost(), 0.0).is_ok());
            assert!(retry.after(&lost(), 0.0).is_ok());
            retry.progressed();
        }
        assert!(retry.after(&lost(), 0.0).is_ok());
        assert!(retry.after(&lost(), 0.0).is_ok());
        let error = retry.after(&full(None), 0.0).unwrap_err();
        assert!(
            matches!(&error, Error::GaveUp { attempts: 3, last } if last.contains("AT_CAPACITY")),
            "{error}"
        );
    }

    #[test]
    fn what_would_be_said_again_is_not_asked_again() {
        let mut retry = Retry::new(Patience::default());
        let refused = Break::Refused {
            status: 422,
            code: "INVALID_PARAMETER".to_owned(),
            message: "no".to_owned(),
            retry_after: None,
        };
        let error = retry.after(&refused, 0.0).unwrap_err();
        assert!(matches!(error, Error::Refused { code, .. } if code == "INVALID_PARAMETER"));
    }
}
