//! The HTTP surface of a service as a table, from which the application and its description are both made.
//!
//! Invariants:
//! - What is served is what is in the table; so the description is true.
//! - A path that does not answer a method says in `Allow` which it does answer.

use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, Resource, Route, web};

use crate::access;

/// One address of a service. `S` names its request and its answer, for the description.
#[derive(Debug)]
pub struct Endpoint<S> {
    /// In lower case, as OpenAPI writes it: `get`.
    pub method: &'static str,
    /// As the router reads it: `/v1/models/{id:.+}`.
    pub path: &'static str,
    /// What it does, in a few words.
    pub summary: &'static str,
    /// Which description of its request and answer holds.
    pub shape: S,
    /// Makes the route, its method included.
    pub make: fn() -> Route,
}

/// Adds every row of the table.
pub fn configure<S>(config: &mut web::ServiceConfig, table: &'static [Endpoint<S>]) {
    for (idx, first) in table.iter().enumerate() {
        let is_same = |it: &&Endpoint<S>| it.path == first.path;
        if table.iter().take(idx).any(|it| is_same(&it)) {
            // Its path has been added, with this row.
            continue;
        }
        // One resource for a path: a second one would hide the methods of the first.
        let rows: Vec<_> = table.iter().filter(is_same).collect();
        let resource = rows
            .iter()
            .fold(web::resource(first.path), |resource, row| {
                resource.route((row.make)())
            });
        let methods: Vec<_> = rows.iter().map(|row| row.method.to_uppercase()).collect();
        config.service(refusing_others(resource, &methods.join(", ")));
    }
}

/// A resource that answers every other method with 405, and says which it has.
pub(crate) fn refusing_others(resource: Resource, methods: &str) -> Resource {
    let allow = HeaderValue::from_str(methods).ok();
    resource.default_service(web::to(move |request: HttpRequest| {
        let allow = allow.clone();
        async move {
            let mut answer = access::method_not_allowed(&request);
            if let Some(allow) = allow {
                answer.headers_mut().insert(header::ALLOW, allow);
            }
            answer
        }
    }))
}
