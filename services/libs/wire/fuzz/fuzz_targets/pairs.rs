//! Keys and values of query strings and forms: lines of `key=value`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::asr::{StreamConfig, TranscribeRequest};
use wire::tts::{SpeechOptions, SynthesizeRequest};

fuzz_target!(|text: &str| {
    let pairs = || text.lines().filter_map(|it| it.split_once('='));
    if let Ok(config) = StreamConfig::from_pairs(pairs()) {
        // What was asked wins over itself unchanged.
        assert_eq!(config.clone().over(config.clone()), config);
    }
    drop(TranscribeRequest::from_pairs(pairs()));
    if let Ok(options) = SpeechOptions::from_pairs(pairs()) {
        assert_eq!(options.clone().over(options.clone()), options);
    }
    drop(SynthesizeRequest::from_pairs(pairs()));
});
