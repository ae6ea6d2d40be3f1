//! What a voice is to the models: the four tensors that the speech encoder makes of reference audio.
//!
//! Source of names and shapes: the published Chatterbox ONNX graphs.

use ndarray::Array2;

/// The only rate inside this service.
pub const SAMPLE_RATE_HZ: u32 = 24_000;
/// One speech token lasts 40 ms.
pub const SAMPLES_PER_TOKEN: usize = 960;
/// Mel frames for each speech token of a prompt.
pub const FRAMES_PER_TOKEN: usize = 2;
/// Width of a speaker embedding.
pub const SPEAKER_WIDTH: usize = 192;
/// Mel bins of the speaker features.
pub const MEL_BINS: usize = 80;

/// Everything the models know of a voice. Made once from reference audio, then shared.
#[derive(Clone, Debug, PartialEq)]
pub struct Conditioning {
    /// `audio_features`, `[rows, hidden]`: goes in front of the text.
    pub prefix: Array2<f32>,
    /// `audio_tokens`: the decoder's prompt.
    pub prompt_tokens: Vec<i64>,
    /// `speaker_embeddings`, [`SPEAKER_WIDTH`] values.
    pub speaker: Vec<f32>,
    /// `speaker_features`, `[FRAMES_PER_TOKEN * prompt_tokens.len(), MEL_BINS]`.
    pub mel: Array2<f32>,
}
