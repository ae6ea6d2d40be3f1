//! Reading foreign JSON without surprises: bounded, and with an answer that says what is wrong and where.
//!
//! Invariants:
//! - Nothing that arrives makes this panic or recurse without bound: nesting ends at 128 levels (the parser's own limit).
//! - The caller bounds the length of the text; parsing takes memory in proportion to it.
//! - A message of an error quotes at most a short piece of what was given.
//! - Fields have names: where an object is due, a list of values in the right order is not one.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
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

/// Reads one object of type `T` from JSON text.
///
/// # Errors
/// Text that is not JSON, or not a `T`.
pub fn from_str<T: DeserializeOwned>(text: &str) -> Result<T, Rejected> {
    from_slice(text.as_bytes())
}

/// Reads one object of type `T` from JSON bytes.
///
/// # Errors
/// Bytes that are not JSON, or not a `T`.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Rejected> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let read = object(&mut reader).and_then(|it| reader.end().map(|()| it));
    read.map_err(|error| match error.classify() {
        Category::Data => field(&error, ""),
        Category::Io | Category::Syntax | Category::Eof => {
            Rejected::new(ErrorCode::InvalidJson, format!("invalid JSON: {error}"))
        }
    })
}

/// Reads the fields of a JSON object, each given once.
///
/// # Errors
/// Bytes that are not a JSON object, or a field given twice.
pub(crate) fn fields(bytes: &[u8]) -> Result<Map<String, Value>, Rejected> {
    from_slice::<Fields>(bytes).map(|it| it.0)
}

/// Reads a `T` from an object, and not, as derived readers would, from a list of its fields in the order of their declaration.
///
/// For `#[serde(deserialize_with)]` on a field that holds a struct.
///
/// # Errors
/// What is given is no object, or not a `T`.
pub fn object<'de, T, D>(reader: D) -> Result<T, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    reader.deserialize_map(Object(PhantomData))
}

struct Object<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(fields))
    }
}

/// An object whose fields are not known yet.
struct Fields(Map<String, Value>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Once;

        impl<'de> Visitor<'de> for Once {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut given: A) -> Result<Fields, A::Error> {
                let mut fields = Map::new();
                while let Some((name, value)) = given.next_entry::<String, Value>()? {
                    if fields.contains_key(&name) {
                        return Err(serde::de::Error::custom(format_args!(
                            "duplicate field `{name}`"
                        )));
                    }
                    fields.insert(name, value);
                }
                Ok(Fields(fields))
            }
        }

        reader.deserialize_map(Once)
    }
}

/// Takes one field out of `fields`; absent and null are the same.
pub(crate) fn take<T: DeserializeOwned>(
    fields: &mut Map<String, Value>,
    name: &str,
) -> Result<Option<T>, Rejected> {
    let Some(value) = fields.remove(name) else {
        return Ok(None);
    };
    serde_json::from_value(value).map_err(|error| field(&error, &format!("`{name}`: ")))
}

/// Reads what is left of an object as a `T`. `taken` names the fields that were taken out before, for the message about an unknown one.
pub(crate) fn rest<T: DeserializeOwned>(
    fields: Map<String, Value>,
    taken: &[&str],
) -> Result<T, Rejected> {
    object(Value::Object(fields)).map_err(|error: serde_json::Error| {
        let rejected = field(&error, "");
        if rejected.code != ErrorCode::UnknownField || taken.is_empty() {
            return rejected;
        }
        let known = |list: &str| {
            let taken: String = taken.iter().map(|it| format!("`{it}`, ")).collect();
            format!("{list}{taken}")
        };
        // The wordings for one, two and more fields, pinned by the tests of this crate.
        let message = ["expected one of ", "expected "]
            .iter()
            .find(|it| rejected.message.contains(*it))
            .map_or_else(
                || rejected.message.clone(),
                |list| {
                    rejected
                        .message
                        .replacen(*list, &known("expected one of "), 1)
                },
            );
        Rejected::new(rejected.code, message)
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
    rest(fields_of_pairs(pairs, text_keys)?, &[])
}

/// As [`from_pairs`], to the fields.
pub(crate) fn fields_of_pairs<'a>(
    pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    text_keys: &[&str],
) -> Result<Map<String, Value>, Rejected> {
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
    Ok(object)
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
        assert!(from_str::<Value>(&bomb).is_err());
        let bomb = format!(r#"{{"a":{bomb}"#);
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

    #[test]
    fn a_list_of_values_is_no_object() {
        use crate::asr::{ClientMessage, StreamConfig, TranscribeRequest};

        let nulls = format!("[{}]", ["null"; 16].join(","));
        let rejected = TranscribeRequest::from_json(nulls.as_bytes()).unwrap_err();
        assert_eq!(rejected.code, ErrorCode::InvalidParameter);
        assert!(rejected.to_string().contains("an object"), "{rejected}");
        let vad = r#"["silero",0.5,null,null,null,null,null,null]"#;
        let config = format!(r#"{{"type":"config","vad":{vad}}}"#);
        let rejected = ClientMessage::parse(&config).unwrap_err();
        assert_eq!(rejected.code, ErrorCode::InvalidParameter);
        assert!(StreamConfig::from_pairs([("vad", vad)]).is_err());
        assert!(from_str::<StreamConfig>(&format!(r#"{{"vad":{vad}}}"#)).is_err());
        assert!(from_str::<StreamConfig>(r#"{"vad":null}"#).is_ok());
    }

    #[test]
    fn what_follows_the_object_is_no_part_of_it() {
        let rejected = from_str::<Value>("{} x").unwrap_err();
        assert_eq!(rejected.code, ErrorCode::InvalidJson);
    }

    #[test]
    fn a_field_given_twice_is_refused() {
        let rejected = fields(br#"{"text":"a","text":"b"}"#).unwrap_err();
        assert!(rejected.to_string().contains("`text`"), "{rejected}");
        assert_eq!(rejected.code, ErrorCode::InvalidParameter);
    }
}
