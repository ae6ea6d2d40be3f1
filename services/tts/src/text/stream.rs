//! Text that arrives in pieces: words become sentences as soon as nothing that follows can change them.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;

use super::boundary::{self, Ending, is_dash};
use super::clean::{self, is_sayable};
use super::language::Language;
use super::pack::{Packer, Piece};
use super::scan::{Gap, Scanner, Word};
use super::{Rules, Sentence, TextError, english, foreign};

/// A text that is still being written, by a language model say. Pieces may be cut anywhere.
///
/// ```
/// # use tts::text::{Dictionary, FrontEnd, Limits};
/// # let limits = Limits { min_chars: 5, target_chars: 200, max_chars: 280, max_text_chars: 1000 };
/// let mut stream = FrontEnd::new(limits, Dictionary::default()).stream("en");
/// assert!(stream.push("Pi is about 3.").unwrap().is_empty());
/// assert!(stream.push("14, as Dr").unwrap().is_empty());
/// let sentences = stream.push(". Who says. ").unwrap();
/// assert_eq!(sentences[0].spoken, "Pi is about three point one four, as Doctor Who says.");
/// ```
#[derive(Debug)]
pub struct TextStream {
    rules: Arc<Rules>,
    language: Language,
    /// What has arrived since the last sentence that was let go.
    text: String,
    /// Where `text` begins in all that has arrived.
    text_start: usize,
    n_chars: usize,
    scanner: Scanner,
    words: VecDeque<Word>,
    previous: String,
    packer: Packer,
    /// What had arrived when a decision had to wait: without more it need not be tried again.
    waits_with: Option<(usize, Option<char>)>,
}

/// How many words the rules may look at. A date with its day of the week, a number with its scale and unit: none needs more.
const LONGEST_LOOK: usize = 8;

/// The words that come next, as far as they have arrived.
pub(super) struct Look<'a> {
    words: &'a VecDeque<Word>,
    /// First character of a word whose end has not arrived.
    begun: Option<char>,
    at_end: bool,
    /// Somebody asked for what has not arrived: what was decided from it does not hold.
    missed: Cell<bool>,
    /// The word before, as written; empty at the start of a sentence.
    pub(super) previous: &'a str,
}

/// What the full stop after a reading is, if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FullStop {
    /// The end of the sentence.
    Ends,
    /// Part of what was read: it is not said, and ends nothing.
    Taken,
    /// Part of what was read, and perhaps the end of the sentence as well.
    MayEnd,
    /// Part of an abbreviation that is said as it is written.
    Abbreviates,
}

impl FullStop {
    /// This where the word has a stop; nothing special where it has none.
    pub(super) fn when(self, stopped: bool) -> Self {
        if stopped { self } else { Self::Ends }
    }
}

/// What the rules make of one or several words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// Words taken.
    pub(super) used: usize,
    /// What is said instead of their cores.
    pub(super) spoken: String,
    /// What the full stop after the last core is.
    pub(super) stop: FullStop,
    /// The marks around the words were part of it too: "(555) 123-4567".
    pub(super) bare: bool,
}

impl Reading {
    /// The marks after the last core, without the stop that the reading took.
    pub(super) fn rest<'t>(&self, tail: &'t str) -> &'t str {
        match self.stop {
            FullStop::Taken | FullStop::MayEnd => tail.get(1..).unwrap_or_default(),
            FullStop::Ends | FullStop::Abbreviates => tail,
        }
    }

    pub(super) fn of(used: usize, spoken: impl Into<String>) -> Self {
        Self {
            used,
            spoken: spoken.into(),
            stop: FullStop::MayEnd.when(false),
            bare: false,
        }
    }
}

impl<'a> Look<'a> {
    /// The word at `i`, if there is one.
    pub(super) fn word(&self, i: usize) -> Option<&'a Word> {
        let word = self.words.get(i);
        if word.is_none() && i < LONGEST_LOOK && !self.at_end {
            self.missed.set(true);
        }
        word
    }

    /// The word at `i`, if it belongs together with the one before it: on the same line or the next, without a mark between them.
    pub(super) fn joined(&self, i: usize) -> Option<&'a Word> {
        let before = self.word(i - 1)?;
        if !before.tail().is_empty() || before.is_tag {
            return None;
        }
        self.word(i)
            .filter(|it| it.gap <= Gap::Line && it.lead().is_empty() && !it.is_tag)
    }

    /// The core of [`joined`](Self::joined).
    pub(super) fn joined_core(&self, i: usize) -> Option<&'a str> {
        self.joined(i).map(Word::core)
    }

    /// The first character of the word at `i`, which need not have arrived whole. Opening marks are looked through.
    pub(super) fn next_start(&self, i: usize) -> Option<char> {
        if let Some(word) = self.words.get(i) {
            return word
                .core()
                .chars()
                .next()
                .or_else(|| word.lead().chars().next());
        }
        // Of a word that begins with a mark it is not known yet what remains when it is clean.
        if i == self.words.len() && self.begun.is_some_and(clean::is_speakable) {
            return self.begun;
        }
        if !self.at_end {
            self.missed.set(true);
        }
        None
    }
}

impl TextStream {
    pub(super) fn new(rules: Arc<Rules>, language: Language) -> Self {
        let packer = Packer::new(rules.limits, language);
        Self {
            rules,
            language,
            text: String::new(),
            text_start: 0,
            n_chars: 0,
            scanner: Scanner::new(),
            words: VecDeque::new(),
            previous: String::new(),
            packer,
            waits_with: None,
        }
    }

    /// Lets the first clause go at its comma once it has this many characters: a voice that starts sooner, for a sentence in two breaths.
    #[must_use]
    pub fn with_early_clause(mut self, min_chars: usize) -> Self {
        self.packer.early_chars = Some(min_chars.max(1));
        self
    }

    /// More of the text; the sentences that it completes.
    ///
    /// # Errors
    ///
    /// [`TextError::TooLong`] if the stream would be longer than one text may be. The piece is then as if it had not come.
    pub fn push(&mut self, piece: &str) -> Result<Vec<Sentence>, TextError> {
        let given = self.n_chars + piece.chars().count();
        let limit = self.rules.limits.max_text_chars;
        if given > limit {
            return Err(TextError::TooLong { limit, given });
        }
        self.n_chars = given;
        self.text.push_str(piece);
        self.read(false);
        Ok(self.let_go())
    }

    /// What has arrived so far is to be said now, though a sentence, or even a word, may be unfinished.
    pub fn flush(&mut self) -> Vec<Sentence> {
        self.read(true);
        self.packer.finish();
        self.previous.clear();
        self.let_go()
    }

    /// No more text comes.
    pub fn end(mut self) -> Vec<Sentence> {
        self.flush()
    }

    /// Characters that have arrived.
    pub fn n_chars(&self) -> usize {
        self.n_chars
    }

    fn read(&mut self, at_end: bool) {
        loop {
            // One more than a rule may take, so that what follows it is there to be looked at.
            while self.words.len() <= LONGEST_LOOK {
                let rest = &self.text[self.scanner.bytes - self.text_start..];
                let Some(word) = self.scanner.next(rest, at_end, &self.rules.tags) else {
                    break;
                };
                self.words.push_back(word);
            }
            let begun = self.text[self.scanner.bytes - self.text_start..]
                .chars()
                .next();
            let arrived = Some((self.words.len(), begun));
            if !at_end && self.waits_with == arrived {
                return;
            }
            let Some((piece, used)) = self.next_piece(begun, at_end) else {
                self.waits_with = arrived;
                return;
            };
            self.waits_with = None;
            self.previous.clear();
            if piece.ending < Ending::Sentence {
                self.previous.push_str(self.words[used - 1].core());
            }
            if self.words[0].gap >= Gap::Line && self.breaks_line() {
                self.packer.end_line(self.words[0].gap);
            }
            self.words.drain(..used);
            let within = piece.source.start - self.text_start..piece.source.end - self.text_start;
            self.packer.add(piece, &self.text[within]);
        }
    }

    /// The next words as they are said, unless that depends on what has not arrived.
    fn next_piece(&self, begun: Option<char>, at_end: bool) -> Option<(Piece, usize)> {
        let first = self.words.front()?;
        let starts_anew = first.gap >= Gap::Item || (first.gap == Gap::Line && self.breaks_line());
        let previous = if starts_anew { "" } else { &self.previous };
        let look = Look {
            words: &self.words,
            begun,
            at_end,
            missed: Cell::new(false),
            previous,
        };
        let reading = self.reading(&look, first);
        let ending = boundary::ending(&look, &reading);
        if look.missed.get() {
            return None;
        }
        Some((self.piece(&reading, ending), reading.used))
    }

    fn reading(&self, look: &Look<'_>, first: &Word) -> Reading {
        if first.is_tag {
            return Reading::of(1, first.core());
        }
        if let Some(reading) = self.rules.dictionary.read(look) {
            return reading;
        }
        let read = if self.language == Language::English {
            english::read(look)
        } else {
            foreign::read(look, self.language)
        };
        read.unwrap_or_else(|| Reading::of(1, first.core()))
    }

    fn piece(&self, reading: &Reading, ending: Ending) -> Piece {
        let (first, last) = (&self.words[0], &self.words[reading.used - 1]);
        let taken = self.words.range(..reading.used);
        let mut spoken =
            String::with_capacity(first.lead().len() + reading.spoken.len() + last.tail().len());
        if first.is_tag {
            spoken.push_str(&reading.spoken);
            spoken.push_str(last.tail());
        } else {
            if !reading.bare {
                push_marks(first.lead(), &mut spoken);
            }
            spoken.push_str(&sayable(&reading.spoken));
            let tail = reading.rest(last.tail());
            if reading.stop == FullStop::MayEnd
                && ending == Ending::Sentence
                && !tail.contains(clean::is_terminator)
                && !tail.contains('.')
            {
                spoken.push('.');
            }
            push_marks(tail, &mut spoken);
        }
        if first.core().is_empty() && is_dash(last.marks()) {
            // A dash between words is a pause, and a comma is the mark for it that every model knows.
            ",".clone_into(&mut spoken);
        }
        Piece {
            spoken,
            gap: first.gap,
            source: first.source.start..last.source.end,
            chars: first.chars.start..last.chars.end,
            speakable: taken.clone().any(|it| it.speakable),
            ending,
        }
    }

    /// Whether the end of the line before the next word ends a sentence too. Lines of a fixed width are not sentences.
    fn breaks_line(&self) -> bool {
        let Some(next) = self.words.front() else {
            return false;
        };
        if next.gap >= Gap::Item {
            return true;
        }
        // Lines that were wrapped are about as long as a page is wide; titles and the items of a list are shorter.
        let wrapped = next.last_line_chars >= 50;
        let starts_anew = !next.core().chars().next().is_some_and(char::is_lowercase);
        starts_anew && !wrapped && !self.packer.ends_in_clause()
    }

    fn let_go(&mut self) -> Vec<Sentence> {
        let mut sentences = self.packer.take();
        for sentence in &mut sentences {
            let within =
                sentence.source.start - self.text_start..sentence.source.end - self.text_start;
            self.text[within].clone_into(&mut sentence.text);
        }
        let kept_from = self
            .packer
            .start()
            .or(self.words.front().map(|it| it.source.start))
            .unwrap_or(self.scanner.bytes);
        // Moving what is left costs as much as it is long: not for every word.
        if kept_from - self.text_start > self.text.len() / 2 {
            self.text.drain(..kept_from - self.text_start);
            self.text_start = kept_from;
        }
        sentences
    }
}

/// Marks as they go to the model: what is repeated for effect, once, and what no model knows, not at all.
fn push_marks(marks: &str, spoken: &mut String) {
    if marks.contains("..") || marks.contains('…') {
        spoken.push('…');
    }
    let mut previous = None;
    for c in marks.chars().filter(|&it| is_sayable(it) && it != '…') {
        let in_ellipsis = c == '.' && marks.contains("..");
        if previous != Some(c) && !in_ellipsis {
            spoken.push(c);
        }
        previous = Some(c);
    }
}

/// Words only: whatever sign was not turned into words divides them.
fn sayable(text: &str) -> String {
    if text.chars().all(|it| it.is_alphanumeric() || it == ' ') {
        return text.to_owned();
    }
    let spaced: String = text
        .chars()
        .map(|it| if is_sayable(it) { it } else { ' ' })
        .collect();
    let mut spoken = String::with_capacity(spaced.len());
    for word in spaced.split(' ').filter(|it| !it.is_empty()) {
        if !spoken.is_empty() {
            spoken.push(' ');
        }
        spoken.push_str(word);
    }
    spoken
}
