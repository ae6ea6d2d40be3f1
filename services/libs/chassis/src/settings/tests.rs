use std::io::Write as _;

use expect_test::{Expect, expect};

use super::*;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    server: ServerRaw,
    drain: DrainRaw,
    log: LogRaw,
    auth: AuthRaw,
    vad: VadRaw,
    model: ModelRaw,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct VadRaw {
    kind: VadKind,
    start_probability: f32,
    stop_probability: f32,
    enabled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum VadKind {
    SileroSmartTurn,
    Silero,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelRaw {
    name: String,
    home: Option<PathBuf>,
    threads: Option<u16>,
    token: Option<Secret>,
    languages: Vec<String>,
    temperatures: Vec<f32>,
}

const ALIASES: Aliases = Aliases {
    variables: &[
        VariableAlias {
            variable: "ASR_PORT",
            key: "server.port",
        },
        VariableAlias {
            variable: "ASR_LANGUAGES",
            key: "model.languages",
        },
    ],
    keys: &[
        KeyAlias {
            given: "vad.type",
            means: "vad.kind",
            values: &[("smart_turn_v3", "silero_smart_turn")],
        },
        KeyAlias {
            given: "vad.threshold",
            means: "vad.start_probability",
            values: &[],
        },
        KeyAlias {
            given: "engine.weights",
            means: "model.name",
            values: &[],
        },
    ],
    maps: &[],
};

fn defaults() -> Raw {
    Raw {
        server: ServerRaw::defaults(8001),
        drain: DrainRaw::defaults(),
        log: LogRaw::defaults(),
        auth: AuthRaw::defaults(),
        vad: VadRaw {
            kind: VadKind::Silero,
            start_probability: 0.5,
            stop_probability: 0.35,
            enabled: true,
        },
        model: ModelRaw {
            name: "demo".to_owned(),
            home: None,
            threads: None,
            token: None,
            languages: vec!["en".to_owned()],
            temperatures: vec![0.0, 0.2],
        },
    }
}

#[derive(Default)]
struct Given<'a> {
    yaml: &'a str,
    env: &'a [(&'a str, &'a str)],
    sets: &'a [&'a str],
    arguments: &'a [(&'static str, &'static str, &'a str)],
}

fn load_from(given: &Given<'_>) -> (Loaded<Raw>, Option<tempfile::NamedTempFile>) {
    let file = (!given.yaml.is_empty()).then(|| {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(given.yaml.as_bytes()).unwrap();
        file
    });
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let sources = Sources {
        file: file.as_ref().map(|it| it.path().to_owned()),
        environment: given.env.iter().map(owned).collect(),
        sets: given.sets.iter().map(|it| (*it).to_owned()).collect(),
        arguments: given
            .arguments
            .iter()
            .map(|(flag, key, value)| Argument {
                flag,
                key,
                value: (*value).to_owned(),
            })
            .collect(),
    };
    (load(&defaults(), &ALIASES, &sources), file)
}

fn check_all(raw: &Raw, problems: &mut Problems) -> Option<Raw> {
    drop(raw.server.check(problems));
    raw.drain.check(problems);
    drop(raw.log.check(problems));
    drop(raw.auth.check(problems));
    let range = 0.0..=1.0;
    problems.in_range(
        "vad.start_probability",
        raw.vad.start_probability,
        range.clone(),
    );
    problems.in_range("vad.stop_probability", raw.vad.stop_probability, range);
    if raw.vad.start_probability < raw.vad.stop_probability {
        problems.add(
            "vad.stop_probability",
            format!(
                "`vad.stop_probability` must not exceed `vad.start_probability`. Given: {} and {}",
                raw.vad.stop_probability, raw.vad.start_probability
            ),
        );
    }
    problems.is_empty().then(|| raw.clone())
}

fn settings(given: &Given<'_>) -> Raw {
    let (loaded, _file) = load_from(given);
    loaded.check(check_all).unwrap()
}

fn check_problems(given: &Given<'_>, expected: &Expect) {
    let (loaded, file) = load_from(given);
    let mut shown = loaded.check(check_all).unwrap_err().to_string();
    if let Some(file) = file {
        shown = shown.replace(&file.path().display().to_string(), "FILE");
    }
    expected.assert_eq(&shown);
}

#[test]
fn the_defaults_have_no_problem() {
    let raw = settings(&Given::default());
    assert_eq!(raw.server.port, 8001);
}

#[test]
fn each_source_beats_the_one_before() {
    let mut given = Given {
        yaml: "server: {port: 1}\n",
        ..Given::default()
    };
    assert_eq!(settings(&given).server.port, 1);
    given.env = &[("ASR_PORT", "2")];
    assert_eq!(settings(&given).server.port, 2);
    given.env = &[("VOICE__SERVER__PORT", "3"), ("ASR_PORT", "2")];
    assert_eq!(settings(&given).server.port, 3);
    given.sets = &["server.port=4"];
    assert_eq!(settings(&given).server.port, 4);
    given.sets = &["server.port=4", "server.port=5"];
    assert_eq!(settings(&given).server.port, 5);
    given.arguments = &[("--port", "server.port", "6")];
    assert_eq!(settings(&given).server.port, 6);
}

#[test]
fn text_takes_the_type_that_the_setting_wants() {
    let raw = settings(&Given {
        env: &[
            ("VOICE__VAD__START_PROBABILITY", "0.75"),
            ("VOICE__VAD__ENABLED", "no"),
            ("VOICE__MODEL__NAME", "123"),
            ("VOICE__MODEL__HOME", "/opt/1"),
            ("VOICE__MODEL__THREADS", "4"),
            ("VOICE__MODEL__TEMPERATURES", "0, 0.4"),
            ("ASR_LANGUAGES", "de, fr"),
        ],
        sets: &[
            "server.admin_port=9001",
            "server.cors_origins=[\"https://a.example\"]",
        ],
        ..Given::default()
    });
    assert!((raw.vad.start_probability - 0.75).abs() < f32::EPSILON);
    assert!(!raw.vad.enabled);
    assert_eq!(raw.model.name, "123");
    assert_eq!(raw.model.home, Some(PathBuf::from("/opt/1")));
    assert_eq!(raw.model.threads, Some(4));
    assert_eq!(raw.model.temperatures, [0.0, 0.4]);
    assert_eq!(raw.model.languages, ["de", "fr"]);
    assert_eq!(raw.server.admin_port, Some(9001));
    assert_eq!(raw.server.cors_origins, ["https://a.example"]);
}

#[test]
fn yaml_may_quote_or_not_and_may_leave_a_section_empty() {
    let raw = settings(&Given {
        yaml: "server:\n  port: \"8011\"\nvad:\n  # all commented out\nmodel:\n  name: 7\n  threads: null\n",
        ..Given::default()
    });
    assert_eq!(raw.server.port, 8011);
    assert_eq!(raw.model.name, "7");
    assert_eq!(raw.model.threads, None);
}

#[test]
fn the_files_of_others_are_understood() {
    let raw = settings(&Given {
        yaml: "vad: {type: smart_turn_v3, threshold: 0.6}\nengine: {weights: large-v3}\n",
        ..Given::default()
    });
    assert_eq!(raw.vad.kind, VadKind::SileroSmartTurn);
    assert!((raw.vad.start_probability - 0.6).abs() < f32::EPSILON);
    assert_eq!(raw.model.name, "large-v3");
    let raw = settings(&Given {
        sets: &["vad.type=silero"],
        ..Given::default()
    });
    assert_eq!(raw.vad.kind, VadKind::Silero);
}

#[test]
fn every_problem_is_reported_at_once() {
    check_problems(
        &Given {
            yaml: "
server: {prot: 8001, port: 70000, max_connections: 0, host: nowhere}
sever: {host: 0.0.0.0}
vad: {start_probability: 0.1, stop_probability: 0.9, enabled: maybe}
model: 5
log: {format: xml, level: 'asr=loud'}
auth: {api_keys_file: /nowhere/keys}
",
            env: &[
                ("ASR_PORT", "http"),
                ("VOICE__VAD__STRAT_PROBABILITY", "0.5"),
                ("VOICE_SERVER__PORT", "1"),
                ("VOICE", "ignored"),
                ("PATH", "/bin"),
            ],
            sets: &[
                "server.workers=-1",
                "port=1",
                "vad.start_probability=NaN",
                "drain.deadline_ms",
                "server.ping_interval_ms=400000",
            ],
            arguments: &[("--host", "server.host", "0.0.0.0.0")],
        },
        &expect![[r#"
            18 problems with the settings:
              - `model` is a section: its settings are written below it. Given: 5 (from: FILE)
              - `server.prot` is not a setting; did you mean `server.port`? (from: FILE)
              - `sever` is not a setting; did you mean `server`? (from: FILE)
              - environment variable `VOICE_SERVER__PORT` is not read; did you mean `VOICE__SERVER__PORT`, with two underscores?
              - `vad.strat_probability` is not a setting; did you mean `vad.start_probability`? (from: environment variable VOICE__VAD__STRAT_PROBABILITY)
              - `port` is not a setting; did you mean `server.port`? (from: --set)
              - `--set` takes `key=value`, for example `server.port=8001`. Given: `drain.deadline_ms`
              - `log.format` has a value that it cannot take: unknown variant `xml`, expected one of `auto`, `json`, `text` (from: FILE)
              - `server.port` has a value that it cannot take: invalid type: string "http", expected a whole number from 0 to 65535 (from: environment variable ASR_PORT)
              - `server.workers` has a value that it cannot take: invalid value: integer `-1`, expected a whole number, 0 or more (from: --set)
              - `vad.enabled` has a value that it cannot take: invalid type: string "maybe", expected true or false (from: FILE)
              - `vad.start_probability` has a value that it cannot take: invalid type: string "NaN", expected a number (from: --set)
              - `server.idle_timeout_ms` must be longer than `server.ping_interval_ms`. Given: 300000 and 400000 (from: default)
              - `server.host` must be an IP address, for example 127.0.0.1 or 0.0.0.0. Given: `0.0.0.0.0` (from: --host)
              - `server.max_connections` must be at least 1. Given: 0 (from: FILE)
              - `log.level` must be error, warn, info, debug, trace or rules such as `info,chassis=debug`. Given: `asr=loud` (from: FILE)
              - `auth.api_keys_file`: cannot read `/nowhere/keys`: No such file or directory (os error 2) (from: FILE)
              - `vad.stop_probability` must not exceed `vad.start_probability`. Given: 0.9 and 0.5 (from: FILE)"#]],
    );
}

#[test]
fn a_name_and_its_alias_together_are_one_too_many() {
    check_problems(
        &Given {
            yaml: "vad: {threshold: 0.5, start_probability: 0.6}\n",
            ..Given::default()
        },
        &expect![[r#"
            a problem with the settings:
              - `vad.start_probability` is given twice, under two names (from: FILE)"#]],
    );
}

#[test]
fn a_broken_or_missing_file_is_named() {
    check_problems(
        &Given {
            yaml: "server: [unclosed\n",
            ..Given::default()
        },
        &expect![[r#"
            a problem with the settings:
              - `FILE` is not a YAML map: while parsing a flow sequence, expected ',' or ']' at byte 18 line 2 column 1"#]],
    );
    let sources = Sources {
        file: Some(PathBuf::from("/nowhere/asr.yaml")),
        ..Sources::default()
    };
    let loaded = load(&defaults(), &ALIASES, &sources);
    expect![[r#"
        a problem with the settings:
          - cannot read `/nowhere/asr.yaml`: No such file or directory (os error 2)"#]]
    .assert_eq(&loaded.check(check_all).unwrap_err().to_string());
}

#[test]
fn the_settings_in_effect_are_shown_with_their_origins_and_without_secrets() {
    let (loaded, file) = load_from(&Given {
        yaml: "model: {name: base}\nvad: {threshold: 0.6}\n",
        env: &[("VOICE__MODEL__TOKEN", "hunter2"), ("ASR_PORT", "8011")],
        sets: &["log.level=debug"],
        arguments: &[("--host", "server.host", "127.0.0.1")],
    });
    let yaml = loaded.to_yaml();
    assert!(!yaml.contains("hunter2") && !format!("{loaded:?}").contains("hunter2"));
    assert_eq!(
        loaded.raw().model.token.as_ref().unwrap().expose(),
        "hunter2"
    );
    let path = file.unwrap().path().display().to_string();
    expect![[r#"
        auth:
          api_keys_file: null  # default
        drain:
          announce_ms: 0  # default
          deadline_ms: 120000  # default
        log:
          format: "auto"  # default
          level: "debug"  # --set
        model:
          home: null  # default
          languages: ["en"]  # default
          name: "base"  # FILE
          temperatures: [0.0,0.2]  # default
          threads: null  # default
          token: "****"  # environment variable VOICE__MODEL__TOKEN
        server:
          admin_host: "127.0.0.1"  # default
          admin_port: null  # default
          backlog: 1024  # default
          body_timeout_ms: 15000  # default
          close_timeout_ms: 2000  # default
          cors_origins: []  # default
          header_timeout_ms: 5000  # default
          host: "127.0.0.1"  # --host
          idle_timeout_ms: 300000  # default
          keep_alive_ms: 75000  # default
          max_connections: 100  # default
          max_frame_bytes: 1048576  # default
          max_json_bytes: 1048576  # default
          max_outbox_bytes: 1048576  # default
          max_upload_bytes: 268435456  # default
          ping_interval_ms: 15000  # default
          port: 8011  # environment variable ASR_PORT
          rate_limit_burst: 30  # default
          rate_limit_per_minute: 0  # default
          request_timeout_ms: 600000  # default
          slow_reader_ms: 10000  # default
          trust_forwarded: false  # default
          workers: 0  # default
        vad:
          enabled: true  # default
          kind: "silero"  # default
          start_probability: 0.6  # FILE
          stop_probability: 0.35  # default
    "#]]
    .assert_eq(&yaml.replace(&path, "FILE"));
}

#[test]
fn what_is_printed_can_be_read_back() {
    let (printed, _) = load_from(&Given {
        sets: &[
            "model.name=a: b # c",
            "server.port=8011",
            "vad.stop_probability=0.25",
        ],
        ..Given::default()
    });
    let yaml = printed.to_yaml();
    let (again, _file) = load_from(&Given {
        yaml: &yaml,
        ..Given::default()
    });
    let values = |loaded: &Loaded<Raw>| -> Vec<_> {
        loaded
            .effective()
            .into_iter()
            .map(|it| (it.key, it.value))
            .collect()
    };
    assert_eq!(values(&again), values(&printed));
    assert!(
        again
            .effective()
            .iter()
            .all(|it| matches!(it.origin, Origin::File(_)))
    );
    again.check(check_all).unwrap();
}

#[test]
fn secrets_hide() {
    let secret = Secret::from("hunter2".to_owned());
    assert_eq!(format!("{secret:?}"), "Secret(****)");
    assert_eq!(serde_json::to_string(&secret).unwrap(), "\"****\"");
    assert_eq!(serde_json::to_string(&Secret::default()).unwrap(), "\"\"");
}

#[test]
fn an_interval_of_pings_shorter_than_the_idle_limit_is_fine_and_equal_is_not() {
    let given = |sets| Given {
        sets,
        ..Given::default()
    };
    settings(&given(&["server.idle_timeout_ms=15001"]));
    let (loaded, _) = load_from(&given(&["server.idle_timeout_ms=15000"]));
    assert!(loaded.check(check_all).is_err());
}

#[test]
fn a_map_of_the_operator_s_own_words_takes_any_key() {
    #[derive(Debug, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Named {
        voices: Voices,
    }
    #[derive(Debug, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Voices {
        aliases: std::collections::BTreeMap<String, String>,
        others: std::collections::BTreeMap<String, String>,
    }
    let one = || std::collections::BTreeMap::from([("alloy".to_owned(), "default".to_owned())]);
    let defaults = Named {
        voices: Voices {
            aliases: one(),
            others: one(),
        },
    };
    let aliases = Aliases {
        variables: &[],
        keys: &[],
        maps: &["voices.aliases"],
    };
    let load_sets = |sets: &[&str]| {
        let sets = sets.iter().map(|it| (*it).to_owned()).collect();
        let sources = Sources {
            sets,
            ..Sources::default()
        };
        load(&defaults, &aliases, &sources)
    };
    let loaded = load_sets(&["voices.aliases.alloy=Ann", "voices.aliases.Bob=7"]);
    let aliases = &loaded.raw().voices.aliases;
    assert_eq!(
        (aliases["alloy"].as_str(), aliases["Bob"].as_str()),
        ("Ann", "7")
    );
    assert!(loaded.problems.is_empty(), "{}", loaded.problems);
    for key in [
        "voices.others.bob",
        "voices.aliases.bob.further",
        "voices.bob",
    ] {
        let told = load_sets(&[&format!("{key}=default")]).problems.to_string();
        assert!(
            told.contains(&format!("`{key}` is not a setting")),
            "{told}"
        );
    }
}
