//! What is written down of a voice.

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::error::VoiceError;
use super::id::{VoiceId, shortened};
use super::reference::Warning;

/// The version of the format below. Files of a later one are left alone.
const VERSION: u32 = 1;
/// The longest description, in characters.
pub const MAX_DESCRIPTION_CHARS: usize = 500;
/// The longest note of consent, in characters.
pub const MAX_CONSENT_CHARS: usize = 1_000;
/// The longest language code, in characters.
const MAX_LANGUAGE_CHARS: usize = 35;

/// A voice, as it is described to clients and kept in the store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    version: u32,
    /// What it is called.
    pub id: VoiceId,
    /// The content of its reference.
    pub digest: Digest,
    /// Names the registration, so that no two own the same object.
    revision: u64,
    /// How long the reference is.
    pub seconds: f64,
    /// When it was registered, in seconds since 1970.
    pub created_unix_s: u64,
    /// In the words of whoever registered it.
    #[serde(default)]
    pub description: String,
    /// How the speaker agreed, in the words of whoever registered it.
    #[serde(default)]
    pub consent: Option<String>,
    /// The language spoken in the reference.
    #[serde(default)]
    pub language: Option<String>,
    /// What could be better about the reference.
    #[serde(default)]
    pub warnings: Vec<Warning>,
    /// Who registered it; nobody if keys were not asked for.
    #[serde(default)]
    pub owner: Option<Owner>,
    /// Whether it came with the model.
    #[serde(skip)]
    pub built_in: bool,
}

/// Who registered a voice: SHA-256 of the name of an API key.
///
/// Of the name, so that whoever changes a key and keeps its name keeps their voices. Hashed, because whoever can read a shared
/// bucket need not learn who the customers are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Owner(Digest);

impl Owner {
    /// The owner whose key has this name.
    pub fn named(name: &str) -> Owner {
        Owner(Digest::of_bytes(&[b"owner\0", name.as_bytes()]))
    }
}

/// Who asks for a voice to be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requester {
    /// Somebody on a server that asks nobody for a key: everybody may change everything.
    Anyone,
    /// Whoever has this key.
    Key(Owner),
    /// Whoever has this key, which may change everything.
    Admin(Owner),
}

impl Requester {
    /// Whether they may change a voice of this owner.
    pub fn may_change(&self, owner: Option<&Owner>) -> bool {
        match self {
            Requester::Anyone | Requester::Admin(_) => true,
            Requester::Key(own) => owner.is_none_or(|it| it == own),
        }
    }

    /// Whose the voices are that they register.
    pub fn owner(&self) -> Option<Owner> {
        match self {
            Requester::Key(owner) | Requester::Admin(owner) => Some(owner.clone()),
            Requester::Anyone => None,
        }
    }
}

/// What somebody says about a voice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// Up to [`MAX_DESCRIPTION_CHARS`].
    pub description: String,
    /// Up to [`MAX_CONSENT_CHARS`].
    pub consent: Option<String>,
    /// A code such as `en` or `pt-BR`.
    pub language: Option<String>,
}

impl Notes {
    /// Checks lengths and characters; an empty text is none.
    ///
    /// # Errors
    /// Names the text at fault.
    pub(super) fn checked(self, is_consent_needed: bool) -> Result<Notes, VoiceError> {
        let not_empty = |it: Option<String>| it.filter(|it| !it.trim().is_empty());
        let (consent, language) = (not_empty(self.consent), not_empty(self.language));
        check_text("description", &self.description, MAX_DESCRIPTION_CHARS)?;
        check_text(
            "consent",
            consent.as_deref().unwrap_or_default(),
            MAX_CONSENT_CHARS,
        )?;
        if is_consent_needed && consent.is_none() {
            return Err(VoiceError::Text {
                name: "consent",
                rule: "say how the speaker agreed: this server asks for it".to_owned(),
                given: "nothing".to_owned(),
            });
        }
        let is_code = |it: &str| {
            it.len() <= MAX_LANGUAGE_CHARS
                && it.split('-').all(|part| {
                    (1..=8).contains(&part.len())
                        && part.bytes().all(|it| it.is_ascii_alphanumeric())
                })
        };
        if let Some(given) = language.as_deref().filter(|it| !is_code(it)) {
            return Err(VoiceError::Text {
                name: "language",
                rule: "be a language code such as `en` or `pt-BR`".to_owned(),
                given: format!("{:?}", shortened(given)),
            });
        }
        Ok(Notes {
            description: self.description,
            consent,
            language,
        })
    }
}

fn check_text(name: &'static str, text: &str, max_chars: usize) -> Result<(), VoiceError> {
    let n_chars = text.chars().count();
    if max_chars < n_chars {
        return Err(VoiceError::Text {
            name,
            rule: format!("have {max_chars} characters at most"),
            given: n_chars.to_string(),
        });
    }
    let is_control = |it: &char| it.is_control() && !matches!(it, '\n' | '\t');
    if let Some(given) = text.chars().find(is_control) {
        return Err(VoiceError::Text {
            name,
            rule: "hold no control characters".to_owned(),
            given: format!("{given:?}"),
        });
    }
    Ok(())
}

/// What a record is made of, besides its notes.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) id: VoiceId,
    pub(super) digest: Digest,
    pub(super) revision: u64,
    pub(super) seconds: f64,
    pub(super) created_unix_s: u64,
    pub(super) warnings: Vec<Warning>,
    pub(super) owner: Option<Owner>,
    pub(super) built_in: bool,
}

impl Record {
    pub(super) fn new(facts: Facts, notes: Notes) -> Record {
        Record {
            version: VERSION,
            id: facts.id,
            digest: facts.digest,
            revision: facts.revision,
            seconds: facts.seconds,
            created_unix_s: facts.created_unix_s,
            description: notes.description,
            consent: notes.consent,
            language: notes.language,
            warnings: facts.warnings,
            owner: facts.owner,
            built_in: facts.built_in,
        }
    }

    /// Reads a record that was kept as that of `id`. `None` if it is not one that this version knows.
    pub(super) fn read(bytes: &[u8], id: &VoiceId) -> Option<Record> {
        let record: Record = serde_json::from_slice(bytes).ok()?;
        (record.version == VERSION && record.id == *id).then_some(record)
    }

    pub(super) fn write(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec_pretty(self)
    }

    /// The name of its audio: no other registration has it, so it may be deleted without asking who else uses it.
    pub(super) fn audio_name(&self) -> String {
        format!("{}-{:016x}", self.digest, self.revision)
    }
}
