//! What is said alone is what the reference loop says.

use std::sync::Arc;

use batcher::{Model, Slot, StepModel, Stepped};
use tts::models::chatterbox::vocoder::VocoderSettings;
use tts::models::chatterbox::{Decode, LanguageModel, SILENCE, Scheme, Sentence, Vocoder};
use tts::models::conditioning::{Conditioning, SAMPLES_PER_TOKEN};
use tts::models::onnx::Float;

use crate::support::{self, ON_CPU, PACKS, Summary};

/// All tokens of a sentence that is alone.
pub(crate) fn alone(model: &mut LanguageModel, sentence: Sentence) -> Vec<u32> {
    let slot = Slot::new(0);
    model.admit(slot, sentence).unwrap();
    let mut tokens = Vec::new();
    loop {
        match model.step(&[slot]).unwrap().remove(0) {
            Stepped::Quiet => {}
            Stepped::Chunk(token) => tokens.push(token),
            Stepped::Last(token) => {
                tokens.push(token);
                break;
            }
            Stepped::Finished => break,
            Stepped::Failed(error) => panic!("{error}"),
        }
    }
    model.evict(slot);
    tokens
}

#[test]
fn the_facts_of_each_pack_are_found() {
    for name in PACKS {
        let golden = support::golden(name);
        let pack = support::pack(name, &golden);
        let facts = &golden.facts;
        let shape = &pack.shape;
        assert_eq!(shape.n_layers, facts.layers, "{name}");
        assert_eq!(shape.n_kv_heads, facts.kv_heads, "{name}");
        assert_eq!(shape.head_dim, facts.head_width, "{name}");
        assert_eq!(shape.hidden, facts.width, "{name}");
        assert_eq!(shape.n_logits, Some(facts.logits), "{name}");
        assert_eq!(shape.asks.lm_positions, facts.explicit_positions, "{name}");
        assert_eq!(shape.asks.embed_positions, facts.embeds_positions, "{name}");
        let cache = if facts.cache == "float16" {
            Float::F16
        } else {
            Float::F32
        };
        assert_eq!(shape.kv, cache, "{name}");
        assert_eq!(pack.prompter.languages(), facts.languages, "{name}");
        // Nano is Turbo with other sizes, and the small ones have none of either.
        let family = pack.family.to_string();
        let same = match &*golden.family {
            "turbo" | "nano" => ["turbo", "nano"].contains(&&*family),
            "english" if name == "demo" => family == "demo",
            other => family == other,
        };
        assert!(same, "{name} is {family}");
    }
}

#[test]
fn prompts_are_those_of_the_reference() {
    for name in PACKS {
        let golden = support::golden(name);
        let pack = support::pack(name, &golden);
        for case in &golden.cases {
            let prompt = pack.prompter.prompt(&case.text, Some(&case.language));
            if support::needs_table(case) {
                prompt.unwrap_err();
                continue;
            }
            let prompt = prompt.unwrap();
            assert_eq!(prompt.ids, case.ids, "{name}: {}", case.text);
            let positions = case.positions.clone().unwrap_or_default();
            assert_eq!(prompt.positions, positions, "{name}: {}", case.text);
        }
    }
}

#[test]
fn voices_are_those_of_the_reference() {
    if !support::has_runtime() {
        return;
    }
    for name in PACKS {
        let golden = support::golden(name);
        let pack = support::pack(name, &golden);
        for (voice, heard) in support::voices(&golden, &pack) {
            let expected = &golden.voices[&voice];
            assert_eq!(heard.prompt_tokens, expected.tokens, "{name} {voice}");
            let prefix: Vec<f32> = heard.prefix.iter().copied().collect();
            let mel: Vec<f32> = heard.mel.iter().copied().collect();
            check(&prefix, &expected.prefix, heard.prefix.shape());
            check(&heard.speaker, &expected.speaker, &[192]);
            check(&mel, &expected.mel, heard.mel.shape());
        }
    }
}

fn check(values: &[f32], expected: &Summary, shape: &[usize]) {
    let expected_shape: Vec<usize> = expected
        .shape
        .iter()
        .copied()
        .filter(|it| *it != 1)
        .collect();
    let shape: Vec<usize> = shape.iter().copied().filter(|it| *it != 1).collect();
    assert_eq!(shape, expected_shape);
    let n = f64::from(u32::try_from(values.len()).unwrap());
    let mean = values.iter().map(|it| f64::from(*it)).sum::<f64>() / n;
    let square: f64 = values.iter().map(|it| f64::from(*it).powi(2)).sum();
    let rms = (square / n).sqrt();
    let near = |a: f64, b: f64| (a - b).abs() <= 1e-3 * b.abs().max(0.1);
    assert!(near(mean, expected.mean), "mean {mean} {}", expected.mean);
    assert!(near(rms, expected.rms), "rms {rms} {}", expected.rms);
    let ends = expected.first.iter().chain(&expected.last);
    let last = values.len() - expected.last.len();
    let found = values[..expected.first.len()].iter().chain(&values[last..]);
    for (found, expected) in found.zip(ends) {
        assert!(
            near((*found).into(), (*expected).into()),
            "{found} {expected}"
        );
    }
}

#[test]
fn tokens_are_those_of_the_reference() {
    if !support::has_runtime() {
        return;
    }
    for name in PACKS {
        let golden = support::golden(name);
        let pack = support::pack(name, &golden);
        let voices = support::voices(&golden, &pack);
        let mut model = LanguageModel::load(&pack, ON_CPU).unwrap();
        for case in golden.cases.iter().filter(|it| !support::needs_table(it)) {
            let tokens = alone(&mut model, support::sentence(case, &voices));
            assert_eq!(tokens, case.tokens, "{name} {case:?}");
        }
        model.self_test().unwrap();
    }
}

#[test]
fn the_best_scheme_that_is_exact_is_found() {
    if !support::has_runtime() {
        return;
    }
    for name in PACKS {
        let golden = support::golden(name);
        let pack = support::pack(name, &golden);
        let model = LanguageModel::load(&pack, ON_CPU).unwrap();
        let exact = |key: &str| golden.batching[key].exact;
        let expected = if exact("right_ragged") {
            Scheme::RightRagged
        } else if exact("hole_mask") {
            Scheme::HoleMask
        } else if exact("left_merge") {
            Scheme::LeftPad
        } else {
            Scheme::EqualLength
        };
        assert_eq!(model.scheme(), expected, "{name}: {:?}", model.trials());
        assert_eq!(pack.scheme(), Some(expected));
        assert!(model.embeds_together(), "{name}");
    }
}

fn vocoder(pack: &tts::models::pack::Pack, max_prompt_seconds: Option<f32>) -> Vocoder {
    let settings = VocoderSettings {
        session: ON_CPU,
        max_prompt_seconds,
    };
    Vocoder::load(pack, settings).unwrap()
}

fn decode(vocoder: &mut Vocoder, tokens: &[i64], voice: &Arc<Conditioning>) -> Vec<f32> {
    let decode = Decode {
        tokens: tokens.to_vec(),
        voice: Arc::clone(voice),
    };
    vocoder.run(&[decode]).unwrap().remove(0)
}

fn rms(samples: &[f32]) -> f32 {
    let n: f32 = samples.iter().map(|_| 1.0).sum();
    (samples.iter().map(|it| it * it).sum::<f32>() / n).sqrt()
}

#[test]
fn what_is_heard_is_as_loud_as_the_reference_everywhere() {
    if !support::has_runtime() {
        return;
    }
    for name in PACKS {
        let golden = support::golden(name);
        let pack = support::pack(name, &golden);
        let mut vocoder = vocoder(&pack, None);
        assert_eq!(vocoder.decodes_together(), golden.decoder.batches, "{name}");
        vocoder.self_test().unwrap();
        let decoder = golden.decoder;
        let (Some(tokens), Some(envelope)) = (decoder.tokens, decoder.envelope) else {
            continue;
        };
        let voices = support::voices(&support::golden(name), &pack);
        let voice = &voices[&decoder.voice.unwrap()];
        let audio = decode(&mut vocoder, &tokens, voice);
        assert_eq!(audio.len(), tokens.len() * SAMPLES_PER_TOKEN, "{name}");
        for (piece, expected) in audio.chunks(envelope.every).zip(&envelope.rms) {
            let off = (rms(piece) - expected).abs();
            assert!(off <= decoder.within.unwrap(), "{name}: {off}");
        }
    }
}

#[test]
fn the_built_in_model_sounds_as_the_reference() {
    if !support::has_runtime() {
        return;
    }
    let golden = support::golden("demo");
    let pack = support::pack("demo", &golden);
    let voices = support::voices(&golden, &pack);
    let mut vocoder = vocoder(&pack, None);
    let recordings = golden.decoder.samples.unwrap();
    assert!(!recordings.is_empty());
    for recording in recordings {
        let mut tokens = recording.tokens.clone();
        tokens.extend(vec![i64::from(SILENCE); recording.tail]);
        let audio = decode(&mut vocoder, &tokens, &voices[&recording.voice]);
        let file = support::fixtures().join("tts-golden").join(&recording.file);
        let expected = std::fs::read(file).unwrap();
        let expected: Vec<f32> = expected
            .chunks_exact(2)
            .map(|it| f32::from(i16::from_le_bytes([it[0], it[1]])) / 32767.0)
            .collect();
        assert_eq!(audio.len(), expected.len());
        let off = audio
            .iter()
            .zip(&expected)
            .map(|(a, b)| a.clamp(-1.0, 1.0) - b);
        let off: Vec<f32> = off.collect();
        // A vocoder adds up phases, and kernels differ in the last bit.
        assert!(rms(&off) <= 0.02 * rms(&expected), "{}", recording.text);
    }
}

#[test]
fn a_shorter_prompt_leaves_the_length_and_other_voices_alone() {
    if !support::has_runtime() {
        return;
    }
    for name in ["demo", "en"] {
        let golden = support::golden(name);
        let pack = support::pack(name, &golden);
        let voices = support::voices(&golden, &pack);
        let tokens: Vec<i64> = (0..40).map(|it| 100 * it + 7).collect();
        for seconds in [0.0, 0.05, 1.0, 4.0, 100.0] {
            let audio = decode(&mut vocoder(&pack, Some(seconds)), &tokens, &voices["high"]);
            assert_eq!(audio.len(), 40 * SAMPLES_PER_TOKEN, "{name} {seconds}");
        }
    }
}

#[test]
fn sentences_decoded_together_sound_as_alone() {
    if !support::has_runtime() {
        return;
    }
    let golden = support::golden("demo");
    let pack = support::pack("demo", &golden);
    let voices = support::voices(&golden, &pack);
    let mut vocoder = vocoder(&pack, None);
    let decodes: Vec<Decode> = [("high", 0), ("high", 5), ("higher", 2)]
        .into_iter()
        .map(|(voice, offset)| Decode {
            tokens: (0..24).map(|it| 200 * it + offset).collect(),
            voice: Arc::clone(&voices[voice]),
        })
        .collect();
    // The third has another prompt, so only the first two can share a call.
    for batch in [&decodes[..2], &decodes[..]] {
        let together = vocoder.run(batch).unwrap();
        for (audio, decode) in together.iter().zip(batch) {
            let alone = vocoder.run(std::slice::from_ref(decode)).unwrap().remove(0);
            let off: Vec<f32> = audio.iter().zip(&alone).map(|(a, b)| a - b).collect();
            assert!(rms(&off) <= 0.01 * rms(&alone));
        }
    }
}

/// Sentences on which the built-in voice once hung on a phone, until the guard against that ended them.
#[test]
fn the_built_in_voice_gets_on_with_every_sentence() {
    let golden = support::golden("demo");
    let pack = support::pack("demo", &golden);
    let voices = support::voices(&golden, &pack);
    let mut model = LanguageModel::load(&pack, ON_CPU).unwrap();
    for text in [
        "Your reference is O nine I W.",
        "Page eight hundred one behind steep shirts.",
        "They sell the smiles, inch, computer, his homeless spaceship and the vitamin!",
    ] {
        let mut sentence = support::sentence(&golden.cases[0], &voices);
        sentence.text = text.to_owned();
        sentence.max_tokens = 5 * text.len();
        let tokens = alone(&mut model, sentence);
        // A token is a phone of 40 ms at one of nine levels of pitch.
        let longest = tokens.chunk_by(|a, b| a / 9 == b / 9).map(<[u32]>::len);
        let longest = longest.max().unwrap();
        assert!(longest < 55, "{text}: {longest} tokens of one sound");
    }
}
