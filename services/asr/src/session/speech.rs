//! Probabilities of frames in, beginnings and pauses of speech out.
//!
//! Invariants:
//! - `Started` and `Paused` alternate, `Started` first.
//! - Two thresholds: what begins speech must be surer than what continues it, so a wavering voice is one stretch.

use std::mem;

use super::policy::{self, Policy};

/// What a frame changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    None,
    /// Speech is certain now; it began at `at`.
    Started {
        at: u64,
    },
    /// The silence is long enough now; the last speech ended at `at`.
    Paused {
        at: u64,
    },
}

#[derive(Clone, Copy, Debug)]
enum State {
    Quiet,
    /// Not certain yet: it may be a click.
    Starting {
        first: u64,
        last_voiced: u64,
    },
    Speaking {
        last_voiced: u64,
    },
}

/// Hears one frame after the other.
#[derive(Clone, Debug)]
pub(super) struct Speech {
    start_probability: f32,
    stop_probability: f32,
    start: u64,
    start_gap: u64,
    stop: u64,
    frame: u64,
    state: State,
}

impl Speech {
    pub(super) fn new(policy: &Policy) -> Speech {
        let frame = policy.method.frame_samples();
        Speech {
            start_probability: policy.start_probability,
            stop_probability: policy.stop_probability.min(policy.start_probability),
            start: policy::whole_frames(policy.start, frame),
            start_gap: policy::samples(policy.start_gap),
            stop: policy::whole_frames(policy.stop, frame),
            frame,
            state: State::Quiet,
        }
    }

    /// Hears the frame that ends at `until`.
    pub(super) fn hear(&mut self, until: u64, probability: f32) -> Change {
        let begins = self.start_probability <= probability;
        match self.state {
            State::Quiet if begins => {
                let first = until - self.frame.min(until);
                self.maybe_start(first, until)
            }
            State::Quiet => Change::None,
            State::Starting { first, .. } if begins => self.maybe_start(first, until),
            State::Starting { last_voiced, .. } if until - last_voiced <= self.start_gap => {
                Change::None
            }
            State::Starting { .. } => {
                self.state = State::Quiet;
                Change::None
            }
            State::Speaking { .. } if self.stop_probability <= probability => {
                self.state = State::Speaking { last_voiced: until };
                Change::None
            }
            State::Speaking { last_voiced } if until - last_voiced < self.stop => Change::None,
            State::Speaking { last_voiced } => {
                self.state = State::Quiet;
                Change::Paused { at: last_voiced }
            }
        }
    }

    fn maybe_start(&mut self, first: u64, until: u64) -> Change {
        if until - first < self.start {
            self.state = State::Starting {
                first,
                last_voiced: until,
            };
            return Change::None;
        }
        self.state = State::Speaking { last_voiced: until };
        Change::Started { at: first }
    }

    /// Whether the frame that ends at `until`, the last one, was speech.
    pub(super) fn is_voiced(&self, until: u64) -> bool {
        matches!(self.state, State::Speaking { last_voiced } if last_voiced == until)
    }

    /// Where speech will have begun if the next frames say that it is speech.
    pub(super) fn possible_start(&self) -> Option<u64> {
        match self.state {
            State::Starting { first, .. } => Some(first),
            State::Quiet | State::Speaking { .. } => None,
        }
    }

    /// Takes the speech that goes on for ended. Returns where the last of it was.
    pub(super) fn break_off(&mut self) -> Option<u64> {
        match mem::replace(&mut self.state, State::Quiet) {
            State::Speaking { last_voiced } => Some(last_voiced),
            State::Quiet | State::Starting { .. } => None,
        }
    }

    /// Begins anew.
    pub(super) fn forget(&mut self) {
        self.state = State::Quiet;
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use expect_test::{Expect, expect};

    use super::super::policy::Method;
    use super::*;

    /// One character a frame: `#` speech, `~` doubtful, `.` silence. Positions are printed in frames.
    fn check(policy: &Policy, frames: &str, expected: Expect) {
        let frame = policy.method.frame_samples();
        let mut speech = Speech::new(policy);
        let mut log = String::new();
        for (n, c) in (1..).zip(frames.chars()) {
            let probability = match c {
                '#' => 0.5,
                '~' => 0.35,
                _ => 0.05,
            };
            match speech.hear(n * frame, probability) {
                Change::None => {}
                Change::Started { at } => writeln!(log, "{n}: started at {}", at / frame).unwrap(),
                Change::Paused { at } => writeln!(log, "{n}: paused at {}", at / frame).unwrap(),
            }
        }
        expected.assert_eq(&log);
    }

    #[test]
    fn three_voiced_frames_begin_speech_and_six_silent_ones_pause_it() {
        check(
            &Policy::preset(Method::Silero),
            "..###.......",
            expect![[r#"
            5: started at 2
            11: paused at 5
        "#]],
        );
    }

    #[test]
    fn a_click_is_no_speech() {
        check(
            &Policy::preset(Method::Silero),
            "..##.##.#.##....",
            expect![""],
        );
    }

    #[test]
    fn doubt_continues_speech_and_does_not_begin_it() {
        check(
            &Policy::preset(Method::Silero),
            "~~~~~###~~~~~~~~......",
            expect![[r#"
            8: started at 5
            22: paused at 16
        "#]],
        );
    }

    #[test]
    fn a_short_gap_is_no_pause() {
        check(
            &Policy::preset(Method::Silero),
            "###.....#.....~......",
            expect![[r#"
            3: started at 0
            21: paused at 15
        "#]],
        );
    }

    #[test]
    fn loudness_may_waver_while_it_begins() {
        // 0.3 s is fifteen frames of 20 ms; five may be quiet at a time.
        check(
            &Policy::preset(Method::Energy),
            "#.....##.#####.#.....................",
            expect![[r#"
            16: started at 0
            36: paused at 16
        "#]],
        );
        check(
            &Policy::preset(Method::Energy),
            "#......##.####.......................",
            expect![""],
        );
    }
}
