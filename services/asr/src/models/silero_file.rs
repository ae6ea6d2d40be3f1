//! Silero VAD v6 for recordings, as faster-whisper carries it: many frames of one recording in one run.
//!
//! The model for [streams](super::silero) takes a run for each frame. This one takes about half the processor time for a recording and
//! shares no run with other recordings, which have nobody waiting to be heard within 32 ms.
//!
//! Invariants:
//! - The recurrent state is a value that travels with the job, so a recording may come in pieces and pieces of many may take turns.
//! - Equal to 1e-3 to faster-whisper's own code, however the recording was cut.

use std::fmt;
use std::path::Path;

use batcher::Model;
use ort::session::Session;
use ort::value::{TensorElementType, TensorRef};

use super::onnx::{self, OpenError, Port, RunError};
use super::silero::{CONTEXT, FRAME, HEARD, WIDTH};

/// Frames that one job should bring at most: a minute of audio, some 60 ms of one core. Other recordings take turns between jobs.
pub const MAX_FRAMES: usize = 2_048;

const STATE: Port = Port {
    name: "h",
    element: TensorElementType::Float32,
    shape: &[1, 1, 128],
};
const INPUTS: [Port; 3] = [
    Port {
        name: "input",
        element: TensorElementType::Float32,
        shape: &[-1, 576],
    },
    STATE,
    Port { name: "c", ..STATE },
];
const OUTPUTS: [Port; 3] = [
    Port {
        name: "speech_probs",
        element: TensorElementType::Float32,
        shape: &[-1],
    },
    Port {
        name: "hn",
        ..STATE
    },
    Port {
        name: "cn",
        ..STATE
    },
];

/// What the model remembers of a recording: about 1.3 KiB.
#[derive(Clone)]
pub struct Memory {
    context: [f32; CONTEXT],
    hidden: [f32; WIDTH],
    cell: [f32; WIDTH],
}

impl Default for Memory {
    fn default() -> Memory {
        Memory {
            context: [0.0; CONTEXT],
            hidden: [0.0; WIDTH],
            cell: [0.0; WIDTH],
        }
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").finish_non_exhaustive()
    }
}

/// The next frames of a recording.
#[derive(Clone, Debug)]
pub struct Input {
    pub memory: Memory,
    /// Mono at 16 kHz, a whole number of frames of [`FRAME`] samples, at least one.
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
pub struct SileroFile {
    session: Session,
    /// Kept to save the allocation.
    heard: Vec<f32>,
}

impl fmt::Debug for SileroFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SileroFile").finish_non_exhaustive()
    }
}

impl SileroFile {
    /// Opens the model and lets it hear silence once.
    ///
    /// # Errors
    /// The file is missing, damaged or another model.
    pub fn load(path: &Path) -> Result<SileroFile, OpenError> {
        let session = onnx::open(path, 1, &INPUTS, &OUTPUTS)?;
        let mut model = SileroFile {
            session,
            heard: Vec::new(),
        };
        model.self_test().map_err(|it| OpenError::Unexpected {
            path: path.to_owned(),
            what: it.to_string(),
        })?;
        Ok(model)
    }

    fn hear(&mut self, input: &Input) -> Result<Output, RunError> {
        let (frames, rest) = input.frames.as_chunks::<FRAME>();
        let Some(last) = frames.last().filter(|_| rest.is_empty()) else {
            return Err(RunError::new(format_args!(
                "{} samples are not whole frames",
                input.frames.len()
            )));
        };
        self.heard.clear();
        let mut context: &[f32] = &input.memory.context;
        for frame in frames {
            self.heard.extend_from_slice(context);
            self.heard.extend_from_slice(frame);
            context = &frame[FRAME - CONTEXT..];
        }
        let outputs = self.session.run(ort::inputs! {
            "input" => TensorRef::from_array_view(([frames.len(), HEARD], &*self.heard))?,
            "h" => TensorRef::from_array_view(([1, 1, WIDTH], &input.memory.hidden[..]))?,
            "c" => TensorRef::from_array_view(([1, 1, WIDTH], &input.memory.cell[..]))?,
        })?;
        let (_, probabilities) = outputs["speech_probs"].try_extract_tensor::<f32>()?;
        let (_, hidden) = outputs["hn"].try_extract_tensor::<f32>()?;
        let (_, cell) = outputs["cn"].try_extract_tensor::<f32>()?;
        if [probabilities.len(), hidden.len(), cell.len()] != [frames.len(), WIDTH, WIDTH] {
            return Err(RunError::new(
                "Silero answered in a shape that was not asked for",
            ));
        }
        let mut memory = Memory::default();
        memory.context.copy_from_slice(&last[FRAME - CONTEXT..]);
        memory.hidden.copy_from_slice(hidden);
        memory.cell.copy_from_slice(cell);
        Ok(Output {
            probabilities: probabilities.to_vec(),
            memory,
        })
    }
}

impl Model for SileroFile {
    type Input = Input;
    type Output = Output;
    type Error = RunError;
    type Key = ();

    fn key(_input: &Input) {}

    fn run(&mut self, batch: &[Input]) -> Result<Vec<Output>, RunError> {
        batch.iter().map(|it| self.hear(it)).collect()
    }

    /// Hears a frame of silence.
    fn self_test(&mut self) -> Result<(), RunError> {
        let silence = Input {
            memory: Memory::default(),
            frames: vec![0.0; FRAME],
        };
        self.run(&[silence]).map(drop)
    }
}
