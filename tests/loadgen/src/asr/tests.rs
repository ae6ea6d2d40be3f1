//! The load generator against a server that does what a script says, so that what it reports can be compared with
//! what was done to it. In real time, on clips of half a second.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::StatusCode;

use super::load::{self, Crowd};
use super::protocol::FinalOn;
use super::report::Report;
use super::session::Plan;
use crate::clip::Clip;
use crate::playlist::{Playlist, faint_noise};

/// What the server does wrong.
#[derive(Clone, Copy, Debug, Default)]
struct Faults {
    refuse: bool,
    forget_second_final: bool,
    lose_a_sample: bool,
    /// From the decision to the final.
    slow_ms: u64,
}

/// Bytes of 10 ms.
const STEP: usize = 320;
const STOP: u64 = 3_200;

/// One stream: speech is what is loud.
struct Ear {
    heard: u64,
    received: u64,
    loud_from: Option<u64>,
    loud_until: u64,
    n_segments: u64,
    transcribed: u64,
}

impl Ear {
    /// Returns what to say at once, and the finals to say later.
    fn hear(&mut self, bytes: &[u8]) -> (Vec<String>, Option<String>) {
        let mut now = Vec::new();
        let mut later = None;
        for step in bytes.chunks(STEP) {
            let loud = step
                .chunks_exact(2)
                .any(|pair| i16::from_le_bytes([pair[0], pair[1]]).abs() > 1000);
            let begins = self.heard;
            self.heard += step.len() as u64 / 2;
            self.received += step.len() as u64 / 2;
            let n = self.n_segments;
            match (loud, self.loud_from) {
                (true, None) => {
                    self.loud_from = Some(begins);
                    self.loud_until = self.heard;
                    now.push(format!(
                        r#"{{"type":"speech_start","segment_id":{n},"timestamp":{}}}"#,
                        seconds(begins)
                    ));
                    now.push(format!(
                        r#"{{"type":"partial","segment_id":{n},"text":"hello","stable_text":""}}"#
                    ));
                }
                (true, Some(_)) => self.loud_until = self.heard,
                (false, Some(from)) if STOP <= self.heard - self.loud_until => {
                    now.push(format!(r#"{{"type":"speech_end","segment_id":{n}}}"#));
                    later = Some(format!(
                        r#"{{"type":"final","segment_id":{n},"text":"Hello, world!","start_time":{},"end_time":{},"end_sample":{}}}"#,
                        seconds(from),
                        seconds(self.loud_until),
                        self.loud_until
                    ));
                    self.transcribed += self.loud_until - from;
                    self.loud_from = None;
                    self.n_segments += 1;
                }
                (false, _) => {}
            }
        }
        (now, later)
    }
}

fn seconds(position: u64) -> f64 {
    position as f64 / 16_000.0
}

async fn serve(stream: TcpStream, faults: Faults) {
    let mut start = 0;
    #[expect(clippy::result_large_err, reason = "the signature is the library's")]
    let check = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        let query = request.uri().query().unwrap_or_default();
        let given = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("start_sample="));
        start = given.map_or(0, |given| given.parse().unwrap());
        if faults.refuse {
            let mut refusal = ErrorResponse::new(Some("FULL".to_owned()));
            *refusal.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            return Err(refusal);
        }
        Ok(response)
    };
    if let Ok(socket) = tokio_tungstenite::accept_hdr_async(stream, check).await {
        talk(socket, faults, start).await;
    }
}

async fn talk(mut socket: WebSocketStream<TcpStream>, faults: Faults, start: u64) {
    socket
        .send(Message::text(r#"{"type":"ready"}"#))
        .await
        .unwrap();
    let mut ear = Ear {
        heard: start,
        received: 0,
        loud_from: None,
        loud_until: 0,
        n_segments: 1,
        transcribed: 0,
    };
    let mut finals: VecDeque<(Instant, String)> = VecDeque::new();
    loop {
        let due = finals.front().map(|(at, _)| *at);
        tokio::select! {
            received = socket.next() => match received {
                Some(Ok(Message::Binary(bytes))) => {
                    let (mut now, later) = ear.hear(&bytes);
                    let forgotten = faults.forget_second_final && ear.n_segments == 3;
                    if let Some(text) = later && !forgotten {
                        finals.push_back((Instant::now() + Duration::from_millis(faults.slow_ms), text));
                    }
                    if ear.loud_from.is_none() && finals.is_empty() {
                        let safe = ear.heard;
                        now.push(format!(r#"{{"type":"progress","received_sample":{safe},"safe_sample":{safe}}}"#));
                    }
                    for text in now {
                        if socket.send(Message::text(text)).await.is_err() {
                            return;
                        }
                    }
                }
                Some(Ok(Message::Text(_))) => {
                    for (_, text) in finals.drain(..) {
                        socket.send(Message::text(text)).await.unwrap();
                    }
                    let received = ear.received - u64::from(faults.lose_a_sample);
                    let silence = ear.received - ear.transcribed;
                    let closed = format!(
                        r#"{{"type":"closed","received_samples":{received},"transcribed_samples":{},"silence_samples":{silence},"discarded_samples":0}}"#,
                        ear.transcribed
                    );
                    socket.send(Message::text(closed)).await.unwrap();
                    socket.close(None).await.unwrap();
                    return;
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            },
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                if let Some((_, text)) = finals.pop_front()
                    && socket.send(Message::text(text)).await.is_err()
                {
                    return;
                }
            }
        }
    }
}

async fn listen(faults: Faults) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, faults));
        }
    });
    address
}

fn plan(server: SocketAddr) -> Plan {
    let samples: Vec<i16> = (0..8_000)
        .map(|n| if n % 2 == 0 { 9_000 } else { -9_000 })
        .collect();
    let clip = Clip {
        name: "loud".to_owned(),
        text: "Hello world.".to_owned(),
        voiced: 0..samples.len(),
        samples,
        file: Vec::new(),
    };
    Plan {
        label: "test".to_owned(),
        server: server.to_string(),
        server_pid: None,
        playlist: Playlist {
            clips: vec![Arc::new(clip)],
            pause: (6_000, 9_000),
        },
        noise: faint_noise(),
        seed: 4,
        frame_ms: 20,
        partials: true,
        final_on: FinalOn::VadStop,
        length: Duration::from_secs(3),
        warm_up: Duration::ZERO,
        break_every: None,
    }
}

/// Runs three sessions against a server with these faults.
fn check(faults: Faults, break_every: Option<Duration>) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut plan = plan(listen(faults).await);
        plan.break_every = break_every;
        let crowd = Crowd {
            sessions: 3,
            uploaders: 0,
            join_within: Duration::ZERO,
        };
        load::run(&plan, crowd).await.0
    })
}

#[test]
fn latency_is_the_pause_and_what_the_server_takes() {
    let report = check(
        Faults {
            slow_ms: 150,
            ..Faults::default()
        },
        None,
    );
    assert!(report.is_clean(), "{report}");
    let spoken = report.utterances.spoken;
    assert!(6 <= spoken && report.utterances.timed == spoken, "{report}");
    assert_eq!(
        (report.accuracy.errors, report.accuracy.exact_utterances),
        (0, spoken)
    );
    let latency = &report.latency;
    // Sooner is impossible: the server waits for 200 ms of silence, of which up to a frame came with the last voice.
    assert!(
        325.0 < latency.end_to_final.p50_ms && latency.end_to_final.p50_ms < 750.0,
        "{report}"
    );
    assert!(
        150.0 <= latency.decision_to_final.p50_ms + 1.0 && latency.decision_to_final.p50_ms < 800.0,
        "{report}"
    );
    assert!(latency.first_partial.p50_ms < 500.0, "{report}");
    // Frames go on every 20 ms while the server takes its 150.
    assert!(latency.frame_to_final.p50_ms < 60.0, "{report}");
    assert_eq!(report.accounting.connections_closed, 3);
    // In real time: neither ahead, nor later with every frame.
    assert!(
        3.0 <= report.seconds && report.pacing.p50_ms < 30.0,
        "{report}"
    );
    let played = report.accounting.received_samples as f64 / 16_000.0 / 3.0;
    assert!(3.0 <= played && played <= report.seconds, "{report}");
}

#[test]
fn a_refusal_is_not_a_session() {
    let report = check(
        Faults {
            refuse: true,
            ..Faults::default()
        },
        None,
    );
    assert_eq!(
        report.trouble.refused.values().sum::<usize>(),
        3,
        "{report}"
    );
    assert!(
        report.trouble.refused.keys().all(|why| why.contains("503")),
        "{report}"
    );
    assert!(!report.is_clean());
}

#[test]
fn a_final_that_never_comes_is_missed() {
    let report = check(
        Faults {
            forget_second_final: true,
            ..Faults::default()
        },
        None,
    );
    assert_eq!(report.utterances.missing, 3, "{report}");
    // Once for the order of the next final, once for the segment that stayed open at the end.
    assert!(3 <= report.trouble.n_violations, "{report}");
    assert!(!report.is_clean());
}

#[test]
fn a_sample_that_is_not_accounted_for_is_noticed() {
    let report = check(
        Faults {
            lose_a_sample: true,
            ..Faults::default()
        },
        None,
    );
    assert_eq!(report.trouble.n_violations, 6, "{report}");
    assert!(!report.accounting.exact && !report.is_clean(), "{report}");
}

#[test]
fn a_broken_connection_is_resumed_and_nothing_is_lost() {
    let report = check(
        Faults {
            slow_ms: 50,
            ..Faults::default()
        },
        Some(Duration::from_millis(900)),
    );
    assert!(3 <= report.accounting.resumes, "{report}");
    assert!(0 < report.utterances.replayed, "{report}");
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.accuracy.errors, 0, "{report}");
}
