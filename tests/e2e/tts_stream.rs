//! The speaking socket with the built-in model: what is said, in which order, and that its samples add up.

use std::time::{Duration, Instant};

use e2e::listening::{Listener, Told, assert_same, check_promises};
use e2e::{Tts, run};
use serde_json::{Value, json};
use wire::tts::ServerMessage;

const SENTENCE: &str = "The train to the city leaves at nine.";
const STORY: &str = "The train to the city leaves at nine. We will have to hurry to catch it. Bring the red umbrella, please.";

async fn speak(text: &str, options: Value) -> Told {
    let mut client = Listener::connect(Tts::shared().address, "").await;
    client.synthesize("r1", text, options).await;
    client.finish().await;
    check_promises(&client)["r1"].clone()
}

#[test]
fn a_sentence_comes_in_chunks_that_add_up() {
    run(async {
        let mut client = Listener::connect(Tts::shared().address, "").await;
        let asked = Instant::now();
        client.synthesize("r1", SENTENCE, json!({"seed":7})).await;
        client
            .until(|it| matches!(it, ServerMessage::AudioChunk(_)))
            .await;
        let first = asked.elapsed();
        let closed = client.finish().await;
        let told = check_promises(&client).remove("r1").unwrap();
        let started = told.started.clone().unwrap();
        assert_eq!(started.text_length, SENTENCE.chars().count() as u64);
        assert_eq!((started.seed, started.voice_id.as_str()), (7, "default"));
        let complete = told.complete();
        let seconds = complete.total_samples as f64 / 24_000.0;
        assert!((1.0..8.0).contains(&seconds), "{seconds} s");
        assert!((complete.total_duration_ms / 1_000.0 - seconds).abs() < 0.001);
        // A token is 960 samples.
        assert_eq!(complete.total_samples % 960, 0);
        assert!(u128::from(complete.first_chunk_ms.unwrap()) <= first.as_millis());
        assert!(2 <= complete.chunks_sent, "it was not streamed");
        assert_eq!((closed.requests, closed.completed), (1, 1));
        assert_eq!(client.close, Some(1000.into()));
        let spoken: Vec<&str> = SENTENCE.split(' ').collect();
        assert_eq!(told.words(), spoken);
        let starts = told.chunks.iter().flat_map(|it| &it.estimated_words);
        let starts: Vec<f64> = starts.map(|it| it.start).collect();
        assert!(
            starts.is_sorted() && *starts.last().unwrap() < seconds,
            "{starts:?}"
        );
    });
}

#[test]
fn several_requests_are_spoken_in_the_order_in_which_they_came() {
    run(async {
        let mut client = Listener::connect(Tts::shared().address, "sample_rate=16000").await;
        for (id, text) in [
            ("c", "First."),
            ("a", STORY),
            ("b", "And the last of them."),
        ] {
            client.synthesize(id, text, json!({})).await;
        }
        client.finish().await;
        let told = check_promises(&client);
        let order: Vec<&str> = client
            .heard
            .iter()
            .filter_map(|it| match it {
                ServerMessage::SynthesisStarted(it) => Some(it.request_id.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(order, ["c", "a", "b"]);
        let chars: Vec<(u64, u64)> = told["a"]
            .chunks
            .iter()
            .map(|it| (it.text_start, it.text_end))
            .collect();
        assert!(chars.is_sorted());
        let sentences = STORY.matches('.').count();
        let mut distinct = chars.clone();
        distinct.dedup();
        assert_eq!(distinct.len(), sentences, "{chars:?}");
        assert_eq!(told["a"].words(), STORY.split(' ').collect::<Vec<_>>());
    });
}

#[test]
fn a_text_in_pieces_is_spoken_like_the_whole() {
    run(async {
        let whole = speak(STORY, json!({})).await;
        let mut client = Listener::connect(Tts::shared().address, "").await;
        let letters: Vec<char> = STORY.chars().collect();
        for piece in letters.chunks(7) {
            let piece: String = piece.iter().collect();
            client
                .ask(json!({"type":"text","request_id":"r1","text":piece}))
                .await;
        }
        client.ask(json!({"type":"end","request_id":"r1"})).await;
        client.finish().await;
        let pieces = check_promises(&client).remove("r1").unwrap();
        assert_same(&whole.samples(), &pieces.samples(), "in pieces");
        assert_eq!(whole.words(), pieces.words());
        let ends = |it: &Told| it.chunks.iter().map(|it| it.text_end).max();
        assert_eq!(ends(&whole), ends(&pieces));
    });
}

#[test]
fn a_flush_speaks_what_has_come_and_so_does_waiting() {
    let tts = Tts::real(|raw| raw.stream.text_wait_ms = 400);
    run(async {
        let mut client = Listener::connect(tts.address, "").await;
        let text = |id: &str, text: &str| json!({"type":"text","request_id":id,"text":text});
        client
            .ask(text("flushed", "We will have to hurry and"))
            .await;
        client
            .ask(json!({"type":"flush","request_id":"flushed"}))
            .await;
        client
            .until(|it| matches!(it, ServerMessage::AudioChunk(_)))
            .await;
        client
            .ask(json!({"type":"flush","request_id":"flushed"}))
            .await;
        client.ask(text("flushed", " catch the train")).await;
        client
            .ask(json!({"type":"end","request_id":"flushed"}))
            .await;
        let told = client.ended("flushed").await;
        assert_eq!(
            told.words().join(" "),
            "We will have to hurry and catch the train"
        );

        let asked = Instant::now();
        client
            .ask(text("slow", "There is nothing after this and"))
            .await;
        client
            .until(|it| matches!(it, ServerMessage::AudioChunk(it) if it.request_id == "slow"))
            .await;
        assert!(
            Duration::from_millis(390) < asked.elapsed(),
            "it did not wait"
        );
        client.ask(text("empty", "")).await;
        client.ask(json!({"type":"end","request_id":"empty"})).await;
        // The end of the connection is the end of the text.
        let closed = client.finish().await;
        assert_eq!((closed.requests, closed.completed), (3, 3));
        let told = check_promises(&client);
        assert_eq!(told["empty"].complete().total_samples, 0);
    });
}

#[test]
fn what_is_skipped_is_the_beginning_of_the_whole() {
    run(async {
        let whole = speak(STORY, json!({"seed":3})).await;
        let samples = whole.samples();
        for skip in [1, 960, 50_001, samples.len() - 1] {
            let rest = speak(STORY, json!({"seed":3,"skip_samples":skip})).await;
            assert_eq!(rest.chunks[0].start_sample, skip as u64);
            assert_eq!(rest.complete().skipped_samples, skip as u64);
            assert_eq!(rest.complete().total_samples, samples.len() as u64);
            assert_eq!(rest.samples().len(), samples.len() - skip, "{skip}");
            if skip < samples.len() / 2 {
                assert_same(&samples[skip..], &rest.samples(), &format!("after {skip}"));
            }
        }
        let nothing = speak(STORY, json!({"skip_samples":10_000_000})).await;
        assert_eq!(nothing.complete().chunks_sent, 0);
        assert_eq!(nothing.complete().skipped_samples, samples.len() as u64);
    });
}

#[test]
fn every_encoding_and_rate_holds_the_same_speech() {
    run(async {
        let plain = speak(SENTENCE, json!({})).await;
        let n = plain.complete().total_samples;
        for rate in [8_000, 11_025, 22_050, 44_100, 48_000] {
            let told = speak(SENTENCE, json!({"sample_rate":rate,"encoding":"mulaw"})).await;
            assert_eq!(
                told.audio.len() as u64,
                (n * rate).div_ceil(24_000),
                "{rate}"
            );
            let seconds = told.audio.len() as f64 / rate as f64;
            assert!((told.complete().total_duration_ms - 1e3 * seconds).abs() <= 1.0);
        }
        let floats = speak(SENTENCE, json!({"encoding":"pcm_f32le"})).await;
        let floats: Vec<i16> = floats
            .audio
            .chunks_exact(4)
            .map(|it| f32::from_le_bytes(it.try_into().unwrap()))
            .map(|it| (it * 32_768.0).round() as i16)
            .collect();
        assert_same(&plain.samples(), &floats, "floats");
        let alaw = speak(SENTENCE, json!({"encoding":"alaw"})).await;
        assert_eq!(alaw.audio.len() as u64, n);
        for (speed, factor) in [(2.0, 0.5), (0.5, 2.0)] {
            let told = speak(SENTENCE, json!({"speed":speed})).await;
            let ratio = told.complete().total_samples as f64 / n as f64;
            assert!((ratio / factor - 1.0).abs() < 0.05, "{speed}: {ratio}");
        }
    });
}

#[test]
fn chunks_have_the_size_asked_for_and_whole_sentences_come_whole() {
    run(async {
        let small = speak(STORY, json!({"chunk_size":5})).await;
        assert!(
            small.chunks.iter().all(|it| it.samples <= 5 * 960),
            "too long"
        );
        let whole = speak(STORY, json!({"streaming":false,"chunk_size":1000})).await;
        assert_same(&small.samples(), &whole.samples(), "chunks of another size");
        // Three sentences, none of which is longer than the longest chunk.
        let sentences: Vec<u64> = whole.chunks.iter().map(|it| it.text_start).collect();
        assert_eq!(sentences.len(), 3, "{sentences:?}");
    });
}

#[test]
fn the_seed_that_is_told_gives_the_same_speech_again() {
    run(async {
        let options = json!({"temperature":0.8});
        let first = speak(SENTENCE, options).await;
        let seed = first.started.as_ref().unwrap().seed;
        let again = speak(SENTENCE, json!({"temperature":0.8,"seed":seed})).await;
        assert_same(&first.samples(), &again.samples(), "again");
        let other = speak(SENTENCE, json!({"temperature":0.8,"seed":seed + 1})).await;
        assert_ne!(first.samples(), other.samples());
    });
}

#[test]
fn nobody_hears_that_others_are_served() {
    run(async {
        let alone = speak(STORY, json!({"seed":1})).await;
        let neighbours = (0..6).map(|n| async move {
            let mut client = Listener::connect(Tts::shared().address, "").await;
            let text = if n % 2 == 0 {
                STORY
            } else {
                "Something quite different is said here."
            };
            let options = json!({"temperature":f64::from(n) / 10.0,"seed":n});
            client.synthesize("n", text, options).await;
            client.finish().await;
            check_promises(&client);
        });
        let (beside, _) = tokio::join!(
            speak(STORY, json!({"seed":1})),
            futures_util::future::join_all(neighbours)
        );
        assert_same(&alone.samples(), &beside.samples(), "beside others");
    });
}
