//! The store of voices: registered once, extracted once, usable by every instance that shares the store.
//!
//! ```text
//! register ─► prepare (queue) ─► level ─► extract (queue) ─► audio, conditioning, record ─► folder or bucket
//! resolve ──► record: known lately, or read ─► conditioning: in memory, or stored, or extracted again ─► models
//! ```
//!
//! Invariants:
//! - A voice exists if its record does. The record is written last and deleted first, so nothing half-written is ever seen.
//! - What one instance registers, replaces or deletes, every other sees within [`Settings::refresh`] of its next use.
//! - However many ask for a voice at once, its conditioning is read or extracted once.
//! - What is in use goes on being used while the store does not answer.
//! - A conditioning is bound to its pack and its audio: another pack, or damaged bytes, and it is extracted again.
//!
//! # Bounds
//!
//! | what | bound | when full |
//! |---|---|---|
//! | voices | `voices.max_voices` | [`VoiceError::TooMany`] |
//! | conditionings in memory | `voices.cache_mb` | the least lately used goes |
//! | recordings being prepared or extracted | the places of their queues | [`VoiceError::Busy`] |
//! | one call of the store | 20 s | [`VoiceError::Storage`] |

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use audio::Samples;
use bytes::Bytes;
use chassis::auth::Caller;
use futures_util::future::BoxFuture;

use crate::models::conditioning::Conditioning;

mod archive;
mod cache;
mod conditionings;
mod digest;
mod error;
mod id;
mod known;
mod level;
mod record;
mod reference;
mod register;
mod settings;
mod speech;
mod stored;
mod studio;

use archive::{Archive, off_thread};
use conditionings::Conditionings;
pub use digest::Digest;
pub use error::{Cause, VoiceError};
pub use id::{InvalidId, MAX_ID_CHARS, VoiceId};
use known::Known;
pub use level::Level;
pub use record::{MAX_CONSENT_CHARS, MAX_DESCRIPTION_CHARS, Notes, Owner, Record, Requester};
pub use reference::{Preparer, Reference, ReferenceError, Rules, Upload, Warning};
pub use register::{IfExists, Registration};
pub use settings::{Bucket, DEFAULT_VOICE, KNOWN_NAMES, Keys, Place, Settings, VoicesRaw};
pub use studio::Queues;

/// What the store has to know of the models.
#[derive(Clone, Debug)]
pub struct Pack {
    /// Names the models whose conditionings are interchangeable: 1 to 64 of the characters of a [`VoiceId`].
    pub id: VoiceId,
    /// How loud its references have to be.
    pub level: Level,
    /// Turbo refuses references that are not longer than this: five seconds.
    pub above: Option<Samples>,
    /// The file of the voice that comes with it, which becomes [`DEFAULT_VOICE`].
    pub default_voice: Option<Bytes>,
}

/// What turns recordings into voices: queues in a server, functions in a test.
pub trait Studio: Send + Sync + 'static {
    /// Decodes and checks a recording.
    fn prepare(&self, upload: Upload) -> BoxFuture<'static, Result<Reference, VoiceError>>;

    /// What the models make of a reference, at the level they want.
    fn extract(&self, samples: Arc<[f32]>) -> BoxFuture<'static, Result<Conditioning, VoiceError>>;
}

/// A voice, ready to speak.
#[derive(Clone, Debug)]
pub struct Voice {
    /// What is known of it.
    pub record: Arc<Record>,
    /// What the models are given.
    pub conditioning: Arc<Conditioning>,
}

/// The voices of this instance. Clones share everything.
#[derive(Clone)]
pub struct VoiceStore {
    inner: Arc<Inner>,
}

struct Inner {
    archive: Archive,
    known: Known,
    conditionings: Conditionings,
    built_in: Option<Voice>,
    pack: Pack,
    settings: Settings,
    studio: Arc<dyn Studio>,
}

impl VoiceStore {
    /// Opens the store and makes the voice that comes with the models.
    ///
    /// # Errors
    /// If the place cannot be used, or the built-in voice cannot be made.
    pub async fn open(
        settings: Settings,
        place: &Place,
        pack: Pack,
        studio: Arc<dyn Studio>,
    ) -> Result<VoiceStore, VoiceError> {
        let archive = Archive::open(place).await?;
        VoiceStore::over(archive, settings, pack, studio).await
    }

    async fn over(
        archive: Archive,
        settings: Settings,
        pack: Pack,
        studio: Arc<dyn Studio>,
    ) -> Result<VoiceStore, VoiceError> {
        let known = Known::new(archive.clone(), settings.refresh);
        let conditionings = Conditionings::new(
            archive.clone(),
            Arc::clone(&studio),
            &pack,
            settings.accept_short,
            settings.cache_bytes,
        );
        let mut inner = Inner {
            archive,
            known,
            conditionings,
            built_in: None,
            pack,
            settings,
            studio,
        };
        if let Some(file) = inner.pack.default_voice.clone() {
            inner.built_in = Some(inner.make_built_in(file).await?);
        }
        // The place has to answer now rather than at the first request.
        let records = inner.known.all().await?;
        match inner.archive.sweep(&records).await {
            Ok(0) => {}
            Ok(n_swept) => tracing::info!(n_swept, "removed references that no voice owns"),
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "cannot sweep"),
        }
        Ok(VoiceStore {
            inner: Arc::new(inner),
        })
    }

    /// The voice of a name: an id, else an alias.
    ///
    /// # Errors
    /// If the name is none, no voice has it, or the voice cannot be made ready.
    pub async fn resolve(&self, name: &str) -> Result<Arc<Voice>, VoiceError> {
        let record = self.describe(name).await?;
        let outcome = self.ready(Arc::clone(&record)).await;
        if !matches!(outcome, Err(VoiceError::Damaged { .. })) {
            return outcome;
        }
        // Its files are gone as well when another instance has just replaced or deleted it.
        self.inner.known.forget(&record.id);
        let newer = self.describe(name).await?;
        if newer.audio_name() == record.audio_name() {
            return outcome;
        }
        self.ready(newer).await
    }

    async fn ready(&self, record: Arc<Record>) -> Result<Arc<Voice>, VoiceError> {
        if let Some(built_in) = self.built_in(&record.id) {
            return Ok(Arc::new(built_in.clone()));
        }
        let conditioning = self.inner.conditionings.of(&record).await?;
        Ok(Arc::new(Voice {
            record,
            conditioning,
        }))
    }

    /// What is known of the voice of a name: an id, else an alias.
    ///
    /// # Errors
    /// If the name is none, or no voice has it.
    pub async fn describe(&self, name: &str) -> Result<Arc<Record>, VoiceError> {
        let id = VoiceId::parse(name)?;
        if let Some(built_in) = self.built_in(&id) {
            return Ok(Arc::clone(&built_in.record));
        }
        // A registered voice goes before an alias: whoever registers `alloy` wants to hear it.
        let alias = self.inner.settings.aliases.get(&id);
        if let Some(record) = self.inner.known.record(&id, alias.is_some()).await? {
            return Ok(record);
        }
        let Some(target) = alias else {
            return Err(self.unknown(format!("`{id}`")).await);
        };
        if let Some(built_in) = self.built_in(target) {
            return Ok(Arc::clone(&built_in.record));
        }
        match self.inner.known.record(target, false).await? {
            Some(record) => Ok(record),
            None => Err(self
                .unknown(format!("`{id}` (an alias of `{target}`)"))
                .await),
        }
    }

    /// Every voice, the built-in one first, the others by id.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn list(&self) -> Result<Vec<Arc<Record>>, VoiceError> {
        let built_in = self.inner.built_in.iter().map(|it| Arc::clone(&it.record));
        let registered = self.inner.known.all().await?;
        let is_hidden = |it: &Arc<Record>| self.built_in(&it.id).is_some();
        let shown = registered.into_iter().filter(|it| !is_hidden(it));
        Ok(built_in.chain(shown).collect())
    }

    /// Other names of the voice `id` among `records`: where a voice was registered as an alias is called, the name is that voice's.
    pub fn aliases_of(&self, id: &VoiceId, records: &[Arc<Record>]) -> Vec<String> {
        let is_voice = |name: &VoiceId| records.iter().any(|it| it.id == *name);
        let aliases = self.inner.settings.aliases.iter();
        aliases
            .filter(|(name, of)| *of == id && !is_voice(name))
            .map(|(name, _)| name.to_string())
            .collect()
    }

    /// Registers a voice. It is usable when this returns, and if the caller gives up waiting, it is registered or not, as a
    /// whole.
    ///
    /// # Errors
    /// If the recording is no reference, the id is taken, or it cannot be kept. Nothing is left behind then.
    pub async fn register(&self, registration: Registration) -> Result<Arc<Record>, VoiceError> {
        register::register(&self.inner, registration).await
    }

    /// Deletes a voice, with its recording and all that was made of it.
    ///
    /// # Errors
    /// If there is none, it came with the model, or it is somebody else's.
    pub async fn delete(&self, id: &str, requester: &Requester) -> Result<(), VoiceError> {
        let id = VoiceId::parse(id)?;
        if self.built_in(&id).is_some() {
            return Err(VoiceError::BuiltIn { id });
        }
        if register::delete(&self.inner, &id, requester).await? {
            return Ok(());
        }
        Err(self.unknown(format!("`{id}`")).await)
    }

    /// Who a caller is to this store: the caller of a request that was let in with a key, or of one that needed none.
    pub fn requester(&self, caller: Option<&Caller>) -> Requester {
        let Some(Caller(name)) = caller else {
            return Requester::Anyone;
        };
        let owner = Owner::named(name);
        if self.inner.settings.admin_keys.contains(name) {
            Requester::Admin(owner)
        } else {
            Requester::Key(owner)
        }
    }

    fn built_in(&self, id: &VoiceId) -> Option<&Voice> {
        self.inner.built_in(id)
    }

    /// Says what there is, without more than fits a message.
    async fn unknown(&self, given: String) -> VoiceError {
        const SHOWN: usize = 20;
        // Without the store's help the answer is shorter, and still the right one.
        let records = self.list().await.unwrap_or_default();
        let names = records.iter().map(|it| it.id.as_str());
        let aliases = self.inner.settings.aliases.keys().map(VoiceId::as_str);
        let mut shown: Vec<&str> = names.take(SHOWN).collect();
        let n_hidden = records.len() - shown.len();
        let rest = SHOWN - shown.len();
        shown.extend(aliases.take(rest));
        let mut known = shown.join(", ");
        if 0 < n_hidden {
            known.push_str(&format!(" and {n_hidden} more"));
        }
        if known.is_empty() {
            known.push_str("none yet: register one");
        }
        VoiceError::Unknown { given, known }
    }
}

impl Inner {
    fn built_in(&self, id: &VoiceId) -> Option<&Voice> {
        self.built_in.as_ref().filter(|it| it.record.id == *id)
    }

    async fn make_built_in(&self, file: Bytes) -> Result<Voice, VoiceError> {
        let reference = self.studio.prepare(Upload::File(file)).await?;
        let id = VoiceId::parse(DEFAULT_VOICE)?;
        let facts = record::Facts {
            id,
            digest: reference.digest,
            revision: 0,
            seconds: Samples::of(&reference.samples).seconds(reference::RATE),
            created_unix_s: 0,
            warnings: Vec::new(),
            owner: None,
            built_in: true,
        };
        let notes = Notes {
            description: "The voice that comes with the model".to_owned(),
            ..Notes::default()
        };
        let digest = reference.digest;
        let conditioning = self
            .conditionings
            .of_built_in(&digest, reference.samples)
            .await?;
        Ok(Voice {
            record: Arc::new(Record::new(facts, notes)),
            conditioning,
        })
    }
}

fn now_unix_s() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |it| it.as_secs())
}

impl fmt::Debug for VoiceStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VoiceStore")
            .field("pack", &self.inner.pack.id)
            .field("archive", &self.inner.archive)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
