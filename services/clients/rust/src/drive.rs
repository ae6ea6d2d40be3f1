//! EDGE: what a core wants, done: connects, sends, listens, waits, and connects again.
//!
//! Invariants:
//! - One task owns one stream, and one connection at a time.
//! - Reading and writing never wait for each other, or two sides that both wait to be read would wait for ever.
//! - While the stream is down its user may go on, as far as there is room.

use std::collections::hash_map::RandomState;
use std::future::poll_fn;
use std::hash::{BuildHasher as _, Hasher as _};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::SplitSink;
use futures_util::{Sink as _, SinkExt as _, StreamExt as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

use crate::core::{Break, Core, Outgoing};
use crate::retry::Retry;
use crate::socket::{Request, Socket};
use crate::{Error, Patience};

/// Events that may wait for a reader. Beyond that the socket is not read.
pub(crate) const MAX_EVENTS: usize = 256;

type Taken<C> = mpsc::Receiver<<C as Core>::Command>;
type Told<C> = mpsc::Sender<Result<<C as Core>::Event, Error>>;

/// A stream that runs.
pub(crate) struct Drive<C: Core> {
    core: C,
    request: Request,
    patience: Patience,
    commands: Taken<C>,
    /// Nobody sends commands any more.
    is_alone: bool,
    /// Commands that must not wait behind others.
    controls: Option<Taken<C>>,
    events: Told<C>,
}

/// What may happen on any side at any time.
enum Asked<T> {
    Command(Option<T>),
    Control(Option<T>),
    /// Nobody listens any more.
    Nothing,
}

/// Why nothing more is to be done on a connection.
enum End {
    Broken(Break),
    /// The core has what it wanted, or nobody wants it any more.
    Over,
}

impl<C: Core> Drive<C> {
    pub(crate) fn new(
        core: C,
        request: Request,
        patience: Patience,
        (commands, events): (Taken<C>, Told<C>),
    ) -> Drive<C> {
        Drive {
            core,
            request,
            patience,
            commands,
            is_alone: false,
            controls: None,
            events,
        }
    }

    /// With commands that come on a way of their own.
    pub(crate) fn with_controls(self, controls: Taken<C>) -> Drive<C> {
        Drive {
            controls: Some(controls),
            ..self
        }
    }

    /// Runs to the end of the stream.
    pub(crate) async fn run(mut self) -> Result<C::Output, Error> {
        let result = Box::pin(self.converse()).await;
        if let Err(error) = &result {
            // Who does not listen does not miss it.
            drop(self.events.send(Err(error.clone())).await);
        }
        result
    }

    async fn converse(&mut self) -> Result<C::Output, Error> {
        let mut retry = Retry::new(self.patience);
        loop {
            let Some(connected) = self.connect().await else {
                return self.core.output().ok_or(Error::Over);
            };
            let mut was_ready_for = Duration::ZERO;
            let (why, was_open) = match connected {
                Ok(socket) => match Box::pin(self.talk(socket, &mut was_ready_for)).await {
                    End::Over => return self.core.output().ok_or(Error::Over),
                    End::Broken(why) => (why, true),
                },
                Err(why) => (why, false),
            };
            let (why, events) = self.core.broken(why);
            self.tell(events).await;
            if let Some(output) = self.core.output() {
                return Ok(output);
            }
            // What an earlier connection brought is no progress of an attempt that never became one.
            let has_advanced = was_open && self.core.has_advanced();
            // Who has nothing to say outlives any number of restarts. A server that crashes in a loop is not ready for so long.
            if has_advanced || self.patience.longest_wait < was_ready_for {
                retry.progressed();
            }
            let wait = retry.after(&why, random())?;
            if self.meanwhile(sleep(wait)).await.is_none() {
                return self.core.output().ok_or(Error::Over);
            }
        }
    }

    /// `None` if the stream is over by then.
    async fn connect(&mut self) -> Option<Result<Socket, Break>> {
        // Its own copy, because the core takes commands meanwhile.
        let request = self.request.clone();
        let patience = self.patience.connect;
        let connecting = async move { request.connect(patience).await };
        let connected = Box::pin(self.meanwhile(connecting)).await?;
        if connected.is_ok() {
            self.core.connected();
        }
        Some(connected)
    }

    /// Waits for something, and takes commands meanwhile. `None` if the stream is over before.
    async fn meanwhile<T>(&mut self, awaited: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(awaited);
        loop {
            tokio::select! {
                done = &mut awaited => return Some(done),
                asked = self.asked() => if self.take(asked).await {
                    return None;
                }
            }
        }
    }

    /// What the user wants, once he wants something and there is room for it. May be dropped at any time.
    async fn asked(&mut self) -> Asked<C::Command> {
        let has_room = self.core.has_room() && !self.is_alone;
        let is_deserted = self.core.deserted();
        let (commands, controls, events) = (&mut self.commands, &mut self.controls, &self.events);
        let control = async {
            match controls {
                Some(controls) => controls.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            command = commands.recv(), if has_room => Asked::Command(command),
            command = control => Asked::Control(command),
            () = events.closed(), if is_deserted => Asked::Nothing,
        }
    }

    /// Does what was asked for. Says whether that was the end.
    async fn take(&mut self, asked: Asked<C::Command>) -> bool {
        match asked {
            Asked::Command(Some(command)) | Asked::Control(Some(command)) => {
                let events = self.core.command(command);
                self.tell(events).await;
                self.core.output().is_some()
            }
            Asked::Command(None) => {
                self.is_alone = true;
                self.core.abandoned()
            }
            Asked::Control(None) => {
                self.controls = None;
                false
            }
            Asked::Nothing => true,
        }
    }

    async fn tell(&mut self, events: Vec<C::Event>) {
        for event in events {
            drop(self.events.send(Ok(event)).await);
        }
    }

    /// Uses a connection to its end. Tells for how long it was ready for more, as far as it was heard of.
    async fn talk(&mut self, socket: Socket, was_ready_for: &mut Duration) -> End {
        let (mut sink, mut stream) = socket.split();
        let mut next = self.core.outgoing();
        let mut is_flushed = true;
        let mut heard_at = Instant::now();
        let mut ready_at = heard_at;
        let mut spoke_at = Instant::now();
        let mut ping_at = heard_at + self.patience.silence / 3;
        loop {
            if self.core.output().is_some() {
                drop(tokio::time::timeout(Duration::from_secs(1), sink.close()).await);
                return End::Over;
            }
            let keepalive_at = spoke_at + self.core.keepalive_every();
            tokio::select! {
                received = stream.next() => {
                    heard_at = Instant::now();
                    if self.core.keepalive().is_none() {
                        ready_at = heard_at;
                    }
                    *was_ready_for = heard_at.duration_since(ready_at);
                    match self.received(received) {
                        Ok(events) => self.tell(events).await,
                        Err(why) => return End::Broken(why),
                    }
                    next = next.or_else(|| self.core.outgoing());
                }
                moved = poll_fn(|cx| move_on(Pin::new(&mut sink), next.is_some(), cx)), if next.is_some() || !is_flushed => {
                    let is_room = next.is_some();
                    let sent = moved.and_then(|()| start(&mut sink, next.take()));
                    if let Err(error) = sent {
                        return End::Broken(self.last_words(&mut stream, lost(&error)).await);
                    }
                    is_flushed = !is_room;
                    if is_room {
                        spoke_at = Instant::now();
                        next = self.core.outgoing();
                    }
                }
                asked = self.asked() => {
                    if self.take(asked).await {
                        drop(tokio::time::timeout(Duration::from_secs(1), sink.close()).await);
                        return End::Over;
                    }
                    next = next.or_else(|| self.core.outgoing());
                }
                () = sleep_until(keepalive_at), if next.is_none() => {
                    spoke_at = Instant::now();
                    next = self.core.keepalive();
                }
                () = sleep_until(ping_at) => {
                    if heard_at + self.patience.silence <= Instant::now() {
                        return End::Broken(Break::Lost("nothing was heard for too long".to_owned()));
                    }
                    ping_at = Instant::now() + self.patience.silence / 3;
                    // A sink that is full has enough to send.
                    if next.is_none() && is_flushed {
                        drop(sink.feed(Message::Ping(bytes::Bytes::new())).await);
                        is_flushed = false;
                    }
                }
            }
        }
    }

    fn received(
        &mut self,
        received: Option<Result<Message, SocketError>>,
    ) -> Result<Vec<C::Event>, Break> {
        match received {
            Some(Ok(Message::Text(text))) => self.core.on_text(&text),
            Some(Ok(Message::Binary(bytes))) => self.core.on_binary(bytes),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Ok(Vec::new()),
            Some(Ok(Message::Close(frame))) => Err(match frame {
                Some(frame) => Break::Closed {
                    code: frame.code.into(),
                    reason: frame.reason.to_string(),
                },
                None => Break::Lost("closed without a reason".to_owned()),
            }),
            Some(Err(error)) => Err(lost(&error)),
            None => Err(Break::Lost("the connection ended".to_owned())),
        }
    }

    /// Sending failed. What the server said before it went may still be there to be read, and is worth more.
    async fn last_words(
        &mut self,
        stream: &mut (impl futures_util::Stream<Item = Result<Message, SocketError>> + Unpin),
        why: Break,
    ) -> Break {
        let until = Instant::now() + Duration::from_secs(1);
        while let Ok(received) = tokio::time::timeout_at(until, stream.next()).await {
            match self.received(received) {
                Ok(events) => self.tell(events).await,
                Err(Break::Lost(_)) => return why,
                Err(said) => return said,
            }
        }
        why
    }
}

/// Makes room for another message, or sends all that was written.
fn move_on(
    sink: Pin<&mut SplitSink<Socket, Message>>,
    needs_room: bool,
    cx: &mut Context<'_>,
) -> Poll<Result<(), SocketError>> {
    if needs_room {
        sink.poll_ready(cx)
    } else {
        sink.poll_flush(cx)
    }
}

fn start(sink: &mut SplitSink<Socket, Message>, next: Option<Outgoing>) -> Result<(), SocketError> {
    match next {
        Some(Outgoing::Text(text)) => Pin::new(sink).start_send(Message::text(text)),
        Some(Outgoing::Binary(bytes)) => Pin::new(sink).start_send(Message::binary(bytes)),
        None => Ok(()),
    }
}

fn lost(error: &SocketError) -> Break {
    Break::Lost(format!("the connection broke: {error}"))
}

/// In [0, 1). The standard library seeds every hasher anew; more is not asked of what spreads clients over a second.
fn random() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 11;
    bits as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tokio::net::TcpListener;
    use tokio_tungstenite::tungstenite::protocol::CloseFrame;

    use super::*;
    use crate::asr::{self, Event, Options, Receipt};

    /// A recogniser that hears nothing. For each of these times there is a connection that is closed for a restart so long after it was
    /// ready; then one lives. Gives what became of a stream that speaks only after the last restart.
    async fn restarting(restarts: Vec<Duration>, patience: Patience) -> Result<Receipt, Error> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/v1/stream/asr", listener.local_addr().unwrap());
        let n_restarts = restarts.len();
        let server = tokio::spawn(async move {
            for restart in restarts.into_iter().map(Some).chain([None]) {
                let (tcp, _) = listener.accept().await.unwrap();
                serve(tcp, restart).await;
            }
        });
        let options = Options {
            patience,
            ..Options::default()
        };
        let (sender, mut events) = asr::open(&url, options).await?;
        let mut n_resumed = 0;
        while n_resumed < n_restarts {
            let event = events.next().await.unwrap()?;
            n_resumed += usize::from(matches!(event, Event::Resumed(_)));
        }
        sender.send([0; 3_200]).await?;
        let receipt = sender.finish().await;
        server.await.unwrap();
        receipt
    }

    async fn serve(tcp: tokio::net::TcpStream, restart: Option<Duration>) {
        let mut socket = tokio_tungstenite::accept_async(tcp).await.unwrap();
        let said = |message: Value| Message::text(message.to_string());
        let ready = said(
            json!({"type":"ready","session_id":"s","instance":"asr-1","protocol":1,"config":{},
            "limits":{"max_frame_bytes":1,"max_buffer_seconds":30,"idle_timeout_s":300}}),
        );
        socket.send(ready.clone()).await.unwrap();
        socket.next().await.unwrap().unwrap();
        socket.send(ready).await.unwrap();
        if let Some(restart) = restart {
            sleep(restart).await;
            let frame = CloseFrame {
                code: 1012.into(),
                reason: "restart".into(),
            };
            drop(socket.close(Some(frame)).await);
        }
        let mut n_bytes = 0;
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Binary(audio) = &message {
                n_bytes += audio.len();
            }
            if matches!(&message, Message::Text(text) if text.contains("close")) {
                let closed = json!({"type":"closed","received_samples":n_bytes / 2,"transcribed_samples":0,
                    "silence_samples":n_bytes / 2,"discarded_samples":0,"segments":0});
                socket.send(said(closed)).await.unwrap();
            }
        }
    }

    fn impatient() -> Patience {
        Patience {
            attempts: 3,
            first_wait: Duration::from_millis(1),
            ..Patience::default()
        }
    }

    #[tokio::test]
    async fn who_says_nothing_outlives_any_number_of_restarts() {
        let patience = Patience {
            longest_wait: Duration::from_millis(20),
            ..impatient()
        };
        let restarts = vec![Duration::from_millis(100); 8];
        let receipt = restarting(restarts, patience).await.unwrap();
        assert_eq!((receipt.samples, receipt.connections), (1_600, 9));
    }

    #[tokio::test]
    async fn a_server_that_is_ready_and_crashes_is_given_up() {
        let result = restarting(vec![Duration::ZERO; 8], impatient()).await;
        assert!(
            matches!(result, Err(Error::GaveUp { attempts: 3, .. })),
            "{result:?}"
        );
    }
}
