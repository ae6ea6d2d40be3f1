//! One picture for each rule of turns, and of what the client sends.

use super::*;

#[test]
fn a_complete_turn() {
    check(
        ".20 a8 b8 .8",
        expect![[r#"
        start 1 at 20
          final 4+192..42
          judge 4+192..42
        end 1 20..36
        final 1 "a b" 20..36
        turn end 1 SmartTurn 0.9
    "#]],
    );
}

#[test]
fn silence_is_nothing() {
    check(
        ".100 C",
        expect![[r#"
        closed: received 100 transcribed 0 silence 100 discarded 0 segments 0
    "#]],
    );
}

#[test]
fn a_click_is_silence() {
    check(
        ".10 ## .30 C",
        expect![[r#"
        closed: received 42 transcribed 0 silence 42 discarded 0 segments 0
    "#]],
    );
}

#[test]
fn an_incomplete_turn_is_looked_at_again_and_ends_by_silence() {
    check_judged(
        "1234",
        "a8 .120",
        expect![[r#"
        start 1 at 0
          final 0..14
          judge 0..14
          judge 0..24
          judge 0..40
          judge 0..58
        end 1 0..8
        final 1 "a" 0..8
        turn end 1 Silence 0.4
    "#]],
    );
}

#[test]
fn a_later_look_may_find_the_turn_complete() {
    check_judged(
        "18",
        "a8 .40",
        expect![[r#"
        start 1 at 0
          final 0..14
          judge 0..14
          judge 0..24
        end 1 0..8
        final 1 "a" 0..8
        turn end 1 SmartTurn 0.8
    "#]],
    );
}

#[test]
fn speech_after_a_short_pause_is_the_same_piece() {
    check_judged(
        "1",
        "a8 .9 b8 .8",
        expect![[r#"
        start 1 at 0
          final 0..14
          judge 0..14
          final 0..31
          judge 0..31
        end 1 0..25
        final 1 "a b" 0..25
        turn end 1 SmartTurn 0.9
    "#]],
    );
}

#[test]
fn speech_after_a_long_pause_is_another_piece_of_the_same_segment() {
    check_judged(
        "111",
        "a8 .60 b8 .8",
        expect![[r#"
            start 1 at 0
              final 0..14
              judge 0..14
              judge 0..24
              judge 0..40
              judge 0..58
            end 1 0..8
            final 1 "a" 0..8
            turn end 1 SmartTurn 0.9
            start 2 at 68
              final 52+192..82
              judge 52+192..82
            end 2 68..76
            final 2 "b" 68..76
            turn end 2 SmartTurn 0.9
        "#]],
    );
}

#[test]
fn a_turn_that_was_judged_complete_is_over() {
    check(
        "a8 .7 b8 .8",
        expect![[r#"
        start 1 at 0
          final 0..14
          judge 0..14
        end 1 0..8
        final 1 "a" 0..8
        turn end 1 SmartTurn 0.9
        start 2 at 15
          final 14..29
          judge 14..29
        end 2 15..23
        final 2 "b" 15..23
        turn end 2 SmartTurn 0.9
    "#]],
    );
}

#[test]
fn frames_wait_for_the_verdict() {
    check_by_hand(
        "9",
        "a8 .6 b8 .2 ? ! .6 ? !",
        expect![[r#"
        start 1 at 0
          final 0..14
          judge 0..14
        end 1 0..8
        start 2 at 14
        final 1 "a" 0..8
        turn end 1 SmartTurn 0.9
          final 14..28
          judge 14..28
        end 2 14..22
        final 2 "b" 14..22
        turn end 2 SmartTurn 0.9
    "#]],
    );
}

#[test]
fn a_text_that_comes_before_the_verdict_is_kept() {
    check_by_hand(
        "9",
        "a8 .6 ! ?",
        expect![[r#"
        start 1 at 0
          final 0..14
          judge 0..14
        end 1 0..8
        final 1 "a" 0..8
        turn end 1 SmartTurn 0.9
    "#]],
    );
}

#[test]
fn finals_come_in_order_however_the_answers_come() {
    let mut rig = Rig::new(quiet(Method::SileroSmartTurn));
    rig.play("a8 .6 ? .10 b8 .6 ?", Answers::ByHand);
    rig.answer(1);
    rig.log
        .push_str("-- the second was answered; now the first\n");
    rig.answer(0);
    expect![[r#"
        start 1 at 0
          final 0..14
          judge 0..14
        end 1 0..8
        start 2 at 24
          final 14..38
          judge 14..38
        end 2 24..32
        -- the second was answered; now the first
        final 1 "a" 0..8
        turn end 1 SmartTurn 0.9
        final 2 "b" 24..32
        turn end 2 SmartTurn 0.9
    "#]]
    .assert_eq(&rig.log);
}

#[test]
fn a_judge_that_fails_leaves_it_to_the_silence() {
    check_by_hand(
        "",
        "a8 .6 & .10 ! & .20 & .20 & .60",
        expect![[r#"
        start 1 at 0
          final 0..14
          judge 0..14
          judge 0..24
          judge 0..40
          judge 0..58
        end 1 0..8
        final 1 "a" 0..8
        turn end 1 Silence
    "#]],
    );
}

#[test]
fn finalize_ends_the_turn_where_it_stands() {
    check(
        "a8 F .10 F",
        expect![[r#"
        start 1 at 0
          final 0..8
        end 1 0..8
        final 1 "a" 0..8
        turn end 1 Finalize
        finalized f
        finalized f
    "#]],
    );
}

#[test]
fn finalize_in_the_middle_of_a_frame_and_of_speech() {
    check(
        "a8 | F b8 .8",
        expect![[r#"
            start 1 at 0
              final 0..8+256
            end 1 0..8
            final 1 "a" 0..8
            turn end 1 Finalize
            finalized f
            start 2 at 8+256
              final 8+256..22
              judge 8+256..22
            end 2 8+256..16
            final 2 "b" 8+256..16
            turn end 2 SmartTurn 0.9
        "#]],
    );
}

#[test]
fn finalize_waits_for_frames_that_are_not_heard_yet() {
    let mut rig = Rig::new(quiet(Method::SileroSmartTurn));
    rig.receive(8 * 512);
    rig.on(Event::Finalize {
        id: Some("f".into()),
    });
    rig.log.push_str("-- heard only now\n");
    for _ in 0..8 {
        rig.hear(0.9);
    }
    rig.answer_all();
    expect![[r#"
        -- heard only now
        start 1 at 0
          final 0..8
        end 1 0..8
        final 1 "" 0..8
        turn end 1 Finalize
        finalized f
    "#]]
    .assert_eq(&rig.log);
}

#[test]
fn finalize_in_a_pause_ends_the_held_turn() {
    check_judged(
        "1",
        "a8 .8 F",
        expect![[r#"
        start 1 at 0
          final 0..14
          judge 0..14
        end 1 0..8
        final 1 "a" 0..8
        turn end 1 Finalize 0.1
        finalized f
    "#]],
    );
}

#[test]
fn close_delivers_what_is_left() {
    check(
        "a8 | C",
        expect![[r#"
        start 1 at 0
          final 0..8+256
        end 1 0..8
        final 1 "a" 0..8
        turn end 1 Close
        closed: received 8+256 transcribed 8+256 silence 0 discarded 0 segments 1
    "#]],
    );
}

#[test]
fn close_waits_for_the_last_text() {
    check_by_hand(
        "",
        "a8 .2 C a8 !",
        expect![[r#"
        start 1 at 0
          final 0..10
        end 1 0..8
        final 1 "a" 0..8
        turn end 1 Close
        closed: received 10 transcribed 10 silence 0 discarded 0 segments 1
    "#]],
    );
}

#[test]
fn idle_audio_counts_as_silence() {
    check(
        "a8 I .3 b8 I .3 I",
        expect![[r#"
        start 1 at 0
          final 0..8
        end 1 0..8
        final 1 "a" 0..8
        turn end 1 Silence
        start 2 at 11
          final 8..19
        end 2 11..19
        final 2 "b" 11..19
        turn end 2 Silence
    "#]],
    );
}

#[test]
fn draining_waits_for_the_turn() {
    check_judged(
        "1",
        "a4 D a8 .8 b8 .8 c8",
        expect![[r#"
        start 1 at 0
          final 0..18
          judge 0..18
          final 0..34
          judge 0..34
        end 1 0..28
        final 1 "a b" 0..28
        turn end 1 SmartTurn 0.9
        closed: received 34 transcribed 34 silence 0 discarded 0 segments 1
    "#]],
    );
}

#[test]
fn draining_closes_at_once_when_nobody_speaks() {
    check(
        "a8 .30 D .8",
        expect![[r#"
        start 1 at 0
          final 0..14
          judge 0..14
        end 1 0..8
        final 1 "a" 0..8
        turn end 1 SmartTurn 0.9
        closed: received 38 transcribed 14 silence 24 discarded 0 segments 1
    "#]],
    );
}

#[test]
fn reset_drops_what_is_not_delivered() {
    check(
        "a8 .8 b8 R .8 c8 .8 C",
        expect![[r#"
        start 1 at 0
          final 0..14
          judge 0..14
        end 1 0..8
        final 1 "a" 0..8
        turn end 1 SmartTurn 0.9
        start 2 at 16
        end 2 16..24
        failed 2 Reset
        reset done, discarded 10
        start 3 at 32
          final 24..46
          judge 24..46
        end 3 32..40
        final 3 "c" 32..40
        turn end 3 SmartTurn 0.9
        closed: received 48 transcribed 36 silence 2 discarded 10 segments 3
    "#]],
    );
}

#[test]
fn reset_answers_everything_that_was_open() {
    check_by_hand(
        "",
        "a8 .6 ? .8 b8 | F R C",
        expect![[r#"
        start 1 at 0
          final 0..14
          judge 0..14
        end 1 0..8
        start 2 at 22
          final 14..30+256
        end 2 22..30
          cancel final 0..14
          cancel final 14..30+256
        failed 1 Reset
        failed 2 Reset
        finalized f
        reset done, discarded 30+256
        closed: received 30+256 transcribed 0 silence 0 discarded 30+256 segments 2
    "#]],
    );
}

#[test]
fn a_turn_that_is_too_long_goes_on_as_the_next() {
    let policy = Policy {
        max_turn: Duration::from_secs(1),
        ..quiet(Method::SileroSmartTurn)
    };
    check_rig(
        Rig::new(policy),
        "a16 b16 c16 .8",
        Answers::AtOnce,
        expect![[r#"
        start 1 at 0
          final 0..32
        end 1 0..32
        start 2 at 32
        final 1 "a b" 0..32
        turn end 1 MaxDuration
          final 32..54
          judge 32..54
        end 2 32..48
        final 2 "c" 32..48
        turn end 2 SmartTurn 0.9
    "#]],
    );
}

#[test]
fn without_a_judge_the_pause_ends_the_turn() {
    check_rig(
        Rig::new(quiet(Method::Silero)),
        "a8 .8 b8 .8",
        Answers::AtOnce,
        expect![[r#"
        start 1 at 0
          final 0..14
        end 1 0..8
        final 1 "a" 0..8
        turn end 1 Silence
        start 2 at 16
          final 14..30
        end 2 16..24
        final 2 "b" 16..24
        turn end 2 Silence
    "#]],
    );
}

#[test]
fn loudness_may_stand_for_speech() {
    check_rig(
        Rig::new(quiet(Method::Energy)),
        "##.10 a20 .19 b5 .20",
        Answers::AtOnce,
        expect![[r#"
        start 1 at 12
          final 0..76
        end 1 12..56
        final 1 "a b" 12..56
        turn end 1 Silence
    "#]],
    );
}

#[test]
fn finals_may_come_at_every_pause() {
    let policy = Policy {
        final_on: FinalOn::VadStop,
        ..quiet(Method::SileroSmartTurn)
    };
    check_rig(
        judging("12", policy),
        "a8 .10 b8 .8 F .40 c8 .8",
        Answers::AtOnce,
        expect![[r#"
        start 1 at 0
          final 0..14
        end 1 0..8
          judge 0..14
        final 1 "a" 0..8
        start 2 at 18
          final 14..32
        end 2 18..26
          judge 0..32
        final 2 "b" 18..26
        turn end 2 Finalize 0.2
        finalized f
        start 3 at 74
          final 58+192..88
        end 3 74..82
          judge 58+192..88
        final 3 "c" 74..82
        turn end 3 SmartTurn 0.9
    "#]],
    );
}

#[test]
fn a_turn_that_is_too_long_may_end_right_after() {
    let policy = Policy {
        max_turn: Duration::from_secs(1),
        ..quiet(Method::SileroSmartTurn)
    };
    check_rig(
        Rig::new(policy),
        "a33 .8",
        Answers::AtOnce,
        expect![[r#"
        start 1 at 0
          final 0..32
        end 1 0..32
        start 2 at 32
        final 1 "a" 0..32
        turn end 1 MaxDuration
          final 32..39
          judge 32..39
        end 2 32..33
        final 2 "" 32..33
        turn end 2 SmartTurn 0.9
    "#]],
    );
}

#[test]
fn pauses_within_a_turn_are_silence() {
    check_judged(
        "111",
        "a8 .60 b8 .8 C",
        expect![[r#"
        start 1 at 0
          final 0..14
          judge 0..14
          judge 0..24
          judge 0..40
          judge 0..58
        end 1 0..8
        final 1 "a" 0..8
        turn end 1 SmartTurn 0.9
        start 2 at 68
          final 52+192..82
          judge 52+192..82
        end 2 68..76
        final 2 "b" 68..76
        turn end 2 SmartTurn 0.9
        closed: received 84 transcribed 43+320 silence 40+192 discarded 0 segments 2
    "#]],
    );
}

#[test]
fn draining_does_not_wait_for_a_beginning_after_which_no_audio_came() {
    check(
        ".30 ## I D",
        expect![[r#"
        closed: received 32 transcribed 0 silence 32 discarded 0 segments 0
    "#]],
    );
    check(
        ".30 ## D I",
        expect![[r#"
        closed: received 32 transcribed 0 silence 32 discarded 0 segments 0
    "#]],
    );
    // Nor if it came in the silence after a turn that this ends.
    check_judged(
        "1",
        "a8 .8 ## D I",
        expect![[r#"
        start 1 at 0
          final 0..14
          judge 0..14
        end 1 0..8
        final 1 "a" 0..8
        turn end 1 Silence 0.1
        closed: received 18 transcribed 14 silence 4 discarded 0 segments 1
    "#]],
    );
}

#[test]
fn draining_waits_for_what_may_be_the_beginning_of_a_turn() {
    check(
        ".30 ## D a8 .8",
        expect![[r#"
        start 1 at 30
          final 14+192..46
          judge 14+192..46
        end 1 30..40
        final 1 "a" 30..40
        turn end 1 SmartTurn 0.9
        closed: received 46 transcribed 31+320 silence 14+192 discarded 0 segments 1
    "#]],
    );
}
