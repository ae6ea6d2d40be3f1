//! A watermark's graph: what is refused, and that pieces make the whole.

use std::path::{Path, PathBuf};

use batcher::Model;
use tts::models::watermark::{Marking, Watermark};

use crate::support;

fn graph(name: &str) -> PathBuf {
    support::fixtures().join(format!("tts-watermark/{name}.onnx"))
}

/// Something like a voice: two tones that swell, and a little noise that is always the same.
fn sound(n_samples: usize) -> Vec<f32> {
    let mut noise = 1_u32;
    (0..n_samples)
        .map(|idx| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let hiss = (noise >> 16) as f32 / 65_536.0 - 0.5;
            let at = idx as f32 / 24_000.0;
            let tones = (at * 900.0).sin() + 0.5 * (at * 5_000.0).sin();
            (0.1 * tones + 0.01 * hiss) * (at * 7.0).sin().abs()
        })
        .collect()
}

/// What a listener is sent who is spoken to in pieces of these lengths.
fn marked(watermark: &mut Watermark, sound: &[f32], lengths: &[usize]) -> Vec<f32> {
    let (mut marking, mut out, mut rest) = (Marking::new(), Vec::new(), sound);
    for length in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, later) = rest.split_at((*length).min(rest.len()));
        let window = marking.window(piece);
        let answers = watermark.run(std::slice::from_ref(&window)).unwrap();
        out.extend(marking.marked(&window, &answers[0]));
        rest = later;
    }
    out
}

fn apart(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

fn largest(samples: &[f32]) -> f32 {
    samples.iter().fold(0.0, |most, it| most.max(it.abs()))
}

/// The largest step of a signal from one sample to the next.
fn steepest(samples: &[f32]) -> f32 {
    let steps: Vec<f32> = samples.windows(2).map(|pair| pair[1] - pair[0]).collect();
    largest(&steps)
}

/// As they are made for somebody who listens: small ones first.
const PIECES: [usize; 5] = [7_200, 11_520, 960, 19_201, 28_800];

#[test]
fn speech_marked_in_pieces_is_speech_marked_at_once() {
    if !support::has_runtime() {
        return;
    }
    let sound = sound(5 * 24_000);
    for name in ["before", "flat"] {
        let mut watermark = Watermark::load(&graph(name)).unwrap();
        let whole = marked(&mut watermark, &sound, &[sound.len()]);
        let pieces = marked(&mut watermark, &sound, &PIECES);
        assert_eq!(pieces.len(), sound.len());
        assert!(largest(&apart(&pieces, &whole)) < 1e-5, "{name}");
        assert!(0.0005 < largest(&apart(&whole, &sound)), "{name} marks it");
    }
}

#[test]
fn a_mark_that_looks_ahead_joins_without_a_click() {
    if !support::has_runtime() {
        return;
    }
    let sound = sound(5 * 24_000);
    let mut watermark = Watermark::load(&graph("around")).unwrap();
    let whole = marked(&mut watermark, &sound, &[sound.len()]);
    let pieces = marked(&mut watermark, &sound, &PIECES);
    let (of_whole, of_pieces) = (apart(&whole, &sound), apart(&pieces, &sound));
    // No step that the mark of the whole does not have, and it is nowhere left out.
    assert!(steepest(&of_pieces) < 1.5 * steepest(&of_whole));
    let second = 24_000;
    for (whole, pieces) in of_whole.chunks(second).zip(of_pieces.chunks(second)) {
        assert!(largest(&apart(whole, pieces)) < largest(whole));
        assert!(0.9 * largest(whole) < largest(pieces));
    }
}

#[track_caller]
fn check_refused(path: &Path, words: &[&str]) {
    let error = Watermark::load(path).unwrap_err().to_string();
    let file = path.display().to_string();
    for word in words.iter().chain(&[&*file]) {
        assert!(error.contains(word), "{word} is not in: {error}");
    }
}

#[test]
fn what_is_no_watermark_is_refused_with_its_name_and_the_reason() {
    if !support::has_runtime() {
        return;
    }
    let kinds = "[n], [1, n] or [1, 1, n]";
    for (name, words) in [
        ("loud", &["would be heard", "0.2", "0.500"][..]),
        ("nothing", &["changes nothing"]),
        ("shorter", &["as many samples"]),
        ("fixed", &[kinds, "[1, 24000]"]),
        ("half", &[kinds, "float32"]),
        ("two", &["one input and one output", "2 and 1"]),
        ("nowhere", &["cannot be opened"]),
    ] {
        check_refused(&graph(name), words);
    }
    let decoder = support::repository().join("services/tts/models/demo/conditional_decoder.onnx");
    check_refused(&decoder, &["speech.watermark", "one input and one output"]);
    let folder = tempfile::tempdir().unwrap();
    let damaged = folder.path().join("damaged.onnx");
    std::fs::write(&damaged, b"no graph").unwrap();
    check_refused(&damaged, &["cannot be opened as an ONNX model"]);
}

#[test]
fn a_graph_that_answers_nonsense_fails_the_call() {
    if !support::has_runtime() {
        return;
    }
    let mut watermark = Watermark::load(&graph("fragile")).unwrap();
    let mut window = Marking::new().window(&[0.1; 960]);
    assert!(watermark.run(std::slice::from_ref(&window)).is_ok());
    window.push(0.5);
    let error = watermark.run(&[window]).unwrap_err();
    assert!(error.to_string().contains("not a number"), "{error}");
    watermark.self_test().unwrap();
}
