//! A model's files: where they are, what they must say, and what is wrong with them if they do not.
//!
//! Invariants:
//! - Everything but the weights is read and checked before the weights are loaded, so that a wrong folder is named
//!   in milliseconds and in words.
//! - CTranslate2 trusts the weights it is given: load them only from where you trust.

use std::{
    borrow::Cow,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::Value;

use super::tokenizer::Tokenizer;

const WEIGHTS: &str = "model.bin";
const CONFIG: &str = "config.json";
const PREPROCESSOR: &str = "preprocessor_config.json";
const TOKENIZER: &str = "tokenizer.json";
const VOCABULARY: &str = "vocabulary.json";
const VOCABULARY_TEXT: &str = "vocabulary.txt";
/// The specification that CTranslate2's converter writes at the head of Whisper's weights.
const SPECIFICATION: &str = "WhisperSpec";
/// Mel bands of models whose preprocessor does not say.
const USUAL_MELS: usize = 80;

/// Why a model cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LoadError {
    #[error(
        "the model folder `{path}` does not exist; it should hold {WEIGHTS}, {CONFIG}, {VOCABULARY} and {TOKENIZER}; \
         `scripts/download_models.sh` fetches models by name"
    )]
    NoFolder { path: PathBuf },
    #[error("the model `{model}` lacks {file}, {expected}")]
    MissingFile {
        model: String,
        file: &'static str,
        expected: &'static str,
    },
    #[error("{file} cannot be read")]
    Unreadable {
        file: String,
        #[source]
        cause: Arc<io::Error>,
    },
    #[error("{file} is not {expected}: {cause}")]
    Malformed {
        file: String,
        expected: &'static str,
        cause: String,
    },
    #[error("{TOKENIZER} has no token `{token}`, which every Whisper vocabulary has")]
    MissingToken { token: &'static str },
    #[error(
        "token {id} is `{tokenizer}` in {TOKENIZER} and `{vocabulary}` in the vocabulary; they are of different models"
    )]
    Disagreement {
        id: u32,
        tokenizer: String,
        vocabulary: String,
    },
    #[error(
        "CTranslate2 takes the model `{model}` for {loaded}, and its vocabulary of {n_tokens} tokens says otherwise; \
         convert it again with a current ct2-transformers-converter"
    )]
    Multilingual {
        model: String,
        loaded: &'static str,
        n_tokens: usize,
    },
    #[error("the model `{model}` hears {loaded} mel bands and {PREPROCESSOR} says {configured}")]
    Mels {
        model: String,
        loaded: usize,
        configured: usize,
    },
    #[error(
        "`model.device` is `cuda` and CTranslate2 finds no NVIDIA GPU: the driver is missing or shows none, or this build is without \
         CUDA; check `nvidia-smi` and `CUDA_VISIBLE_DEVICES`, or set `model.device: cpu`"
    )]
    NoGpu,
    #[error(
        "`model.device_indices` asks for the GPU {given} and there are {n_devices}, counted from 0"
    )]
    NoSuchGpu { given: usize, n_devices: usize },
    #[error(
        "the CUDA library {library} is missing: CTranslate2 looks for it beside its own library, in the home's `lib`, and where the \
         system keeps libraries; run `scripts/setup.sh --cuda=asr`, or set `model.device: cpu`"
    )]
    NoCudaLibrary { library: String },
    #[error("CTranslate2 cannot load the model `{model}`: {cause}")]
    Refused { model: String, cause: String },
}

/// One file of a model that is compiled in.
pub type EmbeddedFile = (&'static str, &'static [u8]);

/// Where a model's files are.
#[derive(Clone, Debug)]
pub enum Source {
    /// Within this program.
    Embedded(&'static [EmbeddedFile]),
    /// A folder as CTranslate2's converter writes it.
    Folder(PathBuf),
}

/// A model's name and files.
#[derive(Clone, Debug)]
pub struct ModelFiles {
    pub name: String,
    pub source: Source,
}

impl ModelFiles {
    pub fn folder(name: impl Into<String>, path: impl Into<PathBuf>) -> ModelFiles {
        ModelFiles {
            name: name.into(),
            source: Source::Folder(path.into()),
        }
    }

    fn read(&self, file: &str) -> Result<Option<Cow<'static, [u8]>>, LoadError> {
        match &self.source {
            Source::Embedded(files) => Ok(files
                .iter()
                .find(|it| it.0 == file)
                .map(|it| Cow::Borrowed(it.1))),
            Source::Folder(folder) => Ok(read_if_present(&folder.join(file))?.map(Cow::Owned)),
        }
    }

    fn need(
        &self,
        file: &'static str,
        expected: &'static str,
    ) -> Result<Cow<'static, [u8]>, LoadError> {
        self.read(file)?.ok_or_else(|| LoadError::MissingFile {
            model: self.name.clone(),
            file,
            expected,
        })
    }

    fn json(
        &self,
        file: &'static str,
        bytes: &[u8],
        expected: &'static str,
    ) -> Result<Value, LoadError> {
        serde_json::from_slice(bytes).map_err(|cause| LoadError::Malformed {
            file: self.describe(file),
            expected,
            cause: cause.to_string(),
        })
    }

    fn describe(&self, file: &str) -> String {
        match &self.source {
            Source::Embedded(_) => format!("{file} of the built-in model `{}`", self.name),
            Source::Folder(folder) => folder.join(file).display().to_string(),
        }
    }

    /// The weights must at least begin as Whisper's do: CTranslate2 only says what it could not read, not what it is.
    fn check_weights(&self) -> Result<(), LoadError> {
        let expected = "the weights of a Whisper model converted for CTranslate2";
        let head = match &self.source {
            Source::Embedded(_) => self.need(WEIGHTS, expected)?,
            Source::Folder(folder) => {
                let path = folder.join(WEIGHTS);
                if !path.is_file() {
                    return Err(LoadError::MissingFile {
                        model: self.name.clone(),
                        file: WEIGHTS,
                        expected,
                    });
                }
                Cow::Owned(read_head(&path)?)
            }
        };
        // A version (4 bytes), the length of the name (2 bytes), the name and its closing zero.
        let name = head
            .get(6..)
            .unwrap_or_default()
            .split(|it| *it == 0)
            .next()
            .unwrap_or_default();
        let name = String::from_utf8_lossy(name);
        if name == SPECIFICATION {
            return Ok(());
        }
        let cause = if head.starts_with(b"version https://git-lfs") {
            "it is a Git LFS pointer; fetch the file itself".to_owned()
        } else {
            let name: String = name
                .chars()
                .take(40)
                .filter(char::is_ascii_graphic)
                .collect();
            format!("it begins with `{name}` and not with `{SPECIFICATION}`")
        };
        Err(LoadError::Malformed {
            file: self.describe(WEIGHTS),
            expected,
            cause,
        })
    }
}

/// What is known of a model without its weights.
#[derive(Debug)]
pub struct ModelCard {
    pub name: String,
    pub tokenizer: Arc<Tokenizer>,
    /// Token strings by id, as CTranslate2 reads them.
    pub(crate) vocabulary: Vec<String>,
    /// Mel bands of its features: 80, or 128 for large-v3 and its kin.
    pub n_mels: usize,
    /// Whether it can place words in time.
    pub has_alignment_heads: bool,
}

impl ModelCard {
    /// Reads and checks everything but the weights.
    ///
    /// # Errors
    /// Names the file and what was expected of it.
    pub fn read(files: &ModelFiles) -> Result<ModelCard, LoadError> {
        if let Source::Folder(path) = &files.source
            && !path.is_dir()
        {
            return Err(LoadError::NoFolder { path: path.clone() });
        }
        files.check_weights()?;
        let expected = "the settings of a Whisper model converted for CTranslate2";
        let config = files.json(CONFIG, &files.need(CONFIG, expected)?, expected)?;
        let vocabulary = read_vocabulary(files)?;
        // The converter keeps the empty token of the multilingual vocabulary, and CTranslate2 knows it by that.
        let multilingual = vocabulary.iter().any(String::is_empty);
        let json = files.need(
            TOKENIZER,
            "the Hugging Face tokenizer of the same model (converters copy it with `--copy_files tokenizer.json`)",
        )?;
        let tokenizer = Tokenizer::from_json(&json, multilingual)?;
        check_agreement(&tokenizer, &vocabulary)?;
        Ok(ModelCard {
            name: files.name.clone(),
            tokenizer: Arc::new(tokenizer),
            vocabulary,
            n_mels: read_n_mels(files)?,
            has_alignment_heads: config["alignment_heads"]
                .as_array()
                .is_some_and(|it| !it.is_empty()),
        })
    }

    /// Codes of the languages it can be asked for.
    pub fn languages(&self) -> Vec<&'static str> {
        if !self.tokenizer.is_multilingual() {
            return vec!["en"];
        }
        self.tokenizer.languages().map(|(code, _)| code).collect()
    }
}

fn read_vocabulary(files: &ModelFiles) -> Result<Vec<String>, LoadError> {
    let expected = "the list of the model's tokens";
    if let Some(json) = files.read(VOCABULARY)? {
        return serde_json::from_slice(&json).map_err(|cause| LoadError::Malformed {
            file: files.describe(VOCABULARY),
            expected: "a JSON list of tokens",
            cause: cause.to_string(),
        });
    }
    let text = files
        .read(VOCABULARY_TEXT)?
        .ok_or_else(|| LoadError::MissingFile {
            model: files.name.clone(),
            file: VOCABULARY,
            expected,
        })?;
    let text = String::from_utf8(text.into_owned()).map_err(|cause| LoadError::Malformed {
        file: files.describe(VOCABULARY_TEXT),
        expected: "a list of tokens, one a line",
        cause: cause.to_string(),
    })?;
    Ok(text.lines().map(str::to_owned).collect())
}

fn read_n_mels(files: &ModelFiles) -> Result<usize, LoadError> {
    let Some(json) = files.read(PREPROCESSOR)? else {
        return Ok(USUAL_MELS);
    };
    let expected = "the settings of Whisper's feature extractor";
    let preprocessor = files.json(PREPROCESSOR, &json, expected)?;
    let n_mels = &preprocessor["feature_size"];
    if n_mels.is_null() {
        return Ok(USUAL_MELS);
    }
    match n_mels.as_u64().and_then(|it| usize::try_from(it).ok()) {
        Some(n_mels @ 1..=1024) => Ok(n_mels),
        _ => Err(LoadError::Malformed {
            file: files.describe(PREPROCESSOR),
            expected,
            cause: format!("`feature_size` must be a number of mel bands. Given: {n_mels}"),
        }),
    }
}

/// Prompts are handed over as strings, so the two lists must give the same strings to the tokens in them.
fn check_agreement(tokenizer: &Tokenizer, vocabulary: &[String]) -> Result<(), LoadError> {
    let special = tokenizer.special();
    let named = [
        (special.eot, "<|endoftext|>"),
        (special.sot, "<|startoftranscript|>"),
        (special.translate, "<|translate|>"),
        (special.transcribe, "<|transcribe|>"),
        (special.sot_prev, "<|startofprev|>"),
        (special.no_timestamps, "<|notimestamps|>"),
        (tokenizer.timestamp_begin(), "<|0.00|>"),
        (tokenizer.timestamp_begin() + 1500, "<|30.00|>"),
    ];
    for (id, token) in named {
        let found = usize::try_from(id)
            .ok()
            .and_then(|it| vocabulary.get(it))
            .map_or("", String::as_str);
        if found != token {
            return Err(LoadError::Disagreement {
                id,
                tokenizer: token.to_owned(),
                vocabulary: found.to_owned(),
            });
        }
    }
    Ok(())
}

fn read_if_present(path: &Path) -> Result<Option<Vec<u8>>, LoadError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(path, error)),
    }
}

fn read_head(path: &Path) -> Result<Vec<u8>, LoadError> {
    use io::Read;
    let mut head = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(64).read_to_end(&mut head))
        .map_err(|error| unreadable(path, error))?;
    Ok(head)
}

fn unreadable(path: &Path, cause: io::Error) -> LoadError {
    LoadError::Unreadable {
        file: path.display().to_string(),
        cause: Arc::new(cause),
    }
}
