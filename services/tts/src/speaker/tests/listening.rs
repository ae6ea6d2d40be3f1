//! Several sentences for one listener, and what the time that passes does.

use super::{scripted::soon, *};

const LISTENED: Manner = Manner {
    pace: Pace::RealTime,
    max_chunk_tokens: None,
    head: Head::Keep,
    deadline: None,
};

async fn spoken(recital: &mut Recital) -> Vec<Spoken> {
    let mut all = Vec::new();
    while let Some(next) = recital.next().await {
        assert!(next.chunk.is_ok(), "{next:?}");
        all.push(next);
    }
    all
}

/// The next chunk, which must be one.
async fn chunk(recital: &mut Recital) -> (Chunk, Duration) {
    let spoken = recital.next().await.unwrap();
    (spoken.chunk.unwrap(), spoken.late)
}

fn order(spoken: &[Spoken]) -> Vec<usize> {
    let mut order: Vec<usize> = spoken.iter().map(|it| it.sentence_idx).collect();
    order.dedup();
    order
}

#[tokio::test]
async fn sentences_are_spoken_in_order_and_whole() {
    for pace in [Pace::RealTime, Pace::Fast] {
        let bench = Bench::new();
        let mut recital = bench.speaker.recite();
        for text in ["30", "1", "0", "45", "12"] {
            recital.say(sentence(text), Manner::new(pace)).unwrap();
        }
        assert_eq!(recital.n_open(), 5);
        let spoken = spoken(&mut recital).await;
        assert_eq!(recital.n_open(), 0);
        assert_eq!(order(&spoken), [0, 1, 2, 3, 4]);
        for (sentence_idx, n_tokens) in [(0, 30), (1, 1), (3, 45), (4, 12)] {
            let chunks: Vec<Chunk> = spoken
                .iter()
                .filter(|it| it.sentence_idx == sentence_idx)
                .map(|it| it.chunk.clone().unwrap())
                .collect();
            check_whole(&chunks, n_tokens);
        }
        recital.say(sentence("9"), LISTENED).unwrap();
        assert_eq!(recital.next().await.unwrap().sentence_idx, 5);
    }
}

#[tokio::test]
async fn the_next_sentence_is_made_while_one_is_spoken_and_no_other() {
    let bench = Bench::new();
    bench.decodes.close();
    let mut recital = bench.speaker.recite();
    for text in ["61", "200", "63"] {
        recital.say(sentence(text), LISTENED).unwrap();
    }
    let log = bench.log.clone();
    tokio::select! {
        _ = recital.next() => panic!("nothing is decoded"),
        // Two windows of the largest size and their look-ahead, at the least, are here or on their way.
        () = soon(|| 33 <= log.n_tokens("200") && log.n_tokens("61") == 61) => {}
    }
    tokio::select! {
        _ = recital.next() => panic!("nothing is decoded"),
        () = tokio::time::sleep(Duration::from_millis(50)) => {}
    }
    assert_eq!(log.of("admit"), ["admit 61", "admit 200"]);
    bench.decodes.open();
    assert_eq!(order(&spoken(&mut recital).await), [0, 1, 2]);
}

/// If the next sentences of all held the slots, what comes before them would wait for ever.
#[tokio::test]
async fn next_sentences_take_no_slots_from_first_ones() {
    let bench = Bench::new();
    let recitals = (0..scripted::PLACES).map(|_| {
        let mut recital = bench.speaker.recite();
        for text in ["60", "200", "5"] {
            recital.say(sentence(text), LISTENED).unwrap();
        }
        async move { order(&spoken(&mut recital).await) }
    });
    let orders = futures_util::future::join_all(recitals);
    let orders = tokio::time::timeout(Duration::from_secs(20), orders)
        .await
        .unwrap();
    assert!(orders.iter().all(|it| it == &[0, 1, 2]));
}

/// Every place is taken for a while by others; the recital goes on when one is free.
#[tokio::test]
async fn a_next_sentence_that_finds_no_place_is_tried_again() {
    let bench = Bench::new();
    let mut others: Vec<Recital> = Vec::new();
    let mut recital = bench.speaker.recite();
    bench.steps.close();
    recital.say(sentence("200"), LISTENED).unwrap();
    recital.say(sentence("7"), LISTENED).unwrap();
    bench.log.until("admit 200").await;
    for _ in 0..scripted::PLACES {
        let mut other = bench.speaker.recite();
        // Not its first, so that it is in the same lane.
        other.n_said = 1;
        other.say(sentence("500"), LISTENED).unwrap();
        others.push(other);
    }
    bench.steps.open();
    let first = recital.next().await.unwrap();
    assert_eq!(first.sentence_idx, 0);
    assert_eq!(bench.log.of("admit 7").len(), 0);
    drop(others);
    assert_eq!(order(&spoken(&mut recital).await), [0, 1]);
}

#[tokio::test]
async fn the_next_sentence_is_not_gathered_without_end() {
    let bench = Bench::new();
    let mut recital = bench.speaker.recite();
    recital.say(sentence("900"), LISTENED).unwrap();
    recital.say(sentence("901"), LISTENED).unwrap();
    while chunk(&mut recital).await.0.start <= 2 * 30 * TOKEN {}
    // What a largest window needs, and what is made before anybody reads.
    assert!(bench.log.n_tokens("901") <= 30 + 3 + scripted::ROOM + 1);
    assert!(60 < bench.log.n_tokens("900"));
}

#[tokio::test]
async fn dropping_a_recital_leaves_both_slots() {
    let bench = Bench::new();
    let mut recital = bench.speaker.recite();
    recital.say(sentence("900"), LISTENED).unwrap();
    recital.say(sentence("901"), LISTENED).unwrap();
    recital.say(sentence("902"), LISTENED).unwrap();
    tokio::select! {
        () = async { while recital.next().await.is_some() {} } => panic!("it came to an end"),
        () = async {
            bench.log.until("admit 901").await;
            bench.steps.close();
            soon(|| bench.steps.n_passed() < bench.steps.n_reached()).await;
        } => {}
    }
    // In the middle of a step.
    let n_steps = bench.steps.n_reached();
    drop(recital);
    bench.steps.open();
    bench.log.until("evict 900").await;
    bench.log.until("evict 901").await;
    assert_eq!(bench.steps.n_passed(), n_steps);
    assert_eq!(bench.log.of("admit 902").len(), 0);
}

#[tokio::test]
async fn an_error_ends_its_own_sentence() {
    let bench = Bench::new();
    let mut recital = bench.speaker.recite();
    for text in ["20", "20 then fail", "refuse", "7"] {
        recital.say(sentence(text), LISTENED).unwrap();
    }
    let mut ends = Vec::new();
    while let Some(next) = recital.next().await {
        match next.chunk {
            Ok(chunk) if !chunk.is_last => {}
            chunk => ends.push((next.sentence_idx, chunk.is_ok())),
        }
    }
    assert_eq!(ends, [(0, true), (1, false), (2, false), (3, true)]);
    assert_eq!(recital.n_open(), 0);
}

#[tokio::test]
async fn one_sentence_may_be_stopped_and_the_others_are_whole() {
    for stopped in 0..4 {
        let bench = Bench::new();
        let mut recital = bench.speaker.recite();
        for text in ["100", "101", "102", "103"] {
            recital.say(sentence(text), LISTENED).unwrap();
        }
        let first = recital.next().await.unwrap();
        recital.stop(stopped);
        assert_eq!(recital.n_open(), 3);
        let mut spoken = spoken(&mut recital).await;
        spoken.insert(0, first);
        let of = |idx: usize| {
            let of = spoken.iter().filter(move |it| it.sentence_idx == idx);
            of.map(|it| it.chunk.clone().unwrap()).collect::<Vec<_>>()
        };
        for idx in (0..4).filter(|it| *it != stopped) {
            check_whole(&of(idx), 100 + idx);
        }
        assert_eq!(of(stopped).len(), usize::from(stopped == 0));
        if 1 < stopped {
            // Its turn has not come.
            let text = (100 + stopped).to_string();
            assert_eq!(bench.log.n_tokens(&text), 0);
        }
    }
}

/// Tokens stop coming, and what is here is decoded before the listener falls silent.
#[tokio::test]
async fn who_runs_out_gets_what_there_is_without_a_further_token() {
    for _ in 0..20 {
        let bench = Bench::new();
        bench.steps.allow(15);
        let mut recital = bench.speaker.recite();
        recital.say(sentence("40"), LISTENED).unwrap();
        let asked = std::time::Instant::now();
        let (first, _) = chunk(&mut recital).await;
        assert_eq!(first.samples.len(), 4 * TOKEN - 480);
        if Duration::from_millis(100) < asked.elapsed() {
            // To a decoder that seems so slow, more tokens than these are too few to begin with.
            continue;
        }
        let second = tokio::time::timeout(Duration::from_secs(10), chunk(&mut recital));
        let (second, late) = second.await.unwrap();
        assert!((5..=15 - 3).contains(&second.n_tokens), "{second:?}");
        // Generous, for a machine that is busy with other tests.
        assert!(late < Duration::from_secs(5), "{late:?}");
        return;
    }
    panic!("it was never quick enough");
}

#[tokio::test]
async fn a_listener_who_was_kept_waiting_is_told_for_how_long() {
    let bench = Bench::new();
    bench.steps.allow(7);
    let mut recital = bench.speaker.recite();
    recital.say(sentence("40"), LISTENED).unwrap();
    let (_, late) = chunk(&mut recital).await;
    assert_eq!(late, Duration::ZERO);
    // It lasts 140 ms.
    tokio::select! {
        _ = recital.next() => panic!("there are no tokens"),
        () = tokio::time::sleep(Duration::from_millis(300)) => {}
    }
    bench.steps.open();
    let (_, late) = chunk(&mut recital).await;
    assert!(Duration::from_millis(150) < late, "{late:?}");
}

#[tokio::test]
async fn silence_because_nothing_was_said_is_not_late() {
    let bench = Bench::new();
    let mut recital = bench.speaker.recite();
    recital.say(sentence("1"), LISTENED).unwrap();
    spoken(&mut recital).await;
    tokio::time::sleep(Duration::from_millis(250)).await;
    recital.say(sentence("50"), LISTENED).unwrap();
    let (_, late) = chunk(&mut recital).await;
    assert_eq!(late, Duration::ZERO);
}

/// Those who listen go first, and of those who runs out first.
#[tokio::test]
async fn the_decoder_serves_who_runs_out_first() {
    let bench = Bench::new();
    // One who has 140 ms, one who has nothing yet, and one who does not listen.
    let mut ahead = bench.speak("12", Pace::RealTime).unwrap();
    let first = ahead.next().await.unwrap().unwrap();
    assert_eq!(first.n_tokens, 4);
    bench.decodes.close();
    let n_before = bench.decodes.n_passed();
    let waiting = || {
        let load = bench.speaker.decoder_load();
        (load.urgent.waiting, load.background.waiting)
    };
    let mut blocking = bench.speak("60", Pace::Fast).unwrap();
    scripted::until(&mut blocking, || n_before < bench.decodes.n_reached()).await;
    let mut whole = bench.speak("61", Pace::Fast).unwrap();
    scripted::until(&mut whole, || waiting() == (0, 1)).await;
    let mut new = bench.speak("62", Pace::RealTime).unwrap();
    scripted::until(&mut new, || waiting() == (1, 1)).await;
    // He goes first although he comes last.
    scripted::until(&mut ahead, || waiting() == (2, 1)).await;
    bench.decodes.open();
    let (_, _, _) = tokio::join!(all(&mut whole), all(&mut new), all(&mut ahead));
    let order = bench.log.of("decode of");
    assert_eq!(
        order[1..4],
        ["decode of 60", "decode of 12", "decode of 62"]
    );
    let of_61 = order.iter().position(|it| it == "decode of 61").unwrap();
    assert!(3 < of_61);
    drop(blocking);
}

#[tokio::test]
async fn what_comes_from_elsewhere_is_played_before_the_next_sentence() {
    let bench = Bench::new();
    let mut recital = bench.speaker.recite();
    let minute = 60 * 24_000;
    assert_eq!(recital.hand_over(minute, Pace::RealTime), Duration::ZERO);
    let ahead = recital.demand(Pace::RealTime).ahead.unwrap();
    assert!(Duration::from_secs(30) < ahead, "{ahead:?}");
    // So there is no hurry, and nobody is kept waiting by what follows.
    recital
        .say(sentence("20"), Manner::new(Pace::RealTime))
        .unwrap();
    while let Some(spoken) = recital.next().await {
        assert_eq!(spoken.late, Duration::ZERO);
    }
    assert_eq!(recital.hand_over(minute, Pace::RealTime), Duration::ZERO);
    // Who waits for the whole does not listen.
    let mut recital = bench.speaker.recite();
    assert_eq!(recital.hand_over(minute, Pace::Fast), Duration::ZERO);
    assert_eq!(recital.demand(Pace::RealTime).ahead, None);
}
