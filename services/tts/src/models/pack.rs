//! A model folder, read and checked before any weights are loaded: which of the published families it is, and what follows from that.
//!
//! ```text
//! <folder>/tokenizer.json                     also Cangjie5_TC.json, default_voice.wav, generation_config.json
//! <folder>/[onnx/]<graph>[_precision].onnx    and the `…_data` files beside each
//! ```
//!
//! Invariants:
//! - What can be read from the files is read and not assumed; what has to be assumed is checked here, and the error names the file.
//! - Reading takes milliseconds, whatever the size of the weights.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tokenizers::Tokenizer;

use super::chatterbox::language::{CANGJIE_FILE, Cangjie};
use super::chatterbox::prompt::{Prompter, Rules};
use super::chatterbox::scheme::Scheme;
use super::onnx::graph::Graph;
use super::onnx::{Device, Float, GraphFile, OpenError};

mod demo;
mod family;
mod files;
mod identity;
mod shape;

pub use family::{Defaults, Family, Level, Limits, ReferenceRules};
pub use files::{PackFiles, Part, Parts, Precision, Precisions};
pub use shape::{Asks, Floats, Shape};

const TOKENIZER: &str = "tokenizer.json";
const VOICE: &str = "default_voice.wav";
const GENERATION: &str = "generation_config.json";

/// Why a folder cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PackError {
    #[error(
        "the model folder `{}` does not exist; `scripts/download_models.sh` fetches models by name", .0.display()
    )]
    NoFolder(PathBuf),
    #[error(
        "the model `{model}` lacks `{file}`, {expected}; `scripts/download_models.sh` fetches models whole"
    )]
    MissingFile {
        model: String,
        file: String,
        expected: &'static str,
    },
    #[error("`{file}` cannot be read: {reason}")]
    Unreadable { file: String, reason: String },
    #[error(transparent)]
    Graph(#[from] OpenError),
}

/// What is known of a model without its weights.
#[derive(Debug)]
pub struct Pack {
    pub name: String,
    pub family: Family,
    /// Of everything: changes when any file does.
    pub id: String,
    /// Of what a voice is extracted with: voices of packs that share it are interchangeable.
    pub voice_id: String,
    pub shape: Shape,
    /// Makes prompts, and says what can be said in which language.
    pub prompter: Prompter,
    pub defaults: Defaults,
    pub limits: Limits,
    pub reference: ReferenceRules,
    /// The WAV file of the voice it comes with.
    pub default_voice: Option<Cow<'static, [u8]>>,
    pub(super) graphs: Parts<GraphFile>,
    pub(super) declared: Parts<Graph>,
    /// How rows of different lengths share a call: found when the language model is loaded.
    pub(super) scheme: OnceLock<Scheme>,
}

impl Pack {
    /// Reads and checks a model.
    ///
    /// # Errors
    /// Names the file, and what was expected of it.
    pub fn read(
        files: &PackFiles,
        precisions: Precisions,
        device: Device,
    ) -> Result<Pack, PackError> {
        files.check_folder()?;
        let graphs = files.graphs(precisions, device)?;
        let declared = graphs.try_map(|file| {
            let declared = file.declaration()?;
            files.check_sidecars(file, &declared)?;
            Ok::<_, PackError>(declared)
        })?;
        let shape = Shape::of(&graphs, &declared)?;
        let tokenizer = read_tokenizer(files)?;
        let family = Family::of(&shape, &tokenizer, files.is_demo());
        let rules = family.rules(&tokenizer);
        let (id, voice_id) = identity::of(files, &graphs, &declared)?;
        Ok(Pack {
            name: files.name.clone(),
            id,
            voice_id,
            prompter: read_prompter(files, tokenizer, rules)?,
            defaults: family.defaults(read_penalty(files)?),
            limits: family.limits(),
            reference: family.reference(),
            default_voice: files.read(VOICE)?,
            scheme: OnceLock::new(),
            family,
            shape,
            graphs,
            declared,
        })
    }

    /// How rows of different lengths share a call of the language model. `None` until it is loaded.
    pub fn scheme(&self) -> Option<Scheme> {
        self.scheme.get().copied()
    }

    /// Which file was taken for a graph.
    pub fn graph(&self, part: Part) -> &GraphFile {
        self.graphs.get(part)
    }

    /// Whether a sentence may ask for `cfg_weight`.
    pub fn supports_cfg(&self) -> bool {
        self.family.supports_cfg()
    }

    /// What will not work as well as it could on a device.
    pub fn warning(&self, device: Device) -> Option<&'static str> {
        let grouped = self
            .declared
            .language_model
            .operators
            .contains_key(shape::GROUPED);
        (matches!(device, Device::Cuda(_)) && grouped && self.shape.kv == Float::F32).then_some(
            "the attention of this language model has no 32-bit kernel for CUDA and runs on the CPU; use its `fp16` or `q4f16` file",
        )
    }
}

fn read_tokenizer(files: &PackFiles) -> Result<Tokenizer, PackError> {
    let json = files.need(TOKENIZER, "the tokenizer of the same model")?;
    Tokenizer::from_bytes(json).map_err(|cause| PackError::Unreadable {
        file: files.describe(TOKENIZER),
        reason: cause.to_string(),
    })
}

fn read_prompter(
    files: &PackFiles,
    tokenizer: Tokenizer,
    rules: Rules,
) -> Result<Prompter, PackError> {
    let cangjie = match files.read(CANGJIE_FILE)? {
        None => None,
        Some(json) => Some(
            Cangjie::read(&json).map_err(|reason| PackError::Unreadable {
                file: files.describe(CANGJIE_FILE),
                reason,
            })?,
        ),
    };
    Prompter::new(tokenizer, rules, cangjie).map_err(|what| {
        PackError::Graph(OpenError::Unexpected {
            file: files.describe(TOKENIZER),
            what,
        })
    })
}

fn read_penalty(files: &PackFiles) -> Result<Option<f32>, PackError> {
    let Some(json) = files.read(GENERATION)? else {
        return Ok(None);
    };
    #[derive(serde::Deserialize)]
    struct Generation {
        repetition_penalty: Option<f32>,
    }
    let unreadable = |reason| PackError::Unreadable {
        file: files.describe(GENERATION),
        reason,
    };
    let generation: Generation =
        serde_json::from_slice(&json).map_err(|it| unreadable(it.to_string()))?;
    match generation.repetition_penalty {
        Some(given) if !(1.0..=10.0).contains(&given) => Err(unreadable(format!(
            "`repetition_penalty` must be 1 to 10. Given: {given}"
        ))),
        penalty => Ok(penalty),
    }
}

fn read_if_present(path: &Path) -> Result<Option<Vec<u8>>, PackError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(PackError::Unreadable {
            file: path.display().to_string(),
            reason: cause.to_string(),
        }),
    }
}
