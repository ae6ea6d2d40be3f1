//! Silence and verdicts in, what to do about the turn out.
//!
//! Invariants:
//! - Time is silence counted in samples; nothing else makes a turn end here.
//! - Each length of silence is looked at once, the shortest first.
//! - Silence long enough ends the turn whatever the judge said or failed to say.

use super::JobId;
use super::policy::{self, Method, Policy};

/// What Smart Turn hears at most: 8 s.
pub(super) const JUDGED: u64 = 8 * policy::RATE_HZ;

/// The lengths of silence that matter, in samples.
#[derive(Debug)]
pub(super) struct Patience {
    asks: bool,
    looks: Vec<u64>,
    commit: u64,
    max_stop: u64,
    turn_probability: f32,
}

impl Patience {
    pub(super) fn new(policy: &Policy) -> Patience {
        let asks = policy.method == Method::SileroSmartTurn;
        Patience {
            asks,
            looks: policy
                .look_again
                .iter()
                .copied()
                .map(policy::samples)
                .collect(),
            commit: policy::samples(policy.commit),
            max_stop: policy::samples(policy.max_stop),
            turn_probability: policy.turn_probability,
        }
    }
}

/// What silence of this length asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    /// Ask whether the turn is over.
    Look {
        again: bool,
    },
    /// The turn is over.
    End,
}

/// The silence after a stretch of speech, while the turn is open.
#[derive(Debug)]
pub(super) struct Pause {
    /// Where the speech ended.
    pub(super) since: u64,
    n_looks: usize,
    pub(super) awaited: Option<JobId>,
}

impl Pause {
    pub(super) fn new(since: u64) -> Pause {
        Pause {
            since,
            n_looks: 0,
            awaited: None,
        }
    }

    /// What is due now that silence is heard until `until`. A look is due once: the caller has to ask.
    pub(super) fn due(&mut self, until: u64, patience: &Patience) -> Due {
        if !patience.asks {
            return Due::End;
        }
        let silence = until - self.since;
        if patience.max_stop <= silence {
            return Due::End;
        }
        // The pause itself is the first look; several later ones may have passed since, if they are set close together.
        let n_due = 1 + patience
            .looks
            .iter()
            .filter(|&&look| look <= silence)
            .count();
        if n_due <= self.n_looks {
            return Due::Nothing;
        }
        let again = 0 < self.n_looks;
        self.n_looks = n_due;
        Due::Look { again }
    }

    /// Whether speech that starts now begins a piece of its own.
    pub(super) fn is_committed(&self, until: u64, patience: &Patience) -> bool {
        patience.commit <= until - self.since
    }
}

impl Patience {
    /// Whether this verdict ends the turn.
    pub(super) fn is_over(&self, probability: f32) -> bool {
        self.turn_probability <= probability
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Milliseconds of silence at which something is due, in steps of a frame.
    fn due_at(policy: &Policy) -> Vec<(u64, Due)> {
        let patience = Patience::new(policy);
        let mut pause = Pause::new(0);
        let mut found = Vec::new();
        for until in (3_072..).step_by(512) {
            match pause.due(until, &patience) {
                Due::Nothing => {}
                look @ Due::Look { .. } => found.push((until / 16, look)),
                Due::End => {
                    found.push((until / 16, Due::End));
                    return found;
                }
            }
        }
        found
    }

    #[test]
    fn the_judge_is_asked_as_silence_grows_and_silence_has_the_last_word() {
        assert_eq!(
            due_at(&Policy::preset(Method::SileroSmartTurn)),
            [
                (192, Due::Look { again: false }),
                (512, Due::Look { again: true }),
                (1024, Due::Look { again: true }),
                (1600, Due::Look { again: true }),
                (3008, Due::End)
            ]
        );
    }

    #[test]
    fn without_a_judge_the_pause_is_the_end() {
        assert_eq!(due_at(&Policy::preset(Method::Silero)), [(192, Due::End)]);
    }

    #[test]
    fn looks_that_fall_together_are_one() {
        let mut policy = Policy::preset(Method::SileroSmartTurn);
        policy.look_again = [100, 150, 210, 215]
            .map(std::time::Duration::from_millis)
            .to_vec();
        assert_eq!(
            due_at(&policy),
            [
                (192, Due::Look { again: false }),
                (224, Due::Look { again: true }),
                (3008, Due::End)
            ]
        );
    }
}
