//! A window's tokens, cut into pieces at the timestamps among them.
//!
//! Invariants:
//! - A timestamp token is 20 ms, a frame is 10 ms, and both count from the window's start.
//! - Two timestamps in a row end one piece and begin the next.

/// Frames of one second.
pub const FRAMES_PER_S: f64 = 100.0;
/// Seconds of one frame.
pub const FRAME_S: f64 = 0.01;
/// Frames that the encoder hears at once.
pub const MAX_FRAMES: usize = 3000;
/// Seconds from one timestamp token to the next.
pub const TIMESTAMP_S: f64 = 0.02;

/// A piece of a window's text, not yet a segment: it may be blank, and its words come later.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    pub start: f64,
    pub end: f64,
    pub tokens: Vec<u32>,
}

/// A window's pieces and where to listen next.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    pub pieces: Vec<Piece>,
    /// First frame of the next window.
    pub seek: usize,
    /// The window ended with one timestamp: nothing was said after it.
    pub is_complete: bool,
}

/// Cuts `tokens`, heard in the `n_frames` frames from `seek` on.
pub fn split(tokens: &[u32], timestamp_begin: u32, seek: usize, n_frames: usize) -> Split {
    let is_timestamp = |token: u32| timestamp_begin <= token;
    let offset = frames_to_s(seek);
    // Text before the first timestamp gives a start before the window. So does the reference.
    let time = |token: u32| offset + (f64::from(token) - f64::from(timestamp_begin)) * TIMESTAMP_S;
    let is_complete =
        matches!(tokens, [.., text, last] if !is_timestamp(*text) && is_timestamp(*last));

    let mut cuts: Vec<usize> = (1..tokens.len())
        .filter(|at| is_timestamp(tokens[*at]) && is_timestamp(tokens[*at - 1]))
        .collect();
    if cuts.is_empty() {
        let last = tokens.iter().rev().find(|it| is_timestamp(**it));
        let duration = match last {
            Some(last) if *last != timestamp_begin => {
                f64::from(last - timestamp_begin) * TIMESTAMP_S
            }
            _ => frames_to_s(n_frames),
        };
        let piece = Piece {
            start: offset,
            end: offset + duration,
            tokens: tokens.to_vec(),
        };
        return Split {
            pieces: vec![piece],
            seek: seek + n_frames,
            is_complete,
        };
    }
    if is_complete {
        cuts.push(tokens.len());
    }
    let mut pieces = Vec::with_capacity(cuts.len());
    let mut from = 0;
    for cut in cuts {
        let tokens = &tokens[from..cut];
        if let [first, ..] = tokens
            && let [.., last] = tokens
        {
            pieces.push(Piece {
                start: time(*first),
                end: time(*last),
                tokens: tokens.to_vec(),
            });
        }
        from = cut;
    }
    // What follows the last pair was not finished: it is heard again from there.
    let seek = if is_complete {
        seek + n_frames
    } else {
        seek + 2 * usize::try_from(tokens[from - 1] - timestamp_begin).unwrap_or(0)
    };
    Split {
        pieces,
        seek,
        is_complete,
    }
}

/// The time at which a frame begins.
pub fn frames_to_s(n_frames: usize) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a frame count is far below 2^52"
    )]
    let n_frames = n_frames as f64;
    n_frames * FRAME_S
}

/// The frame nearest to a time; half a frame goes to the even one. Times before 0 give 0.
pub fn s_to_frames(seconds: f64) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates, and a frame count is far below 2^52"
    )]
    let n_frames = (seconds * FRAMES_PER_S).round_ties_even() as usize;
    n_frames
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: u32 = 1000;

    /// `words` are numbers (a timestamp in 20 ms steps) or anything else (text).
    fn check(words: &str, seek: usize, n_frames: usize) -> String {
        let tokens: Vec<u32> = words
            .split_whitespace()
            .map(|it| it.parse::<u32>().map_or(7, |n| T0 + n))
            .collect();
        let split = split(&tokens, T0, seek, n_frames);
        let pieces: Vec<String> = split
            .pieces
            .iter()
            .map(|it| format!("{:.2}-{:.2}:{}", it.start, it.end, it.tokens.len()))
            .collect();
        format!(
            "{} seek {} {}",
            pieces.join(" "),
            split.seek,
            split.is_complete
        )
    }

    #[test]
    fn a_pair_of_timestamps_parts_two_pieces() {
        assert_eq!(
            check("0 a b 100 100 c 150", 0, 400),
            "0.00-2.00:4 2.00-3.00:3 seek 400 true"
        );
    }

    #[test]
    fn an_unfinished_piece_is_left_for_the_next_window() {
        assert_eq!(
            check("0 a b 100 100 c d", 3000, 3000),
            "30.00-32.00:4 seek 3200 false"
        );
        assert_eq!(
            check("0 a b 100 100", 3000, 3000),
            "30.00-32.00:4 seek 3200 false"
        );
    }

    #[test]
    fn without_a_pair_the_last_timestamp_ends_the_piece() {
        assert_eq!(check("0 a b 75", 100, 300), "1.00-2.50:4 seek 400 true");
        assert_eq!(check("0 a b", 100, 300), "1.00-4.00:3 seek 400 false");
        assert_eq!(check("a b", 100, 300), "1.00-4.00:2 seek 400 false");
        assert_eq!(check("", 100, 300), "1.00-4.00:0 seek 400 false");
    }

    #[test]
    fn text_before_the_first_timestamp_counts_back_from_it() {
        assert_eq!(
            check("a 50 50 b 60", 3000, 100),
            "10.14-31.00:2 31.00-31.20:3 seek 3100 true"
        );
    }

    #[test]
    fn times_round_to_even_frames() {
        assert_eq!(s_to_frames(0.125), 12);
        assert_eq!(s_to_frames(0.135), 14);
        assert_eq!(s_to_frames(-1.0), 0);
    }
}
