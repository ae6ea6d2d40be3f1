//! The two graphs of the language model, called with rows as plain floats.
//!
//! Invariants:
//! - Presents become pasts by name, and stay on the device.

use ort::memory::MemoryInfo;
use ort::session::{IoBinding, Session};
use ort::value::{DynTensor, DynTensorValueType, Tensor, TensorRef};

use super::cache::{Cache, CacheShape};
use crate::models::onnx::{self, Device, OpenError, RunError, SessionSettings, floats};
use crate::models::pack::{Pack, Shape};

/// The embedding and the language model, opened.
#[derive(Debug)]
pub(super) struct Graphs {
    embed: Session,
    lm: Session,
    pub(super) shape: Shape,
    pub(super) cache_shape: CacheShape,
    /// Rows may share a call of the embedding. Found by a test when the model is loaded.
    pub(super) embeds_together: bool,
    /// Names of the pasts and presents, keys and values in turn.
    pasts: Vec<String>,
    presents: Vec<String>,
    host: MemoryInfo<'static>,
    device: MemoryInfo<'static>,
    /// For calls in which every input is bound anew.
    binding: IoBinding,
}

/// A call of the language model with the next columns of each row.
#[derive(Debug)]
pub(super) struct Step<'a> {
    pub(super) n_columns: usize,
    /// `[n_rows, n_columns, hidden]`.
    pub(super) embeds: &'a [f32],
    /// `[n_rows, any]`.
    pub(super) mask: &'a [i64],
    /// Where each column is: `[n_rows, n_columns]`.
    pub(super) positions: &'a [i64],
}

impl Graphs {
    pub(super) fn open(pack: &Pack, settings: SessionSettings) -> Result<Graphs, OpenError> {
        let shape = pack.shape.clone();
        let lm = onnx::open(&pack.graphs.language_model, settings)?;
        let unreadable = |reason: ort::Error| OpenError::Unreadable {
            file: pack.graphs.language_model.to_string(),
            reason: reason.to_string(),
        };
        let cache_shape = CacheShape {
            n_tensors: 2 * shape.n_layers,
            n_heads: shape.n_kv_heads,
            head_dim: shape.head_dim,
            float: shape.kv,
            device: settings.device,
        };
        let named = |prefix: &str| {
            (0..shape.n_layers)
                .flat_map(|layer| ["key", "value"].map(|half| format!("{prefix}.{layer}.{half}")))
                .collect()
        };
        Ok(Graphs {
            embed: onnx::open(&pack.graphs.embed_tokens, settings)?,
            cache_shape,
            embeds_together: true,
            pasts: named("past_key_values"),
            presents: named("present"),
            host: Device::Cpu.memory().map_err(unreadable)?,
            device: settings.device.memory().map_err(unreadable)?,
            binding: lm.create_binding().map_err(unreadable)?,
            lm,
            shape,
        })
    }

    /// Embeds a prompt: `[ids.len(), hidden]`.
    pub(super) fn embed_prompt(
        &mut self,
        ids: &[i64],
        positions: &[i64],
        exaggeration: f32,
    ) -> Result<Vec<f32>, RunError> {
        self.embed([1, ids.len()], ids, positions, &[exaggeration])
    }

    /// Embeds the next token of each row: `[n_rows, hidden]`.
    pub(super) fn embed_tokens(
        &mut self,
        ids: &[i64],
        positions: &[i64],
        exaggeration: &[f32],
    ) -> Result<Vec<f32>, RunError> {
        if self.embeds_together || ids.len() == 1 {
            return self.embed([ids.len(), 1], ids, positions, exaggeration);
        }
        let mut embeds = Vec::with_capacity(ids.len() * self.shape.hidden);
        for row in 0..ids.len() {
            let one = row..=row;
            let (id, position) = (&ids[one.clone()], &positions[one.clone()]);
            embeds.extend(self.embed([1, 1], id, position, &exaggeration[one])?);
        }
        Ok(embeds)
    }

    fn embed(
        &mut self,
        shape: [usize; 2],
        ids: &[i64],
        positions: &[i64],
        exaggeration: &[f32],
    ) -> Result<Vec<f32>, RunError> {
        let mut inputs = ort::inputs! {
            "input_ids" => TensorRef::from_array_view((shape, ids))?,
        };
        if self.shape.asks.embed_positions {
            let positions = TensorRef::from_array_view((shape, positions))?;
            inputs.push(("position_ids".into(), positions.into()));
        }
        if self.shape.asks.exaggeration {
            let float = self.shape.floats.exaggeration;
            let exaggeration = float.tensor([exaggeration.len()], exaggeration)?;
            inputs.push(("exaggeration".into(), exaggeration.into()));
        }
        let outputs = self.embed.run(inputs)?;
        let (found, embeds) = floats(&outputs["inputs_embeds"])?;
        if found != [shape[0], shape[1], self.shape.hidden] {
            return Err(RunError::new(format_args!(
                "embed_tokens answered {found:?} to {shape:?} ids"
            )));
        }
        Ok(embeds.into_owned())
    }

    /// Reads the whole beginning of one row: logits after its last column, and what is remembered of it.
    pub(super) fn prefill(&mut self, embeds: &[f32]) -> Result<(Vec<f32>, Cache), RunError> {
        let hidden = self.shape.hidden;
        let n_columns = embeds.len() / hidden;
        let past = self.cache_shape.empty(1, 0)?;
        let step = Step {
            n_columns,
            embeds,
            mask: &vec![1; n_columns],
            positions: &(0..).take(n_columns).collect::<Vec<i64>>(),
        };
        self.step(&step, &past)
    }

    /// More columns for each row, after those of `past`: logits after the last of each row, and what is remembered then.
    pub(super) fn step(
        &mut self,
        step: &Step<'_>,
        past: &Cache,
    ) -> Result<(Vec<f32>, Cache), RunError> {
        let (n_rows, n_columns) = (past.n_rows, step.n_columns);
        let embeds = self
            .shape
            .floats
            .lm_embeds
            .tensor([n_rows, n_columns, self.shape.hidden], step.embeds)?;
        self.binding.bind_input("inputs_embeds", &embeds)?;
        let mask = Tensor::from_array(([n_rows, step.mask.len() / n_rows], step.mask.to_vec()))?;
        self.binding.bind_input("attention_mask", &mask)?;
        if self.shape.asks.lm_positions {
            let positions = Tensor::from_array(([n_rows, n_columns], step.positions.to_vec()))?;
            self.binding.bind_input("position_ids", &positions)?;
        }
        for (name, tensor) in self.pasts.iter().zip(&past.tensors) {
            self.binding.bind_input(name, tensor)?;
        }
        for name in &self.presents {
            self.binding.bind_output_to_device(name, &self.device)?;
        }
        self.binding.bind_output_to_device("logits", &self.host)?;
        let mut outputs = self.lm.run_binding(&self.binding)?;
        let present = |name| {
            let value = outputs.remove(name);
            let value = value.ok_or_else(|| ort::Error::new("an output is missing"))?;
            value.downcast::<DynTensorValueType>()
        };
        let tensors: Vec<DynTensor> = self
            .presents
            .iter()
            .map(present)
            .collect::<ort::Result<_>>()?;
        let logits = last_logits(&outputs["logits"], n_rows, n_columns)?;
        drop(outputs);
        // Or they would be kept until the next call.
        self.binding.clear();
        Ok((
            logits,
            Cache {
                tensors,
                n_rows,
                width: past.width + n_columns,
            },
        ))
    }

    /// Binds a cache to be both past and present of [`step_in_place`](Graphs::step_in_place).
    pub(super) fn bind_in_place(&self, cache: &mut Cache) -> Result<IoBinding, RunError> {
        let mut binding = self.lm.create_binding()?;
        let names = self.pasts.iter().zip(&self.presents);
        for ((past, present), tensor) in names.zip(&mut cache.tensors) {
            binding.bind_input(past, tensor)?;
            binding.bind_output(present, tensor)?;
        }
        binding.bind_output_to_device("logits", &self.host)?;
        Ok(binding)
    }

    /// One more column for each row, each written to the bound cache at the row's own end. The mask is as wide as the cache.
    pub(super) fn step_in_place(
        &mut self,
        step: &Step<'_>,
        binding: &mut IoBinding,
    ) -> Result<Vec<f32>, RunError> {
        let hidden = self.shape.hidden;
        let n_rows = step.embeds.len() / hidden;
        let embeds = self.shape.floats.lm_embeds;
        binding.bind_input(
            "inputs_embeds",
            &embeds.tensor([n_rows, 1, hidden], step.embeds)?,
        )?;
        let mask = Tensor::from_array(([n_rows, step.mask.len() / n_rows], step.mask.to_vec()))?;
        binding.bind_input("attention_mask", &mask)?;
        if self.shape.asks.lm_positions {
            let positions = Tensor::from_array(([n_rows, 1], step.positions.to_vec()))?;
            binding.bind_input("position_ids", &positions)?;
        }
        let outputs = self.lm.run_binding(binding)?;
        last_logits(&outputs["logits"], n_rows, 1)
    }
}

/// The logits of the last column of each row.
fn last_logits(
    logits: &ort::value::DynValue,
    n_rows: usize,
    n_columns: usize,
) -> Result<Vec<f32>, RunError> {
    let (shape, logits) = floats(logits)?;
    // A graph may compute the last column only.
    let [found_rows, found_columns, n_logits] = shape[..] else {
        return Err(RunError::new(format_args!(
            "the logits have the shape {shape:?}"
        )));
    };
    if found_rows != n_rows || (found_columns != n_columns && found_columns != 1) {
        return Err(RunError::new(format_args!(
            "the logits have the shape {shape:?} for {n_rows} rows of {n_columns} columns"
        )));
    }
    if found_columns == 1 {
        return Ok(logits.into_owned());
    }
    let row = found_columns * n_logits;
    let last = logits
        .chunks_exact(row)
        .flat_map(|it| &it[row - n_logits..]);
    Ok(last.copied().collect())
}
