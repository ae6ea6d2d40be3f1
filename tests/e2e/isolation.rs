//! Promise: what one session sends, suffers or does never reaches another.

use std::time::{Duration, Instant};

use asr::models::scripted::Script;
use e2e::speech::{self, READ_WELL};
use e2e::stream::{Client, check_promises};
use e2e::{Asr, encode, run};
use tokio_tungstenite::tungstenite::Message;
use wire::asr::ServerMessage;
use wire::asr::stream::TurnEndReason;

/// Everything that a session was told, as it was told, but for wall times and ids.
fn told(client: &Client) -> Vec<String> {
    let line = |it: &ServerMessage| match it {
        ServerMessage::Ready(_) | ServerMessage::Progress(_) | ServerMessage::Partial(_) => None,
        ServerMessage::Final(it) => {
            let mut it = it.clone();
            it.latency_ms = 0;
            // A batch of several sums floats in another order, so probabilities differ in their last digits.
            it.confidence = (it.confidence * 50.0).round() / 50.0;
            it.no_speech_prob = (it.no_speech_prob * 50.0).round() / 50.0;
            for word in it.words.iter_mut().flatten() {
                word.confidence = (word.confidence * 50.0).round() / 50.0;
            }
            Some(format!("{it:?}"))
        }
        // A turn that the client ended tells the judge's last word, and how often it was asked before is a matter of speed.
        ServerMessage::TurnEnd(it) if it.reason == TurnEndReason::Close => {
            Some(format!("turn {} closed", it.segment_id))
        }
        ServerMessage::TurnEnd(it) => Some(format!(
            "turn {} {:?} {:.2}",
            it.segment_id,
            it.reason,
            it.probability.unwrap_or(-1.0)
        )),
        other => Some(format!("{other:?}")),
    };
    // The next segment may begin before or after the final of the last; within a segment the order stands.
    let segment = |it: &ServerMessage| match it {
        ServerMessage::SpeechStart(it) => it.segment_id,
        ServerMessage::SpeechEnd(it) => it.segment_id,
        ServerMessage::Final(it) => it.segment_id,
        ServerMessage::TurnEnd(it) => it.segment_id,
        _ => u64::MAX,
    };
    let mut messages: Vec<&ServerMessage> = client.heard.iter().collect();
    messages.sort_by_key(|it| segment(it));
    messages.into_iter().filter_map(line).collect()
}

/// Whether the end of the session came to one of two turns before the judge's verdict did, which is a matter of speed.
fn closed_early(one: &str, other: &str) -> bool {
    let turn = |it: &str| it.split_whitespace().take(2).collect::<String>();
    one.starts_with("turn ")
        && turn(one) == turn(other)
        && [one, other].iter().any(|it| it.ends_with(" closed"))
}

/// Twelve different conversations.
fn conversations() -> Vec<Vec<u8>> {
    let recordings: Vec<Vec<i16>> = READ_WELL.iter().map(|it| speech::samples(it.0)).collect();
    let all = recordings.len();
    let with = |idx: usize| {
        // So far ahead of the clock that it counts as a recording: a live turn does not wait long for its verdict.
        let mut said = speech::silence(40.0 + 0.1 * idx as f64);
        said.extend(&recordings[idx % all]);
        said.extend(speech::silence(1.2));
        if all <= idx {
            said.extend(&recordings[(idx + 2) % all]);
            said.extend(speech::silence(1.0));
        }
        speech::bytes(&said)
    };
    (0..12).map(with).collect()
}

async fn talk(asr: &Asr, bytes: &[u8]) -> Client {
    let mut client = Client::connect(asr, "enable_timestamps=true").await;
    // In small pieces with pauses, so that those who talk at once are heard in turns.
    for frame in bytes.chunks(6_400) {
        client.audio(frame).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    client.finish().await;
    check_promises(&client);
    client
}

#[test]
fn twelve_at_once_are_told_what_each_is_told_alone_whatever_a_thirteenth_does() {
    let asr = Asr::shared();
    let conversations = conversations();
    run(async {
        let mut alone = Vec::new();
        for bytes in &conversations {
            alone.push(told(&talk(asr, bytes).await));
        }
        assert!(
            alone
                .iter()
                .all(|it| it.iter().any(|it| it.contains("text"))),
            "{alone:#?}"
        );
        let together = futures_util::future::join_all(conversations.iter().map(|it| talk(asr, it)));
        let (together, ()) = futures_util::future::join(together, poison(asr)).await;
        for (alone, together) in alone.iter().zip(&together) {
            let together = told(together);
            assert_eq!(together.len(), alone.len(), "{together:#?}\n{alone:#?}");
            for (alone, together) in alone.iter().zip(&together) {
                assert!(
                    alone == together || closed_early(alone, together),
                    "{together}\n{alone}"
                );
            }
        }
    });
}

/// One that sends whatever should not be sent.
async fn poison(asr: &Asr) {
    let broken: Vec<u8> = [
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::MAX,
        -0.0,
        f32::MIN_POSITIVE,
    ]
    .iter()
    .cycle()
    .take(16_000)
    .flat_map(|it| it.to_le_bytes())
    .collect();
    for _ in 0..3 {
        let mut client = Client::connect(asr, "encoding=pcm_f32le").await;
        client.audio(broken.clone()).await;
        client.say("{}").await;
        client.say("\u{0}").await;
        client.finish().await;
        check_promises(&client);
        let mut client = Client::connect(asr, "").await;
        // More than a message may have.
        client.send(Message::binary(vec![7; 1_048_577])).await;
        while client.next().await.is_some() {}
        assert_eq!(client.close, Some(1009.into()), "{}", client.story());
        let client = Client::connect(asr, "").await;
        client.vanish();
    }
}

/// How long a short turn takes from its last sample to its final.
async fn probe(asr: &Asr) -> Duration {
    let mut client = Client::connect(asr, "partials=false").await;
    let began = Instant::now();
    client
        .audio(speech::bytes(
            &[speech::hum(1.0), speech::silence(0.6)].concat(),
        ))
        .await;
    assert!(
        client.until_final().await.text.starts_with("one two three"),
        "{}",
        client.story()
    );
    let took = began.elapsed();
    client.finish().await;
    check_promises(&client);
    took
}

#[test]
fn an_engine_that_panics_or_fails_for_one_answers_the_others() {
    let script = Script {
        recognizer_delay: Duration::from_millis(20),
        ..Script::default()
    };
    let asr = Asr::scripted(script, |_| {});
    run(async {
        let poisoned = |fault: &'static str| {
            let asr = &asr;
            async move {
                let mut client = Client::connect(asr, &format!("prompt=script%20{fault}")).await;
                for _ in 0..6 {
                    client
                        .audio(speech::bytes(
                            &[speech::hum(0.6), speech::silence(0.6)].concat(),
                        ))
                        .await;
                }
                client.finish().await;
                check_promises(&client);
                assert_eq!(client.finals(), [""; 0]);
                let errors = client
                    .heard
                    .iter()
                    .filter(|it| matches!(it, ServerMessage::Error(it) if it.segment_id.is_some()));
                assert_eq!(errors.count(), 6, "{}", client.story());
            }
        };
        let others = async {
            for _ in 0..12 {
                futures_util::future::join(probe(&asr), probe(&asr)).await;
            }
        };
        Box::pin(futures_util::future::join3(
            poisoned("panic"),
            poisoned("fail"),
            others,
        ))
        .await;
        // And afterwards.
        probe(&asr).await;
    });
}

#[test]
fn no_session_s_draft_takes_the_place_of_another_s() {
    // A newer draft replaces the older one of its session: of each there is one, and all of them wait at once.
    let script = Script {
        recognizer_delay: Duration::from_millis(200),
        ..Script::default()
    };
    let asr = Asr::scripted(script, |raw| raw.model.max_batch = 1);
    run(async {
        let mut clients = Vec::new();
        for _ in 0..6 {
            clients.push(Client::connect(&asr, "partial_interval_ms=100").await);
        }
        let talks = clients.iter_mut().map(|client| async {
            client.audio(speech::bytes(&speech::hum(1.0))).await;
            // Nothing more comes that another draft could be of.
            client
                .until(|it| matches!(it, ServerMessage::Partial(_)))
                .await;
        });
        futures_util::future::join_all(talks).await;
    });
}

#[test]
fn a_call_that_is_shared_with_poison_is_made_again_for_the_healthy() {
    let script = Script {
        recognizer_delay: Duration::from_millis(150),
        ..Script::default()
    };
    let asr = Asr::scripted(script, |_| {});
    // The same words in another order are no script, and as long, which is what lets two jobs share a call.
    let talk = |prompt: &'static str| {
        let asr = &asr;
        async move {
            let mut client = Client::connect(asr, &format!("partials=false&prompt={prompt}")).await;
            for _ in 0..3 {
                let turn = [speech::hum(0.6), speech::silence(0.6)].concat();
                client.audio(speech::bytes(&turn)).await;
            }
            client.finish().await;
            check_promises(&client);
            client.finals().len()
        }
    };
    run(async {
        let healthy = futures_util::future::join_all((0..6).map(|_| talk("panic%20script")));
        let poisoned = futures_util::future::join_all((0..6).map(|_| talk("script%20panic")));
        let (healthy, poisoned) = futures_util::future::join(healthy, poisoned).await;
        assert_eq!((healthy, poisoned), (vec![3; 6], vec![0; 6]));
        let batches = e2e::http::get(&asr.url("/metrics")).await.text();
        let sum = |name: &str| -> f64 {
            let lines = batches
                .lines()
                .filter(|it| it.starts_with(name) && it.contains("whisper"));
            lines
                .filter_map(|it| it.rsplit_once(' ')?.1.parse::<f64>().ok())
                .sum()
        };
        let (jobs, calls) = (sum("asr_batch_size_sum"), sum("asr_batch_size_count"));
        assert!(
            calls < jobs,
            "none shared a call, so nothing was shown: {calls} calls, {jobs} jobs"
        );
    });
}

#[test]
fn one_that_panics_a_few_times_alone_does_not_take_the_process_along() {
    let asr = Asr::scripted(Script::default(), |_| {});
    run(async {
        let mut client = Client::connect(&asr, "prompt=script%20panic&partials=false").await;
        // Eight without a success between them are a broken model, and then the process ends to be started anew.
        for _ in 0..3 {
            client
                .audio(speech::bytes(
                    &[speech::hum(0.4), speech::silence(0.6)].concat(),
                ))
                .await;
            let error = client.until_error().await;
            assert_eq!(error.code.as_str(), "TRANSCRIPTION_FAILED");
        }
        client.finish().await;
        probe(&asr).await;
    });
}

#[test]
fn one_that_resets_without_end_does_not_take_the_places_of_others() {
    // The detector has a place for each session; what a reset leaves behind must not take more.
    let script = Script {
        detector_delay: Duration::from_millis(100),
        ..Script::default()
    };
    let asr = Asr::scripted(script, |raw| raw.server.max_connections = 3);
    run(async {
        let storm = async {
            let mut client = Client::connect(&asr, "").await;
            for _ in 0..60 {
                client.audio(speech::bytes(&speech::hum(0.1))).await;
                client.say(r#"{"type":"reset"}"#).await;
            }
            let closed = client.finish().await;
            check_promises(&client);
            assert_eq!(closed.received_samples, 60 * 1_600);
        };
        let other = async {
            let mut client = Client::connect(&asr, "partials=false").await;
            for _ in 0..6 {
                client.audio(speech::bytes(&speech::hum(0.2))).await;
                tokio::time::sleep(Duration::from_millis(60)).await;
            }
            client.audio(speech::bytes(&speech::silence(0.8))).await;
            let closed = client.finish().await;
            check_promises(&client);
            assert_eq!(
                (closed.received_samples, closed.discarded_samples),
                (32_000, 0),
                "{}",
                client.story()
            );
            assert_eq!(client.finals().len(), 1, "{}", client.story());
        };
        futures_util::future::join(storm, other).await;
    });
}

#[test]
fn loud_clipped_and_tiny_audio_is_transcribed_for_one_while_another_whispers() {
    let asr = Asr::shared();
    let (name, text) = READ_WELL[4];
    let samples = speech::samples(name);
    let loudest = samples.iter().map(|it| it.unsigned_abs()).max().unwrap();
    #[expect(clippy::cast_possible_truncation, reason = "clamped")]
    let at = |gain: f64| -> Vec<i16> {
        samples
            .iter()
            .map(|it| (f64::from(*it) * gain).clamp(-32_768.0, 32_767.0) as i16)
            .collect()
    };
    // A twentieth of the samples is cut off at the top.
    let clipped = at(32_767.0 * 2.5 / f64::from(loudest));
    assert!(
        clipped
            .iter()
            .filter(|it| it.unsigned_abs() > 32_700)
            .count()
            > 20
    );
    run(async {
        let both = [clipped, at(0.1)].map(|it| async move {
            let mut client = Client::connect(asr, "encoding=pcm_f32le").await;
            client
                .frames(&encode::floats(&[it, speech::silence(1.0)].concat()), 6_400)
                .await;
            let closed = client.finish().await;
            check_promises(&client);
            assert!(closed.transcribed_samples > 16_000, "{closed:?}");
            client.finals().join(" ")
        });
        let texts = futures_util::future::join_all(both).await;
        assert_eq!(texts[0], text, "clipped");
        assert!(!texts[1].is_empty(), "whispered");
    });
}
