//! When a sentence has run away, and is cut.
//!
//! A model that misses its stop hums on or repeats itself. Nothing is forbidden to it for that; the sentence ends.
//!
//! Invariants:
//! - Pure; what is held or repeated for a good reason, a pause or the text's own repetition, is not cut.

/// The longest pattern that counts as a loop: 64 tokens are 2.6 s.
const MAX_PERIOD: usize = 64;
/// The shortest loop: 1.3 s.
const MIN_LOOP: usize = 32;
/// A pattern must come so many times again.
const MIN_REPEATS: usize = 2;
/// One sound that is held this long, 3 s, is no pause and no vowel of speech.
const MAX_HELD: usize = 75;
/// Patterns this short are a held sound.
const HELD_PERIOD: usize = 2;

/// Speech tokens in a second.
const TOKENS_PER_SECOND: usize = 25;
/// Slow speech has this many letters in a second, and some seconds of silence around it.
const SLOW_LETTERS_PER_SECOND: usize = 8;
const SLACK_SECONDS: usize = 3;
/// Usual speech.
const USUAL_LETTERS_PER_SECOND: usize = 14;

/// Whether a sentence may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Go,
    /// It has as many tokens as it may have.
    Full,
    /// It repeats itself.
    Loops,
}

/// Watches over the tokens of one sentence.
#[derive(Clone, Debug)]
pub struct Guard {
    tokens: Vec<u32>,
    /// For each period less one, how many tokens in a row are what they were a period earlier.
    same: [usize; MAX_PERIOD],
    max_tokens: usize,
    /// The text should be spoken by then.
    usual_tokens: usize,
}

impl Guard {
    /// For a text that weighs so many letters, with a limit of its own.
    pub fn new(n_letters: usize, max_tokens: usize) -> Guard {
        let slow = TOKENS_PER_SECOND * (n_letters / SLOW_LETTERS_PER_SECOND + SLACK_SECONDS);
        Guard {
            tokens: Vec::new(),
            same: [0; MAX_PERIOD],
            max_tokens: max_tokens.min(slow).max(1),
            usual_tokens: TOKENS_PER_SECOND * n_letters / USUAL_LETTERS_PER_SECOND,
        }
    }

    /// Takes in a token.
    pub fn heard(&mut self, token: u32) -> Verdict {
        for (same, period) in self.same.iter_mut().zip(1..) {
            let earlier = self
                .tokens
                .len()
                .checked_sub(period)
                .map(|idx| self.tokens[idx]);
            *same = if earlier == Some(token) { *same + 1 } else { 0 };
        }
        self.tokens.push(token);
        if self.loops() {
            return Verdict::Loops;
        }
        if self.max_tokens <= self.tokens.len() {
            return Verdict::Full;
        }
        Verdict::Go
    }

    pub fn n_tokens(&self) -> usize {
        self.tokens.len()
    }

    fn loops(&self) -> bool {
        let shortest = self
            .same
            .iter()
            .zip(1..)
            .find(|(same, period)| MIN_LOOP.max(MIN_REPEATS * period) <= **same);
        // What is held satisfies every longer period too, so the shortest decides what it is.
        match shortest {
            Some((same, period)) if period <= HELD_PERIOD => MAX_HELD <= *same,
            // Before the text can be spoken, it may be the text that repeats itself.
            Some(_) => self.usual_tokens <= self.tokens.len(),
            None => false,
        }
    }
}

/// How many letters a text counts as. A character of the scripts that write syllables or words takes the time of about three.
pub fn n_letters(text: &str) -> usize {
    text.chars()
        .map(|it| match it {
            '\u{2e80}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}' => 3,
            _ => 1,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At which token the guard ends it, and why.
    fn end(mut guard: Guard, tokens: impl IntoIterator<Item = u32>) -> Option<(usize, Verdict)> {
        tokens.into_iter().zip(1..).find_map(|(token, n)| {
            let verdict = guard.heard(token);
            (verdict != Verdict::Go).then_some((n, verdict))
        })
    }

    #[test]
    fn a_pause_or_a_held_vowel_goes_on_and_a_hum_ends() {
        let guard = || Guard::new(100, 1000);
        assert_eq!(end(guard(), (0..40).chain([7; 60]).chain(100..130)), None);
        assert_eq!(
            end(guard(), (100..110).chain([7; 500])),
            Some((10 + 1 + MAX_HELD, Verdict::Loops))
        );
        let flutter = [7, 8].into_iter().cycle().take(500);
        assert_eq!(end(guard(), flutter), Some((2 + MAX_HELD, Verdict::Loops)));
    }

    #[test]
    fn a_loop_is_cut_as_soon_as_the_text_can_be_spoken() {
        for period in [3u32, 11, 16, 40, 64] {
            let pattern = (0..period).cycle();
            let n = usize::try_from(period).unwrap();
            let expected = n + MIN_LOOP.max(MIN_REPEATS * n);
            assert_eq!(
                end(Guard::new(10, 1000), pattern.take(1000)),
                Some((
                    expected.min(100),
                    if expected <= 100 {
                        Verdict::Loops
                    } else {
                        Verdict::Full
                    }
                )),
                "{period}"
            );
        }
        let too_long = (0..65).cycle().take(1000);
        assert_eq!(
            end(Guard::new(400, 900), too_long),
            Some((900, Verdict::Full))
        );
    }

    #[test]
    fn a_text_that_repeats_itself_is_spoken_to_its_end() {
        // "no no no ..." of 210 letters: 375 tokens at the usual pace.
        let guard = Guard::new(210, 1000);
        let spoken = (0..8).cycle().take(370);
        assert_eq!(end(guard.clone(), spoken), None);
        assert_eq!(end(guard, (0..8).cycle()), Some((375, Verdict::Loops)));
    }

    #[test]
    fn the_limit_grows_with_the_text() {
        let limit = |n_letters, max| end(Guard::new(n_letters, max), 0..).unwrap();
        assert_eq!(limit(0, 1000), (75, Verdict::Full));
        assert_eq!(limit(80, 1000), (25 * 13, Verdict::Full));
        assert_eq!(limit(800, 1000), (1000, Verdict::Full));
        assert_eq!(limit(80, 0), (1, Verdict::Full));
        assert_eq!(n_letters("안녕 abc"), 2 * 3 + 4);
        assert_eq!(n_letters("漢字かな"), 12);
    }
}
