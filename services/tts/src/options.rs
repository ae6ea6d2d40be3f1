//! What one piece of speech asks for, checked against the settings and the model.
//!
//! Invariants:
//! - A value out of range is refused with its limits; nothing is clamped in silence.
//! - What is in effect is told back: [`Speech::effective`] is what `ready` shows.

use std::ops::RangeInclusive;

use audio::SampleRate;
use audio::encoding::Encoding as Pcm;
use chassis::api_error::Classify;
use wire::error::ErrorCode;
use wire::tts::{Encoding, SpeechOptions};

use crate::models::chatterbox::Sampling;
use crate::models::conditioning::SAMPLE_RATE_HZ;
use crate::models::pack::Defaults;
use crate::settings;
use crate::settings::ranges;

/// What the options have to know of the model.
#[derive(Clone, Debug)]
pub struct Served {
    pub name: String,
    /// Other names that mean it.
    pub aliases: Vec<String>,
    /// Codes; the first is what is spoken if nobody says otherwise.
    pub languages: Vec<String>,
    /// What the model's family does if nobody says otherwise.
    pub defaults: Defaults,
    /// Whether the family makes use of `cfg_weight`.
    pub supports_cfg: bool,
}

/// One piece of speech, as it will be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Speech {
    /// An id or an alias.
    pub voice: String,
    pub language: String,
    pub sampling: Sampling,
    pub exaggeration: f32,
    pub cfg_weight: f32,
    pub speed: f32,
    pub encoding: Pcm,
    pub rate: SampleRate,
    /// The longest piece sent at a time.
    pub chunk_tokens: usize,
    pub streaming: bool,
    /// All keys with the values in effect; `seed` as it was asked for.
    pub effective: SpeechOptions,
}

/// Something that cannot be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// A value that is impossible.
    #[error("`{name}` must {rule}. Given: {given}")]
    Parameter {
        /// By the name the client gave it.
        name: &'static str,
        /// Completes "must".
        rule: String,
        /// What was given.
        given: String,
    },
    /// No such model here.
    #[error("no model named `{given}` is served here; served: {served}")]
    UnknownModel {
        /// What was asked for.
        given: String,
        /// What there is.
        served: String,
    },
    /// The model does not speak the language.
    #[error("`language` must be one of {known}. Given: {given:?}")]
    UnknownLanguage {
        /// What was asked for.
        given: String,
        /// What there is.
        known: String,
    },
}

impl Classify for OptionsError {
    fn code(&self) -> ErrorCode {
        match self {
            OptionsError::Parameter { .. } => ErrorCode::InvalidParameter,
            OptionsError::UnknownModel { .. } => ErrorCode::UnknownModel,
            OptionsError::UnknownLanguage { .. } => ErrorCode::UnknownLanguage,
        }
    }

    fn param(&self) -> Option<&str> {
        match self {
            OptionsError::Parameter { name, .. } => Some(name),
            OptionsError::UnknownModel { .. } => Some("model"),
            OptionsError::UnknownLanguage { .. } => Some("language"),
        }
    }
}

impl Served {
    /// Whether a name means this model.
    ///
    /// # Errors
    /// It does not.
    pub fn check_name(&self, given: &str) -> Result<(), OptionsError> {
        if given == self.name || self.aliases.iter().any(|it| it == given) {
            return Ok(());
        }
        Err(OptionsError::UnknownModel {
            given: shortened(given),
            served: self.name.clone(),
        })
    }

    /// The code of a language as the model knows it: `en-US` is `en` to a model that makes no difference.
    ///
    /// # Errors
    /// The model does not speak it.
    pub fn language(&self, given: &str) -> Result<&str, OptionsError> {
        let find = |code: &str| {
            self.languages
                .iter()
                .find(|it| it.eq_ignore_ascii_case(code))
        };
        let base = given.split(['-', '_']).next().unwrap_or_default();
        find(given)
            .or_else(|| find(base))
            .map(String::as_str)
            .ok_or_else(|| OptionsError::UnknownLanguage {
                given: shortened(given),
                known: self
                    .languages
                    .iter()
                    .map(|it| format!("`{it}`"))
                    .collect::<Vec<_>>()
                    .join(", "),
            })
    }
}

impl Speech {
    /// What `asked` means under the settings on the model that is served. A request that names no seed, on a server that names
    /// none either, gets `drawn`.
    ///
    /// # Errors
    /// The first option that cannot be had.
    pub fn new(
        asked: &SpeechOptions,
        settings: &settings::Settings,
        served: &Served,
        drawn: u64,
    ) -> Result<Speech, OptionsError> {
        if let Some(model) = &asked.model {
            served.check_name(model)?;
        }
        let speech = &settings.speech;
        let given = asked.language.as_deref().filter(|it| !it.is_empty());
        let language = match given.or(speech.language.as_deref()) {
            Some(language) => served.language(language)?,
            None => served.languages.first().map_or("en", String::as_str),
        };
        let encoding = asked.encoding.unwrap_or(speech.encoding);
        let rate_hz = in_range(
            "sample_rate",
            asked.sample_rate.unwrap_or(speech.sample_rate),
            &ranges::SAMPLE_RATE,
        )?;
        let rate = SampleRate::new(rate_hz)
            .ok_or_else(|| parameter("sample_rate", "not be 0", rate_hz))?;
        let max_size = settings.stream.sizes.last().copied().unwrap_or(1);
        let chunk_size = match asked.chunk_size {
            Some(given) => in_range("chunk_size", given as usize, &ranges::CHUNK_SIZE)?,
            None => max_size,
        };
        let family = &served.defaults;
        let sampling = sampling(asked, speech, family, drawn)?;
        let exaggeration = in_range(
            "exaggeration",
            asked.exaggeration.unwrap_or(speech.exaggeration),
            &ranges::EXAGGERATION,
        )?;
        let cfg_weight = in_range(
            "cfg_weight",
            asked
                .cfg_weight
                .or(speech.cfg_weight)
                .unwrap_or(family.cfg_weight),
            &ranges::CFG_WEIGHT,
        )?;
        let speed = in_range("speed", asked.speed.unwrap_or(speech.speed), &ranges::SPEED)?;
        let streaming = asked.streaming.unwrap_or(true);
        let voice = match asked.voice_id.as_deref() {
            None | Some("") => speech.voice.clone(),
            Some(given) => given.to_owned(),
        };
        let effective = SpeechOptions {
            voice_id: Some(voice.clone()),
            language: Some(language.to_owned()),
            model: Some(served.name.clone()),
            streaming: Some(streaming),
            chunk_size: u32::try_from(chunk_size).ok(),
            encoding: Some(encoding),
            sample_rate: Some(rate_hz),
            exaggeration: Some(exaggeration),
            cfg_weight: served.supports_cfg.then_some(cfg_weight),
            temperature: Some(sampling.temperature),
            top_p: Some(sampling.top_p),
            top_k: u32::try_from(sampling.top_k).ok(),
            min_p: Some(sampling.min_p),
            repetition_penalty: Some(sampling.repetition_penalty),
            seed: asked.seed.or(speech.seed),
            speed: Some(speed),
        };
        Ok(Speech {
            voice,
            language: language.to_owned(),
            sampling,
            exaggeration,
            cfg_weight,
            speed,
            encoding: pcm(encoding),
            rate,
            chunk_tokens: chunk_size,
            streaming,
            effective,
        })
    }

    /// Whether samples only have to be written: no other speed or rate, which take time to compute.
    pub fn is_plain(&self) -> bool {
        self.rate.hz() == SAMPLE_RATE_HZ && (self.speed - 1.0).abs() <= f32::EPSILON
    }

    /// How samples are written, in the words of the interface.
    pub fn wire_encoding(&self) -> Encoding {
        match self.encoding {
            Pcm::PcmS16le => Encoding::PcmS16le,
            Pcm::PcmF32le => Encoding::PcmF32le,
            Pcm::Mulaw => Encoding::Mulaw,
            Pcm::Alaw => Encoding::Alaw,
        }
    }
}

fn sampling(
    asked: &SpeechOptions,
    speech: &settings::Speech,
    family: &Defaults,
    drawn: u64,
) -> Result<Sampling, OptionsError> {
    let or = |asked: Option<f32>, set: Option<f32>, family: f32| asked.or(set).unwrap_or(family);
    let drawing = &family.sampling;
    let top_k = asked.top_k.or(speech.top_k);
    Ok(Sampling {
        temperature: in_range(
            "temperature",
            or(asked.temperature, speech.temperature, drawing.temperature),
            &ranges::TEMPERATURE,
        )?,
        top_p: in_range(
            "top_p",
            or(asked.top_p, speech.top_p, drawing.top_p),
            &ranges::TOP_P,
        )?,
        top_k: match top_k {
            Some(given) => in_range("top_k", given, &ranges::TOP_K)? as usize,
            None => drawing.top_k,
        },
        min_p: in_range(
            "min_p",
            or(asked.min_p, speech.min_p, drawing.min_p),
            &ranges::MIN_P,
        )?,
        repetition_penalty: in_range(
            "repetition_penalty",
            or(
                asked.repetition_penalty,
                speech.repetition_penalty,
                drawing.repetition_penalty,
            ),
            &ranges::REPETITION_PENALTY,
        )?,
        seed: asked.seed.or(speech.seed).unwrap_or(drawn),
    })
}

/// What an encoding of the interface means.
pub fn pcm(encoding: Encoding) -> Pcm {
    match encoding {
        Encoding::PcmS16le => Pcm::PcmS16le,
        Encoding::PcmF32le => Pcm::PcmF32le,
        Encoding::Mulaw => Pcm::Mulaw,
        Encoding::Alaw => Pcm::Alaw,
    }
}

fn in_range<N>(name: &'static str, given: N, range: &RangeInclusive<N>) -> Result<N, OptionsError>
where
    N: PartialOrd + Copy + std::fmt::Display + std::fmt::Debug,
{
    if range.contains(&given) {
        return Ok(given);
    }
    let rule = format!("lie between {} and {}", range.start(), range.end());
    Err(parameter(name, rule, given))
}

fn parameter(
    name: &'static str,
    rule: impl Into<String>,
    given: impl std::fmt::Debug,
) -> OptionsError {
    OptionsError::Parameter {
        name,
        rule: rule.into(),
        given: format!("{given:?}"),
    }
}

/// A message quotes at most so much of what was given.
fn shortened(given: &str) -> String {
    given.chars().take(60).collect()
}

#[cfg(test)]
mod tests;
