//! What a client may ask of one piece of speech: keys that a `synthesize` message, a `text` message, a query string and a body share.
//!
//! Invariants:
//! - Every field is optional; what is absent keeps the server's setting, and the answer tells the values in effect.
//! - An unknown key is an error that names it: a misspelt option must not pass as if it had been obeyed.
//! - Ranges are the server's to check, because they depend on its settings; here is only the shape.

use serde::{Deserialize, Serialize};

use crate::strict::{self, Rejected};

/// How samples are written in binary frames. Always one channel.
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
}

/// The options of one piece of speech.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SpeechOptions {
    /// Who speaks: the id or an alias of a voice.
    #[serde(alias = "voice", skip_serializing_if = "Option::is_none")]
    pub voice_id: Option<String>,
    /// The language of the text, as a code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// The model's name or one of its aliases.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Whether audio is sent while a sentence is still being spoken, or when all of the sentence is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub streaming: Option<bool>,
    /// The longest piece of audio sent at a time, in speech tokens of 40 ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunk_size: Option<u32>,
    /// How samples are written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Encoding>,
    /// Samples a second, 8000 to 48000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_rate: Option<u32>,
    /// How vividly the text is spoken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exaggeration: Option<f32>,
    /// How closely the text is followed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cfg_weight: Option<f32>,
    /// How freely speech tokens are drawn; 0 always takes the likeliest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f32>,
    /// Draw from the likeliest tokens that together have this probability.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f32>,
    /// Draw from this many of the likeliest tokens; 0 for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<u32>,
    /// Leave out tokens less likely than this part of the likeliest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_p: Option<f32>,
    /// How much a token that was spoken already is held back; 1 not at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repetition_penalty: Option<f32>,
    /// Where drawing begins: the same request with the same seed gives the same speech.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// How fast, 1 as the model speaks; the pitch is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed: Option<f32>,
}

impl SpeechOptions {
    /// Reads the options from the pairs of a query string, already percent-decoded.
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
            voice_id: self.voice_id.or(under.voice_id),
            language: self.language.or(under.language),
            model: self.model.or(under.model),
            streaming: self.streaming.or(under.streaming),
            chunk_size: self.chunk_size.or(under.chunk_size),
            encoding: self.encoding.or(under.encoding),
            sample_rate: self.sample_rate.or(under.sample_rate),
            exaggeration: self.exaggeration.or(under.exaggeration),
            cfg_weight: self.cfg_weight.or(under.cfg_weight),
            temperature: self.temperature.or(under.temperature),
            top_p: self.top_p.or(under.top_p),
            top_k: self.top_k.or(under.top_k),
            min_p: self.min_p.or(under.min_p),
            repetition_penalty: self.repetition_penalty.or(under.repetition_penalty),
            seed: self.seed.or(under.seed),
            speed: self.speed.or(under.speed),
        }
    }
}

/// The keys whose values stay text even when they look like a number.
pub(super) const TEXT_KEYS: &[&str] = &["voice_id", "voice", "language", "model", "encoding"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_says_what_a_message_says() {
        let query = SpeechOptions::from_pairs([
            ("voice", "42"),
            ("encoding", "mulaw"),
            ("sample_rate", "8000"),
            ("seed", "7"),
            ("speed", "1.5"),
            ("streaming", "false"),
        ])
        .unwrap();
        let message: SpeechOptions = strict::from_str(
            r#"{"voice_id":"42","encoding":"mulaw","sample_rate":8000,"seed":7,"speed":1.5,"streaming":false}"#,
        )
        .unwrap();
        assert_eq!(query, message);
    }

    #[test]
    fn a_voice_is_named_once() {
        let error = SpeechOptions::from_pairs([("voice", "a"), ("voice_id", "b")]).unwrap_err();
        assert!(error.to_string().contains("`voice_id`"), "{error}");
    }

    #[test]
    fn every_option_given_wins_over_the_one_under_it() {
        let upper = r#"{"voice_id":"a","language":"de","model":"m","streaming":false,"chunk_size":10,"encoding":"alaw",
            "sample_rate":8000,"exaggeration":0.1,"cfg_weight":0.2,"temperature":0.3,"top_p":0.4,"top_k":5,"min_p":0.6,
            "repetition_penalty":1.7,"seed":8,"speed":0.9}"#;
        let under = r#"{"voice_id":"b","language":"en","model":"n","streaming":true,"chunk_size":11,"encoding":"mulaw",
            "sample_rate":16000,"exaggeration":1.1,"cfg_weight":1.2,"temperature":1.3,"top_p":0.5,"top_k":6,"min_p":0.7,
            "repetition_penalty":1.8,"seed":9,"speed":1.9}"#;
        let upper: SpeechOptions = strict::from_str(upper).unwrap();
        let under: SpeechOptions = strict::from_str(under).unwrap();
        assert_eq!(upper.clone().over(under.clone()), upper);
        assert_eq!(SpeechOptions::default().over(under.clone()), under);
        // Nothing was forgotten in the two texts.
        for options in [&upper, &under] {
            let fields = serde_json::to_value(options).unwrap();
            assert_eq!(fields.as_object().unwrap().len(), 16);
        }
    }
}
