//! `--set` arguments, which are read by the same rules as the file: problems are told, nothing panics.
#![no_main]

use asr::Sources;
use asr::settings::Raw;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let sets = text.lines().map(str::to_owned).collect();
    let loaded = Raw::load(&Sources { sets, ..Sources::default() });
    if let Err(problems) = loaded.check(Raw::check) {
        assert!(!problems.is_empty(), "refused, and nobody said why");
    }
});
