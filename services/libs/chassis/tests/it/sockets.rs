//! WebSockets, good and bad.

use std::io::Write as _;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use crate::client::{Ws, connect, error_code, get, is_closed, read_to_end, request, ws, ws_at};
use crate::service::{pause, start, wait_until};

fn echo(ws: &mut Ws, message: Message) {
    ws.send(message.clone()).unwrap();
    assert_eq!(ws.read().unwrap(), message);
}

fn piece(payload: &'static [u8], opcode: Data, is_final: bool) -> Message {
    Message::Frame(Frame::message(
        Bytes::from_static(payload),
        OpCode::Data(opcode),
        is_final,
    ))
}

#[test]
fn messages_come_back_as_they_were() {
    let running = start(|_| {});
    let mut ws = ws(running.address);
    echo(&mut ws, Message::text("grüß dich"));
    echo(&mut ws, Message::binary(vec![]));
    echo(&mut ws, Message::binary(vec![7; 1_048_576]));
    ws.send(Message::Ping(Bytes::from_static(b"are you there")))
        .unwrap();
    assert_eq!(
        ws.read().unwrap(),
        Message::Pong(Bytes::from_static(b"are you there"))
    );
}

#[test]
fn what_is_sent_when_the_outbox_has_drained_arrives() {
    let running = start(|_| {});
    let mut ws = ws(running.address);
    ws.send(Message::text("tell 20")).unwrap();
    for n in 0..20 {
        assert_eq!(ws.read().unwrap(), Message::binary(vec![1; 96_000]));
        // And not only when the client says something, which would wake the server.
        assert_eq!(ws.read().unwrap(), Message::text(n.to_string()));
    }
}

#[test]
fn a_message_in_pieces_is_one_message() {
    let running = start(|_| {});
    let mut ws = ws(running.address);
    // The pieces cut a character in two, and a ping comes between them.
    ws.send(piece(b"gr\xc3", Data::Text, false)).unwrap();
    ws.send(piece(b"", Data::Continue, false)).unwrap();
    ws.send(Message::Ping(Bytes::new())).unwrap();
    ws.send(piece(b"\xbc\xc3\x9f", Data::Continue, true))
        .unwrap();
    assert_eq!(ws.read().unwrap(), Message::Pong(Bytes::new()));
    assert_eq!(ws.read().unwrap(), Message::text("grüß"));
    ws.send(piece(b"ab", Data::Binary, false)).unwrap();
    ws.send(piece(b"c", Data::Continue, true)).unwrap();
    assert_eq!(ws.read().unwrap(), Message::binary(&b"abc"[..]));
}

#[test]
fn a_frame_that_is_too_large_ends_the_session_with_a_reason() {
    let running = start(|config| config.server.max_frame_bytes = 1000);
    let mut ws = ws(running.address);
    echo(&mut ws, Message::binary(vec![7; 1000]));
    // All of it is written before anything is read: closing over it would take back the error.
    ws.send(Message::binary(vec![7; 8_000_000])).unwrap();
    let (texts, close) = read_to_end(&mut ws);
    assert_eq!(error_code(&texts[0]), "FRAME_TOO_LARGE");
    assert!(texts[0].contains("1000 bytes"), "{texts:?}");
    assert_eq!(close, Some((1009, "FRAME_TOO_LARGE".to_owned())));
    running.wait_for_places(0);
    let metrics = get(running.address, "/metrics").text();
    assert!(metrics.contains(r#"test_rejected_total{reason="frame_too_large"} 1"#));
}

#[test]
fn what_came_with_a_frame_that_is_too_large_is_heard() {
    let running = start(|config| config.server.max_frame_bytes = 1000);
    let mut ws = ws(running.address);
    // In one write, so that the server reads all of it at once.
    for _ in 0..3 {
        ws.write(Message::binary(vec![7; 1000])).unwrap();
    }
    ws.write(Message::binary(vec![7; 1001])).unwrap();
    ws.flush().unwrap();
    for _ in 0..3 {
        assert_eq!(ws.read().unwrap(), Message::binary(vec![7; 1000]));
    }
    let (texts, close) = read_to_end(&mut ws);
    assert_eq!(error_code(&texts[0]), "FRAME_TOO_LARGE");
    assert_eq!(close.unwrap().0, 1009);
}

#[test]
fn a_frame_that_is_only_announced_is_refused() {
    let running = start(|_| {});
    let mut ws = ws(running.address);
    let stream = ws.get_mut();
    stream
        .write_all(&[0x82, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0])
        .unwrap();
    let (texts, close) = read_to_end(&mut ws);
    assert_eq!(error_code(&texts[0]), "FRAME_TOO_LARGE");
    assert_eq!(close.unwrap().0, 1009);
}

#[test]
fn pieces_that_are_too_large_together_end_the_session_too() {
    let running = start(|config| config.server.max_frame_bytes = 1000);
    let mut ws = ws(running.address);
    static PIECE: [u8; 600] = [7; 600];
    ws.send(piece(&PIECE, Data::Binary, false)).unwrap();
    ws.send(piece(&PIECE, Data::Continue, false)).unwrap();
    let (texts, close) = read_to_end(&mut ws);
    assert_eq!(error_code(&texts[0]), "FRAME_TOO_LARGE");
    assert_eq!(close.unwrap().0, 1009);
}

#[test]
fn what_is_no_websocket_is_told_so() {
    let running = start(|_| {});
    let cases: [(&str, &[u8]); 4] = [
        (
            "text that is not UTF-8",
            &[0x81, 0x82, 0, 0, 0, 0, 0xff, 0xfe],
        ),
        ("a frame without a mask", &[0x82, 0x01, 0x07]),
        ("an opcode that does not exist", &[0x83, 0x80, 0, 0, 0, 0]),
        ("a piece without a beginning", &[0x80, 0x80, 0, 0, 0, 0]),
    ];
    for (what, bytes) in cases {
        let mut ws = ws(running.address);
        ws.get_mut().write_all(bytes).unwrap();
        let (texts, close) = read_to_end(&mut ws);
        assert_eq!(error_code(&texts[0]), "PROTOCOL_ERROR", "{what}");
        assert_eq!(close.unwrap().0, 1002, "{what}");
    }
    let plain = get(running.address, "/ws");
    assert_eq!(plain.error(), (400, "INVALID_REQUEST".to_owned()));
    let no_key = request(
        running.address,
        "GET /ws\nupgrade: websocket\nconnection: upgrade\nsec-websocket-version: 13",
        b"",
    );
    assert_eq!(no_key.error(), (400, "INVALID_REQUEST".to_owned()));
    running.wait_for_places(0);
}

#[test]
fn a_sub_protocol_is_agreed_on() {
    let running = start(|_| {});
    let head = "GET /ws\nupgrade: websocket\nconnection: upgrade\nsec-websocket-version: 13\nsec-websocket-key: x3JJHMbDL1EzLkh9GBhXDw==\nsec-websocket-protocol: echo.v3, echo.v2";
    let answer = request(running.address, head, b"");
    assert_eq!(
        (answer.status, answer.header("sec-websocket-protocol")),
        (101, Some("echo.v2"))
    );
    assert!(answer.header("x-request-id").is_some());
}

#[test]
fn a_client_that_says_nothing_is_idle() {
    let running = start(|config| {
        // A third ping, which would show that nobody answers, comes after the end.
        config.server.ping_interval_ms = 400;
        config.server.idle_timeout_ms = 1000;
    });
    let began = Instant::now();
    let mut ws = ws(running.address);
    // It answers pings, as every library does, and that alone does not keep it.
    let (texts, close) = read_to_end(&mut ws);
    assert!(
        (900..30_000).contains(&began.elapsed().as_millis()),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(error_code(&texts[0]), "IDLE_TIMEOUT");
    assert_eq!(close, Some((1008, "IDLE_TIMEOUT".to_owned())));
}

#[test]
fn a_client_that_speaks_now_and_then_is_not_idle() {
    let running = start(|config| {
        config.server.ping_interval_ms = 1500;
        config.server.idle_timeout_ms = 3500;
    });
    let mut ws = ws(running.address);
    // Longer than it may be idle.
    for _ in 0..8 {
        pause(Duration::from_millis(500));
        ws.send(Message::text("still here")).unwrap();
        while !ws.read().unwrap().is_text() {}
    }
}

#[test]
fn a_client_that_does_not_even_pong_is_gone() {
    let running = start(|config| config.server.ping_interval_ms = 200);
    let mut ws = ws(running.address);
    // Nothing is read here, so nothing is answered. It would be idle after minutes.
    running.wait_for_places(0);
    wait_until("the connection to close", || is_closed(ws.get_mut()));
}

#[test]
fn a_session_that_was_busy_does_not_take_its_client_for_gone() {
    let running = start(|config| config.server.ping_interval_ms = 700);
    let mut ws = ws(running.address);
    ws.send(Message::text("nap")).unwrap();
    let next = |ws: &mut Ws| loop {
        if let Message::Text(text) = ws.read().unwrap() {
            return text;
        }
    };
    assert_eq!(next(&mut ws).as_str(), "awake");
    ws.send(Message::text("good morning")).unwrap();
    assert_eq!(next(&mut ws).as_str(), "good morning");
}

#[test]
fn a_client_that_vanishes_gives_its_place_back() {
    let running = start(|_| {});
    let sockets: Vec<Ws> = (0..20).map(|_| ws(running.address)).collect();
    running.wait_for_places(20);
    drop(sockets);
    running.wait_for_places(0);
}

#[test]
fn a_slow_reader_waits_alone_and_is_then_told() {
    let running = start(|config| {
        config.server.slow_reader_ms = 3000;
        config.server.close_timeout_ms = 30_000;
    });
    let mut slow = ws(running.address);
    slow.send(Message::text("flood 1000")).unwrap();
    // On the same worker, so that anything that blocked would be seen.
    let mut other = ws(running.address);
    let began = Instant::now();
    let mut longest = Duration::ZERO;
    while began.elapsed() < Duration::from_millis(5000) {
        let sent = Instant::now();
        echo(&mut other, Message::text("hello"));
        longest = longest.max(sent.elapsed());
    }
    assert!(longest < Duration::from_millis(2700), "{longest:?}");
    // It reads again: everything that was accepted for it is there, in order, and then the reason.
    let (texts, close) = read_to_end(&mut slow);
    assert_eq!(error_code(texts.last().unwrap()), "SLOW_CONSUMER");
    assert_eq!(close, Some((1013, "SLOW_CONSUMER".to_owned())));
    let n_messages = texts.len() - 1;
    assert!((17..1000).contains(&n_messages), "{n_messages}");
    assert!(texts[..n_messages].iter().all(|it| it == "65536 bytes"));
    echo(&mut other, Message::text("still here"));
}

#[test]
fn a_reader_that_is_slow_for_a_moment_gets_everything() {
    let running = start(|config| config.server.slow_reader_ms = 5000);
    let mut ws = ws(running.address);
    ws.send(Message::text("flood 500")).unwrap();
    pause(Duration::from_millis(1000));
    for n in 0..500_u32 {
        let Message::Binary(bytes) = ws.read().unwrap() else {
            panic!("not binary");
        };
        assert_eq!(bytes.len(), 65_536);
        assert_eq!(u32::from(bytes[0]), n % 256);
    }
    echo(&mut ws, Message::text("still here"));
}

#[test]
fn a_reader_that_never_reads_again_is_cut_by_the_kernel() {
    let running = start(|config| {
        config.server.slow_reader_ms = 300;
        config.server.close_timeout_ms = 300;
    });
    let mut ws = ws(running.address);
    ws.send(Message::text("flood 1000")).unwrap();
    running.wait_for_places(0);
    // The session has ended, and the bytes that nobody reads must not keep the connection.
    wait_until("the descriptor to be freed", || {
        n_connections_of(running.address.port()) == 0
    });
    drop(ws);
}

/// Connections of the server's side, from the kernel's table: local port, state 01 (established) to 09 (last ack).
fn n_connections_of(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let suffix = format!(":{port:04X}");
    let is_ours = |line: &&str| {
        let mut columns = line.split_whitespace().skip(1);
        let local = columns.next().unwrap_or_default();
        let state = columns.nth(1).unwrap_or_default();
        let is_orphan = line.split_whitespace().nth(9) == Some("0");
        local.ends_with(&suffix) && state != "0A" && !is_orphan
    };
    table.lines().skip(1).filter(is_ours).count()
}

#[test]
fn a_panic_ends_its_session_and_no_other() {
    let running = start(|_| {});
    let mut other = ws(running.address);
    let mut doomed = ws(running.address);
    doomed.send(Message::text("panic")).unwrap();
    let (texts, close) = read_to_end(&mut doomed);
    assert_eq!(
        (texts.len(), close),
        (0, Some((1011, "INTERNAL".to_owned())))
    );
    running.wait_for_places(1);
    echo(&mut other, Message::text("still here"));
}

#[test]
fn a_close_is_answered_with_the_same_code() {
    let running = start(|_| {});
    let mut ws = ws(running.address);
    let frame = CloseFrame {
        code: CloseCode::Away,
        reason: "tab closed".into(),
    };
    ws.close(Some(frame)).unwrap();
    let (_, close) = read_to_end(&mut ws);
    assert_eq!(close.unwrap().0, 1001);
    running.wait_for_places(0);
}

#[test]
fn our_close_waits_for_the_answer_but_not_for_ever() {
    let running = start(|config| config.server.close_timeout_ms = 3000);
    let waits = (0..5).map(|_| {
        let mut polite = ws(running.address);
        polite.send(Message::text("bye")).unwrap();
        let began = Instant::now();
        let (_, close) = read_to_end(&mut polite);
        assert_eq!(close, Some((1000, "bye".to_owned())));
        began.elapsed()
    });
    // Half a second is what the HTTP server alone would take at least. A busy machine may add as much to some, not to all.
    let waited = waits.min().unwrap();
    assert!(waited < Duration::from_millis(500), "{waited:?}");

    let mut rude = ws(running.address);
    let began = Instant::now();
    rude.send(Message::text("bye")).unwrap();
    wait_until("the server to close", || is_closed(rude.get_mut()));
    let waited = began.elapsed();
    assert!(2900 <= waited.as_millis(), "{waited:?}");
}

#[test]
fn a_client_that_keeps_sending_still_reads_our_close() {
    let running = start(|_| {});
    let mut ws = ws(running.address);
    ws.send(Message::text("bye")).unwrap();
    // 16 MB are on their way when the close comes back.
    for _ in 0..16 {
        if ws.send(Message::binary(vec![7; 1_000_000])).is_err() {
            break;
        }
    }
    let (_, close) = read_to_end(&mut ws);
    assert_eq!(close, Some((1000, "bye".to_owned())));
}

#[test]
fn many_connect_and_leave_without_a_trace() {
    let running = start(|_| {});
    let (done, finished) = mpsc::sync_channel(4);
    for _ in 0..4 {
        let done = done.clone();
        let address = running.address;
        let storm = move || {
            for n in 0..100 {
                let mut ws = ws_at(address, "/ws").unwrap_or_else(|it| panic!("{}", it.status));
                if n % 2 == 0 {
                    ws.send(Message::text("hello")).unwrap();
                }
            }
            done.send(()).unwrap();
        };
        thread::Builder::new().spawn(storm).unwrap();
    }
    for _ in 0..4 {
        finished.recv_timeout(Duration::from_secs(90)).unwrap();
    }
    running.wait_for_places(0);
    wait_until("the connections to be freed", || {
        n_connections_of(running.address.port()) == 0
    });
    let late = connect(running.address);
    drop(late);
}
