//! Everything that begins with a digit, a sign or a currency.

use super::dates;
use super::figure::{Figure, all_digits};
use super::units::{currency, scale, scale_sign, takes_stop, unit};
use crate::text::numbers::english as numbers;
use crate::text::scan::Gap;
use crate::text::stream::{FullStop, Look, Reading};

/// Telephone numbers, money, versions, ranges, fractions, measures, and numbers by themselves.
pub(super) fn read(look: &Look<'_>) -> Option<Reading> {
    let core = look.word(0)?.core();
    if !core.starts_with(|it: char| {
        it.is_ascii_digit()
            || matches!(it, 'v' | '-' | '–' | '+' | '.' | '~' | '±' | '#' | '¼'..='¾' | '⅐'..='⅞')
            || it.is_ascii_uppercase()
    }) && currency(core).is_none()
    {
        return None;
    }
    phone(look, core)
        .or_else(|| fixed(core).map(|it| Reading::of(1, it)))
        .or_else(|| money(look, core))
        .or_else(|| version(core).map(|it| Reading::of(1, it)))
        .or_else(|| range(look, core))
        .or_else(|| fraction(core).map(|it| Reading::of(1, it)))
        .or_else(|| measured(look, core))
}

/// Numbers that have a name of their own.
fn fixed(core: &str) -> Option<String> {
    let spoken = match core {
        "24/7" => "twenty-four seven",
        "9/11" => "nine eleven",
        "911" => "nine one one",
        "½" => "one half",
        "50/50" | "50-50" => "fifty fifty",
        _ => return None,
    };
    Some(spoken.to_owned())
}

/// `555-123-4567`, `(555) 123-4567`, `+44 20 7946 0958`.
fn phone(look: &Look<'_>, core: &str) -> Option<Reading> {
    let groups: Vec<&str> = core.trim_start_matches('+').split(['-', '.']).collect();
    let lengths: Vec<usize> = groups.iter().map(|it| it.len()).collect();
    let all_groups = groups.iter().all(|it| all_digits(it));
    let dashed = core.contains('-');
    let local = matches!(lengths[..], [3, 4]) && dashed && !core.ends_with("00");
    let known = local || matches!(lengths[..], [3, 3, 4] | [1..=3, 3, 3, 4]);
    let say = |groups: &[&str]| {
        groups
            .iter()
            .map(|it| numbers::digits(it))
            .collect::<Vec<_>>()
            .join(", ")
    };
    if all_groups && known {
        let plus = if core.starts_with('+') { "plus " } else { "" };
        return Some(Reading::of(1, format!("{plus}{}", say(&groups))));
    }
    let word = look.word(0)?;
    if word.lead() == "(" && word.tail() == ")" && all_digits(core) && core.len() == 3 {
        let rest = look
            .word(1)
            .filter(|it| it.gap <= Gap::Space && it.lead().is_empty())?
            .core();
        let (a, b) = rest.split_once(['-', '.'])?;
        let fits = all_digits(a) && all_digits(b) && a.len() == 3 && b.len() == 4;
        return fits.then(|| Reading {
            bare: true,
            ..Reading::of(2, say(&[core, a, b]))
        });
    }
    international(look, core)
}

fn international(look: &Look<'_>, core: &str) -> Option<Reading> {
    let first = core
        .strip_prefix('+')
        .filter(|it| it.starts_with(|it: char| it.is_ascii_digit()))?;
    let is_group = |it: &str| !it.is_empty() && it.split('-').all(all_digits);
    if !is_group(first) {
        return None;
    }
    let mut groups: Vec<&str> = first.split('-').collect();
    let mut used = 1;
    // A country, an area and at most five groups: within what may be looked at.
    while used < 7
        && matches!(look.word(used - 1)?.tail(), "" | ")")
        && let Some(next) = look.word(used).filter(|it| {
            it.gap <= Gap::Space && matches!(it.lead(), "" | "(") && is_group(it.core())
        })
    {
        groups.extend(next.core().split('-'));
        used += 1;
    }
    let n_digits: usize = groups.iter().map(|it| it.len()).sum();
    if n_digits < 7 {
        return None;
    }
    let spoken = groups
        .iter()
        .map(|it| numbers::digits(it))
        .collect::<Vec<_>>()
        .join(", ");
    Some(Reading::of(used, format!("plus {spoken}")))
}

/// `$5`, `£3.50`, `$1.5 million`, `-€20`, `$5-10`, `$20/month`.
fn money(look: &Look<'_>, core: &str) -> Option<Reading> {
    let (minus, unsigned) = core
        .strip_prefix('-')
        .map_or(("", core), |rest| ("minus ", rest));
    let (currency, amount) = currency(unsigned)?;
    let (figure, rest) = Figure::prefix(amount)?;
    if let Some(other) = rest.strip_prefix(['-', '–']) {
        let other = crate::text::english::units::currency(other).map_or(other, |it| it.1);
        let (to, suffix) = Figure::prefix(other)?;
        let scale = if suffix.is_empty() {
            None
        } else {
            Some(scale_sign(suffix)?)
        };
        let (scale, used) = match scale {
            Some(it) => (Some(it), 1),
            None => look
                .joined_core(1)
                .and_then(scale_word)
                .map_or((None, 1), |it| (Some(it), 2)),
        };
        let scale = scale.map(|it| format!(" {it}")).unwrap_or_default();
        return Some(Reading::of(
            used,
            format!(
                "{minus}{} to {}{scale} {}",
                figure.spoken(),
                to.spoken(),
                currency.many
            ),
        ));
    }
    let (sign, per) = rest
        .split_once('/')
        .map_or((rest, ""), |(sign, per)| (sign, per));
    let per = if per.is_empty() {
        String::new()
    } else {
        format!(" per {per}")
    };
    if let Some(scale) = scale_sign(sign) {
        return Some(Reading::of(
            1,
            format!("{minus}{} {scale} {}{per}", figure.spoken(), currency.many),
        ));
    }
    if !sign.is_empty() {
        return None;
    }
    if let Some(scale) = if per.is_empty() {
        look.joined_core(1).and_then(scale_word)
    } else {
        None
    } {
        return Some(Reading::of(
            2,
            format!("{minus}{} {scale} {}", figure.spoken(), currency.many),
        ));
    }
    Some(Reading::of(
        1,
        format!("{minus}{}{per}", currency.amount(figure)),
    ))
}

fn scale_word(word: &str) -> Option<&'static str> {
    scale(word)
}

/// `1.2.3`, `v2.0`, `192.168.1.1`.
fn version(core: &str) -> Option<String> {
    let (prefix, numbers_text) = core
        .strip_prefix(['v', 'V'])
        .map_or(("", core), |rest| ("version ", rest));
    let parts: Vec<&str> = numbers_text.split('.').collect();
    if !parts.iter().all(|it| all_digits(it)) || (parts.len() < 3 && prefix.is_empty()) {
        return None;
    }
    let is_address = parts.len() == 4
        && prefix.is_empty()
        && parts
            .iter()
            .all(|it| it.parse::<u16>().is_ok_and(|it| it < 256));
    if is_address {
        return Some(
            parts
                .iter()
                .map(|it| numbers::digits(it))
                .collect::<Vec<_>>()
                .join(" dot "),
        );
    }
    let spoken: Option<Vec<String>> = parts
        .iter()
        .map(|it| Figure::whole(it).map(|it| it.spoken()))
        .collect();
    Some(format!("{prefix}{}", spoken?.join(" point ")))
}

/// `3-5`, `16:9`, `1990–1995`, `10–20%`, `5-10 km`.
fn range(look: &Look<'_>, core: &str) -> Option<Reading> {
    let (from, rest) = Figure::prefix(core)?;
    let (middle, rest) = rest
        .strip_prefix('%')
        .map_or(("", rest), |rest| (" percent", rest));
    let (to, suffix) = Figure::prefix(rest.strip_prefix(['-', '–', ':'])?)?;
    if to.is_negative() {
        return None;
    }
    let years = from
        .plain()
        .filter(|it| (1000..2100).contains(it))
        .zip(to.plain())
        .filter(|it| suffix.is_empty() && (it.1 < 100 || (1000..2100).contains(&it.1)));
    let (from, to_spoken) = match years {
        Some((from, to)) => (
            numbers::year(from),
            if to < 100 {
                numbers::cardinal(to)
            } else {
                numbers::year(to)
            },
        ),
        None => (from.spoken(), to.spoken()),
    };
    let spoken = format!("{from}{middle} to {to_spoken}");
    if suffix.is_empty() {
        return Some(counted(look, &spoken, false).unwrap_or_else(|| Reading::of(1, spoken)));
    }
    unit(suffix, false, false).map(|it| Reading::of(1, format!("{spoken} {it}")))
}

/// `1/2`, `3/4`, `2½`.
fn fraction(core: &str) -> Option<String> {
    let vulgar = |c: char| {
        Some(match c {
            '½' => "one half",
            '⅓' => "one third",
            '⅔' => "two thirds",
            '¼' => "one quarter",
            '¾' => "three quarters",
            '⅕' => "one fifth",
            '⅖' => "two fifths",
            '⅗' => "three fifths",
            '⅘' => "four fifths",
            '⅙' => "one sixth",
            '⅛' => "one eighth",
            '⅜' => "three eighths",
            '⅝' => "five eighths",
            '⅞' => "seven eighths",
            _ => return None,
        })
    };
    if let Some(part) = core.chars().next_back().and_then(vulgar) {
        let whole = core.trim_end_matches(|it| vulgar(it).is_some());
        return match Figure::whole(whole) {
            Some(it) => Some(format!("{} and {part}", it.spoken())),
            None => whole.is_empty().then(|| part.to_owned()),
        };
    }
    let (above, below) = core.split_once('/')?;
    let (sign, above) = above
        .strip_prefix('-')
        .map_or(("", above), |it| ("minus ", it));
    let (above, below) = (
        Figure::whole(above)?.plain()?,
        Figure::whole(below)?.plain()?,
    );
    let part = match (above, below) {
        (1, 2) => "half".to_owned(),
        (_, 2) => "halves".to_owned(),
        (1, 4) => "quarter".to_owned(),
        (_, 4) => "quarters".to_owned(),
        (1, 3..=20 | 100 | 1000) => numbers::ordinal(below),
        (_, 3..=20 | 100 | 1000) => format!("{}s", numbers::ordinal(below)),
        _ => {
            return Some(format!(
                "{sign}{} over {}",
                numbers::cardinal(above),
                numbers::cardinal(below)
            ));
        }
    };
    Some(format!("{sign}{} {part}", numbers::cardinal(above)))
}

/// A figure with what it counts: `5km`, `5 km`, `90%`, `21st`, `1980s`, `1984`, `2 1/2`, `3 million`.
fn measured(look: &Look<'_>, core: &str) -> Option<Reading> {
    let (about, core) = match core.chars().next()? {
        '~' => ("about ", &core[1..]),
        '±' => ("plus or minus ", core.strip_prefix('±')?),
        '+' => ("plus ", &core[1..]),
        '#' => ("number ", &core[1..]),
        _ => ("", core),
    };
    let (figure, suffix) = Figure::prefix(core)?;
    let spoken = format!("{about}{}", figure.spoken());
    if suffix.is_empty() {
        if let Some(reading) =
            counted(look, &spoken, figure.is_one()).or_else(|| mixed(look, &spoken))
        {
            return Some(reading);
        }
        return Some(Reading::of(
            1,
            year(look, figure).map_or(spoken, |it| format!("{about}{it}")),
        ));
    }
    let n = figure
        .plain()
        .or(figure.integer().filter(|_| figure.fraction().is_none()));
    let said = match (suffix, n) {
        ("st" | "nd" | "rd" | "th", Some(n)) => Some(format!("{about}{}", numbers::ordinal(n))),
        ("s" | "'s", Some(n)) if n % 10 == 0 && (20..100).contains(&n) => {
            Some(numbers::plural(&numbers::cardinal(n)))
        }
        ("s" | "'s", Some(n)) if n % 10 == 0 && (1000..2100).contains(&n) => {
            Some(numbers::plural(&numbers::year(n)))
        }
        ("'s", Some(_)) => Some(format!("{spoken}'s")),
        ("-year-old" | "-years-old", Some(_)) => Some(format!("{spoken}{suffix}")),
        _ => unit(suffix, figure.is_one(), false).map(|it| format!("{spoken} {it}")),
    };
    let stop = takes_stop(suffix) && look.word(0)?.tail().starts_with('.');
    said.map(|it| Reading {
        stop: FullStop::MayEnd.when(stop),
        ..Reading::of(1, it)
    })
}

/// `5` in "5 km", "5 million", "5 million km".
fn counted(look: &Look<'_>, spoken: &str, one: bool) -> Option<Reading> {
    let next = look.joined(1)?;
    if let Some(scale) = scale(next.core()) {
        let spoken = format!("{spoken} {scale}");
        return Some(named(look, &spoken, 2, false).unwrap_or_else(|| Reading::of(2, spoken)));
    }
    named(look, spoken, 1, one)
}

fn named(look: &Look<'_>, spoken: &str, at: usize, one: bool) -> Option<Reading> {
    let sign = look.joined(at)?;
    let name = unit(sign.core(), one, true)?;
    let stop = takes_stop(sign.core()) && sign.tail().starts_with('.');
    Some(Reading {
        stop: FullStop::MayEnd.when(stop),
        ..Reading::of(at + 1, format!("{spoken} {name}"))
    })
}

/// `2` in "2 1/2".
fn mixed(look: &Look<'_>, spoken: &str) -> Option<Reading> {
    let part = look
        .joined_core(1)
        .filter(|it| it.contains('/') || !it.is_ascii())
        .and_then(fraction)?;
    Some(Reading::of(2, format!("{spoken} and {part}")))
}

/// Four digits without a comma: a year where the words say so, or where most such numbers are years.
fn year(look: &Look<'_>, figure: Figure<'_>) -> Option<String> {
    let n = figure.plain()?;
    let is_year = (1900..2100).contains(&n)
        || ((1000..2100).contains(&n) && dates::announces_year(look.previous));
    is_year.then(|| numbers::year(n))
}
