//! What OpenAI's clients send and expect.

use expect_test::expect;
use proptest::prelude::*;

use super::*;
use crate::dialect::tests::{segment, transcript, word};

fn read(fields: &[(&str, &str)]) -> Result<Request, ApiError> {
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Request::from_fields(&fields)
}

fn refused(fields: &[(&str, &str)], code: ErrorCode, param: &str, part: &str) {
    let error = read(fields).unwrap_err();
    assert_eq!(error.code(), code, "{error}");
    assert_eq!(error.body().error.param.as_deref(), Some(param), "{error}");
    assert!(error.message().contains(part), "{error}");
}

#[test]
fn every_field_is_obeyed() {
    let request = read(&[
        ("model", "whisper-1"),
        ("language", "en"),
        ("prompt", "Names: Ada."),
        ("response_format", "verbose_json"),
        ("temperature", "0.2"),
        ("timestamp_granularities[]", "word"),
        ("timestamp_granularities[]", "segment"),
        ("keywords[]", "Zürich"),
        ("keywords[]", "Basel"),
        ("chunking_strategy", "auto"),
        ("stream", "True"),
    ])
    .unwrap();
    assert_eq!(
        request,
        Request {
            model: Some("whisper-1".into()),
            language: Some("en".into()),
            prompt: Some("Names: Ada.".into()),
            hotwords: Some("Zürich, Basel".into()),
            format: Format::VerboseJson,
            temperature: Some(0.2),
            words: true,
            stream: true,
            vad: None,
            beam_size: None,
        }
    );
}

#[test]
fn what_cannot_be_done_is_refused_by_name() {
    use ErrorCode::{InvalidParameter, UnknownField};
    refused(
        &[("response_format", "diarized_json")],
        InvalidParameter,
        "response_format",
        "speakers",
    );
    refused(
        &[("response_format", "xml")],
        InvalidParameter,
        "response_format",
        "`vtt`",
    );
    refused(
        &[("include[]", "logprobs")],
        InvalidParameter,
        "include",
        "probabilities",
    );
    refused(
        &[("known_speaker_names[]", "Ada")],
        InvalidParameter,
        "known_speaker_names",
        "speakers",
    );
    refused(
        &[("temperature", "warm")],
        InvalidParameter,
        "temperature",
        "number",
    );
    refused(
        &[("stream", "perhaps")],
        InvalidParameter,
        "stream",
        "`true`",
    );
    refused(
        &[("timestamp_granularities[]", "char")],
        InvalidParameter,
        "timestamp_granularities",
        "`word`",
    );
    refused(
        &[("langauge", "en")],
        UnknownField,
        "langauge",
        "`langauge`",
    );
    refused(
        &[("language", "en"), ("languages[]", "de")],
        InvalidParameter,
        "languages",
        "beside",
    );
}

#[test]
fn answers_read_as_openai_s_do() {
    let transcript = transcript();
    expect![[r#"{"text":"Turn on the light. Now.","usage":{"type":"duration","seconds":4}}"#]]
        .assert_eq(&serde_json::to_string(&json(&transcript)).unwrap());
    expect![[r#"{"task":"transcribe","language":"english","duration":3.25,"text":"Turn on the light. Now.","segments":[{"id":0,"seek":0,"start":0.0,"end":1.5,"text":" Turn on the light.","tokens":[50364,440],"temperature":0.0,"avg_logprob":-0.28,"compression_ratio":1.2,"no_speech_prob":0.01},{"id":1,"seek":0,"start":2.0,"end":2.5,"text":" Now.","tokens":[50364,440],"temperature":0.0,"avg_logprob":-0.28,"compression_ratio":1.2,"no_speech_prob":0.01}],"usage":{"type":"duration","seconds":4}}"#]]
        .assert_eq(&serde_json::to_string(&verbose(&transcript, Kind::Transcription, false)).unwrap());
    let mut spoken = transcript;
    spoken.segments.truncate(1);
    spoken.segments[0].words = Some(vec![word(" Turn", 0.0, 0.3)]);
    let verbose = serde_json::to_value(verbose(&spoken, Kind::Translation, true)).unwrap();
    assert_eq!(
        verbose["words"],
        serde_json::json!([{"word": "Turn", "start": 0.0, "end": 0.3}])
    );
    assert_eq!(
        (verbose["task"].as_str(), verbose["language"].as_str()),
        (Some("translate"), Some("english"))
    );
}

#[test]
fn a_stream_is_deltas_then_done() {
    let mut deltas = Deltas::default();
    let events: Vec<String> = [
        segment(0.0, 1.0, " I see "),
        segment(1.0, 1.1, "  "),
        segment(1.1, 2.0, " skies."),
    ]
    .iter()
    .filter_map(|it| deltas.push(it))
    .map(|it| serde_json::to_string(&it).unwrap())
    .collect();
    expect![[r#"
        {"type":"transcript.text.delta","delta":"I see"}
        {"type":"transcript.text.delta","delta":"    skies."}"#]]
    .assert_eq(&events.join("\n"));
    expect![[r#"{"type":"transcript.text.done","text":"I see    skies.","usage":{"type":"tokens","input_tokens":100,"input_token_details":{"text_tokens":0,"audio_tokens":100},"output_tokens":6,"total_tokens":106}}"#]]
        .assert_eq(&serde_json::to_string(&deltas.done(2.0)).unwrap());
}

proptest! {
    #[test]
    fn deltas_add_up_to_done(texts in proptest::collection::vec("[ a-zä\\n]{0,12}", 0..8)) {
        let mut deltas = Deltas::default();
        let mut sum = String::new();
        for text in &texts {
            if let Some(Event::Delta { delta }) = deltas.push(&segment(0.0, 1.0, text)) {
                prop_assert!(!delta.is_empty());
                sum.push_str(&delta);
            }
        }
        let Event::Done { text, .. } = deltas.done(1.0) else { panic!("not done") };
        prop_assert_eq!(&text, &sum);
        let whole = texts.concat();
        prop_assert_eq!(text, whole.trim());
    }
}
