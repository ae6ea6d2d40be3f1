//! What is asked, what is in effect, and what is refused.

use chassis::api_error::Classify as _;
use wire::error::ErrorCode;

use super::*;
use crate::recognizer::Window;
use crate::settings::Raw;

fn settings() -> Settings {
    let mut problems = chassis::settings::Problems::default();
    Raw::defaults().check(&mut problems).unwrap()
}

fn served(multilingual: bool) -> Served {
    Served {
        name: "demo".to_owned(),
        aliases: vec!["whisper-1".to_owned()],
        languages: if multilingual {
            vec!["en", "de"]
        } else {
            vec!["en"]
        },
        multilingual,
        translates: multilingual,
        window: Window::Full,
        device: "cpu".to_owned(),
    }
}

fn asked(query: &[(&str, &str)]) -> Result<StreamOptions, AsrError> {
    let asked = StreamConfig::from_pairs(query.iter().copied()).unwrap();
    StreamOptions::new(&asked, &settings(), &served(true))
}

fn refused(query: &[(&str, &str)], code: ErrorCode, part: &str) {
    let error = asked(query).unwrap_err();
    assert_eq!(error.code(), code, "{error}");
    assert!(error.to_string().contains(part), "{error}");
}

#[test]
fn without_a_word_the_settings_hold() {
    let options = asked(&[]).unwrap();
    assert_eq!(options.policy, settings().vad.policy);
    assert_eq!(options.effective.sample_rate, Some(16_000));
    assert_eq!(options.effective.language.as_deref(), Some("auto"));
    assert_eq!(options.recognition.language, None);
    let all = serde_json::to_value(&options.effective).unwrap();
    for key in [
        "encoding",
        "channels",
        "task",
        "model",
        "beam_size",
        "temperature",
        "partials",
        "vad",
        "final_on",
        "start_sample",
    ] {
        assert!(all.get(key).is_some(), "{key} is not told");
    }
}

#[test]
fn what_is_asked_is_in_effect_and_told() {
    let options = asked(&[
        ("encoding", "mulaw"),
        ("sample_rate", "8000"),
        ("language", "German"),
        ("temperature", "0.3"),
        ("vad.type", "silero"),
        ("vad_threshold", "0.7"),
        ("vad.stop_secs", "0.4"),
        ("partials", "false"),
        ("final_on", "vad_stop"),
        ("start_sample", "80000"),
    ])
    .unwrap();
    assert_eq!(
        options.clock,
        Clock {
            rate_hz: 8_000,
            start_sample: 80_000
        }
    );
    assert_eq!(options.policy.method, Method::Silero);
    assert_eq!(options.policy.stop, Duration::from_millis(400));
    assert!((options.policy.start_probability - 0.7).abs() < 1e-6);
    assert!((options.policy.stop_probability - 0.55).abs() < 1e-6);
    assert_eq!(
        (options.policy.drafts, options.policy.final_on),
        (None, session::FinalOn::VadStop)
    );
    assert_eq!(options.recognition.language.as_deref(), Some("de"));
    assert_eq!(options.recognition.temperatures, [0.3, 0.4, 0.6, 0.8, 1.0]);
    let vad = options.effective.vad.unwrap();
    assert_eq!(
        (vad.kind, vad.threshold, vad.stop_secs),
        (Some(VadKind::Silero), Some(0.7), Some(0.4))
    );
}

#[test]
fn another_method_brings_its_own_numbers() {
    let options = asked(&[("vad.type", "energy")]).unwrap();
    assert!((options.policy.start_probability - 0.1).abs() < 1e-6);
    assert_eq!(options.policy.stop, Duration::from_millis(400));
}

#[test]
fn a_limit_that_was_set_for_one_method_does_not_refuse_another() {
    let mut raw = Raw::defaults();
    raw.vad.max_stop_ms = 300;
    let settings = raw
        .check(&mut chassis::settings::Problems::default())
        .unwrap();
    let asked = |query: &[(&str, &str)]| {
        let asked = StreamConfig::from_pairs(query.iter().copied()).unwrap();
        StreamOptions::new(&asked, &settings, &served(true))
    };
    let options = asked(&[("vad.type", "energy")]).unwrap();
    assert_eq!(options.policy.stop, Duration::from_millis(400));
    assert_eq!(options.policy.max_stop, Duration::from_millis(400));
    assert_eq!(options.effective.vad.unwrap().max_stop_secs, Some(0.4));
    // Who says one of them is told of the other.
    for said in [("vad.stop_secs", "0.5"), ("vad.max_stop_secs", "0.3")] {
        let error = asked(&[("vad.type", "energy"), said]).unwrap_err();
        assert!(error.to_string().contains("shorter"), "{error}");
    }
}

#[test]
fn opus_has_a_clock_of_its_own() {
    assert_eq!(
        asked(&[("encoding", "ogg_opus")]).unwrap().rate.hz(),
        48_000
    );
    refused(
        &[("encoding", "ogg_opus"), ("sample_rate", "16000")],
        ErrorCode::InvalidParameter,
        "48000",
    );
}

#[test]
fn what_cannot_be_is_refused_with_its_limits() {
    use ErrorCode::{InvalidParameter, UnknownLanguage, UnknownModel};
    refused(&[("sample_rate", "0")], InvalidParameter, "8000 and 48000");
    refused(&[("sample_rate", "1000000")], InvalidParameter, "1000000");
    refused(&[("channels", "3")], InvalidParameter, "1 or 2");
    refused(&[("beam_size", "0")], InvalidParameter, "`beam_size`");
    refused(&[("temperature", "1.5")], InvalidParameter, "`temperature`");
    refused(&[("vad.stop_secs", "-1")], InvalidParameter, "0.03 and 5");
    refused(
        &[("vad.threshold", "1")],
        InvalidParameter,
        "`vad.threshold`",
    );
    refused(
        &[("vad.stop_secs", "3"), ("vad.max_stop_secs", "1")],
        InvalidParameter,
        "shorter",
    );
    refused(
        &[("partial_interval_ms", "1")],
        InvalidParameter,
        "`partial_interval_ms`",
    );
    refused(
        &[("start_sample", "18446744073709551615")],
        InvalidParameter,
        "`start_sample`",
    );
    refused(&[("language", "klingon")], UnknownLanguage, "`en`");
    refused(&[("model", "large-v3")], UnknownModel, "`large-v3`");
    refused(
        &[("prompt", "x".repeat(9_000).as_str())],
        InvalidParameter,
        "8000 characters",
    );
}

#[test]
fn a_model_of_one_language_is_not_asked_for_another() {
    let config = |language: &str| StreamConfig {
        language: Some(language.to_owned()),
        ..StreamConfig::default()
    };
    let english =
        |language: &str| StreamOptions::new(&config(language), &settings(), &served(false));
    assert_eq!(
        english("auto").unwrap().recognition.language.as_deref(),
        Some("en")
    );
    assert!(english("en-US").is_ok());
    assert_eq!(
        english("de").unwrap_err().code(),
        ErrorCode::UnknownLanguage
    );
    let translate = StreamConfig {
        task: Some(Task::Translate),
        ..StreamConfig::default()
    };
    let error = StreamOptions::new(&translate, &settings(), &served(false)).unwrap_err();
    assert!(error.to_string().contains("translate"), "{error}");
}

#[test]
fn a_model_answers_to_its_aliases() {
    for name in ["demo", "whisper-1"] {
        assert!(asked(&[("model", name)]).is_ok(), "{name}");
    }
}
