//! The models of this service, each behind its queue: how they are built, what they are asked.
//!
//! Invariants:
//! - One named thread owns one copy of a model; nothing else touches it. Whisper has a copy for each GPU, or `model.workers`.
//! - A model is warm before [`Running::ready`] returns: each hears silence once when it is built.
//! - However many files come at a time, and however little they weigh, what they are decoded to has a bound.
//! - A module under this one uses `audio` and `batcher` and nothing else of ours, but for where its files are (`chassis::home`).

pub mod catalog;
pub mod onnx;
#[cfg(any(test, feature = "scripted"))]
pub mod scripted;
pub mod silero;
pub mod silero_file;
pub mod smart_turn;
pub mod upload;
pub mod whisper;

use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use audio::container::{DecodeError, RawFormat};
use batcher::{
    Answer, Batcher, CallError, Families, Job, Lane, PerLane, StartError, Watch, Workers,
};
use bytes::Bytes;
use chassis::home::{Home, HomeError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::onnx::{BadLibrary, RunError};
use self::silero::{Memory, Silero};
use self::silero_file::SileroFile;
use self::smart_turn::SmartTurn;
use self::upload::{Decoder, Recording, Upload};
use self::whisper::WhisperModel;
use self::whisper::engine;
use self::whisper::load::{LoadError, ModelCard};
use crate::dialect::languages;
use crate::error::AsrError;
use crate::recognizer::{Recognizer, Window};
use crate::settings::{ComputeType, Device, Settings, WindowChoice};

/// Whisper is told apart in logs and metrics by these names; so are the others.
const RECOGNIZER: &str = "whisper";
const DETECTOR: &str = "silero";
const FILE_DETECTOR: &str = "silero-file";
const JUDGE: &str = "smart-turn";
const DECODER: &str = "decoder";

/// Cores beyond this do not make one copy of a model faster.
const MAX_USEFUL_THREADS: usize = 8;
/// Uploads that may wait to be decoded, each with its bytes.
const DECODER_PLACES: usize = 64;
/// Files of the greatest length that may lie in memory beside one for each decoder: each takes 3.8 MB a minute.
const DECODED_FILES: usize = 3;
/// Samples a second of what is decoded.
const RATE_HZ: usize = 16_000;
/// Files that may wait until their speech is found.
const FILE_DETECTOR_PLACES: usize = 64;
/// Turns that may wait for their verdict.
const JUDGE_PLACES: usize = 1_024;
/// A lane that waited this long is served as the next one up.
const RAISE_AFTER: Duration = Duration::from_secs(2);
/// Panics in a row after which a model is taken for broken, and the process with it.
const MAX_PANICS: NonZeroUsize = NonZeroUsize::new(8).expect("8 is not zero");

/// More threads would answer one turn a little sooner and all turns together later: two take 1.5 times the processor time of one
/// (42 ms on one core of an AMD EPYC).
const JUDGE_THREADS: usize = 1;
/// What a verdict in time for the deadline may still take: it is a twentieth of a second of one core.
const JUDGE_CALL: Duration = Duration::from_millis(500);
/// Of the threads that recognise, on the scale of `nice`.
const NICENESS: i32 = 5;
/// Of the threads that judge: up to four looks at a pause take three times what its words take, and each instance on a machine has
/// such a thread.
const JUDGE_NICENESS: i32 = 8;
/// Of the threads that only work for uploaded files.
const FILES_NICENESS: i32 = 10;

/// What a detector remembers of a stream.
pub type Hearing = Memory;

type Detector = Batcher<silero::Input, silero::Output, RunError>;
type FileDetector = Batcher<silero_file::Input, silero_file::Output, RunError>;
type Judge = Batcher<Arc<[f32]>, f32, RunError>;

/// A handle on every model. Clones share them.
#[derive(Clone, Debug)]
pub struct Models {
    pub recognizer: Recognizer,
    served: Arc<Served>,
    detector: Detector,
    file_detector: FileDetector,
    judge: Judge,
    uploads: Uploads,
}

/// The decoder of files, and the room for what it makes of them.
#[derive(Clone, Debug)]
struct Uploads {
    decoder: Batcher<Upload, Recording, DecodeError>,
    /// For those who wait for room or for the decoder.
    places: Arc<Semaphore>,
    /// In seconds of audio.
    room: Arc<Semaphore>,
    /// Of one file.
    max_seconds: u32,
}

/// Room in memory for the samples of a file, given back when dropped.
#[derive(Debug)]
#[must_use = "the room is to be held as long as the samples"]
pub struct Room {
    _seconds: OwnedSemaphorePermit,
}

/// What is served, and what it can do.
#[derive(Clone, Debug)]
pub struct Served {
    pub name: String,
    pub aliases: Vec<String>,
    /// Codes.
    pub languages: Vec<&'static str>,
    pub multilingual: bool,
    pub translates: bool,
    /// How much of the window is encoded.
    pub window: Window,
    /// For people and `/health`.
    pub device: String,
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
    Library(#[from] BadLibrary),
    #[error(transparent)]
    Load(#[from] LoadError),
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
    let home = Home::of_process(settings.home.as_deref())?;
    onnx::load_runtime(&home.onnx_runtime())?;
    let silero_file = home.model_file("silero_vad.onnx")?;
    let silero_for_files = home.model_file("silero_vad_file.onnx")?;
    let judge_file = home.model_file(&settings.vad.raw.turn_model)?;
    let files = catalog::files(&settings.model.name, &home);
    let card = Arc::new(ModelCard::read(&files)?);
    let engines = engines(settings);
    let served = served(settings, &card, &engines);

    let batching = whisper_batching(settings, engines.len());
    let whisper_card = Arc::clone(&card);
    let (whisper, whisper_workers) =
        batcher::spawn(batching, families.model(RECOGNIZER), move |worker| {
            give_way(NICENESS);
            // There are as many workers as engines.
            let engine = engines.get(worker).unwrap_or(&engines[0]);
            Ok(WhisperModel::load(
                &files,
                Arc::clone(&whisper_card),
                engine,
            )?)
        });
    let (detector, detector_workers) = batcher::spawn(
        detector_batching(settings),
        families.model(DETECTOR),
        move |_| Ok(Silero::load(&silero_file)?),
    );
    let (file_detector, file_detector_workers) = batcher::spawn(
        file_detector_batching(settings),
        families.model(FILE_DETECTOR),
        move |_| {
            give_way(FILES_NICENESS);
            Ok(SileroFile::load(&silero_for_files)?)
        },
    );
    let (judge, judge_workers) =
        batcher::spawn(judge_batching(settings), families.model(JUDGE), move |_| {
            give_way(JUDGE_NICENESS);
            Ok(SmartTurn::load(&judge_file, JUDGE_THREADS)?)
        });
    let (uploads, upload_workers) = uploads(settings, families);
    let models = Models {
        recognizer: Recognizer::new(whisper, card),
        served: Arc::new(served),
        detector,
        file_detector,
        judge,
        uploads,
    };
    let workers = vec![
        whisper_workers,
        detector_workers,
        file_detector_workers,
        judge_workers,
        upload_workers,
    ];
    Ok((models, Running { workers }))
}

fn uploads(settings: &Settings, families: &Families) -> (Uploads, Workers) {
    let max_seconds = settings.files.max_seconds;
    let batching = batching(
        DECODER,
        DECODER_PLACES,
        NonZeroUsize::MIN,
        settings.files.decoders,
    );
    let (decoder, workers) = batcher::spawn(batching, families.model(DECODER), move |_| {
        give_way(FILES_NICENESS);
        Ok(Decoder::new(max_seconds))
    });
    let n_files = settings.files.decoders.get() + DECODED_FILES;
    let uploads = Uploads {
        decoder,
        places: Arc::new(Semaphore::new(DECODER_PLACES)),
        room: Arc::new(Semaphore::new(n_files * max_seconds as usize)),
        max_seconds,
    };
    (uploads, workers)
}

fn whisper_batching(settings: &Settings, n_workers: usize) -> batcher::Settings {
    let model = &settings.model;
    let workers = NonZeroUsize::new(n_workers).unwrap_or(NonZeroUsize::MIN);
    batching(
        RECOGNIZER,
        model.queue_places.get(),
        model.max_batch,
        workers,
    )
}

fn detector_batching(settings: &Settings) -> batcher::Settings {
    // A session has one job out at most, so with a place for each none is ever refused.
    let places = settings.server.max_connections.get();
    batching(
        DETECTOR,
        places,
        settings.vad.max_batch,
        settings.vad.workers,
    )
}

fn file_detector_batching(settings: &Settings) -> batcher::Settings {
    // A recording shares no run with another, so a call of several would only make the first wait for the last.
    batching(
        FILE_DETECTOR,
        FILE_DETECTOR_PLACES,
        NonZeroUsize::MIN,
        settings.vad.workers,
    )
}

fn judge_batching(settings: &Settings) -> batcher::Settings {
    // One at a time: two turns in a call take twice the time of one, and the first would wait for the second.
    batching(
        JUDGE,
        JUDGE_PLACES,
        NonZeroUsize::MIN,
        settings.vad.turn_workers,
    )
}

fn batching(
    name: &'static str,
    places: usize,
    max_batch: NonZeroUsize,
    workers: NonZeroUsize,
) -> batcher::Settings {
    batcher::Settings {
        name,
        places: PerLane::all(places),
        max_batch: PerLane::all(max_batch),
        workers,
        raise_after: RAISE_AFTER,
        max_panics_in_a_row: MAX_PANICS,
    }
}

/// How each copy of Whisper is run.
fn engines(settings: &Settings) -> Vec<engine::Settings> {
    let model = &settings.model;
    let compute_type = compute_type(model.compute_type);
    let cuda = |index: &i32| engine::Settings {
        device: engine::Device::Cuda {
            index: usize::try_from(*index).unwrap_or(0),
        },
        compute_type,
        n_threads: model.threads,
    };
    match model.device {
        Device::Cuda => model.device_indices.iter().map(cuda).collect(),
        Device::Auto if 0 < engine::n_gpus() => model.device_indices.iter().map(cuda).collect(),
        Device::Cpu | Device::Auto => {
            let n_workers = match model.workers {
                // A call of the built-in model is over before several threads have shared it out: on two cores, two copies
                // with a thread each send three times as many partials as one copy with two, and the last of them sooner.
                0 if model.name == catalog::DEMO => cores().min(MAX_USEFUL_THREADS),
                0 => 1,
                n => n,
            };
            let n_threads = match model.threads {
                0 => (cores() / n_workers).clamp(1, MAX_USEFUL_THREADS),
                n => n,
            };
            vec![
                engine::Settings {
                    device: engine::Device::Cpu,
                    compute_type,
                    n_threads
                };
                n_workers
            ]
        }
    }
}

/// Makes this thread, and those that a library starts from it, give way to the threads that serve sockets and hear speech.
///
/// Those need little, but at once: when all cores are taken by recognition, an end of speech must still be noticed.
fn give_way(niceness: i32) {
    if let Err(error) = rustix::process::setpriority_process(None, niceness) {
        tracing::debug!(%error, "the priority of a model's thread could not be lowered");
    }
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

fn compute_type(it: ComputeType) -> engine::ComputeType {
    match it {
        ComputeType::Default => engine::ComputeType::Default,
        ComputeType::Auto => engine::ComputeType::Auto,
        ComputeType::Float32 => engine::ComputeType::Float32,
        ComputeType::Float16 => engine::ComputeType::Float16,
        ComputeType::Bfloat16 => engine::ComputeType::Bfloat16,
        ComputeType::Int16 => engine::ComputeType::Int16,
        ComputeType::Int8 => engine::ComputeType::Int8,
        ComputeType::Int8Float32 => engine::ComputeType::Int8Float32,
        ComputeType::Int8Float16 => engine::ComputeType::Int8Float16,
        ComputeType::Int8Bfloat16 => engine::ComputeType::Int8Bfloat16,
    }
}

fn served(settings: &Settings, card: &ModelCard, engines: &[engine::Settings]) -> Served {
    let model = &settings.model;
    let multilingual = card.tokenizer.is_multilingual();
    let device = |it: &engine::Settings| match it.device {
        engine::Device::Cpu => "cpu".to_owned(),
        engine::Device::Cuda { index } => format!("cuda:{index}"),
    };
    Served {
        name: card.name.clone(),
        aliases: model.aliases.clone(),
        languages: card.languages(),
        multilingual,
        translates: multilingual && catalog::translates(&card.name),
        window: match model.window {
            WindowChoice::Full => Window::Full,
            WindowChoice::OwnLength => Window::OwnLength,
            // Only the built-in model was trained for less than the whole window.
            WindowChoice::Auto if model.name == catalog::DEMO => Window::OwnLength,
            WindowChoice::Auto => Window::Full,
        },
        device: {
            let mut devices: Vec<_> = engines.iter().map(device).collect();
            devices.dedup();
            devices.join(", ")
        },
    }
}

impl Models {
    /// What is served.
    pub fn served(&self) -> &Served {
        &self.served
    }

    /// The probability of speech in each frame of 512 samples, and what is remembered after them.
    pub fn hear(
        &self,
        memory: Hearing,
        frames: Vec<f32>,
        lane: Lane,
    ) -> impl Future<Output = Result<(Vec<f32>, Hearing), AsrError>> + use<> {
        let answer = submit(
            &self.detector,
            "speech detector",
            Job::new(lane, silero::Input { memory, frames }),
        );
        async move {
            answer?
                .await
                .map(|it| (it.probabilities, it.memory))
                .map_err(|it| failed("speech detector", it))
        }
    }

    /// The probability of speech in each frame of the next piece of a recording, and what is remembered after it.
    ///
    /// # Errors
    /// The detector is busy or failed.
    pub async fn hear_recording(
        &self,
        input: silero_file::Input,
    ) -> Result<silero_file::Output, AsrError> {
        const NAME: &str = "speech detector of files";
        let answer = submit(&self.file_detector, NAME, Job::new(Lane::Background, input))?;
        answer.await.map_err(|it| failed(NAME, it))
    }

    /// The probability that the turn in `clip` is over, if a model has time for it before the deadline, and is done soon after.
    pub fn judge(
        &self,
        clip: Arc<[f32]>,
        lane: Lane,
        deadline: Option<Instant>,
    ) -> impl Future<Output = Result<f32, AsrError>> + use<> {
        const NAME: &str = "turn detector";
        let job = Job {
            deadline,
            ..Job::new(lane, clip)
        };
        let answer = submit(&self.judge, NAME, job);
        async move {
            let answer = answer?;
            let outcome = match deadline {
                // The queue looks at deadlines between calls, and a call that has no core to run on is long.
                Some(begun_by) => tokio::time::timeout_at((begun_by + JUDGE_CALL).into(), answer)
                    .await
                    .unwrap_or(Err(CallError::Expired)),
                None => answer.await,
            };
            outcome.map_err(|it| failed(NAME, it))
        }
    }

    /// Decodes an uploaded file, once there is room for it.
    ///
    /// # Errors
    /// The file is at fault, or too many wait already.
    pub async fn decode(
        &self,
        bytes: Bytes,
        raw: Option<RawFormat>,
    ) -> Result<(Recording, Room), AsrError> {
        const NAME: &str = "file decoder";
        let Uploads {
            decoder,
            places,
            room,
            max_seconds,
        } = &self.uploads;
        let Ok(_place) = places.try_acquire() else {
            return Err(AsrError::Busy { model: NAME });
        };
        // How long a file is shows when it is decoded: until then it takes the room of the longest.
        let room = Arc::clone(room).acquire_many_owned(*max_seconds).await;
        let mut seconds = room.map_err(|_closed| AsrError::Stopped { model: NAME })?;
        let upload = Job::new(Lane::Background, Upload { bytes, raw });
        let answer = submit(decoder, NAME, upload)?;
        let recording = answer.await.map_err(|error| match error {
            CallError::Failed(error) => AsrError::Decode(error),
            // A decoder that panics was given something that no decoder should see.
            CallError::Panicked => AsrError::Decode(DecodeError::Malformed {
                container: "audio",
                fault: "it broke the decoder".to_owned(),
            }),
            error @ (CallError::Miscounted { .. }
            | CallError::Expired
            | CallError::Replaced
            | CallError::Stopped) => failed(NAME, error),
        })?;
        let needed = recording.samples.len().div_ceil(RATE_HZ);
        drop(seconds.split((*max_seconds as usize).saturating_sub(needed)));
        Ok((recording, Room { _seconds: seconds }))
    }

    /// What waits for all models together.
    pub fn n_waiting(&self) -> usize {
        self.loads()
            .iter()
            .map(|it| it.urgent.waiting + it.normal.waiting + it.background.waiting)
            .sum()
    }

    /// Whether no model has anything to do.
    pub fn is_idle(&self) -> bool {
        self.loads()
            .iter()
            .all(|it| it.urgent.held + it.normal.held + it.background.held == 0)
    }

    fn loads(&self) -> [batcher::Load; 5] {
        [
            self.recognizer.load(),
            self.detector.load(),
            self.file_detector.load(),
            self.judge.load(),
            self.uploads.decoder.load(),
        ]
    }
}

type Submitted<O, E> = Result<Answer<O, E>, AsrError>;

fn submit<I, O, E>(
    batcher: &Batcher<I, O, E>,
    model: &'static str,
    job: Job<I>,
) -> Submitted<O, E> {
    batcher
        .submit(job)
        .map_err(|it| AsrError::refused(model, it))
}

fn failed<E: std::error::Error + Send + Sync + 'static>(
    model: &'static str,
    error: CallError<E>,
) -> AsrError {
    AsrError::called(model, error)
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

impl Served {
    /// Whether `given` means this model.
    ///
    /// # Errors
    /// It does not.
    pub fn check_name(&self, given: &str) -> Result<(), AsrError> {
        let is_alias = self.aliases.iter().any(|it| it == given);
        let is_same = || catalog::canonical(given) == catalog::canonical(&self.name);
        if given == self.name || is_alias || is_same() {
            return Ok(());
        }
        Err(AsrError::UnknownModel {
            given: given.chars().take(80).collect(),
            served: self.name.clone(),
        })
    }

    /// The code of a language that the model knows.
    ///
    /// # Errors
    /// It does not know it.
    pub fn language(&self, given: &str) -> Result<&'static str, AsrError> {
        languages::code(given)
            .filter(|it| self.languages.contains(it))
            .ok_or_else(|| {
                let known = self
                    .languages
                    .iter()
                    .map(|it| format!("`{it}`"))
                    .collect::<Vec<_>>()
                    .join(", ");
                AsrError::UnknownLanguage {
                    given: given.chars().take(40).collect(),
                    known,
                }
            })
    }
}

#[cfg(test)]
mod tests;
