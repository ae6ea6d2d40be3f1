//! What the log looks like.

use std::thread;

use chassis::settings::{LogFormat, LogRaw, Problems};
use chassis::telemetry;
use serde_json::Value;

use crate::service::other_half;

fn log_in(format: LogFormat) {
    let raw = LogRaw {
        format,
        level: "info,it::log=debug".to_owned(),
    };
    telemetry::init(&raw.check(&mut Problems::default())).unwrap();
    let span = tracing::info_span!("session", session_id = "s-1");
    span.in_scope(|| tracing::debug!(n_bytes = 7, "refused a frame"));
    tracing::trace!("too quiet to be seen");
    let doomed = thread::Builder::new().spawn(|| panic!("on purpose"));
    assert!(doomed.unwrap().join().is_err());
    assert!(
        telemetry::init(&raw.check(&mut Problems::default())).is_err(),
        "twice"
    );
}

#[test]
#[ignore = "the other half of a test below, which starts it"]
fn log_as_auto() {
    log_in(LogFormat::Auto);
}

#[test]
#[ignore = "the other half of a test below, which starts it"]
fn log_as_text() {
    log_in(LogFormat::Text);
}

fn stderr_of(test: &str) -> String {
    let output = other_half(test).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn away_from_a_terminal_every_line_is_json_panics_included() {
    let log = stderr_of("log::log_as_auto");
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2, "{log}");
    assert_eq!(lines[0]["level"], "DEBUG");
    assert_eq!(lines[0]["message"], "refused a frame");
    assert_eq!(lines[0]["n_bytes"], 7);
    assert_eq!(lines[0]["span"]["session_id"], "s-1");
    assert_eq!(lines[1]["level"], "ERROR");
    assert_eq!(lines[1]["message"], "panic: on purpose");
    assert!(lines[1]["place"].as_str().unwrap().contains("log.rs"));
}

#[test]
fn text_is_for_people_and_has_no_colours_in_a_pipe() {
    let log = stderr_of("log::log_as_text");
    assert!(log.contains("refused a frame n_bytes=7"), "{log}");
    assert!(!log.contains('{') || log.contains("session{"), "{log}");
    assert!(!log.contains('\u{1b}'), "{log}");
}
