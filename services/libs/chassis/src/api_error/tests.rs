use std::fmt::Write as _;

use actix_web::body::MessageBody as _;
use expect_test::{Expect, expect};

use super::*;

#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("audio is {given_s} s long; this server accepts at most {limit_s} s")]
    TooLong { given_s: u64, limit_s: u64 },
    #[error("could not open /secret/path")]
    Inside(#[source] std::io::Error),
}

impl Classify for Fault {
    fn code(&self) -> ErrorCode {
        match self {
            Fault::TooLong { .. } => ErrorCode::AudioTooLong,
            Fault::Inside(_) => ErrorCode::Internal,
        }
    }

    fn param(&self) -> Option<&str> {
        match self {
            Fault::TooLong { .. } => Some("file"),
            Fault::Inside(_) => None,
        }
    }
}

fn check(error: &ApiError, expected: &Expect) {
    let response = error.error_response();
    let mut shown = format!("{}\n", response.status());
    for name in ["retry-after", "www-authenticate"] {
        if let Some(value) = response.headers().get(name) {
            writeln!(shown, "{name}: {}", value.to_str().unwrap()).unwrap();
        }
    }
    let body = response.into_body().try_into_bytes().unwrap();
    writeln!(shown, "{}", String::from_utf8_lossy(&body)).unwrap();
    expected.assert_eq(&shown);
}

#[test]
fn a_client_reads_the_limit_and_what_it_gave() {
    let fault = Fault::TooLong {
        given_s: 7201,
        limit_s: 7200,
    };
    check(
        &ApiError::from(fault),
        &expect![[r#"
            413 Payload Too Large
            {"error":{"code":"AUDIO_TOO_LONG","message":"audio is 7201 s long; this server accepts at most 7200 s","type":"invalid_request_error","param":"file","recoverable":false}}
        "#]],
    );
}

#[test]
fn an_internal_failure_keeps_its_causes_to_itself() {
    let error = ApiError::from(Fault::Inside(std::io::Error::other("disk on fire")));
    assert!(!error.message().contains("secret"));
    assert!(
        !serde_json::to_string(&error.body())
            .unwrap()
            .contains("fire")
    );
    assert_eq!(
        Causes(&*error.0).to_string(),
        "could not open /secret/path: disk on fire"
    );
}

#[test]
fn a_refusal_for_want_of_room_says_when_to_come_back() {
    check(
        &ApiError::new(ErrorCode::AtCapacity, "all 30 places are taken"),
        &expect![[r#"
            503 Service Unavailable
            retry-after: 2
            {"error":{"code":"AT_CAPACITY","message":"all 30 places are taken","type":"server_error","param":null,"recoverable":true}}
        "#]],
    );
}

#[test]
fn a_missing_key_is_asked_for() {
    check(
        &ApiError::new(ErrorCode::Unauthorized, "no key was given"),
        &expect![[r#"
            401 Unauthorized
            www-authenticate: Bearer
            {"error":{"code":"UNAUTHORIZED","message":"no key was given","type":"authentication_error","param":null,"recoverable":false}}
        "#]],
    );
}

// The whole table, so that a change of any row is seen in review.
#[test]
fn the_table() {
    let mut shown = String::new();
    for code in ErrorCode::ALL {
        let rule = rule(code);
        let close = u16::from(rule.close);
        let end = if rule.ends_session { "ends" } else { "goes on" };
        let again = match rule.retry_after {
            Some(wait) => format!("again in {} s", wait.as_secs()),
            None if rule.recoverable => "again".to_owned(),
            None => "-".to_owned(),
        };
        writeln!(
            shown,
            "{code} {} {close} {end} {} {} {again}",
            rule.status.as_u16(),
            rule.level,
            rule.kind
        )
        .unwrap();
    }
    expect![[r#"
        INVALID_REQUEST 400 1008 goes on DEBUG invalid_request_error -
        INVALID_JSON 400 1008 goes on DEBUG invalid_request_error -
        UNKNOWN_MESSAGE 400 1008 goes on DEBUG invalid_request_error -
        UNKNOWN_FIELD 422 1008 goes on DEBUG invalid_request_error -
        INVALID_PARAMETER 422 1008 goes on DEBUG invalid_request_error -
        UNEXPECTED_MESSAGE 400 1003 goes on DEBUG invalid_request_error -
        INVALID_AUDIO 415 1003 goes on DEBUG invalid_request_error -
        UNSUPPORTED_AUDIO 415 1003 goes on DEBUG invalid_request_error -
        INVALID_SAMPLES 422 1007 goes on DEBUG invalid_request_error -
        AUDIO_TOO_LONG 413 1009 goes on DEBUG invalid_request_error -
        AUDIO_TOO_SHORT 422 1008 goes on DEBUG invalid_request_error -
        NO_SPEECH 422 1008 goes on DEBUG invalid_request_error -
        TEXT_TOO_LONG 413 1009 goes on DEBUG invalid_request_error -
        PAYLOAD_TOO_LARGE 413 1009 goes on DEBUG invalid_request_error -
        FRAME_TOO_LARGE 413 1009 ends DEBUG invalid_request_error -
        UNKNOWN_MODEL 404 1008 goes on DEBUG invalid_request_error -
        UNKNOWN_LANGUAGE 422 1008 goes on DEBUG invalid_request_error -
        UNKNOWN_VOICE 404 1008 goes on DEBUG invalid_request_error -
        VOICE_EXISTS 409 1008 goes on DEBUG invalid_request_error -
        UNAUTHORIZED 401 1008 ends DEBUG authentication_error -
        FORBIDDEN 403 1008 goes on DEBUG invalid_request_error -
        NOT_FOUND 404 1008 goes on DEBUG invalid_request_error -
        METHOD_NOT_ALLOWED 405 1008 goes on DEBUG invalid_request_error -
        RATE_LIMITED 429 1013 goes on DEBUG rate_limit_error again in 1 s
        REQUEST_TIMEOUT 408 1008 goes on DEBUG invalid_request_error again
        TIMEOUT 504 1011 goes on WARN server_error again
        AT_CAPACITY 503 1013 ends DEBUG server_error again in 2 s
        OVERLOADED 503 1013 goes on DEBUG server_error again in 2 s
        DRAINING 503 1012 ends DEBUG server_error again in 1 s
        NOT_READY 503 1013 ends DEBUG server_error again in 5 s
        SLOW_CONSUMER 408 1013 ends DEBUG invalid_request_error again
        IDLE_TIMEOUT 408 1008 ends DEBUG invalid_request_error again
        PROTOCOL_ERROR 400 1002 ends DEBUG invalid_request_error -
        URL_FORBIDDEN 403 1008 goes on DEBUG invalid_request_error -
        URL_FAILED 422 1008 goes on DEBUG invalid_request_error again
        TRANSCRIPTION_FAILED 500 1011 goes on ERROR server_error again
        SYNTHESIS_FAILED 500 1011 goes on ERROR server_error again
        STORAGE_FAILED 503 1011 goes on ERROR server_error again in 5 s
        STORAGE_FULL 507 1011 goes on ERROR server_error again
        INTERNAL 500 1011 ends ERROR server_error again
    "#]]
    .assert_eq(&shown);
}

#[test]
fn what_a_client_did_wrong_is_not_logged_above_debug() {
    for code in ErrorCode::ALL {
        let rule = rule(code);
        if rule.status.is_client_error() {
            assert_eq!(rule.level, Level::DEBUG, "{code}");
        }
    }
}

#[test]
fn every_503_says_when_to_come_back() {
    for code in ErrorCode::ALL {
        let rule = rule(code);
        let unavailable = rule.status == StatusCode::SERVICE_UNAVAILABLE;
        assert!(!unavailable || rule.retry_after.is_some(), "{code}");
    }
}

#[test]
fn an_unknown_model_has_openai_s_code() {
    let body = ApiError::at("model", ErrorCode::UnknownModel, "no model `x`").body();
    expect![[r#"{"error":{"message":"no model `x`","type":"invalid_request_error","param":"model","code":"model_not_found"}}"#]]
        .assert_eq(&serde_json::to_string(&OpenAiError::from(body)).unwrap());
}
