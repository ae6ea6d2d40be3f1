//! The description of this service for programs (`/openapi.json`) and for people (`/docs`), made from the table of routes.
//!
//! Invariants:
//! - Every route and only routes are in it, because it is made from [`TABLE`].

use chassis::openapi::{self, About, json_of};
use chassis::routes::Endpoint;
use serde_json::{Value, json};

use crate::routes::{Shape, TABLE};

const ABOUT: About = About {
    title: "Speech recognition",
    version: env!("CARGO_PKG_VERSION"),
    description: "Speech in, text out: live over a WebSocket, or files over HTTP. docs/PROTOCOL.md tells the whole story.",
    example: "curl -F file=@speech.wav http://localhost:8001/v1/transcribe",
};

/// The OpenAPI 3.1 document.
pub fn document() -> Value {
    openapi::document(&ABOUT, TABLE, operation, schemas())
}

/// The same for people.
pub fn page() -> String {
    openapi::page(&ABOUT, &document())
}

fn operation(endpoint: &Endpoint<Shape>) -> Value {
    let mut operation = json!({
        "summary": endpoint.summary,
        "tags": [tag(endpoint.shape)],
        "responses": responses(endpoint.shape),
    });
    let (parameters, body) = request(endpoint.shape);
    if let Some(fields) = operation.as_object_mut() {
        if !parameters.is_empty() {
            fields.insert("parameters".to_owned(), parameters.into());
        }
        if let Some(body) = body {
            fields.insert(
                "requestBody".to_owned(),
                json!({"required": true, "content": body}),
            );
        }
    }
    operation
}

fn tag(shape: Shape) -> &'static str {
    match shape {
        Shape::Stream => "streaming",
        Shape::Transcribe | Shape::Detect => "files",
        Shape::OpenAi | Shape::Models | Shape::Model => "openai",
        Shape::Document | Shape::Page => "operations",
    }
}

fn request(shape: Shape) -> (Vec<Value>, Option<Value>) {
    let form = json_of;
    match shape {
        Shape::Stream => (properties_as_query("StreamConfig"), None),
        Shape::Transcribe | Shape::Detect => {
            let raw = json!({"schema": {"type": "string", "format": "binary"}});
            let body = json!({
                "multipart/form-data": form("TranscribeForm"),
                "application/json": form("TranscribeJson"),
                "audio/*": raw,
            });
            // Where the body is the audio itself.
            (properties_as_query("TranscribeOptions"), Some(body))
        }
        Shape::OpenAi => (
            Vec::new(),
            Some(json!({"multipart/form-data": form("OpenAiForm")})),
        ),
        Shape::Model => (
            vec![
                json!({"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}),
            ],
            None,
        ),
        Shape::Models | Shape::Document | Shape::Page => (Vec::new(), None),
    }
}

fn properties_as_query(schema: &str) -> Vec<Value> {
    let all = schemas();
    let properties = all
        .pointer(&format!("/{schema}/properties"))
        .and_then(Value::as_object)
        .cloned();
    let query =
        |(name, schema): (String, Value)| json!({"name": name, "in": "query", "schema": schema});
    properties
        .unwrap_or_default()
        .into_iter()
        .map(query)
        .collect()
}

fn responses(shape: Shape) -> Value {
    let (status, description, content) = match shape {
        Shape::Stream => (
            "101",
            "The WebSocket is open; messages as in docs/PROTOCOL.md.",
            json!({}),
        ),
        Shape::Transcribe => (
            "200",
            "The transcript, in the form asked for.",
            json!({
                "application/json": json_of("Transcription"),
                "text/plain": {"schema": {"type": "string"}},
                "text/vtt": {"schema": {"type": "string"}},
                "text/event-stream": {"schema": {"type": "string"}},
            }),
        ),
        Shape::OpenAi => (
            "200",
            "The transcript, in the form asked for.",
            json!({
                "application/json": {"schema": {"type": "object", "properties": {"text": {"type": "string"}}}},
                "text/plain": {"schema": {"type": "string"}},
                "text/vtt": {"schema": {"type": "string"}},
                "text/event-stream": {"schema": {"type": "string"}},
            }),
        ),
        Shape::Detect => (
            "200",
            "The speech that was found.",
            json!({"application/json": json_of("Detection")}),
        ),
        Shape::Models | Shape::Model | Shape::Document => (
            "200",
            "As the summary says.",
            json!({"application/json": {"schema": {"type": "object"}}}),
        ),
        Shape::Page => (
            "200",
            "A page.",
            json!({"text/html": {"schema": {"type": "string"}}}),
        ),
    };
    openapi::responses(status, description, content)
}

fn schemas() -> Value {
    let text = json!({"type": "string"});
    let flag = json!({"type": "boolean"});
    let number = json!({"type": "number"});
    let whole = json!({"type": "integer", "minimum": 0});
    let probability = json!({"type": "number", "minimum": 0, "maximum": 1});
    let encoding = json!({"enum": ["pcm_s16le", "pcm_f32le", "mulaw", "alaw", "ogg_opus"]});
    let task = json!({"enum": ["transcribe", "translate"]});
    let format = json!({"enum": ["json", "verbose_json", "text", "srt", "vtt"]});
    let file = json!({"type": "string", "format": "binary"});
    let base64 = json!({"type": "string", "contentEncoding": "base64"});
    let url = json!({"type": "string", "format": "uri"});
    let texts = json!({"type": "array", "items": text});
    let beam_size = json!({"type": "integer", "minimum": 1, "maximum": 16});
    let options = json!({
        "model": text, "language": text, "timestamps": flag, "task": task, "prompt": text, "hotwords": text,
        "beam_size": beam_size, "temperature": probability, "vad": flag,
        "response_format": format, "stream": flag, "encoding": encoding, "sample_rate": whole, "channels": whole,
    });
    let with = |more: Value| {
        let mut properties = options.as_object().cloned().unwrap_or_default();
        properties.extend(more.as_object().cloned().unwrap_or_default());
        json!({"type": "object", "additionalProperties": false, "properties": properties})
    };
    let word = json!({"type": "object", "properties": {"word": text, "start": number, "end": number, "probability": probability}});
    let segment = json!({"type": "object", "properties": {
        "id": whole, "start": number, "end": number, "text": text, "avg_logprob": number, "no_speech_prob": probability,
        "compression_ratio": number, "words": {"type": "array", "items": word},
    }});
    let speech = json!({"type": "object", "properties": {"start": number, "end": number, "confidence": probability}});
    json!({
        "StreamConfig": {"type": "object", "properties": {
            "encoding": encoding, "sample_rate": {"type": "integer", "minimum": 8000, "maximum": 48000},
            "channels": {"type": "integer", "minimum": 1, "maximum": 2}, "language": text, "task": task, "model": text,
            "prompt": text, "hotwords": text, "beam_size": beam_size,
            "temperature": probability, "partials": flag, "partial_interval_ms": whole, "enable_timestamps": flag,
            "vad": {"type": "object"}, "vad_threshold": probability, "final_on": {"enum": ["turn_end", "vad_stop"]},
            "start_sample": whole,
        }},
        "TranscribeOptions": with(json!({})),
        "TranscribeForm": with(json!({"file": file, "audio_file": file, "audio": base64, "audio_url": url})),
        "TranscribeJson": with(json!({"audio": base64, "audio_url": url})),
        "OpenAiForm": {"type": "object", "required": ["file"], "properties": {
            "file": file, "model": text, "language": text, "languages[]": texts, "prompt": text, "hotwords": text, "keywords[]": texts,
            "response_format": format, "temperature": probability,
            "timestamp_granularities[]": {"type": "array", "items": {"enum": ["word", "segment"]}}, "stream": flag,
            "vad": flag, "beam_size": beam_size,
            "chunking_strategy": {"type": "string", "description": "`auto`, or a `server_vad` object; this server always cuts at pauses."},
        }},
        "Transcription": {"type": "object", "properties": {
            "text": text, "segments": {"type": "array", "items": segment}, "language": text,
            "language_probability": probability, "duration": number,
        }},
        "Detection": {"type": "object", "properties": {
            "speech": flag, "segments": {"type": "array", "items": speech}, "turn_end_probability": probability,
            "duration": number, "sample_rate": whole,
        }},
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use wire::error::ErrorCode;

    use super::*;
    use crate::dialect::openai_rest;

    #[test]
    fn the_document_holds_every_route_and_nothing_else() {
        let document = document();
        let mut told: Vec<String> = document["paths"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect();
        let mut routes: Vec<String> = TABLE.iter().map(|it| openapi::plain(it.path)).collect();
        routes.extend(chassis::admin::PATHS.map(str::to_owned));
        told.sort();
        routes.sort();
        assert_eq!(told, routes);
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document();
        let text = document.to_string();
        for reference in text
            .split("\"#")
            .skip(1)
            .filter_map(|it| it.split('"').next())
        {
            assert!(document.pointer(reference).is_some(), "{reference}");
        }
    }

    #[test]
    fn the_keys_of_a_stream_are_those_that_are_read() {
        let all = wire::asr::StreamConfig::from_pairs([("no_such_key", "1")])
            .unwrap_err()
            .to_string();
        for key in schemas()["StreamConfig"]["properties"]
            .as_object()
            .unwrap()
            .keys()
        {
            assert!(
                all.contains(&format!("`{key}`")),
                "{key} is not among: {all}"
            );
        }
    }

    #[test]
    fn the_fields_of_a_file_are_those_that_are_read() {
        let keys = |schema: &str| -> BTreeSet<String> {
            let schemas = schemas();
            let properties = schemas[schema]["properties"].as_object();
            properties.unwrap().keys().cloned().collect()
        };
        let refused = wire::asr::TranscribeRequest::from_pairs([("no_such_key", "1")]).unwrap_err();
        let named = refused.to_string();
        let read: BTreeSet<String> = named
            .split('`')
            .skip(3)
            .step_by(2)
            .map(str::to_owned)
            .collect();
        assert_eq!(keys("TranscribeJson"), read);
        let files = ["file", "audio_file"].map(str::to_owned);
        let form: BTreeSet<String> = keys("TranscribeForm")
            .into_iter()
            .filter(|it| !files.contains(it))
            .collect();
        assert_eq!(form, read);
        for key in keys("OpenAiForm").into_iter().filter(|it| it != "file") {
            let read = openai_rest::Request::from_fields(&[(key.clone(), "1".to_owned())]);
            let is_unknown = read.is_err_and(|it| it.code() == ErrorCode::UnknownField);
            assert!(!is_unknown, "{key}");
        }
        // A body that is audio has the rest in its address.
        let parameters = document()["paths"]["/v1/transcribe"]["post"]["parameters"].clone();
        let names: BTreeSet<String> = parameters
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["name"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(names, keys("TranscribeOptions"));
    }

    #[test]
    fn the_page_needs_nothing_from_elsewhere() {
        let page = page();
        assert!(
            !page.contains("src=") && !page.contains("https://"),
            "the page loads something"
        );
        for endpoint in TABLE {
            assert!(
                page.contains(&openapi::plain(endpoint.path)),
                "{} is not on the page",
                endpoint.path
            );
        }
    }
}
