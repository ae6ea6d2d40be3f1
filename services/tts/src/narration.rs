//! What one listener is told, whichever edge he came by: sentences that the models make, and those that were kept from before.
//!
//! ```text
//!  text ─► Script ────► Line ─► Narration ─┬─► Recital ─► watermark ─┬─► Spoken, in order
//!          (of a request)       (of a listener) └─► said before: phrases ─┘
//! ```
//!
//! Invariants:
//! - Lines are heard in the order in which they were said, each to exactly one end, as those of a [`Recital`].
//! - What a request is told is no longer than `speech.max_seconds`, wherever it comes from.
//! - Only sentences that were made to their end are kept.
//! - Where speech is marked nothing goes out without its mark: a piece that cannot be marked ends its sentence.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Arc;

use batcher::{Answer, CallError, Job, Lane, SubmitError};

use crate::app::App;
use crate::error::TtsError;
use crate::metrics::TtsMetrics;
use crate::models::Marker;
use crate::models::chatterbox::{Sampling, Sentence};
use crate::models::conditioning::{SAMPLE_RATE_HZ, SAMPLES_PER_TOKEN};
use crate::models::onnx::RunError;
use crate::models::watermark::Marking;
use crate::options::Speech;
use crate::phrases::{Key, Phrases};
use crate::speaker::{Manner, Pace, Recital, SpeakError, Spoken};
use crate::vocode::Chunk;
use crate::voices::Voice;

/// One request's part: who speaks and how, and how much of it there may be.
#[derive(Clone, Debug)]
pub struct Script {
    voice: Arc<Voice>,
    speech: Speech,
    pace: Pace,
    /// Of one sentence.
    max_tokens: usize,
    limit_s: NonZeroU32,
    n_lines: u64,
    n_samples: u64,
}

/// A sentence as it is to be said.
#[derive(Clone, Debug)]
pub struct Line {
    sentence: Sentence,
    manner: Manner,
    key: Key,
}

impl Script {
    /// Nothing said yet.
    pub fn new(app: &App, voice: Arc<Voice>, speech: Speech, pace: Pace) -> Script {
        Script {
            voice,
            speech,
            pace,
            max_tokens: app.models.max_tokens(),
            limit_s: app.settings.speech.max_seconds,
            n_lines: 0,
            n_samples: 0,
        }
    }

    /// Its next sentence.
    pub fn line(&mut self, spoken: &str) -> Line {
        let speech = &self.speech;
        let sampling = Sampling {
            // Otherwise every sentence would begin with the same draws.
            seed: speech.sampling.seed.wrapping_add(self.n_lines),
            ..speech.sampling
        };
        self.n_lines += 1;
        let sentence = Sentence {
            text: spoken.to_owned(),
            language: Some(speech.language.clone()),
            voice: Arc::clone(&self.voice.conditioning),
            sampling,
            exaggeration: speech.exaggeration,
            cfg_weight: speech.cfg_weight,
            max_tokens: self.max_tokens,
        };
        Line {
            key: Key::new(&self.voice.record, &sentence),
            sentence,
            manner: Manner {
                max_chunk_tokens: Some(speech.chunk_tokens),
                ..Manner::new(self.pace)
            },
        }
    }

    /// Counts audio of it, at the models' rate, before it is told.
    ///
    /// # Errors
    /// It would be more than one request may have.
    pub fn count(&mut self, n_samples: usize) -> Result<(), TtsError> {
        let n_samples = self.n_samples + n_samples as u64;
        if u64::from(self.limit_s.get()) * u64::from(SAMPLE_RATE_HZ) < n_samples {
            return Err(TtsError::TooLong {
                limit_s: self.limit_s.get(),
            });
        }
        self.n_samples = n_samples;
        Ok(())
    }

    /// What was counted.
    pub fn n_samples(&self) -> u64 {
        self.n_samples
    }
}

/// One listener's sentences. Dropping it abandons them.
#[derive(Debug)]
#[must_use = "dropping it abandons the sentences"]
pub struct Narration {
    recital: Recital,
    watermark: Option<Marker>,
    phrases: Option<Phrases>,
    metrics: TtsMetrics,
    parts: VecDeque<Part>,
    /// Of the first part: what is with the watermark.
    marking: Option<Marked>,
    n_said: usize,
}

/// A piece that is being marked.
#[derive(Debug)]
struct Marked {
    spoken: Spoken,
    window: Vec<f32>,
    answer: Answer<Vec<f32>, RunError>,
}

/// A sentence that was said and has not ended.
#[derive(Debug)]
struct Part {
    idx: usize,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Kept {
        samples: Arc<[f32]>,
        pace: Pace,
    },
    Made {
        /// As the recital calls it.
        its_idx: usize,
        pace: Pace,
        marking: Marking,
        /// What is to be kept of it, as far as it has come.
        keep: Option<(Key, Vec<f32>)>,
    },
}

impl Narration {
    /// For one listener.
    pub fn new(app: &App) -> Narration {
        Narration {
            recital: app.models.speaker.recite(),
            watermark: app.models.watermark.clone(),
            phrases: app.phrases.clone(),
            metrics: app.metrics.clone(),
            parts: VecDeque::new(),
            marking: None,
            n_said: 0,
        }
    }

    /// Has one more sentence spoken, after those before it. Returns its name, as [`Recital::say`].
    ///
    /// # Errors
    /// If it is to be spoken now and there is no place for it.
    pub fn say(&mut self, line: Line) -> Result<usize, SubmitError> {
        let kept = self.phrases.as_ref().and_then(|it| it.get(&line.key));
        let source = match kept {
            Some(samples) => Source::Kept {
                samples,
                pace: line.manner.pace,
            },
            None => {
                let its_idx = self.recital.say(line.sentence, line.manner)?;
                let keep = self.phrases.as_ref().map(|phrases| {
                    // Only now: who finds no place asks again.
                    phrases.missed();
                    (line.key, Vec::new())
                });
                Source::Made {
                    its_idx,
                    pace: line.manner.pace,
                    marking: Marking::new(),
                    keep,
                }
            }
        };
        let idx = self.n_said;
        self.n_said += 1;
        self.parts.push_back(Part { idx, source });
        Ok(idx)
    }

    /// Abandons one sentence, as [`Recital::stop`].
    pub fn stop(&mut self, idx: usize) {
        let Some(at) = self.parts.iter().position(|it| it.idx == idx) else {
            return;
        };
        if at == 0 {
            self.marking = None;
        }
        if let Some(Source::Made { its_idx, .. }) = self.parts.remove(at).map(|it| it.source) {
            self.recital.stop(its_idx);
        }
    }

    /// What comes next, as [`Recital::next`]. May be dropped and asked again.
    pub async fn next(&mut self) -> Option<Spoken> {
        let idx = self.parts.front()?.idx;
        let spoken = match self.kept() {
            Some(spoken) => spoken,
            None => self.made().await?,
        };
        self.metrics.silences.inc_by(spoken.late.as_secs_f64());
        if has_ended(&spoken.chunk) {
            self.stop(idx);
        }
        Some(Spoken {
            sentence_idx: idx,
            ..spoken
        })
    }

    /// All of the first part, if it was said before.
    fn kept(&mut self) -> Option<Spoken> {
        let Source::Kept { samples, pace } = &self.parts.front()?.source else {
            return None;
        };
        let samples = samples.to_vec();
        Some(Spoken {
            sentence_idx: 0,
            late: self.recital.hand_over(samples.len(), *pace),
            chunk: Ok(whole(samples)),
        })
    }

    /// The next of the first part, which is the first of the recital too.
    async fn made(&mut self) -> Option<Spoken> {
        if self.marking.is_none() {
            let spoken = self.recital.next().await?;
            if let Some(ready) = self.mark(spoken) {
                return Some(self.counted(ready));
            }
        }
        let spoken = self.marked().await?;
        Some(self.counted(spoken))
    }

    /// Has a piece marked. Gives back what needs none: no audio, or all of it if nothing is marked here.
    fn mark(&mut self, mut spoken: Spoken) -> Option<Spoken> {
        let source = self.parts.front().map(|it| &it.source);
        let (Some(marker), Some(Source::Made { pace, marking, .. }), Ok(chunk)) =
            (&self.watermark, source, &spoken.chunk)
        else {
            return Some(spoken);
        };
        if chunk.samples.is_empty() {
            return Some(spoken);
        }
        let window = marking.window(&chunk.samples);
        let lane = match pace {
            Pace::RealTime => Lane::Urgent,
            Pace::Fast => Lane::Background,
        };
        let refused = match marker.submit(Job::new(lane, window.clone())) {
            Ok(answer) => {
                self.marking = Some(Marked {
                    spoken,
                    window,
                    answer,
                });
                return None;
            }
            Err(SubmitError::Stopped) => CallError::Stopped,
            // In the middle of a sentence it is too late to ask again.
            Err(full @ SubmitError::Full { .. }) => CallError::Failed(RunError::new(full)),
        };
        spoken.chunk = Err(SpeakError::Watermark(refused));
        Some(spoken)
    }

    /// The piece that is being marked, when it is.
    async fn marked(&mut self) -> Option<Spoken> {
        let answer = (&mut self.marking.as_mut()?.answer).await;
        let Marked {
            mut spoken, window, ..
        } = self.marking.take()?;
        let Source::Made { marking, .. } = &mut self.parts.front_mut()?.source else {
            return None;
        };
        spoken.chunk = match answer {
            Ok(answer) => spoken.chunk.map(|chunk| Chunk {
                samples: marking.marked(&window, &answer),
                ..chunk
            }),
            Err(error) => Err(SpeakError::Watermark(error)),
        };
        Some(spoken)
    }

    /// Notes what the models made.
    fn counted(&mut self, spoken: Spoken) -> Spoken {
        let source = self.parts.front_mut().map(|it| &mut it.source);
        if let (Ok(chunk), Some(Source::Made { keep, .. })) = (&spoken.chunk, source) {
            let seconds = chunk.samples.len() as f64 / f64::from(SAMPLE_RATE_HZ);
            self.metrics.audio.inc_by(seconds);
            gather(keep, chunk, self.phrases.as_ref());
        }
        spoken
    }
}

/// Whether nothing comes after it.
pub fn has_ended(chunk: &Result<Chunk, SpeakError>) -> bool {
    !matches!(chunk, Ok(it) if !it.is_last)
}

/// A sentence that was made before.
fn whole(samples: Vec<f32>) -> Chunk {
    Chunk {
        start: 0,
        n_tokens: samples.len().div_ceil(SAMPLES_PER_TOKEN),
        samples,
        is_last: true,
    }
}

fn gather(keep: &mut Option<(Key, Vec<f32>)>, chunk: &Chunk, phrases: Option<&Phrases>) {
    let (Some(phrases), Some((_, gathered))) = (phrases, keep.as_mut()) else {
        return;
    };
    gathered.extend_from_slice(&chunk.samples);
    if !phrases.takes(gathered.len()) {
        *keep = None;
    }
    if chunk.is_last
        && let Some((key, gathered)) = keep.take()
    {
        phrases.put(key, gathered);
    }
}
