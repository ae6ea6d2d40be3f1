//! Conditionings: from memory, from the store, or made again; each at most once at a time.
//!
//! Invariants:
//! - Everybody who asks for the same audio at the same time shares one future. It runs as long as one of them waits.
//! - What cannot be stored is used all the same; what was stored damaged is made again.
//! - What was made for a voice that was deleted meanwhile does not stay in the store.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use audio::Samples;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, WeakShared};

use super::archive::{Archive, Found};
use super::cache::Cache;
use super::digest::Digest;
use super::error::VoiceError;
use super::id::VoiceId;
use super::level::Level;
use super::record::Record;
use super::reference::{self, ReferenceError};
use super::{Pack, Studio, off_thread, stored};
use crate::models::conditioning::Conditioning;

type Outcome = Result<Arc<Conditioning>, VoiceError>;
type Flight = Shared<BoxFuture<'static, Outcome>>;

#[derive(Clone)]
pub(super) struct Conditionings {
    inner: Arc<Inner>,
}

struct Inner {
    archive: Archive,
    studio: Arc<dyn Studio>,
    pack: VoiceId,
    level: Level,
    /// References have to be longer, if the pack says so and the operator does not overrule it.
    above: Option<Samples>,
    cache: Mutex<Cache<Digest, Arc<Conditioning>>>,
    flights: Mutex<HashMap<Digest, WeakShared<BoxFuture<'static, Outcome>>>>,
}

impl Conditionings {
    pub(super) fn new(
        archive: Archive,
        studio: Arc<dyn Studio>,
        pack: &Pack,
        accept_short: bool,
        cache_bytes: usize,
    ) -> Conditionings {
        let inner = Inner {
            archive,
            studio,
            pack: pack.id.clone(),
            level: pack.level,
            above: pack.above.filter(|_| !accept_short),
            cache: Mutex::new(Cache::new(cache_bytes)),
            flights: Mutex::new(HashMap::new()),
        };
        Conditionings {
            inner: Arc::new(inner),
        }
    }

    /// The conditioning of a registered voice.
    pub(super) async fn of(&self, record: &Arc<Record>) -> Outcome {
        match self.cached(&record.digest) {
            Some(conditioning) => Ok(conditioning),
            None => self.flight(record).await,
        }
    }

    fn flight(&self, record: &Arc<Record>) -> Flight {
        let digest = record.digest;
        let mut flights = lock(&self.inner.flights);
        if let Some(flight) = flights.get(&digest).and_then(WeakShared::upgrade) {
            return flight;
        }
        flights.retain(|_, it| it.upgrade().is_some());
        let (own, record) = (self.clone(), Arc::clone(record));
        let flight = async move { own.load(&record).await }.boxed().shared();
        if let Some(weak) = flight.downgrade() {
            flights.insert(digest, weak);
        }
        flight
    }

    async fn load(&self, record: &Record) -> Outcome {
        // Between looking there and taking off, somebody else may have landed.
        if let Some(conditioning) = self.cached(&record.digest) {
            return Ok(conditioning);
        }
        if let Some(conditioning) = self.stored(&record.digest).await? {
            return Ok(conditioning);
        }
        let damaged = || VoiceError::Damaged {
            id: record.id.clone(),
        };
        let wav = self.inner.archive.audio(record).await?;
        let wav = wav.ok_or_else(damaged)?;
        let digest = record.digest;
        let read = off_thread(move || Ok(reference::from_wav(&wav, &digest)));
        let samples = read.await?.ok_or_else(damaged)?;
        let conditioning = self.extracted(samples).await?;
        self.store_unless_deleted(record, &conditioning).await;
        self.keep(record.digest, &conditioning);
        Ok(conditioning)
    }

    /// The conditioning of audio that is at hand. A store that does not work only makes it slower. Not stored yet.
    pub(super) async fn of_samples(&self, digest: &Digest, samples: Vec<f32>) -> Outcome {
        if let Some(conditioning) = self.cached(digest) {
            return Ok(conditioning);
        }
        match self.stored(digest).await {
            Ok(Some(conditioning)) => return Ok(conditioning),
            Ok(None) => {}
            Err(error) => warn_of(&error),
        }
        self.extracted(samples).await
    }

    /// As [`of_samples`](Self::of_samples), for the built-in voice, which has no record and is stored if that is possible.
    pub(super) async fn of_built_in(&self, digest: &Digest, samples: Vec<f32>) -> Outcome {
        let conditioning = self.of_samples(digest, samples).await?;
        if self.cached(digest).is_none()
            && let Err(error) = self.store(digest, &conditioning).await
        {
            warn_of(&error);
        }
        self.keep(*digest, &conditioning);
        Ok(conditioning)
    }

    /// Whether the pack takes references of this length.
    pub(super) fn check_length(&self, given: Samples) -> Result<(), ReferenceError> {
        match self.inner.above {
            Some(above) if given <= above => Err(ReferenceError::TooShortForModel {
                given_s: given.seconds(reference::RATE),
                above_s: above.seconds(reference::RATE),
            }),
            _ => Ok(()),
        }
    }

    async fn extracted(&self, mut samples: Vec<f32>) -> Outcome {
        self.check_length(Samples::of(&samples))?;
        let level = self.inner.level;
        let levelled = off_thread(move || {
            level.apply(&mut samples);
            Ok(Arc::from(samples))
        });
        let conditioning = self.inner.studio.extract(levelled.await?).await?;
        Ok(Arc::new(conditioning))
    }

    /// From the store; `None` if it is not there or is not what it should be.
    async fn stored(&self, digest: &Digest) -> Result<Option<Arc<Conditioning>>, VoiceError> {
        let (pack, digest) = (self.inner.pack.clone(), *digest);
        let bytes = self
            .inner
            .archive
            .conditioning(pack.as_str(), &digest)
            .await?;
        let Some(bytes) = bytes else {
            return Ok(None);
        };
        let read = off_thread(move || Ok(stored::decode(&bytes, pack.as_str(), &digest)));
        let Some(conditioning) = read.await? else {
            tracing::warn!(%digest, "a stored conditioning is damaged; it is made again");
            return Ok(None);
        };
        let conditioning = Arc::new(conditioning);
        self.keep(digest, &conditioning);
        Ok(Some(conditioning))
    }

    pub(super) async fn store(
        &self,
        digest: &Digest,
        conditioning: &Arc<Conditioning>,
    ) -> Result<(), VoiceError> {
        let (pack, digest) = (self.inner.pack.clone(), *digest);
        let conditioning = Arc::clone(conditioning);
        let write = off_thread(move || Ok(stored::encode(&conditioning, pack.as_str(), &digest)));
        let Some(bytes) = write.await? else {
            // The encoder's answer contradicts its contract, which is noted where it is loaded.
            tracing::warn!("a conditioning has unexpected shapes; it is not stored");
            return Ok(());
        };
        let pack = self.inner.pack.as_str();
        self.inner
            .archive
            .put_conditioning(pack, &digest, bytes)
            .await
    }

    async fn store_unless_deleted(&self, record: &Record, conditioning: &Arc<Conditioning>) {
        let store = async {
            self.store(&record.digest, conditioning).await?;
            // A deletion that came before this looked for conditionings before this one was there.
            if let Found::Nothing = self.inner.archive.record(&record.id, None).await? {
                self.inner
                    .archive
                    .delete_conditionings(&record.digest)
                    .await?;
            }
            Ok::<(), VoiceError>(())
        };
        if let Err(error) = store.await {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(
                error,
                "cannot store a conditioning; it is used all the same"
            );
        }
    }

    pub(super) fn keep(&self, digest: Digest, conditioning: &Arc<Conditioning>) {
        let n_bytes = stored::weight(conditioning);
        lock(&self.inner.cache).put(digest, Arc::clone(conditioning), n_bytes);
    }

    pub(super) fn forget(&self, digest: &Digest) {
        lock(&self.inner.cache).remove(digest);
    }

    fn cached(&self, digest: &Digest) -> Option<Arc<Conditioning>> {
        lock(&self.inner.cache).get(digest)
    }
}

fn warn_of(error: &VoiceError) {
    let error: &dyn std::error::Error = error;
    tracing::warn!(
        error,
        "cannot read or store a conditioning; it is made and used all the same"
    );
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Nothing panics while it is held, and a map is whole between two statements.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
