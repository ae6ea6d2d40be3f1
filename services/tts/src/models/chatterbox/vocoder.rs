//! Speech tokens and a voice in, audio at 24 kHz out.
//!
//! Invariants:
//! - The audio is exactly as long as the tokens: the graph drops the prompt, which is checked at every call.
//! - The graph draws noise at every call: the same tokens give audio that sounds the same and is not equal.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use batcher::Model;
use ort::session::Session;
use ort::value::TensorRef;

use crate::models::conditioning::{
    Conditioning, FRAMES_PER_TOKEN, MEL_BINS, SAMPLES_PER_TOKEN, SPEAKER_WIDTH,
};
use crate::models::onnx::{self, OpenError, RunError, SessionSettings, floats};
use crate::models::pack::{Floats, Pack};

/// A token of a prompt lasts as long as one of speech.
const PROMPT_TOKEN_MS: u128 = 40;

/// Tokens to make audible.
#[derive(Clone, Debug)]
pub struct Decode {
    /// Those of the sentence; the voice's own come before them by themselves.
    pub tokens: Vec<i64>,
    pub voice: Arc<Conditioning>,
}

/// How the decoder is run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VocoderSettings {
    pub session: SessionSettings,
    /// How much of a voice's recording is put before every call. Less is faster, and less alike. `None` is all.
    pub max_prompt_seconds: Option<f32>,
}

/// The decoder, on its thread.
pub struct Vocoder {
    session: Session,
    floats: Floats,
    max_prompt_tokens: usize,
    together: bool,
}

impl fmt::Debug for Vocoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vocoder")
            .field("together", &self.together)
            .finish_non_exhaustive()
    }
}

impl Vocoder {
    /// Opens the graph, lets it speak once, and finds out whether it takes several sentences at once.
    ///
    /// # Errors
    /// The graph cannot be opened, or does not do what it declares.
    pub fn load(pack: &Pack, settings: VocoderSettings) -> Result<Vocoder, OpenError> {
        let max_prompt_tokens = settings
            .max_prompt_seconds
            .map_or(usize::MAX, prompt_tokens);
        let mut vocoder = Vocoder {
            session: onnx::open(&pack.graphs.conditional_decoder, settings.session)?,
            floats: pack.shape.floats,
            max_prompt_tokens,
            together: false,
        };
        vocoder.self_test().map_err(|what| OpenError::Unexpected {
            file: pack.graphs.conditional_decoder.to_string(),
            what: what.to_string(),
        })?;
        let probe = trial();
        vocoder.together = pack.shape.decoder_batch && vocoder.call(&[&probe, &probe]).is_ok();
        Ok(vocoder)
    }

    /// Whether calls of the same lengths can be one.
    pub fn decodes_together(&self) -> bool {
        self.together
    }

    /// All of the same lengths.
    fn call(&mut self, decodes: &[&Decode]) -> Result<Vec<Vec<f32>>, RunError> {
        let n_rows = decodes.len();
        let (mut tokens, mut speakers, mut mel) = (Vec::new(), Vec::new(), Vec::new());
        let n_prompt = self.n_prompt(decodes[0]);
        for decode in decodes {
            let voice = &decode.voice;
            tokens.extend_from_slice(&voice.prompt_tokens[..n_prompt]);
            tokens.extend_from_slice(&decode.tokens);
            speakers.extend_from_slice(&voice.speaker);
            let frames = voice
                .mel
                .iter()
                .take(n_prompt * FRAMES_PER_TOKEN * MEL_BINS);
            mel.extend(frames);
        }
        let n_tokens = tokens.len() / n_rows;
        let n_frames = n_prompt * FRAMES_PER_TOKEN;
        let speakers = self
            .floats
            .speaker
            .tensor([n_rows, SPEAKER_WIDTH], &speakers)?;
        let mel = self.floats.mel.tensor([n_rows, n_frames, MEL_BINS], &mel)?;
        let outputs = self.session.run(ort::inputs! {
            "speech_tokens" => TensorRef::from_array_view(([n_rows, n_tokens], &*tokens))?,
            "speaker_embeddings" => speakers,
            "speaker_features" => mel,
        })?;
        let (shape, waveform) = floats(&outputs["waveform"])?;
        let n_samples = (n_tokens - n_prompt) * SAMPLES_PER_TOKEN;
        if shape != [n_rows, n_samples] {
            return Err(RunError::new(format_args!(
                "the decoder answered {shape:?} and not {:?} samples",
                [n_rows, n_samples]
            )));
        }
        if waveform.iter().any(|it| !it.is_finite()) {
            return Err(RunError::new(
                "the decoder answered with something that is not a number",
            ));
        }
        Ok(waveform
            .chunks_exact(n_samples)
            .map(<[f32]>::to_vec)
            .collect())
    }

    fn n_prompt(&self, decode: &Decode) -> usize {
        let voice = &decode.voice;
        let n_frames = voice.mel.nrows() / FRAMES_PER_TOKEN;
        voice
            .prompt_tokens
            .len()
            .min(n_frames)
            .min(self.max_prompt_tokens)
    }

    fn check(decode: &Decode) -> Result<(), RunError> {
        let voice = &decode.voice;
        if decode.tokens.is_empty() {
            return Err(RunError::new("there are no tokens to decode"));
        }
        if voice.speaker.len() != SPEAKER_WIDTH || voice.mel.ncols() != MEL_BINS {
            return Err(RunError::new(format_args!(
                "the voice has a speaker of {} values and {} mel bins, not {SPEAKER_WIDTH} and {MEL_BINS}",
                voice.speaker.len(),
                voice.mel.ncols()
            )));
        }
        Ok(())
    }
}

impl Model for Vocoder {
    type Input = Decode;
    type Output = Vec<f32>;
    type Error = RunError;
    type Key = ();

    fn key(_decode: &Decode) {}

    fn run(&mut self, batch: &[Decode]) -> Result<Vec<Vec<f32>>, RunError> {
        for decode in batch {
            Vocoder::check(decode)?;
        }
        let lengths = |it: &Decode| (self.n_prompt(it), it.tokens.len());
        let alike = batch.iter().all(|it| lengths(it) == lengths(&batch[0]));
        if batch.len() == 1 || (self.together && alike) {
            return self.call(&batch.iter().collect::<Vec<_>>());
        }
        let mut outputs = Vec::with_capacity(batch.len());
        for decode in batch {
            outputs.extend(self.call(&[decode])?);
        }
        Ok(outputs)
    }

    fn self_test(&mut self) -> Result<(), RunError> {
        self.call(&[&trial()]).map(|_| ())
    }
}

/// A voice of nothing, and a few tokens.
fn trial() -> Decode {
    let n_prompt = 25;
    let voice = Conditioning {
        prefix: ndarray::Array2::zeros((0, 0)),
        prompt_tokens: vec![i64::from(super::SILENCE); n_prompt],
        speaker: vec![0.1; SPEAKER_WIDTH],
        mel: ndarray::Array2::from_elem((n_prompt * FRAMES_PER_TOKEN, MEL_BINS), -5.0),
    };
    Decode {
        tokens: vec![i64::from(super::SILENCE); 10],
        voice: Arc::new(voice),
    }
}

/// At least one: no decoder was made for none.
fn prompt_tokens(seconds: f32) -> usize {
    let wanted = Duration::try_from_secs_f32(seconds)
        .unwrap_or_default()
        .as_millis();
    usize::try_from(wanted / PROMPT_TOKEN_MS)
        .unwrap_or(usize::MAX)
        .max(1)
}
