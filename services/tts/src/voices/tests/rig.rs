//! Stores over folders and over stores that fail, with a studio that counts.

use std::collections::BTreeMap;
use std::path::Path as FilePath;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::stream::BoxStream;
use ndarray::Array2;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use tempfile::TempDir;
use tokio::sync::Semaphore;

use super::super::*;
use super::sounds::voice;
use crate::models::conditioning::{MEL_BINS, SAMPLES_PER_TOKEN, SPEAKER_WIDTH};

/// Of the stores here.
pub(super) const REFRESH: Duration = Duration::from_millis(80);

/// Extracts something of each sample, and remembers what it was given.
#[derive(Debug, Default)]
pub(super) struct Counting {
    n_extracted: AtomicUsize,
    pub(super) delay: Duration,
    /// Extractions wait here until it is closed.
    gate: Option<Arc<Semaphore>>,
    given: Mutex<Vec<Arc<[f32]>>>,
}

impl Counting {
    pub(super) fn slow(delay: Duration) -> Arc<Counting> {
        Arc::new(Counting {
            delay,
            ..Counting::default()
        })
    }

    /// Ends no extraction before [`let_go`](Self::let_go).
    pub(super) fn held() -> Arc<Counting> {
        Arc::new(Counting {
            gate: Some(Arc::new(Semaphore::new(0))),
            ..Counting::default()
        })
    }

    pub(super) fn let_go(&self) {
        self.gate.as_ref().unwrap().close();
    }

    /// Waits for an extraction to begin.
    pub(super) async fn until_begun(&self) {
        while self.n_extracted() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    pub(super) fn n_extracted(&self) -> usize {
        self.n_extracted.load(Ordering::SeqCst)
    }

    pub(super) fn last(&self) -> Arc<[f32]> {
        Arc::clone(self.given.lock().unwrap().last().unwrap())
    }
}

impl Studio for Counting {
    fn prepare(&self, upload: Upload) -> BoxFuture<'static, Result<Reference, VoiceError>> {
        let rules = settings().rules;
        async move { Ok(rules.prepare(&upload)?) }.boxed()
    }

    fn extract(&self, samples: Arc<[f32]>) -> BoxFuture<'static, Result<Conditioning, VoiceError>> {
        self.n_extracted.fetch_add(1, Ordering::SeqCst);
        self.given.lock().unwrap().push(Arc::clone(&samples));
        let (delay, gate) = (self.delay, self.gate.clone());
        async move {
            tokio::time::sleep(delay).await;
            if let Some(gate) = gate {
                // There are no permits: it is refused once the gate is closed.
                drop(gate.acquire().await);
            }
            Ok(conditioning_of(&samples))
        }
        .boxed()
    }
}

fn conditioning_of(samples: &[f32]) -> Conditioning {
    let n_tokens = samples.len() / SAMPLES_PER_TOKEN;
    let at = |idx: usize| samples[idx * 7_919 % samples.len()];
    Conditioning {
        prefix: Array2::from_shape_fn((4, 8), |(a, b)| at(8 * a + b)),
        prompt_tokens: (0..n_tokens as i64).collect(),
        speaker: (0..SPEAKER_WIDTH).map(at).collect(),
        mel: Array2::from_shape_fn((2 * n_tokens, MEL_BINS), |(a, b)| at(MEL_BINS * a + b)),
    }
}

pub(super) fn settings() -> Settings {
    let mut problems = chassis::settings::Problems::default();
    let settings = VoicesRaw::defaults().check(&mut problems);
    assert!(problems.is_empty());
    Settings {
        refresh: REFRESH,
        ..settings
    }
}

pub(super) fn pack(id: &str) -> Pack {
    Pack {
        id: VoiceId::parse(id).unwrap(),
        level: Level::AsIs,
        above: None,
        default_voice: None,
    }
}

/// With a voice of its own.
pub(super) fn pack_with_voice(id: &str) -> Pack {
    Pack {
        default_voice: Some(file(6.0, 150.0)),
        ..pack(id)
    }
}

/// Each is made once: there are many tests, and few voices in them.
pub(super) fn file(seconds: f32, pitch_hz: f32) -> Bytes {
    use audio::encoding::Encoding;
    static MADE: Mutex<BTreeMap<(u32, u32), Bytes>> = Mutex::new(BTreeMap::new());
    let make = || {
        let rate = audio::SampleRate::HZ_24000;
        audio::wav::file(&voice(seconds, pitch_hz), Encoding::PcmS16le, rate).into()
    };
    let mut made = MADE.lock().unwrap();
    let key = (seconds.to_bits(), pitch_hz.to_bits());
    made.entry(key).or_insert_with(make).clone()
}

/// Of a voice with this pitch, by nobody in particular.
pub(super) fn registration(id: &str, pitch_hz: f32) -> Registration {
    Registration {
        id: id.to_owned(),
        upload: Upload::File(file(6.0, pitch_hz)),
        notes: Notes::default(),
        requester: Requester::Anyone,
        if_exists: IfExists::Refuse,
    }
}

pub(super) fn key(name: &str) -> Requester {
    Requester::Key(Owner::named(name))
}

pub(super) fn admin(name: &str) -> Requester {
    Requester::Admin(Owner::named(name))
}

/// One instance on a folder.
pub(super) async fn on(folder: &FilePath, pack: Pack, studio: &Arc<Counting>) -> VoiceStore {
    let place = Place::Folder(folder.to_owned());
    let studio: Arc<dyn Studio> = Arc::<Counting>::clone(studio);
    VoiceStore::open(settings(), &place, pack, studio)
        .await
        .unwrap()
}

/// One instance on a new folder.
pub(super) async fn alone(pack: Pack) -> (VoiceStore, Arc<Counting>, TempDir) {
    let folder = TempDir::new().unwrap();
    let studio = Arc::new(Counting::default());
    let store = on(folder.path(), pack, &studio).await;
    (store, studio, folder)
}

/// One instance on a store that can fail.
pub(super) async fn over(store: &Arc<Failing>, studio: &Arc<Counting>) -> VoiceStore {
    let archive = Archive::over(Arc::<Failing>::clone(store));
    let studio: Arc<dyn Studio> = Arc::<Counting>::clone(studio);
    VoiceStore::over(archive, settings(), pack("pack"), studio)
        .await
        .unwrap()
}

/// Every file below a folder, by its path from there.
pub(super) fn files(folder: &FilePath) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let path = path.strip_prefix(folder).unwrap();
                found.push(path.to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// The only file whose path from the folder begins like this.
pub(super) fn the_file(folder: &FilePath, beginning: &str) -> std::path::PathBuf {
    let mut found = files(folder);
    found.retain(|it| it.starts_with(beginning));
    assert_eq!(found.len(), 1, "{found:?}");
    folder.join(&found[0])
}

pub(super) async fn until_stale() {
    tokio::time::sleep(REFRESH * 2).await;
}

/// How a store fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing can be written below a folder: the disk is full.
    Full(&'static str),
    /// Something is written below a folder, and the answer is lost.
    Deaf(&'static str),
    /// Writing below a folder takes this long.
    Slow(&'static str, Duration),
    /// Nothing works.
    Down,
    /// Nothing answers.
    Mute,
}

/// A store in memory that fails as it is told.
#[derive(Debug, Default)]
pub(super) struct Failing {
    inner: object_store::memory::InMemory,
    fault: Mutex<Option<Fault>>,
    n_reads: AtomicUsize,
}

impl Failing {
    pub(super) fn set(&self, fault: Option<Fault>) {
        *self.fault.lock().unwrap() = fault;
    }

    pub(super) fn n_reads(&self) -> usize {
        self.n_reads.load(Ordering::SeqCst)
    }

    /// Every object.
    pub(super) async fn objects(&self) -> Vec<String> {
        use futures_util::TryStreamExt as _;
        let found = self.inner.list(None).map_ok(|it| it.location.to_string());
        let mut found: Vec<String> = found.try_collect().await.unwrap();
        found.sort();
        found
    }

    pub(super) async fn spoil(&self, path: &str) {
        let bytes = PutPayload::from_static(b"{\"version\":1}");
        let options = PutOptions::default();
        self.inner
            .put_opts(&Path::from(path), bytes, options)
            .await
            .unwrap();
    }

    fn fault(&self) -> Option<Fault> {
        *self.fault.lock().unwrap()
    }

    async fn begin(&self) -> object_store::Result<()> {
        match self.fault() {
            Some(Fault::Down) => Err(failure(std::io::ErrorKind::ConnectionRefused)),
            Some(Fault::Mute) => std::future::pending().await,
            _ => Ok(()),
        }
    }
}

fn failure(kind: std::io::ErrorKind) -> object_store::Error {
    // As deep as a real one lies.
    let source = std::io::Error::other(std::io::Error::from(kind));
    object_store::Error::Generic {
        store: "failing",
        source: Box::new(source),
    }
}

impl fmt::Display for Failing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failing")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Failing {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        self.begin().await?;
        match self.fault() {
            Some(Fault::Full(folder)) if path.as_ref().starts_with(folder) => {
                Err(failure(std::io::ErrorKind::StorageFull))
            }
            Some(Fault::Deaf(folder)) if path.as_ref().starts_with(folder) => {
                self.inner.put_opts(path, payload, options).await?;
                Err(failure(std::io::ErrorKind::ConnectionReset))
            }
            Some(Fault::Slow(folder, delay)) if path.as_ref().starts_with(folder) => {
                tokio::time::sleep(delay).await;
                self.inner.put_opts(path, payload, options).await
            }
            _ => self.inner.put_opts(path, payload, options).await,
        }
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        self.n_reads.fetch_add(1, Ordering::SeqCst);
        self.begin().await?;
        self.inner.get_opts(path, options).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        if self.fault() == Some(Fault::Down) {
            let down = Err(failure(std::io::ErrorKind::ConnectionRefused));
            return Box::pin(futures_util::stream::iter([down]));
        }
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.begin().await?;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(
        &self,
        from: &Path,
        to: &Path,
        options: CopyOptions,
    ) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
