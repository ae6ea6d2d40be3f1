//! Sentences in, speech tokens out, one step at a time for all sentences together.
//!
//! Invariants:
//! - A sentence's tokens depend on the sentence alone.
//! - A step that failed may be repeated: tokens are chosen only after the graphs have answered.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use batcher::{Slot, StepModel, Stepped};

use super::batch::{Batch, RowId};
use super::cache::Cache;
use super::graphs::Graphs;
use super::guard::{self, Guard, Verdict};
use super::sampling::{STOP_SPEECH, Sampler, Sampling, Scratch};
use super::scheme::{Rehearsal, Scheme, Trial};
use crate::models::conditioning::Conditioning;
use crate::models::onnx::{OpenError, RunError, SessionSettings};
use crate::models::pack::Pack;

/// What is to be said, and how.
#[derive(Clone, Debug)]
pub struct Sentence {
    /// At most the pack's safe length, digits and signs spelt out.
    pub text: String,
    /// The pack's first, if none.
    pub language: Option<String>,
    pub voice: Arc<Conditioning>,
    pub sampling: Sampling,
    pub exaggeration: f32,
    /// 0 is off. Ignored by families that have no use for it.
    pub cfg_weight: f32,
    pub max_tokens: usize,
}

/// The language model, on its thread.
pub struct LanguageModel {
    pack: Arc<Pack>,
    graphs: Graphs,
    scheme: Scheme,
    trials: Vec<Trial>,
    /// Of the sentences whose rows may share calls.
    shared: Batch,
    sentences: BTreeMap<Slot, Speaking>,
    scratch: Scratch,
    next_row: RowId,
    /// What every later self-test compares with.
    known_good: Vec<u32>,
}

/// A sentence that is being spoken.
#[derive(Debug)]
struct Speaking {
    rows: Rows,
    next: Next,
    sampler: Sampler,
    guard: Guard,
    exaggeration: f32,
    cfg_weight: f32,
}

/// The row that knows the text, and with CFG the one that does not.
#[derive(Debug)]
enum Rows {
    /// In the batch of all.
    Shared(Vec<RowId>),
    /// In batches that nobody else uses.
    Own(Vec<(Batch, Vec<RowId>)>),
}

#[derive(Debug)]
enum Next {
    /// The logits of each row are there.
    Choose(Vec<f32>),
    /// A token has been chosen, and is to be fed.
    Feed(u32),
}

impl fmt::Debug for LanguageModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LanguageModel")
            .field("pack", &self.pack.name)
            .field("scheme", &self.scheme)
            .finish_non_exhaustive()
    }
}

impl LanguageModel {
    /// Opens the graphs, and finds out how sentences can share their calls.
    ///
    /// # Errors
    /// The graphs cannot be opened, or do not do what they declare.
    pub fn load(pack: &Arc<Pack>, settings: SessionSettings) -> Result<LanguageModel, OpenError> {
        if let Some(warning) = pack.warning(settings.device) {
            tracing::warn!(model = %pack.name, "{warning}");
        }
        let unexpected = |what: RunError| OpenError::Unexpected {
            file: pack.graphs.language_model.to_string(),
            what: what.to_string(),
        };
        let mut graphs = Graphs::open(pack, settings)?;
        let rehearsal = Rehearsal::new(&mut graphs, &pack.prompter).map_err(unexpected)?;
        graphs.embeds_together = rehearsal.embeds_together(&mut graphs).map_err(unexpected)?;
        let (scheme, trials) = rehearsal.choose(&mut graphs);
        tracing::info!(
            model = %pack.name, %scheme, embeds_together = graphs.embeds_together,
            "language model loaded"
        );
        // Several workers of a model find the same.
        let _: Result<(), Scheme> = pack.scheme.set(scheme);
        let mut model = LanguageModel {
            pack: Arc::clone(pack),
            graphs,
            scheme,
            trials,
            shared: Batch::new(scheme),
            sentences: BTreeMap::new(),
            scratch: Scratch::default(),
            next_row: 0,
            known_good: Vec::new(),
        };
        model.known_good = model.rehearse().map_err(unexpected)?;
        Ok(model)
    }

    /// How sentences share calls.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// What was tried to find that out.
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    /// Whether tokens of several sentences can be embedded at once.
    pub fn embeds_together(&self) -> bool {
        self.graphs.embeds_together
    }

    /// Forces a scheme, to compare with the one that was found.
    #[doc(hidden)]
    #[must_use]
    pub fn with_scheme(mut self, scheme: Scheme) -> LanguageModel {
        self.scheme = scheme;
        self.shared = Batch::new(scheme);
        self
    }

    /// Some tokens without a voice, which change if the model does.
    fn rehearse(&mut self) -> Result<Vec<u32>, RunError> {
        let prompt = self.pack.prompter.prompt("Hello.", None);
        let prompt = prompt.map_err(RunError::new)?;
        let embeds = self
            .graphs
            .embed_prompt(&prompt.ids, &prompt.positions, 0.5)?;
        let (mut logits, cache) = self.graphs.prefill(&embeds)?;
        let mut row = Batch::new(Scheme::Single);
        row.join(0, cache);
        let mut sampler = Sampler::new(GREEDY, self.pack.family.order());
        let mut tokens = Vec::new();
        for position in 1..=3 {
            let token = sampler.choose(&logits, &mut self.scratch);
            let token = token.ok_or_else(no_number)?;
            tokens.push(token);
            let embed = self
                .graphs
                .embed_tokens(&[i64::from(token)], &[position], &[0.5])?;
            logits = row.feed(&mut self.graphs, &[(0, &embed)])?;
        }
        Ok(tokens)
    }

    /// Reads the beginning of a sentence.
    fn begin(&mut self, sentence: &Sentence) -> Result<Speaking, RunError> {
        let hidden = self.graphs.shape.hidden;
        let prefix = &sentence.voice.prefix;
        if prefix.ncols() != hidden {
            return Err(RunError::new(format_args!(
                "the voice was extracted for a model that is {} wide, and this one is {hidden}",
                prefix.ncols()
            )));
        }
        let language = sentence.language.as_deref();
        let prompt = self.pack.prompter.prompt(&sentence.text, language);
        let prompt = prompt.map_err(RunError::new)?;
        let text =
            self.graphs
                .embed_prompt(&prompt.ids, &prompt.positions, sentence.exaggeration)?;
        let mut embeds: Vec<f32> = prefix.iter().copied().chain(text).collect();
        let cfg_weight = if self.pack.supports_cfg() {
            sentence.cfg_weight
        } else {
            0.0
        };
        let (mut logits, cache) = self.graphs.prefill(&embeds)?;
        let mut caches = vec![cache];
        if cfg_weight > 0.0 {
            let text = prefix.nrows() + prompt.text.start..prefix.nrows() + prompt.text.end;
            embeds[text.start * hidden..text.end * hidden].fill(0.0);
            let (unconditional, cache) = self.graphs.prefill(&embeds)?;
            logits.extend(unconditional);
            caches.push(cache);
        }
        let rows = self.seat(caches);
        let n_letters = guard::n_letters(&sentence.text);
        let max_tokens = sentence.max_tokens.min(self.pack.limits.max_tokens);
        Ok(Speaking {
            rows,
            next: Next::Choose(logits),
            sampler: Sampler::new(sentence.sampling, self.pack.family.order()),
            guard: Guard::new(n_letters, max_tokens),
            exaggeration: sentence.exaggeration,
            cfg_weight,
        })
    }

    fn seat(&mut self, caches: Vec<Cache>) -> Rows {
        match self.scheme {
            Scheme::RightRagged | Scheme::HoleMask | Scheme::LeftPad => {
                let ids = caches.into_iter().map(|cache| {
                    let id = self.next_row;
                    self.next_row += 1;
                    self.shared.join(id, cache);
                    id
                });
                Rows::Shared(ids.collect())
            }
            Scheme::EqualLength => {
                let mut batch = Batch::new(self.scheme);
                let ids: Vec<RowId> = (0..).take(caches.len()).collect();
                for (id, cache) in ids.iter().zip(caches) {
                    batch.join(*id, cache);
                }
                Rows::Own(vec![(batch, ids)])
            }
            Scheme::Single => {
                let alone = caches.into_iter().map(|cache| {
                    let mut batch = Batch::new(self.scheme);
                    batch.join(0, cache);
                    (batch, vec![0])
                });
                Rows::Own(alone.collect())
            }
        }
    }

    /// Feeds the chosen tokens of all sentences that have one, and puts the answers in their place.
    /// What one of them fails with that has rows of its own is its own affair.
    fn feed(&mut self, slots: &[Slot]) -> Result<BTreeMap<Slot, RunError>, RunError> {
        let mut fed = Vec::new();
        for slot in slots {
            let speaking = self.sentences.get(slot).ok_or_else(|| unknown(*slot))?;
            if let Next::Feed(token) = speaking.next {
                fed.push((*slot, i64::from(token)));
            }
        }
        if fed.is_empty() {
            return Ok(BTreeMap::new());
        }
        let ids: Vec<i64> = fed.iter().map(|it| it.1).collect();
        let (mut positions, mut exaggeration) = (Vec::new(), Vec::new());
        for (slot, _) in &fed {
            let speaking = &self.sentences[slot];
            // The first token is at the position 1.
            positions.push(i64::try_from(speaking.guard.n_tokens()).map_err(RunError::new)?);
            exaggeration.push(speaking.exaggeration);
        }
        let embeds = self.graphs.embed_tokens(&ids, &positions, &exaggeration)?;
        let embeds = embeds.chunks_exact(self.graphs.shape.hidden);
        let mut shared = Vec::new();
        let mut shared_slots = Vec::new();
        let mut failed = BTreeMap::new();
        for ((slot, _), embed) in fed.into_iter().zip(embeds) {
            let Some(speaking) = self.sentences.get_mut(&slot) else {
                continue;
            };
            match &mut speaking.rows {
                Rows::Shared(ids) => {
                    shared.extend(ids.iter().map(|id| (*id, embed)));
                    shared_slots.push((slot, ids.len()));
                }
                Rows::Own(batches) => match feed_own(&mut self.graphs, batches, embed) {
                    Ok(logits) => speaking.next = Next::Choose(logits),
                    Err(error) => {
                        failed.insert(slot, error);
                    }
                },
            }
        }
        if shared.is_empty() {
            return Ok(failed);
        }
        let logits = self.shared.feed(&mut self.graphs, &shared)?;
        let mut rows = logits.chunks_exact(logits.len() / shared.len());
        for (slot, n_rows) in shared_slots {
            if let Some(speaking) = self.sentences.get_mut(&slot) {
                let logits = rows.by_ref().take(n_rows).flatten().copied().collect();
                speaking.next = Next::Choose(logits);
            }
        }
        Ok(failed)
    }
}

impl StepModel for LanguageModel {
    type Request = Sentence;
    type Chunk = u32;
    type Error = RunError;

    fn admit(&mut self, slot: Slot, sentence: Sentence) -> Result<(), RunError> {
        let speaking = self.begin(&sentence)?;
        self.sentences.insert(slot, speaking);
        Ok(())
    }

    fn step(&mut self, slots: &[Slot]) -> Result<Vec<Stepped<u32, RunError>>, RunError> {
        let mut failed = self.feed(slots)?;
        let mut stepped = Vec::with_capacity(slots.len());
        for slot in slots {
            let speaking = self.sentences.get_mut(slot).ok_or_else(|| unknown(*slot))?;
            stepped.push(match failed.remove(slot) {
                Some(error) => Stepped::Failed(error),
                None => speaking.choose(&mut self.scratch),
            });
        }
        Ok(stepped)
    }

    fn evict(&mut self, slot: Slot) {
        if let Some(Speaking {
            rows: Rows::Shared(ids),
            ..
        }) = self.sentences.remove(&slot)
        {
            for id in ids {
                self.shared.leave(id);
            }
        }
    }

    fn self_test(&mut self) -> Result<(), RunError> {
        if self.rehearse()? == self.known_good {
            return Ok(());
        }
        Err(RunError::new(
            "the language model no longer says what it said when it was loaded",
        ))
    }
}

impl Speaking {
    fn choose(&mut self, scratch: &mut Scratch) -> Stepped<u32, RunError> {
        let Next::Choose(logits) = &mut self.next else {
            return Stepped::Quiet;
        };
        if self.cfg_weight > 0.0 {
            guide(logits, self.cfg_weight);
        }
        let Some(token) = self.sampler.choose(logits, scratch) else {
            return Stepped::Failed(no_number());
        };
        if token == STOP_SPEECH {
            return Stepped::Finished;
        }
        self.next = Next::Feed(token);
        match self.guard.heard(token) {
            Verdict::Go => Stepped::Chunk(token),
            verdict @ (Verdict::Full | Verdict::Loops) => {
                let n_tokens = self.guard.n_tokens();
                tracing::debug!(?verdict, n_tokens, "a sentence is cut");
                Stepped::Last(token)
            }
        }
    }
}

fn feed_own(
    graphs: &mut Graphs,
    batches: &mut [(Batch, Vec<RowId>)],
    embed: &[f32],
) -> Result<Vec<f32>, RunError> {
    let mut logits = Vec::new();
    for (batch, ids) in batches {
        let fed: Vec<(RowId, &[f32])> = ids.iter().map(|id| (*id, embed)).collect();
        logits.extend(batch.feed(graphs, &fed)?);
    }
    Ok(logits)
}

/// Two rows of logits become one: away from what would be said without the text.
fn guide(logits: &mut Vec<f32>, weight: f32) {
    let half = logits.len() / 2;
    let (with_text, without) = logits.split_at_mut(half);
    for (with_text, without) in with_text.iter_mut().zip(without) {
        *with_text += weight * (*with_text - *without);
    }
    logits.truncate(half);
}

const GREEDY: Sampling = Sampling {
    temperature: 0.0,
    top_p: 1.0,
    top_k: 0,
    min_p: 0.0,
    repetition_penalty: 1.2,
    seed: 0,
};

fn no_number() -> RunError {
    RunError::new("the language model answered with something that is not a number")
}

fn unknown(slot: Slot) -> RunError {
    RunError::new(format_args!("nothing was admitted to {slot:?}"))
}
