//! Registering and deleting: in which order things are written, so that a voice is there as a whole or not at all.
//!
//! ```text
//! register:  audio ─► conditioning ─► record            (fails: audio and conditioning are deleted again)
//! replace:   new audio ─► conditioning ─► record ─► old audio and conditioning deleted
//! delete:    record ─► audio ─► conditionings           (killed: the next start sweeps the audio)
//! ```
//!
//! Invariants:
//! - What changes the store runs in a task of its own: a client that goes away does not stop it half-way.
//! - Of two that register one id, whoever writes the record first has it; the other is told so.
//! - What is replaced is what is there when the record is written, and its owner was asked for then: preparing a recording takes
//!   seconds.

use std::sync::Arc;

use audio::Samples;
use uuid::Uuid;

use super::archive::{Found, Write};
use super::digest::Digest;
use super::error::VoiceError;
use super::id::VoiceId;
use super::record::{Facts, Notes, Record, Requester};
use super::reference::{RATE, Reference, Upload};
use super::{Inner, now_unix_s, off_thread};
use crate::models::conditioning::Conditioning;

/// What is needed to register a voice.
#[derive(Clone, Debug)]
pub struct Registration {
    /// See [`VoiceId`].
    pub id: String,
    /// The recording.
    pub upload: Upload,
    /// What is said about it.
    pub notes: Notes,
    /// Who registers it.
    pub requester: Requester,
    /// What to do if the id is taken.
    pub if_exists: IfExists,
}

/// What to do about a voice that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfExists {
    /// Refuse, unless it is the same recording of the same owner: a client that did not hear our answer asks again.
    Refuse,
    /// Put the new one in its place.
    Replace,
}

/// What is about to be written.
struct Draft {
    record: Record,
    wav: Vec<u8>,
    conditioning: Arc<Conditioning>,
    /// Who replaces the voice that was there. Nobody: there was none, and there must be none when this one is written.
    replacer: Option<Requester>,
}

pub(super) async fn register(
    inner: &Arc<Inner>,
    registration: Registration,
) -> Result<Arc<Record>, VoiceError> {
    let id = VoiceId::parse(&registration.id)?;
    let notes = registration.notes.checked(inner.settings.require_consent)?;
    if inner.built_in(&id).is_some() {
        return Err(VoiceError::BuiltIn { id });
    }
    let requester = registration.requester;
    // Before any work is done for nothing.
    let present = present(inner, &id).await?;
    if let Some(record) = &present
        && registration.if_exists == IfExists::Replace
    {
        check_owner(record, &requester)?;
    }
    if present.is_none() {
        check_number(inner).await?;
    }

    let reference = inner.studio.prepare(registration.upload).await?;
    let given = Samples::of(&reference.samples);
    inner.conditionings.check_length(given)?;
    let owner = requester.owner();
    let replacer = match (present, registration.if_exists) {
        (None, _) => None,
        (Some(_), IfExists::Replace) => Some(requester),
        (Some(record), IfExists::Refuse) => {
            let is_same = record.digest == reference.digest && record.owner == owner;
            return if is_same {
                Ok(Arc::new(record))
            } else {
                Err(VoiceError::Exists { id })
            };
        }
    };
    let (wav, reference) = encoded(reference).await?;
    let facts = Facts {
        id,
        digest: reference.digest,
        revision: Uuid::new_v4().as_u64_pair().0,
        seconds: given.seconds(RATE),
        created_unix_s: now_unix_s(),
        warnings: reference.warnings,
        owner,
        built_in: false,
    };
    let samples = reference.samples;
    let draft = Draft {
        conditioning: inner
            .conditionings
            .of_samples(&facts.digest, samples)
            .await?,
        record: Record::new(facts, notes),
        wav,
        replacer,
    };
    let inner = Arc::clone(inner);
    finish(async move { commit(&inner, draft).await }).await
}

/// Deletes a voice. `false` if there is none.
pub(super) async fn delete(
    inner: &Arc<Inner>,
    id: &VoiceId,
    requester: &Requester,
) -> Result<bool, VoiceError> {
    let (inner, id, requester) = (Arc::clone(inner), id.clone(), requester.clone());
    finish(async move {
        // Not what is known: who owns it must be true now.
        let found = inner.archive.record(&id, None).await?;
        let record = match found {
            Found::Record(record, _) => Some(record),
            Found::Damaged => None,
            Found::Nothing | Found::Unchanged => {
                inner.known.forget(&id);
                return Ok(false);
            }
        };
        let may_change = match &record {
            Some(record) => requester.may_change(record.owner.as_ref()),
            // Nobody knows whose it was.
            None => !matches!(requester, Requester::Key(_)),
        };
        if !may_change {
            return Err(VoiceError::NotOwner { id });
        }
        inner.archive.delete_record(&id).await?;
        inner.known.forget(&id);
        if let Some(record) = record {
            inner.clear(&record).await;
        }
        Ok(true)
    })
    .await
}

/// Runs to its end, whoever waits for it.
async fn finish<T: Send + 'static>(
    work: impl Future<Output = Result<T, VoiceError>> + Send + 'static,
) -> Result<T, VoiceError> {
    match tokio::spawn(work).await {
        Ok(outcome) => outcome,
        Err(cause) => Err(VoiceError::Storage {
            doing: "changing a voice",
            cause: Arc::new(cause),
        }),
    }
}

async fn present(inner: &Inner, id: &VoiceId) -> Result<Option<Record>, VoiceError> {
    match inner.archive.record(id, None).await? {
        Found::Record(record, _) => Ok(Some(*record)),
        Found::Damaged => Err(VoiceError::Damaged { id: id.clone() }),
        Found::Nothing | Found::Unchanged => Ok(None),
    }
}

fn check_owner(record: &Record, requester: &Requester) -> Result<(), VoiceError> {
    if requester.may_change(record.owner.as_ref()) {
        return Ok(());
    }
    let id = record.id.clone();
    Err(VoiceError::NotOwner { id })
}

/// Two instances may both find the last place free; the bound is for the disk, not for a bill.
async fn check_number(inner: &Inner) -> Result<(), VoiceError> {
    let limit = inner.settings.max_voices;
    if inner.known.all().await?.len() < limit {
        return Ok(());
    }
    Err(VoiceError::TooMany { limit })
}

async fn encoded(reference: Reference) -> Result<(Vec<u8>, Reference), VoiceError> {
    off_thread(move || Ok((reference.to_wav(), reference))).await
}

async fn commit(inner: &Inner, draft: Draft) -> Result<Arc<Record>, VoiceError> {
    let Draft {
        mut record,
        wav,
        conditioning,
        replacer,
    } = draft;
    let digest = record.digest;
    let written = async {
        inner.archive.put_audio(&record, wav).await?;
        inner.conditionings.store(&digest, &conditioning).await?;
        // What was there may have been deleted meanwhile, and the id be somebody else's.
        let replaced = match &replacer {
            Some(requester) => replaceable(inner, &record.id, requester).await?,
            None => None,
        };
        if let (Some(old), Some(Requester::Admin(_))) = (&replaced, &replacer) {
            // Whose it is does not change when an operator puts it right.
            record.owner = old.owner.clone().or_else(|| record.owner.take());
        }
        let write = match replaced {
            Some(_) => Write::Over,
            None => Write::New,
        };
        let stamp = inner.archive.put_record(&record, write).await?;
        Ok(stamp.map(|it| (it, replaced)))
    };
    let (stamp, replaced) = match written.await {
        Ok(Some(written)) => written,
        Ok(None) => {
            undo(inner, &record).await;
            return Err(VoiceError::Exists { id: record.id });
        }
        Err(error) => {
            undo(inner, &record).await;
            return Err(error);
        }
    };
    inner.conditionings.keep(digest, &conditioning);
    if let Some(old) = replaced {
        if old.digest == digest {
            inner.clear_audio(&old).await;
        } else {
            inner.clear(&old).await;
        }
    }
    Ok(inner.known.put(record, stamp))
}

/// What is there to be replaced, if `requester` may do that.
async fn replaceable(
    inner: &Inner,
    id: &VoiceId,
    requester: &Requester,
) -> Result<Option<Record>, VoiceError> {
    let present = present(inner, id).await?;
    if let Some(record) = &present {
        check_owner(record, requester)?;
    }
    Ok(present)
}

/// Takes back what was written for a record that was not. A record that may have been written after all, because only the
/// answer was lost, keeps what it owns.
async fn undo(inner: &Inner, record: &Record) {
    let is_written = match inner.archive.record(&record.id, None).await {
        Ok(Found::Record(found, _)) if found.audio_name() == record.audio_name() => true,
        Ok(Found::Record(found, _)) if found.digest == record.digest => {
            // The winner's recording is the same, so the conditioning is theirs.
            inner.clear_audio(record).await;
            return;
        }
        Ok(_) | Err(_) => false,
    };
    if !is_written {
        inner.clear(record).await;
    }
}

impl Inner {
    /// Deletes what belonged to a record that is gone. What is left of it is invisible, and the next start sweeps it.
    async fn clear(&self, record: &Record) {
        self.clear_audio(record).await;
        self.clear_conditionings(&record.digest).await;
    }

    async fn clear_audio(&self, record: &Record) {
        warn_of(self.archive.delete_audio(record).await);
    }

    async fn clear_conditionings(&self, digest: &Digest) {
        // Somebody may have registered the recording of the built-in voice.
        if self
            .built_in
            .as_ref()
            .is_some_and(|it| it.record.digest == *digest)
        {
            return;
        }
        self.conditionings.forget(digest);
        warn_of(self.archive.delete_conditionings(digest).await);
    }
}

fn warn_of(outcome: Result<(), VoiceError>) {
    if let Err(error) = outcome {
        let error: &dyn std::error::Error = &error;
        tracing::warn!(error, "cannot delete what belonged to a voice");
    }
}
