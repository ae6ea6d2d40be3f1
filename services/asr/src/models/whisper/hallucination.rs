//! Text invented over silence: how it is told from speech, and where to listen instead.
//!
//! Invariants:
//! - Only pieces with words can be judged; a piece without words is never suspect.

use super::{
    timestamps::{frames_to_s, s_to_frames},
    words::TimedPiece,
};

/// Marks that are words of their own only because nothing clung to them.
const MARKS: &str = "\"'“¿([{-\"'.。,，!！?？:：”)]}、";

/// The window that the pieces were heard in, in frames.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    pub seek: usize,
    pub n_frames: usize,
    /// Frames of the whole clip.
    pub clip_frames: usize,
    /// Where the last word before this window ended.
    pub last_speech_s: f64,
}

/// What to do with a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Nothing suspect.
    Keep,
    /// Forget the whole window and listen again from this frame.
    Again { seek: usize },
    /// Keep this many pieces and listen again from this frame.
    Cut { n_kept: usize, seek: usize },
}

/// Looks for invented text beside silences longer than `threshold_s`.
pub fn find(pieces: &[TimedPiece], heard: Heard, threshold_s: f64) -> Finding {
    let offset = frames_to_s(heard.seek);
    if let Some(first) = first_with_words(pieces)
        && is_suspect(first)
    {
        let gap = first.piece.start - offset;
        if threshold_s < gap {
            return Finding::Again {
                seek: heard.seek + s_to_frames(gap),
            };
        }
    }
    let window_end = frames_to_s(heard.seek + super::timestamps::MAX_FRAMES);
    let mut last_end = heard.last_speech_s;
    for (piece_idx, piece) in pieces.iter().enumerate() {
        if piece.words.is_empty() {
            continue;
        }
        let (start, end) = (piece.piece.start, piece.piece.end);
        if is_suspect(piece) {
            let next = first_with_words(&pieces[piece_idx + 1..]);
            let next_start = next
                .and_then(|it| it.words.first())
                .map_or(offset + frames_to_s(heard.n_frames), |it| it.start);
            let is_silent_before =
                threshold_s < start - last_end || start < threshold_s || start - offset < 2.0;
            let is_silent_after = threshold_s < next_start - end
                || next.is_some_and(is_suspect)
                || window_end - end < 2.0;
            if is_silent_before && is_silent_after {
                let is_near_end = frames_to_s(heard.clip_frames) - end < threshold_s;
                return Finding::Cut {
                    n_kept: piece_idx,
                    seek: if is_near_end {
                        heard.clip_frames
                    } else {
                        s_to_frames((offset + 1.0).max(start))
                    },
                };
            }
        }
        last_end = end;
    }
    Finding::Keep
}

fn first_with_words(pieces: &[TimedPiece]) -> Option<&TimedPiece> {
    pieces.iter().find(|it| !it.words.is_empty())
}

/// Whether the first eight words are, taken together, too long, too short or too unlikely.
fn is_suspect(piece: &TimedPiece) -> bool {
    if piece.words.is_empty() {
        return false;
    }
    let words = piece
        .words
        .iter()
        .filter(|it| !MARKS.contains(&it.word))
        .take(8);
    let (mut n_words, mut score) = (0, 0.0);
    for word in words {
        let duration = word.end - word.start;
        n_words += 1;
        score += if word.probability < 0.15 { 1.0 } else { 0.0 };
        score += (0.133 - duration).max(0.0) * 15.0;
        score += (duration - 2.0).max(0.0);
    }
    3.0 <= score || f64::from(n_words) <= score + 0.01
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::whisper::{timestamps::Piece, words::TimedWord};

    /// `sure` words are of usual length and likely; others are unlikely.
    fn piece(start: f64, end: f64, sure: bool) -> TimedPiece {
        let word = |start: f64, end: f64| TimedWord {
            word: " word".to_owned(),
            start,
            end,
            probability: if sure { 0.9 } else { 0.05 },
        };
        let middle = f64::midpoint(start, end);
        TimedPiece {
            piece: Piece {
                start,
                end,
                tokens: Vec::new(),
            },
            words: vec![word(start, middle), word(middle, end)],
        }
    }

    const HEARD: Heard = Heard {
        seek: 1000,
        n_frames: 3000,
        clip_frames: 9000,
        last_speech_s: 9.0,
    };

    #[test]
    fn speech_is_kept() {
        assert_eq!(
            find(
                &[piece(10.5, 11.5, true), piece(11.5, 12.5, true)],
                HEARD,
                2.0
            ),
            Finding::Keep
        );
        assert_eq!(find(&[], HEARD, 2.0), Finding::Keep);
    }

    #[test]
    fn silence_before_an_invention_is_skipped() {
        assert_eq!(
            find(&[piece(15.0, 16.0, false)], HEARD, 2.0),
            Finding::Again { seek: 1500 }
        );
        assert_eq!(find(&[piece(15.0, 16.0, true)], HEARD, 2.0), Finding::Keep);
    }

    #[test]
    fn an_invention_between_silences_is_cut() {
        let pieces = [
            piece(10.5, 11.5, true),
            piece(20.0, 21.0, false),
            piece(30.0, 31.0, true),
        ];
        assert_eq!(
            find(&pieces, HEARD, 2.0),
            Finding::Cut {
                n_kept: 1,
                seek: 2000
            }
        );
        let close = [
            piece(10.5, 11.5, true),
            piece(12.5, 13.5, false),
            piece(14.0, 15.0, true),
        ];
        assert_eq!(find(&close, HEARD, 2.0), Finding::Keep);
    }

    #[test]
    fn an_invention_at_the_clips_end_ends_it() {
        let heard = Heard {
            clip_frames: 2200,
            ..HEARD
        };
        let pieces = [piece(10.5, 11.5, true), piece(20.0, 21.0, false)];
        assert_eq!(
            find(&pieces, heard, 2.0),
            Finding::Cut {
                n_kept: 1,
                seek: 2200
            }
        );
    }
}
