//! What a number may be, in the settings and in a request alike.

use std::ops::RangeInclusive;

pub const EXAGGERATION: RangeInclusive<f32> = 0.0..=2.0;
pub const CFG_WEIGHT: RangeInclusive<f32> = 0.0..=1.0;
/// 0 always takes the likeliest token.
pub const TEMPERATURE: RangeInclusive<f32> = 0.0..=2.0;
/// Less would leave no token at all.
pub const TOP_P: RangeInclusive<f32> = 0.01..=1.0;
/// The widest head has 8194 tokens. 0 is all.
pub const TOP_K: RangeInclusive<u32> = 0..=10_000;
pub const MIN_P: RangeInclusive<f32> = 0.0..=1.0;
/// 1 holds nothing back.
pub const REPETITION_PENALTY: RangeInclusive<f32> = 1.0..=10.0;
/// OpenAI's.
pub const SPEED: RangeInclusive<f32> = 0.25..=4.0;
pub const SAMPLE_RATE: RangeInclusive<u32> = 8_000..=48_000;
/// Tokens of 40 ms: the longest piece is 40 s of speech.
pub const CHUNK_SIZE: RangeInclusive<usize> = 1..=1_000;
/// Sentences shorter than this cannot hold a long word; longer ones no model holds.
pub const SENTENCE_CHARS: RangeInclusive<usize> = 40..=1_000;
/// Silence that is asked for beyond this is a mistake.
pub const PAUSE_MS: RangeInclusive<u64> = 0..=5_000;
