//! One meaning for each failure: from a service's error to what the client sees and what the log gets.
//!
//! Invariants:
//! - [`rule`] is the only place that knows a status, a close code or a log level.
//! - A failure reaches a client through [`ApiError`] or not at all.
//! - What a client did wrong is never logged above `debug`.
//! - Causes stay inside: a client reads the outermost message, and of [`ErrorCode::Internal`] not even that.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use actix_ws::CloseCode;
use tracing::Level;
use wire::error::{ErrorBody, ErrorCode, ErrorDetail, ErrorMessage};

mod openai;

pub use openai::{OpenAiError, OpenAiErrorEvent};

/// Whose fault an error is, decided by the service that knows the facts.
///
/// Implementations match every variant, without a wildcard, so that a new variant does not compile before someone has
/// decided.
pub trait Classify: Error + Send + Sync + 'static {
    /// The code that clients see.
    fn code(&self) -> ErrorCode;

    /// The parameter at fault, by the name the client gave it.
    fn param(&self) -> Option<&str> {
        None
    }

    /// How long the client should wait, where that is known better than by the code alone.
    fn retry_after(&self) -> Option<Duration> {
        None
    }
}

/// What a code costs: one row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The status of an HTTP answer.
    pub status: StatusCode,
    /// The code of the close frame, where the session ends.
    pub close: CloseCode,
    /// Whether a WebSocket session ends by this, unless its edge decides otherwise.
    pub ends_session: bool,
    /// How loud the log is.
    pub level: Level,
    /// The family, in OpenAI's words.
    pub kind: &'static str,
    /// Whether the same HTTP request may succeed later, unchanged.
    pub recoverable: bool,
    /// What `Retry-After` says, unless the error knows better.
    pub retry_after: Option<Duration>,
}

/// The one table.
#[must_use]
#[expect(
    clippy::too_many_lines,
    reason = "a table is read row by row, and there is only one"
)]
pub fn rule(code: ErrorCode) -> Rule {
    use ErrorCode as E;
    let refused = |status| Rule {
        status,
        close: CloseCode::Policy,
        ends_session: false,
        level: Level::DEBUG,
        kind: "invalid_request_error",
        recoverable: false,
        retry_after: None,
    };
    let full = |seconds| Rule {
        close: CloseCode::Again,
        kind: "server_error",
        recoverable: true,
        retry_after: Some(Duration::from_secs(seconds)),
        ..refused(StatusCode::SERVICE_UNAVAILABLE)
    };
    let failed = |status| Rule {
        close: CloseCode::Error,
        level: Level::ERROR,
        kind: "server_error",
        recoverable: true,
        ..refused(status)
    };
    match code {
        E::InvalidRequest | E::InvalidJson | E::UnknownMessage => refused(StatusCode::BAD_REQUEST),
        E::UnexpectedMessage => Rule {
            close: CloseCode::Unsupported,
            ..refused(StatusCode::BAD_REQUEST)
        },
        E::UnknownField
        | E::InvalidParameter
        | E::UnknownLanguage
        | E::AudioTooShort
        | E::NoSpeech => refused(StatusCode::UNPROCESSABLE_ENTITY),
        // The session goes on: the samples are replaced and the rest is used.
        E::InvalidSamples => Rule {
            close: CloseCode::Invalid,
            ..refused(StatusCode::UNPROCESSABLE_ENTITY)
        },
        E::InvalidAudio | E::UnsupportedAudio => Rule {
            close: CloseCode::Unsupported,
            ..refused(StatusCode::UNSUPPORTED_MEDIA_TYPE)
        },
        E::AudioTooLong | E::TextTooLong | E::PayloadTooLarge => Rule {
            close: CloseCode::Size,
            ..refused(StatusCode::PAYLOAD_TOO_LARGE)
        },
        // The rest of the frame was not read, so there is no way back into the stream of frames.
        E::FrameTooLarge => Rule {
            close: CloseCode::Size,
            ends_session: true,
            ..refused(StatusCode::PAYLOAD_TOO_LARGE)
        },
        E::UnknownModel | E::UnknownVoice | E::NotFound => refused(StatusCode::NOT_FOUND),
        E::VoiceExists => refused(StatusCode::CONFLICT),
        E::MethodNotAllowed => refused(StatusCode::METHOD_NOT_ALLOWED),
        E::Unauthorized => Rule {
            ends_session: true,
            kind: "authentication_error",
            ..refused(StatusCode::UNAUTHORIZED)
        },
        E::RateLimited => Rule {
            close: CloseCode::Again,
            kind: "rate_limit_error",
            recoverable: true,
            retry_after: Some(Duration::from_secs(1)),
            ..refused(StatusCode::TOO_MANY_REQUESTS)
        },
        E::RequestTimeout => Rule {
            recoverable: true,
            ..refused(StatusCode::REQUEST_TIMEOUT)
        },
        E::IdleTimeout => Rule {
            ends_session: true,
            recoverable: true,
            ..refused(StatusCode::REQUEST_TIMEOUT)
        },
        E::SlowConsumer => Rule {
            close: CloseCode::Again,
            ends_session: true,
            recoverable: true,
            ..refused(StatusCode::REQUEST_TIMEOUT)
        },
        E::ProtocolError => Rule {
            close: CloseCode::Protocol,
            ends_session: true,
            ..refused(StatusCode::BAD_REQUEST)
        },
        E::Timeout => Rule {
            level: Level::WARN,
            ..failed(StatusCode::GATEWAY_TIMEOUT)
        },
        E::AtCapacity => Rule {
            ends_session: true,
            ..full(2)
        },
        E::Overloaded => full(2),
        // Another instance can be asked at once.
        E::Draining => Rule {
            close: CloseCode::Restart,
            ends_session: true,
            ..full(1)
        },
        E::NotReady => Rule {
            ends_session: true,
            ..full(5)
        },
        E::UrlForbidden | E::Forbidden => refused(StatusCode::FORBIDDEN),
        E::UrlFailed => Rule {
            recoverable: true,
            ..refused(StatusCode::UNPROCESSABLE_ENTITY)
        },
        E::TranscriptionFailed | E::SynthesisFailed => failed(StatusCode::INTERNAL_SERVER_ERROR),
        E::StorageFailed => Rule {
            retry_after: Some(Duration::from_secs(5)),
            ..failed(StatusCode::SERVICE_UNAVAILABLE)
        },
        E::StorageFull => failed(StatusCode::INSUFFICIENT_STORAGE),
        E::Internal => Rule {
            ends_session: true,
            ..failed(StatusCode::INTERNAL_SERVER_ERROR)
        },
    }
}

/// What an edge answers with when it cannot do what was asked: any [`Classify`] error, ready to be sent.
pub struct ApiError(Box<dyn Classify>);

impl ApiError {
    /// A failure that needs no type of its own.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> ApiError {
        ApiError::from(Refusal {
            code,
            message: message.into(),
            param: None,
        })
    }

    /// A failure at one parameter, by the name the client gave it.
    #[must_use]
    pub fn at(param: impl Into<String>, code: ErrorCode, message: impl Into<String>) -> ApiError {
        ApiError::from(Refusal {
            code,
            message: message.into(),
            param: Some(param.into()),
        })
    }

    /// The code that clients see.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.0.code()
    }

    /// The row of the table for this error.
    #[must_use]
    pub fn rule(&self) -> Rule {
        rule(self.code())
    }

    /// The words that clients read.
    #[must_use]
    pub fn message(&self) -> String {
        if self.code() == ErrorCode::Internal {
            // Our own words for an unforeseen failure may name files and addresses.
            "something failed inside the server; its log knows more under the id in `x-request-id`"
                .to_owned()
        } else {
            self.0.to_string()
        }
    }

    /// The body of an HTTP answer.
    #[must_use]
    pub fn body(&self) -> ErrorBody {
        let rule = self.rule();
        ErrorBody {
            error: ErrorDetail {
                code: self.code(),
                message: self.message(),
                kind: rule.kind.to_owned(),
                param: self.0.param().map(str::to_owned),
                recoverable: rule.recoverable,
            },
        }
    }

    /// The message for a WebSocket; `recoverable` says whether the session goes on.
    #[must_use]
    pub fn to_message(&self, segment_id: Option<u64>) -> ErrorMessage {
        ErrorMessage {
            code: self.code(),
            message: self.message(),
            recoverable: !self.rule().ends_session,
            segment_id,
        }
    }

    /// Writes the error with all its causes to the log, as loud as the table says.
    ///
    /// HTTP answers are logged by the server; only sockets need to call this.
    pub fn log(&self) {
        let code = self.code().as_str();
        let causes = Causes(&*self.0);
        match self.rule().level {
            Level::ERROR => tracing::error!(code, error = %causes, "failed"),
            Level::WARN => tracing::warn!(code, error = %causes, "failed"),
            _ => tracing::debug!(code, error = %causes, "refused"),
        }
    }
}

impl<E: Classify> From<E> for ApiError {
    fn from(error: E) -> ApiError {
        ApiError(Box::new(error))
    }
}

impl fmt::Debug for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.rule().status
    }

    fn error_response(&self) -> HttpResponse {
        let rule = self.rule();
        let mut response = HttpResponse::build(rule.status).json(self.body());
        let headers = response.headers_mut();
        if let Some(wait) = self.0.retry_after().or(rule.retry_after) {
            // Whole seconds, and never 0, which would invite a busy loop.
            let seconds = wait.as_secs_f64().ceil().max(1.0);
            if let Ok(value) = HeaderValue::from_str(&format!("{seconds:.0}")) {
                headers.insert(header::RETRY_AFTER, value);
            }
        }
        if rule.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// A failure that is told in words alone.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Refusal {
    code: ErrorCode,
    message: String,
    param: Option<String>,
}

impl Classify for Refusal {
    fn code(&self) -> ErrorCode {
        self.code
    }

    fn param(&self) -> Option<&str> {
        self.param.as_deref()
    }
}

/// Shows an error followed by its causes, for the log.
struct Causes<'a>(&'a dyn Classify);

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
