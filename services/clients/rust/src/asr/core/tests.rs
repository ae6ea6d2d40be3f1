//! The bookkeeping of a stream that breaks: what is sent again, what is told once.

use serde_json::{Value, json};

use super::*;

const SECOND: usize = 32_000;

struct Rig {
    core: Listening,
    told: Vec<Event>,
}

impl Rig {
    fn new(config: StreamConfig) -> Rig {
        Rig {
            core: Listening::new(config, Duration::from_secs(10)).unwrap(),
            told: Vec::new(),
        }
    }

    fn says(&mut self, message: Value) {
        let events = self.core.on_text(&message.to_string()).unwrap();
        self.told.extend(events);
    }

    fn ready(&mut self) {
        self.says(
            json!({"type":"ready","session_id":"s","instance":"asr-1","protocol":1,
            "config":{"final_on":"turn_end","vad":{"pre_roll_secs":0.5}},
            "limits":{"max_frame_bytes":1,"max_buffer_seconds":30,"idle_timeout_s":300}}),
        );
    }

    /// Connects, and gives the `start_sample` that was asked for.
    fn connect(&mut self) -> u64 {
        self.core.connected();
        let Some(Outgoing::Text(config)) = self.core.outgoing() else {
            panic!("no config")
        };
        assert_eq!(
            self.core.outgoing(),
            None,
            "audio before the options are known"
        );
        self.ready();
        assert_eq!(self.core.outgoing(), None);
        self.ready();
        let config: Value = serde_json::from_str(&config).unwrap();
        assert_eq!(config["type"], "config");
        config["start_sample"].as_u64().unwrap()
    }

    fn push(&mut self, audio: Vec<u8>) {
        assert!(self.core.command(Command::Audio(audio)).is_empty());
    }

    /// Everything that can be sent now.
    fn sent(&mut self) -> (Vec<u8>, Vec<Value>) {
        let (mut audio, mut texts) = (Vec::new(), Vec::new());
        while let Some(outgoing) = self.core.outgoing() {
            match outgoing {
                Outgoing::Binary(bytes) => audio.extend(bytes),
                Outgoing::Text(text) => texts.push(serde_json::from_str(&text).unwrap()),
            }
        }
        (audio, texts)
    }

    fn breaks(&mut self) -> Break {
        let (why, events) = self.core.broken(Break::Lost("reset".to_owned()));
        self.told.extend(events);
        why
    }

    fn last(&mut self, segment: u64, end_sample: u64) {
        self.says(json!({"type":"final","segment_id":segment,"text":"x","start_time":0.0,"end_time":1.0,"end_sample":end_sample,
            "language":"en","confidence":1.0,"no_speech_prob":0.0,"latency_ms":1}));
    }

    fn ids(&self) -> Vec<String> {
        let name = |it: &Event| match it {
            Event::SpeechStart(it) => Some(format!("start {}", it.segment_id)),
            Event::SpeechEnd(it) => Some(format!("end {}", it.segment_id)),
            Event::Final(it) => Some(format!("final {}", it.segment_id)),
            Event::TurnEnd(it) => Some(format!("turn {} {:?}", it.segment_id, it.reason)),
            Event::Error(it) => it.segment_id.map(|it| format!("error {it}")),
            Event::Ready(_)
            | Event::Resumed(_)
            | Event::Partial(_)
            | Event::Finalized(_)
            | Event::Closed(_) => None,
        };
        self.told.iter().filter_map(name).collect()
    }
}

/// Audio in which every byte tells where it is.
fn audio(n: usize) -> Vec<u8> {
    (0..n).map(|it| u8::try_from(it % 251).unwrap()).collect()
}

fn start(segment: u64) -> Value {
    json!({"type":"speech_start","segment_id":segment,"timestamp":0.1})
}

fn turn(segment: u64) -> Value {
    json!({"type":"turn_end","segment_id":segment,"probability":0.9,"reason":"smart_turn"})
}

fn progress(received: u64, safe: u64) -> Value {
    json!({"type":"progress","received_sample":received,"safe_sample":safe,"queued_ms":0})
}

fn closed(received: u64) -> Value {
    json!({"type":"closed","received_samples":received,"transcribed_samples":received,"silence_samples":0,"discarded_samples":0,
        "segments":1})
}

#[test]
fn what_is_not_delivered_is_sent_again_from_there() {
    let mut rig = Rig::new(StreamConfig::default());
    assert_eq!(rig.connect(), 0);
    let all = audio(3 * SECOND);
    rig.push(all.clone());
    assert_eq!(rig.sent().0, all);
    rig.says(progress(40_000, 10_000));
    rig.breaks();
    assert!(rig.core.has_advanced());
    assert_eq!(rig.connect(), 10_000);
    assert_eq!(rig.sent().0, all[20_000..]);
    // A final counts as much, and what is older than it counts nothing.
    rig.last(1, 30_000);
    rig.says(progress(40_000, 20_000));
    rig.breaks();
    assert_eq!(rig.connect(), 30_000);
    rig.breaks();
    assert!(
        !rig.core.has_advanced(),
        "nothing came on the last connection"
    );
    assert_eq!(rig.connect(), 30_000);
    assert_eq!(rig.sent().0, all[60_000..]);
}

#[test]
fn samples_are_cut_whole_whatever_their_size() {
    for (encoding, channels, width) in [
        (Encoding::PcmS16le, 2, 4),
        (Encoding::PcmF32le, 1, 4),
        (Encoding::Mulaw, 1, 1),
        (Encoding::Alaw, 2, 2),
    ] {
        let mut rig = Rig::new(StreamConfig {
            encoding: Some(encoding),
            channels: Some(channels),
            ..StreamConfig::default()
        });
        rig.connect();
        let all = audio(1_001);
        for piece in all.chunks(7) {
            rig.push(piece.to_vec());
        }
        assert_eq!(rig.sent().0, all);
        rig.says(progress(100, 33));
        rig.breaks();
        assert_eq!(rig.connect(), 33);
        assert_eq!(rig.sent().0, all[33 * width..], "{encoding:?}");
    }
    let ogg = StreamConfig {
        encoding: Some(Encoding::OggOpus),
        ..StreamConfig::default()
    };
    assert!(Listening::new(ogg, Duration::from_secs(1)).is_err());
}

#[test]
fn segments_are_counted_through_all_connections_and_begun_once() {
    let mut rig = Rig::new(StreamConfig::default());
    rig.connect();
    rig.push(audio(SECOND));
    rig.sent();
    rig.says(start(1));
    rig.says(json!({"type":"speech_end","segment_id":1,"timestamp":0.2,"duration":0.1}));
    rig.last(1, 3_200);
    rig.says(turn(1));
    rig.says(start(2));
    rig.breaks();
    rig.connect();
    // The second is heard again, under another number.
    rig.says(start(1));
    rig.says(json!({"type":"speech_end","segment_id":1,"timestamp":0.4,"duration":0.1}));
    rig.says(json!({"type":"error","code":"TRANSCRIPTION_FAILED","message":"m","recoverable":true,"segment_id":1}));
    rig.says(start(2));
    rig.last(2, 8_000);
    rig.says(turn(2));
    assert_eq!(
        rig.ids(),
        [
            "start 1",
            "end 1",
            "final 1",
            "turn 1 SmartTurn",
            "start 2",
            "end 2",
            "error 2",
            "start 3",
            "final 3",
            "turn 3 SmartTurn"
        ]
    );
    assert!(
        rig.told
            .iter()
            .any(|it| matches!(it, Event::Resumed(it) if it.start_sample == 3_200))
    );
}

#[test]
fn a_turn_whose_end_was_lost_is_ended() {
    let mut rig = Rig::new(StreamConfig::default());
    rig.connect();
    rig.push(audio(SECOND));
    rig.says(start(1));
    rig.last(1, 3_200);
    rig.breaks();
    rig.breaks();
    assert_eq!(rig.ids(), ["start 1", "final 1", "turn 1 Close"]);

    // With a final for each stretch of speech, a turn whose speech goes on goes on.
    let mut rig = Rig::new(StreamConfig::default());
    rig.connect();
    rig.says(json!({"type":"ready","session_id":"s","instance":"i","protocol":1,"config":{"final_on":"vad_stop"},
        "limits":{"max_frame_bytes":1,"max_buffer_seconds":30,"idle_timeout_s":300}}));
    rig.core.ready.as_mut().unwrap().config.final_on = Some(FinalOn::VadStop);
    rig.push(audio(SECOND));
    rig.says(start(1));
    rig.last(1, 3_200);
    rig.says(start(2));
    rig.breaks();
    assert_eq!(rig.ids(), ["start 1", "final 1", "start 2"]);
}

#[test]
fn finalize_and_close_stand_where_they_were_asked_on_every_connection() {
    let mut rig = Rig::new(StreamConfig::default());
    rig.connect();
    rig.push(audio(100));
    let id = Some("f1".to_owned());
    rig.core.command(Command::Finalize { id });
    rig.push(audio(50));
    rig.core.command(Command::Finalize { id: None });
    rig.core.command(Command::Finish);
    let in_order = |rig: &mut Rig| {
        let mut order = Vec::new();
        while let Some(outgoing) = rig.core.outgoing() {
            order.push(match outgoing {
                Outgoing::Binary(bytes) => bytes.len().to_string(),
                Outgoing::Text(text) => text,
            });
        }
        order
    };
    let all = [
        "100",
        r#"{"type":"finalize","id":"f1"}"#,
        "50",
        r#"{"type":"finalize"}"#,
        r#"{"type":"close"}"#,
    ];
    assert_eq!(in_order(&mut rig), all);
    rig.says(progress(60, 20));
    rig.breaks();
    rig.connect();
    assert_eq!(in_order(&mut rig)[0], "60");
    rig.says(json!({"type":"finalized","id":"f1"}));
    rig.breaks();
    rig.connect();
    assert_eq!(in_order(&mut rig), ["110", all[3], all[4]]);
    // Only the answers are missing.
    rig.says(progress(75, 75));
    rig.breaks();
    assert_eq!(rig.connect(), 75);
    assert_eq!(in_order(&mut rig), [all[3], all[4]]);
}

#[test]
fn the_end_has_come_when_every_sample_was_received() {
    let mut rig = Rig::new(StreamConfig::default());
    rig.connect();
    rig.push(audio(20_000));
    rig.core.command(Command::Finish);
    rig.sent();
    // It went down before it had read all: what it says of its part is not the end.
    rig.last(1, 4_000);
    rig.says(closed(9_000));
    assert_eq!(rig.core.output(), None);
    let (why, _) = rig.core.broken(Break::Closed {
        code: 1012,
        reason: String::new(),
    });
    assert_eq!(why.as_final(), None);
    // A word that had begun may lie in its last half second, but for what has a text.
    assert_eq!(rig.connect(), 4_000);
    assert_eq!(rig.sent().0.len(), 2 * 6_000);
    rig.says(closed(6_000));
    let receipt = rig.core.output().unwrap();
    assert_eq!((receipt.samples, receipt.connections), (10_000, 2));
    assert!(matches!(rig.told.last(), Some(Event::Closed(it)) if *it == receipt));
}

#[test]
fn what_a_draining_server_took_is_sent_again_from_before_a_word_that_begins() {
    let mut rig = Rig::new(StreamConfig::default());
    rig.connect();
    rig.push(audio(2 * SECOND));
    rig.sent();
    rig.says(json!({"type":"draining","deadline_ms":1000}));
    rig.says(closed(30_000));
    rig.breaks();
    assert_eq!(rig.connect(), 22_000);
}

#[test]
fn room_is_bounded_and_grows_again_with_what_is_answered() {
    let mut rig = Rig::new(StreamConfig::default());
    rig.connect();
    for _ in 0..10 {
        assert!(rig.core.has_room());
        rig.push(audio(SECOND));
    }
    assert!(!rig.core.has_room());
    rig.sent();
    rig.says(progress(160_000, 16_000));
    assert!(rig.core.has_room());
    // Nonsense of a server is no reason to forget what was not sent.
    rig.says(progress(9_000_000, 9_000_000));
    assert_eq!(rig.core.settled(), 160_000);
}

#[test]
fn errors_of_the_stream_end_it_and_those_that_pass_wait_for_the_close() {
    let error = |code: &str, recoverable: bool| json!({"type":"error","code":code,"message":"m","recoverable":recoverable});
    let mut rig = Rig::new(StreamConfig::default());
    rig.core.connected();
    rig.ready();
    // The options were refused.
    let refused = rig
        .core
        .on_text(&error("INVALID_PARAMETER", true).to_string())
        .unwrap_err();
    assert!(refused.as_final().is_some());

    let mut rig = Rig::new(StreamConfig::default());
    rig.connect();
    rig.says(error("INVALID_SAMPLES", true));
    assert!(matches!(rig.told.last(), Some(Event::Error(_))));
    rig.says(error("SLOW_CONSUMER", false));
    let why = rig.breaks();
    assert!(why.to_string().contains("SLOW_CONSUMER") && why.as_final().is_none());
    rig.connect();
    let fatal = rig
        .core
        .on_text(&error("UNAUTHORIZED", false).to_string())
        .unwrap_err();
    assert!(fatal.as_final().is_some());
}

#[test]
fn messages_of_a_newer_server_are_passed_over_and_nonsense_is_an_error() {
    let mut rig = Rig::new(StreamConfig::default());
    rig.connect();
    let n = rig.told.len();
    rig.says(json!({"type":"speaker_changed","speaker":2}));
    assert_eq!(rig.told.len(), n);
    for nonsense in ["", "[]", r#"{"no":"type"}"#, r#"{"type":"progress"}"#] {
        let error = rig.core.on_text(nonsense).unwrap_err();
        assert!(matches!(error, Break::Protocol(_)), "{nonsense}");
    }
}
