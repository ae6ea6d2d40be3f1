//! A wrong or incomplete model folder is refused in words; so is a sentence that cannot be said.

use std::fs;
use std::path::{Path, PathBuf};

use batcher::{Model, Slot, StepModel};
use tempfile::TempDir;
use tts::models::chatterbox::{Extractor, LanguageModel};
use tts::models::onnx::Device;
use tts::models::pack::{Pack, PackFiles, Part, Precision, Precisions};

use crate::support::{self, ON_CPU};

/// A copy of a variant that may be spoilt.
struct Copy {
    folder: TempDir,
}

impl Copy {
    fn of(name: &str) -> Copy {
        let folder = tempfile::tempdir().unwrap();
        copy(
            &support::fixtures().join("tts-contract").join(name),
            folder.path(),
        );
        Copy { folder }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    fn read(&self, precisions: Precisions) -> Result<Pack, String> {
        let files = PackFiles::folder("copy", self.folder.path());
        Pack::read(&files, precisions, Device::Cpu).map_err(|it| it.to_string())
    }

    fn refusal(&self) -> String {
        self.read(Precisions::default()).unwrap_err()
    }

    /// Changes bytes without changing how many there are.
    fn rename(&self, file: &str, from: &str, to: &str) {
        assert_eq!(from.len(), to.len());
        let mut bytes = fs::read(self.path(file)).unwrap();
        let mut found = 0;
        for at in 0..bytes.len() - from.len() {
            if bytes[at..].starts_with(from.as_bytes()) {
                bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
                found += 1;
            }
        }
        assert!(found > 0, "{from} is not in {file}");
        fs::write(self.path(file), bytes).unwrap();
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::write(to, fs::read(entry.path()).unwrap()).unwrap();
        }
    }
}

#[test]
fn a_missing_file_is_named() {
    let files = PackFiles::folder("gone", "/nowhere/gone");
    let error = Pack::read(&files, Precisions::default(), Device::Cpu).unwrap_err();
    assert!(
        error.to_string().contains("`/nowhere/gone` does not exist"),
        "{error}"
    );

    let copy = Copy::of("multilingual");
    fs::remove_file(copy.path("onnx/language_model.onnx_data")).unwrap();
    let error = copy.refusal();
    assert!(error.contains("onnx/language_model.onnx_data`"), "{error}");
    assert!(error.contains("holds weights"), "{error}");

    for file in ["conditional_decoder.onnx", "tokenizer.json"] {
        let copy = Copy::of("en");
        fs::remove_file(copy.path(file)).unwrap();
        assert!(copy.refusal().contains(file));
    }
}

#[test]
fn a_damaged_file_is_named() {
    for (content, what) in [
        (
            &b"version https://git-lfs.github.com/spec/v1\noid sha256:00"[..],
            "Git LFS pointer",
        ),
        (b"", "embed_tokens.onnx"),
        (b"<html>404</html>", "embed_tokens.onnx"),
    ] {
        let copy = Copy::of("en");
        fs::write(copy.path("embed_tokens.onnx"), content).unwrap();
        let error = copy.refusal();
        assert!(
            error.contains(what) && error.contains("embed_tokens.onnx"),
            "{error}"
        );
    }
    let copy = Copy::of("en");
    fs::write(copy.path("tokenizer.json"), "{}").unwrap();
    assert!(copy.refusal().contains("tokenizer.json"));
    let copy = Copy::of("en");
    fs::write(
        copy.path("generation_config.json"),
        r#"{"repetition_penalty": 0}"#,
    )
    .unwrap();
    assert!(
        copy.refusal()
            .contains("`repetition_penalty` must be 1 to 10. Given: 0")
    );
    let copy = Copy::of("multilingual");
    fs::write(copy.path("Cangjie5_TC.json"), "{}").unwrap();
    assert!(copy.refusal().contains("Cangjie5_TC.json"));
}

#[test]
fn a_graph_of_another_model_is_named() {
    for (file, from, to, what) in [
        (
            "speech_encoder.onnx",
            "audio_values",
            "audio_volume",
            "no input `audio_values`, only `audio_volume`",
        ),
        (
            "speech_encoder.onnx",
            "audio_tokens",
            "audio_towers",
            "no output `audio_tokens`",
        ),
        (
            "embed_tokens.onnx",
            "position_ids",
            "position_idx",
            "asks for `position_idx`",
        ),
        (
            "language_model.onnx",
            "attention_mask",
            "attention_rank",
            "no input `attention_mask`",
        ),
        (
            "language_model.onnx",
            "past_key_values.1.value",
            "past_key_values.1.volts",
            "no input `past_key_values.1.value`",
        ),
        (
            "conditional_decoder.onnx",
            "speaker_features",
            "speaker_failures",
            "no input `speaker_features`",
        ),
    ] {
        let copy = Copy::of("en");
        copy.rename(file, from, to);
        let error = copy.refusal();
        assert!(error.contains(what) && error.contains(file), "{error}");
    }
    // Graphs of two models.
    let copy = Copy::of("en");
    let demo = support::repository().join("services/tts/models/demo/language_model.onnx");
    fs::copy(demo, copy.path("language_model.onnx")).unwrap();
    let error = copy.refusal();
    assert!(error.contains("of different models"), "{error}");
}

#[test]
fn each_graph_has_its_own_precision() {
    let copy = Copy::of("en-f16");
    let file = |precisions| {
        let pack = copy.read(precisions).unwrap();
        format!("{:?}", pack.graph(Part::LanguageModel))
    };
    let preferred = |it| Precisions {
        preferred: Some(it),
        ..Precisions::default()
    };
    assert!(file(Precisions::default()).ends_with("language_model.onnx)"));
    assert!(file(preferred(Precision::Fp16)).ends_with("language_model_fp16.onnx)"));
    assert!(file(preferred(Precision::Q4)).ends_with("language_model.onnx)"));
    let mut exactly = preferred(Precision::Fp16);
    exactly.exactly.speech_encoder = Some(Precision::Q4);
    let error = copy.read(exactly).unwrap_err();
    assert!(error.contains("speech_encoder_q4.onnx"), "{error}");
    // One that is published in one precision only is taken as it is.
    let turbo = Copy::of("turbo");
    assert!(turbo.read(Precisions::default()).is_ok());
}

#[test]
fn identities_change_with_the_files() {
    let id = |copy: &Copy| {
        let pack = copy.read(Precisions::default()).unwrap();
        (pack.id, pack.voice_id)
    };
    let original = Copy::of("multilingual");
    assert_eq!(id(&original), id(&Copy::of("multilingual")));
    let changed = |file: &str| {
        let copy = Copy::of("multilingual");
        let mut bytes = fs::read(copy.path(file)).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(copy.path(file), bytes).unwrap();
        id(&copy)
    };
    let language = changed("onnx/language_model.onnx_data");
    assert_ne!(language.0, id(&original).0);
    assert_eq!(language.1, id(&original).1, "voices stay what they are");
    let encoder = changed("onnx/speech_encoder.onnx_data");
    assert_ne!(encoder.0, id(&original).0);
    assert_ne!(encoder.1, id(&original).1);
}

#[test]
fn a_sentence_that_cannot_be_said_is_refused_alone() {
    if !support::has_runtime() {
        return;
    }
    let golden = support::golden("en");
    let pack = support::pack("en", &golden);
    let voices = support::voices(&golden, &pack);
    let mut model = LanguageModel::load(&pack, ON_CPU).unwrap();
    let good = support::sentence(&golden.cases[0], &voices);
    let refusal = |model: &mut LanguageModel, sentence| {
        model.admit(Slot::new(1), sentence).unwrap_err().to_string()
    };
    let mut silent = good.clone();
    silent.text = " … ".to_owned();
    assert!(refusal(&mut model, silent).contains("nothing to say"));
    let mut foreign = good.clone();
    foreign.language = Some("de".to_owned());
    assert!(refusal(&mut model, foreign).contains("`language` must be one of en"));
    let demo = support::golden("demo");
    let mut borrowed = good.clone();
    let other = support::voices(&demo, &support::pack("demo", &demo));
    borrowed.voice = other["default"].clone();
    assert!(refusal(&mut model, borrowed).contains("194"));
    assert_eq!(
        crate::golden::alone(&mut model, good),
        golden.cases[0].tokens
    );
}

#[test]
fn a_recording_has_to_be_whole_tokens() {
    if !support::has_runtime() {
        return;
    }
    let golden = support::golden("en");
    let pack = support::pack("en", &golden);
    let mut extractor = Extractor::load(&pack, ON_CPU).unwrap();
    for n_samples in [0, 959, 24_001] {
        let audio = vec![0.1f32; n_samples];
        assert!(extractor.run(&[audio.into()]).is_err(), "{n_samples}");
    }
    extractor.self_test().unwrap();
}
