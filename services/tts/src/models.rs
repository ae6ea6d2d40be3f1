//! The models of this service, each behind its queue: how they are built, what they are asked.
//!
//! Invariants:
//! - One named thread owns one copy of a model; nothing else touches it. There is one language model, whose sentences share its steps.
//! - A model is warm before [`Running::ready`] returns.
//! - A module under this one uses `audio` and `batcher` and nothing else of ours.

pub mod chatterbox;
pub mod conditioning;
mod cores;
pub mod doctor;
pub mod onnx;
pub mod pack;
#[cfg(feature = "scripted")]
pub mod scripted;
pub mod watermark;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use audio::{SampleRate, Samples};
use batcher::{Batcher, Families, Load, PerLane, StartError, StepSettings, Watch, Workers};
use bytes::Bytes;
use chassis::home::{Home, HomeError};

use self::chatterbox::vocoder::VocoderSettings;
use self::chatterbox::{Extractor, LanguageModel, PromptError, vocoder::Vocoder};
use self::conditioning::{Conditioning, SAMPLE_RATE_HZ};
use self::cores::{Cores, MAX_USEFUL_THREADS};
use self::onnx::{GpuError, OpenError, RunError, SessionSettings};
use self::pack::{Family, Level, Pack, PackError, PackFiles, Parts, Precision, Precisions};
use self::watermark::Watermark;
use crate::options::{OptionsError, Served};
use crate::settings::{Device, Settings};
use crate::speaker::{self, Speaker};
use crate::text::{self, Dictionary, DictionaryError, FrontEnd, Limits};
use crate::vocode::Reach;
use crate::voices::{self, Preparer, Queues, Reference, ReferenceError, Upload, VoiceId};

/// The model that is compiled in.
pub const DEMO: &str = "demo";

/// Told apart in logs and metrics by these names.
const LANGUAGE_MODEL: &str = "language-model";
const DECODER: &str = "decoder";
const EXTRACTOR: &str = "extractor";
const PREPARER: &str = "recordings";
const WATERMARK: &str = "watermark";

/// Recordings that may wait to be decoded or heard, each with its samples.
const RECORDING_PLACES: usize = 64;
/// A recording that waits longer than this is refused.
const RECORDING_WAIT: Duration = Duration::from_secs(30);
/// A lane that waited this long is served as the next one up.
const RAISE_AFTER: Duration = Duration::from_secs(2);
/// Panics in a row after which a model is taken for broken, and the process with it.
const MAX_PANICS: NonZeroUsize = NonZeroUsize::new(8).expect("8 is not zero");
/// New tokens of a window for those who wait for the whole: six seconds of speech.
const WHOLE_TOKENS: usize = 150;
/// How long the first window of all may wait for the decoder; until then those go first who would fall silent.
const FIRST_WITHIN: Duration = Duration::from_millis(30);

type Recordings = Batcher<Upload, Reference, ReferenceError>;
type Extractions = Batcher<Arc<[f32]>, Conditioning, RunError>;
/// Where finished audio gets its mark. There is a place for each sentence that the language model has one for.
pub type Marker = Batcher<Vec<f32>, Vec<f32>, RunError>;

/// A handle on every model. Clones share them.
#[derive(Clone, Debug)]
pub struct Models {
    pub speaker: Speaker,
    /// How texts are read for them.
    pub front_end: FrontEnd,
    pub pack: Arc<Pack>,
    served: Arc<Served>,
    device: String,
    recordings: Recordings,
    extractions: Extractions,
    /// Present if speech is marked.
    pub watermark: Option<Marker>,
}

/// The threads behind [`Models`]. Dropping it stops them and waits for the running calls.
#[derive(Debug)]
pub struct Running {
    workers: Vec<Workers>,
}

/// Why the models could not be started.
#[derive(Debug, thiserror::Error)]
pub enum ModelsError {
    #[error(transparent)]
    Home(#[from] HomeError),
    #[error(transparent)]
    Pack(#[from] PackError),
    #[error("{0}; run `scripts/setup.sh` to install the right one")]
    Library(OpenError),
    #[error(
        "`model.device` is `cuda` and {0}; run `scripts/setup.sh --cuda=tts`, or set `model.device: cpu`"
    )]
    Gpu(GpuError),
    #[error("`text.dictionary`: `{}` cannot be read", path.display())]
    NoDictionary {
        path: PathBuf,
        #[source]
        cause: std::io::Error,
    },
    #[error("`text.dictionary`: `{}`: {cause}", path.display())]
    Dictionary {
        path: PathBuf,
        #[source]
        cause: DictionaryError,
    },
    #[error("`speech.language` is not for this model: {0}")]
    Language(OptionsError),
    #[error(transparent)]
    Doctor(#[from] doctor::DoctorError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("the metrics of the models could not be registered")]
    Metrics(#[from] prometheus::Error),
}

/// Starts the threads that build and own the models. Work may be submitted at once and waits until they are there.
///
/// # Errors
/// A file or library is missing or damaged. What only shows while building comes from [`Running::ready`].
pub fn start(settings: &Settings, families: &Families) -> Result<(Models, Running), ModelsError> {
    let dictionary = dictionary(settings)?;
    let home = Home::of_process(settings.home.as_deref())?;
    let device = load_runtime(settings, &home)?;
    let files = files(&settings.model.name, &home);
    let pack = Arc::new(Pack::read(&files, precisions(settings), device)?);
    let served = served(settings, &pack)?;
    let cores = Cores::of(settings, &pack);

    let session = move |n_threads| SessionSettings { device, n_threads };
    let metrics = families.steps(LANGUAGE_MODEL);
    let of_language = Arc::clone(&pack);
    let (language_model, language_workers) =
        batcher::spawn_steps(stepping(settings, &pack), metrics, move || {
            Ok(LanguageModel::load(&of_language, session(cores.language))?)
        });
    let of_decoder = Arc::clone(&pack);
    let (decoder, decoder_workers) = batcher::spawn(
        decoding(settings, cores.decoders),
        families.model(DECODER),
        move |_| {
            let settings = VocoderSettings {
                session: session(cores.decoder),
                max_prompt_seconds: None,
            };
            Ok(Vocoder::load(&of_decoder, settings)?)
        },
    );
    let of_extractor = Arc::clone(&pack);
    let (extractions, extractor_workers) = batcher::spawn(
        recording(EXTRACTOR, settings.model.extractors),
        families.model(EXTRACTOR),
        move |_| Ok(Extractor::load(&of_extractor, session(cores.extractor))?),
    );
    let (recordings, preparer_workers) = preparer(settings, families);
    let (watermark, watermark_workers) = marker(settings, families).unzip();
    let models = Models {
        speaker: Speaker::new(language_model, decoder, speaking(settings, &pack)),
        front_end: front_end(settings, &pack, dictionary),
        served: Arc::new(served),
        device: device.to_string(),
        pack,
        recordings,
        extractions,
        watermark,
    };
    let mut workers = vec![
        language_workers,
        decoder_workers,
        extractor_workers,
        preparer_workers,
    ];
    workers.extend(watermark_workers);
    Ok((models, Running { workers }))
}

/// Tries the model of the settings, or the one in a folder, and tells what was found.
///
/// # Errors
/// It is of no use at all; the error says why.
pub fn examine(settings: &Settings, folder: Option<&Path>) -> Result<doctor::Report, ModelsError> {
    let home = Home::of_process(settings.home.as_deref())?;
    let device = load_runtime(settings, &home)?;
    let files = match folder {
        Some(folder) => {
            let name = folder
                .file_name()
                .map(|it| it.to_string_lossy().into_owned());
            PackFiles::folder(name.unwrap_or_default(), folder)
        }
        None => files(&settings.model.name, &home),
    };
    let n_threads = match settings.model.threads {
        0 => thread::available_parallelism()
            .map_or(1, NonZeroUsize::get)
            .min(MAX_USEFUL_THREADS),
        n => n,
    };
    let session = SessionSettings { device, n_threads };
    Ok(doctor::examine(&files, precisions(settings), session)?)
}

fn preparer(settings: &Settings, families: &Families) -> (Recordings, Workers) {
    let rules = settings.voices.rules;
    batcher::spawn(
        recording(PREPARER, NonZeroUsize::MIN),
        families.model(PREPARER),
        move |_| Ok(Preparer { rules }),
    )
}

/// The thread that marks speech, if it is to be marked.
fn marker(settings: &Settings, families: &Families) -> Option<(Marker, Workers)> {
    let path = settings.speech.watermark.clone()?;
    let settings = batcher::Settings {
        name: WATERMARK,
        ..decoding(settings, NonZeroUsize::MIN)
    };
    Some(batcher::spawn(
        settings,
        families.model(WATERMARK),
        move |_| Ok(Watermark::load(&path)?),
    ))
}

/// A slot whose reader has no room stands still and keeps others out, so there is room for every token of a sentence and for its end:
/// who reads slowly holds a slot for no longer than anybody else. He is paused by not being given a third sentence.
fn stepping(settings: &Settings, pack: &Pack) -> StepSettings {
    StepSettings {
        name: LANGUAGE_MODEL,
        places: PerLane::all(settings.model.queue_places.get()),
        slots: settings.model.max_batch,
        room: NonZeroUsize::MIN.saturating_add(pack.limits.max_tokens),
        raise_after: RAISE_AFTER,
        max_panics_in_a_row: MAX_PANICS,
    }
}

/// One window at a time: the published decoders take no more. A place for every sentence that the language model has one for, because
/// it is asked in the middle of a sentence, when it is too late to refuse.
fn decoding(settings: &Settings, n_workers: NonZeroUsize) -> batcher::Settings {
    batcher::Settings {
        name: DECODER,
        places: PerLane::all(settings.model.queue_places.get()),
        max_batch: PerLane::all(NonZeroUsize::MIN),
        workers: n_workers,
        raise_after: RAISE_AFTER,
        max_panics_in_a_row: MAX_PANICS,
    }
}

fn recording(name: &'static str, workers: NonZeroUsize) -> batcher::Settings {
    batcher::Settings {
        name,
        places: PerLane::all(RECORDING_PLACES),
        max_batch: PerLane::all(NonZeroUsize::MIN),
        workers,
        raise_after: RAISE_AFTER,
        max_panics_in_a_row: MAX_PANICS,
    }
}

fn speaking(settings: &Settings, pack: &Pack) -> speaker::Settings {
    let stream = &settings.stream;
    let reach = reach(pack.family);
    speaker::Settings {
        reach: Reach {
            lookahead: stream.look_ahead.unwrap_or(reach.lookahead),
            context: stream.context.unwrap_or(reach.context),
        },
        sizes: stream.sizes.clone(),
        whole: WHOLE_TOKENS,
        tail: stream.tail,
        margin: stream.margin,
        first_within: FIRST_WITHIN,
    }
}

/// What the decoder of a family needs around the tokens that it sounds.
fn reach(family: Family) -> Reach {
    match family {
        // Its convolutions see nine tokens to either side.
        Family::Demo => Reach {
            lookahead: 9,
            context: 10,
        },
        Family::English | Family::Multilingual | Family::Turbo | Family::Nano => Reach::PUBLISHED,
    }
}

/// Where a model's files are: compiled in, in a folder of the home, or at a path.
fn files(name: &str, home: &Home) -> PackFiles {
    let path = Path::new(name);
    if name == DEMO {
        PackFiles::demo()
    } else if path.is_absolute() {
        let short = path.file_name().map(|it| it.to_string_lossy().into_owned());
        PackFiles::folder(short.unwrap_or_else(|| name.to_owned()), path)
    } else {
        PackFiles::folder(name, home.model(name))
    }
}

fn precisions(settings: &Settings) -> Precisions {
    let of = |name: &str| Precision::parse(name);
    let precision = &settings.model.precision;
    Precisions {
        preferred: None,
        exactly: Parts {
            speech_encoder: of(&precision.speech_encoder),
            embed_tokens: of(&precision.embed_tokens),
            language_model: of(&precision.language_model),
            conditional_decoder: of(&precision.conditional_decoder),
        },
    }
}

/// Loads ONNX Runtime, the one for GPUs where one may be used, and says what will compute.
fn load_runtime(settings: &Settings, home: &Home) -> Result<onnx::Device, ModelsError> {
    let wanted = settings.model.device;
    if wanted == Device::Cuda || (wanted == Device::Auto && onnx::has_driver()) {
        match onnx::load_gpu_runtime(&home.cuda("tts")) {
            Ok(()) => return Ok(onnx::Device::Cuda(settings.model.device_index)),
            Err(error) if wanted == Device::Cuda => return Err(ModelsError::Gpu(error)),
            Err(error) => tracing::warn!(
                "there is an NVIDIA driver and {error}; computing on the CPU. Run `scripts/setup.sh --cuda=tts` to use the GPU, or set \
                 `model.device: cpu`"
            ),
        }
    }
    onnx::load_runtime(&home.onnx_runtime()).map_err(ModelsError::Library)?;
    Ok(onnx::Device::Cpu)
}

fn served(settings: &Settings, pack: &Pack) -> Result<Served, ModelsError> {
    let languages = pack.prompter.languages();
    let served = Served {
        name: pack.name.clone(),
        aliases: settings.model.aliases.clone(),
        languages: languages.iter().map(|it| (*it).to_owned()).collect(),
        defaults: pack.defaults,
        supports_cfg: pack.supports_cfg(),
    };
    if let Some(language) = &settings.speech.language {
        served.language(language).map_err(ModelsError::Language)?;
    }
    Ok(served)
}

fn dictionary(settings: &Settings) -> Result<Dictionary, ModelsError> {
    let Some(path) = &settings.text.dictionary else {
        return Ok(Dictionary::default());
    };
    let text = std::fs::read_to_string(path).map_err(|cause| ModelsError::NoDictionary {
        path: path.clone(),
        cause,
    })?;
    Dictionary::parse(&text).map_err(|cause| ModelsError::Dictionary {
        path: path.clone(),
        cause,
    })
}

/// Sentences are cut to what the model holds well, unless the operator knows better.
fn front_end(settings: &Settings, pack: &Pack, dictionary: Dictionary) -> FrontEnd {
    let text = &settings.text;
    let max_chars = text.max_sentence_chars.unwrap_or(pack.limits.safe_chars);
    let limits = Limits {
        min_chars: text.min_sentence_chars,
        target_chars: text.target_sentence_chars.unwrap_or(max_chars),
        max_chars,
        max_text_chars: text.max_chars.get(),
    };
    FrontEnd::new(limits, dictionary)
}

impl Models {
    /// What is served.
    pub fn served(&self) -> &Served {
        &self.served
    }

    /// Whether the model can say sentences, which is known before it is asked.
    ///
    /// # Errors
    /// Says what they need that is not there.
    pub fn check(&self, sentences: &[text::Sentence], language: &str) -> Result<(), PromptError> {
        let prompter = &self.pack.prompter;
        let mut spoken = sentences.iter().map(|it| &it.spoken);
        spoken.try_for_each(|it| prompter.check(it, language))
    }

    /// What computes, for people and `/health`.
    pub fn device(&self) -> &str {
        &self.device
    }

    /// What kind of model it is, for people and `/health`.
    pub fn family(&self) -> String {
        format!("{:?}", self.pack.family).to_lowercase()
    }

    /// The most speech tokens of one sentence.
    pub fn max_tokens(&self) -> usize {
        self.pack.limits.max_tokens
    }

    /// What the store of voices has to know of the models.
    pub fn voice_pack(&self) -> Result<voices::Pack, voices::InvalidId> {
        let pack = &self.pack;
        let reference = pack.reference;
        // Turbo wants more than five seconds, the others a second at least, which every recording has.
        let above = (1.0 < reference.min_seconds).then(|| {
            let rate = SampleRate::new(SAMPLE_RATE_HZ).unwrap_or(SampleRate::HZ_16000);
            Samples::from_seconds(f64::from(reference.min_seconds), rate)
        });
        Ok(voices::Pack {
            id: VoiceId::parse(&pack.voice_id)?,
            level: match reference.level {
                Level::Loudness(lufs) => voices::Level::Loudness {
                    lufs: f64::from(lufs),
                },
                Level::Peak { above, to } => voices::Level::Peak { above, to },
            },
            above,
            default_voice: pack.default_voice.as_deref().map(Bytes::copy_from_slice),
        })
    }

    /// Where recordings are turned into voices.
    pub fn studio(&self) -> Queues<RunError> {
        Queues {
            preparer: self.recordings.clone(),
            extractor: self.extractions.clone(),
            max_wait: RECORDING_WAIT,
        }
    }

    /// What waits for all models together.
    pub fn n_waiting(&self) -> usize {
        let waiting = |it: &Load| it.urgent.waiting + it.normal.waiting + it.background.waiting;
        self.loads().iter().map(waiting).sum()
    }

    /// Whether no model has anything to do.
    pub fn is_idle(&self) -> bool {
        let held = |it: &Load| it.urgent.held + it.normal.held + it.background.held;
        self.loads().iter().all(|it| held(it) == 0)
    }

    fn loads(&self) -> Vec<Load> {
        let watermark = self.watermark.as_ref().map(Batcher::load);
        [
            self.speaker.load(),
            self.speaker.decoder_load(),
            self.recordings.load(),
            self.extractions.load(),
        ]
        .into_iter()
        .chain(watermark)
        .collect()
    }
}

impl Running {
    /// Waits until every model is built and warm.
    ///
    /// # Errors
    /// The first that could not be.
    pub async fn ready(&mut self) -> Result<(), StartError> {
        for workers in &mut self.workers {
            workers.ready().await?;
        }
        Ok(())
    }

    /// Waits until a model's thread ends, for any reason: the process is of no use then.
    pub async fn ended(&mut self) -> batcher::Ended {
        let all = self.workers.iter_mut().map(|it| Box::pin(it.ended()));
        futures_util::future::select_all(all).await.0
    }

    /// Signs of life of every model.
    pub fn watches(&self) -> Vec<Watch> {
        self.workers.iter().map(Workers::watch).collect()
    }
}
