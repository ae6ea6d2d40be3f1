//! EDGE of the voices: register, list, describe, delete.
//!
//! Invariants:
//! - A recording is read only as far as its limit, and only for somebody who holds a place.
//! - Whoever gives up waiting leaves a voice registered or not, as a whole: the store's own promise.

use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, web};
use chassis::api_error::ApiError;
use chassis::auth::Caller;
use chassis::form::{self, FormLimits};
use chassis::limits::Admission;
use serde_json::{Value, json};
use wire::error::ErrorCode;
use wire::tts::rest::Deleted;
use wire::tts::{Voice, VoiceList};

use crate::app::App;
use crate::dialect::native;
use crate::error::TtsError;
use crate::voices::{
    IfExists, Notes, Record, Registration, Requester, Upload, VoiceError, VoiceStore,
};

/// The fields that may hold the recording: ours, that of the WebSocket, and that of other servers of this kind.
const FILE_FIELDS: &[&str] = &["file", "reference_audio", "audio", "files", "voice_file"];

/// `GET /v1/voices`.
pub async fn list(request: HttpRequest, app: web::Data<App>) -> Result<HttpResponse, ApiError> {
    let store = app.voices()?;
    let voices = all(store, &requester(&request, store)).await?;
    Ok(HttpResponse::Ok().json(VoiceList { voices }))
}

/// `GET /v1/audio/voices`: every name that may be asked for, as clients of OpenAI's API list them.
pub async fn names(app: web::Data<App>) -> Result<HttpResponse, ApiError> {
    let store = app.voices()?;
    let records = store.list().await?;
    // Not the keys of the aliases: one that leads nowhere is no name.
    let aliases = records
        .iter()
        .flat_map(|it| store.aliases_of(&it.id, &records));
    let names = records.iter().map(|it| it.id.to_string()).chain(aliases);
    let voices: Vec<Value> = names.map(|it| json!({"id": it, "name": it})).collect();
    Ok(HttpResponse::Ok().json(json!({"object": "list", "voices": voices, "data": voices})))
}

/// `GET /v1/voices/{id}`.
pub async fn describe(
    request: HttpRequest,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let store = app.voices()?;
    let record = store.describe(&id).await?;
    let voice = told(store, &record, &requester(&request, store)).await;
    Ok(HttpResponse::Ok().json(with_warnings(&voice)))
}

/// `DELETE /v1/voices/{id}`.
pub async fn delete(
    request: HttpRequest,
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let store = app.voices()?;
    store.delete(&id, &requester(&request, store)).await?;
    Ok(HttpResponse::Ok().json(Deleted {
        voice_id: id.into_inner(),
        deleted: true,
    }))
}

/// `POST /v1/voices`.
pub async fn register(
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
    _admission: Admission,
) -> Result<HttpResponse, ApiError> {
    let server = app.service.server();
    let limits = FormLimits {
        file_fields: FILE_FIELDS,
        max_bytes: server.max_upload_bytes.get(),
        pause: server.body_timeout,
    };
    let form = form::read(request.headers(), payload, limits).await?;
    let asked = Asked::from_fields(form.fields)?;
    let file = form.file.ok_or_else(|| {
        TtsError::parameter("file", "be a recording of the voice in the form", "nothing")
    })?;
    let store = app.voices()?;
    let requester = requester(&request, store);
    let registration = Registration {
        id: asked.id,
        upload: Upload::File(file),
        notes: asked.notes,
        requester: requester.clone(),
        if_exists: asked.if_exists,
    };
    let record = store.register(registration).await?;
    let voice = told(store, &record, &requester).await;
    Ok(HttpResponse::Created().json(with_warnings(&voice)))
}

fn requester(request: &HttpRequest, store: &VoiceStore) -> Requester {
    store.requester(request.extensions().get::<Caller>())
}

/// Every voice, as `requester` is told of it.
///
/// # Errors
/// If the store cannot be read.
pub async fn all(store: &VoiceStore, requester: &Requester) -> Result<Vec<Voice>, VoiceError> {
    let records = store.list().await?;
    let voices = records
        .iter()
        .map(|it| native::voice(it, store.aliases_of(&it.id, &records), requester));
    Ok(voices.collect())
}

/// A voice, as `requester` is told of it.
pub async fn told(store: &VoiceStore, record: &Record, requester: &Requester) -> Voice {
    // A store that does not answer still tells what is known of it.
    let records = store.list().await.unwrap_or_default();
    native::voice(record, store.aliases_of(&record.id, &records), requester)
}

/// What could be better about its recording is told also where that is nothing.
fn with_warnings(voice: &Voice) -> Value {
    let mut told = json!(voice);
    told["warnings"] = json!(voice.warnings);
    told
}

/// The text fields of a registration.
#[derive(Debug, PartialEq)]
struct Asked {
    id: String,
    notes: Notes,
    if_exists: IfExists,
}

impl Asked {
    fn from_fields(fields: Vec<(String, String)>) -> Result<Asked, ApiError> {
        let mut id = None;
        let mut notes = Notes::default();
        let mut if_exists = IfExists::Refuse;
        for (name, value) in fields {
            let is_twice = match name.as_str() {
                // `name` is what servers that make up ids call it.
                "voice_id" | "id" | "name" => id.replace(value).is_some(),
                "description" => {
                    notes.description = value;
                    false
                }
                "language" => notes.language.replace(value).is_some(),
                "consent" => notes.consent.replace(value).is_some(),
                "replace" => {
                    if_exists = match value.as_str() {
                        "true" | "1" => IfExists::Replace,
                        "false" | "0" => IfExists::Refuse,
                        _ => {
                            let error =
                                TtsError::parameter("replace", "be `true` or `false`", value);
                            return Err(error.into());
                        }
                    };
                    false
                }
                _ => {
                    let name: String = name.chars().take(60).collect();
                    return Err(ApiError::at(
                        name.clone(),
                        ErrorCode::UnknownField,
                        format!(
                            "unknown field `{name}`; expected `voice_id`, `file`, `description`, `language`, `consent` or `replace`"
                        ),
                    ));
                }
            };
            if is_twice {
                return Err(TtsError::Malformed(format!("`{name}` is given twice")).into());
            }
        }
        let id = id.ok_or_else(|| {
            TtsError::parameter("voice_id", "be there: what the voice is called", "nothing")
        })?;
        Ok(Asked {
            id,
            notes,
            if_exists,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &[(&str, &str)]) -> Result<Asked, ApiError> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Asked::from_fields(fields.iter().map(owned).collect())
    }

    #[test]
    fn fields_are_obeyed_or_refused_by_name() {
        let asked = read(&[
            ("name", "ann"),
            ("description", "Ann at home"),
            ("language", "en"),
            ("consent", "by mail"),
            ("replace", "true"),
        ])
        .unwrap();
        assert_eq!(
            (asked.id.as_str(), asked.if_exists),
            ("ann", IfExists::Replace)
        );
        assert_eq!(asked.notes.consent.as_deref(), Some("by mail"));
        let refused = |fields: &[(&str, &str)], code: ErrorCode, part: &str| {
            let error = read(fields).unwrap_err();
            assert_eq!(error.code(), code);
            assert!(error.message().contains(part), "{error}");
        };
        refused(&[], ErrorCode::InvalidParameter, "`voice_id`");
        refused(
            &[("id", "a"), ("voice_id", "b")],
            ErrorCode::InvalidRequest,
            "twice",
        );
        refused(
            &[("id", "a"), ("replace", "yes")],
            ErrorCode::InvalidParameter,
            "`replace`",
        );
        refused(
            &[("id", "a"), ("colour", "red")],
            ErrorCode::UnknownField,
            "`colour`",
        );
    }
}
