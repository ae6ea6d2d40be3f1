//! Requests, good and bad, and what they are told.

use std::io::Write as _;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use chassis::auth::{ApiKeys, hash_key};
use chassis::server::{self, BindError};
use chassis::settings::Auth;
use expect_test::expect;

use crate::client::{connect, get, is_closed, read_answer, request, send, ws_at};
use crate::service::{pause, start, wait_until};

#[test]
fn every_answer_carries_an_id() {
    let running = start(|_| {});
    let own = request(running.address, "GET /hello\nx-request-id: mine-1", b"");
    assert_eq!((own.status, own.text().as_str()), (200, "hello"));
    assert_eq!(own.header("x-request-id"), Some("mine-1"));
    for path in ["/hello", "/nowhere", "/broken", "/readyz"] {
        let answer = request(
            running.address,
            &format!("GET {path}\nx-request-id: not <valid>"),
            b"",
        );
        let id = answer.header("x-request-id").unwrap();
        assert_eq!(id.len(), 36, "{path}: {id}");
    }
}

#[test]
fn every_failure_has_the_same_shape() {
    let running = start(|config| config.server.max_json_bytes = 100);
    let json = "content-type: application/json";
    let too_long = format!("{{\"n\": 1{}}}", " ".repeat(100));
    let cases: [(&str, &[u8], u16, &str); 13] = [
        ("GET /nowhere", b"", 404, "NOT_FOUND"),
        ("PATCH /hello", b"", 405, "METHOD_NOT_ALLOWED"),
        ("DELETE /readyz", b"", 405, "METHOD_NOT_ALLOWED"),
        (&format!("POST /json\n{json}"), b"{", 400, "INVALID_JSON"),
        (
            &format!("POST /json\n{json}"),
            b"{\"n\":\xff}",
            400,
            "INVALID_JSON",
        ),
        (
            &format!("POST /json\n{json}"),
            b"{\"n\":256}",
            422,
            "INVALID_PARAMETER",
        ),
        (
            &format!("POST /json\n{json}"),
            b"{\"n\":1,\"m\":2}",
            422,
            "INVALID_PARAMETER",
        ),
        (
            &format!("POST /json\n{json}"),
            too_long.as_bytes(),
            413,
            "PAYLOAD_TOO_LARGE",
        ),
        (
            "POST /json\ncontent-type: text/plain",
            b"{\"n\":1}",
            400,
            "INVALID_REQUEST",
        ),
        ("GET /query?n=x", b"", 422, "INVALID_PARAMETER"),
        ("GET /number/256", b"", 422, "INVALID_PARAMETER"),
        ("POST /bytes", &[7; 101], 413, "PAYLOAD_TOO_LARGE"),
        ("GET /broken", b"", 500, "INTERNAL"),
    ];
    for (head, body, status, code) in cases {
        let answer = request(running.address, head, body);
        assert_eq!(answer.error(), (status, code.to_owned()), "{head}");
        assert!(!answer.text().contains("secret"), "{head}");
    }
    assert_eq!(
        request(running.address, "POST /hello", b"").text(),
        "hello to you"
    );
    for (head, allow) in [("DELETE /readyz", "GET, HEAD"), ("PUT /hello", "GET, POST")] {
        let answer = request(running.address, head, b"");
        assert_eq!((answer.status, answer.header("allow")), (405, Some(allow)));
    }
    let answer = request(
        running.address,
        &format!("POST /json\n{json}"),
        b"{\"n\":255}",
    );
    assert_eq!((answer.status, answer.text().as_str()), (200, "255"));
}

#[test]
fn a_json_bomb_is_refused() {
    let running = start(|_| {});
    let bomb = "[".repeat(100_000);
    let head = "POST /json\ncontent-type: application/json";
    let answer = request(running.address, head, bomb.as_bytes());
    assert_eq!(answer.error().0, 422, "{}", answer.text());
}

#[test]
fn a_panic_costs_its_own_connection_only() {
    let running = start(|_| {});
    let mut other = connect(running.address);
    send(&mut other, "GET /hello", b"");
    assert_eq!(read_answer(&mut other).status, 200);
    let mut doomed = connect(running.address);
    send(&mut doomed, "GET /panic", b"");
    wait_until("the connection to close", || is_closed(&mut doomed));
    send(&mut other, "GET /hello", b"");
    assert_eq!(
        read_answer(&mut other).status,
        200,
        "on the same connection as before"
    );
}

#[test]
fn keys_are_asked_for_where_they_are_set() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "ann:{}", hash_key("sesame")).unwrap();
    let keys = ApiKeys::read(file.path()).unwrap();
    let running = start(|config| {
        config.auth = Auth {
            keys: Some(Arc::new(keys)),
        }
    });
    let ask = |head: &str| request(running.address, head, b"");
    let refused = ask("GET /hello");
    assert_eq!(refused.error(), (401, "UNAUTHORIZED".to_owned()));
    assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
    assert_eq!(ask("GET /hello\nauthorization: Bearer wrong").status, 401);
    assert_eq!(
        ask("GET /nowhere").status,
        401,
        "not even what exists is told"
    );
    assert_eq!(ask("GET /hello\nauthorization: Bearer sesame").status, 200);
    assert_eq!(ask("GET /hello\nxi-api-key: sesame").status, 200);
    for path in [
        "/healthz", "/livez", "/readyz", "/health", "/metrics", "/version",
    ] {
        assert_eq!(ask(&format!("GET {path}")).status, 200, "{path}");
    }
    let Err(refused) = ws_at(running.address, "/ws") else {
        panic!("let in without a key");
    };
    assert_eq!(refused.error().1, "UNAUTHORIZED");
    assert!(ws_at(running.address, "/ws?api_key=sesame").is_ok());
}

#[test]
fn a_caller_that_asks_too_often_is_told_when_to_come_back() {
    let running = start(|config| {
        config.server.rate_limit_per_minute = 1;
        config.server.rate_limit_burst = 2;
    });
    let statuses: Vec<u16> = (0..3)
        .map(|_| get(running.address, "/hello").status)
        .collect();
    assert_eq!(statuses, [200, 200, 429]);
    let refused = get(running.address, "/hello");
    assert_eq!(refused.error().1, "RATE_LIMITED");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((50..=60).contains(&wait), "{wait}");
    assert_eq!(
        get(running.address, "/readyz").status,
        200,
        "health is not counted"
    );
}

#[test]
fn a_full_server_says_so_at_once() {
    let running = start(|config| config.server.max_connections = 1);
    let mut first = connect(running.address);
    send(&mut first, "GET /work/60000", b"");
    running.wait_for_places(1);
    let began = Instant::now();
    let refused = get(running.address, "/work/1");
    assert_eq!(refused.error(), (503, "AT_CAPACITY".to_owned()));
    assert!(refused.header("retry-after").is_some());
    let Err(refused) = ws_at(running.address, "/ws") else {
        panic!("let in without a place");
    };
    assert_eq!(refused.error(), (503, "AT_CAPACITY".to_owned()));
    assert!(began.elapsed() < Duration::from_secs(20));
    let ready = get(running.address, "/readyz");
    assert_eq!(
        (ready.status, ready.json()["reasons"][0].as_str()),
        (503, Some("all 1 places are taken"))
    );
    drop(first);
    running.wait_for_places(0);
    assert_eq!(get(running.address, "/work/1").status, 200);
    assert_eq!(get(running.address, "/readyz").status, 200);
}

#[test]
fn a_server_that_loads_is_alive_and_not_ready() {
    let mut running = start(|config| config.is_loaded = false);
    assert_eq!(get(running.address, "/healthz").status, 200);
    let ready = get(running.address, "/readyz");
    assert_eq!(
        (ready.status, ready.json()["reasons"][0].as_str()),
        (503, Some("waiting for the test"))
    );
    let health = get(running.address, "/health");
    assert_eq!(
        (health.status, health.json()["status"].as_str()),
        (503, Some("starting"))
    );
    let refused = get(running.address, "/work/1");
    assert_eq!(refused.error(), (503, "NOT_READY".to_owned()));
    assert_eq!(refused.header("retry-after"), Some("5"));
    running.finish_loading();
    assert_eq!(get(running.address, "/readyz").status, 200);
    assert_eq!(get(running.address, "/work/1").status, 200);
}

#[test]
fn health_and_version_say_what_runs() {
    let running = start(|_| {});
    assert_eq!(request(running.address, "HEAD /readyz", b"").status, 200);
    let mut health = get(running.address, "/health").json();
    health["uptime_s"] = 0.into();
    expect![[r#"
        {
          "connections": 0,
          "draining": false,
          "instance": "test-0",
          "max_connections": 100,
          "model": "none",
          "queue_depth": 0,
          "reasons": [],
          "service": "test",
          "status": "ok",
          "uptime_s": 0,
          "version": "1.2.3"
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&health).unwrap());
    expect![[r#"{"commit":"abcdef","instance":"test-0","service":"test","version":"1.2.3"}"#]]
        .assert_eq(&get(running.address, "/version").text());
}

#[test]
fn a_head_that_trickles_in_is_cut_off() {
    let running = start(|config| config.server.header_timeout_ms = 1000);
    let mut stream = connect(running.address);
    let began = Instant::now();
    let mut n_sent = 0;
    // One byte every 50 ms would hold the connection for minutes.
    for byte in format!("GET /hello HTTP/1.1\r\nx: {}", "y".repeat(2000)).bytes() {
        if stream.write_all(&[byte]).is_err() {
            break;
        }
        n_sent += 1;
        if is_closed(&mut stream) {
            break;
        }
        pause(Duration::from_millis(40));
    }
    assert!(
        began.elapsed() < Duration::from_secs(40),
        "after {n_sent} bytes"
    );
    assert_eq!(get(running.address, "/hello").status, 200);
}

#[test]
fn a_connection_without_a_request_is_cut_off() {
    let running = start(|config| config.server.header_timeout_ms = 1000);
    let mut silent = connect(running.address);
    assert!(!is_closed(&mut silent));
    wait_until("the silent connection to close", || is_closed(&mut silent));
}

#[test]
fn a_body_that_stops_coming_is_given_up() {
    let running = start(|config| config.server.body_timeout_ms = 300);
    let mut stream = connect(running.address);
    stream
        .write_all(b"POST /upload HTTP/1.1\r\nhost: test\r\ncontent-length: 1000\r\n\r\nhalf")
        .unwrap();
    assert_eq!(
        read_answer(&mut stream).error(),
        (408, "REQUEST_TIMEOUT".to_owned())
    );
}

#[test]
fn an_upload_is_counted_as_it_comes() {
    let running = start(|config| config.server.max_upload_bytes = 100_000);
    let fits = request(running.address, "POST /upload", &[7; 100_000]);
    assert_eq!((fits.status, fits.text().as_str()), (200, "100000"));
    let too_large = request(running.address, "POST /upload", &vec![7; 3_000_000]);
    assert_eq!(too_large.error(), (413, "PAYLOAD_TOO_LARGE".to_owned()));
    let mut lying = connect(running.address);
    let chunk = format!("{:x}\r\n{}\r\n", 60_000, "x".repeat(60_000));
    let chunked = format!(
        "POST /upload HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n{chunk}{chunk}"
    );
    lying.write_all(chunked.as_bytes()).unwrap();
    assert_eq!(
        read_answer(&mut lying).error(),
        (413, "PAYLOAD_TOO_LARGE".to_owned())
    );
}

#[test]
fn a_request_that_takes_too_long_is_ended() {
    let running = start(|config| config.server.request_timeout_ms = 200);
    let answer = request(
        running.address,
        "GET /work/60000\nx-request-id: mine-2",
        b"",
    );
    assert_eq!(answer.error(), (504, "TIMEOUT".to_owned()));
    assert_eq!(answer.header("x-request-id"), Some("mine-2"));
    assert_eq!(running.n_cancelled.load(Ordering::SeqCst), 1);
    running.wait_for_places(0);
}

#[test]
fn work_for_a_client_that_left_is_dropped() {
    let running = start(|_| {});
    let mut stream = connect(running.address);
    send(&mut stream, "GET /work/60000", b"");
    running.wait_for_places(1);
    drop(stream);
    running.wait_for_places(0);
    assert_eq!(running.n_cancelled.load(Ordering::SeqCst), 1);
}

#[test]
fn pages_may_call_only_if_they_are_listed() {
    let running = start(|config| config.server.cors_origins = vec!["https://a.example".to_owned()]);
    let allowed = |origin: &str| {
        let answer = request(
            running.address,
            &format!("GET /hello\norigin: {origin}"),
            b"",
        );
        answer
            .header("access-control-allow-origin")
            .map(str::to_owned)
    };
    assert_eq!(
        allowed("https://a.example"),
        Some("https://a.example".to_owned())
    );
    assert_eq!(allowed("https://b.example"), None);
    let preflight = request(
        running.address,
        "OPTIONS /json\norigin: https://a.example\naccess-control-request-method: POST\naccess-control-request-headers: content-type",
        b"",
    );
    assert_eq!(preflight.status, 200);
    assert_eq!(
        preflight.header("access-control-allow-origin"),
        Some("https://a.example")
    );
    let written = |origin: &str| {
        let origin = origin.to_owned();
        let running = start(|config| config.server.cors_origins = vec![origin]);
        let answer = request(
            running.address,
            "GET /hello\norigin: https://a.example",
            b"",
        );
        answer.header("access-control-allow-origin").is_some()
    };
    assert!(written("https://A.Example") && written("https://a.example:443"));
    assert!(!written("https://a.example:444") && !written("http://a.example:80"));
    let off = start(|_| {});
    let answer = request(off.address, "GET /hello\norigin: https://a.example", b"");
    assert_eq!(answer.header("access-control-allow-origin"), None);
    let any = start(|config| config.server.cors_origins = vec!["*".to_owned()]);
    let answer = request(any.address, "GET /hello\norigin: https://b.example", b"");
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
}

#[test]
fn metrics_have_routes_and_never_paths() {
    let running = start(|_| {});
    for n in 0..5 {
        get(running.address, &format!("/number/{n}"));
        get(running.address, &format!("/nowhere/{n}"));
    }
    let metrics = get(running.address, "/metrics");
    assert_eq!(metrics.status, 200);
    assert!(
        metrics
            .header("content-type")
            .unwrap()
            .starts_with("text/plain")
    );
    let text = metrics.text();
    for line in [
        r#"test_requests_total{route="/number/{n}",status="200"} 5"#,
        r#"test_requests_total{route="unmatched",status="404"} 5"#,
        r#"test_request_seconds_count{route="/number/{n}"} 5"#,
        r#"test_rejected_total{reason="not_found"} 5"#,
        "test_connections 0",
        r#"test_rejected_total{reason="at_capacity"} 0"#,
        "test_max_connections 100",
        "test_draining 0",
        "test_ready 1",
        r#"build_info{commit="abcdef",instance_id="test-0",service="test",version="1.2.3"} 1"#,
    ] {
        assert!(text.lines().any(|it| it == line), "{line}\n{text}");
    }
    assert!(text.contains("process_resident_memory_bytes "));
    assert!(!text.contains("/nowhere"));
}

#[test]
fn a_busy_port_is_named_with_a_way_out() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let running = start(|_| {});
    let config = crate::service::config(|config| config.server.port = address.port());
    let server = config
        .server
        .check(&mut chassis::settings::Problems::default());
    let service = chassis::Service::new(
        running.service.identity().clone(),
        server,
        running.service.drain_times(),
        Auth::default(),
    )
    .unwrap();
    let error = server::bind(&service, |_| {}).unwrap_err();
    assert!(matches!(error, BindError::Busy { .. }));
    let port = address.port();
    let expected = format!(
        "port {port} of 127.0.0.1 is in use by another process; `ss -ltnp 'sport = :{port}'` shows which. Stop it, or set another `server.port`"
    );
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_port_can_be_taken_again_at_once() {
    let running = start(|_| {});
    let address = running.address;
    // The server closes first, so its side of the connection lingers in the kernel.
    assert_eq!(
        request(address, "GET /hello\nconnection: close", b"").status,
        200
    );
    running.stop.stop();
    running.outcome();
    let again = start(|config| config.server.port = address.port());
    assert_eq!(get(again.address, "/hello").status, 200);
}

#[test]
fn the_admin_port_answers_while_every_worker_is_busy() {
    let running = start(|config| config.server.admin_port = Some(0));
    let admin = running.admin.unwrap();
    assert_ne!(admin, running.address);
    let mut busy = connect(running.address);
    send(&mut busy, "GET /block/6000", b"");
    pause(Duration::from_millis(500));
    let began = Instant::now();
    for path in ["/livez", "/readyz", "/health", "/metrics", "/version"] {
        assert_eq!(get(admin, path).status, 200, "{path}");
    }
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(get(admin, "/hello").error(), (404, "NOT_FOUND".to_owned()));
    assert_eq!(read_answer(&mut busy).status, 200);
}
