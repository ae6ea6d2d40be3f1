//! Promises: exactly one terminal message for each segment whatever happens, and nothing that grows without bound.

use std::time::{Duration, Instant};

use asr::models::scripted::Script;
use e2e::http::get;
use e2e::speech::{self, READ_WELL};
use e2e::stream::{Client, check_promises};
use e2e::{Asr, run};
use wire::asr::ServerMessage;

/// A small generator: the same choices in every run.
struct Choices(u64);

impl Choices {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % n
    }
}

const FAULTS: [&str; 6] = [
    "",
    "script fail",
    "script panic",
    "script wait 70",
    "script wait 5",
    "script wait 30 fail",
];

/// Speaks, pauses, finalizes and resets in any order, on an engine with the fault given.
async fn ramble(asr: &Asr, seed: u64) {
    let mut choices = Choices(seed);
    let fault = FAULTS[choices.below(FAULTS.len())].replace(' ', "%20");
    let final_on = ["turn_end", "vad_stop"][choices.below(2)];
    let mut client = Client::connect(asr, &format!("prompt={fault}&final_on={final_on}")).await;
    let mut n_finalized = 0;
    let mut n_resets = 0;
    for _ in 0..12 {
        match choices.below(8) {
            0..4 => {
                client
                    .audio(speech::bytes(&speech::hum(
                        0.05 + choices.below(20) as f64 * 0.07,
                    )))
                    .await
            }
            4..6 => {
                client
                    .audio(speech::bytes(&speech::silence(
                        0.02 + choices.below(20) as f64 * 0.05,
                    )))
                    .await
            }
            6 => {
                n_finalized += 1;
                client
                    .say(&format!(r#"{{"type":"finalize","id":"{n_finalized}"}}"#))
                    .await;
            }
            _ => {
                n_resets += 1;
                client.say(r#"{"type":"reset"}"#).await;
            }
        }
        if choices.below(3) == 0 {
            tokio::time::sleep(Duration::from_millis(choices.below(40) as u64)).await;
        }
    }
    if choices.below(5) == 0 {
        // Whatever is under way is for nobody now.
        return client.vanish();
    }
    client.finish().await;
    check_promises(&client);
    let ids: Vec<String> = client
        .heard
        .iter()
        .filter_map(|it| match it {
            ServerMessage::Finalized(it) => it.id.clone(),
            _ => None,
        })
        .collect();
    assert_eq!(
        ids,
        (1..=n_finalized)
            .map(|it| it.to_string())
            .collect::<Vec<_>>(),
        "each is answered, in order"
    );
    let resets = client
        .heard
        .iter()
        .filter(|it| matches!(it, ServerMessage::ResetDone(_)))
        .count();
    assert_eq!(resets, n_resets);
    assert_eq!(client.close, Some(1000.into()));
}

/// Nobody is served and nothing waits.
async fn is_empty(asr: &Asr) {
    let empty = async || loop {
        let health = get(&asr.url("/health")).await.json();
        if health["connections"] == 0 && health["queue_depth"] == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), empty()).await;
    assert!(waited.is_ok(), "{}", get(&asr.url("/health")).await.text());
}

#[test]
fn every_segment_ends_once_whatever_the_engine_and_the_client_do() {
    let script = Script {
        recognizer_delay: Duration::from_millis(3),
        turn_probability: 0.6,
        ..Script::default()
    };
    let asr = Asr::scripted(script, |_| {});
    run(async {
        for round in 0..4 {
            futures_util::future::join_all((0..16).map(|it| ramble(&asr, round * 1_000 + it)))
                .await;
        }
        is_empty(&asr).await;
    });
}

#[test]
fn a_judge_that_never_agrees_still_lets_turns_end() {
    let asr = Asr::scripted(
        Script {
            turn_probability: 0.01,
            ..Script::default()
        },
        |_| {},
    );
    run(async {
        let mut client = Client::connect(&asr, "").await;
        for _ in 0..3 {
            client
                .audio(speech::bytes(
                    &[speech::hum(0.8), speech::silence(3.5)].concat(),
                ))
                .await;
        }
        client.finish().await;
        check_promises(&client);
        assert_eq!(client.finals().len(), 3, "{}", client.story());
    });
}

#[test]
fn who_comes_back_with_what_was_kept_and_speaks_on_does_not_wait_for_a_busy_judge() {
    let script = Script {
        turn_delay: Duration::from_secs(15),
        ..Script::default()
    };
    let asr = Asr::scripted(script, |_| {});
    run(async {
        let mut back = Client::connect(&asr, "").await;
        // All at once, so that the session stays ahead of its clock, and then at the pace of speech.
        back.audio(speech::bytes(&speech::silence(30.0))).await;
        spoken(&mut back, &speech::silence(3.6)).await;
        let mut other = Client::connect(&asr, "").await;
        let said = [speech::hum(0.8), speech::silence(1.0)].concat();
        other.audio(speech::bytes(&said)).await;
        other
            .until(|it| matches!(it, ServerMessage::SpeechStart(_)))
            .await;
        let busy_since = Instant::now();
        spoken(&mut back, &speech::hum(0.8)).await;
        spoken(&mut back, &speech::silence(4.0)).await;
        back.until_final().await;
        assert!(
            busy_since.elapsed() < script.turn_delay,
            "only the judge ended the turn: {}",
            back.story()
        );
        back.finish().await;
        check_promises(&back);
        other.vanish();
    });
}

/// Sends it at the pace of speech.
async fn spoken(client: &mut Client, samples: &[i16]) {
    for frame in samples.chunks(640) {
        client.audio(speech::bytes(frame)).await;
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
}

#[test]
fn ten_minutes_without_a_pause_are_transcribed_to_the_last_word_in_bounded_memory() {
    // The upstream system wrote over what did not fit into its ring buffer.
    let asr = Asr::scripted(Script::default(), |raw| {
        raw.server.max_frame_bytes = 200_000
    });
    run(async {
        let mut client = Client::connect(&asr, "").await;
        let minute = speech::bytes(&speech::hum(60.0));
        for _ in 0..10 {
            client.frames(&minute, 64_000).await;
        }
        let closed = client.finish().await;
        check_promises(&client);
        assert_eq!(
            (closed.received_samples, closed.discarded_samples),
            (9_600_000, 0),
            "{closed:?}"
        );
        assert!(closed.transcribed_samples > 9_590_000, "{closed:?}");
        // Each turn is cut at its longest, and the next begins where it ended.
        assert!((4..=7).contains(&closed.segments), "{closed:?}");
        let mut end = 0;
        for message in &client.heard {
            if let ServerMessage::Final(it) = message {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a position"
                )]
                let start = (it.start_time * 16_000.0).round() as u64;
                assert!(start.abs_diff(end) < 2_000, "a gap before {it:?}: {end}");
                end = it.end_sample;
                // Four words a second, and a cut may cost one.
                let n_words = it.text.split_whitespace().count() as f64;
                let seconds = it.end_time - it.start_time;
                assert!(
                    (n_words - 4.0 * seconds).abs() < 0.05 * n_words + 3.0,
                    "{n_words} words in {seconds} s"
                );
            }
        }
        assert!(end > 9_598_000, "{end}");
    });
}

#[test]
fn unbroken_speech_is_read_to_its_end_by_the_real_model() {
    let asr = Asr::shared();
    let (name, text) = READ_WELL[3];
    let samples = speech::samples(name);
    // Trimmed to where somebody speaks, and said over and over with less of a pause than ends a stretch.
    let loud = |it: &i16| it.unsigned_abs() > 600;
    let (from, to) = (
        samples.iter().position(loud).unwrap(),
        samples.iter().rposition(loud).unwrap(),
    );
    let once = [&samples[from..to], &speech::silence(0.1)[..]].concat();
    let n = 16;
    let said = [once.repeat(n), speech::silence(1.0)].concat();
    assert!(said.len() > 25 * 16_000);
    run(async {
        let mut client = Client::connect(asr, "").await;
        // Faster than it is spoken, and slow enough that there is time to read while it comes.
        for some in speech::bytes(&said).chunks(16_000) {
            client.frames(some, 8_000).await;
            let read = client.until(|it| matches!(it, ServerMessage::Partial(_)));
            drop(tokio::time::timeout(Duration::from_millis(500), read).await);
        }
        let closed = client.finish().await;
        check_promises(&client);
        assert_eq!(closed.discarded_samples, 0);
        assert!(
            closed.transcribed_samples as usize > said.len() - 20_000,
            "{closed:?}"
        );
        let read = client.finals().join(" ");
        assert!(read.starts_with(text.trim_end_matches('.')), "{read}");
        // The model was trained on single sentences and gets lost in so many. What can be told: text goes on being fixed
        // while nobody pauses, and all of it is in the final, as `check_promises` sees.
        let fixed = client.heard.iter().filter(
            |it| matches!(it, ServerMessage::Partial(it) if it.stable_text.len() > text.len()),
        );
        assert!(fixed.count() > 0, "{}", client.story());
    });
}

#[test]
fn hundreds_of_connections_that_come_and_go_leave_nothing_behind() {
    let asr = Asr::scripted(Script::default(), |raw| raw.server.max_connections = 64);
    run(async {
        for round in 0..10_usize {
            let visits = (0..50).map(|idx| {
                let asr = &asr;
                async move {
                    let Ok(mut client) = Client::try_connect(asr, "").await else {
                        return;
                    };
                    client.audio(speech::bytes(&speech::hum(0.2))).await;
                    match (round + idx) % 3 {
                        0 => client.vanish(),
                        1 => {
                            client.finish().await;
                        }
                        _ => {
                            client
                                .send(tokio_tungstenite::tungstenite::Message::Close(None))
                                .await;
                        }
                    }
                }
            });
            futures_util::future::join_all(visits).await;
        }
        is_empty(&asr).await;
    });
}
