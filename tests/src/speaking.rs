//! A synthesiser in this process.

use std::ops::Deref;
use std::sync::LazyLock;

use tempfile::TempDir;
use tts::models::scripted::{self, Script};
use tts::settings::{Raw, Settings};
use tts::{Outcome, Problems, server};

use crate::service::Service;

/// A synthesiser that runs in this process until it is dropped, with voices of its own.
#[derive(Debug)]
pub struct Tts {
    service: Service,
    /// Where its voices are. Removed after it.
    pub voices: TempDir,
}

impl Tts {
    /// One with the built-in model for all tests that leave no trace in it. It lives as long as the process.
    pub fn shared() -> &'static Tts {
        static SHARED: LazyLock<Tts> = LazyLock::new(|| Tts::real(|_| {}));
        &SHARED
    }

    /// With the built-in model, ready.
    pub fn real(configure: impl FnOnce(&mut Raw)) -> Tts {
        Tts::start(configure, server::start)
    }

    /// With models that do what `script` says, ready.
    pub fn scripted(script: Script, configure: impl FnOnce(&mut Raw)) -> Tts {
        Tts::start(configure, move |settings| {
            server::start_with(settings, |settings, families| {
                scripted::start(script, settings, families)
            })
        })
    }

    fn start(
        configure: impl FnOnce(&mut Raw),
        make: impl FnOnce(Settings) -> Result<server::Server, server::ServeError> + Send + 'static,
    ) -> Tts {
        let voices = tempfile::tempdir().unwrap();
        let settings = settings(|raw| {
            raw.voices.store = Some(voices.path().to_str().unwrap().to_owned());
            configure(raw);
        });
        let service = Service::start("tts", |stop, started| async move {
            let server = make(settings).unwrap();
            started.send(server.address()).unwrap();
            server.run(stop).await.unwrap()
        });
        Tts { service, voices }
    }

    /// Asks it to stop and waits until it has.
    pub fn stopped(self) -> Outcome {
        self.service.stopped()
    }

    /// Waits until it has stopped.
    pub fn ended(self) -> Outcome {
        self.service.ended()
    }
}

impl Deref for Tts {
    type Target = Service;

    fn deref(&self) -> &Service {
        &self.service
    }
}

/// The defaults for a test: any free port of this machine, one worker, a short drain.
pub fn settings(configure: impl FnOnce(&mut Raw)) -> Settings {
    let mut raw = Raw::defaults();
    "127.0.0.1".clone_into(&mut raw.server.host);
    raw.server.port = 0;
    raw.server.workers = 2;
    raw.model.device = tts::settings::Device::Cpu;
    raw.drain.deadline_ms = 20_000;
    // A machine that builds something else meanwhile is slow; who is not about overload should not meet it.
    raw.model.max_wait_ms = 60_000;
    configure(&mut raw);
    let mut problems = Problems::default();
    raw.check(&mut problems)
        .unwrap_or_else(|| panic!("{problems}"))
}
