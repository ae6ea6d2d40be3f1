//! One clip, window after window: what to decode next, and what an answer means for what comes after it.
//!
//! Invariants:
//! - Pure. The recogniser awaits; this only counts and remembers.
//! - Every window moves on by at least one frame, whatever the model writes.
//! - The text that conditions a window is that of the segments which were kept, not of those which were dropped.

use std::sync::Arc;

use audio::mel::Features;

use super::options::{Options, Window};
use crate::{
    models::whisper::{
        fallback::Metrics,
        hallucination::{self, Finding},
        item::{WindowFrames, own_width},
        load::ModelCard,
        prompt::{Language, Parts, Prompt},
        timestamps::{self, MAX_FRAMES, Split, frames_to_s, s_to_frames},
        tokenizer::strip,
        words::{self, Alignment, Punctuation, Rules, TimedPiece},
    },
    transcript::{Segment, Word},
};

/// The attempt that was taken for a window.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub(crate) tokens: Vec<u32>,
    pub(crate) metrics: Metrics,
    /// The last temperature that was tried.
    pub(crate) temperature: f32,
    pub(crate) alignment: Option<Alignment>,
    /// Code of the window's language.
    pub(crate) language: &'static str,
}

/// Where in a clip we are, and what was said so far.
#[derive(Debug)]
pub(crate) struct Sequence<'a> {
    options: &'a Options,
    card: &'a ModelCard,
    features: Arc<Features>,
    /// Frames with sound in them; the features have one more.
    n_frames: usize,
    seek: usize,
    hotwords: Vec<u32>,
    prefix: Vec<u32>,
    /// Text before the next window.
    context: Vec<u32>,
    last_speech_s: f64,
    segments: Vec<Segment>,
    n_silent: usize,
}

impl<'a> Sequence<'a> {
    pub(crate) fn new(
        options: &'a Options,
        card: &'a ModelCard,
        features: Arc<Features>,
    ) -> Sequence<'a> {
        let encode = |text: &Option<String>| match text.as_deref().map(strip) {
            Some(text) if !text.is_empty() => card.tokenizer.encode(&format!(" {text}")),
            _ => Vec::new(),
        };
        Sequence {
            hotwords: encode(&options.hotwords),
            prefix: encode(&options.prefix),
            context: encode(&options.prompt),
            n_frames: features.n_frames().saturating_sub(1),
            options,
            card,
            features,
            seek: 0,
            last_speech_s: 0.0,
            segments: Vec::new(),
            n_silent: 0,
        }
    }

    /// The next window, or `None` at the clip's end.
    pub(crate) fn window(&self) -> Option<WindowFrames> {
        let n_left = self.n_frames.checked_sub(self.seek).filter(|it| 0 < *it)?;
        Some(self.frames(self.seek, n_left.min(MAX_FRAMES)))
    }

    /// Whether the first window may be asked for the clip's language when it is decoded.
    pub(crate) fn first_window_tells_language(&self) -> bool {
        let is_settled_by_one = self.options.language_detection_segments == 1;
        let is_shared = self.options.language_with_first_window || self.options.draft;
        is_settled_by_one && (is_shared || MAX_FRAMES <= self.n_frames)
    }

    /// A window whose language is asked for, the `window_idx`th of the clip. It has the last frame too.
    pub(crate) fn language_window(&self, window_idx: usize) -> Option<WindowFrames> {
        let seek = window_idx * MAX_FRAMES;
        let n_left = self
            .features
            .n_frames()
            .checked_sub(seek)
            .filter(|it| 0 < *it)?;
        Some(self.frames(seek, n_left.min(MAX_FRAMES)))
    }

    fn frames(&self, seek: usize, n_frames: usize) -> WindowFrames {
        WindowFrames {
            features: Arc::clone(&self.features),
            seek,
            n_frames,
            width: match self.options.window {
                Window::Full => MAX_FRAMES,
                Window::OwnLength => own_width(n_frames),
            },
            encoded: None,
        }
    }

    /// What the next window's decoding starts from.
    pub(crate) fn prompt(&self, language: Language) -> Prompt {
        let parts = Parts {
            hotwords: &self.hotwords,
            previous: &self.context,
            language,
            task: self.options.task,
            timestamps: !(self.options.without_timestamps || self.options.draft),
            prefix: if self.seek == 0 { &self.prefix } else { &[] },
        };
        Prompt::new(&self.card.tokenizer, &parts)
    }

    /// The window had nothing to hear.
    pub(crate) fn skip(&mut self, window: &WindowFrames) {
        self.seek += window.n_frames;
        self.n_silent += 1;
    }

    /// Takes a window's text.
    pub(crate) fn take(&mut self, window: &WindowFrames, taken: &Taken) {
        let split = timestamps::split(
            &taken.tokens,
            self.card.tokenizer.timestamp_begin(),
            window.seek,
            window.n_frames,
        );
        let Split {
            pieces,
            seek,
            is_complete,
        } = split;
        let mut seek = seek;
        let mut pieces: Vec<TimedPiece> = if self.wants_words() {
            let rules = Rules {
                tokenizer: &self.card.tokenizer,
                language: taken.language,
                punctuation: Punctuation {
                    prepend: &self.options.prepend_punctuations,
                    append: &self.options.append_punctuations,
                },
            };
            let nothing = Alignment::default();
            let alignment = taken.alignment.as_ref().unwrap_or(&nothing);
            words::add_words(&rules, pieces, alignment, window.seek, self.last_speech_s)
        } else {
            let timed = |piece| TimedPiece {
                piece,
                words: Vec::new(),
            };
            pieces.into_iter().map(timed).collect()
        };
        if self.wants_words() {
            if let Some(end) = words::last_end(&pieces)
                && !is_complete
                && frames_to_s(window.seek) < end
            {
                seek = s_to_frames(end);
            }
            match self.find_hallucination(&pieces, window) {
                Finding::Keep => {}
                Finding::Again { seek } => {
                    self.move_to(seek, window);
                    return;
                }
                Finding::Cut {
                    n_kept,
                    seek: cut_seek,
                } => {
                    pieces.truncate(n_kept);
                    seek = cut_seek;
                }
            }
            self.last_speech_s = words::last_end(&pieces).unwrap_or(self.last_speech_s);
        }
        for piece in pieces {
            self.push(piece, window, taken);
        }
        if !self.options.condition_on_previous_text
            || self.options.prompt_reset_on_temperature < taken.temperature
        {
            self.context.clear();
        }
        self.move_to(seek, window);
    }

    /// The segments, with the number of windows that were skipped.
    pub(crate) fn finish(mut self, duration_s: f64) -> (Vec<Segment>, usize) {
        if self.options.clip_to_duration {
            for segment in &mut self.segments {
                segment.start = segment.start.min(duration_s);
                segment.end = segment.end.min(duration_s);
                for word in segment.words.iter_mut().flatten() {
                    word.start = word.start.min(duration_s);
                    word.end = word.end.min(duration_s);
                }
            }
        }
        (self.segments, self.n_silent)
    }

    fn wants_words(&self) -> bool {
        self.options.word_timestamps && !self.options.draft && self.card.has_alignment_heads
    }

    fn find_hallucination(&self, pieces: &[TimedPiece], window: &WindowFrames) -> Finding {
        let Some(threshold_s) = self.options.hallucination_silence_threshold else {
            return Finding::Keep;
        };
        let heard = hallucination::Heard {
            seek: window.seek,
            n_frames: window.n_frames,
            clip_frames: self.n_frames,
            last_speech_s: self.last_speech_s,
        };
        hallucination::find(pieces, heard, threshold_s)
    }

    /// Where nothing was gained the reference would hear the same window for ever; we go on to the next.
    fn move_to(&mut self, seek: usize, window: &WindowFrames) {
        self.seek = if window.seek < seek {
            seek
        } else {
            window.seek + window.n_frames
        };
    }

    fn push(&mut self, timed: TimedPiece, window: &WindowFrames, taken: &Taken) {
        let TimedPiece { piece, words } = timed;
        let text = self.card.tokenizer.decode(&piece.tokens);
        let is_empty = (piece.end - piece.start).abs() <= 0.0;
        if is_empty || strip(&text).is_empty() {
            return;
        }
        self.context.extend_from_slice(&piece.tokens);
        let word = |it: words::TimedWord| Word {
            word: it.word,
            start: it.start,
            end: it.end,
            probability: narrow(it.probability),
        };
        self.segments.push(Segment {
            id: self.segments.len() + 1,
            seek: window.seek,
            start: piece.start,
            end: piece.end,
            text,
            tokens: piece.tokens,
            avg_logprob: narrow(taken.metrics.avg_logprob),
            compression_ratio: narrow(taken.metrics.compression_ratio),
            no_speech_prob: narrow(taken.metrics.no_speech_prob),
            temperature: taken.temperature,
            words: self
                .wants_words()
                .then(|| words.into_iter().map(word).collect()),
        });
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "for people to read; decisions are made on the f64"
)]
fn narrow(value: f64) -> f32 {
    value as f32
}
