//! What the end-to-end tests stand on: services in this process on a port of their own, and clients that speak to them.
//!
//! - [`Asr`] is a running recogniser and [`Tts`] a synthesiser, with their real built-in models or with scripted ones.
//! - [`stream::Client`] speaks the streaming protocol of the recogniser, [`http`] uploads files.
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "every function here belongs to a test, and panics are its failures"
)]
#![allow(
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "as above: what is not expected fails the test"
)]

pub mod breaking;
pub mod encode;
pub mod http;
pub mod listening;
pub mod process;
pub mod service;
pub mod speaking;
pub mod speech;
pub mod stream;

use std::ops::Deref;
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use asr::models::scripted::{self, Script};
use asr::settings::{Raw, Settings};
use asr::{Outcome, Problems, server};

use service::Service;
pub use speaking::Tts;

/// A recogniser that runs in this process until it is dropped.
#[derive(Debug)]
pub struct Asr(Service);

impl Asr {
    /// One with the built-in model for all tests that leave no trace in it. It lives as long as the process.
    pub fn shared() -> &'static Asr {
        static SHARED: LazyLock<Asr> = LazyLock::new(|| Asr::real(|_| {}));
        &SHARED
    }

    /// With the built-in model, Silero and Smart Turn, ready.
    pub fn real(configure: impl FnOnce(&mut Raw)) -> Asr {
        Asr::start(configure, server::start)
    }

    /// With models that do what `script` says, ready.
    pub fn scripted(script: Script, configure: impl FnOnce(&mut Raw)) -> Asr {
        Asr::start(configure, move |settings| {
            server::start_with(settings, |settings, families| {
                scripted::start(script, settings, families)
            })
        })
    }

    fn start(
        configure: impl FnOnce(&mut Raw),
        make: impl FnOnce(Settings) -> Result<server::Server, server::ServeError> + Send + 'static,
    ) -> Asr {
        let settings = settings(configure);
        Asr(Service::start("asr", |stop, started| async move {
            let server = make(settings).unwrap();
            started.send(server.address()).unwrap();
            server.run(stop).await.unwrap()
        }))
    }

    /// Asks it to stop and waits until it has.
    pub fn stopped(self) -> Outcome {
        self.0.stopped()
    }

    /// Waits until it has stopped.
    pub fn ended(self) -> Outcome {
        self.0.ended()
    }
}

impl Deref for Asr {
    type Target = Service;

    fn deref(&self) -> &Service {
        &self.0
    }
}

/// The defaults for a test: any free port of this machine, one worker, a short drain.
pub fn settings(configure: impl FnOnce(&mut Raw)) -> Settings {
    let mut raw = Raw::defaults();
    "127.0.0.1".clone_into(&mut raw.server.host);
    raw.server.port = 0;
    raw.server.workers = 2;
    raw.model.device = asr::settings::Device::Cpu;
    raw.drain.deadline_ms = 20_000;
    // A machine that builds something else meanwhile is slow; who is not about overload should not meet it.
    raw.model.max_wait_ms = 60_000;
    // Nor should who is not about silence on the wire fall silent because a test had to wait for a processor.
    raw.stream.audio_idle_ms = 60_000;
    configure(&mut raw);
    let mut problems = Problems::default();
    raw.check(&mut problems)
        .unwrap_or_else(|| panic!("{problems}"))
}

/// Waits on the thread of a test.
#[expect(
    clippy::disallowed_methods,
    reason = "the thread of a test, which serves nobody"
)]
pub fn pause(time: Duration) {
    thread::sleep(time);
}

/// Runs one test's conversation.
pub fn run<F: Future>(conversation: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(conversation)
}
