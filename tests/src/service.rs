//! A service in this process, whichever it is.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use asr::{Outcome, Stop, StopHandle};

use crate::{http, pause};

/// A service that runs in this process until it is dropped.
#[derive(Debug)]
pub struct Service {
    pub address: SocketAddr,
    stop: StopHandle,
    thread: Option<JoinHandle<Outcome>>,
}

/// Tells where a service listens, once it does.
pub type Started = mpsc::SyncSender<SocketAddr>;

impl Service {
    /// One that is ready. `serve` runs on a thread of its own until it is stopped.
    pub(crate) fn start<F>(
        name: &str,
        serve: impl FnOnce(Stop, Started) -> F + Send + 'static,
    ) -> Service
    where
        F: Future<Output = Outcome>,
    {
        let (started, address) = mpsc::sync_channel(1);
        let (handle, stop) = Stop::by_hand();
        let thread = thread::Builder::new()
            .name(format!("{name}-under-test"))
            .spawn(move || asr::block_on(serve(stop, started)))
            .unwrap();
        let address = address.recv().expect("the service did not start");
        let service = Service {
            address,
            stop: handle,
            thread: Some(thread),
        };
        service.wait_until_ready();
        service
    }

    /// `http://…` and the path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What it counts under this name and these labels, as they stand at its `/metrics`.
    pub async fn metric(&self, series: &str) -> f64 {
        let text = http::get(&self.url("/metrics")).await.text();
        let value = text
            .lines()
            .find_map(|it| it.strip_prefix(series)?.strip_prefix(' '));
        value
            .unwrap_or_else(|| panic!("no {series} in\n{text}"))
            .parse()
            .unwrap()
    }

    /// Asks it to stop, as SIGTERM does.
    pub fn stop(&self) {
        self.stop.stop();
    }

    /// Asks it to stop and waits until it has.
    pub fn stopped(self) -> Outcome {
        self.stop();
        self.ended()
    }

    /// Waits until it has stopped.
    pub fn ended(mut self) -> Outcome {
        self.thread.take().unwrap().join().unwrap()
    }

    fn wait_until_ready(&self) {
        for _ in 0..600 {
            if http::get_blocking(self.address, "/readyz").starts_with("HTTP/1.1 200") {
                return;
            }
            pause(Duration::from_millis(50));
        }
        panic!(
            "not ready after half a minute: {}",
            http::get_blocking(self.address, "/readyz")
        );
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            // Twice: what a failed test left open is cut.
            self.stop.stop();
            self.stop.stop();
            drop(thread.join());
        }
    }
}
