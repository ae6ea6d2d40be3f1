//! Section `voices` of the settings: as read, and checked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use audio::Samples;
use chassis::settings::{Problems, Secret};
use serde::{Deserialize, Serialize};

use super::id::VoiceId;
use super::reference::{RATE, Rules};

/// What the voice that comes with a model is called.
pub const DEFAULT_VOICE: &str = "default";

/// Names that clients and other servers use for their voices: OpenAI's, of which some clients accept no others, and those that
/// common speech servers ship.
pub const KNOWN_NAMES: [&str; 16] = [
    "alloy",
    "ash",
    "ballad",
    "cedar",
    "coral",
    "echo",
    "fable",
    "marin",
    "nova",
    "onyx",
    "sage",
    "shimmer",
    "verse",
    "en_female",
    "jenny",
    "lessac",
];

/// Section `voices`, as read.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VoicesRaw {
    /// A folder, or `s3://bucket/prefix`; null is the folder `voices` in the home.
    pub store: Option<String>,
    /// The address of an S3-compatible server; null is Amazon's, or the environment's `AWS_ENDPOINT`.
    pub endpoint: Option<String>,
    /// The region of the bucket; null is the environment's `AWS_REGION`, or `us-east-1`.
    pub region: Option<String>,
    /// The id of the key to the bucket; null is the environment's `AWS_ACCESS_KEY_ID`, or what the host has been given.
    pub access_key_id: Option<String>,
    /// The key to the bucket.
    pub secret_access_key: Secret,
    /// For how long what is known of the store counts as true.
    pub refresh_ms: u64,
    /// What conditionings may weigh in memory.
    pub cache_mb: usize,
    /// How many voices may be kept.
    pub max_voices: usize,
    /// The shortest reference.
    pub min_seconds: f32,
    /// The longest reference.
    pub max_seconds: u32,
    /// How much of a reference is used.
    pub keep_seconds: f32,
    /// Whether references that a model calls too short pass.
    pub accept_short: bool,
    /// Whether references without speech are refused.
    pub check_speech: bool,
    /// Whether a note of consent is needed.
    pub require_consent: bool,
    /// Names of API keys that may change every voice.
    pub admin_keys: Vec<String>,
    /// Other names of voices.
    pub aliases: BTreeMap<String, String>,
}

/// Section `voices`, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `None` is a folder in the home.
    pub place: Option<Place>,
    /// For how long what is known of the store counts as true.
    pub refresh: Duration,
    /// What conditionings may weigh in memory.
    pub cache_bytes: usize,
    /// How many voices may be kept.
    pub max_voices: usize,
    /// What a reference may be.
    pub rules: Rules,
    /// Whether references that a model calls too short pass.
    pub accept_short: bool,
    /// Whether a note of consent is needed.
    pub require_consent: bool,
    /// Names of API keys that may change every voice.
    pub admin_keys: Vec<String>,
    /// Other names of voices.
    pub aliases: BTreeMap<VoiceId, VoiceId>,
}

/// Where voices are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a folder, which several instances may share.
    Folder(PathBuf),
    /// In a bucket, which several hosts may share.
    Bucket(Bucket),
}

/// An S3-compatible bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// The folder in it; may be empty.
    pub prefix: String,
    /// The address of the server, if not Amazon's.
    pub endpoint: Option<String>,
    /// Where it is.
    pub region: Option<String>,
    /// `None` takes those of the environment, by the names that Amazon's tools use, or of the host.
    pub keys: Option<Keys>,
}

/// The credentials of a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// Says which key it is.
    pub id: String,
    /// The key.
    pub secret: Secret,
}

impl VoicesRaw {
    /// The values where nobody says otherwise.
    pub fn defaults() -> VoicesRaw {
        let to_default = |it: &&str| ((*it).to_owned(), DEFAULT_VOICE.to_owned());
        VoicesRaw {
            store: None,
            endpoint: None,
            region: None,
            access_key_id: None,
            secret_access_key: Secret::default(),
            refresh_ms: 2_000,
            cache_mb: 256,
            max_voices: 1_000,
            min_seconds: 1.0,
            max_seconds: 30,
            keep_seconds: 15.0,
            accept_short: false,
            check_speech: true,
            require_consent: false,
            admin_keys: Vec::new(),
            aliases: KNOWN_NAMES.iter().map(to_default).collect(),
        }
    }

    /// Checks the section.
    pub fn check(&self, problems: &mut Problems) -> Settings {
        problems.in_range("voices.refresh_ms", self.refresh_ms, 1..=60_000);
        problems.in_range("voices.cache_mb", self.cache_mb, 0..=1_048_576);
        problems.in_range("voices.max_voices", self.max_voices, 0..=100_000);
        problems.in_range("voices.max_seconds", self.max_seconds, 1..=300);
        problems.in_range("voices.min_seconds", self.min_seconds, 1.0..=30.0);
        // The tokeniser of speech inside every published encoder takes 30 s at most.
        problems.in_range("voices.keep_seconds", self.keep_seconds, 1.0..=30.0);
        if self.keep_seconds < self.min_seconds {
            problems.add(
                "voices.keep_seconds",
                format!(
                    "`voices.keep_seconds` must not be below `voices.min_seconds`. Given: {} and {}",
                    self.keep_seconds, self.min_seconds
                ),
            );
        }
        let samples = |seconds: f32| Samples::from_seconds(f64::from(seconds), RATE);
        Settings {
            place: self.check_place(problems),
            refresh: Duration::from_millis(self.refresh_ms),
            cache_bytes: self.cache_mb.saturating_mul(1 << 20),
            max_voices: self.max_voices,
            rules: Rules {
                min: samples(self.min_seconds),
                max_seconds: self.max_seconds,
                keep: samples(self.keep_seconds),
                check_speech: self.check_speech,
            },
            accept_short: self.accept_short,
            require_consent: self.require_consent,
            admin_keys: self.admin_keys.clone(),
            aliases: self.check_aliases(problems),
        }
    }

    fn check_place(&self, problems: &mut Problems) -> Option<Place> {
        let given = self.store.as_deref().filter(|it| !it.is_empty())?;
        let Some((scheme, rest)) = given.split_once("://") else {
            return Some(Place::Folder(PathBuf::from(given)));
        };
        let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if scheme != "s3" || name.is_empty() {
            problems.add(
                "voices.store",
                format!("`voices.store` must be a folder or `s3://bucket/prefix`. Given: {given}"),
            );
        }
        let some = |it: &Option<String>| it.clone().filter(|it| !it.is_empty());
        let endpoint = some(&self.endpoint);
        let is_web = |it: &&String| it.starts_with("http://") || it.starts_with("https://");
        if let Some(given) = endpoint.as_ref().filter(|it| !is_web(it)) {
            problems.add(
                "voices.endpoint",
                format!(
                    "`voices.endpoint` must begin with `https://` or `http://`. Given: {given}"
                ),
            );
        }
        let keys = some(&self.access_key_id).map(|id| Keys {
            id,
            secret: self.secret_access_key.clone(),
        });
        if keys.is_some() == self.secret_access_key.expose().is_empty() {
            problems.add(
                "voices.secret_access_key",
                "`voices.secret_access_key` and `voices.access_key_id` belong together: set both or neither",
            );
        }
        Some(Place::Bucket(Bucket {
            name: name.to_owned(),
            prefix: prefix.trim_matches('/').to_owned(),
            endpoint,
            region: some(&self.region),
            keys,
        }))
    }

    fn check_aliases(&self, problems: &mut Problems) -> BTreeMap<VoiceId, VoiceId> {
        let mut aliases = BTreeMap::new();
        for (name, voice) in &self.aliases {
            match (VoiceId::parse(name), VoiceId::parse(voice)) {
                (Ok(name), Ok(voice)) => drop(aliases.insert(name, voice)),
                (Err(error), _) | (_, Err(error)) => problems.add(
                    "voices.aliases",
                    format!("`voices.aliases.{name}`: {error}"),
                ),
            }
        }
        aliases
    }
}

impl Settings {
    /// Where voices are kept: as said, or in the folder `voices` of the home.
    pub fn place(&self, home: &Path) -> Place {
        let in_home = || Place::Folder(home.join("voices"));
        self.place.clone().unwrap_or_else(in_home)
    }
}

#[cfg(test)]
mod tests;
