//! The service assembled: ports taken, models started, edges served. The order is that of `chassis::assembly`.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_web::web;
use batcher::{Families, StartError};
use chassis::assembly::{self, Assembled, Assembly};
use chassis::server::BindError;
use chassis::watchdog::{Liveness, Work};
use chassis::{Identity, Service};
use serde_json::{Map, Value};

use crate::app::App;
use crate::metrics::AsrMetrics;
use crate::models::{self, Models, ModelsError, Running, catalog};
use crate::routes;
use crate::settings::Settings;
use crate::transcribe::fetch::{self, Fetcher};

/// No single call of a model takes this long; one that does is stuck.
const STALL_LIMIT: Duration = Duration::from_secs(300);

/// Why the service did not start, or did not go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(transparent)]
    Port(#[from] BindError),
    #[error(transparent)]
    Models(#[from] ModelsError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("metrics could not be registered")]
    Metrics(#[from] prometheus::Error),
    #[error("the client for `audio_url` could not be set up")]
    Fetcher(#[from] reqwest::Error),
    #[error("the thread {worker} of the model `{model}` ended: {reason:?}")]
    ModelEnded {
        model: &'static str,
        worker: usize,
        reason: batcher::EndReason,
    },
    #[error("the server failed")]
    Io(#[from] io::Error),
}

/// A service that has its ports and whose models are being built.
pub type Server = Assembled<Parts>;

/// The models, and the threads behind them. Dropped in this order: with the last handle the threads stop, and are waited for.
#[derive(Debug)]
pub struct Parts {
    models: Models,
    running: Running,
}

/// Starts the service that `settings` describe.
///
/// # Errors
/// A port cannot be had, or something of a model is missing. What shows only while building a model comes from [`Server::run`].
pub fn start(settings: Settings) -> Result<Server, ServeError> {
    start_with(settings, |settings, families| {
        models::start(settings, families)
    })
}

/// Starts the service with models of another making.
///
/// # Errors
/// As [`start`].
pub fn start_with(
    settings: Settings,
    make: impl FnOnce(&Settings, &Families) -> Result<(Models, Running), ModelsError>,
) -> Result<Server, ServeError> {
    let instance = settings
        .instance_id
        .clone()
        .unwrap_or_else(|| format!("asr-{}", settings.server.address.port()));
    let identity = Identity {
        name: "asr",
        version: env!("CARGO_PKG_VERSION"),
        commit: option_env!("VOICE_COMMIT").unwrap_or("unknown"),
        instance,
    };
    let service = Service::new(
        identity,
        settings.server.clone(),
        settings.drain,
        settings.auth.clone(),
    )?;
    let assembly = Assembly::begin(service.clone())?;
    let families = Families::register(service.registry(), "asr")?;
    let metrics = AsrMetrics::register(service.registry())?;
    let (models, running) = make(&settings, &families)?;
    watch(&service, &models, &running);
    let limits = |url: &crate::settings::Url| fetch::Limits {
        max_bytes: settings.server.max_upload_bytes.get(),
        timeout: url.timeout,
        private_addresses: url.private_addresses,
    };
    let fetcher = settings
        .files
        .url
        .as_ref()
        .map(|url| Fetcher::new(limits(url)))
        .transpose()?;
    let created = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |it| it.as_secs());
    let app = App {
        service: service.clone(),
        settings,
        models: models.clone(),
        metrics,
        fetcher,
        created,
    };
    let app = web::Data::new(app);
    let parts = Parts { models, running };
    Ok(assembly.bind(parts, move |config| {
        config.app_data(app.clone());
        routes::configure(config);
    })?)
}

fn watch(service: &Service, models: &Models, running: &Running) {
    let watches = running.watches();
    let idle = models.clone();
    service.set_liveness(Liveness::new(STALL_LIMIT, move || Work {
        n_done: watches.iter().map(batcher::Watch::progress).sum(),
        is_idle: idle.is_idle(),
    }));
    let models = models.clone();
    service.set_health_details(move || {
        let served = models.served();
        let details: [(&str, Value); 4] = [
            ("model", served.name.clone().into()),
            ("device", served.device.clone().into()),
            ("languages", served.languages.len().into()),
            ("queue_depth", models.n_waiting().into()),
        ];
        details
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect::<Map<_, _>>()
    });
}

impl assembly::Parts for Parts {
    type Error = ServeError;

    async fn ready(&mut self) -> Result<(), ServeError> {
        self.running.ready().await?;
        announce(&self.models);
        Ok(())
    }

    async fn ended(&mut self) -> ServeError {
        let batcher::Ended {
            model,
            worker,
            reason,
        } = self.running.ended().await;
        ServeError::ModelEnded {
            model,
            worker,
            reason,
        }
    }
}

/// Says plainly what is served.
fn announce(models: &Models) {
    let served = models.served();
    tracing::info!(model = served.name, device = served.device, "ready");
    if served.name == catalog::DEMO {
        tracing::warn!(
            "the model `demo` is small and was trained on synthetic speech, so that the server works without a download; it is no \
             substitute for a real Whisper: see scripts/download_models.sh and `model.name`"
        );
    }
}
