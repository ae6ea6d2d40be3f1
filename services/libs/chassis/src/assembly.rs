//! A service put together: ports taken first, parts started, edges served, everything stopped in order.
//!
//! ```text
//! Assembly::begin ──► parts (models) ──► bind ──► run: ready ► READY=1 ► serve until stopped, or a part ends
//!  ports known to be free                              └► drain ► parts dropped ► admin port last
//! ```
//!
//! Invariants:
//! - A busy port is known before anything is loaded.
//! - Readiness waits for every part; until then work is refused, and health is told.
//! - A part that ends takes the process with it.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};

use actix_web::web;

use crate::admin::{self, Admin};
use crate::readiness::Latch;
use crate::server::{self, BindError, Outcome};
use crate::service::Service;
use crate::stop::Stop;
use crate::systemd;

/// What a service runs on besides its ports: the threads of its models, its links to others.
pub trait Parts {
    /// Why they cannot go on.
    type Error: From<io::Error>;

    /// Waits until all of them can do work.
    fn ready(&mut self) -> impl Future<Output = Result<(), Self::Error>>;

    /// Waits until one of them has ended, which is the end of the service.
    fn ended(&mut self) -> impl Future<Output = Self::Error>;
}

/// A service whose parts are still to be made.
#[derive(Debug)]
#[must_use = "nothing is served yet"]
pub struct Assembly {
    service: Service,
    loaded: Latch,
    admin: Option<Admin>,
}

/// A service that has its ports and whose parts are being started.
#[must_use = "a service that is not run answers nobody"]
pub struct Assembled<P> {
    service: Service,
    parts: P,
    loaded: Latch,
    admin: Option<Admin>,
    http: server::Server,
}

impl Assembly {
    /// Opens the admin port and makes sure that the other can be had, before anything slow is done.
    ///
    /// # Errors
    /// A port cannot be had.
    pub fn begin(service: Service) -> Result<Assembly, BindError> {
        let loaded = service.readiness().latch("the models");
        let admin = admin::start(&service)?;
        check_port(&service)?;
        Ok(Assembly {
            service,
            loaded,
            admin,
        })
    }

    /// Takes the port for good. The parts need not be ready yet.
    ///
    /// # Errors
    /// The port cannot be had.
    pub fn bind<P: Parts>(
        self,
        parts: P,
        routes: impl Fn(&mut web::ServiceConfig) + Send + Sync + 'static,
    ) -> Result<Assembled<P>, BindError> {
        let http = server::bind(&self.service, routes)?;
        let Assembly {
            service,
            loaded,
            admin,
        } = self;
        Ok(Assembled {
            service,
            parts,
            loaded,
            admin,
            http,
        })
    }
}

/// Loading a model takes seconds; whether the port is free is known at once.
fn check_port(service: &Service) -> Result<(), BindError> {
    let address = service.server().address;
    if address.port() != 0 && TcpListener::bind(address).is_err() {
        // Asked again for its words.
        drop(server::bind(
            service,
            |_config: &mut web::ServiceConfig| {},
        )?);
    }
    Ok(())
}

impl<P: Parts> Assembled<P> {
    /// Where it listens. With port 0 this is where the port is told.
    pub fn address(&self) -> SocketAddr {
        self.http.address()
    }

    /// What its parts share: drain, readiness, metrics.
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// Serves until stopping is asked for, then drains and stops everything in order.
    ///
    /// # Errors
    /// A part could not be started or has ended, or the server has.
    pub async fn run(self, stop: Stop) -> Result<Outcome, P::Error> {
        let Assembled {
            service,
            mut parts,
            loaded,
            admin,
            http,
        } = self;
        let supervise = async {
            let loading = tokio::select! {
                loading = parts.ready() => loading,
                never = systemd::loading() => match never {},
            };
            if let Err(error) = loading {
                return error;
            }
            loaded.release();
            systemd::ready(&service);
            parts.ended().await
        };
        let outcome = tokio::select! {
            outcome = http.run(stop) => outcome.map_err(P::Error::from),
            error = supervise => Err(error),
        };
        // The last handles: with them the threads of the parts stop, and are waited for.
        drop(parts);
        if let Some(admin) = admin {
            admin.stop().await;
        }
        outcome
    }
}

impl<P> std::fmt::Debug for Assembled<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Assembled")
            .field("address", &self.http.address())
            .finish_non_exhaustive()
    }
}
