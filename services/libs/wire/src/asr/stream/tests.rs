//! One snapshot for each message, and what is refused.

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::super::config::{Encoding, FinalOn, Task, VadConfig, VadKind};
use super::*;

fn check(message: &ServerMessage, text: &Expect) {
    text.assert_eq(&message.to_text());
    let back: ServerMessage = serde_json::from_str(&message.to_text()).unwrap();
    assert_eq!(back.to_text(), message.to_text());
}

#[test]
fn ready() {
    let config = StreamConfig {
        encoding: Some(Encoding::PcmS16le),
        sample_rate: Some(16_000),
        channels: Some(1),
        language: Some("auto".into()),
        task: Some(Task::Transcribe),
        model: Some("demo".into()),
        prompt: None,
        hotwords: None,
        beam_size: Some(5),
        temperature: Some(0.0),
        partials: Some(true),
        partial_interval_ms: Some(300),
        enable_timestamps: Some(false),
        vad: Some(VadConfig {
            kind: Some(VadKind::SileroSmartTurn),
            threshold: Some(0.5),
            stop_secs: Some(0.2),
            ..VadConfig::default()
        }),
        vad_threshold: None,
        final_on: Some(FinalOn::TurnEnd),
        start_sample: Some(0),
    };
    let limits = Limits {
        max_frame_bytes: 1_048_576,
        max_buffer_seconds: 30,
        idle_timeout_s: 300,
    };
    let ready = Ready {
        session_id: "0190-s".into(),
        instance: "asr-8001".into(),
        protocol: 1,
        config,
        limits,
    };
    check(
        &ServerMessage::Ready(Box::new(ready)),
        &expect![[
            r#"{"type":"ready","session_id":"0190-s","instance":"asr-8001","protocol":1,"config":{"encoding":"pcm_s16le","sample_rate":16000,"channels":1,"language":"auto","task":"transcribe","model":"demo","beam_size":5,"temperature":0.0,"partials":true,"partial_interval_ms":300,"enable_timestamps":false,"vad":{"type":"silero_smart_turn","threshold":0.5,"stop_secs":0.2},"final_on":"turn_end","start_sample":0},"limits":{"max_frame_bytes":1048576,"max_buffer_seconds":30,"idle_timeout_s":300}}"#
        ]],
    );
}

#[test]
fn speech_start() {
    check(
        &ServerMessage::SpeechStart(SpeechStart {
            segment_id: 3,
            timestamp: 0.52,
        }),
        &expect![[r#"{"type":"speech_start","segment_id":3,"timestamp":0.52}"#]],
    );
}

#[test]
fn partial() {
    check(
        &ServerMessage::Partial(Partial {
            segment_id: 3,
            revision: 2,
            text: "turn on the kit".into(),
            stable_text: "turn on the".into(),
            timestamp: 1.23,
            confidence: 0.92,
        }),
        &expect![[
            r#"{"type":"partial","segment_id":3,"revision":2,"text":"turn on the kit","stable_text":"turn on the","timestamp":1.23,"confidence":0.92}"#
        ]],
    );
}

#[test]
fn speech_end() {
    check(
        &ServerMessage::SpeechEnd(SpeechEnd {
            segment_id: 3,
            timestamp: 2.31,
            duration: 1.79,
        }),
        &expect![[r#"{"type":"speech_end","segment_id":3,"timestamp":2.31,"duration":1.79}"#]],
    );
}

#[test]
fn r#final() {
    let mut last = Final {
        segment_id: 3,
        text: "Turn on the kitchen light.".into(),
        start_time: 0.52,
        end_time: 2.31,
        end_sample: 36_960,
        language: "en".into(),
        confidence: 0.95,
        no_speech_prob: 0.01,
        words: Some(vec![StreamWord {
            word: "Turn".into(),
            start: 0.52,
            end: 0.71,
            confidence: 0.98,
        }]),
        latency_ms: 182,
    };
    check(
        &ServerMessage::Final(Box::new(last.clone())),
        &expect![[
            r#"{"type":"final","segment_id":3,"text":"Turn on the kitchen light.","start_time":0.52,"end_time":2.31,"end_sample":36960,"language":"en","confidence":0.95,"no_speech_prob":0.01,"words":[{"word":"Turn","start":0.52,"end":0.71,"confidence":0.98}],"latency_ms":182}"#
        ]],
    );
    last.words = None;
    assert!(
        !ServerMessage::Final(Box::new(last))
            .to_text()
            .contains("words")
    );
}

#[test]
fn turn_end() {
    check(
        &ServerMessage::TurnEnd(TurnEnd {
            segment_id: 3,
            probability: Some(0.97),
            reason: TurnEndReason::SmartTurn,
        }),
        &expect![[
            r#"{"type":"turn_end","segment_id":3,"probability":0.97,"reason":"smart_turn"}"#
        ]],
    );
    let reasons: Vec<String> = [
        TurnEndReason::Silence,
        TurnEndReason::Finalize,
        TurnEndReason::MaxDuration,
        TurnEndReason::Close,
    ]
    .iter()
    .map(|it| serde_json::to_string(it).unwrap())
    .collect();
    expect![[r#""silence" "finalize" "max_duration" "close""#]].assert_eq(&reasons.join(" "));
}

#[test]
fn progress() {
    check(
        &ServerMessage::Progress(Progress {
            received_sample: 48_000,
            safe_sample: 36_960,
            queued_ms: 80,
        }),
        &expect![[
            r#"{"type":"progress","received_sample":48000,"safe_sample":36960,"queued_ms":80}"#
        ]],
    );
}

#[test]
fn answers_to_commands() {
    check(
        &ServerMessage::Finalized(Finalized {
            id: Some("f1".into()),
        }),
        &expect![[r#"{"type":"finalized","id":"f1"}"#]],
    );
    check(
        &ServerMessage::ResetDone(ResetDone {
            discarded_samples: 1_200,
        }),
        &expect![[r#"{"type":"reset_done","discarded_samples":1200}"#]],
    );
    check(
        &ServerMessage::Draining(Draining {
            deadline_ms: 120_000,
        }),
        &expect![[r#"{"type":"draining","deadline_ms":120000}"#]],
    );
}

#[test]
fn error() {
    check(
        &ServerMessage::Error(StreamError {
            code: ErrorCode::TranscriptionFailed,
            message: "the recogniser failed".into(),
            recoverable: true,
            segment_id: Some(3),
        }),
        &expect![[
            r#"{"type":"error","code":"TRANSCRIPTION_FAILED","message":"the recogniser failed","recoverable":true,"segment_id":3}"#
        ]],
    );
}

#[test]
fn closed() {
    check(
        &ServerMessage::Closed(Closed {
            received_samples: 198_400,
            transcribed_samples: 120_000,
            silence_samples: 78_400,
            discarded_samples: 0,
            segments: 3,
        }),
        &expect![[
            r#"{"type":"closed","received_samples":198400,"transcribed_samples":120000,"silence_samples":78400,"discarded_samples":0,"segments":3}"#
        ]],
    );
}

#[test]
fn every_client_message_is_understood() {
    let config = r#"{"type":"config","sample_rate":16000,"language":"en","model":"large-v3","vad_threshold":0.5,"enable_timestamps":true,"beam_size":5}"#;
    let ClientMessage::Config(config) = ClientMessage::parse(config).unwrap() else {
        panic!("not a config")
    };
    assert_eq!(
        (config.vad_threshold, config.beam_size),
        (Some(0.5), Some(5))
    );
    let finalize = ClientMessage::parse(r#"{"type":"finalize","id":"f1"}"#).unwrap();
    assert_eq!(
        finalize,
        ClientMessage::Finalize(Finalize {
            id: Some("f1".into())
        })
    );
    assert_eq!(
        ClientMessage::parse(r#"{"type":"reset"}"#).unwrap(),
        ClientMessage::Reset(Empty {})
    );
    assert_eq!(
        ClientMessage::parse(r#"{"type":"keepalive"}"#).unwrap(),
        ClientMessage::Keepalive(Empty {})
    );
    assert_eq!(
        ClientMessage::parse(r#"{"type":"close"}"#).unwrap(),
        ClientMessage::Close(Empty {})
    );
}

fn refused(text: &str, code: ErrorCode, part: &str) {
    let rejected = ClientMessage::parse(text).unwrap_err();
    assert_eq!(rejected.code, code, "{text}: {rejected}");
    assert!(rejected.to_string().contains(part), "{text}: {rejected}");
}

#[test]
fn mistakes_are_told_apart_and_named() {
    refused("", ErrorCode::InvalidJson, "empty");
    refused("  \n", ErrorCode::InvalidJson, "empty");
    refused("hello", ErrorCode::InvalidJson, "binary frames");
    refused("{\"type\":\"close\"", ErrorCode::InvalidJson, "EOF");
    refused("[1,2]", ErrorCode::InvalidJson, "object");
    refused("null", ErrorCode::InvalidJson, "object");
    refused("{}", ErrorCode::UnknownMessage, "`type` is missing");
    refused(r#"{"type":7}"#, ErrorCode::UnknownMessage, "not text");
    refused(
        r#"{"type":"ping"}"#,
        ErrorCode::UnknownMessage,
        "`keepalive`",
    );
    refused(
        r#"{"type":"close","now":true}"#,
        ErrorCode::UnknownField,
        "`now`",
    );
    refused(
        r#"{"type":"config","sample_rat":8000}"#,
        ErrorCode::UnknownField,
        "`sample_rate`",
    );
    refused(
        r#"{"type":"config","encoding":"mp3"}"#,
        ErrorCode::InvalidParameter,
        "`pcm_s16le`",
    );
    refused(
        r#"{"type":"config","sample_rate":-1}"#,
        ErrorCode::InvalidParameter,
        "-1",
    );
    refused(
        r#"{"type":"config","vad":{"typ":"silero"}}"#,
        ErrorCode::UnknownField,
        "`typ`",
    );
    refused(
        r#"{"type":"finalize","id":5}"#,
        ErrorCode::InvalidParameter,
        "string",
    );
    refused(
        &format!(r#"{{"type":"{}"}}"#, "x".repeat(60_000)),
        ErrorCode::UnknownMessage,
        "xxxx",
    );
    refused(
        &format!(r#"{{"type":"config","vad":{}}}"#, "[".repeat(60_000)),
        ErrorCode::InvalidJson,
        "recursion",
    );
}

proptest! {
    #[test]
    fn no_text_frame_panics(text in ".{0,200}") {
        drop(ClientMessage::parse(&text));
    }

    #[test]
    fn no_json_panics(
        kind in prop_oneof![Just("config"), Just("finalize"), Just("reset"), Just("close")],
        key in "[a-z_]{1,16}",
        value in prop_oneof![Just("null".to_owned()), any::<f64>().prop_map(|it| it.to_string()), "\"[a-z]{0,8}\"", Just("[{}]".to_owned())],
    ) {
        if let Err(rejected) = ClientMessage::parse(&format!(r#"{{"type":"{kind}","{key}":{value}}}"#)) {
            prop_assert!(rejected.to_string().len() < 2_000);
        }
    }

    #[test]
    fn what_is_written_is_read(id in proptest::option::of(".{0,20}")) {
        let message = ClientMessage::Finalize(Finalize { id });
        prop_assert_eq!(ClientMessage::parse(&serde_json::to_string(&message).unwrap()).unwrap(), message);
    }
}
