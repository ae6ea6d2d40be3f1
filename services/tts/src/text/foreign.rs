//! The other languages: numbers are spelled out, so that no model has to read digits; so are a minus, a percent and an ampersand.
//!
//! Dates, times, ranges and codes are read number by number. A number that the rules of a language do not reach is told digit by digit.

use super::language::Language;
use super::numbers::cardinal;
use super::stream::{FullStop, Look, Reading};

/// How numbers are written and what their signs are called.
struct Notation {
    /// Between groups of three digits.
    group: char,
    /// Before the fraction.
    point: char,
    /// Said for the point.
    point_word: &'static str,
    minus: &'static str,
    percent: &'static str,
    and: &'static str,
}

const fn notation(
    marks: (char, char),
    point_word: &'static str,
    minus: &'static str,
    percent: &'static str,
    and: &'static str,
) -> Notation {
    Notation {
        group: marks.0,
        point: marks.1,
        point_word,
        minus,
        percent,
        and,
    }
}

const DOT_COMMA: (char, char) = ('.', ',');
const COMMA_DOT: (char, char) = (',', '.');

#[rustfmt::skip]
fn rules(language: Language) -> Option<Notation> {
    Some(match language {
        Language::Arabic => notation(COMMA_DOT, "فاصلة", "ناقص", "بالمئة", "و"),
        Language::Danish => notation(DOT_COMMA, "komma", "minus", "procent", "og"),
        Language::German => notation(DOT_COMMA, "Komma", "minus", "Prozent", "und"),
        Language::Greek => notation(DOT_COMMA, "κόμμα", "μείον", "τοις εκατό", "και"),
        Language::Spanish => notation(DOT_COMMA, "coma", "menos", "por ciento", "y"),
        Language::Finnish => notation(DOT_COMMA, "pilkku", "miinus", "prosenttia", "ja"),
        Language::French => notation(DOT_COMMA, "virgule", "moins", "pour cent", "et"),
        Language::Hebrew => notation(COMMA_DOT, "נקודה", "מינוס", "אחוז", "ו"),
        Language::Hindi => notation(COMMA_DOT, "दशमलव", "ऋण", "प्रतिशत", "और"),
        Language::Italian => notation(DOT_COMMA, "virgola", "meno", "per cento", "e"),
        Language::Japanese => notation(COMMA_DOT, "てん", "マイナス", "パーセント", "と"),
        Language::Korean => notation(COMMA_DOT, "점", "마이너스", "퍼센트", "그리고"),
        Language::Malay => notation(COMMA_DOT, "perpuluhan", "negatif", "peratus", "dan"),
        Language::Dutch => notation(DOT_COMMA, "komma", "min", "procent", "en"),
        Language::Norwegian => notation(DOT_COMMA, "komma", "minus", "prosent", "og"),
        Language::Polish => notation(DOT_COMMA, "przecinek", "minus", "procent", "i"),
        Language::Portuguese => notation(DOT_COMMA, "vírgula", "menos", "por cento", "e"),
        Language::Russian => notation(DOT_COMMA, "запятая", "минус", "процентов", "и"),
        Language::Swedish => notation(DOT_COMMA, "komma", "minus", "procent", "och"),
        Language::Swahili => notation(COMMA_DOT, "nukta", "hasi", "asilimia", "na"),
        Language::Turkish => notation(DOT_COMMA, "virgül", "eksi", "yüzde", "ve"),
        Language::Chinese => notation(COMMA_DOT, "点", "负", "百分之", "和"),
        Language::English | Language::Other => return None,
    })
}

/// What the next words are, if they are not said as they are written.
pub(super) fn read(look: &Look<'_>, language: Language) -> Option<Reading> {
    let (core, tail) = (look.word(0)?.core(), look.word(0)?.tail());
    if tail.starts_with('.') && (is_abbreviation(language, core) || is_dotted(core)) {
        return Some(Reading {
            stop: FullStop::Abbreviates,
            ..Reading::of(1, core)
        });
    }
    let rules = rules(language)?;
    if tail == "."
        && counts_with_stop(language)
        && core.len() <= 2
        && let Some(reading) = ordinal(look, language, core)
    {
        return Some(reading);
    }
    if core == "&" {
        return Some(Reading::of(1, rules.and));
    }
    if !core.contains(|it: char| it.is_ascii_digit()) {
        return None;
    }
    // "2024年" is told digit by digit.
    if language == Language::Chinese
        && core.len() == 4
        && look.word(1).is_some_and(|it| it.core().starts_with('年'))
        && core.bytes().all(|it| it.is_ascii_digit())
    {
        return Some(Reading::of(1, digits(language, core)));
    }
    Some(Reading::of(1, spell(language, &rules, core)))
}

/// After these the sentence goes on: titles, and what introduces an example.
fn is_abbreviation(language: Language, core: &str) -> bool {
    #[rustfmt::skip]
    let words: &[&str] = match language {
        Language::German => &["Dr", "Prof", "Hr", "Hrn", "Fr", "St", "Nr", "Bd", "Abb", "bzw", "ca", "vgl", "evtl", "ggf", "inkl", "exkl", "sog", "Str", "Tel", "Mio", "Mrd", "Ing", "Dipl", "gest", "geb"],
        Language::French => &["M", "MM", "Dr", "Pr", "St", "Ste", "av", "env", "cf", "fig", "vol", "chap", "tél"],
        Language::Spanish => &["Sr", "Sra", "Srta", "Dr", "Dra", "Prof", "D", "Dña", "Ud", "Uds", "pág", "págs", "núm", "art", "aprox", "tel", "Av", "Avda"],
        Language::Italian => &["Sig", "Dott", "Prof", "Ing", "Avv", "pag", "art", "tel", "cfr", "ca", "Sen", "On"],
        Language::Portuguese => &["Sr", "Sra", "Dr", "Dra", "Prof", "Profa", "pág", "nº", "art", "tel", "Av", "aprox"],
        Language::Dutch => &["dr", "Dr", "mr", "Mr", "mevr", "dhr", "prof", "Prof", "ir", "nr", "blz", "bijv", "ca", "evt", "resp", "St"],
        Language::Danish | Language::Norwegian => &["dr", "Dr", "prof", "hr", "fr", "nr", "bl", "ca", "kl", "evt", "jf", "tlf", "St", "Skt"],
        Language::Swedish => &["dr", "Dr", "prof", "nr", "ca", "kl", "bl", "ev", "jfr", "tel", "St"],
        Language::Polish => &["dr", "prof", "inż", "mgr", "ul", "al", "pl", "np", "tzn", "tzw", "ok", "nr", "str", "św", "godz", "tel"],
        Language::Russian => &["г", "гг", "ул", "им", "проф", "акад", "стр", "рис", "тел", "св", "тыс", "млн", "млрд", "руб", "см", "напр"],
        Language::Turkish => &["Dr", "Prof", "Doç", "Sn", "Av", "Hz", "vb", "bkz", "No", "Cad", "Sok", "Mah"],
        Language::Finnish => &["tri", "prof", "esim", "ns", "nk", "n", "ks", "vrt", "klo", "puh", "nro"],
        Language::Greek => &["κ", "κα", "Δρ", "Καθ", "π", "σελ", "αρ", "τηλ", "βλ"],
        Language::Hindi => &["डॉ", "श्री", "प्रो", "सु", "पं"],
        Language::Malay => &["Dr", "En", "Pn", "Prof", "No", "Jln"],
        Language::Arabic | Language::English | Language::Hebrew | Language::Japanese | Language::Korean | Language::Swahili | Language::Chinese | Language::Other => return false,
    };
    words.contains(&core)
}

/// `z.B.`, `p.ej.`, `т.е.`: parts of at most three letters with stops between them.
fn is_dotted(core: &str) -> bool {
    core.contains('.')
        && core
            .split('.')
            .all(|it| (1..=3).contains(&it.chars().count()) && it.chars().all(char::is_alphabetic))
}

/// Languages that write "third" as `3.`.
fn counts_with_stop(language: Language) -> bool {
    use Language as L;
    matches!(
        language,
        L::German | L::Danish | L::Norwegian | L::Finnish | L::Polish | L::Turkish
    )
}

/// `3. Oktober`, `3. oktober`: no sentence ends before a month, or before a small letter. Only German is said as an ordinal.
fn ordinal(look: &Look<'_>, language: Language, core: &str) -> Option<Reading> {
    let n: u64 = core.parse().ok().filter(|it| *it > 0)?;
    let month = |it: &str| {
        [
            "Jan", "Feb", "März", "Apr", "Mai", "Jun", "Jul", "Aug", "Sep", "Okt", "Nov", "Dez",
        ]
        .iter()
        .any(|month| it.starts_with(month))
    };
    if language == Language::German {
        look.word(1)
            .filter(|it| it.lead().is_empty() && month(it.core()))?;
        let cardinal = cardinal(language, n)?;
        let spoken = match n {
            1 => "ersten".to_owned(),
            3 => "dritten".to_owned(),
            7 => "siebten".to_owned(),
            8 => "achten".to_owned(),
            0..20 => format!("{cardinal}ten"),
            _ => format!("{cardinal}sten"),
        };
        return Some(Reading {
            stop: FullStop::Taken,
            ..Reading::of(1, spoken)
        });
    }
    look.next_start(1).filter(|it| it.is_lowercase())?;
    Some(Reading {
        stop: FullStop::Taken,
        ..Reading::of(1, cardinal(language, n)?)
    })
}

/// Every number in the word, with what stands around it.
fn spell(language: Language, rules: &Notation, core: &str) -> String {
    let unspaced = matches!(language, Language::Chinese | Language::Japanese);
    let mut said: Vec<String> = Vec::new();
    let mut rest = core;
    if let Some(after) = rest
        .strip_prefix('-')
        .filter(|it| it.starts_with(|it: char| it.is_ascii_digit()))
    {
        said.push(rules.minus.to_owned());
        rest = after;
    }
    while !rest.is_empty() {
        if rest.starts_with(|it: char| it.is_ascii_digit()) {
            let (number, after) = number(language, rules, rest);
            let percent_first = matches!(
                language,
                Language::Chinese | Language::Turkish | Language::Swahili
            );
            if let Some(after) = after.strip_prefix('%') {
                let pair = if percent_first {
                    [rules.percent.to_owned(), number]
                } else {
                    [number, rules.percent.to_owned()]
                };
                said.extend(pair);
                rest = after;
            } else {
                said.push(number);
                rest = after;
            }
            continue;
        }
        let end = rest
            .find(|it: char| it.is_ascii_digit())
            .unwrap_or(rest.len());
        let between = rest[..end]
            .trim_matches(|it: char| !it.is_alphanumeric() && !super::clean::is_mark(it));
        if !between.is_empty() {
            said.push(between.to_owned());
        }
        rest = &rest[end..];
    }
    said.join(if unspaced { "" } else { " " })
}

/// The number that `text` begins with, in words, and what follows it.
fn number<'a>(language: Language, rules: &Notation, text: &'a str) -> (String, &'a str) {
    let leading = |text: &'a str| {
        &text[..text
            .find(|it: char| !it.is_ascii_digit())
            .unwrap_or(text.len())]
    };
    let first = leading(text);
    let mut whole = first.to_owned();
    let mut rest = &text[first.len()..];
    if first.len() <= 3 && !first.starts_with('0') {
        while let Some(group) = rest
            .strip_prefix(rules.group)
            .map(leading)
            .filter(|it| it.len() == 3)
        {
            whole.push_str(group);
            rest = &rest[group.len() + 1..];
        }
    }
    let mut spoken = in_words(language, &whole);
    let fraction = rest
        .strip_prefix(rules.point)
        .map(leading)
        .filter(|it| !it.is_empty());
    // "1.2.3" is no fraction.
    if let Some(fraction) = fraction.filter(|it| !rest[it.len() + 1..].starts_with(['.', ','])) {
        let space = if matches!(language, Language::Chinese | Language::Japanese) {
            ""
        } else {
            " "
        };
        spoken = format!(
            "{spoken}{space}{}{space}{}",
            rules.point_word,
            digits(language, fraction)
        );
        rest = &rest[fraction.len() + 1..];
    }
    (spoken, rest)
}

fn in_words(language: Language, whole: &str) -> String {
    let has_value = whole.len() <= 18 && (whole.len() == 1 || !whole.starts_with('0'));
    let words = whole
        .parse()
        .ok()
        .filter(|_| has_value)
        .and_then(|it| cardinal(language, it));
    words.unwrap_or_else(|| digits(language, whole))
}

fn digits(language: Language, text: &str) -> String {
    let words = text
        .chars()
        .filter_map(|it| it.to_digit(10))
        .filter_map(|it| cardinal(language, it.into()));
    words.collect::<Vec<_>>().join(
        if matches!(language, Language::Chinese | Language::Japanese) {
            ""
        } else {
            " "
        },
    )
}
