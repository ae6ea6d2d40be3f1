//! How much is said in one go: fragments together, long sentences in parts, never more than a model can hold.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

use super::boundary::Ending;
use super::clean::{is_clause_mark, is_closer, is_terminator, length};
use super::language::Language;
use super::scan::Gap;
use super::{Limits, Pause, Sentence, SpokenWord};

/// A word as it is said, with its marks.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) spoken: String,
    pub(super) gap: Gap,
    pub(super) source: Range<usize>,
    pub(super) chars: Range<usize>,
    pub(super) speakable: bool,
    pub(super) ending: Ending,
}

/// Collects pieces until a sentence may be let go.
#[derive(Debug)]
pub(super) struct Packer {
    limits: Limits,
    /// The stop that a line without one gets.
    stop: char,
    /// Where the first clause may go already.
    pub(super) early_chars: Option<usize>,
    pieces: Vec<Piece>,
    n_chars: usize,
    /// Pieces with which something ends, at most: so that a long row without any is not searched again and again.
    n_endings: usize,
    pause: Pause,
    is_first: bool,
    done: Vec<Sentence>,
}

impl Packer {
    pub(super) fn new(limits: Limits, language: Language) -> Self {
        let stop = language.full_stop();
        Self {
            limits,
            stop,
            early_chars: None,
            pieces: Vec::new(),
            n_chars: 0,
            n_endings: 0,
            pause: Pause::None,
            is_first: true,
            done: Vec::new(),
        }
    }

    /// Sentences that are ready. Their `text` is still to be filled in.
    pub(super) fn take(&mut self) -> Vec<Sentence> {
        std::mem::take(&mut self.done)
    }

    /// Where the text begins that has not been let go.
    pub(super) fn start(&self) -> Option<usize> {
        self.pieces.first().map(|it| it.source.start)
    }

    /// Whether what was added last was a comma or the like: then the end of a line ends nothing.
    pub(super) fn ends_in_clause(&self) -> bool {
        self.pieces
            .last()
            .is_some_and(|it| it.ending == Ending::Clause)
    }

    /// `raw` is the piece as it was written.
    pub(super) fn add(&mut self, piece: Piece, raw: &str) {
        if length(&piece.spoken) <= self.limits.max_chars {
            self.add_whole(piece);
            return;
        }
        for part in parts(&piece, raw, self.limits.max_chars) {
            self.add_whole(part);
        }
    }

    fn add_whole(&mut self, piece: Piece) {
        let length = length(&piece.spoken);
        if length == 0 {
            self.cover(&piece);
            return;
        }
        if !piece.spoken.contains(char::is_alphanumeric) && self.hang_on(&piece) {
            return;
        }
        self.make_room(length);
        self.n_chars += length + usize::from(self.needs_space(&piece));
        let (ending, was_empty) = (piece.ending, self.pieces.is_empty());
        debug_assert!(was_empty || self.n_chars <= self.limits.max_chars);
        self.pieces.push(piece);
        self.ended(ending);
    }

    /// A line ended before what comes next, and with it a sentence.
    pub(super) fn end_line(&mut self, gap: Gap) {
        if let Some(last) = self.pieces.last_mut() {
            let spoken = last.spoken.trim_end_matches(is_closer);
            if !spoken
                .ends_with(|it| is_terminator(it) || is_clause_mark(it) || matches!(it, '.' | '…'))
                && self.n_chars < self.limits.max_chars
            {
                last.spoken.push(self.stop);
                self.n_chars += 1;
            }
            last.ending = Ending::Sentence;
        }
        self.ended(Ending::Sentence);
        if gap >= Gap::Item && self.pieces.is_empty() && !self.is_first {
            self.pause = Pause::Paragraph;
        }
    }

    /// Nothing follows for now: what is there is a sentence.
    pub(super) fn finish(&mut self) {
        self.release(self.pieces.len(), Pause::Sentence);
    }

    fn ended(&mut self, ending: Ending) {
        self.n_endings += usize::from(ending > Ending::None);
        let early = self.early_chars.filter(|_| self.is_first);
        if ending == Ending::Sentence && self.n_chars >= self.limits.min_chars {
            self.release(self.pieces.len(), Pause::Sentence);
        } else if ending >= Ending::Clause && early.is_some_and(|it| self.n_chars >= it) {
            self.release(self.pieces.len(), Pause::Clause);
        }
    }

    /// Marks without a word belong to the word before them: "Bonjour !", "yes - no".
    fn hang_on(&mut self, marks: &Piece) -> bool {
        let Some(last) = self.pieces.last_mut() else {
            // At the start of a sentence there is nothing to hold them.
            return true;
        };
        let marked = last
            .spoken
            .ends_with(|it| is_terminator(it) || is_clause_mark(it) || matches!(it, '.' | '…'));
        let length = length(&marks.spoken);
        if !marked && self.n_chars + length <= self.limits.max_chars {
            last.spoken.push_str(&marks.spoken);
            self.n_chars += length;
            last.source.end = marks.source.end;
            last.chars.end = marks.chars.end;
        }
        let ending = last.ending.max(marks.ending);
        last.ending = ending;
        self.ended(ending);
        true
    }

    /// Something of which nothing is said, though it has letters, is part of the word before it.
    fn cover(&mut self, silent: &Piece) {
        if let Some(last) = self.pieces.last_mut() {
            last.source.end = silent.source.end;
            last.chars.end = silent.chars.end;
            last.speakable |= silent.speakable;
        }
    }

    fn needs_space(&self, next: &Piece) -> bool {
        !self.pieces.is_empty() && next.gap > Gap::Joined
    }

    /// Lets go of as much as is needed for another piece of this length.
    fn make_room(&mut self, length: usize) {
        while !self.pieces.is_empty() {
            let total = self.n_chars + 1 + length;
            if total <= self.limits.target_chars {
                return;
            }
            if let Some((count, ending)) = self.best_cut() {
                self.release(
                    count,
                    if ending == Ending::Sentence {
                        Pause::Sentence
                    } else {
                        Pause::Clause
                    },
                );
            } else if total > self.limits.max_chars {
                self.release(self.pieces.len(), Pause::None);
            } else {
                return;
            }
        }
    }

    /// Where to cut what is too long: after the last end of a sentence, else of a strong clause, else of a clause.
    /// No fragment is cut off, and a weaker end is better than a stronger one of half the length.
    fn best_cut(&self) -> Option<(usize, Ending)> {
        if self.n_endings == 0 {
            return None;
        }
        let mut best: Option<(usize, usize, Ending)> = None;
        let mut so_far = 0;
        for (i, piece) in self.pieces.iter().enumerate() {
            so_far += length(&piece.spoken) + usize::from(i > 0 && piece.gap > Gap::Joined);
            if piece.ending == Ending::None || so_far < self.limits.min_chars {
                continue;
            }
            if best.is_none_or(|(_, length, ending)| piece.ending >= ending || so_far >= 2 * length)
            {
                best = Some((i + 1, so_far, piece.ending));
            }
        }
        best.map(|(count, _, ending)| (count, ending))
    }

    /// The first `count` pieces are a sentence. What has no letter or digit is none, and is forgotten.
    fn release(&mut self, count: usize, pause_after: Pause) {
        let rest = self.pieces.split_off(count);
        let pieces = std::mem::replace(&mut self.pieces, rest);
        self.n_chars = self.measure();
        self.n_endings = self
            .pieces
            .iter()
            .filter(|it| it.ending > Ending::None)
            .count();
        if !pieces.iter().any(|it| it.speakable) {
            return;
        }
        let mut spoken = String::new();
        let mut words = Vec::with_capacity(pieces.len());
        for piece in &pieces {
            if !spoken.is_empty() && piece.gap > Gap::Joined {
                spoken.push(' ');
            }
            let start = spoken.len();
            spoken.push_str(&piece.spoken);
            words.push(SpokenWord {
                spoken: start..spoken.len(),
                source: piece.source.clone(),
            });
        }
        let (Some(first), Some(last)) = (pieces.first(), pieces.last()) else {
            return;
        };
        let source = first.source.start..last.source.end;
        let source_chars = first.chars.start..last.chars.end;
        let pause_before = std::mem::replace(&mut self.pause, pause_after);
        self.is_first = false;
        self.done.push(Sentence {
            spoken,
            text: String::new(),
            source,
            source_chars,
            pause_before,
            words,
        });
    }

    fn measure(&self) -> usize {
        let spaces = self
            .pieces
            .iter()
            .skip(1)
            .filter(|it| it.gap > Gap::Joined)
            .count();
        self.pieces
            .iter()
            .map(|it| length(&it.spoken))
            .sum::<usize>()
            + spaces
    }
}

/// A fragment at the end of a text joins the sentence before it, if there is room.
pub(super) fn join_last(sentences: &mut Vec<Sentence>, text: &str, limits: Limits) {
    let [.., before, last] = sentences.as_slice() else {
        return;
    };
    let n_chars = length(&last.spoken);
    if n_chars >= limits.min_chars || n_chars + 1 + length(&before.spoken) > limits.max_chars {
        return;
    }
    let Some(last) = sentences.pop() else {
        return;
    };
    if let Some(before) = sentences.last_mut() {
        before.spoken.push(' ');
        let offset = before.spoken.len();
        before.spoken.push_str(&last.spoken);
        before.source.end = last.source.end;
        before.source_chars.end = last.source_chars.end;
        text[before.source.clone()].clone_into(&mut before.text);
        let moved = last.words.into_iter().map(|it| SpokenWord {
            spoken: it.spoken.start + offset..it.spoken.end + offset,
            ..it
        });
        before.words.extend(moved);
    }
}

/// A piece that is too long by itself, in parts: between its words if it has several, else between its visible characters.
fn parts(piece: &Piece, raw: &str, max_chars: usize) -> Vec<Piece> {
    let mut texts = vec![String::new()];
    let mut n_chars = 0;
    let mut add = |text: &str, length: usize| {
        if n_chars + length > max_chars && n_chars > 0 {
            texts.push(String::new());
            n_chars = 0;
        }
        n_chars += length;
        if let Some(last) = texts.last_mut() {
            last.push_str(text);
        }
    };
    for word in piece.spoken.split_inclusive(' ') {
        if length(word) <= max_chars {
            add(word, length(word));
            continue;
        }
        for grapheme in word.graphemes(true) {
            if length(grapheme) <= max_chars {
                add(grapheme, length(grapheme));
                continue;
            }
            // A letter under more marks than fit is cut among its marks.
            for c in grapheme.chars() {
                add(c.encode_utf8(&mut [0; 4]), 1);
            }
        }
    }
    divide(piece, raw, &texts)
}

/// One piece for each text. Each gets its share of the source, in order: exactly its own where the text is said as it is written.
fn divide(piece: &Piece, raw: &str, texts: &[String]) -> Vec<Piece> {
    let count = |it: &str| it.chars().count();
    let (n_chars, total) = (
        piece.chars.len(),
        texts.iter().map(|it| count(it)).sum::<usize>().max(1),
    );
    let mut parts: Vec<Piece> = Vec::with_capacity(texts.len());
    let mut said = 0;
    let (mut byte, mut char_at) = (0, 0);
    for (i, text) in texts.iter().enumerate() {
        said += count(text);
        let char_end = n_chars * said / total;
        let bytes: usize = raw[byte..]
            .chars()
            .take(char_end - char_at)
            .map(char::len_utf8)
            .sum();
        let after_space = i > 0 && texts[i - 1].ends_with(' ');
        let gap = if after_space { Gap::Space } else { Gap::Joined };
        parts.push(Piece {
            spoken: text.trim_end().to_owned(),
            gap: if i == 0 { piece.gap } else { gap },
            source: piece.source.start + byte..piece.source.start + byte + bytes,
            chars: piece.chars.start + char_at..piece.chars.start + char_end,
            speakable: piece.speakable,
            ending: if i + 1 == texts.len() {
                piece.ending
            } else {
                Ending::None
            },
        });
        byte += bytes;
        char_at = char_end;
    }
    parts
}
