//! EDGE of the streaming sockets: refuse what can be refused, upgrade, and let a task speak.
//!
//! ```text
//! request ─► place, options, load ─► upgrade ─► speaking: socket ⇄ dialect ⇄ utterances ⇄ speaker, voices
//!               │ refused here: HTTP, with its reason
//! ```
//!
//! Invariants:
//! - Capacity, keys and bad parameters are answered before the upgrade.
//! - One task owns one session, its socket and its requests; nothing of it is shared.

mod jobs;
mod names;
mod outgoing;
mod request;
mod speaking;

use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, web};
use chassis::api_error::ApiError;
use chassis::auth::Caller;
use chassis::limits::Admission;
use chassis::socket::{self, Limits};
use chassis::task;
use wire::tts::SpeechOptions;

use crate::app::App;
use crate::dialect::Dialect;
use crate::dialect::native::Native;
use crate::error::TtsError;
use crate::options::Speech;

/// `GET /v1/stream/tts`.
pub async fn native(
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
    admission: Admission,
) -> Result<HttpResponse, ApiError> {
    let query = web::Query::<Vec<(String, String)>>::from_query(request.query_string()).map_err(
        |error| TtsError::Malformed(format!("the query string cannot be read: {error}")),
    )?;
    // The key is the gate's business.
    let pairs = query
        .iter()
        .filter(|(name, _)| name != "api_key")
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let asked = SpeechOptions::from_pairs(pairs).map_err(TtsError::from)?;
    open(&request, payload, app, admission, (asked, Box::new(Native)))
}

fn open(
    request: &HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
    admission: Admission,
    (asked, dialect): (SpeechOptions, Box<dyn Dialect>),
) -> Result<HttpResponse, ApiError> {
    let speech = Speech::new(&asked, &app.settings, app.models.served(), 0)?;
    app.check_load()?;
    let voices = app.voices()?.clone();
    let requester = voices.requester(request.extensions().get::<Caller>());
    let (response, socket) =
        socket::upgrade(request, payload, &[], Limits::of(app.service.server()))?;
    let id = uuid::Uuid::new_v4().to_string();
    let span = tracing::info_span!("session", session_id = %id);
    let jobs = jobs::Jobs::new(voices, requester);
    let client = speaking::Client {
        id,
        dialect,
        asked,
        speech,
    };
    let speaking = speaking::Speaking::new(app.into_inner(), client, jobs);
    // Detached: the admission makes the drain wait for it, and `task` hears of its panic.
    drop(task::spawn(
        "tts session",
        span,
        speaking.run(socket, admission),
    ));
    Ok(response)
}
