//! `POST /v1/transcribe` and its relatives: every form of request, file and answer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use e2e::http::{Answer, get, post, upload};
use e2e::speech::{self, READ_WELL};
use e2e::{Asr, encode, run};
use serde_json::{Value, json};

const PATH: &str = "/v1/transcribe";

fn container(name: &str) -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/containers")
        .join(name);
    std::fs::read(path).unwrap()
}

/// What of an answer does not depend on the company that its windows had in their calls: all but the last digits.
fn heard(answer: &Value) -> Value {
    let segment = |it: &Value| json!([it["id"], it["start"], it["end"], it["text"]]);
    let segments: Vec<Value> = answer["segments"]
        .as_array()
        .unwrap()
        .iter()
        .map(segment)
        .collect();
    json!([
        answer["text"],
        segments,
        answer["language"],
        answer["duration"]
    ])
}

#[track_caller]
fn ok(answer: Answer) -> Answer {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer
}

async fn text_of(asr: &Asr, file: &[u8]) -> String {
    let answer = upload(&asr.url(PATH), file, &[]).await;
    ok(answer).json()["text"].as_str().unwrap().to_owned()
}

#[test]
fn each_response_format_has_its_shape() {
    let asr = Asr::shared();
    let (name, text) = READ_WELL[0];
    let file = speech::file(name);
    run(async {
        let ask = async |format: &str| {
            ok(upload(&asr.url(PATH), &file, &[("response_format", format)]).await)
        };

        let json = ask("json").await;
        assert_eq!(json.header("content-type"), Some("application/json"));
        let json = json.json();
        assert_eq!(json["text"], text);
        assert_eq!(json["language"], "en");
        let duration = json["duration"].as_f64().unwrap();
        assert!(
            (duration - speech::samples(name).len() as f64 / 16_000.0).abs() < 0.01,
            "{json}"
        );
        let segment = &json["segments"][0];
        assert_eq!(segment["id"], 1);
        assert!(segment.get("words").is_none(), "not asked for: {segment}");
        for key in [
            "start",
            "end",
            "text",
            "avg_logprob",
            "no_speech_prob",
            "compression_ratio",
        ] {
            assert!(segment.get(key).is_some(), "{key}: {segment}");
        }

        let verbose = ask("verbose_json").await.json();
        let words = verbose["segments"][0]["words"].as_array().unwrap();
        let joined: Vec<&str> = words
            .iter()
            .map(|it| it["word"].as_str().unwrap())
            .collect();
        assert_eq!(joined.join(" "), text);
        let mut at = 0.0;
        for word in words {
            let (start, end) = (
                word["start"].as_f64().unwrap(),
                word["end"].as_f64().unwrap(),
            );
            assert!(
                at <= start && start <= end && end <= duration + 0.1,
                "{words:?}"
            );
            at = start;
        }

        let plain = ask("text").await;
        assert_eq!(
            plain.header("content-type"),
            Some("text/plain; charset=utf-8")
        );
        assert_eq!(plain.text(), format!("{text}\n"));

        let srt = ask("srt").await.text();
        let mut lines = srt.lines();
        assert_eq!(lines.next(), Some("1"));
        assert!(
            lines
                .next()
                .is_some_and(|it| it.starts_with("00:00:0") && it.contains(" --> 00:00:0")),
            "{srt}"
        );
        assert_eq!(lines.next(), Some(text));

        let vtt = ask("vtt").await;
        assert_eq!(vtt.header("content-type"), Some("text/vtt; charset=utf-8"));
        assert!(
            vtt.text().starts_with("WEBVTT\n\n") && vtt.text().contains(text),
            "{}",
            vtt.text()
        );
    });
}

#[test]
fn the_same_file_as_form_json_and_body_gives_the_same_answer() {
    let asr = Asr::shared();
    let (name, text) = READ_WELL[2];
    let file = speech::file(name);
    run(async {
        let url = asr.url(PATH);
        let form = ok(upload(&url, &file, &[]).await).json();
        assert_eq!(form["text"], text);
        let alias = ok(upload(&asr.url("/transcribe"), &file, &[("language", "en")]).await).json();
        assert_eq!(
            heard(&alias),
            heard(&form),
            "the other name of the same address"
        );
        let base64 = json!({"audio": STANDARD.encode(&file)}).to_string();
        assert_eq!(
            heard(&ok(post(&url, "application/json", base64).await).json()),
            heard(&form)
        );
        let data_url =
            json!({"audio": format!("data:audio/wav;base64,{}", STANDARD.encode(&file))})
                .to_string();
        assert_eq!(
            heard(&ok(post(&url, "application/json; charset=utf-8", data_url).await).json()),
            heard(&form)
        );
        assert_eq!(
            heard(&ok(post(&url, "audio/wav", file.clone()).await).json()),
            heard(&form)
        );
        assert_eq!(
            heard(&ok(post(&url, "application/octet-stream", file).await).json()),
            heard(&form)
        );

        // Samples without a container, whose kind has to be declared.
        let samples = speech::samples(name);
        let raw = format!("{url}?encoding=pcm_s16le&sample_rate=16000");
        assert_eq!(
            heard(&ok(post(&raw, "audio/pcm", speech::bytes(&samples)).await).json()),
            heard(&form)
        );
        let both = format!("{url}?encoding=pcm_f32le&sample_rate=16000&channels=2");
        let stereo = encode::floats(&encode::stereo(&samples));
        assert_eq!(
            ok(post(&both, "audio/pcm", stereo).await).json()["text"],
            text
        );
    });
}

#[test]
fn every_container_is_read() {
    let asr = Asr::shared();
    run(async {
        let wanted = text_of(asr, &container("reference.wav")).await;
        assert!(!wanted.is_empty());
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/containers");
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|it| it.unwrap().file_name().into_string().unwrap())
            .filter(|it| !it.ends_with(".s16") && !it.ends_with(".md") && !it.ends_with(".sh"))
            .collect();
        names.sort();
        assert!(25 < names.len(), "{names:?}");
        let (mut wrong, mut n_whole) = (Vec::new(), 0);
        for name in &names {
            let answer = upload(&asr.url(PATH), &container(name), &[]).await;
            let duration = answer.json()["duration"].as_f64().unwrap_or_default();
            // Some hold a part of the piece; encoders put a little silence before and after.
            if answer.status != 200 || !(0.04..1.0).contains(&duration) {
                wrong.push(format!("{name}: {} {}", answer.status, answer.text()));
                continue;
            }
            let text = answer.json()["text"].as_str().unwrap().to_owned();
            // What was lost in compression may cost a word of a model this small, but not the whole.
            let lossless = ["wav", "flac", "aiff", "caf", "alac.m4a"]
                .iter()
                .any(|it| name.ends_with(it));
            let is_whole = 0.75 < duration;
            n_whole += usize::from(is_whole);
            let exact = is_whole
                && lossless
                && !["mulaw", "alaw", "adpcm", "u8"]
                    .iter()
                    .any(|it| name.starts_with(it));
            if exact && text != wanted || is_whole && text.is_empty() {
                wrong.push(format!("{name}: {text:?}, and not {wanted:?}"));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert!(5 < n_whole, "{n_whole}");
    });
}

#[test]
fn a_stream_of_events_says_what_the_whole_answer_says() {
    let asr = Asr::shared();
    let samples: Vec<i16> = READ_WELL
        .iter()
        .flat_map(|(name, _)| [speech::samples(name), speech::silence(1.2)].concat())
        .collect();
    // Longer than a window, so that there is more than one clip.
    let file = speech::wav(&samples.repeat(3), 16_000);
    run(async {
        let whole = ok(upload(&asr.url(PATH), &file, &[]).await).json();
        let streamed = ok(upload(&asr.url(PATH), &file, &[("stream", "true")]).await);
        assert_eq!(
            streamed.header("content-type"),
            Some("text/event-stream; charset=utf-8")
        );
        let events = streamed.events();
        let (last, segments) = events.split_last().unwrap();
        assert_eq!(last["type"], "done");
        assert_eq!(last["text"], whole["text"]);
        assert_eq!(last["duration"], whole["duration"]);
        let of = |it: &Value| it["segment"].clone();
        assert!(1 < segments.len());
        assert!(segments.iter().all(|it| it["type"] == "segment"));
        let mut streamed = last.clone();
        streamed["segments"] = segments.iter().map(of).collect();
        assert_eq!(heard(&streamed), heard(&whole));
        let mut at = 0.0;
        for (idx, segment) in segments.iter().map(of).enumerate() {
            assert_eq!(segment["id"], idx + 1);
            let (start, end) = (
                segment["start"].as_f64().unwrap(),
                segment["end"].as_f64().unwrap(),
            );
            assert!(at <= start + 0.01 && start < end, "{segment} after {at}");
            at = end;
        }
    });
}

#[test]
fn openai_s_own_forms_are_answered_in_its_shapes() {
    let asr = Asr::shared();
    let (name, text) = READ_WELL[3];
    let file = speech::file(name);
    let url = asr.url("/v1/audio/transcriptions");
    run(async {
        let ask = async |fields: &[(&str, &str)]| ok(upload(&url, &file, fields).await);
        let json = ask(&[("model", "whisper-1")]).await.json();
        assert_eq!(json["text"], text);
        assert!(json.get("segments").is_none(), "{json}");
        for (format, kind) in [
            ("text", "text/plain; charset=utf-8"),
            ("srt", "text/plain; charset=utf-8"),
            ("vtt", "text/vtt; charset=utf-8"),
        ] {
            let answer = ask(&[("model", "whisper-1"), ("response_format", format)]).await;
            assert_eq!(answer.header("content-type"), Some(kind), "{format}");
            assert!(answer.text().contains(text), "{format}: {}", answer.text());
        }
        let verbose = ask(&[
            ("model", "demo"),
            ("response_format", "verbose_json"),
            ("timestamp_granularities[]", "word"),
        ])
        .await
        .json();
        assert_eq!(verbose["task"], "transcribe");
        assert_eq!(verbose["language"], "english");
        assert_eq!(verbose["segments"][0]["id"], 0, "OpenAI counts from 0");
        let words: Vec<&str> = verbose["words"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["word"].as_str().unwrap())
            .collect();
        assert_eq!(
            words.join(" ").replace(['.', ','], ""),
            text.replace(['.', ','], "")
        );

        let events = ask(&[("model", "gpt-4o-transcribe"), ("stream", "true")])
            .await
            .events();
        let (last, deltas) = events.split_last().unwrap();
        assert_eq!(
            (&last["type"], &last["text"]),
            (&json!("transcript.text.done"), &json!(text))
        );
        let joined: String = deltas
            .iter()
            .map(|it| {
                assert_eq!(it["type"], "transcript.text.delta");
                it["delta"].as_str().unwrap()
            })
            .collect();
        assert_eq!(joined, text);
    });
}

#[test]
fn openai_s_errors_have_its_shape_and_translation_is_refused_where_it_was_not_learnt() {
    let asr = Asr::shared();
    let file = speech::file(READ_WELL[0].0);
    run(async {
        let translated = upload(
            &asr.url("/v1/audio/translations"),
            &file,
            &[("model", "whisper-1")],
        )
        .await;
        assert_eq!(translated.status, 400, "{}", translated.text());
        assert!(translated.text().contains("translate"));
        let unknown = upload(
            &asr.url("/v1/audio/transcriptions"),
            &file,
            &[("model", "whisper-9")],
        )
        .await;
        assert_eq!(unknown.status, 404, "{}", unknown.text());
        let error = &unknown.json()["error"];
        assert_eq!(error["param"], "model");
        assert!(
            error["message"].as_str().unwrap().contains("demo"),
            "it says what there is: {error}"
        );
    });
}

#[test]
fn detect_finds_the_speech_and_judges_the_end() {
    let asr = Asr::shared();
    let name = READ_WELL[3].0;
    let said = [
        speech::silence(1.0),
        speech::samples(name),
        speech::silence(1.0),
        speech::samples(READ_WELL[0].0),
    ]
    .concat();
    let file = speech::wav(&said, 16_000);
    run(async {
        for path in ["/v1/detect", "/detect"] {
            let found = ok(upload(&asr.url(path), &file, &[]).await).json();
            assert_eq!(found["speech"], true);
            let segments = found["segments"].as_array().unwrap();
            assert!(
                (1.0..2.2).contains(&segments[0]["start"].as_f64().unwrap()),
                "{found}"
            );
            assert!(2 <= segments.len(), "{found}");
            assert!(
                (0.0..=1.0).contains(&found["turn_end_probability"].as_f64().unwrap()),
                "{found}"
            );
            assert_eq!(found["sample_rate"], 16_000);
        }
        let silent = ok(upload(
            &asr.url("/v1/detect"),
            &speech::wav(&speech::silence(2.0), 16_000),
            &[],
        )
        .await)
        .json();
        assert_eq!(
            (&silent["speech"], &silent["segments"]),
            (&json!(false), &json!([]))
        );
        assert!(silent["turn_end_probability"].is_null());
    });
}

#[test]
fn a_file_without_speech_has_an_empty_text_and_is_no_error() {
    let asr = Asr::shared();
    run(async {
        for seconds in [0.02, 3.0, 40.0] {
            let file = speech::wav(&speech::silence(seconds), 16_000);
            let json = ok(upload(&asr.url(PATH), &file, &[]).await).json();
            assert_eq!(
                (&json["text"], &json["segments"]),
                (&json!(""), &json!([])),
                "{seconds}"
            );
        }
    });
}

#[test]
fn options_of_a_request_are_obeyed() {
    let asr = Asr::shared();
    let (name, text) = READ_WELL[1];
    let file = speech::file(name);
    run(async {
        let greedy = [
            ("beam_size", "1"),
            ("temperature", "0"),
            ("vad", "false"),
            ("language", "en"),
            ("timestamps", "true"),
        ];
        let json = ok(upload(&asr.url(PATH), &file, &greedy).await).json();
        assert_eq!(json["text"], text);
        assert!(json["segments"][0]["words"].is_array(), "{json}");
        // Longer than the padding: without VAD the silence is heard too, and times are still the file's.
        let late = speech::wav(
            &[speech::silence(2.0), speech::samples(name)].concat(),
            16_000,
        );
        let json = ok(upload(&asr.url(PATH), &late, &[("vad", "true")]).await).json();
        assert_eq!(json["text"], text);
        assert!(
            (1.5..2.6).contains(&json["segments"][0]["start"].as_f64().unwrap()),
            "{json}"
        );
        let languages = ok(get(&asr.url("/v1/models/demo")).await).json();
        assert_eq!(languages["languages"], json!(["en"]));
    });
}

#[test]
fn the_language_of_a_long_file_is_heard_unless_it_is_given() {
    let model = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/whisper-random");
    let asr = Asr::real(|it| it.model.name = model.to_str().unwrap().to_owned());
    let name = READ_WELL[0].0;
    // Several clips of thirty seconds.
    let once = [speech::samples(name), speech::silence(0.4)].concat();
    let file = speech::wav(&once.repeat(1 + 75 * 16_000 / once.len()), 16_000);
    run(async {
        let vad = ("vad", "true");
        let heard = ok(upload(&asr.url(PATH), &file, &[vad]).await).json();
        let probability = heard["language_probability"].as_f64().unwrap();
        assert!(0.0 < probability && probability < 1.0, "{probability}");
        let language = heard["language"].as_str().unwrap();
        assert!(!language.is_empty());
        let given = [vad, ("language", language)];
        let told = ok(upload(&asr.url(PATH), &file, &given).await).json();
        assert_eq!(told["language_probability"], 1.0);
        assert_eq!(told["text"], heard["text"]);
    });
}
