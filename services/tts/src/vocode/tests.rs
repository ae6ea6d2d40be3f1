//! The rules, one by one. How it sounds is in `joins`, how it fares under load in `load`.

mod joins;
mod load;
mod toy;

use proptest::prelude::*;

use super::*;
use toy::{Artefacts, Toy};

pub(super) const MARGIN: Duration = Duration::from_millis(100);

pub(super) fn policy(sizes: &[usize]) -> Policy {
    Policy {
        reach: Reach {
            lookahead: 3,
            context: 8,
        },
        sizes: sizes.to_vec(),
        tail: 3,
        head: Head::Keep,
        margin: MARGIN,
        first_within: Duration::from_millis(50),
    }
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn demand(ahead: Option<u64>, n_windows: usize, per_token_us: u64) -> Demand {
    Demand {
        ahead: ahead.map(ms),
        n_windows,
        per_token: Duration::from_micros(per_token_us),
    }
}

fn tokens(n: usize) -> Vec<i64> {
    (0..n).map(|it| (it * 37 % 101) as i64).collect()
}

/// A sentence of which `n_decoded` tokens are decoded and `n_more` have come since.
fn midway(policy: Policy, n_decoded: usize, n_more: usize) -> Vocode {
    let mut vocode = Vocode::new(policy);
    vocode.policy.sizes.insert(0, n_decoded);
    let lookahead = vocode.policy.lookahead();
    for token in tokens(n_decoded + lookahead) {
        vocode.push(token);
    }
    let Next::Decode(window) = vocode.next(&demand(None, 0, 0)) else {
        panic!("the first window is there");
    };
    vocode
        .decoded(&vec![0.1; window.tokens.len() * SAMPLES_PER_TOKEN])
        .unwrap();
    vocode.policy.sizes.remove(0);
    for token in tokens(n_more) {
        vocode.push(token);
    }
    vocode
}

/// Has all of `tokens` decoded, `n_at_once` at a time arriving between the calls, and returns the chunks.
fn speak(policy: Policy, tokens: &[i64], n_at_once: usize, toy: &mut Toy) -> Vec<Chunk> {
    let mut vocode = Vocode::new(policy);
    let mut listener = Listener::new(ms(1));
    let mut chunks = Vec::new();
    let mut arriving = tokens.chunks(n_at_once.max(1));
    let mut now = Duration::ZERO;
    loop {
        match vocode.next(&listener.demand(now)) {
            Next::Finished => return chunks,
            Next::Decoding => panic!("nothing is out"),
            Next::Wait(wait) => match (arriving.next(), wait) {
                (Some(more), _) => more.iter().for_each(|it| vocode.push(*it)),
                (None, Some(wait)) if vocode.has_ended() => now += wait,
                (None, _) => {
                    assert!(!vocode.has_ended(), "waits though all is there");
                    vocode.end();
                }
            },
            Next::Decode(window) => {
                let chunk = vocode.decoded(&toy.decode(&window.tokens)).unwrap();
                listener.decoded(window.tokens.len(), ms(20));
                listener.delivered(now, chunk.samples.len());
                chunks.push(chunk);
            }
        }
    }
}

fn joined(chunks: &[Chunk]) -> Vec<f32> {
    chunks.iter().flat_map(|it| it.samples.clone()).collect()
}

/// The same but for what rounding does to a blend.
#[track_caller]
fn assert_alike(samples: &[f32], expected: &[f32]) {
    assert_eq!(samples.len(), expected.len());
    for (sample_idx, (given, expected)) in samples.iter().zip(expected).enumerate() {
        assert!(
            (given - expected).abs() < 2e-3,
            "{sample_idx}: {given} instead of {expected}"
        );
    }
}

#[test]
fn the_first_window_is_the_smallest_and_waits_for_its_look_ahead() {
    let mut vocode = Vocode::new(policy(&[4, 8]));
    for token in 0..6 {
        vocode.push(token);
    }
    assert_eq!(vocode.next(&demand(None, 0, 0)), Next::Wait(None));
    vocode.push(6);
    vocode.push(7);
    let window = Window {
        tokens: (0..7).collect(),
        due_in: ms(50),
    };
    assert_eq!(vocode.next(&demand(None, 0, 0)), Next::Decode(window));
    assert_eq!(vocode.next(&demand(None, 0, 0)), Next::Decoding);
}

#[test]
fn a_window_has_context_before_and_look_ahead_after() {
    let mut vocode = midway(policy(&[4, 8, 30]), 20, 8);
    let Next::Decode(window) = vocode.next(&demand(Some(0), 1, 1_000)) else {
        panic!("it is high time");
    };
    assert_eq!(window.tokens.len(), 8 + 8 + 3);
    assert_eq!(window.tokens[..8], tokens(20)[12..]);
}

#[test]
fn the_context_covers_what_is_muted_whatever_the_pack_says() {
    let mut bare = policy(&[4, 8]);
    bare.reach = Reach {
        lookahead: 0,
        context: 0,
    };
    let mut vocode = midway(bare, 20, 8);
    let Next::Decode(window) = vocode.next(&demand(Some(0), 1, 1_000)) else {
        panic!("it is high time");
    };
    assert_eq!(window.tokens.len(), 2 + 8 + 1);
}

/// What a sentence of 12 decoded tokens does with `n_ready` more, for a listener with `ahead_ms` left. A token takes 10 ms to decode.
#[track_caller]
fn check(n_ready: usize, ahead_ms: u64, expected: Result<usize, Option<u64>>) {
    let vocode = midway(policy(&[4, 20, 60]), 12, n_ready);
    let ripe = vocode.ripe(&demand(Some(ahead_ms), 1, 10_000));
    assert_eq!(ripe, expected.map_err(|it| it.map(ms)));
}

#[test]
fn a_listener_with_enough_lets_windows_grow() {
    // 8 + 10 + 3 tokens take 210 ms; half as much again and the margin are 415.
    check(10, 500, Err(Some(85)));
    check(10, 416, Err(Some(1)));
}

#[test]
fn a_listener_who_runs_out_gets_what_there_is() {
    check(10, 415, Ok(10));
    check(10, 0, Ok(10));
}

#[test]
fn a_window_is_no_larger_than_there_is_time_for() {
    // (900 - 100) / 15 = 53 tokens, of which 11 are context and look-ahead.
    check(50, 900, Ok(42));
    check(50, 5_000, Err(Some(5_000 - 61 * 15 - 100)));
    check(70, 5_000, Ok(60));
}

#[test]
fn windows_grow_along_the_schedule_even_when_there_is_no_time() {
    check(30, 0, Ok(20));
    let vocode = midway(policy(&[4, 20, 60]), 12, 70);
    assert_eq!(vocode.ripe(&demand(Some(0), 2, 10_000)), Ok(60));
    assert_eq!(vocode.ripe(&demand(Some(0), 9, 10_000)), Ok(60));
}

#[test]
fn a_window_that_loses_ground_is_not_asked_for() {
    // 8 + 4 + 3 tokens take 150 ms, in which 4 are played.
    check(3, 0, Err(None));
    check(4, 0, Ok(4));
    // At 60 ms a token the same window takes 900 ms, in which 23 are played.
    let vocode = midway(policy(&[4, 60]), 12, 22);
    assert_eq!(
        vocode.ripe(&demand(Some(0), 0, 60_000)),
        Ok(4),
        "the schedule allows it"
    );
    assert_eq!(vocode.ripe(&demand(Some(0), 1, 60_000)), Err(None));
    let vocode = midway(policy(&[4, 60]), 12, 23);
    assert_eq!(vocode.ripe(&demand(Some(0), 1, 60_000)), Ok(23));
}

#[test]
fn the_first_window_lasts_as_long_as_two_calls_are_known_to_take() {
    let mut vocode = Vocode::new(policy(&[4, 60]));
    for token in tokens(18) {
        vocode.push(token);
    }
    // 8 + 4 + 3 tokens take 300 ms, in which 8 are played.
    assert_eq!(vocode.ripe(&demand(None, 0, 20_000)), Err(None));
    vocode.push(0);
    assert_eq!(vocode.ripe(&demand(None, 0, 20_000)), Ok(16));
    assert_eq!(vocode.ripe(&demand(None, 0, 5_000)), Ok(4));
}

#[test]
fn after_the_end_nothing_is_waited_for() {
    let mut vocode = midway(policy(&[4, 20]), 12, 2);
    assert_eq!(vocode.ripe(&demand(Some(5_000), 1, 1_000)), Err(None));
    vocode.end();
    // Two, the three that were held back, and silence.
    assert_eq!(vocode.ripe(&demand(Some(5_000), 1, 1_000)), Ok(8));
}

#[test]
fn a_small_rest_goes_with_the_window_before_it() {
    for (n_more, expected) in [(4, 10), (9, 15), (10, 10)] {
        let mut vocode = midway(policy(&[4, 10]), 12, n_more);
        vocode.end();
        assert_eq!(
            vocode.ripe(&demand(Some(0), 1, 1_000)),
            Ok(expected),
            "{n_more} more"
        );
    }
}

#[test]
fn a_window_is_due_when_the_listener_has_played_all_he_has() {
    for ahead in [2_000, 10, 0] {
        let mut vocode = midway(policy(&[4, 8]), 12, 8);
        let Next::Decode(window) = vocode.next(&demand(Some(ahead), 1, 1_000)) else {
            panic!("a largest window is never waited with");
        };
        assert_eq!(window.due_in, ms(ahead));
    }
}

#[test]
fn who_waits_for_the_whole_gets_it_in_one() {
    let mut vocode = Vocode::new(policy(&[500]));
    for token in tokens(300) {
        vocode.push(token);
        assert!(matches!(vocode.next(&Demand::NONE), Next::Wait(_)));
    }
    vocode.end();
    let Next::Decode(window) = vocode.next(&Demand::NONE) else {
        panic!("all is there");
    };
    let mut expected = tokens(300);
    expected.extend([SILENCE_TOKEN; 3]);
    assert_eq!(window.tokens, expected);
}

#[test]
fn a_request_caps_the_windows() {
    let capped = policy(&[12, 20, 60]).capped(15);
    assert_eq!(capped.sizes, [12, 15, 15]);
    assert_eq!(policy(&[12, 20]).capped(0).sizes, [1, 1]);
}

#[test]
fn a_sentence_without_tokens_has_no_sound() {
    let mut vocode = Vocode::new(policy(&[4]));
    vocode.end();
    assert_eq!(vocode.next(&demand(None, 0, 0)), Next::Finished);
}

#[test]
fn silence_follows_once() {
    let mut vocode = Vocode::new(policy(&[40]));
    vocode.push(7);
    vocode.end();
    vocode.end();
    let Next::Decode(window) = vocode.next(&demand(None, 0, 0)) else {
        panic!("all is there");
    };
    assert_eq!(window.tokens, [7, 4299, 4299, 4299]);
}

#[test]
fn an_answer_of_the_wrong_length_is_an_error() {
    for n_samples in [0, 6 * 960, 7 * 960 - 1, 7 * 960 + 1] {
        let mut vocode = Vocode::new(policy(&[4]));
        tokens(7).into_iter().for_each(|it| vocode.push(it));
        assert!(matches!(vocode.next(&demand(None, 0, 0)), Next::Decode(_)));
        let expected = DecodedError::Length {
            n_tokens: 7,
            n_samples,
        };
        assert_eq!(vocode.decoded(&vec![0.0; n_samples]), Err(expected));
    }
}

#[test]
fn an_answer_that_is_no_number_is_an_error() {
    for bad in [f32::NAN, f32::INFINITY] {
        let mut vocode = Vocode::new(policy(&[4]));
        tokens(7).into_iter().for_each(|it| vocode.push(it));
        assert!(matches!(vocode.next(&demand(None, 0, 0)), Next::Decode(_)));
        let mut samples = vec![0.0; 7 * 960];
        samples[6_000] = bad;
        let expected = DecodedError::NotFinite {
            sample_idx: 6_000,
            n_samples: 6_720,
        };
        assert_eq!(vocode.decoded(&samples), Err(expected));
    }
}

#[test]
fn an_answer_to_nothing_is_an_error() {
    let mut vocode = Vocode::new(policy(&[4]));
    assert_eq!(vocode.decoded(&[]), Err(DecodedError::NotAsked));
}

#[test]
fn peaks_are_cut() {
    let mut vocode = Vocode::new(policy(&[4]));
    vocode.push(1);
    vocode.end();
    assert!(matches!(vocode.next(&demand(None, 0, 0)), Next::Decode(_)));
    let mut loud = vec![3.0; 4 * 960];
    loud[1] = -3.0;
    let samples = vocode.decoded(&loud).unwrap().samples;
    assert_eq!(samples[..3], [0.99, -0.99, 0.99]);
}

#[test]
fn the_end_fades_out() {
    let chunks = speak(
        policy(&[4, 8]),
        &tokens(30),
        5,
        &mut Toy::new(Artefacts::NONE),
    );
    let samples = joined(&chunks);
    let whole = Toy::new(Artefacts::NONE).decode(&{
        let mut all = tokens(30);
        all.extend([SILENCE_TOKEN; 3]);
        all
    });
    let n = samples.len();
    assert!(samples[n - 1].abs() < 1e-9);
    let middle = samples[n - 61] / whole[n - 61];
    assert!((middle - 0.5).abs() < 1e-3, "{middle}");
    assert!((samples[n - 121] - whole[n - 121]).abs() < 1e-3);
}

#[test]
fn skipping_the_head_is_told_by_where_the_first_chunk_starts() {
    let mut skipping = policy(&[1, 8]);
    skipping.head = Head::Skip;
    let kept = speak(
        policy(&[1, 8]),
        &tokens(20),
        1,
        &mut Toy::new(Artefacts::NONE),
    );
    let skipped = speak(skipping, &tokens(20), 1, &mut Toy::new(Artefacts::NONE));
    assert_eq!(skipped[0].start, 480);
    assert_alike(&joined(&skipped), &joined(&kept)[480..]);
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let sizes = proptest::collection::vec(1_usize..40, 1..5);
    let head = prop_oneof![Just(Head::Keep), Just(Head::Skip)];
    (sizes, 0_usize..10, 0_usize..12, 0_usize..4, head).prop_map(
        |(sizes, lookahead, context, tail, head)| Policy {
            reach: Reach { lookahead, context },
            sizes,
            tail,
            head,
            ..policy(&[1])
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_chunks_are_the_sentence_without_gap(
        policy in any_policy(),
        n_tokens in 0_usize..120,
        n_at_once in 1_usize..50,
        artefacts in prop_oneof![Just(Artefacts::NONE), Just(Artefacts::ALL)],
    ) {
        let tail = policy.tail;
        let head = policy.head;
        let mut toy = Toy::new(artefacts);
        let chunks = speak(policy, &tokens(n_tokens), n_at_once, &mut toy);
        if n_tokens == 0 {
            prop_assert!(chunks.is_empty());
            return Ok(());
        }
        let mut at = if head == Head::Skip { 480 } else { 0 };
        for chunk in &chunks {
            prop_assert_eq!(chunk.start, at);
            at += chunk.samples.len();
            prop_assert!(at <= chunk.n_tokens * 960);
            prop_assert!(chunk.samples.iter().all(|it| it.abs() <= 0.99));
        }
        prop_assert_eq!(at, (n_tokens + tail) * 960);
        let n_last = chunks.iter().filter(|it| it.is_last).count();
        prop_assert_eq!(n_last, 1);
        let last = chunks.last().unwrap();
        prop_assert!(last.is_last);
        prop_assert_eq!(last.n_tokens, n_tokens + tail);
    }

    /// Of a decoder that answers the same for the same tokens, nobody can tell how the sentence was cut.
    #[test]
    fn without_artefacts_it_is_the_one_shot(
        sizes in proptest::collection::vec(1_usize..30, 1..4),
        n_tokens in 1_usize..100,
        n_at_once in 1_usize..50,
    ) {
        let streamed = joined(&speak(
            policy(&sizes), &tokens(n_tokens), n_at_once, &mut Toy::new(Artefacts::HEAD)));
        let whole = joined(&speak(
            policy(&[500]), &tokens(n_tokens), 500, &mut Toy::new(Artefacts::HEAD)));
        assert_alike(&streamed, &whole);
    }
}
