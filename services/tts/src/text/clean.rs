//! Characters: what is kept, what is only looked through, what divides words.

use icu_normalizer::ComposingNormalizerBorrowed;

/// What a character is to the scanner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Divides words.
    Space,
    /// Ends a line; two of them, a paragraph.
    Line,
    /// Neither heard nor seen, and no border of a word: zero-width and control characters, variation selectors, tag characters.
    Silent,
    /// Seen and not heard; divides words: emoji, dingbats, arrows, boxes.
    Picture,
    /// Han and kana: written without spaces, so each is a word to us.
    Ideograph,
    /// Everything else.
    Other,
}

/// The class of one character.
pub(super) fn class(c: char) -> Class {
    match c {
        '\n' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => Class::Line,
        _ if c.is_whitespace() => Class::Space,
        _ if c.is_ascii_graphic() => Class::Other,
        '\u{ad}'
        | '\u{34f}'
        | '\u{61c}'
        | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}' => Class::Silent,
        '\u{2060}'..='\u{206f}'
        | '\u{20d0}'..='\u{20f0}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}'
        | '\u{fff0}'..='\u{ffff}' => Class::Silent,
        '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{10ffff}' => Class::Silent,
        _ if c.is_control() => Class::Silent,
        '\u{2190}'..='\u{21ff}'
        | '\u{2300}'..='\u{23ff}'
        | '\u{2400}'..='\u{245f}'
        | '\u{2500}'..='\u{27bf}' => Class::Picture,
        '\u{2900}'..='\u{297f}'
        | '\u{2b00}'..='\u{2bff}'
        | '\u{1f000}'..='\u{1f0ff}'
        | '\u{1f150}'..='\u{1fbef}' => Class::Picture,
        // The prolonged sound mark and the iteration marks are among them; the middle dot of katakana is not.
        '\u{3005}'..='\u{3007}'
        | '\u{3041}'..='\u{309f}'
        | '\u{30a1}'..='\u{30fa}'
        | '\u{30fc}'..='\u{30ff}' => Class::Ideograph,
        '\u{31f0}'..='\u{31ff}'
        | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}' => Class::Ideograph,
        '\u{ff66}'..='\u{ff9f}' | '\u{1b000}'..='\u{1b16f}' | '\u{20000}'..='\u{323af}' => {
            Class::Ideograph
        }
        _ => Class::Other,
    }
}

/// A letter or digit of some script: what may not be lost. Pictures are none, though Unicode calls some of them letters. Nor are the
/// narrow voicing marks of kana: with the letter before them they become one, and alone they have no sound.
pub(super) fn is_speakable(c: char) -> bool {
    let is_voicing_mark = matches!(c, '\u{ff9e}' | '\u{ff9f}');
    c.is_alphanumeric() && !is_voicing_mark && !matches!(class(c), Class::Picture | Class::Silent)
}

/// Stands before a word and belongs to it.
pub(super) fn is_opener(c: char) -> bool {
    matches!(c, '"' | '\'' | '(' | '¿' | '¡') || is_wide_opener(c)
}

/// The openers of Chinese and Japanese, which also divide words.
pub(super) fn is_wide_opener(c: char) -> bool {
    matches!(c, '「' | '『' | '（' | '【' | '《' | '〈' | '〔')
}

/// Stands after a word, and after the stop that ends a sentence.
pub(super) fn is_closer(c: char) -> bool {
    matches!(
        c,
        '"' | '\'' | ')' | '」' | '』' | '）' | '】' | '》' | '〉' | '〕'
    )
}

/// Ends a sentence wherever it stands. The full stop is not among them: it has many other uses.
pub(super) fn is_terminator(c: char) -> bool {
    matches!(
        c,
        '!' | '?' | '。' | '！' | '？' | '｡' | '।' | '॥' | '؟' | '۔'
    )
}

/// Ends a clause.
pub(super) fn is_clause_mark(c: char) -> bool {
    matches!(
        c,
        ',' | ';' | ':' | '，' | '、' | '；' | '：' | '､' | '،' | '؛'
    )
}

/// Chinese and Japanese punctuation: after it a new word begins without a space.
pub(super) fn is_wide_mark(c: char) -> bool {
    matches!(
        c,
        '。' | '！'
            | '？'
            | '｡'
            | '，'
            | '、'
            | '；'
            | '：'
            | '､'
            | '」'
            | '』'
            | '）'
            | '】'
            | '》'
            | '〉'
            | '〕'
    )
}

/// Stands after a word.
pub(super) fn is_tail(c: char) -> bool {
    is_closer(c) || is_terminator(c) || is_clause_mark(c) || matches!(c, '.' | '…' | '-')
}

/// One spelling for characters that are written in several ways.
fn unify(c: char) -> char {
    match c {
        '\u{2018}' | '\u{2019}' | '\u{201a}' | '\u{201b}' | '\u{2039}' | '\u{203a}'
        | '\u{2032}' | '\u{b4}' => '\'',
        '\u{201c}' | '\u{201d}' | '\u{201e}' | '\u{201f}' | '\u{ab}' | '\u{bb}' | '\u{2033}' => '"',
        '\u{2010}' | '\u{2011}' | '\u{2212}' | '\u{fe63}' | '\u{ff0d}' => '-',
        '\u{2012}' => '–',
        '\u{2015}' => '—',
        '\u{2da}' => '°',
        '\u{b5}' => 'μ',
        '\u{2044}' | '\u{2215}' => '/',
        '\u{ff04}' => '$',
        '\u{ff05}' | '\u{66a}' => '%',
        '\u{ffe5}' => '¥',
        '\u{ff06}' => '&',
        '\u{ff0b}' => '+',
        '\u{ff0e}' => '.',
        '\u{2024}' => '.',
        // Native digits are read like any others.
        _ => native_digit(c).unwrap_or(c),
    }
}

/// Arabic-Indic, Persian and Devanagari digits as the usual ones.
fn native_digit(c: char) -> Option<char> {
    let value = match c {
        '\u{660}'..='\u{669}' => u32::from(c) - 0x660,
        '\u{6f0}'..='\u{6f9}' => u32::from(c) - 0x6f0,
        '\u{966}'..='\u{96f}' => u32::from(c) - 0x966,
        _ => return None,
    };
    char::from_digit(value, 10)
}

/// A raw word without what is not heard, in composed form, with one spelling for each mark.
pub(super) fn clean_word(raw: &str) -> String {
    if raw.bytes().all(|it| {
        it.is_ascii_alphanumeric()
            || matches!(it, b'.' | b',' | b'\'' | b'!' | b'?' | b'-' | b':' | b';')
    }) {
        return raw.to_owned();
    }
    let mut text = String::with_capacity(raw.len());
    let characters: Vec<char> = without_link(raw)
        .chars()
        .filter(|&it| class(it) != Class::Silent)
        .map(unify)
        .collect();
    for (i, &c) in characters.iter().enumerate() {
        let before = i.checked_sub(1).map(|it| characters[it]);
        let after = characters.get(i + 1).copied();
        let between = |test: fn(char) -> bool| before.is_some_and(test) && after.is_some_and(test);
        match c {
            '\\' if after.is_none_or(|it| it.is_ascii_punctuation()) => {}
            '`' | '|' | '[' | ']' | '{' | '}' | '\u{ae}' | '\u{2122}' | '\u{a9}' => {}
            '*' if characters.len() > 1 && !between(|it| it.is_ascii_digit()) => {}
            '_' if !between(|it| it.is_alphanumeric() || it == '_') => {}
            '~' if before == Some('~') || after == Some('~') => {}
            '<' | '>' if !lone_or_by_digit(before, after) => {}
            // The masculine ordinal is often typed for a degree.
            '\u{ba}' if before.is_some_and(|it| it.is_ascii_digit()) => text.push('°'),
            _ if c.is_ascii() => text.push(c),
            _ if class(c) == Class::Space => {}
            _ => compose_compatible(c, &mut text),
        }
    }
    if text.is_ascii() {
        return text;
    }
    ComposingNormalizerBorrowed::new_nfc()
        .normalize(&text)
        .into_owned()
}

fn lone_or_by_digit(before: Option<char>, after: Option<char>) -> bool {
    let fits =
        |it: Option<char>| it.is_none_or(|it| it.is_ascii_digit() || matches!(it, '=' | '<' | '>'));
    fits(before) && fits(after)
}

/// Letters in disguise (wide, bold, circled, joined) become themselves; what means something of its own (½, ², ℃) stays for the rules.
fn compose_compatible(c: char, text: &mut String) {
    if !c.is_alphanumeric()
        || matches!(c, '¼'..='¾' | '²' | '³' | '¹' | '\u{2150}'..='\u{215f}' | 'ª')
    {
        text.push(c);
        return;
    }
    let mut buffer = [0; 4];
    let written = &*c.encode_utf8(&mut buffer);
    let plain = ComposingNormalizerBorrowed::new_nfkc().normalize(written);
    if plain.chars().all(|it| it.is_alphanumeric() || is_mark(it)) {
        text.push_str(&plain);
    } else {
        // "(1)", "1." and their like: only what can be said of them.
        text.extend(plain.chars().filter(|it| it.is_alphanumeric()));
    }
}

/// A sign that is written on the letter before it.
pub(super) fn is_mark(c: char) -> bool {
    let c = u32::from(c);
    // The blocks of combining marks, and the vowel signs and viramas of the scripts of our languages.
    matches!(c, 0x300..=0x36f | 0x483..=0x489 | 0x591..=0x5bd | 0x5bf | 0x5c1 | 0x5c2 | 0x5c4 | 0x5c5 | 0x5c7)
        || matches!(c, 0x610..=0x61a | 0x64b..=0x65f | 0x670 | 0x6d6..=0x6dc | 0x6df..=0x6e4 | 0x6e7 | 0x6e8 | 0x6ea..=0x6ed)
        || matches!(c, 0x900..=0x903 | 0x93a..=0x93c | 0x93e..=0x94f | 0x951..=0x957 | 0x962 | 0x963 | 0x980..=0xdff if !char::from_u32(c).is_some_and(char::is_alphanumeric))
        || matches!(c, 0xe31 | 0xe34..=0xe3a | 0xe47..=0xe4e | 0x1ab0..=0x1aff | 0x1dc0..=0x1dff | 0x3099 | 0x309a | 0xfe20..=0xfe2f)
}

/// `text](address)` of Markdown is `text`: the address is not for the ear. Its letters stay in the source of the word.
fn without_link(raw: &str) -> String {
    let Some((text, rest)) = raw.split_once("](") else {
        return raw.to_owned();
    };
    match rest.split_once(')') {
        Some((_, after)) if text.contains(is_speakable) => format!("{text}{after}"),
        _ => raw.to_owned(),
    }
}

/// What may reach a model: letters, digits, their marks, and the punctuation that shapes a sentence.
pub(super) fn is_sayable(c: char) -> bool {
    c.is_alphanumeric() || c == ' ' || is_mark(c) || is_opener(c) || is_tail(c)
}

/// How long a text is to a model: a Latin letter is one, a Korean syllable two, an ideograph three.
pub(super) fn length(text: &str) -> usize {
    if text.is_ascii() {
        return text.len();
    }
    let weigh = |c: char| match class(c) {
        Class::Ideograph => 3,
        _ if ('\u{ac00}'..='\u{d7a3}').contains(&c) => 2,
        Class::Space | Class::Line | Class::Silent | Class::Picture | Class::Other => 1,
    };
    text.chars().map(weigh).sum()
}
