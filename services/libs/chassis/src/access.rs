//! Around every request: an id, a span, counts, the gate, and errors of one shape.
//!
//! ```text
//! request ──► access ──► cors ──► gate ──► handler
//!   id, span, counts,            key, rate,
//!   one shape of error           drain, deadline
//! ```
//!
//! Invariants:
//! - Every answer that the application gives carries `x-request-id`, and every one that is no success the error body: in OpenAI's
//!   spelling where OpenAI's interface is, whoever refused.
//! - Labels are routes as written and statuses: never a path, an id or a caller.
//! - From its gate until the last byte of its answer a request holds a drain guard.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpRequest, HttpResponse};
use bytes::Bytes;
use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
};
use tracing::Instrument as _;
use wire::error::ErrorCode;

use crate::admin;
use crate::api_error::{ApiError, OpenAiError};
use crate::drain::Guard;
use crate::limits;
use crate::request_id::{self, RequestId};
use crate::service::Service;

/// The metrics that every service has, named after it.
#[derive(Clone, Debug)]
pub struct HttpMetrics {
    pub(crate) connections: IntGauge,
    pub(crate) max_connections: IntGauge,
    pub(crate) draining: IntGauge,
    /// Set when somebody scrapes: readiness is asked for and never stored.
    pub(crate) ready: IntGauge,
    requests: IntCounterVec,
    seconds: HistogramVec,
    rejected: IntCounterVec,
}

impl HttpMetrics {
    pub(crate) fn register(
        prefix: &str,
        registry: &Registry,
    ) -> Result<HttpMetrics, prometheus::Error> {
        let named = |name: &str, help: &str| Opts::new(format!("{prefix}_{name}"), help);
        // From a health check to a long file: a request is answered between a millisecond and minutes.
        let buckets = [
            0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
        ];
        let metrics = HttpMetrics {
            connections: IntGauge::with_opts(named(
                "connections",
                "Places taken by sessions and requests.",
            ))?,
            max_connections: IntGauge::with_opts(named(
                "max_connections",
                "Places there are; when all are taken, new sessions are refused.",
            ))?,
            draining: IntGauge::with_opts(named(
                "draining",
                "1 from the moment the service was told to stop.",
            ))?,
            ready: IntGauge::with_opts(named(
                "ready",
                "1 while the service may be sent work; 0 while it loads, drains or is full.",
            ))?,
            requests: IntCounterVec::new(
                named("requests_total", "Requests answered."),
                &["route", "status"],
            )?,
            seconds: HistogramVec::new(
                HistogramOpts::from(named(
                    "request_seconds",
                    "From the head of a request to the head of its answer.",
                ))
                .buckets(buckets.to_vec()),
                &["route"],
            )?,
            rejected: IntCounterVec::new(
                named(
                    "rejected_total",
                    "Requests refused and sessions ended, by the error code.",
                ),
                &["reason"],
            )?,
        };
        registry.register(Box::new(metrics.connections.clone()))?;
        registry.register(Box::new(metrics.max_connections.clone()))?;
        registry.register(Box::new(metrics.draining.clone()))?;
        registry.register(Box::new(metrics.ready.clone()))?;
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.seconds.clone()))?;
        registry.register(Box::new(metrics.rejected.clone()))?;
        // Every series exists from the start, so that a rate is right from the first refusal.
        for reason in ErrorCode::ALL {
            drop(metrics.reason(reason));
        }
        Ok(metrics)
    }

    /// Counts a refusal, or a session that was ended by an error. HTTP answers are counted without being told.
    pub fn count_rejected(&self, reason: ErrorCode) {
        self.reason(reason).inc();
    }

    fn reason(&self, reason: ErrorCode) -> IntCounter {
        let label = reason.as_str().to_ascii_lowercase();
        self.rejected.with_label_values(&[label])
    }
}

/// The outermost layer.
pub(crate) async fn access<B>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error>
where
    B: MessageBody + 'static,
{
    let began = Instant::now();
    let id = RequestId::of(request.headers());
    let route = request
        .match_pattern()
        .unwrap_or_else(|| "unmatched".to_owned());
    let metrics = Service::of(request.request())?.metrics().clone();
    let method = request.method().clone();
    let is_openai = is_openai(request.path());
    let span = tracing::info_span!("request", request_id = %id, %method, route);
    request.extensions_mut().insert(id.clone());

    let result = next.call(request).instrument(span.clone()).await;
    let _inside = span.enter();
    let result = match result {
        Ok(answer) => Ok(with_one_shape(answer.map_into_boxed_body())),
        Err(error) => Err(error),
    };
    let status = match &result {
        Ok(answer) => answer.status(),
        Err(error) => error.as_response_error().status_code(),
    };
    let error = match &result {
        Ok(answer) => answer.response().error(),
        Err(error) => Some(error),
    };
    let mut spelled = None;
    if let Some(error) = error.and_then(|it| it.as_error::<ApiError>()) {
        error.log();
        metrics.count_rejected(error.code());
        if is_openai {
            spelled = serde_json::to_vec(&OpenAiError::from(error.body())).ok();
        }
    }
    let took = began.elapsed();
    metrics
        .requests
        .with_label_values(&[&route, status.as_str()])
        .inc();
    metrics
        .seconds
        .with_label_values(&[&route])
        .observe(took.as_secs_f64());
    tracing::debug!(status = status.as_u16(), took_ms = millis(took), "answered");
    match result {
        Ok(answer) => {
            let mut answer = match spelled {
                Some(body) => answer.map_body(|_, _| BoxBody::new(body)),
                None => answer,
            };
            set_id(answer.headers_mut(), &id);
            Ok(answer)
        }
        // An error that no layer turned into an answer has lost its request, but can still carry the id.
        Err(error) => {
            let mut answer = error.error_response();
            if let Some(body) = spelled {
                answer = answer.set_body(BoxBody::new(body));
            }
            set_id(answer.headers_mut(), &id);
            Err(InternalError::from_response(error, answer).into())
        }
    }
}

/// Whether clients of OpenAI's API ask here. They compare codes in its spelling.
fn is_openai(path: &str) -> bool {
    path == "/v1/models" || path.starts_with("/v1/models/") || path.starts_with("/v1/audio/")
}

/// The innermost layer: who may come in, and for how long.
pub(crate) async fn gate<B>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error>
where
    B: MessageBody + 'static,
{
    if admin::is_open(request.path()) {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    let service = Service::of(request.request())?.clone();
    let guard = match enter(&service, &request) {
        Ok(guard) => guard,
        Err(error) => return Ok(request.error_response(error)),
    };
    let limit = service.server().request_timeout;
    match tokio::time::timeout(limit, next.call(request)).await {
        Ok(answer) => {
            let held = |_: &mut _, inner| {
                BoxBody::new(Held {
                    inner,
                    _guard: guard,
                })
            };
            Ok(answer?.map_into_boxed_body().map_body(held))
        }
        Err(_elapsed) => {
            let message = format!("the request was not answered within {limit:?}");
            Err(ApiError::new(ErrorCode::Timeout, message).into())
        }
    }
}

fn enter(service: &Service, request: &ServiceRequest) -> Result<Guard, ApiError> {
    let keys = service.auth().keys.as_deref();
    let caller = keys.map(|keys| keys.admit(request.request())).transpose()?;
    if let Some(limiter) = service.limiter() {
        let trust_forwarded = service.server().trust_forwarded;
        let name = limits::caller_of(request.request(), caller.as_ref(), trust_forwarded);
        limiter.check(&name, Instant::now())?;
    }
    Ok(service.drain().enter()?)
}

/// Gives every failure the body that clients know, also where actix answers by itself: 404, 405, broken extractors.
fn with_one_shape(answer: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let status = answer.status();
    let is_ours = answer
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|it| it.as_bytes().starts_with(b"application/json"));
    if is_ours || !(status.is_client_error() || status.is_server_error()) {
        return answer;
    }
    let (request, response) = answer.into_parts();
    let cause = response.error().map(ToString::to_string);
    let (code, message) = in_words(status, cause, request.method().as_str(), request.path());
    let mut shaped = HttpResponse::from_error(ApiError::new(code, message));
    // The code may stand for several statuses; what actix said is the more exact one.
    *shaped.status_mut() = status;
    if let Some(allow) = response.headers().get(header::ALLOW) {
        shaped.headers_mut().insert(header::ALLOW, allow.clone());
    }
    ServiceResponse::new(request, shaped)
}

fn in_words(
    status: StatusCode,
    cause: Option<String>,
    method: &str,
    path: &str,
) -> (ErrorCode, String) {
    let or = |text: &str| cause.clone().unwrap_or_else(|| text.to_owned());
    match status {
        StatusCode::NOT_FOUND => {
            let message =
                format!("nothing lives at `{path}`; `/docs` and `/openapi.json` say what does");
            (ErrorCode::NotFound, message)
        }
        StatusCode::METHOD_NOT_ALLOWED => {
            let message =
                format!("`{path}` does not answer {method}; `/openapi.json` says what it answers");
            (ErrorCode::MethodNotAllowed, message)
        }
        StatusCode::PAYLOAD_TOO_LARGE => (ErrorCode::PayloadTooLarge, or("the body is too large")),
        StatusCode::REQUEST_TIMEOUT => {
            (ErrorCode::RequestTimeout, or("the request came too slowly"))
        }
        StatusCode::UNSUPPORTED_MEDIA_TYPE => (
            ErrorCode::InvalidRequest,
            or("the content type is not one that is read here"),
        ),
        StatusCode::UNPROCESSABLE_ENTITY => {
            (ErrorCode::InvalidParameter, or("a value is impossible"))
        }
        _ if status.is_client_error() => (
            ErrorCode::InvalidRequest,
            or("the request cannot be understood"),
        ),
        _ => (ErrorCode::Internal, or("an answer without a reason")),
    }
}

fn set_id(headers: &mut HeaderMap, id: &RequestId) {
    // An id is visible ASCII by its own rule.
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        headers.insert(request_id::HEADER, value);
    }
}

fn millis(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}

/// The answer to whatever matches no route.
pub(crate) async fn not_found(request: HttpRequest) -> HttpResponse {
    refused(&request, StatusCode::NOT_FOUND)
}

/// The answer to a method that a path does not have.
pub(crate) fn method_not_allowed(request: &HttpRequest) -> HttpResponse {
    refused(request, StatusCode::METHOD_NOT_ALLOWED)
}

fn refused(request: &HttpRequest, status: StatusCode) -> HttpResponse {
    let (code, message) = in_words(status, None, request.method().as_str(), request.path());
    HttpResponse::from_error(ApiError::new(code, message))
}

/// A body that keeps the drain waiting until it is sent or dropped.
struct Held {
    inner: BoxBody,
    _guard: Guard,
}

impl MessageBody for Held {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.inner.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.inner).poll_next(cx)
    }

    fn try_into_bytes(self) -> Result<Bytes, Self>
    where
        Self: Sized,
    {
        let Held { inner, _guard } = self;
        inner
            .try_into_bytes()
            .map_err(|inner| Held { inner, _guard })
    }
}
