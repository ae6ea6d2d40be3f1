//! Promise: what is kept and what is too long is the same at every edge, because they share it.

use std::time::Duration;

use e2e::http::{Answer, post};
use e2e::listening::{Listener, Told};
use e2e::{Tts, run};
use serde_json::{Value, json};
use tts::models::scripted::Script;
use wire::tts::ServerMessage;

const TEXT: &str = "Hello there, how are you today? I am very well, thank you.";

async fn synthesize(tts: &Tts, body: &Value) -> Answer {
    post(
        &tts.url("/v1/synthesize"),
        "application/json",
        body.to_string(),
    )
    .await
}

/// A server whose models take their time and that keeps what they made.
fn keeping() -> Tts {
    let script = Script {
        step_delay: Duration::from_millis(5),
        ..Script::default()
    };
    Tts::scripted(script, |raw| raw.cache.max_bytes = 10_000_000)
}

async fn asked_of_the_cache(tts: &Tts) -> (f64, f64) {
    let told = async |outcome| {
        tts.metric(&format!("tts_cache_total{{outcome=\"{outcome}\"}}"))
            .await
    };
    (told("hit").await, told("miss").await)
}

#[test]
fn what_was_said_before_is_said_again_without_the_models() {
    let tts = keeping();
    run(async {
        let asked = json!({"text": TEXT, "format": "pcm"});
        let first = synthesize(&tts, &asked).await.body;
        let audio = tts.metric("tts_audio_seconds_total").await;
        assert!(0.0 < audio);
        let (_, n_sentences) = asked_of_the_cache(&tts).await;
        let again = synthesize(&tts, &asked).await;
        assert_eq!(first, again.body);
        // The seed that is told is the one that made it.
        assert_eq!(again.header("x-seed"), Some("0"));
        // In another form it is the same speech.
        let slower = json!({"text": TEXT, "format": "pcm", "sample_rate": 8_000});
        assert_eq!(synthesize(&tts, &slower).await.body.len(), first.len() / 3);
        let computed = tts.metric("tts_audio_seconds_total").await - audio;
        assert!(computed.abs() < 1e-9, "computed again: {computed}");
        // Said otherwise it is not.
        for other in [
            json!({"text": TEXT, "format": "pcm", "exaggeration": 0.9}),
            json!({"text": TEXT, "format": "pcm", "seed": 5, "temperature": 0.7}),
        ] {
            synthesize(&tts, &other).await;
        }
        assert_eq!(
            asked_of_the_cache(&tts).await,
            (2.0 * n_sentences, 3.0 * n_sentences)
        );
        assert!(0.0 < tts.metric("tts_cache_bytes").await);
    });
}

/// The text in pieces, as a language model writes it.
async fn in_pieces(client: &mut Listener, id: &str) -> Told {
    for piece in TEXT.split_inclusive(' ') {
        client
            .ask(json!({"type":"text","request_id":id,"text":piece}))
            .await;
    }
    client.ask(json!({"type":"end","request_id":id})).await;
    client.ended(id).await
}

#[test]
fn what_one_edge_kept_the_other_says() {
    let tts = keeping();
    run(async {
        let mut client = Listener::connect(tts.address, "").await;
        let first = client.hear("first", TEXT, json!({})).await;
        let audio = tts.metric("tts_audio_seconds_total").await;
        assert!(0.0 < audio);
        let again = client.hear("again", TEXT, json!({})).await;
        let pieces = in_pieces(&mut client, "pieces").await;
        let bytes = synthesize(&tts, &json!({"text": TEXT, "format": "pcm"})).await;
        assert_eq!(again.audio, first.audio);
        assert_eq!(again.words(), first.words());
        assert_eq!(pieces.audio, first.audio);
        assert_eq!(bytes.body, first.audio);
        let computed = tts.metric("tts_audio_seconds_total").await - audio;
        assert!(computed.abs() < 1e-9, "computed again: {computed}");
        // Among what is new it is heard in its place.
        let mixed = format!("This is what is new about it. {TEXT} And this was never said.");
        let told = client.hear("mixed", &mixed, json!({})).await;
        assert_eq!(told.words(), mixed.split(' ').collect::<Vec<_>>());
        // Who goes on where he was cut off hears the rest of the same.
        let seed = again.started.unwrap().seed;
        let resumed = json!({"seed": seed, "skip_samples": 20_000});
        let resumed = client.hear("resumed", TEXT, resumed).await;
        assert_eq!(resumed.audio, first.audio[2 * 20_000..]);
    });
}

#[test]
fn what_was_broken_off_is_not_kept() {
    let script = Script {
        step_delay: Duration::from_millis(50),
        ..Script::default()
    };
    let tts = Tts::scripted(script, |raw| raw.cache.max_bytes = 10_000_000);
    run(async {
        let mut client = Listener::connect(tts.address, "").await;
        let long = "This takes many seconds until the very last of its words has been made of all its tokens.";
        client.synthesize("cut", long, json!({})).await;
        client
            .until(|it| matches!(it, ServerMessage::AudioChunk(_)))
            .await;
        client
            .ask(json!({"type":"cancel","request_id":"cut"}))
            .await;
        client.ended("cut").await;
        assert!(tts.metric("tts_cache_bytes").await.abs() < 0.5);
        client.hear("whole", "Hello there.", json!({})).await;
        assert!(0.0 < tts.metric("tts_cache_bytes").await);
    });
}

#[test]
fn speech_is_no_longer_than_one_request_may_have() {
    let tts = Tts::scripted(Script::default(), |raw| {
        raw.speech.max_seconds = 2;
        raw.cache.max_bytes = 10_000_000;
    });
    run(async {
        // The second time some of it may have been kept.
        for _ in 0..2 {
            let answer = synthesize(&tts, &json!({"text": TEXT, "format": "base64"})).await;
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (413, "TEXT_TOO_LONG"),
                "{}",
                answer.text()
            );
        }
        let mut client = Listener::connect(tts.address, "").await;
        for n in 0..2 {
            let whole = client.hear(&format!("whole{n}"), TEXT, json!({})).await;
            let pieces = in_pieces(&mut client, &format!("pieces{n}")).await;
            for told in [whole, pieces] {
                match &told.end {
                    Some(ServerMessage::Error(error)) => {
                        assert_eq!(error.code.as_str(), "TEXT_TOO_LONG", "{}", error.message);
                        assert!(error.recoverable);
                    }
                    other => panic!("{other:?}"),
                }
                assert!(told.audio.len() <= 2 * 2 * 24_000, "{}", told.audio.len());
            }
        }
        // That was the request's fault; the next may be as long again.
        let answer = synthesize(&tts, &json!({"text": "Short enough."})).await;
        assert_eq!(answer.status, 200);
        client
            .hear("short", "Short enough.", json!({}))
            .await
            .complete();
    });
}

#[test]
fn an_answer_that_is_kept_as_a_whole_is_no_longer_at_its_own_speed() {
    // Four or five seconds of speech, eight or ten at half the speed.
    let tts = Tts::scripted(Script::default(), |raw| raw.speech.max_seconds = 7);
    run(async {
        let asked = |streaming: bool, speed: f64| json!({"text": TEXT, "format": "pcm", "streaming": streaming, "speed": speed});
        let plain = synthesize(&tts, &asked(false, 1.0)).await;
        assert_eq!(plain.status, 200, "{}", plain.text());
        let seconds = plain.body.len() as f64 / 48_000.0;
        assert!((3.6..7.0).contains(&seconds), "{seconds} s");
        let slow = synthesize(&tts, &asked(false, 0.5)).await;
        assert_eq!(
            (slow.status, slow.code().as_str()),
            (413, "TEXT_TOO_LONG"),
            "{}",
            slow.text()
        );
        // What is given as it is made is kept by nobody.
        let streamed = synthesize(&tts, &asked(true, 0.5)).await;
        assert_eq!(streamed.status, 200);
        assert!(7 * 48_000 < streamed.body.len());
        let failed = tts
            .metric("tts_utterances_total{edge=\"rest\",outcome=\"failed\"}")
            .await;
        assert!((failed - 1.0).abs() < f64::EPSILON, "{failed}");
    });
}

#[test]
fn at_another_speed_both_edges_say_the_same_and_pause_as_long() {
    let text = "This is one sentence of the text. This is another sentence of it. And this is the third one of all.";
    run(async {
        let mut lengths = Vec::new();
        for pause_ms in [0, 1_000] {
            let tts = Tts::scripted(Script::default(), |raw| {
                raw.text.sentence_pause_ms = pause_ms;
            });
            let mut client = Listener::connect(tts.address, "").await;
            let told = client.hear("r", text, json!({"speed": 0.5})).await;
            let asked = json!({"text": text, "format": "pcm", "speed": 0.5});
            let answer = synthesize(&tts, &asked).await;
            let n_samples = answer.body.len() as u64 / 2;
            assert_eq!(n_samples, told.complete().total_samples, "{pause_ms} ms");
            lengths.push(n_samples);
        }
        assert_eq!(lengths[1] - lengths[0], 2 * 24_000, "{lengths:?}");
    });
}
