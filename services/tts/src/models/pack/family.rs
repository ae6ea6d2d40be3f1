//! What follows from the family of a model.
//!
//! Numbers are those of the published implementations unless they say otherwise.

use std::fmt;

use tokenizers::Tokenizer;

use super::Shape;
use crate::models::chatterbox::language::Punctuation;
use crate::models::chatterbox::prompt::{Rules, Template};
use crate::models::chatterbox::sampling::{Order, Sampling};

/// The second generation of the multilingual pack has so many tokens of text, the first 2352.
const N_TEXT_TOKENS_V2: usize = 2454;
/// The hidden width of Nano; Turbo's is 1024.
const NANO_WIDTH: usize = 768;

/// The published families.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// The built-in model: the English contract, small.
    Demo,
    English,
    Multilingual,
    Turbo,
    Nano,
}

/// What a request gets that does not say otherwise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Defaults {
    pub sampling: Sampling,
    pub exaggeration: f32,
    pub cfg_weight: f32,
}

/// How much at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longer sentences begin to lose words.
    pub safe_chars: usize,
    pub max_tokens: usize,
}

/// What a recording to be cloned must be like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReferenceRules {
    pub min_seconds: f32,
    /// Shorter ones work, and sound less like the speaker.
    pub good_seconds: f32,
    /// What comes after is not listened to.
    pub max_seconds: f32,
    pub level: Level,
}

/// How loud a reference is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Level {
    /// To so many LUFS.
    Loudness(f32),
    /// A peak above the first is brought down to the second: loud references mangle the first words.
    Peak { above: f32, to: f32 },
}

impl Family {
    pub(super) fn of(shape: &Shape, tokenizer: &Tokenizer, is_demo: bool) -> Family {
        if is_demo {
            return Family::Demo;
        }
        if !shape.asks.embed_positions {
            return if shape.hidden <= NANO_WIDTH {
                Family::Nano
            } else {
                Family::Turbo
            };
        }
        let tags = ["[en]", "[de]", "[fr]"];
        if tags.iter().all(|it| tokenizer.token_to_id(it).is_some()) {
            Family::Multilingual
        } else {
            Family::English
        }
    }

    pub fn supports_cfg(self) -> bool {
        match self {
            Family::Demo | Family::English | Family::Multilingual => true,
            Family::Turbo | Family::Nano => false,
        }
    }

    /// In which order the next token is chosen.
    pub fn order(self) -> Order {
        match self {
            Family::Demo | Family::English | Family::Multilingual => Order::PenaltyFirst,
            Family::Turbo | Family::Nano => Order::PenaltyLast,
        }
    }

    pub(super) fn rules(self, tokenizer: &Tokenizer) -> Rules {
        let (template, punctuation) = match self {
            Family::Demo | Family::English => (Template::Marked, Punctuation::English),
            Family::Multilingual => (Template::Marked, Punctuation::Multilingual),
            Family::Turbo | Family::Nano => (Template::Continued, Punctuation::Turbo),
        };
        Rules {
            template,
            punctuation,
            decompose: self == Family::Multilingual && is_second(tokenizer),
        }
    }

    pub(super) fn defaults(self, penalty: Option<f32>) -> Defaults {
        let (temperature, top_p, top_k, min_p) = match self {
            // Measured with the recipe of the model: sampling makes it no better.
            Family::Demo => (0.0, 1.0, 0, 0.0),
            Family::English | Family::Multilingual => (0.8, 1.0, 0, 0.05),
            Family::Turbo | Family::Nano => (0.8, 0.95, 1000, 0.0),
        };
        Defaults {
            sampling: Sampling {
                temperature,
                top_p,
                top_k,
                min_p,
                repetition_penalty: penalty.unwrap_or(1.2),
                seed: 0,
            },
            exaggeration: 0.5,
            // Twice the work, and not what the published graphs were shown with.
            cfg_weight: 0.0,
        }
    }

    pub(super) fn limits(self) -> Limits {
        let (safe_chars, max_tokens) = match self {
            Family::Demo => (100, 1000),
            Family::English | Family::Multilingual | Family::Turbo | Family::Nano => (280, 1000),
        };
        Limits {
            safe_chars,
            max_tokens,
        }
    }

    pub(super) fn reference(self) -> ReferenceRules {
        let (min_seconds, level) = match self {
            Family::Demo | Family::English | Family::Multilingual => {
                let level = Level::Peak {
                    above: 0.5,
                    to: 0.3,
                };
                (1.0, level)
            }
            Family::Turbo | Family::Nano => (5.0, Level::Loudness(-27.0)),
        };
        ReferenceRules {
            min_seconds,
            good_seconds: 5.0,
            max_seconds: 15.0,
            level,
        }
    }
}

/// Whether this is the second generation, whose tokenizer leaves small letters and decomposition to the caller.
fn is_second(tokenizer: &Tokenizer) -> bool {
    let n_text = tokenizer
        .get_vocab(true)
        .into_values()
        .filter(|it| *it < 6561)
        .max()
        .map_or(0, |it| usize::try_from(it).unwrap_or_default() + 1);
    let normaliser = serde_json::to_string(&tokenizer.get_normalizer()).unwrap_or_default();
    N_TEXT_TOKENS_V2 <= n_text && !normaliser.contains("NFKD")
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::Demo => "demo",
            Family::English => "english",
            Family::Multilingual => "multilingual",
            Family::Turbo => "turbo",
            Family::Nano => "nano",
        })
    }
}
