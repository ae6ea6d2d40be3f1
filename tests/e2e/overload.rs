//! Promises: overload is answered by refusal and not by slowness, and a slow client hurts itself alone.

use std::time::{Duration, Instant};

use asr::models::scripted::Script;
use e2e::http::{get, upload};
use e2e::speech;
use e2e::stream::{Client, check_promises};
use e2e::{Asr, run};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpSocket;
use tokio_tungstenite::tungstenite::Message;
use wire::asr::ServerMessage;

#[test]
fn a_full_house_says_so_at_once_and_those_inside_do_not_notice() {
    let asr = Asr::scripted(Script::default(), |raw| raw.server.max_connections = 3);
    run(async {
        let mut inside = Vec::new();
        for _ in 0..3 {
            inside.push(Client::connect(&asr, "").await);
        }
        assert_eq!(
            get(&asr.url("/readyz")).await.status,
            503,
            "a balancer should look elsewhere"
        );
        let mut waits = Vec::new();
        for _ in 0..20 {
            let began = Instant::now();
            let refused = Client::try_connect(&asr, "").await.unwrap_err();
            assert_eq!(
                (refused.status, refused.code.as_str()),
                (503, "AT_CAPACITY")
            );
            assert!(refused.retry_after.is_some());
            waits.push(began.elapsed());
        }
        // The middle one: a machine that is busy may keep some of them waiting.
        waits.sort_unstable();
        assert!(waits[10] < Duration::from_secs(1), "{waits:?}");
        let file = speech::wav(&speech::hum(1.0), 16_000);
        let refused = upload(&asr.url("/v1/transcribe"), &file, &[]).await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (503, "AT_CAPACITY")
        );
        assert!(refused.header("retry-after").is_some());
        let refused = upload(&asr.url("/v1/audio/transcriptions"), &file, &[]).await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (503, "at_capacity"),
            "as OpenAI spells it"
        );
        assert!(refused.header("retry-after").is_some());
        for client in &mut inside {
            client
                .audio(speech::bytes(
                    &[speech::hum(1.0), speech::silence(1.0)].concat(),
                ))
                .await;
            client.finish().await;
            check_promises(client);
            assert_eq!(client.finals().len(), 1);
        }
        // The places are free again.
        let again = async || loop {
            match Client::try_connect(&asr, "").await {
                Ok(client) => return client,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        tokio::time::timeout(Duration::from_secs(10), again())
            .await
            .unwrap();
        assert_eq!(get(&asr.url("/readyz")).await.status, 200);
    });
}

#[test]
fn who_would_wait_too_long_is_refused_and_who_was_let_in_is_served() {
    // One call at a time, each half a second: ten finals at once are far behind.
    let script = Script {
        recognizer_delay: Duration::from_millis(500),
        ..Script::default()
    };
    let asr = Asr::scripted(script, |raw| {
        raw.model.max_batch = 1;
        raw.model.max_wait_ms = 200;
    });
    let turn = speech::bytes(&[speech::hum(0.6), speech::silence(0.8)].concat());
    run(async {
        let mut inside = Vec::new();
        for _ in 0..10 {
            inside.push(Client::connect(&asr, "partials=false").await);
        }
        for client in &mut inside {
            client.audio(turn.clone()).await;
        }
        // They come in one after the other.
        inside[0].until_final().await;
        inside[1].until_final().await;
        let mut n_refused = 0;
        for _ in 0..3 {
            if let Err(refused) = Client::try_connect(&asr, "").await {
                assert_eq!((refused.status, refused.code.as_str()), (503, "OVERLOADED"));
                assert!(refused.retry_after.is_some());
                n_refused += 1;
            }
        }
        assert!(
            n_refused > 0,
            "nobody was refused while finals waited for seconds"
        );
        for client in &mut inside {
            client.finish().await;
            check_promises(client);
            assert_eq!(client.finals().len(), 1);
        }
        let again = async || loop {
            match Client::try_connect(&asr, "").await {
                Ok(client) => return client,
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        };
        tokio::time::timeout(Duration::from_secs(30), again())
            .await
            .unwrap();
    });
}

#[test]
fn a_queue_without_room_delays_finals_and_drops_none() {
    let script = Script {
        recognizer_delay: Duration::from_millis(40),
        ..Script::default()
    };
    let asr = Asr::scripted(script, |raw| {
        raw.model.max_batch = 1;
        raw.model.queue_places = 1;
        raw.model.max_wait_ms = 60_000;
    });
    run(async {
        let mut inside = Vec::new();
        for _ in 0..12 {
            inside.push(Client::connect(&asr, "").await);
        }
        let turn = speech::bytes(&[speech::hum(0.6), speech::silence(0.8)].concat());
        let talks = inside.iter_mut().map(|client| async {
            for _ in 0..2 {
                client.audio(turn.clone()).await;
            }
            client.finish().await;
            check_promises(client);
            assert_eq!(client.finals().len(), 2, "{}", client.story());
        });
        futures_util::future::join_all(talks).await;
    });
}

#[test]
fn finals_do_not_wait_for_the_partials_of_others() {
    // Long enough that a machine which builds something else meanwhile adds little to it.
    const DELAY: Duration = Duration::from_millis(300);
    let script = Script {
        recognizer_delay: DELAY,
        ..Script::default()
    };
    // No two jobs share a call, so twelve drafts take twelve times as long as one.
    let asr = Asr::scripted(script, |raw| {
        raw.model.max_batch = 1;
        raw.model.max_wait_ms = 60_000;
    });
    run(async {
        let talkers = (0..12).map(|_| {
            let asr = &asr;
            async move {
                let mut client = Client::connect(asr, "partial_interval_ms=100").await;
                loop {
                    client.audio(speech::bytes(&speech::hum(0.25))).await;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        });
        let probes = async {
            tokio::time::sleep(Duration::from_millis(1_500)).await;
            let mut waits = Vec::new();
            for _ in 0..7 {
                let mut client = Client::connect(&asr, "partials=false").await;
                client.audio(speech::bytes(&speech::hum(0.5))).await;
                let began = Instant::now();
                client.audio(speech::bytes(&speech::silence(0.4))).await;
                client.until_final().await;
                waits.push(began.elapsed());
                client.finish().await;
            }
            waits.sort_unstable();
            waits[waits.len() / 2]
        };
        let talkers = futures_util::future::join_all(talkers);
        let median = match futures_util::future::select(Box::pin(probes), Box::pin(talkers)).await {
            futures_util::future::Either::Left((median, _)) => median,
            futures_util::future::Either::Right(_) => panic!("the talkers ended"),
        };
        // The draft that runs, and its own call. A queue without lanes would let it wait for all twelve.
        assert!(median < 6 * DELAY, "{median:?}");
    });
}

#[test]
fn a_reader_that_stops_is_closed_with_a_reason_and_nobody_else_notices() {
    let asr = Asr::scripted(Script::default(), |raw| {
        raw.server.slow_reader_ms = 700;
        raw.server.max_outbox_bytes = 100_000;
        // Long enough for the reader to wake up and hear why, however busy this machine is.
        raw.server.close_timeout_ms = 30_000;
    });
    run(async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        let stream = socket.connect(asr.address).await.unwrap();
        let (mut socket, _) =
            tokio_tungstenite::client_async(format!("ws://{}/v1/stream/asr", asr.address), stream)
                .await
                .unwrap();
        // Each is answered by as much again. How many megabytes the kernel takes before the server has to wait is its own affair.
        let ask = format!(r#"{{"type":"finalize","id":"{}"}}"#, "x".repeat(200_000));
        let mut others = Vec::new();
        let mut n_asked = 0;
        let mut n_asked_in_vain = 0;
        while n_asked_in_vain < 15 {
            let sent = tokio::time::timeout(
                Duration::from_secs(15),
                socket.send(Message::text(ask.clone())),
            )
            .await;
            // Once it has been given up, what it sends is thrown away.
            assert!(matches!(sent, Ok(Ok(()))), "{n_asked}: {sent:?}");
            n_asked += 1;
            if n_asked_in_vain > 0 || is_given_up(&asr).await {
                n_asked_in_vain += 1;
            }
            assert!(n_asked < 500, "nothing stops the one who reads nothing");
            // Meanwhile another is served as ever.
            if n_asked % 15 == 0 {
                others.push(probe(&asr).await);
            }
        }
        others.push(probe(&asr).await);
        assert!(
            others.iter().all(|it| *it < Duration::from_secs(15)),
            "{others:?}"
        );
        // It reads after all: what was said last is why.
        let mut texts = Vec::new();
        let mut code = None;
        while let Ok(Some(Ok(message))) =
            tokio::time::timeout(Duration::from_secs(10), socket.next()).await
        {
            match message {
                Message::Text(text) => texts.push(text),
                Message::Close(frame) => code = frame.map(|it| u16::from(it.code)),
                _ => {}
            }
        }
        let last: ServerMessage = serde_json::from_str(texts.last().unwrap()).unwrap();
        let ServerMessage::Error(error) = last else {
            panic!("{last:?}")
        };
        assert_eq!(
            (error.code.as_str(), error.recoverable),
            ("SLOW_CONSUMER", false)
        );
        assert_eq!(code, Some(1013));
        probe(&asr).await;
    });
}

#[test]
fn a_reader_that_pauses_and_goes_on_misses_nothing() {
    // The upstream system dropped results that its client had not read in time.
    let asr = Asr::scripted(Script::default(), |raw| {
        raw.server.slow_reader_ms = 30_000;
        raw.server.max_outbox_bytes = 50_000;
    });
    run(async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        let stream = socket.connect(asr.address).await.unwrap();
        let (socket, _) =
            tokio_tungstenite::client_async(format!("ws://{}/v1/stream/asr", asr.address), stream)
                .await
                .unwrap();
        let (mut sink, mut source) = socket.split();
        let asking = async move {
            for n in 0..60 {
                let id = format!("{n}-{}", "x".repeat(150_000));
                sink.send(Message::text(format!(
                    r#"{{"type":"finalize","id":"{id}"}}"#
                )))
                .await
                .unwrap();
            }
            sink.send(Message::text(r#"{"type":"close"}"#))
                .await
                .unwrap();
            sink
        };
        let reading = async move {
            tokio::time::sleep(Duration::from_secs(2)).await;
            let mut next = 0;
            let mut is_closed = false;
            while let Some(Ok(message)) = source.next().await {
                let Message::Text(text) = message else {
                    continue;
                };
                match serde_json::from_str(&text).unwrap() {
                    ServerMessage::Finalized(it) => {
                        assert!(it.id.unwrap().starts_with(&format!("{next}-")));
                        next += 1;
                    }
                    ServerMessage::Closed(_) => is_closed = true,
                    _ => {}
                }
            }
            assert_eq!((next, is_closed), (60, true));
        };
        drop(futures_util::future::join(asking, reading).await);
    });
}

/// Whether the server has ended a stream for what its client did.
async fn is_given_up(asr: &Asr) -> bool {
    let metrics = get(&asr.url("/metrics")).await.text();
    metrics.contains("\nasr_sessions_total{ending=\"fault\"} 1\n")
}

/// How long a short turn takes.
async fn probe(asr: &Asr) -> Duration {
    let began = Instant::now();
    let mut client = Client::connect(asr, "partials=false").await;
    client
        .audio(speech::bytes(
            &[speech::hum(0.5), speech::silence(0.6)].concat(),
        ))
        .await;
    client.until_final().await;
    client.finish().await;
    began.elapsed()
}
