//! One picture for each rule of texts: pieces, cuts, failures and drafts.

use super::*;

#[test]
fn long_speech_is_cut_between_words() {
    let policy = Policy {
        max_piece: Duration::from_secs(6),
        ..quiet(Method::SileroSmartTurn)
    };
    check_rig(
        Rig::new(policy),
        "a60 b60 c40 d40 e60 .8",
        Answers::AtOnce,
        expect![[r#"
        start 1 at 0
          cut 0..187+256
          final 120..266 after "a b"
          judge 16..266
        end 1 0..260
        final 1 "a b c d e" 0..260
        turn end 1 SmartTurn 0.9
    "#]],
    );
}

#[test]
fn a_pause_waits_for_the_cut_before_it() {
    let policy = Policy {
        max_piece: Duration::from_secs(6),
        ..quiet(Method::SileroSmartTurn)
    };
    check_rig(
        Rig::new(policy),
        "a60 b60 c80 .8 ? ! !",
        Answers::ByHand,
        expect![[r#"
            start 1 at 0
              cut 0..187+256
              judge 0..206
            end 1 0..200
              final 120..206 after "a b"
            final 1 "a b c" 0..200
            turn end 1 SmartTurn 0.9
        "#]],
    );
}

#[test]
fn a_part_without_words_is_kept_whole() {
    let policy = Policy {
        max_piece: Duration::from_secs(6),
        ..quiet(Method::SileroSmartTurn)
    };
    check_rig(
        Rig::new(policy),
        "#190 a8 .8",
        Answers::AtOnce,
        expect![[r#"
        start 1 at 0
          cut 0..187+256
          final 187+256..204
          judge 0..204
        end 1 0..198
        final 1 "a" 0..198
        turn end 1 SmartTurn 0.9
    "#]],
    );
}

#[test]
fn a_failed_text_is_an_error_and_its_audio_discarded() {
    check_by_hand(
        "9",
        "a8 .6 ? % .30 b8 .6 ? ! C",
        expect![[r#"
        start 1 at 0
          final 0..14
          judge 0..14
        end 1 0..8
        failed 1 Transcription
        turn end 1 SmartTurn 0.9
        start 2 at 44
          final 28+192..58
          judge 28+192..58
        end 2 44..52
        final 2 "b" 44..52
        turn end 2 SmartTurn 0.9
        closed: received 58 transcribed 29+320 silence 14+192 discarded 14 segments 2
    "#]],
    );
}

#[test]
fn a_failure_in_an_open_turn_costs_no_more_than_it_must() {
    check_by_hand(
        "11",
        "a8 .6 ? .20 ? b8 % b8 .6 ? !",
        expect![[r#"
        start 1 at 0
          final 0..14
          judge 0..14
          judge 0..24
        end 1 0..14
        start 2 at 18+192
        failed 1 Transcription
          final 18+192..56
          judge 0..56
        end 2 18+192..50
        final 2 "b" 18+192..50
        turn end 2 SmartTurn 0.9
    "#]],
    );
}

#[test]
fn a_failure_in_a_pause_leaves_the_turn_open() {
    check_by_hand(
        "19",
        "a8 .6 ? % .9 b8 .6 ? ! C",
        expect![[r#"
        start 1 at 0
          final 0..14
          judge 0..14
        end 1 0..14
        failed 1 Transcription
        start 2 at 23
          final 14..37
          judge 0..37
        end 2 23..31
        final 2 "b" 23..31
        turn end 2 SmartTurn 0.9
        closed: received 37 transcribed 23 silence 0 discarded 14 segments 2
    "#]],
    );
}

#[test]
fn a_failed_cut_costs_its_own_part() {
    let policy = Policy {
        max_piece: Duration::from_secs(6),
        ..quiet(Method::SileroSmartTurn)
    };
    check_rig(
        judging("9", policy),
        "a60 b60 c80 % .8 ? ! C",
        Answers::ByHand,
        expect![[r#"
        start 1 at 0
          cut 0..187+256
        end 1 0..187+256
        start 2 at 187+256
        failed 1 Transcription
          final 187+256..206
          judge 0..206
        end 2 187+256..200
        final 2 "" 187+256..200
        turn end 2 SmartTurn 0.9
        closed: received 208 transcribed 18+256 silence 2 discarded 187+256 segments 2
    "#]],
    );
}

#[test]
fn drafts_show_what_is_stable() {
    check_rig(
        Rig::new(Policy::preset(Method::SileroSmartTurn)),
        "a10 b10 c10 d10 .8",
        Answers::AtOnce,
        expect![[r#"
        start 1 at 0
          draft 0..10
        partial 1.1 |a
          draft 0..20
        partial 1.2 a| b
          draft 0..30
        partial 1.3 a b| c
          draft 0..40
        partial 1.4 a b c| d
          final 0..46
          judge 0..46
        partial 1.5 a b c d|
        end 1 0..40
        final 1 "a b c d" 0..40
        turn end 1 SmartTurn 0.9
    "#]],
    );
}

#[test]
fn a_held_turn_shows_its_text_as_stable() {
    check_rig(
        judging("11", Policy::preset(Method::SileroSmartTurn)),
        "a8 b8 .20 c12 .8",
        Answers::AtOnce,
        expect![[r#"
        start 1 at 0
          draft 0..10
        partial 1.1 |a
          final 0..22
          judge 0..22
        partial 1.2 a| b
          judge 0..32
        partial 1.3 a b|
          draft 22..46
        partial 1.4 a b| c
          final 22..54
          judge 0..54
        partial 1.5 a b c|
        end 1 0..48
        final 1 "a b c" 0..48
        turn end 1 SmartTurn 0.9
    "#]],
    );
}

#[test]
fn a_final_that_breaks_a_promise_is_asked_for_again() {
    let mut rig = Rig::new(Policy::preset(Method::SileroSmartTurn));
    rig.texts = [
        "one two",
        "one two three",
        "won too three",
        "One, two, three.",
    ]
    .map(str::to_owned)
    .into();
    check_rig(
        rig,
        "a22 .8",
        Answers::AtOnce,
        expect![[r#"
        start 1 at 0
          draft 0..10
        partial 1.1 |one two
          draft 0..20
        partial 1.2 one two| three
          final 0..28
          judge 0..28
          final 0..28 prefix " one two"
        end 1 0..22
        final 1 "One, two, three." 0..22
        turn end 1 SmartTurn 0.9
    "#]],
    );
}

#[test]
fn a_promise_is_kept_even_if_the_recogniser_will_not() {
    let mut rig = Rig::new(Policy::preset(Method::SileroSmartTurn));
    rig.texts = ["one two", "one two three", "won too three", "won too three"]
        .map(str::to_owned)
        .into();
    check_rig(
        rig,
        "a22 .8",
        Answers::AtOnce,
        expect![[r#"
        start 1 at 0
          draft 0..10
        partial 1.1 |one two
          draft 0..20
        partial 1.2 one two| three
          final 0..28
          judge 0..28
          final 0..28 prefix " one two"
        end 1 0..22
        final 1 "one two three" 0..22
        turn end 1 SmartTurn 0.9
    "#]],
    );
}

#[test]
fn a_draft_that_breaks_a_promise_is_not_sent() {
    let mut rig = Rig::new(Policy::preset(Method::SileroSmartTurn));
    rig.texts = [
        "one two",
        "one two three",
        "won",
        "one two three four",
        "One two three four.",
    ]
    .map(str::to_owned)
    .into();
    check_rig(
        rig,
        "a40 .8",
        Answers::AtOnce,
        expect![[r#"
        start 1 at 0
          draft 0..10
        partial 1.1 |one two
          draft 0..20
        partial 1.2 one two| three
          draft 0..30
          draft 0..40 prefix " one two"
        partial 1.3 one two three| four
          final 0..46
          judge 0..46
        partial 1.4 one two three four|.
        end 1 0..40
        final 1 "One two three four." 0..40
        turn end 1 SmartTurn 0.9
    "#]],
    );
}

#[test]
fn a_slow_draft_is_dropped_at_the_pause_and_slows_the_next() {
    check_rig(
        judging("11", Policy::preset(Method::SileroSmartTurn)),
        "a30 .6 ? ! .20 ? b12 ! b60",
        Answers::ByHand,
        expect![[r#"
            start 1 at 0
              draft 0..10
              cancel draft 0..10
              final 0..36
              judge 0..36
            partial 1.1 |a
              judge 0..46
            partial 1.2 a|
              draft 40+192..66
              draft 40+192..76
        "#]],
    );
}

#[test]
fn a_cut_falls_into_the_gap_between_two_words() {
    let policy = Policy {
        max_piece: Duration::from_secs(6),
        ..quiet(Method::SileroSmartTurn)
    };
    check_rig(
        Rig::new(policy),
        "a60 ~40 b60 c40 .8",
        Answers::AtOnce,
        expect![[r#"
            start 1 at 0
              cut 0..187+256
              final 80..206 after "a"
              judge 0..206
            end 1 0..200
            final 1 "a b c" 0..200
            turn end 1 SmartTurn 0.9
        "#]],
    );
}

#[test]
fn a_failed_cut_leaves_the_rest_to_be_transcribed() {
    let policy = Policy {
        max_piece: Duration::from_secs(6),
        ..quiet(Method::SileroSmartTurn)
    };
    check_rig(
        judging("19", policy),
        "a60 b60 c100 .6 % ! ? .10 ? C",
        Answers::ByHand,
        expect![[r#"
            start 1 at 0
              cut 0..187+256
              judge 0..226
              final 187+256..226
            end 1 0..187+256
            start 2 at 187+256
            failed 1 Transcription
              judge 0..236
            end 2 187+256..220
            final 2 "" 187+256..220
            turn end 2 SmartTurn 0.9
            closed: received 236 transcribed 38+256 silence 10 discarded 187+256 segments 2
        "#]],
    );
}

#[test]
fn pieces_are_told_in_order_however_the_answers_come() {
    let mut rig = judging("119", quiet(Method::SileroSmartTurn));
    rig.play("a8 .6 ? .10 ? b8 .6 ?", Answers::ByHand);
    rig.answer(1);
    rig.log
        .push_str("-- the second was answered; now the first\n");
    rig.answer(0);
    expect![[r#"
        start 1 at 0
          final 0..14
          judge 0..14
          judge 0..24
          final 14..38
          judge 0..38
        end 1 0..32
        -- the second was answered; now the first
        final 1 "a b" 0..32
        turn end 1 SmartTurn 0.9
    "#]]
    .assert_eq(&rig.log);
}

#[test]
fn a_text_that_speech_overtook_is_cancelled() {
    check_by_hand(
        "1",
        "a8 .6 ? .2 b8 .6 ? !",
        expect![[r#"
        start 1 at 0
          final 0..14
          judge 0..14
          cancel final 0..14
          final 0..30
          judge 0..30
        end 1 0..24
        final 1 "a b" 0..24
        turn end 1 SmartTurn 0.9
    "#]],
    );
}

#[test]
fn what_nobody_was_shown_promises_nothing() {
    let mut rig = judging("11", quiet(Method::SileroSmartTurn));
    rig.texts = ["one two", "one two three", "won too"]
        .map(str::to_owned)
        .into();
    check_rig(
        rig,
        "a8 .6 ? ! .2 b8 .6 ? ! .2 c8 .6 ? !",
        Answers::ByHand,
        expect![[r#"
            start 1 at 0
              final 0..14
              judge 0..14
              final 0..30
              judge 0..30
              final 0..46
              judge 0..46
            end 1 0..40
            final 1 "won too" 0..40
            turn end 1 SmartTurn 0.9
        "#]],
    );
}
