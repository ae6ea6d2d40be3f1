//! The service as operators meet it: its start, its end, its exit codes, its complaints, its memory.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use e2e::http::{get, upload};
use e2e::process::Program;
use e2e::run;
use e2e::speech::{self, READ_WELL};
use e2e::stream::{Client, check_promises};
use wire::asr::ServerMessage;

const PROGRAM: Program = Program(env!("CARGO_BIN_EXE_asr_process"));

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn on_sigterm_twenty_real_conversations_get_their_texts_and_it_exits_with_0() {
    // Longer than all of them take to say a first half.
    let mut process = PROGRAM.start(&["--set", "stream.audio_idle_ms=10000"]);
    let (name, text) = READ_WELL[3];
    let samples = speech::samples(name);
    let half = samples.len() / 2;
    run(async {
        let mut clients = Vec::new();
        for _ in 0..20 {
            let mut client = Client::connect_to(process.address, "partials=false").await;
            client.frames(&speech::bytes(&samples[..half]), 6_400).await;
            clients.push(client);
        }
        for client in &mut clients {
            client
                .until(|it| matches!(it, ServerMessage::SpeechStart(_)))
                .await;
        }
        process.signal("TERM");
        for client in &mut clients {
            client
                .until(|it| matches!(it, ServerMessage::Draining(_)))
                .await;
            client
                .frames(
                    &speech::bytes(&[&samples[half..], &speech::silence(1.0)].concat()),
                    6_400,
                )
                .await;
        }
        for client in &mut clients {
            let closed = client.drained().await;
            check_promises(client);
            assert_eq!(client.finals(), [text], "{}", client.story());
            assert_eq!(closed.discarded_samples, 0);
            assert_eq!(client.close, Some(1012.into()));
        }
    });
    assert_eq!(process.ended(Duration::from_secs(30)), Some(0));
}

#[test]
fn an_idle_service_exits_at_once_with_0_and_an_impatient_operator_is_obeyed() {
    for (signals, code) in [(&["TERM"][..], 0), (&["INT"], 0)] {
        let mut process = PROGRAM.start(&[]);
        for signal in signals {
            process.signal(signal);
        }
        assert_eq!(
            process.ended(Duration::from_secs(20)),
            Some(code),
            "{signals:?}"
        );
    }
}

#[test]
fn five_hundred_visits_leave_no_memory_and_no_descriptors_behind() {
    let process = PROGRAM.start(&[]);
    let visits = |n: usize| {
        let address = process.address;
        run(async move {
            for round in 0..n / 20 {
                let visits = (0..20).map(|idx| async move {
                    let mut client = Client::connect_to(address, "").await;
                    client.audio(speech::bytes(&speech::silence(0.3))).await;
                    if (round + idx) % 2 == 0 {
                        client.finish().await;
                    } else {
                        client.vanish();
                    }
                });
                futures_util::future::join_all(visits).await;
            }
            // The last ones are noticed a moment later.
            while get(&format!("http://{address}/health")).await.json()["connections"] != 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
    };
    // The first ones fill the caches.
    visits(200);
    let (memory, descriptors) = (process.resident(), process.n_descriptors());
    visits(500);
    let (memory_after, descriptors_after) = (process.resident(), process.n_descriptors());
    // 500 sessions that each left a kibibyte would be half of it; one that left its buffers, many times that.
    assert!(
        memory_after < memory + 6_000,
        "{memory} KiB before, {memory_after} KiB after"
    );
    assert!(
        descriptors_after < descriptors + 25,
        "{descriptors} before, {descriptors_after} after"
    );
}

#[test]
fn a_busy_port_is_told_before_anything_is_loaded() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let began = Instant::now();
    PROGRAM.fails(&["--port", &port], 1, &[&port, "in use", "server.port"]);
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[test]
fn what_is_missing_or_damaged_is_named_with_the_way_to_mend_it() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let set = |key: &str, value: &str| format!("{key}={value}");
    let port = ["--port", "0", "--set"];

    // No libraries where `home` says.
    let home = set("home", &at("nowhere"));
    PROGRAM.fails(
        &[port[0], port[1], port[2], &home],
        1,
        &["libonnxruntime.so", "nowhere", "setup.sh"],
    );

    // A library that is none.
    fs::create_dir_all(at("bad/lib")).unwrap();
    fs::create_dir_all(at("bad/models")).unwrap();
    fs::write(at("bad/lib/libonnxruntime.so"), b"not a library").unwrap();
    let home = set("home", &at("bad"));
    PROGRAM.fails(
        &[port[0], port[1], port[2], &home],
        1,
        &["libonnxruntime.so", "setup.sh"],
    );

    // Libraries, but no models beside them.
    let native = repository().join(".native").canonicalize().unwrap();
    fs::create_dir_all(at("bare")).unwrap();
    std::os::unix::fs::symlink(native.join("lib"), at("bare/lib")).unwrap();
    let home = set("home", &at("bare"));
    PROGRAM.fails(
        &[port[0], port[1], port[2], &home],
        1,
        &["silero_vad.onnx", "setup.sh"],
    );

    // A damaged one.
    fs::create_dir_all(at("bare/models")).unwrap();
    fs::write(at("bare/models/silero_vad.onnx"), b"not a model").unwrap();
    for name in ["silero_vad_file.onnx", "smart-turn-v3.2-cpu.onnx"] {
        let sound = native.join("models").join(name);
        std::os::unix::fs::symlink(sound, at(&format!("bare/models/{name}"))).unwrap();
    }
    PROGRAM.fails(&[port[0], port[1], port[2], &home], 1, &["silero_vad.onnx"]);

    // Another than is served by default.
    let other = native.join("models/silero_vad_file.onnx");
    for (file, what) in [
        ("gone.onnx", "gone.onnx"),
        (other.to_str().unwrap(), "input_features"),
    ] {
        let turn_model = set("vad.turn_model", file);
        PROGRAM.fails(&[port[0], port[1], port[2], &turn_model], 1, &[file, what]);
    }
}

#[test]
fn a_whisper_that_is_missing_or_damaged_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let fails_with = |name: &str, words: &[&str]| {
        let setting = format!("model.name={name}");
        PROGRAM.fails(&["--port", "0", "--set", &setting], 1, words);
    };
    fails_with("large-v3", &["large-v3", "download_models.sh"]);
    fails_with(path("nothing").to_str().unwrap(), &["nothing"]);
    let demo = repository().join("services/asr/models/demo");
    for broken in ["model.bin", "tokenizer.json", "config.json"] {
        let name = format!("broken-{}", broken.replace('.', "-"));
        fs::create_dir_all(path(&name)).unwrap();
        for file in fs::read_dir(&demo).unwrap().map(Result::unwrap) {
            fs::copy(file.path(), path(&name).join(file.file_name())).unwrap();
        }
        fs::write(path(&name).join(broken), b"{ damaged").unwrap();
        fails_with(path(&name).to_str().unwrap(), &[broken]);
        fs::remove_file(path(&name).join(broken)).unwrap();
        fails_with(path(&name).to_str().unwrap(), &[broken]);
    }
    // Weights that break off.
    let name = path("short");
    fs::create_dir_all(&name).unwrap();
    for file in fs::read_dir(&demo).unwrap().map(Result::unwrap) {
        fs::copy(file.path(), name.join(file.file_name())).unwrap();
    }
    let weights = fs::read(demo.join("model.bin")).unwrap();
    fs::write(name.join("model.bin"), &weights[..weights.len() / 2]).unwrap();
    fails_with(name.to_str().unwrap(), &["short"]);
}

#[test]
fn a_model_in_a_folder_of_its_own_is_served() {
    let demo = repository()
        .join("services/asr/models/demo")
        .canonicalize()
        .unwrap();
    let setting = format!("model.name={}", demo.display());
    let process = PROGRAM.start(&["--set", &setting, "--set", "model.window=own_length"]);
    let (name, text) = READ_WELL[0];
    run(async {
        let answer = upload(&process.url("/v1/transcribe"), &speech::file(name), &[]).await;
        assert_eq!(answer.json()["text"], text);
    });
}

#[test]
fn every_mistake_in_the_settings_is_told_at_once_with_78() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("asr.yaml");
    fs::write(
        &file,
        "server:\n  prot: 8001\n  max_connections: 0\nvad:\n  threshold: 7\n",
    )
    .unwrap();
    let file = file.to_str().unwrap();
    let words = [
        "server.prot",
        "server.port",
        "server.max_connections",
        "vad.threshold",
        "beam_size",
    ];
    for more in [&["--check-config"][..], &[]] {
        let arguments = [&["--config", file, "--set", "decode.beam_size=99"], more].concat();
        PROGRAM.fails(&arguments, 78, &words);
    }
    fs::write(file, ": : :").unwrap();
    PROGRAM.fails(&["--config", file], 78, &["asr.yaml"]);
    PROGRAM.fails(
        &["--config", "/nowhere/asr.yaml"],
        78,
        &["/nowhere/asr.yaml"],
    );
    PROGRAM.fails(&["--set", "nonsense"], 78, &["nonsense"]);
    PROGRAM.fails(&["--port", "70000"], 78, &["server.port"]);
}

#[test]
fn it_tells_its_version_its_settings_and_that_they_are_in_order() {
    let version = PROGRAM.output(&["--version"]);
    assert!(version.status.success());
    assert_eq!(
        String::from_utf8_lossy(&version.stdout),
        format!("asr {}\n", env!("CARGO_PKG_VERSION"))
    );
    let shipped = repository().join("config/asr.yaml");
    let checked = PROGRAM.output(&["--config", shipped.to_str().unwrap(), "--check-config"]);
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );
    let printed = PROGRAM.output(&["--set", "vad.threshold=0.6", "--print-config"]);
    let printed = String::from_utf8_lossy(&printed.stdout);
    assert!(
        printed.lines().any(|it| it.contains("threshold: 0.6")),
        "{printed}"
    );
}
