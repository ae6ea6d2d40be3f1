//! The synthesiser as operators meet it: its start, its end, its exit codes, its complaints.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use e2e::http::{client, get, post};
use e2e::process::Program;
use e2e::{Tts, run};
use serde_json::json;
use tts::Sources;
use tts::models::scripted::Script;
use tts::settings::Raw;

const PROGRAM: Program = Program(env!("CARGO_BIN_EXE_tts_process"));

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn the_shipped_settings_are_the_built_in_ones_and_every_key_is_there() {
    let file = repository().join("config/tts.yaml");
    let loaded = Raw::load(&Sources {
        file: Some(file.clone()),
        ..Sources::default()
    });
    loaded.check(Raw::check).unwrap();
    let defaults = serde_json::to_value(Raw::defaults()).unwrap();
    assert_eq!(serde_json::to_value(loaded.raw()).unwrap(), defaults);
    let output = PROGRAM.output(&["--config", file.to_str().unwrap(), "--check-config"]);
    assert!(output.status.success());
}

#[test]
fn it_speaks_as_a_process_and_exits_with_0_when_told() {
    let voices = tempfile::tempdir().unwrap();
    let store = format!("voices.store={}", voices.path().display());
    for signal in ["TERM", "INT"] {
        let mut process = PROGRAM.start(&["--set", &store]);
        run(async {
            let body = json!({"text": "Hello there.", "format": "pcm"}).to_string();
            let answer = post(&process.url("/v1/synthesize"), "application/json", body).await;
            assert_eq!(answer.status, 200);
            assert!(10_000 < answer.body.len());
            let version = get(&process.url("/version")).await.json();
            assert_eq!(version["service"], "tts");
        });
        // Nobody set them: it started itself again with what its libraries read.
        let variables = process.environment();
        for wanted in ["ORT_DISABLE_TELEMETRY=1", "MALLOC_ARENA_MAX=1"] {
            assert!(variables.iter().any(|it| it == wanted), "{variables:?}");
        }
        assert_eq!(process.name(), "tts_process");
        process.signal(signal);
        assert_eq!(process.ended(Duration::from_secs(20)), Some(0), "{signal}");
    }
}

#[test]
fn what_is_being_said_is_said_to_its_end_and_nothing_new_is_begun() {
    let script = Script {
        step_delay: Duration::from_millis(5),
        ..Script::default()
    };
    let tts = Tts::scripted(script, |_| {});
    run(async {
        let text = "This is a sentence that takes a while to be said. And this is another.";
        let body = json!({"text": text, "format": "pcm"}).to_string();
        let expected = post(&tts.url("/v1/synthesize"), "application/json", body.clone()).await;
        let request = client().post(tts.url("/v1/synthesize")).body(body.clone());
        let mut answer = request.send().await.unwrap();
        let mut spoken = answer.chunk().await.unwrap().unwrap().to_vec();
        tts.stop();
        while get(&tts.url("/health")).await.json()["draining"] != true {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let late = post(&tts.url("/v1/synthesize"), "application/json", body).await;
        assert_eq!((late.status, late.code().as_str()), (503, "DRAINING"));
        assert!(late.header("retry-after").is_some());
        while let Some(more) = answer.chunk().await.unwrap() {
            spoken.extend(more);
        }
        assert_eq!(spoken.len(), expected.body.len());
    });
    let outcome = tts.ended();
    assert_eq!((outcome.n_cut, outcome.is_forced), (0, false));
}

#[test]
fn the_deadline_cuts_what_takes_too_long() {
    let script = Script {
        step_delay: Duration::from_millis(50),
        ..Script::default()
    };
    let tts = Tts::scripted(script, |raw| raw.drain.deadline_ms = 500);
    run(async {
        let text = "This is one of many sentences that take for ever. ".repeat(20);
        let request = client()
            .post(tts.url("/v1/synthesize"))
            .body(json!({"text": text}).to_string());
        let mut answer = request.send().await.unwrap();
        answer.chunk().await.unwrap().unwrap();
        tts.stop();
        let mut is_cut = false;
        loop {
            match answer.chunk().await {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => {
                    is_cut = true;
                    break;
                }
            }
        }
        assert!(is_cut, "what was cut looks complete");
    });
    assert!(0 < tts.ended().n_cut);
}

#[test]
fn a_busy_port_is_told_before_anything_is_loaded() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    PROGRAM.fails(&["--port", &port], 1, &[&port, "in use", "server.port"]);
}

#[test]
fn what_is_missing_is_named_with_the_way_to_mend_it() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let fails = |set: &str, words: &[&str]| PROGRAM.fails(&["--port", "0", "--set", set], 1, words);
    fails(
        &format!("home={}", at("nowhere")),
        &["libonnxruntime.so", "setup.sh"],
    );
    fails(
        "model.name=chatterbox",
        &["chatterbox", "download_models.sh"],
    );
    fs::create_dir(at("empty")).unwrap();
    fails(&format!("model.name={}", at("empty")), &["empty", "lacks"]);
    fs::write(at("file"), "no folder").unwrap();
    fails(&format!("voices.store={}", at("file")), &["voices"]);
    fails(
        &format!("text.dictionary={}", at("nothing.txt")),
        &["text.dictionary", "nothing.txt"],
    );
    fs::write(at("words.txt"), "no equals sign\n").unwrap();
    fails(
        &format!("text.dictionary={}", at("words.txt")),
        &["text.dictionary", "line 1"],
    );

    let graph = repository().join("tests/fixtures/tts-watermark/loud.onnx");
    fails(
        &format!("speech.watermark={}", graph.display()),
        &["speech.watermark", "loud.onnx", "would be heard"],
    );

    // A home without what a GPU needs, whatever else this machine has.
    let home = at("home");
    fs::create_dir(&home).unwrap();
    let lib = format!("{home}/lib");
    std::os::unix::fs::symlink(repository().join(".native/lib"), lib).unwrap();
    PROGRAM.fails(
        &[
            "--port",
            "0",
            "--set",
            &format!("home={home}"),
            "--set",
            "model.device=cuda",
        ],
        1,
        &[
            &format!("{home}/cuda-tts/lib/libonnxruntime.so"),
            "setup.sh --cuda=tts",
            "`model.device: cpu`",
        ],
    );

    // A model of which one file is damaged.
    let demo = repository().join("services/tts/models/demo");
    let broken = folder.path().join("broken");
    fs::create_dir(&broken).unwrap();
    for file in fs::read_dir(&demo).unwrap().map(Result::unwrap) {
        fs::copy(file.path(), broken.join(file.file_name())).unwrap();
    }
    for name in ["language_model.onnx", "tokenizer.json"] {
        let file = broken.join(name);
        let good = fs::read(&file).unwrap();
        fs::write(&file, b"{ damaged").unwrap();
        fails(&format!("model.name={}", broken.display()), &[name]);
        fs::remove_file(&file).unwrap();
        fails(
            &format!("model.name={}", broken.display()),
            &[name.split('.').next().unwrap()],
        );
        fs::write(&file, good).unwrap();
    }
}

#[test]
fn every_mistake_in_the_settings_is_told_at_once_with_78() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tts.yaml");
    fs::write(
        &file,
        "server:\n  prot: 8001\n  max_connections: 0\nspeech:\n  speed: 7\nmodel:\n  chunk_size: 0\n",
    )
    .unwrap();
    let file = file.to_str().unwrap();
    let words = [
        "server.prot",
        "server.port",
        "server.max_connections",
        "speech.speed",
        "stream.chunk_size",
        "text.max_chars",
    ];
    for more in [&["--check-config"][..], &[]] {
        let arguments = [&["--config", file, "--set", "text.max_chars=0"], more].concat();
        PROGRAM.fails(&arguments, 78, &words);
    }
    PROGRAM.fails(
        &["--config", "/nowhere/tts.yaml"],
        78,
        &["/nowhere/tts.yaml"],
    );
    PROGRAM.fails(&["--set", "nonsense"], 78, &["nonsense"]);
}

#[test]
fn it_tells_its_version_its_settings_and_what_a_model_is() {
    let version = PROGRAM.output(&["--version"]);
    assert_eq!(
        String::from_utf8_lossy(&version.stdout),
        format!("tts {}\n", env!("CARGO_PKG_VERSION"))
    );
    let printed = PROGRAM.output(&["--set", "voices.aliases.maria=default", "--print-config"]);
    let printed = String::from_utf8_lossy(&printed.stdout);
    assert!(
        printed.lines().any(|it| it.contains("maria: \"default\"")),
        "{printed}"
    );
    let report = PROGRAM.output(&["doctor"]);
    let told = String::from_utf8_lossy(&report.stdout);
    assert!(
        report.status.success(),
        "{}",
        String::from_utf8_lossy(&report.stderr)
    );
    assert!(
        told.contains("Language model") && told.contains("demo"),
        "{told}"
    );
    PROGRAM.fails(&["doctor", "/nowhere/model"], 1, &["/nowhere/model"]);
}

#[test]
fn voices_outlive_the_process() {
    let voices = tempfile::tempdir().unwrap();
    let store = format!("voices.store={}", voices.path().display());
    let recording = fs::read(repository().join("tests/fixtures/tts-voices/high.wav")).unwrap();
    let process = PROGRAM.start(&["--set", &store]);
    run(async {
        let (body, kind) = e2e::http::form(Some(&recording), &[("voice_id", "ann")]);
        let answer = post(&process.url("/v1/voices"), &kind, body).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
    });
    // Not told to stop: as if the machine had lost its power.
    drop(process);
    let again = PROGRAM.start(&["--set", &store]);
    run(async {
        let body = json!({"text": "Hello there.", "voice": "ann"}).to_string();
        let answer = post(&again.url("/v1/synthesize"), "application/json", body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    });
}
