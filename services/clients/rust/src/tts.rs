//! Text to speech, as a stream.
//!
//! ```no_run
//! use voice_client::tts::{self, Event};
//!
//! # async fn say(mut play: impl FnMut(&[u8])) -> Result<(), voice_client::Error> {
//! let url = "ws://localhost:8000/v1/stream/tts";
//! let mut speech = tts::speak(url, "The train leaves at nine.", tts::Options::default())?;
//! while let Some(event) = speech.next().await {
//!     if let Event::Chunk(chunk) = event? {
//!         play(&chunk.audio);
//!     }
//! }
//!
//! // Text that is still being written:
//! let (mut text, mut speech) = tts::open(url, tts::Options::default())?;
//! text.push("It is a quarter past nine. You have two ").await?;
//! text.push("messages.").await?;
//! text.end().await?;
//! # drop(speech.next().await);
//! # Ok(())
//! # }
//! ```
//!
//! Every speech has a connection of its own, so a balancer can place each one where there is room.

mod core;

use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc;

pub use wire::tts::stream::{Cancelled, EstimatedWord, SynthesisComplete, SynthesisStarted};
pub use wire::tts::{Encoding, SpeechOptions};

use crate::drive::Drive;
use crate::{Error, Patience};

/// Chunks that may wait to be taken: seconds of audio. Beyond that the server is paused.
const MAX_CHUNKS: usize = 16;
/// Servers wait longer than this for more text before they speak what they have.
const LATE: Duration = Duration::from_millis(250);

/// How a speech is to be.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// As in the protocol.
    pub speech: SpeechOptions,
    /// Sent as `Authorization: Bearer`.
    pub api_key: Option<String>,
    /// How long to bear a server that does not answer.
    pub patience: Patience,
    /// For `wss://`: whom to trust, if not those whom the system trusts. [`tls::trusting`](crate::tls::trusting) makes one.
    #[cfg(feature = "tls")]
    pub tls: Option<std::sync::Arc<rustls::ClientConfig>>,
}

/// What a speech tells.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The speech begins.
    Started(SynthesisStarted),
    /// The connection had broken, and another instance goes on.
    Resumed(Resumed),
    /// The next audio.
    Chunk(Chunk),
    /// The end. Last.
    End(End),
}

/// Where a speech went on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resumed {
    /// What is before this sample has come.
    pub start_sample: u64,
    /// The server process that has taken over.
    pub instance: String,
}

/// Audio. Each begins where the one before it ended, the first at 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    /// Counts from 1 through all connections.
    pub chunk_id: u64,
    /// Where it begins in the speech.
    pub start_sample: u64,
    /// Its length.
    pub samples: u64,
    /// Samples a second.
    pub sample_rate: u32,
    /// The sentence that is spoken begins at this character of the text.
    pub text_start: u64,
    /// And ends before this one.
    pub text_end: u64,
    /// Words that begin in this chunk, with times that are reckoned and not measured.
    pub estimated_words: Vec<EstimatedWord>,
    /// The samples, encoded as asked for.
    pub audio: Bytes,
}

/// How a speech ended.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// All of it has come.
    Complete {
        /// Its length.
        total_samples: u64,
        /// How many connections it took; 1 if nothing broke.
        connections: u32,
        /// What the last server told of its part.
        last: Option<SynthesisComplete>,
    },
    /// It was stopped.
    Cancelled {
        /// Where the audio that came ends.
        end_sample: u64,
        /// How many connections it took.
        connections: u32,
        /// What the server told, if it was still there.
        last: Option<Cancelled>,
    },
}

#[derive(Debug)]
pub(crate) enum Command {
    Push { text: String, is_late: bool },
    Flush,
    End,
    Cancel,
}

/// Where text goes in. Dropped, the text is complete.
#[derive(Debug)]
pub struct Text {
    commands: mpsc::Sender<Command>,
    pushed_at: Option<Instant>,
}

/// Where audio comes out. Dropped, the speech is over.
#[derive(Debug)]
pub struct Speech {
    events: mpsc::Receiver<Result<Event, Error>>,
    control: mpsc::Sender<Command>,
}

/// Speaks a text that is all there.
///
/// `url` is that of the stream, `ws://host:8000/v1/stream/tts`. To be called in a runtime of tokio.
///
/// # Errors
/// The address is none. Whatever else goes wrong comes instead of the next event.
pub fn speak(url: &str, text: impl Into<String>, options: Options) -> Result<Speech, Error> {
    let speaking = core::Speaking::whole(text.into(), options.speech.clone());
    start(url, speaking, options).map(|(_, speech)| speech)
}

/// Speaks a text that is still being written. Connects at once, so that the first word need not wait for it.
///
/// # Errors
/// As of [`speak`].
pub fn open(url: &str, options: Options) -> Result<(Text, Speech), Error> {
    let speaking = core::Speaking::in_pieces(options.speech.clone());
    start(url, speaking, options)
}

fn start(url: &str, speaking: core::Speaking, options: Options) -> Result<(Text, Speech), Error> {
    let request = crate::socket::Request::new(url, options.api_key)?;
    #[cfg(feature = "tls")]
    let request = request.trusting(options.tls);
    // Full: `push` waits.
    let (commands, taken) = mpsc::channel(64);
    // Full: the socket is not read, and the server pauses.
    let (told, events) = mpsc::channel(MAX_CHUNKS);
    // Full: it was cancelled already.
    let (control, controls) = mpsc::channel(1);
    let drive = Drive::new(speaking, request, options.patience, (taken, told));
    drop(tokio::spawn(drive.with_controls(controls).run()));
    let pushed_at = None;
    Ok((
        Text {
            commands,
            pushed_at,
        },
        Speech { events, control },
    ))
}

impl Text {
    /// The next piece of the text, cut anywhere, also inside a word.
    ///
    /// # Errors
    /// The speech is over; its events tell why.
    pub async fn push(&mut self, text: impl Into<String>) -> Result<(), Error> {
        let now = Instant::now();
        let before = self.pushed_at.replace(now);
        let is_late = before.is_some_and(|it| LATE <= now - it);
        let text = text.into();
        self.command(Command::Push { text, is_late }).await
    }

    /// What has come is to be spoken, though no sentence has ended.
    ///
    /// # Errors
    /// As of [`push`](Text::push).
    pub async fn flush(&mut self) -> Result<(), Error> {
        self.command(Command::Flush).await
    }

    /// The text is complete.
    ///
    /// # Errors
    /// As of [`push`](Text::push).
    pub async fn end(self) -> Result<(), Error> {
        self.command(Command::End).await
    }

    async fn command(&self, command: Command) -> Result<(), Error> {
        self.commands.send(command).await.map_err(|_| Error::Over)
    }
}

impl Speech {
    /// The next event, or the error that ended the speech; `None` after either end.
    pub async fn next(&mut self) -> Option<Result<Event, Error>> {
        self.events.recv().await
    }

    /// Stops. What was made already may still come before [`End::Cancelled`].
    pub fn cancel(&self) {
        // Full: it was said already. Closed: the speech is over.
        drop(self.control.try_send(Command::Cancel));
    }

    /// All of the audio, at once.
    ///
    /// # Errors
    /// Why the speech failed.
    pub async fn audio(mut self) -> Result<Vec<u8>, Error> {
        let mut audio = Vec::new();
        while let Some(event) = self.next().await {
            if let Event::Chunk(chunk) = event? {
                audio.extend_from_slice(&chunk.audio);
            }
        }
        Ok(audio)
    }
}
