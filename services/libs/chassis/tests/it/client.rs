//! Clients that can misbehave: HTTP by hand, and WebSockets from `tungstenite` over a plain stream.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{self, ClientRequestBuilder, Message, WebSocket};

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(it, _)| it == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Status and error code, after checking the shape of the body.
    pub(crate) fn error(&self) -> (u16, String) {
        let json = self.json();
        let error = &json["error"];
        assert!(error["message"].is_string(), "{json}");
        assert!(error["type"].is_string(), "{json}");
        assert!(error["recoverable"].is_boolean(), "{json}");
        assert!(error.as_object().unwrap().contains_key("param"), "{json}");
        (self.status, error["code"].as_str().unwrap().to_owned())
    }
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    stream
        .set_write_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    stream
}

/// One request on a connection of its own. `head` is the request line without the version, and headers.
pub(crate) fn request(address: SocketAddr, head: &str, body: &[u8]) -> Answer {
    let mut stream = connect(address);
    send(&mut stream, head, body);
    read_answer_to(&mut stream, head)
}

pub(crate) fn get(address: SocketAddr, path: &str) -> Answer {
    request(address, &format!("GET {path}"), b"")
}

pub(crate) fn send(stream: &mut TcpStream, head: &str, body: &[u8]) {
    let (line, headers) = head.split_once('\n').unwrap_or((head, ""));
    let mut text = format!("{line} HTTP/1.1\r\nhost: test\r\n");
    for header in headers.lines() {
        text.push_str(header.trim());
        text.push_str("\r\n");
    }
    if !body.is_empty() {
        text.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    stream.write_all(text.as_bytes()).unwrap();
    // A server may rightly answer and close before it has read everything.
    let _refused = stream.write_all(body);
}

pub(crate) fn read_answer(stream: &mut TcpStream) -> Answer {
    read_answer_to(stream, "")
}

fn read_answer_to(stream: &mut TcpStream, request: &str) -> Answer {
    let mut bytes = Vec::new();
    let head_len = loop {
        if let Some(found) = bytes.windows(4).position(|it| it == b"\r\n\r\n") {
            break found + 4;
        }
        read_some(stream, &mut bytes);
    };
    let head = String::from_utf8(bytes[..head_len].to_vec()).unwrap();
    let mut lines = head.lines();
    let status = lines
        .next()
        .unwrap()
        .split(' ')
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let mut body = bytes[head_len..].to_vec();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    // The answer to HEAD has the length of what it does not carry.
    let length = length.filter(|_| !request.starts_with("HEAD "));
    let length = length.map_or(0, |(_, value)| value.parse().unwrap());
    while body.len() < length {
        read_some(stream, &mut body);
    }
    Answer {
        status,
        headers,
        body,
    }
}

fn read_some(stream: &mut TcpStream, bytes: &mut Vec<u8>) {
    let mut chunk = [0; 4096];
    let n_read = stream.read(&mut chunk).unwrap();
    assert_ne!(
        n_read,
        0,
        "closed after: {}",
        String::from_utf8_lossy(bytes)
    );
    bytes.extend_from_slice(&chunk[..n_read]);
}

/// Whether the server has closed this connection: by the end of the stream or by a reset.
pub(crate) fn is_closed(stream: &mut TcpStream) -> bool {
    stream
        .set_read_timeout(Some(Duration::from_millis(10)))
        .unwrap();
    let mut chunk = [0; 65_536];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => {
                return !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
            }
        }
    }
}

pub(crate) type Ws = WebSocket<TcpStream>;

pub(crate) fn ws(address: SocketAddr) -> Ws {
    ws_at(address, "/ws").unwrap_or_else(|answer| panic!("refused with {}", answer.status))
}

/// A WebSocket, or the answer that refused it.
pub(crate) fn ws_at(address: SocketAddr, path: &str) -> Result<Ws, Answer> {
    let uri = format!("ws://{address}{path}").parse().unwrap();
    let request = ClientRequestBuilder::new(uri);
    match tungstenite::client(request, connect(address)) {
        Ok((ws, _)) => Ok(ws),
        Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(response))) => {
            let (parts, body) = response.into_parts();
            let headers = parts.headers.iter();
            Err(Answer {
                status: parts.status.as_u16(),
                headers: headers
                    .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
                    .collect(),
                body: body.unwrap_or_default(),
            })
        }
        Err(other) => panic!("{other}"),
    }
}

/// Everything until the close frame, then the end of the connection. Binary messages are shown by their length.
pub(crate) fn read_to_end(ws: &mut Ws) -> (Vec<String>, Option<(u16, String)>) {
    let mut texts = Vec::new();
    let mut close = None;
    loop {
        match ws.read() {
            Ok(Message::Text(text)) => texts.push(text.to_string()),
            Ok(Message::Binary(bytes)) => texts.push(format!("{} bytes", bytes.len())),
            Ok(Message::Close(frame)) => {
                close = frame.map(|CloseFrame { code, reason }| (code.into(), reason.to_string()));
            }
            Ok(_) => {}
            Err(tungstenite::Error::ConnectionClosed) => return (texts, close),
            Err(error) => panic!("{error}, after {texts:?} and {close:?}"),
        }
    }
}

/// The error of a last message: its code, after checking its shape.
pub(crate) fn error_code(text: &str) -> String {
    let json: Value = serde_json::from_str(text).unwrap();
    assert_eq!(json["type"], "error", "{json}");
    assert_eq!(json["recoverable"], false, "{json}");
    assert!(json["message"].is_string(), "{json}");
    json["code"].as_str().unwrap().to_owned()
}
