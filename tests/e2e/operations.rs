//! What operators and programs ask of a service: health, readiness, metrics, its documents, its models.

use std::collections::BTreeSet;

use e2e::http::{client, get, post, send, upload};
use e2e::speech::{self, READ_WELL};
use e2e::stream::Client;
use e2e::{Asr, run};
use serde_json::{Value, json};

#[test]
fn it_says_how_it_is() {
    let asr = Asr::shared();
    run(async {
        for path in ["/healthz", "/livez", "/readyz", "/health", "/version"] {
            let answer = get(&asr.url(path)).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        }
        let health = get(&asr.url("/health")).await.json();
        for (key, wanted) in [
            ("status", json!("ok")),
            ("model", json!("demo")),
            ("device", json!("cpu")),
            ("draining", json!(false)),
        ] {
            assert_eq!(health[key], wanted, "{health}");
        }
        for key in [
            "version",
            "uptime_s",
            "connections",
            "max_connections",
            "queue_depth",
            "instance",
        ] {
            assert!(health.get(key).is_some(), "{key}: {health}");
        }
    });
}

#[test]
fn models_are_listed_with_their_other_names() {
    let asr = Asr::shared();
    run(async {
        let list = get(&asr.url("/v1/models")).await.json();
        assert_eq!(list["object"], "list");
        let ids: Vec<&str> = list["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["id"].as_str().unwrap())
            .collect();
        assert!(
            ids.contains(&"demo") && ids.contains(&"whisper-1"),
            "{ids:?}"
        );
        for id in ids {
            assert_eq!(
                get(&asr.url(&format!("/v1/models/{id}"))).await.json()["id"],
                id
            );
        }
        let unknown = get(&asr.url("/v1/models/large-v9")).await;
        assert_eq!(
            (unknown.status, unknown.code().as_str()),
            (404, "model_not_found"),
            "as OpenAI spells it"
        );
    });
}

#[test]
fn every_answer_carries_a_request_id_and_a_valid_one_of_the_client_is_kept() {
    let asr = Asr::shared();
    run(async {
        for path in ["/health", "/v1/models", "/nowhere"] {
            let answer = get(&asr.url(path)).await;
            assert!(
                answer
                    .header("x-request-id")
                    .is_some_and(|it| !it.is_empty()),
                "{path}"
            );
        }
        let own = send(
            client()
                .get(asr.url("/health"))
                .header("x-request-id", "call-42"),
        )
        .await;
        assert_eq!(own.header("x-request-id"), Some("call-42"));
        let foul = send(
            client()
                .get(asr.url("/health"))
                .header("x-request-id", "a b\tc"),
        )
        .await;
        assert_ne!(foul.header("x-request-id"), Some("a b\tc"));
    });
}

#[test]
fn what_is_nowhere_and_what_is_meant_otherwise_is_told_apart() {
    let asr = Asr::shared();
    run(async {
        let nowhere = get(&asr.url("/v1/transcribee")).await;
        assert_eq!(
            (nowhere.status, nowhere.code().as_str()),
            (404, "NOT_FOUND")
        );
        let method = get(&asr.url("/v1/transcribe")).await;
        assert_eq!(
            (method.status, method.code().as_str()),
            (405, "METHOD_NOT_ALLOWED")
        );
        let plain = get(&asr.url("/v1/stream/asr")).await;
        assert_eq!(
            (plain.status, plain.code().as_str()),
            (400, "INVALID_REQUEST")
        );
        assert!(plain.text().contains("WebSocket"), "{}", plain.text());
    });
}

/// `method path` of everything in the document.
fn documented(document: &Value) -> BTreeSet<(String, String)> {
    let paths = document["paths"].as_object().unwrap();
    let methods = |(path, it): (&String, &Value)| -> Vec<(String, String)> {
        it.as_object()
            .unwrap()
            .keys()
            .map(|method| (method.clone(), path.clone()))
            .collect()
    };
    paths.iter().flat_map(methods).collect()
}

#[test]
fn the_document_is_true_every_route_in_it_answers() {
    let asr = Asr::shared();
    run(async {
        let document = get(&asr.url("/openapi.json")).await.json();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
        let routes = documented(&document);
        assert!(routes.len() >= 15, "{routes:?}");
        for (method, path) in &routes {
            let path = path.replace("{id}", "demo");
            let url = asr.url(&path);
            let answer = if method == "get" {
                get(&url).await
            } else {
                post(&url, "text/x-none", "").await
            };
            assert!(
                ![404, 405].contains(&answer.status),
                "{method} {path}: {}",
                answer.text()
            );
        }
        let page = get(&asr.url("/docs")).await;
        assert_eq!(
            page.header("content-type"),
            Some("text/html; charset=utf-8")
        );
        for (_, path) in &routes {
            assert!(
                page.text().contains(path.as_str()),
                "{path} is not on the page"
            );
        }
    });
}

/// The lines of a metric: its labels and its value.
fn values(text: &str, name: &str) -> Vec<(String, f64)> {
    let line = |line: &str| {
        let rest = line
            .strip_prefix(name)
            .filter(|it| it.starts_with(['{', ' ']))?;
        let (labels, value) = rest.rsplit_once(' ')?;
        Some((labels.to_owned(), value.parse().ok()?))
    };
    text.lines().filter_map(line).collect()
}

#[test]
fn metrics_count_what_happened_and_no_label_is_an_id() {
    let asr = Asr::real(|_| {});
    let (name, text) = READ_WELL[0];
    run(async {
        let seconds = speech::samples(name).len() as f64 / 16_000.0;
        assert_eq!(
            upload(&asr.url("/v1/transcribe"), &speech::file(name), &[])
                .await
                .status,
            200
        );
        assert_eq!(
            upload(&asr.url("/v1/transcribe"), b"nonsense", &[])
                .await
                .status,
            415
        );
        let mut client = Client::connect(&asr, "").await;
        client
            .frames(
                &speech::bytes(&[speech::samples(name), speech::silence(1.0)].concat()),
                3_200,
            )
            .await;
        client.finish().await;
        assert_eq!(client.finals(), [text]);
        let ended = async || loop {
            let metrics = get(&asr.url("/metrics")).await.text();
            // The session ends a moment after its client has heard of it.
            if values(&metrics, "asr_connections") == [(String::new(), 0.0)] {
                return metrics;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        };
        let metrics = tokio::time::timeout(std::time::Duration::from_secs(10), ended())
            .await
            .unwrap();
        let audio = values(&metrics, "asr_audio_seconds_total");
        let of = |kind: &str| {
            audio
                .iter()
                .find(|(labels, _)| labels.contains(kind))
                .unwrap()
                .1
        };
        assert!((of("file") - seconds).abs() < 0.01, "{audio:?}");
        assert!((of("stream") - seconds - 1.0).abs() < 0.01, "{audio:?}");
        let requests = values(&metrics, "asr_requests_total");
        let counted = |route: &str, status: &str| {
            requests
                .iter()
                .any(|(labels, n)| labels.contains(route) && labels.contains(status) && *n > 0.0)
        };
        assert!(
            counted("/v1/transcribe", "200") && counted("/v1/transcribe", "415"),
            "{requests:?}"
        );
        assert!(
            values(&metrics, "asr_rejected_total")
                .iter()
                .any(|(labels, n)| labels.contains("invalid_audio") && *n > 0.0)
        );
        for histogram in [
            "asr_final_latency_seconds",
            "asr_queue_wait_seconds",
            "asr_batch_size",
            "asr_inference_seconds",
        ] {
            let n: f64 = values(&metrics, &format!("{histogram}_count"))
                .iter()
                .map(|it| it.1)
                .sum();
            assert!(n >= 1.0, "{histogram}");
        }
        for gauge in [
            "asr_queue_depth",
            "asr_draining",
            "process_resident_memory_bytes",
        ] {
            assert!(!values(&metrics, gauge).is_empty(), "{gauge}");
        }
        for line in metrics.lines().filter(|it| !it.starts_with('#')) {
            let name = line.split(['{', ' ']).next().unwrap();
            assert!(
                ["asr_", "process_", "gpu_", "build_info"]
                    .iter()
                    .any(|it| name.starts_with(it)),
                "{line}"
            );
            // A uuid, a key, a user's words: anything long is suspect.
            let labels = line.split_once('{').map_or("", |it| it.1);
            assert!(labels.split('"').all(|it| it.len() < 48), "{line}");
        }
    });
}
