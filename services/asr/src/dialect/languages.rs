//! The languages of Whisper, as codes and as OpenAI's interface names them.

pub use crate::models::whisper::languages::LANGUAGES;

/// The English name of a code, or the code itself where there is none.
pub fn name(code: &str) -> &str {
    LANGUAGES
        .iter()
        .find(|(it, _)| *it == code)
        .map_or(code, |(_, name)| name)
}

/// The code meant by a code, a code with a region, or an English name, in any case. `None`: no such language.
pub fn code(given: &str) -> Option<&'static str> {
    let given = given.trim().to_ascii_lowercase();
    let known = |wanted: &str| {
        LANGUAGES
            .iter()
            .find(|(code, name)| *code == wanted || *name == wanted)
    };
    let base = given.split(['-', '_']).next().unwrap_or_default();
    known(&given).or_else(|| known(base)).map(|(code, _)| *code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_names_and_regions_are_understood() {
        assert_eq!(code("en"), Some("en"));
        assert_eq!(code("EN-us"), Some("en"));
        assert_eq!(code("pt_BR"), Some("pt"));
        assert_eq!(code(" German "), Some("de"));
        assert_eq!(code("haitian creole"), Some("ht"));
        assert_eq!(code("yue"), Some("yue"));
        assert_eq!(code("klingon"), None);
        assert_eq!(code(""), None);
        assert_eq!(name("de"), "german");
        assert_eq!(name("xx"), "xx");
    }

    #[test]
    fn no_code_and_no_name_is_there_twice() {
        let mut all: Vec<&str> = LANGUAGES
            .iter()
            .flat_map(|(code, name)| [*code, *name])
            .collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 2 * LANGUAGES.len());
    }
}
