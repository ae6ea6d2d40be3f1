//! The bodies of `POST /v1/transcribe` and `POST /v1/detect`.
//!
//! Invariants:
//! - A form and a JSON body carry the same fields and are read into the same [`TranscribeRequest`].
//! - Numbers are rounded where they are written: times to a millisecond, probabilities to four places.

use serde::{Deserialize, Serialize};

use super::config::{Encoding, Task};
use crate::error::ErrorDetail;
pub use crate::round;
use crate::strict::{self, Rejected};

/// In which form a transcript is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResponseFormat {
    /// [`Transcription`].
    #[default]
    Json,
    /// [`Transcription`] with everything that is known.
    VerboseJson,
    /// The bare text.
    Text,
    /// `SubRip` subtitles.
    Srt,
    /// `WebVTT` subtitles.
    Vtt,
}

/// What is asked of `POST /v1/transcribe`, apart from the bytes of a form's file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TranscribeRequest {
    /// The file as base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio: Option<String>,
    /// Where to fetch the file, if the server allows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_url: Option<String>,
    /// The model's name or one of its aliases.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// A language code, or `auto` to detect it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Whether words with their times are wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamps: Option<bool>,
    /// Transcribe or translate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
    /// Text that the model takes as said before the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// Words that the model should expect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hotwords: Option<String>,
    /// Hypotheses kept while decoding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beam_size: Option<u32>,
    /// The first sampling temperature, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f32>,
    /// Whether silence is cut out first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vad: Option<bool>,
    /// The form of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_format: Option<ResponseFormat>,
    /// Whether segments are sent as they are ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<bool>,
    /// The encoding of samples without a container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Encoding>,
    /// The rate of samples without a container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_rate: Option<u32>,
    /// The channels of samples without a container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<u32>,
}

impl TranscribeRequest {
    /// Reads a JSON body.
    ///
    /// # Errors
    /// Bytes that are not JSON, an unknown key or a value of the wrong type.
    pub fn from_json(body: &[u8]) -> Result<Self, Rejected> {
        strict::from_slice(body)
    }

    /// Reads the text fields of a form, or a query string.
    ///
    /// # Errors
    /// An unknown key, a key given twice, or a value of the wrong type.
    pub fn from_pairs<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Rejected> {
        strict::from_pairs(pairs, TEXT_KEYS)
    }
}

/// The keys whose values stay text even when they look like a number.
const TEXT_KEYS: &[&str] = &[
    "audio",
    "audio_url",
    "model",
    "language",
    "task",
    "prompt",
    "hotwords",
    "response_format",
    "encoding",
];

/// The answer of `POST /v1/transcribe`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transcription {
    /// All that was said.
    pub text: String,
    /// Its pieces.
    pub segments: Vec<Segment>,
    /// The language, as a code.
    pub language: String,
    /// The model's certainty of the language, 0 to 1.
    #[serde(serialize_with = "round::probability")]
    pub language_probability: f32,
    /// The length of the file, in seconds.
    #[serde(serialize_with = "round::seconds")]
    pub duration: f64,
}

/// A piece of a transcript.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// Counts from 1.
    pub id: u64,
    /// In seconds.
    #[serde(serialize_with = "round::seconds")]
    pub start: f64,
    /// In seconds.
    #[serde(serialize_with = "round::seconds")]
    pub end: f64,
    /// What was said.
    pub text: String,
    /// The mean log-probability of its tokens.
    #[serde(serialize_with = "round::probability")]
    pub avg_logprob: f32,
    /// The model's doubt that this was speech, 0 to 1.
    #[serde(serialize_with = "round::probability")]
    pub no_speech_prob: f32,
    /// How well the text compresses; loops compress too well.
    #[serde(serialize_with = "round::probability")]
    pub compression_ratio: f32,
    /// The words, if asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<Vec<Word>>,
}

/// A word of a segment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Word {
    /// Without surrounding spaces.
    pub word: String,
    /// In seconds.
    #[serde(serialize_with = "round::seconds")]
    pub start: f64,
    /// In seconds.
    #[serde(serialize_with = "round::seconds")]
    pub end: f64,
    /// 0 to 1.
    #[serde(serialize_with = "round::probability")]
    pub probability: f32,
}

/// One event of `POST /v1/transcribe` with `stream`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum StreamEvent {
    /// A segment, as it is ready.
    Segment {
        /// In the order of the file.
        segment: Segment,
    },
    /// The last event: everything but the segments, which were sent.
    Done {
        /// Its `segments` are empty.
        #[serde(flatten)]
        transcription: Transcription,
    },
    /// The last event, in place of `done`.
    Error {
        /// As in an HTTP answer.
        error: ErrorDetail,
    },
}

/// The answer of `POST /v1/detect`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    /// Whether anybody speaks at all.
    pub speech: bool,
    /// Where.
    pub segments: Vec<DetectedSpeech>,
    /// Smart Turn's probability that the speaker has finished at the end of the file; absent without speech.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "round::probability_if_any"
    )]
    pub turn_end_probability: Option<f32>,
    /// The length of the file, in seconds.
    #[serde(serialize_with = "round::seconds")]
    pub duration: f64,
    /// The rate of the file.
    pub sample_rate: u32,
}

/// One stretch of speech.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct DetectedSpeech {
    /// In seconds.
    #[serde(serialize_with = "round::seconds")]
    pub start: f64,
    /// In seconds.
    #[serde(serialize_with = "round::seconds")]
    pub end: f64,
    /// The mean probability of speech in it, 0 to 1.
    #[serde(serialize_with = "round::probability")]
    pub confidence: f32,
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_transcription_reads_as_documented() {
        let answer = Transcription {
            text: "Turn on.".into(),
            segments: vec![Segment {
                id: 1,
                start: 0.519_999_98,
                end: 2.31,
                text: " Turn on.".into(),
                avg_logprob: -0.281_234_5,
                no_speech_prob: 0.009,
                compression_ratio: 1.23,
                words: Some(vec![Word {
                    word: "Turn".into(),
                    start: 0.52,
                    end: 0.71,
                    probability: 0.98,
                }]),
            }],
            language: "en".into(),
            language_probability: f32::NAN,
            duration: 8.47,
        };
        expect![[r#"{"text":"Turn on.","segments":[{"id":1,"start":0.52,"end":2.31,"text":" Turn on.","avg_logprob":-0.2812,"no_speech_prob":0.009,"compression_ratio":1.23,"words":[{"word":"Turn","start":0.52,"end":0.71,"probability":0.98}]}],"language":"en","language_probability":0.0,"duration":8.47}"#]]
        .assert_eq(&serde_json::to_string(&answer).unwrap());
    }

    #[test]
    fn a_detection_reads_as_documented() {
        let mut answer = Detection {
            speech: true,
            segments: vec![DetectedSpeech {
                start: 0.32,
                end: 2.1,
                confidence: 0.97,
            }],
            turn_end_probability: Some(0.91),
            duration: 3.0,
            sample_rate: 16_000,
        };
        expect![[r#"{"speech":true,"segments":[{"start":0.32,"end":2.1,"confidence":0.97}],"turn_end_probability":0.91,"duration":3.0,"sample_rate":16000}"#]]
        .assert_eq(&serde_json::to_string(&answer).unwrap());
        answer.turn_end_probability = None;
        assert!(!serde_json::to_string(&answer).unwrap().contains("turn_end"));
    }

    #[test]
    fn a_form_and_a_body_ask_the_same() {
        let form = TranscribeRequest::from_pairs([
            ("language", "en"),
            ("timestamps", "true"),
            ("beam_size", "3"),
            ("response_format", "srt"),
            ("prompt", "true"),
        ])
        .unwrap();
        let body = TranscribeRequest::from_json(
            br#"{"language":"en","timestamps":true,"beam_size":3,"response_format":"srt","prompt":"true"}"#,
        )
        .unwrap();
        assert_eq!(form, body);
    }

    #[test]
    fn unknown_fields_are_named() {
        let error = TranscribeRequest::from_pairs([("langauge", "en")])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("`langauge`") && error.contains("`language`"),
            "{error}"
        );
    }
}
