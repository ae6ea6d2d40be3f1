//! A failure in OpenAI's spelling, where clients of its API compare codes.

use serde::Serialize;
use wire::error::{ErrorBody, ErrorCode};

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
