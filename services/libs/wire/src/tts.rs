//! What the synthesiser and its clients say to each other.
//!
//! - [`stream`]: the messages of the WebSocket `GET /v1/stream/tts`.
//! - [`options`]: what a client may ask of one piece of speech.
//! - [`rest`]: the bodies of `POST /v1/synthesize` and of the voices.

pub mod options;
pub mod rest;
pub mod stream;

pub use options::{Encoding, SpeechOptions};
pub use rest::{Format, SynthesizeRequest, Voice, VoiceList};
pub use stream::{ClientMessage, ServerMessage};
