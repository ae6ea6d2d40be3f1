//! One snapshot for each message, and what is refused.

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::super::Encoding;
use super::*;

fn check(message: &ServerMessage, text: &Expect) {
    text.assert_eq(&message.to_text());
    let back: ServerMessage = serde_json::from_str(&message.to_text()).unwrap();
    assert_eq!(back.to_text(), message.to_text());
}

#[test]
fn ready() {
    let ready = Ready {
        session_id: "0190-s".into(),
        instance: "tts-8002".into(),
        protocol: 1,
        config: SpeechOptions {
            voice_id: Some("default".into()),
            language: Some("en".into()),
            model: Some("demo".into()),
            streaming: Some(true),
            chunk_size: Some(50),
            encoding: Some(Encoding::PcmF32le),
            sample_rate: Some(24_000),
            exaggeration: Some(0.5),
            cfg_weight: Some(0.5),
            temperature: Some(0.8),
            top_p: Some(1.0),
            top_k: Some(0),
            min_p: Some(0.05),
            repetition_penalty: Some(1.2),
            seed: None,
            speed: Some(1.0),
        },
        limits: Limits {
            max_frame_bytes: 8_388_608,
            max_text_chars: 10_000,
            max_requests: 16,
            idle_timeout_s: 300,
        },
    };
    check(
        &ServerMessage::Ready(Box::new(ready)),
        &expect![[
            r#"{"type":"ready","session_id":"0190-s","instance":"tts-8002","protocol":1,"config":{"voice_id":"default","language":"en","model":"demo","streaming":true,"chunk_size":50,"encoding":"pcm_f32le","sample_rate":24000,"exaggeration":0.5,"cfg_weight":0.5,"temperature":0.8,"top_p":1.0,"top_k":0,"min_p":0.05,"repetition_penalty":1.2,"speed":1.0},"limits":{"max_frame_bytes":8388608,"max_text_chars":10000,"max_requests":16,"idle_timeout_s":300}}"#
        ]],
    );
}

#[test]
fn a_request_from_start_to_end() {
    check(
        &ServerMessage::SynthesisStarted(SynthesisStarted {
            request_id: "r1".into(),
            text_length: 23,
            estimated_duration_ms: 1_640,
            voice_id: "default".into(),
            encoding: Encoding::PcmF32le,
            sample_rate: 24_000,
            seed: 7,
        }),
        &expect![[
            r#"{"type":"synthesis_started","request_id":"r1","text_length":23,"estimated_duration_ms":1640,"voice_id":"default","encoding":"pcm_f32le","sample_rate":24000,"seed":7}"#
        ]],
    );
    let mut chunk = AudioChunk {
        request_id: "r1".into(),
        chunk_id: 1,
        start_sample: 0,
        samples: 11_520,
        duration_ms: 480.0,
        sample_rate: 24_000,
        text_start: 0,
        text_end: 12,
        estimated_words: vec![EstimatedWord {
            word: "Hello".into(),
            start: 0.000_04,
            end: 0.41,
        }],
    };
    check(
        &ServerMessage::AudioChunk(chunk.clone()),
        &expect![[
            r#"{"type":"audio_chunk","request_id":"r1","chunk_id":1,"start_sample":0,"samples":11520,"duration_ms":480.0,"sample_rate":24000,"text_start":0,"text_end":12,"estimated_words":[{"word":"Hello","start":0.0,"end":0.41}]}"#
        ]],
    );
    chunk.estimated_words.clear();
    assert!(
        !ServerMessage::AudioChunk(chunk)
            .to_text()
            .contains("estimated_words")
    );
    check(
        &ServerMessage::SynthesisComplete(SynthesisComplete {
            request_id: "r1".into(),
            total_duration_ms: 1_680.0,
            total_samples: 40_320,
            skipped_samples: 0,
            chunks_sent: 3,
            real_time_factor: 0.312_345,
            first_chunk_ms: Some(48),
        }),
        &expect![[
            r#"{"type":"synthesis_complete","request_id":"r1","total_duration_ms":1680.0,"total_samples":40320,"skipped_samples":0,"chunks_sent":3,"real_time_factor":0.3123,"first_chunk_ms":48}"#
        ]],
    );
    check(
        &ServerMessage::Cancelled(Cancelled {
            request_id: "r1".into(),
            chunks_sent: 2,
            end_sample: 30_720,
        }),
        &expect![[r#"{"type":"cancelled","request_id":"r1","chunks_sent":2,"end_sample":30720}"#]],
    );
}

#[test]
fn voices() {
    let voice = Voice {
        voice_id: "user_123".into(),
        description: "calm".into(),
        duration: 8.0,
        ..Voice::default()
    };
    check(
        &ServerMessage::VoiceRegistered(Box::new(VoiceRegistered {
            voice_id: "user_123".into(),
            voice: voice.clone(),
        })),
        &expect![[
            r#"{"type":"voice_registered","voice_id":"user_123","voice":{"voice_id":"user_123","description":"calm","built_in":false,"duration":8.0}}"#
        ]],
    );
    check(
        &ServerMessage::VoiceDeleted(VoiceDeleted {
            voice_id: "user_123".into(),
        }),
        &expect![[r#"{"type":"voice_deleted","voice_id":"user_123"}"#]],
    );
    check(
        &ServerMessage::VoiceList(VoicesKnown {
            voices: vec![voice],
        }),
        &expect![[
            r#"{"type":"voice_list","voices":[{"voice_id":"user_123","description":"calm","built_in":false,"duration":8.0}]}"#
        ]],
    );
}

#[test]
fn ends() {
    check(
        &ServerMessage::Draining(Draining {
            deadline_ms: 120_000,
        }),
        &expect![[r#"{"type":"draining","deadline_ms":120000}"#]],
    );
    check(
        &ServerMessage::Error(StreamError {
            code: ErrorCode::UnknownVoice,
            message: "no such voice".into(),
            recoverable: true,
            request_id: Some("r1".into()),
            voice_id: None,
        }),
        &expect![[
            r#"{"type":"error","code":"UNKNOWN_VOICE","message":"no such voice","recoverable":true,"request_id":"r1"}"#
        ]],
    );
    check(
        &ServerMessage::Closed(Closed {
            requests: 4,
            completed: 2,
            cancelled: 1,
            failed: 1,
            chunks_sent: 9,
        }),
        &expect![[
            r#"{"type":"closed","requests":4,"completed":2,"cancelled":1,"failed":1,"chunks_sent":9}"#
        ]],
    );
}

#[test]
fn a_synthesize_is_understood() {
    let synthesize = r#"{"type":"synthesize","request_id":"r1","text":"Hi.","voice_id":"default","language":"en","streaming":true,
        "chunk_size":50,"encoding":"pcm_f32le","sample_rate":24000,"exaggeration":0.5,"cfg_weight":0.5,"temperature":0.8,"seed":7,
        "speed":1.0,"skip_samples":960}"#;
    let ClientMessage::Synthesize(asked) = ClientMessage::parse(synthesize).unwrap() else {
        panic!("not a synthesize")
    };
    assert_eq!(
        (asked.request_id.as_deref(), asked.text.as_str()),
        (Some("r1"), "Hi.")
    );
    assert_eq!(
        (asked.skip_samples, asked.options.seed),
        (Some(960), Some(7))
    );
    let bare = ClientMessage::parse(r#"{"type":"synthesize","text":"Hi.","request_id":null}"#);
    let ClientMessage::Synthesize(bare) = bare.unwrap() else {
        panic!("not a synthesize")
    };
    assert_eq!(
        (bare.request_id, bare.options),
        (None, SpeechOptions::default())
    );
}

#[test]
fn every_other_client_message_is_understood() {
    let of = |request_id: &str| OfRequest {
        request_id: request_id.into(),
    };
    let cases = [
        (
            r#"{"type":"text","request_id":"r2","text":"partial "}"#,
            ClientMessage::Text(Box::new(Text {
                request_id: "r2".into(),
                text: "partial ".into(),
                ..Text::default()
            })),
        ),
        (
            r#"{"type":"flush","request_id":"r2"}"#,
            ClientMessage::Flush(of("r2")),
        ),
        (
            r#"{"type":"end","request_id":"r2"}"#,
            ClientMessage::End(of("r2")),
        ),
        (
            r#"{"type":"cancel","request_id":"r1"}"#,
            ClientMessage::Cancel(Cancel {
                request_id: Some("r1".into()),
            }),
        ),
        (
            r#"{"type":"cancel"}"#,
            ClientMessage::Cancel(Cancel { request_id: None }),
        ),
        (
            r#"{"type":"register_voice","voice_id":"user_123","reference_audio":"UklG","description":"calm"}"#,
            ClientMessage::RegisterVoice(Box::new(RegisterVoice {
                voice_id: "user_123".into(),
                reference_audio: "UklG".into(),
                description: Some("calm".into()),
                ..RegisterVoice::default()
            })),
        ),
        (
            r#"{"type":"list_voices"}"#,
            ClientMessage::ListVoices(Empty {}),
        ),
        (
            r#"{"type":"delete_voice","voice_id":"user_123"}"#,
            ClientMessage::DeleteVoice(DeleteVoice {
                voice_id: "user_123".into(),
            }),
        ),
        (
            r#"{"type":"keepalive"}"#,
            ClientMessage::Keepalive(Empty {}),
        ),
        (r#"{"type":"close"}"#, ClientMessage::Close(Empty {})),
    ];
    for (text, message) in cases {
        assert_eq!(ClientMessage::parse(text).unwrap(), message, "{text}");
        let written = serde_json::to_string(&message).unwrap();
        assert_eq!(
            ClientMessage::parse(&written).unwrap(),
            message,
            "{written}"
        );
    }
}

fn refused(text: &str, code: ErrorCode, part: &str) {
    let rejected = ClientMessage::parse(text).unwrap_err();
    assert_eq!(rejected.code, code, "{text}: {rejected}");
    assert!(rejected.to_string().contains(part), "{text}: {rejected}");
}

#[test]
fn what_is_no_message_is_told_apart() {
    refused("", ErrorCode::InvalidJson, "empty");
    refused("  \n", ErrorCode::InvalidJson, "empty");
    refused("hello", ErrorCode::InvalidJson, "`synthesize`");
    refused("[1,2]", ErrorCode::InvalidJson, "object");
    refused("null", ErrorCode::InvalidJson, "object");
    refused("{\"type\":\"close\"", ErrorCode::InvalidJson, "EOF");
    refused(r#"{"type":"close"} x"#, ErrorCode::InvalidJson, "trailing");
    refused("{}", ErrorCode::UnknownMessage, "`type` is missing");
    refused(r#"{"type":7}"#, ErrorCode::UnknownMessage, "not text");
    refused(r#"{"type":"speak"}"#, ErrorCode::UnknownMessage, "`text`");
    refused(
        &format!(r#"{{"type":"{}"}}"#, "x".repeat(60_000)),
        ErrorCode::UnknownMessage,
        "xxxx",
    );
}

#[test]
fn mistakes_in_a_message_are_named() {
    use ErrorCode::{InvalidJson, InvalidParameter, UnknownField};
    refused(
        r#"{"type":"close","now":true}"#,
        UnknownField,
        "`close`: unknown field `now`",
    );
    refused(
        r#"{"type":"synthesize","request_id":"r"}"#,
        InvalidParameter,
        "missing field `text`",
    );
    refused(
        r#"{"type":"synthesize","text":7}"#,
        InvalidParameter,
        "`text`: invalid type",
    );
    refused(
        r#"{"type":"synthesize","text":"a","txt":"b"}"#,
        UnknownField,
        "expected one of `request_id`, `text`, `skip_samples`, `voice`, `voice_id`",
    );
    refused(
        r#"{"type":"synthesize","text":"a","skip_samples":-1}"#,
        InvalidParameter,
        "`skip_samples`",
    );
    refused(
        r#"{"type":"synthesize","text":"a","encoding":"mp3"}"#,
        InvalidParameter,
        "`pcm_s16le`",
    );
    refused(
        r#"{"type":"synthesize","text":"a","text":"b"}"#,
        InvalidParameter,
        "duplicate field `text`",
    );
    refused(
        r#"{"type":"text","text":"a"}"#,
        InvalidParameter,
        "`request_id`",
    );
    refused(r#"{"type":"end"}"#, InvalidParameter, "`request_id`");
    refused(
        r#"{"type":"flush","request_id":"r","text":"a"}"#,
        UnknownField,
        "expected `request_id`",
    );
    refused(
        r#"{"type":"register_voice","voice_id":"v"}"#,
        InvalidParameter,
        "`reference_audio`",
    );
    refused(
        r#"{"type":"delete_voice","voice":"v"}"#,
        UnknownField,
        "`voice_id`",
    );
    refused(
        &format!(r#"{{"type":"synthesize","text":{}}}"#, "[".repeat(60_000)),
        InvalidJson,
        "recursion",
    );
}

#[test]
fn the_request_of_a_mistaken_message_is_found() {
    assert_eq!(
        ClientMessage::request_of(r#"{"type":"synthesize","request_id":"r1","seed":-1}"#),
        Some("r1".to_owned())
    );
    for nothing in [
        "",
        "[]",
        "{}",
        r#"{"request_id":7}"#,
        r#"{"request_id":"a","request_id":"b"}"#,
    ] {
        assert_eq!(ClientMessage::request_of(nothing), None, "{nothing}");
    }
}

proptest! {
    #[test]
    fn no_text_frame_panics(text in ".{0,200}") {
        drop(ClientMessage::parse(&text));
        drop(ClientMessage::request_of(&text));
    }

    #[test]
    fn no_json_panics(
        kind in prop_oneof![Just("synthesize"), Just("text"), Just("cancel"), Just("register_voice"), Just("close")],
        key in "[a-z_]{1,16}",
        value in prop_oneof![Just("null".to_owned()), any::<f64>().prop_map(|it| it.to_string()), "\"[a-z]{0,8}\"", Just("[{}]".to_owned())],
    ) {
        if let Err(rejected) = ClientMessage::parse(&format!(r#"{{"type":"{kind}","{key}":{value}}}"#)) {
            prop_assert!(rejected.to_string().len() < 2_000);
        }
    }

    #[test]
    fn what_is_written_is_read(
        request_id in proptest::option::of(".{0,20}"),
        text in ".{0,60}",
        skip_samples in proptest::option::of(any::<u64>()),
        seed in proptest::option::of(any::<u64>()),
        temperature in proptest::option::of(0_u8..40),
    ) {
        let temperature = temperature.map(|it| f32::from(it) / 16.0);
        let options = SpeechOptions { seed, temperature, ..SpeechOptions::default() };
        let message = ClientMessage::Synthesize(Box::new(Synthesize { request_id, text, skip_samples, options }));
        prop_assert_eq!(ClientMessage::parse(&serde_json::to_string(&message).unwrap()).unwrap(), message);
    }
}
