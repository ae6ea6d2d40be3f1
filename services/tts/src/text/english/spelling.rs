//! Words that are no words: capitals, Roman numerals, signs, and mixtures of letters, digits and signs.

use super::figure::Figure;
use crate::text::clean::is_mark;
use crate::text::numbers::english as numbers;
use crate::text::stream::{Look, Reading};

/// Said letter by letter, though they could be said as words. What has no vowel needs no entry.
#[rustfmt::skip]
const SPELLED: &[&str] = &[
    "AI", "API", "APIS", "ASAP", "ATM", "AWS", "BBC", "CEO", "CFO", "CIA", "CIO", "COO", "CPU", "CTO", "DIY", "DNA", "DOJ", "ECG", "EEG", "EKG", "EPA", "ETA", "EU", "EUR", "FAQ", "FBI", "FDA",
    "FYI", "GDP", "GNU", "GOP", "GPU", "GUI", "HIV", "HR", "HTML", "IBM", "ID", "IDE", "IMF", "IOS", "IP", "IPO", "IQ", "IRA", "IRS", "ISO", "ISP", "IVF", "LA", "LED", "LLM", "MIA", "MIT", "MRI", "NBA", "NGO", "NHS", "NSA", "NYU",
    "OCD", "OS", "PIN", "POV", "PR", "QA", "RNA", "ROI", "RSVP", "SDK", "SEO", "SMS", "SQL", "SUV", "TBA", "UAE", "UFO", "UI", "UK", "UN", "UPS", "URL", "USA", "USB", "USSR", "UV", "UX", "VIP", "VPN", "WWII", "YMCA", "EV", "AC", "TBD", "AKA",
];
/// Said as words, though they look like others that are spelled.
const WORDS: &[&str] = &["PIN", "LED", "MIT"];
/// Words too: spelled only where not everything is in capitals.
const AMBIGUOUS: &[&str] = &["US", "IT", "ID", "OR", "AM", "PM", "AI"];

#[rustfmt::skip]
const NUMBERED: &[&str] = &[
    "chapter", "part", "section", "volume", "book", "act", "scene", "phase", "type", "class", "war", "article", "title", "appendix", "level", "tier", "stage", "grade", "figure", "table", "episode", "bowl", "mark", "rocky", "vol", "unit", "group", "round", "element",
];
#[rustfmt::skip]
const REGNAL: &[&str] = &[
    "Henry", "Louis", "Charles", "George", "Edward", "Elizabeth", "James", "William", "Richard", "Philip", "Philippe", "Paul", "Pius", "Benedict", "Leo", "Gregory", "Innocent", "Clement", "Urban", "Francis", "Alexander", "Catherine",
    "Nicholas", "Ivan", "Peter", "Napoleon", "Frederick", "Ferdinand", "Victoria", "Mary", "Ramses", "Rameses", "Ptolemy", "Xerxes", "Darius", "Friedrich", "Wilhelm", "Otto", "John", "Robert", "Felipe", "Carlos", "Alfonso", "Juan", "Gustav", "Harald", "Margrethe", "Christian", "Sixtus", "Boniface", "Julius", "Constantine", "Malcolm", "Albert", "Leopold", "Joseph", "Rudolf", "Maximilian", "Sigismund", "Casimir", "Stephen", "Mehmed", "Murad", "Selim", "Thutmose", "Amenhotep", "Cleopatra", "Haakon", "Olav",
];

/// Signs that stand alone, and signs between numbers or letters.
fn sign(c: char) -> Option<&'static str> {
    Some(match c {
        '&' => "and",
        '@' => "at",
        '+' => "plus",
        '=' => "equals",
        '%' => "percent",
        '°' => "degrees",
        '×' => "times",
        '*' => "times",
        '÷' => "divided by",
        '±' => "plus or minus",
        '<' => "less than",
        '>' => "greater than",
        '≤' => "less than or equal to",
        '≥' => "greater than or equal to",
        '≠' => "not equal to",
        '≈' => "approximately",
        '~' => "about",
        '/' => "slash",
        '#' => "number",
        '§' => "section",
        '$' => "dollars",
        '£' => "pounds",
        '€' => "euros",
        '¥' => "yen",
        '∞' => "infinity",
        '√' => "square root of",
        '²' => "squared",
        '³' => "cubed",
        '¹' => "one",
        '½' => "one half",
        '¼' => "one quarter",
        '¾' => "three quarters",
        _ => return None,
    })
}

/// Roman numerals, capitals, signs and mixtures. `None` if the word is said as it is written.
pub(super) fn read(look: &Look<'_>) -> Option<Reading> {
    let core = look.word(0)?.core();
    if core.bytes().all(|it| it.is_ascii_lowercase()) {
        return None;
    }
    if core == "*" {
        let numbers = look.previous.ends_with(|it: char| it.is_ascii_digit())
            && look.next_start(1).is_some_and(|it| it.is_ascii_digit());
        return Some(Reading::of(1, if numbers { "times" } else { "" }));
    }
    if let Some(spoken) = roman(look, core) {
        return Some(Reading::of(1, spoken));
    }
    let shouting = is_shouted(look.previous)
        || (AMBIGUOUS.contains(&core) && look.joined_core(1).is_some_and(is_shouted));
    let spoken = mixture(core, shouting);
    (spoken != core).then(|| Reading::of(1, spoken))
}

/// A word in capitals that is not spelled: everything around it may be in capitals too.
fn is_shouted(word: &str) -> bool {
    word.len() > 1
        && word
            .bytes()
            .all(|it| it.is_ascii_uppercase() || it == b'\'')
        && !is_spelled(word)
}

fn is_spelled(word: &str) -> bool {
    let vowelless = word.len() <= 6 && !word.contains(['A', 'E', 'I', 'O', 'U', 'Y']);
    (SPELLED.contains(&word) || vowelless) && !WORDS.contains(&word)
}

/// Letters, figures and signs in turn: `AT&T`, `COVID-19`, `mp3`, `3+4`, `#tag`, `C++`, `and/or`.
fn mixture(core: &str, shouting: bool) -> String {
    match core {
        "C++" | "c++" => return "C plus plus".to_owned(),
        "C#" | "F#" => return format!("{} sharp", &core[..1]),
        _ => {}
    }
    if let Some(tag) = core
        .strip_prefix('#')
        .filter(|it| it.starts_with(char::is_alphabetic))
    {
        return format!("hashtag {}", mixture(tag, shouting));
    }
    let mut said: Vec<String> = Vec::new();
    let mut rest = core;
    // A hyphen, or an apostrophe, holds letters together.
    // Numerals of other scripts are left as they are, like their letters.
    let is_letter = |it: char| {
        (it.is_alphanumeric() && !it.is_ascii_digit() && sign(it).is_none())
            || it == '\''
            || is_mark(it)
    };
    let has_digits = core.contains(|it: char| it.is_ascii_digit());
    let initials = core.contains('&');
    while let Some(c) = rest.chars().next() {
        let end = rest.find(|it| !is_letter(it)).unwrap_or(rest.len());
        if end > 0 {
            let run = &rest[..end];
            // Of "AT&T" and "R&D" every part is spelled.
            let spelled = initials && run.len() < 4 && is_capitals(run);
            said.push(if spelled {
                spell(run)
            } else {
                letters(run, shouting, has_digits)
            });
            rest = &rest[end..];
        } else if let Some((figure, after)) =
            Figure::prefix(rest).filter(|it| !it.0.is_negative() || said.is_empty())
        {
            said.push(figure.spoken());
            rest = after;
        } else {
            rest = &rest[c.len_utf8()..];
            match c {
                '-' | '–' if !has_digits && !said.is_empty() && !rest.is_empty() => {
                    // Said with a hyphen, as it was written.
                    let end = rest.find(|it| !is_letter(it)).unwrap_or(rest.len());
                    let next = letters(&rest[..end], shouting, has_digits);
                    if let Some(last) = said.last_mut().filter(|_| end > 0) {
                        let glue = if last.contains(' ') || next.contains(' ') {
                            ' '
                        } else {
                            '-'
                        };
                        last.push(glue);
                        last.push_str(&next);
                    }
                    rest = &rest[end..];
                }
                '.' if !rest.is_empty() => {
                    said.push(if has_digits { "point" } else { "dot" }.to_owned());
                }
                _ => said.extend(sign(c).map(str::to_owned)),
            }
        }
    }
    said.join(" ")
}

fn spell(letters: &str) -> String {
    letters
        .chars()
        .map(String::from)
        .collect::<Vec<_>>()
        .join(" ")
}

/// A run of letters.
fn letters(run: &str, shouting: bool, in_code: bool) -> String {
    let (stem, plural) = match run.strip_suffix("'s").or_else(|| run.strip_suffix('s')) {
        Some(stem) if stem.len() > 1 && is_capitals(stem) => (stem, true),
        _ => (run, false),
    };
    if in_code
        && run.len() <= 3
        && run.is_ascii()
        && !run.contains([
            'a', 'e', 'i', 'o', 'u', 'y', 'A', 'E', 'I', 'O', 'U', 'Y', '\'',
        ])
    {
        return spell(&run.to_ascii_uppercase());
    }
    if stem.len() < 2 || !is_capitals(stem) {
        return run.to_owned();
    }
    let spelled = is_spelled(stem) && !(shouting && stem.bytes().any(|it| b"AEIOU".contains(&it)))
        || (!shouting && AMBIGUOUS.contains(&stem));
    let said = if spelled {
        spell(stem)
    } else {
        capitalised(stem)
    };
    match (plural, spelled) {
        (false, _) => said,
        (true, true) => format!("{said}'s"),
        (true, false) => format!("{said}{}", &run[stem.len()..]),
    }
}

fn is_capitals(word: &str) -> bool {
    word.bytes().all(|it| it.is_ascii_uppercase())
}

fn capitalised(word: &str) -> String {
    if word == "OK" {
        return word.to_owned();
    }
    let (first, rest) = word.split_at(1);
    format!("{first}{}", rest.to_ascii_lowercase())
}

/// `VIII` after a name or a heading, and those numerals that can be nothing else.
fn roman(look: &Look<'_>, core: &str) -> Option<String> {
    let (numeral, possessive) = core.strip_suffix("'s").map_or((core, ""), |it| (it, "'s"));
    let n = value(numeral)?;
    let previous = look.previous;
    if NUMBERED.contains(&previous.to_ascii_lowercase().as_str()) {
        return Some(format!("{}{possessive}", numbers::cardinal(n)));
    }
    // "James I" before a comma, but not "James I think": the pronoun is far more common.
    let is_pronoun = numeral == "I" && look.word(0)?.tail().is_empty() && possessive.is_empty();
    if REGNAL.contains(&previous) && !is_pronoun && !matches!(numeral, "C" | "D" | "L" | "M") {
        return Some(format!("the {}{possessive}", numbers::ordinal(n)));
    }
    let unmistakable =
        numeral.len() > 2 && numeral.bytes().all(|it| matches!(it, b'I' | b'V' | b'X'));
    let pair = matches!(numeral, "II" | "IX" | "VI")
        && previous.starts_with(|it: char| it.is_ascii_uppercase());
    (unmistakable || pair).then(|| format!("{}{possessive}", numbers::cardinal(n)))
}

/// The value of a well-formed Roman numeral below 4000.
fn value(numeral: &str) -> Option<u64> {
    const STEPS: [(&str, u64); 13] = [
        ("M", 1000),
        ("CM", 900),
        ("D", 500),
        ("CD", 400),
        ("C", 100),
        ("XC", 90),
        ("L", 50),
        ("XL", 40),
        ("X", 10),
        ("IX", 9),
        ("V", 5),
        ("IV", 4),
        ("I", 1),
    ];
    if numeral.is_empty()
        || numeral.len() > 12
        || !numeral.bytes().all(|it| b"IVXLCDM".contains(&it))
    {
        return None;
    }
    let (mut rest, mut n) = (numeral, 0);
    for (sign, worth) in STEPS {
        let mut times = 0;
        while let Some(after) = rest.strip_prefix(sign).filter(|_| {
            times
                < if sign.len() == 2 || matches!(sign, "D" | "L" | "V") {
                    1
                } else {
                    3
                }
        }) {
            rest = after;
            n += worth;
            times += 1;
        }
    }
    rest.is_empty().then_some(n)
}
