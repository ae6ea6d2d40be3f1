//! The service assembled: ports taken, models started, voices opened, edges served. The order is that of `chassis::assembly`.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_web::web;
use batcher::{Families, StartError};
use chassis::assembly::{self, Assembled, Assembly};
use chassis::home::{Home, HomeError};
use chassis::server::BindError;
use chassis::watchdog::{Liveness, Work};
use chassis::{Identity, Service};
use serde_json::{Map, Value};

use crate::app::App;
use crate::metrics::TtsMetrics;
use crate::models::{self, Models, ModelsError, Running};
use crate::phrases::Phrases;
use crate::routes;
use crate::settings::Settings;
use crate::voices::{VoiceError, VoiceStore};

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
    #[error(transparent)]
    Home(#[from] HomeError),
    #[error("the voices cannot be used: {0}")]
    Voices(#[from] VoiceError),
    #[error("metrics could not be registered")]
    Metrics(#[from] prometheus::Error),
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
    app: Arc<App>,
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
        .unwrap_or_else(|| format!("tts-{}", settings.server.address.port()));
    let identity = Identity {
        name: "tts",
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
    let families = Families::register(service.registry(), "tts")?;
    let metrics = TtsMetrics::register(service.registry())?;
    let (models, running) = make(&settings, &families)?;
    watch(&service, &models, &running);
    let created = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |it| it.as_secs());
    let app = App {
        phrases: settings.cache_bytes.map(|max| Phrases::new(max, &metrics)),
        service,
        settings,
        models,
        metrics,
        created,
        voices: OnceLock::new(),
    };
    let app = Arc::new(app);
    let parts = Parts {
        app: Arc::clone(&app),
        running,
    };
    let app = web::Data::from(app);
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
        let details: [(&str, Value); 5] = [
            ("model", served.name.clone().into()),
            ("family", models.family().into()),
            ("device", models.device().into()),
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
        let store = open_voices(&self.app).await?;
        let is_first = self.app.voices.set(store).is_ok();
        debug_assert!(is_first, "the voices were opened twice");
        announce(&self.app);
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

async fn open_voices(app: &App) -> Result<VoiceStore, ServeError> {
    let settings = app.settings.voices.clone();
    let place = match &settings.place {
        Some(place) => place.clone(),
        None => {
            let home = Home::of_process(app.settings.home.as_deref())?;
            settings.place(home.path())
        }
    };
    let pack = app.models.voice_pack().map_err(VoiceError::from)?;
    let studio = Arc::new(app.models.studio());
    Ok(VoiceStore::open(settings, &place, pack, studio).await?)
}

/// Says plainly what is served.
fn announce(app: &App) {
    let models = &app.models;
    let served = models.served();
    tracing::info!(
        model = served.name,
        family = models.family(),
        device = models.device(),
        "ready"
    );
    if let Some(graph) = &app.settings.speech.watermark {
        tracing::info!(graph = %graph.display(), "all speech is watermarked");
    }
    if served.name == models::DEMO {
        tracing::warn!(
            "the model `demo` is small and plainly a machine, so that the server speaks without a download; it is no substitute for a \
             real one: see scripts/download_models.sh and `model.name`"
        );
    }
}
