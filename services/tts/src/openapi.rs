//! The description of this service for programs (`/openapi.json`) and for people (`/docs`), made from the table of routes.
//!
//! Invariants:
//! - Every route and only routes are in it, because it is made from [`TABLE`].

use chassis::openapi::{self, About, json_of};
use chassis::routes::Endpoint;
use serde_json::{Value, json};
use wire::tts::Format;

use crate::routes::{Shape, TABLE};
use crate::settings::ranges;

const ABOUT: About = About {
    title: "Speech synthesis",
    version: env!("CARGO_PKG_VERSION"),
    description: "Text in, speech out: live over a WebSocket, or over HTTP while it is spoken. docs/PROTOCOL.md tells the whole story.",
    example: "curl -d '{\"text\":\"Hello there.\"}' -H 'content-type: application/json' http://localhost:8002/v1/synthesize -o hello.wav",
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
    let shape = endpoint.shape;
    let mut operation = json!({
        "summary": endpoint.summary,
        "tags": [tag(shape)],
        "responses": responses(shape),
    });
    let parameters = parameters(shape);
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(content) = body(shape) {
        operation["requestBody"] = json!({"required": true, "content": content});
    }
    operation
}

fn tag(shape: Shape) -> &'static str {
    match shape {
        Shape::Stream => "streaming",
        Shape::Synthesize => "speech",
        Shape::Voices | Shape::Register | Shape::Voice | Shape::Delete => "voices",
        Shape::OpenAi | Shape::VoiceNames | Shape::Models | Shape::Model => "openai",
        Shape::Document | Shape::Page => "operations",
    }
}

fn parameters(shape: Shape) -> Vec<Value> {
    match shape {
        Shape::Stream => {
            let options = schemas()["SpeechOptions"]["properties"].clone();
            let query = |(name, schema): (&String, &Value)| json!({"name": name, "in": "query", "schema": schema});
            options
                .as_object()
                .into_iter()
                .flatten()
                .map(query)
                .collect()
        }
        Shape::Voice | Shape::Delete | Shape::Model => {
            vec![
                json!({"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}),
            ]
        }
        Shape::Synthesize
        | Shape::OpenAi
        | Shape::Voices
        | Shape::Register
        | Shape::VoiceNames
        | Shape::Models
        | Shape::Document
        | Shape::Page => Vec::new(),
    }
}

fn body(shape: Shape) -> Option<Value> {
    match shape {
        Shape::Synthesize => Some(json!({
            "application/json": json_of("SynthesizeRequest"),
            "application/x-www-form-urlencoded": json_of("SynthesizeRequest"),
        })),
        Shape::OpenAi => Some(json!({"application/json": json_of("OpenAiRequest")})),
        Shape::Register => Some(json!({"multipart/form-data": json_of("VoiceForm")})),
        Shape::Stream
        | Shape::Voices
        | Shape::Voice
        | Shape::Delete
        | Shape::VoiceNames
        | Shape::Models
        | Shape::Model
        | Shape::Document
        | Shape::Page => None,
    }
}

fn responses(shape: Shape) -> Value {
    let binary = json!({"schema": {"type": "string", "format": "binary"}});
    let object = json!({"application/json": {"schema": {"type": "object"}}});
    let (status, description, content) = match shape {
        Shape::Stream => (
            "101",
            "The WebSocket is open; messages as in docs/PROTOCOL.md.",
            json!({}),
        ),
        Shape::Synthesize => (
            "200",
            "The speech, in the form asked for, while it is made.",
            json!({
                "audio/wav": binary, "audio/mpeg": binary, "audio/ogg": binary, "audio/flac": binary, "audio/pcm": binary,
                "audio/basic": binary, "audio/x-alaw-basic": binary, "application/json": json_of("SynthesizedAudio"),
            }),
        ),
        Shape::OpenAi => (
            "200",
            "The speech, in the form asked for, while it is made.",
            json!({
                "audio/mpeg": binary, "audio/ogg": binary, "audio/flac": binary, "audio/wav": binary, "audio/pcm": binary,
                "text/event-stream": {"schema": {"type": "string"}},
            }),
        ),
        Shape::Voices => (
            "200",
            "The voices.",
            json!({"application/json": json_of("VoiceList")}),
        ),
        Shape::Register => (
            "201",
            "The voice, which can be used now.",
            json!({"application/json": json_of("Voice")}),
        ),
        Shape::Voice => (
            "200",
            "The voice.",
            json!({"application/json": json_of("Voice")}),
        ),
        Shape::Delete | Shape::VoiceNames | Shape::Models | Shape::Model | Shape::Document => {
            ("200", "As the summary says.", object)
        }
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
    let whole = json!({"type": "integer", "minimum": 0});
    let number = json!({"type": "number"});
    let within = |range: &std::ops::RangeInclusive<f32>| json!({"type": "number", "minimum": range.start(), "maximum": range.end()});
    let encoding = json!({"enum": ["pcm_s16le", "pcm_f32le", "mulaw", "alaw"]});
    let formats = Format::ALL.map(Format::as_str);
    let options = json!({
        "voice_id": text, "language": text, "model": text, "streaming": flag,
        "chunk_size": {"type": "integer", "minimum": ranges::CHUNK_SIZE.start(), "maximum": ranges::CHUNK_SIZE.end()},
        "encoding": encoding,
        "sample_rate": {"type": "integer", "minimum": ranges::SAMPLE_RATE.start(), "maximum": ranges::SAMPLE_RATE.end()},
        "exaggeration": within(&ranges::EXAGGERATION), "cfg_weight": within(&ranges::CFG_WEIGHT),
        "temperature": within(&ranges::TEMPERATURE), "top_p": within(&ranges::TOP_P),
        "top_k": {"type": "integer", "minimum": ranges::TOP_K.start(), "maximum": ranges::TOP_K.end()},
        "min_p": within(&ranges::MIN_P), "repetition_penalty": within(&ranges::REPETITION_PENALTY),
        "seed": whole, "speed": within(&ranges::SPEED),
    });
    let with = |required: &[&str], more: Value| {
        let mut properties = options.as_object().cloned().unwrap_or_default();
        properties.extend(more.as_object().cloned().unwrap_or_default());
        json!({"type": "object", "additionalProperties": false, "required": required, "properties": properties})
    };
    json!({
        "SpeechOptions": {"type": "object", "properties": options},
        "SynthesizeRequest": with(&["text"], json!({
            "text": text, "format": {"enum": formats}, "voice": text, "return_format": {"enum": formats},
            "response_format": {"enum": formats},
        })),
        "OpenAiRequest": with(&["input"], json!({
            "input": text, "voice": text, "response_format": {"enum": ["mp3", "opus", "flac", "wav", "pcm"]},
            "stream_format": {"enum": ["audio", "sse"]},
            "instructions": {"type": "string", "description": "Taken and not obeyed: these models have no ear for it."},
        })),
        "SynthesizedAudio": {"type": "object", "properties": {
            "audio": {"type": "string", "contentEncoding": "base64"}, "format": {"enum": ["wav"]}, "sample_rate": whole,
            "samples": whole, "duration": number, "voice_id": text, "seed": whole,
        }},
        "VoiceForm": {"type": "object", "required": ["voice_id", "file"], "properties": {
            "voice_id": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}, "file": {"type": "string", "format": "binary"},
            "description": text, "language": text, "consent": text, "replace": flag,
        }},
        "Voice": {"type": "object", "properties": {
            "voice_id": text, "description": text, "language": text, "aliases": {"type": "array", "items": text},
            "built_in": flag, "duration": number, "created": whole, "consent": text, "warnings": {"type": "array", "items": text},
        }},
        "VoiceList": {"type": "object", "properties": {
            "voices": {"type": "array", "items": {"$ref": "#/components/schemas/Voice"}},
        }},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_holds_every_route_and_nothing_else() {
        let document = document();
        let mut told: Vec<(String, String)> = Vec::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            let methods = item.as_object().unwrap().keys();
            told.extend(methods.map(|method| (path.clone(), method.clone())));
        }
        let row = |it: &Endpoint<Shape>| (openapi::plain(it.path), it.method.to_owned());
        let mut routes: Vec<_> = TABLE.iter().map(row).collect();
        routes.extend(chassis::admin::PATHS.map(|it| (it.to_owned(), "get".to_owned())));
        told.sort();
        routes.sort();
        assert_eq!(told, routes);
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document();
        let text = document.to_string();
        let references = text.split("\"#").skip(1);
        for reference in references.filter_map(|it| it.split('"').next()) {
            assert!(document.pointer(reference).is_some(), "{reference}");
        }
    }

    #[test]
    fn every_field_of_a_request_is_read() {
        let schemas = schemas();
        let keys = schemas["SynthesizeRequest"]["properties"].as_object();
        for key in keys.unwrap().keys() {
            let read =
                wire::tts::SynthesizeRequest::from_pairs([("text", "a"), (key.as_str(), "b")]);
            let is_unknown = read.is_err_and(|it| it.code == wire::error::ErrorCode::UnknownField);
            assert!(!is_unknown, "{key}");
        }
        for key in ["text", "format", "return_format", "response_format"] {
            assert!(keys.unwrap().contains_key(key), "{key}");
        }
    }

    #[test]
    fn the_options_of_the_document_are_those_that_are_read() {
        let all = wire::tts::SpeechOptions::from_pairs([("no_such_key", "1")])
            .unwrap_err()
            .to_string();
        for key in schemas()["SpeechOptions"]["properties"]
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
}
