//! A client of the synthesiser's streaming protocol that notes everything it is told and given.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use wire::tts::stream::{AudioChunk, Closed, StreamError, SynthesisComplete, SynthesisStarted};
use wire::tts::{Encoding, ServerMessage};

use crate::stream::Refused;

/// No message of a test takes longer.
const PATIENCE: Duration = Duration::from_secs(90);

/// One connection.
#[derive(Debug)]
pub struct Listener {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Every message, in order.
    pub heard: Vec<ServerMessage>,
    /// The audio of each chunk, in order.
    pub audio: Vec<Vec<u8>>,
    /// How the server closed, once it has.
    pub close: Option<CloseCode>,
}

/// What came of one request.
#[derive(Clone, Debug, Default)]
pub struct Told {
    pub started: Option<SynthesisStarted>,
    pub chunks: Vec<AudioChunk>,
    pub audio: Vec<u8>,
    pub end: Option<ServerMessage>,
}

impl Told {
    /// The totals, if it was completed.
    pub fn complete(&self) -> &SynthesisComplete {
        match &self.end {
            Some(ServerMessage::SynthesisComplete(it)) => it,
            other => panic!("not complete: {other:?}"),
        }
    }

    /// The samples, of 16 bits.
    pub fn samples(&self) -> Vec<i16> {
        self.audio
            .chunks_exact(2)
            .map(|it| i16::from_le_bytes([it[0], it[1]]))
            .collect()
    }

    /// The words, in order.
    pub fn words(&self) -> Vec<String> {
        let words = self.chunks.iter().flat_map(|it| &it.estimated_words);
        words.map(|it| it.word.clone()).collect()
    }
}

impl Listener {
    /// Connects and takes the first `ready`. `query` is what follows the question mark.
    pub async fn connect(address: SocketAddr, query: &str) -> Listener {
        match Listener::try_connect(address, query).await {
            Ok(client) => client,
            Err(refused) => panic!("{refused:?}"),
        }
    }

    /// Connects as one to whom the kernel sends little that was not read, however much memory it has.
    pub async fn connect_narrowly(address: SocketAddr) -> Listener {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(65_536).unwrap();
        let stream = MaybeTlsStream::Plain(socket.connect(address).await.unwrap());
        let url = format!("ws://{address}/v1/stream/tts");
        let (socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
        Listener::greeted(socket).await
    }

    /// Connects, or tells why not.
    pub async fn try_connect(address: SocketAddr, query: &str) -> Result<Listener, Refused> {
        let request = format!("ws://{address}/v1/stream/tts?{query}")
            .into_client_request()
            .unwrap();
        match tokio_tungstenite::connect_async(request).await {
            Ok((socket, _)) => Ok(Listener::greeted(socket).await),
            Err(Error::Http(answer)) => {
                let body = answer.body().clone().unwrap_or_default();
                let body: Value = serde_json::from_slice(&body).unwrap_or_default();
                let code = body["error"]["code"].as_str().unwrap_or_default();
                let retry_after = answer.headers().get("retry-after");
                Err(Refused {
                    status: answer.status().as_u16(),
                    code: code.to_owned(),
                    retry_after: retry_after.map(|it| it.to_str().unwrap().to_owned()),
                })
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Takes the first `ready`.
    async fn greeted(socket: WebSocketStream<MaybeTlsStream<TcpStream>>) -> Listener {
        let mut client = Listener {
            socket,
            heard: Vec::new(),
            audio: Vec::new(),
            close: None,
        };
        client
            .until(|it| matches!(it, ServerMessage::Ready(_)))
            .await;
        client
    }

    /// Sends a text frame.
    pub async fn say(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// Sends a message.
    pub async fn ask(&mut self, message: Value) {
        self.say(&message.to_string()).await;
    }

    /// Asks for a text to be spoken, with options.
    pub async fn synthesize(&mut self, id: &str, text: &str, options: Value) {
        let mut message = json!({"type":"synthesize","request_id":id,"text":text});
        let fields = message.as_object_mut().unwrap();
        fields.extend(options.as_object().cloned().unwrap_or_default());
        self.ask(message).await;
    }

    /// Sends any frame; a server that has gone is no failure.
    pub async fn send(&mut self, message: Message) -> bool {
        self.socket.send(message).await.is_ok()
    }

    /// The next message, with the audio that belongs to it; `None` once the server has closed.
    pub async fn next(&mut self) -> Option<ServerMessage> {
        let patience = tokio::time::Instant::now() + PATIENCE;
        loop {
            let message = match self.frame(patience).await? {
                Message::Text(text) => text,
                Message::Binary(_) => panic!("audio without its message"),
                _ => continue,
            };
            let message: ServerMessage =
                serde_json::from_str(&message).unwrap_or_else(|error| panic!("{error}: {message}"));
            self.heard.push(message.clone());
            if let ServerMessage::AudioChunk(_) = message {
                let bytes = loop {
                    match self.frame(patience).await {
                        Some(Message::Binary(bytes)) => break bytes,
                        Some(Message::Ping(_) | Message::Pong(_)) => {}
                        other => panic!("no audio after its message: {other:?}"),
                    }
                };
                self.audio.push(bytes.to_vec());
            }
            return Some(message);
        }
    }

    async fn frame(&mut self, patience: tokio::time::Instant) -> Option<Message> {
        loop {
            let received = tokio::time::timeout_at(patience, self.socket.next()).await;
            match received.unwrap_or_else(|_| panic!("no message came; so far:\n{}", self.story()))
            {
                Some(Ok(Message::Close(frame))) => self.close = frame.map(|it| it.code),
                Some(Ok(message)) => return Some(message),
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

    /// Takes messages up to the end of a request, and gives what came of it.
    pub async fn ended(&mut self, id: &str) -> Told {
        if self.told(id).end.is_none() {
            self.until(|it| end_of(it) == Some(id)).await;
        }
        self.told(id)
    }

    /// Asks for a text and takes it all.
    pub async fn hear(&mut self, id: &str, text: &str, options: Value) -> Told {
        self.synthesize(id, text, options).await;
        self.ended(id).await
    }

    /// Takes messages up to the next error.
    pub async fn until_error(&mut self) -> StreamError {
        match self.until(|it| matches!(it, ServerMessage::Error(_))).await {
            ServerMessage::Error(error) => error,
            other => panic!("{other:?}"),
        }
    }

    /// What came of a request so far.
    pub fn told(&self, id: &str) -> Told {
        self.requests().remove(id).unwrap_or_default()
    }

    /// What came of every request so far, by its name.
    pub fn requests(&self) -> BTreeMap<String, Told> {
        let mut requests: BTreeMap<String, Told> = BTreeMap::new();
        let mut audio = self.audio.iter();
        for message in &self.heard {
            if let ServerMessage::SynthesisStarted(it) = message {
                let told = requests.entry(it.request_id.clone()).or_default();
                told.started = Some(it.clone());
            }
            if let ServerMessage::AudioChunk(it) = message {
                let told = requests.entry(it.request_id.clone()).or_default();
                told.chunks.push(it.clone());
                told.audio.extend(audio.next().into_iter().flatten());
            }
            if let Some(id) = end_of(message) {
                let told = requests.entry(id.to_owned()).or_default();
                told.end = Some(message.clone());
            }
        }
        requests
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
        let totals = self.heard.iter().find_map(|it| match it {
            ServerMessage::Closed(closed) => Some(*closed),
            _ => None,
        });
        totals.unwrap_or_else(|| panic!("no `closed` came:\n{}", self.story()))
    }

    /// Closes without a word.
    pub fn vanish(self) {
        drop(self);
    }
}

/// The request that a message ends.
pub fn end_of(message: &ServerMessage) -> Option<&str> {
    match message {
        ServerMessage::SynthesisComplete(it) => Some(&it.request_id),
        ServerMessage::Cancelled(it) => Some(&it.request_id),
        ServerMessage::Error(it) => it.request_id.as_deref(),
        _ => None,
    }
}

fn bytes_per_sample(encoding: Encoding) -> u64 {
    match encoding {
        Encoding::PcmS16le => 2,
        Encoding::PcmF32le => 4,
        Encoding::Mulaw | Encoding::Alaw => 1,
    }
}

/// Checks the promises that hold for every session that was closed in an orderly way, and gives what came of each request.
pub fn check_promises(client: &Listener) -> BTreeMap<String, Told> {
    let mut speaking: Option<String> = None;
    let mut ended: Vec<&str> = Vec::new();
    for message in &client.heard {
        if let ServerMessage::SynthesisStarted(it) = message {
            assert_eq!(speaking, None, "two at a time:\n{}", client.story());
            assert!(
                !ended.contains(&it.request_id.as_str()),
                "{}",
                client.story()
            );
            speaking = Some(it.request_id.clone());
        }
        if let ServerMessage::AudioChunk(it) = message {
            assert_eq!(
                speaking.as_ref(),
                Some(&it.request_id),
                "{}",
                client.story()
            );
        }
        if let Some(id) = end_of(message) {
            assert!(
                !ended.contains(&id),
                "two ends of {id}:\n{}",
                client.story()
            );
            ended.push(id);
            if speaking.as_deref() == Some(id) {
                speaking = None;
            }
        }
    }
    let Some(ServerMessage::Closed(closed)) = client.heard.last() else {
        panic!("`closed` is not the last message:\n{}", client.story())
    };
    assert_eq!(
        closed.requests,
        closed.completed + closed.cancelled + closed.failed
    );
    assert_eq!(closed.requests, ended.len() as u64, "{}", client.story());
    assert_eq!(closed.chunks_sent, client.audio.len() as u64);
    let requests = client.requests();
    for (id, told) in &requests {
        check_request(id, told);
    }
    requests
}

fn check_request(id: &str, told: &Told) {
    assert!(told.end.is_some(), "{id} has no end");
    let Some(started) = &told.started else {
        assert!(told.chunks.is_empty(), "{id} spoke without its turn");
        return;
    };
    let each = bytes_per_sample(started.encoding);
    let mut position = told.chunks.first().map_or(0, |it| it.start_sample);
    let first = position;
    for (idx, chunk) in told.chunks.iter().enumerate() {
        assert_eq!(chunk.chunk_id, idx as u64 + 1, "{id}");
        assert_eq!(chunk.start_sample, position, "{id}: a gap");
        assert!(
            0 < chunk.samples && chunk.text_start <= chunk.text_end,
            "{id}"
        );
        assert_eq!(chunk.sample_rate, started.sample_rate);
        position += chunk.samples;
    }
    assert_eq!(told.audio.len() as u64, (position - first) * each, "{id}");
    match told.end.as_ref().unwrap() {
        ServerMessage::SynthesisComplete(it) => {
            assert_eq!(it.chunks_sent, told.chunks.len() as u64, "{id}");
            assert_eq!(
                it.skipped_samples + position - first,
                it.total_samples,
                "{id}"
            );
        }
        ServerMessage::Cancelled(it) => {
            assert_eq!(it.chunks_sent, told.chunks.len() as u64, "{id}");
            if !told.chunks.is_empty() {
                assert_eq!(it.end_sample, position, "{id}");
            }
        }
        _ => {}
    }
}

/// Asserts that two pieces are the same speech: as long to the sample, and as loud at each moment.
///
/// Not sample by sample: where the decoder's windows are cut depends on how busy the server is, and each is shifted by up to 5 ms to
/// join the one before it. Another text, voice or seed has another length.
pub fn assert_same(one: &[i16], other: &[i16], what: &str) {
    /// 40 ms.
    const FRAME: usize = 960;
    assert_eq!(one.len(), other.len(), "{what}");
    let levels = |it: &[i16]| -> Vec<f64> {
        let level = |frame: &[i16]| frame.iter().map(|it| f64::from(*it).powi(2)).sum::<f64>();
        it.chunks(FRAME).map(|it| level(it).sqrt()).collect()
    };
    let (one, other) = (levels(one), levels(other));
    let energy = |it: &[f64]| it.iter().map(|it| it * it).sum::<f64>();
    let product: f64 = one.iter().zip(&other).map(|(a, b)| a * b).sum();
    let likeness = product / (energy(&one) * energy(&other)).sqrt();
    assert!(0.98 < likeness, "{what}: {likeness}");
}
