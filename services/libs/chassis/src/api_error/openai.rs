//! A failure in OpenAI's spelling, where clients of its API compare codes.

use actix_web::http::header;
use actix_web::{HttpResponse, ResponseError as _};
use serde::Serialize;
use wire::error::{ErrorBody, ErrorCode};

use super::ApiError;
use crate::service::Service;

/// The body of an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OpenAiError {
    error: Detail,
}

/// A failure in the middle of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OpenAiErrorEvent {
    #[serde(rename = "type")]
    kind: &'static str,
    error: Detail,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Detail {
    message: String,
    #[serde(rename = "type")]
    kind: String,
    param: Option<String>,
    code: String,
}

impl From<ErrorBody> for OpenAiError {
    fn from(body: ErrorBody) -> OpenAiError {
        let ErrorBody { error } = body;
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "every other code keeps its spelling, the ones to come too"
        )]
        let code = match error.code {
            ErrorCode::UnknownModel => "model_not_found".to_owned(),
            ErrorCode::Unauthorized => "invalid_api_key".to_owned(),
            ErrorCode::RateLimited => "rate_limit_exceeded".to_owned(),
            other => other.as_str().to_ascii_lowercase(),
        };
        OpenAiError {
            error: Detail {
                message: error.message,
                kind: error.kind,
                param: error.param,
                code,
            },
        }
    }
}

impl From<ErrorBody> for OpenAiErrorEvent {
    fn from(body: ErrorBody) -> OpenAiErrorEvent {
        OpenAiErrorEvent {
            kind: "error",
            error: OpenAiError::from(body).error,
        }
    }
}

/// Answers with a failure in OpenAI's spelling. Logged and counted here, because it is no error to actix any more.
#[must_use]
pub fn openai_response(service: &Service, error: &ApiError) -> HttpResponse {
    error.log();
    service.metrics().count_rejected(error.code());
    let ours = error.error_response();
    let mut response = HttpResponse::build(ours.status());
    for (name, value) in ours.headers() {
        if name != header::CONTENT_LENGTH && name != header::CONTENT_TYPE {
            response.insert_header((name.clone(), value.clone()));
        }
    }
    response.json(OpenAiError::from(error.body()))
}
