//! Promise: told to stop, the service takes nothing new, finishes what runs, tells its clients, and ends in time.

use std::time::{Duration, Instant};

use asr::models::scripted::Script;
use e2e::http::{get, upload};
use e2e::speech;
use e2e::stream::{Client, check_promises};
use e2e::{Asr, run};
use wire::asr::ServerMessage;

fn is_draining(it: &ServerMessage) -> bool {
    matches!(it, ServerMessage::Draining(_))
}

#[test]
fn twenty_that_are_speaking_get_their_finals_and_the_twenty_first_is_sent_elsewhere() {
    let script = Script {
        recognizer_delay: Duration::from_millis(30),
        ..Script::default()
    };
    // Longer than it takes to connect all of them, or those who go on would have been cut in two.
    let asr = Asr::scripted(script, |raw| raw.stream.audio_idle_ms = 5_000);
    run(async {
        let mut sessions = Vec::new();
        for _ in 0..20 {
            let mut client = Client::connect(&asr, "").await;
            client.audio(speech::bytes(&speech::hum(1.0))).await;
            client
                .until(|it| matches!(it, ServerMessage::SpeechStart(_)))
                .await;
            sessions.push(client);
        }
        let mut silent = Client::connect(&asr, "").await;
        asr.stop();
        for (idx, client) in sessions.iter_mut().enumerate() {
            client.until(is_draining).await;
            match idx % 3 {
                // Goes on to the end of its sentence,
                0 => {
                    client
                        .audio(speech::bytes(
                            &[speech::hum(1.0), speech::silence(1.0)].concat(),
                        ))
                        .await
                }
                // stops sending,
                1 => {}
                // or ends by itself.
                _ => client.say(r#"{"type":"close"}"#).await,
            }
        }
        let refused = Client::try_connect(&asr, "").await.unwrap_err();
        assert_eq!((refused.status, refused.code.as_str()), (503, "DRAINING"));
        assert!(refused.retry_after.is_some());
        let ready = get(&asr.url("/readyz")).await;
        assert!(
            ready.status == 503 && ready.text().contains("draining"),
            "{}",
            ready.text()
        );
        assert_eq!(
            get(&asr.url("/healthz")).await.status,
            200,
            "alive as long as it works"
        );
        for (idx, client) in sessions.iter_mut().enumerate() {
            let closed = client.drained().await;
            check_promises(client);
            let seconds = if idx % 3 == 0 { 2.0 } else { 1.0 };
            let finals = client.finals();
            assert_eq!(finals.len(), 1, "{}", client.story());
            assert!(
                finals[0].split_whitespace().count() as f64 >= 4.0 * seconds - 1.0,
                "{finals:?}"
            );
            assert_eq!(closed.discarded_samples, 0);
            let code = if idx % 3 == 2 { 1000 } else { 1012 };
            assert_eq!(client.close, Some(code.into()), "{}", client.story());
        }
        // Nothing was under way here.
        silent.drained().await;
        assert!(silent.heard.iter().any(is_draining));
        assert_eq!(silent.close, Some(1012.into()));
    });
    let outcome = asr.ended();
    assert_eq!((outcome.n_cut, outcome.is_forced), (0, false));
}

#[test]
fn who_never_stops_speaking_gets_a_text_before_the_deadline() {
    let asr = Asr::scripted(Script::default(), |raw| raw.drain.deadline_ms = 8_000);
    let began = Instant::now();
    run(async {
        let mut client = Client::connect(&asr, "").await;
        client.audio(speech::bytes(&speech::hum(1.0))).await;
        client
            .until(|it| matches!(it, ServerMessage::SpeechStart(_)))
            .await;
        asr.stop();
        let hum = speech::bytes(&speech::hum(0.1));
        while client.totals().is_none() {
            client
                .send(tokio_tungstenite::tungstenite::Message::binary(hum.clone()))
                .await;
            let heard = tokio::time::timeout(Duration::from_millis(100), client.next()).await;
            if let Ok(None) = heard {
                break;
            }
        }
        while client.next().await.is_some() {}
        check_promises(&client);
        assert_eq!(client.finals().len(), 1);
        assert_eq!(client.close, Some(1012.into()));
    });
    let outcome = asr.ended();
    assert_eq!((outcome.n_cut, outcome.is_forced), (0, false));
    assert!(began.elapsed() < Duration::from_secs(30));
}

#[test]
fn an_upload_that_is_under_way_is_answered() {
    let script = Script {
        recognizer_delay: Duration::from_millis(1_500),
        ..Script::default()
    };
    let asr = Asr::scripted(script, |_| {});
    run(async {
        let file = speech::wav(&speech::hum(2.0), 16_000);
        let url = asr.url("/v1/transcribe");
        let stop = async {
            // The upload is in once it holds its place.
            while get(&asr.url("/health")).await.json()["connections"] == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            asr.stop();
            while get(&asr.url("/health")).await.json()["draining"] != true {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            upload(&url, &file, &[]).await
        };
        let (answer, late) = futures_util::future::join(upload(&url, &file, &[]), stop).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(
            answer.json()["text"]
                .as_str()
                .unwrap()
                .starts_with("one two")
        );
        assert_eq!((late.status, late.code().as_str()), (503, "DRAINING"));
    });
    assert_eq!(asr.ended().n_cut, 0);
}

#[test]
fn asked_twice_it_ends_at_once_and_says_so() {
    let asr = Asr::scripted(
        Script {
            turn_probability: 0.1,
            ..Script::default()
        },
        |raw| raw.stream.audio_idle_ms = 60_000,
    );
    let client = run(async {
        let mut client = Client::connect(&asr, "").await;
        client.audio(speech::bytes(&speech::hum(1.0))).await;
        client
            .until(|it| matches!(it, ServerMessage::SpeechStart(_)))
            .await;
        client
    });
    let began = Instant::now();
    asr.stop();
    let outcome = asr.stopped();
    assert!(outcome.is_forced && outcome.n_cut > 0, "{outcome:?}");
    assert!(began.elapsed() < Duration::from_secs(10));
    drop(client);
}
