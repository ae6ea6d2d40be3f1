//! Where the files of a model are, and which precision of each graph is taken.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

use super::{PackError, demo, read_if_present};
use crate::models::onnx::graph::Graph;
use crate::models::onnx::{Device, GraphFile};

/// One of the four graphs of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    SpeechEncoder,
    EmbedTokens,
    LanguageModel,
    ConditionalDecoder,
}

impl Part {
    /// The name of its file, without precision.
    pub fn stem(self) -> &'static str {
        match self {
            Part::SpeechEncoder => "speech_encoder",
            Part::EmbedTokens => "embed_tokens",
            Part::LanguageModel => "language_model",
            Part::ConditionalDecoder => "conditional_decoder",
        }
    }
}

/// Something of each graph.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts<T> {
    pub speech_encoder: T,
    pub embed_tokens: T,
    pub language_model: T,
    pub conditional_decoder: T,
}

impl<T> Parts<T> {
    pub(super) fn try_from_fn<E>(
        mut make: impl FnMut(Part) -> Result<T, E>,
    ) -> Result<Parts<T>, E> {
        Ok(Parts {
            speech_encoder: make(Part::SpeechEncoder)?,
            embed_tokens: make(Part::EmbedTokens)?,
            language_model: make(Part::LanguageModel)?,
            conditional_decoder: make(Part::ConditionalDecoder)?,
        })
    }

    pub(super) fn try_map<U, E>(
        &self,
        mut make: impl FnMut(&T) -> Result<U, E>,
    ) -> Result<Parts<U>, E> {
        Parts::try_from_fn(|part| make(self.get(part)))
    }

    pub fn get(&self, part: Part) -> &T {
        match part {
            Part::SpeechEncoder => &self.speech_encoder,
            Part::EmbedTokens => &self.embed_tokens,
            Part::LanguageModel => &self.language_model,
            Part::ConditionalDecoder => &self.conditional_decoder,
        }
    }

    pub fn each(&self) -> [&T; 4] {
        [
            &self.speech_encoder,
            &self.embed_tokens,
            &self.language_model,
            &self.conditional_decoder,
        ]
    }
}

/// The forms in which graphs are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    Fp32,
    Fp16,
    Quantized,
    Q4,
    Q4f16,
}

impl Precision {
    const ALL: [Precision; 5] = [
        Precision::Fp32,
        Precision::Fp16,
        Precision::Quantized,
        Precision::Q4,
        Precision::Q4f16,
    ];
    /// Half precision is slow on most CPUs, and fast attention of GPUs has no other.
    const ON_CPU: [Precision; 5] = [
        Precision::Fp32,
        Precision::Q4,
        Precision::Q4f16,
        Precision::Fp16,
        Precision::Quantized,
    ];
    const ON_GPU: [Precision; 5] = [
        Precision::Fp16,
        Precision::Q4f16,
        Precision::Fp32,
        Precision::Q4,
        Precision::Quantized,
    ];

    /// By its name in settings.
    pub fn parse(name: &str) -> Option<Precision> {
        Precision::ALL.into_iter().find(|it| it.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Precision::Fp32 => "fp32",
            Precision::Fp16 => "fp16",
            Precision::Quantized => "quantized",
            Precision::Q4 => "q4",
            Precision::Q4f16 => "q4f16",
        }
    }

    fn suffix(self) -> &'static str {
        match self {
            Precision::Fp32 => "",
            Precision::Fp16 => "_fp16",
            Precision::Quantized => "_quantized",
            Precision::Q4 => "_q4",
            Precision::Q4f16 => "_q4f16",
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which precision is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Precisions {
    /// Where it is published; elsewhere what there is.
    pub preferred: Option<Precision>,
    /// These and no other.
    pub exactly: Parts<Option<Precision>>,
}

/// A model's name and files.
#[derive(Clone, Debug)]
pub struct PackFiles {
    pub name: String,
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    Demo,
    Folder(PathBuf),
}

impl PackFiles {
    /// The model that is compiled in.
    pub fn demo() -> PackFiles {
        PackFiles {
            name: "demo".to_owned(),
            source: Source::Demo,
        }
    }

    /// A folder as it is published.
    pub fn folder(name: impl Into<String>, path: impl Into<PathBuf>) -> PackFiles {
        PackFiles {
            name: name.into(),
            source: Source::Folder(path.into()),
        }
    }

    pub(super) fn is_demo(&self) -> bool {
        matches!(self.source, Source::Demo)
    }

    pub(super) fn check_folder(&self) -> Result<(), PackError> {
        match &self.source {
            Source::Folder(path) if !path.is_dir() => Err(PackError::NoFolder(path.clone())),
            Source::Folder(_) | Source::Demo => Ok(()),
        }
    }

    pub(super) fn read(&self, file: &str) -> Result<Option<Cow<'static, [u8]>>, PackError> {
        match &self.source {
            Source::Demo => Ok(demo::FILES
                .iter()
                .find(|it| it.0 == file)
                .map(|it| Cow::Borrowed(it.1))),
            Source::Folder(folder) => Ok(read_if_present(&folder.join(file))?.map(Cow::Owned)),
        }
    }

    pub(super) fn need(
        &self,
        file: &str,
        expected: &'static str,
    ) -> Result<Cow<'static, [u8]>, PackError> {
        self.read(file)?
            .ok_or_else(|| self.missing(file.to_owned(), expected))
    }

    pub(super) fn describe(&self, file: &str) -> String {
        match &self.source {
            Source::Demo => format!("{file} (built in)"),
            Source::Folder(folder) => folder.join(file).display().to_string(),
        }
    }

    fn missing(&self, file: String, expected: &'static str) -> PackError {
        PackError::MissingFile {
            model: self.name.clone(),
            file,
            expected,
        }
    }

    pub(super) fn graphs(
        &self,
        precisions: Precisions,
        device: Device,
    ) -> Result<Parts<GraphFile>, PackError> {
        Parts::try_from_fn(|part| match &self.source {
            Source::Demo => self.embedded(part),
            Source::Folder(folder) => self.choose(folder, part, precisions, device),
        })
    }

    fn embedded(&self, part: Part) -> Result<GraphFile, PackError> {
        let found = demo::FILES
            .into_iter()
            .find(|(name, _)| name.strip_suffix(".onnx") == Some(part.stem()));
        let (name, bytes) =
            found.ok_or_else(|| self.missing(part.stem().to_owned(), "one of its graphs"))?;
        Ok(GraphFile::Embedded { name, bytes })
    }

    fn choose(
        &self,
        folder: &Path,
        part: Part,
        precisions: Precisions,
        device: Device,
    ) -> Result<GraphFile, PackError> {
        let nested = folder.join("onnx");
        let nested = if nested.is_dir() {
            nested
        } else {
            folder.to_owned()
        };
        let path = |it: Precision| nested.join(format!("{}{}.onnx", part.stem(), it.suffix()));
        if let Some(exactly) = precisions.exactly.get(part) {
            let path = path(*exactly);
            if path.is_file() {
                return Ok(GraphFile::Path(path));
            }
            return Err(self.missing(
                path.display().to_string(),
                "the precision that is set for it",
            ));
        }
        let usual = match device {
            Device::Cpu => Precision::ON_CPU,
            Device::Cuda(_) => Precision::ON_GPU,
        };
        precisions
            .preferred
            .into_iter()
            .chain(usual)
            .map(path)
            .find(|it| it.is_file())
            .map(GraphFile::Path)
            .ok_or_else(|| {
                self.missing(
                    path(Precision::Fp32).display().to_string(),
                    "one of its graphs, in this or another precision",
                )
            })
    }

    /// The files a graph keeps its weights in have to lie beside it, under the names that are written in it.
    pub(super) fn check_sidecars(
        &self,
        file: &GraphFile,
        declared: &Graph,
    ) -> Result<(), PackError> {
        for sidecar in &declared.sidecars {
            let beside = match file {
                GraphFile::Path(path) => path.with_file_name(sidecar),
                GraphFile::Embedded { .. } => PathBuf::from(sidecar),
            };
            if !beside.is_file() {
                let expected = "which holds weights of the graph beside it";
                return Err(self.missing(beside.display().to_string(), expected));
            }
        }
        Ok(())
    }
}
