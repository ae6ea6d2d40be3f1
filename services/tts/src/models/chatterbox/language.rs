//! How text of each language is written for the model, and the punctuation it was trained with.
//!
//! Invariants:
//! - Pure. A language that needs a dictionary which we do not have is refused by name, never read badly.

use std::collections::HashMap;

use super::prompt::PromptError;

/// Every language of the multilingual packs.
pub const LANGUAGES: [&str; 23] = [
    "ar", "da", "de", "el", "en", "es", "fi", "fr", "he", "hi", "it", "ja", "ko", "ms", "nl", "no",
    "pl", "pt", "ru", "sv", "sw", "tr", "zh",
];

/// The table of Chinese characters that the multilingual packs bring.
pub const CANGJIE_FILE: &str = "Cangjie5_TC.json";

/// Spoken Chinese: characters are spelt as the keys of the Cangjie input method.
#[derive(Clone, Debug)]
pub struct Cangjie(HashMap<char, String>);

impl Cangjie {
    /// Reads the table: a list of strings, each a character, a tab and its keys.
    ///
    /// # Errors
    /// It is not such a list.
    pub fn read(json: &[u8]) -> Result<Cangjie, String> {
        let rows: Vec<String> = serde_json::from_slice(json).map_err(|it| it.to_string())?;
        let mut spellings = HashMap::new();
        // Characters with the same keys are told apart by their place among them.
        let mut namesakes: HashMap<String, Vec<char>> = HashMap::new();
        for row in &rows {
            let mut fields = row.split('\t');
            let (Some(glyph), Some(keys)) = (fields.next(), fields.next()) else {
                return Err(format!(
                    "`{row}` is not a character, a tab and the keys for it"
                ));
            };
            let mut glyph = glyph.chars();
            let (Some(glyph), None) = (glyph.next(), glyph.next()) else {
                continue;
            };
            let namesakes = namesakes.entry(keys.to_owned()).or_default();
            let place = namesakes.iter().position(|it| *it == glyph);
            let place = place.unwrap_or_else(|| {
                namesakes.push(glyph);
                namesakes.len() - 1
            });
            let number = if place == 0 {
                String::new()
            } else {
                place.to_string()
            };
            let spelling = keys
                .chars()
                .chain(number.chars())
                .map(|it| format!("[cj_{it}]"));
            spellings.insert(glyph, spelling.chain(["[cj_.]".to_owned()]).collect());
        }
        Ok(Cangjie(spellings))
    }

    fn spell(&self, text: &str) -> String {
        let mut spelt = String::new();
        for letter in text.chars() {
            match self.0.get(&letter) {
                Some(spelling) if is_han(letter) => spelt.push_str(spelling),
                _ => spelt.push(letter),
            }
        }
        spelt
    }
}

/// Writes a text the way the model reads its language.
pub fn write(text: &str, language: &str, cangjie: Option<&Cangjie>) -> Result<String, PromptError> {
    let needs = |what| PromptError::NeedsDictionary {
        language: language.to_owned(),
        what,
    };
    match language {
        "ko" => Ok(jamo(text)),
        "zh" => match cangjie {
            Some(cangjie) => Ok(cangjie.spell(text)),
            None if text.chars().any(is_han) => Err(needs(
                "the table `Cangjie5_TC.json`, which is missing in the pack",
            )),
            None => Ok(text.to_owned()),
        },
        "ja" if text.chars().any(is_han) => Err(needs(
            "a dictionary for the readings of kanji, which is not included; write the text in kana",
        )),
        "ja" => Ok(nfkd(text)),
        "he" if text.chars().any(|it| ('\u{5d0}'..='\u{5ea}').contains(&it)) => Err(needs(
            "a model that sets the vowel points of Hebrew, which is not included",
        )),
        _ => Ok(text.to_owned()),
    }
}

/// Hangul syllables as the letters they are made of. The arithmetic is that of the Unicode standard, chapter 3.12.
fn jamo(text: &str) -> String {
    let mut letters = String::new();
    for letter in text.chars() {
        let Some(idx) = u32::from(letter)
            .checked_sub(0xac00)
            .filter(|it| *it < 11_172)
        else {
            letters.push(letter);
            continue;
        };
        let parts = [
            0x1100 + idx / 588,
            0x1161 + idx % 588 / 28,
            0x11a7 + idx % 28,
        ];
        let n_parts = if idx % 28 == 0 { 2 } else { 3 };
        letters.extend(parts[..n_parts].iter().copied().filter_map(char::from_u32));
    }
    letters
}

pub fn nfkd(text: &str) -> String {
    let mut text = tokenizers::NormalizedString::from(text);
    text.nfkd();
    text.get().to_owned()
}

fn is_han(letter: char) -> bool {
    matches!(letter, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3134f}')
}

/// Which marks a family was trained to see replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Punctuation {
    English,
    Multilingual,
    Turbo,
}

/// A text begins with a capital, has single spaces and plain marks, and ends in one. `None` if nothing is left to say.
pub fn punctuate(text: &str, rules: Punctuation) -> Option<String> {
    let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if !text.chars().any(char::is_alphanumeric) {
        return None;
    }
    let first = text.chars().next()?;
    if first.is_lowercase() {
        text.replace_range(..first.len_utf8(), &first.to_uppercase().to_string());
    }
    let pauses: &[(&str, &str)] = match rules {
        Punctuation::Turbo => &[("…", ", "), (":", ",")],
        Punctuation::English | Punctuation::Multilingual => &[
            ("...", ", "),
            ("…", ", "),
            (":", ","),
            (" - ", ", "),
            (";", ", "),
        ],
    };
    let marks = [
        ("—", "-"),
        ("–", "-"),
        (" ,", ","),
        ("“", "\""),
        ("”", "\""),
        ("‘", "'"),
        ("’", "'"),
    ];
    for (from, to) in pauses.iter().chain(&marks) {
        if text.contains(from) {
            text = text.replace(from, to);
        }
    }
    let mut text = text.trim_end_matches(' ').to_owned();
    let ends: &[char] = match rules {
        Punctuation::Multilingual => &['.', '!', '?', '-', ',', '、', '，', '。', '？', '！'],
        Punctuation::English | Punctuation::Turbo => &['.', '!', '?', '-', ','],
    };
    if !text.ends_with(ends) {
        text.push('.');
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn korean_is_taken_apart() {
        let parts: Vec<u32> = jamo("한가a").chars().map(u32::from).collect();
        assert_eq!(parts, [0x1112, 0x1161, 0x11ab, 0x1100, 0x1161, 0x61]);
        assert_eq!(jamo("힣"), "\u{1112}\u{1175}\u{11c2}");
        assert_eq!(jamo("\u{abff}\u{d7a4}"), "\u{abff}\u{d7a4}");
    }

    #[test]
    fn chinese_is_spelt_by_the_table() {
        let table = r#"["日\ta", "曰\ta", "你\tonf\tmore", "词组\txyz", "好\tvnd"]"#;
        let cangjie = Cangjie::read(table.as_bytes()).unwrap();
        let spelt = write("你日曰,b龘", "zh", Some(&cangjie)).unwrap();
        assert_eq!(
            spelt,
            "[cj_o][cj_n][cj_f][cj_.][cj_a][cj_.][cj_a][cj_1][cj_.],b龘"
        );
        assert!(Cangjie::read(br#"["abc"]"#).is_err());
        assert!(Cangjie::read(b"{}").is_err());
    }

    #[test]
    fn what_needs_a_dictionary_is_refused_by_name() {
        let refused = |text, language| write(text, language, None).unwrap_err().to_string();
        assert!(refused("你好", "zh").contains("Cangjie5_TC.json"));
        assert!(refused("日本", "ja").contains("kanji"));
        assert!(refused("שלום", "he").contains("Hebrew"));
        assert_eq!(write("hello", "zh", None).unwrap(), "hello");
        assert_eq!(write("ガ", "ja", None).unwrap(), "カ\u{3099}");
        assert_eq!(write("Grüße", "de", None).unwrap(), "Grüße");
    }

    #[test]
    fn punctuation_is_what_each_family_was_trained_with() {
        let english = |text| punctuate(text, Punctuation::English).unwrap();
        assert_eq!(
            english("  hello\n there ,  you: a - b; c"),
            "Hello there, you, a, b,  c."
        );
        assert_eq!(
            english("wait... “what’s” – that?"),
            "Wait,  \"what's\" - that?"
        );
        assert_eq!(english("Done,"), "Done,");
        assert_eq!(english("你好。"), "你好。.");
        assert_eq!(
            punctuate("你好。", Punctuation::Multilingual).unwrap(),
            "你好。"
        );
        assert_eq!(
            punctuate("well... a - b; c", Punctuation::Turbo).unwrap(),
            "Well... a - b; c."
        );
        for nothing in ["", " \n", "...", "?!", "🙂"] {
            assert_eq!(punctuate(nothing, Punctuation::English), None, "{nothing}");
        }
    }
}
