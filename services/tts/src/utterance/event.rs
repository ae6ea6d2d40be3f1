//! What happens to the requests of a connection, and what is to be done about it.

use super::message::{Failure, Message};
use super::request::Phrase;
use super::track::Render;

/// Names a request within its connection. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestKey(pub u64);

/// Names a phrase that is being spoken. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PhraseId(pub u64);

/// When the audio of a phrase is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// As it is made.
    AsMade,
    /// When all of it is there.
    WholePhrases,
}

/// How the audio of a request is wanted.
pub struct Order {
    /// From the models' samples to the client's bytes.
    pub render: Box<dyn Render>,
    /// Samples a second, as the client gets them.
    pub rate_hz: u32,
    pub bytes_per_sample: usize,
    /// Samples that are made and not sent, because the client has them.
    pub skip: u64,
    /// The longest piece that is sent, in the client's samples. At least 1.
    pub max_piece: usize,
    pub delivery: Delivery,
    /// How fast it is to be spoken; for estimates.
    pub speed: f32,
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// A request came. It takes its turn after those before it.
    Asked { key: RequestKey, order: Order },
    /// A request came that cannot be done, whatever its turn.
    Denied { key: RequestKey, failure: Failure },
    /// What a request needs to be spoken is at hand.
    Ready { key: RequestKey },
    /// The next phrases of a request, whose text has so many characters by now.
    Phrases {
        key: RequestKey,
        phrases: Vec<Phrase>,
        n_chars: u64,
    },
    /// There will be no more phrases of it.
    TextEnded { key: RequestKey },
    /// Audio of the phrase that is heard: mono, at the models' rate.
    Chunk {
        phrase: PhraseId,
        samples: Vec<f32>,
        is_last: bool,
    },
    /// All audio of a phrase has come.
    Ended { phrase: PhraseId },
    /// The models gave up on a phrase: its request ends.
    Failed { phrase: PhraseId, failure: Failure },
    /// A request cannot be done.
    Refused { key: RequestKey, failure: Failure },
    /// The client does not want it any more.
    Cancel { key: RequestKey },
    /// The server wants to stop: what was asked for is said, nothing new is taken.
    Draining,
    /// The client wants to go: what was asked for is said. Texts that come in pieces are to be ended before this.
    Close,
    /// Everything ends now: as cancelled, or because of a failure.
    Abort { failure: Option<Failure> },
    /// All that the client is to be told so far was sent. `Closed` follows, if nothing is under way and nothing new is taken.
    Flushed,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Give a phrase to the models. Answer with `Chunk`s and `Ended`, or with `Failed`, unless it is stopped.
    Speak {
        phrase: PhraseId,
        of: RequestKey,
        text: Phrase,
    },
    /// Nobody will hear this phrase: let it go.
    Stop { phrase: PhraseId },
    /// Tell the client. After [`Message::Closed`] nothing more is said.
    Emit(Message),
}

impl std::fmt::Debug for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Order")
            .field("rate_hz", &self.rate_hz)
            .field("skip", &self.skip)
            .field("max_piece", &self.max_piece)
            .finish_non_exhaustive()
    }
}
