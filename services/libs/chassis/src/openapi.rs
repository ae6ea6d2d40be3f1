//! The description of a service for programs (OpenAPI) and for people (a page), made from its table of routes.
//!
//! Invariants:
//! - Self-contained: the page loads nothing from anywhere.
//! - Every route and only routes are in it, because it is made from the table and from [`admin::PATHS`].

use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use wire::error::ErrorCode;

use crate::admin;
use crate::routes::Endpoint;

/// What is told of the service as a whole.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// Its name for people.
    pub title: &'static str,
    /// Its version.
    pub version: &'static str,
    /// What it does.
    pub description: &'static str,
    /// A command to try.
    pub example: &'static str,
}

/// The OpenAPI 3.1 document. `operation` describes one row of the table; `schemas` is an object by names.
pub fn document<S>(
    about: &About,
    table: &[Endpoint<S>],
    operation: impl Fn(&Endpoint<S>) -> Value,
    schemas: Value,
) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    let mut add = |path: &str, method: &str, operation: Value| {
        let item = paths.entry(plain(path)).or_insert_with(|| json!({}));
        item[method] = operation;
    };
    for endpoint in table {
        add(endpoint.path, endpoint.method, operation(endpoint));
    }
    for path in admin::PATHS {
        let operation = json!({
            "summary": admin_summary(path),
            "tags": ["operations"],
            "security": [],
            "responses": {"200": {"description": "As the summary says."}, "503": {"description": "Not now."}},
        });
        add(path, "get", operation);
    }
    let mut schemas = schemas;
    schemas["Error"] = error_schema();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": about.title,
            "version": about.version,
            "description": about.description,
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "xi-api-key"},
                "query": {"type": "apiKey", "in": "query", "name": "api_key"},
            },
        },
        "security": [{}, {"bearer": []}, {"header": []}, {"query": []}],
    })
}

/// `/v1/models/{id:.+}` is `/v1/models/{id}` to everybody but the router.
#[must_use]
pub fn plain(path: &str) -> String {
    path.replace(":.+}", "}")
}

/// The schema of this name, as the content of a JSON body.
#[must_use]
pub fn json_of(schema: &str) -> Value {
    json!({"schema": {"$ref": format!("#/components/schemas/{schema}")}})
}

/// The responses of an operation: one that succeeds, and errors.
#[must_use]
pub fn responses(status: &str, description: &str, content: Value) -> Value {
    let error = json!({
        "description": "What is wrong, and what to do.",
        "content": {"application/json": json_of("Error")},
    });
    json!({ status: {"description": description, "content": content}, "default": error })
}

fn admin_summary(path: &str) -> &'static str {
    match path {
        "/healthz" | "/livez" => "Whether the process is alive",
        "/readyz" => "Whether it may be sent work, and if not, why",
        "/health" => "How it is: model, load, draining",
        "/metrics" => "Metrics in Prometheus text",
        "/version" => "Which version it is",
        _ => "Operations",
    }
}

fn error_schema() -> Value {
    let codes: Vec<&str> = ErrorCode::ALL.iter().map(|it| it.as_str()).collect();
    let text = json!({"type": "string"});
    json!({"type": "object", "properties": {"error": {"type": "object", "properties": {
        "code": {"enum": codes}, "message": text, "type": text, "param": {"type": ["string", "null"]},
        "recoverable": {"type": "boolean"},
    }}}})
}

/// The document for people.
#[must_use]
pub fn page(about: &About, document: &Value) -> String {
    let mut rows = String::new();
    for (path, operations) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in operations.as_object().into_iter().flatten() {
            let summary = operation["summary"].as_str().unwrap_or_default();
            let detail = serde_json::to_string_pretty(operation).unwrap_or_default();
            let written = writeln!(
                rows,
                "<details><summary><b>{}</b> <code>{}</code> {}</summary><pre>{}</pre></details>",
                method.to_uppercase(),
                escape(path),
                escape(summary),
                escape(&detail)
            );
            debug_assert!(written.is_ok(), "writing to a text cannot fail");
        }
    }
    let schemas =
        serde_json::to_string_pretty(&document["components"]["schemas"]).unwrap_or_default();
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\n\
         <style>body{{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}}\
         b{{display:inline-block;width:4rem;color:#06c}}pre{{overflow:auto;background:#f4f4f4;padding:1rem}}\
         details{{border-bottom:1px solid #ddd;padding:.4rem 0}}summary{{cursor:pointer}}</style></head><body>\n\
         <h1>{title}</h1>\n<p>Version {version}. For programs: <a href=\"openapi.json\">openapi.json</a>. \
         The messages of the WebSocket are described in <code>docs/PROTOCOL.md</code>.</p>\n\
         <pre>{example}</pre>\n{rows}\
         <details><summary>Schemas</summary><pre>{schemas}</pre></details>\n</body></html>\n",
        title = escape(about.title),
        version = escape(about.version),
        example = escape(about.example),
        schemas = escape(&schemas)
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use actix_web::web;

    use super::*;

    const ABOUT: About = About {
        title: "A & B",
        version: "1.2",
        description: "what it does",
        example: "curl <it>",
    };

    fn row(method: &'static str, path: &'static str) -> Endpoint<()> {
        Endpoint {
            method,
            path,
            summary: "sums",
            shape: (),
            make: web::get,
        }
    }

    #[test]
    fn the_methods_of_a_path_stand_together() {
        let table = [
            row("get", "/a"),
            row("get", "/b/{id:.+}"),
            row("post", "/a"),
        ];
        let document = document(
            &ABOUT,
            &table,
            |it| json!({"summary": it.summary}),
            json!({}),
        );
        let methods = |path: &str| {
            let item = document["paths"][path].as_object().unwrap();
            item.keys().cloned().collect::<Vec<_>>()
        };
        assert_eq!(methods("/a"), ["get", "post"]);
        assert_eq!(methods("/b/{id}"), ["get"]);
        assert_eq!(methods("/healthz"), ["get"]);
        assert_eq!(
            document["paths"].as_object().unwrap().len(),
            2 + admin::PATHS.len()
        );
    }

    #[test]
    fn the_page_shows_what_it_says_and_loads_nothing() {
        let table = [row("get", "/a")];
        let document = document(&ABOUT, &table, |_| json!({"summary": "x < y"}), json!({}));
        let page = page(&ABOUT, &document);
        for text in ["A &amp; B", "curl &lt;it&gt;", "x &lt; y", "/a", "/metrics"] {
            assert!(page.contains(text), "{text}");
        }
        assert!(!page.contains("src=") && !page.contains("https://"));
    }
}
