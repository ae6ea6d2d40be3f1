//! What is wrong with the settings: a list, because an operator should need one restart and not five.

use std::error::Error;
use std::fmt;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::Origin;

/// Everything that is wrong. Shown, it is a line for each.
#[derive(Clone, Debug, Default)]
pub struct Problems(Vec<Problem>);

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key at fault, with dots; empty if the fault is not at a key.
    pub key: String,
    /// What is wrong, with the key in backticks, the limit and the given value.
    pub message: String,
    /// Where the value came from, once known.
    pub origin: Option<Origin>,
}

impl Problems {
    /// Notes a problem. The message names the key in backticks, then the limit, then `Given: ...`.
    pub fn add(&mut self, key: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem {
            key: key.into(),
            message: message.into(),
            origin: None,
        });
    }

    pub(super) fn add_from(&mut self, key: &str, message: String, origin: Origin) {
        self.0.push(Problem {
            key: key.to_owned(),
            message,
            origin: Some(origin),
        });
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The problems, in the order they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    /// A count that must be at least 1; 1 if it is not, so that checking goes on.
    pub fn at_least_one(&mut self, key: &str, given: usize) -> NonZeroUsize {
        NonZeroUsize::new(given).unwrap_or_else(|| {
            self.add(key, format!("`{key}` must be at least 1. Given: {given}"));
            NonZeroUsize::MIN
        })
    }

    /// A number that must lie in a range, both ends included. Not-a-number lies in none.
    pub fn in_range<N>(&mut self, key: &str, given: N, range: RangeInclusive<N>) -> N
    where
        N: PartialOrd + fmt::Display + Copy,
    {
        if !range.contains(&given) {
            let (least, most) = (range.start(), range.end());
            self.add(
                key,
                format!("`{key}` must lie between {least} and {most}. Given: {given}"),
            );
        }
        given
    }

    /// A length of time in milliseconds that must not be zero.
    pub fn some_ms(&mut self, key: &str, given: u64) -> Duration {
        if given == 0 {
            self.add(
                key,
                format!("`{key}` must be at least 1 millisecond. Given: 0"),
            );
        }
        Duration::from_millis(given)
    }

    pub(super) fn set_origins(&mut self, origin: impl Fn(&str) -> Origin) {
        for problem in &mut self.0 {
            if problem.origin.is_none() && !problem.key.is_empty() {
                problem.origin = Some(origin(&problem.key));
            }
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.origin {
            Some(origin) => write!(f, " (from: {origin})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("a problem with the settings:")?,
            n => write!(f, "{n} problems with the settings:")?,
        }
        for problem in &self.0 {
            write!(f, "\n  - {problem}")?;
        }
        Ok(())
    }
}

impl Error for Problems {}
