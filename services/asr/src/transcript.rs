//! What was said: segments and words with their times.
//!
//! Invariants:
//! - Times are seconds from the first sample of the clip.
//! - Plain values: nothing here awaits, and nothing here is serialised (the dialects do that).

/// One word as the recogniser spells it.
#[derive(Clone, Debug, PartialEq)]
pub struct Word {
    /// The word with the punctuation that clings to it, and with its leading space where it has one.
    pub word: String,
    pub start: f64,
    pub end: f64,
    /// Mean probability of the word's tokens, in [0, 1].
    pub probability: f32,
}

/// A piece of transcript between two timestamps.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// Counts from 1 within the transcript.
    pub id: usize,
    /// First frame (10 ms each) of the window this segment was heard in.
    pub seek: usize,
    pub start: f64,
    pub end: f64,
    pub text: String,
    /// Whisper's tokens, timestamps included.
    pub tokens: Vec<u32>,
    /// Mean log-probability of the window's tokens.
    pub avg_logprob: f32,
    /// Bytes of the window's text over its zlib size: above about 2.4 the text repeats itself.
    pub compression_ratio: f32,
    /// Probability that the window held no speech, in [0, 1].
    pub no_speech_prob: f32,
    /// Temperature of the attempt that was taken (the last one tried if all were poor).
    pub temperature: f32,
    /// Present if words were asked for and the model can place them.
    pub words: Option<Vec<Word>>,
}

/// The answer for one clip.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transcript {
    pub segments: Vec<Segment>,
    /// ISO 639-1 code (or Whisper's own three-letter code).
    pub language: String,
    /// 1 if the caller named the language or the model knows only one.
    pub language_probability: f32,
    /// Length of the clip.
    pub duration_s: f64,
    /// Windows decoded more than once because the first attempt looked wrong.
    pub n_fallback_windows: usize,
    /// Windows skipped because the model heard no speech in them.
    pub n_silent_windows: usize,
}

impl Transcript {
    /// The whole text, without the space that Whisper puts in front of the first word.
    pub fn text(&self) -> String {
        let text: String = self.segments.iter().map(|it| it.text.as_str()).collect();
        text.trim().to_owned()
    }
}
