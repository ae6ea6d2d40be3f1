//! The session in pictures. See [`rig::steps`] for how to read them.

mod properties;
mod rig;
mod texts;
mod turns;

use std::time::Duration;

use expect_test::{Expect, expect};

use super::*;
use rig::{Answers, Rig};

/// No drafts: the pictures of turns are about turns.
fn quiet(method: Method) -> Policy {
    Policy {
        drafts: None,
        ..Policy::preset(method)
    }
}

fn check(picture: &str, expected: Expect) {
    check_rig(
        Rig::new(quiet(Method::SileroSmartTurn)),
        picture,
        Answers::AtOnce,
        expected,
    );
}

/// `verdicts` in tenths, one a digit.
fn check_judged(verdicts: &str, picture: &str, expected: Expect) {
    check_rig(
        judging(verdicts, quiet(Method::SileroSmartTurn)),
        picture,
        Answers::AtOnce,
        expected,
    );
}

fn check_by_hand(verdicts: &str, picture: &str, expected: Expect) {
    check_rig(
        judging(verdicts, quiet(Method::SileroSmartTurn)),
        picture,
        Answers::ByHand,
        expected,
    );
}

fn judging(verdicts: &str, policy: Policy) -> Rig {
    let mut rig = Rig::new(policy);
    rig.verdicts = verdicts.bytes().map(|it| it - b'0').collect();
    rig
}

fn check_rig(mut rig: Rig, picture: &str, answers: Answers, expected: Expect) {
    rig.play(picture, answers);
    expected.assert_eq(&rig.log);
}
