//! Whisper on CTranslate2: windows in, text with its times out.
//!
//! The decoding rules around the model are in the submodules and are pure; this file makes the calls.
//! What they compute equals faster-whisper 1.2.1 in its sequential mode, window by window.
//!
//! Invariants:
//! - One call encodes its batch at most once; language, text and word times come from that one encoding, and so does the
//!   next attempt at a window that was alone in its call.
//! - Nothing about an input depends on the others in its call, but for the last bits of floating-point sums.
//! - Features are padded with 0.0 and not with the log-mel of silence, as the reference does.
//! - A window has at least two frames before it is aligned: CTranslate2 halves them and divides by the result.

pub mod demo;
pub mod engine;
pub mod fallback;
pub mod hallucination;
pub mod item;
pub mod languages;
pub mod load;
pub mod prompt;
pub mod timestamps;
pub mod tokenizer;
pub mod words;

use std::{collections::BTreeMap, fmt, sync::Arc};

use ct2rs::sys;

use self::{
    engine::Settings,
    fallback::{Metrics, Verdict},
    item::{Attempt, Decoding, Encoded, Heard, Input, Key, ModelError, Placement, Work, Written},
    load::{LoadError, ModelCard, ModelFiles},
    prompt::{Language, Task},
    words::Alignment,
};

/// Width of the median filter over the attention, as Whisper's authors chose it.
const MEDIAN_FILTER_WIDTH: i64 = 7;
/// Fewer frames than this cannot be aligned.
const MIN_ALIGNED_FRAMES: usize = 2;

/// A loaded model, owned by one thread.
pub struct WhisperModel {
    engine: sys::Whisper,
    card: Arc<ModelCard>,
    /// Features of the batch, row by row; kept to save the allocation.
    features: Vec<f32>,
}

impl fmt::Debug for WhisperModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WhisperModel")
            .field("name", &self.card.name)
            .finish_non_exhaustive()
    }
}

/// Text to be placed in time, and the row of the batch it was heard in.
#[derive(Clone, Debug)]
struct Row {
    row: usize,
    start_sequence: Vec<usize>,
    text: Vec<usize>,
    n_frames: usize,
}

impl WhisperModel {
    /// Loads the weights and hears one silent window, so that what is missing is missed here.
    ///
    /// # Errors
    /// Names what is wrong with the model, the device or the native libraries.
    pub fn load(
        files: &ModelFiles,
        card: Arc<ModelCard>,
        settings: &Settings,
    ) -> Result<WhisperModel, LoadError> {
        let engine = engine::load(files, &card, settings)?;
        let mut model = WhisperModel {
            engine,
            card,
            features: Vec::new(),
        };
        model
            .warm_up()
            .map_err(|error| engine::refused(&model.card.name, &error))?;
        Ok(model)
    }

    fn warm_up(&mut self) -> Result<(), ModelError> {
        let shape = [1, self.card.n_mels, 200];
        self.features.clear();
        self.features.resize(shape.iter().product(), 0.0);
        let features =
            sys::StorageView::new(&shape, &mut self.features, sys::Device::CPU).map_err(failed)?;
        let options = sys::WhisperOptions {
            beam_size: 1,
            max_length: 4,
            ..sys::WhisperOptions::default()
        };
        let mut prompt = vec!["<|startoftranscript|>"];
        if self.card.tokenizer.is_multilingual() {
            prompt.extend(["<|en|>", "<|transcribe|>"]);
        }
        self.engine
            .generate(&features, &[prompt], &options)
            .map_err(failed)?;
        Ok(())
    }

    fn encode(&mut self, batch: &[Input]) -> Result<Encoded, ModelError> {
        if let [Input { window, .. }] = batch
            && let Some(encoded) = &window.encoded
        {
            return Ok(encoded.clone());
        }
        let width = batch.iter().map(|it| it.window.width).max().unwrap_or(0);
        let n_values = self.card.n_mels * width;
        self.features.clear();
        self.features.resize(batch.len() * n_values, 0.0);
        for (input, out) in batch
            .iter()
            .zip(self.features.chunks_exact_mut(n_values.max(1)))
        {
            let window = &input.window;
            window
                .features
                .window(window.seek, window.n_frames, width, out);
        }
        let shape = [batch.len(), self.card.n_mels, width];
        let features =
            sys::StorageView::new(&shape, &mut self.features, sys::Device::CPU).map_err(failed)?;
        // What may be kept is kept where every worker can read it.
        let to_cpu = batch.len() == 1;
        let encoded = self.engine.encode(&features, to_cpu).map_err(failed)?;
        Ok(Encoded::new(encoded))
    }

    fn detect(&self, encoded: &Encoded, n: usize) -> Result<Vec<Vec<(u32, f32)>>, ModelError> {
        let detected = self
            .engine
            .detect_language(encoded.view())
            .map_err(failed)?;
        check_count(detected.len(), n)?;
        let token = |language: &str| {
            self.card
                .tokenizer
                .language_token(language.trim_matches(['<', '|', '>']))
        };
        Ok(detected
            .into_iter()
            .map(|it| {
                it.iter()
                    .filter_map(|it| Some((token(&it.language)?, it.probability)))
                    .collect()
            })
            .collect())
    }

    fn write(
        &self,
        encoded: &Encoded,
        attempts: &[&Attempt],
        languages: &[Vec<(u32, f32)>],
    ) -> Result<Vec<Written>, ModelError> {
        let mut prompts = Vec::with_capacity(attempts.len());
        for (row, attempt) in attempts.iter().enumerate() {
            let mut prompt = attempt.prompt.clone();
            if let Some((token, _)) = languages.get(row).and_then(|it| it.first()) {
                prompt.settle_language(*token);
            }
            prompts.push(
                prompt
                    .tokens
                    .iter()
                    .map(|it| self.spell(*it))
                    .collect::<Vec<&str>>(),
            );
        }
        let options = attempts
            .first()
            .map(|it| options(&it.decoding))
            .unwrap_or_default();
        let results = self
            .engine
            .generate(encoded.view(), &prompts, &options)
            .map_err(failed)?;
        check_count(results.len(), attempts.len())?;
        attempts
            .iter()
            .zip(results)
            .map(|(attempt, result)| self.weigh(attempt, &result))
            .collect()
    }

    fn weigh(
        &self,
        attempt: &Attempt,
        result: &sys::WhisperGenerationResult,
    ) -> Result<Written, ModelError> {
        let (Some(ids), Some(score)) = (result.sequences_ids.first(), result.scores.first()) else {
            return Err(ModelError::Miscounted {
                given: 0,
                expected: 1,
            });
        };
        let tokens: Vec<u32> = ids
            .iter()
            .map(|it| u32::try_from(*it).unwrap_or(u32::MAX))
            .collect();
        #[expect(clippy::cast_precision_loss, reason = "at most 448 tokens")]
        let n_tokens = tokens.len() as f64;
        // The score was divided by the length, and the mean is to count the end of text as well.
        let sum = f64::from(*score) * n_tokens.powf(f64::from(attempt.decoding.length_penalty));
        let text = self.card.tokenizer.decode(&tokens);
        let metrics = Metrics {
            avg_logprob: sum / (n_tokens + 1.0),
            compression_ratio: fallback::compression_ratio(tokenizer::strip(&text)),
            no_speech_prob: f64::from(result.no_speech_prob),
        };
        Ok(Written {
            tokens,
            metrics,
            verdict: attempt.thresholds.judge(&metrics),
        })
    }

    fn run_attempts(
        &mut self,
        batch: &[Input],
        attempts: &[&Attempt],
    ) -> Result<Vec<Heard>, ModelError> {
        let encoded = self.encode(batch)?;
        let any_unknown = attempts
            .iter()
            .any(|it| it.prompt.language == Language::Detect);
        let languages = if any_unknown {
            self.detect(&encoded, batch.len())?
        } else {
            Vec::new()
        };
        let written = self.write(&encoded, attempts, &languages)?;

        let mut rows = Vec::new();
        for (row, (attempt, written)) in attempts.iter().zip(&written).enumerate() {
            if attempt.words && written.verdict == Verdict::Accepted {
                let window = &batch[row].window;
                let detected = languages.get(row).and_then(|it| it.first()).map(|it| it.0);
                let placement = Placement {
                    language: match attempt.prompt.language {
                        Language::Only => None,
                        Language::Token(token) => Some(token),
                        Language::Detect => detected,
                    },
                    task: attempt.prompt.task,
                    text: window.text_tokens(&self.card.tokenizer, &written.tokens),
                };
                rows.push(self.row(row, &placement, window.n_frames));
            }
        }
        let mut alignments = self.align(&encoded, batch.len(), rows)?;
        let is_alone = batch.len() == 1;
        Ok(written
            .into_iter()
            .enumerate()
            .map(|(row, written)| Heard {
                encoded: (is_alone && written.verdict == Verdict::Poor).then(|| encoded.clone()),
                written: Some(written),
                languages: match attempts[row].prompt.language {
                    Language::Detect => languages.get(row).cloned().unwrap_or_default(),
                    Language::Only | Language::Token(_) => Vec::new(),
                },
                alignment: alignments.remove(&row),
            })
            .collect())
    }

    fn run_placements(
        &mut self,
        batch: &[Input],
        placements: &[&Placement],
    ) -> Result<Vec<Heard>, ModelError> {
        let encoded = self.encode(batch)?;
        let rows = placements
            .iter()
            .zip(batch)
            .enumerate()
            .map(|(row, (it, input))| self.row(row, it, input.window.n_frames))
            .collect();
        let mut alignments = self.align(&encoded, batch.len(), rows)?;
        Ok((0..batch.len())
            .map(|row| Heard {
                alignment: alignments.remove(&row),
                ..Heard::default()
            })
            .collect())
    }

    fn row(&self, row: usize, placement: &Placement, n_frames: usize) -> Row {
        let special = self.card.tokenizer.special();
        let mut start_sequence = vec![special.sot];
        if let Some(language) = placement.language {
            start_sequence.push(language);
            start_sequence.push(match placement.task {
                Task::Transcribe => special.transcribe,
                Task::Translate => special.translate,
            });
        }
        let widen = |tokens: &[u32]| {
            tokens
                .iter()
                .filter_map(|it| usize::try_from(*it).ok())
                .collect()
        };
        Row {
            row,
            start_sequence: widen(&start_sequence),
            text: widen(&placement.text),
            n_frames,
        }
    }

    /// Places texts in time, by row. Rows that cannot be aligned are left out.
    fn align(
        &self,
        encoded: &Encoded,
        n_rows: usize,
        rows: Vec<Row>,
    ) -> Result<BTreeMap<usize, Alignment>, ModelError> {
        let mut alignments = BTreeMap::new();
        if !self.card.has_alignment_heads {
            return Ok(alignments);
        }
        let rows: Vec<Row> = rows
            .into_iter()
            .filter(|it| MIN_ALIGNED_FRAMES <= it.n_frames)
            .collect();
        for call in engine::plan_alignment(rows, n_rows) {
            let results = self
                .engine
                .align(
                    encoded.view(),
                    &call.start_sequence,
                    &call.text,
                    &call.n_frames,
                    MEDIAN_FILTER_WIDTH,
                )
                .map_err(failed)?;
            check_count(results.len(), n_rows)?;
            for (row, result) in results.into_iter().enumerate() {
                if call.rows.contains(&row) {
                    let alignment = Alignment {
                        path: result
                            .alignments
                            .iter()
                            .map(|it| (it.token_x, it.frame_x))
                            .collect(),
                        token_probs: result.text_token_probs,
                    };
                    alignments.insert(row, alignment);
                }
            }
        }
        Ok(alignments)
    }

    fn spell(&self, token: u32) -> &str {
        let token = usize::try_from(token).unwrap_or(usize::MAX);
        self.card.vocabulary.get(token).map_or("", String::as_str)
    }
}

impl batcher::Model for WhisperModel {
    type Input = Input;
    type Output = Heard;
    type Error = ModelError;
    type Key = Key;

    fn key(input: &Input) -> Key {
        input.key()
    }

    fn run(&mut self, batch: &[Input]) -> Result<Vec<Heard>, ModelError> {
        let attempts: Vec<&Attempt> = batch.iter().filter_map(|it| as_attempt(&it.work)).collect();
        if attempts.len() == batch.len() {
            return self.run_attempts(batch, &attempts);
        }
        let placements: Vec<&Placement> = batch
            .iter()
            .filter_map(|it| as_placement(&it.work))
            .collect();
        if placements.len() == batch.len() {
            return self.run_placements(batch, &placements);
        }
        // The key keeps the kinds apart, so all are questions about the language.
        let encoded = self.encode(batch)?;
        let languages = self.detect(&encoded, batch.len())?;
        Ok(languages
            .into_iter()
            .map(|languages| Heard {
                languages,
                ..Heard::default()
            })
            .collect())
    }

    fn self_test(&mut self) -> Result<(), ModelError> {
        self.warm_up()
    }
}

fn as_attempt(work: &Work) -> Option<&Attempt> {
    match work {
        Work::Attempt(attempt) => Some(attempt),
        Work::Placement(_) | Work::Languages => None,
    }
}

fn as_placement(work: &Work) -> Option<&Placement> {
    match work {
        Work::Placement(placement) => Some(placement),
        Work::Attempt(_) | Work::Languages => None,
    }
}

fn options(decoding: &Decoding) -> sys::WhisperOptions {
    let is_sampled = 0.0 < decoding.temperature;
    sys::WhisperOptions {
        beam_size: if is_sampled { 1 } else { decoding.beam_size },
        patience: if is_sampled { 1.0 } else { decoding.patience },
        length_penalty: decoding.length_penalty,
        repetition_penalty: decoding.repetition_penalty,
        no_repeat_ngram_size: decoding.no_repeat_ngram_size,
        max_length: decoding.max_length,
        // 0 draws from the whole distribution.
        sampling_topk: usize::from(!is_sampled),
        sampling_temperature: if is_sampled {
            decoding.temperature
        } else {
            1.0
        },
        num_hypotheses: if is_sampled { decoding.n_hypotheses } else { 1 },
        return_scores: true,
        return_logits_vocab: false,
        return_no_speech_prob: true,
        max_initial_timestamp_index: decoding.max_initial_timestamp_idx,
        suppress_blank: decoding.suppress_blank,
        suppress_tokens: decoding.suppress_tokens.to_vec(),
    }
}

fn check_count(given: usize, expected: usize) -> Result<(), ModelError> {
    if given == expected {
        Ok(())
    } else {
        Err(ModelError::Miscounted { given, expected })
    }
}

fn failed(error: impl fmt::Display) -> ModelError {
    ModelError::Engine {
        cause: error.to_string().into(),
    }
}
