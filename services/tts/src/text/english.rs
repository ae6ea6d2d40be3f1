//! English: every kind of number, abbreviation and sign that is read differently than it is written.

mod abbreviations;
mod dates;
mod figure;
mod numeric;
mod spelling;
mod units;
mod web;

#[cfg(test)]
pub(super) mod tests;

use super::scan::{Gap, Word};
use super::stream::{FullStop, Look, Reading};

/// What the next words are, if they are not said as they are written. The first rule that fits is taken, the narrow ones first.
pub(super) fn read(look: &Look<'_>) -> Option<Reading> {
    let word = look.word(0)?;
    list_number(word)
        .or_else(|| dates::read(look))
        .or_else(|| dates::read_time(look))
        .or_else(|| web::read(word.core()).map(|it| Reading::of(1, it)))
        .or_else(|| numeric::read(look))
        .or_else(|| abbreviations::read(look))
        .or_else(|| spelling::read(look))
}

/// `1.` at the start of a line numbers what follows; no sentence ends there.
fn list_number(word: &Word) -> Option<Reading> {
    let n = word.core().parse::<u64>().ok().filter(|it| *it < 1000)?;
    let numbers =
        word.gap >= Gap::Line && word.lead().is_empty() && matches!(word.tail(), "." | ")");
    let spoken = format!("{},", super::numbers::english::cardinal(n));
    numbers.then(|| Reading {
        stop: FullStop::Taken,
        ..Reading::of(1, spoken)
    })
}
