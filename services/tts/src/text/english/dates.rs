//! Dates and times of day.

use super::figure::{all_digits, leading_digits};
use crate::text::numbers::english as numbers;
use crate::text::scan::Gap;
use crate::text::stream::{FullStop, Look, Reading};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// The month of a name or of its first letters.
fn month(word: &str) -> Option<&'static str> {
    if !word.starts_with(|it: char| it.is_ascii_uppercase()) || word.len() < 3 {
        return None;
    }
    let folded = word.to_ascii_lowercase();
    if folded == "sept" {
        return Some("September");
    }
    MONTHS.into_iter().find(|it| {
        it.eq_ignore_ascii_case(&folded)
            || (folded.len() == 3 && it.to_ascii_lowercase().starts_with(&folded))
    })
}

/// Whether a number of four digits after this word is a year.
pub(super) fn announces_year(previous: &str) -> bool {
    let folded = previous.to_ascii_lowercase();
    let words = [
        "in", "since", "year", "until", "till", "by", "from", "before", "after", "circa", "around",
        "during", "early", "late", "mid", "summer", "winter", "spring", "autumn", "fall",
    ];
    words.contains(&folded.as_str()) || month(previous).is_some()
}

/// `3`, `3rd`: the day of a month.
fn day(text: &str) -> Option<u64> {
    let digits = leading_digits(text);
    let suffix = &text[digits.len()..];
    let fits = digits.len() <= 2 && matches!(suffix, "" | "st" | "nd" | "rd" | "th");
    digits
        .parse()
        .ok()
        .filter(|it| fits && (1..=31).contains(it))
}

fn year(text: &str) -> Option<u64> {
    if text.len() == 4 && all_digits(text) {
        text.parse().ok().filter(|it| (1000..=2999).contains(it))
    } else {
        None
    }
}

/// `March 3rd, 2024`, `Mar. 3`, `3 March 2024`, `2024-03-03`, `3/14/2024`.
pub(super) fn read(look: &Look<'_>) -> Option<Reading> {
    let core = look.word(0)?.core();
    if core.starts_with(|it: char| it.is_ascii_digit()) {
        return numeric(core)
            .map(|it| Reading::of(1, it))
            .or_else(|| day_first(look, core));
    }
    let name = month(core)?;
    // "May" may be a verb, "Mar" a name: only a number or a full stop makes a date of them.
    let tail = look.word(0)?.tail();
    let stopped = tail == "." && core.len() < 5 && !name.eq_ignore_ascii_case(core);
    let next = if stopped {
        look.word(1)
            .filter(|it| it.gap <= Gap::Line && it.lead().is_empty())
    } else {
        look.joined(1)
    };
    let Some((word, day)) = next.and_then(|it| Some((it, day(it.core())?))) else {
        return stopped.then(|| Reading {
            stop: FullStop::MayEnd,
            ..Reading::of(1, name)
        });
    };
    let date = format!("{name} {}", numbers::ordinal(day));
    let after = if word.tail() == "," {
        look.word(2)
            .filter(|it| it.gap <= Gap::Line && it.lead().is_empty())
    } else {
        look.joined(2)
    };
    match after.and_then(|it| year(it.core())) {
        Some(year) => Some(Reading::of(3, format!("{date}, {}", numbers::year(year)))),
        None => Some(Reading::of(2, date)),
    }
}

/// `3 March 2024`, `3rd March`.
fn day_first(look: &Look<'_>, core: &str) -> Option<Reading> {
    let day = numbers::ordinal(day(core)?);
    let month = look.joined_core(1).and_then(month)?;
    let the = if look.previous.eq_ignore_ascii_case("the") {
        ""
    } else {
        "the "
    };
    let date = format!("{the}{day} of {month}");
    match look.joined_core(2).and_then(year) {
        Some(year) => Some(Reading::of(3, format!("{date}, {}", numbers::year(year)))),
        None => Some(Reading::of(2, date)),
    }
}

fn numeric(core: &str) -> Option<String> {
    let (date, time) = core
        .split_once('T')
        .map_or((core, None), |(date, time)| (date, Some(time)));
    let parts: Vec<&str> = date.split(['-', '/', '.']).collect();
    let [a, b, c] = parts[..] else {
        return None;
    };
    let separator = date[a.len()..].chars().next()?;
    if !parts.iter().all(|it| all_digits(it) && it.len() <= 4)
        || date.matches(separator).count() != 2
    {
        return None;
    }
    let (year_text, month, day) = match (separator, a.len()) {
        ('-' | '/', 4) if b.len() <= 2 && c.len() <= 2 => (a, b, c),
        // The American order, unless only the other one makes a date.
        ('/', 1 | 2) if matches!(c.len(), 2 | 4) && a.parse::<u64>().is_ok_and(|it| it > 12) => {
            (c, b, a)
        }
        ('/', 1 | 2) if matches!(c.len(), 2 | 4) => (c, a, b),
        _ => return None,
    };
    let month = MONTHS.get(month.parse::<usize>().ok()?.checked_sub(1)?)?;
    let day = day.parse().ok().filter(|it| (1..=31).contains(it))?;
    let year = match year_text.parse::<u64>().ok()? {
        it if year_text.len() == 4 => numbers::year(it),
        it if it < 10 => format!("oh {}", numbers::cardinal(it)),
        it => numbers::cardinal(it),
    };
    let time = match time {
        Some(it) => format!(
            ", {}",
            clock(it.trim_end_matches('Z').split(['.', '+']).next()?)?
        ),
        None => String::new(),
    };
    Some(format!("{month} {}, {year}{time}", numbers::ordinal(day)))
}

/// `am`, `p.m`, `PM`: as letters.
fn half(text: &str) -> Option<&'static str> {
    match text.to_ascii_lowercase().as_str() {
        "am" | "a.m" => Some("A M"),
        "pm" | "p.m" => Some("P M"),
        _ => None,
    }
}

/// `14:30`, `2:05 pm`, `2pm`, `5 p.m.`.
pub(super) fn read_time(look: &Look<'_>) -> Option<Reading> {
    let word = look.word(0)?;
    let core = word.core();
    let number = core.trim_end_matches(|it: char| !it.is_ascii_digit());
    if !number.starts_with(|it: char| it.is_ascii_digit()) {
        return None;
    }
    let suffix = &core[number.len()..];
    let (half, used) = match half(suffix) {
        Some(half) => (Some(half), 1),
        None if suffix.is_empty() && (number.contains(':') || number.len() <= 2) => {
            (look.joined_core(1).and_then(half_word), 2)
        }
        None => return None,
    };
    let Some(half) = half else {
        return clock(number).map(|it| Reading::of(1, it));
    };
    let time = match number.split_once(':') {
        None if number.len() <= 2 => hour(number)
            .filter(|it| (1..=12).contains(it))
            .map(numbers::cardinal)?,
        None => return None,
        Some((hours, "00")) => hour(hours).map(numbers::cardinal)?,
        Some(_) => clock(number)?,
    };
    let last = look.word(used - 1)?;
    let stop = last.core().contains('.') && last.tail().starts_with('.');
    Some(Reading {
        stop: FullStop::MayEnd.when(stop),
        ..Reading::of(used, format!("{time} {half}"))
    })
}

/// Apart from its number it is a time only with stops or in capitals: "5 am" could be a slip for "I am".
fn half_word(text: &str) -> Option<&'static str> {
    half(text)
}

fn hour(text: &str) -> Option<u64> {
    if text.len() > 2 || !all_digits(text) {
        return None;
    }
    text.parse().ok().filter(|it| *it <= 24)
}

/// `14:30`, `2:05`, `10:30:15`.
pub(super) fn clock(text: &str) -> Option<String> {
    let mut parts = text.split(':');
    let (hours, minutes, seconds) = (hour(parts.next()?)?, parts.next()?, parts.next());
    let below_sixty = |it: &str| {
        if it.len() == 2 && all_digits(it) {
            it.parse::<u64>().ok().filter(|it| *it < 60)
        } else {
            None
        }
    };
    let minute = below_sixty(minutes)?;
    if parts.next().is_some() {
        return None;
    }
    let spoken_hours = numbers::cardinal(hours);
    let time = match (hours, minute) {
        (0, 0) if seconds.is_none() => "midnight".to_owned(),
        (1..=12, 0) => format!("{spoken_hours} o'clock"),
        (_, 0) => format!("{spoken_hours} hundred"),
        (_, 1..=9) => format!("{spoken_hours} oh {}", numbers::cardinal(minute)),
        _ => format!("{spoken_hours} {}", numbers::cardinal(minute)),
    };
    match seconds.map(below_sixty) {
        None => Some(time),
        Some(None) => None,
        Some(Some(1)) => Some(format!("{time} and one second")),
        Some(Some(n)) => Some(format!("{time} and {} seconds", numbers::cardinal(n))),
    }
}
