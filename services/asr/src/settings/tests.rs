//! The shipped file, the keys of others, and every kind of mistake.

use std::path::Path;

use super::*;

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/asr.yaml")
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
        assert!(
            !is_key || above.trim_start().starts_with('#'),
            "no comment above: {line}"
        );
    }
}

#[test]
fn the_defaults_pass_their_own_check() {
    let settings = settings("");
    assert_eq!(settings.model.name, "demo");
    assert_eq!(
        settings.vad.policy,
        Policy::preset(crate::session::Method::SileroSmartTurn)
    );
}

#[test]
fn the_older_server_s_file_is_understood_as_written() {
    let settings = settings(
        "model:\n  name: \"large-v3\"\n  device: \"cuda\"\n  compute_type: \"float16\"\n\
         vad:\n  type: \"smart_turn_v3\"\n  threshold: 0.5\n\
         server:\n  host: \"0.0.0.0\"\n  port: 8001\n  max_connections: 30\n",
    );
    assert_eq!(settings.model.name, "large-v3");
    assert_eq!(
        (settings.model.device, settings.model.compute_type),
        (Device::Cuda, ComputeType::Float16)
    );
    assert_eq!(settings.vad.raw.kind, VadKind::SileroSmartTurn);
    assert_eq!(settings.server.max_connections.get(), 30);
}

#[test]
fn the_older_servers_variables_are_understood() {
    let environment = [
        ("ASR_PORT", "8011"),
        ("ASR_INSTANCE_ID", "asr-b"),
        ("STT_MODEL", "openai/whisper-base"),
    ];
    let settings = load("", &environment, &[]).check(Raw::check).unwrap();
    assert_eq!(settings.server.address.port(), 8011);
    assert_eq!(settings.instance_id.as_deref(), Some("asr-b"));
    assert_eq!(settings.model.name, "openai/whisper-base");
}

#[test]
fn stronger_sources_win() {
    let environment = [("ASR_PORT", "8011"), ("VOICE__SERVER__PORT", "8021")];
    let port = |sets: &[&str]| {
        let loaded = load("server:\n  port: 8031\n", &environment, sets);
        loaded.check(Raw::check).unwrap().server.address.port()
    };
    assert_eq!(port(&[]), 8021);
    assert_eq!(port(&["server.port=8041"]), 8041);
}

#[test]
fn every_problem_is_told_at_once() {
    let told = problems(
        "server:\n  prot: 8001\n\
         model:\n  max_batch: 0\n  device: tpu\n\
         decode:\n  language: klingon\n  temperatures: [0.4, 0.2]\n  beam_size: 99\n\
         vad:\n  threshold: 0.3\n  stop_threshold: 0.6\n  turn_threshold: 2\n\
         stream:\n  sample_rate: 1000000\n  max_buffer_ms: 100\n\
         files:\n  max_seconds: 0\n",
    )
    .join("\n");
    for key in [
        "server.prot",
        "server.port",
        "model.max_batch",
        "model.device",
        "decode.language",
        "decode.temperatures",
        "decode.beam_size",
        "vad.stop_threshold",
        "vad.turn_threshold",
        "stream.sample_rate",
        "stream.max_buffer_ms",
        "files.max_seconds",
    ] {
        assert!(
            told.contains(&format!("`{key}`")),
            "{key} is not in:\n{told}"
        );
    }
}

/// What passes here is in every stream that does not say otherwise.
#[test]
fn a_pause_that_is_not_given_is_compared_as_the_one_it_means() {
    for yaml in [
        "vad:\n  max_stop_ms: 150\n",
        "vad:\n  type: energy\n  max_stop_ms: 300\n",
        "vad:\n  stop_ms: 900\n  max_stop_ms: 800\n",
    ] {
        let told = problems(yaml);
        assert!(
            told.len() == 1 && told[0].contains("`vad.max_stop_ms`"),
            "{yaml}: {told:?}"
        );
    }
    settings("vad:\n  max_stop_ms: 200\n");
    settings("vad:\n  stop_ms: 100\n  max_stop_ms: 150\n");
}

#[test]
fn a_policy_follows_its_method_and_the_given_values() {
    let energy = settings("vad:\n  type: energy\n").vad.policy;
    assert_eq!(
        energy,
        Policy {
            drafts: energy.drafts,
            ..Policy::preset(crate::session::Method::Energy)
        }
    );
    let given = settings("vad:\n  threshold: 0.7\n  stop_ms: 300\nstream:\n  partials: false\n")
        .vad
        .policy;
    assert!(
        (given.stop_probability - 0.55).abs() < 1e-6,
        "{}",
        given.stop_probability
    );
    assert_eq!(given.stop, Duration::from_millis(300));
    assert_eq!(given.drafts, None);
}

proptest::proptest! {
    #[test]
    fn no_file_panics(yaml in "(server|model|vad|stream|decode)?:?\n?( {0,2}[a-z_]{0,12}: ?[-a-z0-9.\\[\\]{}\"]{0,8}\n){0,6}") {
        drop(load(&yaml, &[], &[]).check(Raw::check));
    }

    #[test]
    fn no_set_panics(set in ".{0,60}") {
        drop(load("", &[], &[&set]).check(Raw::check));
    }
}
