//! The bodies of `POST /v1/synthesize` and of the addresses of voices.
//!
//! Invariants:
//! - Numbers are rounded where they are written: times to a millisecond.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::options::{SpeechOptions, TEXT_KEYS};
use super::stream::required;
use crate::round;
use crate::strict::{self, Rejected};

/// In which form speech is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// RIFF with a header.
    Wav,
    /// MPEG layer 3.
    Mp3,
    /// Opus in Ogg.
    Opus,
    /// FLAC.
    Flac,
    /// Samples alone, as `encoding` says.
    Pcm,
    /// G.711 mu-law alone.
    #[serde(alias = "mulaw")]
    Ulaw,
    /// G.711 A-law alone.
    Alaw,
    /// A JSON object that holds a WAV file as base64: [`SynthesizedAudio`].
    Base64,
}

impl Format {
    /// All of them, in the order of documentation.
    pub const ALL: [Format; 8] = [
        Format::Wav,
        Format::Mp3,
        Format::Opus,
        Format::Flac,
        Format::Pcm,
        Format::Ulaw,
        Format::Alaw,
        Format::Base64,
    ];

    /// The spelling on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Format::Wav => "wav",
            Format::Mp3 => "mp3",
            Format::Opus => "opus",
            Format::Flac => "flac",
            Format::Pcm => "pcm",
            Format::Ulaw => "ulaw",
            Format::Alaw => "alaw",
            Format::Base64 => "base64",
        }
    }
}

/// What is asked of `POST /v1/synthesize`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SynthesizeRequest {
    /// What to say.
    pub text: String,
    /// The form of the answer. Also read as `return_format` and `response_format`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// How to say it.
    #[serde(flatten)]
    pub options: SpeechOptions,
}

/// The fields of a request beside the options, the other names of `format` last.
const FIELDS: &[&str] = &["text", "format"];
/// The names that `format` may have.
const FORMAT_NAMES: [&str; 3] = ["format", "return_format", "response_format"];

impl SynthesizeRequest {
    /// Reads a JSON body.
    ///
    /// # Errors
    /// Bytes that are not JSON, an unknown key, a key given twice, or a value of the wrong type.
    pub fn from_json(body: &[u8]) -> Result<Self, Rejected> {
        Self::from_fields(strict::fields(body)?)
    }

    /// Reads the text fields of a form, or a query string.
    ///
    /// # Errors
    /// An unknown key, a key given twice, or a value of the wrong type.
    pub fn from_pairs<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Rejected> {
        let text_keys = [TEXT_KEYS, &["text"], &FORMAT_NAMES].concat();
        Self::from_fields(strict::fields_of_pairs(pairs, &text_keys)?)
    }

    fn from_fields(mut fields: Map<String, Value>) -> Result<Self, Rejected> {
        let mut format = None;
        for name in FORMAT_NAMES {
            if let Some(given) = strict::take(&mut fields, name)?
                && format.replace(given).is_some()
            {
                return Err(Rejected::new(
                    crate::error::ErrorCode::InvalidParameter,
                    format!("`{name}` is another name of `format`, which is given too"),
                ));
            }
        }
        Ok(Self {
            text: required(&mut fields, "text")?,
            format,
            options: strict::rest(fields, FIELDS)?,
        })
    }
}

/// The answer of `POST /v1/synthesize` with `format: base64`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SynthesizedAudio {
    /// A WAV file as base64.
    pub audio: String,
    /// What the bytes are.
    pub format: Format,
    /// Samples a second.
    pub sample_rate: u32,
    /// How many there are.
    pub samples: u64,
    /// How long that is, in seconds.
    #[serde(serialize_with = "round::seconds")]
    pub duration: f64,
    /// Who speaks.
    pub voice_id: String,
    /// The seed in effect.
    pub seed: u64,
}

/// A voice, as clients see it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Voice {
    /// What it is called.
    pub voice_id: String,
    /// For people; may be empty.
    #[serde(default)]
    pub description: String,
    /// The language spoken in its recording, as a code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Other names that lead to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Whether it came with the server; such a voice cannot be deleted.
    #[serde(default)]
    pub built_in: bool,
    /// How long its recording is, in seconds.
    #[serde(serialize_with = "round::seconds")]
    pub duration: f64,
    /// When it was registered, in seconds since 1970; absent if it came with the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<u64>,
    /// How the speaker agreed to this use, in the words given at registration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent: Option<String>,
    /// What could be better about the recording.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// The answer of `GET /v1/voices`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct VoiceList {
    /// In the order of their names.
    pub voices: Vec<Voice>,
}

/// The answer of `DELETE /v1/voices/{id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deleted {
    /// What it was called.
    pub voice_id: String,
    /// True.
    pub deleted: bool,
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::error::ErrorCode;

    #[test]
    fn a_form_and_a_body_ask_the_same() {
        let form = SynthesizeRequest::from_pairs([
            ("text", "42"),
            ("voice", "7"),
            ("format", "ulaw"),
            ("sample_rate", "8000"),
            ("temperature", "0.5"),
        ])
        .unwrap();
        let body = SynthesizeRequest::from_json(
            br#"{"text":"42","voice_id":"7","return_format":"mulaw","sample_rate":8000,"temperature":0.5}"#,
        )
        .unwrap();
        assert_eq!(form, body);
        assert_eq!(form.format, Some(Format::Ulaw));
    }

    #[test]
    fn mistakes_are_named() {
        let cases: [(&str, ErrorCode, &str); 8] = [
            ("[]", ErrorCode::InvalidParameter, "an object"),
            (r#""text""#, ErrorCode::InvalidParameter, "an object"),
            ("{}", ErrorCode::InvalidParameter, "`text`"),
            (r#"{"text":"a","#, ErrorCode::InvalidJson, "EOF"),
            (r#"{"text":["a"]}"#, ErrorCode::InvalidParameter, "`text`"),
            (
                r#"{"text":"a","voise":"b"}"#,
                ErrorCode::UnknownField,
                "`text`, `format`, `voice`, `voice_id`",
            ),
            (
                r#"{"text":"a","format":"aac"}"#,
                ErrorCode::InvalidParameter,
                "`flac`",
            ),
            (
                r#"{"text":"a","format":"wav","response_format":"mp3"}"#,
                ErrorCode::InvalidParameter,
                "`response_format`",
            ),
        ];
        for (body, code, part) in cases {
            let rejected = SynthesizeRequest::from_json(body.as_bytes()).unwrap_err();
            assert_eq!(rejected.code, code, "{body}: {rejected}");
            assert!(rejected.to_string().contains(part), "{body}: {rejected}");
        }
    }

    #[test]
    fn formats_are_spelt_alike_everywhere() {
        for format in Format::ALL {
            assert_eq!(serde_json::to_value(format).unwrap(), format.as_str());
        }
    }

    #[test]
    fn answers_read_as_documented() {
        let voice = Voice {
            voice_id: "user_123".into(),
            description: "calm".into(),
            language: Some("en".into()),
            aliases: vec!["jenny".into()],
            built_in: false,
            duration: 9.999_999,
            created: Some(1_764_000_000),
            consent: Some("by letter".into()),
            warnings: vec!["it is short".into()],
        };
        let list = VoiceList {
            voices: vec![
                Voice {
                    voice_id: "default".into(),
                    built_in: true,
                    duration: 6.0,
                    ..Voice::default()
                },
                voice,
            ],
        };
        expect![[r#"{"voices":[{"voice_id":"default","description":"","built_in":true,"duration":6.0},{"voice_id":"user_123","description":"calm","language":"en","aliases":["jenny"],"built_in":false,"duration":10.0,"created":1764000000,"consent":"by letter","warnings":["it is short"]}]}"#]]
        .assert_eq(&serde_json::to_string(&list).unwrap());
        let audio = SynthesizedAudio {
            audio: "UklGRg==".into(),
            format: Format::Wav,
            sample_rate: 24_000,
            samples: 24_480,
            duration: 1.02,
            voice_id: "default".into(),
            seed: 7,
        };
        expect![[r#"{"audio":"UklGRg==","format":"wav","sample_rate":24000,"samples":24480,"duration":1.02,"voice_id":"default","seed":7}"#]]
        .assert_eq(&serde_json::to_string(&audio).unwrap());
        let deleted = Deleted {
            voice_id: "user_123".into(),
            deleted: true,
        };
        expect![[r#"{"voice_id":"user_123","deleted":true}"#]]
            .assert_eq(&serde_json::to_string(&deleted).unwrap());
    }
}
