//! OpenAI's `POST /v1/audio/transcriptions` and `/v1/audio/translations`: its form fields, its answers, its events.
//!
//! Invariants:
//! - A field that cannot be obeyed is refused by name. What only changes an answer of another form is passed over where the form is
//!   not asked for, as `docs/PROTOCOL.md` says.
//! - The concatenated `delta`s of a stream equal the `text` of its `done`.
//! - Segment ids count from 0 here, as OpenAI's do, and from 1 everywhere else.

use chassis::api_error::ApiError;
use serde::Serialize;
use wire::asr::rest::round;
use wire::error::ErrorCode;

use super::languages;
use crate::transcript::{Segment, Transcript};

/// The forms of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Json,
    VerboseJson,
    Text,
    Srt,
    Vtt,
}

/// What the form asks for, apart from the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    pub model: Option<String>,
    pub language: Option<String>,
    pub prompt: Option<String>,
    pub hotwords: Option<String>,
    pub format: Format,
    pub temperature: Option<f32>,
    pub words: bool,
    pub stream: bool,
    pub vad: Option<bool>,
    pub beam_size: Option<u32>,
}

impl Request {
    /// Reads the text fields of the form.
    pub fn from_fields(fields: &[(String, String)]) -> Result<Request, ApiError> {
        let mut request = Request::default();
        let mut keywords: Vec<&str> = Vec::new();
        let mut languages: Vec<&str> = Vec::new();
        for (name, value) in fields {
            let name = name.as_str();
            match name {
                "model" => request.model = Some(value.clone()),
                "language" => request.language = Some(value.clone()).filter(|it| !it.is_empty()),
                "languages" | "languages[]" => languages.push(value),
                "prompt" => request.prompt = Some(value.clone()).filter(|it| !it.is_empty()),
                "hotwords" => request.hotwords = Some(value.clone()).filter(|it| !it.is_empty()),
                "keywords" | "keywords[]" => keywords.push(value),
                "response_format" => request.format = format(value)?,
                "temperature" => request.temperature = Some(number(name, value)?),
                "timestamp_granularities" | "timestamp_granularities[]" => match value.as_str() {
                    "word" => request.words = true,
                    "segment" => {}
                    _ => return Err(invalid(name, "must be `word` or `segment`", value)),
                },
                "stream" => request.stream = truth(name, value)?,
                // Extensions that the native endpoint knows under the same names.
                "vad" => request.vad = Some(truth(name, value)?),
                "beam_size" => request.beam_size = Some(number(name, value)?),
                // What it asks for is what this server always does: cut at pauses.
                "chunking_strategy" if value == "auto" || value.contains("server_vad") => {}
                "chunking_strategy" => {
                    return Err(invalid(
                        name,
                        "must be `auto` or a `server_vad` object",
                        value,
                    ));
                }
                "include" | "include[]" => {
                    return Err(invalid(
                        name,
                        "is not supported: this model gives no token probabilities",
                        value,
                    ));
                }
                "known_speaker_names"
                | "known_speaker_names[]"
                | "known_speaker_references"
                | "known_speaker_references[]" => {
                    return Err(invalid(
                        name,
                        "is not supported: this server does not tell speakers apart",
                        value,
                    ));
                }
                _ => {
                    return Err(ApiError::at(
                        name,
                        ErrorCode::UnknownField,
                        format!(
                            "unknown field `{}`",
                            name.chars().take(60).collect::<String>()
                        ),
                    ));
                }
            }
        }
        if !keywords.is_empty() {
            request.hotwords = Some(keywords.join(", "));
        }
        match (languages.as_slice(), &request.language) {
            ([], _) => {}
            ([one], None) => request.language = Some((*one).to_owned()),
            // Several candidates: the model decides by ear.
            (_, None) => {}
            (_, Some(_)) => {
                return Err(invalid(
                    "languages",
                    "cannot be given beside `language`",
                    &languages.join(","),
                ));
            }
        }
        Ok(request)
    }
}

fn format(value: &str) -> Result<Format, ApiError> {
    match value {
        "json" => Ok(Format::Json),
        "verbose_json" => Ok(Format::VerboseJson),
        "text" => Ok(Format::Text),
        "srt" => Ok(Format::Srt),
        "vtt" => Ok(Format::Vtt),
        "diarized_json" => Err(invalid(
            "response_format",
            "is not supported: this server does not tell speakers apart",
            value,
        )),
        _ => Err(invalid(
            "response_format",
            "must be `json`, `verbose_json`, `text`, `srt` or `vtt`",
            value,
        )),
    }
}

fn truth(name: &str, value: &str) -> Result<bool, ApiError> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(invalid(name, "must be `true` or `false`", value)),
    }
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, ApiError> {
    value
        .trim()
        .parse()
        .map_err(|_| invalid(name, "must be a number", value))
}

fn invalid(name: &str, rule: &str, given: &str) -> ApiError {
    let given: String = given.chars().take(60).collect();
    let name = name.trim_end_matches("[]");
    ApiError::at(
        name,
        ErrorCode::InvalidParameter,
        format!("`{name}` {rule}. Given: {given:?}"),
    )
}

/// The plain answer.
#[derive(Debug, Serialize)]
pub struct Json {
    pub text: String,
    pub usage: Usage,
}

/// What the work is counted by.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Usage {
    Duration {
        /// Begun seconds of audio.
        seconds: u64,
    },
    Tokens {
        input_tokens: u64,
        input_token_details: InputTokens,
        output_tokens: u64,
        total_tokens: u64,
    },
}

#[derive(Debug, Serialize)]
pub struct InputTokens {
    text_tokens: u64,
    audio_tokens: u64,
}

impl Usage {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float cast saturates, and not-a-number becomes zero"
    )]
    pub fn duration(duration_s: f64) -> Usage {
        Usage::Duration {
            seconds: duration_s.ceil() as u64,
        }
    }

    /// Audio counts as the encoder sees it, 50 positions a second.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float cast saturates, and not-a-number becomes zero"
    )]
    pub fn tokens(duration_s: f64, output_tokens: u64) -> Usage {
        let audio_tokens = (duration_s * 50.0).ceil() as u64;
        Usage::Tokens {
            input_tokens: audio_tokens,
            input_token_details: InputTokens {
                text_tokens: 0,
                audio_tokens,
            },
            output_tokens,
            total_tokens: audio_tokens.saturating_add(output_tokens),
        }
    }
}

/// The answer with times.
#[derive(Debug, Serialize)]
pub struct VerboseJson<'a> {
    task: &'static str,
    language: &'a str,
    #[serde(serialize_with = "round::seconds")]
    duration: f64,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    words: Option<Vec<VerboseWord<'a>>>,
    segments: Vec<VerboseSegment<'a>>,
    usage: Usage,
}

#[derive(Debug, Serialize)]
struct VerboseWord<'a> {
    word: &'a str,
    #[serde(serialize_with = "round::seconds")]
    start: f64,
    #[serde(serialize_with = "round::seconds")]
    end: f64,
}

#[derive(Debug, Serialize)]
struct VerboseSegment<'a> {
    id: usize,
    seek: usize,
    #[serde(serialize_with = "round::seconds")]
    start: f64,
    #[serde(serialize_with = "round::seconds")]
    end: f64,
    text: &'a str,
    tokens: &'a [u32],
    #[serde(serialize_with = "round::probability")]
    temperature: f32,
    #[serde(serialize_with = "round::probability")]
    avg_logprob: f32,
    #[serde(serialize_with = "round::probability")]
    compression_ratio: f32,
    #[serde(serialize_with = "round::probability")]
    no_speech_prob: f32,
}

/// What the endpoint does, which is part of its verbose answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Transcription,
    Translation,
}

/// The plain answer for a transcript.
pub fn json(transcript: &Transcript) -> Json {
    Json {
        text: transcript.text(),
        usage: Usage::duration(transcript.duration_s),
    }
}

/// The answer with times. Words only if they were asked for; segments always, because clients that ask for words
/// alone have been seen to read them too.
pub fn verbose(transcript: &Transcript, kind: Kind, words: bool) -> VerboseJson<'_> {
    let all_words = || {
        transcript
            .segments
            .iter()
            .filter_map(|it| it.words.as_deref())
            .flatten()
            .map(|it| VerboseWord {
                word: it.word.trim(),
                start: it.start,
                end: it.end,
            })
    };
    VerboseJson {
        task: match kind {
            Kind::Transcription => "transcribe",
            Kind::Translation => "translate",
        },
        language: match kind {
            Kind::Transcription => languages::name(&transcript.language),
            Kind::Translation => "english",
        },
        duration: transcript.duration_s,
        text: transcript.text(),
        words: words.then(|| all_words().collect()),
        segments: transcript
            .segments
            .iter()
            .enumerate()
            .map(|(id, it)| verbose_segment(id, it))
            .collect(),
        usage: Usage::duration(transcript.duration_s),
    }
}

fn verbose_segment(id: usize, it: &Segment) -> VerboseSegment<'_> {
    VerboseSegment {
        id,
        seek: it.seek,
        start: it.start,
        end: it.end,
        text: &it.text,
        tokens: &it.tokens,
        temperature: it.temperature,
        avg_logprob: it.avg_logprob,
        compression_ratio: it.compression_ratio,
        no_speech_prob: it.no_speech_prob,
    }
}

/// One event of a stream.
#[derive(Debug, Serialize)]
#[serde(tag = "type")]
pub enum Event {
    #[serde(rename = "transcript.text.delta")]
    Delta { delta: String },
    #[serde(rename = "transcript.text.done")]
    Done { text: String, usage: Usage },
}

/// Turns segments, as they come, into deltas.
#[derive(Debug, Default)]
pub struct Deltas {
    text: String,
    /// White space that is sent only if text follows it.
    held: String,
    n_tokens: u64,
}

impl Deltas {
    /// The delta of one more segment; `None` if it adds no text.
    pub fn push(&mut self, segment: &Segment) -> Option<Event> {
        self.n_tokens = self.n_tokens.saturating_add(segment.tokens.len() as u64);
        let mut added = std::mem::take(&mut self.held);
        added.push_str(&segment.text);
        let kept = added.trim_end().len();
        self.held = added.split_off(kept);
        if self.text.is_empty() {
            added = added.trim_start().to_owned();
        }
        if added.is_empty() {
            return None;
        }
        self.text.push_str(&added);
        Some(Event::Delta { delta: added })
    }

    /// The last event.
    pub fn done(self, duration_s: f64) -> Event {
        Event::Done {
            text: self.text,
            usage: Usage::tokens(duration_s, self.n_tokens),
        }
    }
}

#[cfg(test)]
mod tests;
