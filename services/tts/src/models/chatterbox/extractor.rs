//! Reference audio in, what the models know of its voice out.
//!
//! Invariants:
//! - Two mel frames for each token of the prompt, always: otherwise the reference leaks into the beginning of what is said.

use std::fmt;
use std::sync::Arc;

use batcher::Model;
use ndarray::Array2;
use ort::session::{Session, SessionOutputs};

use crate::models::conditioning::{
    Conditioning, FRAMES_PER_TOKEN, MEL_BINS, SAMPLE_RATE_HZ, SAMPLES_PER_TOKEN, SPEAKER_WIDTH,
};
use crate::models::onnx::{self, Float, OpenError, RunError, SessionSettings, floats};
use crate::models::pack::Pack;

/// The speech encoder, on its thread.
pub struct Extractor {
    session: Session,
    audio: Float,
    hidden: usize,
    /// Made of a sound that is always the same.
    known_good: Conditioning,
}

impl fmt::Debug for Extractor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extractor").finish_non_exhaustive()
    }
}

impl Extractor {
    /// Opens the graph and lets it listen once.
    ///
    /// # Errors
    /// The graph cannot be opened, or does not do what it declares.
    pub fn load(pack: &Pack, settings: SessionSettings) -> Result<Extractor, OpenError> {
        let file = &pack.graphs.speech_encoder;
        let nothing = Conditioning {
            prefix: Array2::zeros((0, 0)),
            prompt_tokens: Vec::new(),
            speaker: Vec::new(),
            mel: Array2::zeros((0, 0)),
        };
        let mut extractor = Extractor {
            session: onnx::open(file, settings)?,
            audio: pack.shape.floats.audio,
            hidden: pack.shape.hidden,
            known_good: nothing,
        };
        extractor.known_good =
            extractor
                .extract(&buzz())
                .map_err(|what| OpenError::Unexpected {
                    file: file.to_string(),
                    what: what.to_string(),
                })?;
        Ok(extractor)
    }

    fn extract(&mut self, audio: &[f32]) -> Result<Conditioning, RunError> {
        if audio.is_empty() || !audio.len().is_multiple_of(SAMPLES_PER_TOKEN) {
            return Err(RunError::new(format_args!(
                "{} samples are not a whole number of tokens",
                audio.len()
            )));
        }
        let audio = self.audio.tensor([1, audio.len()], audio)?;
        let outputs = self.session.run(ort::inputs! { "audio_values" => audio })?;
        let prefix = rows(&outputs, "audio_features", self.hidden)?;
        let (_, speaker) = floats(&outputs["speaker_embeddings"])?;
        let mel = rows(&outputs, "speaker_features", MEL_BINS)?;
        let (_, tokens) = outputs["audio_tokens"].try_extract_tensor::<i64>()?;
        let n_tokens = tokens.len().min(mel.nrows() / FRAMES_PER_TOKEN);
        if speaker.len() != SPEAKER_WIDTH || n_tokens == 0 || prefix.is_empty() {
            return Err(RunError::new(format_args!(
                "the speech encoder answered {} speaker values, {} tokens, {} mel frames and {} rows",
                speaker.len(),
                tokens.len(),
                mel.nrows(),
                prefix.nrows()
            )));
        }
        let n_frames = n_tokens * FRAMES_PER_TOKEN;
        let conditioning = Conditioning {
            prompt_tokens: tokens[..n_tokens].to_vec(),
            speaker: speaker.into_owned(),
            mel: first_rows(mel, n_frames)?,
            prefix,
        };
        let numbers = conditioning.prefix.iter().chain(&conditioning.speaker);
        if numbers.chain(&conditioning.mel).any(|it| !it.is_finite()) {
            return Err(RunError::new(
                "the speech encoder answered with something that is not a number",
            ));
        }
        Ok(conditioning)
    }
}

/// An output of `[1, any, width]`.
fn rows(outputs: &SessionOutputs<'_>, name: &str, width: usize) -> Result<Array2<f32>, RunError> {
    let (shape, values) = floats(&outputs[name])?;
    if shape.len() != 3 || shape[0] != 1 || shape[2] != width {
        return Err(RunError::new(format_args!(
            "the speech encoder answered `{name}` of {shape:?}, not [1, any, {width}]"
        )));
    }
    Array2::from_shape_vec((shape[1], width), values.into_owned()).map_err(RunError::new)
}

impl Model for Extractor {
    /// Mono at 24 kHz, a whole number of tokens.
    type Input = Arc<[f32]>;
    type Output = Conditioning;
    type Error = RunError;
    type Key = ();

    fn key(_audio: &Arc<[f32]>) {}

    /// One by one: nobody is known to have run the published encoders otherwise.
    fn run(&mut self, batch: &[Arc<[f32]>]) -> Result<Vec<Conditioning>, RunError> {
        batch.iter().map(|audio| self.extract(audio)).collect()
    }

    fn self_test(&mut self) -> Result<(), RunError> {
        let heard = self.extract(&buzz())?;
        let speakers = heard.speaker.iter().zip(&self.known_good.speaker);
        // Sums on a GPU may come in another order each time.
        if speakers
            .into_iter()
            .all(|(a, b)| (a - b).abs() <= 1e-2 * b.abs().max(1.0))
        {
            return Ok(());
        }
        Err(RunError::new(
            "the speech encoder no longer hears what it heard when it was loaded",
        ))
    }
}

fn first_rows(table: Array2<f32>, n_rows: usize) -> Result<Array2<f32>, RunError> {
    let n_columns = table.ncols();
    let values = table.into_iter().take(n_rows * n_columns).collect();
    Array2::from_shape_vec((n_rows, n_columns), values).map_err(RunError::new)
}

/// A second of a sawtooth at 120 Hz.
fn buzz() -> Vec<f32> {
    let period = SAMPLE_RATE_HZ / 120;
    (0..SAMPLE_RATE_HZ)
        .map(|it| f32::from(u8::try_from(it % period).unwrap_or(u8::MAX)) / 1000.0 - 0.1)
        .collect()
}
