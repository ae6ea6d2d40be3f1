//! Promise of the client library: whatever happens to its connections, every word is told once, in order, and every sample is
//! answered for.

use std::net::SocketAddr;
use std::time::Duration;

use e2e::breaking::{Fate, Proxy};
use e2e::stream::words;
use e2e::{Asr, run, speech};
use voice_client::asr::{self, Event, Options, Receipt, TurnEndReason};
use voice_client::{Error, Patience};

/// The recordings that are read word for word, a second of silence after each.
fn audio() -> Vec<u8> {
    let mut samples = speech::silence(0.5);
    for (name, _) in speech::READ_WELL {
        samples.extend(speech::samples(name));
        samples.extend(speech::silence(1.2));
    }
    speech::bytes(&samples)
}

fn text() -> Vec<String> {
    let all: Vec<&str> = speech::READ_WELL.iter().map(|(_, text)| *text).collect();
    words(&all.join(" "))
}

fn options() -> Options {
    Options {
        patience: Patience {
            // Some plans break a dozen connections before the first word is told.
            attempts: 50,
            first_wait: Duration::from_millis(1),
            ..Patience::default()
        },
        ..Options::default()
    }
}

fn url(address: SocketAddr) -> String {
    format!("ws://{address}/v1/stream/asr")
}

/// Streams audio at this many times the speed of speech.
async fn stream(address: SocketAddr, audio: &[u8], pace: f64) -> (Vec<Event>, Receipt) {
    let (sender, mut events) = asr::open(&url(address), options()).await.unwrap();
    let reading = tokio::spawn(async move {
        let mut told = Vec::new();
        while let Some(event) = events.next().await {
            told.push(event.unwrap());
        }
        told
    });
    for frame in audio.chunks(3_200) {
        sender.send(frame).await.unwrap();
        if pace < 1_000.0 {
            tokio::time::sleep(Duration::from_secs_f64(0.1 / pace)).await;
        }
    }
    let receipt = sender.finish().await.unwrap();
    (reading.await.unwrap(), receipt)
}

fn heard(told: &[Event]) -> Vec<String> {
    let text = |it: &Event| match it {
        Event::Final(it) => Some(it.text.clone()),
        _ => None,
    };
    words(&told.iter().filter_map(text).collect::<Vec<_>>().join(" "))
}

/// Checks that what was told is one stream: its segments, their order, and its end.
fn check(told: &[Event], receipt: &Receipt, audio: &[u8]) {
    let (mut begun, mut answered, mut turns) = (0, 0, 0);
    let mut end_sample = 0;
    for event in told {
        match event {
            Event::SpeechStart(it) => {
                begun += 1;
                assert_eq!(it.segment_id, begun, "{told:#?}");
            }
            Event::Final(it) => {
                answered += 1;
                assert_eq!(it.segment_id, answered, "{told:#?}");
                assert!(end_sample < it.end_sample, "{told:#?}");
                assert!(answered <= begun, "{told:#?}");
                end_sample = it.end_sample;
            }
            Event::TurnEnd(it) => {
                turns += 1;
                assert_eq!(
                    it.segment_id, turns,
                    "a final has its turn's end: {told:#?}"
                );
            }
            _ => {}
        }
    }
    assert_eq!((answered, turns), (begun, begun), "{told:#?}");
    assert!(matches!(told.first(), Some(Event::Ready(_))));
    assert!(matches!(told.last(), Some(Event::Closed(it)) if it == receipt));
    assert_eq!(receipt.samples, audio.len() as u64 / 2);
    assert_eq!(receipt.segments, answered);
    let n_resumed = told
        .iter()
        .filter(|it| matches!(it, Event::Resumed(_)))
        .count();
    assert!(n_resumed < receipt.connections as usize);
}

#[test]
fn every_word_is_told_once_however_often_the_connection_breaks() {
    let audio = audio();
    // The first two frames of a connection are `ready`.
    let plans: [Vec<Fate>; 4] = [
        vec![],
        (0..20).map(|n| Fate::AfterFrames(3 + n * 7 % 11)).collect(),
        (0..12)
            .map(|n| Fate::AfterSent(40_000 + n * 37_001 % 90_000))
            .collect(),
        vec![
            Fate::After("\"speech_start\"", 1),
            Fate::Refused,
            Fate::AfterFrames(1),
            Fate::After("\"partial\"", 2),
            Fate::AfterFrames(2),
            Fate::After("\"speech_end\"", 1),
            Fate::After("\"turn_end\"", 1),
            Fate::After("\"progress\"", 1),
            Fate::After("\"closed\"", 1),
        ],
    ];
    run(async {
        for (idx, plan) in plans.into_iter().enumerate() {
            let proxy = Proxy::start(Asr::shared().address, plan.iter().copied()).await;
            let pace = if idx % 2 == 0 { 1e9 } else { 6.0 };
            let (told, receipt) = stream(proxy.address, &audio, pace).await;
            check(&told, &receipt, &audio);
            assert_eq!(heard(&told), text(), "plan {idx}: {told:#?}");
            assert!(
                plan.len().min(5) <= proxy.n_accepted(),
                "plan {idx} did not break it"
            );
        }
    });
}

#[test]
fn a_connection_that_breaks_after_each_final_costs_neither_a_word_nor_the_end_of_a_turn() {
    let audio = audio();
    run(async {
        let plan = [Fate::After("\"final\"", 1); 6];
        let proxy = Proxy::start(Asr::shared().address, plan).await;
        let (told, receipt) = stream(proxy.address, &audio, 1e9).await;
        check(&told, &receipt, &audio);
        assert_eq!(heard(&told), text(), "{told:#?}");
        let by_client = told.iter().filter(
            |it| matches!(it, Event::TurnEnd(it) if it.reason == TurnEndReason::Close && it.probability.is_none()),
        );
        assert!(5 <= by_client.count(), "{told:#?}");
        assert!(6 <= receipt.connections);
    });
}

#[test]
fn what_a_draining_instance_does_not_take_is_taken_by_another() {
    let audio = audio();
    let going = Asr::real(|_| {});
    run(async {
        let proxy = Proxy::start(going.address, []).await;
        let address = proxy.address;
        let streaming = tokio::spawn(async move {
            let bytes = self::audio();
            stream(address, &bytes, 4.0).await
        });
        // In the middle of it.
        let received = "asr_audio_seconds_total{kind=\"stream\"}";
        while going.metric(received).await < 2.0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        proxy.aim(Asr::shared().address);
        going.stop();
        let (told, receipt) = streaming.await.unwrap();
        check(&told, &receipt, &audio);
        assert_eq!(heard(&told), text(), "{told:#?}");
        assert_eq!(receipt.connections, 2);
    });
    assert_eq!(going.ended().n_cut, 0);
}

#[test]
fn a_finalize_is_answered_once_though_the_connection_breaks() {
    run(async {
        let plan = [
            Fate::AfterSent(60_000),
            Fate::After("\"final\"", 1),
            Fate::AfterFrames(2),
        ];
        let proxy = Proxy::start(Asr::shared().address, plan).await;
        let (sender, mut events) = asr::open(&url(proxy.address), options()).await.unwrap();
        sender
            .send(speech::bytes(&speech::samples("held_ked_136.wav")))
            .await
            .unwrap();
        sender.finalize(Some("f1".to_owned())).await.unwrap();
        sender
            .send(speech::bytes(&speech::samples("held_ked_112.wav")))
            .await
            .unwrap();
        let finishing = tokio::spawn(sender.finish());
        let mut told = Vec::new();
        while let Some(event) = events.next().await {
            told.push(event.unwrap());
        }
        let order: Vec<String> = told
            .iter()
            .filter_map(|it| match it {
                Event::Final(it) => Some(it.text.clone()),
                Event::Finalized(it) => it.id.clone(),
                _ => None,
            })
            .collect();
        assert_eq!(
            order,
            ["I need to change my problem.", "f1", "My name is Grace."]
        );
        finishing.await.unwrap().unwrap();
    });
}

#[test]
fn a_full_server_is_left_alone_for_as_long_as_it_asks() {
    run(async {
        let proxy = Proxy::start(Asr::shared().address, [Fate::Full, Fate::Refused]).await;
        let began = std::time::Instant::now();
        let (sender, _events) = asr::open(&url(proxy.address), options()).await.unwrap();
        assert!(Duration::from_secs(1) <= began.elapsed(), "it did not wait");
        assert_eq!(sender.finish().await.unwrap().samples, 0);
        assert_eq!(proxy.n_accepted(), 3);
    });
}

#[test]
fn what_cannot_be_is_an_error_at_once_and_a_dead_server_is_one_soon() {
    run(async {
        let mut wrong = options();
        wrong.config.beam_size = Some(99);
        let refused = asr::open(&url(Asr::shared().address), wrong)
            .await
            .unwrap_err();
        assert!(
            matches!(&refused, Error::Refused { code, message } if code == "INVALID_PARAMETER" && message.contains("beam_size")),
            "{refused}"
        );
        let nowhere = format!("ws://{}/v1/nowhere", Asr::shared().address);
        let refused = asr::open(&nowhere, options()).await.unwrap_err();
        assert!(
            matches!(&refused, Error::Refused { code, .. } if code == "NOT_FOUND"),
            "{refused}"
        );
        let mut impatient = options();
        impatient.patience.attempts = 4;
        let proxy = Proxy::start(Asr::shared().address, [Fate::Refused; 4]).await;
        let gone = asr::open(&url(proxy.address), impatient).await.unwrap_err();
        assert!(matches!(gone, Error::GaveUp { attempts: 4, .. }), "{gone}");
        assert_eq!(proxy.n_accepted(), 4);
    });
}

#[test]
fn a_stream_that_fails_tells_everybody_why() {
    run(async {
        // It opens, and is never reached again.
        let plan = [vec![Fate::AfterFrames(2)], vec![Fate::Refused; 20]].concat();
        let proxy = Proxy::start(Asr::shared().address, plan).await;
        let mut impatient = options();
        impatient.patience.attempts = 3;
        let (sender, mut events) = asr::open(&url(proxy.address), impatient).await.unwrap();
        let mut last = None;
        while let Some(event) = events.next().await {
            last = Some(event);
        }
        assert!(matches!(last, Some(Err(Error::GaveUp { .. }))), "{last:?}");
        assert_eq!(sender.send(vec![0; 2]).await, Err(Error::Over));
        assert!(matches!(sender.finish().await, Err(Error::GaveUp { .. })));
    });
}
