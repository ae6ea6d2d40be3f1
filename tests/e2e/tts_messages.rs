//! What a speaking socket should not be sent: each has its code and its words, and the session goes on where it can.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use e2e::listening::{Listener, check_promises};
use e2e::{Tts, run, speech};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use tts::models::scripted::Script;
use wire::tts::ServerMessage;

/// Text frames that are refused, the code, a word that its message must have to be of help, and whether it ends the request `r`.
const REFUSED: [(&str, &str, &str, bool); 52] = [
    ("", "INVALID_JSON", "empty", false),
    ("   ", "INVALID_JSON", "empty", false),
    ("hello", "INVALID_JSON", "`synthesize`", false),
    ("[]", "INVALID_JSON", "object", false),
    ("null", "INVALID_JSON", "object", false),
    (r#""close""#, "INVALID_JSON", "object", false),
    ("{", "INVALID_JSON", "EOF", false),
    (r#"{"type":"close"} x"#, "INVALID_JSON", "trailing", false),
    ("{}", "UNKNOWN_MESSAGE", "`type`", false),
    (r#"{"type":7}"#, "UNKNOWN_MESSAGE", "`type`", false),
    (
        r#"{"type":"speak","text":"Hi."}"#,
        "UNKNOWN_MESSAGE",
        "`synthesize`",
        false,
    ),
    (r#"{"type":"Close"}"#, "UNKNOWN_MESSAGE", "`close`", false),
    (
        r#"{"type":"close","now":true}"#,
        "UNKNOWN_FIELD",
        "`now`",
        false,
    ),
    (
        r#"{"type":"list_voices","all":1}"#,
        "UNKNOWN_FIELD",
        "`all`",
        false,
    ),
    (
        r#"{"type":"synthesize","request_id":"r"}"#,
        "INVALID_PARAMETER",
        "`text`",
        true,
    ),
    (
        r#"{"type":"synthesize","request_id":"r","text":""}"#,
        "INVALID_PARAMETER",
        "letter",
        true,
    ),
    (
        r#"{"type":"synthesize","request_id":"r","text":" \n\t "}"#,
        "INVALID_PARAMETER",
        "letter",
        true,
    ),
    (
        r#"{"type":"synthesize","request_id":"r","text":"?! … --"}"#,
        "INVALID_PARAMETER",
        "letter",
        true,
    ),
    (
        r#"{"type":"synthesize","request_id":"r","text":"\u0000\u0001"}"#,
        "INVALID_PARAMETER",
        "letter",
        true,
    ),
    (
        r#"{"type":"synthesize","request_id":"r","text":"😀😀"}"#,
        "INVALID_PARAMETER",
        "letter",
        true,
    ),
    (
        r#"{"type":"synthesize","request_id":"r","text":7}"#,
        "INVALID_PARAMETER",
        "`text`",
        true,
    ),
    (
        r#"{"type":"synthesize","request_id":"r","text":["Hi."]}"#,
        "INVALID_PARAMETER",
        "`text`",
        true,
    ),
    (
        r#"{"type":"synthesize","request_id":"r","text":"Hi.","text":"Ho."}"#,
        "INVALID_PARAMETER",
        "duplicate",
        false,
    ),
    (
        r#"{"type":"synthesize","request_id":"r","txt":"Hi.","text":"Hi."}"#,
        "UNKNOWN_FIELD",
        "`txt`",
        true,
    ),
    (
        r#"{"type":"synthesize","request_id":7,"text":"Hi."}"#,
        "INVALID_PARAMETER",
        "`request_id`",
        false,
    ),
    (
        r#"{"type":"synthesize","request_id":"","text":"Hi."}"#,
        "INVALID_PARAMETER",
        "`request_id`",
        false,
    ),
    (
        r#"{"type":"synthesize","request_id":"r","text":"Hi.","voice_id":"nobody"}"#,
        "UNKNOWN_VOICE",
        "`nobody`",
        true,
    ),
    (
        r#"{"type":"synthesize","request_id":"r","text":"Hi.","voice_id":"../../etc/passwd"}"#,
        "INVALID_PARAMETER",
        "A-Z",
        true,
    ),
    (
        r#"{"type":"synthesize","request_id":"r","text":"Hi.","voice_id":"a","voice":"b"}"#,
        "INVALID_PARAMETER",
        "`voice_id`",
        true,
    ),
    (
        r#"{"type":"synthesize","request_id":"r","text":"Hi.","language":"xx"}"#,
        "UNKNOWN_LANGUAGE",
        "`en`",
        true,
    ),
    (
        r#"{"type":"synthesize","request_id":"r","text":"Hi.","model":"tts-9"}"#,
        "UNKNOWN_MODEL",
        "demo",
        true,
    ),
    (
        r#"{"type":"synthesize","request_id":"r","text":"Hi.","encoding":"mp3"}"#,
        "INVALID_PARAMETER",
        "`pcm_s16le`",
        true,
    ),
    (
        r#"{"type":"synthesize","request_id":"r","text":"Hi.","sample_rate":7999}"#,
        "INVALID_PARAMETER",
        "8000",
        true,
    ),
    (
        r#"{"type":"synthesize","request_id":"r","text":"Hi.","sample_rate":-1}"#,
        "INVALID_PARAMETER",
        "-1",
        true,
    ),
    (
        r#"{"type":"synthesize","request_id":"r","text":"Hi.","chunk_size":0}"#,
        "INVALID_PARAMETER",
        "1000",
        true,
    ),
    (
        r#"{"type":"synthesize","request_id":"r","text":"Hi.","speed":0.1}"#,
        "INVALID_PARAMETER",
        "0.25",
        true,
    ),
    (
        r#"{"type":"synthesize","request_id":"r","text":"Hi.","speed":1e400}"#,
        "INVALID_JSON",
        "range",
        false,
    ),
    (
        r#"{"type":"synthesize","request_id":"r","text":"Hi.","temperature":-0.1}"#,
        "INVALID_PARAMETER",
        "`temperature`",
        true,
    ),
    (
        r#"{"type":"synthesize","request_id":"r","text":"Hi.","temperature":null,"top_p":2}"#,
        "INVALID_PARAMETER",
        "`top_p`",
        true,
    ),
    (
        r#"{"type":"synthesize","request_id":"r","text":"Hi.","exaggeration":3}"#,
        "INVALID_PARAMETER",
        "`exaggeration`",
        true,
    ),
    (
        r#"{"type":"synthesize","request_id":"r","text":"Hi.","cfg_weight":3}"#,
        "INVALID_PARAMETER",
        "`cfg_weight`",
        true,
    ),
    (
        r#"{"type":"synthesize","request_id":"r","text":"Hi.","seed":-1}"#,
        "INVALID_PARAMETER",
        "-1",
        true,
    ),
    (
        r#"{"type":"synthesize","request_id":"r","text":"Hi.","skip_samples":1.5}"#,
        "INVALID_PARAMETER",
        "`skip_samples`",
        true,
    ),
    (
        r#"{"type":"synthesize","request_id":"r","text":"Hi.","streaming":"yes"}"#,
        "INVALID_PARAMETER",
        "yes",
        true,
    ),
    (
        r#"{"type":"text","text":"Hi."}"#,
        "INVALID_PARAMETER",
        "`request_id`",
        false,
    ),
    (
        r#"{"type":"flush","request_id":"never"}"#,
        "UNEXPECTED_MESSAGE",
        "never",
        false,
    ),
    (
        r#"{"type":"end","request_id":"never"}"#,
        "UNEXPECTED_MESSAGE",
        "no `text`",
        false,
    ),
    (
        r#"{"type":"cancel","request_id":"never"}"#,
        "INVALID_PARAMETER",
        "never",
        false,
    ),
    (
        r#"{"type":"register_voice","voice_id":"v"}"#,
        "INVALID_PARAMETER",
        "`reference_audio`",
        false,
    ),
    (
        r#"{"type":"register_voice","voice_id":"v","reference_audio":"???"}"#,
        "INVALID_PARAMETER",
        "base64",
        false,
    ),
    (
        r#"{"type":"delete_voice","voice_id":"nobody"}"#,
        "UNKNOWN_VOICE",
        "nobody",
        false,
    ),
    (
        r#"{"type":"delete_voice","voice_id":"default"}"#,
        "FORBIDDEN",
        "default",
        false,
    ),
];

#[test]
fn every_mistake_is_named_and_the_session_goes_on() {
    let tts = Tts::scripted(Script::default(), |_| {});
    run(async {
        let mut client = Listener::connect(tts.address, "").await;
        for (text, code, part, ends) in REFUSED {
            client.say(text).await;
            let error = client.until_error().await;
            assert_eq!(error.code.as_str(), code, "{text}: {}", error.message);
            assert!(error.message.contains(part), "{text}: {}", error.message);
            assert!(error.message.len() < 1_500, "{text}: {}", error.message);
            assert!(error.recoverable, "{text}");
            assert_eq!(error.request_id.as_deref(), ends.then_some("r"), "{text}");
        }
        let told = client.hear("after", "And all is well.", json!({})).await;
        assert!(0 < told.complete().total_samples);
        let closed = client.finish().await;
        let n_ends = REFUSED.iter().filter(|it| it.3).count() as u64;
        assert_eq!((closed.failed, closed.completed), (n_ends, 1));
        assert_eq!(client.close, Some(1000.into()));
    });
}

#[test]
fn a_mistake_about_a_request_under_way_does_not_end_it() {
    let script = Script {
        step_delay: Duration::from_millis(5),
        ..Script::default()
    };
    let tts = Tts::scripted(script, |_| {});
    run(async {
        let mut client = Listener::connect(tts.address, "").await;
        client
            .synthesize("r", "This is under way for a while.", json!({}))
            .await;
        for wrong in [
            r#"{"type":"synthesize","request_id":"r","text":"Again."}"#,
            r#"{"type":"synthesize","request_id":"r","text":7}"#,
            r#"{"type":"text","request_id":"r","text":"More."}"#,
            r#"{"type":"text","request_id":"r","text":7}"#,
            r#"{"type":"flush","request_id":"r"}"#,
            r#"{"type":"end","request_id":"r"}"#,
        ] {
            client.say(wrong).await;
            let error = client.until_error().await;
            assert_eq!(error.request_id, None, "{wrong}: {}", error.message);
        }
        client
            .ask(json!({"type":"text","request_id":"p","text":"In pieces, ","speed":1.5}))
            .await;
        client
            .ask(json!({"type":"text","request_id":"p","text":"it says, ","speed":1.5}))
            .await;
        client
            .ask(json!({"type":"text","request_id":"p","text":"faster ","speed":3}))
            .await;
        let error = client.until_error().await;
        assert!(error.message.contains("first piece"), "{}", error.message);
        assert_eq!(error.request_id, None);
        client
            .ask(json!({"type":"text","request_id":"p","text":"slowly."}))
            .await;
        client.ask(json!({"type":"end","request_id":"p"})).await;
        let closed = client.finish().await;
        let told = check_promises(&client);
        assert_eq!((closed.completed, closed.failed), (2, 0));
        assert_eq!(told["p"].words().join(" "), "In pieces, it says, slowly.");
    });
}

#[test]
fn a_text_whose_beginning_was_refused_is_refused_as_a_whole() {
    let tts = Tts::scripted(Script::default(), |_| {});
    run(async {
        let mut client = Listener::connect(tts.address, "").await;
        for (id, first) in [
            (
                "voice",
                json!({"type":"text","request_id":"voice","text":"A ","voice_id":"nobody"}),
            ),
            (
                "range",
                json!({"type":"text","request_id":"range","text":"A ","speed":9}),
            ),
            (
                "shape",
                json!({"type":"text","request_id":"shape","text":"A ","speed":"fast"}),
            ),
        ] {
            client.ask(first).await;
            client.ended(id).await;
            client
                .ask(json!({"type":"text","request_id":id,"text":"sentence. Another one."}))
                .await;
            client.ask(json!({"type":"flush","request_id":id})).await;
            client.ask(json!({"type":"end","request_id":id})).await;
        }
        let closed = client.finish().await;
        check_promises(&client);
        assert_eq!(
            (closed.requests, closed.failed),
            (3, 3),
            "{}",
            client.story()
        );
    });
}

#[test]
fn a_text_may_be_as_long_as_it_may_be_and_no_longer() {
    let tts = Tts::scripted(Script::default(), |raw| raw.text.max_chars = 100);
    run(async {
        let mut client = Listener::connect(tts.address, "").await;
        let fits = "word ".repeat(20);
        assert_eq!(fits.chars().count(), 100);
        client.hear("fits", &fits, json!({})).await.complete();
        client
            .synthesize("long", &format!("{fits}x"), json!({}))
            .await;
        let error = client.until_error().await;
        assert_eq!(error.code.as_str(), "TEXT_TOO_LONG");
        assert!(error.message.contains("100") && error.message.contains("101"));
        for _ in 0..3 {
            client
                .ask(json!({"type":"text","request_id":"pieces","text":"word word word word word word word word word "}))
                .await;
        }
        let error = client.until_error().await;
        assert_eq!(error.code.as_str(), "TEXT_TOO_LONG");
        assert_eq!(error.request_id.as_deref(), Some("pieces"));
        client
            .ask(json!({"type":"end","request_id":"pieces"}))
            .await;
        client.finish().await;
        check_promises(&client);
    });
}

#[test]
fn frames_that_are_too_large_or_broken_end_the_session_with_a_reason() {
    let tts = Tts::scripted(Script::default(), |raw| {
        raw.server.max_frame_bytes = 100_000
    });
    run(async {
        let mut client = Listener::connect(tts.address, "").await;
        client.send(Message::binary(vec![0; 100])).await;
        let error = client.until_error().await;
        assert_eq!(error.code.as_str(), "UNEXPECTED_MESSAGE");
        assert!(error.recoverable);
        let large = format!(r#"{{"type":"keepalive","x":"{}"}}"#, "x".repeat(100_000));
        client.send(Message::text(large)).await;
        while client.next().await.is_some() {}
        let last = client.heard.iter().rev().find_map(|it| match it {
            ServerMessage::Error(error) => Some(error.clone()),
            _ => None,
        });
        let last = last.unwrap();
        assert_eq!(
            (last.code.as_str(), last.recoverable),
            ("FRAME_TOO_LARGE", false)
        );
        assert_eq!(client.close, Some(1009.into()));
    });
}

#[test]
fn a_silent_client_is_sent_away_and_one_that_is_spoken_to_is_not() {
    let script = Script {
        step_delay: Duration::from_millis(20),
        ..Script::default()
    };
    let tts = Tts::scripted(script, |raw| {
        raw.server.ping_interval_ms = 500;
        raw.server.idle_timeout_ms = 2_500;
    });
    run(async {
        let mut client = Listener::connect(tts.address, "").await;
        // Longer than a client may be silent.
        let text =
            "This goes on for longer than a client may be silent, because it is spoken so slowly.";
        client
            .hear("r", text, json!({"chunk_size":10}))
            .await
            .complete();
        while client.next().await.is_some() {}
        assert_eq!(client.close, Some(1008.into()), "{}", client.story());
    });
}

#[test]
fn bad_queries_are_answered_before_the_upgrade() {
    let tts = Tts::scripted(Script::default(), |raw| raw.server.max_connections = 1);
    run(async {
        for (query, status, code) in [
            ("voise=a", 422, "UNKNOWN_FIELD"),
            ("sample_rate=1", 422, "INVALID_PARAMETER"),
            ("speed=fast", 422, "INVALID_PARAMETER"),
            ("language=xx", 422, "UNKNOWN_LANGUAGE"),
            ("model=tts-9", 404, "UNKNOWN_MODEL"),
            ("voice=a&voice_id=b", 422, "INVALID_PARAMETER"),
        ] {
            let refused = Listener::try_connect(tts.address, query).await.unwrap_err();
            assert_eq!(
                (refused.status, refused.code.as_str()),
                (status, code),
                "{query}"
            );
        }
        let client = Listener::connect(tts.address, "voice=jenny&speed=2&seed=5").await;
        let Some(ServerMessage::Ready(ready)) = client.heard.first() else {
            panic!("{}", client.story())
        };
        assert_eq!(ready.config.voice_id.as_deref(), Some("jenny"));
        assert_eq!(
            (ready.config.speed, ready.config.seed),
            (Some(2.0), Some(5))
        );
        let refused = Listener::try_connect(tts.address, "").await.unwrap_err();
        assert_eq!(
            (refused.status, refused.code.as_str()),
            (503, "AT_CAPACITY")
        );
        assert!(refused.retry_after.is_some());
    });
}

#[test]
fn voices_come_and_go_over_the_socket() {
    let tts = Tts::scripted(Script::default(), |raw| {
        raw.server.max_frame_bytes = 4_000_000
    });
    run(async {
        let mut client = Listener::connect(tts.address, "").await;
        let audio = STANDARD.encode(speech::file(speech::READ_WELL[0].0));
        client
            .ask(json!({"type":"register_voice","voice_id":"user_123","reference_audio":audio,"description":"calm","consent":"by letter"}))
            .await;
        let ServerMessage::VoiceRegistered(voice) = client
            .until(|it| {
                matches!(
                    it,
                    ServerMessage::VoiceRegistered(_) | ServerMessage::Error(_)
                )
            })
            .await
        else {
            panic!("{}", client.story())
        };
        assert_eq!(voice.voice.description, "calm");
        assert_eq!(voice.voice.consent.as_deref(), Some("by letter"));
        assert!(1.0 < voice.voice.duration && !voice.voice.built_in);
        let told = client
            .hear("r", "In another voice.", json!({"voice_id":"user_123"}))
            .await;
        assert_eq!(told.started.as_ref().unwrap().voice_id, "user_123");
        told.complete();
        // Another recording under the same name, twice refused and once let.
        let noise = STANDARD.encode("RIFF but not really");
        client
            .ask(json!({"type":"register_voice","voice_id":"user_124","reference_audio":noise}))
            .await;
        let error = client.until_error().await;
        assert_eq!(error.voice_id.as_deref(), Some("user_124"));
        assert_eq!(error.code.as_str(), "INVALID_AUDIO", "{}", error.message);
        client
            .ask(json!({"type":"register_voice","voice_id":"default","reference_audio":audio}))
            .await;
        assert_eq!(client.until_error().await.code.as_str(), "FORBIDDEN");
        client.say(r#"{"type":"list_voices"}"#).await;
        let list = client
            .until(|it| matches!(it, ServerMessage::VoiceList(_)))
            .await;
        let ServerMessage::VoiceList(list) = list else {
            panic!("{list:?}")
        };
        let names: Vec<&str> = list.voices.iter().map(|it| it.voice_id.as_str()).collect();
        assert_eq!(names, ["default", "user_123"]);
        client
            .ask(json!({"type":"delete_voice","voice_id":"user_123"}))
            .await;
        // What was asked for before `close` is answered.
        client.finish().await;
        let is_deleted = |it: &ServerMessage| matches!(it, ServerMessage::VoiceDeleted(it) if it.voice_id == "user_123");
        assert!(client.heard.iter().any(is_deleted), "{}", client.story());
        check_promises(&client);
    });
}
