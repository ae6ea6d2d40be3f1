//! The load generator against a server that does what a script says, so that what it reports can be compared with
//! what was done to it. In real time, on requests of half a second.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::load;
use super::protocol::{Encoding, Wanted};
use super::report::Report;
use super::session::{Mix, Plan, Recording};

/// What the server does, right and wrong.
#[derive(Clone, Copy, Debug)]
struct Script {
    /// From the request to its first chunk.
    first_ms: u64,
    /// From each chunk to the next; a chunk is 100 ms of audio.
    every_ms: u64,
    /// How many chunks a request has for each sentence.
    chunks: u64,
    lose_a_sample: bool,
    end_twice: bool,
    one_longer_each_time: bool,
}

const GOOD: Script = Script {
    first_ms: 30,
    every_ms: 20,
    chunks: 5,
    lose_a_sample: false,
    end_twice: false,
    one_longer_each_time: false,
};

const CHUNK: u64 = 2_400;

/// A request that is being spoken.
struct Speaking {
    id: String,
    chunks_left: u64,
    n_chunks: u64,
    next: Instant,
    n_chars: usize,
    /// All of its text has come.
    is_whole: bool,
}

struct Talk {
    socket: WebSocketStream<TcpStream>,
    script: Script,
    waiting: VecDeque<Speaking>,
    n_requests: u64,
    n_completed: u64,
    n_cancelled: u64,
    n_chunks: u64,
}

impl Talk {
    async fn say(&mut self, message: Value) {
        // Who went away is noticed when reading.
        let _sent = self.socket.send(Message::text(message.to_string())).await;
    }

    async fn run(mut self) {
        self.say(json!({"type": "ready"})).await;
        loop {
            let due = self.waiting.front().map(|it| it.next);
            tokio::select! {
                received = self.socket.next() => match received {
                    Some(Ok(Message::Text(text))) => {
                        if !self.hear(&serde_json::from_str(&text).unwrap()).await {
                            return;
                        }
                    }
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return,
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => self.speak().await,
            }
        }
    }

    async fn hear(&mut self, it: &Value) -> bool {
        let id = it["request_id"].as_str().unwrap_or_default().to_owned();
        match it["type"].as_str().unwrap() {
            "synthesize" => self.begin(id, it["text"].as_str().unwrap(), true).await,
            "end" => {
                if let Some(known) = self.waiting.iter_mut().find(|it| it.id == id) {
                    known.is_whole = true;
                }
            }
            "text" => match self.waiting.iter_mut().find(|it| it.id == id) {
                Some(known) => known.n_chars += it["text"].as_str().unwrap().chars().count(),
                None => self.begin(id, it["text"].as_str().unwrap(), false).await,
            },
            "cancel" => {
                if let Some(at) = self.waiting.iter().position(|it| it.id == id) {
                    let cut = self.waiting.remove(at).unwrap();
                    self.n_cancelled += 1;
                    self.say(json!({"type": "cancelled", "request_id": id, "chunks_sent": cut.n_chunks, "end_sample": cut.n_chunks * CHUNK}))
                        .await;
                }
            }
            "register_voice" => {
                self.say(json!({"type": "voice_registered", "voice_id": it["voice_id"]}))
                    .await;
            }
            "delete_voice" => {
                self.say(json!({"type": "voice_deleted", "voice_id": it["voice_id"]}))
                    .await;
            }
            "close" => {
                let closed = json!({"type": "closed", "requests": self.n_requests, "completed": self.n_completed,
                    "cancelled": self.n_cancelled, "failed": 0, "chunks_sent": self.n_chunks});
                self.say(closed).await;
                return false;
            }
            _ => {}
        }
        true
    }

    async fn begin(&mut self, id: String, text: &str, is_whole: bool) {
        self.n_requests += 1;
        let longer = u64::from(self.script.one_longer_each_time) * self.n_requests;
        let sentences = text.matches('.').count().max(1) as u64;
        self.say(json!({"type": "synthesis_started", "request_id": id}))
            .await;
        self.waiting.push_back(Speaking {
            id,
            chunks_left: self.script.chunks * sentences + longer,
            n_chunks: 0,
            next: Instant::now() + Duration::from_millis(self.script.first_ms),
            n_chars: text.chars().count(),
            is_whole,
        });
    }

    async fn speak(&mut self) {
        let every = Duration::from_millis(self.script.every_ms);
        let Some(it) = self.waiting.front_mut() else {
            return;
        };
        it.next += every;
        if it.chunks_left == 1 && !it.is_whole {
            return;
        }
        it.n_chunks += 1;
        it.chunks_left -= 1;
        let (n, is_last, id) = (it.n_chunks, it.chunks_left == 0, it.id.clone());
        let header = json!({"type": "audio_chunk", "request_id": id, "chunk_id": n, "start_sample": (n - 1) * CHUNK,
            "samples": CHUNK, "sample_rate": 24_000, "text_start": 0, "text_end": it.n_chars.max(1)});
        self.n_chunks += 1;
        self.say(header).await;
        let audio = vec![0u8; usize::try_from(2 * CHUNK).unwrap()];
        let _sent = self.socket.send(Message::binary(audio)).await;
        if is_last {
            self.waiting.pop_front();
            self.n_completed += 1;
            let told = n * CHUNK - u64::from(self.script.lose_a_sample);
            let complete = json!({"type": "synthesis_complete", "request_id": id, "total_samples": told,
                "total_duration_ms": told as f64 / 24.0, "chunks_sent": n, "first_chunk_ms": self.script.first_ms});
            self.say(complete.clone()).await;
            if self.script.end_twice {
                self.say(complete).await;
            }
        }
    }
}

async fn listen(script: Script) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let socket = tokio_tungstenite::accept_async(stream).await.unwrap();
            let talk = Talk {
                socket,
                script,
                waiting: VecDeque::new(),
                n_requests: 0,
                n_completed: 0,
                n_cancelled: 0,
                n_chunks: 0,
            };
            tokio::spawn(talk.run());
        }
    });
    address
}

/// Runs three listeners for some seconds against a server with this script.
fn check(script: Script, mix: Option<Mix>) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let plan = Plan {
            label: "test".to_owned(),
            server: listen(script).await.to_string(),
            server_pid: None,
            sentences: vec!["Hello.".to_owned(), "Good night.".to_owned()].into(),
            voices: vec!["default".to_owned()].into(),
            recordings: vec![Recording {
                name: "v".to_owned(),
                base64: "UklGRg==".to_owned(),
            }]
            .into(),
            wanted: Wanted {
                encoding: Encoding::PcmS16le,
                sample_rate: 24_000,
                seed: 7,
            },
            seed: 5,
            max_joined: 1,
            pause_ms: (100, 200),
            eager: false,
            length: Duration::from_secs(3),
            warm_up: Duration::ZERO,
            mix,
        };
        Box::pin(load::run(&plan, 3, Duration::ZERO)).await
    })
}

#[test]
fn what_was_done_is_what_is_reported() {
    let report = check(GOOD, None);
    assert!(report.is_clean(), "{report}");
    let requests = &report.requests;
    // Half a second of audio and the pause after it, three listeners, three seconds: played in real time.
    assert!((3..=18).contains(&requests.asked), "{report}");
    assert_eq!(requests.completed, requests.asked, "{report}");
    assert!(requests.asked - requests.compared <= 2, "{report}");
    assert_eq!(report.chunks, 5 * requests.asked as u64);
    let first = &report.latency.first_chunk;
    assert!(29.0 <= first.p50_ms && first.p50_ms < 1000.0, "{report}");
    assert!((report.latency.server_first_chunk.p50_ms - 30.0).abs() < 1e-6);
    // 30 ms and four times 20 ms for half a second.
    let factor = report.real_time_factor.p50;
    assert!((0.21..2.0).contains(&factor), "{report}");
    assert_eq!(report.playback.played, requests.asked);
    assert_eq!(report.connections_closed, 3);
}

#[test]
fn who_speaks_slower_than_one_listens_starves_the_listener() {
    let report = check(
        Script {
            every_ms: 150,
            ..GOOD
        },
        None,
    );
    // It is a matter of load, and nothing that was promised.
    assert!(report.is_clean(), "{report}");
    let played = &report.playback;
    assert_eq!(played.starved, played.played, "{report}");
    // Each of four chunks 50 ms after the one before had been played; a busy machine can make it fewer and longer stops.
    let stops = played.late_chunks;
    assert!(
        played.starved <= stops && stops <= 4 * played.starved,
        "{report}"
    );
    assert!(30.0 < played.late.p50_ms, "{report}");
}

#[test]
fn a_lost_sample_a_second_end_and_another_length_are_noticed() {
    let lost = check(
        Script {
            lose_a_sample: true,
            ..GOOD
        },
        None,
    );
    assert_eq!(lost.trouble.n_violations, lost.requests.asked, "{lost}");
    assert!(!lost.is_clean());
    let twice = check(
        Script {
            end_twice: true,
            ..GOOD
        },
        None,
    );
    // The very last second end may come after the listener has heard enough.
    assert!(
        twice.requests.asked - 3 <= twice.trouble.n_violations,
        "{twice}"
    );
    let longer = check(
        Script {
            one_longer_each_time: true,
            ..GOOD
        },
        None,
    );
    assert!(0 < longer.trouble.n_violations, "{longer}");
    assert!(
        longer.trouble.violations[0].contains("samples the one time"),
        "{longer}"
    );
}

#[test]
fn cancels_departures_voices_and_pieces_leave_nothing_open() {
    let mix = Mix {
        cancel: 400,
        vanish: 200,
        new_voice: 300,
        in_pieces: 400,
    };
    let slow = Script {
        every_ms: 60,
        ..GOOD
    };
    let report = check(slow, Some(mix));
    assert!(report.is_clean(), "{report}");
    let r = &report.requests;
    assert!(
        0 < r.cancelled && 0 < r.abandoned && 0 < r.completed,
        "{report}"
    );
    assert_eq!(
        r.asked,
        r.completed + r.cancelled + r.failed + r.abandoned,
        "{report}"
    );
    assert_eq!(report.latency.cancel_to_last.n, r.cancelled, "{report}");
    assert!(report.latency.cancel_to_last.p50_ms < 100.0, "{report}");
    assert!(
        0 < report.voices.registered && 0 < report.voices.deleted,
        "{report}"
    );
    assert!(0 < report.latency.first_chunk_in_pieces.n, "{report}");
}
