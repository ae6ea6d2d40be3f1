//! Text frames of a client, and JSON bodies. What is understood is written back as something that is understood alike.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::asr::{ClientMessage, TranscribeRequest};
use wire::tts;

const LONGEST_COMPLAINT: usize = 4_000;

fuzz_target!(|text: &str| {
    match ClientMessage::parse(text) {
        Ok(message) => {
            let written = serde_json::to_string(&message).expect("plain structs can be written");
            assert_eq!(ClientMessage::parse(&written).as_ref(), Ok(&message));
        }
        Err(rejected) => assert!(rejected.to_string().len() < LONGEST_COMPLAINT),
    }
    match tts::ClientMessage::parse(text) {
        Ok(message) => {
            let written = serde_json::to_string(&message).expect("plain structs can be written");
            assert_eq!(tts::ClientMessage::parse(&written).as_ref(), Ok(&message));
        }
        Err(rejected) => assert!(rejected.to_string().len() < LONGEST_COMPLAINT),
    }
    drop(tts::ClientMessage::request_of(text));
    match tts::SynthesizeRequest::from_json(text.as_bytes()) {
        Ok(request) => {
            let written = serde_json::to_vec(&request).expect("plain structs can be written");
            assert_eq!(tts::SynthesizeRequest::from_json(&written), Ok(request));
        }
        Err(rejected) => assert!(rejected.to_string().len() < LONGEST_COMPLAINT),
    }
    if let Err(rejected) = TranscribeRequest::from_json(text.as_bytes()) {
        assert!(rejected.to_string().len() < LONGEST_COMPLAINT);
    }
});
