//! What an idle session costs.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;

use crate::client::{connect, get, read_answer, send};
use crate::service::{other_half, start};

/// The promise is 5,000 idle sessions in 400 MB with everything else in the process, so 80 kB each is the very most.
const MAX_BYTES_PER_SESSION: u64 = 40_000;

const HANDSHAKE: &str = "GET /ws\nupgrade: websocket\nconnection: upgrade\nsec-websocket-version: 13\nsec-websocket-key: x3JJHMbDL1EzLkh9GBhXDw==";

#[test]
fn five_thousand_idle_sessions_are_cheap() {
    // A process of its own, so that its memory is its own.
    let mut server = other_half("memory::serve_until_told")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // Kept to the end: what is said into a closed pipe is an error.
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let address: SocketAddr = lines
        .by_ref()
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("serving at ")?.parse().ok())
        .unwrap();
    // The first sessions pay for what all share.
    let first: Vec<TcpStream> = (0..50).map(|_| idle_session(address)).collect();
    let before = resident_bytes(server.id());
    // Two descriptors a session there, one here.
    let n_sessions = 5000.min(max_descriptors() / 2 - 500);
    let sessions: Vec<TcpStream> = (0..n_sessions).map(|_| idle_session(address)).collect();
    let health = get(address, "/health").json();
    assert_eq!(health["connections"], sessions.len() + first.len());
    let after = resident_bytes(server.id());
    let per_session = (after - before) / u64::try_from(n_sessions).unwrap();
    println!("{n_sessions} idle sessions: {before} -> {after} bytes, {per_session} each");
    assert!(per_session < MAX_BYTES_PER_SESSION, "{per_session}");
    drop(server.stdin.take());
    drop(sessions);
    let _rest: Vec<String> = lines.map_while(Result::ok).collect();
    assert!(server.wait().unwrap().success());
}

#[test]
#[ignore = "the other half of the measurement above, which starts it"]
fn serve_until_told() {
    let running = start(|config| {
        config.server.max_connections = 10_000;
        // Nobody here answers pings, and to open so many may take longer than two of them.
        config.server.ping_interval_ms = 280_000;
    });
    println!("\nserving at {}", running.address);
    std::io::stdout().flush().unwrap();
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// A session that has said something once, as a client that configures itself does.
fn idle_session(address: SocketAddr) -> TcpStream {
    let mut stream = connect(address);
    send(&mut stream, HANDSHAKE, b"");
    assert_eq!(read_answer(&mut stream).status, 101);
    // "hi" in a text frame, masked with zeros, and its echo.
    stream
        .write_all(&[0x81, 0x82, 0, 0, 0, 0, b'h', b'i'])
        .unwrap();
    let mut echo = [0; 4];
    stream.read_exact(&mut echo).unwrap();
    assert_eq!(&echo, b"\x81\x02hi");
    stream
}

fn resident_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|it| it.starts_with("VmRSS:")).unwrap();
    let kilobytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kilobytes * 1024
}

fn max_descriptors() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits
        .lines()
        .find(|it| it.starts_with("Max open files"))
        .unwrap();
    line.split_whitespace().nth(3).unwrap().parse().unwrap()
}
