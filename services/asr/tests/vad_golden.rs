//! Silero, Smart Turn and the rules around them against the code they were made with.
//!
//! The golden files are made by `tests/golden/vad.py` and `tests/golden/smart_turn.py`.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "small numbers of the test's own"
)]

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use asr::models::onnx::{self, OpenError};
use asr::models::silero::{self, Memory, Silero};
use asr::models::silero_file::{self, SileroFile};
use asr::models::smart_turn::SmartTurn;
use asr::transcript::{Segment, Word};
use asr::windows::{self, FRAME, Restore, SpeechOptions};
use batcher::Model as _;
use chassis::home::Home;
use serde::Deserialize;
use serde::de::DeserializeOwned;

const TOLERANCE: f32 = 1e-3;

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path)
}

fn golden<T: DeserializeOwned>(name: &str) -> Vec<T> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn fixture(name: &str) -> Vec<f32> {
    let path = repository(&format!("tests/fixtures/speech/{name}.wav"));
    let reader = hound::WavReader::open(path).unwrap();
    reader
        .into_samples::<i16>()
        .map(|it| f32::from(it.unwrap()) / 32768.0)
        .collect()
}

fn noise(n_samples: usize, shift: u32) -> Vec<f32> {
    let mut state = 1u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let sample = i16::try_from(i32::try_from(state >> 16).unwrap() - 32_768).unwrap() >> shift;
        f32::from(sample) / 32768.0
    };
    std::iter::repeat_with(next).take(n_samples).collect()
}

/// `file NAME [N]`, `zeros N` or `noise N SHIFT`.
fn part(part: &str) -> Vec<f32> {
    let words: Vec<&str> = part.split(' ').collect();
    match words[..] {
        ["file", name] => fixture(name),
        ["file", name, n] => fixture(name)[..n.parse().unwrap()].to_vec(),
        ["zeros", n] => vec![0.0; n.parse().unwrap()],
        ["noise", n, shift] => noise(n.parse().unwrap(), shift.parse().unwrap()),
        _ => panic!("{part}"),
    }
}

fn model(name: &str) -> PathBuf {
    let home = Home::of_process(None).unwrap();
    onnx::load_runtime(&home.onnx_runtime()).unwrap();
    home.model_file(name).unwrap()
}

fn silero() -> Silero {
    Silero::load(&model("silero_vad.onnx")).unwrap()
}

fn ranges(pairs: &[[usize; 2]]) -> Vec<Range<usize>> {
    pairs.iter().map(|&[start, end]| start..end).collect()
}

#[derive(Deserialize)]
struct Recording {
    name: String,
    parts: Vec<String>,
    n_samples: usize,
    probabilities: Vec<f32>,
    sequential: Vec<[usize; 2]>,
    batched: Vec<[usize; 2]>,
    #[serde(default)]
    stream: Vec<f32>,
}

impl Recording {
    fn audio(&self) -> Vec<f32> {
        let audio: Vec<f32> = self.parts.iter().flat_map(|it| part(it)).collect();
        assert_eq!(audio.len(), self.n_samples, "{}", self.name);
        audio
    }
}

/// All of a recording.
fn frames(audio: &[f32]) -> Vec<f32> {
    windows::frames(audio, 0..windows::n_frames(audio.len()))
}

fn check_near(name: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{name}");
    for (idx, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!(
            (found - expected).abs() <= TOLERANCE,
            "{name}, frame {idx}: {found}, not {expected}"
        );
    }
}

#[test]
fn recordings_are_heard_as_faster_whisper_hears_them() {
    let mut silero = SileroFile::load(&model("silero_vad_file.onnx")).unwrap();
    let recordings: Vec<Recording> = golden("vad.json");
    for recording in &recordings {
        let frames = frames(&recording.audio());
        // At once, and in pieces between which other recordings are heard.
        let whole = in_pieces(&mut silero, &frames, usize::MAX);
        let cut = in_pieces(&mut silero, &frames, 7);
        check_near(&recording.name, &cut, &whole);
        check_near(&recording.name, &whole, &recording.probabilities);
        for (options, expected) in [
            (SpeechOptions::sequential(), &recording.sequential),
            (
                SpeechOptions::batched(Duration::from_secs(30)),
                &recording.batched,
            ),
        ] {
            let found = windows::speech(&whole, recording.n_samples, &options);
            assert_eq!(found, ranges(expected), "{}, {options:?}", recording.name);
        }
    }
}

fn in_pieces(silero: &mut SileroFile, frames: &[f32], n_frames: usize) -> Vec<f32> {
    let mut memory = silero_file::Memory::default();
    let mut heard = Vec::new();
    for some in frames.chunks(n_frames.saturating_mul(FRAME)) {
        let other = silero_file::Input {
            memory: silero_file::Memory::default(),
            frames: noise(3 * FRAME, 4),
        };
        let job = silero_file::Input {
            memory,
            frames: some.to_vec(),
        };
        let [_, output] = silero.run(&[other, job]).unwrap().try_into().unwrap();
        heard.extend(output.probabilities);
        memory = output.memory;
    }
    heard
}

/// The model for streams is the same network in another form.
#[test]
fn a_stream_is_heard_as_a_recording_is() {
    let recordings: Vec<Recording> = golden("vad.json");
    // All in one call, though their lengths differ.
    let inputs = recordings.iter().map(|it| silero::Input {
        memory: Memory::never_renewed(),
        frames: frames(&it.audio()),
    });
    let outputs = silero().run(&inputs.collect::<Vec<_>>()).unwrap();
    for (recording, output) in recordings.iter().zip(&outputs) {
        check_near(
            &recording.name,
            &output.probabilities,
            &recording.probabilities,
        );
    }
}

#[test]
fn streams_are_heard_as_pipecat_hears_them() {
    let mut silero = silero();
    let recordings: Vec<Recording> = golden("vad.json");
    for recording in recordings.iter().filter(|it| !it.stream.is_empty()) {
        let audio = recording.audio();
        let mut memory = Memory::never_renewed();
        let mut neighbour = Memory::of_stream();
        let mut heard = Vec::new();
        let mut at = 0;
        // Jobs of one frame, two, three and so on, beside another stream.
        for n_frames in (1..6).cycle() {
            let until = (at + n_frames * FRAME).min(audio.len() / FRAME * FRAME);
            if until == at {
                break;
            }
            let frames = audio[at..until].to_vec();
            at = until;
            let job = silero::Input { memory, frames };
            let beside = silero::Input {
                memory: neighbour,
                frames: noise(3 * FRAME, 4),
            };
            let [other, output] = silero.run(&[beside, job]).unwrap().try_into().unwrap();
            heard.extend(output.probabilities);
            (memory, neighbour) = (output.memory, other.memory);
        }
        check_near(&recording.name, &heard, &recording.stream);
    }
}

#[test]
fn a_stream_hears_speech_after_a_long_quiet() {
    let mut silero = silero();
    let mut hear = |memory: Memory, frames: &[f32]| {
        let [output] = silero
            .run(&[silero::Input {
                memory,
                frames: frames.to_vec(),
            }])
            .unwrap()
            .try_into()
            .unwrap();
        output
    };
    let n_voiced = |it: &silero::Output| it.probabilities.iter().filter(|it| **it >= 0.5).count();
    let speech = fixture("tel_held_espeak_084");
    let speech = &speech[..speech.len() / FRAME * FRAME];
    let quiet = vec![0.0; 3750 * FRAME];

    let fresh = hear(Memory::of_stream(), speech);
    assert!(n_voiced(&fresh) > 50);
    let rested = hear(Memory::of_stream(), &quiet).memory;
    assert_eq!(n_voiced(&hear(rested, speech)), n_voiced(&fresh));
    // This is what it is for. If a later model can do without, so can we.
    let worn = hear(Memory::never_renewed(), &quiet).memory;
    assert_eq!(n_voiced(&hear(worn, speech)), 0);
}

#[test]
fn memory_is_made_new_in_a_long_quiet_only() {
    let mut silero = silero();
    let mut hear = |memory: Memory, frames: &[f32]| {
        let [output] = silero
            .run(&[silero::Input {
                memory,
                frames: frames.to_vec(),
            }])
            .unwrap()
            .try_into()
            .unwrap();
        output
    };
    let quiet = vec![0.0; 62 * FRAME];
    assert_eq!(
        hear(Memory::of_stream(), &quiet).memory,
        Memory::of_stream()
    );
    assert_ne!(
        hear(Memory::of_stream(), &quiet[FRAME..]).memory,
        Memory::of_stream()
    );
    // Speech with its short pauses is heard as in a recording.
    let speech = &fixture("held_ked_136")[..80 * FRAME];
    let (streamed, recorded) = (
        hear(Memory::of_stream(), speech),
        hear(Memory::never_renewed(), speech),
    );
    check_near("speech", &streamed.probabilities, &recorded.probabilities);
}

#[test]
fn samples_that_are_no_frame_are_refused() {
    let input = silero::Input {
        memory: Memory::of_stream(),
        frames: vec![0.0; 513],
    };
    let error = silero().run(&[input]).unwrap_err().to_string();
    assert_eq!(error, "513 samples are not whole frames");
    let mut of_files = SileroFile::load(&model("silero_vad_file.onnx")).unwrap();
    for n_samples in [0, 1, 511, 513] {
        let input = silero_file::Input {
            memory: silero_file::Memory::default(),
            frames: vec![0.0; n_samples],
        };
        let error = of_files.run(&[input]).unwrap_err().to_string();
        assert_eq!(error, format!("{n_samples} samples are not whole frames"));
    }
}

#[derive(Deserialize)]
struct Rules {
    row: String,
    n_samples: usize,
    options: Options,
    stretches: Vec<[usize; 2]>,
    gathered: Option<Clips>,
    #[serde(default)]
    restored: Vec<[Times; 2]>,
}

#[derive(Deserialize)]
struct Options {
    threshold: f64,
    neg_threshold: Option<f64>,
    min_speech_duration_ms: u64,
    max_speech_duration_s: Option<f64>,
    min_silence_duration_ms: u64,
    speech_pad_ms: u64,
}

#[derive(Deserialize)]
struct Clips {
    max_s: u64,
    /// Offset, length, first and last sample, and the sum of all.
    clips: Vec<[usize; 5]>,
}

/// Start, end and words.
type Times = (f64, f64, Option<Vec<[f64; 2]>>);

fn unpacked(row: &str) -> Vec<f32> {
    let mut probabilities = Vec::new();
    let mut rest = row;
    while let Some(level) = rest.chars().next() {
        let digits = &rest[level.len_utf8()..];
        let n_digits = digits
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(digits.len());
        let probability = match level {
            '.' => 0.02,
            ',' => 0.34,
            '-' => 0.4,
            _ => 0.9,
        };
        probabilities.extend(std::iter::repeat_n(
            probability,
            digits[..n_digits].parse().unwrap(),
        ));
        rest = &digits[n_digits..];
    }
    probabilities
}

#[test]
fn speech_is_found_as_faster_whisper_finds_it() {
    for case in golden::<Rules>("vad_rules.json") {
        let given = &case.options;
        let options = SpeechOptions {
            start_probability: given.threshold,
            stop_probability: given.neg_threshold,
            min_speech: Duration::from_millis(given.min_speech_duration_ms),
            max_speech: given.max_speech_duration_s.map(Duration::from_secs_f64),
            min_silence: Duration::from_millis(given.min_silence_duration_ms),
            pad: Duration::from_millis(given.speech_pad_ms),
        };
        let found = windows::speech(&unpacked(&case.row), case.n_samples, &options);
        assert_eq!(found, ranges(&case.stretches), "{} {options:?}", case.row);
    }
}

#[test]
fn clips_are_put_together_as_faster_whisper_does() {
    let cases: Vec<Rules> = golden("vad_rules.json");
    let mut n_clips = 0;
    for case in cases {
        let Some(expected) = &case.gathered else {
            continue;
        };
        let recording: Vec<f32> = (0..1 << 20).map(|it| it as f32).collect();
        let found = windows::gather(
            &ranges(&case.stretches),
            Some(Duration::from_secs(expected.max_s)),
        );
        let found: Vec<_> = found
            .iter()
            .map(|it| {
                let clip = it.clip(&recording);
                assert_eq!(clip.len(), it.n_samples());
                let whole = |it: &f32| *it as usize;
                let sum = clip.iter().map(whole).sum();
                [
                    it.offset,
                    clip.len(),
                    whole(clip.first().unwrap()),
                    whole(clip.last().unwrap()),
                    sum,
                ]
            })
            .collect();
        assert_eq!(found, expected.clips, "{}", case.row);
        n_clips += found.len();
    }
    assert!(n_clips > 150, "{n_clips}");
}

#[test]
fn times_are_put_back_as_faster_whisper_does() {
    for case in golden::<Rules>("vad_rules.json") {
        let restore = Restore::new(&ranges(&case.stretches));
        for [before, after] in case.restored {
            let mut segment = segment(&before);
            restore.segment(&mut segment);
            assert_eq!(segment, self::segment(&after), "{} {before:?}", case.row);
        }
    }
}

fn segment((start, end, words): &Times) -> Segment {
    let word = |&[start, end]: &[f64; 2]| Word {
        word: " x".into(),
        start,
        end,
        probability: 1.0,
    };
    Segment {
        id: 1,
        seek: 0,
        start: *start,
        end: *end,
        text: " x".into(),
        tokens: Vec::new(),
        avg_logprob: 0.0,
        compression_ratio: 1.0,
        no_speech_prob: 0.0,
        temperature: 0.0,
        words: words.as_ref().map(|it| it.iter().map(word).collect()),
    }
}

#[derive(Deserialize)]
struct Turn {
    files: Vec<String>,
    kept: Option<usize>,
    zeros: usize,
    n_samples: usize,
    probability: f32,
}

#[test]
fn turns_are_judged_as_pipecat_judges_them() {
    let mut smart_turn = SmartTurn::load(&model("smart-turn-v3.2-cpu.onnx"), 1).unwrap();
    let turns: Vec<Turn> = golden("vad_smart_turn.json");
    let audio: Vec<Arc<[f32]>> = turns
        .iter()
        .map(|it| {
            let mut audio: Vec<f32> = it.files.iter().flat_map(|it| fixture(it)).collect();
            audio.truncate(it.kept.unwrap_or(usize::MAX));
            audio.resize(audio.len() + it.zeros, 0.0);
            assert_eq!(audio.len(), it.n_samples);
            audio.into()
        })
        .collect();
    let expected: Vec<f32> = turns.iter().map(|it| it.probability).collect();
    check_near("together", &smart_turn.run(&audio).unwrap(), &expected);
    for (n, audio) in audio.iter().enumerate() {
        check_near(
            "alone",
            &smart_turn.run(std::slice::from_ref(audio)).unwrap(),
            &expected[n..=n],
        );
    }
}

#[test]
fn the_wrong_model_is_refused_by_name() {
    let (silero, smart_turn) = (model("silero_vad.onnx"), model("smart-turn-v3.2-cpu.onnx"));
    let error = Silero::load(&smart_turn).unwrap_err().to_string();
    assert!(
        error.contains("smart-turn-v3.2-cpu.onnx") && error.contains("no input `input`"),
        "{error}"
    );
    let error = SileroFile::load(&silero).unwrap_err().to_string();
    assert!(
        error.contains("silero_vad.onnx") && error.contains("no input `h`"),
        "{error}"
    );
    let error = SmartTurn::load(&silero, 1).unwrap_err().to_string();
    assert!(
        error.contains("silero_vad.onnx") && error.contains("no input `input_features`"),
        "{error}"
    );
}

#[test]
fn a_damaged_or_missing_model_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read(model("silero_vad.onnx")).unwrap();
    for (name, content) in [
        ("cut.onnx", Some(&whole[..whole.len() / 2])),
        ("empty.onnx", Some(&[])),
        ("gone.onnx", None),
    ] {
        let path = folder.path().join(name);
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap();
        }
        let error = Silero::load(&path).unwrap_err();
        assert!(matches!(error, OpenError::Unreadable { .. }), "{error}");
        assert!(
            error.to_string().contains(name) && error.to_string().contains("scripts/setup.sh"),
            "{error}"
        );
    }
}
