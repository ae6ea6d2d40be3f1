//! The three lanes, and values that each of them has.

use std::ops::{Index, IndexMut};

/// How soon a job matters. A higher lane is served first; see the crate's guarantees for the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Somebody waits for this answer now: the final text of an utterance.
    Urgent,
    /// Useful soon and stale later: a partial text.
    Normal,
    /// Throughput work: windows of an uploaded file.
    Background,
}

impl Lane {
    /// Every lane, the highest first.
    pub const ALL: [Lane; 3] = [Lane::Urgent, Lane::Normal, Lane::Background];

    /// The name in metrics: `urgent`, `normal` or `background`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Lane::Urgent => "urgent",
            Lane::Normal => "normal",
            Lane::Background => "background",
        }
    }
}

/// One value for each lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerLane<T> {
    /// The value of [`Lane::Urgent`].
    pub urgent: T,
    /// The value of [`Lane::Normal`].
    pub normal: T,
    /// The value of [`Lane::Background`].
    pub background: T,
}

impl<T> PerLane<T> {
    /// The same value for every lane.
    pub fn all(value: T) -> PerLane<T>
    where
        T: Clone,
    {
        PerLane {
            urgent: value.clone(),
            normal: value.clone(),
            background: value,
        }
    }

    /// The value that `make` gives for each lane, the highest first.
    pub fn from_fn(mut make: impl FnMut(Lane) -> T) -> PerLane<T> {
        PerLane {
            urgent: make(Lane::Urgent),
            normal: make(Lane::Normal),
            background: make(Lane::Background),
        }
    }
}

impl<T> Index<Lane> for PerLane<T> {
    type Output = T;

    fn index(&self, lane: Lane) -> &T {
        match lane {
            Lane::Urgent => &self.urgent,
            Lane::Normal => &self.normal,
            Lane::Background => &self.background,
        }
    }
}

impl<T> IndexMut<Lane> for PerLane<T> {
    fn index_mut(&mut self, lane: Lane) -> &mut T {
        match lane {
            Lane::Urgent => &mut self.urgent,
            Lane::Normal => &mut self.normal,
            Lane::Background => &mut self.background,
        }
    }
}
