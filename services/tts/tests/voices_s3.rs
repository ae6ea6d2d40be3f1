//! The voice store on a real S3 server, shared by two instances.
//!
//! The server is moto, which `scripts/setup.sh --tests` installs. Where it is missing, the tests say so and pass, except in CI.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use chassis::api_error::Classify as _;
use chassis::settings::{Problems, Secret};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};
use ndarray::Array2;
use tts::models::conditioning::{Conditioning, MEL_BINS, SAMPLES_PER_TOKEN, SPEAKER_WIDTH};
use tts::voices::{
    Bucket, IfExists, Keys, Level, Notes, Pack, Place, Reference, Registration, Requester,
    Settings, Studio, Upload, VoiceError, VoiceId, VoiceStore, VoicesRaw,
};
use wire::error::ErrorCode;

const BUCKET: &str = "shared-voices";

/// A server of its own for each test.
struct Moto {
    process: Child,
    port: u16,
}

impl Moto {
    /// `None` if there is no moto here.
    fn start() -> Option<Moto> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let packages = root.join(".native/python");
        if !packages.join("moto").exists() {
            assert!(
                std::env::var_os("CI").is_none(),
                "moto is missing: run `scripts/setup.sh --tests`"
            );
            println!("skipped: moto is missing; `scripts/setup.sh --tests` installs it");
            return None;
        }
        // It takes a port that is free and says which: one that was found free before may be another's by then.
        let mut process = Command::new("python3")
            .args(["-u", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"])
            .env("PYTHONPATH", packages)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let port = lines.find_map(|line| {
            let line = line.ok()?;
            let (_, port) = line.split_once("Running on http://127.0.0.1:")?;
            port.trim().parse().ok()
        });
        let port = port.expect("moto does not start");
        // What it says of each request is not read, and must not fill the pipe.
        let rest = move || {
            let _n_lines = lines.count();
        };
        drop(thread::Builder::new().spawn(rest).unwrap());
        let moto = Moto { process, port };
        let began = Instant::now();
        while !moto.make_bucket() {
            assert!(
                began.elapsed() < Duration::from_secs(120),
                "moto does not start"
            );
            thread::park_timeout(Duration::from_millis(50));
        }
        Some(moto)
    }

    fn make_bucket(&self) -> bool {
        let Ok(mut socket) = TcpStream::connect(("127.0.0.1", self.port)) else {
            return false;
        };
        let request = format!(
            "PUT /{BUCKET} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        let mut answer = String::new();
        socket.write_all(request.as_bytes()).unwrap();
        socket.read_to_string(&mut answer).is_ok() && answer.contains(" 200 ")
    }

    fn place(&self, prefix: &str) -> Place {
        Place::Bucket(Bucket {
            name: BUCKET.to_owned(),
            prefix: prefix.to_owned(),
            endpoint: Some(format!("http://127.0.0.1:{}", self.port)),
            region: None,
            keys: Some(Keys {
                id: "id".to_owned(),
                secret: Secret::from("secret".to_owned()),
            }),
        })
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

#[derive(Default)]
struct Counting(AtomicUsize);

impl Studio for Counting {
    fn prepare(&self, upload: Upload) -> BoxFuture<'static, Result<Reference, VoiceError>> {
        let rules = settings().rules;
        async move { Ok(rules.prepare(&upload)?) }.boxed()
    }

    fn extract(&self, samples: Arc<[f32]>) -> BoxFuture<'static, Result<Conditioning, VoiceError>> {
        self.0.fetch_add(1, Ordering::SeqCst);
        let n_tokens = samples.len() / SAMPLES_PER_TOKEN;
        let at = |idx: usize| samples[idx * 7_919 % samples.len()];
        let conditioning = Conditioning {
            prefix: Array2::from_shape_fn((33, 64), |(a, b)| at(64 * a + b)),
            prompt_tokens: (0..n_tokens as i64).collect(),
            speaker: (0..SPEAKER_WIDTH).map(at).collect(),
            mel: Array2::from_shape_fn((2 * n_tokens, MEL_BINS), |(a, b)| at(MEL_BINS * a + b)),
        };
        async move { Ok(conditioning) }.boxed()
    }
}

const REFRESH: Duration = Duration::from_millis(500);

fn settings() -> Settings {
    let mut problems = Problems::default();
    let settings = VoicesRaw::defaults().check(&mut problems);
    Settings {
        refresh: REFRESH,
        ..settings
    }
}

async fn on(place: &Place, pack: &str) -> (VoiceStore, Arc<Counting>) {
    let pack = Pack {
        id: VoiceId::parse(pack).unwrap(),
        level: Level::ENGLISH,
        above: None,
        default_voice: None,
    };
    let studio = Arc::new(Counting::default());
    let counted: Arc<dyn Studio> = Arc::<Counting>::clone(&studio);
    let store = VoiceStore::open(settings(), place, pack, counted)
        .await
        .unwrap();
    (store, studio)
}

/// Of a voice with this pitch: pulses in four syllables a second.
fn registration(id: &str, pitch_hz: usize) -> Registration {
    let sample = |idx: usize| {
        let syllable = (std::f32::consts::TAU * 4.0 * idx as f32 / 24_000.0).cos();
        let since_pulse = idx % (24_000 / pitch_hz);
        let ringing = (since_pulse as f32 * 0.18).cos() * (-(since_pulse as f32) / 40.0).exp();
        0.2 * (1.0 - syllable) * ringing
    };
    Registration {
        id: id.to_owned(),
        upload: Upload::Decoded {
            samples: (0..6 * 24_000).map(sample).collect(),
            rate: audio::SampleRate::HZ_24000,
        },
        notes: Notes::default(),
        requester: Requester::Anyone,
        if_exists: IfExists::Refuse,
    }
}

async fn until_stale() {
    tokio::time::sleep(REFRESH * 2).await;
}

#[tokio::test]
async fn two_hosts_share_voices_through_a_bucket() {
    let Some(moto) = Moto::start() else { return };
    let place = moto.place("production/tts");
    let (one, _) = on(&place, "pack").await;
    let (other, extracted_by_other) = on(&place, "pack").await;

    // Registered here, usable there at once, without being extracted there.
    let record = one.register(registration("ada", 120)).await.unwrap();
    let voice = other.resolve("ada").await.unwrap();
    assert_eq!(voice.record, record);
    assert_eq!(
        voice.conditioning,
        one.resolve("ada").await.unwrap().conditioning
    );
    assert_eq!(extracted_by_other.0.load(Ordering::SeqCst), 0);

    // Listed within the refresh time.
    until_stale().await;
    assert_eq!(other.list().await.unwrap(), [Arc::clone(&record)]);

    // Replaced here, heard there.
    let replacement = Registration {
        if_exists: IfExists::Replace,
        ..registration("ada", 200)
    };
    other.register(replacement).await.unwrap();
    until_stale().await;
    let heard = one.resolve("ada").await.unwrap();
    assert_ne!(heard.record.digest, record.digest);
    assert_ne!(heard.conditioning, voice.conditioning);
    // Known and unchanged: the bucket answers "not modified", and the voice stays what it is.
    until_stale().await;
    let same = one.resolve("ada").await.unwrap();
    assert!(Arc::ptr_eq(&same.record, &heard.record));

    // Deleted there, gone here.
    other.delete("ada", &Requester::Anyone).await.unwrap();
    until_stale().await;
    let error = one.resolve("ada").await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::UnknownVoice);
    assert_eq!(one.list().await.unwrap(), []);
    let error = one.delete("ada", &Requester::Anyone).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::UnknownVoice);
}

#[tokio::test]
async fn a_bucket_gives_an_id_to_one_of_many() {
    let Some(moto) = Moto::start() else { return };
    let place = moto.place("");
    let (one, _) = on(&place, "pack").await;
    let (other, _) = on(&place, "pack").await;
    let attempts = (0..6).map(|idx| {
        let store = if idx % 2 == 0 { &one } else { &other };
        store.register(registration("ada", 100 + 20 * idx))
    });
    let outcomes = join_all(attempts).await;
    let winners: Vec<_> = outcomes.iter().filter_map(|it| it.as_ref().ok()).collect();
    assert_eq!(winners.len(), 1);
    for error in outcomes.iter().filter_map(|it| it.as_ref().err()) {
        assert_eq!(error.code(), ErrorCode::VoiceExists);
    }
    until_stale().await;
    for store in [&one, &other] {
        assert_eq!(store.resolve("ada").await.unwrap().record, *winners[0]);
    }
}

#[tokio::test]
async fn another_pack_extracts_from_the_bucket() {
    let Some(moto) = Moto::start() else { return };
    let place = moto.place("");
    let (english, _) = on(&place, "english").await;
    english.register(registration("ada", 120)).await.unwrap();
    let (turbo, extracted) = on(&place, "turbo").await;
    turbo.resolve("ada").await.unwrap();
    assert_eq!(extracted.0.load(Ordering::SeqCst), 1);
    let (again, extracted) = on(&place, "turbo").await;
    again.resolve("ada").await.unwrap();
    assert_eq!(extracted.0.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_said_at_the_start() {
    let Some(moto) = Moto::start() else { return };
    let Place::Bucket(bucket) = moto.place("") else {
        panic!("it is a bucket")
    };
    let place = Place::Bucket(Bucket {
        name: "no-such-bucket".to_owned(),
        ..bucket
    });
    let pack = Pack {
        id: VoiceId::parse("pack").unwrap(),
        level: Level::AsIs,
        above: None,
        default_voice: None,
    };
    let opened = VoiceStore::open(settings(), &place, pack, Arc::<Counting>::default()).await;
    assert_eq!(opened.unwrap_err().code(), ErrorCode::StorageFailed);
}

#[tokio::test]
async fn voices_in_use_outlive_the_server() {
    let Some(moto) = Moto::start() else { return };
    let place = moto.place("");
    let (store, _) = on(&place, "pack").await;
    store.register(registration("ada", 120)).await.unwrap();
    store.list().await.unwrap();
    drop(moto);
    until_stale().await;
    let began = Instant::now();
    store.resolve("ada").await.unwrap();
    // A check takes a second at most, and a machine that is busy some more.
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
}
