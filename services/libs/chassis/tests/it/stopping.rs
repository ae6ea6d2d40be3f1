//! What clients see when the server stops.

use std::time::{Duration, Instant};

use chassis::server::Outcome;
use tokio_tungstenite::tungstenite::Message;

use crate::client::{connect, get, read_answer, read_to_end, send, ws, ws_at};
use crate::service::{start, wait_until};

const CLEAN: Outcome = Outcome {
    n_cut: 0,
    is_forced: false,
};

#[test]
fn live_sessions_are_told_and_running_requests_finish() {
    let running = start(|_| {});
    let mut sockets: Vec<_> = (0..20).map(|_| ws(running.address)).collect();
    let mut request = connect(running.address);
    send(&mut request, "GET /work/8000", b"");
    running.wait_for_places(21);
    let began = Instant::now();
    running.stop.stop();
    for socket in &mut sockets {
        let (texts, close) = read_to_end(socket);
        assert_eq!(texts, ["draining"]);
        assert_eq!(close, Some((1012, "DRAINING".to_owned())));
    }
    // Meanwhile whoever comes is sent elsewhere, in words.
    let refused = get(running.address, "/hello");
    assert_eq!(refused.error(), (503, "DRAINING".to_owned()));
    assert_eq!(refused.header("retry-after"), Some("1"));
    let Err(refused) = ws_at(running.address, "/ws") else {
        panic!("let in during the drain");
    };
    assert_eq!(refused.error().1, "DRAINING");
    let ready = get(running.address, "/readyz");
    assert_eq!(
        (ready.status, ready.json()["reasons"][0].as_str()),
        (503, Some("draining"))
    );
    let health = get(running.address, "/health");
    assert_eq!(
        (health.status, health.json()["status"].as_str()),
        (200, Some("draining"))
    );
    let metrics = get(running.address, "/metrics").text();
    assert!(metrics.contains("test_draining 1") && metrics.contains("test_ready 0"));
    let answer = read_answer(&mut request);
    assert_eq!((answer.status, answer.text().as_str()), (200, "done"));
    assert_eq!(running.outcome(), CLEAN);
    assert!(
        began.elapsed() < Duration::from_secs(30),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn the_deadline_cuts_what_is_stuck_and_counts_it() {
    let running = start(|config| config.drain.deadline_ms = 500);
    let mut stuck = ws(running.address);
    stuck.send(Message::text("stuck")).unwrap();
    let mut request = connect(running.address);
    send(&mut request, "GET /work/60000", b"");
    running.wait_for_places(2);
    let began = Instant::now();
    running.stop.stop();
    let outcome = running.outcome();
    assert!(!outcome.is_forced && outcome.n_cut == 2, "{outcome:?}");
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn a_second_signal_ends_at_once() {
    let running = start(|_| {});
    let mut request = connect(running.address);
    send(&mut request, "GET /work/60000", b"");
    running.wait_for_places(1);
    running.stop.stop();
    wait_until("the drain to begin", || running.service.drain().has_begun());
    let began = Instant::now();
    running.stop.stop();
    assert!(running.outcome().is_forced);
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn an_announced_stop_still_serves_for_a_while() {
    let running = start(|config| config.drain.announce_ms = 5000);
    let mut socket = ws(running.address);
    running.stop.stop();
    wait_until("readiness to go", || {
        !running.service.readiness().is_ready()
    });
    assert_eq!(get(running.address, "/readyz").status, 503);
    assert_eq!(get(running.address, "/hello").status, 200);
    socket.send(Message::text("still here")).unwrap();
    assert_eq!(socket.read().unwrap(), Message::text("still here"));
    let (texts, _) = read_to_end(&mut socket);
    assert_eq!(texts, ["draining"]);
    assert_eq!(running.outcome(), CLEAN);
}

#[test]
fn an_idle_keep_alive_connection_does_not_hold_the_server() {
    let running = start(|_| {});
    let mut idle = connect(running.address);
    send(&mut idle, "GET /hello", b"");
    assert_eq!(read_answer(&mut idle).status, 200);
    let began = Instant::now();
    running.stop.stop();
    assert_eq!(running.outcome(), CLEAN);
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn the_admin_port_watches_to_the_end() {
    let running = start(|config| {
        config.server.admin_port = Some(0);
    });
    let admin = running.admin.unwrap();
    let mut request = connect(running.address);
    send(&mut request, "GET /work/4000", b"");
    running.wait_for_places(1);
    running.stop.stop();
    wait_until("the drain to begin", || running.service.drain().has_begun());
    assert_eq!(get(admin, "/readyz").status, 503);
    assert_eq!(get(admin, "/livez").status, 200);
    assert_eq!(running.outcome(), CLEAN);
}
