//! Stories of one connection, told by its messages, and properties that hold for any story.

mod properties;
mod rig;

use expect_test::{Expect, expect};

use super::*;
use rig::{Rig, phrase, phrases};

/// Plays a script and compares what the client is told, a line for each message.
fn check(script: impl FnOnce(&mut Rig), told: &Expect) {
    let mut rig = Rig::new(4);
    script(&mut rig);
    told.assert_eq(&rig.told());
}

#[test]
fn one_text_of_two_sentences() {
    check(
        |rig| {
            rig.ask(1, phrases(&["One two.", "Three."]));
            rig.sound(960);
            rig.sound(480);
            rig.last(480);
            rig.last(960);
        },
        &expect![[r#"
            1 started: 14 characters, 933 ms
            speak 0 of 1: One two.
            speak 1 of 1: Three.
            1 piece 1: 0+960 of 0..8, One@0.00
            1 piece 2: 960+480 of 0..8
            1 piece 3: 1440+480 of 0..8, two.@0.04
            1 piece 4: 1920+960 of 8..14, Three.@0.08
            1 complete: 4 pieces, 2880 samples, 0 skipped
        "#]],
    );
}

#[test]
fn the_next_request_is_made_while_the_last_sentence_is_heard_and_not_mixed_with_it() {
    check(
        |rig| {
            rig.ask(1, phrases(&["One."]));
            rig.ask(2, phrases(&["Two."]));
            rig.sound(10);
            rig.last(10);
            rig.last(7);
        },
        &expect![[r#"
            1 started: 4 characters, 267 ms
            speak 0 of 1: One.
            speak 1 of 2: Two.
            1 piece 1: 0+10 of 0..4, One.@0.00
            1 piece 2: 10+10 of 0..4
            1 complete: 2 pieces, 20 samples, 0 skipped
            2 started: 4 characters, 267 ms
            2 piece 1: 0+7 of 0..4, Two.@0.00
            2 complete: 1 pieces, 7 samples, 0 skipped
        "#]],
    );
}

#[test]
fn a_text_in_pieces_holds_back_what_comes_after_it() {
    check(
        |rig| {
            rig.open(1, |_| {});
            rig.ask(2, phrases(&["Later."]));
            rig.more(1, phrases(&["Now."]));
            rig.last(5);
            rig.more(1, phrases(&["More."]));
            rig.last(6);
            rig.end_text(1);
            rig.last(7);
        },
        &expect![[r#"
            1 started: 4 characters, 267 ms
            speak 0 of 1: Now.
            1 piece 1: 0+5 of 0..4, Now.@0.00
            speak 1 of 1: More.
            1 piece 2: 5+6 of 4..9, More.@0.00
            speak 2 of 2: Later.
            1 complete: 2 pieces, 11 samples, 0 skipped
            2 started: 6 characters, 400 ms
            2 piece 1: 0+7 of 0..6, Later.@0.00
            2 complete: 1 pieces, 7 samples, 0 skipped
        "#]],
    );
}

#[test]
fn a_text_without_anything_to_say_is_complete() {
    check(
        |rig| {
            rig.open(1, |_| {});
            rig.end_text(1);
        },
        &expect![[r#"
            1 started: 0 characters, 0 ms
            1 complete: 0 pieces, 0 samples, 0 skipped
        "#]],
    );
}

#[test]
fn a_cancel_lets_go_of_what_is_being_made_and_the_next_has_its_turn() {
    check(
        |rig| {
            rig.ask(1, phrases(&["One.", "Two."]));
            rig.ask(2, phrases(&["Three."]));
            rig.sound(10);
            rig.on(Event::Cancel { key: RequestKey(1) });
            rig.on(Event::Cancel { key: RequestKey(1) });
            rig.last(3);
        },
        &expect![[r#"
            1 started: 8 characters, 533 ms
            speak 0 of 1: One.
            speak 1 of 1: Two.
            1 piece 1: 0+10 of 0..4, One.@0.00
            stop 0
            stop 1
            1 cancelled: 1 pieces, up to 10
            2 started: 6 characters, 400 ms
            speak 2 of 2: Three.
            2 piece 1: 0+3 of 0..6, Three.@0.00
            2 complete: 1 pieces, 3 samples, 0 skipped
        "#]],
    );
}

#[test]
fn what_waits_can_be_cancelled_too() {
    check(
        |rig| {
            rig.ask(1, phrases(&["One.", "Two."]));
            rig.ask(2, phrases(&["Three."]));
            rig.on(Event::Cancel { key: RequestKey(2) });
            rig.last(1);
            rig.last(1);
        },
        &expect![[r#"
            1 started: 8 characters, 533 ms
            speak 0 of 1: One.
            speak 1 of 1: Two.
            2 cancelled: 0 pieces, up to 0
            1 piece 1: 0+1 of 0..4, One.@0.00
            1 piece 2: 1+1 of 4..8, Two.@0.00
            1 complete: 2 pieces, 2 samples, 0 skipped
        "#]],
    );
}

#[test]
fn a_failure_ends_its_request_alone() {
    check(
        |rig| {
            rig.ask(1, phrases(&["One.", "Two."]));
            rig.ask(2, phrases(&["Three."]));
            rig.last(5);
            rig.fail();
            rig.last(3);
        },
        &expect![[r#"
            1 started: 8 characters, 533 ms
            speak 0 of 1: One.
            speak 1 of 1: Two.
            1 piece 1: 0+5 of 0..4, One.@0.00
            speak 2 of 2: Three.
            stop 1
            1 failed: SYNTHESIS_FAILED
            2 started: 6 characters, 400 ms
            2 piece 1: 0+3 of 0..6, Three.@0.00
            2 complete: 1 pieces, 3 samples, 0 skipped
        "#]],
    );
}

#[test]
fn what_the_client_has_is_made_and_not_sent() {
    check(
        |rig| {
            rig.open(1, |order| order.skip = 1_200);
            rig.more(1, phrases(&["One two."]));
            rig.end_text(1);
            rig.sound(960);
            rig.sound(960);
            rig.last(80);
        },
        &expect![[r#"
            1 started: 8 characters, 533 ms
            speak 0 of 1: One two.
            1 piece 1: 1200+720 of 0..8, One@0.00
            1 piece 2: 1920+80 of 0..8, two.@0.04
            1 complete: 2 pieces, 2000 samples, 1200 skipped
        "#]],
    );
}

#[test]
fn who_cancels_before_anything_was_sent_has_what_was_to_be_skipped() {
    check(
        |rig| {
            for key in 1..=2 {
                rig.open(key, |order| order.skip = 1_200);
                rig.more(key, phrases(&["One two."]));
            }
            rig.sound(960);
            rig.on(Event::Cancel { key: RequestKey(2) });
            rig.on(Event::Cancel { key: RequestKey(1) });
        },
        &expect![[r#"
            1 started: 8 characters, 533 ms
            speak 0 of 1: One two.
            2 cancelled: 0 pieces, up to 1200
            stop 0
            1 cancelled: 0 pieces, up to 1200
        "#]],
    );
}

#[test]
fn words_that_the_client_has_are_not_told_again() {
    check(
        |rig| {
            rig.open(1, |order| order.skip = 8_000);
            rig.more(1, phrases(&["One two."]));
            rig.end_text(1);
            rig.last(12_800);
        },
        &expect![[r#"
            1 started: 8 characters, 533 ms
            speak 0 of 1: One two.
            1 piece 1: 8000+4800 of 0..8, two.@0.27
            1 complete: 1 pieces, 12800 samples, 8000 skipped
        "#]],
    );
}

#[test]
fn a_phrase_shorter_than_expected_does_not_turn_its_words_around() {
    check(
        |rig| {
            rig.ask(1, phrases(&["One two three."]));
            rig.sound(7_600);
            rig.last(100);
        },
        &expect![[r#"
            1 started: 14 characters, 933 ms
            speak 0 of 1: One two three.
            1 piece 1: 0+7600 of 0..14, One@0.00, two@0.31
            1 piece 2: 7600+100 of 0..14, three.@0.31
            1 complete: 2 pieces, 7700 samples, 0 skipped
        "#]],
    );
}

#[test]
fn what_a_resampler_holds_back_comes_at_the_end() {
    check(
        |rig| {
            rig.open(1, |order| order.render = Box::new(rig::Late::default()));
            rig.more(1, phrases(&["One."]));
            rig.end_text(1);
            rig.sound(4);
            rig.last(10);
        },
        &expect![[r#"
            1 started: 4 characters, 267 ms
            speak 0 of 1: One.
            1 piece 1: 0+9 of 0..4, One.@0.00
            1 piece 2: 9+5 of 0..4
            1 complete: 2 pieces, 14 samples, 0 skipped
        "#]],
    );
}

#[test]
fn who_has_all_of_it_gets_nothing_but_the_end() {
    check(
        |rig| {
            rig.open(1, |order| order.skip = 5_000);
            rig.more(1, phrases(&["One."]));
            rig.end_text(1);
            rig.last(960);
        },
        &expect![[r#"
            1 started: 4 characters, 267 ms
            speak 0 of 1: One.
            1 complete: 0 pieces, 960 samples, 960 skipped
        "#]],
    );
}

#[test]
fn long_audio_comes_in_pieces_of_the_size_asked_for() {
    check(
        |rig| {
            rig.open(1, |order| order.max_piece = 400);
            rig.more(1, phrases(&["One two."]));
            rig.end_text(1);
            rig.last(960);
        },
        &expect![[r#"
            1 started: 8 characters, 533 ms
            speak 0 of 1: One two.
            1 piece 1: 0+400 of 0..8, One@0.00
            1 piece 2: 400+400 of 0..8, two.@0.02
            1 piece 3: 800+160 of 0..8
            1 complete: 3 pieces, 960 samples, 0 skipped
        "#]],
    );
}

#[test]
fn who_wants_whole_sentences_waits_for_their_ends() {
    check(
        |rig| {
            rig.open(1, |order| order.delivery = Delivery::WholePhrases);
            rig.more(1, phrases(&["One.", "Two."]));
            rig.end_text(1);
            rig.sound(100);
            rig.sound(100);
            rig.last(0);
            rig.sound(50);
            rig.ended();
        },
        &expect![[r#"
            1 started: 8 characters, 533 ms
            speak 0 of 1: One.
            speak 1 of 1: Two.
            1 piece 1: 0+200 of 0..4, One.@0.00
            1 piece 2: 200+50 of 4..8, Two.@0.01
            1 complete: 2 pieces, 250 samples, 0 skipped
        "#]],
    );
}

#[test]
fn silence_stands_between_sentences_and_not_before_the_first() {
    check(
        |rig| {
            let paused = |text, from| Phrase {
                pause_samples: 240,
                ..phrase(text, from)
            };
            rig.ask(1, vec![paused("One.", 0), paused("Two.", 4)]);
            rig.last(100);
            rig.last(100);
        },
        &expect![[r#"
            1 started: 8 characters, 533 ms
            speak 0 of 1: One.
            speak 1 of 1: Two.
            1 piece 1: 0+100 of 0..4, One.@0.00
            1 piece 2: 100+340 of 4..8, Two.@0.01
            1 complete: 2 pieces, 440 samples, 0 skipped
        "#]],
    );
}

#[test]
fn too_many_requests_are_refused_one_by_one() {
    check(
        |rig| {
            for key in 1..=5 {
                rig.open(key, |_| {});
            }
            rig.on(Event::Cancel { key: RequestKey(2) });
            rig.open(6, |_| {});
        },
        &expect![[r#"
            5 failed: RATE_LIMITED
            2 cancelled: 0 pieces, up to 0
        "#]],
    );
}

#[test]
fn a_drain_says_what_was_asked_for_and_takes_nothing_new() {
    check(
        |rig| {
            rig.ask(1, phrases(&["One."]));
            rig.on(Event::Draining);
            rig.ask(2, phrases(&["Two."]));
            rig.flushed();
            rig.last(10);
            rig.flushed();
        },
        &expect![[r#"
            1 started: 4 characters, 267 ms
            speak 0 of 1: One.
            2 failed: DRAINING
            1 piece 1: 0+10 of 0..4, One.@0.00
            1 complete: 1 pieces, 10 samples, 0 skipped
            closed: 2 = 1 + 0 + 1, 1 pieces
        "#]],
    );
}

#[test]
fn who_asks_between_the_last_end_and_the_last_word_is_refused_and_counted() {
    for (event, code) in [
        (Event::Draining, "DRAINING"),
        (Event::Close, "UNEXPECTED_MESSAGE"),
    ] {
        let mut rig = Rig::new(4);
        rig.on(event);
        for key in 1..=20 {
            rig.open(key, |_| {});
        }
        assert!(rig.utterances.is_over(), "none of them is under way");
        rig.flushed();
        let told = rig.told();
        for key in 1..=20 {
            assert!(told.contains(&format!("{key} failed: {code}\n")), "{told}");
        }
        assert!(
            told.ends_with("\nclosed: 20 = 0 + 0 + 20, 0 pieces\n"),
            "{told}"
        );
    }
}

#[test]
fn who_asks_after_the_end_of_a_drain_is_told_of_the_drain() {
    check(
        |rig| {
            rig.ask(1, phrases(&["One."]));
            rig.on(Event::Draining);
            rig.on(Event::Abort {
                failure: Some(Failure {
                    code: ErrorCode::Draining,
                    message: String::new(),
                }),
            });
            rig.ask(2, phrases(&["Two."]));
            rig.flushed();
        },
        &expect![[r#"
            1 started: 4 characters, 267 ms
            speak 0 of 1: One.
            stop 0
            1 failed: DRAINING
            2 failed: DRAINING
            closed: 2 = 0 + 0 + 2, 0 pieces
        "#]],
    );
}

#[test]
fn an_idle_connection_drains_at_once() {
    check(
        |rig| {
            rig.flushed();
            rig.on(Event::Draining);
            rig.flushed();
        },
        &expect![[r#"
            closed: 0 = 0 + 0 + 0, 0 pieces
        "#]],
    );
}

#[test]
fn who_leaves_has_cancelled_everything() {
    check(
        |rig| {
            rig.ask(1, phrases(&["One."]));
            rig.open(2, |_| {});
            rig.on(Event::Abort { failure: None });
            rig.flushed();
            rig.ask(3, phrases(&["Three."]));
        },
        &expect![[r#"
            1 started: 4 characters, 267 ms
            speak 0 of 1: One.
            stop 0
            1 cancelled: 0 pieces, up to 0
            2 cancelled: 0 pieces, up to 0
            closed: 2 = 0 + 2 + 0, 0 pieces
        "#]],
    );
}

#[test]
fn nothing_is_said_before_the_voice_is_there() {
    check(
        |rig| {
            rig.on(Event::Asked {
                key: RequestKey(1),
                order: rig::order(),
            });
            rig.more(1, phrases(&["One."]));
            rig.end_text(1);
            rig.on(Event::Ready { key: RequestKey(1) });
            rig.last(2);
        },
        &expect![[r#"
            1 started: 4 characters, 267 ms
            speak 0 of 1: One.
            1 piece 1: 0+2 of 0..4, One.@0.00
            1 complete: 1 pieces, 2 samples, 0 skipped
        "#]],
    );
}
