//! Promise: no accepted audio is lost. Every sample is transcribed, silence, or reported as discarded, to the sample.

use std::time::Duration;

use asr::models::scripted::Script;
use e2e::http::get;
use e2e::speech::{self, READ_WELL};
use e2e::stream::{Client, check_promises};
use e2e::{Asr, encode, run};
use wire::asr::ServerMessage;
use wire::asr::stream::Closed;

/// A small generator: the same cuts in every run.
struct Cuts(u64);

impl Cuts {
    fn next(&mut self, most: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        1 + usize::try_from(self.0 >> 33).unwrap() % most
    }
}

/// Speech and pauses of many lengths.
fn conversation(cuts: &mut Cuts, seconds: f64) -> Vec<i16> {
    let mut samples = Vec::new();
    let n = speech::silence(seconds).len();
    while samples.len() < n {
        samples.extend(speech::hum(0.1 + cuts.next(40) as f64 * 0.1));
        samples.extend(speech::silence(0.05 + cuts.next(30) as f64 * 0.05));
    }
    samples.truncate(n);
    samples
}

/// What of a session does not depend on when its messages came: whether the next segment begins before the final of the last
/// is a matter of the engine's speed, so this is told segment by segment.
fn told(client: &Client) -> Vec<String> {
    let line = |it: &ServerMessage| match it {
        ServerMessage::SpeechStart(it) => {
            Some(format!("start {} {:.3}", it.segment_id, it.timestamp))
        }
        ServerMessage::SpeechEnd(it) => Some(format!(
            "end {} {:.3} {:.3}",
            it.segment_id, it.timestamp, it.duration
        )),
        ServerMessage::Final(it) => Some(format!(
            "final {} {:.3} {:.3} {} {}",
            it.segment_id, it.start_time, it.end_time, it.end_sample, it.text
        )),
        ServerMessage::TurnEnd(it) => Some(format!(
            "turn {} {:?} {:?}",
            it.segment_id, it.reason, it.probability
        )),
        ServerMessage::Closed(it) => Some(format!("{it:?}")),
        _ => None,
    };
    let segment = |it: &ServerMessage| match it {
        ServerMessage::SpeechStart(it) => it.segment_id,
        ServerMessage::SpeechEnd(it) => it.segment_id,
        ServerMessage::Final(it) => it.segment_id,
        ServerMessage::TurnEnd(it) => it.segment_id,
        _ => u64::MAX,
    };
    let mut messages: Vec<&ServerMessage> = client.heard.iter().collect();
    messages.sort_by_key(|it| segment(it));
    messages.into_iter().filter_map(line).collect()
}

async fn cut_by(asr: &Asr, query: &str, bytes: &[u8], mut next: impl FnMut() -> usize) -> Client {
    let mut client = Client::connect(asr, query).await;
    let mut rest = bytes;
    while !rest.is_empty() {
        let (piece, later) = rest.split_at(next().min(rest.len()));
        client.audio(piece).await;
        rest = later;
    }
    client.finish().await;
    check_promises(&client);
    client
}

#[test]
fn however_the_bytes_are_cut_the_session_is_the_same() {
    let asr = Asr::scripted(Script::default(), |_| {});
    let mut cuts = Cuts(1);
    let said = [
        speech::silence(0.3),
        speech::hum(1.1),
        speech::silence(0.6),
        speech::hum(0.5),
        speech::silence(0.3),
    ]
    .concat();
    let odd = encode::resampled(&said, 16_000, 11_025);
    let cases: [(&str, Vec<u8>, usize); 4] = [
        ("partials=false", speech::bytes(&said), said.len()),
        (
            "partials=false&encoding=mulaw",
            encode::mulaw(&said),
            said.len(),
        ),
        (
            "partials=false&sample_rate=11025&channels=2",
            speech::bytes(&encode::stereo(&odd)),
            odd.len(),
        ),
        (
            "partials=false&encoding=pcm_f32le&sample_rate=11025",
            encode::floats(&odd),
            odd.len(),
        ),
    ];
    run(async {
        for (query, bytes, n_samples) in cases {
            let whole = cut_by(&asr, query, &bytes, || usize::MAX).await;
            let wanted = told(&whole);
            assert_eq!(
                whole.totals().unwrap().received_samples,
                n_samples as u64,
                "{query}"
            );
            assert!(
                wanted.iter().any(|it| it.starts_with("final 2")),
                "{wanted:#?}"
            );
            // One byte at a time takes its time: a third of it, and from there in larger ones.
            let mut n = 0;
            let bytewise = cut_by(&asr, query, &bytes, || {
                n += 1;
                if n < 9_001 { 1 } else { 16_001 }
            });
            assert_eq!(told(&bytewise.await), wanted, "{query}");
            for most in [7, 333, 4_096, 16_384] {
                let cut = cut_by(&asr, query, &bytes, || {
                    cuts.next(most).max(if most < 100 { 3 } else { 1 })
                });
                assert_eq!(told(&cut.await), wanted, "{query} up to {most}");
            }
        }
    });
}

#[test]
fn a_slow_engine_slows_the_socket_and_loses_nothing() {
    // The recogniser and the detector are much slower than the audio comes; the session may hold 25 seconds.
    let script = Script {
        recognizer_delay: Duration::from_millis(60),
        detector_delay: Duration::from_millis(30),
        ..Script::default()
    };
    let asr = Asr::scripted(script, |raw| {
        raw.stream.max_buffer_ms = 25_000;
        raw.server.max_frame_bytes = 200_000;
        // Much shorter than the session is held back: being slow is not the client's fault.
        raw.server.ping_interval_ms = 800;
        raw.server.idle_timeout_ms = 1_600;
    });
    run(async {
        let sessions = (0..4_u64).map(|seed| {
            let asr = &asr;
            async move {
                let mut cuts = Cuts(seed);
                let said = conversation(&mut cuts, 90.0);
                let bytes = speech::bytes(&said);
                (
                    said.len() as u64,
                    cut_by(asr, "", &bytes, || cuts.next(64_000)).await,
                )
            }
        });
        for (n_samples, client) in futures_util::future::join_all(sessions).await {
            let totals = client.totals().unwrap();
            assert_eq!(
                (totals.received_samples, totals.discarded_samples),
                (n_samples, 0),
                "{totals:?}"
            );
            assert!(totals.segments > 5, "{totals:?}");
            assert!(totals.transcribed_samples > n_samples / 3, "{totals:?}");
        }
    });
}

#[test]
fn what_is_dropped_on_request_or_by_a_fault_is_counted_as_such() {
    let asr = Asr::scripted(Script::default(), |_| {});
    run(async {
        let mut client = Client::connect(&asr, "prompt=script%20fail").await;
        client
            .audio(speech::bytes(
                &[speech::silence(1.0), speech::hum(1.0), speech::silence(1.0)].concat(),
            ))
            .await;
        let error = client.until_error().await;
        assert_eq!(
            (error.code.as_str(), error.segment_id),
            ("TRANSCRIPTION_FAILED", Some(1))
        );
        let Closed {
            received_samples,
            transcribed_samples,
            discarded_samples,
            ..
        } = client.finish().await;
        check_promises(&client);
        assert_eq!((received_samples, transcribed_samples), (48_000, 0));
        assert!(
            (16_000..33_000).contains(&discarded_samples),
            "{discarded_samples}"
        );

        let mut client = Client::connect(&asr, "").await;
        let mut told = 0;
        for n in 1..6_u32 {
            client
                .audio(speech::bytes(
                    &[speech::hum(0.7), speech::silence(0.01)].concat(),
                ))
                .await;
            client.say(r#"{"type":"reset"}"#).await;
            match client
                .until(|it| matches!(it, ServerMessage::ResetDone(_)))
                .await
            {
                ServerMessage::ResetDone(it) => told += it.discarded_samples,
                other => panic!("{n}: {other:?}"),
            }
        }
        client
            .audio(speech::bytes(
                &[speech::hum(0.5), speech::silence(1.0)].concat(),
            ))
            .await;
        let closed = client.finish().await;
        check_promises(&client);
        assert_eq!(closed.received_samples, 5 * 11_360 + 24_000);
        assert_eq!(closed.discarded_samples, told);
        assert!(told > 5 * 10_000, "{told}");
        let metrics = get(&asr.url("/metrics")).await.text();
        for (reason, n_samples) in [("failed", discarded_samples), ("reset", told)] {
            let name = format!(r#"asr_audio_discarded_seconds_total{{reason="{reason}"}} "#);
            let seconds: f64 = metrics
                .lines()
                .find_map(|it| it.strip_prefix(&name)?.parse().ok())
                .unwrap();
            assert!(
                (seconds - n_samples as f64 / 16_000.0).abs() < 1e-6,
                "{reason}: {seconds} s, {n_samples} samples"
            );
        }
        assert_eq!(client.finals().len(), 1, "{}", client.story());
    });
}

#[test]
fn a_stream_cut_anywhere_and_resumed_at_its_safe_sample_says_what_the_whole_says() {
    let asr = Asr::real(|raw| raw.stream.progress_interval_ms = 100);
    let said: Vec<i16> = READ_WELL[..4]
        .iter()
        .flat_map(|(name, _)| [speech::samples(name), speech::silence(1.4)].concat())
        .collect();
    let bytes = speech::bytes(&said);
    let finals = |client: &Client| -> Vec<(String, f64, u64)> {
        let one = |it: &ServerMessage| match it {
            ServerMessage::Final(it) => Some((it.text.clone(), it.start_time, it.end_sample)),
            _ => None,
        };
        client.heard.iter().filter_map(one).collect()
    };
    run(async {
        let mut uncut = Client::connect(&asr, "partials=false").await;
        uncut.frames(&bytes, 3_200).await;
        uncut.finish().await;
        check_promises(&uncut);
        let wanted = finals(&uncut);
        assert_eq!(
            wanted.iter().map(|it| it.0.as_str()).collect::<Vec<_>>(),
            READ_WELL[..4].iter().map(|it| it.1).collect::<Vec<_>>()
        );
        // In a pause, within a word, at the very beginning and shortly before the end.
        for cut_at in [0.05, 0.31, 0.5, 0.77, 0.97] {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a part of a length"
            )]
            let cut = (said.len() as f64 * cut_at) as usize;
            let mut client = Client::connect(&asr, "partials=false").await;
            client.frames(&bytes[..2 * cut], 3_200).await;
            // Whatever progress says by now is true, the oldest word as much as the newest.
            let mut safe = 0;
            let heard_all = |it: &ServerMessage| matches!(it, ServerMessage::Progress(it) if it.received_sample == cut as u64);
            client.until(heard_all).await;
            for message in &client.heard {
                if let ServerMessage::Progress(it) = message {
                    safe = usize::try_from(it.safe_sample).unwrap();
                }
            }
            let mut told = finals(&client);
            drop(client);
            let mut client = Client::connect(&asr, "partials=false").await;
            client
                .say(&format!(r#"{{"type":"config","start_sample":{safe}}}"#))
                .await;
            client.frames(&bytes[2 * safe..], 3_200).await;
            let closed = client.finish().await;
            check_promises(&client);
            assert_eq!(closed.received_samples, (said.len() - safe) as u64);
            told.extend(finals(&client));
            let texts =
                |it: &[(String, f64, u64)]| it.iter().map(|it| it.0.clone()).collect::<Vec<_>>();
            assert_eq!(
                texts(&told),
                texts(&wanted),
                "cut at {cut}, resumed at {safe}"
            );
            for (ours, theirs) in told.iter().zip(&wanted) {
                assert!(
                    (ours.1 - theirs.1).abs() < 0.15,
                    "cut at {cut}: {ours:?} {theirs:?}"
                );
                assert!(
                    ours.2.abs_diff(theirs.2) < 2_400,
                    "cut at {cut}: {ours:?} {theirs:?}"
                );
            }
        }
    });
}
