//! Reading foreign JSON without surprises: bounded, and with an answer that says what is wrong and where.
//!
//! Invariants:
//! - Nothing that arrives makes this panic or recurse without bound: nesting ends at 128 levels (the parser's own limit).
//! - The caller bounds the length of the text; parsing takes memory in proportion to it.
//! - A message of an error quotes at most a short piece of what was given.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_json::{Map, Value};

use crate::error::ErrorCode;

/// A text that was not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The kind of mistake.
    pub code: ErrorCode,
    message: String,
}

impl Rejected {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: shortened(message.into()),
        }
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Rejected {}

/// The longest message: enough for a list of every key, too short to echo a whole frame.
const MAX_MESSAGE_CHARS: usize = 600;

fn shortened(message: String) -> String {
    match message.char_indices().nth(MAX_MESSAGE_CHARS) {
        Some((end, _)) => format!("{}…", message.get(..end).unwrap_or_default()),
        None => message,
    }
}

/// Reads one value of `T` from JSON text.
///
/// # Errors
/// Text that is not JSON, or not a `T`.
pub fn from_str<T: DeserializeOwned>(text: &str) -> Result<T, Rejected> {
    from_slice(text.as_bytes())
}

/// Reads one value of `T` from JSON bytes.
///
/// # Errors
/// Bytes that are not JSON, or not a `T`.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Rejected> {
    serde_json::from_slice(bytes).map_err(|error| match error.classify() {
        Category::Data => field(&error, ""),
        Category::Io | Category::Syntax | Category::Eof => {
            Rejected::new(ErrorCode::InvalidJson, format!("invalid JSON: {error}"))
        }
    })
}

/// A refusal of well-formed JSON that does not fit its type.
pub(crate) fn field(error: &serde_json::Error, context: &str) -> Rejected {
    let message = error.to_string();
    // The error type of `serde_json` does not tell this case apart; the wording is pinned by the tests of this crate.
    let code = if message.starts_with("unknown field") {
        ErrorCode::UnknownField
    } else {
        ErrorCode::InvalidParameter
    };
    Rejected::new(code, format!("{context}{message}"))
}

/// Reads one value of `T` from key and value texts, as a query string or a form gives them.
///
/// A key with a dot names a field of an object. A value becomes a number, a truth value or an object if it reads as one and
/// its key is not among `text_keys`.
///
/// # Errors
/// An unknown key, a key given twice, or a value of the wrong type.
pub fn from_pairs<'a, T: DeserializeOwned>(
    pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    text_keys: &[&str],
) -> Result<T, Rejected> {
    let mut object = Map::new();
    for (key, given) in pairs {
        let value = if text_keys.contains(&key) {
            Value::from(given)
        } else {
            guessed(given)
        };
        let taken = match key.split_once('.') {
            None => object.insert(key.to_owned(), value).is_some(),
            Some((outer, inner)) => {
                match object
                    .entry(outer)
                    .or_insert_with(|| Value::Object(Map::new()))
                {
                    Value::Object(fields) => fields.insert(inner.to_owned(), value).is_some(),
                    Value::Null
                    | Value::Bool(_)
                    | Value::Number(_)
                    | Value::String(_)
                    | Value::Array(_) => true,
                }
            }
        };
        if taken {
            return Err(Rejected::new(
                ErrorCode::InvalidParameter,
                format!("`{key}` is given twice"),
            ));
        }
    }
    serde_json::from_value(Value::Object(object)).map_err(|error| field(&error, ""))
}

fn guessed(given: &str) -> Value {
    serde_json::from_str(given).unwrap_or_else(|_| Value::from(given))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deep_nest_is_refused_not_followed() {
        let bomb = "[".repeat(100_000);
        assert_eq!(
            from_str::<Value>(&bomb).unwrap_err().code,
            ErrorCode::InvalidJson
        );
        let bomb = r#"{"a":"#.repeat(100_000);
        assert_eq!(
            from_str::<Value>(&bomb).unwrap_err().code,
            ErrorCode::InvalidJson
        );
        let nested = format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000));
        let pairs = [("vad", nested.as_str())];
        assert!(from_pairs::<crate::asr::StreamConfig>(pairs, &[]).is_err());
    }

    #[test]
    fn a_long_mistake_is_not_echoed_whole() {
        let long = format!(r#"{{"{}":1}}"#, "k".repeat(50_000));
        let message = from_str::<crate::asr::StreamConfig>(&long)
            .unwrap_err()
            .to_string();
        assert!(message.len() < 1_000, "{}", message.len());
    }
}
