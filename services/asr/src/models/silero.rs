//! Silero VAD v6 for streams: frames of 32 ms and a stream's memory in, a probability of speech for each frame and the next memory out.
//!
//! Invariants:
//! - The recurrent state is a value that travels with the job, so any worker may serve any stream.
//! - Streams are stepped together, and what a stream gets does not depend on the others: equal to 1e-3 to Silero's own code.
//! - Nothing here reads a clock; what happens to the memory depends on the audio alone.

use std::fmt;
use std::path::Path;

use batcher::Model;
use ort::session::Session;
use ort::value::{Tensor, TensorElementType, TensorRef};

use super::onnx::{self, OpenError, Port, RunError};

/// Samples of a frame: 32 ms at 16 kHz.
pub const FRAME: usize = 512;
/// Samples of the frame before that are heard again: v5 and later were trained with them.
pub(super) const CONTEXT: usize = 64;
pub(super) const HEARD: usize = CONTEXT + FRAME;
/// Width of each of the two halves of the recurrent state.
pub(super) const WIDTH: usize = 128;

/// Quiet wears the memory of the model down: after two minutes of digital silence it hears nothing in a telephone recording of which
/// it hears 56 frames otherwise, and after a minute of noise 39. pipecat makes the memory new every 2 s, when it is quiet.
/// A longer quiet is asked for here, so that a pause between words, which ends at 0.2 s, is never taken for one.
const REFRESH_AFTER: u32 = 62;
const REFRESH_QUIET: u32 = 8;
const REFRESH_BELOW: f32 = 0.1;

const INPUTS: [Port; 3] = [
    Port {
        name: "input",
        element: TensorElementType::Float32,
        shape: &[-1, -1],
    },
    Port {
        name: "state",
        element: TensorElementType::Float32,
        shape: &[2, -1, 128],
    },
    Port {
        name: "sr",
        element: TensorElementType::Int64,
        shape: &[],
    },
];
const OUTPUTS: [Port; 2] = [
    Port {
        name: "output",
        element: TensorElementType::Float32,
        shape: &[-1, 1],
    },
    Port {
        name: "stateN",
        element: TensorElementType::Float32,
        shape: &[-1, -1, -1],
    },
];

/// What the model remembers of a stream: about 1.3 KiB.
#[derive(Clone, PartialEq)]
pub struct Memory {
    // Boxed, because it moves through a queue and back for every job.
    cells: Box<Cells>,
    refreshes: bool,
}

#[derive(Clone, PartialEq)]
struct Cells {
    context: [f32; CONTEXT],
    state: [[f32; WIDTH]; 2],
    n_frames: u32,
    n_quiet: u32,
}

impl Memory {
    /// Of a stream that may last for hours.
    pub fn of_stream() -> Memory {
        Memory {
            refreshes: true,
            ..Memory::never_renewed()
        }
    }

    /// Of a stream that is over soon: never made new, as Silero's own examples have it.
    pub fn never_renewed() -> Memory {
        let cells = Cells {
            context: [0.0; CONTEXT],
            state: [[0.0; WIDTH]; 2],
            n_frames: 0,
            n_quiet: 0,
        };
        Memory {
            cells: Box::new(cells),
            refreshes: false,
        }
    }

    /// Takes in what came of `frame`.
    fn remember(&mut self, frame: &[f32], probability: f32) {
        let cells = &mut *self.cells;
        cells.context.copy_from_slice(&frame[FRAME - CONTEXT..]);
        if !self.refreshes {
            return;
        }
        cells.n_frames += 1;
        cells.n_quiet = if probability < REFRESH_BELOW {
            cells.n_quiet + 1
        } else {
            0
        };
        if REFRESH_AFTER <= cells.n_frames && REFRESH_QUIET <= cells.n_quiet {
            *self = Memory::of_stream();
        }
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").finish_non_exhaustive()
    }
}

/// The next frames of a stream.
#[derive(Clone, Debug)]
pub struct Input {
    pub memory: Memory,
    /// Mono at 16 kHz, a whole number of frames of [`FRAME`] samples.
    pub frames: Vec<f32>,
}

/// What was heard.
#[derive(Clone, Debug)]
pub struct Output {
    /// One for each frame, in [0, 1].
    pub probabilities: Vec<f32>,
    pub memory: Memory,
}

/// The model, on its thread.
pub struct Silero {
    session: Session,
    rate: Tensor<i64>,
    /// Kept to save the allocations.
    heard: Vec<f32>,
    state: Vec<f32>,
}

impl fmt::Debug for Silero {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Silero").finish_non_exhaustive()
    }
}

impl Silero {
    /// Opens the model and lets it hear silence once, so that the first stream does not wait.
    ///
    /// # Errors
    /// The file is missing, damaged or another model.
    pub fn load(path: &Path) -> Result<Silero, OpenError> {
        let session = onnx::open(path, 1, &INPUTS, &OUTPUTS)?;
        let unexpected = |what| OpenError::Unexpected {
            path: path.to_owned(),
            what,
        };
        let rate = Tensor::from_array(([0i64; 0], vec![16_000i64]))
            .map_err(|it| unexpected(it.to_string()))?;
        let mut silero = Silero {
            session,
            rate,
            heard: Vec::new(),
            state: Vec::new(),
        };
        silero
            .self_test()
            .map_err(|it| unexpected(it.to_string()))?;
        Ok(silero)
    }

    /// One frame of each stream: `frames` and `memories` side by side.
    fn step(
        &mut self,
        frames: &[&[f32]],
        memories: &mut [&mut Memory],
    ) -> Result<Vec<f32>, RunError> {
        let n = frames.len();
        self.heard.clear();
        for (frame, memory) in frames.iter().zip(&*memories) {
            self.heard.extend_from_slice(&memory.cells.context);
            self.heard.extend_from_slice(frame);
        }
        self.state.clear();
        for half in 0..2 {
            for memory in &*memories {
                self.state.extend_from_slice(&memory.cells.state[half]);
            }
        }
        let outputs = self.session.run(ort::inputs! {
            "input" => TensorRef::from_array_view(([n, HEARD], &*self.heard))?,
            "state" => TensorRef::from_array_view(([2, n, WIDTH], &*self.state))?,
            "sr" => &self.rate,
        })?;
        let (_, probabilities) = outputs["output"].try_extract_tensor::<f32>()?;
        let (_, state) = outputs["stateN"].try_extract_tensor::<f32>()?;
        if probabilities.len() != n || state.len() != 2 * n * WIDTH {
            return Err(RunError::new(
                "Silero answered in a shape that was not asked for",
            ));
        }
        let (hidden, cell) = state.split_at(n * WIDTH);
        for (idx, memory) in memories.iter_mut().enumerate() {
            let row = idx * WIDTH..(idx + 1) * WIDTH;
            memory.cells.state[0].copy_from_slice(&hidden[row.clone()]);
            memory.cells.state[1].copy_from_slice(&cell[row]);
            memory.remember(frames[idx], probabilities[idx]);
        }
        Ok(probabilities.to_vec())
    }
}

impl Model for Silero {
    type Input = Input;
    type Output = Output;
    type Error = RunError;
    type Key = ();

    fn key(_input: &Input) {}

    fn run(&mut self, batch: &[Input]) -> Result<Vec<Output>, RunError> {
        if let Some(input) = batch
            .iter()
            .find(|it| !it.frames.len().is_multiple_of(FRAME))
        {
            return Err(RunError::new(format_args!(
                "{} samples are not whole frames",
                input.frames.len()
            )));
        }
        let mut outputs: Vec<Output> = batch
            .iter()
            .map(|it| Output {
                probabilities: Vec::with_capacity(it.frames.len() / FRAME),
                memory: it.memory.clone(),
            })
            .collect();
        let n_steps = batch
            .iter()
            .map(|it| it.frames.len() / FRAME)
            .max()
            .unwrap_or(0);
        for step in 0..n_steps {
            let range = step * FRAME..(step + 1) * FRAME;
            let mut frames = Vec::with_capacity(batch.len());
            let mut memories = Vec::with_capacity(batch.len());
            let mut told = Vec::with_capacity(batch.len());
            for (input, output) in batch.iter().zip(&mut outputs) {
                if let Some(frame) = input.frames.get(range.clone()) {
                    frames.push(frame);
                    memories.push(&mut output.memory);
                    told.push(&mut output.probabilities);
                }
            }
            let probabilities = self.step(&frames, &mut memories)?;
            for (told, probability) in told.into_iter().zip(probabilities) {
                told.push(probability);
            }
        }
        Ok(outputs)
    }

    /// Hears a frame of silence.
    fn self_test(&mut self) -> Result<(), RunError> {
        let silence = Input {
            memory: Memory::of_stream(),
            frames: vec![0.0; FRAME],
        };
        self.run(&[silence]).map(drop)
    }
}
