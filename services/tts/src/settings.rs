//! The settings of this service: as read (`Raw`), and as the rest of the program knows them (`Settings`).
//!
//! Invariants:
//! - The defaults below are the only ones; `config/tts.yaml` prints them with units, ranges and effects, and a test compares.
//! - Only numbers in range and rules that fit together get past [`Raw::check`]; nothing else constructs `Settings`.
//! - Keys that other servers of this kind use in their files are understood as written.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use chassis::settings::{
    Aliases, Auth, AuthRaw, DrainRaw, DrainTimes, KeyAlias, Loaded, Log, LogRaw, Server, ServerRaw,
    Sources, VariableAlias,
};
use serde::{Deserialize, Serialize};
use wire::tts::{Encoding, Format};

use crate::voices::{self, VoicesRaw};

mod check;
pub mod ranges;

/// All settings, as read. A count that may be 0 says what 0 means.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Raw {
    /// Names this process to clients; null is `tts-` and the port.
    pub instance_id: Option<String>,
    /// The folder with `lib` and `models`; null looks for it.
    pub home: Option<PathBuf>,
    pub server: ServerRaw,
    pub model: ModelRaw,
    pub speech: SpeechRaw,
    pub text: TextRaw,
    pub stream: StreamRaw,
    pub voices: VoicesRaw,
    pub cache: CacheRaw,
    pub drain: DrainRaw,
    pub log: LogRaw,
    pub auth: AuthRaw,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelRaw {
    pub name: String,
    pub precision: PrecisionRaw,
    pub device: Device,
    pub device_index: i32,
    pub threads: usize,
    pub decoders: usize,
    pub decoder_threads: usize,
    pub extractors: usize,
    pub aliases: Vec<String>,
    pub max_batch: usize,
    pub queue_places: usize,
    pub max_wait_ms: u64,
}

/// Which file of each graph is used: the word in its name, `auto`, or `fp32` for the one without a word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrecisionRaw {
    pub speech_encoder: String,
    pub embed_tokens: String,
    pub language_model: String,
    pub conditional_decoder: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpeechRaw {
    pub voice: String,
    pub language: Option<String>,
    pub exaggeration: f32,
    pub cfg_weight: Option<f32>,
    pub temperature: Option<f32>,
    pub top_p: Option<f32>,
    pub top_k: Option<u32>,
    pub min_p: Option<f32>,
    pub repetition_penalty: Option<f32>,
    pub seed: Option<u64>,
    pub speed: f32,
    pub sample_rate: u32,
    pub encoding: Encoding,
    pub format: Format,
    pub max_seconds: u32,
    pub watermark: Option<PathBuf>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextRaw {
    pub max_chars: usize,
    pub min_sentence_chars: usize,
    pub target_sentence_chars: Option<usize>,
    pub max_sentence_chars: Option<usize>,
    pub dictionary: Option<PathBuf>,
    pub clause_pause_ms: u64,
    pub sentence_pause_ms: u64,
    pub paragraph_pause_ms: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamRaw {
    pub first_chunks: Vec<usize>,
    pub chunk_size: usize,
    pub context: Option<usize>,
    pub look_ahead: Option<usize>,
    pub tail: usize,
    pub margin_ms: u64,
    pub max_requests: usize,
    pub text_wait_ms: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CacheRaw {
    pub max_bytes: usize,
}

/// What computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Device {
    /// CUDA where a device answers, else the CPU.
    Auto,
    Cpu,
    Cuda,
}

/// The environment variables and file keys that are understood besides our own.
pub const ALIASES: Aliases = Aliases {
    variables: &[
        VariableAlias {
            variable: "TTS_PORT",
            key: "server.port",
        },
        VariableAlias {
            variable: "TTS_INSTANCE_ID",
            key: "instance_id",
        },
    ],
    keys: &[KeyAlias {
        given: "model.chunk_size",
        means: "stream.chunk_size",
        values: &[],
    }],
    maps: &["voices.aliases"],
};

impl Raw {
    /// The values where nobody says otherwise.
    pub fn defaults() -> Raw {
        Raw {
            instance_id: None,
            home: None,
            server: ServerRaw {
                // Half a minute of a recording as base64, for `register_voice`.
                max_frame_bytes: 4_194_304,
                ..ServerRaw::defaults(8002)
            },
            model: ModelRaw::defaults(),
            speech: SpeechRaw {
                voice: "default".to_owned(),
                language: None,
                exaggeration: 0.5,
                cfg_weight: None,
                temperature: None,
                top_p: None,
                top_k: None,
                min_p: None,
                repetition_penalty: None,
                seed: None,
                speed: 1.0,
                sample_rate: 24_000,
                encoding: Encoding::PcmS16le,
                format: Format::Wav,
                max_seconds: 3_600,
                watermark: None,
            },
            text: TextRaw {
                max_chars: 50_000,
                min_sentence_chars: 20,
                target_sentence_chars: None,
                max_sentence_chars: None,
                dictionary: None,
                clause_pause_ms: 0,
                sentence_pause_ms: 200,
                paragraph_pause_ms: 500,
            },
            stream: StreamRaw {
                first_chunks: vec![8, 12, 20, 30],
                chunk_size: 50,
                context: None,
                look_ahead: None,
                tail: 3,
                margin_ms: 100,
                max_requests: 32,
                text_wait_ms: 1_000,
            },
            voices: VoicesRaw::defaults(),
            cache: CacheRaw { max_bytes: 0 },
            drain: DrainRaw::defaults(),
            log: LogRaw::defaults(),
            auth: AuthRaw::defaults(),
        }
    }

    /// Reads every source over the defaults.
    pub fn load(sources: &Sources) -> Loaded<Raw> {
        chassis::settings::load(&Raw::defaults(), &ALIASES, sources)
    }
}

impl ModelRaw {
    fn defaults() -> ModelRaw {
        let auto = || "auto".to_owned();
        ModelRaw {
            name: "demo".to_owned(),
            precision: PrecisionRaw {
                speech_encoder: auto(),
                embed_tokens: auto(),
                language_model: auto(),
                conditional_decoder: auto(),
            },
            device: Device::Auto,
            device_index: 0,
            threads: 0,
            decoders: 0,
            decoder_threads: 0,
            extractors: 1,
            aliases: [
                "tts-1",
                "tts-1-hd",
                "gpt-4o-mini-tts",
                "gpt-realtime-tts",
                "chatterbox",
            ]
            .map(str::to_owned)
            .to_vec(),
            max_batch: 32,
            queue_places: 512,
            max_wait_ms: 5_000,
        }
    }
}

/// All settings, checked. Fields mean what those of [`Raw`] mean.
#[derive(Clone, Debug)]
pub struct Settings {
    pub instance_id: Option<String>,
    pub home: Option<PathBuf>,
    pub server: Server,
    pub model: Model,
    pub speech: Speech,
    pub text: Text,
    pub stream: Stream,
    pub voices: voices::Settings,
    /// Bytes of finished speech that are kept to be said again; `None` keeps nothing.
    pub cache_bytes: Option<NonZeroUsize>,
    pub drain: DrainTimes,
    pub log: Log,
    pub auth: Auth,
}

#[derive(Clone, Debug)]
pub struct Model {
    /// A folder under `<home>/models`, or an absolute path.
    pub name: String,
    pub precision: PrecisionRaw,
    pub device: Device,
    pub device_index: i32,
    pub threads: usize,
    pub decoders: usize,
    pub decoder_threads: usize,
    pub extractors: NonZeroUsize,
    pub aliases: Vec<String>,
    pub max_batch: NonZeroUsize,
    pub queue_places: NonZeroUsize,
    pub max_wait: Duration,
}

/// How speech is made, unless a request says otherwise. `None` is what the model's family does.
#[derive(Clone, Debug)]
pub struct Speech {
    pub voice: String,
    pub language: Option<String>,
    pub exaggeration: f32,
    pub cfg_weight: Option<f32>,
    pub temperature: Option<f32>,
    pub top_p: Option<f32>,
    pub top_k: Option<u32>,
    pub min_p: Option<f32>,
    pub repetition_penalty: Option<f32>,
    pub seed: Option<u64>,
    pub speed: f32,
    pub sample_rate: u32,
    pub encoding: Encoding,
    pub format: Format,
    pub max_seconds: NonZeroU32,
    /// A graph that marks what is spoken.
    pub watermark: Option<PathBuf>,
}

#[derive(Clone, Debug)]
pub struct Text {
    pub max_chars: NonZeroUsize,
    pub min_sentence_chars: usize,
    pub target_sentence_chars: Option<usize>,
    pub max_sentence_chars: Option<usize>,
    pub dictionary: Option<PathBuf>,
    pub clause_pause: Duration,
    pub sentence_pause: Duration,
    pub paragraph_pause: Duration,
}

#[derive(Clone, Debug)]
pub struct Stream {
    /// New tokens of the first pieces, and then of every other.
    pub sizes: Vec<usize>,
    pub context: Option<usize>,
    pub look_ahead: Option<usize>,
    pub tail: usize,
    pub margin: Duration,
    pub max_requests: NonZeroUsize,
    pub text_wait: Duration,
}

#[cfg(test)]
mod tests;
