//! Numbers in words, language by language: whole numbers in the form used for counting.
//!
//! Gender and case of what is counted are not known here, so the plainest form is given: masculine (feminine in Hebrew), nominative.

mod asian;
pub(super) mod english;
mod germanic;
mod others;
mod romance;
mod semitic;
mod slavic;

#[cfg(test)]
mod tests;

use super::language::Language;

/// `n` in words. `None` in a language without rules, and where the rules of a language end: then it is told digit by digit.
pub(super) fn cardinal(language: Language, n: u64) -> Option<String> {
    if n >= limit(language) {
        return None;
    }
    Some(match language {
        Language::Arabic => semitic::arabic(n),
        Language::Danish => germanic::danish(n),
        Language::German => germanic::german(n),
        Language::Greek => others::greek(n),
        Language::English => english::cardinal(n),
        Language::Spanish => romance::spanish(n),
        Language::Finnish => others::finnish(n),
        Language::French => romance::french(n),
        Language::Hebrew => semitic::hebrew(n),
        Language::Hindi => asian::hindi(n),
        Language::Italian => romance::italian(n),
        Language::Japanese => asian::japanese(n),
        Language::Korean => asian::korean(n),
        Language::Malay => others::malay(n),
        Language::Dutch => germanic::dutch(n),
        Language::Norwegian => germanic::norwegian(n),
        Language::Polish => slavic::polish(n),
        Language::Portuguese => romance::portuguese(n),
        Language::Russian => slavic::russian(n),
        Language::Swedish => germanic::swedish(n),
        Language::Swahili => others::swahili(n),
        Language::Turkish => others::turkish(n),
        Language::Chinese => asian::chinese(n),
        Language::Other => return None,
    })
}

/// Numbers are told in words below this. Of the languages with a lower limit we do not know the larger ones well enough.
fn limit(language: Language) -> u64 {
    const QUINTILLION: u64 = 1_000_000_000_000_000_000;
    match language {
        Language::Swahili | Language::Hebrew => 1_000_000,
        Language::Arabic => 1_000_000_000,
        Language::Hindi => 100_000_000_000,
        Language::Other => 0,
        Language::Danish
        | Language::German
        | Language::Greek
        | Language::English
        | Language::Spanish
        | Language::Finnish
        | Language::French => QUINTILLION,
        Language::Italian
        | Language::Japanese
        | Language::Korean
        | Language::Malay
        | Language::Dutch
        | Language::Norwegian => QUINTILLION,
        Language::Polish
        | Language::Portuguese
        | Language::Russian
        | Language::Swedish
        | Language::Turkish
        | Language::Chinese => QUINTILLION,
    }
}

/// The groups of three digits of `n`, the highest first, each with its power of a thousand. Groups of nothing are left out.
fn thousands(n: u64) -> Vec<(u64, usize)> {
    let mut groups = Vec::new();
    let mut rest = n;
    for power in 0.. {
        if rest == 0 {
            break;
        }
        if !rest.is_multiple_of(1000) {
            groups.push((rest % 1000, power));
        }
        rest /= 1000;
    }
    groups.reverse();
    groups
}

/// An entry of a table of words.
fn word(table: &[&'static str], i: u64) -> &'static str {
    usize::try_from(i)
        .ok()
        .and_then(|it| table.get(it))
        .copied()
        .unwrap_or_default()
}

/// `thousand` and above: the words for a group of digits and for what it counts.
fn scaled(
    n: u64,
    below_thousand: impl Fn(u64) -> String,
    scale: impl Fn(u64, usize) -> String,
) -> String {
    let groups = thousands(n).into_iter().map(|(group, power)| {
        if power == 0 {
            below_thousand(group)
        } else {
            scale(group, power)
        }
    });
    groups.collect::<Vec<_>>().join(" ")
}
