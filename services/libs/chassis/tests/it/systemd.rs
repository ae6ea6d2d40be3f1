//! What systemd is told.

use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chassis::watchdog::{self, Liveness, Work};

use crate::service::{other_half, pause, start};

#[test]
#[ignore = "the other half of the test below, which starts it"]
fn a_service_that_stalls_and_stops() {
    let running = start(|_| {});
    let is_busy = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&is_busy);
    let work = move || Work {
        n_done: 1,
        is_idle: !seen.load(Ordering::SeqCst),
    };
    running
        .service
        .set_liveness(Liveness::new(Duration::from_millis(1), work));
    actix_rt::System::new().block_on(async {
        watchdog::ready(&running.service);
        tokio::time::sleep(Duration::from_millis(500)).await;
        is_busy.store(true, Ordering::SeqCst);
        // Two looks are needed to see that nothing moves.
        tokio::time::sleep(Duration::from_millis(300)).await;
        is_busy.store(false, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(300)).await;
    });
    running.stop.stop();
    running.outcome();
}

#[test]
fn the_watchdog_is_fed_only_while_work_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let mut service = other_half("systemd::a_service_that_stalls_and_stops")
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "100000")
        .spawn()
        .unwrap();
    let mut told = Vec::new();
    let mut message = [0; 256];
    let status = loop {
        match socket.recv(&mut message) {
            Ok(n_bytes) => told.push(
                String::from_utf8_lossy(&message[..n_bytes])
                    .trim()
                    .to_owned(),
            ),
            Err(_nothing_yet) => {}
        }
        match service.try_wait().unwrap() {
            Some(status) => break status,
            None => pause(Duration::from_millis(1)),
        }
    };
    assert!(status.success());
    let n_fed = told.iter().filter(|it| *it == "WATCHDOG=1").count();
    assert_eq!(
        told.first().map(String::as_str),
        Some("READY=1"),
        "{told:?}"
    );
    assert_eq!(
        told.last().map(String::as_str),
        Some("STOPPING=1"),
        "{told:?}"
    );
    // Fed every 50 ms for 800 ms would be 16 times and more; for 300 ms of the 1100 it stalled.
    assert!((6..=19).contains(&n_fed), "{n_fed}: {told:?}");
}
