//! The store itself: which object holds what, and how objects are written, behind a folder or a bucket.
//!
//! ```text
//! voices/<id>.json                          the record; a voice exists if this does
//! audio/<sha256>-<registration>.wav         the reference, bit for bit; owned by one record
//! conditioning/<pack>/<sha256>.bin          what a pack's encoder made of it; can always be made again
//! ```
//!
//! Invariants:
//! - An object is there as a whole or not at all: a folder stages and renames, a bucket does so by itself.
//! - No name is made of anything but a [`VoiceId`], a [`Digest`], a number or a checked pack.
//! - Every call ends within [`PATIENCE`].

use std::error::Error;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use object_store::aws::AmazonS3Builder;
use object_store::client::SpawnedReqwestConnector;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{
    ClientOptions, GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions,
    PutPayload, RetryConfig,
};
use tokio::runtime::Handle;

use super::digest::Digest;
use super::error::{Cause, VoiceError};
use super::id::VoiceId;
use super::record::Record;
use super::settings::{Bucket, Place};

/// The longest that one call of the store may take, with its retries.
const PATIENCE: Duration = Duration::from_secs(20);
/// Staged and orphaned files older than this belong to nobody who still runs, whatever the clocks of the hosts say.
const ABANDONED: Duration = Duration::from_secs(24 * 3_600);

/// Where voices are kept.
#[derive(Clone, Debug)]
pub(super) struct Archive {
    store: Arc<dyn ObjectStore>,
    patience: Duration,
}

/// Tells one version of an object from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp(String);

/// How a record is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Write {
    /// Only if there is none.
    New,
    /// In any case.
    Over,
}

/// A record that was asked for.
#[derive(Debug)]
pub(super) enum Found {
    Record(Box<Record>, Stamp),
    /// As it was known.
    Unchanged,
    Damaged,
    Nothing,
}

impl Archive {
    /// Opens a folder, which is made if need be, or a bucket, which has to be there.
    pub(super) async fn open(place: &Place) -> Result<Archive, VoiceError> {
        let store = match place {
            Place::Folder(folder) => {
                let folder = folder.clone();
                off_thread(move || open_folder(folder)).await?
            }
            Place::Bucket(bucket) => open_bucket(bucket)?,
        };
        Ok(Archive {
            store,
            patience: PATIENCE,
        })
    }

    /// For tests: any store, and little patience.
    #[cfg(test)]
    pub(super) fn over(store: Arc<dyn ObjectStore>) -> Archive {
        Archive {
            store,
            patience: Duration::from_millis(1_500),
        }
    }

    /// The record of a voice, unless it is still the one with the stamp `known`.
    pub(super) async fn record(
        &self,
        id: &VoiceId,
        known: Option<&Stamp>,
    ) -> Result<Found, VoiceError> {
        let options = GetOptions {
            if_none_match: known.map(|it| it.0.clone()),
            ..GetOptions::default()
        };
        let read = async {
            let got = self.store.get_opts(&record_path(id), options).await?;
            let stamp = Stamp::of(&got.meta);
            Ok((got.bytes().await?, stamp))
        };
        let (bytes, stamp) = match self.patiently("reading a voice", read).await {
            Ok(found) => found,
            Err(Refusal::Missing) => return Ok(Found::Nothing),
            Err(Refusal::Same) => return Ok(Found::Unchanged),
            Err(refusal) => return Err(refusal.into()),
        };
        Ok(match Record::read(&bytes, id) {
            Some(record) => Found::Record(Box::new(record), stamp),
            None => Found::Damaged,
        })
    }

    /// The ids of all voices, each with the stamp of its record.
    pub(super) async fn ids(&self) -> Result<Vec<(VoiceId, Stamp)>, VoiceError> {
        let objects = self.objects("voices").await?;
        let id_of = |it: &ObjectMeta| {
            let name = it.location.filename()?.strip_suffix(".json")?;
            VoiceId::parse(name).ok()
        };
        let found = objects
            .iter()
            .filter_map(|it| Some((id_of(it)?, Stamp::of(it))));
        Ok(found.collect())
    }

    /// Writes a record. `None` if there is one and it was to be new.
    pub(super) async fn put_record(
        &self,
        record: &Record,
        write: Write,
    ) -> Result<Option<Stamp>, VoiceError> {
        const DOING: &str = "writing a voice";
        let bytes = record.write().map_err(|cause| VoiceError::Storage {
            doing: DOING,
            cause: Arc::new(cause),
        })?;
        let mode = match write {
            Write::New => PutMode::Create,
            Write::Over => PutMode::Overwrite,
        };
        let path = record_path(&record.id);
        let options = PutOptions::from(mode);
        let put = self.store.put_opts(&path, PutPayload::from(bytes), options);
        match self.patiently(DOING, put).await {
            Ok(put) => Ok(Some(Stamp(put.e_tag.unwrap_or_default()))),
            Err(Refusal::Taken) => Ok(None),
            Err(refusal) => Err(refusal.into()),
        }
    }

    /// Deletes a record; one that is not there is deleted already.
    pub(super) async fn delete_record(&self, id: &VoiceId) -> Result<(), VoiceError> {
        self.delete("deleting a voice", &record_path(id)).await
    }

    pub(super) async fn audio(&self, record: &Record) -> Result<Option<Bytes>, VoiceError> {
        self.get("reading a reference", &audio_path(record)).await
    }

    pub(super) async fn put_audio(&self, record: &Record, wav: Vec<u8>) -> Result<(), VoiceError> {
        self.put("writing a reference", &audio_path(record), wav)
            .await
    }

    pub(super) async fn delete_audio(&self, record: &Record) -> Result<(), VoiceError> {
        self.delete("deleting a reference", &audio_path(record))
            .await
    }

    pub(super) async fn conditioning(
        &self,
        pack: &str,
        audio: &Digest,
    ) -> Result<Option<Bytes>, VoiceError> {
        self.get("reading a conditioning", &conditioning_path(pack, audio))
            .await
    }

    pub(super) async fn put_conditioning(
        &self,
        pack: &str,
        audio: &Digest,
        bytes: Vec<u8>,
    ) -> Result<(), VoiceError> {
        let path = conditioning_path(pack, audio);
        self.put("writing a conditioning", &path, bytes).await
    }

    /// Deletes what every pack made of some audio.
    pub(super) async fn delete_conditionings(&self, audio: &Digest) -> Result<(), VoiceError> {
        const DOING: &str = "deleting conditionings";
        let folder = Path::from("conditioning");
        let packs = self
            .patiently(DOING, self.store.list_with_delimiter(Some(&folder)))
            .await?;
        for pack in packs.common_prefixes {
            let path = pack.join(format!("{audio}.bin"));
            self.delete(DOING, &path).await?;
        }
        Ok(())
    }

    /// Deletes references that no record owns and that are too old to belong to a registration under way: what a server leaves
    /// behind that is killed in one. Gives how many. Does nothing while there are records that this version cannot read: they
    /// may own some.
    pub(super) async fn sweep(&self, records: &[Arc<Record>]) -> Result<usize, VoiceError> {
        let owned: std::collections::HashSet<Path> =
            records.iter().map(|it| audio_path(it)).collect();
        let mut n_swept = 0;
        if self.ids().await?.len() != records.len() {
            return Ok(0);
        }
        for object in self.objects("audio").await? {
            let age = std::time::SystemTime::now()
                .duration_since(object.last_modified.into())
                .unwrap_or_default();
            if ABANDONED < age && !owned.contains(&object.location) {
                self.delete("sweeping references", &object.location).await?;
                n_swept += 1;
            }
        }
        Ok(n_swept)
    }

    async fn objects(&self, folder: &str) -> Result<Vec<ObjectMeta>, VoiceError> {
        let folder = Path::from(folder);
        let objects = self
            .patiently(
                "listing voices",
                self.store.list(Some(&folder)).try_collect(),
            )
            .await?;
        Ok(objects)
    }

    async fn get(&self, doing: &'static str, path: &Path) -> Result<Option<Bytes>, VoiceError> {
        let read = async { self.store.get(path).await?.bytes().await };
        match self.patiently(doing, read).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Refusal::Missing) => Ok(None),
            Err(refusal) => Err(refusal.into()),
        }
    }

    async fn put(
        &self,
        doing: &'static str,
        path: &Path,
        bytes: Vec<u8>,
    ) -> Result<(), VoiceError> {
        self.patiently(doing, self.store.put(path, PutPayload::from(bytes)))
            .await?;
        Ok(())
    }

    async fn delete(&self, doing: &'static str, path: &Path) -> Result<(), VoiceError> {
        match self.patiently(doing, self.store.delete(path)).await {
            Ok(()) | Err(Refusal::Missing) => Ok(()),
            Err(refusal) => Err(refusal.into()),
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "three of what object_store says are answers, and the rest is not told apart"
    )]
    async fn patiently<T>(
        &self,
        doing: &'static str,
        call: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, Refusal> {
        let outcome = match tokio::time::timeout(self.patience, call).await {
            Ok(outcome) => outcome,
            Err(cause) => {
                return Err(Refusal::Failed(VoiceError::Storage {
                    doing,
                    cause: Arc::new(cause),
                }));
            }
        };
        outcome.map_err(|error| match error {
            object_store::Error::NotFound { .. } => Refusal::Missing,
            object_store::Error::AlreadyExists { .. } => Refusal::Taken,
            object_store::Error::NotModified { .. } => Refusal::Same,
            error => {
                let is_full = is_full(&error);
                let cause: Cause = Arc::new(error);
                Refusal::Failed(if is_full {
                    VoiceError::Full { cause }
                } else {
                    VoiceError::Storage { doing, cause }
                })
            }
        })
    }
}

impl Stamp {
    fn of(meta: &ObjectMeta) -> Stamp {
        Stamp(meta.e_tag.clone().unwrap_or_default())
    }
}

fn record_path(id: &VoiceId) -> Path {
    Path::from(format!("voices/{id}.json"))
}

fn audio_path(record: &Record) -> Path {
    Path::from(format!("audio/{}.wav", record.audio_name()))
}

fn conditioning_path(pack: &str, audio: &Digest) -> Path {
    Path::from(format!("conditioning/{pack}/{audio}.bin"))
}

/// Does what may block or take long on a thread for that.
pub(super) async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, VoiceError> + Send + 'static,
) -> Result<T, VoiceError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(cause) => Err(VoiceError::Storage {
            doing: "working on a voice",
            cause: Arc::new(cause),
        }),
    }
}

fn open_folder(folder: PathBuf) -> Result<Arc<dyn ObjectStore>, VoiceError> {
    let failed = |cause: Box<dyn Error + Send + Sync>| VoiceError::Storage {
        doing: "opening the folder of voices",
        cause: cause.into(),
    };
    std::fs::create_dir_all(&folder).map_err(|it| failed(explained(&folder, &it).into()))?;
    remove_staged(&folder);
    let store = LocalFileSystem::new_with_prefix(&folder).map_err(|it| failed(it.into()))?;
    // A registered voice must survive the power going off.
    Ok(Arc::new(store.with_fsync(true)))
}

fn explained(folder: &std::path::Path, error: &io::Error) -> String {
    format!("`voices.store`: `{}`: {error}", folder.display())
}

/// Removes what was being written when a server was killed. Such files are named like the whole one, `#` and a number.
fn remove_staged(folder: &std::path::Path) {
    let is_staged = |path: &std::path::Path| {
        let name = path.file_name().and_then(|it| it.to_str());
        name.and_then(|it| it.rsplit_once('#'))
            .is_some_and(|(_, it)| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit()))
    };
    let is_abandoned = |entry: &std::fs::DirEntry| {
        let modified = entry.metadata().and_then(|it| it.modified());
        let age = modified.ok().and_then(|it| it.elapsed().ok());
        age.is_some_and(|it| ABANDONED < it)
    };
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        for entry in entries {
            let path = entry.path();
            if entry.file_type().is_ok_and(|it| it.is_dir()) {
                folders.push(path);
            } else if is_staged(&path) && is_abandoned(&entry) {
                // One that cannot be removed does no harm.
                drop(std::fs::remove_file(path));
            }
        }
    }
}

fn open_bucket(bucket: &Bucket) -> Result<Arc<dyn ObjectStore>, VoiceError> {
    // Fails only if the process has a provider already, and any will do.
    drop(rustls::crypto::ring::default_provider().install_default());
    let client = ClientOptions::new()
        .with_connect_timeout(Duration::from_secs(3))
        .with_timeout(Duration::from_secs(10));
    let retry = RetryConfig {
        max_retries: 3,
        retry_timeout: Duration::from_secs(10),
        ..RetryConfig::default()
    };
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(&bucket.name)
        .with_client_options(client)
        .with_retry(retry)
        // Requests come from every worker's runtime, and a connection must not depend on the one that opened it.
        .with_http_connector(SpawnedReqwestConnector::new(Handle::current()));
    if let Some(endpoint) = &bucket.endpoint {
        builder = builder
            .with_endpoint(endpoint)
            .with_allow_http(endpoint.starts_with("http://"));
    }
    if let Some(region) = &bucket.region {
        builder = builder.with_region(region);
    }
    if let Some(keys) = &bucket.keys {
        builder = builder
            .with_access_key_id(&keys.id)
            .with_secret_access_key(keys.secret.expose());
    }
    let store = builder.build().map_err(|cause| VoiceError::Storage {
        doing: "opening the bucket of voices",
        cause: Arc::new(cause),
    })?;
    Ok(Arc::new(PrefixStore::new(store, bucket.prefix.as_str())))
}

/// Why a call gave nothing.
enum Refusal {
    Missing,
    Taken,
    Same,
    Failed(VoiceError),
}

impl From<Refusal> for VoiceError {
    fn from(refusal: Refusal) -> VoiceError {
        let unexpected = |what: &'static str| VoiceError::Storage {
            doing: what,
            cause: Arc::new(io::Error::other("an answer that was not asked for")),
        };
        match refusal {
            Refusal::Missing => unexpected("finding an object"),
            Refusal::Taken => unexpected("writing an object"),
            Refusal::Same => unexpected("reading an object"),
            Refusal::Failed(error) => error,
        }
    }
}

/// Whether the disk, the quota or the bucket is full.
pub(super) fn is_full(error: &object_store::Error) -> bool {
    const FULL: [io::ErrorKind; 2] = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<io::Error>();
        if io.is_some_and(|it| FULL.contains(&it.kind())) {
            return true;
        }
        // What an error of this kind wraps is not its source: that is the source of what it wraps.
        let wrapped = io.and_then(|it| it.get_ref());
        cause = match wrapped {
            Some(error) => Some(error),
            None => error.source(),
        };
    }
    // What S3-compatible servers that have an end say. No id can look like this.
    let text = error.to_string();
    text.contains("507 Insufficient Storage") || text.contains("StorageFull</Code>")
}
