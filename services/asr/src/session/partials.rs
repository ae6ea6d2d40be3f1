//! Successive hypotheses in, the words that will not change out (LocalAgreement-2), and when the next one is worth asking for.
//!
//! Invariants:
//! - A word is stable once two successive hypotheses agree on it and on all before it. Stable text never shrinks or changes.
//! - Words are compared without case and punctuation. What is shown keeps the spelling in which a word became stable.

use super::policy::{self, Drafts};

/// A word, or a character of a script without spaces. The units of a text, put together, are the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    text: String,
    /// Lower-case letters and digits only; never empty.
    norm: String,
}

/// Cuts `text` into units.
pub(super) fn units(text: &str) -> Vec<Unit> {
    let mut found: Vec<Unit> = Vec::new();
    // What precedes the first letter of a unit, and marks without any letter.
    let mut loose = String::new();
    let mut open = false;
    for c in text.chars() {
        if c.is_whitespace() {
            loose.push(c);
            open = false;
            continue;
        }
        if !c.is_alphanumeric() {
            match found.last_mut() {
                Some(unit) if open => unit.text.push(c),
                Some(_) | None => loose.push(c),
            }
            continue;
        }
        let unspaced = super::telling::is_unspaced(c);
        match found.last_mut() {
            Some(unit) if open && !unspaced => {
                unit.text.push(c);
                unit.norm.extend(c.to_lowercase());
            }
            Some(_) | None => {
                let mut text = std::mem::take(&mut loose);
                text.push(c);
                found.push(Unit {
                    text,
                    norm: c.to_lowercase().collect(),
                });
            }
        }
        open = !unspaced;
    }
    if let Some(unit) = found.last_mut() {
        unit.text.push_str(&loose);
    }
    found
}

fn concat(units: &[Unit]) -> String {
    units.iter().map(|it| it.text.as_str()).collect()
}

fn n_common(a: &[Unit], b: &[Unit]) -> usize {
    a.iter()
        .zip(b)
        .take_while(|(a, b)| a.norm == b.norm)
        .count()
}

/// What stands after the last letter of `text`.
fn marks(text: &str) -> &str {
    &text[text.trim_end_matches(|c: char| !c.is_alphanumeric()).len()..]
}

/// The hypothesis is at odds with text that the client was promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Contradiction;

/// What the hypotheses of one stretch of audio agree on.
#[derive(Clone, Debug, Default)]
pub(super) struct Agreement {
    stable: Vec<Unit>,
    last: Vec<Unit>,
}

impl Agreement {
    /// Takes a hypothesis of the audio so far. Returns the text to show, which begins with the stable text.
    pub(super) fn observe(&mut self, hypothesis: &str) -> Result<String, Contradiction> {
        let heard = units(hypothesis);
        if n_common(&self.stable, &heard) < self.stable.len() {
            return Err(Contradiction);
        }
        let n_agreed = n_common(&self.last, &heard);
        for idx in self.stable.len()..n_agreed {
            let mut unit = heard[idx].clone();
            unit.text.insert_str(0, self.withheld(&heard));
            if idx + 1 == heard.len() {
                // The full stop after the last word is a guess that the next word would refute.
                let n_marks = marks(&unit.text).len();
                unit.text.truncate(unit.text.len() - n_marks);
            }
            self.stable.push(unit);
        }
        let shown = self.shown_of(&heard);
        self.last = heard;
        Ok(shown)
    }

    /// What the client may have been promised.
    pub(super) fn stable_text(&self) -> String {
        concat(&self.stable)
    }

    /// Whether `text` keeps the promise.
    pub(super) fn holds(&self, text: &str) -> bool {
        n_common(&self.stable, &units(text)) == self.stable.len()
    }

    /// Whether `text` keeps the promise as far as it goes.
    pub(super) fn holds_so_far(&self, text: &str) -> bool {
        let heard = units(text);
        n_common(&self.stable, &heard) == heard.len().min(self.stable.len())
    }

    /// `text` as it may be shown: with its own spelling after the stable text, whether or not it keeps the promise.
    pub(super) fn shown(&self, text: &str) -> String {
        self.shown_of(&units(text))
    }

    fn shown_of(&self, heard: &[Unit]) -> String {
        let rest = heard.get(self.stable.len()..).unwrap_or_default();
        self.stable_text() + self.withheld(heard) + &concat(rest)
    }

    /// The marks after the last stable word that were a guess when it became stable, if it has them in `heard`.
    fn withheld<'a>(&self, heard: &'a [Unit]) -> &'a str {
        let Some(last) = self.stable.len().checked_sub(1) else {
            return "";
        };
        match heard.get(last) {
            Some(unit)
                if unit.norm == self.stable[last].norm
                    && marks(&self.stable[last].text).is_empty() =>
            {
                marks(&unit.text)
            }
            Some(_) | None => "",
        }
    }

    /// `text` in its own spelling if it keeps the promise, and bent to it if not.
    pub(super) fn compose(&self, text: &str) -> String {
        if self.holds(text) {
            text.to_owned()
        } else {
            self.shown(text)
        }
    }

    /// Takes away the beginning, because `text` is what was said in the first part of the audio, for good.
    /// Returns that text as shown and as composed.
    pub(super) fn commit(&mut self, text: &str) -> (String, String) {
        let heard = units(text);
        let n = heard.len().min(self.stable.len());
        let agrees = self.holds_so_far(text);
        let mut rest = self.stable.split_off(n);
        let shown = match rest.first_mut() {
            // Marks that were withheld stand before the next stable word, and belong to the word before it.
            Some(next) if n > 0 => {
                let begins = |c: char| c.is_alphanumeric() || c.is_whitespace();
                let marks: String = next
                    .text
                    .drain(..next.text.find(begins).unwrap_or(0))
                    .collect();
                self.stable_text() + &marks
            }
            Some(_) | None => self.shown_of(&heard),
        };
        self.stable = rest;
        self.last.clear();
        let composed = if agrees {
            text.to_owned()
        } else {
            shown.clone()
        };
        (shown, composed)
    }
}

/// When the next draft is worth its cost.
#[derive(Debug)]
pub(super) struct Cadence {
    interval: u64,
    max_interval: u64,
    min_new_speech: u64,
    /// How long drafts wait on the model: as the edge says, and as seen in this session's own stream.
    wait: u64,
    lag: u64,
    asked_at: u64,
    new_speech: u64,
}

impl Cadence {
    pub(super) fn new(drafts: Drafts) -> Cadence {
        let interval = policy::samples(drafts.interval).max(1);
        Cadence {
            interval,
            max_interval: policy::samples(drafts.max_interval).max(interval),
            min_new_speech: policy::samples(drafts.min_new_speech),
            wait: 0,
            lag: 0,
            asked_at: 0,
            new_speech: 0,
        }
    }

    /// Speech begins, or goes on, at `at`.
    pub(super) fn begin(&mut self, at: u64) {
        self.asked_at = self.asked_at.max(at);
        self.new_speech = 0;
    }

    /// `n_samples` of speech came.
    pub(super) fn heard(&mut self, n_samples: u64) {
        self.new_speech += n_samples;
    }

    pub(super) fn is_due(&self, now: u64) -> bool {
        let interval = self
            .interval
            .max(2 * self.wait)
            .max(self.lag)
            .min(self.max_interval);
        self.min_new_speech <= self.new_speech && interval <= now.saturating_sub(self.asked_at)
    }

    pub(super) fn asked(&mut self, now: u64) {
        self.asked_at = now;
        self.new_speech = 0;
    }

    pub(super) fn answered(&mut self, now: u64) {
        self.lag = now.saturating_sub(self.asked_at);
    }

    pub(super) fn load(&mut self, wait: u64) {
        self.wait = wait;
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    /// Observes each line; prints the stable text, a bar, and the rest of what is shown.
    fn check(hypotheses: &[&str], expected: Expect) {
        let mut agreement = Agreement::default();
        let mut log = String::new();
        for hypothesis in hypotheses {
            match agreement.observe(hypothesis) {
                Ok(shown) => {
                    let stable = agreement.stable_text();
                    log += &format!("{stable}|{}\n", shown.strip_prefix(&stable).unwrap());
                }
                Err(Contradiction) => log += "contradiction\n",
            }
        }
        expected.assert_eq(&log);
    }

    #[test]
    fn two_in_agreement_are_stable() {
        check(
            &[
                " Turn",
                " Turn on.",
                " Turn on the kit",
                " turn on the kitchen light.",
                " Turn on the kitchen light.",
            ],
            expect![[r#"
            | Turn
             Turn| on.
             Turn on| the kit
             Turn on the| kitchen light.
             Turn on the kitchen light|.
        "#]],
        );
    }

    #[test]
    fn a_contradiction_changes_nothing() {
        check(
            &[
                " I see",
                " I see it",
                " Icy it",
                " I see it is",
                " I see it's",
            ],
            expect![[r#"
            | I see
             I see| it
            contradiction
             I see it| is
            contradiction
        "#]],
        );
    }

    #[test]
    fn stable_text_keeps_its_spelling_and_loses_no_marks_inside() {
        check(
            &[
                " Well, I... \"Yes\" - no.",
                " well, I \"yes\" no more",
                " WELL I YES NO MORE",
            ],
            expect![[r#"
            | Well, I... "Yes" - no.
             well, I "yes" no| more
             well, I "yes" no MORE|
        "#]],
        );
    }

    #[test]
    fn scripts_without_spaces_agree_character_by_character() {
        check(
            &["今日は", "今日はいい", "今日はいい天気。"],
            expect![[r#"
            |今日は
            今日は|いい
            今日はいい|天気。
        "#]],
        );
    }

    #[test]
    fn units_put_together_are_the_text() {
        for text in [
            " Hello, world!",
            "...",
            "",
            " - so: 3.5 % (or 4)…",
            "你好, world 再见。",
            "  x  ",
        ] {
            let found = units(text);
            assert!(
                found.is_empty() || concat(&found) == text,
                "{text:?}: {found:?}"
            );
            assert!(
                found.iter().all(|it| !it.norm.is_empty()),
                "{text:?}: {found:?}"
            );
        }
        assert_eq!(units("...").len(), 0);
        assert_eq!(units(" - so: 3.5 % (or 4)…").len(), 4);
    }

    #[test]
    fn a_promise_is_kept_whatever_the_text_says() {
        let mut agreement = Agreement::default();
        agreement.observe(" one two three").unwrap();
        agreement.observe(" one two three four").unwrap();
        assert_eq!(
            agreement.compose(" One, two, three: five."),
            " One, two, three: five."
        );
        assert_eq!(
            agreement.compose(" one too three five"),
            " one two three five"
        );
        assert_eq!(agreement.compose(""), " one two three");
        assert!(agreement.holds_so_far(" One two"));
        assert!(!agreement.holds_so_far(" One too"));
        assert_eq!(
            agreement.commit(" One, two"),
            (" one two".into(), " One, two".into())
        );
        assert_eq!(agreement.stable_text(), " three");
        assert_eq!(
            agreement.commit(" tree house"),
            (" three house".into(), " three house".into())
        );
        assert_eq!(agreement.stable_text(), "");
    }

    #[test]
    fn marks_stay_with_their_word_when_the_text_is_parted() {
        let mut agreement = Agreement::default();
        for hypothesis in [" no,", " no,", " no, oh", " no, oh dear"] {
            agreement.observe(hypothesis).unwrap();
        }
        assert_eq!(agreement.stable_text(), " no, oh");
        assert_eq!(agreement.commit(" no,").0, " no,");
        assert_eq!(agreement.stable_text(), " oh");
    }

    #[test]
    fn a_hypothesis_of_the_whole_does_not_agree_with_one_of_the_rest() {
        let mut agreement = Agreement::default();
        agreement.observe(" no no").unwrap();
        agreement.commit(" no");
        agreement.observe(" no").unwrap();
        assert_eq!(agreement.stable_text(), "");
        agreement.observe(" no").unwrap();
        assert_eq!(agreement.stable_text(), " no");
    }

    #[test]
    fn drafts_follow_the_speech_and_slow_down_under_load() {
        let drafts = policy::Policy::preset(policy::Method::Silero)
            .drafts
            .unwrap();
        let mut cadence = Cadence::new(drafts);
        cadence.begin(1_000);
        cadence.heard(3_999);
        assert!(!cadence.is_due(90_000), "too little new speech");
        cadence.heard(1);
        assert!(!cadence.is_due(1_000 + 4_799));
        assert!(cadence.is_due(1_000 + 4_800));
        cadence.load(8_000);
        assert!(!cadence.is_due(1_000 + 15_999));
        assert!(cadence.is_due(1_000 + 16_000));
        cadence.load(0);
        cadence.asked(20_000);
        cadence.answered(80_000);
        cadence.heard(8_000);
        assert!(!cadence.is_due(20_000 + 23_999));
        assert!(
            cadence.is_due(20_000 + 24_000),
            "never slower than the limit"
        );
    }
}
