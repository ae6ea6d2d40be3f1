//! The streaming socket: what it says, in which order, and that it loses nothing.

use std::time::{Duration, Instant};

use asr::models::scripted::Script;
use e2e::speech::{self, READ_WELL};
use e2e::stream::{Client, check_promises};
use e2e::{Asr, run};
use proptest::prelude::*;
use wire::asr::ServerMessage;
use wire::asr::stream::TurnEndReason;

fn with_tail(samples: Vec<i16>) -> Vec<u8> {
    speech::bytes(&[samples, speech::silence(1.5)].concat())
}

#[test]
fn recordings_are_read_word_for_word_each_in_its_own_session_at_once() {
    let asr = Asr::real(|_| {});
    run(async {
        let alone = futures_util::future::join_all(READ_WELL.map(|(name, text)| {
            let asr = &asr;
            async move {
                let mut client = Client::connect(asr, "").await;
                client.frames(&with_tail(speech::samples(name)), 640).await;
                client.finish().await;
                check_promises(&client);
                assert_eq!(
                    client.finals().join(" "),
                    text,
                    "{name}: {}",
                    client.story()
                );
                assert_eq!(client.close, Some(1000.into()));
            }
        }));
        alone.await;
    });
}

#[test]
fn every_rate_channel_count_and_encoding_gives_the_same_text() {
    let asr = Asr::real(|_| {});
    let (name, text) = READ_WELL[2];
    let samples = [speech::samples(name), speech::silence(1.0)].concat();
    let every = |n: usize| samples.iter().copied().step_by(n);
    let stereo: Vec<i16> = samples.iter().flat_map(|it| [*it, *it]).collect();
    let floats: Vec<u8> = samples
        .iter()
        .flat_map(|it| (f32::from(*it) / 32_768.0).to_le_bytes())
        .collect();
    let doubled: Vec<i16> = samples
        .windows(2)
        .flat_map(|it| [it[0], i16::midpoint(it[0], it[1])])
        .collect();
    let cases: [(&str, Vec<u8>, u64); 5] = [
        ("", speech::bytes(&samples), samples.len() as u64),
        ("channels=2", speech::bytes(&stereo), samples.len() as u64),
        ("encoding=pcm_f32le", floats, samples.len() as u64),
        (
            "sample_rate=32000",
            speech::bytes(&doubled),
            doubled.len() as u64,
        ),
        (
            "sample_rate=8000",
            speech::bytes(&every(2).collect::<Vec<_>>()),
            samples.len().div_ceil(2) as u64,
        ),
    ];
    run(async {
        for (query, bytes, n_samples) in cases {
            let mut client = Client::connect(&asr, query).await;
            client.frames(&bytes, 4_096).await;
            let closed = client.finish().await;
            check_promises(&client);
            assert_eq!(closed.received_samples, n_samples, "{query}");
            // At 8 kHz half of what there was to hear is missing; that anything is heard is enough.
            if query != "sample_rate=8000" {
                assert_eq!(client.finals().join(" "), text, "{query}");
            } else {
                assert_eq!(closed.segments, 1, "{query}");
            }
        }
    });
}

#[test]
fn a_turn_is_told_in_order_with_its_times() {
    let asr = Asr::scripted(Script::default(), |_| {});
    run(async {
        let mut client = Client::connect(&asr, "").await;
        let ready = client.heard.first().cloned();
        let Some(ServerMessage::Ready(ready)) = ready else {
            panic!("{ready:?}")
        };
        assert_eq!(ready.protocol, 1);
        assert_eq!(ready.config.sample_rate, Some(16_000));
        client.audio(speech::bytes(&speech::silence(1.0))).await;
        client.audio(speech::bytes(&speech::hum(2.0))).await;
        client.audio(speech::bytes(&speech::silence(1.0))).await;
        client.finish().await;
        check_promises(&client);
        let mut kinds: Vec<&str> = Vec::new();
        for message in &client.heard {
            match message {
                ServerMessage::SpeechStart(it) => {
                    assert!((it.timestamp - 1.0).abs() < 0.05, "{it:?}");
                    kinds.push("start");
                }
                ServerMessage::SpeechEnd(it) => {
                    assert!(
                        (it.timestamp - 3.0).abs() < 0.05 && (it.duration - 2.0).abs() < 0.1,
                        "{it:?}"
                    );
                    kinds.push("end");
                }
                ServerMessage::Final(it) => {
                    assert!(
                        (it.start_time - 1.0).abs() < 0.05 && (it.end_time - 3.0).abs() < 0.05,
                        "{it:?}"
                    );
                    assert!((46_000..50_000).contains(&it.end_sample), "{it:?}");
                    assert!(it.text.starts_with("one two three"), "{it:?}");
                    assert_eq!(it.language, "en");
                    kinds.push("final");
                }
                ServerMessage::TurnEnd(it) => {
                    assert_eq!(it.reason, TurnEndReason::SmartTurn);
                    assert_eq!(it.probability, Some(0.9));
                    kinds.push("turn");
                }
                ServerMessage::Closed(_) => kinds.push("closed"),
                _ => {}
            }
        }
        assert_eq!(kinds, ["start", "end", "final", "turn", "closed"]);
    });
}

#[test]
fn partials_come_while_speech_goes_on_and_their_stable_part_stays() {
    let asr = Asr::scripted(Script::default(), |_| {});
    run(async {
        let mut client = Client::connect(&asr, "partial_interval_ms=300").await;
        // In the time that it would take to say it, halved: partials are for those who wait.
        for piece in speech::bytes(&speech::hum(4.0)).chunks(3_200) {
            client.audio(piece).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        client.audio(speech::bytes(&speech::silence(1.0))).await;
        client.finish().await;
        check_promises(&client);
        let stable = |it: &ServerMessage| matches!(it, ServerMessage::Partial(it) if !it.stable_text.is_empty());
        let n = client.heard.iter().filter(|it| stable(it)).count();
        assert!(n >= 2, "{}", client.story());
        let mut silent = Client::connect(&asr, "partials=false").await;
        silent.audio(speech::bytes(&speech::hum(3.0))).await;
        silent.finish().await;
        assert!(
            !silent
                .heard
                .iter()
                .any(|it| matches!(it, ServerMessage::Partial(_)))
        );
    });
}

#[test]
fn finalize_ends_the_turn_and_the_connection_goes_on() {
    let asr = Asr::scripted(
        Script {
            turn_probability: 0.1,
            ..Script::default()
        },
        |_| {},
    );
    run(async {
        let mut client = Client::connect(&asr, "").await;
        client.audio(speech::bytes(&speech::hum(1.5))).await;
        client.say(r#"{"type":"finalize","id":"f1"}"#).await;
        client
            .until(
                |it| matches!(it, ServerMessage::Finalized(it) if it.id.as_deref() == Some("f1")),
            )
            .await;
        assert_eq!(client.finals().len(), 1);
        // Nothing was said since: only the answer.
        client.say(r#"{"type":"finalize"}"#).await;
        client
            .until(|it| matches!(it, ServerMessage::Finalized(it) if it.id.is_none()))
            .await;
        assert_eq!(client.finals().len(), 1);
        client.audio(speech::bytes(&speech::hum(1.0))).await;
        client.finish().await;
        check_promises(&client);
        assert_eq!(client.finals().len(), 2);
        let reasons: Vec<_> = client
            .heard
            .iter()
            .filter_map(|it| match it {
                ServerMessage::TurnEnd(it) => Some(it.reason),
                _ => None,
            })
            .collect();
        assert_eq!(reasons, [TurnEndReason::Finalize, TurnEndReason::Close]);
    });
}

#[test]
fn reset_forgets_what_was_not_delivered_and_counts_it() {
    let asr = Asr::scripted(Script::default(), |_| {});
    run(async {
        let mut client = Client::connect(&asr, "").await;
        client.audio(speech::bytes(&speech::hum(1.0))).await;
        client
            .until(|it| matches!(it, ServerMessage::SpeechStart(_)))
            .await;
        client.say(r#"{"type":"reset"}"#).await;
        let done = client
            .until(|it| matches!(it, ServerMessage::ResetDone(_)))
            .await;
        let ServerMessage::ResetDone(done) = done else {
            panic!("{done:?}")
        };
        assert!(done.discarded_samples > 8_000, "{done:?}");
        client
            .audio(speech::bytes(
                &[speech::hum(1.0), speech::silence(1.0)].concat(),
            ))
            .await;
        let closed = client.finish().await;
        check_promises(&client);
        assert_eq!(closed.received_samples, 48_000);
        assert_eq!(closed.discarded_samples, done.discarded_samples);
        assert_eq!(client.finals().len(), 1);
    });
}

#[test]
fn a_stream_that_falls_silent_on_the_wire_gets_its_final() {
    let asr = Asr::scripted(
        Script {
            turn_probability: 0.1,
            ..Script::default()
        },
        |raw| raw.stream.audio_idle_ms = 300,
    );
    run(async {
        let mut client = Client::connect(&asr, "").await;
        client.audio(speech::bytes(&speech::hum(1.0))).await;
        let began = Instant::now();
        client.until_final().await;
        assert!(began.elapsed() < Duration::from_secs(30));
        client.audio(speech::bytes(&speech::hum(1.0))).await;
        client.finish().await;
        check_promises(&client);
        assert_eq!(client.finals().len(), 2);
    });
}

#[test]
fn a_broken_stream_goes_on_from_its_safe_sample() {
    let asr = Asr::real(|raw| raw.stream.progress_interval_ms = 100);
    let (first, second) = (READ_WELL[0], READ_WELL[3]);
    let said = [
        speech::samples(first.0),
        speech::silence(1.5),
        speech::samples(second.0),
        speech::silence(1.5),
    ]
    .concat();
    let bytes = speech::bytes(&said);
    let half = 2 * (speech::samples(first.0).len() + 16_000 + 24_000);
    run(async {
        let mut client = Client::connect(&asr, "").await;
        client.frames(&bytes[..half], 3_200).await;
        let mut texts = vec![client.until_final().await.text];
        client
            .until(|it| matches!(it, ServerMessage::Progress(it) if it.safe_sample > 0))
            .await;
        let safe = client.heard.iter().rev().find_map(|it| match it {
            ServerMessage::Progress(it) => Some(it.safe_sample),
            _ => None,
        });
        client.vanish();
        let safe = usize::try_from(safe.unwrap()).unwrap();
        let mut client = Client::connect(&asr, &format!("start_sample={safe}")).await;
        client.frames(&bytes[2 * safe..], 3_200).await;
        client.finish().await;
        check_promises(&client);
        texts.extend(client.finals());
        assert_eq!(texts, [first.1, second.1]);
        let start = client.heard.iter().find_map(|it| match it {
            ServerMessage::Final(it) => Some(it.start_time),
            _ => None,
        });
        // Times go on from where the first connection was.
        assert!(
            start.unwrap() > safe as f64 / 16_000.0 - 0.6,
            "{start:?} after {safe}"
        );
    });
}

#[test]
fn progress_comes_while_audio_flows_and_its_numbers_hold() {
    let asr = Asr::scripted(Script::default(), |raw| {
        raw.stream.progress_interval_ms = 200
    });
    run(async {
        let mut client = Client::connect(&asr, "start_sample=1000").await;
        for _ in 0..10 {
            client.audio(speech::bytes(&speech::silence(0.2))).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        client.finish().await;
        let mut received = 1_000;
        let mut n = 0;
        for message in &client.heard {
            if let ServerMessage::Progress(it) = message {
                assert!(
                    it.safe_sample <= it.received_sample && received <= it.received_sample,
                    "{it:?}"
                );
                received = it.received_sample;
                n += 1;
            }
        }
        assert!(n >= 3, "{n}");
        assert_eq!(client.totals().unwrap().received_samples, 32_000);
    });
}

#[test]
fn words_have_times_on_the_stream_s_clock() {
    let asr = Asr::real(|_| {});
    let (name, text) = READ_WELL[3];
    run(async {
        let mut client = Client::connect(&asr, "enable_timestamps=true").await;
        client.audio(speech::bytes(&speech::silence(2.0))).await;
        client.audio(with_tail(speech::samples(name))).await;
        let last = client.until_final().await;
        assert_eq!(last.text, text);
        let words = last.words.unwrap();
        assert_eq!(
            words
                .iter()
                .map(|it| it.word.as_str())
                .collect::<Vec<_>>()
                .join(" "),
            text
        );
        let mut at = 1.9;
        for word in words {
            assert!(
                at <= word.start + 0.01 && word.start <= word.end && word.end < 6.0,
                "{word:?} after {at}"
            );
            at = word.start;
        }
    });
}

#[test]
fn config_before_audio_is_obeyed_and_afterwards_refused() {
    let asr = Asr::scripted(Script::default(), |_| {});
    run(async {
        let mut client = Client::connect(&asr, "language=en").await;
        client.say(r#"{"type":"config","encoding":"mulaw","sample_rate":8000,"vad":{"stop_secs":0.4}}"#).await;
        let ready = client
            .until(|it| matches!(it, ServerMessage::Ready(_)))
            .await;
        let ServerMessage::Ready(ready) = ready else {
            panic!("{ready:?}")
        };
        assert_eq!(
            (ready.config.sample_rate, ready.config.language.as_deref()),
            (Some(8_000), Some("en"))
        );
        assert_eq!(ready.config.vad.unwrap().stop_secs, Some(0.4));
        client.audio(vec![0xff; 8_000]).await;
        client.say(r#"{"type":"config","sample_rate":16000}"#).await;
        let error = client.until_error().await;
        assert_eq!(
            (error.code.as_str(), error.recoverable),
            ("UNEXPECTED_MESSAGE", true)
        );
        let closed = client.finish().await;
        assert_eq!(closed.received_samples, 8_000);
        assert_eq!(closed.silence_samples, 8_000);
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]

    /// However the bytes are cut and however slow the recogniser is, every sample is accounted for.
    #[test]
    fn nothing_is_lost_under_any_cuts(cuts in proptest::collection::vec(1_usize..20_000, 1..40), delay_ms in 0_u64..60) {
        let script = Script { recognizer_delay: Duration::from_millis(delay_ms), ..Script::default() };
        let asr = Asr::scripted(script, |raw| raw.stream.max_buffer_ms = 24_000);
        let said = [speech::hum(1.2), speech::silence(0.7), speech::hum(0.4), speech::silence(2.0), speech::hum(3.0)].concat();
        let bytes = speech::bytes(&said);
        run(async {
            let mut client = Client::connect(&asr, "").await;
            let mut rest = &bytes[..];
            for n in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, later) = rest.split_at((*n).min(rest.len()));
                client.audio(piece).await;
                rest = later;
            }
            let closed = client.finish().await;
            check_promises(&client);
            assert_eq!(closed.received_samples, said.len() as u64);
            assert_eq!(closed.discarded_samples, 0);
        });
    }
}
