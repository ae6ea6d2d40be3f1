//! What systemd is told.

use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chassis::systemd;
use chassis::watchdog::{Liveness, Work};

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
        systemd::ready(&running.service);
        tokio::time::sleep(Duration::from_millis(500)).await;
        is_busy.store(true, Ordering::SeqCst);
        // Two looks are needed to see that nothing moves, and two more to see what it is told then.
        tokio::time::sleep(Duration::from_millis(1000)).await;
        is_busy.store(false, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(500)).await;
    });
    running.stop.stop();
    running.outcome();
}

#[test]
fn the_watchdog_is_fed_only_while_work_goes_on() {
    let told = told_by("systemd::a_service_that_stalls_and_stops", "100000");
    assert_eq!(
        told.first().map(String::as_str),
        Some("READY=1"),
        "{told:?}"
    );
    let is_stalled = |it: &String| it.starts_with("STATUS=stalled");
    let is_fed = |it: &String| it == "WATCHDOG=1";
    let first = told.iter().position(is_stalled);
    let last = told.iter().rposition(is_stalled);
    let (first, last) = first
        .zip(last)
        .unwrap_or_else(|| panic!("it did not stall: {told:?}"));
    assert!(first < last, "it was looked at once: {told:?}");
    assert!(told[..first].iter().any(is_fed), "{told:?}");
    assert!(!told[first..last].iter().any(is_fed), "{told:?}");
    assert!(told[last..].iter().any(is_fed), "{told:?}");
}

#[test]
#[ignore = "the other half of the test below, which starts it"]
fn a_service_that_finishes_its_work() {
    let running = start(|_| {});
    actix_rt::System::new().block_on(async {
        systemd::ready(&running.service);
        let place = running.service.places().take().unwrap();
        let work = running.service.drain().enter().unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        running.stop.stop();
        tokio::time::sleep(Duration::from_millis(500)).await;
        drop((place, work));
    });
    running.outcome();
}

#[test]
fn a_drain_says_what_it_waits_for_and_asks_for_time() {
    let told = told_by("systemd::a_service_that_finishes_its_work", "100000");
    let at = |what: &str| told.iter().position(|it| it == what);
    let stopping = at("STOPPING=1").unwrap_or_else(|| panic!("{told:?}"));
    assert!(at("READY=1").unwrap() < stopping, "{told:?}");
    let after = &told[stopping..];
    let status = "STATUS=stopping: 1 sessions and requests to finish, at most 1";
    let says = |what: &str| after.iter().any(|it| it.starts_with(what));
    assert!(says(status), "{told:?}");
    assert!(says("EXTEND_TIMEOUT_USEC=30000000"), "{told:?}");
    // Nothing says `ready` again, and the watchdog is still fed.
    let is_ready = |it: &String| it.starts_with("STATUS=ready") || it == "READY=1";
    assert!(!after.iter().any(is_ready), "{told:?}");
    assert!(after.iter().any(|it| it == "WATCHDOG=1"), "{told:?}");
}

#[test]
#[ignore = "the other half of the test below, which starts it"]
fn a_service_that_hangs_while_it_stops() {
    let running = start(|config| config.drain.deadline_ms = 1000);
    running
        .service
        .set_liveness(Liveness::new(Duration::ZERO, || Work {
            n_done: 1,
            is_idle: false,
        }));
    actix_rt::System::new().block_on(async {
        let _work = running.service.drain().enter().unwrap();
        running.stop.stop();
        tokio::time::sleep(Duration::from_millis(300)).await;
    });
    running.outcome();
}

#[test]
fn a_drain_that_does_nothing_asks_for_no_time() {
    let told = told_by("systemd::a_service_that_hangs_while_it_stops", "100000");
    assert!(told.iter().any(|it| it == "STOPPING=1"), "{told:?}");
    let asks = |it: &String| it.starts_with("EXTEND_TIMEOUT_USEC");
    assert!(!told.iter().any(asks), "{told:?}");
}

#[test]
#[ignore = "the other half of the test below, which starts it"]
fn a_service_that_is_stopped_while_it_loads() {
    let running = start(|_| {});
    actix_rt::System::new().block_on(async {
        let _work = running.service.drain().enter().unwrap();
        running.stop.stop();
        tokio::time::sleep(Duration::from_millis(200)).await;
        systemd::ready(&running.service);
    });
    running.outcome();
}

#[test]
fn a_service_that_stops_is_never_ready_again() {
    let told = told_by(
        "systemd::a_service_that_is_stopped_while_it_loads",
        "100000",
    );
    assert!(told.iter().any(|it| it == "STOPPING=1"), "{told:?}");
    assert!(!told.iter().any(|it| it == "READY=1"), "{told:?}");
}

/// The lines that a service, in a process of its own, tells systemd.
fn told_by(half: &str, watchdog_usec: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let mut service = other_half(half)
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", watchdog_usec)
        .spawn()
        .unwrap();
    let mut told = Vec::new();
    let mut message = [0; 512];
    loop {
        // Asked before reading: what was told before the end is then read too.
        let ended = service.try_wait().unwrap();
        while let Ok(n_bytes) = socket.recv(&mut message) {
            let text = String::from_utf8_lossy(&message[..n_bytes]).into_owned();
            told.extend(text.lines().map(str::to_owned));
        }
        if let Some(status) = ended {
            assert!(status.success(), "{told:?}");
            return told;
        }
        pause(Duration::from_millis(1));
    }
}
