//! Extractors of actix that refuse as we do: with our codes, in our body.

use actix_web::error::{JsonPayloadError, PathError, QueryPayloadError, UrlencodedError};
use actix_web::web;
use wire::error::ErrorCode;

use crate::api_error::ApiError;

/// Configures `Json`, `Query`, `Path`, `Form`, `Bytes` and `String` for the whole application.
pub(crate) fn configure(config: &mut web::ServiceConfig, max_json_bytes: usize) {
    let json = web::JsonConfig::default()
        .limit(max_json_bytes)
        .error_handler(|error, _| json(&error).into());
    let form = web::FormConfig::default()
        .limit(max_json_bytes)
        .error_handler(|error, _| form(&error).into());
    config
        .app_data(json)
        .app_data(form)
        .app_data(web::QueryConfig::default().error_handler(|error, _| query(&error).into()))
        .app_data(web::PathConfig::default().error_handler(|error, _| path(&error).into()))
        .app_data(web::PayloadConfig::new(max_json_bytes));
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the enum is not ours and grows"
)]
fn json(error: &JsonPayloadError) -> ApiError {
    match error {
        JsonPayloadError::OverflowKnownLength { .. } | JsonPayloadError::Overflow { .. } => {
            ApiError::new(ErrorCode::PayloadTooLarge, error.to_string())
        }
        JsonPayloadError::Deserialize(inner) if inner.is_data() => {
            ApiError::new(ErrorCode::InvalidParameter, inner.to_string())
        }
        JsonPayloadError::Deserialize(inner) => {
            ApiError::new(ErrorCode::InvalidJson, inner.to_string())
        }
        JsonPayloadError::ContentType => ApiError::new(
            ErrorCode::InvalidRequest,
            "this needs `content-type: application/json`",
        ),
        // Whatever else it says, the body could not be read.
        _ => ApiError::new(ErrorCode::InvalidRequest, error.to_string()),
    }
}

fn query(error: &QueryPayloadError) -> ApiError {
    match error {
        QueryPayloadError::Deserialize(inner) => {
            ApiError::new(ErrorCode::InvalidParameter, inner.to_string())
        }
        _ => ApiError::new(ErrorCode::InvalidRequest, error.to_string()),
    }
}

fn path(error: &PathError) -> ApiError {
    match error {
        PathError::Deserialize(inner) => {
            ApiError::new(ErrorCode::InvalidParameter, inner.to_string())
        }
        _ => ApiError::new(ErrorCode::InvalidParameter, error.to_string()),
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the enum is not ours and grows"
)]
fn form(error: &UrlencodedError) -> ApiError {
    let code = match error {
        UrlencodedError::Overflow { .. } => ErrorCode::PayloadTooLarge,
        _ => ErrorCode::InvalidRequest,
    };
    ApiError::new(code, error.to_string())
}
