//! Reading a request's form: one file, and text fields.
//!
//! Invariants:
//! - Nothing is kept beyond the limits: bytes of the body, bytes and number of text fields. The limit is met while reading.
//! - A client that stops sending is told so after a while and does not hold its place for ever (see [`Bounded`]).

use std::time::Duration;

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::http::header::HeaderMap;
use actix_web::web;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use wire::error::ErrorCode;

use crate::api_error::ApiError;
use crate::payload::{self, Bounded};

/// Text fields beyond this are not meant well.
const MAX_FIELDS: usize = 64;
/// A prompt is a page at most.
const MAX_TEXT_BYTES: usize = 64 * 1024;

/// What a form may be.
#[derive(Clone, Copy, Debug)]
pub struct FormLimits {
    /// The fields that may hold the file.
    pub file_fields: &'static [&'static str],
    /// Bytes of the whole body.
    pub max_bytes: usize,
    /// The longest pause in it.
    pub pause: Duration,
}
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
pub async fn read(
    headers: &HeaderMap,
    payload: web::Payload,
    limits: FormLimits,
) -> Result<Form, ApiError> {
    let max_bytes = limits.max_bytes;
    let body = Bounded::with_limits(payload, max_bytes, limits.pause);
    let mut parts = Multipart::new(headers, body);
    let mut form = Form::default();
    while let Some(part) = parts.next().await {
        let part = part.map_err(|it| broken(it, max_bytes))?;
        let name = part.name().unwrap_or_default().to_owned();
        if limits.file_fields.contains(&name.as_str()) {
            if form.file.is_some() {
                return Err(malformed("the form has two files; send one at a time"));
            }
            // The whole body is bounded, so its part is.
            form.file = Some(content(part, usize::MAX, &name, max_bytes).await?);
            continue;
        }
        if form.fields.len() == MAX_FIELDS {
            return Err(malformed(format!(
                "the form has more than {MAX_FIELDS} fields"
            )));
        }
        let text = content(part, MAX_TEXT_BYTES, &name, max_bytes).await?;
        let text = String::from_utf8(text.into())
            .map_err(|_| malformed(format!("the form field {name:?} is not UTF-8 text")))?;
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
            return Err(malformed(format!(
                "the form field {name:?} is longer than {limit} bytes"
            )));
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
            malformed("the form is cut off: its last boundary did not come")
        }
        other => malformed(format!(
            "this is not a well-formed `multipart/form-data` body: {other}"
        )),
    }
}

fn malformed(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::InvalidRequest, message)
}

#[cfg(test)]
mod tests {
    use actix_web::FromRequest as _;
    use actix_web::test::TestRequest;

    use super::*;

    const LIMITS: FormLimits = FormLimits {
        file_fields: &["file", "audio_file"],
        max_bytes: 100_000,
        pause: Duration::from_secs(5),
    };

    async fn read_text(body: &str) -> Result<Form, ApiError> {
        let (request, mut payload) = TestRequest::post()
            .insert_header(("content-type", "multipart/form-data; boundary=XX"))
            .set_payload(body.replace('\n', "\r\n"))
            .to_http_parts();
        let payload = web::Payload::from_request(&request, &mut payload)
            .await
            .unwrap();
        read(request.headers(), payload, LIMITS).await
    }

    fn part(name: &str, content: &str) -> String {
        format!("--XX\nContent-Disposition: form-data; name=\"{name}\"\n\n{content}\n")
    }

    #[actix_web::test]
    async fn file_and_fields_are_told_apart() {
        for name in LIMITS.file_fields {
            let body = format!("{}{}--XX--\n", part("language", "en"), part(name, "RIFF"));
            let form = read_text(&body).await.unwrap();
            assert_eq!(form.file.as_deref(), Some(&b"RIFF"[..]));
            assert_eq!(form.fields, [("language".to_owned(), "en".to_owned())]);
        }
    }

    async fn refused(body: &str, part: &str) {
        let error = read_text(body).await.unwrap_err().to_string();
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
        let error = read(request.headers(), payload, LIMITS)
            .await
            .unwrap_err()
            .to_string();
        assert!(error.to_lowercase().contains("boundary"), "{error}");
    }
}
