//! Promise: where speech is marked, all of it is, at every edge; what cannot be marked is not sent.

use std::path::{Path, PathBuf};

use e2e::http::{get, post};
use e2e::listening::Listener;
use e2e::{Tts, run};
use serde_json::json;
use tts::models::scripted::Script;
use wire::tts::ServerMessage;

const TEXT: &str = "Hello there, how are you today? I am very well, thank you.";
const EXACT: &str = "pcm_f32le";

fn graph(name: &str) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tts-watermark");
    fixtures.join(format!("{name}.onnx"))
}

fn marking(name: &str) -> Tts {
    let graph = graph(name);
    Tts::scripted(Script::default(), move |raw| {
        raw.speech.watermark = Some(graph);
        raw.cache.max_bytes = 10_000_000;
    })
}

async fn synthesize(tts: &Tts) -> Vec<u8> {
    let asked = json!({"text": TEXT, "format": "pcm", "encoding": EXACT}).to_string();
    let answer = post(&tts.url("/v1/synthesize"), "application/json", asked).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.body.to_vec()
}

/// Speech with the mark that leaves 99 % of everything, against speech without one.
#[track_caller]
fn check_marked(marked: &[u8], plain: &[u8]) {
    let samples = |bytes: &[u8]| -> Vec<f32> {
        let each = bytes.chunks_exact(4);
        each.map(|it| f32::from_le_bytes(it.try_into().unwrap()))
            .collect()
    };
    let (marked, plain) = (samples(marked), samples(plain));
    assert_eq!(marked.len(), plain.len());
    assert!(plain.iter().any(|it| 0.2 < it.abs()), "nothing is said");
    for (at, (marked, plain)) in marked.iter().zip(&plain).enumerate() {
        assert!(
            (marked - 0.99 * plain).abs() < 1e-5,
            "sample {at}: {marked} of {plain}"
        );
    }
}

#[test]
fn all_speech_is_marked_whichever_way_it_goes() {
    let without = Tts::scripted(Script::default(), |_| {});
    let with = marking("flat");
    run(async {
        let plain = synthesize(&without).await;
        check_marked(&synthesize(&with).await, &plain);
        // From the cache, once and not twice.
        check_marked(&synthesize(&with).await, &plain);
        let exact = json!({"encoding": EXACT, "seed": 7});
        let mut client = Listener::connect(with.address, "").await;
        for id in ["made", "kept"] {
            let told = client.hear(id, TEXT, exact.clone()).await;
            told.complete();
            check_marked(&told.audio, &plain);
        }
        for (tts, is_on) in [(&with, true), (&without, false)] {
            let models = get(&tts.url("/v1/models")).await.json();
            assert_eq!(models["data"][0]["watermark"], is_on, "{models}");
        }
        let calls = "tts_inference_seconds_count{stage=\"watermark\"}";
        assert!(0.0 < with.metric(calls).await);
    });
}

#[test]
fn what_cannot_be_marked_is_not_sent() {
    // Its graph answers nonsense about anything as loud as the hum.
    let tts = marking("fragile");
    run(async {
        for streaming in [true, false] {
            let asked = json!({"text": TEXT, "format": "pcm", "streaming": streaming}).to_string();
            let answer = post(&tts.url("/v1/synthesize"), "application/json", asked).await;
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (500, "SYNTHESIS_FAILED"),
                "{}",
                answer.text()
            );
        }
        let mut client = Listener::connect(tts.address, "").await;
        for id in ["first", "second"] {
            let told = client.hear(id, TEXT, json!({})).await;
            match &told.end {
                Some(ServerMessage::Error(error)) => {
                    assert_eq!(error.code.as_str(), "SYNTHESIS_FAILED");
                    assert!(error.message.contains("watermark"), "{}", error.message);
                }
                other => panic!("{other:?}"),
            }
            assert!(told.audio.is_empty(), "{} bytes", told.audio.len());
        }
        assert!(tts.metric("tts_cache_bytes").await.abs() < 0.5);
    });
}
