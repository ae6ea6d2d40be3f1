//! Smart Turn v3.2: the end of a turn in, the probability that it is over out.
//!
//! Invariants:
//! - Equal to 1e-3 to pipecat's own code, whatever the length of the turn.
//! - What a turn gets does not depend on the others in its call.

mod features;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use batcher::Model;
use ort::session::Session;
use ort::value::{TensorElementType, TensorRef};

use self::features::Features;
use super::onnx::{self, OpenError, Port, RunError};

/// Samples that are heard: 8 s at 16 kHz. What comes before them may be left out.
pub const HEARD: usize = features::N_SAMPLES;

const N_VALUES: usize = features::N_MELS * features::N_FRAMES;

const INPUTS: [Port; 1] = [Port {
    name: "input_features",
    element: TensorElementType::Float32,
    shape: &[-1, 80, 800],
}];
// So it is named, but a sigmoid has been taken of them.
const OUTPUTS: [Port; 1] = [Port {
    name: "logits",
    element: TensorElementType::Float32,
    shape: &[-1, 1],
}];

/// The model, on its thread.
pub struct SmartTurn {
    session: Session,
    features: Features,
    /// Features of the batch, kept to save the allocation.
    values: Vec<f32>,
}

impl fmt::Debug for SmartTurn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmartTurn").finish_non_exhaustive()
    }
}

impl SmartTurn {
    /// Opens the model, to compute on `n_threads`, and lets it hear silence once, so that the first turn does not wait.
    ///
    /// # Errors
    /// The file is missing, damaged or another model.
    pub fn load(path: &Path, n_threads: usize) -> Result<SmartTurn, OpenError> {
        let session = onnx::open(path, n_threads, &INPUTS, &OUTPUTS)?;
        let mut smart_turn = SmartTurn {
            session,
            features: Features::new(),
            values: Vec::new(),
        };
        smart_turn
            .self_test()
            .map_err(|error| OpenError::Unexpected {
                path: path.to_owned(),
                what: error.to_string(),
            })?;
        Ok(smart_turn)
    }
}

impl Model for SmartTurn {
    /// Mono at 16 kHz, from the beginning of the turn or [`HEARD`] before its end.
    type Input = Arc<[f32]>;
    type Output = f32;
    type Error = RunError;
    type Key = ();

    fn key(_input: &Arc<[f32]>) {}

    fn run(&mut self, batch: &[Arc<[f32]>]) -> Result<Vec<f32>, RunError> {
        self.values.resize(batch.len() * N_VALUES, 0.0);
        for (turn, out) in batch.iter().zip(self.values.chunks_exact_mut(N_VALUES)) {
            self.features.compute(turn, out);
        }
        let shape = [batch.len(), features::N_MELS, features::N_FRAMES];
        let values = TensorRef::from_array_view((shape, &*self.values))?;
        let outputs = self
            .session
            .run(ort::inputs! { "input_features" => values })?;
        let (_, probabilities) = outputs["logits"].try_extract_tensor::<f32>()?;
        if probabilities.len() != batch.len() || probabilities.iter().any(|it| !it.is_finite()) {
            return Err(RunError::new(
                "Smart Turn did not answer with one probability a turn",
            ));
        }
        Ok(probabilities.to_vec())
    }

    /// Hears silence.
    fn self_test(&mut self) -> Result<(), RunError> {
        self.run(&[Arc::from(vec![0.0; HEARD])]).map(drop)
    }
}
