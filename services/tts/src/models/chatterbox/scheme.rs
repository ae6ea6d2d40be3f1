//! How rows of different lengths share a call of the language model: found out by trying, not by name.
//!
//! Three sentences of different length are read alone, then together, with rows that join, stand still and leave. A scheme is good if
//! every row gets the logits it had alone. The better schemes are tried first.

use std::fmt;

use super::batch::{Batch, RowId};
use super::cache::Cache;
use super::graphs::Graphs;
use super::prompt::Prompter;
use crate::models::onnx::{Float, RunError};

/// How rows of different lengths share a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Each row ends where it ends, and grows in place: graphs that are told how long each row is.
    RightRagged,
    /// Rows begin together; the columns between the end of a short row and the new one are masked.
    HoleMask,
    /// Rows end together; the columns before a short row are masked.
    LeftPad,
    /// Only the two rows of one sentence, which are equally long.
    EqualLength,
    /// Every row alone.
    Single,
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scheme::RightRagged => "right-ragged, in place",
            Scheme::HoleMask => "hole mask",
            Scheme::LeftPad => "left padding",
            Scheme::EqualLength => "equal length only",
            Scheme::Single => "one row a call",
        })
    }
}

/// One scheme that was tried.
#[derive(Clone, Debug)]
pub struct Trial {
    pub scheme: Scheme,
    /// How far the logits were off, relative to their range, or why the call failed.
    pub outcome: Result<f32, String>,
    pub tolerance: f32,
}

impl Trial {
    pub fn is_good(&self) -> bool {
        self.outcome.as_ref().is_ok_and(|it| *it <= self.tolerance)
    }
}

/// Kernels add in another order when there are more rows; half precision has 11 bits, and layers add up.
fn tolerance(float: Float) -> f32 {
    match float {
        Float::F32 => 2e-3,
        Float::F16 => 2e-2,
    }
}

/// What is said for the test.
const TEXTS: [&str; 3] = [
    "No.",
    "The weather is nice today and the sun is shining.",
    "Where did you go?",
];
/// What the rows are fed. Any tokens will do.
const FED: [[u32; 6]; 3] = [
    [11, 512, 4000, 77, 6001, 3],
    [2048, 5, 6400, 1234, 900, 42],
    [3000, 3001, 17, 5555, 8, 260],
];

/// Prompts of the test, embedded, and what each row answers when it is alone.
#[derive(Debug)]
pub(super) struct Rehearsal {
    prompts: Vec<Vec<f32>>,
    alone: Vec<Vec<Vec<f32>>>,
    embeds: Vec<Vec<Vec<f32>>>,
}

impl Rehearsal {
    pub(super) fn new(graphs: &mut Graphs, prompter: &Prompter) -> Result<Rehearsal, RunError> {
        let mut rehearsal = Rehearsal {
            prompts: Vec::new(),
            alone: Vec::new(),
            embeds: Vec::new(),
        };
        for (text, fed) in TEXTS.into_iter().zip(FED) {
            let prompt = prompter.prompt(text, None).map_err(RunError::new)?;
            let prompt = graphs.embed_prompt(&prompt.ids, &prompt.positions, 0.5)?;
            let mut row = Batch::new(Scheme::Single);
            let (first, cache) = graphs.prefill(&prompt)?;
            row.join(0, cache);
            let mut answers = vec![first];
            let mut embeds = Vec::new();
            for (token, position) in fed.into_iter().zip(1..) {
                let embed = graphs.embed_tokens(&[i64::from(token)], &[position], &[0.5])?;
                answers.push(row.feed(graphs, &[(0, &embed)])?);
                embeds.push(embed);
            }
            rehearsal.prompts.push(prompt);
            rehearsal.alone.push(answers);
            rehearsal.embeds.push(embeds);
        }
        Ok(rehearsal)
    }

    /// How far tokens embedded together are from tokens embedded alone.
    pub(super) fn embeds_together(&self, graphs: &mut Graphs) -> Result<bool, RunError> {
        let ids = FED.map(|it| i64::from(it[2]));
        let together = graphs.embed_tokens(&ids, &[3; 3], &[0.5; 3]);
        let Ok(together) = together else {
            return Ok(false);
        };
        let alone: Vec<f32> = self.embeds.iter().flat_map(|it| it[2].clone()).collect();
        let range = alone.iter().fold(0f32, |max, it| max.max(it.abs()));
        let off = together.iter().zip(&alone).map(|(a, b)| (a - b).abs());
        let off = off.fold(0f32, f32::max);
        Ok(together.len() == alone.len() && off <= 1e-3 * range)
    }

    /// The first scheme that is good, and what was tried to find it.
    pub(super) fn choose(&self, graphs: &mut Graphs) -> (Scheme, Vec<Trial>) {
        let mut trials = Vec::new();
        for scheme in [
            Scheme::RightRagged,
            Scheme::HoleMask,
            Scheme::LeftPad,
            Scheme::EqualLength,
        ] {
            let trial = self.trial(graphs, scheme);
            let is_good = trial.is_good();
            trials.push(trial);
            if is_good {
                return (scheme, trials);
            }
        }
        (Scheme::Single, trials)
    }

    /// Tries a scheme.
    pub(super) fn trial(&self, graphs: &mut Graphs, scheme: Scheme) -> Trial {
        Trial {
            scheme,
            outcome: self.play(graphs, scheme).map_err(|it| it.to_string()),
            tolerance: tolerance(graphs.cache_shape.float),
        }
    }

    /// Reads the three together, and says how far off the worst answer was.
    fn play(&self, graphs: &mut Graphs, scheme: Scheme) -> Result<f32, RunError> {
        let mut batch = Batch::new(scheme);
        let mut done = [0; 3];
        let mut worst = 0f32;
        let prefilled = |graphs: &mut Graphs, row: usize| -> Result<Cache, RunError> {
            Ok(graphs.prefill(&self.prompts[row])?.1)
        };
        let mut feed = |graphs: &mut Graphs, batch: &mut Batch, rows: &[usize]| {
            let fed: Vec<(RowId, &[f32])> = rows
                .iter()
                .map(|row| (row_id(*row), &*self.embeds[*row][done[*row]]))
                .collect();
            let answers = batch.feed(graphs, &fed)?;
            let n_logits = answers.len() / rows.len();
            for (row, answer) in rows.iter().zip(answers.chunks_exact(n_logits)) {
                done[*row] += 1;
                worst = worst.max(distance(answer, &self.alone[*row][done[*row]]));
            }
            Ok::<(), RunError>(())
        };
        if scheme == Scheme::EqualLength {
            for id in [0, 1] {
                batch.join(row_id(id), prefilled(graphs, 0)?);
            }
            for step in 0..3 {
                let embed = &*self.embeds[0][step];
                let answers = batch.feed(graphs, &[(0, embed), (1, embed)])?;
                for answer in answers.chunks_exact(answers.len() / 2) {
                    worst = worst.max(distance(answer, &self.alone[0][step + 1]));
                }
            }
            return Ok(worst);
        }
        batch.join(0, prefilled(graphs, 0)?);
        batch.join(1, prefilled(graphs, 1)?);
        feed(graphs, &mut batch, &[0, 1])?;
        // One stands still.
        feed(graphs, &mut batch, &[0])?;
        feed(graphs, &mut batch, &[0, 1])?;
        batch.join(2, prefilled(graphs, 2)?);
        feed(graphs, &mut batch, &[0, 1, 2])?;
        batch.leave(0);
        feed(graphs, &mut batch, &[1, 2])?;
        feed(graphs, &mut batch, &[1, 2])?;
        Ok(worst)
    }
}

fn row_id(row: usize) -> RowId {
    u64::try_from(row).unwrap_or_default()
}

/// The largest difference among the better half of the tokens, in units of the range of that half.
/// The worse half is never chosen, and some heads have a floor there that would make any difference look small.
fn distance(answer: &[f32], alone: &[f32]) -> f32 {
    if answer.len() != alone.len() || answer.iter().any(|it| !it.is_finite()) {
        return f32::INFINITY;
    }
    let mut ranked = alone.to_vec();
    ranked.sort_unstable_by(f32::total_cmp);
    let median = ranked[ranked.len() / 2];
    let range = ranked[ranked.len() - 1] - median;
    let better = |(a, b): &(&f32, &f32)| median <= **a || median <= **b;
    let off = answer
        .iter()
        .zip(alone)
        .filter(better)
        .map(|(a, b)| (a - b).abs())
        .fold(0f32, f32::max);
    off / range.max(f32::MIN_POSITIVE)
}
