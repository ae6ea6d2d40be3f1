//! The page of the protocols says what is true of the synthesiser.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use e2e::http::get;
use e2e::{Tts, run};
use serde_json::Value;
use wire::tts::SpeechOptions;
use wire::tts::rest::Format;

/// What the page says about the synthesiser and about every server.
fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/PROTOCOL.md");
    let page = fs::read_to_string(path).unwrap();
    let about = ["Common", "Speaking: ", "Errors", "Operations"];
    let sections = page
        .split("\n## ")
        .filter(|it| about.iter().any(|name| it.starts_with(name)));
    sections.collect::<Vec<_>>().join("\n## ")
}

#[test]
fn every_route_is_named_and_nothing_else() {
    let page = page();
    let document: Value = run(async { get(&Tts::shared().url("/openapi.json")).await.json() });
    let paths = document["paths"].as_object().unwrap();
    let missing: Vec<&String> = paths
        .keys()
        .filter(|it| !page.contains(it.as_str()))
        .collect();
    assert!(missing.is_empty(), "not on the page: {missing:?}");
    for method in ["GET", "POST", "DELETE"] {
        for named in page.split(&format!("{method} /")).skip(1) {
            let path: String = named
                .chars()
                .take_while(|it| it.is_ascii_alphanumeric() || "/_-.{}".contains(*it))
                .collect();
            let path = format!("/{}", path.trim_end_matches('.'));
            let served = &document["paths"][&path][method.to_lowercase()];
            assert!(served.is_object(), "{method} {path} is not served");
        }
    }
}

#[test]
fn every_message_option_and_format_is_named() {
    let page = page();
    let messages = [
        "synthesize",
        "text",
        "flush",
        "end",
        "cancel",
        "register_voice",
        "list_voices",
        "delete_voice",
        "keepalive",
        "close",
        "ready",
        "synthesis_started",
        "audio_chunk",
        "synthesis_complete",
        "cancelled",
        "voice_registered",
        "voice_deleted",
        "voice_list",
        "draining",
        "error",
        "closed",
    ];
    let is_named = |it: &str| page.contains(&format!("\"type\":\"{it}\""));
    let missing: Vec<&str> = messages.into_iter().filter(|it| !is_named(it)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    // Every field, so that none can be added without a word.
    let all = r#"{"voice_id":"a","language":"a","model":"a","streaming":true,"chunk_size":1,"encoding":"alaw","sample_rate":1,
        "exaggeration":1,"cfg_weight":1,"temperature":1,"top_p":1,"top_k":1,"min_p":1,"repetition_penalty":1,"seed":1,"speed":1}"#;
    let all: SpeechOptions = serde_json::from_str(all).unwrap();
    let fields = serde_json::to_value(all).unwrap();
    let fields: BTreeSet<String> = fields.as_object().unwrap().keys().cloned().collect();
    let formats = Format::ALL.map(|it| it.as_str().to_owned());
    for name in fields.into_iter().chain(formats) {
        assert!(page.contains(&format!("`{name}`")), "{name}");
    }
}
