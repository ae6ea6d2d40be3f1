//! The architecture as a test: who may use whom, and what may be said where.
//!
//! A rule that only stands in a document is broken by the next change. These are the rules that the
//! compiler and the linter cannot see; each failure names the file, the line and the reason.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// Our crates, and which of ours each may use. A new edge is the dearest kind of change: it needs a
/// line here and a reason in `docs/ARCHITECTURE.md`.
const MAY_USE: &[(&str, &[&str])] = &[
    ("wire", &[]),
    ("audio", &[]),
    ("batcher", &[]),
    ("chassis", &["wire"]),
    ("asr", &["wire", "audio", "batcher", "chassis"]),
    ("tts", &["wire", "audio", "batcher", "chassis"]),
    // Speaks to the servers from outside too, in the words of the protocol.
    ("voice-client", &["wire"]),
    ("e2e", &["wire", "asr", "tts", "voice-client"]),
    // Speaks to the servers from outside, and so must not share a line with them.
    ("loadgen", &[]),
];

/// What a rule's words may not be found in.
enum Scope {
    /// They belong here and nowhere else. Empty: nowhere.
    OnlyIn(&'static [&'static str]),
    /// They do not belong here.
    NotIn(&'static [&'static str]),
}

struct Rule {
    /// Whole words, as they stand in the code.
    words: &'static [&'static str],
    scope: Scope,
    reason: &'static str,
}

/// The pure part of the services: events in, actions out.
const CORE: &[&str] = &[
    "services/asr/src/session.rs",
    "services/asr/src/session",
    "services/asr/src/windows.rs",
    "services/asr/src/transcript.rs",
    "services/tts/src/text.rs",
    "services/tts/src/text",
    "services/tts/src/utterance.rs",
    "services/tts/src/utterance",
    "services/tts/src/vocode.rs",
    "services/tts/src/vocode",
    "services/tts/src/render.rs",
    "services/tts/src/render",
    "services/clients/rust/src/core.rs",
    "services/clients/rust/src/retry.rs",
    "services/clients/rust/src/asr/core.rs",
    "services/clients/rust/src/tts/core.rs",
];

/// Paths are prefixes from the root of the repository; `*` stands for one folder.
const RULES: &[Rule] = &[
    Rule {
        words: &["ct2rs", "ort"],
        scope: Scope::OnlyIn(&["services/*/src/models"]),
        reason: "an engine is a detail of its model",
    },
    Rule {
        words: &["env::var", "env::vars", "env::var_os", "env::vars_os"],
        scope: Scope::OnlyIn(&[
            "services/libs/chassis/src/settings.rs",
            "services/libs/chassis/src/settings",
            // Runs while building and not while serving.
            "services/*/build.rs",
            // Whether a server that only CI has must be there.
            "services/tts/tests/voices_s3.rs",
        ]),
        reason: "only `chassis::settings` reads the environment, so one place shows every setting",
    },
    Rule {
        words: &["env::set_var", "env::remove_var"],
        scope: Scope::OnlyIn(&[]),
        reason: "races with every other thread",
    },
    Rule {
        words: &[
            "unbounded_channel",
            "UnboundedSender",
            "UnboundedReceiver",
            "unbounded",
            "mpsc::channel()",
        ],
        scope: Scope::OnlyIn(&[]),
        reason: "every channel has a bound and says what happens when it is full",
    },
    Rule {
        words: &["thread::spawn"],
        scope: Scope::OnlyIn(&[]),
        reason: "threads are named and their end is seen",
    },
    Rule {
        words: &["thread::sleep", "sleep_ms"],
        scope: Scope::OnlyIn(&[
            "services/libs/*/tests",
            // A scripted model takes its time on a thread of its own.
            "services/asr/src/models/scripted.rs",
            "services/tts/src/models/scripted.rs",
        ]),
        reason: "blocks a worker of the server; a model thread waits on its queue",
    },
    Rule {
        words: &["spawn_blocking", "web::block"],
        scope: Scope::OnlyIn(&[
            // A scrape: the monitor asks for one at a time.
            "services/libs/chassis/src/admin.rs",
            // The spectrum of a clip: one at a time for each clip that holds a place.
            "services/asr/src/recognizer.rs",
            // Megabytes of JSON: one at a time for each upload, and uploads are counted.
            "services/asr/src/transcribe/source.rs",
            // A chunk of a compressed form: one at a time for each request that holds a place.
            "services/tts/src/synthesize/respond.rs",
            // The archive's own files: one at a time for each registration, which holds a place.
            "services/tts/src/voices/archive.rs",
        ]),
        reason: "a second queue without a bound, an order or a metric; the batcher is the queue",
    },
    Rule {
        words: &[
            "async",
            "await",
            "Instant",
            "SystemTime",
            "tokio",
            "tracing",
            "thread",
        ],
        scope: Scope::NotIn(CORE),
        reason: "the core is pure: its time is the sample count, its effects are returned",
    },
    Rule {
        words: &["Serialize", "Deserialize", "serde"],
        scope: Scope::NotIn(CORE),
        reason: "what is serialised is in `wire`, a dialect or settings; the core has its own types",
    },
    Rule {
        words: &["actix_web", "actix_ws", "actix_rt"],
        scope: Scope::NotIn(&[
            "services/libs/audio",
            "services/libs/batcher",
            "services/libs/wire",
            "services/asr/src/models",
            "services/asr/src/recognizer",
            "services/asr/src/recognizer.rs",
            "services/tts/src/models",
            "services/tts/src/narration.rs",
            "services/tts/src/speaker",
            "services/tts/src/speaker.rs",
            "services/tts/src/voices",
            "services/tts/src/voices.rs",
        ]),
        reason: "the web is for the edges and the chassis",
    },
];

#[test]
fn crates_depend_only_downwards() {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version=1"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        metadata.status.success(),
        "{}",
        String::from_utf8_lossy(&metadata.stderr)
    );
    let metadata: Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let name_of = |package: &Value| package["name"].as_str().unwrap().to_owned();
    let ours: BTreeSet<String> = packages.iter().map(name_of).collect();

    let mapped: BTreeSet<String> = MAY_USE.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(
        ours, mapped,
        "the crates there are, and the crates in the map"
    );
    for package in packages {
        let name = name_of(package);
        let (_, allowed) = MAY_USE.iter().find(|(it, _)| *it == name).unwrap();
        for dependency in package["dependencies"].as_array().unwrap() {
            let used = name_of(dependency);
            let is_allowed = !ours.contains(&used) || allowed.contains(&used.as_str());
            assert!(is_allowed, "`{name}` must not use `{used}`");
        }
    }
}

#[test]
fn forbidden_words_are_not_said() {
    let mut sources = Vec::new();
    collect_sources(&root().join("services"), &mut sources);
    for name in [
        "asr",
        "tts",
        "libs/audio",
        "libs/batcher",
        "libs/chassis",
        "libs/wire",
    ] {
        let seen = root().join("services").join(name).join("src/lib.rs");
        assert!(sources.contains(&seen), "`{name}` was not scanned");
    }
    let mut problems = Vec::new();
    for source in sources {
        let path = source
            .strip_prefix(root())
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let text = fs::read_to_string(&source).unwrap();
        problems.extend(problems_in(&path, &text));
    }
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

/// Every place of the rules exists: a file that was renamed would otherwise leave its rule empty.
#[test]
fn the_places_of_the_rules_exist() {
    for rule in RULES {
        let (Scope::OnlyIn(places) | Scope::NotIn(places)) = rule.scope;
        for place in places {
            let exists = match place.split_once("/*/") {
                Some((folder, rest)) => fs::read_dir(root().join(folder))
                    .unwrap()
                    .any(|entry| entry.unwrap().path().join(rest).exists()),
                None => root().join(place).exists(),
            };
            assert!(
                exists || is_optional(place),
                "`{place}` is in a rule and not in the repository"
            );
        }
    }
}

/// A module may be one file or grow a folder beside it.
fn is_optional(place: &str) -> bool {
    let twin = match place.strip_suffix(".rs") {
        Some(folder) => folder.to_owned(),
        None => format!("{place}.rs"),
    };
    root().join(twin).exists()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn collect_sources(folder: &Path, sources: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            // Fuzz targets are programs of their own and outside the workspace.
            if !path.ends_with("target") && !path.ends_with("fuzz") {
                collect_sources(&path, sources);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push(path);
        }
    }
}

fn problems_in(path: &str, text: &str) -> Vec<String> {
    let code = code_of(text);
    let mut problems = Vec::new();
    for rule in RULES {
        let applies = match rule.scope {
            Scope::OnlyIn(places) => !places.iter().any(|place| is_in(path, place)),
            // A test may look at the clock.
            Scope::NotIn(places) => {
                !path.contains("/tests/") && places.iter().any(|place| is_in(path, place))
            }
        };
        if !applies {
            continue;
        }
        for (line_idx, line) in code.lines().enumerate() {
            for word in rule.words.iter().filter(|word| says(line, word)) {
                let n_line = line_idx + 1;
                problems.push(format!("{path}:{n_line}: `{word}`: {}", rule.reason));
            }
        }
    }
    problems
}

fn is_in(path: &str, place: &str) -> bool {
    let mut steps = path.split('/');
    place.split('/').all(|wanted| {
        steps
            .next()
            .is_some_and(|step| wanted == "*" || wanted == step)
    })
}

/// Whether a line says a word, and not one that only contains it.
fn says(line: &str, word: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        let after = line[start + word.len()..].chars().next();
        !before.is_some_and(is_name) && !after.is_some_and(is_name)
    })
}

/// The text without its comments and without what stands in quotes; its lines stay where they were.
fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skipped = skipped_at(rest, code.chars().next_back());
        if skipped == 0 {
            code.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        }
        code.extend(rest[..skipped].chars().filter(|&it| it == '\n'));
        // Keeps what stood before and after apart.
        code.push(' ');
        rest = &rest[skipped..];
    }
    code
}

/// The length of the comment or literal that begins here. 0 if none does.
fn skipped_at(rest: &str, before: Option<char>) -> usize {
    let to = |end: Option<usize>| end.unwrap_or(rest.len());
    if rest.starts_with("//") {
        return to(rest.find('\n'));
    }
    if rest.starts_with("/*") {
        return to(rest.find("*/").map(|end| end + 2));
    }
    if rest.starts_with('"') {
        return to(end_of_quote(rest, '"'));
    }
    let follows_name = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let unprefixed = rest.strip_prefix('b').unwrap_or(rest);
    if let Some(after_r) = unprefixed.strip_prefix('r').filter(|_| !follows_name) {
        let hashes: String = after_r.chars().take_while(|&c| c == '#').collect();
        if after_r[hashes.len()..].starts_with('"') {
            let open = rest.len() - after_r.len() + hashes.len() + 1;
            let close = format!("\"{hashes}");
            return to(rest[open..]
                .find(&close)
                .map(|end| open + end + close.len()));
        }
    }
    // A quote that is not closed after one character, escaped or not, begins a lifetime.
    let mut quoted = rest.chars().skip(1);
    if rest.starts_with('\'') && (quoted.next() == Some('\\') || quoted.next() == Some('\'')) {
        return to(end_of_quote(rest, '\''));
    }
    0
}

/// Where a literal ends that begins with this quote, escapes respected.
fn end_of_quote(rest: &str, quote: char) -> Option<usize> {
    let mut is_escaped = false;
    for (idx, c) in rest.char_indices().skip(1) {
        if is_escaped {
            is_escaped = false;
        } else if c == '\\' {
            is_escaped = true;
        } else if c == quote {
            return Some(idx + 1);
        }
    }
    None
}

#[track_caller]
fn check(path: &str, text: &str, n_problems: usize) {
    let problems = problems_in(path, text);
    assert_eq!(problems.len(), n_problems, "{problems:?}");
}

#[test]
fn the_scan_sees_each_rule_broken() {
    let edge = "services/asr/src/stream.rs";
    check(edge, "use ct2rs::sys;", 1);
    check(edge, "let session = ort::session::Session::builder();", 1);
    check(edge, "let home = std::env::var(\"HOME\");", 1);
    check(edge, "unsafe { std::env::set_var(key, value) }", 1);
    check(
        edge,
        "let (tx, rx) = tokio::sync::mpsc::unbounded_channel();",
        1,
    );
    check(edge, "let (tx, rx) = std::sync::mpsc::channel();", 1);
    check(
        edge,
        "std::thread::spawn(work);\nstd::thread::sleep(LONG);",
        2,
    );
    check(edge, "let text = web::block(read).await;", 1);
    check(
        "services/asr/src/session/turn.rs",
        "let now = Instant::now();",
        1,
    );
    check(
        "services/asr/src/transcript.rs",
        "#[derive(serde::Serialize)]",
        2,
    );
    check(
        "services/libs/audio/src/wav.rs",
        "use actix_web::web::Bytes;",
        1,
    );
}

#[test]
fn the_scan_lets_the_rest_pass() {
    check("services/asr/src/models/whisper.rs", "use ct2rs::sys;", 0);
    check(
        "services/libs/chassis/src/settings.rs",
        "std::env::vars_os()",
        0,
    );
    let edge = "services/asr/src/stream.rs";
    check(edge, "use std::time::Instant; async fn read() {}", 0);
    check(edge, "let (tx, rx) = tokio::sync::mpsc::channel(8);", 0);
    check(
        edge,
        "let port = report(sort(ort_like)); env!(\"CARGO\");",
        0,
    );
    check(
        edge,
        "// use ct2rs::sys;\n/* std::thread::spawn */\n/// `ort::Session`",
        0,
    );
    check(
        edge,
        "let url = \"https://x/\\\" ort\"; let raw = r#\"ort \" ct2rs\"#;",
        0,
    );
    check(
        edge,
        "fn a<'a>(c: char) -> bool { c == '\"' || c == '\\'' } // ort",
        0,
    );
}

#[test]
fn the_scan_goes_on_after_comments_and_literals() {
    let edge = "services/asr/src/stream.rs";
    check(edge, "let url = \"https://x\"; use ct2rs::sys;", 1);
    check(edge, "let raw = r#\"a\"b\"#; use ct2rs::sys;", 1);
    check(edge, "let c = '\"'; use ct2rs::sys; let d = '\"';", 1);
    check(edge, "/* one */ use ct2rs::sys;", 1);
    assert_eq!(
        problems_in(edge, "\n\"two\nlines\"\nuse ort::x;"),
        ["services/asr/src/stream.rs:4: `ort`: an engine is a detail of its model"]
    );
}
