//! Whole files. Seed the corpus with `tests/fixtures/containers`.
#![no_main]

use audio::SampleRate;
use audio::container::{Limits, Target, decode};
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits {
    max_seconds: 5,
    max_channels: 8,
    min_rate_hz: 1000,
    max_rate_hz: 192_000,
};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(clip) = decode(bytes, Target::Rate(SampleRate::HZ_16000), &LIMITS) {
        assert!(!clip.samples.is_empty());
        assert!(clip.samples.len() <= 5 * 16_000);
        assert!(
            clip.samples
                .iter()
                .all(|sample| (-1.0..=1.0).contains(sample))
        );
    }
});
