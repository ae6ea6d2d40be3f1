//! Speech to text, as a stream.
//!
//! ```no_run
//! use voice_client::asr::{self, Event};
//!
//! # async fn listen(mut microphone: impl Iterator<Item = Vec<u8>>) -> Result<(), voice_client::Error> {
//! let (audio, mut events) = asr::open("ws://localhost:8000/v1/stream/asr", asr::Options::default()).await?;
//! let reading = tokio::spawn(async move {
//!     while let Some(event) = events.next().await {
//!         match event? {
//!             Event::Partial(partial) => println!("… {}", partial.text),
//!             Event::Final(last) => println!("{}", last.text),
//!             _ => {}
//!         }
//!     }
//!     Ok::<(), voice_client::Error>(())
//! });
//! for samples in microphone {
//!     audio.send(samples).await?;
//! }
//! let receipt = audio.finish().await?;
//! println!("{} samples, {} connections", receipt.samples, receipt.connections);
//! # drop(reading);
//! # Ok(())
//! # }
//! ```

mod core;

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub use wire::asr::stream::{
    Closed, Final, Finalized, Partial, Ready, SpeechEnd, SpeechStart, StreamError, StreamWord,
    TurnEnd, TurnEndReason,
};
pub use wire::asr::{Encoding, FinalOn, StreamConfig, Task, VadConfig, VadKind};

use crate::drive::{self, Drive};
use crate::{Error, Patience};

/// How a stream is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// As in `config` of the protocol. The client sets `encoding`, `sample_rate` and `channels` to 16 bits, 16 kHz and mono if they are absent.
    pub config: StreamConfig,
    /// Sent as `Authorization: Bearer`.
    pub api_key: Option<String>,
    /// How long to bear a server that does not answer.
    pub patience: Patience,
    /// For `wss://`: whom to trust, if not those whom the system trusts. [`tls::trusting`](crate::tls::trusting) makes one.
    #[cfg(feature = "tls")]
    pub tls: Option<std::sync::Arc<rustls::ClientConfig>>,
    /// Audio that is kept until it is answered for. It has to hold the longest turn; when it is full, [`Sender::send`] waits.
    pub max_kept: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            config: StreamConfig::default(),
            api_key: None,
            patience: Patience::default(),
            #[cfg(feature = "tls")]
            tls: None,
            max_kept: Duration::from_mins(4),
        }
    }
}

/// What a stream tells. Segments are counted from 1 through all connections; times and samples from the first sample of the stream.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The stream is open. First, and once.
    Ready(Box<Ready>),
    /// The connection had broken, and another instance has taken over. Partials of a segment without its `final` begin anew.
    Resumed(Resumed),
    /// Somebody speaks.
    SpeechStart(SpeechStart),
    /// The text so far.
    Partial(Partial),
    /// The speech of a segment has ended.
    SpeechEnd(SpeechEnd),
    /// The text of a segment, for good.
    Final(Box<Final>),
    /// The speaker has finished. If it was lost in a break, the client says it, with the reason `close`.
    TurnEnd(TurnEnd),
    /// Answers [`Sender::finalize`].
    Finalized(Finalized),
    /// Something went wrong, and the stream goes on. With a `segment_id` it stands in place of that segment's `final`.
    Error(StreamError),
    /// All is answered for. Last, and only after [`Sender::finish`].
    Closed(Receipt),
}

/// Where a stream went on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resumed {
    /// From this sample on audio was sent again.
    pub start_sample: u64,
    /// The server process that has taken over.
    pub instance: String,
    /// Names the new session in its logs.
    pub session_id: String,
}

/// What became of a whole stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// All samples that were sent. Each was delivered to a server that answered for it.
    pub samples: u64,
    /// How many segments were answered.
    pub segments: u64,
    /// How many connections it took; 1 if nothing broke.
    pub connections: u32,
    /// The accounts of the last connection, which begin where it began.
    pub last: Closed,
}

#[derive(Debug)]
pub(crate) enum Command {
    Audio(Vec<u8>),
    Finalize { id: Option<String> },
    Finish,
}

/// Where audio goes in. Dropped without [`finish`](Sender::finish), the stream breaks off.
#[derive(Debug)]
pub struct Sender {
    commands: mpsc::Sender<Command>,
    stream: JoinHandle<Result<Receipt, Error>>,
}

/// Where events come out. They have to be read: the stream waits for whoever does not. Dropped, they are thrown away.
#[derive(Debug)]
pub struct Events {
    events: mpsc::Receiver<Result<Event, Error>>,
    first: Option<Event>,
}

/// Opens a stream and waits until a server has taken it.
///
/// `url` is that of the stream, `ws://host:8000/v1/stream/asr`.
///
/// # Errors
/// The options are impossible or refused, or no server was to be had.
pub async fn open(url: &str, options: Options) -> Result<(Sender, Events), Error> {
    let listening = core::Listening::new(options.config, options.max_kept)?;
    let request = crate::socket::Request::new(url, options.api_key)?;
    #[cfg(feature = "tls")]
    let request = request.trusting(options.tls);
    // Full: `send` waits.
    let (commands, taken) = mpsc::channel(16);
    // Full: the socket is not read.
    let (told, mut events) = mpsc::channel(drive::MAX_EVENTS);
    let drive = Drive::new(listening, request, options.patience, (taken, told));
    let stream = tokio::spawn(drive.run());
    match events.recv().await {
        Some(Ok(first)) => Ok((
            Sender { commands, stream },
            Events {
                events,
                first: Some(first),
            },
        )),
        Some(Err(error)) => Err(error),
        None => Err(Error::Over),
    }
}

impl Sender {
    /// Sends audio, in frames of any length. Waits while as much is kept as may be.
    ///
    /// # Errors
    /// The stream has failed; [`finish`](Sender::finish) and the events tell why.
    pub async fn send(&self, audio: impl Into<Vec<u8>>) -> Result<(), Error> {
        self.command(Command::Audio(audio.into())).await
    }

    /// Ends the turn now. Answered by [`Event::Finalized`].
    ///
    /// # Errors
    /// As of [`send`](Sender::send).
    pub async fn finalize(&self, id: Option<String>) -> Result<(), Error> {
        self.command(Command::Finalize { id }).await
    }

    /// The audio is complete: waits for the last text and the receipt. Meanwhile events have to be read, or be dropped.
    ///
    /// # Errors
    /// Why the stream failed.
    pub async fn finish(self) -> Result<Receipt, Error> {
        // If that fails the stream has ended, and says how.
        drop(self.command(Command::Finish).await);
        self.stream.await.unwrap_or(Err(Error::Over))
    }

    async fn command(&self, command: Command) -> Result<(), Error> {
        self.commands.send(command).await.map_err(|_| Error::Over)
    }
}

impl Events {
    /// The next event, or the error that ended the stream; `None` after either end.
    pub async fn next(&mut self) -> Option<Result<Event, Error>> {
        match self.first.take() {
            Some(first) => Some(Ok(first)),
            None => self.events.recv().await,
        }
    }
}
