mod cutting;
mod properties;
mod words;

use super::*;

pub(super) fn limits() -> Limits {
    Limits {
        min_chars: 20,
        target_chars: 120,
        max_chars: 200,
        max_text_chars: 2_000_000,
    }
}

pub(super) fn front() -> FrontEnd {
    FrontEnd::new(limits(), Dictionary::default()).with_tags(["laugh", "clear throat"])
}
