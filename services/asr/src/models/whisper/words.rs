//! When each word was spoken, from the cross-attention path that the model gives.
//!
//! The order of the corrections is part of the result: long words at sentence marks are cut before punctuation is
//! merged into its neighbours, and the ends of pieces are settled last, each in the light of the one before.
//!
//! Invariants:
//! - One path step is one encoder position: 20 ms.
//! - A word that was merged into another stays in the row with empty text, so that tokens can still be counted.

use super::{
    timestamps::{Piece, frames_to_s},
    tokenizer::{Tokenizer, strip},
};

/// Positions of the encoder's output in a second.
const POSITIONS_PER_S: f64 = 50.0;
/// A median word longer than this says that the path is no good, not that speech is slow. Seconds.
const MAX_MEDIAN_S: f64 = 0.7;
/// Marks that end a sentence; a pause may have been counted to them or to the word after.
const SENTENCE_END: &str = ".。!！?？";

/// The model's path through text and time, and how likely it found each token.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Alignment {
    /// Text position and encoder position, step by step.
    pub path: Vec<(i64, i64)>,
    /// One probability for each text token.
    pub token_probs: Vec<f32>,
}

/// A word and its time. Seconds from the clip's start once it is in a [`TimedPiece`].
#[derive(Clone, Debug, PartialEq)]
pub struct TimedWord {
    pub word: String,
    pub start: f64,
    pub end: f64,
    pub probability: f64,
}

impl TimedWord {
    fn duration(&self) -> f64 {
        self.end - self.start
    }
}

/// A piece with its words. Without words its times are those of its timestamps.
#[derive(Clone, Debug, PartialEq)]
pub struct TimedPiece {
    pub piece: Piece,
    pub words: Vec<TimedWord>,
}

/// Punctuation that belongs to the word after it, and to the word before it.
#[derive(Clone, Copy, Debug)]
pub struct Punctuation<'a> {
    pub prepend: &'a str,
    pub append: &'a str,
}

/// What the words of a window are found with.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    pub tokenizer: &'a Tokenizer,
    /// Code of the window's language.
    pub language: &'a str,
    pub punctuation: Punctuation<'a>,
}

/// A word within its window: seconds from the window's start.
#[derive(Clone, Debug)]
struct Placed {
    word: TimedWord,
    n_tokens: usize,
}

/// How long words of this window usually are, and may be.
#[derive(Clone, Copy, Debug)]
struct Durations {
    median: f64,
    max: f64,
}

/// Gives the pieces of the window that begins at frame `seek` their words, and moves their ends to them.
///
/// `last_speech_s` is where the last word before this window ended.
pub fn add_words(
    rules: &Rules<'_>,
    pieces: Vec<Piece>,
    alignment: &Alignment,
    seek: usize,
    last_speech_s: f64,
) -> Vec<TimedPiece> {
    let eot = rules.tokenizer.special().eot;
    let text: Vec<u32> = text_tokens(&pieces, eot);
    let mut placed = place(rules, &text, alignment);
    let durations = durations(&placed);
    if let Some(durations) = durations {
        shorten_at_sentence_ends(&mut placed, durations.max);
    }
    let durations = durations.unwrap_or(Durations {
        median: 0.0,
        max: 0.0,
    });
    merge_punctuation(&mut placed, rules.punctuation);

    let offset = frames_to_s(seek);
    let mut placed = placed.into_iter().peekable();
    let mut last_speech_s = last_speech_s;
    let mut timed = Vec::with_capacity(pieces.len());
    for mut piece in pieces {
        let n_text = piece.tokens.iter().filter(|it| **it < eot).count();
        let mut n_taken = 0;
        let mut words = Vec::new();
        while n_taken < n_text
            && let Some(next) = placed.next()
        {
            n_taken += next.n_tokens;
            if !next.word.word.is_empty() {
                words.push(TimedWord {
                    start: round_to_frame(offset + next.word.start),
                    end: round_to_frame(offset + next.word.end),
                    ..next.word
                });
            }
        }
        settle_ends(&mut piece, &mut words, durations, last_speech_s);
        if !words.is_empty() {
            last_speech_s = piece.end;
        }
        timed.push(TimedPiece { piece, words });
    }
    timed
}

/// The text tokens of all pieces, as the model is asked to align them.
pub fn text_tokens(pieces: &[Piece], eot: u32) -> Vec<u32> {
    pieces
        .iter()
        .flat_map(|it| &it.tokens)
        .copied()
        .filter(|it| *it < eot)
        .collect()
}

fn place(rules: &Rules<'_>, text: &[u32], alignment: &Alignment) -> Vec<Placed> {
    let mut with_end = text.to_vec();
    with_end.push(rules.tokenizer.special().eot);
    let mut words = rules.tokenizer.split_to_words(&with_end, rules.language);
    // The last one holds the end of text. (It also swallows a character that was left unfinished.)
    words.pop();
    let first_times = first_times(&alignment.path);
    if first_times.is_empty() {
        return Vec::new();
    }
    let time = |token_idx: usize| {
        let known = token_idx.min(first_times.len() - 1);
        first_times[known]
    };
    let mut placed = Vec::with_capacity(words.len());
    let mut from = 0;
    for word in words {
        let to = from + word.tokens.len();
        let probs = alignment.token_probs.get(from..to).unwrap_or_default();
        placed.push(Placed {
            word: TimedWord {
                word: word.word,
                start: time(from),
                end: time(to),
                probability: mean(probs),
            },
            n_tokens: word.tokens.len(),
        });
        from = to;
    }
    placed
}

/// For each text token, the time at which the path first reaches it.
fn first_times(path: &[(i64, i64)]) -> Vec<f64> {
    let mut times = Vec::new();
    let mut previous = None;
    for (token, position) in path {
        if previous != Some(token) {
            let position = u32::try_from(*position).unwrap_or(0);
            times.push(f64::from(position) / POSITIONS_PER_S);
        }
        previous = Some(token);
    }
    times
}

fn durations(placed: &[Placed]) -> Option<Durations> {
    let mut lengths: Vec<f64> = placed
        .iter()
        .map(|it| it.word.duration())
        .filter(|it| it.abs() > 0.0)
        .collect();
    lengths.sort_by(f64::total_cmp);
    let n = lengths.len();
    let middle = lengths.get(n / 2)?;
    let median = if n % 2 == 1 {
        *middle
    } else {
        f64::midpoint(lengths[n / 2 - 1], *middle)
    };
    let median = median.min(MAX_MEDIAN_S);
    Some(Durations {
        median,
        max: median * 2.0,
    })
}

/// A pause at a sentence mark is counted to the mark or to the word after it: cut the one it was counted to.
fn shorten_at_sentence_ends(placed: &mut [Placed], max: f64) {
    for i in 1..placed.len() {
        if placed[i].word.duration() <= max {
            continue;
        }
        if SENTENCE_END.contains(&placed[i].word.word) {
            placed[i].word.end = placed[i].word.start + max;
        } else if SENTENCE_END.contains(&placed[i - 1].word.word) {
            placed[i].word.start = placed[i].word.end - max;
        }
    }
}

fn merge_punctuation(placed: &mut [Placed], punctuation: Punctuation<'_>) {
    // From the end, so that several marks in a row reach the word after the last of them.
    let mut following = placed.len().saturating_sub(1);
    for i in (0..following).rev() {
        let word = &placed[i].word.word;
        if word.starts_with(' ') && punctuation.prepend.contains(strip(word)) {
            let (word, n_tokens) = take(&mut placed[i]);
            placed[following].word.word.insert_str(0, &word);
            placed[following].n_tokens += n_tokens;
        } else {
            following = i;
        }
    }
    let mut previous = 0;
    for j in 1..placed.len() {
        if !placed[previous].word.word.ends_with(' ')
            && punctuation.append.contains(&placed[j].word.word)
        {
            let (word, n_tokens) = take(&mut placed[j]);
            placed[previous].word.word.push_str(&word);
            placed[previous].n_tokens += n_tokens;
        } else {
            previous = j;
        }
    }
}

fn take(placed: &mut Placed) -> (String, usize) {
    (
        std::mem::take(&mut placed.word.word),
        std::mem::take(&mut placed.n_tokens),
    )
}

/// A pause before a piece is often counted to its first word, and one after it to its last: cut those, and let words
/// and piece agree about where the piece begins and ends.
fn settle_ends(
    piece: &mut Piece,
    words: &mut [TimedWord],
    durations: Durations,
    last_speech_s: f64,
) {
    let Durations { median, max } = durations;
    let Some(first) = words.first() else {
        return;
    };
    let is_after_pause = first.end - last_speech_s > median * 4.0;
    let is_long = first.duration() > max
        || words
            .get(1)
            .is_some_and(|second| second.end - first.start > max * 2.0);
    if is_after_pause && is_long {
        if let [first, second, ..] = words
            && second.duration() > max
        {
            let boundary = (second.end / 2.0).max(second.end - max);
            first.end = boundary;
            second.start = boundary;
        }
        words[0].start = (words[0].end - max).max(0.0);
    }

    let first = &mut words[0];
    if piece.start < first.end && first.start < piece.start - 0.5 {
        first.start = (first.end - median).min(piece.start).max(0.0);
    } else {
        piece.start = first.start;
    }

    let Some(last) = words.last_mut() else {
        return;
    };
    if last.start < piece.end && piece.end + 0.5 < last.end {
        last.end = (last.start + median).max(piece.end);
    } else {
        piece.end = last.end;
    }
}

/// Where the last word ends, or the last piece if there are no words.
pub fn last_end(pieces: &[TimedPiece]) -> Option<f64> {
    let word = pieces.iter().rev().find_map(|it| it.words.last());
    word.map(|it| it.end)
        .or_else(|| pieces.last().map(|it| it.piece.end))
}

fn round_to_frame(seconds: f64) -> f64 {
    (seconds * 100.0).round_ties_even() / 100.0
}

fn mean(values: &[f32]) -> f64 {
    let n = u32::try_from(values.len()).unwrap_or(u32::MAX);
    values.iter().copied().map(f64::from).sum::<f64>() / f64::from(n.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(words: &[(&str, f64, f64)]) -> Vec<Placed> {
        let word = |(word, start, end): &(&str, f64, f64)| Placed {
            word: TimedWord {
                word: (*word).to_owned(),
                start: *start,
                end: *end,
                probability: 1.0,
            },
            n_tokens: 1,
        };
        words.iter().map(word).collect()
    }

    fn merged(words: &[&str]) -> Vec<String> {
        let punctuation = Punctuation {
            prepend: "\"'“¿([{-",
            append: "\"'.。,，!！?？:：”)]}、",
        };
        let words: Vec<(&str, f64, f64)> = words.iter().map(|it| (*it, 0.0, 1.0)).collect();
        let mut placed = placed(&words);
        merge_punctuation(&mut placed, punctuation);
        let n_tokens: usize = placed.iter().map(|it| it.n_tokens).sum();
        assert_eq!(n_tokens, words.len(), "no token may be lost");
        placed.into_iter().map(|it| it.word.word).collect()
    }

    #[test]
    fn punctuation_joins_its_neighbours() {
        assert_eq!(
            merged(&[" Hi", ",", " \"", "you", "\"", "."]),
            [" Hi,", "", "", " \"you\".", "", ""]
        );
        assert_eq!(merged(&[" (", " (", " a"]), ["", "", " ( ( a"]);
        assert_eq!(merged(&["."]), ["."]);
        assert_eq!(merged(&[]), [""; 0]);
    }

    #[test]
    fn a_pause_is_not_part_of_a_sentence_mark_or_the_word_after_it() {
        let mut words = placed(&[(" a", 0.0, 0.2), (".", 0.2, 3.0), (" b", 3.0, 3.2)]);
        shorten_at_sentence_ends(&mut words, 0.4);
        assert!((words[1].word.end - 0.6).abs() < 1e-9);
        let mut words = placed(&[(" a", 0.0, 0.2), (".", 0.2, 0.3), (" b", 0.3, 3.2)]);
        shorten_at_sentence_ends(&mut words, 0.4);
        assert!((words[2].word.start - 2.8).abs() < 1e-9);
    }

    /// The piece's ends and the words' ends, before and after they are settled, in seconds. Words of 0.5 s are usual.
    fn settled(piece: (f64, f64), words: &[(&str, f64, f64)], last_speech_s: f64) -> String {
        let mut piece = Piece {
            start: piece.0,
            end: piece.1,
            tokens: Vec::new(),
        };
        let mut words: Vec<TimedWord> = placed(words).into_iter().map(|it| it.word).collect();
        let usual = Durations {
            median: 0.5,
            max: 1.0,
        };
        settle_ends(&mut piece, &mut words, usual, last_speech_s);
        let words: Vec<String> = words
            .iter()
            .map(|it| format!("{:.2}-{:.2}", it.start, it.end))
            .collect();
        format!("{:.2}-{:.2}: {}", piece.start, piece.end, words.join(" "))
    }

    #[test]
    fn a_piece_takes_the_ends_of_its_words() {
        let words = [(" a", 10.0, 10.5), (" b", 10.5, 11.0)];
        assert_eq!(
            settled((9.8, 11.2), &words, 9.5),
            "10.00-11.00: 10.00-10.50 10.50-11.00"
        );
        assert_eq!(settled((9.8, 11.2), &[], 9.5), "9.80-11.20: ");
    }

    #[test]
    fn a_pause_is_not_part_of_the_first_word() {
        let words = [(" a", 10.0, 13.0), (" b", 13.0, 13.4)];
        assert_eq!(
            settled((12.2, 13.4), &words, 9.5),
            "12.00-13.40: 12.00-13.00 13.00-13.40"
        );
        let soon = "12.20-13.40: 12.20-13.00 13.00-13.40";
        assert_eq!(
            settled((12.2, 13.4), &words, 11.5),
            soon,
            "without a pause the timestamp decides"
        );
        let both_long = [(" a", 10.0, 13.0), (" b", 13.0, 18.0)];
        assert_eq!(
            settled((17.0, 18.0), &both_long, 2.0),
            "16.00-18.00: 16.00-17.00 17.00-18.00"
        );
    }

    #[test]
    fn a_pause_is_not_part_of_the_last_word() {
        let words = [(" a", 10.0, 10.5), (" b", 10.5, 14.0)];
        assert_eq!(
            settled((10.0, 12.0), &words, 9.5),
            "10.00-12.00: 10.00-10.50 10.50-12.00"
        );
        assert_eq!(
            settled((10.0, 10.6), &words, 9.5),
            "10.00-10.60: 10.00-10.50 10.50-11.00"
        );
        assert_eq!(
            settled((10.0, 13.6), &words, 9.5),
            "10.00-14.00: 10.00-10.50 10.50-14.00"
        );
    }

    #[test]
    fn each_token_gets_the_time_the_path_first_reaches_it() {
        let path = [(0, 0), (0, 1), (1, 2), (1, 3), (2, 3), (3, 9)];
        let expected = [0.0, 0.04, 0.06, 0.18];
        for (time, expected) in first_times(&path).iter().zip(expected) {
            assert!((time - expected).abs() < 1e-12);
        }
        assert_eq!(first_times(&[]), [0.0; 0]);
    }
}
