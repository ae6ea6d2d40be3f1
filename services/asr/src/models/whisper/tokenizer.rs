//! Text to Whisper's tokens and back, and the tokens that mean something to the decoder.
//!
//! Invariants:
//! - Text that comes from a caller never turns into a special token (`encode` drops them): a prompt that spells
//!   `<|startoftranscript|>` must not be able to break the call it shares with others.
//! - The last special token is `<|notimestamps|>`; every token after it is a timestamp, 20 ms apart.

use std::{collections::BTreeSet, fmt};

use super::{languages, load::LoadError};

/// The tokens that steer Whisper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Special {
    /// End of text; all tokens before it are text.
    pub eot: u32,
    /// Start of transcript.
    pub sot: u32,
    pub translate: u32,
    pub transcribe: u32,
    pub sot_lm: u32,
    /// Start of the text before the clip.
    pub sot_prev: u32,
    pub no_speech: u32,
    pub no_timestamps: u32,
}

/// One word (or, where a language has no spaces, one piece of text) and its tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WordTokens {
    pub word: String,
    pub tokens: Vec<u32>,
}

/// A model's vocabulary.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    special: Special,
    multilingual: bool,
    languages: Vec<(&'static str, u32)>,
    non_speech: Vec<u32>,
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokenizer")
            .field("special", &self.special)
            .field("multilingual", &self.multilingual)
            .field("n_languages", &self.languages.len())
            .finish_non_exhaustive()
    }
}

impl Tokenizer {
    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    /// If it is not one, or lacks a token that every Whisper vocabulary has.
    pub fn from_json(json: &[u8], multilingual: bool) -> Result<Tokenizer, LoadError> {
        let inner =
            tokenizers::Tokenizer::from_bytes(json).map_err(|source| LoadError::Malformed {
                file: "tokenizer.json".to_owned(),
                expected: "a Hugging Face tokenizer",
                cause: source.to_string(),
            })?;
        let find = |token: &str| inner.token_to_id(token);
        let need = |token: &'static str| find(token).ok_or(LoadError::MissingToken { token });
        let special = Special {
            eot: need("<|endoftext|>")?,
            sot: need("<|startoftranscript|>")?,
            translate: need("<|translate|>")?,
            transcribe: need("<|transcribe|>")?,
            sot_lm: need("<|startoflm|>")?,
            sot_prev: need("<|startofprev|>")?,
            // Renamed in later vocabularies.
            no_speech: find("<|nospeech|>").map_or_else(|| need("<|nocaptions|>"), Ok)?,
            no_timestamps: need("<|notimestamps|>")?,
        };
        let languages: Vec<(&'static str, u32)> = languages::LANGUAGES
            .iter()
            .filter_map(|(code, _)| Some((*code, find(&format!("<|{code}|>"))?)))
            .collect();
        if multilingual && languages.is_empty() {
            return Err(LoadError::MissingToken { token: "<|en|>" });
        }
        let mut tokenizer = Tokenizer {
            inner,
            special,
            multilingual,
            languages,
            non_speech: Vec::new(),
        };
        tokenizer.non_speech = tokenizer.find_non_speech();
        Ok(tokenizer)
    }

    pub fn special(&self) -> Special {
        self.special
    }

    pub fn is_multilingual(&self) -> bool {
        self.multilingual
    }

    /// The token of 0.00 s.
    pub fn timestamp_begin(&self) -> u32 {
        self.special.no_timestamps + 1
    }

    /// Codes and tokens of the languages this vocabulary can write; only English where it is not multilingual.
    pub fn languages(&self) -> impl Iterator<Item = (&'static str, u32)> + '_ {
        let n = if self.multilingual {
            self.languages.len()
        } else {
            0
        };
        self.languages[..n].iter().copied()
    }

    /// The token of a language code.
    pub fn language_token(&self, code: &str) -> Option<u32> {
        self.languages
            .iter()
            .find(|(it, _)| *it == code)
            .map(|(_, token)| *token)
    }

    /// The language code of a token such as `<|en|>`.
    pub fn language_code(&self, token: u32) -> Option<&'static str> {
        self.languages
            .iter()
            .find(|(_, it)| *it == token)
            .map(|(code, _)| *code)
    }

    /// Tokens of plain text. Special tokens that the text spells out are dropped.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        self.inner.encode_fast(text, false).map_or_else(
            // Only a broken pre-tokenizer can fail here; no context is better than no transcript.
            |_| Vec::new(),
            |encoding| {
                encoding
                    .get_ids()
                    .iter()
                    .copied()
                    .filter(|id| *id < self.special.eot)
                    .collect()
            },
        )
    }

    /// The text of tokens, without timestamps and special tokens.
    pub fn decode(&self, tokens: &[u32]) -> String {
        let text: Vec<u32> = tokens
            .iter()
            .copied()
            .filter(|it| *it < self.special.eot)
            .collect();
        self.decode_text(&text)
    }

    /// Symbols that are written about speech and not spoken, which the decoder is kept from writing.
    pub fn non_speech_tokens(&self) -> &[u32] {
        &self.non_speech
    }

    fn decode_text(&self, tokens: &[u32]) -> String {
        // It fails only on a decoder that does not fit its vocabulary, which `from_json` has used by now.
        self.inner.decode(tokens, true).unwrap_or_default()
    }

    fn find_non_speech(&self) -> Vec<u32> {
        // Every symbol alone, and brackets, dashes and quotes as annotations combine them.
        let symbols = "\" # ( ) * + / : ; < = > @ [ \\ ] ^ _ ` { | } ~ 「 」 『 』 \
                       << >> <<< >>> -- --- -( -[ (' (\" (( )) ((( ))) [[ ]] {{ }} ♪♪ ♪♪♪";
        // The musical symbols share their first two bytes, so where they are several tokens the first will do.
        let musical = ["♩", "♪", "♫", "♬", "♭", "♮", "♯"];
        let mut found = BTreeSet::new();
        // Hyphen and apostrophe are fine inside a word and not at its beginning.
        for beginning in [" -", " '"] {
            found.extend(self.encode(beginning).first());
        }
        for symbol in symbols.split_whitespace().chain(musical) {
            for spelling in [symbol.to_owned(), format!(" {symbol}")] {
                let tokens = self.encode(&spelling);
                if tokens.len() == 1 || musical.contains(&symbol) {
                    found.extend(tokens.first());
                }
            }
        }
        found.into_iter().collect()
    }

    /// Cuts text tokens into words; `language` decides whether spaces part them.
    pub fn split_to_words(&self, tokens: &[u32], language: &str) -> Vec<WordTokens> {
        let pieces = self.split_on_characters(tokens);
        if languages::has_no_spaces(language) {
            return pieces;
        }
        let mut words: Vec<WordTokens> = Vec::new();
        for piece in pieces {
            let is_special = piece
                .tokens
                .first()
                .is_some_and(|it| self.special.eot <= *it);
            let begins = is_special
                || piece.word.starts_with(' ')
                || is_ascii_punctuation(strip(&piece.word));
            match words.last_mut() {
                Some(word) if !begins => {
                    word.word.push_str(&piece.word);
                    word.tokens.extend(piece.tokens);
                }
                _ => words.push(piece),
            }
        }
        words
    }

    /// Cuts tokens wherever they make whole characters.
    fn split_on_characters(&self, tokens: &[u32]) -> Vec<WordTokens> {
        const REPLACEMENT: char = '\u{FFFD}';
        let whole: Vec<char> = self.decode_text(tokens).chars().collect();
        let mut pieces = Vec::new();
        let mut pending = Vec::new();
        let mut n_chars = 0;
        for token in tokens {
            pending.push(*token);
            let decoded = self.decode_text(&pending);
            let broken = decoded.chars().position(|it| it == REPLACEMENT);
            // A replacement character that the whole text has there too is what the model wrote.
            if broken.is_none_or(|at| whole.get(n_chars + at) == Some(&REPLACEMENT)) {
                n_chars += decoded.chars().count();
                pieces.push(WordTokens {
                    word: decoded,
                    tokens: std::mem::take(&mut pending),
                });
            }
        }
        pieces
    }
}

/// Without white space at both ends, as Python counts white space.
pub(crate) fn strip(text: &str) -> &str {
    text.trim_matches(|it: char| it.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&it))
}

/// Whether the text is found, as it stands, in the row of ASCII punctuation. The empty text is.
fn is_ascii_punctuation(text: &str) -> bool {
    "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~".contains(text)
}
