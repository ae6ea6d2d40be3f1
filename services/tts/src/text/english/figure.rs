//! A number as it is written in English, and how it is said.

use crate::text::numbers::english as numbers;

/// `-1,234.50`: a sign, digits in groups of three or without groups, a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Figure<'a> {
    negative: bool,
    whole: &'a str,
    fraction: Option<&'a str>,
}

impl<'a> Figure<'a> {
    /// The figure that `text` begins with, and what follows it.
    pub(super) fn prefix(text: &'a str) -> Option<(Self, &'a str)> {
        let (negative, rest) = text
            .strip_prefix(['-', '–'])
            .map_or((false, text), |rest| (true, rest));
        let whole = whole_part(rest);
        let after = &rest[whole.len()..];
        let fraction = after
            .strip_prefix('.')
            .map(leading_digits)
            .filter(|it| !it.is_empty());
        if whole.is_empty() && fraction.is_none() {
            return None;
        }
        let after = fraction.map_or(after, |it| &after[it.len() + 1..]);
        Some((
            Self {
                negative,
                whole,
                fraction,
            },
            after,
        ))
    }

    /// All of `text`, if it is one figure.
    pub(super) fn whole(text: &'a str) -> Option<Self> {
        Self::prefix(text)
            .filter(|it| it.1.is_empty())
            .map(|it| it.0)
    }

    /// The value of a figure without sign, groups, fraction and leading zeros.
    pub(super) fn plain(&self) -> Option<u64> {
        let is_plain = !self.negative
            && self.fraction.is_none()
            && !self.whole.contains(',')
            && !self.has_leading_zero();
        self.integer().filter(|_| is_plain)
    }

    /// The whole part, up to 18 digits of it.
    pub(super) fn integer(&self) -> Option<u64> {
        let digits: String = self.whole.chars().filter(char::is_ascii_digit).collect();
        if digits.len() > 18 {
            None
        } else {
            digits.parse().ok()
        }
    }

    pub(super) fn fraction(&self) -> Option<&'a str> {
        self.fraction
    }

    pub(super) fn is_negative(&self) -> bool {
        self.negative
    }

    /// Exactly `1`: what it counts is in the singular.
    pub(super) fn is_one(&self) -> bool {
        self.whole == "1" && self.fraction.is_none()
    }

    fn has_leading_zero(&self) -> bool {
        self.whole.len() > 1 && self.whole.starts_with('0')
    }

    pub(super) fn spoken(&self) -> String {
        let sign = if self.negative { "minus " } else { "" };
        let whole = match self.integer() {
            // More than 18 digits, or something like a code: digit by digit.
            _ if self.has_leading_zero() => numbers::digits(self.whole),
            None if !self.whole.is_empty() => numbers::digits(self.whole),
            None => "zero".to_owned(),
            Some(n) => numbers::cardinal(n),
        };
        let fraction = self
            .fraction
            .map(|it| format!(" point {}", numbers::digits(it)))
            .unwrap_or_default();
        format!("{sign}{whole}{fraction}")
    }
}

pub(super) fn leading_digits(text: &str) -> &str {
    let end = text
        .find(|it: char| !it.is_ascii_digit())
        .unwrap_or(text.len());
    &text[..end]
}

pub(super) fn all_digits(text: &str) -> bool {
    !text.is_empty() && leading_digits(text).len() == text.len()
}

/// `1,234,567` as far as its groups are whole, else the digits before the first comma.
fn whole_part(text: &str) -> &str {
    let first = leading_digits(text);
    if first.is_empty() || first.len() > 3 {
        return first;
    }
    let mut end = first.len();
    while let Some(group) = text[end..]
        .strip_prefix(',')
        .map(leading_digits)
        .filter(|it| it.len() == 3)
    {
        end += group.len() + 1;
    }
    &text[..end]
}
