//! Whether a sentence ends with a word.

use super::clean::{is_clause_mark, is_closer, is_terminator};
use super::stream::{FullStop, Look, Reading};

/// What ends with a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ending {
    /// Nothing.
    None,
    /// A clause, at a comma.
    Clause,
    /// A clause that could stand alone: at a colon, a semicolon, a dash.
    Strong,
    /// A sentence.
    Sentence,
}

/// What ends with the words that `reading` took. Looks at what follows only where the word itself does not tell.
pub(super) fn ending(look: &Look<'_>, reading: &Reading) -> Ending {
    let Some(last) = look.word(reading.used - 1) else {
        return Ending::None;
    };
    let tail = last.marks();
    let rest = reading.rest(tail);
    let closed = rest.ends_with(is_closer);
    if rest.contains(is_terminator) {
        // "Stop!" he said.
        let goes_on = closed
            && look
                .next_start(reading.used)
                .is_some_and(char::is_lowercase);
        return if goes_on {
            Ending::Clause
        } else {
            Ending::Sentence
        };
    }
    if rest.contains('…') || rest.contains("..") {
        let goes_on = look
            .next_start(reading.used)
            .is_some_and(char::is_lowercase);
        return if goes_on {
            Ending::Clause
        } else {
            Ending::Sentence
        };
    }
    if rest.contains('.') {
        if reading.stop == FullStop::Abbreviates {
            return Ending::None;
        }
        if is_initial(look, last.core())
            || (closed
                && look
                    .next_start(reading.used)
                    .is_some_and(char::is_lowercase))
        {
            return Ending::None;
        }
        return Ending::Sentence;
    }
    if rest.contains([':', ';', '：', '；', '؛'])
        || last.core().is_empty() && rest.is_empty() && is_dash(tail)
    {
        return Ending::Strong;
    }
    if rest.contains(is_clause_mark) {
        return Ending::Clause;
    }
    if reading.stop == FullStop::MayEnd {
        // "at 5 p.m. He left": the stop of the abbreviation was the stop of the sentence too.
        let starts_anew = look
            .next_start(reading.used)
            .is_none_or(|it| it.is_uppercase() || !it.is_alphanumeric());
        return if starts_anew {
            Ending::Sentence
        } else {
            Ending::None
        };
    }
    Ending::None
}

pub(super) fn is_dash(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|it| matches!(it, '-' | '–' | '—'))
}

/// `J. Smith`, `George W. Bush`: one capital letter after a name or at the start, and a capital follows. Not the `I` of "it was I."
fn is_initial(look: &Look<'_>, core: &str) -> bool {
    let mut characters = core.chars();
    let (Some(letter), None) = (characters.next(), characters.next()) else {
        return false;
    };
    if !letter.is_uppercase() || (letter == 'I' && !look.previous.is_empty()) {
        return false;
    }
    let after_name = look.previous.chars().next().is_none_or(char::is_uppercase);
    after_name && look.next_start(1).is_some_and(char::is_uppercase)
}
