//! What a voice is called.

use std::borrow::Borrow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest id, in characters.
pub const MAX_ID_CHARS: usize = 64;

/// The id of a voice: 1 to 64 of `A-Z`, `a-z`, `0-9`, `_` and `-`.
///
/// No such text can name another folder, a hidden file or a staged one, so an id may stand in a path as it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VoiceId(String);

/// A text that is no [`VoiceId`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`voice_id` must be 1 to 64 of the characters A-Z, a-z, 0-9, `_` and `-`. Given: {given:?}"
)]
pub struct InvalidId {
    /// Its beginning.
    pub given: String,
}

impl VoiceId {
    /// Checks a text.
    ///
    /// # Errors
    /// If it is no id.
    pub fn parse(text: &str) -> Result<VoiceId, InvalidId> {
        let is_allowed = |it: u8| it.is_ascii_alphanumeric() || it == b'_' || it == b'-';
        if text.is_empty() || MAX_ID_CHARS < text.len() || !text.bytes().all(is_allowed) {
            return Err(InvalidId {
                given: shortened(text),
            });
        }
        Ok(VoiceId(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The beginning of a text, for a message: whoever sends a megabyte need not get it back.
pub(super) fn shortened(text: &str) -> String {
    const KEPT: usize = 80;
    let mut kept: String = text.chars().take(KEPT).collect();
    if text.chars().nth(KEPT).is_some() {
        kept.push('…');
    }
    kept
}

impl fmt::Display for VoiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for VoiceId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for VoiceId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<VoiceId, InvalidId> {
        VoiceId::parse(&text)
    }
}

impl From<VoiceId> for String {
    fn from(id: VoiceId) -> String {
        id.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_are_ids() {
        for text in [
            "a",
            "user_123",
            "CON",
            "-",
            "_",
            "0",
            "Jenny-2",
            &"x".repeat(64),
        ] {
            assert_eq!(VoiceId::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn whatever_could_leave_the_folder_is_not() {
        for text in [
            "",
            ".",
            "..",
            "../x",
            "..\\x",
            "a/b",
            "a\\b",
            "/etc/passwd",
            "a.json",
            "a#1",
            "a%2e",
            "a\0",
            "a\n",
            " a",
            "é",
            "ａ",
            "a\u{202e}b",
            "C:",
            "~",
            "$HOME",
            "*",
            &"x".repeat(65),
        ] {
            assert!(VoiceId::parse(text).is_err(), "{text:?} passed");
        }
    }

    #[test]
    fn a_long_text_is_not_given_back_whole() {
        let error = VoiceId::parse(&"ü".repeat(1_000_000)).unwrap_err();
        assert!(error.to_string().len() < 400);
    }

    #[test]
    fn a_stored_id_is_checked_as_well() {
        assert!(serde_json::from_str::<VoiceId>(r#""jenny""#).is_ok());
        assert!(serde_json::from_str::<VoiceId>(r#""../jenny""#).is_err());
    }
}
