//! The whole HTTP surface of this service on one screen. (Health, readiness and metrics are `chassis::admin`'s.)
//!
//! Invariants:
//! - A route is a row of [`TABLE`], from which the application and `/openapi.json` are both made; so the document is true.

use actix_web::{HttpResponse, web};
use chassis::api_error::ApiError;
use chassis::routes::Endpoint;
use serde_json::json;

use crate::app::App;
use crate::{openapi, registry, stream, synthesize};

/// What is sent and answered, for the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Stream,
    Synthesize,
    OpenAi,
    Voices,
    Register,
    Voice,
    Delete,
    VoiceNames,
    Models,
    Model,
    Document,
    Page,
}

/// Every route.
pub const TABLE: &[Endpoint<Shape>] = &[
    Endpoint {
        method: "get",
        path: "/v1/stream/tts",
        summary: "Speak over a WebSocket, texts as they come",
        shape: Shape::Stream,
        make: || web::get().to(stream::native),
    },
    Endpoint {
        method: "post",
        path: "/v1/synthesize",
        summary: "Speak a text",
        shape: Shape::Synthesize,
        make: || web::post().to(synthesize::native),
    },
    Endpoint {
        method: "post",
        path: "/synthesize",
        summary: "The same as /v1/synthesize",
        shape: Shape::Synthesize,
        make: || web::post().to(synthesize::native),
    },
    Endpoint {
        method: "post",
        path: "/v1/audio/speech",
        summary: "Speak a text, as OpenAI's API does",
        shape: Shape::OpenAi,
        make: || web::post().to(synthesize::openai),
    },
    Endpoint {
        method: "get",
        path: "/v1/audio/voices",
        summary: "Every name of a voice",
        shape: Shape::VoiceNames,
        make: || web::get().to(registry::names),
    },
    Endpoint {
        method: "get",
        path: "/v1/voices",
        summary: "The voices",
        shape: Shape::Voices,
        make: || web::get().to(registry::list),
    },
    Endpoint {
        method: "post",
        path: "/v1/voices",
        summary: "Register a voice by a recording of it",
        shape: Shape::Register,
        make: || web::post().to(registry::register),
    },
    Endpoint {
        method: "get",
        path: "/v1/voices/{id:.+}",
        summary: "One voice",
        shape: Shape::Voice,
        make: || web::get().to(registry::describe),
    },
    Endpoint {
        method: "delete",
        path: "/v1/voices/{id:.+}",
        summary: "Delete a voice, with its recording and all that was made of it",
        shape: Shape::Delete,
        make: || web::delete().to(registry::delete),
    },
    Endpoint {
        method: "get",
        path: "/v1/models",
        summary: "The model that is served, and its other names",
        shape: Shape::Models,
        make: || web::get().to(models),
    },
    Endpoint {
        method: "get",
        path: "/v1/models/{id:.+}",
        summary: "One model",
        shape: Shape::Model,
        make: || web::get().to(model),
    },
    Endpoint {
        method: "get",
        path: "/openapi.json",
        summary: "This document",
        shape: Shape::Document,
        make: || web::get().to(document),
    },
    Endpoint {
        method: "get",
        path: "/docs",
        summary: "This document for people",
        shape: Shape::Page,
        make: || web::get().to(page),
    },
];

/// Adds every route.
pub fn configure(config: &mut web::ServiceConfig) {
    chassis::routes::configure(config, TABLE);
}

async fn models(app: web::Data<App>) -> HttpResponse {
    let served = app.models.served();
    let names = [&served.name].into_iter().chain(&served.aliases);
    let data: Vec<_> = names.map(|id| card(&app, id)).collect();
    HttpResponse::Ok().json(json!({"object": "list", "data": data}))
}

async fn model(app: web::Data<App>, id: web::Path<String>) -> Result<HttpResponse, ApiError> {
    app.models.served().check_name(&id)?;
    Ok(HttpResponse::Ok().json(card(&app, &id)))
}

fn card(app: &App, id: &str) -> serde_json::Value {
    let served = app.models.served();
    json!({
        "id": id,
        "object": "model",
        "created": app.created,
        "owned_by": "local",
        "root": served.name,
        "family": app.models.family(),
        "languages": served.languages,
        "task": "text-to-speech",
        "watermark": app.models.watermark.is_some(),
    })
}

async fn document() -> HttpResponse {
    HttpResponse::Ok().json(openapi::document())
}

async fn page() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .body(openapi::page())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_method_of_an_address_is_there_twice() {
        let mut rows: Vec<_> = TABLE.iter().map(|it| (it.path, it.method)).collect();
        rows.sort_unstable();
        rows.dedup();
        assert_eq!(rows.len(), TABLE.len());
    }
}
