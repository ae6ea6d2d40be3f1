//! EDGE of the streaming sockets: refuse what can be refused, upgrade, and let a task listen.
//!
//! ```text
//! request ─► place, options, load ─► upgrade ─► listen: socket ⇄ dialect ⇄ session core ⇄ models
//!               │ refused here: HTTP, with its reason
//! ```
//!
//! Invariants:
//! - Capacity, keys and bad parameters are answered before the upgrade.
//! - One task owns one session, its socket and its audio; nothing of it is shared.

pub mod arrivals;
pub mod ear;
mod jobs;
mod listen;
pub mod pace;

use actix_web::{HttpRequest, HttpResponse, web};
use chassis::api_error::ApiError;
use chassis::limits::Admission;
use chassis::socket::{self, Limits};
use chassis::task;
use wire::asr::StreamConfig;

use crate::app::App;
use crate::dialect::Dialect;
use crate::dialect::native::Native;
use crate::error::AsrError;
use crate::options::StreamOptions;

/// `GET /v1/stream/asr`.
pub async fn native(
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
    admission: Admission,
) -> Result<HttpResponse, ApiError> {
    let query = web::Query::<Vec<(String, String)>>::from_query(request.query_string()).map_err(
        |error| AsrError::Malformed(format!("the query string cannot be read: {error}")),
    )?;
    // The key is the gate's business.
    let pairs = query
        .iter()
        .filter(|(name, _)| name != "api_key")
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let asked = StreamConfig::from_pairs(pairs).map_err(AsrError::from)?;
    open(&request, payload, app, admission, (asked, Box::new(Native)))
}

fn open(
    request: &HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
    admission: Admission,
    (asked, dialect): (StreamConfig, Box<dyn Dialect>),
) -> Result<HttpResponse, ApiError> {
    let options = StreamOptions::new(&asked, &app.settings, app.models.served())?;
    app.check_load()?;
    let (response, socket) =
        socket::upgrade(request, payload, &[], Limits::of(app.service.server()))?;
    let id = uuid::Uuid::new_v4().to_string();
    let span = tracing::info_span!("session", session_id = %id);
    let listening = listen::Listening::new(app.into_inner(), dialect, id, asked, options);
    // Detached: the admission makes the drain wait for it, and `task` hears of its panic.
    drop(task::spawn(
        "asr session",
        span,
        listening.run(socket, admission),
    ));
    Ok(response)
}

#[cfg(test)]
mod tests;
