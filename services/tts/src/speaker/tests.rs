//! With models that do what a sentence's text says, on their own threads.

mod listening;
mod scripted;

use super::*;
use crate::vocode::DecodedError;
use scripted::{Bench, sentence};

const TOKEN: usize = 960;

async fn all(speech: &mut Speech) -> (Vec<Chunk>, Option<SpeakError>) {
    let mut chunks = Vec::new();
    while let Some(next) = speech.next().await {
        match next {
            Ok(chunk) => chunks.push(chunk),
            Err(error) => {
                assert!(speech.next().await.is_none(), "something after the end");
                return (chunks, Some(error));
            }
        }
    }
    assert!(speech.next().await.is_none(), "something after the end");
    (chunks, None)
}

fn check_whole(chunks: &[Chunk], n_tokens: usize) {
    let mut at = 0;
    for chunk in chunks {
        assert_eq!(chunk.start, at);
        at += chunk.samples.len();
    }
    assert_eq!(at, (n_tokens + 3) * TOKEN);
    let lasts: Vec<bool> = chunks.iter().map(|it| it.is_last).collect();
    assert_eq!(lasts.iter().filter(|it| **it).count(), 1);
    assert_eq!(lasts.last(), Some(&true));
}

#[tokio::test]
async fn a_sentence_is_spoken_while_it_is_made() {
    for n_tokens in [1, 2, 3, 4, 7, 8, 100] {
        let bench = Bench::new();
        let mut speech = bench.speak(&n_tokens.to_string(), Pace::RealTime).unwrap();
        let (chunks, error) = all(&mut speech).await;
        assert!(error.is_none(), "{error:?}");
        check_whole(&chunks, n_tokens);
        if n_tokens == 100 {
            assert!(4 <= chunks.len());
            // The fade of 20 ms waits for the next window.
            assert_eq!(chunks[0].samples.len(), 4 * TOKEN - 480);
        }
    }
}

#[tokio::test]
async fn who_waits_for_the_whole_costs_one_call() {
    let bench = Bench::new();
    let mut speech = bench.speak("150", Pace::Fast).unwrap();
    let (chunks, error) = all(&mut speech).await;
    assert!(error.is_none(), "{error:?}");
    check_whole(&chunks, 150);
    assert_eq!(chunks.len(), 1);
    assert_eq!(bench.log.of("decode"), ["decode 153"]);
}

#[tokio::test]
async fn a_sentence_without_tokens_has_an_end_and_no_sound() {
    let bench = Bench::new();
    let (chunks, error) = all(&mut bench.speak("0", Pace::RealTime).unwrap()).await;
    assert_eq!(chunks, [Chunk::NOTHING]);
    assert!(error.is_none());
}

#[tokio::test]
async fn a_chunk_has_no_more_tokens_than_asked() {
    let bench = Bench::new();
    let manner = Manner {
        max_chunk_tokens: Some(6),
        ..Manner::new(Pace::RealTime)
    };
    let mut speech = bench.speaker.speak(sentence("60"), manner).unwrap();
    let (chunks, _) = all(&mut speech).await;
    check_whole(&chunks, 60);
    // The last may have half as many more, rather than leave a small rest.
    assert!(chunks.iter().all(|it| it.samples.len() <= 9 * TOKEN + 480));
    assert!(7 <= chunks.len());
}

#[tokio::test]
async fn the_head_may_be_skipped() {
    let bench = Bench::new();
    let manner = Manner {
        head: Head::Skip,
        ..Manner::new(Pace::Fast)
    };
    let mut speech = bench.speaker.speak(sentence("5"), manner).unwrap();
    let chunk = speech.next().await.unwrap().unwrap();
    assert_eq!((chunk.start, chunk.samples.len()), (480, 8 * TOKEN - 480));
}

/// What becomes of a sentence, and whether it spoke before.
#[track_caller]
fn check_failure((chunks, error): &(Vec<Chunk>, Option<SpeakError>), fault: Fault, told: &str) {
    let error = error.as_ref().unwrap();
    assert_eq!(error.fault(), fault, "{error}");
    assert_eq!(error.to_string(), told);
    assert!(chunks.iter().all(|it| !it.is_last));
}

#[tokio::test]
async fn a_language_model_that_fails_ends_the_sentence() {
    let bench = Bench::new();
    let ended = all(&mut bench.speak("20 then fail", Pace::RealTime).unwrap()).await;
    check_failure(
        &ended,
        Fault::Failed,
        "the language model failed: the model failed: scripted",
    );
    let ended = all(&mut bench.speak("20 then panic", Pace::RealTime).unwrap()).await;
    check_failure(
        &ended,
        Fault::Failed,
        "the language model failed: the model panicked",
    );
    let ended = all(&mut bench.speak("refuse", Pace::RealTime).unwrap()).await;
    check_failure(
        &ended,
        Fault::Failed,
        "the language model failed: the model failed: scripted",
    );
    // Nobody else notices.
    check_whole(
        &all(&mut bench.speak("9", Pace::RealTime).unwrap()).await.0,
        9,
    );
}

#[tokio::test]
async fn a_decoder_that_fails_ends_the_sentence() {
    let bench = Bench::new();
    let ended = all(&mut bench.speak("30 decoder fails", Pace::RealTime).unwrap()).await;
    check_failure(
        &ended,
        Fault::Failed,
        "the decoder failed: the model failed: scripted",
    );
    let ended = all(&mut bench.speak("30 decoder panics", Pace::Fast).unwrap()).await;
    check_failure(
        &ended,
        Fault::Failed,
        "the decoder failed: the model panicked",
    );
    let ended = all(&mut bench.speak("30 decoder shortens", Pace::Fast).unwrap()).await;
    let expected = DecodedError::Length {
        n_tokens: 33,
        n_samples: 33 * TOKEN - 1,
    };
    check_failure(&ended, Fault::Failed, &expected.to_string());
    let ended = all(&mut bench.speak("30 decoder overflows", Pace::Fast).unwrap()).await;
    assert!(matches!(
        ended.1,
        Some(SpeakError::Decoded(DecodedError::NotFinite { .. }))
    ));
    check_whole(
        &all(&mut bench.speak("9", Pace::RealTime).unwrap()).await.0,
        9,
    );
}

#[tokio::test]
async fn when_all_places_are_taken_a_sentence_is_refused() {
    let bench = Bench::new();
    bench.steps.close();
    let held: Vec<Speech> = (0..scripted::PLACES)
        .map(|_| bench.speak("9", Pace::RealTime).unwrap())
        .collect();
    let refused = bench.speak("9", Pace::RealTime).unwrap_err();
    assert_eq!(SpeakError::from(refused).fault(), Fault::Busy);
    drop(held);
    bench.steps.open();
    check_whole(
        &all(&mut bench.speak("9", Pace::RealTime).unwrap()).await.0,
        9,
    );
}

#[tokio::test]
async fn a_server_that_stops_says_so() {
    let bench = Bench::new();
    bench.steps.allow(2);
    let mut speech = bench.speak("9", Pace::RealTime).unwrap();
    bench.steps.reached(3).await;
    bench.language_workers.stop();
    bench.steps.open();
    let ended = all(&mut speech).await;
    check_failure(
        &ended,
        Fault::Stopped,
        "the language model failed: the model has stopped",
    );
    let refused = bench.speak("9", Pace::RealTime).unwrap_err();
    assert_eq!(SpeakError::from(refused).fault(), Fault::Stopped);
}

#[tokio::test]
async fn a_decoder_that_has_stopped_is_told() {
    let bench = Bench::new();
    bench.decoder_workers.stop();
    let ended = all(&mut bench.speak("9", Pace::RealTime).unwrap()).await;
    check_failure(
        &ended,
        Fault::Stopped,
        "the speech model is busy: the model has stopped",
    );
}

#[tokio::test]
async fn who_waits_for_a_slot_too_long_is_told() {
    let bench = Bench::new();
    bench.steps.close();
    let held: Vec<Speech> = (0..scripted::SLOTS)
        .map(|_| bench.speak("9", Pace::RealTime).unwrap())
        .collect();
    bench.steps.reached(1).await;
    let manner = Manner {
        deadline: Some(std::time::Instant::now()),
        ..Manner::new(Pace::RealTime)
    };
    let mut late = bench.speaker.speak(sentence("9"), manner).unwrap();
    bench.steps.open();
    let ended = all(&mut late).await;
    check_failure(
        &ended,
        Fault::Expired,
        "the language model failed: the deadline passed in the queue",
    );
    drop(held);
}

#[tokio::test]
async fn who_leaves_is_left_before_the_next_step() {
    let bench = Bench::new();
    bench.steps.allow(5);
    let mut speech = bench.speak("500", Pace::RealTime).unwrap();
    tokio::select! {
        _ = speech.next() => panic!("there are too few tokens"),
        () = bench.steps.reached(6) => {}
    }
    // In the middle of a step.
    drop(speech);
    bench.steps.open();
    bench.log.until("evict 500").await;
    assert_eq!(bench.steps.n_passed(), 6);
}

#[tokio::test]
async fn a_window_of_who_leaves_is_not_decoded() {
    let bench = Bench::new();
    bench.decodes.close();
    let mut running = bench.speak("40", Pace::RealTime).unwrap();
    let mut leaving = bench.speak("41", Pace::RealTime).unwrap();
    let lane = || bench.speaker.decoder_load().urgent;
    scripted::until(&mut running, || bench.decodes.n_reached() == 1).await;
    scripted::until(&mut leaving, || lane().waiting == 1).await;
    assert_eq!(lane().held, 2);
    drop(leaving);
    bench.decodes.open();
    check_whole(&all(&mut running).await.0, 40);
    let first_of_41 = bench
        .log
        .of("decode")
        .iter()
        .filter(|it| it.ends_with(" of 41"))
        .count();
    assert_eq!(first_of_41, 0);
}

#[tokio::test]
async fn who_reads_slowly_delays_nobody() {
    let bench = Bench::new();
    let slow = bench.speak("400", Pace::RealTime).unwrap();
    let mut quick = bench.speak("300", Pace::RealTime).unwrap();
    check_whole(&all(&mut quick).await.0, 300);
    // A few chunks are made ahead, and no more until somebody asks.
    assert!(bench.log.n_tokens("400") <= scripted::ROOM + 1);
    assert_eq!(bench.log.n_tokens("300"), 300);
    drop(slow);
}

#[tokio::test]
async fn tokens_are_made_while_a_window_is_decoded_and_only_one_is() {
    let bench = Bench::new();
    bench.decodes.close();
    let mut speech = bench.speak("200", Pace::RealTime).unwrap();
    let log = bench.log.clone();
    tokio::select! {
        _ = speech.next() => panic!("nothing is decoded"),
        () = log.until("evict 200") => {}
    }
    assert_eq!(bench.log.n_tokens("200"), 200);
    assert_eq!(bench.speaker.decoder_load().urgent.held, 1);
    bench.decodes.open();
    check_whole(&all(&mut speech).await.0, 200);
}
