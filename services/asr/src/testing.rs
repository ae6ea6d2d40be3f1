//! A service in this process with models that answer by script, and a client of its socket: for tests of the edges that need to
//! see no more than one of them. Those of the service as a whole are in `tests/e2e`.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use chassis::settings::Problems;
use wire::asr::ServerMessage;
use wire::asr::stream::StreamError;

use crate::models::scripted::{self, Script};
use crate::settings::{Raw, Settings};
use crate::{Outcome, Stop, StopHandle, server};

/// No answer takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A service that runs until it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    stop: StopHandle,
    thread: Option<JoinHandle<Outcome>>,
}

impl Server {
    /// One that is ready.
    pub(crate) fn start(script: Script, configure: impl FnOnce(&mut Raw)) -> Server {
        let settings = settings(configure);
        let (started, address) = mpsc::sync_channel(1);
        let (handle, stop) = Stop::by_hand();
        let serve = move || {
            crate::block_on(async move {
                let server = server::start_with(settings, |settings, families| {
                    scripted::start(script, settings, families)
                })
                .unwrap();
                started.send(server.address()).unwrap();
                server.run(stop).await.unwrap()
            })
        };
        let thread = thread::Builder::new()
            .name("asr-under-test".to_owned())
            .spawn(serve)
            .unwrap();
        let server = Server {
            address: address.recv().unwrap(),
            stop: handle,
            thread: Some(thread),
        };
        until(|| server.get("/readyz").starts_with("HTTP/1.1 200"));
        server
    }

    /// Asks it to stop, as SIGTERM does.
    pub(crate) fn stop(&self) {
        self.stop.stop();
    }

    /// Waits until it has stopped.
    pub(crate) fn ended(mut self) -> Outcome {
        self.thread.take().unwrap().join().unwrap()
    }

    /// The head and body of an answer.
    pub(crate) fn get(&self, path: &str) -> String {
        read_all(self.send(&format!("GET {path}"), &[]))
    }

    /// Asks for something, and leaves the answer to be read.
    pub(crate) fn send(&self, what: &str, body: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let n_bytes = body.len();
        let head = format!(
            "{what} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\
             content-type: application/octet-stream\r\ncontent-length: {n_bytes}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        stream
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            // Twice: what a failed test left open is cut.
            self.stop.stop();
            self.stop.stop();
            drop(thread.join());
        }
    }
}

fn settings(configure: impl FnOnce(&mut Raw)) -> Settings {
    let mut raw = Raw::defaults();
    "127.0.0.1".clone_into(&mut raw.server.host);
    raw.server.port = 0;
    raw.server.workers = 1;
    // A machine that builds something else meanwhile is slow.
    raw.model.max_wait_ms = 60_000;
    raw.stream.audio_idle_ms = 60_000;
    configure(&mut raw);
    let mut problems = Problems::default();
    raw.check(&mut problems)
        .unwrap_or_else(|| panic!("{problems}"))
}

/// What is left to be read of an answer.
pub(crate) fn read_all(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Looks again and again until it is so.
pub(crate) fn until(is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "it did not come to be");
        pause(Duration::from_millis(20));
    }
}

/// Waits on the thread of a test, which serves nobody.
pub(crate) fn pause(time: Duration) {
    thread::park_timeout(time);
}

/// Samples that the scripted detector takes for speech, as they go over the wire.
pub(crate) fn hum(seconds: usize) -> Vec<u8> {
    (0..16_000 * seconds)
        .map(|it| if it / 40 % 2 == 0 { 8_000_i16 } else { -8_000 })
        .flat_map(i16::to_le_bytes)
        .collect()
}

/// One connection to the native socket, which notes everything it is told.
pub(crate) struct Client {
    stream: TcpStream,
    pub(crate) heard: Vec<ServerMessage>,
    /// How the server closed, once it has.
    pub(crate) close: Option<u16>,
}

impl Client {
    /// Connects and takes the first `ready`.
    pub(crate) fn connect(server: &Server, query: &str) -> Client {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!(
            "GET /v1/stream/asr?{query} HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            answer.extend(byte);
        }
        assert!(
            answer.starts_with(b"HTTP/1.1 101"),
            "{}",
            String::from_utf8_lossy(&answer)
        );
        let mut client = Client {
            stream,
            heard: Vec::new(),
            close: None,
        };
        client.until(|it| matches!(it, ServerMessage::Ready(_)));
        client
    }

    pub(crate) fn audio(&mut self, bytes: &[u8]) {
        self.send(2, bytes);
    }

    pub(crate) fn say(&mut self, text: &str) {
        self.send(1, text.as_bytes());
    }

    /// A frame. Its mask is 0, which leaves the bytes as they are.
    fn send(&mut self, opcode: u8, bytes: &[u8]) {
        let n_bytes = u64::try_from(bytes.len()).unwrap();
        let mut frame = vec![0x80 | opcode, 0x80 | 127];
        frame.extend(n_bytes.to_be_bytes());
        frame.extend([0; 4]);
        frame.extend(bytes);
        self.stream.write_all(&frame).unwrap();
    }

    /// The next message; `None` once the server has closed.
    fn next(&mut self) -> Option<ServerMessage> {
        loop {
            let (opcode, bytes) = self.frame()?;
            match opcode {
                1 => {
                    let message: ServerMessage = serde_json::from_slice(&bytes).unwrap();
                    self.heard.push(message.clone());
                    return Some(message);
                }
                8 => {
                    self.close = bytes.first_chunk().map(|it| u16::from_be_bytes(*it));
                    self.control(8, &bytes);
                    return None;
                }
                9 => self.control(10, &bytes),
                other => panic!("a frame of kind {other}"),
            }
        }
    }

    /// An answer to a frame that is not a message; the server may have hung up.
    fn control(&mut self, opcode: u8, bytes: &[u8]) {
        let n_bytes = u8::try_from(bytes.len()).unwrap();
        let head = [0x80 | opcode, 0x80 | n_bytes, 0, 0, 0, 0];
        drop(self.stream.write_all(&[&head, bytes].concat()));
    }

    fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let [opcode, length] = self.read()?;
        let n_bytes = match length {
            126 => usize::from(u16::from_be_bytes(self.read()?)),
            127 => usize::try_from(u64::from_be_bytes(self.read()?)).unwrap(),
            n => usize::from(n),
        };
        let mut bytes = vec![0; n_bytes];
        self.stream.read_exact(&mut bytes).ok()?;
        Some((opcode & 0x0f, bytes))
    }

    fn read<const N: usize>(&mut self) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.stream.read_exact(&mut bytes).ok()?;
        Some(bytes)
    }

    /// Takes messages up to one that is wanted.
    pub(crate) fn until(&mut self, wanted: impl Fn(&ServerMessage) -> bool) {
        loop {
            match self.next() {
                Some(message) if wanted(&message) => return,
                Some(_) => {}
                None => panic!("the server closed; so far: {:#?}", self.heard),
            }
        }
    }

    /// Takes everything that is left.
    pub(crate) fn drain(&mut self) {
        while self.next().is_some() {}
    }

    /// The errors so far.
    pub(crate) fn errors(&self) -> Vec<&StreamError> {
        let errors = self.heard.iter().filter_map(|it| {
            if let ServerMessage::Error(error) = it {
                Some(error)
            } else {
                None
            }
        });
        errors.collect()
    }
}
