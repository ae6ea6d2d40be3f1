//! What every handler, middleware and endpoint of one service shares.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use actix_web::{HttpRequest, web};
use prometheus::Registry;
use serde_json::{Map, Value};
use wire::error::ErrorCode;

use crate::access::HttpMetrics;
use crate::api_error::ApiError;
use crate::drain::Drain;
use crate::gpu::Gpus;
use crate::limits::{Places, RateLimiter};
use crate::readiness::Readiness;
use crate::settings::{Auth, DrainTimes, Server};
use crate::telemetry;
use crate::watchdog::Liveness;

/// Who the service is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its name, which begins the name of every metric: `asr`.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The commit it was built from, if known.
    pub commit: &'static str,
    /// This instance among its like: `asr-8001`.
    pub instance: String,
}

/// The state that all parts of a running service share. Clones are the same state.
#[derive(Clone)]
pub struct Service {
    shared: Arc<Shared>,
}

type HealthDetails = dyn Fn() -> Map<String, Value> + Send + Sync;

struct Shared {
    identity: Identity,
    server: Server,
    drain_times: DrainTimes,
    auth: Auth,
    started: Instant,
    drain: Drain,
    readiness: Readiness,
    registry: Registry,
    metrics: HttpMetrics,
    places: Places,
    limiter: Option<RateLimiter>,
    gpus: Gpus,
    details: OnceLock<Box<HealthDetails>>,
    liveness: OnceLock<Liveness>,
}

impl Service {
    /// Makes the state of a service that has not started: its registry, its drain, its latches.
    ///
    /// # Errors
    /// If the name does not make valid metric names.
    pub fn new(
        identity: Identity,
        server: Server,
        drain_times: DrainTimes,
        auth: Auth,
    ) -> Result<Service, prometheus::Error> {
        let registry = telemetry::registry(&identity)?;
        let metrics = HttpMetrics::register(identity.name, &registry)?;
        let places = Places::new(server.max_connections, metrics.connections.clone());
        metrics
            .max_connections
            .set(i64::try_from(places.max()).unwrap_or(i64::MAX));
        let gpus = Gpus::register(&registry)?;
        let drain = Drain::new();
        let started = Instant::now();
        let readiness = Readiness::new(drain.clone());
        let full = places.clone();
        readiness.unless(move || {
            let is_full = full.max() <= full.n_taken();
            is_full.then(|| format!("all {} places are taken", full.max()))
        });
        let shared = Shared {
            limiter: server
                .rate_limit
                .map(|limit| RateLimiter::new(limit, started)),
            readiness,
            identity,
            server,
            drain_times,
            auth,
            started,
            drain,
            registry,
            metrics,
            places,
            gpus,
            details: OnceLock::new(),
            liveness: OnceLock::new(),
        };
        Ok(Service {
            shared: Arc::new(shared),
        })
    }

    /// The service that a request came to.
    ///
    /// # Errors
    /// If the application was not assembled by [`crate::server`].
    pub fn of(request: &HttpRequest) -> Result<&Service, ApiError> {
        let service = request.app_data::<web::Data<Service>>();
        service.map(web::Data::get_ref).ok_or_else(|| {
            ApiError::new(
                ErrorCode::Internal,
                "the application was assembled without its service",
            )
        })
    }

    /// Sessions and requests under way. Those that have a place hold the drain twice: at the gate, and as long as their work lasts.
    pub(crate) fn n_under_way(&self) -> usize {
        let (n_held, n_placed) = (self.drain().n_held(), self.places().n_taken());
        n_held.saturating_sub(n_placed).max(n_placed)
    }

    /// Adds the service's own part to `GET /health`: `model`, `device`, `queue_depth` and so on. Said once.
    pub fn set_health_details(
        &self,
        details: impl Fn() -> Map<String, Value> + Send + Sync + 'static,
    ) {
        let is_first = self.shared.details.set(Box::new(details)).is_ok();
        debug_assert!(is_first, "the health details were set twice");
    }

    /// Sets how `GET /livez` and systemd's watchdog find out whether work is still being done. Said once.
    pub fn set_liveness(&self, liveness: Liveness) {
        let is_first = self.shared.liveness.set(liveness).is_ok();
        debug_assert!(is_first, "the liveness was set twice");
    }

    /// Whether work is being done, or there is none to do.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.shared
            .liveness
            .get()
            .is_none_or(|it| it.check(Instant::now()))
    }

    /// Who the service is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.shared.identity
    }

    /// Section `server` of its settings.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.shared.server
    }

    /// Section `drain` of its settings.
    #[must_use]
    pub fn drain_times(&self) -> DrainTimes {
        self.shared.drain_times
    }

    /// Who may call.
    #[must_use]
    pub fn auth(&self) -> &Auth {
        &self.shared.auth
    }

    /// The switch that stops it.
    #[must_use]
    pub fn drain(&self) -> &Drain {
        &self.shared.drain
    }

    /// Whether it may be sent work.
    #[must_use]
    pub fn readiness(&self) -> &Readiness {
        &self.shared.readiness
    }

    /// Where its metrics are registered.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.shared.registry
    }

    /// The metrics that every service has.
    #[must_use]
    pub fn metrics(&self) -> &HttpMetrics {
        &self.shared.metrics
    }

    /// The places for sessions and requests.
    #[must_use]
    pub fn places(&self) -> &Places {
        &self.shared.places
    }

    pub(crate) fn limiter(&self) -> Option<&RateLimiter> {
        self.shared.limiter.as_ref()
    }

    pub(crate) fn gpus(&self) -> &Gpus {
        &self.shared.gpus
    }

    pub(crate) fn details(&self) -> Map<String, Value> {
        self.shared
            .details
            .get()
            .map(|details| details())
            .unwrap_or_default()
    }

    pub(crate) fn started(&self) -> Instant {
        self.shared.started
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("identity", &self.shared.identity)
            .field("readiness", &self.shared.readiness)
            .finish_non_exhaustive()
    }
}
