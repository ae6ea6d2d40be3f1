//! Which language a text is in, and what differs between languages besides their words.

/// The languages of the published models. Of any other, texts are cleaned and cut, and their numbers left as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Language {
    Arabic,
    Danish,
    German,
    Greek,
    English,
    Spanish,
    Finnish,
    French,
    Hebrew,
    Hindi,
    Italian,
    Japanese,
    Korean,
    Malay,
    Dutch,
    Norwegian,
    Polish,
    Portuguese,
    Russian,
    Swedish,
    Swahili,
    Turkish,
    Chinese,
    Other,
}

impl Language {
    /// By its code: `en`, `EN`, `en-GB`, `pt_BR`.
    pub fn of(code: &str) -> Self {
        let main = code
            .split(['-', '_'])
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase();
        match main.as_str() {
            "ar" => Self::Arabic,
            "da" => Self::Danish,
            "de" => Self::German,
            "el" => Self::Greek,
            "en" => Self::English,
            "es" => Self::Spanish,
            "fi" => Self::Finnish,
            "fr" => Self::French,
            "he" | "iw" => Self::Hebrew,
            "hi" => Self::Hindi,
            "it" => Self::Italian,
            "ja" => Self::Japanese,
            "ko" => Self::Korean,
            "ms" => Self::Malay,
            "nl" => Self::Dutch,
            "no" | "nb" | "nn" => Self::Norwegian,
            "pl" => Self::Polish,
            "pt" => Self::Portuguese,
            "ru" => Self::Russian,
            "sv" => Self::Swedish,
            "sw" => Self::Swahili,
            "tr" => Self::Turkish,
            "zh" | "yue" | "cmn" => Self::Chinese,
            _ => Self::Other,
        }
    }

    /// What ends a sentence that has no end of its own.
    pub(super) fn full_stop(self) -> char {
        if matches!(self, Self::Chinese | Self::Japanese) {
            return '。';
        }
        if self == Self::Hindi { '।' } else { '.' }
    }
}
