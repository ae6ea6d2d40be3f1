//! Plain HTTP: a request written by hand where its very bytes matter, a client elsewhere.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// A header by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(it, _)| it == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The stable code of an error.
    pub fn code(&self) -> String {
        self.json()["error"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// The payloads of a stream of events.
    pub fn events(&self) -> Vec<Value> {
        let text = self.text();
        let data = text
            .split("\n\n")
            .filter_map(|it| it.strip_prefix("data: "));
        data.map(|it| serde_json::from_str(it).unwrap()).collect()
    }
}

/// The raw answer to a GET, for those who have no runtime.
pub fn get_blocking(address: SocketAddr, path: &str) -> String {
    let Ok(mut socket) = TcpStream::connect(address) else {
        return String::new();
    };
    socket
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
    let mut answer = String::new();
    if socket.write_all(request.as_bytes()).is_ok() {
        // A connection that is cut short answers as far as it goes.
        drop(socket.read_to_string(&mut answer));
    }
    answer
}

/// Sends a request and reads the whole answer.
pub async fn send(request: reqwest::RequestBuilder) -> Answer {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let text = |it: &reqwest::header::HeaderValue| it.to_str().unwrap_or_default().to_owned();
    let headers = answer
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), text(value)))
        .collect();
    Answer {
        status,
        headers,
        body: answer.bytes().await.unwrap().to_vec(),
    }
}

/// A client without proxies, which would stand between a test and its server.
pub fn client() -> reqwest::Client {
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// GET.
pub async fn get(url: &str) -> Answer {
    send(client().get(url)).await
}

const BOUNDARY: &str = "----a-boundary-that-no-file-holds";

/// The bytes of a form with a file and other fields, and its content type.
pub fn form(file: Option<&[u8]>, fields: &[(&str, &str)]) -> (Vec<u8>, String) {
    let mut text = String::new();
    for (name, value) in fields {
        write!(
            text,
            "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        )
        .unwrap();
    }
    let mut body = text.into_bytes();
    if let Some(file) = file {
        let head = format!(
            "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\ncontent-type: audio/wav\r\n\r\n"
        );
        body.extend(head.as_bytes());
        body.extend(file);
        body.extend(b"\r\n");
    }
    body.extend(format!("--{BOUNDARY}--\r\n").as_bytes());
    (body, format!("multipart/form-data; boundary={BOUNDARY}"))
}

/// POST of a form.
pub async fn upload(url: &str, file: &[u8], fields: &[(&str, &str)]) -> Answer {
    let (body, kind) = form(Some(file), fields);
    send(client().post(url).header("content-type", kind).body(body)).await
}

/// POST of a body as it is.
pub async fn post(url: &str, kind: &str, body: impl Into<reqwest::Body>) -> Answer {
    send(client().post(url).header("content-type", kind).body(body)).await
}
