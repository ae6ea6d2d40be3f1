//! Promise: a text is spoken in the form that was asked for, while it is being made, and for nobody who has left.

use std::time::{Duration, Instant};

use asr::models::scripted::Script as HearingScript;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use e2e::http::{Answer, client, get, post, upload};
use e2e::listening::assert_same;
use e2e::{Asr, Tts, run};
use serde_json::{Value, json};
use tts::models::scripted::Script;

const TEXT: &str = "Hello there, how are you today? I am very well, thank you.";

async fn synthesize(tts: &Tts, body: &Value) -> Answer {
    post(
        &tts.url("/v1/synthesize"),
        "application/json",
        body.to_string(),
    )
    .await
}

async fn speech(tts: &Tts, body: &Value) -> Answer {
    post(
        &tts.url("/v1/audio/speech"),
        "application/json",
        body.to_string(),
    )
    .await
}

/// Samples of signed 16 bits.
fn s16(bytes: &[u8]) -> Vec<i16> {
    bytes
        .chunks_exact(2)
        .map(|it| i16::from_le_bytes([it[0], it[1]]))
        .collect()
}

/// How loud, of full scale.
fn rms(samples: &[i16]) -> f64 {
    let power: f64 = samples.iter().map(|it| f64::from(*it).powi(2)).sum();
    (power / samples.len().max(1) as f64).sqrt() / 32_768.0
}

/// A recogniser that reads files and hears a word in every quarter of a second.
fn reader() -> Asr {
    Asr::scripted(HearingScript::default(), |_| {})
}

/// What another program reads of a file: its length in seconds and its rate.
async fn read(reader: &Asr, file: &[u8], fields: &[(&str, &str)]) -> (f64, u64) {
    let answer = upload(&reader.url("/v1/detect"), file, fields).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let told = answer.json();
    assert_eq!(told["speech"], true, "{told}");
    (
        told["duration"].as_f64().unwrap(),
        told["sample_rate"].as_u64().unwrap(),
    )
}

#[test]
fn every_format_is_read_back_with_its_rate_and_its_length() {
    let tts = Tts::shared();
    let reader = reader();
    run(async {
        let pcm = synthesize(tts, &json!({"text": TEXT, "format": "pcm"})).await;
        assert_eq!(pcm.status, 200, "{}", pcm.text());
        let seconds = pcm.body.len() as f64 / 48_000.0;
        assert!((2.0..8.0).contains(&seconds), "{seconds} s");
        assert!(0.02 < rms(&s16(&pcm.body)), "it is hardly audible");
        let cases: [(&str, u64, &str, f64); 14] = [
            ("wav", 24_000, "audio/wav", 0.001),
            ("wav", 8_000, "audio/wav", 0.001),
            ("wav", 11_025, "audio/wav", 0.001),
            ("wav", 48_000, "audio/wav", 0.001),
            ("flac", 24_000, "audio/flac", 0.001),
            ("flac", 44_100, "audio/flac", 0.001),
            ("mp3", 24_000, "audio/mpeg", 0.12),
            ("mp3", 44_100, "audio/mpeg", 0.12),
            ("mp3", 8_000, "audio/mpeg", 0.25),
            ("opus", 24_000, "audio/ogg", 0.07),
            ("opus", 48_000, "audio/ogg", 0.07),
            ("opus", 16_000, "audio/ogg", 0.07),
            ("ulaw", 8_000, "audio/basic", 0.001),
            ("alaw", 8_000, "audio/x-alaw-basic", 0.001),
        ];
        for (format, rate, kind, tolerance) in cases {
            let asked = json!({"text": TEXT, "format": format, "sample_rate": rate});
            let answer = synthesize(tts, &asked).await;
            assert_eq!(answer.status, 200, "{format}: {}", answer.text());
            assert_eq!(answer.header("content-type"), Some(kind));
            let told = answer.header("x-sample-rate").unwrap().to_owned();
            assert_eq!(told, rate.to_string());
            let encoding = match format {
                "ulaw" => vec![("encoding", "mulaw"), ("sample_rate", told.as_str())],
                "alaw" => vec![("encoding", "alaw"), ("sample_rate", told.as_str())],
                _ => vec![],
            };
            let (length, read_rate) = read(&reader, &answer.body, &encoding).await;
            assert!(
                (length - seconds).abs() < tolerance,
                "{format} at {rate}: {length} s of {seconds} s"
            );
            // Opus is always decoded at 48 kHz.
            let expected = if format == "opus" { 48_000 } else { rate };
            assert_eq!(read_rate, expected, "{format}");
        }
    });
}

#[test]
fn base64_and_whole_files_have_their_length() {
    let tts = Tts::shared();
    run(async {
        let asked =
            json!({"text": TEXT, "return_format": "base64", "voice": "en_female", "seed": 7});
        let told = synthesize(tts, &asked).await.json();
        let file = STANDARD.decode(told["audio"].as_str().unwrap()).unwrap();
        let samples = told["samples"].as_u64().unwrap();
        assert_eq!(file.len() as u64, 44 + 2 * samples);
        assert_eq!(told["sample_rate"], 24_000);
        assert_eq!(
            (told["voice_id"].as_str(), told["seed"].as_u64()),
            (Some("en_female"), Some(7))
        );
        assert!((told["duration"].as_f64().unwrap() - samples as f64 / 24_000.0).abs() < 0.001);

        let whole = synthesize(tts, &json!({"text": TEXT, "streaming": false})).await;
        assert_eq!(
            whole.header("content-length"),
            Some(file.len().to_string().as_str())
        );
        assert_eq!(whole.body[..44], file[..44], "the same header");
        // A header that says how long the file is.
        let length = u32::from_le_bytes(whole.body[40..44].try_into().unwrap());
        assert_eq!(u64::from(length), 2 * samples);

        let streamed = synthesize(tts, &json!({"text": TEXT})).await;
        assert_eq!(streamed.header("content-length"), None);
        assert_eq!(streamed.body.len(), whole.body.len());

        // Also where an encoder takes it in pieces.
        let asked = |streaming: bool| json!({"text": TEXT, "speed": 0.5, "sample_rate": 48_000, "seed": 7, "streaming": streaming});
        let whole = synthesize(tts, &asked(false)).await;
        let streamed = synthesize(tts, &asked(true)).await;
        assert_eq!(
            whole.header("content-length"),
            Some(streamed.body.len().to_string().as_str())
        );
        let length = u32::from_le_bytes(whole.body[40..44].try_into().unwrap());
        assert_eq!(length as usize, whole.body.len() - 44);
    });
}

#[test]
fn speed_changes_the_length_and_not_the_pitch() {
    let tts = Tts::shared();
    // One sentence: a pause between two is as long at every speed.
    let text = "Hello there, I am very well today, thank you.";
    run(async {
        let at = async |speed: f64| {
            let asked = json!({"text": text, "format": "pcm", "speed": speed});
            s16(&synthesize(tts, &asked).await.body)
        };
        let plain = at(1.0).await;
        for speed in [0.5, 2.0] {
            let changed = at(speed).await;
            let ratio = plain.len() as f64 / changed.len() as f64;
            assert!((ratio / speed - 1.0).abs() < 0.05, "{speed}: {ratio}");
            let crossings = |it: &[i16]| {
                it.windows(2)
                    .filter(|pair| (pair[0] < 0) != (pair[1] < 0))
                    .count() as f64
                    / it.len() as f64
            };
            let pitch = crossings(&changed) / crossings(&plain);
            assert!((0.8..1.25).contains(&pitch), "{speed}: {pitch}");
        }
    });
}

#[test]
fn the_same_request_gets_the_same_speech_and_another_seed_another() {
    let tts = Tts::shared();
    run(async {
        let at = async |seed: u64| {
            let asked = json!({"text": TEXT, "format": "pcm", "temperature": 0.9, "seed": seed, "streaming": false});
            synthesize(tts, &asked).await.body
        };
        let (first, again, other) = (at(1).await, at(1).await, at(2).await);
        assert_eq!(first, again);
        assert_ne!(first, other);
    });
}

#[test]
fn sentences_are_parted_by_the_silence_that_is_set() {
    run(async {
        let mut lengths = Vec::new();
        for pause_ms in [0, 1_000] {
            let tts = Tts::scripted(Script::default(), |raw| {
                raw.text.sentence_pause_ms = pause_ms;
            });
            let text = "This is one sentence of the text. This is another sentence of it. And this is the third one of all.";
            let answer = synthesize(&tts, &json!({"text": text, "format": "pcm"})).await;
            lengths.push(s16(&answer.body).len());
        }
        assert_eq!(lengths[1] - lengths[0], 2 * 24_000, "{lengths:?}");
    });
}

#[test]
fn the_first_bytes_come_long_before_the_last() {
    // Slow enough that the whole takes much longer than a busy machine keeps the first bytes waiting.
    let script = Script {
        step_delay: Duration::from_millis(50),
        ..Script::default()
    };
    let tts = Tts::scripted(script, |_| {});
    run(async {
        for (path, asked) in [
            ("/v1/synthesize", json!({"text": TEXT})),
            ("/v1/synthesize", json!({"text": TEXT, "format": "mp3"})),
            (
                "/v1/synthesize",
                json!({"text": TEXT, "format": "opus", "sample_rate": 16_000}),
            ),
            (
                "/v1/audio/speech",
                json!({"input": TEXT, "stream_format": "sse"}),
            ),
        ] {
            let began = Instant::now();
            let request = client()
                .post(tts.url(path))
                .header("content-type", "application/json")
                .body(asked.to_string());
            let mut answer = request.send().await.unwrap();
            let first = answer.chunk().await.unwrap().unwrap();
            let to_first = began.elapsed();
            assert!(!first.is_empty());
            let mut n_pieces = 1;
            while answer.chunk().await.unwrap().is_some() {
                n_pieces += 1;
            }
            let to_last = began.elapsed();
            assert!(
                to_first * 2 < to_last,
                "{path} {asked}: {to_first:?} of {to_last:?}"
            );
            assert!(3 <= n_pieces, "{path} {asked}: {n_pieces} pieces");
        }
        let total = tts
            .metric("tts_first_chunk_seconds_count{edge=\"rest\"}")
            .await;
        assert!((total - 4.0).abs() < f64::EPSILON, "{total}");
    });
}

#[test]
fn openai_s_clients_are_answered_in_their_words() {
    let tts = Tts::shared();
    run(async {
        for voice in [
            "alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx",
            "sage", "shimmer", "verse",
        ] {
            let asked = json!({"model": "tts-1", "input": "Hello there.", "voice": voice, "instructions": "softly"});
            let answer = speech(tts, &asked).await;
            assert_eq!(answer.status, 200, "{voice}: {}", answer.text());
            assert_eq!(answer.header("content-type"), Some("audio/mpeg"));
        }
        let pcm = json!({"model": "gpt-4o-mini-tts", "input": TEXT, "voice": {"id": "default"}, "response_format": "pcm"});
        let plain = speech(tts, &pcm).await;
        let native = synthesize(
            tts,
            &json!({"text": TEXT, "format": "pcm", "encoding": "pcm_s16le"}),
        )
        .await;
        assert_same(&s16(&plain.body), &s16(&native.body), "asked natively");

        let mut asked = pcm.clone();
        asked["encoding"] = "pcm_f32le".into();
        let floats = speech(tts, &asked).await;
        assert_eq!(floats.body.len(), 2 * plain.body.len());
        asked["streaming"] = false.into();
        let whole = speech(tts, &asked).await;
        assert_eq!(whole.body.len(), floats.body.len());
        let length = floats.body.len().to_string();
        assert_eq!(whole.header("content-length"), Some(length.as_str()));

        let mut asked = pcm.clone();
        asked["stream_format"] = "sse".into();
        let events = speech(tts, &asked).await;
        assert!(
            events
                .header("content-type")
                .unwrap()
                .starts_with("text/event-stream")
        );
        let events = events.events();
        let (done, deltas) = events.split_last().unwrap();
        let mut bytes = Vec::new();
        for delta in deltas {
            assert_eq!(delta["type"], "speech.audio.delta");
            bytes.extend(STANDARD.decode(delta["audio"].as_str().unwrap()).unwrap());
        }
        assert_same(&s16(&bytes), &s16(&plain.body), "in events");
        assert!(2 <= deltas.len());
        assert_eq!(done["type"], "speech.audio.done");
        let usage = &done["usage"];
        let tokens = usage["output_tokens"].as_u64().unwrap();
        // The silence between sentences is nobody's token.
        assert!(
            (tokens * 960).abs_diff(bytes.len() as u64 / 2) <= 24_000,
            "{usage}"
        );
        assert_eq!(
            usage["total_tokens"].as_u64().unwrap(),
            tokens + usage["input_tokens"].as_u64().unwrap()
        );
    });
}

#[test]
fn openai_s_clients_are_refused_in_their_words() {
    let tts = Tts::shared();
    run(async {
        for (asked, status, code, param) in [
            (json!({"voice": "alloy"}), 422, "invalid_parameter", "input"),
            (
                json!({"input": " ", "voice": "alloy"}),
                422,
                "invalid_parameter",
                "input",
            ),
            (
                json!({"input": "a", "model": "gpt-9"}),
                404,
                "model_not_found",
                "model",
            ),
            (
                json!({"input": "a", "voice": "nobody"}),
                404,
                "unknown_voice",
                "voice",
            ),
            (
                json!({"input": "a", "response_format": "aac"}),
                422,
                "invalid_parameter",
                "response_format",
            ),
            (
                json!({"input": "a", "stream_format": "ws"}),
                422,
                "invalid_parameter",
                "stream_format",
            ),
            (
                json!({"input": "a", "stream_format": "sse", "streaming": false}),
                422,
                "invalid_parameter",
                "streaming",
            ),
            (
                json!({"input": "a", "speed": 5.0}),
                422,
                "invalid_parameter",
                "speed",
            ),
        ] {
            let answer = speech(tts, &asked).await;
            let error = answer.json()["error"].clone();
            assert_eq!(
                (answer.status, &error["code"], &error["param"]),
                (status, &code.into(), &param.into()),
                "{asked}: {error}"
            );
            assert_eq!(error["type"], "invalid_request_error");
            assert!(error.get("recoverable").is_none(), "{error}");
        }
        let model = get(&tts.url("/v1/models/gpt-9")).await;
        assert_eq!(
            (model.status, &model.json()["error"]["code"]),
            (404, &"model_not_found".into())
        );
        let models = get(&tts.url("/v1/models")).await.json();
        let ids: Vec<&str> = models["data"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|it| it["id"].as_str())
            .collect();
        assert!(ids.contains(&"demo") && ids.contains(&"tts-1"), "{ids:?}");
    });
}

#[test]
fn work_for_a_client_that_left_ends() {
    let script = Script {
        step_delay: Duration::from_millis(5),
        ..Script::default()
    };
    let tts = Tts::scripted(script, |_| {});
    // Minutes of work.
    let text = "This is one of very many sentences that nobody will hear. ".repeat(200);
    run(async {
        for after_first_byte in [false, true] {
            let request = client()
                .post(tts.url("/v1/synthesize"))
                .header("content-type", "application/json")
                .body(json!({"text": text}).to_string());
            if after_first_byte {
                let mut answer = request.send().await.unwrap();
                answer.chunk().await.unwrap().unwrap();
                drop(answer);
            } else {
                let gone = tokio::time::timeout(Duration::from_millis(60), request.send()).await;
                assert!(
                    gone.is_err(),
                    "the answer came before the client could leave"
                );
            }
            let began = Instant::now();
            loop {
                let health = get(&tts.url("/health")).await.json();
                if health["connections"] == 0 && health["queue_depth"] == 0 {
                    break;
                }
                assert!(began.elapsed() < Duration::from_secs(20), "{health}");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            // Nobody is stepped any more: what is asked for now has all the steps.
            let free = Instant::now();
            let answer = synthesize(&tts, &json!({"text": "And now for something else."})).await;
            assert_eq!(answer.status, 200);
            assert!(free.elapsed() < Duration::from_secs(20));
        }
        let cancelled = tts
            .metric("tts_utterances_total{edge=\"rest\",outcome=\"cancelled\"}")
            .await;
        assert!((1.0..=2.0).contains(&cancelled), "{cancelled}");
        let complete = tts
            .metric("tts_utterances_total{edge=\"rest\",outcome=\"complete\"}")
            .await;
        assert!((complete - 2.0).abs() < f64::EPSILON, "{complete}");
    });
}

#[test]
fn a_failure_is_a_status_before_the_first_byte_and_a_broken_body_after_it() {
    let tts = Tts::scripted(Script::default(), |raw| {
        // The script of a sentence counts only at its beginning.
        raw.text.min_sentence_chars = 1;
    });
    run(async {
        for words in [
            "Script fail, said the first sentence.",
            "Script panic, said the first sentence.",
        ] {
            let answer = synthesize(&tts, &json!({"text": words})).await;
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (500, "SYNTHESIS_FAILED"),
                "{words}"
            );
            assert_eq!(answer.json()["error"]["recoverable"], true);
        }
        let later = format!("{TEXT} Script fail, said the last sentence.");
        let request = client()
            .post(tts.url("/v1/synthesize"))
            .header("content-type", "application/json")
            .body(json!({"text": later}).to_string());
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert!(
            answer.bytes().await.is_err(),
            "a body that was cut looks complete"
        );

        let events = speech(&tts, &json!({"input": later, "stream_format": "sse"}))
            .await
            .events();
        let last = events.last().unwrap();
        assert_eq!(
            (&last["type"], &last["error"]["code"]),
            (&"error".into(), &"synthesis_failed".into())
        );

        let answer = synthesize(&tts, &json!({"text": TEXT})).await;
        assert_eq!(answer.status, 200, "others are served");
        let failed = tts
            .metric("tts_utterances_total{edge=\"rest\",outcome=\"failed\"}")
            .await;
        assert!((failed - 4.0).abs() < f64::EPSILON, "{failed}");
    });
}

#[test]
fn forms_and_older_names_are_understood() {
    let tts = Tts::shared();
    run(async {
        let older = json!({"text": "Hello, how can I help you today?", "voice": "en_female", "return_format": "wav"});
        let answer = post(
            &tts.url("/synthesize"),
            "application/json",
            older.to_string(),
        )
        .await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, Some("audio/wav"))
        );
        // As curl sends it without being told what it is.
        let form = "application/x-www-form-urlencoded";
        let answer = post(&tts.url("/v1/synthesize"), form, older.to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let answer = post(
            &tts.url("/v1/synthesize"),
            form,
            "text=Hello+there&voice=jenny&format=pcm",
        )
        .await;
        assert_eq!(
            (answer.status, answer.header("x-voice-id")),
            (200, Some("jenny"))
        );
        // What telephones take.
        for format in ["ulaw", "mulaw", "alaw"] {
            let answer = synthesize(tts, &json!({"text": "Hello there.", "format": format})).await;
            assert_eq!(answer.header("x-sample-rate"), Some("8000"), "{format}");
        }
    });
}

#[test]
fn twenty_at_a_time_get_what_one_alone_gets() {
    let tts = Tts::shared();
    run(async {
        let asked = |n: usize| json!({"text": format!("This is customer number {n}. {TEXT}"), "format": "pcm"});
        let mut alone = Vec::new();
        for n in 0..20 {
            alone.push(synthesize(tts, &asked(n)).await.body);
        }
        let bodies: Vec<Value> = (0..20).map(asked).collect();
        let together =
            futures_util::future::join_all(bodies.iter().map(|it| synthesize(tts, it))).await;
        for (n, (alone, together)) in alone.iter().zip(&together).enumerate() {
            assert_eq!(alone.len(), together.body.len(), "customer {n}");
        }
    });
}

#[test]
fn a_full_server_and_a_busy_model_refuse_with_a_time_to_come_back() {
    let script = Script {
        step_delay: Duration::from_millis(20),
        ..Script::default()
    };
    let tts = Tts::scripted(script, |raw| {
        raw.server.max_connections = 2;
    });
    run(async {
        let long = json!({"text": TEXT.repeat(4)}).to_string();
        let mut open = Vec::new();
        for _ in 0..2 {
            let request = client().post(tts.url("/v1/synthesize")).body(long.clone());
            open.push(request.send().await.unwrap());
        }
        let refused = synthesize(&tts, &json!({"text": "me too"})).await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (503, "AT_CAPACITY")
        );
        assert!(refused.header("retry-after").is_some());
        drop(open);
    });
    let tts = Tts::scripted(script, |raw| {
        raw.model.max_batch = 1;
        raw.model.max_wait_ms = 100;
    });
    run(async {
        let long = json!({"text": TEXT.repeat(4)}).to_string();
        let ask = || client().post(tts.url("/v1/synthesize")).body(long.clone());
        let first = ask().send().await.unwrap();
        // One more is let in and waits, which the next is told of.
        let waits = tokio::spawn(ask().send());
        let refused = loop {
            let asked = json!({"text": "me too", "format": "pcm"});
            let answer = synthesize(&tts, &asked);
            match tokio::time::timeout(Duration::from_millis(300), answer).await {
                Ok(answer) if answer.status == 503 => break answer,
                Ok(answer) => assert_eq!(answer.status, 200, "{}", answer.text()),
                Err(_is_let_in) => {}
            }
        };
        assert_eq!(refused.code(), "OVERLOADED");
        assert!(refused.header("retry-after").is_some());
        waits.abort();
        drop(first);
    });
}
