//! What a session tells a client whose audio has begun, who has asked for the end, and whom a drain leaves without a text.

use std::path::Path;

use wire::asr::ServerMessage;
use wire::asr::stream::Closed;
use wire::error::ErrorCode;

use crate::models::scripted::Script;
use crate::testing::{Client, Server, hum};

/// Ends the session and gives its totals.
fn finish(client: &mut Client) -> Closed {
    client.say(r#"{"type":"close"}"#);
    client.drain();
    match client.heard.last() {
        Some(ServerMessage::Closed(closed)) => *closed,
        other => panic!("{other:?}"),
    }
}

fn n_finals(client: &Client) -> usize {
    let finals = client.heard.iter();
    finals
        .filter(|it| matches!(it, ServerMessage::Final(_)))
        .count()
}

/// A `config` came too late, and nothing else is wrong.
fn check_refused(client: &Client) {
    let errors = client.errors();
    assert!(
        errors.len() == 1
            && errors[0].code == ErrorCode::UnexpectedMessage
            && errors[0].recoverable,
        "{errors:#?}"
    );
}

#[test]
fn a_config_after_half_a_sample_is_refused_and_the_other_half_is_heard() {
    let server = Server::start(Script::default(), |_| {});
    let mut client = Client::connect(&server, "");
    let audio = hum(1);
    client.audio(&[]);
    client.say(r#"{"type":"config","partials":false}"#);
    client.until(|it| matches!(it, ServerMessage::Ready(_)));
    client.audio(&audio[..1]);
    client.say(r#"{"type":"config","language":"en"}"#);
    client.audio(&audio[1..]);
    let closed = finish(&mut client);
    check_refused(&client);
    assert_eq!((closed.received_samples, n_finals(&client)), (16_000, 1));
}

#[test]
fn a_config_after_the_head_of_an_opus_stream_is_refused_and_the_rest_is_heard() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/containers/opus.ogg");
    let stream = std::fs::read(path).unwrap();
    let pages = stream.windows(4).enumerate();
    let mut pages = pages
        .filter(|(_, it)| it.starts_with(b"OggS"))
        .map(|(at, _)| at);
    // Two pages of headers.
    let (head, sound) = stream.split_at(pages.nth(2).unwrap());
    let server = Server::start(Script::default(), |_| {});
    let mut client = Client::connect(&server, "encoding=ogg_opus");
    client.audio(head);
    client.say(r#"{"type":"config","partials":false}"#);
    client.audio(sound);
    let closed = finish(&mut client);
    check_refused(&client);
    assert!(closed.received_samples > 48_000 / 2, "{closed:?}");
}

#[test]
fn who_has_asked_for_the_end_is_not_idle_while_the_last_text_is_made() {
    let server = Server::start(Script::default(), |raw| {
        raw.server.ping_interval_ms = 1_500;
        raw.server.idle_timeout_ms = 3_000;
    });
    let mut client = Client::connect(&server, "partials=false&prompt=script%20wait%2012000");
    client.audio(&hum(1));
    finish(&mut client);
    assert_eq!(client.errors().len(), 0, "{:#?}", client.heard);
    assert_eq!((n_finals(&client), client.close), (1, Some(1000)));
}

#[test]
fn a_text_that_a_drain_does_not_wait_for_is_told_as_late_before_the_process_ends() {
    let server = Server::start(Script::default(), |raw| raw.drain.deadline_ms = 8_000);
    let mut client = Client::connect(&server, "partials=false&prompt=script%20wait%205000");
    client.audio(&hum(1));
    client.until(|it| matches!(it, ServerMessage::SpeechStart(_)));
    server.stop();
    client.drain();
    let errors = client.errors();
    assert!(
        errors.len() == 1 && errors[0].code == ErrorCode::Timeout && !errors[0].recoverable,
        "{errors:#?}"
    );
    assert!(client.close.is_some());
    assert_eq!(server.ended().n_cut, 0);
}
