//! The text fields of OpenAI's form: lines of `name=value`.
#![no_main]

use asr::dialect::openai_rest::Request;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let fields: Vec<_> = text.lines().filter_map(|it| it.split_once('=')).map(owned).collect();
    if let Err(error) = Request::from_fields(&fields) {
        assert!(error.message().len() < 4_000);
    }
});
