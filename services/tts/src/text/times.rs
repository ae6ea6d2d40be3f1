//! When each word is heard, as far as that can be told from its length.

use std::ops::Range;
use std::time::Duration;

use super::clean::{Class, class, is_clause_mark, is_terminator};
use super::{Sentence, SpokenWord};

/// The estimated place of a word in the audio of its sentence. No published model says where its words are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WordTime {
    /// As it was written.
    pub text: String,
    /// Bytes of the request's text.
    pub source: Range<usize>,
    /// From the start of the sentence's audio.
    pub start: Duration,
    /// From the start of the sentence's audio; not before `start`.
    pub end: Duration,
}

/// Divides `duration` among the words of a sentence, in proportion to what is to be said of each. The times are estimates.
///
/// ```
/// # use std::time::Duration;
/// # use tts::text::{Dictionary, FrontEnd, Limits, word_times};
/// # let limits = Limits { min_chars: 20, target_chars: 200, max_chars: 280, max_text_chars: 1000 };
/// let sentences = FrontEnd::new(limits, Dictionary::default()).sentences("It costs $5.", "en").unwrap();
/// let times = word_times(&sentences[0], Duration::from_secs(2));
/// assert_eq!(times[2].text, "$5.");
/// assert_eq!(times[2].end, Duration::from_secs(2));
/// ```
pub fn word_times(sentence: &Sentence, duration: Duration) -> Vec<WordTime> {
    let weights: Vec<(u32, u32)> = sentence
        .words
        .iter()
        .map(|it| weigh(&sentence.spoken, it))
        .collect();
    // The pause after the last word is not part of the sentence.
    let last_pause = weights.last().map_or(0, |it| it.1);
    let total: u32 = weights.iter().map(|it| it.0 + it.1).sum::<u32>() - last_pause;
    let share =
        |weight: u32| duration.mul_f64(f64::from(weight.min(total)) / f64::from(total.max(1)));
    let mut heard = 0;
    let mut times = Vec::with_capacity(weights.len());
    for (word, (voiced, pause)) in sentence.words.iter().zip(weights) {
        let within =
            word.source.start - sentence.source.start..word.source.end - sentence.source.start;
        let text = sentence
            .text
            .get(within)
            .unwrap_or_default()
            .trim()
            .to_owned();
        times.push(WordTime {
            text,
            source: word.source.clone(),
            start: share(heard),
            end: share(heard + voiced),
        });
        heard += voiced + pause;
    }
    times
}

/// How long a word sounds, and the silence after it, in letters: an ideograph is a syllable, a comma a short breath, a stop a longer one.
fn weigh(spoken: &str, word: &SpokenWord) -> (u32, u32) {
    let mut voiced = 1;
    let mut pause = 0;
    for c in spoken[word.spoken.clone()].chars() {
        if class(c) == Class::Ideograph || ('\u{ac00}'..='\u{d7a3}').contains(&c) {
            voiced += 3;
        } else if c.is_alphanumeric() {
            voiced += 1;
        } else if is_clause_mark(c) {
            pause = 3;
        } else if is_terminator(c) || matches!(c, '.' | '…') {
            pause = 6;
        }
    }
    (voiced, pause)
}
