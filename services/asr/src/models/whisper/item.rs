//! What a job asks of Whisper, and what it gets.
//!
//! Invariants:
//! - Inputs may share a call only if their keys are equal, and the key holds everything that CTranslate2 takes once
//!   for a whole call or wants alike in it: the encoder's width, the place of `<|startoftranscript|>`, the number of
//!   task tokens, and every decoding option. Languages, tasks and forced prefixes may differ.
//! - A window that is sampled goes alone: its samples fill a call, and its encoding can be kept for the next attempt.

use std::{fmt, sync::Arc};

use audio::mel::Features;
use ct2rs::sys::StorageView;

use super::{
    fallback::{Metrics, Thresholds, Verdict},
    prompt::{Prompt, Task},
    timestamps::{self, MAX_FRAMES},
    tokenizer::Tokenizer,
    words::{self, Alignment},
};

/// Frames added to a clip before its width is chosen, so that the last word is not at the edge.
const MARGIN_FRAMES: usize = 20;
/// Encoder widths for windows shorter than 30 s. Few, so that windows of different lengths share calls; close enough
/// that a window is padded by a third at most.
///
/// No width may be twice a number of mel bands (160, 256): CTranslate2 tells features from encoder output by that.
const WIDTHS: [usize; 11] = [
    200, 300, 400, 500, 600, 800, 1000, 1300, 1700, 2200, MAX_FRAMES,
];

/// Part of a clip's features, as the encoder gets it.
#[derive(Clone, Debug)]
pub struct WindowFrames {
    pub features: Arc<Features>,
    /// First frame.
    pub seek: usize,
    /// Frames of the clip; what is missing to `width` is filled with zeros.
    pub n_frames: usize,
    /// Frames the encoder hears.
    pub width: usize,
    /// What the encoder made of it, if an earlier call kept that.
    pub encoded: Option<Encoded>,
}

/// What the encoder made of one window. Clones share it.
#[derive(Clone)]
pub struct Encoded(Arc<StorageView<'static>>);

impl Encoded {
    pub(super) fn new(view: StorageView<'static>) -> Encoded {
        Encoded(Arc::new(view))
    }

    pub(super) fn view(&self) -> &StorageView<'static> {
        &self.0
    }
}

impl fmt::Debug for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Encoded")
    }
}

impl PartialEq for Encoded {
    /// Whether they are the same; two encodings of one window may differ in their last bits.
    fn eq(&self, other: &Encoded) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl WindowFrames {
    /// The text tokens of the pieces that `tokens` make in this window, which are what is aligned.
    pub(crate) fn text_tokens(&self, tokenizer: &Tokenizer, tokens: &[u32]) -> Vec<u32> {
        let split = timestamps::split(
            tokens,
            tokenizer.timestamp_begin(),
            self.seek,
            self.n_frames,
        );
        words::text_tokens(&split.pieces, tokenizer.special().eot)
    }
}

/// The encoder width for a clip of so many frames, if it need not be 30 s.
pub fn own_width(n_frames: usize) -> usize {
    WIDTHS
        .into_iter()
        .find(|width| n_frames + MARGIN_FRAMES <= *width)
        .unwrap_or(MAX_FRAMES)
}

/// Options that a whole call shares.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoding {
    pub beam_size: usize,
    pub n_hypotheses: usize,
    pub patience: f32,
    pub length_penalty: f32,
    pub repetition_penalty: f32,
    pub no_repeat_ngram_size: usize,
    /// 0 is beam search; above, samples are drawn.
    pub temperature: f32,
    pub max_length: usize,
    pub max_initial_timestamp_idx: usize,
    pub suppress_blank: bool,
    pub suppress_tokens: Arc<[i32]>,
}

/// One attempt at a window's text.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub prompt: Prompt,
    pub decoding: Decoding,
    pub thresholds: Thresholds,
    /// Place the words too, if the attempt is accepted.
    pub words: bool,
}

/// Places the words of a text that is already there.
#[derive(Clone, Debug)]
pub struct Placement {
    /// Code's token; `None` for a model with one language.
    pub language: Option<u32>,
    pub task: Task,
    pub text: Vec<u32>,
}

/// What is asked about a window.
#[derive(Clone, Debug)]
pub enum Work {
    Attempt(Attempt),
    Placement(Placement),
    Languages,
}

/// One job.
#[derive(Clone, Debug)]
pub struct Input {
    pub window: WindowFrames,
    pub work: Work,
}

/// A window that shares no call, by where its features are and where it begins in them.
type Alone = (usize, usize);

/// What must be equal in a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Key {
    Attempt {
        width: usize,
        sot_idx: usize,
        n_task_tokens: usize,
        decoding: Box<Decoding>,
        alone: Option<Alone>,
    },
    Placement {
        width: usize,
        alone: Option<Alone>,
    },
    Languages {
        width: usize,
    },
}

impl Input {
    pub(crate) fn key(&self) -> Key {
        let width = self.window.width;
        let is_encoded = self.window.encoded.is_some();
        let identity = || {
            let features = Arc::as_ptr(&self.window.features).addr();
            (features, self.window.seek)
        };
        match &self.work {
            Work::Attempt(attempt) => Key::Attempt {
                width,
                sot_idx: attempt.prompt.sot_idx,
                n_task_tokens: attempt.prompt.n_task_tokens,
                decoding: Box::new(attempt.decoding.clone()),
                alone: (0.0 < attempt.decoding.temperature || is_encoded).then(identity),
            },
            Work::Placement(_) => Key::Placement {
                width,
                alone: is_encoded.then(identity),
            },
            Work::Languages => Key::Languages { width },
        }
    }
}

/// What an attempt came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// Text and timestamps, forced prefix included, without the end of text.
    pub tokens: Vec<u32>,
    pub metrics: Metrics,
    pub verdict: Verdict,
}

/// One answer. What was not asked for is empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Heard {
    pub written: Option<Written>,
    /// Language tokens with their probabilities, the likeliest first.
    pub languages: Vec<(u32, f32)>,
    /// Where the text tokens of the window's pieces are in time.
    pub alignment: Option<Alignment>,
    /// For the next attempt, if there must be one and the window was alone in its call.
    pub encoded: Option<Encoded>,
}

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    #[error("CTranslate2 failed: {cause}")]
    Engine { cause: Arc<str> },
    #[error("the model answered {given} of {expected} windows")]
    Miscounted { given: usize, expected: usize },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_grow_slowly_and_are_never_taken_for_encoder_output() {
        for (narrow, wide) in WIDTHS.iter().zip(&WIDTHS[1..]) {
            assert!(
                narrow < wide && wide * 2 <= narrow * 3,
                "{narrow} to {wide}"
            );
        }
        for n_mels in [80, 128] {
            assert!(!WIDTHS.contains(&(2 * n_mels)));
        }
    }

    #[test]
    fn a_clip_fits_its_width() {
        assert_eq!(own_width(0), 200);
        assert_eq!(own_width(180), 200);
        assert_eq!(own_width(181), 300);
        assert_eq!(own_width(2990), MAX_FRAMES);
        assert_eq!(own_width(MAX_FRAMES), MAX_FRAMES);
    }
}
