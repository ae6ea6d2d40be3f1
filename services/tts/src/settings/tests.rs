//! The shipped file, the keys of others, and every kind of mistake.

use std::path::Path;

use super::*;

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/tts.yaml")
}

fn load(yaml: &str, environment: &[(&str, &str)], sets: &[&str]) -> Loaded<Raw> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), yaml).unwrap();
    let sources = Sources {
        file: Some(file.path().to_owned()),
        environment: environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        sets: sets.iter().map(|it| (*it).to_owned()).collect(),
        arguments: Vec::new(),
    };
    Raw::load(&sources)
}

fn settings(yaml: &str) -> Settings {
    load(yaml, &[], &[]).check(Raw::check).unwrap()
}

fn problems(yaml: &str) -> Vec<String> {
    let problems = load(yaml, &[], &[]).check(Raw::check).unwrap_err();
    problems.iter().map(|it| it.message.clone()).collect()
}

#[test]
fn the_shipped_file_is_the_defaults_complete() {
    let text = std::fs::read_to_string(shipped()).unwrap();
    let loaded = Raw::load(&Sources {
        file: Some(shipped()),
        ..Sources::default()
    });
    loaded.check(Raw::check).unwrap();
    let defaults = Raw::load(&Sources::default());
    assert_eq!(loaded.effective().len(), defaults.effective().len());
    for (given, built_in) in loaded.effective().iter().zip(defaults.effective()) {
        assert_eq!((&given.key, &given.value), (&built_in.key, &built_in.value));
        assert!(
            matches!(given.origin, chassis::settings::Origin::File(_)),
            "`{}` is not in the shipped file",
            given.key
        );
    }
    // Every key has its explanation in the line above.
    let lines: Vec<&str> = text.lines().collect();
    for pair in lines.windows(2) {
        let [above, line] = pair else { continue };
        let is_key = line.starts_with("  ") && !line.trim_start().starts_with('#');
        // The graphs are explained together.
        let is_graph = line.starts_with("    ");
        assert!(
            !is_key || is_graph || above.trim_start().starts_with('#'),
            "no comment above: {line}"
        );
    }
}

#[test]
fn the_defaults_pass_their_own_check() {
    let settings = settings("");
    assert_eq!(settings.model.name, "demo");
    assert_eq!(settings.server.address.port(), 8_002);
    assert_eq!(settings.stream.sizes, [8, 12, 20, 30, 50]);
    assert_eq!(settings.cache_bytes, None);
}

#[test]
fn the_older_server_s_file_is_understood_as_written() {
    let settings = settings(
        "model:\n  device: \"cuda\"\n  chunk_size: 40\n\
         server:\n  host: \"0.0.0.0\"\n  port: 8002\n  max_connections: 30\n",
    );
    assert_eq!(settings.model.device, Device::Cuda);
    assert_eq!(settings.stream.sizes, [8, 12, 20, 30, 40]);
    assert_eq!(settings.server.max_connections.get(), 30);
}

#[test]
fn a_chunk_size_given_under_both_names_is_a_mistake() {
    let told = problems("model:\n  chunk_size: 40\nstream:\n  chunk_size: 50\n").join("\n");
    assert!(
        told.contains("`stream.chunk_size` is given twice"),
        "{told}"
    );
}

#[test]
fn the_first_pieces_are_never_longer_than_the_others() {
    assert_eq!(
        settings("stream:\n  chunk_size: 10\n").stream.sizes,
        [8, 10, 10, 10, 10]
    );
}

#[test]
fn the_variables_are_understood() {
    let environment = [("TTS_PORT", "8012"), ("TTS_INSTANCE_ID", "tts-b")];
    let settings = load("", &environment, &[]).check(Raw::check).unwrap();
    assert_eq!(settings.server.address.port(), 8012);
    assert_eq!(settings.instance_id.as_deref(), Some("tts-b"));
}

#[test]
fn stronger_sources_win() {
    let environment = [("TTS_PORT", "8012"), ("VOICE__SERVER__PORT", "8022")];
    let port = |sets: &[&str]| {
        let loaded = load("server:\n  port: 8032\n", &environment, sets);
        loaded.check(Raw::check).unwrap().server.address.port()
    };
    assert_eq!(port(&[]), 8022);
    assert_eq!(port(&["server.port=8042"]), 8042);
}

#[test]
fn every_problem_is_told_at_once() {
    let told = problems(
        "server:\n  prot: 8001\n\
         model:\n  name: ../etc\n  max_batch: 0\n  device: tpu\n  precision:\n    language_model: a/b\n\
         speech:\n  voice: ../x\n  exaggeration: 9\n  temperature: -1\n  top_p: 2\n  top_k: 99999\n  speed: 0\n  sample_rate: 7999\n  format: aac\n  max_seconds: 0\n\
         text:\n  max_chars: 0\n  target_sentence_chars: 100\n  max_sentence_chars: 50\n  sentence_pause_ms: 60000\n\
         stream:\n  chunk_size: 0\n  first_chunks: [0]\n  context: 0\n  max_requests: 0\n\
         voices:\n  store: ftp://x\n  min_seconds: 0\n  max_seconds: 500\n",
    )
    .join("\n");
    for key in [
        "server.prot",
        "server.port",
        "model.name",
        "model.max_batch",
        "model.device",
        "model.precision.language_model",
        "speech.voice",
        "speech.exaggeration",
        "speech.temperature",
        "speech.top_p",
        "speech.top_k",
        "speech.speed",
        "speech.sample_rate",
        "speech.format",
        "speech.max_seconds",
        "text.max_chars",
        "text.max_sentence_chars",
        "text.sentence_pause_ms",
        "stream.chunk_size",
        "stream.first_chunks",
        "stream.context",
        "stream.max_requests",
        "voices.store",
        "voices.min_seconds",
        "voices.max_seconds",
    ] {
        assert!(
            told.contains(&format!("`{key}`")),
            "{key} is not in:\n{told}"
        );
    }
}

#[test]
fn everybody_let_in_finds_a_place_for_two_sentences() {
    let with = |max_connections: usize, queue_places: usize| {
        format!(
            "server:\n  max_connections: {max_connections}\nmodel:\n  queue_places: {queue_places}\n"
        )
    };
    assert_eq!(settings(&with(256, 512)).server.max_connections.get(), 256);
    let told = problems(&with(300, 512));
    assert_eq!(told.len(), 1, "{told:?}");
    for word in [
        "`model.queue_places`",
        "`server.max_connections`",
        "512 and 300",
        "`model.queue_places` to 600",
        "`server.max_connections` to 256",
    ] {
        assert!(told[0].contains(word), "{word}: {}", told[0]);
    }
    // Together with whatever else is wrong.
    let told = problems(&format!("{}speech:\n  speed: 9\n", with(300, 512)));
    assert_eq!(told.len(), 2, "{told:?}");
}

#[test]
fn voices_may_have_any_other_names() {
    let settings = settings(
        "voices:
  aliases:
    alloy: maria
    my_own: default
",
    );
    let voice_of = |name: &str| {
        let mut aliases = settings.voices.aliases.iter();
        aliases
            .find(|(it, _)| it.as_str() == name)
            .map(|(_, voice)| voice.as_str().to_owned())
    };
    assert_eq!(voice_of("alloy").as_deref(), Some("maria"));
    assert_eq!(voice_of("my_own").as_deref(), Some("default"));
    assert_eq!(voice_of("verse").as_deref(), Some("default"));
    let told = problems(
        "voices:
  aliases:
    '../x': default
",
    )
    .join(
        "
",
    );
    assert!(told.contains("voices.aliases"), "{told}");
}

proptest::proptest! {
    #[test]
    fn no_file_panics(yaml in "(server|model|speech|text|stream|voices|cache)?:?\n?( {0,2}[a-z_]{0,12}: ?[-a-z0-9.\\[\\]{}\"]{0,8}\n){0,6}") {
        drop(load(&yaml, &[], &[]).check(Raw::check));
    }

    #[test]
    fn no_set_panics(set in ".{0,60}") {
        drop(load("", &[], &[&set]).check(Raw::check));
    }
}
