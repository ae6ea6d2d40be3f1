//! What is shipped beside the programs says what is true of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use asr::Sources;
use asr::settings::Raw;
use e2e::http::get;
use e2e::{Asr, run};
use serde_json::Value;
use wire::error::ErrorCode;

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

#[test]
fn the_shipped_settings_are_the_built_in_ones_and_every_key_is_there() {
    let file = repository("config/asr.yaml");
    let loaded = Raw::load(&Sources {
        file: Some(file.clone()),
        ..Sources::default()
    });
    loaded.check(Raw::check).unwrap();
    let defaults = serde_json::to_value(Raw::defaults()).unwrap();
    assert_eq!(serde_json::to_value(loaded.raw()).unwrap(), defaults);
    let text = fs::read_to_string(file).unwrap();
    let mut missing = Vec::new();
    for (section, keys) in defaults.as_object().unwrap() {
        let names: Vec<&String> = keys
            .as_object()
            .map(|it| it.keys().collect())
            .unwrap_or_default();
        for key in names.into_iter().chain([section]) {
            let given = format!("{key}:");
            let mut lines = text.lines().map(str::trim_start);
            if !lines.any(|it| it.starts_with(&given)) {
                missing.push(format!("{section}.{key}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_time_limit_leaves_room_for_the_ones_within_it() {
    let raw = Raw::defaults();
    let server = &raw.server;
    assert!(
        2 * server.ping_interval_ms < server.idle_timeout_ms,
        "a dead peer is noticed before an idle one"
    );
    assert!(
        server.header_timeout_ms < server.body_timeout_ms
            && server.body_timeout_ms < server.request_timeout_ms
    );
    assert!(server.slow_reader_ms < server.idle_timeout_ms);
    assert!(raw.files.url_timeout_ms < server.request_timeout_ms);
    assert!(
        raw.vad.max_stop_ms < raw.stream.max_buffer_ms
            && raw.vad.max_piece_ms < raw.stream.max_buffer_ms
    );
    assert!(raw.stream.partial_interval_ms <= raw.stream.max_partial_interval_ms);
    assert!(
        raw.stream.progress_interval_ms <= 2_000,
        "clients are promised one every two seconds"
    );
    assert!(server.close_timeout_ms < raw.drain.deadline_ms);
}

/// Every `GET /path` and `POST /path` in a text.
fn routes(text: &str) -> BTreeSet<(String, String)> {
    let mut routes = BTreeSet::new();
    for method in ["GET", "POST", "PUT", "DELETE"] {
        for part in text.split(&format!("{method} /")).skip(1) {
            let path: String = part
                .chars()
                .take_while(|it| it.is_ascii_alphanumeric() || "/_-.{}".contains(*it))
                .collect();
            routes.insert((
                method.to_lowercase(),
                format!("/{}", path.trim_end_matches('.')),
            ));
        }
    }
    routes
}

/// The page of the protocols without the sections about one of the servers.
fn page_without(sections: &str) -> String {
    let page = fs::read_to_string(repository("docs/PROTOCOL.md")).unwrap();
    let (whole, left): (Vec<&str>, Vec<&str>) =
        page.split("\n## ").partition(|it| it.starts_with(sections));
    assert!(!whole.is_empty(), "no section is named {sections}");
    left.join("\n## ")
}

#[test]
fn the_protocol_s_page_names_every_route_and_only_routes() {
    let page = page_without("Speaking: ");
    let document: Value = run(async { get(&Asr::shared().url("/openapi.json")).await.json() });
    let served: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, it)| {
            it.as_object()
                .unwrap()
                .keys()
                .map(|method| (method.clone(), path.clone()))
        })
        .collect();
    let told = routes(&page);
    let unknown: Vec<_> = told.difference(&served).collect();
    assert!(
        unknown.is_empty(),
        "the page names what is not served: {unknown:?}"
    );
    // The page may name a path in a list without its method.
    let missing: Vec<_> = served
        .iter()
        .filter(|(_, path)| !page.contains(path.as_str()))
        .collect();
    assert!(missing.is_empty(), "the page does not name: {missing:?}");
}

#[test]
fn the_protocol_s_page_names_every_message_key_and_code() {
    let page = fs::read_to_string(repository("docs/PROTOCOL.md")).unwrap();
    let messages = [
        "ready",
        "speech_start",
        "partial",
        "speech_end",
        "final",
        "turn_end",
        "progress",
        "finalized",
        "reset_done",
        "draining",
        "error",
        "closed",
    ];
    let asked = ["config", "finalize", "reset", "keepalive", "close"];
    let keys = [
        "encoding",
        "sample_rate",
        "channels",
        "language",
        "task",
        "model",
        "prompt",
        "hotwords",
        "beam_size",
        "temperature",
        "partials",
        "partial_interval_ms",
        "enable_timestamps",
        "vad",
        "vad_threshold",
        "final_on",
        "start_sample",
        "stop_secs",
        "max_stop_secs",
    ];
    let codes = ErrorCode::ALL.map(|it| format!("`{it}`"));
    let names = messages.iter().chain(&asked).chain(&keys).copied();
    let missing: Vec<&str> = names
        .chain(codes.iter().map(String::as_str))
        .filter(|it| !page.contains(it))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
