//! What is said together is what is said alone, whoever joins, stands still or leaves, and whenever.

use std::collections::BTreeMap;

use batcher::{Slot, StepModel, Stepped};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tts::models::chatterbox::{LanguageModel, Sampling, Scheme, Sentence};

use crate::golden::alone;
use crate::support::{self, Case, ON_CPU, PACKS};

/// What happens before a step.
#[derive(Clone, Debug)]
enum Event {
    /// The sentence of this number begins.
    Join(usize),
    /// A sentence that is being said is abandoned.
    Leave(usize),
    /// These do not take part in the next steps.
    Stall { which: u32, n_steps: usize },
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        6 => (0..64usize).prop_map(Event::Join),
        1 => (0..64usize).prop_map(Event::Leave),
        3 => (any::<u32>(), 1..24usize).prop_map(|(which, n_steps)| Event::Stall { which, n_steps }),
    ];
    prop::collection::vec(event, 4..14)
}

/// A sentence, and what it says alone.
type Known = (Sentence, Vec<u32>);

/// Plays the events, and compares everything that was said.
fn play(model: &mut LanguageModel, known: &[Known], events: &[Event]) {
    let mut spoken: BTreeMap<Slot, (usize, Vec<u32>)> = BTreeMap::new();
    let mut next_slot = 0;
    let mut events = events.iter();
    loop {
        let event = events.next();
        let mut stalled = (0, 2);
        match event {
            Some(Event::Join(idx)) => {
                let idx = idx % known.len();
                let slot = Slot::new(next_slot);
                next_slot += 1;
                model.admit(slot, known[idx].0.clone()).unwrap();
                spoken.insert(slot, (idx, Vec::new()));
            }
            Some(Event::Leave(idx)) => {
                if let Some(slot) = spoken.keys().nth(idx % spoken.len().max(1)).copied() {
                    let (idx, said) = spoken.remove(&slot).unwrap();
                    assert!(known[idx].1.starts_with(&said), "abandoned {idx}");
                    model.evict(slot);
                }
            }
            Some(Event::Stall { which, n_steps }) => stalled = (*which, *n_steps),
            None if spoken.is_empty() => return,
            None => stalled = (0, 50),
        }
        for _ in 0..stalled.1 {
            let taking_part = |it: &&Slot| stalled.0 >> (it.index() % 32) & 1 == 0;
            let slots: Vec<Slot> = spoken.keys().filter(taking_part).copied().collect();
            if slots.is_empty() {
                break;
            }
            for (slot, stepped) in slots.iter().zip(model.step(&slots).unwrap()) {
                let (idx, said) = spoken.get_mut(slot).unwrap();
                let finished = match stepped {
                    Stepped::Quiet => false,
                    Stepped::Chunk(token) => {
                        said.push(token);
                        false
                    }
                    Stepped::Last(token) => {
                        said.push(token);
                        true
                    }
                    Stepped::Finished => true,
                    Stepped::Failed(error) => panic!("{error}"),
                };
                assert!(
                    known[*idx].1.starts_with(said),
                    "{idx} says {said:?}, not {:?}",
                    known[*idx].1
                );
                if finished {
                    assert_eq!(*said, known[*idx].1, "{idx}");
                    spoken.remove(slot);
                    model.evict(*slot);
                }
            }
        }
    }
}

fn check(model: &mut LanguageModel, known: &[Known], cases: u32) {
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    // The same events every time: what fails here fails everywhere.
    let mut runner = TestRunner::new_with_rng(
        config,
        proptest::test_runner::TestRng::deterministic_rng(
            proptest::test_runner::RngAlgorithm::ChaCha,
        ),
    );
    let model = std::cell::RefCell::new(model);
    runner
        .run(&events(), |events| {
            play(&mut model.borrow_mut(), known, &events);
            Ok(())
        })
        .unwrap();
}

/// Some cases of every kind, the long ones left out.
fn some(cases: &[Case]) -> Vec<Case> {
    let short = cases
        .iter()
        .filter(|it| it.tokens.len() <= 70 && !support::needs_table(it));
    let guided = short.clone().filter(|it| it.cfg_weight > 0.0).take(3);
    let plain = short.clone().filter(|it| it.cfg_weight <= 0.0).take(9);
    guided.chain(plain).cloned().collect()
}

#[test]
fn a_sentence_says_the_same_in_any_company() {
    if !support::has_runtime() {
        return;
    }
    for name in PACKS {
        let golden = support::golden(name);
        let pack = support::pack(name, &golden);
        let voices = support::voices(&golden, &pack);
        let mut model = LanguageModel::load(&pack, ON_CPU).unwrap();
        let mut known: Vec<Known> = some(&golden.cases)
            .into_iter()
            .map(|case| (support::sentence(&case, &voices), case.tokens))
            .collect();
        // Drawn tokens too.
        for seed in 0..2 {
            let mut sentence = known[usize::try_from(seed).unwrap() * 3].0.clone();
            sentence.max_tokens = 40;
            sentence.sampling = Sampling {
                temperature: 0.8,
                top_p: 0.95,
                top_k: 500,
                min_p: 0.01,
                repetition_penalty: 1.2,
                seed,
            };
            let tokens = alone(&mut model, sentence.clone());
            known.push((sentence, tokens));
        }
        check(&mut model, &known, 12);
    }
}

#[test]
fn every_scheme_that_is_exact_can_be_used() {
    if !support::has_runtime() {
        return;
    }
    for (name, schemes) in [
        (
            "demo",
            &[Scheme::LeftPad, Scheme::EqualLength, Scheme::Single][..],
        ),
        ("en-plain", &[Scheme::Single]),
        ("turbo-plain", &[Scheme::LeftPad, Scheme::EqualLength]),
        ("en", &[Scheme::EqualLength, Scheme::Single]),
    ] {
        let golden = support::golden(name);
        let pack = support::pack(name, &golden);
        let voices = support::voices(&golden, &pack);
        let known: Vec<Known> = some(&golden.cases)
            .into_iter()
            .map(|case| (support::sentence(&case, &voices), case.tokens))
            .collect();
        for scheme in schemes {
            let model = LanguageModel::load(&pack, ON_CPU).unwrap();
            check(&mut model.with_scheme(*scheme), &known, 4);
        }
    }
}

/// A scheme that is not exact must be heard, or the tests above would be deaf.
#[test]
fn a_wrong_scheme_says_something_else() {
    if !support::has_runtime() {
        return;
    }
    for (name, scheme) in [
        ("en", Scheme::LeftPad),
        ("turbo", Scheme::LeftPad),
        ("en-plain", Scheme::HoleMask),
        ("en-plain", Scheme::LeftPad),
    ] {
        let golden = support::golden(name);
        let pack = support::pack(name, &golden);
        let voices = support::voices(&golden, &pack);
        let mut model = LanguageModel::load(&pack, ON_CPU)
            .unwrap()
            .with_scheme(scheme);
        let cases = some(&golden.cases);
        let slots: Vec<Slot> = (0..cases.len()).map(Slot::new).collect();
        for (slot, case) in slots.iter().zip(&cases) {
            model
                .admit(*slot, support::sentence(case, &voices))
                .unwrap();
        }
        let differs = (0..8).any(|step| {
            let stepped = model.step(&slots);
            let Ok(stepped) = stepped else { return true };
            stepped.iter().zip(&cases).any(|(stepped, case)| {
                !matches!(stepped, Stepped::Chunk(token) if case.tokens.get(step) == Some(token))
            })
        });
        assert!(differs, "{name} {scheme}");
    }
}
