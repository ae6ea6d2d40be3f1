//! A decoded file to its segments: silence out, clips through the recogniser several at a time, times put back, in order.
//!
//! Invariants:
//! - At most `files.parallel_clips` clips of one file are with the recogniser; the rest waits here, as ranges.
//! - Segments come in the order of the file and count from 1 through it.
//! - Dropping the stream abandons what is under way.

use std::sync::Arc;
use std::time::{Duration, Instant};

use batcher::{Lane, SubmitError};
use futures_util::future::{self, TryFutureExt as _};
use futures_util::stream::{self, LocalBoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use wire::asr::DetectedSpeech;

use crate::app::App;
use crate::error::AsrError;
use crate::models::Room;
use crate::models::silero_file::{Input, MAX_FRAMES, Memory};
use crate::models::upload::Recording;
use crate::recognizer::{LanguageScore, Options, Prepared, RecognizeError, Window};
use crate::session::RATE_HZ;
use crate::transcript::{Segment, Transcript};
use crate::windows::{self, FRAME, Gathered, Restore, SpeechOptions};

/// The most that Whisper hears at a time.
const WINDOW: Duration = Duration::from_secs(30);
/// The most that a model hears well that was trained on windows of its speech's own length: the built-in one loses the thread in
/// longer ones, and half of the words with it.
const SHORT_WINDOW: Duration = Duration::from_secs(8);
/// What Smart Turn hears at most, in samples.
const JUDGED: usize = 8 * 16_000;
/// A file that finds no place asks again after so long. Its client waits anyway.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// How a file is to be transcribed.
#[derive(Clone, Debug)]
pub struct Plan {
    pub options: Options,
    /// Whether silence is cut out first.
    pub vad: bool,
}

/// The transcripts of a file's clips, as they are ready, in order.
pub struct Transcripts {
    clips: LocalBoxStream<'static, Result<Transcript, AsrError>>,
    /// Of the whole file.
    pub duration_s: f64,
    language: String,
    n_segments: usize,
    began: Instant,
    app: Arc<App>,
    /// For the samples, which the clips are cut from until the last is with the recogniser.
    _room: Room,
}

/// Which parts of a file hold speech.
#[derive(Debug)]
pub struct Heard {
    probabilities: Vec<f32>,
    n_samples: usize,
}

/// One clip of a file: what to hear of it, and how its times become the file's.
struct Piece {
    samples: Arc<[f32]>,
    /// `None`: all of it.
    part: Option<(Gathered, Arc<Restore>)>,
}

/// A clip that waits only for the recogniser.
struct PreparedPiece {
    clip: Prepared,
    part: Option<(Gathered, Arc<Restore>)>,
}

/// What is still to be done for a clip.
enum Work {
    Prepared(PreparedPiece),
    Waiting(Piece),
}

impl Piece {
    async fn prepare(self, app: &App) -> Result<PreparedPiece, RecognizeError> {
        let clip = match &self.part {
            Some((gathered, _)) => gathered.clip(&self.samples).into(),
            None => self.samples,
        };
        Ok(PreparedPiece {
            clip: app.models.recognizer.prepare(clip).await?,
            part: self.part,
        })
    }
}

/// Begins to transcribe a file.
///
/// # Errors
/// The detector failed. What fails later comes with the clip.
pub async fn transcripts(
    app: &Arc<App>,
    (Recording { samples, .. }, room): (Recording, Room),
    plan: Plan,
) -> Result<Transcripts, AsrError> {
    let began = Instant::now();
    let duration_s = seconds(samples.len());
    app.metrics.file_audio.inc_by(duration_s);
    let pieces = pieces(app, &samples, &plan).await?;
    Ok(Transcripts {
        duration_s,
        language: plan
            .options
            .language
            .clone()
            .unwrap_or_else(|| "en".to_owned()),
        clips: clips(Arc::clone(app), pieces, plan.options),
        n_segments: 0,
        began,
        app: Arc::clone(app),
        _room: room,
    })
}

async fn pieces(app: &App, samples: &Arc<[f32]>, plan: &Plan) -> Result<Vec<Piece>, AsrError> {
    if !plan.vad {
        return Ok(vec![Piece {
            samples: Arc::clone(samples),
            part: None,
        }]);
    }
    let heard = hear(app, samples).await?;
    let find =
        |options: &SpeechOptions| windows::speech(&heard.probabilities, samples.len(), options);
    let stretches = find(&SpeechOptions::sequential());
    let speech: usize = stretches.iter().map(std::ops::Range::len).sum();
    let window = match plan.options.window {
        Window::Full => WINDOW,
        Window::OwnLength => SHORT_WINDOW,
    };
    // What fits into one window gains nothing from being cut.
    let (stretches, gathered) = if seconds(speech) <= window.as_secs_f64() {
        let gathered = windows::gather(&stretches, None);
        (stretches, gathered)
    } else {
        let stretches = find(&SpeechOptions::batched(window));
        let gathered = windows::gather(&stretches, Some(window));
        (stretches, gathered)
    };
    let restore = Arc::new(Restore::new(&stretches));
    let piece = |it| Piece {
        samples: Arc::clone(samples),
        part: Some((it, Arc::clone(&restore))),
    };
    Ok(gathered.into_iter().map(piece).collect())
}

fn clips(
    app: Arc<App>,
    mut pieces: Vec<Piece>,
    options: Options,
) -> LocalBoxStream<'static, Result<Transcript, AsrError>> {
    let n_parallel = app.settings.files.parallel_clips.get();
    let detects =
        options.language.is_none() && app.models.served().multilingual && 1 < pieces.len();
    let all = async move {
        // The first clips are asked for together, or the first call would be of one of them, and the others would wait for it.
        let later = pieces.split_off(n_parallel.min(pieces.len()));
        let first = pieces.into_iter().map(|it| it.prepare(&app));
        let first = future::try_join_all(first).await?;
        // The first clip settles the language for all, as the reference has it.
        let score = match first.first() {
            Some(clip) if detects => settle_language(&app, clip, &options).await?,
            _ => None,
        };
        let options = Options {
            language: score
                .as_ref()
                .map(|it| it.code.to_owned())
                .or(options.language),
            ..options
        };
        let first = stream::iter(first.into_iter().map(Work::Prepared));
        let later = stream::iter(later.into_iter().map(Work::Waiting));
        let one = move |work: Work| {
            let (app, options) = (Arc::clone(&app), options.clone());
            async move { one(&app, work, &options).await }
        };
        let clips = first.chain(later).map(one).buffered(n_parallel);
        Ok(clips.map_ok(move |mut transcript| {
            if let Some(score) = &score {
                transcript.language_probability = score.probability;
            }
            transcript
        }))
    };
    all.try_flatten_stream().boxed_local()
}

async fn settle_language(
    app: &App,
    first: &PreparedPiece,
    options: &Options,
) -> Result<Option<LanguageScore>, AsrError> {
    let recognizer = &app.models.recognizer;
    let settle = || recognizer.settle_language(&first.clip, options, Lane::Background);
    Ok(patiently(settle).await?)
}

async fn one(app: &App, work: Work, options: &Options) -> Result<Transcript, AsrError> {
    let PreparedPiece { clip, part } = match work {
        Work::Prepared(it) => it,
        Work::Waiting(it) => it.prepare(app).await?,
    };
    let recognizer = &app.models.recognizer;
    let transcribe = || recognizer.transcribe_prepared(&clip, options, Lane::Background);
    let mut transcript = patiently(transcribe).await?;
    app.metrics
        .transcribed(transcript.n_fallback_windows, transcript.n_silent_windows);
    if let Some((gathered, restore)) = &part {
        for segment in &mut transcript.segments {
            later(segment, seconds(gathered.offset));
            restore.segment(segment);
        }
    }
    Ok(transcript)
}

/// Asks until there is a place.
async fn patiently<T>(
    ask: impl AsyncFn() -> Result<T, RecognizeError>,
) -> Result<T, RecognizeError> {
    loop {
        match ask().await {
            Err(RecognizeError::Refused(SubmitError::Full { .. })) => {
                tokio::time::sleep(ASK_AGAIN).await;
            }
            answer => return answer,
        }
    }
}

/// Moves a segment by so many seconds.
fn later(segment: &mut Segment, by: f64) {
    segment.start += by;
    segment.end += by;
    for word in segment.words.iter_mut().flatten() {
        word.start += by;
        word.end += by;
    }
}

impl Transcripts {
    /// The next clip's transcript, with its place in the file.
    ///
    /// # Errors
    /// The clip was not transcribed; nothing should be asked after that.
    pub async fn next(&mut self) -> Result<Option<Transcript>, AsrError> {
        let Some(clip) = self.clips.next().await else {
            self.app
                .metrics
                .file_duration
                .observe(self.began.elapsed().as_secs_f64());
            return Ok(None);
        };
        let mut transcript = clip?;
        for segment in &mut transcript.segments {
            self.n_segments += 1;
            segment.id = self.n_segments;
        }
        Ok(Some(transcript))
    }

    /// The whole file's transcript.
    ///
    /// # Errors
    /// A clip was not transcribed.
    pub async fn whole(mut self) -> Result<Transcript, AsrError> {
        let mut whole = self.nothing();
        while let Some(clip) = self.next().await? {
            add(&mut whole, clip);
        }
        Ok(whole)
    }

    /// A transcript to which those of the clips can be [added](add).
    pub fn nothing(&self) -> Transcript {
        Transcript {
            language: self.language.clone(),
            duration_s: self.duration_s,
            ..Transcript::default()
        }
    }
}

impl std::fmt::Debug for Transcripts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transcripts")
            .field("duration_s", &self.duration_s)
            .finish_non_exhaustive()
    }
}

/// Adds a clip's transcript to that of the file, which has the language of its first clip.
pub fn add(whole: &mut Transcript, clip: Transcript) {
    if whole.segments.is_empty() && whole.language_probability <= 0.0 {
        whole.language = clip.language;
        whole.language_probability = clip.language_probability;
    }
    whole.segments.extend(clip.segments);
    whole.n_fallback_windows += clip.n_fallback_windows;
    whole.n_silent_windows += clip.n_silent_windows;
}

/// Listens for speech in a whole file.
///
/// # Errors
/// The detector failed.
pub async fn hear(app: &App, samples: &[f32]) -> Result<Heard, AsrError> {
    let n_frames = windows::n_frames(samples.len());
    let mut memory = Memory::default();
    let mut probabilities = Vec::with_capacity(n_frames);
    for start in (0..n_frames).step_by(MAX_FRAMES) {
        let output = loop {
            let input = Input {
                memory: memory.clone(),
                // Not all at once: the sessions of this thread would wait for a copy of hours.
                frames: windows::frames(samples, start..start + MAX_FRAMES),
            };
            match app.models.hear_recording(input).await {
                Err(AsrError::Busy { .. }) => {
                    tokio::time::sleep(ASK_AGAIN).await;
                }
                answer => break answer?,
            }
        };
        probabilities.extend(output.probabilities);
        memory = output.memory;
    }
    Ok(Heard {
        probabilities,
        n_samples: samples.len(),
    })
}

impl Heard {
    /// The stretches of speech, with the mean probability of each.
    pub fn speech(&self) -> Vec<DetectedSpeech> {
        let options = SpeechOptions {
            min_speech: Duration::from_millis(250),
            min_silence: Duration::from_millis(100),
            pad: Duration::from_millis(30),
            ..SpeechOptions::sequential()
        };
        let stretches = windows::speech(&self.probabilities, self.n_samples, &options);
        let detected = |it: &std::ops::Range<usize>| {
            let frames = self
                .probabilities
                .get(it.start / FRAME..it.end.div_ceil(FRAME))
                .unwrap_or_default();
            let confidence = frames.iter().sum::<f32>() / frames.len().max(1) as f32;
            DetectedSpeech {
                start: seconds(it.start),
                end: seconds(it.end),
                confidence,
            }
        };
        stretches.iter().map(detected).collect()
    }
}

/// The end of a file, as far as Smart Turn can hear.
pub fn tail(samples: &[f32]) -> Arc<[f32]> {
    samples
        .get(samples.len().saturating_sub(JUDGED)..)
        .unwrap_or_default()
        .into()
}

/// Samples at 16 kHz in seconds.
pub fn seconds(n_samples: usize) -> f64 {
    n_samples as f64 / RATE_HZ as f64
}
