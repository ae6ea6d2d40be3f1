//! When to stop: signals, or a hand in the same process.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::Span;

use crate::task;

/// Heard by [`crate::server::Server::run`]: the first request drains, the second ends at once.
#[derive(Clone, Debug)]
pub struct Stop {
    n_asked: watch::Receiver<u32>,
}

/// Asks the server to stop.
#[derive(Clone, Debug)]
pub struct StopHandle {
    n_asked: watch::Sender<u32>,
}

impl Stop {
    /// A stop that only its handle asks for.
    #[must_use]
    pub fn by_hand() -> (StopHandle, Stop) {
        let (sender, receiver) = watch::channel(0);
        (StopHandle { n_asked: sender }, Stop { n_asked: receiver })
    }

    /// A stop that SIGTERM and SIGINT ask for, and the handle too. To be called inside the runtime.
    ///
    /// # Errors
    /// If the system does not let us listen for signals.
    pub fn on_signals() -> io::Result<(StopHandle, Stop)> {
        let (handle, stop) = Stop::by_hand();
        for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
            let mut signals = signal(kind)?;
            let handle = handle.clone();
            let listen = async move {
                while signals.recv().await.is_some() {
                    handle.stop();
                }
            };
            drop(task::spawn("signals", Span::none(), listen));
        }
        Ok((handle, stop))
    }

    /// Resolves when stopping was asked for.
    pub async fn wait(mut self) {
        self.asked(1).await;
    }

    /// Resolves when stopping was asked for `n` times.
    pub(crate) async fn asked(&mut self, n: u32) {
        // Nobody left who could ask: then it is never asked.
        if self
            .n_asked
            .wait_for(|n_asked| n <= *n_asked)
            .await
            .is_err()
        {
            std::future::pending::<()>().await;
        }
    }
}

impl StopHandle {
    /// Asks to stop: the first time to drain, the second time to end at once.
    pub fn stop(&self) {
        self.n_asked
            .send_modify(|n_asked| *n_asked = n_asked.saturating_add(1));
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use super::*;

    #[test]
    fn sigterm_is_heard_and_does_not_kill() {
        actix_rt::System::new().block_on(async {
            let (_handle, stop) = Stop::on_signals().unwrap();
            let pid = std::process::id().to_string();
            let sent = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
            assert!(sent.success());
            let heard = tokio::time::timeout(Duration::from_secs(10), stop.wait());
            heard.await.unwrap();
        });
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_that_nobody_can_ask_for_never_comes() {
        let (handle, stop) = Stop::by_hand();
        drop(handle);
        let heard = tokio::time::timeout(Duration::from_secs(3600), stop.wait());
        assert!(heard.await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn the_second_request_is_told_from_the_first() {
        let (handle, mut stop) = Stop::by_hand();
        handle.stop();
        stop.asked(1).await;
        let second = tokio::time::timeout(Duration::from_secs(1), stop.asked(2));
        assert!(second.await.is_err());
        handle.stop();
        stop.asked(2).await;
    }
}
