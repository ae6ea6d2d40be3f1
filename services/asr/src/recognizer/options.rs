//! What a caller may ask of a transcription.

use std::time::Instant;

use batcher::StreamId;

pub use crate::models::whisper::prompt::Task;

/// How much of the encoder's 30 s window is used for a clip that is shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// Always 30 s, as Whisper was trained.
    Full,
    /// The clip's own length and a little more. Many times cheaper; only for models trained for it, and for drafts.
    OwnLength,
}

/// Options of one transcription. The names and the defaults are those of faster-whisper's sequential mode.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one switch for each of the reference's switches"
)]
pub struct Options {
    /// Code such as `en`; `None` detects it from the first window.
    pub language: Option<String>,
    /// Detect the language of every window anew.
    pub multilingual: bool,
    pub task: Task,
    /// Text that comes before the clip, as context for its first windows.
    pub prompt: Option<String>,
    /// Words to expect, given to every window. Without effect beside `prefix`.
    pub hotwords: Option<String>,
    /// Text that the first window must begin with.
    pub prefix: Option<String>,
    /// Hypotheses kept at temperature 0; 1 is greedy. At least 1.
    pub beam_size: usize,
    /// Samples drawn at temperatures above 0. At least 1.
    pub best_of: usize,
    pub patience: f32,
    pub length_penalty: f32,
    /// Above 1, tokens already written become less likely.
    pub repetition_penalty: f32,
    /// Forbid any repeated run of this many tokens; 0 allows all.
    pub no_repeat_ngram_size: usize,
    /// Tried in order until an attempt passes the thresholds below. Not empty.
    pub temperatures: Vec<f32>,
    /// An attempt whose text compresses better than this is repetitive and fails.
    pub compression_ratio_threshold: Option<f64>,
    /// An attempt with a lower mean log-probability fails.
    pub log_prob_threshold: Option<f64>,
    /// A window above this is silence, unless its log-probability passes.
    pub no_speech_threshold: Option<f64>,
    /// Give each window the text before it.
    pub condition_on_previous_text: bool,
    /// Forget that text after a window that needed a higher temperature than this.
    pub prompt_reset_on_temperature: f32,
    pub suppress_blank: bool,
    /// Tokens never written; -1 stands for Whisper's own list of symbols that are not speech.
    pub suppress_tokens: Vec<i32>,
    pub without_timestamps: bool,
    /// The first timestamp of a window is not later than this. Seconds.
    pub max_initial_timestamp: f64,
    pub word_timestamps: bool,
    /// Punctuation that belongs to the word after it.
    pub prepend_punctuations: String,
    /// Punctuation that belongs to the word before it.
    pub append_punctuations: String,
    /// New tokens per window at most; `None` leaves it to the model (224).
    pub max_new_tokens: Option<usize>,
    /// With words: skip silences longer than this where the text around them looks invented. Seconds.
    pub hallucination_silence_threshold: Option<f64>,
    /// Windows to listen to before the language is settled by vote. At least 1.
    pub language_detection_segments: usize,
    /// A window whose best language is more probable than this settles it alone.
    pub language_detection_threshold: f32,
    /// Ask for the language in the call that decodes the first window, which saves a call and an encoding. The
    /// reference asks about a window that is 10 ms longer where the clip is shorter than 30 s; the difference is heard
    /// only by a model that is unsure. Drafts always do.
    pub language_with_first_window: bool,
    pub window: Window,
    /// No time after the end of the clip. The reference lets timestamps overshoot by up to a window.
    pub clip_to_duration: bool,
    /// A quick look at unfinished speech: greedy, no timestamps, no second attempt, few tokens.
    /// Overrules `beam_size`, `temperatures`, `without_timestamps`, `word_timestamps` and `max_new_tokens`.
    pub draft: bool,
    /// Work nobody waits for any more at this time is not begun.
    pub deadline: Option<Instant>,
    /// This job takes the place of a waiting one with the same id.
    pub replaces: Option<StreamId>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            language: None,
            multilingual: false,
            task: Task::Transcribe,
            prompt: None,
            hotwords: None,
            prefix: None,
            beam_size: 5,
            best_of: 5,
            patience: 1.0,
            length_penalty: 1.0,
            repetition_penalty: 1.0,
            no_repeat_ngram_size: 0,
            temperatures: vec![0.0, 0.2, 0.4, 0.6, 0.8, 1.0],
            compression_ratio_threshold: Some(2.4),
            log_prob_threshold: Some(-1.0),
            no_speech_threshold: Some(0.6),
            condition_on_previous_text: true,
            prompt_reset_on_temperature: 0.5,
            suppress_blank: true,
            suppress_tokens: vec![-1],
            without_timestamps: false,
            max_initial_timestamp: 1.0,
            word_timestamps: false,
            prepend_punctuations: "\"'“¿([{-".to_owned(),
            append_punctuations: "\"'.。,，!！?？:：”)]}、".to_owned(),
            max_new_tokens: None,
            hallucination_silence_threshold: None,
            language_detection_segments: 1,
            language_detection_threshold: 0.5,
            language_with_first_window: false,
            window: Window::Full,
            clip_to_duration: true,
            draft: false,
            deadline: None,
            replaces: None,
        }
    }
}
