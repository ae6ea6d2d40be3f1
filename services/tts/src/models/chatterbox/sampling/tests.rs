use super::*;

const GREEDY: Sampling = Sampling {
    temperature: 0.0,
    top_p: 1.0,
    top_k: 0,
    min_p: 0.0,
    repetition_penalty: 1.0,
    seed: 0,
};

/// Logits of a head in which only the given tokens are thinkable.
fn logits(given: &[(usize, f32)]) -> Vec<f32> {
    let mut logits = vec![-1e4; 8194];
    for (token, logit) in given {
        logits[*token] = *logit;
    }
    logits
}

fn tokens(sampling: Sampling, order: Order, logits: &[f32], n: usize) -> Vec<u32> {
    let mut sampler = Sampler::new(sampling, order);
    let mut scratch = Scratch::default();
    (0..n)
        .map(|_| sampler.choose(logits, &mut scratch).unwrap())
        .collect()
}

/// Which tokens come up at all in many draws.
fn thinkable(sampling: Sampling, order: Order, logits: &[f32]) -> Vec<u32> {
    let mut drawn = tokens(
        Sampling {
            temperature: 1.0,
            ..sampling
        },
        order,
        logits,
        2000,
    );
    drawn.sort_unstable();
    drawn.dedup();
    drawn
}

#[test]
fn greedy_takes_the_first_of_the_best_and_never_a_marker() {
    let order = Order::PenaltyFirst;
    assert_eq!(
        tokens(GREEDY, order, &logits(&[(7, 2.0), (9, 2.0)]), 1),
        [7]
    );
    let markers = logits(&[(6561, 9.0), (6563, 9.0), (8193, 9.0), (6562, 1.0), (3, 0.0)]);
    assert_eq!(tokens(GREEDY, order, &markers, 2), [6562, 6562]);
}

#[test]
fn a_repeated_token_loses_whatever_its_sign() {
    let sampling = Sampling {
        repetition_penalty: 2.0,
        ..GREEDY
    };
    let order = Order::PenaltyFirst;
    assert_eq!(
        tokens(sampling, order, &logits(&[(7, 3.0), (9, 2.0)]), 3),
        [7, 9, 7],
        "3 / 2 is less than 2, and then more than 2 / 2"
    );
    assert_eq!(
        tokens(sampling, order, &logits(&[(7, -2.0), (9, -3.0)]), 3),
        [7, 9, 7],
        "-2 * 2 is less than -3, and then more than -3 * 2"
    );
    assert_eq!(
        tokens(sampling, order, &logits(&[(6562, 3.0), (9, 2.0)]), 2),
        [6562, 6562],
        "to stop is no repetition"
    );
}

#[test]
fn narrowing_keeps_what_each_rule_names() {
    // Probabilities of about 0.64, 0.24, 0.09 and 0.03.
    let four = logits(&[(1, 3.0), (2, 2.0), (3, 1.0), (4, 0.0)]);
    for order in [Order::PenaltyFirst, Order::PenaltyLast] {
        let kept = |change: fn(&mut Sampling)| {
            let mut sampling = GREEDY;
            change(&mut sampling);
            thinkable(sampling, order, &four)
        };
        assert_eq!(kept(|_| ()), [1, 2, 3, 4]);
        assert_eq!(kept(|it| it.top_k = 2), [1, 2]);
        assert_eq!(kept(|it| it.top_p = 0.6), [1]);
        assert_eq!(kept(|it| it.top_p = 0.7), [1, 2]);
        assert_eq!(kept(|it| it.top_p = 0.9), [1, 2, 3]);
        assert_eq!(kept(|it| it.min_p = 0.1), [1, 2, 3]);
        assert_eq!(kept(|it| it.min_p = 0.2), [1, 2]);
    }
}

#[test]
fn the_penalty_comes_before_or_after_the_narrowing() {
    // Once 1 has been said, a penalty of 4 makes it 1.0 against 2.0: third of four, if it comes first.
    let four = logits(&[(1, 4.0), (2, 2.0), (3, 1.5), (4, 0.0)]);
    let sampling = Sampling {
        temperature: 1.0,
        top_k: 1,
        repetition_penalty: 4.0,
        ..GREEDY
    };
    assert_eq!(tokens(sampling, Order::PenaltyFirst, &four, 2), [1, 2]);
    assert_eq!(tokens(sampling, Order::PenaltyLast, &four, 2), [1, 1]);
}

#[test]
fn draws_follow_the_probabilities_and_the_seed() {
    let three = logits(&[(10, 0.0), (20, 2f32.ln()), (6562, 1f32.ln())]);
    let sampling = Sampling {
        temperature: 1.0,
        ..GREEDY
    };
    let n = 8000;
    let drawn = tokens(sampling, Order::PenaltyFirst, &three, n);
    let share = |token| {
        let count = drawn.iter().filter(|it| **it == token).count();
        f64::from(u32::try_from(count).unwrap()) / 8000.0
    };
    assert!((share(20) - 0.5).abs() < 0.02, "{}", share(20));
    assert!((share(10) - 0.25).abs() < 0.02, "{}", share(10));
    assert!((share(6562) - 0.25).abs() < 0.02, "{}", share(6562));
    assert_eq!(drawn, tokens(sampling, Order::PenaltyFirst, &three, n));
    let other = Sampling {
        seed: 1,
        ..sampling
    };
    assert_ne!(drawn, tokens(other, Order::PenaltyFirst, &three, n));
}

#[test]
fn the_draws_of_a_seed_are_those_of_splitmix64() {
    // The first outputs of the reference implementation for seed 0.
    let mut draws = Draws(0);
    for bits in [0xe220_a839_7b1d_cdafu64, 0x6e78_9e6a_a1b9_65f4] {
        let expected = f64::from_bits(0x3ff0_0000_0000_0000 | bits >> 12) - 1.0;
        assert_eq!(draws.next().to_bits(), expected.to_bits());
    }
}

#[test]
fn logits_without_numbers_are_refused() {
    let mut sampler = Sampler::new(GREEDY, Order::PenaltyFirst);
    let mut scratch = Scratch::default();
    let mut broken = logits(&[(1, 1.0)]);
    broken[77] = f32::NAN;
    assert_eq!(sampler.choose(&broken, &mut scratch), None);
    let sampling = Sampling {
        temperature: 1.0,
        ..GREEDY
    };
    let mut sampler = Sampler::new(sampling, Order::PenaltyLast);
    let nothing = vec![f32::NEG_INFINITY; 6563];
    assert_eq!(sampler.choose(&nothing, &mut scratch), None);
    assert_eq!(sampler.choose(&[], &mut scratch), None);
}
