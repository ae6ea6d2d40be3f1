//! Promise: whatever is sent, the answer is an error with a stable code, or speech; and nothing else is disturbed.

use e2e::http::{Answer, client, form, get, post, send};
use e2e::listening::{Listener, check_promises};
use e2e::speaking::settings;
use e2e::{Tts, run, speech};
use serde_json::json;
use tts::models::scripted::Script;
use wire::tts::ServerMessage;

async fn ask(tts: &Tts, body: impl Into<reqwest::Body>) -> Answer {
    post(&tts.url("/v1/synthesize"), "application/json", body).await
}

#[test]
fn every_bad_text_has_its_code() {
    let tts = Tts::shared();
    run(async {
        let million = "a ".repeat(500_000);
        let cases: [(&str, u16, &str); 9] = [
            ("", 422, "INVALID_PARAMETER"),
            (" \n\t ", 422, "INVALID_PARAMETER"),
            ("\u{200b}\u{feff}\u{202e}", 422, "INVALID_PARAMETER"),
            ("!?.,;:- … ()[]{}", 422, "INVALID_PARAMETER"),
            ("😀🎉👩‍👩‍👧", 422, "INVALID_PARAMETER"),
            ("\0\0\0", 422, "INVALID_PARAMETER"),
            (&million, 413, "TEXT_TOO_LONG"),
            (&"word ".repeat(10_001), 413, "TEXT_TOO_LONG"),
            ("[laugh] <|endoftext|>", 200, ""),
        ];
        for (text, status, code) in cases {
            let answer = ask(tts, json!({"text": text, "format": "ulaw"}).to_string()).await;
            let start: String = text.chars().take(20).collect();
            if status == 200 {
                // What is in brackets may be words or nothing; it is never a control token.
                assert!(
                    matches!(answer.status, 200 | 422),
                    "{start:?}: {}",
                    answer.status
                );
                continue;
            }
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (status, code),
                "{start:?}"
            );
            assert_eq!(answer.json()["error"]["param"], "text", "{start:?}");
        }
        // Over the limit of the body, whatever is in it.
        let answer = ask(tts, vec![b'x'; 1_100_000]).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (413, "PAYLOAD_TOO_LARGE")
        );
    });
}

#[test]
fn odd_texts_are_spoken_as_far_as_they_can_be() {
    let tts = Tts::shared();
    run(async {
        for text in [
            "he\0llo wor\0ld",
            "hello 😀 world 🎉",
            "\u{202e}hello\u{202c} there",
            "שלום hello عليكم السلام",
            "ＦＵＬＬ width and 𝒻𝒶𝓃𝒸𝓎 letters",
            "a",
            "1234567890 12:30 $5.99 50% 3rd",
            "zalgo h̷̢͝e̶͙̾l̸̦̈l̶͙̂o",
            "line one\r\nline two\n\n\nline three",
            "https://example.com/a?b=c user@example.com",
            "WWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWW",
        ] {
            let answer = ask(tts, json!({"text": text, "format": "pcm"}).to_string()).await;
            assert_eq!(answer.status, 200, "{text:?}: {}", answer.text());
            assert!(
                2_000 < answer.body.len(),
                "{text:?}: {} bytes",
                answer.body.len()
            );
        }
    });
}

#[test]
fn every_bad_option_has_its_code() {
    let tts = Tts::shared();
    run(async {
        let cases = [
            (json!({"voice": "nobody"}), 404, "UNKNOWN_VOICE"),
            (
                json!({"voice_id": "../../etc/passwd"}),
                422,
                "INVALID_PARAMETER",
            ),
            (json!({"voice_id": "a/b"}), 422, "INVALID_PARAMETER"),
            (
                json!({"voice_id": "x".repeat(65)}),
                422,
                "INVALID_PARAMETER",
            ),
            (json!({"voice_id": "naïve"}), 422, "INVALID_PARAMETER"),
            (
                json!({"voice_id": "default", "voice": "default"}),
                422,
                "INVALID_PARAMETER",
            ),
            (json!({"language": "tlh"}), 422, "UNKNOWN_LANGUAGE"),
            (json!({"model": "large"}), 404, "UNKNOWN_MODEL"),
            (json!({"format": "aac"}), 422, "INVALID_PARAMETER"),
            (json!({"format": 7}), 422, "INVALID_PARAMETER"),
            (
                json!({"format": "wav", "return_format": "mp3"}),
                422,
                "INVALID_PARAMETER",
            ),
            (json!({"encoding": "pcm_s24le"}), 422, "INVALID_PARAMETER"),
            (json!({"sample_rate": 7_999}), 422, "INVALID_PARAMETER"),
            (json!({"sample_rate": 48_001}), 422, "INVALID_PARAMETER"),
            (json!({"sample_rate": -1}), 422, "INVALID_PARAMETER"),
            (
                json!({"sample_rate": 9_000, "format": "mp3"}),
                422,
                "INVALID_PARAMETER",
            ),
            (
                json!({"sample_rate": 44_100, "format": "opus"}),
                422,
                "INVALID_PARAMETER",
            ),
            (json!({"speed": 0.2}), 422, "INVALID_PARAMETER"),
            (json!({"speed": 4.1}), 422, "INVALID_PARAMETER"),
            (json!({"speed": "fast"}), 422, "INVALID_PARAMETER"),
            (json!({"exaggeration": 2.1}), 422, "INVALID_PARAMETER"),
            (json!({"cfg_weight": -0.1}), 422, "INVALID_PARAMETER"),
            (json!({"temperature": 3.0}), 422, "INVALID_PARAMETER"),
            (json!({"top_p": 0.0}), 422, "INVALID_PARAMETER"),
            (json!({"top_k": 100_000}), 422, "INVALID_PARAMETER"),
            (json!({"min_p": 2.0}), 422, "INVALID_PARAMETER"),
            (json!({"repetition_penalty": 0.5}), 422, "INVALID_PARAMETER"),
            (json!({"chunk_size": 0}), 422, "INVALID_PARAMETER"),
            (json!({"seed": -3}), 422, "INVALID_PARAMETER"),
            (json!({"colour": "red"}), 422, "UNKNOWN_FIELD"),
        ];
        for (options, status, code) in cases {
            let mut asked = options.clone();
            asked["text"] = "Hello there.".into();
            let answer = ask(tts, asked.to_string()).await;
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (status, code),
                "{options}: {}",
                answer.text()
            );
            assert_eq!(answer.json()["error"]["recoverable"], false, "{options}");
        }
        for (body, code) in [
            ("", "INVALID_JSON"),
            ("{", "INVALID_JSON"),
            ("[]", "INVALID_PARAMETER"),
            ("{}", "INVALID_PARAMETER"),
            (r#"{"text":["a"]}"#, "INVALID_PARAMETER"),
            ("\u{feff}{}", "INVALID_JSON"),
            (&"[".repeat(100_000), "INVALID_PARAMETER"),
            (
                &format!("{}{}", r#"{"text":"#, "[".repeat(100_000)),
                "INVALID_JSON",
            ),
        ] {
            let answer = ask(tts, body.to_owned()).await;
            assert!(
                matches!(answer.status, 400 | 422),
                "{body:.20}: {}",
                answer.status
            );
            assert_eq!(answer.code(), code, "{body:.20}");
        }
        let answer = ask(tts, b"{\"text\":\"\xff\xfe\"}".to_vec()).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "INVALID_JSON")
        );
    });
}

#[test]
fn methods_and_addresses_that_are_not_there_say_what_is() {
    let tts = Tts::shared();
    run(async {
        let client = client();
        for (method, path, allow) in [
            ("GET", "/v1/synthesize", "POST"),
            ("PUT", "/v1/voices", "GET, POST"),
            ("POST", "/v1/voices/default", "GET, DELETE"),
        ] {
            let answer = send(client.request(method.parse().unwrap(), tts.url(path))).await;
            assert_eq!(
                (answer.status, answer.header("allow")),
                (405, Some(allow)),
                "{method} {path}"
            );
        }
        assert_eq!(get(&tts.url("/v1/nothing")).await.status, 404);
    });
}

/// A recording of somebody, at 24 kHz.
#[test]
fn a_text_that_needs_a_dictionary_is_refused_before_anything_is_spoken() {
    let script = Script {
        languages: &["he", "ja"],
        ..Script::default()
    };
    let tts = Tts::scripted(script, |_| {});
    run(async {
        for (text, language, needed) in [
            ("Shalom. שלום עולם. Shalom.", "he", "vowel points"),
            ("こんにちは。日本。", "ja", "kanji"),
        ] {
            let asked = json!({"text": text, "language": language}).to_string();
            let refused = ask(&tts, asked).await;
            let code = (refused.status, refused.code());
            assert_eq!(code, (422, "INVALID_PARAMETER".to_owned()), "{text}");
            assert_eq!(refused.json()["error"]["param"], "text");
            assert!(refused.text().contains(needed), "{}", refused.text());
            let asked = json!({"input": text, "voice": "alloy", "language": language}).to_string();
            let refused = post(&tts.url("/v1/audio/speech"), "application/json", asked).await;
            let code = (refused.status, refused.code());
            assert_eq!(code, (422, "invalid_parameter".to_owned()), "{text}");

            let mut client = Listener::connect(tts.address, &format!("language={language}")).await;
            client.synthesize("whole", text, json!({})).await;
            for request in [
                json!({"type": "text", "request_id": "pieces", "text": text}),
                json!({"type": "end", "request_id": "pieces"}),
            ] {
                client.ask(request).await;
            }
            for request in ["whole", "pieces"] {
                let told = client.ended(request).await;
                let Some(ServerMessage::Error(error)) = told.end else {
                    panic!("{}", client.story())
                };
                assert_eq!(error.code.as_str(), "INVALID_PARAMETER");
                assert!(error.message.contains(needed), "{}", error.message);
            }
            // In letters it can be said.
            client
                .hear("letters", "Shalom.", json!({}))
                .await
                .complete();
            client.finish().await;
            check_promises(&client);
        }
        let errors = tts
            .metric("tts_rejected_total{reason=\"synthesis_failed\"}")
            .await;
        assert!(errors < 0.5, "{errors}");
    });
}

#[test]
fn a_default_language_that_the_model_does_not_speak_stops_the_start() {
    let settings = settings(|raw| raw.speech.language = Some("tlh".to_owned()));
    let refused = asr::block_on(async move {
        let server = tts::server::start_with(settings, |settings, families| {
            tts::models::scripted::start(Script::default(), settings, families)
        });
        server.err().map(|it| it.to_string())
    });
    let refused = refused.unwrap();
    assert!(
        refused.contains("`speech.language`") && refused.contains("tlh"),
        "{refused}"
    );
}

fn recording(name: &str) -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tts-voices");
    std::fs::read(path.join(name)).unwrap()
}

async fn register(tts: &Tts, file: Option<&[u8]>, fields: &[(&str, &str)]) -> Answer {
    let (body, kind) = form(file, fields);
    post(&tts.url("/v1/voices"), &kind, body).await
}

#[test]
fn a_voice_is_registered_used_described_and_deleted() {
    let tts = Tts::real(|_| {});
    run(async {
        let spoken = async |voice: &str| {
            let asked = json!({"text": "Hello there, how are you?", "voice": voice, "format": "pcm", "streaming": false});
            ask(&tts, asked.to_string()).await
        };
        let before = spoken("default").await.body;
        assert_eq!(spoken("ann").await.status, 404);
        let fields = [
            ("voice_id", "ann"),
            ("description", "Ann"),
            ("language", "en"),
            ("consent", "in writing"),
        ];
        let answer = register(&tts, Some(&recording("higher.wav")), &fields).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let told = answer.json();
        assert_eq!(
            (&told["voice_id"], &told["built_in"]),
            (&"ann".into(), &false.into())
        );
        let ann = spoken("ann").await;
        assert_eq!(ann.status, 200);
        assert_ne!(ann.body, before, "the new voice sounds as the old one");
        assert_eq!(
            spoken("default").await.body,
            before,
            "nobody else's voice has changed"
        );

        let described = get(&tts.url("/v1/voices/ann")).await.json();
        assert_eq!(
            (&described["description"], &described["consent"]),
            (&"Ann".into(), &"in writing".into())
        );
        let list = get(&tts.url("/v1/voices")).await.json();
        let ids: Vec<&str> = list["voices"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|it| it["voice_id"].as_str())
            .collect();
        assert_eq!(ids, ["default", "ann"]);
        let names = get(&tts.url("/v1/audio/voices")).await.text();
        assert!(
            names.contains("\"ann\"") && names.contains("\"alloy\""),
            "{names}"
        );

        // The same again is no mistake, another recording is, unless it is to replace.
        assert_eq!(
            register(&tts, Some(&recording("higher.wav")), &fields)
                .await
                .status,
            201
        );
        let taken = register(&tts, Some(&recording("high.wav")), &fields).await;
        assert_eq!((taken.status, taken.code().as_str()), (409, "VOICE_EXISTS"));
        let replaced = register(
            &tts,
            Some(&recording("high.wav")),
            &[("voice_id", "ann"), ("replace", "true")],
        )
        .await;
        assert_eq!(replaced.status, 201, "{}", replaced.text());
        assert_ne!(spoken("ann").await.body, ann.body);

        let delete =
            async |id: &str| send(client().delete(tts.url(&format!("/v1/voices/{id}")))).await;
        assert_eq!(delete("ann").await.json()["deleted"], true);
        assert_eq!(delete("ann").await.status, 404);
        assert_eq!(spoken("ann").await.status, 404);
        let built_in = delete("default").await;
        assert_eq!(
            (built_in.status, built_in.code().as_str()),
            (403, "FORBIDDEN")
        );
    });
}

#[test]
fn who_agreed_is_told_to_who_may_change_the_voice_and_a_voice_is_no_alias() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    // The hashes of `ann-key`, `bob-key` and `root-key`.
    std::fs::write(
        &file,
        "ann:21fdbeecb49c56644f6cc4444328f5da14132c8a38fd86aad19b4da9e521a79c\n\
         bob:9b94dc1a51a38769f135edf04033ad7f2f487b6c25929be7a861cfc1ab10cf98\n\
         root:53ee2a345a1cbf8f01c840e98e2c72e8826b89578da737d03dd600c68bb67f83\n",
    )
    .unwrap();
    let tts = Tts::scripted(Script::default(), |raw| {
        raw.auth.api_keys_file = Some(file);
        raw.voices.admin_keys = vec!["root".to_owned()];
    });
    run(async {
        let fields = [("voice_id", "nova"), ("consent", "Ann, by letter")];
        let (body, kind) = form(Some(&recording("higher.wav")), &fields);
        let ask = client()
            .post(tts.url("/v1/voices?api_key=ann-key"))
            .header("content-type", kind);
        let registered = send(ask.body(body)).await;
        assert_eq!(registered.status, 201, "{}", registered.text());
        for (key, is_told) in [("ann-key", true), ("bob-key", false), ("root-key", true)] {
            let told = async |path: &str| {
                let answer = get(&tts.url(&format!("{path}?api_key={key}"))).await;
                assert_eq!(answer.status, 200, "{}", answer.text());
                answer.text().contains("by letter")
            };
            assert_eq!(told("/v1/voices").await, is_told, "{key}");
            assert_eq!(told("/v1/voices/nova").await, is_told, "{key}");
            let mut socket = Listener::connect(tts.address, &format!("api_key={key}")).await;
            socket.say(r#"{"type":"list_voices"}"#).await;
            let list = socket
                .until(|it| matches!(it, ServerMessage::VoiceList(_)))
                .await;
            let ServerMessage::VoiceList(list) = list else {
                panic!("{list:?}")
            };
            assert_eq!(list.voices[1].consent.is_some(), is_told, "{key}");
            // Whoever says `nova` means the voice that was registered so.
            assert!(!list.voices[0].aliases.contains(&"nova".to_owned()));
            socket.finish().await;
        }
        let default = get(&tts.url("/v1/voices/default?api_key=bob-key")).await;
        assert!(!default.text().contains("nova"), "{}", default.text());
    });
}

#[test]
fn every_bad_recording_has_its_code_and_leaves_nothing() {
    let tts = Tts::scripted(Script::default(), |raw| raw.voices.max_seconds = 10);
    let n_files = || {
        std::fs::read_dir(tts.voices.path())
            .unwrap()
            .map(|it| walk(&it.unwrap().path()))
            .sum::<usize>()
    };
    run(async {
        // What the built-in voice is made of stays.
        let kept = n_files();
        let good = recording("high.wav");
        let silence = speech::wav(&speech::silence(5.0), 16_000);
        let short = speech::wav(&speech::hum(0.3), 16_000);
        let long = speech::wav(&speech::hum(12.0), 16_000);
        let mut corrupt = good.clone();
        corrupt.truncate(60);
        let cases: [(&[u8], &[&str]); 7] = [
            (&silence, &["NO_SPEECH", "AUDIO_TOO_SHORT", "INVALID_AUDIO"]),
            (&short, &["AUDIO_TOO_SHORT"]),
            (&long, &["AUDIO_TOO_LONG"]),
            (&corrupt, &["INVALID_AUDIO", "AUDIO_TOO_SHORT"]),
            (
                b"this is a text and no audio at all, whatever its name says",
                &["INVALID_AUDIO"],
            ),
            (b"", &["INVALID_AUDIO"]),
            (b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n", &["INVALID_AUDIO"]),
        ];
        for (file, codes) in cases {
            let answer = register(&tts, Some(file), &[("voice_id", "bad")]).await;
            assert!((400..500).contains(&answer.status), "{}", answer.text());
            assert!(
                codes.contains(&answer.code().as_str()),
                "{codes:?}: {}",
                answer.text()
            );
        }
        for (file, fields, status, code) in [
            (None, vec![("voice_id", "x")], 422, "INVALID_PARAMETER"),
            (Some(&good[..]), vec![], 422, "INVALID_PARAMETER"),
            (
                Some(&good[..]),
                vec![("voice_id", "../x")],
                422,
                "INVALID_PARAMETER",
            ),
            (
                Some(&good[..]),
                vec![("voice_id", "")],
                422,
                "INVALID_PARAMETER",
            ),
            (
                Some(&good[..]),
                vec![("voice_id", "x"), ("colour", "red")],
                422,
                "UNKNOWN_FIELD",
            ),
            (
                Some(&good[..]),
                vec![("voice_id", "x"), ("language", "no such thing")],
                422,
                "INVALID_PARAMETER",
            ),
            (
                Some(&good[..]),
                vec![("voice_id", "default")],
                403,
                "FORBIDDEN",
            ),
        ] {
            let answer = register(&tts, file, &fields).await;
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (status, code),
                "{fields:?}: {}",
                answer.text()
            );
        }
        let no_form = post(&tts.url("/v1/voices"), "application/json", "{}").await;
        assert_eq!(
            (no_form.status, no_form.code().as_str()),
            (400, "INVALID_REQUEST")
        );
        for path in ["..%2f..%2fetc%2fpasswd", "a%00b", "a/b/c", ".hidden"] {
            let answer = get(&tts.url(&format!("/v1/voices/{path}"))).await;
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (422, "INVALID_PARAMETER"),
                "{path}"
            );
        }
        assert_eq!(get(&tts.url("/v1/voices/nobody")).await.status, 404);
        let list = get(&tts.url("/v1/voices")).await.json();
        assert_eq!(list["voices"].as_array().unwrap().len(), 1, "{list}");
        assert_eq!(n_files(), kept, "something was left behind");
    });
}

fn walk(path: &std::path::Path) -> usize {
    if !path.is_dir() {
        return 1;
    }
    std::fs::read_dir(path)
        .unwrap()
        .map(|it| walk(&it.unwrap().path()))
        .sum()
}
