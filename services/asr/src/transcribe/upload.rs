//! Reading a request's form.
//!
//! Invariants:
//! - Nothing is kept beyond the limits: bytes of the body, bytes and number of text fields. The limit is met while reading.
//! - A client that stops sending is told so after a while and does not hold its place for ever (see [`Bounded`]).

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::http::header::HeaderMap;
use actix_web::web;
use bytes::{Bytes, BytesMut};
use chassis::api_error::ApiError;
use chassis::payload::{self, Bounded};
use chassis::settings::Server;
use futures_util::StreamExt as _;

use crate::error::AsrError;

/// Text fields beyond this are not meant well.
const MAX_FIELDS: usize = 64;
/// A prompt is a page at most.
const MAX_TEXT_BYTES: usize = 64 * 1024;
/// The fields that may hold the file: the one of every seed, and that of one older client.
const FILE_FIELDS: [&str; 2] = ["file", "audio_file"];

/// A form that was read.
#[derive(Debug, Default)]
pub struct Form {
    /// The content of the file field.
    pub file: Option<Bytes>,
    /// Every other field in order.
    pub fields: Vec<(String, String)>,
}

/// Reads a `multipart/form-data` body.
///
/// # Errors
/// The body is too large, too slow, or no such form.
pub async fn form(
    headers: &HeaderMap,
    payload: web::Payload,
    server: &Server,
) -> Result<Form, ApiError> {
    let max_bytes = server.max_upload_bytes.get();
    let mut parts = Multipart::new(headers, Bounded::new(payload, server));
    let mut form = Form::default();
    while let Some(part) = parts.next().await {
        let part = part.map_err(|it| broken(it, max_bytes))?;
        let name = part.name().unwrap_or_default().to_owned();
        if FILE_FIELDS.contains(&name.as_str()) {
            if form.file.is_some() {
                return Err(AsrError::Malformed(
                    "the form has two files; send one at a time".to_owned(),
                )
                .into());
            }
            // The whole body is bounded, so its part is.
            form.file = Some(content(part, usize::MAX, &name, max_bytes).await?);
            continue;
        }
        if form.fields.len() == MAX_FIELDS {
            return Err(
                AsrError::Malformed(format!("the form has more than {MAX_FIELDS} fields")).into(),
            );
        }
        let text = content(part, MAX_TEXT_BYTES, &name, max_bytes).await?;
        let text = String::from_utf8(text.into()).map_err(|_| {
            AsrError::Malformed(format!("the form field {name:?} is not UTF-8 text"))
        })?;
        form.fields.push((name, text));
    }
    Ok(form)
}

async fn content(
    mut field: Field,
    limit: usize,
    name: &str,
    max_bytes: usize,
) -> Result<Bytes, ApiError> {
    let mut whole = BytesMut::new();
    while let Some(piece) = field.next().await {
        let piece = piece.map_err(|it| broken(it, max_bytes))?;
        if limit - whole.len() < piece.len() {
            return Err(AsrError::Malformed(format!(
                "the form field {name:?} is longer than {limit} bytes"
            ))
            .into());
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the enum is not ours and grows"
)]
fn broken(error: MultipartError, max_bytes: usize) -> ApiError {
    match error {
        MultipartError::Payload(error) => payload::error(&error, max_bytes),
        MultipartError::Incomplete => {
            AsrError::Malformed("the form is cut off: its last boundary did not come".to_owned())
                .into()
        }
        other => AsrError::Malformed(format!(
            "this is not a well-formed `multipart/form-data` body: {other}"
        ))
        .into(),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::FromRequest as _;
    use actix_web::test::TestRequest;

    use super::*;

    fn server() -> Server {
        let mut raw = chassis::settings::ServerRaw::defaults(0);
        raw.max_upload_bytes = 100_000;
        raw.check(&mut chassis::settings::Problems::default())
    }

    async fn read(body: &str) -> Result<Form, ApiError> {
        let (request, mut payload) = TestRequest::post()
            .insert_header(("content-type", "multipart/form-data; boundary=XX"))
            .set_payload(body.replace('\n', "\r\n"))
            .to_http_parts();
        let payload = web::Payload::from_request(&request, &mut payload)
            .await
            .unwrap();
        form(request.headers(), payload, &server()).await
    }

    fn part(name: &str, content: &str) -> String {
        format!("--XX\nContent-Disposition: form-data; name=\"{name}\"\n\n{content}\n")
    }

    #[actix_web::test]
    async fn file_and_fields_are_told_apart() {
        for name in FILE_FIELDS {
            let body = format!("{}{}--XX--\n", part("language", "en"), part(name, "RIFF"));
            let form = read(&body).await.unwrap();
            assert_eq!(form.file.as_deref(), Some(&b"RIFF"[..]));
            assert_eq!(form.fields, [("language".to_owned(), "en".to_owned())]);
        }
    }

    async fn refused(body: &str, part: &str) {
        let error = read(body).await.unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }

    #[actix_web::test]
    async fn broken_and_oversized_forms_are_refused() {
        refused(
            &format!("{}--XX--\n", part("file", &"x".repeat(100_001))),
            "100000 bytes",
        )
        .await;
        refused(
            &format!(
                "{}--XX--\n",
                part("prompt", &"x".repeat(MAX_TEXT_BYTES + 1))
            ),
            "\"prompt\"",
        )
        .await;
        refused(
            &format!("{}--XX--\n", part("f", "x").repeat(MAX_FIELDS + 1)),
            "more than 64",
        )
        .await;
        refused(
            &format!("{}{}--XX--\n", part("file", "a"), part("audio_file", "b")),
            "two files",
        )
        .await;
        refused(&part("file", "a"), "cut off").await;
        refused("", "cut off").await;
    }

    #[actix_web::test]
    async fn a_form_without_boundary_is_refused() {
        let (request, mut payload) = TestRequest::post()
            .insert_header(("content-type", "multipart/form-data"))
            .to_http_parts();
        let payload = web::Payload::from_request(&request, &mut payload)
            .await
            .unwrap();
        let error = form(request.headers(), payload, &server())
            .await
            .unwrap_err()
            .to_string();
        assert!(error.to_lowercase().contains("boundary"), "{error}");
    }
}
