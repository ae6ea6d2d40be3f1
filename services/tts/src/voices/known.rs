//! What is known of the store, and for how long that counts as true.
//!
//! Invariants:
//! - A record older than the refresh time is checked before it is used. One task checks; those that come meanwhile go on with
//!   what is known.
//! - A store that does not answer makes nothing unknown.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::time::Instant;

use super::archive::{Archive, Found, Stamp};
use super::error::VoiceError;
use super::id::VoiceId;
use super::record::Record;

/// Records read at a time.
const PARALLEL: usize = 16;
/// A check of something known may take so long; then what is known is used.
const CHECK_PATIENCE: Duration = Duration::from_secs(1);

pub(super) struct Known {
    archive: Archive,
    refresh: Duration,
    state: Mutex<State>,
    /// Held by whoever lists the store.
    listing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    entries: HashMap<VoiceId, Entry>,
    listed: Option<Instant>,
}

struct Entry {
    /// `None`: nothing is there, or nothing usable.
    record: Option<Arc<Record>>,
    stamp: Option<Stamp>,
    checked: Instant,
}

/// What is known of one id.
enum Memory {
    Fresh(Option<Arc<Record>>),
    Stale(Arc<Record>, Option<Stamp>),
    Nothing,
}

impl Known {
    pub(super) fn new(archive: Archive, refresh: Duration) -> Known {
        Known {
            archive,
            refresh,
            state: Mutex::new(State::default()),
            listing: tokio::sync::Mutex::new(()),
        }
    }

    /// The record of a voice. `remember_absence` saves asking the store each time, for names that are mostly not voices; there
    /// must be a bounded number of those.
    pub(super) async fn record(
        &self,
        id: &VoiceId,
        remember_absence: bool,
    ) -> Result<Option<Arc<Record>>, VoiceError> {
        match self.recall(id) {
            Memory::Fresh(record) => Ok(record),
            Memory::Nothing => self.read(id, remember_absence).await,
            Memory::Stale(record, stamp) => {
                let check = self.archive.record(id, stamp.as_ref());
                match tokio::time::timeout(CHECK_PATIENCE, check).await {
                    Ok(Ok(found)) => self.learn(id, found, remember_absence),
                    Ok(Err(error)) => {
                        let error: &dyn std::error::Error = &error;
                        tracing::warn!(error, "cannot check a voice; using what is known");
                        Ok(Some(record))
                    }
                    Err(_elapsed) => {
                        tracing::warn!("the store of voices is slow; using what is known");
                        Ok(Some(record))
                    }
                }
            }
        }
    }

    async fn read(
        &self,
        id: &VoiceId,
        remember_absence: bool,
    ) -> Result<Option<Arc<Record>>, VoiceError> {
        let found = self.archive.record(id, None).await?;
        self.learn(id, found, remember_absence)
    }

    fn recall(&self, id: &VoiceId) -> Memory {
        let mut state = self.state();
        let Some(entry) = state.entries.get_mut(id) else {
            return Memory::Nothing;
        };
        let now = Instant::now();
        if now.duration_since(entry.checked) < self.refresh {
            return Memory::Fresh(entry.record.clone());
        }
        // Those that come while this one checks go on with what is known.
        entry.checked = now;
        match &entry.record {
            Some(record) => Memory::Stale(Arc::clone(record), entry.stamp.clone()),
            None => Memory::Nothing,
        }
    }

    fn learn(
        &self,
        id: &VoiceId,
        found: Found,
        remember_absence: bool,
    ) -> Result<Option<Arc<Record>>, VoiceError> {
        match found {
            Found::Record(record, stamp) => Ok(Some(self.put(*record, stamp))),
            Found::Unchanged => Ok(self
                .state()
                .entries
                .get(id)
                .and_then(|it| it.record.clone())),
            Found::Damaged => {
                self.forget(id);
                Err(VoiceError::Damaged { id: id.clone() })
            }
            Found::Nothing => {
                self.forget(id);
                if remember_absence {
                    let nothing = Entry {
                        record: None,
                        stamp: None,
                        checked: Instant::now(),
                    };
                    self.state().entries.insert(id.clone(), nothing);
                }
                Ok(None)
            }
        }
    }

    /// What was just read or written.
    pub(super) fn put(&self, record: Record, stamp: Stamp) -> Arc<Record> {
        let record = Arc::new(record);
        let entry = Entry {
            record: Some(Arc::clone(&record)),
            stamp: Some(stamp),
            checked: Instant::now(),
        };
        self.state().entries.insert(record.id.clone(), entry);
        record
    }

    /// What was just deleted.
    pub(super) fn forget(&self, id: &VoiceId) {
        self.state().entries.remove(id);
    }

    /// Every record, by id. Lists the store if that was not done lately, and reads only what has changed.
    pub(super) async fn all(&self) -> Result<Vec<Arc<Record>>, VoiceError> {
        if self.is_listed() {
            return Ok(self.records());
        }
        let _listing = self.listing.lock().await;
        // Somebody else may have done it meanwhile.
        if self.is_listed() {
            return Ok(self.records());
        }
        match self.list().await {
            Ok(()) => Ok(self.records()),
            Err(error) if self.state().listed.is_some() => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "cannot list the voices; showing what is known");
                Ok(self.records())
            }
            Err(error) => Err(error),
        }
    }

    async fn list(&self) -> Result<(), VoiceError> {
        let began = Instant::now();
        let present: HashMap<VoiceId, Stamp> = self.archive.ids().await?.into_iter().collect();
        let changed = {
            let mut state = self.state();
            // What was learned while the store was listed is newer than the list.
            state.entries.retain(|id, it| {
                it.record.is_none() || present.contains_key(id) || began <= it.checked
            });
            let is_known = |(id, stamp): &(&VoiceId, &Stamp)| {
                let entry = state.entries.get(*id);
                entry.is_some_and(|it| it.record.is_some() && it.stamp.as_ref() == Some(*stamp))
            };
            let changed: Vec<VoiceId> = present
                .iter()
                .filter(|it| !is_known(it))
                .map(|(id, _)| id.clone())
                .collect();
            for entry in state.entries.values_mut() {
                entry.checked = entry.checked.max(began);
            }
            changed
        };
        let read = |id: VoiceId| async move {
            match self.read(&id, false).await {
                // One damaged record must not hide the others.
                Err(VoiceError::Damaged { id }) => {
                    tracing::warn!(%id, "the record of a voice is damaged");
                    Ok(())
                }
                outcome => outcome.map(drop),
            }
        };
        stream::iter(changed)
            .map(read)
            .buffer_unordered(PARALLEL)
            .try_collect::<()>()
            .await?;
        self.state().listed = Some(Instant::now());
        Ok(())
    }

    fn is_listed(&self) -> bool {
        let listed = self.state().listed;
        listed.is_some_and(|it| it.elapsed() < self.refresh)
    }

    fn records(&self) -> Vec<Arc<Record>> {
        let state = self.state();
        let records = state.entries.values().filter_map(|it| it.record.clone());
        let mut records: Vec<Arc<Record>> = records.collect();
        records.sort_by(|a, b| a.id.cmp(&b.id));
        records
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held, and a map is whole between two statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
