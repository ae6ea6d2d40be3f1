//! What a client may ask of one stream: the keys of a `config` message, which the query string of the upgrade may carry too.
//!
//! Invariants:
//! - Every field is optional; what is absent keeps the server's setting, and `ready` answers with all of them filled in.
//! - An unknown key is an error that names it: a misspelt option must not pass as if it had been obeyed.
//! - Ranges are the server's to check, because they depend on its settings; here is only the shape.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{Deserializer, Error, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::strict::{self, Rejected};

/// How the bytes of binary frames are to be read. Never guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// Signed 16-bit little-endian samples.
    PcmS16le,
    /// 32-bit little-endian floats in [-1, 1].
    PcmF32le,
    /// G.711 mu-law, one byte a sample.
    Mulaw,
    /// G.711 A-law, one byte a sample.
    Alaw,
    /// Opus packets in Ogg pages.
    OggOpus,
}

/// What is made of the speech.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Text in the language that is spoken.
    Transcribe,
    /// Text in English.
    Translate,
}

/// When a `final` is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinalOn {
    /// Once a turn, when the speaker has finished.
    TurnEnd,
    /// Once a stretch of speech, at each pause.
    VadStop,
}

/// What decides that somebody speaks and has finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VadKind {
    /// Silero hears speech, Smart Turn judges whether the turn is over.
    #[serde(alias = "smart_turn_v3")]
    SileroSmartTurn,
    /// Silero hears speech, silence alone ends the turn.
    Silero,
    /// Loudness stands for speech, silence alone ends the turn.
    Energy,
}

/// How speech and the ends of turns are found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VadConfig {
    /// The method.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<VadKind>,
    /// Speech begins at this probability (for `energy`: this peak amplitude), in (0, 1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f32>,
    /// Speech this long opens a segment, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_secs: Option<f32>,
    /// Silence this long ends a stretch of speech, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_secs: Option<f32>,
    /// Silence this long ends the turn whatever Smart Turn says, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_stop_secs: Option<f32>,
    /// Audio before the first speech that belongs to the segment, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre_roll_secs: Option<f32>,
    /// A turn is over at this probability of Smart Turn, in (0, 1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_threshold: Option<f32>,
    /// A turn longer than this is ended and goes on as the next, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_turn_secs: Option<f32>,
}

/// The options of one stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamConfig {
    /// How binary frames are encoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Encoding>,
    /// Samples a second of each channel, 8000 to 48000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_rate: Option<u32>,
    /// Interleaved channels, 1 or 2; two are mixed to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<u32>,
    /// A language code, or `auto` to detect it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Transcribe or translate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
    /// The model's name or one of its aliases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Text that the model takes as said before the stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// Words that the model should expect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hotwords: Option<String>,
    /// Hypotheses kept while decoding finals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beam_size: Option<u32>,
    /// The first sampling temperature of finals, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f32>,
    /// Whether `partial` messages are sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partials: Option<bool>,
    /// The shortest time between partials of one segment, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial_interval_ms: Option<u32>,
    /// Whether finals carry words with their times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable_timestamps: Option<bool>,
    /// How speech and the ends of turns are found. A kind alone may stand for the object.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "kind_or_object"
    )]
    pub vad: Option<VadConfig>,
    /// The same as `vad.threshold`, in the flat form of older clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vad_threshold: Option<f32>,
    /// When finals are sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_on: Option<FinalOn>,
    /// The position of the first sample that follows, for a stream that goes on after a break.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_sample: Option<u64>,
}

impl StreamConfig {
    /// Reads the options from the pairs of a query string, already percent-decoded.
    ///
    /// Fields of `vad` are written `vad.stop_secs=0.3`, or `vad` holds the JSON object itself.
    ///
    /// # Errors
    /// An unknown key, a key given twice, or a value of the wrong type.
    pub fn from_pairs<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Rejected> {
        strict::from_pairs(pairs, TEXT_KEYS)
    }

    /// These options over `under`: what is given here wins, field by field.
    #[must_use]
    pub fn over(self, under: Self) -> Self {
        Self {
            encoding: self.encoding.or(under.encoding),
            sample_rate: self.sample_rate.or(under.sample_rate),
            channels: self.channels.or(under.channels),
            language: self.language.or(under.language),
            task: self.task.or(under.task),
            model: self.model.or(under.model),
            prompt: self.prompt.or(under.prompt),
            hotwords: self.hotwords.or(under.hotwords),
            beam_size: self.beam_size.or(under.beam_size),
            temperature: self.temperature.or(under.temperature),
            partials: self.partials.or(under.partials),
            partial_interval_ms: self.partial_interval_ms.or(under.partial_interval_ms),
            enable_timestamps: self.enable_timestamps.or(under.enable_timestamps),
            vad: match (self.vad, under.vad) {
                (Some(vad), Some(under)) => Some(vad.over(under)),
                (vad, under) => vad.or(under),
            },
            vad_threshold: self.vad_threshold.or(under.vad_threshold),
            final_on: self.final_on.or(under.final_on),
            start_sample: self.start_sample.or(under.start_sample),
        }
    }
}

impl VadConfig {
    /// These options over `under`: what is given here wins, field by field.
    #[must_use]
    pub fn over(self, under: Self) -> Self {
        Self {
            kind: self.kind.or(under.kind),
            threshold: self.threshold.or(under.threshold),
            start_secs: self.start_secs.or(under.start_secs),
            stop_secs: self.stop_secs.or(under.stop_secs),
            max_stop_secs: self.max_stop_secs.or(under.max_stop_secs),
            pre_roll_secs: self.pre_roll_secs.or(under.pre_roll_secs),
            turn_threshold: self.turn_threshold.or(under.turn_threshold),
            max_turn_secs: self.max_turn_secs.or(under.max_turn_secs),
        }
    }
}

fn kind_or_object<'de, D: Deserializer<'de>>(given: D) -> Result<Option<VadConfig>, D::Error> {
    struct KindOrObject;

    impl<'de> Visitor<'de> for KindOrObject {
        type Value = Option<VadConfig>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(
                "a kind of detection (`silero_smart_turn`, `silero` or `energy`) or an object with `type`, `threshold`, …",
            )
        }

        fn visit_str<E: Error>(self, kind: &str) -> Result<Self::Value, E> {
            let kind: StrDeserializer<'_, E> = kind.into_deserializer();
            Ok(Some(VadConfig {
                kind: Some(VadKind::deserialize(kind)?),
                ..VadConfig::default()
            }))
        }

        fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Self::Value, A::Error> {
            VadConfig::deserialize(MapAccessDeserializer::new(object)).map(Some)
        }

        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
    }

    given.deserialize_any(KindOrObject)
}

/// The keys whose values stay text even when they look like a number.
const TEXT_KEYS: &[&str] = &[
    "encoding", "language", "task", "model", "prompt", "hotwords", "final_on", "vad.type",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_says_what_a_config_message_says() {
        let query = StreamConfig::from_pairs([
            ("encoding", "mulaw"),
            ("sample_rate", "8000"),
            ("partials", "false"),
            ("prompt", "42"),
            ("vad.stop_secs", "0.3"),
            ("vad.type", "silero"),
            ("start_sample", "36960"),
        ])
        .unwrap();
        let message: StreamConfig = strict::from_str(
            r#"{"encoding":"mulaw","sample_rate":8000,"partials":false,"prompt":"42",
                "vad":{"type":"silero","stop_secs":0.3},"start_sample":36960}"#,
        )
        .unwrap();
        assert_eq!(query, message);
    }

    #[test]
    fn vad_in_a_query_may_be_an_object() {
        let query =
            StreamConfig::from_pairs([("vad", r#"{"type":"smart_turn_v3","threshold":0.5}"#)])
                .unwrap();
        let vad = query.vad.unwrap();
        assert_eq!(
            (vad.kind, vad.threshold),
            (Some(VadKind::SileroSmartTurn), Some(0.5))
        );
    }

    #[test]
    fn a_kind_may_stand_for_the_vad_object() {
        let kind = |config: Result<StreamConfig, Rejected>| config.unwrap().vad.unwrap().kind;
        assert_eq!(
            kind(StreamConfig::from_pairs([("vad", "silero")])),
            Some(VadKind::Silero)
        );
        assert_eq!(
            kind(strict::from_str(r#"{"vad":"energy"}"#)),
            Some(VadKind::Energy)
        );
        let none: StreamConfig = strict::from_str(r#"{"vad":null}"#).unwrap();
        assert_eq!(none.vad, None);
        let unknown = StreamConfig::from_pairs([("vad", "webrtc")]).unwrap_err();
        assert!(unknown.to_string().contains("`silero`"), "{unknown}");
        for given in ["true", "3", "[]"] {
            let wrong = StreamConfig::from_pairs([("vad", given)]).unwrap_err();
            assert!(
                wrong.to_string().contains("an object with `type`"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn mistakes_in_a_query_are_named() {
        let unknown = StreamConfig::from_pairs([("sample_rat", "8000")])
            .unwrap_err()
            .to_string();
        assert!(
            unknown.contains("sample_rat`") && unknown.contains("`sample_rate`"),
            "{unknown}"
        );
        let twice = StreamConfig::from_pairs([("language", "en"), ("language", "de")])
            .unwrap_err()
            .to_string();
        assert!(
            twice.contains("`language`") && twice.contains("twice"),
            "{twice}"
        );
        let kind = StreamConfig::from_pairs([("sample_rate", "fast")])
            .unwrap_err()
            .to_string();
        assert!(kind.contains("fast"), "{kind}");
    }

    #[test]
    fn the_upper_config_wins_field_by_field() {
        let upper =
            StreamConfig::from_pairs([("language", "de"), ("vad.threshold", "0.7")]).unwrap();
        let under = StreamConfig::from_pairs([
            ("language", "en"),
            ("vad.stop_secs", "0.4"),
            ("beam_size", "2"),
        ])
        .unwrap();
        let both = upper.over(under);
        assert_eq!(both.language.as_deref(), Some("de"));
        assert_eq!(both.beam_size, Some(2));
        let vad = both.vad.unwrap();
        assert_eq!((vad.threshold, vad.stop_secs), (Some(0.7), Some(0.4)));
    }
}
