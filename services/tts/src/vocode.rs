//! Speech tokens in, one waveform out: what to decode when, and how the decoded windows become one.
//!
//! ```text
//!  Token ──► tokens ──► Next::Decode ──► decoder ──► decoded ──► seam ──► Chunk
//!                          ▲                            ▲
//!            Demand ───────┘           held: the last 20 ms of the window before
//!  (where the listener is)
//!
//!  a window:   | context | new tokens | look-ahead |
//!              ▲ its first 40 ms are muted         ▲ these sound wrong: what follows them is missing
//! ```
//!
//! A decoder sounds each token by its neighbours on both sides, draws fresh noise at every call, starts its phase anew and mutes the
//! first 40 ms. So every window is decoded with tokens around it of which the sound is thrown away, and the last 20 ms of one window
//! and the same 20 ms of the next are blended, where they match best.
//!
//! Invariants:
//! - Pure. No `async`, no clock, no I/O: time comes in as [`Demand`].
//! - At most one window is with the decoder.
//! - The chunks of a sentence follow one another without gap, and end at `tokens * 960` samples, the silence after them included,
//!   however they were cut. Nothing is measured by what a decoder returned; other than 960 samples a token is an error.
//! - What is emitted is never taken from a token whose look-ahead was missing, but for the 5 ms by which a window may be shifted.

mod listener;
mod seam;

use std::time::Duration;

pub use listener::{Demand, Listener};
use seam::Seam;

use crate::models::conditioning::{SAMPLE_RATE_HZ, SAMPLES_PER_TOKEN};

/// Sounds like nothing. Upstream appends it after speech, so that endings are not clipped.
pub const SILENCE_TOKEN: i64 = 4299;
/// A decoder begins every call with so many zeros, and then rises to full level in as many.
pub const MUTED_SAMPLES: usize = 480;
/// Two tokens: one is muted, and half of the other is blended and shifted.
pub const MIN_CONTEXT_TOKENS: usize = 2;

/// Peaks beyond this are cut, as upstream does.
const PEAK: f32 = 0.99;
/// The end of a sentence fades out in 5 ms.
const FADE_OUT_SAMPLES: usize = 120;

/// What a decoder needs around the tokens that it sounds. A property of the model pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Tokens without which the one before them sounds wrong. 3 for the published decoders.
    pub lookahead: usize,
    /// Tokens before the first new one that are decoded again. At least [`MIN_CONTEXT_TOKENS`].
    pub context: usize,
}

/// Whether a sentence keeps the zeros that a decoder begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    Keep,
    /// Sound comes 20 ms sooner. The first chunk then starts at sample 480.
    Skip,
}

/// How the tokens of a sentence are cut into windows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    pub reach: Reach,
    /// New tokens of the first window, the second, and so on; the last repeats, the largest is the most.
    pub sizes: Vec<usize>,
    /// Silence tokens after the last.
    pub tail: usize,
    pub head: Head,
    /// How much audio a listener should have beyond what a decoder call takes.
    pub margin: Duration,
    /// A listener who has heard nothing yet counts as one who has so much left: others who have less go first.
    pub first_within: Duration,
}

/// What the decoder is to be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    pub tokens: Vec<i64>,
    /// When the listener will have played all he has. Who runs out first should be served first.
    pub due_in: Duration,
}

/// What is to be done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    Decode(Window),
    /// Wait for a token, the end, or until this much time has passed.
    Wait(Option<Duration>),
    /// A window is out.
    Decoding,
    /// All is emitted.
    Finished,
}

/// A piece of a sentence's waveform.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    /// Mono, 24 kHz, within ±0.99.
    pub samples: Vec<f32>,
    /// Where it starts, in samples from the start of the sentence.
    pub start: usize,
    /// Tokens decoded so far, silence included.
    pub n_tokens: usize,
    pub is_last: bool,
}

/// A decoder's answer is not what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodedError {
    #[error(
        "the decoder must return {SAMPLES_PER_TOKEN} samples for each of {n_tokens} tokens. Given: {n_samples} samples"
    )]
    Length { n_tokens: usize, n_samples: usize },
    #[error("the decoder returned a sample that is no number, at {sample_idx} of {n_samples}")]
    NotFinite { sample_idx: usize, n_samples: usize },
    #[error("the decoder answered although nothing was asked")]
    NotAsked,
}

/// The way of one sentence from tokens to sound.
#[derive(Debug)]
pub struct Vocode {
    policy: Policy,
    tokens: Vec<i64>,
    has_ended: bool,
    /// Tokens that windows were decoded for.
    n_decoded: usize,
    out: Option<Out>,
    /// The end of the last window, which is blended with the next.
    held: Vec<f32>,
    /// Samples given out, the skipped ones included.
    emitted: usize,
}

/// A window that is with the decoder: token positions.
#[derive(Clone, Copy, Debug)]
struct Out {
    start: usize,
    new_from: usize,
    new_until: usize,
    end: usize,
}

impl Chunk {
    /// All of a sentence that has no sound.
    pub const NOTHING: Chunk = Chunk {
        samples: Vec::new(),
        start: 0,
        n_tokens: 0,
        is_last: true,
    };
}

impl Reach {
    /// The published decoders: their encoder looks three tokens ahead.
    pub const PUBLISHED: Reach = Reach {
        lookahead: 3,
        context: 12,
    };
}

impl Policy {
    /// No window is to have more than `max_tokens` new tokens.
    #[must_use]
    pub fn capped(mut self, max_tokens: usize) -> Policy {
        let max_tokens = max_tokens.max(1);
        for size in &mut self.sizes {
            *size = (*size).min(max_tokens);
        }
        self
    }

    fn size(&self, window_idx: usize) -> usize {
        let size = self.sizes.get(window_idx).or(self.sizes.last());
        size.copied().unwrap_or(1).max(1)
    }

    fn largest(&self) -> usize {
        self.sizes.iter().fold(1, |most, it| most.max(*it))
    }

    fn context(&self) -> usize {
        self.reach.context.max(MIN_CONTEXT_TOKENS)
    }

    /// The last token is always held back: only then is there something to blend it with, should it be the last.
    fn lookahead(&self) -> usize {
        self.reach.lookahead.max(1)
    }

    /// The tokens of a window with `n_new` new ones.
    fn window_tokens(&self, n_new: usize) -> usize {
        self.context() + n_new + self.lookahead()
    }
}

impl Vocode {
    #[must_use]
    pub fn new(policy: Policy) -> Vocode {
        Vocode {
            policy,
            tokens: Vec::new(),
            has_ended: false,
            n_decoded: 0,
            out: None,
            held: Vec::new(),
            emitted: 0,
        }
    }

    /// Takes the next token.
    pub fn push(&mut self, token: i64) {
        debug_assert!(!self.has_ended, "a token after the end");
        self.tokens.push(token);
    }

    /// There are no more tokens. A sentence without any stays without sound.
    pub fn end(&mut self) {
        if !self.has_ended && !self.tokens.is_empty() {
            let silence = [SILENCE_TOKEN].repeat(self.policy.tail);
            self.tokens.extend(silence);
        }
        self.has_ended = true;
    }

    pub fn has_begun(&self) -> bool {
        !self.tokens.is_empty()
    }

    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Whether a window of the largest size waits, so that further tokens are not needed yet.
    pub fn is_full(&self) -> bool {
        self.policy.largest() <= self.n_ready()
    }

    /// What the tokens that are here will sound like, beyond what was emitted.
    pub fn pending(&self) -> Duration {
        duration(self.tokens.len() * SAMPLES_PER_TOKEN - self.emitted)
    }

    /// What is to be done, for a listener in this place. A window that is returned counts as out.
    pub fn next(&mut self, demand: &Demand) -> Next {
        if self.out.is_some() {
            return Next::Decoding;
        }
        if self.has_ended && self.n_decoded == self.tokens.len() {
            return Next::Finished;
        }
        match self.ripe(demand) {
            Ok(n_new) => Next::Decode(self.cut(n_new, demand)),
            Err(wait) => Next::Wait(wait),
        }
    }

    /// Joins the samples of the window that is out to what came before.
    ///
    /// # Errors
    /// If they are too many, too few or no numbers, or if no window is out. Nothing more can be decoded then.
    pub fn decoded(&mut self, samples: &[f32]) -> Result<Chunk, DecodedError> {
        let window = self.out.take().ok_or(DecodedError::NotAsked)?;
        let n_tokens = window.end - window.start;
        if samples.len() != n_tokens * SAMPLES_PER_TOKEN {
            return Err(DecodedError::Length {
                n_tokens,
                n_samples: samples.len(),
            });
        }
        if let Some(sample_idx) = samples.iter().position(|it| !it.is_finite()) {
            return Err(DecodedError::NotFinite {
                sample_idx,
                n_samples: samples.len(),
            });
        }
        Ok(self.join(window, samples))
    }

    /// Tokens that can be decoded because what they depend on is here.
    fn n_ready(&self) -> usize {
        let held_back = if self.has_ended {
            0
        } else {
            self.policy.lookahead()
        };
        self.tokens
            .len()
            .saturating_sub(held_back)
            .saturating_sub(self.n_decoded)
    }

    /// How many new tokens the next window should have, or else how long to wait for more.
    ///
    /// A large window costs less for each token than a small one, so as long as the listener has enough to play it grows.
    fn ripe(&self, demand: &Demand) -> Result<usize, Option<Duration>> {
        let n_ready = self.n_ready();
        let policy = &self.policy;
        let least = policy.size(demand.n_windows);
        let Some(ahead) = demand.ahead else {
            // Nobody hears anything yet: as soon as there is enough to last until the next window.
            let enough = (2 * demand.tokens_per_call(policy.window_tokens(least)))
                .clamp(least, policy.largest());
            if n_ready < enough && !self.has_ended {
                return Err(None);
            }
            return Ok(self.round_up(n_ready.min(enough)));
        };
        let affordable = demand
            .affordable(ahead.saturating_sub(policy.margin))
            .saturating_sub(policy.window_tokens(0));
        let most = affordable.clamp(least, policy.largest());
        if self.has_ended || most <= n_ready {
            return Ok(self.round_up(n_ready.min(most)));
        }
        // A window that is played in less time than its call takes loses ground.
        let floor = demand
            .tokens_per_call(policy.window_tokens(policy.size(0)))
            .clamp(policy.size(0), policy.largest());
        if n_ready < floor {
            return Err(None);
        }
        let needed = demand.needed(policy.window_tokens(n_ready)) + policy.margin;
        if needed < ahead {
            return Err(Some(ahead - needed));
        }
        Ok(n_ready)
    }

    /// Takes what would be left over for a last window too, if that were a small one.
    fn round_up(&self, n_new: usize) -> usize {
        let n_left = self.n_ready() - n_new;
        if self.has_ended && n_left <= n_new / 2 {
            return n_new + n_left;
        }
        n_new
    }

    fn cut(&mut self, n_new: usize, demand: &Demand) -> Window {
        let new_from = self.n_decoded;
        let new_until = new_from + n_new;
        let start = new_from.saturating_sub(self.policy.context());
        let end = self.tokens.len().min(new_until + self.policy.lookahead());
        self.out = Some(Out {
            start,
            new_from,
            new_until,
            end,
        });
        Window {
            tokens: self.tokens[start..end].to_vec(),
            due_in: demand.ahead.unwrap_or(self.policy.first_within),
        }
    }

    fn join(&mut self, window: Out, samples: &[f32]) -> Chunk {
        let is_last = self.has_ended && window.new_until == self.tokens.len();
        let at = (window.new_from - window.start) * SAMPLES_PER_TOKEN;
        let n_new = (window.new_until - window.new_from) * SAMPLES_PER_TOKEN;
        let muted = if window.start == 0 {
            0
        } else {
            2 * MUTED_SAMPLES
        };
        // Past the end of a sentence there is nothing but silence.
        let room = if is_last {
            seam::MAX_LAG
        } else {
            samples.len() - at - n_new
        };
        let seam = Seam::find(&self.held, samples, at, muted, room);

        let mut joined = seam.blend(&self.held, samples, at);
        let fresh = seam.shift(at)..(seam.shift(at) + n_new).min(samples.len());
        let n_missing = n_new - fresh.len();
        joined.extend_from_slice(&samples[fresh]);
        seam.level(&mut joined, self.held.len());
        if is_last {
            fade_out(&mut joined);
            joined.resize(joined.len() + n_missing, 0.0);
            self.held = Vec::new();
        } else {
            self.held = joined.split_off(joined.len() - seam::FADE);
        }
        for sample in &mut joined {
            *sample = sample.clamp(-PEAK, PEAK);
        }
        self.n_decoded = window.new_until;
        self.chunk(joined, is_last)
    }

    fn chunk(&mut self, mut samples: Vec<f32>, is_last: bool) -> Chunk {
        if self.emitted == 0 && self.policy.head == Head::Skip {
            let n_skipped = MUTED_SAMPLES.min(samples.len());
            samples.drain(..n_skipped);
            self.emitted = n_skipped;
        }
        let start = self.emitted;
        self.emitted += samples.len();
        Chunk {
            samples,
            start,
            n_tokens: self.n_decoded,
            is_last,
        }
    }
}

fn fade_out(samples: &mut [f32]) {
    let n_faded = FADE_OUT_SAMPLES.min(samples.len());
    for (left, sample) in samples.iter_mut().rev().take(n_faded).enumerate() {
        *sample *= left as f32 / FADE_OUT_SAMPLES as f32;
    }
}

/// How long so many samples play.
pub fn duration(n_samples: usize) -> Duration {
    let n_samples = u64::try_from(n_samples).unwrap_or(u64::MAX);
    Duration::from_nanos(n_samples.saturating_mul(1_000_000_000) / u64::from(SAMPLE_RATE_HZ))
}

#[cfg(test)]
mod tests;
