//! The bookkeeping of a speech that breaks: what is asked again, and that its audio has neither gap nor overlap.

use serde_json::{Value, json};

use super::*;

struct Rig {
    core: Speaking,
    told: Vec<Event>,
}

impl Rig {
    fn pieces(pieces: &[&str]) -> Rig {
        let mut core = Speaking::in_pieces(SpeechOptions::default());
        for text in pieces {
            push(&mut core, text, false);
        }
        Rig {
            core,
            told: Vec::new(),
        }
    }

    fn whole(text: &str) -> Rig {
        let core = Speaking::whole(text.to_owned(), SpeechOptions::default());
        Rig {
            core,
            told: Vec::new(),
        }
    }

    fn says(&mut self, message: Value) {
        let events = self.core.on_text(&message.to_string()).unwrap();
        self.told.extend(events);
    }

    /// Connects, and gives what is asked for.
    fn connect(&mut self, default_temperature: f64) -> Vec<Value> {
        self.core.connected();
        assert_eq!(
            self.core.outgoing(),
            None,
            "nothing is asked before `ready`"
        );
        self.says(
            json!({"type":"ready","session_id":"s","instance":"tts-1","protocol":1,
            "config":{"voice_id":"default","temperature":default_temperature},
            "limits":{"max_frame_bytes":1,"max_text_chars":1,"max_requests":1,"idle_timeout_s":1}}),
        );
        self.asked()
    }

    fn asked(&mut self) -> Vec<Value> {
        std::iter::from_fn(|| self.core.outgoing())
            .map(|it| match it {
                Outgoing::Text(text) => serde_json::from_str(&text).unwrap(),
                Outgoing::Binary(_) => panic!("a synthesiser is sent no audio"),
            })
            .collect()
    }

    fn started(&mut self, seed: u64) {
        self.says(started(seed));
    }

    fn chunk(&mut self, start: u64, samples: u64, text_end: u64) {
        self.says(chunk(start, samples, text_end));
        let bytes: Vec<u8> = (start..start + samples)
            .flat_map(|it| u16::try_from(it % 60_000).unwrap().to_le_bytes())
            .collect();
        let events = self.core.on_binary(bytes.into()).unwrap();
        self.told.extend(events);
    }

    fn breaks(&mut self) {
        let (_, events) = self.core.broken(Break::Lost("reset".to_owned()));
        self.told.extend(events);
    }

    /// The samples that came, each of which tells where it belongs.
    fn check_samples(&self, n: u64) {
        let mut position = 0;
        for event in &self.told {
            if let Event::Chunk(chunk) = event {
                assert_eq!(chunk.start_sample, position);
                for sample in chunk.audio.chunks_exact(2) {
                    let value = u16::from_le_bytes([sample[0], sample[1]]);
                    assert_eq!(u64::from(value), position % 60_000);
                    position += 1;
                }
            }
        }
        assert_eq!(position, n);
    }
}

fn push(core: &mut Speaking, text: &str, is_late: bool) {
    let text = text.to_owned();
    core.command(Command::Push { text, is_late });
}

fn started(seed: u64) -> Value {
    json!({"type":"synthesis_started","request_id":"speech","text_length":1,"estimated_duration_ms":1,"voice_id":"default",
        "encoding":"pcm_s16le","sample_rate":24000,"seed":seed})
}

fn chunk(start: u64, samples: u64, text_end: u64) -> Value {
    json!({"type":"audio_chunk","request_id":"speech","chunk_id":1,"start_sample":start,"samples":samples,"duration_ms":1.0,
        "sample_rate":24000,"text_start":0,"text_end":text_end,
        "estimated_words":[{"word":"w","start":start as f64 / 24_000.0,"end":9.0}]})
}

fn complete(total: u64) -> Value {
    json!({"type":"synthesis_complete","request_id":"speech","total_duration_ms":1.0,"total_samples":total,"skipped_samples":0,
        "chunks_sent":1,"real_time_factor":0.5})
}

fn types(asked: &[Value]) -> Vec<&str> {
    asked
        .iter()
        .map(|it| it["type"].as_str().unwrap())
        .collect()
}

#[test]
fn the_same_is_asked_again_from_the_end_of_the_last_chunk() {
    let mut rig = Rig::whole("One. Two.");
    let asked = rig.connect(0.5);
    assert_eq!(types(&asked), ["synthesize"]);
    assert_eq!(
        (&asked[0]["text"], &asked[0]["skip_samples"]),
        (&json!("One. Two."), &Value::Null)
    );
    rig.started(77);
    rig.chunk(0, 500, 4);
    rig.chunk(500, 300, 4);
    rig.breaks();
    // Another instance has other defaults, and is told those of the first.
    let asked = rig.connect(0.9);
    assert_eq!(asked[0]["skip_samples"], 800);
    assert_eq!(
        (&asked[0]["seed"], &asked[0]["temperature"]),
        (&json!(77), &json!(0.5))
    );
    assert_eq!(
        (&asked[0]["encoding"], &asked[0]["sample_rate"]),
        (&json!("pcm_s16le"), &json!(24_000))
    );
    rig.started(77);
    rig.chunk(800, 200, 9);
    rig.says(complete(1_000));
    rig.check_samples(1_000);
    assert!(matches!(
        rig.core.output(),
        Some(End::Complete {
            total_samples: 1_000,
            connections: 2,
            ..
        })
    ));
    let resumed = |it: &&Event| matches!(it, Event::Resumed(it) if it.start_sample == 800);
    assert_eq!(rig.told.iter().filter(resumed).count(), 1);
}

#[test]
fn overlaps_are_cut_off_and_gaps_are_errors() {
    let mut rig = Rig::whole("One.");
    rig.connect(0.5);
    rig.started(1);
    rig.chunk(0, 500, 4);
    rig.breaks();
    rig.connect(0.5);
    rig.started(1);
    // A server that skips nothing.
    rig.chunk(0, 400, 4);
    rig.chunk(400, 400, 4);
    rig.check_samples(800);
    rig.says(chunk(900, 10, 4));
    let gap = rig.core.on_binary(vec![0; 20].into()).unwrap_err();
    assert!(gap.to_string().contains("a gap"), "{gap}");
    let short = rig.core.on_text(&complete(900).to_string()).unwrap_err();
    assert!(matches!(short, Break::Protocol(_)));
    rig.says(chunk(800, 10, 4));
    assert!(
        rig.core.on_binary(vec![0; 19].into()).is_err(),
        "half a sample"
    );
    assert!(
        rig.core.on_binary(vec![0; 20].into()).is_err(),
        "not described"
    );
}

#[test]
fn another_seed_is_another_speech() {
    let mut rig = Rig::whole("One.");
    rig.connect(0.5);
    rig.started(1);
    rig.chunk(0, 500, 4);
    rig.breaks();
    rig.connect(0.5);
    assert!(rig.core.on_text(&started(2).to_string()).is_err());
}

#[test]
fn pieces_are_sent_as_they_come_and_again_in_the_same_order() {
    let mut rig = Rig::pieces(&["Good ", "morn"]);
    assert_eq!(types(&rig.connect(0.5)), ["text", "text"]);
    push(&mut rig.core, "ing.", false);
    rig.core.command(Command::Flush);
    rig.core.command(Command::End);
    push(&mut rig.core, "too late", false);
    let asked = rig.asked();
    assert_eq!(types(&asked), ["text", "flush", "end"]);
    assert_eq!(
        asked[0].as_object().unwrap().len(),
        3,
        "only the first piece carries options"
    );
    rig.breaks();
    let asked = rig.connect(0.5);
    assert_eq!(types(&asked), ["text", "text", "text", "flush", "end"]);
    let text: String = asked.iter().filter_map(|it| it["text"].as_str()).collect();
    assert_eq!(text, "Good morning.");
    assert_eq!(asked[0]["temperature"], 0.5);
}

#[test]
fn a_speech_without_text_is_a_speech() {
    let mut rig = Rig::pieces(&[]);
    assert!(rig.connect(0.5).is_empty());
    assert!(rig.core.keepalive().is_some());
    rig.core.command(Command::Flush);
    assert!(rig.asked().is_empty(), "nothing to flush");
    rig.core.abandoned();
    assert_eq!(types(&rig.asked()), ["text", "end"]);
    rig.started(1);
    rig.says(complete(0));
    assert!(matches!(
        rig.core.output(),
        Some(End::Complete {
            total_samples: 0,
            ..
        })
    ));
}

/// The server waited for more, and spoke what it had.
#[test]
fn a_text_is_cut_again_where_a_server_did_not_wait_for_more() {
    let mut rig = Rig::pieces(&[
        "We will hurry",
        " and",
        " catch ",
        "the train. ",
        "Now, ",
        "go",
    ]);
    let late = |rig: &mut Rig, nth: usize| {
        let Item::Text { is_late, .. } = &mut rig.core.items[nth] else {
            panic!()
        };
        *is_late = true;
    };
    late(&mut rig, 2);
    rig.connect(0.5);
    rig.started(1);
    rig.chunk(0, 100, 17);
    // At the end of a sentence, and at a comma, without a wait: the next server finds those by itself.
    rig.chunk(100, 100, 34);
    rig.chunk(200, 100, 40);
    rig.breaks();
    let expected = ["text", "text", "flush", "text", "text", "text", "text"];
    assert_eq!(types(&rig.connect(0.5)), expected);
    // Nothing came after it for now.
    rig.chunk(300, 100, 42);
    rig.breaks();
    let asked = rig.connect(0.5);
    assert_eq!(types(&asked), [&expected[..], &["flush"]].concat());
    rig.breaks();
    assert_eq!(rig.connect(0.5), asked, "marked once");
}

#[test]
fn words_are_told_once() {
    let mut rig = Rig::whole("One two.");
    rig.connect(0.5);
    rig.started(1);
    rig.chunk(0, 100, 8);
    rig.breaks();
    rig.connect(0.5);
    rig.started(1);
    // It reckons that the word which began before goes on.
    let mut told = chunk(100, 100, 8);
    told["estimated_words"] =
        json!([{"word":"One","start":0.001,"end":0.006},{"word":"two","start":0.005,"end":0.01}]);
    rig.says(told);
    let events = rig.core.on_binary(vec![0; 200].into()).unwrap();
    let [Event::Chunk(chunk)] = &events[..] else {
        panic!("{events:?}")
    };
    let words: Vec<&str> = chunk
        .estimated_words
        .iter()
        .map(|it| it.word.as_str())
        .collect();
    assert_eq!(words, ["two"]);
    assert_eq!(chunk.chunk_id, 2);
}

#[test]
fn a_cancelled_speech_ends_whether_or_not_a_server_is_there_to_be_told() {
    let mut rig = Rig::whole("One.");
    rig.connect(0.5);
    rig.started(1);
    rig.chunk(0, 100, 4);
    assert!(rig.core.command(Command::Cancel).is_empty());
    assert_eq!(types(&rig.asked()), ["cancel"]);
    rig.chunk(100, 50, 4);
    rig.says(json!({"type":"cancelled","request_id":"speech","chunks_sent":2,"end_sample":150}));
    assert!(matches!(
        rig.core.output(),
        Some(End::Cancelled {
            end_sample: 150,
            last: Some(_),
            ..
        })
    ));

    let mut rig = Rig::whole("One.");
    rig.connect(0.5);
    rig.core.command(Command::Cancel);
    rig.asked();
    rig.breaks();
    assert!(matches!(
        rig.core.output(),
        Some(End::Cancelled {
            end_sample: 0,
            last: None,
            ..
        })
    ));

    let mut rig = Rig::whole("One.");
    let events = rig.core.command(Command::Cancel);
    assert!(
        matches!(&events[..], [Event::End(End::Cancelled { .. })]),
        "nobody was asked yet"
    );
}

#[test]
fn what_a_request_cannot_be_is_final_and_what_a_server_cannot_do_now_is_not() {
    let error = |code: &str| {
        json!({"type":"error","code":code,"message":"m","recoverable":true,"request_id":"speech"})
            .to_string()
    };
    let mut rig = Rig::whole("One.");
    rig.connect(0.5);
    for (code, is_final) in [
        ("UNKNOWN_VOICE", true),
        ("SYNTHESIS_FAILED", true),
        ("TIMEOUT", true),
        ("DRAINING", false),
        ("OVERLOADED", false),
    ] {
        let why = rig.core.on_text(&error(code)).unwrap_err();
        assert_eq!(why.as_final().is_some(), is_final, "{code}");
    }
}
