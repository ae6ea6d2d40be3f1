//! Words that are written short.

use crate::text::scan::Gap;
use crate::text::stream::{FullStop, Look, Reading};

/// What the full stop after an abbreviation may mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// A name follows: the sentence goes on.
    Title,
    /// The sentence may end here too.
    MayEnd,
    /// Only an abbreviation if a number follows.
    Number,
}

/// As written (without its stop), as said, what its stop means, and whether it is known without the stop.
#[rustfmt::skip]
const TABLE: &[(&str, &str, Stop, bool)] = &[
    ("Mr", "Mister", Stop::Title, true), ("Mrs", "Missus", Stop::Title, true), ("Ms", "Miz", Stop::Title, false), ("Messrs", "Messieurs", Stop::Title, false),
    ("Prof", "Professor", Stop::Title, false), ("Rev", "Reverend", Stop::Title, false), ("Gen", "General", Stop::Title, false), ("Col", "Colonel", Stop::Title, false),
    ("Capt", "Captain", Stop::Title, false), ("Cpt", "Captain", Stop::Title, false), ("Lt", "Lieutenant", Stop::Title, false), ("Maj", "Major", Stop::Title, false), ("Sgt", "Sergeant", Stop::Title, false),
    ("Cmdr", "Commander", Stop::Title, false), ("Adm", "Admiral", Stop::Title, false), ("Sen", "Senator", Stop::Title, false), ("Rep", "Representative", Stop::Title, false),
    ("Gov", "Governor", Stop::Title, false), ("Pres", "President", Stop::Title, false), ("Hon", "Honorable", Stop::Title, false), ("Mt", "Mount", Stop::Title, false), ("Ft", "Fort", Stop::Title, false),
    ("Jr", "Junior", Stop::MayEnd, true), ("Sr", "Senior", Stop::MayEnd, true), ("Esq", "Esquire", Stop::MayEnd, false),
    ("Inc", "Incorporated", Stop::MayEnd, true), ("Ltd", "Limited", Stop::MayEnd, true), ("Corp", "Corporation", Stop::MayEnd, false), ("Co", "Company", Stop::MayEnd, false), ("Bros", "Brothers", Stop::MayEnd, false),
    ("Ave", "Avenue", Stop::MayEnd, false), ("Blvd", "Boulevard", Stop::MayEnd, true), ("Rd", "Road", Stop::MayEnd, false), ("Hwy", "Highway", Stop::MayEnd, false), ("Sq", "Square", Stop::MayEnd, false),
    ("Apt", "Apartment", Stop::MayEnd, false), ("Dept", "Department", Stop::MayEnd, false), ("dept", "department", Stop::MayEnd, false), ("Univ", "University", Stop::MayEnd, false), ("Assn", "Association", Stop::MayEnd, false),
    ("govt", "government", Stop::MayEnd, false), ("Govt", "Government", Stop::MayEnd, false), ("misc", "miscellaneous", Stop::MayEnd, false), ("incl", "including", Stop::Title, false), ("excl", "excluding", Stop::Title, false),
    ("e.g", "for example", Stop::Title, true), ("E.g", "For example", Stop::Title, true), ("eg", "for example", Stop::Title, false), ("i.e", "that is", Stop::Title, true), ("I.e", "That is", Stop::Title, true), ("ie", "that is", Stop::Title, false),
    ("etc", "et cetera", Stop::MayEnd, true), ("vs", "versus", Stop::Title, true), ("approx", "approximately", Stop::Title, false), ("Approx", "Approximately", Stop::Title, false),
    ("cf", "compare", Stop::Title, false), ("ca", "circa", Stop::Title, false), ("viz", "namely", Stop::Title, false), ("al", "al", Stop::MayEnd, false), ("ibid", "ibidem", Stop::MayEnd, false),
    ("tel", "telephone", Stop::Title, false), ("Tel", "Telephone", Stop::Title, false), ("ext", "extension", Stop::Number, false), ("Ext", "Extension", Stop::Number, false),
    ("No", "Number", Stop::Number, false), ("no", "number", Stop::Number, false), ("Nos", "Numbers", Stop::Number, false), ("nos", "numbers", Stop::Number, false), ("№", "number", Stop::Title, true),
    ("pp", "pages", Stop::Number, false), ("p", "page", Stop::Number, false), ("Vol", "Volume", Stop::Number, false), ("vol", "volume", Stop::Number, false), ("Fig", "Figure", Stop::Number, false), ("fig", "figure", Stop::Number, false), ("Figs", "Figures", Stop::Number, false),
    ("Ch", "Chapter", Stop::Number, false), ("ch", "chapter", Stop::Number, false), ("Sec", "Section", Stop::Number, false), ("sec", "section", Stop::Number, false), ("Art", "Article", Stop::Number, false), ("Eq", "Equation", Stop::Number, false), ("eq", "equation", Stop::Number, false), ("v", "versus", Stop::Title, false),
    ("Mon", "Monday", Stop::MayEnd, false), ("Tue", "Tuesday", Stop::MayEnd, false), ("Tues", "Tuesday", Stop::MayEnd, false), ("Wed", "Wednesday", Stop::MayEnd, false), ("Thu", "Thursday", Stop::MayEnd, false), ("Thur", "Thursday", Stop::MayEnd, false), ("Thurs", "Thursday", Stop::MayEnd, false), ("Fri", "Friday", Stop::MayEnd, false),
    ("w/", "with", Stop::Title, true), ("w/o", "without", Stop::Title, true), ("b/c", "because", Stop::Title, true), ("c/o", "care of", Stop::Title, true), ("n/a", "not applicable", Stop::Title, true), ("N/A", "not applicable", Stop::Title, true),
    ("PhD", "P H D", Stop::MayEnd, true), ("Ph.D", "P H D", Stop::MayEnd, true), ("M.Sc", "M S C", Stop::MayEnd, true), ("B.Sc", "B S C", Stop::MayEnd, true), ("BSc", "B S C", Stop::MayEnd, true), ("MSc", "M S C", Stop::MayEnd, true), ("a.k.a", "also known as", Stop::Title, true), ("P.S", "P S", Stop::Title, true),
];

/// An abbreviation with its full stop, initials like `U.S.`, and the two that have two meanings.
pub(super) fn read(look: &Look<'_>) -> Option<Reading> {
    let word = look.word(0)?;
    let (core, stopped) = (
        word.core(),
        word.tail().starts_with('.') && !word.tail().starts_with(".."),
    );
    match core {
        "St" => return stopped.then(|| saint_or_street(look)),
        "Dr" => return doctor_or_drive(look, stopped),
        _ => {}
    }
    if let Some(&(_, spoken, stop, bare)) = TABLE.iter().find(|it| it.0 == core)
        && (stopped || bare)
    {
        return match stop {
            // Nothing can follow but a number: otherwise it is the word "no" or "fig" at the end of a sentence.
            Stop::Number => before_number(look).then(|| Reading {
                stop: FullStop::Taken,
                ..Reading::of(1, spoken)
            }),
            Stop::Title => Some(Reading {
                stop: FullStop::Taken.when(stopped),
                ..Reading::of(1, spoken)
            }),
            Stop::MayEnd => Some(Reading {
                stop: FullStop::MayEnd.when(stopped),
                ..Reading::of(1, spoken)
            }),
        };
    }
    initials(core, stopped)
}

fn before_number(look: &Look<'_>) -> bool {
    look.word(1).is_some_and(|it| {
        it.gap <= Gap::Line && it.core().starts_with(|it: char| it.is_ascii_digit())
    })
}

/// `U.S.`, `B.C.`, `J.R.R.`: letters, each with a stop.
fn initials(core: &str, stopped: bool) -> Option<Reading> {
    let letters: Vec<&str> = core.split('.').collect();
    let single = |it: &&str| it.len() == 1 && it.bytes().all(|it| it.is_ascii_alphabetic());
    if letters.len() < 2 || !letters.iter().all(single) {
        return None;
    }
    let spoken = letters.join(" ").to_ascii_uppercase();
    Some(Reading {
        stop: FullStop::MayEnd.when(stopped),
        ..Reading::of(1, spoken)
    })
}

fn is_capitalised(word: &str) -> bool {
    word.chars().next().is_some_and(char::is_uppercase)
}

/// "St. Paul" is a saint, "Main St." a street: by whether a name stands before it or after it.
fn saint_or_street(look: &Look<'_>) -> Reading {
    let after_name = is_capitalised(look.previous)
        && !matches!(
            look.previous,
            "The" | "In" | "At" | "See" | "Visit" | "From" | "To" | "Near" | "On"
        );
    let before_name = look.next_start(1).is_some_and(char::is_uppercase);
    if before_name && !after_name {
        return Reading {
            stop: FullStop::Taken,
            ..Reading::of(1, "Saint")
        };
    }
    Reading {
        stop: FullStop::MayEnd,
        ..Reading::of(1, "Street")
    }
}

/// "Dr. Who" is a doctor, "Mulholland Dr." a drive.
fn doctor_or_drive(look: &Look<'_>, stopped: bool) -> Option<Reading> {
    let before_name = look.next_start(1).is_some_and(char::is_uppercase);
    if !stopped {
        return before_name.then(|| Reading::of(1, "Doctor"));
    }
    if !before_name && is_capitalised(look.previous) {
        return Some(Reading {
            stop: FullStop::MayEnd,
            ..Reading::of(1, "Drive")
        });
    }
    Some(Reading {
        stop: FullStop::Taken,
        ..Reading::of(1, "Doctor")
    })
}
