//! A client of the streaming protocol that notes everything it is told.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use wire::asr::ServerMessage;
use wire::asr::stream::{Closed, Final, StreamError};

use crate::Asr;

/// No message of a test takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// One connection.
#[derive(Debug)]
pub struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Everything that was received, in order.
    pub heard: Vec<ServerMessage>,
    /// How the server closed, once it has.
    pub close: Option<CloseCode>,
}

/// Why there is no connection.
#[derive(Debug)]
pub struct Refused {
    pub status: u16,
    pub code: String,
    pub retry_after: Option<String>,
}

impl Client {
    /// Connects and takes the first `ready`. `query` is what follows the question mark.
    pub async fn connect(asr: &Asr, query: &str) -> Client {
        match Client::try_connect(asr, query).await {
            Ok(client) => client,
            Err(refused) => panic!("{refused:?}"),
        }
    }

    /// As [`Client::connect`], to a service elsewhere.
    pub async fn connect_to(address: SocketAddr, query: &str) -> Client {
        Client::try_connect_to(address, query)
            .await
            .unwrap_or_else(|refused| panic!("{refused:?}"))
    }

    /// Connects, or tells why not.
    pub async fn try_connect(asr: &Asr, query: &str) -> Result<Client, Refused> {
        Client::try_connect_to(asr.address, query).await
    }

    async fn try_connect_to(address: SocketAddr, query: &str) -> Result<Client, Refused> {
        let request = format!("ws://{address}/v1/stream/asr?{query}")
            .into_client_request()
            .unwrap();
        match tokio_tungstenite::connect_async(request).await {
            Ok((socket, _)) => {
                let mut client = Client {
                    socket,
                    heard: Vec::new(),
                    close: None,
                };
                client
                    .until(|it| matches!(it, ServerMessage::Ready(_)))
                    .await;
                Ok(client)
            }
            Err(Error::Http(answer)) => {
                let body = answer.body().clone().unwrap_or_default();
                let body: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
                Err(Refused {
                    status: answer.status().as_u16(),
                    code: body["error"]["code"]
                        .as_str()
                        .unwrap_or_default()
                        .to_owned(),
                    retry_after: answer
                        .headers()
                        .get("retry-after")
                        .map(|it| it.to_str().unwrap().to_owned()),
                })
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Sends audio in one frame.
    pub async fn audio(&mut self, bytes: impl Into<Vec<u8>>) {
        self.socket
            .send(Message::binary(bytes.into()))
            .await
            .unwrap();
    }

    /// Sends audio in frames of `n` bytes, and takes what has come meanwhile.
    pub async fn frames(&mut self, bytes: &[u8], n: usize) {
        for frame in bytes.chunks(n) {
            self.audio(frame).await;
        }
    }

    /// Sends a text frame.
    pub async fn say(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// Sends any frame; a server that has gone is no failure.
    pub async fn send(&mut self, message: Message) -> bool {
        self.socket.send(message).await.is_ok()
    }

    /// The next message; `None` once the server has closed.
    pub async fn next(&mut self) -> Option<ServerMessage> {
        // Over all frames: pings must not count as messages.
        let patience = tokio::time::Instant::now() + PATIENCE;
        loop {
            let received = tokio::time::timeout_at(patience, self.socket.next()).await;
            match received.unwrap_or_else(|_| panic!("no message came; so far:\n{}", self.story()))
            {
                Some(Ok(Message::Text(text))) => {
                    let message: ServerMessage = serde_json::from_str(&text)
                        .unwrap_or_else(|error| panic!("{error}: {text}"));
                    self.heard.push(message.clone());
                    return Some(message);
                }
                Some(Ok(Message::Close(frame))) => self.close = frame.map(|it| it.code),
                Some(Ok(
                    Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_),
                )) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }

    /// Takes messages up to one that is `wanted`.
    pub async fn until(&mut self, wanted: impl Fn(&ServerMessage) -> bool) -> ServerMessage {
        loop {
            match self.next().await {
                Some(message) if wanted(&message) => return message,
                Some(_) => {}
                None => panic!("the server closed; so far:\n{}", self.story()),
            }
        }
    }

    /// Takes messages up to the next final.
    pub async fn until_final(&mut self) -> Final {
        match self.until(|it| matches!(it, ServerMessage::Final(_))).await {
            ServerMessage::Final(last) => *last,
            other => panic!("{other:?}"),
        }
    }

    /// Takes messages up to the next error.
    pub async fn until_error(&mut self) -> StreamError {
        match self.until(|it| matches!(it, ServerMessage::Error(_))).await {
            ServerMessage::Error(error) => error,
            other => panic!("{other:?}"),
        }
    }

    /// Everything that was heard, a line for each message, for the words of a failure.
    pub fn story(&self) -> String {
        let line = |it: &ServerMessage| match it {
            ServerMessage::Ready(_) => "ready".to_owned(),
            other => other.to_text(),
        };
        self.heard
            .iter()
            .map(line)
            .chain([format!("close: {:?}", self.close)])
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Asks for the end, takes everything that is left, and gives the totals.
    pub async fn finish(&mut self) -> Closed {
        self.say(r#"{"type":"close"}"#).await;
        self.drained().await
    }

    /// Takes everything that is left, and gives the totals.
    pub async fn drained(&mut self) -> Closed {
        while self.next().await.is_some() {}
        self.totals()
            .unwrap_or_else(|| panic!("no `closed` came:\n{}", self.story()))
    }

    /// The totals, if they have come.
    pub fn totals(&self) -> Option<Closed> {
        self.heard.iter().find_map(|it| match it {
            ServerMessage::Closed(closed) => Some(*closed),
            _ => None,
        })
    }

    /// The texts of all finals so far.
    pub fn finals(&self) -> Vec<String> {
        let text = |it: &ServerMessage| match it {
            ServerMessage::Final(last) => Some(last.text.clone()),
            _ => None,
        };
        self.heard.iter().filter_map(text).collect()
    }

    /// Closes without a word.
    pub fn vanish(self) {
        drop(self);
    }
}

/// Checks the promises that hold for every session that was closed in an orderly way.
pub fn check_promises(client: &Client) {
    let totals = client
        .totals()
        .unwrap_or_else(|| panic!("no `closed` came:\n{}", client.story()));
    assert_eq!(
        totals.received_samples,
        totals.transcribed_samples + totals.silence_samples + totals.discarded_samples,
        "the accounts do not balance: {totals:?}"
    );
    // A segment may begin before the one before it has its final.
    let mut open: BTreeMap<u64, String> = BTreeMap::new();
    let mut n_segments = 0;
    let mut n_answered = 0;
    for message in &client.heard {
        match message {
            ServerMessage::SpeechStart(start) => {
                n_segments += 1;
                assert_eq!(
                    start.segment_id, n_segments,
                    "segments are counted from 1, each once"
                );
                open.insert(start.segment_id, String::new());
            }
            ServerMessage::Partial(partial) => {
                let stable = open
                    .get_mut(&partial.segment_id)
                    .expect("a partial outside a segment");
                assert!(
                    words(&partial.stable_text).starts_with(&words(stable)),
                    "stable text changed: {message:?}"
                );
                stable.clone_from(&partial.stable_text);
            }
            ServerMessage::Final(last) => {
                let stable = open
                    .remove(&last.segment_id)
                    .expect("a final without a start, or a second one");
                assert!(
                    words(&last.text).starts_with(&words(&stable)),
                    "{stable:?} is not kept in {:?}",
                    last.text
                );
                n_answered += 1;
                assert_eq!(last.segment_id, n_answered, "results come in order");
            }
            ServerMessage::Error(error) if error.segment_id.is_some() => {
                let segment = error.segment_id.unwrap();
                open.remove(&segment)
                    .expect("a segment's error without a start, or a second one");
                n_answered += 1;
                assert_eq!(segment, n_answered, "results come in order");
            }
            _ => {}
        }
    }
    assert!(
        open.is_empty(),
        "segments {:?} have no terminal message",
        open.keys()
    );
    assert_eq!(totals.segments, n_segments);
    assert!(
        matches!(client.heard.last(), Some(ServerMessage::Closed(_))),
        "`closed` is not the last message"
    );
}

/// Words without case and punctuation.
pub fn words(text: &str) -> Vec<String> {
    let letters = |it: &str| {
        it.chars()
            .filter(|it| it.is_alphanumeric())
            .flat_map(char::to_lowercase)
            .collect::<String>()
    };
    text.split_whitespace()
        .map(letters)
        .filter(|it| !it.is_empty())
        .collect()
}
