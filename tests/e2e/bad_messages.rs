//! What a socket should not be sent: each has its code and its words, and the session goes on where it can.

use std::time::{Duration, Instant};

use asr::models::scripted::Script;
use e2e::http::post;
use e2e::speech;
use e2e::stream::{Client, check_promises};
use e2e::{Asr, encode, run};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use wire::asr::ServerMessage;

fn small(configure: impl FnOnce(&mut asr::settings::Raw)) -> Asr {
    Asr::scripted(Script::default(), |raw| {
        raw.server.max_frame_bytes = 100_000;
        configure(raw);
    })
}

/// Text frames that are refused, the code, and a word that its message must have to be of help.
const REFUSED: [(&str, &str, &str); 40] = [
    ("", "INVALID_JSON", "empty"),
    ("hello", "INVALID_JSON", "binary"),
    ("UklGRiQAAABXQVZFZm10IBAAAAABAAEA", "INVALID_JSON", "binary"),
    ("[]", "INVALID_JSON", "object"),
    ("null", "INVALID_JSON", "object"),
    ("\"close\"", "INVALID_JSON", "object"),
    ("{", "INVALID_JSON", "EOF"),
    (r#"{"type":"close"} x"#, "INVALID_JSON", "trailing"),
    ("{}", "UNKNOWN_MESSAGE", "`type`"),
    (r#"{"type":7}"#, "UNKNOWN_MESSAGE", "`type`"),
    (r#"{"type":"start"}"#, "UNKNOWN_MESSAGE", "`finalize`"),
    (r#"{"type":"Close"}"#, "UNKNOWN_MESSAGE", "`close`"),
    (r#"{"type":"close","now":true}"#, "UNKNOWN_FIELD", "`now`"),
    (r#"{"type":"finalize","ids":"f"}"#, "UNKNOWN_FIELD", "`id`"),
    (
        r#"{"type":"finalize","id":7}"#,
        "INVALID_PARAMETER",
        "string",
    ),
    (
        r#"{"type":"config","samplerate":8000}"#,
        "UNKNOWN_FIELD",
        "`sample_rate`",
    ),
    (
        r#"{"type":"config","vad":{"treshold":0.5}}"#,
        "UNKNOWN_FIELD",
        "`threshold`",
    ),
    (r#"{"type":"config","vad":7}"#, "INVALID_PARAMETER", "7"),
    (
        r#"{"type":"config","vad":{"type":"webrtc"}}"#,
        "INVALID_PARAMETER",
        "`silero`",
    ),
    (
        r#"{"type":"config","encoding":"mp3"}"#,
        "INVALID_PARAMETER",
        "`mulaw`",
    ),
    (
        r#"{"type":"config","sample_rate":0}"#,
        "INVALID_PARAMETER",
        "8000",
    ),
    (
        r#"{"type":"config","sample_rate":7999}"#,
        "INVALID_PARAMETER",
        "8000",
    ),
    (
        r#"{"type":"config","sample_rate":1000000}"#,
        "INVALID_PARAMETER",
        "48000",
    ),
    (
        r#"{"type":"config","sample_rate":-1}"#,
        "INVALID_PARAMETER",
        "-1",
    ),
    (
        r#"{"type":"config","sample_rate":"fast"}"#,
        "INVALID_PARAMETER",
        "fast",
    ),
    (
        r#"{"type":"config","channels":0}"#,
        "INVALID_PARAMETER",
        "1 or 2",
    ),
    (
        r#"{"type":"config","channels":6}"#,
        "INVALID_PARAMETER",
        "1 or 2",
    ),
    (
        r#"{"type":"config","language":"xx"}"#,
        "UNKNOWN_LANGUAGE",
        "`en`",
    ),
    (
        r#"{"type":"config","language":"de"}"#,
        "UNKNOWN_LANGUAGE",
        "`en`",
    ),
    (
        r#"{"type":"config","model":"large-v9"}"#,
        "UNKNOWN_MODEL",
        "demo",
    ),
    (
        r#"{"type":"config","task":"sing"}"#,
        "INVALID_PARAMETER",
        "`transcribe`",
    ),
    (
        r#"{"type":"config","task":"translate"}"#,
        "INVALID_PARAMETER",
        "translate",
    ),
    (
        r#"{"type":"config","beam_size":0}"#,
        "INVALID_PARAMETER",
        "16",
    ),
    (
        r#"{"type":"config","beam_size":1000}"#,
        "INVALID_PARAMETER",
        "16",
    ),
    (
        r#"{"type":"config","temperature":-0.1}"#,
        "INVALID_PARAMETER",
        "1",
    ),
    (
        r#"{"type":"config","temperature":1e400}"#,
        "INVALID_JSON",
        "range",
    ),
    (
        r#"{"type":"config","vad_threshold":2}"#,
        "INVALID_PARAMETER",
        "0.99",
    ),
    (
        r#"{"type":"config","partial_interval_ms":1}"#,
        "INVALID_PARAMETER",
        "100",
    ),
    (
        r#"{"type":"config","start_sample":99999999999999999}"#,
        "INVALID_PARAMETER",
        "`start_sample`",
    ),
    (
        r#"{"type":"config","vad":{"stop_secs":5,"max_stop_secs":0.1}}"#,
        "INVALID_PARAMETER",
        "`vad.stop_secs`",
    ),
];

#[test]
fn each_mistake_in_a_text_has_its_code_and_words_and_the_session_goes_on() {
    let asr = small(|_| {});
    run(async {
        let mut client = Client::connect(&asr, "").await;
        let mut wrong = Vec::new();
        for (text, code, word) in REFUSED {
            client.say(text).await;
            let error = client.until_error().await;
            if error.code.as_str() != code
                || !error.message.contains(word)
                || !error.recoverable
                || error.message.len() > 1_000
            {
                wrong.push(format!(
                    "{text}: expected {code} with {word:?}. Given: {error:?}"
                ));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        // None of them changed anything.
        client
            .audio(speech::bytes(
                &[speech::hum(1.0), speech::silence(1.0)].concat(),
            ))
            .await;
        let closed = client.finish().await;
        check_promises(&client);
        assert_eq!(
            (closed.received_samples, client.finals().len()),
            (32_000, 1)
        );
    });
}

#[test]
fn bombs_are_refused_at_once_and_cost_nothing() {
    let asr = small(|_| {});
    let nested = |open: &str, n: usize| format!(r#"{{"type":"config","vad":{}"#, open.repeat(n));
    run(async {
        let mut client = Client::connect(&asr, "").await;
        let began = Instant::now();
        for bomb in [
            nested("[", 90_000),
            nested(r#"{"a":"#, 15_000),
            format!("[{}", "1,".repeat(45_000)),
            "\"".repeat(90_000),
        ] {
            client.say(&bomb).await;
            let error = client.until_error().await;
            assert_eq!(error.code.as_str(), "INVALID_JSON");
            assert!(error.message.len() < 1_000, "it is not echoed");
        }
        let long = format!(r#"{{"type":"config","prompt":"{}"}}"#, "x".repeat(90_000));
        client.say(&long).await;
        assert_eq!(
            client.until_error().await.code.as_str(),
            "INVALID_PARAMETER"
        );
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "{:?}",
            began.elapsed()
        );
        client.finish().await;
        check_promises(&client);

        // Ten megabytes: told so, and closed.
        let mut client = Client::connect(&asr, "").await;
        client.send(Message::text(" ".repeat(10_000_000))).await;
        while client.next().await.is_some() {}
        let last = client.heard.last();
        assert!(
            matches!(last, Some(ServerMessage::Error(it)) if it.code.as_str() == "FRAME_TOO_LARGE"),
            "{last:?}"
        );
        assert_eq!(client.close, Some(1009.into()));
    });
}

#[test]
fn bad_options_of_the_address_are_answered_before_the_upgrade() {
    let asr = small(|_| {});
    run(async {
        for (query, status, code) in [
            ("sample_rate=0", 422, "INVALID_PARAMETER"),
            ("sample_rate=1000000", 422, "INVALID_PARAMETER"),
            (
                "sample_rate=8000&sample_rate=16000",
                422,
                "INVALID_PARAMETER",
            ),
            ("samplerate=8000", 422, "UNKNOWN_FIELD"),
            ("encoding=wav", 422, "INVALID_PARAMETER"),
            ("language=tlh", 422, "UNKNOWN_LANGUAGE"),
            ("model=gpt-9", 404, "UNKNOWN_MODEL"),
            ("vad.threshold=1.5", 422, "INVALID_PARAMETER"),
            ("vad=loud", 422, "INVALID_PARAMETER"),
            ("start_sample=-5", 422, "INVALID_PARAMETER"),
            ("channels=3", 422, "INVALID_PARAMETER"),
            ("partials=maybe", 422, "INVALID_PARAMETER"),
            ("prompt=%ff%fe", 400, "INVALID_REQUEST"),
        ] {
            match Client::try_connect(&asr, query).await {
                Err(refused) => assert_eq!(
                    (refused.status, refused.code.as_str()),
                    (status, code),
                    "{query}"
                ),
                // What is no UTF-8 is read as replacement characters, which is as good.
                Ok(client) if query.contains("%ff") => client.vanish(),
                Ok(client) => panic!("{query} was accepted: {:?}", client.heard),
            }
        }
    });
}

#[test]
fn samples_that_are_no_numbers_are_replaced_and_told_once_a_frame() {
    let asr = small(|_| {});
    run(async {
        let mut client = Client::connect(&asr, "encoding=pcm_f32le").await;
        let mut bytes = encode::floats(&speech::hum(1.0));
        for (idx, bad) in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY]
            .into_iter()
            .enumerate()
        {
            bytes[40_000 + 4 * idx..40_004 + 4 * idx].copy_from_slice(&bad.to_le_bytes());
        }
        client.audio(bytes).await;
        let error = client.until_error().await;
        assert_eq!(
            (error.code.as_str(), error.recoverable, error.segment_id),
            ("INVALID_SAMPLES", true, None)
        );
        assert!(error.message.starts_with("3 samples"), "{error:?}");
        client.audio(encode::floats(&speech::silence(1.0))).await;
        let closed = client.finish().await;
        check_promises(&client);
        assert_eq!(
            (closed.received_samples, closed.discarded_samples),
            (32_000, 0)
        );
        assert_eq!(client.finals().len(), 1);
        let n_told = client
            .heard
            .iter()
            .filter(|it| matches!(it, ServerMessage::Error(_)))
            .count();
        assert_eq!(n_told, 1);
    });
}

#[test]
fn half_a_sample_at_the_end_is_told_and_not_counted() {
    let asr = small(|_| {});
    run(async {
        for (query, bytes, n_samples) in [
            ("", 3_201, 1_600),
            ("encoding=pcm_f32le", 6_403, 1_600),
            ("channels=2", 6_402, 1_600),
            ("", 1, 0),
        ] {
            let mut client = Client::connect(&asr, query).await;
            client.audio(vec![0; bytes]).await;
            let closed = client.finish().await;
            check_promises(&client);
            assert_eq!(
                (closed.received_samples, closed.silence_samples),
                (n_samples, n_samples),
                "{query}"
            );
            let told = client.heard.iter().any(|it| matches!(it, ServerMessage::Error(it) if it.code.as_str() == "INVALID_SAMPLES"));
            assert!(told, "{query}: {}", client.story());
        }
        // Nothing at all is no mistake.
        let mut client = Client::connect(&asr, "").await;
        client.audio(Vec::new()).await;
        let closed = client.finish().await;
        check_promises(&client);
        assert_eq!((closed.received_samples, closed.segments), (0, 0));
        assert!(
            !client
                .heard
                .iter()
                .any(|it| matches!(it, ServerMessage::Error(_))),
            "{}",
            client.story()
        );
    });
}

#[test]
fn what_is_not_opus_is_told_with_the_close_of_unsupported_bytes() {
    let asr = small(|_| {});
    run(async {
        let mut client = Client::connect(&asr, "encoding=ogg_opus").await;
        client.audio(speech::bytes(&speech::hum(1.0))).await;
        while client.next().await.is_some() {}
        let last = client.heard.last();
        assert!(
            matches!(last, Some(ServerMessage::Error(it)) if it.code.as_str() == "INVALID_AUDIO" && !it.recoverable),
            "{}",
            client.story()
        );
        assert_eq!(client.close, Some(1003.into()));
    });
}

#[test]
fn a_frame_too_large_ends_the_session_after_the_texts_it_is_owed() {
    let asr = small(|_| {});
    run(async {
        let mut client = Client::connect(&asr, "").await;
        client.audio(speech::bytes(&speech::hum(1.0))).await;
        client
            .until(|it| matches!(it, ServerMessage::SpeechStart(_)))
            .await;
        client.send(Message::binary(vec![0; 100_001])).await;
        while client.next().await.is_some() {}
        assert_eq!(client.finals().len(), 1, "{}", client.story());
        let error = client.heard.iter().rev().find_map(|it| match it {
            ServerMessage::Error(it) => Some(it.clone()),
            _ => None,
        });
        let error = error.unwrap();
        assert_eq!(
            (error.code.as_str(), error.recoverable),
            ("FRAME_TOO_LARGE", false)
        );
        assert!(error.message.contains("100000"), "{error:?}");
        assert_eq!(client.close, Some(1009.into()));
    });
}

/// A WebSocket without a library between, for frames that no library sends.
async fn raw(asr: &Asr) -> TcpStream {
    let mut stream = TcpStream::connect(asr.address).await.unwrap();
    let request = "GET /v1/stream/asr HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

#[test]
fn broken_frames_end_in_a_protocol_error() {
    let asr = small(|_| {});
    let frames: [(&str, &[u8]); 6] = [
        ("a frame without a mask", &[0x82, 0x02, 0, 0]),
        ("a reserved bit", &[0xc2, 0x80, 0, 0, 0, 0]),
        ("an unknown opcode", &[0x83, 0x80, 0, 0, 0, 0]),
        ("a piece of nothing", &[0x80, 0x80, 0, 0, 0, 0]),
        (
            "text that is no UTF-8",
            &[0x81, 0x82, 0, 0, 0, 0, 0xff, 0xfe],
        ),
        (
            "a message within a message",
            &[0x02, 0x80, 0, 0, 0, 0, 0x02, 0x80, 0, 0, 0, 0],
        ),
    ];
    run(async {
        for (name, bytes) in frames {
            let mut stream = raw(&asr).await;
            stream.write_all(bytes).await.unwrap();
            let mut answer = Vec::new();
            let read =
                tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer))
                    .await;
            assert!(read.is_ok(), "{name}: the server did not end it");
            let text = String::from_utf8_lossy(&answer);
            assert!(text.contains("PROTOCOL_ERROR"), "{name}: {text}");
            // The close frame with 1002 is the last.
            assert!(
                answer
                    .windows(4)
                    .any(|it| it[0] == 0x88 && it[2..] == 1002_u16.to_be_bytes()),
                "{name}: {text}"
            );
        }
    });
}

#[test]
fn who_connects_and_says_nothing_is_sent_away_and_keepalive_helps() {
    let asr = small(|raw| {
        raw.server.ping_interval_ms = 1_000;
        raw.server.idle_timeout_ms = 4_000;
    });
    run(async {
        let began = Instant::now();
        let mut silent = Client::connect(&asr, "").await;
        let mut polite = Client::connect(&asr, "").await;
        let waiting = async {
            while silent.next().await.is_some() {}
            (began.elapsed(), silent)
        };
        let keeping = async {
            for _ in 0..12 {
                tokio::time::sleep(Duration::from_millis(500)).await;
                polite.say(r#"{"type":"keepalive"}"#).await;
                // Reading answers the pings.
                drop(tokio::time::timeout(Duration::from_millis(1), polite.next()).await);
            }
            polite
                .audio(speech::bytes(
                    &[speech::hum(0.5), speech::silence(1.0)].concat(),
                ))
                .await;
            polite.finish().await;
            check_promises(&polite);
            assert_eq!(polite.finals().len(), 1);
        };
        let ((waited, silent), ()) = futures_util::future::join(waiting, keeping).await;
        let last = silent.heard.last();
        assert!(
            matches!(last, Some(ServerMessage::Error(it)) if it.code.as_str() == "IDLE_TIMEOUT"),
            "{}",
            silent.story()
        );
        assert_eq!(silent.close, Some(1008.into()));
        assert!(
            (Duration::from_millis(3_500)..Duration::from_secs(30)).contains(&waited),
            "{waited:?}"
        );
    });
}

#[test]
fn a_head_that_trickles_in_is_not_waited_for() {
    let asr = small(|raw| raw.server.header_timeout_ms = 1_500);
    run(async {
        let mut stream = TcpStream::connect(asr.address).await.unwrap();
        let began = Instant::now();
        let mut answer = [0_u8; 1_024];
        for byte in b"GET /v1/models HTTP/1.1\r\nhost: test\r\nx-slow: yes and so on and so on and so on and so on".iter().cycle() {
            if stream.write_all(&[*byte]).await.is_err() || Duration::from_secs(20) < began.elapsed() {
                break;
            }
            if let Ok(Ok(_)) = tokio::time::timeout(Duration::from_millis(50), stream.read(&mut answer)).await {
                break;
            }
        }
        let waited = began.elapsed();
        assert!(
            // The HTTP server's clock ticks twice a second.
            (Duration::from_millis(900)..Duration::from_secs(20)).contains(&waited),
            "{waited:?}"
        );
        // And it holds no place.
        assert_eq!(
            post(
                &asr.url("/v1/transcribe"),
                "audio/wav",
                speech::wav(&speech::hum(0.5), 16_000)
            )
            .await
            .status,
            200
        );
    });
}

#[test]
fn a_body_that_stops_coming_is_given_up_with_a_reason() {
    let asr = small(|raw| raw.server.body_timeout_ms = 600);
    run(async {
        let mut stream = TcpStream::connect(asr.address).await.unwrap();
        let head = "POST /v1/transcribe HTTP/1.1\r\nhost: test\r\ncontent-type: audio/wav\r\ncontent-length: 100000\r\n\r\nRIFF";
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let read =
            tokio::time::timeout(Duration::from_secs(15), stream.read_to_end(&mut answer)).await;
        assert!(read.is_ok(), "not given up");
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.starts_with("HTTP/1.1 408") && answer.contains("REQUEST_TIMEOUT"),
            "{answer}"
        );

        // One who leaves in the middle of it takes nothing along.
        let mut stream = TcpStream::connect(asr.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        drop(stream);
        let gone = async || {
            while e2e::http::get(&asr.url("/health")).await.json()["connections"] != 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), gone())
            .await
            .unwrap();
    });
}

#[test]
fn a_client_that_hangs_up_ends_its_work() {
    let script = Script {
        recognizer_delay: Duration::from_secs(3),
        ..Script::default()
    };
    let asr = Asr::scripted(script, |raw| raw.model.max_batch = 1);
    run(async {
        let file = speech::wav(&speech::hum(2.0), 16_000);
        // Five that want three seconds each and do not wait for it.
        for _ in 0..5 {
            let url = asr.url("/v1/transcribe");
            let upload = e2e::http::upload(&url, &file, &[]);
            assert!(
                tokio::time::timeout(Duration::from_millis(100), upload)
                    .await
                    .is_err()
            );
        }
        let mut client = Client::connect(&asr, "partials=false").await;
        client
            .audio(speech::bytes(
                &[speech::hum(0.5), speech::silence(0.6)].concat(),
            ))
            .await;
        client.until_final().await;
        // The call that runs cannot be stopped; the four that wait are skipped.
        let n_calls = asr.metric("asr_batch_size_count{model=\"whisper\"}").await;
        assert!(n_calls <= 2.0, "{n_calls} calls");
        client.finish().await;
    });
}
