//! What went wrong in a run, counted.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

/// How many examples of a broken promise are kept.
const MAX_EXAMPLES: usize = 10;

#[derive(Debug, Default, Serialize)]
pub(crate) struct Trouble {
    pub(crate) refused: BTreeMap<String, usize>,
    pub(crate) lost: BTreeMap<String, usize>,
    pub(crate) errors: BTreeMap<String, u64>,
    pub(crate) n_violations: usize,
    pub(crate) violations: Vec<String>,
}

/// What one session has to complain of.
#[derive(Debug, Default)]
pub(crate) struct Complaints {
    /// Why the server would not have it.
    pub(crate) refused: Option<String>,
    /// Why connections ended that should not have.
    pub(crate) lost: Vec<String>,
    pub(crate) errors: BTreeMap<String, u64>,
    /// Promises of the protocol that were broken, with the evidence.
    pub(crate) violations: Vec<String>,
}

impl Complaints {
    pub(crate) fn violation(&mut self, found: impl Into<String>) {
        self.violations.push(found.into());
    }

    /// An `error` message.
    pub(crate) fn error(&mut self, code: &str, message: &str, recoverable: bool) {
        let fatal = if recoverable { "" } else { " (fatal)" };
        *self
            .errors
            .entry(format!("{code}{fatal}: {message}"))
            .or_default() += 1;
    }
}

impl Trouble {
    pub(crate) fn is_none(&self) -> bool {
        self.refused.is_empty()
            && self.lost.is_empty()
            && self.errors.is_empty()
            && self.n_violations == 0
    }

    pub(crate) fn add(&mut self, of: &Complaints) {
        if let Some(refusal) = &of.refused {
            *self.refused.entry(refusal.clone()).or_default() += 1;
        }
        for why in &of.lost {
            *self.lost.entry(why.clone()).or_default() += 1;
        }
        for (error, n) in &of.errors {
            *self.errors.entry(error.clone()).or_default() += n;
        }
        self.n_violations += of.violations.len();
        let room = MAX_EXAMPLES.saturating_sub(self.violations.len());
        self.violations
            .extend(of.violations.iter().take(room).cloned());
    }

    /// For people: a line for each kind.
    pub(crate) fn lines(&self) -> String {
        let mut lines = String::new();
        let mut add = |what: &str, found: &str, n: u64| {
            // Writing to a string cannot fail.
            let _written = writeln!(lines, "  {what:<20} {n} × {found}");
        };
        for (why, n) in &self.refused {
            add("REFUSED", why, *n as u64);
        }
        for (why, n) in &self.lost {
            add("LOST", why, *n as u64);
        }
        for (error, n) in &self.errors {
            add("ERROR", error, *n);
        }
        for violation in &self.violations {
            add("BROKEN PROMISE", violation, 1);
        }
        if self.n_violations > self.violations.len() {
            let more = (self.n_violations - self.violations.len()) as u64;
            add("BROKEN PROMISE", "more like these", more);
        }
        lines
    }
}
