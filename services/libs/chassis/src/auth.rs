//! Who may call: API keys, stored hashed and compared in constant time.
//!
//! Invariants:
//! - Keys exist in memory and on disk only as SHA-256 sums. They are long and random, so a slow hash would buy nothing.
//! - Every stored key is compared, in constant time, whichever matches: time says nothing about which one was near.
//! - A key never appears in a log, an error or a metric; its name may.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

use actix_web::http::header;
use actix_web::{HttpMessage as _, HttpRequest};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};
use wire::error::ErrorCode;

use crate::api_error::Classify;

/// The keys of a file. Its lines are `name:sha256`, in hexadecimal; `#` begins a comment.
pub struct ApiKeys {
    keys: Vec<Key>,
}

struct Key {
    name: String,
    hash: [u8; 32],
}

/// Who calls, by the name of the key. Found in the extensions of a request that was let in with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller(pub String);

/// Why a file of keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file cannot be read.
    #[error("cannot read `{path}`: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: std::io::Error,
    },
    /// A line is not `name:sha256`. The line itself is not shown: it may hold a key.
    #[error(
        "line {line} of `{path}` must be `name:sha256`, with 64 hexadecimal digits; `printf %s KEY | sha256sum` makes them of a key"
    )]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
    },
    /// No line holds a key, so nobody could call.
    #[error(
        "`{path}` holds no key, so nobody could call; leave the setting out to let everyone in"
    )]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// Why a caller is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// No key was given.
    #[error(
        "an API key is needed: send `Authorization: Bearer KEY`, `xi-api-key: KEY` or `?api_key=KEY`"
    )]
    Missing,
    /// The key is not known.
    #[error("this API key is not known")]
    Unknown,
}

impl Classify for AuthError {
    fn code(&self) -> ErrorCode {
        match self {
            AuthError::Missing | AuthError::Unknown => ErrorCode::Unauthorized,
        }
    }
}

/// The sum of a key, as it stands in the file.
#[must_use]
pub fn hash_key(key: &str) -> String {
    let mut text = String::with_capacity(64);
    for byte in sum(key) {
        // Writing to a `String` cannot fail.
        let written = write!(text, "{byte:02x}");
        debug_assert!(written.is_ok());
    }
    text
}

impl ApiKeys {
    /// Reads a file of keys.
    ///
    /// # Errors
    /// If it cannot be read, has a line that is no key, or has no key.
    pub fn read(path: &Path) -> Result<ApiKeys, KeyFileError> {
        let text = std::fs::read_to_string(path).map_err(|reason| KeyFileError::Unreadable {
            path: path.to_owned(),
            reason,
        })?;
        let mut keys = Vec::new();
        for (idx, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let key = parse_line(line).ok_or_else(|| KeyFileError::Malformed {
                path: path.to_owned(),
                line: idx + 1,
            })?;
            keys.push(key);
        }
        if keys.is_empty() {
            return Err(KeyFileError::Empty {
                path: path.to_owned(),
            });
        }
        Ok(ApiKeys { keys })
    }

    /// How many keys there are.
    #[must_use]
    pub fn n_keys(&self) -> usize {
        self.keys.len()
    }

    /// Whose key this is.
    ///
    /// # Errors
    /// [`AuthError::Unknown`] if it is nobody's.
    pub fn check(&self, key: &str) -> Result<Caller, AuthError> {
        let given = sum(key);
        let mut found = Choice::from(0);
        let mut found_idx = 0_u64;
        for (idx, key) in (0_u64..).zip(&self.keys) {
            let same = key.hash.ct_eq(&given);
            found_idx = u64::conditional_select(&found_idx, &idx, same);
            found |= same;
        }
        if !bool::from(found) {
            return Err(AuthError::Unknown);
        }
        let key = usize::try_from(found_idx)
            .ok()
            .and_then(|idx| self.keys.get(idx));
        key.map(|key| Caller(key.name.clone()))
            .ok_or(AuthError::Unknown)
    }

    /// Lets a request in, or not, and notes the [`Caller`] in its extensions.
    ///
    /// # Errors
    /// If it carries no key, or one that is not known.
    pub fn admit(&self, request: &HttpRequest) -> Result<Caller, AuthError> {
        let key = key_of(request).ok_or(AuthError::Missing)?;
        let caller = self.check(&key)?;
        request.extensions_mut().insert(caller.clone());
        Ok(caller)
    }
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.keys.iter().map(|key| &key.name);
        f.debug_list().entries(names).finish()
    }
}

fn sum(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

fn parse_line(line: &str) -> Option<Key> {
    let (name, digits) = line.split_once(':')?;
    let (name, digits) = (name.trim(), digits.trim());
    if name.is_empty() || digits.len() != 64 || !digits.is_ascii() {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).ok()?;
        // `from_str_radix` would take a sign.
        if !pair.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(Key {
        name: name.to_owned(),
        hash,
    })
}

/// The key of a request, from the three places where clients put one.
fn key_of(request: &HttpRequest) -> Option<String> {
    let header = |name| request.headers().get(name)?.to_str().ok();
    let from_authorization = header(header::AUTHORIZATION.as_str()).and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        // `Token` is what Deepgram's clients send.
        let known = scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token");
        known.then(|| key.trim().to_owned())
    });
    from_authorization
        .or_else(|| header("xi-api-key").map(str::to_owned))
        .or_else(|| {
            let query = serde_query(request.query_string());
            query
                .into_iter()
                .find(|(name, _)| name == "api_key")
                .map(|(_, value)| value)
        })
        .filter(|key| !key.is_empty())
}

fn serde_query(query: &str) -> Vec<(String, String)> {
    let pairs = actix_web::web::Query::<Vec<(String, String)>>::from_query(query);
    pairs
        .map(actix_web::web::Query::into_inner)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use actix_web::test::TestRequest;

    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn keys() -> ApiKeys {
        let text = format!(
            "# ours\nann:{}\n\n bob : {} # b\n",
            hash_key("key-a"),
            hash_key("key-b")
        );
        ApiKeys::read(file(&text).path()).unwrap()
    }

    #[test]
    fn each_key_has_its_name() {
        let keys = keys();
        assert_eq!(keys.check("key-a"), Ok(Caller("ann".to_owned())));
        assert_eq!(keys.check("key-b"), Ok(Caller("bob".to_owned())));
        for wrong in ["", "key-", "key-c", "key-a ", "ann"] {
            assert_eq!(keys.check(wrong), Err(AuthError::Unknown), "{wrong}");
        }
    }

    #[test]
    fn the_sum_is_sha_256() {
        // The test vector of FIPS 180-2, appendix B.1.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash_key("abc"), expected);
    }

    #[test]
    fn a_key_may_come_in_four_ways() {
        let keys = keys();
        let requests = [
            TestRequest::default().insert_header(("authorization", "Bearer key-b")),
            TestRequest::default().insert_header(("authorization", "token key-b")),
            TestRequest::default().insert_header(("xi-api-key", "key-b")),
            TestRequest::with_uri("/v1/stream/asr?language=en&api_key=key%2Db"),
        ];
        for request in requests {
            let request = request.to_http_request();
            let caller = keys.admit(&request).unwrap();
            assert_eq!(request.extensions().get::<Caller>(), Some(&caller));
            assert_eq!(caller.0, "bob");
        }
    }

    #[test]
    fn no_key_and_a_wrong_key_are_told_apart() {
        let keys = keys();
        let none = TestRequest::default().to_http_request();
        assert_eq!(keys.admit(&none), Err(AuthError::Missing));
        let basic = TestRequest::default()
            .insert_header(("authorization", "Basic a2V5LWI="))
            .to_http_request();
        assert_eq!(keys.admit(&basic), Err(AuthError::Missing));
        let wrong = TestRequest::with_uri("/?api_key=key-c").to_http_request();
        assert_eq!(keys.admit(&wrong), Err(AuthError::Unknown));
    }

    #[test]
    fn a_bad_line_is_named_and_not_shown() {
        let good = hash_key("a");
        let cases = [
            format!("ann:{good}\nplain-key\n"),
            format!("ann:{good}\nbob:{}\n", &good[1..]),
            format!("ann:{good}\nbob:+{}\n", &good[1..]),
            format!("ann:{good}\n:{good}\n"),
        ];
        for text in cases {
            let message = ApiKeys::read(file(&text).path()).unwrap_err().to_string();
            assert!(message.starts_with("line 2 of"), "{message}");
            assert!(!message.contains("plain-key"), "{message}");
        }
    }

    #[test]
    fn an_empty_or_missing_file_is_refused() {
        let empty = ApiKeys::read(file("# nothing\n").path()).unwrap_err();
        assert!(matches!(empty, KeyFileError::Empty { .. }));
        let missing = ApiKeys::read(Path::new("/nowhere/keys")).unwrap_err();
        assert!(matches!(missing, KeyFileError::Unreadable { .. }));
    }

    #[test]
    fn debug_shows_names_and_no_sums() {
        assert_eq!(format!("{:?}", keys()), r#"["ann", "bob"]"#);
    }
}
