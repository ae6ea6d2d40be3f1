//! Packs, voices and what the reference loop made of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use batcher::Model;
use serde::Deserialize;
use tts::models::chatterbox::{Extractor, Sampling, Sentence};
use tts::models::conditioning::{Conditioning, SAMPLES_PER_TOKEN};
use tts::models::onnx::{self, Device, SessionSettings};
use tts::models::pack::{Pack, PackFiles, Precision, Precisions};

pub(crate) const ON_CPU: SessionSettings = SessionSettings {
    device: Device::Cpu,
    n_threads: 1,
};

pub(crate) const PACKS: [&str; 8] = [
    "demo",
    "en",
    "en-f16",
    "en-plain",
    "en-batch1",
    "multilingual",
    "turbo",
    "turbo-plain",
];

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub(crate) fn fixtures() -> PathBuf {
    repository().join("tests/fixtures")
}

/// Whether there is an ONNX Runtime; says so if not.
pub(crate) fn has_runtime() -> bool {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let library = manifest
        .ancestors()
        .map(|it| it.join(".native/lib/libonnxruntime.so"))
        .find(|it| it.is_file());
    match library {
        Some(library) => {
            onnx::load_runtime(&library).unwrap();
            true
        }
        None => {
            println!("skipped: there is no .native/lib/libonnxruntime.so; run scripts/setup.sh");
            false
        }
    }
}

/// What the reference loop made of a pack.
#[derive(Debug, Deserialize)]
pub(crate) struct Golden {
    pub(crate) folder: String,
    pub(crate) files: BTreeMap<String, String>,
    pub(crate) family: String,
    pub(crate) facts: Facts,
    pub(crate) batching: BTreeMap<String, Batching>,
    pub(crate) decoder: Decoder,
    pub(crate) voices: BTreeMap<String, Voice>,
    pub(crate) cases: Vec<Case>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Facts {
    pub(crate) layers: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head_width: usize,
    pub(crate) cache: String,
    pub(crate) width: usize,
    pub(crate) logits: usize,
    pub(crate) explicit_positions: bool,
    pub(crate) embeds_positions: bool,
    pub(crate) languages: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Batching {
    pub(crate) exact: bool,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Decoder {
    pub(crate) batches: bool,
    pub(crate) voice: Option<String>,
    pub(crate) tokens: Option<Vec<i64>>,
    pub(crate) envelope: Option<Envelope>,
    pub(crate) within: Option<f32>,
    pub(crate) samples: Option<Vec<Recording>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Recording {
    pub(crate) text: String,
    pub(crate) voice: String,
    pub(crate) tail: usize,
    pub(crate) tokens: Vec<i64>,
    pub(crate) file: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Envelope {
    pub(crate) every: usize,
    pub(crate) rms: Vec<f32>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Voice {
    pub(crate) prefix: Summary,
    pub(crate) tokens: Vec<i64>,
    pub(crate) speaker: Summary,
    pub(crate) mel: Summary,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Summary {
    pub(crate) shape: Vec<usize>,
    pub(crate) mean: f64,
    pub(crate) rms: f64,
    pub(crate) first: Vec<f32>,
    pub(crate) last: Vec<f32>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Case {
    pub(crate) text: String,
    pub(crate) language: String,
    pub(crate) voice: String,
    pub(crate) exaggeration: f32,
    pub(crate) cfg_weight: f32,
    pub(crate) repetition_penalty: f32,
    pub(crate) max_tokens: usize,
    pub(crate) ids: Vec<i64>,
    pub(crate) positions: Option<Vec<i64>>,
    pub(crate) tokens: Vec<u32>,
}

pub(crate) fn golden(name: &str) -> Golden {
    let path = fixtures().join(format!("tts-golden/{name}.json"));
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The pack with the files that the reference loop took.
pub(crate) fn pack(name: &str, golden: &Golden) -> Arc<Pack> {
    let files = if name == "demo" {
        PackFiles::demo()
    } else {
        PackFiles::folder(name, repository().join(&golden.folder))
    };
    let mut precisions = Precisions::default();
    let exactly = &mut precisions.exactly;
    for (graph, precision) in [
        ("speech_encoder", &mut exactly.speech_encoder),
        ("embed_tokens", &mut exactly.embed_tokens),
        ("language_model", &mut exactly.language_model),
        ("conditional_decoder", &mut exactly.conditional_decoder),
    ] {
        let file = golden.files[graph].trim_end_matches(".onnx");
        let suffix = file
            .rsplit('/')
            .next()
            .unwrap()
            .strip_prefix(graph)
            .unwrap();
        *precision = match suffix {
            "" => Some(Precision::Fp32),
            _ => Some(Precision::parse(&suffix[1..]).unwrap()),
        };
    }
    Arc::new(Pack::read(&files, precisions, Device::Cpu).unwrap())
}

fn samples(wav: &[u8]) -> Vec<f32> {
    let mut reader = hound::WavReader::new(wav).unwrap();
    let spec = reader.spec();
    assert_eq!((spec.sample_rate, spec.channels), (24_000, 1));
    match spec.sample_format {
        hound::SampleFormat::Float => reader.samples::<f32>().map(Result::unwrap).collect(),
        hound::SampleFormat::Int => {
            assert_eq!(spec.bits_per_sample, 16);
            let samples = reader.samples::<i16>().map(Result::unwrap);
            samples.map(|it| f32::from(it) / 32768.0).collect()
        }
    }
}

fn whole_tokens(mut audio: Vec<f32>) -> Vec<f32> {
    audio.truncate(audio.len() / SAMPLES_PER_TOKEN * SAMPLES_PER_TOKEN);
    audio
}

/// The reference audio of a voice, as the reference loop cut it.
pub(crate) fn audio(name: &str, pack: &Pack) -> Vec<f32> {
    let file = |name: &str| {
        let path = fixtures().join(format!("tts-voices/{name}.wav"));
        whole_tokens(samples(&fs::read(path).unwrap()))
    };
    match name {
        "default" => whole_tokens(samples(pack.default_voice.as_ref().unwrap())),
        "long" => file("high").repeat(3),
        name => file(name),
    }
}

pub(crate) fn voices(golden: &Golden, pack: &Pack) -> BTreeMap<String, Arc<Conditioning>> {
    let mut extractor = Extractor::load(pack, ON_CPU).unwrap();
    let named = golden.voices.keys().map(|name| {
        let heard = extractor.run(&[audio(name, pack).into()]).unwrap();
        (name.clone(), Arc::new(heard.into_iter().next().unwrap()))
    });
    named.collect()
}

pub(crate) fn sentence(case: &Case, voices: &BTreeMap<String, Arc<Conditioning>>) -> Sentence {
    Sentence {
        text: case.text.clone(),
        language: Some(case.language.clone()),
        voice: Arc::clone(&voices[&case.voice]),
        sampling: Sampling {
            temperature: 0.0,
            top_p: 1.0,
            top_k: 0,
            min_p: 0.0,
            repetition_penalty: case.repetition_penalty,
            seed: 0,
        },
        exaggeration: case.exaggeration,
        cfg_weight: case.cfg_weight,
        max_tokens: case.max_tokens,
    }
}

/// The reference loop reads Chinese as it is written, which the engine refuses without the table of the pack.
pub(crate) fn needs_table(case: &Case) -> bool {
    case.language == "zh"
}
