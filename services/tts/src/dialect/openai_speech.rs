//! OpenAI's `POST /v1/audio/speech`: its body, its events.
//!
//! Invariants:
//! - A field is obeyed or refused by name. One is taken and not obeyed: `instructions`, which these models have no ear for, and which
//!   clients send as a matter of course.
//! - The options of `POST /v1/synthesize` are understood beside OpenAI's own.

use chassis::api_error::ApiError;
use serde::Serialize;
use serde_json::{Map, Value};
use wire::error::ErrorCode;
use wire::strict;
use wire::tts::SpeechOptions;

use crate::error::TtsError;
use crate::options::pcm;
use crate::render::Format;
use audio::encoding::Encoding;

/// What is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub input: String,
    pub format: Format,
    pub stream_format: StreamFormat,
    pub options: SpeechOptions,
}

/// What the body of the answer consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamFormat {
    Audio,
    Sse,
}

impl Request {
    /// Reads a JSON body.
    ///
    /// # Errors
    /// It is no JSON object, or a field is unknown or impossible.
    pub fn from_json(body: &[u8]) -> Result<Request, ApiError> {
        let mut fields: Map<String, Value> = strict::from_slice(body).map_err(TtsError::from)?;
        let input = match fields.remove("input") {
            Some(Value::String(input)) => input,
            None => {
                return Err(invalid(
                    "input",
                    "must be there: the text to say",
                    "nothing",
                ));
            }
            Some(other) => return Err(invalid("input", "must be text", &shown(&other))),
        };
        let mut format = match text(&mut fields, "response_format")?.as_deref() {
            None | Some("mp3") => Format::Mp3,
            Some("opus") => Format::Opus,
            Some("flac") => Format::Flac,
            Some("wav") => Format::Wav,
            Some("pcm") => Format::Raw(Encoding::PcmS16le),
            Some("aac") => {
                return Err(invalid(
                    "response_format",
                    "is not available as `aac` here; `mp3` and `opus` are compressed as well",
                    "aac",
                ));
            }
            Some(other) => {
                return Err(invalid(
                    "response_format",
                    "must be `mp3`, `opus`, `flac`, `wav` or `pcm`",
                    other,
                ));
            }
        };
        let stream_format = match text(&mut fields, "stream_format")?.as_deref() {
            None | Some("audio") => StreamFormat::Audio,
            Some("sse") => StreamFormat::Sse,
            Some(other) => {
                return Err(invalid("stream_format", "must be `audio` or `sse`", other));
            }
        };
        let _unheard = text(&mut fields, "instructions")?;
        // A voice may be given as `{"id": "..."}`.
        if let Some(Value::Object(voice)) = fields.get_mut("voice")
            && voice.len() == 1
            && let Some(id @ Value::String(_)) = voice.remove("id")
        {
            fields.insert("voice".to_owned(), id);
        }
        // `null` is how some clients leave a field out.
        fields.retain(|_, value| !value.is_null());
        let rest = serde_json::to_vec(&fields).unwrap_or_default();
        let mut options: SpeechOptions = strict::from_slice(&rest).map_err(TtsError::from)?;
        // Clients play `pcm` without asking what it is; who says what it is to be knows.
        options.sample_rate.get_or_insert(24_000);
        if let (Format::Raw(_), Some(encoding)) = (format, options.encoding) {
            format = Format::Raw(pcm(encoding));
        }
        if stream_format == StreamFormat::Sse && options.streaming == Some(false) {
            return Err(invalid(
                "streaming",
                "must not be `false` where `stream_format` is `sse`: events are a stream",
                "false",
            ));
        }
        Ok(Request {
            input,
            format,
            stream_format,
            options,
        })
    }
}

fn text(fields: &mut Map<String, Value>, name: &str) -> Result<Option<String>, ApiError> {
    match fields.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(invalid(name, "must be text", &shown(&other))),
    }
}

fn shown(value: &Value) -> String {
    value.to_string()
}

fn invalid(name: &str, rule: &str, given: &str) -> ApiError {
    let given: String = given.chars().take(60).collect();
    ApiError::at(
        name,
        ErrorCode::InvalidParameter,
        format!("`{name}` {rule}. Given: {given:?}"),
    )
}

/// What is `text` everywhere else is `input` here, and `voice_id` is `voice`.
pub fn in_its_words(error: ApiError) -> ApiError {
    let renamed = match error.body().error.param.as_deref() {
        Some("text") => ("text", "input"),
        Some("voice_id") => ("voice_id", "voice"),
        _ => return error,
    };
    let (ours, theirs) = renamed;
    let message = error
        .message()
        .replace(&format!("`{ours}`"), &format!("`{theirs}`"));
    ApiError::at(theirs, error.code(), message)
}

/// One event of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type")]
pub enum Event {
    #[serde(rename = "speech.audio.delta")]
    Delta {
        /// Base64.
        audio: String,
    },
    #[serde(rename = "speech.audio.done")]
    Done { usage: Usage },
}

/// What the work is counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Usage {
    input_tokens: usize,
    output_tokens: usize,
    total_tokens: usize,
}

impl Usage {
    /// Four characters to a token of text, as OpenAI reckons English; speech has tokens of its own.
    pub fn new(n_chars: usize, n_speech_tokens: usize) -> Usage {
        let input_tokens = n_chars.div_ceil(4);
        Usage {
            input_tokens,
            output_tokens: n_speech_tokens,
            total_tokens: input_tokens + n_speech_tokens,
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn read(body: &str) -> Result<Request, ApiError> {
        Request::from_json(body.as_bytes())
    }

    #[test]
    fn the_defaults_are_openai_s() {
        let request = read(r#"{"model":"tts-1","input":"Hello","voice":"alloy"}"#).unwrap();
        assert_eq!(request.format, Format::Mp3);
        assert_eq!(request.stream_format, StreamFormat::Audio);
        assert_eq!(request.options.voice_id.as_deref(), Some("alloy"));
        assert_eq!(request.options.model.as_deref(), Some("tts-1"));
        assert_eq!(request.options.sample_rate, Some(24_000));
    }

    #[test]
    fn everything_can_be_asked_for() {
        let request = read(
            r#"{"model":"tts-1","input":"Hi","voice":{"id":"maria"},"response_format":"pcm","speed":1.5,"instructions":"softly",
                "stream_format":"sse","seed":7,"exaggeration":0.2,"language":null}"#,
        )
        .unwrap();
        assert_eq!(request.format, Format::Raw(Encoding::PcmS16le));
        assert_eq!(request.stream_format, StreamFormat::Sse);
        let options = request.options;
        assert_eq!(options.voice_id.as_deref(), Some("maria"));
        assert_eq!((options.speed, options.seed), (Some(1.5), Some(7)));
        assert_eq!(options.language, None);
    }

    #[test]
    fn pcm_is_what_openai_s_clients_play_unless_it_is_said() {
        let read = |more: &str| read(&format!(r#"{{"input":"a"{more}}}"#)).unwrap().format;
        let raw = r#","response_format":"pcm""#;
        for (encoding, expected) in [
            ("pcm_s16le", Encoding::PcmS16le),
            ("pcm_f32le", Encoding::PcmF32le),
            ("mulaw", Encoding::Mulaw),
            ("alaw", Encoding::Alaw),
        ] {
            let asked = format!(r#"{raw},"encoding":"{encoding}""#);
            assert_eq!(read(&asked), Format::Raw(expected));
        }
        assert_eq!(read(raw), Format::Raw(Encoding::PcmS16le));
        // Files say themselves what they hold.
        assert_eq!(read(r#","encoding":"mulaw""#), Format::Mp3);
    }

    fn refused(body: &str, code: ErrorCode, part: &str) {
        let error = read(body).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(error.message().contains(part), "{error}");
    }

    #[test]
    fn mistakes_are_named() {
        let bad = ErrorCode::InvalidParameter;
        refused("{", ErrorCode::InvalidJson, "EOF");
        refused("[]", bad, "object");
        refused("{}", bad, "`input`");
        refused(r#"{"input":["a"]}"#, bad, "`input`");
        refused(r#"{"input":"a","response_format":"aac"}"#, bad, "aac");
        refused(r#"{"input":"a","response_format":"midi"}"#, bad, "`flac`");
        refused(r#"{"input":"a","stream_format":"ws"}"#, bad, "`sse`");
        refused(
            r#"{"input":"a","stream_format":"sse","streaming":false}"#,
            bad,
            "`streaming`",
        );
        refused(r#"{"input":"a","voice":{"id":"x","more":1}}"#, bad, "");
        refused(
            r#"{"input":"a","voise":"x"}"#,
            ErrorCode::UnknownField,
            "voise",
        );
    }

    #[test]
    fn events_are_spelled_as_openai_s() {
        let events = [
            Event::Delta {
                audio: "QQ==".to_owned(),
            },
            Event::Done {
                usage: Usage::new(9, 101),
            },
        ];
        expect![[r#"[{"type":"speech.audio.delta","audio":"QQ=="},{"type":"speech.audio.done","usage":{"input_tokens":3,"output_tokens":101,"total_tokens":104}}]"#]]
            .assert_eq(&serde_json::to_string(&events).unwrap());
    }
}
