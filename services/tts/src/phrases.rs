//! Finished sentences that are kept to be said again: greetings, numbers, "one moment please".
//!
//! Invariants:
//! - What is kept never takes more bytes than the limit; what was not asked for longest goes first.
//! - Only what was made to its end is kept.
//! - Whatever makes a difference to the sound is in the [`Key`]; how it is written (format, rate, speed) is not.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::{IntCounter, IntGauge};
use sha2::{Digest as _, Sha256};

use crate::metrics::TtsMetrics;
use crate::models::chatterbox::Sentence;
use crate::voices::Record;

/// Longer speech is no phrase: one minute at 24 kHz.
const MAX_SAMPLES: usize = 60 * 24_000;
/// What an entry takes besides its samples, near enough.
const REST: usize = 256;

/// What was said by whom and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key([u8; 32]);

/// The phrases of this process. Clones are the same.
#[derive(Clone, Debug)]
pub struct Phrases {
    kept: Arc<Mutex<Kept>>,
    max_bytes: usize,
    hits: IntCounter,
    misses: IntCounter,
    n_bytes: IntGauge,
}

#[derive(Debug, Default)]
struct Kept {
    entries: HashMap<Key, Entry>,
    n_bytes: usize,
    /// Counts uses.
    now: u64,
}

#[derive(Debug)]
struct Entry {
    samples: Arc<[f32]>,
    used: u64,
}

impl Key {
    /// Of a sentence as the models would be given it.
    pub fn new(voice: &Record, sentence: &Sentence) -> Key {
        let sampling = sentence.sampling;
        // Who always takes the likeliest draws nothing.
        let seed = if sampling.temperature == 0.0 {
            0
        } else {
            sampling.seed
        };
        let mut sum = Sha256::new();
        let language = sentence.language.as_deref().unwrap_or_default();
        for part in [voice.id.as_str(), &voice.digest.to_string(), language] {
            sum.update(part);
            sum.update([0]);
        }
        for number in [
            sampling.temperature,
            sampling.top_p,
            sampling.min_p,
            sampling.repetition_penalty,
            sentence.exaggeration,
            sentence.cfg_weight,
        ] {
            sum.update(number.to_le_bytes());
        }
        sum.update(sampling.top_k.to_le_bytes());
        sum.update(seed.to_le_bytes());
        // Last, so that no text can imitate what comes after it.
        sum.update(&sentence.text);
        Key(sum.finalize().into())
    }
}

impl Phrases {
    /// None yet.
    pub fn new(max_bytes: NonZeroUsize, metrics: &TtsMetrics) -> Phrases {
        Phrases {
            kept: Arc::default(),
            max_bytes: max_bytes.get(),
            hits: metrics.cache_hits.clone(),
            misses: metrics.cache_misses.clone(),
            n_bytes: metrics.cache_bytes.clone(),
        }
    }

    /// A sentence that was made before, at the models' rate.
    pub fn get(&self, key: &Key) -> Option<Arc<[f32]>> {
        let found = self.with(|kept| {
            kept.now += 1;
            let now = kept.now;
            let entry = kept.entries.get_mut(key)?;
            entry.used = now;
            Some(Arc::clone(&entry.samples))
        });
        if found.is_some() {
            self.hits.inc();
        }
        found
    }

    /// Notes that a sentence is made because it was not here.
    pub fn missed(&self) {
        self.misses.inc();
    }

    /// Whether speech of this length may be kept, so that nobody gathers what will not be.
    pub fn takes(&self, n_samples: usize) -> bool {
        n_samples <= MAX_SAMPLES && weight(n_samples) <= self.max_bytes
    }

    /// Keeps speech, if it is short enough.
    pub fn put(&self, key: Key, samples: Vec<f32>) {
        if !self.takes(samples.len()) {
            return;
        }
        let n_bytes = self.with(|kept| {
            kept.now += 1;
            let entry = Entry {
                used: kept.now,
                samples: samples.into(),
            };
            kept.n_bytes += weight(entry.samples.len());
            if let Some(old) = kept.entries.insert(key, entry) {
                kept.n_bytes -= weight(old.samples.len());
            }
            while self.max_bytes < kept.n_bytes {
                kept.remove_oldest();
            }
            kept.n_bytes
        });
        self.n_bytes.set(i64::try_from(n_bytes).unwrap_or(i64::MAX));
    }

    fn with<T>(&self, use_it: impl FnOnce(&mut Kept) -> T) -> T {
        // A panic in between can only leave a byte count that is too high.
        use_it(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Kept {
    /// Looks at every entry: a phrase takes a hundred kilobytes, so there are thousands at most.
    fn remove_oldest(&mut self) {
        let oldest = self.entries.iter().min_by_key(|(_, it)| it.used);
        let Some(key) = oldest.map(|(key, _)| *key) else {
            self.n_bytes = 0;
            return;
        };
        if let Some(entry) = self.entries.remove(&key) {
            self.n_bytes -= weight(entry.samples.len());
        }
    }
}

fn weight(n_samples: usize) -> usize {
    4 * n_samples + REST
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phrases(max_bytes: usize) -> Phrases {
        let metrics = TtsMetrics::register(&prometheus::Registry::new()).unwrap();
        Phrases::new(NonZeroUsize::new(max_bytes).unwrap(), &metrics)
    }

    fn key(n: u8) -> Key {
        Key([n; 32])
    }

    #[test]
    fn the_least_lately_used_goes_and_the_bound_holds() {
        let phrases = phrases(3 * weight(100));
        for n in 0..3 {
            phrases.put(key(n), vec![f32::from(n); 100]);
        }
        assert!(phrases.get(&key(0)).is_some());
        phrases.put(key(3), vec![3.0; 100]);
        assert!(phrases.get(&key(1)).is_none());
        for n in [0, 2, 3] {
            assert_eq!(
                phrases.get(&key(n)).as_deref(),
                Some(&[f32::from(n); 100][..])
            );
        }
        assert_eq!(phrases.n_bytes.get(), 3 * weight(100) as i64);
        assert_eq!(phrases.hits.get(), 4);
    }

    #[test]
    fn what_is_too_long_is_not_kept_and_displaces_nothing() {
        let phrases = phrases(weight(100));
        phrases.put(key(1), vec![0.0; 100]);
        phrases.put(key(2), vec![0.0; 101]);
        assert!(phrases.get(&key(1)).is_some() && phrases.get(&key(2)).is_none());
        assert!(!phrases.takes(101));
    }

    #[test]
    fn a_newer_one_takes_the_place_of_the_older() {
        let phrases = phrases(weight(100));
        phrases.put(key(1), vec![0.0; 100]);
        phrases.put(key(1), vec![0.5; 10]);
        assert_eq!(phrases.get(&key(1)).unwrap().len(), 10);
        assert_eq!(phrases.n_bytes.get(), weight(10) as i64);
    }
}
