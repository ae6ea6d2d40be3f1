//! Settings: read from five places, checked as a whole, then frozen.
//!
//! ```text
//! defaults < YAML file < environment < --set key=value < arguments of their own (--port)
//!                \            |             /
//!                 known keys only, each with its origin
//!                              |
//!                     Raw  --check-->  Settings
//! ```
//!
//! Invariants:
//! - This is the only module that reads files or the environment for configuration.
//! - Every problem is reported at once, with the key, where it came from and, for a misspelt key, the nearest known one.
//! - A key that nobody knows is a problem, wherever it stands. What a service knows is what its defaults serialise to:
//!   the keys of every section, except below a `null`, an empty map or one of [`Aliases::maps`], where only its `Deserialize`
//!   decides.
//! - A secret is never printed.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

mod layers;
mod problems;
mod sections;
mod tree;
mod variable;

pub use self::variable::{require_variables, variable_of_library};
pub use problems::{Problem, Problems};
pub use sections::{
    Auth, AuthRaw, DrainRaw, DrainTimes, Log, LogFormat, LogRaw, RateLimit, Server, ServerRaw,
};

/// The exit code of a service that was configured wrongly: `EX_CONFIG` of `sysexits.h`, which systemd names too.
pub const EXIT_CONFIG: u8 = 78;

/// Names that a service understands besides the keys of its `Raw` type.
#[derive(Clone, Copy, Debug)]
pub struct Aliases {
    /// Environment variables of their own. `VOICE__SECTION__KEY` needs no entry here and is stronger.
    pub variables: &'static [VariableAlias],
    /// Keys and values of other programs' configuration files.
    pub keys: &'static [KeyAlias],
    /// Keys whose values are maps from words of the operator's own, for example `voices.aliases`: below them any key is known.
    pub maps: &'static [&'static str],
}

/// An environment variable that sets one key, for example `ASR_PORT` for `server.port`.
#[derive(Clone, Copy, Debug)]
pub struct VariableAlias {
    /// The variable.
    pub variable: &'static str,
    /// The key it sets, with dots.
    pub key: &'static str,
}

/// Another spelling of a key or of its values.
#[derive(Clone, Copy, Debug)]
pub struct KeyAlias {
    /// The key as given, with dots. It may equal `means` when only values are translated.
    pub given: &'static str,
    /// The key that is set.
    pub means: &'static str,
    /// Values as given and what they mean; other values stay as they are.
    pub values: &'static [(&'static str, &'static str)],
}

/// Where settings are read from. The environment is a parameter, so that tests need not change their own.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// A YAML file; a missing one is a problem.
    pub file: Option<PathBuf>,
    /// Environment variables; those that are no setting are ignored.
    pub environment: Vec<(String, String)>,
    /// `key=value` as given to `--set`.
    pub sets: Vec<String>,
    /// Arguments that have a flag of their own.
    pub arguments: Vec<Argument>,
}

/// A setting that was given by a flag of its own.
#[derive(Clone, Debug)]
pub struct Argument {
    /// The flag, for messages, for example `--port`.
    pub flag: &'static str,
    /// The key it sets, with dots.
    pub key: &'static str,
    /// The text given.
    pub value: String,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Built in.
    Default,
    /// The YAML file.
    File(PathBuf),
    /// An environment variable, by its name.
    Variable(String),
    /// `--set`.
    Set,
    /// A flag of its own, for example `--port`.
    Flag(&'static str),
}

/// Settings as read, with the origin of each value and the problems found so far.
#[derive(Debug)]
pub struct Loaded<R> {
    raw: R,
    given: Vec<Given>,
    problems: Problems,
}

/// A value that was given rather than built in.
#[derive(Clone, Debug)]
struct Given {
    key: String,
    origin: Origin,
}

/// One setting in effect.
#[derive(Clone, Debug, PartialEq)]
pub struct Effective {
    /// The key, with dots.
    pub key: String,
    /// The value; a secret is stars.
    pub value: serde_json::Value,
    /// Where it came from.
    pub origin: Origin,
}

impl Sources {
    /// The environment of this process, and the file if there is one.
    #[must_use]
    pub fn of_process(file: Option<PathBuf>) -> Sources {
        // A variable that is not UTF-8 cannot be one of ours: our names and values are text.
        let text = |it: OsString| it.into_string().ok();
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((text(name)?, text(value)?)))
            .collect();
        Sources {
            file,
            environment,
            ..Sources::default()
        }
    }
}

/// Reads all sources over the defaults. It never fails: what is wrong is kept for [`Loaded::check`].
pub fn load<R>(defaults: &R, aliases: &Aliases, sources: &Sources) -> Loaded<R>
where
    R: Serialize + DeserializeOwned,
{
    layers::load(defaults, aliases, sources)
}

impl<R: Serialize> Loaded<R> {
    /// The values as they are, before any rule was checked.
    #[must_use]
    pub fn raw(&self) -> &R {
        &self.raw
    }

    /// Turns raw values into settings, and reports everything that is wrong, from reading and from checking.
    ///
    /// `check` adds what it finds, and may return `None` only if it added something.
    ///
    /// # Errors
    /// All problems, each with its origin.
    pub fn check<S>(
        &self,
        check: impl FnOnce(&R, &mut Problems) -> Option<S>,
    ) -> Result<S, Problems> {
        let mut problems = self.problems.clone();
        let settings = check(&self.raw, &mut problems);
        problems.set_origins(|key| self.origin(key));
        match settings {
            Some(settings) if problems.is_empty() => Ok(settings),
            Some(_) | None => {
                debug_assert!(!problems.is_empty(), "no settings, and nobody said why");
                Err(problems)
            }
        }
    }

    /// Every setting in effect, in the order of the sections.
    #[must_use]
    pub fn effective(&self) -> Vec<Effective> {
        let mut leaves = Vec::new();
        tree::leaves(&tree::of(&self.raw), &mut String::new(), &mut leaves);
        let effective = leaves.into_iter().map(|(key, value)| Effective {
            origin: self.origin(&key),
            key,
            value,
        });
        effective.collect()
    }

    /// The settings in effect as YAML, secrets masked, with the origin of each value as a comment.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        tree::to_yaml(&tree::of(&self.raw), |key| self.origin(key).to_string())
    }

    /// The origin of a key, of the section it is in, or of anything below it.
    fn origin(&self, key: &str) -> Origin {
        let covers = |given: &str| {
            let below = |long: &str, short: &str| {
                long.strip_prefix(short)
                    .is_some_and(|rest| rest.starts_with('.'))
            };
            given == key || below(key, given) || below(given, key)
        };
        let given = self.given.iter().rev().find(|it| covers(&it.key));
        given.map_or(Origin::Default, |it| it.origin.clone())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File(path) => write!(f, "{}", path.display()),
            Origin::Variable(name) => write!(f, "environment variable {name}"),
            Origin::Set => f.write_str("--set"),
            Origin::Flag(flag) => f.write_str(flag),
        }
    }
}

/// A text that is never shown: not in logs, not by `--print-config`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Secret {
        Secret(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(****)")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if self.0.is_empty() { "" } else { "****" })
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        String::deserialize(deserializer).map(Secret)
    }
}

#[cfg(test)]
mod tests;
