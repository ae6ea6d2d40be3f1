//! The server: assembled, bound, run until drained.
//!
//! ```text
//! start: settings -> telemetry -> admin::start -> bind -> run, while models load and release their latches -> READY=1
//! stop:  signal -> unready -> announce -> Drain::begin, 503 for what is new -> guards gone, or the deadline
//!               -> sockets closed -> (models, by the service) -> Admin::stop
//! ```
//!
//! Invariants:
//! - A client that hangs up cancels its handler at once: `h1_allow_half_closed(false)`. Without it, work for nobody
//!   runs to its end.
//! - While it drains the server still accepts, to say 503 with `Retry-After`. A listener that merely stopped accepting
//!   would leave clients waiting in the kernel's queue until the process ends.
//! - What a client leaves unread cannot hold a connection: the kernel ends it (`TCP_USER_TIMEOUT`).

use std::any::Any;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use actix_cors::Cors;
use actix_web::dev::{Extensions, ServerHandle};
use actix_web::middleware::{Condition, from_fn};
use actix_web::rt::net::TcpStream;
use actix_web::{App, HttpServer, dev, http, web};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::access::{access, gate, not_found};
use crate::service::Service;
use crate::settings;
use crate::socket::Line;
use crate::stop::Stop;
use crate::{admin, extract, request_id, systemd};

/// Connections above `max_connections` that a worker accepts, to tell them that it is full.
const ROOM_TO_REFUSE: usize = 512;

/// How long actix reads on after an answer that came before the end of its request: long enough for a client to read
/// the answer before the reset that unread bytes cause. Not less than a second: actix counts from a clock that it sets
/// every half second, and a deadline that has passed already is never noticed.
const LINGER: Duration = Duration::from_secs(1);

/// Time for the last bytes of the last answers, once all work is done.
const LAST_BYTES: Duration = Duration::from_secs(2);

/// Why a port could not be had.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else listens there.
    #[error(
        "port {} of {} is in use by another process; `ss -ltnp 'sport = :{}'` shows which. Stop it, or set another `{key}`",
        address.port(), address.ip(), address.port()
    )]
    Busy {
        /// Where.
        address: SocketAddr,
        /// The setting that names the port.
        key: &'static str,
    },
    /// The system does not allow it.
    #[error("port {} of {} may not be used by this user; ports below 1024 need a privilege. Set another `{key}`", address.port(), address.ip())]
    Forbidden {
        /// Where.
        address: SocketAddr,
        /// The setting that names the port.
        key: &'static str,
    },
    /// The address is not of this machine.
    #[error("{} is no address of this machine; 0.0.0.0 listens at all of them", address.ip())]
    NotOurs {
        /// Where.
        address: SocketAddr,
    },
    /// Anything else.
    #[error("cannot listen at {address}")]
    Other {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        #[source]
        reason: io::Error,
    },
}

/// A server that has its port.
#[must_use = "a server that is not run answers nobody"]
pub struct Server {
    service: Service,
    address: SocketAddr,
    running: dev::Server,
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Sessions and requests that were cut.
    pub n_cut: usize,
    /// Whether a second signal cut the drain short.
    pub is_forced: bool,
}

impl Outcome {
    /// 0 if all work was finished, else 1.
    #[must_use]
    pub fn exit_code(self) -> ExitCode {
        ExitCode::from(u8::from(0 < self.n_cut || self.is_forced))
    }
}

/// Takes the port, so that a busy one is known before anything is loaded, and assembles the application: the routes of
/// [`admin`], those of the service, and what stands around them.
///
/// # Errors
/// If the port cannot be had.
pub fn bind(
    service: &Service,
    routes: impl Fn(&mut web::ServiceConfig) + Send + Sync + 'static,
) -> Result<Server, BindError> {
    let settings = service.server();
    let listener = listen(settings.address, "server.port", settings.backlog)?;
    let address = listener.local_addr().unwrap_or(settings.address);
    let running = assemble(service.clone(), Arc::new(routes), listener)
        .map_err(|reason| BindError::Other { address, reason })?;
    Ok(Server {
        service: service.clone(),
        address,
        running,
    })
}

type Routes = dyn Fn(&mut web::ServiceConfig) + Send + Sync;

/// Not generic, so that actix is compiled for this once and not in every service and test.
fn assemble(
    service: Service,
    routes: Arc<Routes>,
    listener: TcpListener,
) -> io::Result<dev::Server> {
    let settings = service.server().clone();
    let app = move || {
        let settings = service.server();
        let max_json_bytes = settings.max_json_bytes.get();
        let has_origins = !settings.cors_origins.is_empty();
        App::new()
            .app_data(web::Data::new(service.clone()))
            .configure(move |config| extract::configure(config, max_json_bytes))
            .configure(admin::configure)
            .configure(|config| routes(config))
            .default_service(web::to(not_found))
            .wrap(from_fn(gate))
            .wrap(Condition::new(has_origins, cors(&settings.cors_origins)))
            .wrap(from_fn(access))
    };
    let unread = unread_limit(&settings);
    let mut server = HttpServer::new(app)
        .max_connections(settings.max_connections.get() + ROOM_TO_REFUSE)
        .keep_alive(settings.keep_alive)
        .client_request_timeout(settings.header_timeout)
        .client_disconnect_timeout(LINGER)
        .h1_allow_half_closed(false)
        .tcp_nodelay(true)
        .disable_signals()
        .shutdown_timeout(LAST_BYTES.as_secs())
        .on_connect(move |stream: &dyn Any, data: &mut Extensions| {
            prepare(stream, unread);
            Line::keep(stream, data);
        });
    if let Some(workers) = settings.workers {
        server = server.workers(workers.get());
    }
    Ok(server.listen(listener)?.run())
}

impl Server {
    /// Where it listens. With port 0 this is where the port is told.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until stopping is asked for, then drains. A second request to stop ends at once.
    ///
    /// # Errors
    /// If the server ends without being asked to.
    pub async fn run(self, mut stop: Stop) -> io::Result<Outcome> {
        let handle = self.running.handle();
        tracing::info!(address = %self.address, "listening");
        let mut running = actix_rt::spawn(self.running);
        tokio::select! {
            ended = &mut running => {
                ended.map_err(io::Error::other)??;
                return Err(io::Error::other("the server ended without being asked to"));
            }
            () = stop.asked(1) => {}
        }
        let drained = drain(&self.service, &handle);
        let outcome = tokio::select! {
            n_cut = drained => Outcome { n_cut, is_forced: false },
            () = stop.asked(2) => {
                self.service.drain().begin();
                // Not awaited: this is the hurry.
                drop(handle.stop(false));
                Outcome { n_cut: self.service.n_under_way(), is_forced: true }
            }
        };
        if outcome
            == (Outcome {
                n_cut: 0,
                is_forced: false,
            })
        {
            tracing::info!("drained");
        } else {
            tracing::warn!(
                n_cut = outcome.n_cut,
                is_forced = outcome.is_forced,
                "work was cut"
            );
        }
        Ok(outcome)
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// Unready, announced, drained, stopped. The order is the point: see the picture above. Returns how many were cut.
fn drain(service: &Service, handle: &ServerHandle) -> impl Future<Output = usize> + use<> {
    let service = service.clone();
    let handle = handle.clone();
    async move {
        let times = service.drain_times();
        tracing::info!(
            deadline_ms = u64::try_from(times.deadline.as_millis()).unwrap_or(u64::MAX),
            "draining"
        );
        service.readiness().leave();
        service.metrics().draining.set(1);
        systemd::stopping();
        let finish = async {
            tokio::time::sleep(times.announce).await;
            service.drain().begin();
            service.drain().finished(times.deadline).await
        };
        let finished = tokio::select! {
            finished = finish => finished,
            never = systemd::draining(&service, times.announce + times.deadline) => match never {},
        };
        let n_cut = finished.map_or_else(|_held| service.n_under_way(), |()| 0);
        handle.stop(n_cut == 0).await;
        n_cut
    }
}

/// Takes a port and says in words why it cannot be had. `key` is the setting that names the port.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the kinds are not ours and grow"
)]
pub(crate) fn listen(
    address: SocketAddr,
    key: &'static str,
    backlog: u32,
) -> Result<TcpListener, BindError> {
    let socket = || -> io::Result<TcpListener> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        // A restart must not wait for the connections of the process before it to time out.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        Ok(socket.into())
    };
    socket().map_err(|reason| match reason.kind() {
        io::ErrorKind::AddrInUse => BindError::Busy { address, key },
        io::ErrorKind::PermissionDenied => BindError::Forbidden { address, key },
        io::ErrorKind::AddrNotAvailable => BindError::NotOurs { address },
        _ => BindError::Other { address, reason },
    })
}

/// Longer than a session needs to notice a slow reader and to say goodbye, so that it is the session that ends first.
fn unread_limit(settings: &settings::Server) -> Duration {
    2 * settings.slow_reader + settings.close_timeout
}

fn prepare(stream: &dyn Any, unread: Duration) {
    let Some(stream) = stream.downcast_ref::<TcpStream>() else {
        return;
    };
    if let Err(error) = SockRef::from(stream).set_tcp_user_timeout(Some(unread)) {
        tracing::debug!(%error, "a connection has no limit for unread bytes");
    }
}

/// The pages that may call us. `*` is all of them, and then without cookies, which we never set.
fn cors(origins: &[String]) -> Cors {
    let cors = Cors::default()
        .allow_any_method()
        .allow_any_header()
        .expose_headers([request_id::HEADER, http::header::RETRY_AFTER])
        .max_age(3600);
    if origins.iter().any(|origin| origin == "*") {
        return cors.allow_any_origin().send_wildcard();
    }
    origins
        .iter()
        .fold(cors, |cors, origin| cors.allowed_origin(origin))
}
