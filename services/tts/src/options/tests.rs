//! What is refused and what is in effect.

use chassis::settings::Problems;
use expect_test::expect;

use super::*;
use crate::settings::{Raw, Settings};

fn settings(change: impl FnOnce(&mut Raw)) -> Settings {
    let mut raw = Raw::defaults();
    change(&mut raw);
    let mut problems = Problems::default();
    raw.check(&mut problems)
        .unwrap_or_else(|| panic!("{problems}"))
}

fn served() -> Served {
    Served {
        name: "demo".to_owned(),
        aliases: vec!["tts-1".to_owned()],
        languages: ["en", "pt", "pt-BR"].map(str::to_owned).to_vec(),
        defaults: Defaults {
            sampling: Sampling {
                temperature: 0.8,
                top_p: 0.95,
                top_k: 1_000,
                min_p: 0.05,
                repetition_penalty: 1.2,
                seed: 0,
            },
            exaggeration: 0.5,
            cfg_weight: 0.25,
        },
        supports_cfg: true,
    }
}

fn asked(json: &str) -> SpeechOptions {
    wire::strict::from_str(json).unwrap()
}

fn speech(json: &str) -> Result<Speech, OptionsError> {
    Speech::new(&asked(json), &settings(|_| {}), &served(), 99)
}

#[test]
fn who_asks_for_nothing_gets_the_settings_and_then_the_family_s() {
    let plain = speech("{}").unwrap();
    expect![[r#"{"voice_id":"default","language":"en","model":"demo","streaming":true,"chunk_size":50,"encoding":"pcm_s16le","sample_rate":24000,"exaggeration":0.5,"cfg_weight":0.25,"temperature":0.8,"top_p":0.95,"top_k":1000,"min_p":0.05,"repetition_penalty":1.2,"speed":1.0}"#]]
    .assert_eq(&serde_json::to_string(&plain.effective).unwrap());
    assert_eq!(plain.sampling.seed, 99, "drawn");
    let settings = settings(|raw| {
        raw.speech.temperature = Some(0.0);
        raw.speech.seed = Some(5);
        // As the model knows it, however it is written.
        raw.speech.language = Some("PT-pt".to_owned());
        raw.speech.voice = "jenny".to_owned();
        raw.stream.chunk_size = 20;
    });
    let set = Speech::new(&asked("{}"), &settings, &served(), 99).unwrap();
    assert_eq!((set.sampling.temperature, set.sampling.seed), (0.0, 5));
    assert_eq!((set.language.as_str(), set.voice.as_str()), ("pt", "jenny"));
    assert_eq!((set.chunk_tokens, set.effective.seed), (20, Some(5)));
}

#[test]
fn what_is_asked_for_is_in_effect() {
    let all = r#"{"voice_id":"ann","language":"pt-BR","model":"tts-1","streaming":false,"chunk_size":10,"encoding":"alaw","sample_rate":8000,"exaggeration":1.5,"cfg_weight":0.0,"temperature":0.0,"top_p":0.5,"top_k":7,"min_p":0.0,"repetition_penalty":2.0,"seed":18446744073709551615,"speed":0.5}"#;
    let made = speech(all).unwrap();
    // By its own name, whatever it was called.
    let told = all.replace("tts-1", "demo");
    assert_eq!(serde_json::to_string(&made.effective).unwrap(), told);
    assert_eq!(made.sampling.top_k, 7);
    assert_eq!(made.sampling.seed, u64::MAX);
    assert_eq!(made.encoding, Pcm::Alaw);
    assert_eq!(made.wire_encoding(), Encoding::Alaw);
    assert_eq!((made.chunk_tokens, made.streaming), (10, false));
}

#[expect(clippy::too_many_lines, reason = "one table")]
#[test]
fn every_limit_is_told_with_what_was_given() {
    let cases: [(&str, ErrorCode, &str, &str); 21] = [
        (
            r#"{"sample_rate":7999}"#,
            ErrorCode::InvalidParameter,
            "sample_rate",
            "8000 and 48000. Given: 7999",
        ),
        (
            r#"{"sample_rate":48001}"#,
            ErrorCode::InvalidParameter,
            "sample_rate",
            "48000",
        ),
        (
            r#"{"chunk_size":0}"#,
            ErrorCode::InvalidParameter,
            "chunk_size",
            "1 and 1000. Given: 0",
        ),
        (
            r#"{"chunk_size":1001}"#,
            ErrorCode::InvalidParameter,
            "chunk_size",
            "1000",
        ),
        (
            r#"{"exaggeration":-0.1}"#,
            ErrorCode::InvalidParameter,
            "exaggeration",
            "0 and 2. Given: -0.1",
        ),
        (
            r#"{"exaggeration":2.1}"#,
            ErrorCode::InvalidParameter,
            "exaggeration",
            "2.1",
        ),
        (
            r#"{"cfg_weight":1.1}"#,
            ErrorCode::InvalidParameter,
            "cfg_weight",
            "0 and 1",
        ),
        (
            r#"{"temperature":-1}"#,
            ErrorCode::InvalidParameter,
            "temperature",
            "0 and 2",
        ),
        (
            r#"{"temperature":2.5}"#,
            ErrorCode::InvalidParameter,
            "temperature",
            "2.5",
        ),
        (
            r#"{"top_p":0}"#,
            ErrorCode::InvalidParameter,
            "top_p",
            "0.01 and 1",
        ),
        (
            r#"{"top_p":1.5}"#,
            ErrorCode::InvalidParameter,
            "top_p",
            "1.5",
        ),
        (
            r#"{"top_k":10001}"#,
            ErrorCode::InvalidParameter,
            "top_k",
            "10000",
        ),
        (
            r#"{"min_p":1.5}"#,
            ErrorCode::InvalidParameter,
            "min_p",
            "0 and 1",
        ),
        (
            r#"{"repetition_penalty":0.9}"#,
            ErrorCode::InvalidParameter,
            "repetition_penalty",
            "1 and 10",
        ),
        (
            r#"{"speed":0.2}"#,
            ErrorCode::InvalidParameter,
            "speed",
            "0.25 and 4",
        ),
        (
            r#"{"speed":4.1}"#,
            ErrorCode::InvalidParameter,
            "speed",
            "4.1",
        ),
        (
            r#"{"model":"tts-9"}"#,
            ErrorCode::UnknownModel,
            "model",
            "`tts-9`",
        ),
        (r#"{"model":""}"#, ErrorCode::UnknownModel, "model", "demo"),
        (
            r#"{"language":"xx"}"#,
            ErrorCode::UnknownLanguage,
            "language",
            "`pt-BR`",
        ),
        (
            r#"{"language":"-"}"#,
            ErrorCode::UnknownLanguage,
            "language",
            "`en`",
        ),
        (
            r#"{"language":"english"}"#,
            ErrorCode::UnknownLanguage,
            "language",
            "english",
        ),
    ];
    for (json, code, param, part) in cases {
        let error = speech(json).unwrap_err();
        assert_eq!((error.code(), error.param()), (code, Some(param)), "{json}");
        assert!(error.to_string().contains(part), "{json}: {error}");
    }
}

#[test]
fn the_edges_of_the_ranges_are_in_them() {
    for json in [
        r#"{"sample_rate":8000,"chunk_size":1,"exaggeration":0,"cfg_weight":0,"temperature":0,"top_p":0.01,"top_k":0,"min_p":0,"repetition_penalty":1,"speed":0.25}"#,
        r#"{"sample_rate":48000,"chunk_size":1000,"exaggeration":2,"cfg_weight":1,"temperature":2,"top_p":1,"top_k":10000,"min_p":1,"repetition_penalty":10,"speed":4}"#,
    ] {
        assert_eq!(speech(json).map(drop), Ok(()), "{json}");
    }
}

#[test]
fn a_language_is_found_by_its_code_or_the_part_before_the_region() {
    let served = served();
    for (given, code) in [
        ("en", "en"),
        ("EN", "en"),
        ("en-US", "en"),
        ("en_GB", "en"),
        ("pt-br", "pt-BR"),
        ("pt-PT", "pt"),
    ] {
        assert_eq!(served.language(given), Ok(code), "{given}");
    }
    let long = "x".repeat(10_000);
    assert!(served.language(&long).unwrap_err().to_string().len() < 300);
}

#[test]
fn cfg_weight_is_told_only_where_it_has_an_effect() {
    let served = Served {
        supports_cfg: false,
        ..served()
    };
    let made = Speech::new(&asked("{}"), &settings(|_| {}), &served, 0).unwrap();
    assert_eq!(made.effective.cfg_weight, None);
}
