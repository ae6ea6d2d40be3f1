//! English: every kind of number, abbreviation and sign that is read differently than it is written.

use super::numbers::english as numbers;
use super::stream::{Look, Reading};

/// What the next words are, if they are not said as they are written.
pub(super) fn read(look: &Look<'_>) -> Option<Reading> {
    let core = look.word(0)?.core();
    decade(core)
        .or_else(|| ordinal(core))
        .or_else(|| year(core))
        .or_else(|| number(core))
        .map(|it| Reading::of(1, it))
}

/// `21st`.
fn ordinal(core: &str) -> Option<String> {
    let digits = ["st", "nd", "rd", "th"]
        .iter()
        .find_map(|it| core.strip_suffix(it))?;
    digits.replace(',', "").parse().ok().map(numbers::ordinal)
}

/// `1980s`, `80s`.
fn decade(core: &str) -> Option<String> {
    let n: u64 = core
        .strip_suffix('s')?
        .parse()
        .ok()
        .filter(|it| it % 10 == 0)?;
    let number = if n < 100 {
        numbers::cardinal(n)
    } else {
        numbers::year(n)
    };
    Some(numbers::plural(&number))
}

/// `1984`.
fn year(core: &str) -> Option<String> {
    core.parse()
        .ok()
        .filter(|it| (1900..=2099).contains(it))
        .map(numbers::year)
}

/// A number by itself: `1,234`, `-5`, `3.14`, `007`.
fn number(core: &str) -> Option<String> {
    let (sign, rest) = core
        .strip_prefix('-')
        .map_or(("", core), |it| ("minus ", it));
    let (whole, fraction) = rest
        .split_once('.')
        .map_or((rest, None), |(whole, fraction)| (whole, Some(fraction)));
    let plain = whole.replace(',', "");
    let all_digits = |it: &str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit());
    if !all_digits(&plain) || fraction.is_some_and(|it| !all_digits(it)) {
        return None;
    }
    let whole = match plain.parse::<u64>() {
        Ok(n) if plain.len() <= 18 && (plain == "0" || !plain.starts_with('0')) => {
            numbers::cardinal(n)
        }
        _ => numbers::digits(&plain),
    };
    let fraction = fraction
        .map(|it| format!(" point {}", numbers::digits(it)))
        .unwrap_or_default();
    Some(format!("{sign}{whole}{fraction}"))
}
