//! What should not be uploaded: each has its status, its code and its words, and is forgotten at once.

use std::time::{Duration, Instant};

use asr::models::scripted::Script;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use e2e::http::{Answer, client, form, get, post, send, upload};
use e2e::{Asr, run, speech};
use serde_json::json;

const PATH: &str = "/v1/transcribe";

fn fixture(name: &str) -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/containers")
        .join(name);
    std::fs::read(path).unwrap()
}

/// Half a second of hum with some bytes of its head overwritten.
fn wav_with(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut file = speech::wav(&speech::hum(0.5), 16_000);
    file[at..at + bytes.len()].copy_from_slice(bytes);
    file
}

fn floats_wav(samples: &[f32]) -> Vec<u8> {
    let data: Vec<u8> = samples.iter().flat_map(|it| it.to_le_bytes()).collect();
    let mut file = speech::wav(&[], 16_000);
    file[20..22].copy_from_slice(&3_u16.to_le_bytes());
    file[28..32].copy_from_slice(&64_000_u32.to_le_bytes());
    file[32..34].copy_from_slice(&4_u16.to_le_bytes());
    file[34..36].copy_from_slice(&32_u16.to_le_bytes());
    file[40..44].copy_from_slice(&u32::try_from(data.len()).unwrap().to_le_bytes());
    file.extend(data);
    file
}

/// A name, the bytes, the status and the code.
type Case = (&'static str, Vec<u8>, u16, &'static str);

fn cases() -> Vec<Case> {
    let cut = |name: &str, n: usize| fixture(name)[..n].to_vec();
    let mut nan = vec![0.1; 8_000];
    nan[4_000] = f32::NAN;
    let zip = b"PK\x03\x04\x14\0\0\0\x08\0".repeat(50);
    let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".repeat(40);
    vec![
        ("nothing", Vec::new(), 415, "INVALID_AUDIO"),
        ("one byte", vec![7], 415, "INVALID_AUDIO"),
        (
            "a letter",
            b"Dear Sir or Madam, please find attached no audio at all.".repeat(20),
            415,
            "INVALID_AUDIO",
        ),
        (
            "a page",
            b"<!DOCTYPE html><html><body>404</body></html>".to_vec(),
            415,
            "INVALID_AUDIO",
        ),
        ("an archive", zip, 415, "INVALID_AUDIO"),
        ("a picture", png, 415, "INVALID_AUDIO"),
        ("zeros", vec![0; 50_000], 415, "INVALID_AUDIO"),
        (
            "half a head",
            speech::wav(&speech::hum(0.1), 16_000)[..20].to_vec(),
            415,
            "INVALID_AUDIO",
        ),
        (
            "a head alone",
            speech::wav(&[], 16_000),
            415,
            "INVALID_AUDIO",
        ),
        (
            "0 Hz",
            wav_with(24, &0_u32.to_le_bytes()),
            422,
            "INVALID_PARAMETER",
        ),
        (
            "1 MHz",
            wav_with(24, &1_000_000_u32.to_le_bytes()),
            422,
            "INVALID_PARAMETER",
        ),
        (
            "4 GHz",
            wav_with(24, &u32::MAX.to_le_bytes()),
            422,
            "INVALID_PARAMETER",
        ),
        (
            "no channels",
            wav_with(22, &0_u16.to_le_bytes()),
            422,
            "INVALID_PARAMETER",
        ),
        (
            "all channels",
            wav_with(22, &u16::MAX.to_le_bytes()),
            422,
            "INVALID_PARAMETER",
        ),
        (
            "a codec nobody has",
            wav_with(20, &0x7abc_u16.to_le_bytes()),
            415,
            "UNSUPPORTED_AUDIO",
        ),
        ("no numbers", floats_wav(&nan), 422, "INVALID_SAMPLES"),
        (
            "the head of a flac",
            cut("mono.flac", 60),
            415,
            "INVALID_AUDIO",
        ),
        (
            "the head of an ogg",
            cut("opus.ogg", 40),
            415,
            "INVALID_AUDIO",
        ),
        (
            "the head of a webm",
            cut("opus.webm", 100),
            415,
            "INVALID_AUDIO",
        ),
        (
            "the head of an mp4",
            cut("aac.m4a", 100),
            415,
            "INVALID_AUDIO",
        ),
    ]
}

fn small() -> Asr {
    Asr::scripted(Script::default(), |raw| {
        raw.server.max_upload_bytes = 2_000_000;
        raw.files.max_seconds = 20;
    })
}

fn check(name: &str, answer: &Answer, status: u16, code: &str) -> Option<String> {
    let error = answer.json()["error"].clone();
    let message = error["message"].as_str().unwrap_or_default();
    let good = answer.status == status
        && error["code"] == code
        && 10 < message.len()
        && message.len() < 1_000;
    // Whose fault it is stands in the type, and no cause of ours in the words.
    let fair = error["type"] == "invalid_request_error"
        && !message.contains("/services/")
        && !message.contains("panicked");
    (!good || !fair).then(|| {
        format!(
            "{name}: expected {status} {code}. Given: {} {}",
            answer.status,
            answer.text()
        )
    })
}

#[test]
fn each_bad_file_has_its_status_code_and_words() {
    let asr = small();
    run(async {
        let mut wrong = Vec::new();
        for (name, bytes, status, code) in cases() {
            for path in [PATH, "/v1/detect"] {
                let answer = upload(&asr.url(path), &bytes, &[]).await;
                wrong.extend(check(&format!("{name} at {path}"), &answer, status, code));
            }
            // The same through the other doors.
            let body = json!({"audio": STANDARD.encode(&bytes)}).to_string();
            wrong.extend(check(
                &format!("{name} as JSON"),
                &post(&asr.url(PATH), "application/json", body).await,
                status,
                code,
            ));
            let openai = upload(
                &asr.url("/v1/audio/transcriptions"),
                &bytes,
                &[("model", "whisper-1")],
            )
            .await;
            if openai.status != status {
                wrong.push(format!(
                    "{name} at OpenAI's: expected {status}. Given: {} {}",
                    openai.status,
                    openai.text()
                ));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        is_well(&asr).await;
    });
}

/// It serves as ever, and holds nothing.
async fn is_well(asr: &Asr) {
    let answer = upload(&asr.url(PATH), &speech::wav(&speech::hum(1.0), 16_000), &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let empty = async || {
        while get(&asr.url("/health")).await.json()["connections"] != 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), empty())
        .await
        .unwrap();
}

#[test]
fn a_file_that_breaks_off_is_read_as_far_as_it_goes_or_refused_but_never_guessed() {
    let asr = small();
    run(async {
        let mut wrong = Vec::new();
        for name in [
            "s16.caf",
            "s16.aiff",
            "mono.flac",
            "mono.mp3",
            "opus.ogg",
            "vorbis.ogg",
            "opus.webm",
            "aac.m4a",
            "aac.aac",
            "reference.wav",
        ] {
            let whole = fixture(name);
            let duration = upload(&asr.url(PATH), &whole, &[]).await.json()["duration"]
                .as_f64()
                .unwrap();
            for part in [0.9, 0.6, 0.3] {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a part of a length"
                )]
                let cut = &whole[..(whole.len() as f64 * part) as usize];
                let answer = upload(&asr.url(PATH), cut, &[]).await;
                let is_shorter =
                    answer.status == 200 && answer.json()["duration"].as_f64().unwrap() <= duration;
                if !is_shorter && check(name, &answer, 415, "INVALID_AUDIO").is_some() {
                    wrong.push(format!(
                        "{part} of {name}: {} {}",
                        answer.status,
                        answer.text()
                    ));
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        // A length that is not true, either way.
        for lie in [0_u32, 5, 8_001, 0x7fff_ffff, u32::MAX] {
            let answer = upload(&asr.url(PATH), &wav_with(40, &lie.to_le_bytes()), &[]).await;
            let heard = answer.json()["duration"].as_f64().unwrap_or(0.0);
            assert!(
                answer.status == 415 || answer.status == 200 && heard <= 0.5,
                "{lie}: {}",
                answer.text()
            );
        }
        is_well(&asr).await;
    });
}

#[test]
fn damage_anywhere_in_a_file_is_survived() {
    let asr = small();
    let mut state = 7_u64;
    let mut next = |n: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % n
    };
    run(async {
        for name in [
            "mono.flac",
            "mono.mp3",
            "opus.ogg",
            "vorbis.webm",
            "aac.m4a",
            "aac_fragmented.mp4",
            "adpcm_ms.wav",
            "alac.caf",
        ] {
            for _ in 0..6 {
                let mut bytes = fixture(name);
                for _ in 0..8 {
                    let at = next(bytes.len().min(3_000));
                    bytes[at] = u8::try_from(next(256)).unwrap();
                }
                let answer = upload(&asr.url(PATH), &bytes, &[]).await;
                assert!(
                    [200, 413, 415, 422].contains(&answer.status),
                    "{name}: {} {}",
                    answer.status,
                    answer.text()
                );
            }
        }
        is_well(&asr).await;
    });
}

#[test]
fn what_is_too_large_or_too_long_is_refused_with_the_limit() {
    let asr = small();
    run(async {
        let long = upload(
            &asr.url(PATH),
            &speech::wav(&vec![0; 8_000 * 21], 8_000),
            &[],
        )
        .await;
        assert_eq!(check("21 s", &long, 413, "AUDIO_TOO_LONG"), None);
        assert!(long.text().contains("20"), "{}", long.text());
        let large = upload(&asr.url(PATH), &vec![0; 2_100_000], &[]).await;
        assert_eq!(check("2.1 MB", &large, 413, "PAYLOAD_TOO_LARGE"), None);
        assert!(large.text().contains("2000000"), "{}", large.text());
        let body = format!(r#"{{"audio":"{}"}}"#, "A".repeat(3_500_000));
        assert_eq!(
            check(
                "as JSON",
                &post(&asr.url(PATH), "application/json", body).await,
                413,
                "PAYLOAD_TOO_LARGE"
            ),
            None
        );
        assert_eq!(
            check(
                "as it is",
                &post(&asr.url(PATH), "audio/wav", vec![0; 2_000_001]).await,
                413,
                "PAYLOAD_TOO_LARGE"
            ),
            None
        );
        is_well(&asr).await;
    });
}

#[test]
fn requests_that_make_no_sense_are_told_why() {
    let asr = small();
    let file = speech::wav(&speech::hum(0.5), 16_000);
    run(async {
        let mut wrong = Vec::new();
        for (fields, status, code) in [
            (&[("langauge", "en")][..], 422, "UNKNOWN_FIELD"),
            (&[("language", "xx")], 422, "UNKNOWN_LANGUAGE"),
            (&[("language", "fr")], 422, "UNKNOWN_LANGUAGE"),
            (&[("model", "large-v9")], 404, "UNKNOWN_MODEL"),
            (&[("response_format", "docx")], 422, "INVALID_PARAMETER"),
            (&[("temperature", "hot")], 422, "INVALID_PARAMETER"),
            (&[("temperature", "NaN")], 422, "INVALID_PARAMETER"),
            (&[("temperature", "2")], 422, "INVALID_PARAMETER"),
            (&[("beam_size", "0")], 422, "INVALID_PARAMETER"),
            (&[("beam_size", "99")], 422, "INVALID_PARAMETER"),
            (&[("task", "translate")], 422, "INVALID_PARAMETER"),
            (
                &[("language", "en"), ("language", "en")],
                422,
                "INVALID_PARAMETER",
            ),
            (&[("sample_rate", "8000")], 422, "INVALID_PARAMETER"),
            (
                &[("encoding", "pcm_s16le"), ("sample_rate", "0")],
                422,
                "INVALID_PARAMETER",
            ),
            (
                &[("encoding", "pcm_s16le"), ("sample_rate", "1000000")],
                422,
                "INVALID_PARAMETER",
            ),
            (
                &[("encoding", "pcm_s16le"), ("channels", "99")],
                422,
                "INVALID_PARAMETER",
            ),
        ] {
            wrong.extend(check(
                &format!("{fields:?}"),
                &upload(&asr.url(PATH), &file, fields).await,
                status,
                code,
            ));
        }
        let url = asr.url(PATH);
        let ask = async |kind: &str, body: &str| post(&url, kind, body.to_owned()).await;
        let json = "application/json";
        let deep = format!(r#"{{"audio":{}"#, "[".repeat(500_000));
        let cases = [
            ("no JSON", ask(json, "{").await, 400, "INVALID_JSON"),
            ("a bomb", ask(json, &deep).await, 422, "INVALID_PARAMETER"),
            (
                "another",
                ask(json, &"[".repeat(500_000)).await,
                422,
                "INVALID_PARAMETER",
            ),
            (
                "one in an unknown key",
                ask(json, &format!(r#"{{"a":{}"#, "[".repeat(500_000))).await,
                422,
                "UNKNOWN_FIELD",
            ),
            ("no object", ask(json, "[]").await, 422, "INVALID_PARAMETER"),
            ("no audio", ask(json, "{}").await, 422, "INVALID_PARAMETER"),
            (
                "no base64",
                ask(json, r#"{"audio":"%%%"}"#).await,
                422,
                "INVALID_PARAMETER",
            ),
            (
                "an unknown key",
                ask(json, r#"{"audioo":"UklGRg=="}"#).await,
                422,
                "UNKNOWN_FIELD",
            ),
            (
                "both",
                ask(
                    json,
                    r#"{"audio":"UklGRg==","audio_url":"https://example.com/a.wav"}"#,
                )
                .await,
                400,
                "INVALID_REQUEST",
            ),
            ("no type", ask("", "RIFF").await, 415, "UNSUPPORTED_AUDIO"),
            (
                "text",
                ask("text/plain", "RIFF").await,
                415,
                "UNSUPPORTED_AUDIO",
            ),
            (
                "no boundary",
                ask("multipart/form-data", "x").await,
                400,
                "INVALID_REQUEST",
            ),
        ];
        for (name, answer, status, code) in &cases {
            wrong.extend(check(name, answer, *status, code));
        }
        let (body, kind) = form(Some(&file), &[]);
        let torn = send(
            client()
                .post(&url)
                .header("content-type", &kind)
                .body(body[..body.len() - 40].to_vec()),
        )
        .await;
        wrong.extend(check("a torn form", &torn, 400, "INVALID_REQUEST"));
        let (body, kind) = form(None, &[("language", "en")]);
        let empty = send(client().post(&url).header("content-type", &kind).body(body)).await;
        wrong.extend(check(
            "a form without a file",
            &empty,
            422,
            "INVALID_PARAMETER",
        ));
        assert!(wrong.is_empty(), "{wrong:#?}");
        is_well(&asr).await;
    });
}

#[test]
fn addresses_are_not_fetched_unless_allowed_and_never_private_ones() {
    let closed = small();
    let open = Asr::scripted(Script::default(), |raw| {
        raw.files.url_enabled = true;
        raw.files.url_timeout_ms = 2_000;
    });
    run(async {
        let ask = async |asr: &Asr, url: &str| {
            post(
                &asr.url(PATH),
                "application/json",
                json!({"audio_url": url}).to_string(),
            )
            .await
        };
        let off = ask(&closed, "https://example.com/a.wav").await;
        assert_eq!(check("off by default", &off, 403, "URL_FORBIDDEN"), None);
        assert!(off.text().contains("files.url_enabled"), "{}", off.text());
        let own = open.url("/metrics");
        let mut wrong = Vec::new();
        for url in [
            own.as_str(),
            "http://localhost/a.wav",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f.0.0.1/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://0.0.0.0/",
            "http://10.0.0.1/",
            "http://172.16.5.5/",
            "http://192.168.1.1/",
            "http://169.254.169.254/latest/meta-data/",
            "http://100.64.0.1/",
            "http://[fd00::1]/",
            "http://[fe80::1]/",
            "file:///etc/passwd",
            "ftp://example.com/a.wav",
            "gopher://127.0.0.1/",
            "data:audio/wav;base64,UklGRg==",
        ] {
            wrong.extend(check(url, &ask(&open, url).await, 403, "URL_FORBIDDEN"));
        }
        wrong.extend(check(
            "no URL",
            &ask(&open, "not a url").await,
            422,
            "URL_FAILED",
        ));
        assert!(wrong.is_empty(), "{wrong:#?}");
    });
}

#[test]
fn an_allowed_address_is_fetched_within_its_limits() {
    let asr = Asr::scripted(Script::default(), |raw| {
        raw.files.url_enabled = true;
        raw.files.url_private_addresses = true;
        raw.files.url_timeout_ms = 1_500;
        raw.server.max_upload_bytes = 100_000;
    });
    run(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let good = speech::wav(&speech::hum(1.0), 16_000);
        let serving = async {
            use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 2_000];
                let n = stream.read(&mut request).await.unwrap();
                let request = String::from_utf8_lossy(&request[..n]).into_owned();
                let reply = |status: &str, body: &[u8]| {
                    let mut reply = format!(
                        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                        body.len()
                    )
                    .into_bytes();
                    reply.extend(body);
                    reply
                };
                let reply = match request.split(' ').nth(1).unwrap() {
                    "/good" => reply("200 OK", &good),
                    "/large" => reply("200 OK", &vec![0; 100_001]),
                    "/gone" => reply("404 Not Found", b"gone"),
                    // Says nothing, and does not go away.
                    "/slow" => {
                        tokio::time::sleep(Duration::from_secs(3)).await;
                        Vec::new()
                    }
                    _ => b"HTTP/1.1 302 Found\r\nlocation: file:///etc/passwd\r\ncontent-length: 0\r\n\r\n".to_vec(),
                };
                drop(stream.write_all(&reply).await);
            }
        };
        let asking = async {
            let ask = async |path: &str| {
                let body = json!({"audio_url": format!("http://{address}{path}")}).to_string();
                post(&asr.url(PATH), "application/json", body).await
            };
            let good = ask("/good").await;
            assert_eq!(good.status, 200, "{}", good.text());
            assert_eq!(good.json()["text"], "one two three four");
            let mut wrong = Vec::new();
            wrong.extend(check(
                "large",
                &ask("/large").await,
                413,
                "PAYLOAD_TOO_LARGE",
            ));
            wrong.extend(check("gone", &ask("/gone").await, 422, "URL_FAILED"));
            wrong.extend(check(
                "elsewhere",
                &ask("/elsewhere").await,
                422,
                "URL_FAILED",
            ));
            let began = Instant::now();
            wrong.extend(check("slow", &ask("/slow").await, 422, "URL_FAILED"));
            assert!(began.elapsed() < Duration::from_secs(15));
            assert!(wrong.is_empty(), "{wrong:#?}");
        };
        futures_util::future::select(Box::pin(serving), Box::pin(asking)).await;
    });
}
