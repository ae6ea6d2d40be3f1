//! Promise of the client library: whatever happens to its connections, no sample of a speech is missing or comes twice.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use e2e::breaking::{Fate, Proxy};
use e2e::http::get_blocking;
use e2e::listening::assert_same;
use e2e::{Tts, run};
use tts::models::scripted::Script;
use voice_client::tts::{self as client, End, Event, Options, SpeechOptions};
use voice_client::{Error, Patience};

const STORY: &str = "The train to the city leaves at nine. We will have to hurry to catch it. Bring the red umbrella, please.";

fn options(speech: SpeechOptions) -> Options {
    Options {
        speech,
        patience: Patience {
            first_wait: Duration::from_millis(10),
            ..Patience::default()
        },
        ..Options::default()
    }
}

fn url(address: SocketAddr) -> String {
    format!("ws://{address}/v1/stream/tts")
}

/// What came of a speech, checked for gaps.
#[derive(Debug, Default)]
struct Told {
    samples: Vec<i16>,
    words: Vec<String>,
    seed: u64,
    n_resumed: usize,
    end: Option<End>,
}

async fn listen(speech: client::Speech) -> Told {
    listen_and_count(speech, &AtomicUsize::new(0)).await
}

/// As [`listen`], and tells how many samples have come so far.
async fn listen_and_count(mut speech: client::Speech, n_samples: &AtomicUsize) -> Told {
    let mut told = Told::default();
    while let Some(event) = speech.next().await {
        match event.unwrap() {
            Event::Started(it) => told.seed = it.seed,
            Event::Resumed(it) => {
                assert_eq!(it.start_sample, told.samples.len() as u64);
                told.n_resumed += 1;
            }
            Event::Chunk(it) => {
                assert_eq!(it.start_sample, told.samples.len() as u64);
                let samples = it.audio.chunks_exact(2);
                told.samples
                    .extend(samples.map(|it| i16::from_le_bytes([it[0], it[1]])));
                assert_eq!(it.start_sample + it.samples, told.samples.len() as u64);
                told.words
                    .extend(it.estimated_words.into_iter().map(|it| it.word));
                n_samples.store(told.samples.len(), Ordering::Relaxed);
            }
            Event::End(it) => told.end = Some(it),
        }
    }
    told
}

fn check(told: &Told) {
    let Some(End::Complete { total_samples, .. }) = told.end else {
        panic!("{:?}", told.end)
    };
    assert_eq!(total_samples, told.samples.len() as u64);
}

#[test]
fn a_speech_goes_on_where_it_broke() {
    run(async {
        let tts = Tts::shared();
        let small = SpeechOptions {
            chunk_size: Some(8),
            temperature: Some(0.7),
            ..SpeechOptions::default()
        };
        let plan = (0..12).map(|n| Fate::AfterFrames(2 + n * 5 % 9));
        let proxy = Proxy::start(tts.address, plan).await;
        let speech = client::speak(&url(proxy.address), STORY, options(small.clone())).unwrap();
        let broken = listen(speech).await;
        check(&broken);
        assert!(3 <= broken.n_resumed, "{}", broken.n_resumed);
        // The same in one piece.
        let again = SpeechOptions {
            seed: Some(broken.seed),
            ..small
        };
        let speech = client::speak(&url(tts.address), STORY, options(again)).unwrap();
        let whole = listen(speech).await;
        check(&whole);
        assert_eq!(whole.n_resumed, 0);
        assert_same(&whole.samples, &broken.samples, "broken");
        // When a word begins is an estimate, and a server that goes on may estimate it into what it was told to skip.
        let mut written = STORY.split(' ');
        assert!(
            broken.words.iter().all(|told| written.any(|it| it == told)),
            "in order and once: {:?}",
            broken.words
        );
        assert!(
            STORY.split(' ').count() <= broken.words.len() + broken.n_resumed,
            "{:?}",
            broken.words
        );
    });
}

#[test]
fn a_server_that_dies_in_mid_sentence_is_given_up_as_soon() {
    run(async {
        // What the first connection brought is no progress of those that never were.
        let plan = [vec![Fate::AfterFrames(6)], vec![Fate::Refused; 20]].concat();
        let proxy = Proxy::start(Tts::shared().address, plan).await;
        let mut impatient = options(SpeechOptions {
            chunk_size: Some(8),
            ..SpeechOptions::default()
        });
        impatient.patience.attempts = 3;
        let mut speech = client::speak(&url(proxy.address), STORY, impatient).unwrap();
        let (mut n_chunks, mut last) = (0, None);
        while let Some(event) = speech.next().await {
            n_chunks += usize::from(matches!(event, Ok(Event::Chunk(_))));
            last = Some(event);
        }
        assert!(n_chunks > 0, "it broke before anything came");
        assert!(
            matches!(last, Some(Err(Error::GaveUp { attempts: 3, .. }))),
            "{last:?}"
        );
        assert_eq!(proxy.n_accepted(), 3);
    });
}

/// With models that give a sentence the same samples always, and a server that waits so briefly that it cuts the text where it stops coming.
#[test]
fn a_text_in_pieces_is_the_same_speech_to_the_sample_also_where_the_server_did_not_wait_for_more() {
    let tts = Tts::scripted(Script::default(), |raw| raw.stream.text_wait_ms = 300);
    run(async {
        let plans: [Vec<Fate>; 3] = [
            vec![],
            (0..8).map(|n| Fate::AfterFrames(3 + n * 5 % 7)).collect(),
            vec![
                Fate::AfterFrames(1),
                Fate::Refused,
                Fate::After("\"synthesis_started\"", 1),
                Fate::After("\"audio_chunk\"", 3),
                Fate::Full,
                Fate::AfterFrames(12),
            ],
        ];
        let mut heard = Vec::new();
        for plan in plans {
            let n_planned = plan.len();
            let proxy = Proxy::start(tts.address, plan).await;
            let chunks = SpeechOptions {
                chunk_size: Some(10),
                seed: Some(5),
                ..SpeechOptions::default()
            };
            let (mut text, speech) = client::open(&url(proxy.address), options(chunks)).unwrap();
            let n_samples = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&n_samples);
            let listening = tokio::spawn(async move { listen_and_count(speech, &counted).await });
            for piece in ["We will", " have to ", "hurry, and"] {
                text.push(piece).await.unwrap();
            }
            // Until the server has waited long enough and the first part is told, with all breaks: of those, `Full` takes a second.
            let so_far = || n_samples.load(Ordering::Relaxed);
            let mut before = 0;
            while so_far() == 0 || before < so_far() {
                before = so_far();
                tokio::time::sleep(Duration::from_millis(2_000)).await;
            }
            for piece in [" then we", " rest. Is", " there more? Yes, there"] {
                text.push(piece).await.unwrap();
            }
            text.flush().await.unwrap();
            text.push(" is.").await.unwrap();
            text.end().await.unwrap();
            let told = listening.await.unwrap();
            check(&told);
            assert!(n_planned.min(2) <= told.n_resumed, "{}", told.n_resumed);
            heard.push(told);
        }
        assert!(24_000 < heard[0].samples.len());
        assert_eq!(heard[0].samples.len(), heard[1].samples.len());
        assert_eq!(heard[0].samples.len(), heard[2].samples.len());
        assert_eq!(heard[0].words, heard[1].words);
    });
}

#[test]
fn what_a_draining_instance_does_not_begin_is_begun_by_another() {
    let going = Tts::scripted(Script::default(), |_| {});
    let other = Tts::scripted(Script::default(), |_| {});
    run(async {
        let proxy = Proxy::start(going.address, []).await;
        // Connected, and nothing asked yet.
        let (mut text, speech) =
            client::open(&url(proxy.address), options(SpeechOptions::default())).unwrap();
        let listening = tokio::spawn(listen(speech));
        let is_connected = || get_blocking(going.address, "/health").contains("\"connections\":1,");
        while !is_connected() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(proxy.n_accepted(), 1);
        proxy.aim(other.address);
        going.stop();
        // It tells its client, and ends once that has left.
        while is_connected() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        text.push("Hello there.").await.unwrap();
        drop(text);
        check(&listening.await.unwrap());
        assert_eq!(proxy.n_accepted(), 2);
    });
    assert_eq!(going.ended().n_cut, 0);
}

#[test]
fn a_speech_that_is_cancelled_or_not_heard_any_more_stops() {
    let slow = Script {
        step_delay: Duration::from_millis(20),
        ..Script::default()
    };
    let tts = Tts::scripted(slow, |_| {});
    run(async {
        let mut speech =
            client::speak(&url(tts.address), STORY, options(SpeechOptions::default())).unwrap();
        while !matches!(speech.next().await, Some(Ok(Event::Chunk(_)))) {}
        speech.cancel();
        speech.cancel();
        let told = tokio::time::timeout(Duration::from_secs(10), async {
            loop {
                if let Event::End(end) = speech.next().await.unwrap().unwrap() {
                    return end;
                }
            }
        });
        assert!(matches!(
            told.await.unwrap(),
            End::Cancelled { last: Some(_), .. }
        ));
        assert!(speech.next().await.is_none());

        let speech =
            client::speak(&url(tts.address), STORY, options(SpeechOptions::default())).unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        drop(speech);
    });
    // Nothing is left that a drain would have to wait for.
    assert_eq!(tts.stopped().n_cut, 0);
}

#[test]
fn what_cannot_be_said_is_an_error_and_is_not_tried_again() {
    run(async {
        let proxy = Proxy::start(Tts::shared().address, []).await;
        let unknown = SpeechOptions {
            voice_id: Some("nobody".to_owned()),
            ..SpeechOptions::default()
        };
        let speech = client::speak(&url(proxy.address), STORY, options(unknown)).unwrap();
        let refused = speech.audio().await.unwrap_err();
        assert!(
            matches!(&refused, Error::Refused { code, .. } if code == "UNKNOWN_VOICE"),
            "{refused}"
        );
        assert_eq!(proxy.n_accepted(), 1);
    });
}
