//! Faults of systems like this one that users met elsewhere: each has a test of its own name, here or where it belongs.
//!
//! | fault | test |
//! | --- | --- |
//! | one detector for all users mixes their audio | `isolation::twelve_at_once_are_told_what_each_is_told_alone_whatever_a_thirteenth_does` |
//! | audio dropped when a queue is full | `accounting::a_slow_engine_slows_the_socket_and_loses_nothing` |
//! | a ring buffer writes over long speech | `bounds::ten_minutes_without_a_pause_are_transcribed_to_the_last_word_in_bounded_memory` |
//! | results dropped when a client reads slowly | `overload::a_reader_that_pauses_and_goes_on_misses_nothing` |
//! | loud audio refused as clipped | `isolation::loud_clipped_and_tiny_audio_is_transcribed_for_one_while_another_whispers` |
//! | text frames without effect | `stream`, `bad_messages` |
//! | metrics that no collector can read | `operations::metrics_count_what_happened_and_no_label_is_an_id` |
//! | a disconnect that leaves tasks behind | `bounds::hundreds_of_connections_that_come_and_go_leave_nothing_behind` |

use std::time::Duration;

use asr::models::scripted::Script;
use e2e::http::{client, get, send};
use e2e::speech;
use e2e::stream::{Client, check_promises};
use e2e::{Asr, run};
use wire::asr::ServerMessage;

#[test]
fn a_failure_of_the_engine_is_told_with_its_segment_and_the_next_one_is_read() {
    let asr = Asr::scripted(Script::default(), |_| {});
    run(async {
        for fault in ["fail", "panic"] {
            let mut broken = Client::connect(&asr, &format!("prompt=script%20{fault}")).await;
            broken
                .audio(speech::bytes(
                    &[speech::hum(1.0), speech::silence(1.0)].concat(),
                ))
                .await;
            let error = broken.until_error().await;
            assert_eq!(
                (error.code.as_str(), error.segment_id, error.recoverable),
                ("TRANSCRIPTION_FAILED", Some(1), true)
            );
            // It says nothing of our insides.
            assert!(
                !error.message.contains("script") && !error.message.contains("panic"),
                "{error:?}"
            );
            broken.finish().await;
            check_promises(&broken);
        }
        let mut whole = Client::connect(&asr, "").await;
        whole
            .audio(speech::bytes(
                &[speech::hum(1.0), speech::silence(1.0)].concat(),
            ))
            .await;
        whole.finish().await;
        assert_eq!(whole.finals().len(), 1);
    });
}

#[test]
fn what_ends_at_the_same_time_shares_a_call_of_the_model() {
    let asr = Asr::scripted(
        Script {
            recognizer_delay: Duration::from_secs(1),
            ..Script::default()
        },
        |_| {},
    );
    run(async {
        let mut clients = Vec::new();
        for _ in 0..12 {
            clients.push(Client::connect(&asr, "partials=false").await);
        }
        let talks = clients.iter_mut().map(|client| async {
            client
                .audio(speech::bytes(
                    &[speech::hum(0.6), speech::silence(0.5)].concat(),
                ))
                .await;
            client.until_final().await;
        });
        futures_util::future::join_all(talks).await;
        // One by one it would be twelve calls.
        let n_calls = asr.metric("asr_batch_size_count{model=\"whisper\"}").await;
        assert!(n_calls <= 6.0, "{n_calls} calls");
    });
}

#[test]
fn a_cough_is_a_segment_with_a_text_however_short() {
    // Elsewhere what is shorter than a tenth of a second vanishes without a word.
    let asr = Asr::scripted(Script::default(), |_| {});
    run(async {
        let mut client = Client::connect(&asr, "vad.start_secs=0.032").await;
        client
            .audio(speech::bytes(
                &[
                    speech::silence(0.5),
                    speech::hum(0.09),
                    speech::silence(1.0),
                ]
                .concat(),
            ))
            .await;
        let closed = client.finish().await;
        check_promises(&client);
        assert_eq!(
            (
                closed.received_samples,
                closed.discarded_samples,
                closed.segments
            ),
            (25_440, 0, 1),
            "{}",
            client.story()
        );
        assert!(
            client
                .heard
                .iter()
                .any(|it| matches!(it, ServerMessage::Final(_)))
        );
    });
}

#[test]
fn who_asks_too_often_is_told_when_to_come_back_and_others_are_served() {
    let asr = Asr::scripted(Script::default(), |raw| {
        raw.server.rate_limit_per_minute = 1;
        raw.server.rate_limit_burst = 2;
        raw.server.trust_forwarded = true;
    });
    run(async {
        let ask = async |from: &str| {
            send(
                client()
                    .get(asr.url("/v1/models"))
                    .header("x-forwarded-for", from),
            )
            .await
        };
        assert_eq!(ask("203.0.113.1").await.status, 200);
        assert_eq!(ask("203.0.113.1").await.status, 200);
        let refused = ask("203.0.113.1").await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (429, "rate_limit_exceeded"),
            "as OpenAI spells it"
        );
        let seconds: u32 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&seconds), "{seconds}");
        assert_eq!(ask("203.0.113.2").await.status, 200);
        // Whoever asks, health is told.
        for _ in 0..5 {
            assert_eq!(get(&asr.url("/healthz")).await.status, 200);
        }
    });
}

#[test]
fn without_a_key_nothing_but_health_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    // The hash of `secret`.
    std::fs::write(
        &file,
        "tester:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b\n",
    )
    .unwrap();
    let asr = Asr::scripted(Script::default(), |raw| raw.auth.api_keys_file = Some(file));
    run(async {
        for path in ["/healthz", "/readyz", "/health", "/metrics"] {
            assert_eq!(get(&asr.url(path)).await.status, 200, "{path}");
        }
        for path in ["/v1/models", "/v1/models?api_key=wrong"] {
            let refused = get(&asr.url(path)).await;
            assert_eq!(
                (refused.status, refused.code().as_str()),
                (401, "invalid_api_key"),
                "{path}"
            );
            assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
            let error = &refused.json()["error"];
            assert!(
                error.get("recoverable").is_none(),
                "OpenAI has no such field: {error}"
            );
            assert!(!refused.text().contains("wrong"), "a key is not echoed");
        }
        let refused = Client::try_connect(&asr, "api_key=nope").await.unwrap_err();
        assert_eq!(
            (refused.status, refused.code.as_str()),
            (401, "UNAUTHORIZED")
        );
        let with =
            |name: &str, value: &str| client().get(asr.url("/v1/models")).header(name, value);
        assert_eq!(
            send(with("authorization", "Bearer secret")).await.status,
            200
        );
        assert_eq!(send(with("xi-api-key", "secret")).await.status, 200);
        assert_eq!(
            send(with("authorization", "Bearer secre")).await.status,
            401
        );
        let mut client = Client::connect(&asr, "api_key=secret&sample_rate=8000").await;
        client.finish().await;
    });
}
