//! What a client calls its requests.
//!
//! Invariants:
//! - Of the requests under way no two have one name.
//! - What still comes of a text in pieces that has ended is nobody's, until its `end`: it must not begin a new request.
//! - Bounded: of requests that have ended, the last [`REMEMBERED`] names are known.

use std::collections::VecDeque;

use crate::utterance::RequestKey;

/// A client that cancels or flushes something older than so many requests is told that there is no such thing.
const REMEMBERED: usize = 256;
/// Longer names are no names but a mistake.
const MAX_NAME_CHARS: usize = 128;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    UnderWay(RequestKey),
    /// It has ended, and so has its text.
    Ended,
    /// It has ended, and the client may not know yet: more text of it may come.
    Deaf,
    Unknown,
}

/// The names of one connection.
#[derive(Debug, Default)]
pub(super) struct Names {
    under_way: Vec<(String, RequestKey)>,
    /// The names of requests that have ended, and whether more text of them may come.
    ended: VecDeque<(String, bool)>,
    n_made_up: u64,
}

impl Names {
    /// Whether a name can be one.
    ///
    /// # Errors
    /// Says what is wrong.
    pub(super) fn check(name: &str) -> Result<(), String> {
        let n_chars = name.chars().count();
        if (1..=MAX_NAME_CHARS).contains(&n_chars) {
            return Ok(());
        }
        Err(format!(
            "`request_id` must have 1 to {MAX_NAME_CHARS} characters. Given: {n_chars}"
        ))
    }

    pub(super) fn find(&self, name: &str) -> Known {
        if let Some((_, key)) = self.under_way.iter().find(|it| it.0 == name) {
            return Known::UnderWay(*key);
        }
        // The latest of a name counts.
        match self.ended.iter().rev().find(|it| it.0 == name) {
            Some((_, true)) => Known::Deaf,
            Some((_, false)) => Known::Ended,
            None => Known::Unknown,
        }
    }

    /// What the client calls a request that is under way.
    pub(super) fn name(&self, key: RequestKey) -> &str {
        let found = self.under_way.iter().find(|it| it.1 == key);
        found.map_or("", |it| it.0.as_str())
    }

    /// A name that is not in use.
    pub(super) fn make_up(&mut self) -> String {
        loop {
            self.n_made_up += 1;
            let name = format!("r{}", self.n_made_up);
            if self.find(&name) == Known::Unknown {
                return name;
            }
        }
    }

    pub(super) fn begin(&mut self, name: String, key: RequestKey) {
        self.under_way.push((name, key));
    }

    /// A request has ended.
    pub(super) fn end(&mut self, key: RequestKey, may_get_text: bool) {
        let Some(at) = self.under_way.iter().position(|it| it.1 == key) else {
            return;
        };
        let (name, _) = self.under_way.swap_remove(at);
        self.remember(name, may_get_text);
    }

    /// The last text of a request that had ended before has come.
    pub(super) fn text_ended(&mut self, name: &str) {
        if let Some(found) = self.ended.iter_mut().rev().find(|it| it.0 == name) {
            found.1 = false;
        }
    }

    /// More text may come of a request that had no chance to begin.
    pub(super) fn expect_text(&mut self, name: &str) {
        if let Some(found) = self.ended.iter_mut().rev().find(|it| it.0 == name) {
            found.1 = true;
        }
    }

    fn remember(&mut self, name: String, may_get_text: bool) {
        if self.ended.len() == REMEMBERED {
            self.ended.pop_front();
        }
        self.ended.push_back((name, may_get_text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_free_again_when_its_request_has_ended() {
        let mut names = Names::default();
        assert_eq!(names.find("a"), Known::Unknown);
        names.begin("a".into(), RequestKey(1));
        assert_eq!(names.find("a"), Known::UnderWay(RequestKey(1)));
        assert_eq!(names.name(RequestKey(1)), "a");
        names.end(RequestKey(1), false);
        assert_eq!(names.find("a"), Known::Ended);
        names.begin("a".into(), RequestKey(2));
        assert_eq!(names.find("a"), Known::UnderWay(RequestKey(2)));
        names.end(RequestKey(7), false);
        assert_eq!(names.find("a"), Known::UnderWay(RequestKey(2)));
    }

    #[test]
    fn text_of_a_request_that_was_cancelled_is_not_heard_until_its_end() {
        let mut names = Names::default();
        names.begin("a".into(), RequestKey(1));
        names.end(RequestKey(1), true);
        assert_eq!(names.find("a"), Known::Deaf);
        names.text_ended("a");
        assert_eq!(names.find("a"), Known::Ended);
        names.expect_text("a");
        assert_eq!(names.find("a"), Known::Deaf);
    }

    #[test]
    fn of_a_name_that_was_used_twice_the_latest_counts() {
        let mut names = Names::default();
        for (key, may_get_text) in [(1, true), (2, false)] {
            names.begin("a".into(), RequestKey(key));
            names.end(RequestKey(key), may_get_text);
        }
        assert_eq!(names.find("a"), Known::Ended);
    }

    #[test]
    fn names_are_made_up_around_those_that_are_taken() {
        let mut names = Names::default();
        names.begin("r1".into(), RequestKey(1));
        names.begin("r2".into(), RequestKey(2));
        names.end(RequestKey(2), false);
        assert_eq!(names.make_up(), "r3");
        assert_eq!(names.make_up(), "r4");
    }

    #[test]
    fn an_endless_connection_remembers_a_bounded_number() {
        let mut names = Names::default();
        for n in 0..10_000 {
            names.begin(n.to_string(), RequestKey(n));
            names.end(RequestKey(n), true);
        }
        assert_eq!(names.ended.len(), REMEMBERED);
        assert_eq!(names.find("9999"), Known::Deaf);
        assert_eq!(names.find("1"), Known::Unknown);
    }

    #[test]
    fn names_have_a_length() {
        assert!(Names::check("r1").is_ok());
        assert!(Names::check(&"ü".repeat(MAX_NAME_CHARS)).is_ok());
        assert!(Names::check("").is_err());
        let error = Names::check(&"x".repeat(MAX_NAME_CHARS + 1)).unwrap_err();
        assert!(error.contains("129"), "{error}");
    }
}
