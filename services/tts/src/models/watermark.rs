//! A watermark in finished speech: a graph that somebody else trained hides in it that a machine spoke.
//!
//! What such a graph must be: one input and one output of `f32`, samples at 24 kHz of the shape `[n]`, `[1, n]` or `[1, 1, n]`, as many
//! out as in, for any `n`.
//!
//! Invariants:
//! - What the graph adds is small and not nothing: tried when it is loaded, with speech and with silence.
//! - Pieces are marked one after the other, each with what came before it, and follow one another without a step.

use std::fmt;
use std::path::Path;

use batcher::Model;
use ort::session::Session;
use ort::value::TensorElementType;

use super::conditioning::SAMPLE_RATE_HZ;
use super::onnx::graph::Port;
use super::onnx::{self, Device, Float, GraphFile, OpenError, RunError, SessionSettings, floats};

/// Samples before a piece that the graph is given with it: a quarter of a second.
const CONTEXT: usize = SAMPLE_RATE_HZ as usize / 4;
/// Samples over which a difference between two calls about the end of a piece is faded out: 5 ms.
const FADE: usize = SAMPLE_RATE_HZ as usize / 200;
/// The most that a mark may change audio, of its loudness: 14 dB below it. What is meant to be unheard does far less.
const MAX_CHANGE: f64 = 0.2;

/// The graph, on its thread.
pub struct Watermark {
    session: Session,
    input: String,
    output: String,
    n_axes: usize,
}

impl Watermark {
    /// Opens the graph and tries it.
    ///
    /// # Errors
    /// It is no such graph, or what it adds would be heard, or it adds nothing.
    pub fn load(path: &Path) -> Result<Watermark, OpenError> {
        let file = GraphFile::Path(path.to_owned());
        let unexpected = |what: String| OpenError::Unexpected {
            file: format!("{file} (`speech.watermark`)"),
            what,
        };
        let declared = file.declaration()?;
        let ([input], [output]) = (&*declared.inputs, &*declared.outputs) else {
            let (n_in, n_out) = (declared.inputs.len(), declared.outputs.len());
            return Err(unexpected(format!(
                "it must have one input and one output, samples at 24 kHz. Found: {n_in} and {n_out}"
            )));
        };
        if !is_samples(input) || output.element != Some(TensorElementType::Float32) {
            return Err(unexpected(format!(
                "it must take and give float32 samples of the shape [n], [1, n] or [1, 1, n] with any n. Found: {} to {}",
                told(input),
                told(output)
            )));
        }
        let settings = SessionSettings {
            device: Device::Cpu,
            n_threads: 1,
        };
        let mut watermark = Watermark {
            session: onnx::open(&file, settings)?,
            input: input.name.clone(),
            output: output.name.clone(),
            n_axes: input.shape.len(),
        };
        watermark
            .self_test()
            .map_err(|what| unexpected(what.to_string()))?;
        Ok(watermark)
    }

    fn call(&mut self, samples: &[f32]) -> Result<Vec<f32>, RunError> {
        let n = samples.len();
        let tensor = match self.n_axes {
            1 => Float::F32.tensor([n], samples),
            2 => Float::F32.tensor([1, n], samples),
            _ => Float::F32.tensor([1, 1, n], samples),
        }?;
        let outputs = self
            .session
            .run(ort::inputs! { self.input.as_str() => tensor })?;
        let (shape, marked) = floats(&outputs[self.output.as_str()])?;
        if marked.len() != n {
            return Err(RunError::new(format_args!(
                "the watermark must give as many samples as it takes. Given: {n}, answered: {shape:?}"
            )));
        }
        if marked.iter().any(|it| !it.is_finite()) {
            return Err(RunError::new(
                "the watermark answered with something that is not a number",
            ));
        }
        Ok(marked.into_owned())
    }
}

fn is_samples(port: &Port) -> bool {
    let Some((n_samples, others)) = port.shape.split_last() else {
        return false;
    };
    port.element == Some(TensorElementType::Float32)
        && n_samples.is_none()
        && others.len() <= 2
        && others.iter().all(|it| it.is_none_or(|it| it == 1))
}

fn told(port: &Port) -> String {
    let axis = |it: &Option<usize>| it.map_or_else(|| "any".to_owned(), |it| it.to_string());
    let shape: Vec<String> = port.shape.iter().map(axis).collect();
    let element = port
        .element
        .map_or_else(|| "no tensor".to_owned(), |it| it.to_string());
    format!("`{}` of {element} [{}]", port.name, shape.join(", "))
}

impl Model for Watermark {
    /// As [`Marking::window`] makes it.
    type Input = Vec<f32>;
    type Output = Vec<f32>;
    type Error = RunError;
    type Key = ();

    fn key(_window: &Vec<f32>) {}

    fn run(&mut self, batch: &[Vec<f32>]) -> Result<Vec<Vec<f32>>, RunError> {
        batch.iter().map(|window| self.call(window)).collect()
    }

    fn self_test(&mut self) -> Result<(), RunError> {
        self.call(&[0.0; CONTEXT + 960])?;
        for n_samples in [CONTEXT + 1_001, CONTEXT + SAMPLE_RATE_HZ as usize] {
            let sound = buzz(n_samples);
            let marked = self.call(&sound)?;
            let added: Vec<f32> = marked.iter().zip(&sound).map(|(a, b)| a - b).collect();
            let change = loudness(&added) / loudness(&sound);
            if change == 0.0 {
                return Err(RunError::new("the watermark changes nothing"));
            }
            if MAX_CHANGE < change {
                return Err(RunError::new(format_args!(
                    "the watermark would be heard: it may change audio by {MAX_CHANGE} of its loudness. It does by {change:.3}"
                )));
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Watermark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watermark")
            .field("input", &self.input)
            .finish_non_exhaustive()
    }
}

/// A sawtooth at 120 Hz that swells and fades, as loud as somebody who speaks.
fn buzz(n_samples: usize) -> Vec<f32> {
    let period = SAMPLE_RATE_HZ as usize / 120;
    (0..n_samples)
        .map(|idx| {
            let saw = (idx % period) as f32 / period as f32 - 0.5;
            0.4 * saw * (idx as f32 / 3_000.0).sin().abs()
        })
        .collect()
}

/// The root of the mean square.
fn loudness(samples: &[f32]) -> f64 {
    let power: f64 = samples.iter().map(|it| f64::from(*it).powi(2)).sum();
    (power / samples.len().max(1) as f64).sqrt()
}

/// One sentence on its way to its mark, a piece at a time. Pure.
#[derive(Clone, Debug)]
pub struct Marking {
    /// The end of what was given so far, without its mark; silence before the first.
    before: Vec<f32>,
    /// What the mark added to the last sample.
    added: f32,
}

impl Marking {
    /// Before the first piece.
    pub fn new() -> Marking {
        Marking {
            before: vec![0.0; CONTEXT],
            added: 0.0,
        }
    }

    /// What the graph is to be asked for the next piece. There is one question at a time.
    pub fn window(&self, piece: &[f32]) -> Vec<f32> {
        [&self.before, piece].concat()
    }

    /// The piece with its mark, of the window and what the graph made of it.
    ///
    /// Without what comes after it, the end of a piece may be marked a little otherwise than the next call would have it. That
    /// difference is carried into the next piece and faded out, so that no step is heard and no sample goes without its mark.
    pub fn marked(&mut self, window: &[f32], answer: &[f32]) -> Vec<f32> {
        let difference = |idx: usize| answer[idx] - window[idx];
        let step = self.added - difference(CONTEXT - 1);
        let piece: Vec<f32> = (CONTEXT..window.len())
            .map(|idx| {
                let left = FADE.saturating_sub(idx - CONTEXT + 1) as f32 / FADE as f32;
                (answer[idx] + step * left).clamp(-1.0, 1.0)
            })
            .collect();
        if let (Some(marked), Some(plain)) = (piece.last(), window.last()) {
            self.added = marked - plain;
        }
        self.before = window[window.len() - CONTEXT..].to_vec();
        piece
    }
}

impl Default for Marking {
    fn default() -> Marking {
        Marking::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Marks a sound in pieces of these lengths, each as `mark` has it.
    fn in_pieces(sound: &[f32], lengths: &[usize], mark: impl Fn(&[f32]) -> Vec<f32>) -> Vec<f32> {
        let (mut marking, mut out, mut rest) = (Marking::new(), Vec::new(), sound);
        for length in lengths.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, later) = rest.split_at((*length).min(rest.len()));
            let window = marking.window(piece);
            out.extend(marking.marked(&window, &mark(&window)));
            rest = later;
        }
        out
    }

    fn added(marked: &[f32], plain: &[f32]) -> Vec<f32> {
        marked.iter().zip(plain).map(|(a, b)| a - b).collect()
    }

    /// The largest step from one sample to the next.
    fn steepest(samples: &[f32]) -> f32 {
        let steps = samples.windows(2).map(|pair| (pair[1] - pair[0]).abs());
        steps.fold(0.0, f32::max)
    }

    #[test]
    fn a_mark_that_looks_back_is_that_of_the_whole() {
        let sound = buzz(30_000);
        let echo = |window: &[f32]| {
            let before = |idx: usize| if idx < 40 { 0.0 } else { window[idx - 40] };
            (0..window.len())
                .map(|idx| window[idx] + 0.01 * before(idx))
                .collect()
        };
        let whole = in_pieces(&sound, &[sound.len()], echo);
        for lengths in [&[7_200, 960][..], &[1], &[119, 1, 5_000]] {
            let pieces = in_pieces(&sound, lengths, echo);
            let apart = added(&pieces, &whole);
            assert_eq!(pieces.len(), sound.len());
            assert!(apart.iter().all(|it| it.abs() < 1e-6), "{lengths:?}");
        }
    }

    #[test]
    fn a_mark_that_depends_on_the_whole_window_joins_without_a_step() {
        let sound = vec![0.1; 30_000];
        // Another height for each call, as from a graph that looks at all it is given.
        let moody = |window: &[f32]| {
            let height = 0.01 * (window.len() % 7) as f32 - 0.03;
            window.iter().map(|it| it + height).collect::<Vec<f32>>()
        };
        let marked = in_pieces(&sound, &[4_801, 960, 3_003], moody);
        assert!(
            steepest(&marked) <= 0.061 / FADE as f32,
            "{}",
            steepest(&marked)
        );
        // And yet each piece has its own.
        let heights = added(&marked, &sound);
        assert!(0.015 < (heights[4_000] - heights[5_500]).abs());
    }

    #[test]
    fn nothing_goes_beyond_full_scale() {
        let loud = |window: &[f32]| window.iter().map(|it| it * 1.05).collect();
        let marked = in_pieces(&vec![0.99; 4_000], &[960], loud);
        assert!(marked.iter().all(|it| it.abs() <= 1.0));
    }
}
