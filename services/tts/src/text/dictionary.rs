//! How the owner of a server wants certain words said.

use std::collections::HashMap;

use super::stream::{FullStop, Look, Reading};

/// Words and what is said for them.
///
/// - A word in small letters stands for every spelling (`nginx` also for `Nginx` and `NGINX`); one with a capital stands only for itself.
/// - An entry may have up to four words (`New York`); the longest entry that fits is taken.
/// - `'s` and `'` after a word are kept: `nginx's` is said as `engine x's`.
/// - What is said is taken as it is: numbers and abbreviations in it are not read again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dictionary {
    exact: HashMap<String, String>,
    folded: HashMap<String, String>,
}

/// What is wrong with an entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DictionaryError {
    /// A line without `=`.
    #[error(
        "a line of a dictionary is `word = how it is said`; line {line} has no `=`. Given: {given:?}"
    )]
    NoEquals {
        /// Counted from 1.
        line: usize,
        /// The line.
        given: String,
    },
    /// An entry that can never be found.
    #[error(
        "a dictionary entry needs 1 to {limit} words with a letter, a digit or a sign. Given: {given:?}"
    )]
    Word {
        /// The most words.
        limit: usize,
        /// The entry.
        given: String,
    },
    /// An entry for which nothing can be said.
    #[error("a dictionary entry needs something that can be spoken. Given: {given:?} for `{word}`")]
    Spoken {
        /// The entry.
        word: String,
        /// What it says.
        given: String,
    },
    /// The same entry with another meaning.
    #[error(
        "a dictionary entry may stand only once. Given: `{word}` as {first:?} and as {second:?}"
    )]
    Twice {
        /// The entry.
        word: String,
        /// What it says first.
        first: String,
        /// What it says then.
        second: String,
    },
}

const MOST_WORDS: usize = 4;

impl Dictionary {
    /// From a file's text: `word = how it is said`, one a line; empty lines and lines that begin with `#` say nothing.
    ///
    /// # Errors
    ///
    /// The first line that is none of these, or an entry that [`insert`](Self::insert) refuses.
    pub fn parse(text: &str) -> Result<Self, DictionaryError> {
        let mut dictionary = Self::default();
        for (i, line) in text.lines().enumerate() {
            let line = line.trim().trim_start_matches('\u{feff}');
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let Some((word, spoken)) = line.split_once('=') else {
                return Err(DictionaryError::NoEquals {
                    line: i + 1,
                    given: line.to_owned(),
                });
            };
            dictionary.insert(word, spoken)?;
        }
        Ok(dictionary)
    }

    /// One more word.
    ///
    /// # Errors
    ///
    /// The word has no letter, digit or sign, or too many words; nothing can be said for it; it has another entry already.
    pub fn insert(&mut self, word: &str, spoken: &str) -> Result<(), DictionaryError> {
        let words: Vec<&str> = word.split_whitespace().collect();
        if words.is_empty() || words.len() > MOST_WORDS {
            return Err(DictionaryError::Word {
                limit: MOST_WORDS,
                given: word.to_owned(),
            });
        }
        let (key, spoken) = (
            words.join(" "),
            spoken.split_whitespace().collect::<Vec<_>>().join(" "),
        );
        if !spoken.contains(char::is_alphanumeric) {
            return Err(DictionaryError::Spoken {
                word: key,
                given: spoken,
            });
        }
        let entries = if key.contains(char::is_uppercase) {
            &mut self.exact
        } else {
            &mut self.folded
        };
        match entries.get(&key) {
            Some(first) if *first != spoken => Err(DictionaryError::Twice {
                word: key,
                first: first.clone(),
                second: spoken,
            }),
            _ => {
                entries.insert(key, spoken);
                Ok(())
            }
        }
    }

    /// Entries.
    pub fn len(&self) -> usize {
        self.exact.len() + self.folded.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn get(&self, written: &str) -> Option<&str> {
        let found = self
            .exact
            .get(written)
            .or_else(|| self.folded.get(&written.to_lowercase()));
        found.map(String::as_str)
    }

    /// The longest entry that the coming words are.
    pub(super) fn read(&self, look: &Look<'_>) -> Option<Reading> {
        if self.is_empty() {
            return None;
        }
        let first = look.word(0)?;
        let mut written = first.core().to_owned();
        let mut best = None;
        // ".NET": its mark was taken for one that stands before the word.
        if first.lead().ends_with('.')
            && let Some(spoken) = self.get(&format!(".{written}"))
        {
            return Some(Reading {
                bare: true,
                ..Reading::of(1, spoken)
            });
        }
        for used in 1..=MOST_WORDS {
            if let Some(spoken) = self.get(&written) {
                best = Some(Reading::of(used, spoken));
            } else if let Some((owner, mark)) = written
                .rsplit_once('\'')
                .filter(|it| matches!(it.1, "" | "s" | "S"))
                && let Some(spoken) = self.get(owner)
            {
                best = Some(Reading::of(
                    used,
                    format!("{spoken}'{}", mark.to_lowercase()),
                ));
            } else if let Some(spoken) = look
                .word(used - 1)
                .filter(|it| it.tail().starts_with('.'))
                .and_then(|_| self.get(&format!("{written}.")))
            {
                let stop = Reading {
                    stop: FullStop::Taken,
                    ..Reading::of(used, spoken)
                };
                best = Some(stop);
            }
            // Only an entry that begins like this is worth waiting for the next word.
            if !self.continues(&written) {
                break;
            }
            let Some(next) = look.joined_core(used) else {
                break;
            };
            written.push(' ');
            written.push_str(next);
        }
        best
    }

    fn continues(&self, written: &str) -> bool {
        let folded = written.to_lowercase();
        let goes_on = |key: &String, start: &str| {
            key.strip_prefix(start)
                .is_some_and(|it| it.starts_with(' '))
        };
        self.exact.keys().any(|it| goes_on(it, written))
            || self.folded.keys().any(|it| goes_on(it, &folded))
    }
}
