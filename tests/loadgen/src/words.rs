//! How many words a transcript got wrong, without regard to case and punctuation.

/// The words of a text as they are compared.
pub(crate) fn words(text: &str) -> Vec<String> {
    text.split_whitespace()
        .map(|word| {
            word.chars()
                .filter(|letter| letter.is_alphanumeric() || *letter == '\'')
                .flat_map(char::to_lowercase)
                .collect::<String>()
        })
        .filter(|word| !word.is_empty())
        .collect()
}

/// Substitutions, insertions and deletions that turn `reference` into `heard`.
pub(crate) fn errors(reference: &[String], heard: &[String]) -> usize {
    let mut row: Vec<usize> = (0..=heard.len()).collect();
    for (said_idx, said) in reference.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = said_idx + 1;
        for (heard_idx, word) in heard.iter().enumerate() {
            let substituted = diagonal + usize::from(word != said);
            diagonal = row[heard_idx + 1];
            row[heard_idx + 1] = substituted.min(row[heard_idx] + 1).min(diagonal + 1);
        }
    }
    row[heard.len()]
}

/// Whether every word of `stable` stands at the same place in `whole`.
pub(crate) fn is_prefix(stable: &str, whole: &str) -> bool {
    words(whole).starts_with(&words(stable))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(reference: &str, heard: &str) -> usize {
        errors(&words(reference), &words(heard))
    }

    #[test]
    fn case_and_punctuation_do_not_count() {
        assert_eq!(
            check("Don't forget, the sugar!", "don't forget the Sugar."),
            0
        );
    }

    #[test]
    fn each_kind_of_error_counts_once() {
        assert_eq!(check("one two three", "one too three"), 1);
        assert_eq!(check("one two three", "one three"), 1);
        assert_eq!(check("one two three", "one two and three"), 1);
        assert_eq!(check("", "one two"), 2);
        assert_eq!(check("one two", ""), 2);
        assert_eq!(check("a b c d", "x a b c"), 2);
    }

    #[test]
    fn a_prefix_is_of_whole_words() {
        assert!(is_prefix("Turn on the", "turn on, the light"));
        assert!(is_prefix("", "anything"));
        assert!(!is_prefix("turn on the lig", "turn on the light"));
        assert!(!is_prefix("turn on the light", "turn on the"));
    }
}
