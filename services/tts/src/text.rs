//! What was written, made into what is said: clean words, spoken numbers, sentences of a length the model can hold.
//!
//! ```text
//!  text ─► scan ─► words ─► english, foreign ─► pieces ─► pack ─► sentences
//!         (clean, cut)     (numbers, dates, …)           (lengths, fragments)
//! ```
//!
//! Invariants:
//! - No letter or digit is lost or reordered: the sources of the sentences are disjoint, increasing, and hold every one of them.
//! - A stream gives the same sentences however its text was cut: a decision that looked past the end of what has arrived is not taken yet.
//!   Only a flush takes the end of what has arrived for the end of the text.
//! - Time and memory grow with the text and not faster: nothing looks further than a few words, and a word has a longest length.
//! - Nothing here awaits, reads a clock or knows a model. What a model wants besides (its tokens, its punctuation) is its engine's business.

mod boundary;
mod clean;
mod dictionary;
mod english;
mod foreign;
mod language;
mod numbers;
mod pack;
mod scan;
mod stream;
mod times;

#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

pub use dictionary::{Dictionary, DictionaryError};
pub use language::Language;
pub use stream::TextStream;
pub use times::{WordTime, word_times};

/// How long the sentences are that a model is given, in characters as spoken. A Korean syllable counts as two, an ideograph as three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// What is shorter is said together with its neighbour: models run on after a very short text.
    pub min_chars: usize,
    /// A longer sentence is cut where a clause ends.
    pub target_chars: usize,
    /// A sentence is never longer: without a clause it is cut between words, or inside a word that is longer by itself.
    pub max_chars: usize,
    /// The longest text taken, in characters as written.
    pub max_text_chars: usize,
}

impl Limits {
    /// Shorter sentences than this cannot hold a long word.
    pub const SHORTEST_MAX: usize = 40;

    /// The same with every length possible: `min <= target <= max`, and `max` at least [`SHORTEST_MAX`](Self::SHORTEST_MAX).
    fn in_order(self) -> Self {
        let max_chars = self.max_chars.max(Self::SHORTEST_MAX);
        let target_chars = self.target_chars.clamp(1, max_chars);
        Self {
            max_chars,
            target_chars,
            min_chars: self.min_chars.min(target_chars),
            ..self
        }
    }
}

/// Why a text cannot be spoken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Empty, or nothing but spaces, symbols and pictures.
    #[error(
        "`text` has nothing that can be spoken: it needs at least one letter or digit. Given: {given} characters"
    )]
    NothingToSay {
        /// Characters in the text.
        given: usize,
    },
    /// More text than one request may bring.
    #[error(
        "`text` must have at most {limit} characters; send it in several requests. Given: {given}"
    )]
    TooLong {
        /// The most characters taken.
        limit: usize,
        /// Characters in the text; of a stream, all so far.
        given: usize,
    },
}

/// The silence that belongs before a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pause {
    /// It is the first, or it goes on in the middle of a clause.
    None,
    /// A clause ended: a comma's worth.
    Clause,
    /// A sentence ended.
    Sentence,
    /// A paragraph, a heading or an item of a list ended.
    Paragraph,
}

/// What is generated in one go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentence {
    /// For the model: words only, numbers spelled out, one space between words.
    pub spoken: String,
    /// As it was written.
    pub text: String,
    /// Where that lies in the text of the request, in bytes (of a stream: in all its pieces together).
    pub source: Range<usize>,
    /// The same in characters.
    pub source_chars: Range<usize>,
    /// Known without waiting for what follows, so it stands before the sentence.
    pub pause_before: Pause,
    /// In order; together they are `spoken`, but for the spaces.
    pub words: Vec<SpokenWord>,
}

/// A word of a sentence, or several that are said as one ("$1.5 million").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpokenWord {
    /// Bytes of [`Sentence::spoken`].
    pub spoken: Range<usize>,
    /// Bytes of the request's text.
    pub source: Range<usize>,
}

/// What all texts of a server are read with.
#[derive(Clone, Debug)]
pub struct FrontEnd {
    rules: Arc<Rules>,
}

#[derive(Debug)]
struct Rules {
    limits: Limits,
    dictionary: Dictionary,
    tags: Vec<String>,
}

impl FrontEnd {
    /// Lengths that contradict each other are brought in order: see [`Limits`].
    pub fn new(limits: Limits, dictionary: Dictionary) -> Self {
        let limits = limits.in_order();
        Self {
            rules: Arc::new(Rules {
                limits,
                dictionary,
                tags: Vec::new(),
            }),
        }
    }

    /// With the sounds a model makes for words in brackets ("laugh", "clear throat"): they reach it as they are and whole.
    /// All other brackets are taken away, so that nobody can write a model's control tokens.
    #[must_use]
    pub fn with_tags<S: Into<String>>(self, tags: impl IntoIterator<Item = S>) -> Self {
        let Rules {
            limits, dictionary, ..
        } = &*self.rules;
        let tags = tags
            .into_iter()
            .map(|it| Into::<String>::into(it).to_lowercase())
            .collect();
        Self {
            rules: Arc::new(Rules {
                limits: *limits,
                dictionary: dictionary.clone(),
                tags,
            }),
        }
    }

    /// The lengths in force.
    pub fn limits(&self) -> Limits {
        self.rules.limits
    }

    /// A whole text. `language` is a code like `en` or `pt-BR`; of one we have no rules for, only the cleaning and the cutting are done.
    ///
    /// Differs from a stream in one thing: a fragment at the very end joins the sentence before it, which a stream has already let go.
    ///
    /// # Errors
    ///
    /// The text is too long, or has no letter and no digit.
    pub fn sentences(&self, text: &str, language: &str) -> Result<Vec<Sentence>, TextError> {
        let mut stream = self.stream(language);
        let mut sentences = stream.push(text)?;
        sentences.extend(stream.end());
        if sentences.is_empty() {
            return Err(TextError::NothingToSay {
                given: text.chars().count(),
            });
        }
        pack::join_last(&mut sentences, text, self.rules.limits);
        Ok(sentences)
    }

    /// A text that arrives in pieces. `language` as in [`sentences`](Self::sentences).
    pub fn stream(&self, language: &str) -> TextStream {
        TextStream::new(Arc::clone(&self.rules), Language::of(language))
    }
}
