//! What was used lately, within a bound in bytes.
//!
//! Invariants:
//! - Pure. What is kept never weighs more than the bound.
//! - What was not asked for longest goes first.

use std::collections::HashMap;
use std::hash::Hash;

/// Values by key, each with its weight in bytes.
#[derive(Debug)]
pub(super) struct Cache<K, V> {
    entries: HashMap<K, Entry<V>>,
    max_bytes: usize,
    n_bytes: usize,
    /// Counts uses.
    now: u64,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    n_bytes: usize,
    used: u64,
}

impl<K: Eq + Hash + Clone, V: Clone> Cache<K, V> {
    pub(super) fn new(max_bytes: usize) -> Cache<K, V> {
        Cache {
            entries: HashMap::new(),
            max_bytes,
            n_bytes: 0,
            now: 0,
        }
    }

    pub(super) fn get(&mut self, key: &K) -> Option<V> {
        let entry = self.entries.get_mut(key)?;
        self.now += 1;
        entry.used = self.now;
        Some(entry.value.clone())
    }

    /// Keeps a value, unless it alone is over the bound.
    pub(super) fn put(&mut self, key: K, value: V, n_bytes: usize) {
        self.remove(&key);
        if self.max_bytes < n_bytes {
            return;
        }
        while self.max_bytes - n_bytes < self.n_bytes {
            self.remove_oldest();
        }
        self.now += 1;
        self.n_bytes += n_bytes;
        let used = self.now;
        self.entries.insert(
            key,
            Entry {
                value,
                n_bytes,
                used,
            },
        );
    }

    pub(super) fn remove(&mut self, key: &K) {
        if let Some(entry) = self.entries.remove(key) {
            self.n_bytes -= entry.n_bytes;
        }
    }

    /// Looks at every entry: voices weigh a third of a megabyte and more, so there are never many.
    fn remove_oldest(&mut self) {
        let oldest = self.entries.iter().min_by_key(|(_, it)| it.used);
        if let Some(key) = oldest.map(|(key, _)| key.clone()) {
            self.remove(&key);
        }
    }

    #[cfg(test)]
    fn n_bytes(&self) -> usize {
        assert_eq!(
            self.n_bytes,
            self.entries.values().map(|it| it.n_bytes).sum::<usize>()
        );
        self.n_bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_least_lately_used_goes_first() {
        let mut cache = Cache::new(30);
        for key in ["a", "b", "c"] {
            cache.put(key, key, 10);
        }
        assert_eq!(cache.get(&"a"), Some("a"));
        cache.put("d", "d", 10);
        assert_eq!(cache.get(&"b"), None);
        for key in ["a", "c", "d"] {
            assert_eq!(cache.get(&key), Some(key));
        }
    }

    #[test]
    fn what_is_too_heavy_is_not_kept_and_displaces_nothing() {
        let mut cache = Cache::new(30);
        cache.put("a", 1, 30);
        cache.put("b", 2, 31);
        assert_eq!((cache.get(&"a"), cache.get(&"b")), (Some(1), None));
    }

    #[test]
    fn a_newer_value_takes_the_place_of_the_older() {
        let mut cache = Cache::new(30);
        cache.put("a", 1, 30);
        cache.put("a", 2, 5);
        assert_eq!((cache.get(&"a"), cache.n_bytes()), (Some(2), 5));
    }

    proptest! {
        #[test]
        fn the_bound_holds(uses in proptest::collection::vec((0_u8..8, 0_usize..40, 0_u8..3), 0..200)) {
            let mut cache = Cache::new(64);
            for (key, n_bytes, what) in uses {
                match what {
                    0 => drop(cache.get(&key)),
                    1 => cache.put(key, (), n_bytes),
                    _ => cache.remove(&key),
                }
                prop_assert!(cache.n_bytes() <= 64);
            }
        }
    }
}
