//! Where words begin and end in the text as written. Markdown is taken off here, because only lines show what it is.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

use super::clean::{self, Class, class};

/// What stood before a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Gap {
    /// Nothing: the scripts without spaces, and words cut for their length.
    Joined,
    /// A space, or a mark that divides words.
    Space,
    /// The end of a line.
    Line,
    /// The start of an item of a list, or of a heading.
    Item,
    /// An empty line.
    Paragraph,
}

/// A word as written, cleaned, with the marks around it told apart: `("Hello!")` is `("`, `Hello`, `!")`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    text: String,
    core: Range<usize>,
    pub(super) gap: Gap,
    /// Bytes of the request's text.
    pub(super) source: Range<usize>,
    /// Characters of the request's text.
    pub(super) chars: Range<usize>,
    /// Characters in the line before its own.
    pub(super) last_line_chars: usize,
    /// Has a letter or digit as written.
    pub(super) speakable: bool,
    /// A sound in brackets, kept as it is.
    pub(super) is_tag: bool,
}

impl Word {
    pub(super) fn lead(&self) -> &str {
        &self.text[..self.core.start]
    }

    pub(super) fn core(&self) -> &str {
        &self.text[self.core.clone()]
    }

    pub(super) fn tail(&self) -> &str {
        &self.text[self.core.end..]
    }

    /// The marks that may end something: of a word that is nothing but marks, all of them.
    pub(super) fn marks(&self) -> &str {
        if self.core.is_empty() {
            &self.text
        } else {
            self.tail()
        }
    }
}

/// Longer words are cut: a bound for what a stream must hold and look through again.
const LONGEST_WORD_BYTES: usize = 512;

/// A longer row of the same mark is a drawing.
const LONGEST_RUN: usize = 64;

/// The place in the text up to which words were given out.
#[derive(Debug)]
pub(super) struct Scanner {
    pub(super) bytes: usize,
    chars: usize,
    gap: Gap,
    line_chars: usize,
    last_line_chars: usize,
    line_starts: bool,
    blank_lines: usize,
}

/// What the start of a line says about it.
enum Marker {
    /// Characters to skip, and whether the line is an item or a heading.
    Skip(usize, bool),
    Nothing,
    /// Not all of it has arrived.
    Unclear,
}

impl Scanner {
    pub(super) fn new() -> Self {
        Self {
            bytes: 0,
            chars: 0,
            gap: Gap::Paragraph,
            line_chars: 0,
            last_line_chars: 0,
            line_starts: true,
            blank_lines: 0,
        }
    }

    /// The next word of `rest`, which begins where the scanner stands. `None` if its end has not arrived, or if there is none.
    pub(super) fn next(&mut self, rest: &str, at_end: bool, tags: &[String]) -> Option<Word> {
        let mut at = 0;
        loop {
            let here = &rest[at..];
            let c = here.chars().next()?;
            match class(c) {
                Class::Line => self.end_line(c),
                Class::Space => self.gap = self.gap.max(Gap::Space),
                Class::Picture => {
                    // A bullet may be drawn with one.
                    self.gap = self.gap.max(if self.line_starts {
                        Gap::Item
                    } else {
                        Gap::Space
                    });
                }
                Class::Silent => {}
                Class::Ideograph | Class::Other => match if self.line_starts {
                    marker(here, at_end)
                } else {
                    Marker::Nothing
                } {
                    Marker::Unclear => return None,
                    Marker::Skip(n, is_item) => {
                        let skipped: usize = here.chars().take(n).map(char::len_utf8).sum();
                        self.advance(n, skipped);
                        at += skipped;
                        self.gap = self.gap.max(if is_item { Gap::Item } else { Gap::Line });
                        // A quoted item of a list has two marks.
                        continue;
                    }
                    Marker::Nothing => {
                        let (length, next_gap, is_tag) = word_end(here, at_end, tags)?;
                        let word = self.word(&here[..length], next_gap, is_tag);
                        at += length;
                        if let Some(word) = word {
                            return Some(word);
                        }
                        continue;
                    }
                },
            }
            self.advance(1, c.len_utf8());
            at += c.len_utf8();
        }
    }

    fn advance(&mut self, chars: usize, bytes: usize) {
        self.chars += chars;
        self.bytes += bytes;
        self.line_chars += chars;
    }

    fn end_line(&mut self, c: char) {
        if !self.line_starts {
            self.last_line_chars = self.line_chars;
        }
        self.line_chars = 0;
        self.blank_lines += 1;
        let paragraph = self.blank_lines > 1 || matches!(c, '\u{c}' | '\u{2029}');
        self.gap = self
            .gap
            .max(if paragraph { Gap::Paragraph } else { Gap::Line });
        self.line_starts = true;
    }

    fn word(&mut self, raw: &str, next_gap: Gap, is_tag: bool) -> Option<Word> {
        let n_chars = raw.chars().count();
        let (source, chars) = (
            self.bytes..self.bytes + raw.len(),
            self.chars..self.chars + n_chars,
        );
        let last_line_chars = self.last_line_chars;
        self.advance(n_chars, raw.len());
        self.line_starts = false;
        self.blank_lines = 0;
        let text = if is_tag {
            raw.to_lowercase()
        } else {
            clean::clean_word(raw)
        };
        if text.is_empty() {
            self.gap = self.gap.max(next_gap);
            return None;
        }
        let core = if is_tag {
            0..text.len()
        } else {
            core_of(&text)
        };
        let speakable = raw.chars().any(clean::is_speakable);
        let gap = std::mem::replace(&mut self.gap, next_gap);
        Some(Word {
            text,
            core,
            gap,
            source,
            chars,
            last_line_chars,
            speakable,
            is_tag,
        })
    }
}

/// Takes off what Markdown puts at the start of a line: `#`, `>`, bullets, fences, and lines that are only drawn.
fn marker(line: &str, at_end: bool) -> Marker {
    let first = line.chars().next().unwrap_or(' ');
    if !matches!(
        first,
        '#' | '>' | '-' | '*' | '+' | '=' | '_' | '`' | '~' | '•' | '‣' | '◦' | '⁃' | '·' | '–'
    ) {
        return Marker::Nothing;
    }
    let run = line
        .chars()
        .take(LONGEST_RUN + 1)
        .take_while(|&it| it == first)
        .count();
    // One by one until few enough are left: so the outcome does not depend on how many have arrived.
    if run > LONGEST_RUN {
        return Marker::Skip(1, false);
    }
    let after = line.chars().nth(run);
    let Some(after) = after else {
        return if at_end {
            Marker::Nothing
        } else {
            Marker::Unclear
        };
    };
    let spaced = class(after) == Class::Space;
    let ends = class(after) == Class::Line;
    match first {
        '#' if run <= 6 && spaced => Marker::Skip(run + 1, true),
        '>' if run == 1 => Marker::Skip(1, false),
        '-' | '*' | '+' | '•' | '‣' | '◦' | '⁃' | '·' | '–' if run == 1 && spaced => {
            Marker::Skip(2, true)
        }
        '•' | '‣' | '◦' | '⁃' if run == 1 => Marker::Skip(1, true),
        '-' | '*' | '_' | '=' | '~' if run >= 3 && (ends || spaced) => Marker::Skip(run, false),
        '`' if run >= 3 => Marker::Skip(run, false),
        _ => Marker::Nothing,
    }
}

/// Length in bytes of the word that `rest` begins with, and what follows it. `None` if that has not arrived.
fn word_end(rest: &str, at_end: bool, tags: &[String]) -> Option<(usize, Gap, bool)> {
    if rest.starts_with('[') {
        match tag(rest, tags) {
            Tag::Whole(length) => return Some((length, Gap::Space, true)),
            Tag::Begun if !at_end => return None,
            Tag::Begun | Tag::None => {}
        }
    }
    let mut scan = Shape::default();
    let mut characters = rest.char_indices().peekable();
    while let Some((i, c)) = characters.next() {
        if i >= LONGEST_WORD_BYTES {
            return Some((grapheme_before(rest, i), Gap::Joined, false));
        }
        match scan.groups_digits(&rest[i..], at_end) {
            Grouped::Yes => {
                scan.take(c);
                continue;
            }
            Grouped::Unclear if !at_end => return None,
            Grouped::Unclear | Grouped::No => {}
        }
        if let Some(gap) = scan.ends_before(c, &rest[i..]) {
            return Some((i, gap, false));
        }
        let next = characters.peek().map(|it| it.1);
        if next.is_none() && !at_end {
            return None;
        }
        scan.take(c);
        if let Some(gap) = scan.ends_after(c, &rest[i + c.len_utf8()..]) {
            return Some((i + c.len_utf8(), gap, false));
        }
    }
    at_end.then_some((rest.len(), Gap::Joined, false))
}

fn divides(c: char) -> bool {
    matches!(class(c), Class::Space | Class::Line | Class::Picture)
}

/// The last border between two visible characters in the first `limit` bytes.
fn grapheme_before(text: &str, limit: usize) -> usize {
    let last = text[..limit]
        .grapheme_indices(true)
        .next_back()
        .map_or(0, |it| it.0);
    if last == 0 { limit } else { last }
}

/// What the word so far looks like.
#[derive(Default)]
struct Shape {
    taken: usize,
    previous: Option<char>,
    before: Option<char>,
    is_address: bool,
    ideograph: bool,
    wide_mark: bool,
    slashes: usize,
    dots: usize,
}

impl Shape {
    fn take(&mut self, c: char) {
        self.taken += 1;
        self.ideograph |= class(c) == Class::Ideograph;
        self.wide_mark |= clean::is_wide_mark(c);
        self.slashes = if c == '/' { self.slashes + 1 } else { 0 };
        self.dots = if c == '.' { self.dots + 1 } else { 0 };
        self.is_address |= c == '@'
            || self.slashes > 1
            || (self.taken == 4
                && c == '.'
                && self.before == Some('w')
                && self.previous == Some('w'));
        self.before = self.previous.replace(c);
    }

    /// `1 000 000` with spaces that do not break is one number.
    fn groups_digits(&self, here: &str, at_end: bool) -> Grouped {
        let mut following = here.chars();
        let is_narrow = matches!(following.next(), Some('\u{a0}' | '\u{202f}' | '\u{2009}'));
        if !is_narrow || !self.previous.is_some_and(|it| it.is_ascii_digit()) {
            return Grouped::No;
        }
        for _ in 0..3 {
            match following.next() {
                None => return Grouped::Unclear,
                Some(c) if c.is_ascii_digit() => {}
                Some(_) => return Grouped::No,
            }
        }
        match following.next() {
            None if !at_end => Grouped::Unclear,
            Some(c) if c.is_ascii_digit() => Grouped::No,
            None | Some(_) => Grouped::Yes,
        }
    }

    /// The word is over, and `c` is not part of it. `here` begins with `c`.
    fn ends_before(&self, c: char, here: &str) -> Option<Gap> {
        if divides(c) {
            return Some(Gap::Joined);
        }
        if self.taken == 0 || class(c) == Class::Silent {
            return None;
        }
        if c == '['
            || c == '—'
            || (c == '-' && here.starts_with("--")) && self.previous != Some('-')
        {
            return Some(Gap::Space);
        }
        if matches!(self.previous, Some('—'))
            || (self.previous == Some('-') && self.before == Some('-') && c != '-')
        {
            return Some(Gap::Space);
        }
        if self.is_address {
            return None;
        }
        let starts_ideograph =
            class(c) == Class::Ideograph && self.previous.is_some_and(|it| !clean::is_opener(it));
        let leaves_ideograph = self.ideograph && !clean::is_tail(c) && !clean::is_mark(c);
        let after_wide_mark = self.wide_mark && !clean::is_tail(c);
        (starts_ideograph
            || leaves_ideograph
            || after_wide_mark
            || clean::is_wide_opener(c) && self.previous.is_some_and(|it| !clean::is_opener(it)))
        .then_some(Gap::Joined)
    }

    /// The word is over, and `c`, just taken, is its last. `rest` is what follows.
    fn ends_after(&self, c: char, rest: &str) -> Option<Gap> {
        let mut following = rest.chars();
        let (next, next_but_one) = (following.next(), following.next());
        let letter_follows = next.is_some_and(char::is_alphabetic);
        let letter_before = self.before.is_some_and(char::is_alphabetic);
        if self.is_address || self.ideograph {
            return None;
        }
        let ends = match c {
            '!' | '?' | '…' | '।' | '؟' | ']' => letter_follows,
            ',' | ';' | '،' => letter_before && letter_follows,
            '.' if self.dots > 1 => next.is_some_and(char::is_alphanumeric),
            // "the end.Next": a stop whose space was forgotten, and neither "U.S." nor "node.js".
            '.' => {
                self.before.is_some_and(char::is_lowercase)
                    && self.taken > 3
                    && next.is_some_and(char::is_uppercase)
                    && next_but_one.is_some_and(char::is_lowercase)
            }
            '–' => !next.is_some_and(|it| it.is_ascii_digit()) && self.taken == 1,
            _ => false,
        };
        ends.then_some(Gap::Space)
    }
}

enum Grouped {
    Yes,
    No,
    Unclear,
}

enum Tag {
    Whole(usize),
    Begun,
    None,
}

/// Whether `rest` begins with a sound in brackets that the model knows.
fn tag(rest: &str, tags: &[String]) -> Tag {
    let mut begun = false;
    for name in tags {
        let mut characters = rest.char_indices().skip(1);
        let mut expected = name.chars().chain([']']);
        loop {
            let Some(want) = expected.next() else {
                let end = characters.next().map_or(rest.len(), |it| it.0);
                return Tag::Whole(end);
            };
            match characters.next() {
                None => {
                    begun = true;
                    break;
                }
                Some((_, c)) if c.to_lowercase().eq([want]) => {}
                Some(_) => break,
            }
        }
    }
    if begun { Tag::Begun } else { Tag::None }
}

/// The part of a word without the marks around it. A mark that belongs to a number or a name stays: `-5`, `.5`, `C++`.
fn core_of(text: &str) -> Range<usize> {
    let mut start = 0;
    for (i, c) in text.char_indices() {
        let next = text[i + c.len_utf8()..].chars().next();
        let next_is_value =
            next.is_some_and(|it| it.is_ascii_digit() || matches!(it, '$' | '£' | '€' | '¥' | '.'));
        let is_lead = clean::is_opener(c)
            || (matches!(c, '-' | '–' | '—' | '.' | '…') && !next_is_value)
            || (clean::is_tail(c) && !matches!(c, '-' | '.'));
        if !is_lead {
            break;
        }
        start = i + c.len_utf8();
    }
    let kept = text[start..]
        .trim_end_matches(|it| clean::is_tail(it) || it == '–' || it == '—')
        .len();
    start..start + kept
}
