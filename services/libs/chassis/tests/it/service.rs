//! A small service on the chassis, in a thread of its own.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use chassis::api_error::{ApiError, Classify};
use chassis::limits::Admission;
use chassis::payload::Bounded;
use chassis::readiness::Latch;
use chassis::routes::Endpoint;
use chassis::server::{self, Outcome};
use chassis::settings::{Auth, DrainRaw, Problems, ServerRaw};
use chassis::socket::{self, CloseCode, Limits, Received, SendError, Socket};
use chassis::stop::{Stop, StopHandle};
use chassis::{Identity, Service, admin, task};
use serde::Deserialize;
use tracing::Span;
use wire::error::ErrorCode;

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) service: Service,
    pub(crate) stop: StopHandle,
    pub(crate) admin: Option<SocketAddr>,
    /// Handlers of `/slow` that were dropped before they were done.
    pub(crate) n_cancelled: Arc<AtomicUsize>,
    latch: Option<Latch>,
    outcome: mpsc::Receiver<Outcome>,
}

#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) server: ServerRaw,
    pub(crate) drain: DrainRaw,
    pub(crate) auth: Auth,
    pub(crate) is_loaded: bool,
}

/// Settings for a loopback test, one worker, changed as the test needs.
pub(crate) fn config(change: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config {
        server: ServerRaw {
            host: "127.0.0.1".to_owned(),
            workers: 1,
            ..ServerRaw::defaults(0)
        },
        drain: DrainRaw::defaults(),
        auth: Auth::default(),
        is_loaded: true,
    };
    change(&mut config);
    config
}

pub(crate) fn start(change: impl FnOnce(&mut Config)) -> Running {
    let config = config(change);
    let mut problems = Problems::default();
    let server = config.server.check(&mut problems);
    let drain = config.drain.check(&mut problems);
    assert!(problems.is_empty(), "{problems}");
    let identity = Identity {
        name: "test",
        version: "1.2.3",
        commit: "abcdef",
        instance: "test-0".to_owned(),
    };
    let service = Service::new(identity, server, drain, config.auth).unwrap();
    service.set_health_details(|| {
        let details = serde_json::json!({"model": "none", "queue_depth": 0});
        details.as_object().unwrap().clone()
    });
    let mut latch = Some(service.readiness().latch("the test"));
    if config.is_loaded {
        latch.take().unwrap().release();
    }
    let (stop, stopped) = Stop::by_hand();
    let n_cancelled = Arc::new(AtomicUsize::new(0));
    let (addresses, address) = mpsc::sync_channel(1);
    let (outcomes, outcome) = mpsc::sync_channel(1);
    let shared = service.clone();
    let counter = web::Data::new(Cancelled(Arc::clone(&n_cancelled)));
    let serve = move || {
        actix_rt::System::new().block_on(async move {
            let admin = admin::start(&shared).unwrap();
            let routes = move |config: &mut web::ServiceConfig| {
                config.app_data(counter.clone());
                routes(config);
            };
            let server = server::bind(&shared, routes).unwrap();
            let admin_address = admin.as_ref().map(admin::Admin::address);
            addresses.send((server.address(), admin_address)).unwrap();
            let outcome = server.run(stopped).await.unwrap();
            if let Some(admin) = admin {
                admin.stop().await;
            }
            // A test that does not look has dropped the other end.
            let _unseen = outcomes.send(outcome);
        });
    };
    let _thread = thread::Builder::new()
        .name("service".to_owned())
        .spawn(serve)
        .unwrap();
    let (address, admin) = address.recv_timeout(Duration::from_secs(60)).unwrap();
    Running {
        address,
        service,
        stop,
        admin,
        n_cancelled,
        latch,
        outcome,
    }
}

impl Running {
    pub(crate) fn outcome(&self) -> Outcome {
        self.outcome.recv_timeout(Duration::from_secs(60)).unwrap()
    }

    pub(crate) fn finish_loading(&mut self) {
        self.latch.take().unwrap().release();
    }

    /// Waits until so many places are taken.
    pub(crate) fn wait_for_places(&self, n_taken: usize) {
        wait_until(&format!("{n_taken} places taken"), || {
            self.service.places().n_taken() == n_taken
        });
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.stop();
        self.stop.stop();
    }
}

#[expect(clippy::disallowed_methods, reason = "a test thread may wait")]
pub(crate) fn pause(time: Duration) {
    thread::sleep(time);
}

/// An ignored test of this binary, as a process of its own.
pub(crate) fn other_half(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "--nocapture", test]);
    command
}

/// Polls a condition for up to half a minute.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..3000 {
        if condition() {
            return;
        }
        pause(Duration::from_millis(10));
    }
    panic!("gave up waiting for: {what}");
}

struct Cancelled(Arc<AtomicUsize>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Numbers {
    n: u8,
}

#[derive(Debug, thiserror::Error)]
#[error("could not open /secret/path")]
struct Broken;

impl Classify for Broken {
    fn code(&self) -> ErrorCode {
        ErrorCode::Internal
    }
}

/// Two methods of one path, with another path between them.
const TABLE: &[Endpoint<()>] = &[
    Endpoint {
        method: "get",
        path: "/hello",
        summary: "",
        shape: (),
        make: || web::get().to(async || "hello"),
    },
    Endpoint {
        method: "get",
        path: "/bye",
        summary: "",
        shape: (),
        make: || web::get().to(async || "bye"),
    },
    Endpoint {
        method: "post",
        path: "/hello",
        summary: "",
        shape: (),
        make: || web::post().to(async || "hello to you"),
    },
];

fn routes(config: &mut web::ServiceConfig) {
    chassis::routes::configure(config, TABLE);
    config
        .route(
            "/json",
            web::post().to(async |body: web::Json<Numbers>| body.n.to_string()),
        )
        .route(
            "/query",
            web::get().to(async |query: web::Query<Numbers>| query.n.to_string()),
        )
        .route(
            "/number/{n}",
            web::get().to(async |path: web::Path<u8>| path.to_string()),
        )
        .route(
            "/bytes",
            web::post().to(async |body: web::Bytes| body.len().to_string()),
        )
        .route("/upload", web::post().to(upload))
        .route("/work/{ms}", web::get().to(work))
        .route(
            "/broken",
            web::get().to(async || Err::<HttpResponse, _>(ApiError::from(Broken))),
        )
        .route("/panic", web::get().to(panicking))
        .route("/block/{ms}", web::get().to(block))
        .route("/ws", web::get().to(open));
}

async fn upload(request: HttpRequest, body: web::Payload) -> Result<String, ApiError> {
    let server = Service::of(&request)?.server();
    let body = Bounded::new(body, server).read().await?;
    Ok(body.len().to_string())
}

/// Takes a place and so much time, and counts if it is dropped before.
async fn work(
    ms: web::Path<u64>,
    cancelled: web::Data<Cancelled>,
    _place: Admission,
) -> &'static str {
    struct Running(Option<Arc<AtomicUsize>>);
    impl Drop for Running {
        fn drop(&mut self) {
            if let Some(counter) = &self.0 {
                counter.fetch_add(1, Ordering::SeqCst);
            }
        }
    }
    let mut running = Running(Some(Arc::clone(&cancelled.0)));
    tokio::time::sleep(Duration::from_millis(*ms)).await;
    running.0 = None;
    "done"
}

async fn panicking() -> HttpResponse {
    panic!("on purpose")
}

/// Does what no handler may: it blocks its worker.
async fn block(ms: web::Path<u64>) -> &'static str {
    pause(Duration::from_millis(*ms));
    "done"
}

async fn open(
    request: HttpRequest,
    payload: web::Payload,
    admission: Admission,
) -> Result<HttpResponse, ApiError> {
    let service = Service::of(&request)?.clone();
    let limits = Limits::of(service.server());
    let (response, socket) = socket::upgrade(&request, payload, &["echo.v2"], limits)?;
    drop(task::spawn(
        "session",
        Span::current(),
        session(service, socket, admission),
    ));
    Ok(response)
}

async fn session(service: Service, mut socket: Socket, admission: Admission) {
    let draining = admission.guard.draining();
    tokio::pin!(draining);
    loop {
        let received = tokio::select! {
            received = socket.recv() => received,
            () = &mut draining => {
                let last_words = Some("draining".to_owned());
                return socket.close_for(ErrorCode::Draining, last_words).await;
            }
        };
        let answered = match received {
            Received::Text(text) if &*text == "panic" => panic!("on purpose"),
            Received::Text(text) if &*text == "nap" => {
                tokio::time::sleep(Duration::from_millis(3000)).await;
                socket.send_text("awake").await
            }
            Received::Text(text) if &*text == "stuck" => std::future::pending().await,
            Received::Text(text) if &*text == "bye" => {
                return socket.close(CloseCode::Normal, "bye").await;
            }
            Received::Text(text) if text.starts_with("flood ") => flood(&mut socket, &text).await,
            Received::Text(text) if text.starts_with("tell ") => tell(&mut socket, &text).await,
            Received::Text(text) => socket.send_text(text).await,
            Received::Binary(bytes) => socket.send_binary(bytes).await,
            Received::Fault(fault) => {
                service.metrics().count_rejected(fault.code());
                return socket.fail(&fault.into()).await;
            }
            Received::Gone(_) => return socket.close(CloseCode::Normal, "").await,
        };
        match answered {
            Ok(()) => {}
            Err(SendError::Gone) => return,
            Err(SendError::Slow(fault)) => return socket.fail(&fault.into()).await,
        }
    }
}

/// `tell 10` sends ten large messages, and after each, when it is on its way, a small one.
async fn tell(socket: &mut Socket, text: &str) -> Result<(), SendError> {
    let n_messages: usize = text["tell ".len()..].parse().unwrap();
    for n in 0..n_messages {
        socket.send_binary(vec![1; 96_000]).await?;
        let drained = socket.drained_to(48_000);
        tokio::select! {
            _unexpected = socket.recv() => return Ok(()),
            () = drained => {}
        }
        socket.send_text(n.to_string()).await?;
    }
    Ok(())
}

/// `flood 100` sends 100 messages of 64 KiB.
async fn flood(socket: &mut Socket, text: &str) -> Result<(), SendError> {
    let n_messages: usize = text["flood ".len()..].parse().unwrap();
    for n in 0..n_messages {
        let fill = u8::try_from(n % 256).unwrap();
        socket.send_binary(vec![fill; 65_536]).await?;
    }
    Ok(())
}
