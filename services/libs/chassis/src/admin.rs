//! Health, readiness, metrics and version: beside everything else, and on a port and thread of their own if wished.
//!
//! Invariants:
//! - These routes are open: no key, no place, no rate, and they answer while the service drains.
//! - Nothing slow happens on a thread that serves: metrics are gathered on the blocking pool.
//! - On a port of their own they answer while every other thread is busy.

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use actix_web::dev::ServerHandle;
use actix_web::http::header::ContentType;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpResponse, HttpServer, Route, guard, web};
use prometheus::{Encoder as _, TextEncoder};
use serde_json::{Map, Value, json};
use wire::error::ErrorCode;

use crate::access::{access, not_found};
use crate::api_error::ApiError;
use crate::routes;
use crate::server::{BindError, listen};
use crate::service::Service;

/// The paths of these routes.
pub const PATHS: [&str; 6] = [
    "/healthz", "/livez", "/readyz", "/health", "/metrics", "/version",
];

/// Whether a path is one of these routes, and so open to everybody.
pub(crate) fn is_open(path: &str) -> bool {
    PATHS.contains(&path)
}

/// Adds these routes.
pub(crate) fn configure(config: &mut web::ServiceConfig) {
    // Some balancers ask with HEAD.
    let probe = || web::route().guard(guard::Any(guard::Get()).or(guard::Head()));
    let mut add = |path: &str, route: Route, methods: &str| {
        let resource = web::resource(path).route(route);
        config.service(routes::refusing_others(resource, methods));
    };
    add("/healthz", probe().to(alive), "GET, HEAD");
    add("/livez", probe().to(alive), "GET, HEAD");
    add("/readyz", probe().to(ready), "GET, HEAD");
    add("/health", probe().to(health), "GET, HEAD");
    add("/metrics", web::get().to(metrics), "GET");
    add("/version", web::get().to(version), "GET");
}

async fn alive(service: web::Data<Service>) -> HttpResponse {
    if service.is_alive() {
        HttpResponse::Ok().json(json!({"status": "alive"}))
    } else {
        let error = ApiError::new(
            ErrorCode::NotReady,
            "work is waiting and none is being done",
        );
        HttpResponse::from_error(error)
    }
}

async fn ready(service: web::Data<Service>) -> HttpResponse {
    let reasons = service.readiness().reasons();
    if reasons.is_empty() {
        HttpResponse::Ok().json(json!({"status": "ready"}))
    } else {
        unavailable().json(json!({"status": "unready", "reasons": reasons}))
    }
}

async fn health(service: web::Data<Service>) -> HttpResponse {
    let reasons = service.readiness().reasons();
    let is_loaded = service.readiness().is_loaded();
    let identity = service.identity();
    let draining = service.drain().has_begun() || reasons.iter().any(|it| it == "draining");
    let status = match () {
        () if draining => "draining",
        () if !is_loaded => "starting",
        () if !service.is_alive() => "stalled",
        () if reasons.is_empty() => "ok",
        () => "unready",
    };
    let mut body = Map::new();
    body.insert("status".to_owned(), status.into());
    body.insert("service".to_owned(), identity.name.into());
    body.insert("instance".to_owned(), identity.instance.clone().into());
    body.insert("version".to_owned(), identity.version.into());
    body.insert(
        "uptime_s".to_owned(),
        service.started().elapsed().as_secs().into(),
    );
    body.insert("connections".to_owned(), service.places().n_taken().into());
    body.insert("max_connections".to_owned(), service.places().max().into());
    body.insert("draining".to_owned(), draining.into());
    body.insert("reasons".to_owned(), reasons.into());
    body.extend(service.details());
    if is_loaded {
        HttpResponse::Ok().json(Value::Object(body))
    } else {
        unavailable().json(Value::Object(body))
    }
}

async fn metrics(service: web::Data<Service>) -> Result<HttpResponse, ApiError> {
    let text = web::block(move || {
        service.gpus().refresh(Instant::now());
        let is_ready = service.readiness().is_ready();
        service.metrics().ready.set(i64::from(is_ready));
        let mut text = Vec::new();
        let encoded = TextEncoder::new().encode(&service.registry().gather(), &mut text);
        encoded.map(|()| text)
    });
    match text.await {
        Ok(Ok(text)) => Ok(HttpResponse::Ok()
            .content_type("text/plain; version=0.0.4; charset=utf-8")
            .body(text)),
        Ok(Err(error)) => Err(ApiError::new(ErrorCode::Internal, error.to_string())),
        Err(error) => Err(ApiError::new(ErrorCode::Internal, error.to_string())),
    }
}

async fn version(service: web::Data<Service>) -> HttpResponse {
    let identity = service.identity();
    HttpResponse::Ok()
        .insert_header(ContentType::json())
        .json(json!({
            "service": identity.name,
            "version": identity.version,
            "commit": identity.commit,
            "instance": identity.instance,
        }))
}

fn unavailable() -> actix_web::HttpResponseBuilder {
    let mut response = HttpResponse::ServiceUnavailable();
    response.insert_header(("retry-after", "5"));
    response
}

/// The port of their own, on a thread of its own. Stopped last, by [`Admin::stop`].
#[derive(Debug)]
pub struct Admin {
    address: SocketAddr,
    handle: ServerHandle,
    thread: thread::JoinHandle<io::Result<()>>,
}

/// Serves these routes on `server.admin_port`, if it is set. To be called first, so that loading can be watched.
///
/// # Errors
/// If the port cannot be had.
pub fn start(service: &Service) -> Result<Option<Admin>, BindError> {
    let Some(address) = service.server().admin else {
        return Ok(None);
    };
    let listener = listen(address, "server.admin_port", 128)?;
    let address = listener.local_addr().unwrap_or(address);
    let service = service.clone();
    let (handles, handle) = mpsc::sync_channel(1);
    let serve = move || {
        actix_rt::System::new().block_on(async move {
            let app = move || {
                App::new()
                    .app_data(web::Data::new(service.clone()))
                    .configure(configure)
                    .default_service(web::to(not_found))
                    .wrap(from_fn(access))
            };
            let server = HttpServer::new(app)
                .workers(1)
                .worker_max_blocking_threads(2)
                .disable_signals()
                .shutdown_timeout(1)
                .client_request_timeout(Duration::from_secs(5))
                .listen(listener)?
                .run();
            // The other end waits for exactly this; if it has gone, there is nobody to serve for.
            if handles.send(server.handle()).is_err() {
                return Ok(());
            }
            server.await
        })
    };
    let thread = thread::Builder::new()
        .name("admin".to_owned())
        .spawn(serve)
        .map_err(|reason| BindError::Other { address, reason })?;
    let handle = handle.recv().map_err(|_gone| BindError::Other {
        address,
        reason: io::Error::other("the admin thread ended at once"),
    })?;
    Ok(Some(Admin {
        address,
        handle,
        thread,
    }))
}

impl Admin {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it, after everything else.
    pub async fn stop(self) {
        self.handle.stop(true).await;
        // It has answered, so the thread is on its last lines.
        match self.thread.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the admin port ended badly"),
            Err(_panic) => tracing::error!("the admin thread panicked"),
        }
    }
}
