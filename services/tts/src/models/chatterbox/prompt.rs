//! From a sentence to the ids that the graphs read.
//!
//! Invariants:
//! - The end of the text is marked exactly once: no text of a user can be taken for a marker.
//! - What the tokenizer's template lacks is added here, so that every prompt begins and ends as the models were trained.

use std::collections::BTreeSet;

use tokenizers::Tokenizer;

use super::language::{self, Cangjie, LANGUAGES, Punctuation};
use super::sampling::START_SPEECH;

const STOP_TEXT: i64 = 0;
const START_TEXT: i64 = 255;
const EXAGGERATION: i64 = 6563;
const END_OF_TEXT: i64 = 50_256;
/// Ids from here on are not text in the packs that learned positions of text.
const FIRST_SPEECH_MARK: i64 = START_SPEECH as i64;
/// Positions of text that were learned.
pub const MAX_TEXT_TOKENS: usize = 2048;

/// Why a text cannot be spoken by this pack.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PromptError {
    #[error("there is nothing to say in the text")]
    Nothing,
    #[error("`language` must be one of {}. Given: `{given}`", .known.join(", "))]
    UnknownLanguage {
        given: String,
        known: Vec<&'static str>,
    },
    #[error("`language` `{language}` needs {what}")]
    NeedsDictionary {
        language: String,
        what: &'static str,
    },
    #[error("a sentence may have {MAX_TEXT_TOKENS} tokens of text. Given: {given}")]
    TooLong { given: usize },
    #[error("the tokenizer failed: {0}")]
    Tokenizer(String),
}

/// What goes into the graphs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    pub ids: Vec<i64>,
    /// The learned position of each id, for the packs that ask for it.
    pub positions: Vec<i64>,
    /// Which of the ids are text, its marks among them: what an unconditional row does not see.
    pub text: std::ops::Range<usize>,
}

/// What a pack's tokenizer was trained on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Template {
    /// `6563 255 … 0 6561 6561`.
    Marked,
    /// `… 50256 50256`, as GPT-2.
    Continued,
}

/// Rules that a tokenizer does not hold itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    pub template: Template,
    pub punctuation: Punctuation,
    /// The second multilingual pack was trained on small letters in decomposed form.
    pub decompose: bool,
}

/// Makes prompts. Shared by all, and cheap to call.
#[derive(Debug)]
pub struct Prompter {
    tokenizer: Tokenizer,
    rules: Rules,
    languages: Vec<&'static str>,
    cangjie: Option<Cangjie>,
    /// Texts that mean something to the tokenizer, longest first.
    marks: Vec<String>,
    /// What the template forgets.
    ending: Vec<i64>,
}

impl Prompter {
    /// Looks at how the tokenizer behaves.
    ///
    /// # Errors
    /// Says what about it is not as it must be.
    pub fn new(
        tokenizer: Tokenizer,
        rules: Rules,
        cangjie: Option<Cangjie>,
    ) -> Result<Prompter, String> {
        let vocabulary = tokenizer.get_vocab(true);
        let languages = LANGUAGES
            .into_iter()
            .filter(|it| vocabulary.contains_key(&format!("[{it}]")));
        let languages: Vec<_> = match rules.punctuation {
            Punctuation::Multilingual => languages.collect(),
            Punctuation::English | Punctuation::Turbo => vec!["en"],
        };
        let marks: BTreeSet<(usize, String)> = vocabulary
            .into_keys()
            .filter(|it| is_mark(it, rules.template))
            .map(|it| (usize::MAX - it.len(), it))
            .collect();
        let mut prompter = Prompter {
            tokenizer,
            rules,
            languages,
            cangjie,
            marks: marks.into_iter().map(|(_, mark)| mark).collect(),
            ending: Vec::new(),
        };
        prompter.ending = prompter.missing_ending()?;
        Ok(prompter)
    }

    /// The languages it can be asked for.
    pub fn languages(&self) -> &[&'static str] {
        &self.languages
    }

    /// Its template and rules, for people.
    pub fn describe(&self) -> String {
        let example = self.encode("a").unwrap_or_default();
        let added = match self.ending.len() {
            0 => String::new(),
            _ => format!(" and {:?} added to it", self.ending),
        };
        let folded = if self.rules.decompose {
            ", small letters decomposed"
        } else {
            ""
        };
        let n_tokens = self.tokenizer.get_vocab_size(true);
        format!("{n_tokens} tokens, \"a\" becomes {example:?}{added}{folded}")
    }

    /// Makes a prompt of a sentence.
    ///
    /// # Errors
    /// Nothing to say, a language that is not there, or too much at once.
    pub fn prompt(&self, text: &str, language: Option<&str>) -> Result<Prompt, PromptError> {
        let language = self.language(language)?;
        let text = self.written(text, language)?;
        let mut ids = self.encode(&text).map_err(PromptError::Tokenizer)?;
        ids.extend(&self.ending);
        self.assemble(ids)
    }

    /// Whether a sentence can be written for the model: what is wrong with it is known before the model is asked.
    ///
    /// # Errors
    /// As those of [`Prompter::prompt`], but for the number of tokens.
    pub fn check(&self, text: &str, language: &str) -> Result<(), PromptError> {
        let language = self.language(Some(language))?;
        self.written(text, language).map(drop)
    }

    /// The same for a model that speaks these languages too. For scripts: a real model says itself what it speaks.
    #[cfg(feature = "scripted")]
    pub(in crate::models) fn speaking(self, languages: &[&'static str]) -> Prompter {
        Prompter {
            languages: self
                .languages
                .into_iter()
                .chain(languages.iter().copied())
                .collect(),
            rules: Rules {
                punctuation: Punctuation::Multilingual,
                ..self.rules
            },
            ..self
        }
    }

    /// A sentence as the tokenizer is given it.
    fn written(&self, text: &str, language: &str) -> Result<String, PromptError> {
        let text = self.without_marks(text);
        let mut text =
            language::punctuate(&text, self.rules.punctuation).ok_or(PromptError::Nothing)?;
        if self.rules.decompose {
            text = language::nfkd(&text.to_lowercase());
        }
        if self.rules.punctuation == Punctuation::Multilingual {
            let written = language::write(&text, language, self.cangjie.as_ref())?;
            text = format!("[{language}]{written}");
        }
        Ok(text)
    }

    fn language(&self, given: Option<&str>) -> Result<&'static str, PromptError> {
        // "de-AT" is spoken as "de".
        let base = given.unwrap_or("en").split(['-', '_']).next();
        let base = base.unwrap_or_default().to_ascii_lowercase();
        let found = self.languages.iter().find(|it| **it == base);
        found.copied().ok_or_else(|| PromptError::UnknownLanguage {
            given: given.unwrap_or_default().to_owned(),
            known: self.languages.clone(),
        })
    }

    /// A mark leaves a space, so that what is around it cannot make a new one.
    fn without_marks(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for mark in &self.marks {
            if text.contains(mark) {
                text = text.replace(mark, " ");
            }
        }
        text
    }

    fn assemble(&self, ids: Vec<i64>) -> Result<Prompt, PromptError> {
        let n_speech = match self.rules.template {
            Template::Marked => ids.iter().rev().take_while(|it| **it != STOP_TEXT).count(),
            Template::Continued => 2,
        };
        let n_before = match self.rules.template {
            Template::Marked => 1,
            Template::Continued => 0,
        };
        let text = n_before..ids.len().saturating_sub(n_speech);
        if MAX_TEXT_TOKENS < text.len() {
            return Err(PromptError::TooLong { given: text.len() });
        }
        if self.rules.template == Template::Marked {
            let inside = &ids[text.start + 1..text.end - 1];
            // Would switch to the tables of speech in the middle of the text.
            if let Some(mark) = inside
                .iter()
                .find(|it| **it == STOP_TEXT || FIRST_SPEECH_MARK <= **it)
            {
                return Err(PromptError::Tokenizer(format!(
                    "token {mark}, which is a mark, came of plain text"
                )));
            }
        }
        let positions = match self.rules.template {
            Template::Marked => (-1i64..)
                .zip(&ids)
                .map(|(idx, id)| if FIRST_SPEECH_MARK <= *id { 0 } else { idx })
                .collect(),
            Template::Continued => Vec::new(),
        };
        Ok(Prompt {
            ids,
            positions,
            text,
        })
    }

    fn encode(&self, text: &str) -> Result<Vec<i64>, String> {
        let encoding = self
            .tokenizer
            .encode_fast(text, true)
            .map_err(|it| it.to_string())?;
        Ok(encoding.get_ids().iter().map(|it| i64::from(*it)).collect())
    }

    /// What "a" lacks at its end.
    fn missing_ending(&self) -> Result<Vec<i64>, String> {
        let ids = self.encode("a")?;
        let given = format!("\"a\" becomes {ids:?}");
        let speech = i64::from(START_SPEECH);
        match self.rules.template {
            Template::Marked => {
                if !ids.starts_with(&[EXAGGERATION, START_TEXT]) {
                    return Err(format!(
                        "a text must begin with [{EXAGGERATION}, {START_TEXT}], but {given}"
                    ));
                }
                let ending = [STOP_TEXT, speech, speech];
                let has = (0..=ending.len())
                    .rev()
                    .find(|n| ids.ends_with(&ending[..*n]))
                    .unwrap_or_default();
                let text = &ids[2..ids.len() - has];
                if text.is_empty() || text.iter().any(|it| *it == STOP_TEXT || speech <= *it) {
                    return Err(format!("a text must end with {ending:?}, but {given}"));
                }
                Ok(ending[has..].to_vec())
            }
            Template::Continued => {
                let has = ids
                    .iter()
                    .rev()
                    .take_while(|it| **it == END_OF_TEXT)
                    .count();
                if 2 < has || ids.len() == has {
                    return Err(format!(
                        "a text must end with [{END_OF_TEXT}, {END_OF_TEXT}], but {given}"
                    ));
                }
                Ok(vec![END_OF_TEXT; 2 - has])
            }
        }
    }
}

/// Whether a token of the vocabulary is a mark that nobody may write. Turbo's tags, as `[laugh]`, are for everybody.
fn is_mark(token: &str, template: Template) -> bool {
    let within = |start, end| {
        let inside = token
            .strip_prefix(start)
            .and_then(|it: &str| it.strip_suffix(end));
        inside.is_some_and(|it| !it.is_empty())
    };
    within("<|", "|>") || (template == Template::Marked && within("[", "]"))
}

#[cfg(test)]
mod tests;
