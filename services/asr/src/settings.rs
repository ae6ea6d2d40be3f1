//! The settings of this service: as read (`Raw`), and as the rest of the program knows them (`Settings`).
//!
//! Invariants:
//! - The defaults below are the only ones; `config/asr.yaml` prints them with units, ranges and effects, and a test compares.
//! - Only numbers in range and rules that fit together get past [`Raw::check`]; nothing else constructs `Settings`.
//! - Keys that other servers of this kind use in their files are understood as written.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use chassis::settings::{
    Aliases, Auth, AuthRaw, DrainRaw, DrainTimes, KeyAlias, Loaded, Log, LogRaw, Server, ServerRaw,
    Sources, VariableAlias,
};
use serde::{Deserialize, Serialize};
use wire::asr::{Encoding, FinalOn, Task, VadKind};

use crate::session::Policy;

mod check;

pub(crate) use check::raw_policy;

/// All settings, as read. A count that may be 0 says what 0 means.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Raw {
    /// Names this process to clients; null is `asr-` and the port.
    pub instance_id: Option<String>,
    /// The folder with `lib` and `models`; null looks for it.
    pub home: Option<PathBuf>,
    pub server: ServerRaw,
    pub model: ModelRaw,
    pub decode: DecodeRaw,
    pub vad: VadRaw,
    pub stream: StreamRaw,
    pub files: FilesRaw,
    pub drain: DrainRaw,
    pub log: LogRaw,
    pub auth: AuthRaw,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelRaw {
    pub name: String,
    pub device: Device,
    pub device_indices: Vec<i32>,
    pub compute_type: ComputeType,
    pub workers: usize,
    pub threads: usize,
    pub window: WindowChoice,
    pub aliases: Vec<String>,
    pub max_batch: usize,
    pub queue_places: usize,
    pub max_wait_ms: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecodeRaw {
    pub language: String,
    pub task: Task,
    pub beam_size: usize,
    pub best_of: usize,
    pub patience: f32,
    pub length_penalty: f32,
    pub temperatures: Vec<f32>,
    pub compression_ratio_threshold: f64,
    pub log_prob_threshold: f64,
    pub no_speech_threshold: f64,
    pub condition_on_previous_text: bool,
    pub prompt: String,
    pub hotwords: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VadRaw {
    #[serde(rename = "type")]
    pub kind: VadKind,
    pub threshold: Option<f32>,
    pub stop_threshold: Option<f32>,
    pub start_ms: Option<u64>,
    pub stop_ms: Option<u64>,
    pub look_again_ms: Vec<u64>,
    pub max_stop_ms: u64,
    pub turn_threshold: f32,
    pub pre_roll_ms: u64,
    pub max_turn_ms: Option<u64>,
    pub max_piece_ms: u64,
    pub max_batch: usize,
    pub workers: usize,
    pub turn_workers: usize,
    /// Under `models/` of the home folder, or a path.
    pub turn_model: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamRaw {
    pub encoding: Encoding,
    pub sample_rate: u32,
    pub channels: u32,
    pub partials: bool,
    pub partial_interval_ms: u64,
    pub max_partial_interval_ms: u64,
    pub enable_timestamps: bool,
    pub final_on: FinalOn,
    pub max_buffer_ms: u64,
    pub progress_interval_ms: u64,
    pub audio_idle_ms: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilesRaw {
    pub max_seconds: u32,
    pub vad: bool,
    pub parallel_clips: usize,
    pub decoders: usize,
    pub url_enabled: bool,
    pub url_private_addresses: bool,
    pub url_timeout_ms: u64,
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

/// In which numbers Whisper computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ComputeType {
    /// As the model is stored.
    Default,
    /// The fastest that the device has.
    Auto,
    Float32,
    Float16,
    Bfloat16,
    Int16,
    Int8,
    Int8Float32,
    Int8Float16,
    Int8Bfloat16,
}

/// How much of Whisper's window is encoded for finals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowChoice {
    /// What the model was trained for.
    Auto,
    Full,
    OwnLength,
}

/// The environment variables and file keys that are understood besides our own.
pub const ALIASES: Aliases = Aliases {
    variables: &[
        VariableAlias {
            variable: "ASR_PORT",
            key: "server.port",
        },
        VariableAlias {
            variable: "ASR_INSTANCE_ID",
            key: "instance_id",
        },
        VariableAlias {
            variable: "STT_MODEL",
            key: "model.name",
        },
    ],
    keys: &[KeyAlias {
        given: "vad.type",
        means: "vad.type",
        values: &[("smart_turn_v3", "silero_smart_turn")],
    }],
    maps: &[],
};

impl Raw {
    /// The values where nobody says otherwise.
    pub fn defaults() -> Raw {
        Raw {
            instance_id: None,
            home: None,
            server: ServerRaw::defaults(8001),
            model: ModelRaw {
                name: "demo".to_owned(),
                device: Device::Auto,
                device_indices: vec![0],
                compute_type: ComputeType::Default,
                workers: 0,
                threads: 0,
                window: WindowChoice::Auto,
                aliases: [
                    "whisper-1",
                    "gpt-4o-transcribe",
                    "gpt-4o-mini-transcribe",
                    "gpt-transcribe",
                    "gpt-realtime-whisper",
                ]
                .map(str::to_owned)
                .to_vec(),
                max_batch: 16,
                queue_places: 512,
                max_wait_ms: 2_000,
            },
            decode: DecodeRaw::defaults(),
            vad: VadRaw {
                kind: VadKind::SileroSmartTurn,
                threshold: None,
                stop_threshold: None,
                start_ms: None,
                stop_ms: None,
                look_again_ms: vec![500, 1_000, 1_600],
                max_stop_ms: 3_000,
                turn_threshold: 0.5,
                pre_roll_ms: 500,
                max_turn_ms: None,
                max_piece_ms: 20_000,
                max_batch: 64,
                workers: 1,
                turn_workers: 1,
                turn_model: "smart-turn-v3.2-cpu.onnx".to_owned(),
            },
            stream: StreamRaw {
                encoding: Encoding::PcmS16le,
                sample_rate: 16_000,
                channels: 1,
                partials: true,
                partial_interval_ms: 300,
                max_partial_interval_ms: 1_500,
                enable_timestamps: false,
                final_on: FinalOn::TurnEnd,
                max_buffer_ms: 30_000,
                progress_interval_ms: 1_000,
                audio_idle_ms: 1_000,
            },
            files: FilesRaw {
                max_seconds: 7_200,
                vad: true,
                parallel_clips: 16,
                decoders: 1,
                url_enabled: false,
                url_private_addresses: false,
                url_timeout_ms: 30_000,
            },
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

impl DecodeRaw {
    fn defaults() -> DecodeRaw {
        DecodeRaw {
            language: "auto".to_owned(),
            task: Task::Transcribe,
            beam_size: 5,
            best_of: 5,
            patience: 1.0,
            length_penalty: 1.0,
            temperatures: vec![0.0, 0.2, 0.4, 0.6, 0.8, 1.0],
            compression_ratio_threshold: 2.4,
            log_prob_threshold: -1.0,
            no_speech_threshold: 0.6,
            condition_on_previous_text: true,
            prompt: String::new(),
            hotwords: String::new(),
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
    pub decode: Decode,
    pub vad: Vad,
    pub stream: Stream,
    pub files: Files,
    pub drain: DrainTimes,
    pub log: Log,
    pub auth: Auth,
}

#[derive(Clone, Debug)]
pub struct Model {
    /// As it was given: what it means depends on the folders that are there, see [`catalog::files`](crate::models::catalog::files).
    pub name: String,
    pub device: Device,
    pub device_indices: Vec<i32>,
    pub compute_type: ComputeType,
    pub workers: usize,
    pub threads: usize,
    pub window: WindowChoice,
    pub aliases: Vec<String>,
    pub max_batch: NonZeroUsize,
    pub queue_places: NonZeroUsize,
    pub max_wait: Duration,
}

/// How text is made of speech, unless a request says otherwise.
#[derive(Clone, Debug)]
pub struct Decode {
    /// A code; `None` detects it.
    pub language: Option<&'static str>,
    pub task: Task,
    pub beam_size: usize,
    pub best_of: usize,
    pub patience: f32,
    pub length_penalty: f32,
    pub temperatures: Vec<f32>,
    pub compression_ratio_threshold: f64,
    pub log_prob_threshold: f64,
    pub no_speech_threshold: f64,
    pub condition_on_previous_text: bool,
    pub prompt: Option<String>,
    pub hotwords: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Vad {
    pub raw: VadRaw,
    /// What [`VadRaw`] means for its own `type`.
    pub policy: Policy,
    pub max_batch: NonZeroUsize,
    pub workers: NonZeroUsize,
    pub turn_workers: NonZeroUsize,
}

#[derive(Clone, Debug)]
pub struct Stream {
    pub encoding: Encoding,
    pub sample_rate: u32,
    pub channels: u32,
    pub partials: bool,
    pub partial_interval: Duration,
    pub max_partial_interval: Duration,
    pub enable_timestamps: bool,
    pub final_on: FinalOn,
    pub max_buffer: Duration,
    pub progress_interval: Duration,
    pub audio_idle: Duration,
}

#[derive(Clone, Debug)]
pub struct Files {
    pub max_seconds: u32,
    pub vad: bool,
    pub parallel_clips: NonZeroUsize,
    pub decoders: NonZeroUsize,
    pub url: Option<Url>,
}

/// Present if addresses may be fetched.
#[derive(Clone, Copy, Debug)]
pub struct Url {
    pub private_addresses: bool,
    pub timeout: Duration,
}

#[cfg(test)]
mod tests;
