//! What the recogniser and its clients say to each other.
//!
//! - [`stream`]: the messages of the WebSocket `GET /v1/stream/asr`.
//! - [`config`]: what a client may ask of one stream.
//! - [`rest`]: the bodies of `POST /v1/transcribe` and `POST /v1/detect`.

pub mod config;
pub mod rest;
pub mod stream;

pub use config::{Encoding, FinalOn, StreamConfig, Task, VadConfig, VadKind};
pub use rest::{
    DetectedSpeech, Detection, ResponseFormat, Segment, TranscribeRequest, Transcription, Word,
};
pub use stream::{ClientMessage, ServerMessage};
