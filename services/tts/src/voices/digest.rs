//! The name of audio by its content: SHA-256 of its samples.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// SHA-256, written in 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// Of samples, each as a little-endian `f32`.
    pub fn of_samples(samples: &[f32]) -> Digest {
        let mut sum = Sha256::new();
        let mut bytes = Vec::with_capacity(4 * BLOCK);
        for block in samples.chunks(BLOCK) {
            bytes.clear();
            bytes.extend(block.iter().flat_map(|it| it.to_le_bytes()));
            sum.update(&bytes);
        }
        Digest(sum.finalize().into())
    }

    /// Of several byte strings, one after the other.
    pub fn of_bytes(parts: &[&[u8]]) -> Digest {
        let mut sum = Sha256::new();
        for part in parts {
            sum.update(part);
        }
        Digest(sum.finalize().into())
    }

    /// The sum itself.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Samples hashed at a time.
const BLOCK: usize = 4_096;

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a digest must have 64 lower-case hexadecimal digits")]
pub struct NotADigest;

impl TryFrom<String> for Digest {
    type Error = NotADigest;

    fn try_from(text: String) -> Result<Digest, NotADigest> {
        let digit = |it: u8| match it {
            b'0'..=b'9' => Ok(it - b'0'),
            b'a'..=b'f' => Ok(it - b'a' + 10),
            _ => Err(NotADigest),
        };
        let mut sum = [0; 32];
        if text.len() != 2 * sum.len() {
            return Err(NotADigest);
        }
        for (byte, pair) in sum.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = 16 * digit(pair[0])? + digit(pair[1])?;
        }
        Ok(Digest(sum))
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_survives_being_written() {
        let digest = Digest::of_bytes(&[b"ab", b"c"]);
        assert_eq!(
            digest.to_string(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(Digest::try_from(digest.to_string()), Ok(digest));
    }

    #[test]
    fn samples_are_hashed_as_their_bytes() {
        let samples: Vec<f32> = (0..10_000).map(|it| it as f32 / 7.0).collect();
        let bytes: Vec<u8> = samples.iter().flat_map(|it| it.to_le_bytes()).collect();
        assert_eq!(Digest::of_samples(&samples), Digest::of_bytes(&[&bytes]));
    }

    #[test]
    fn nothing_else_is_a_digest() {
        let good = Digest::of_bytes(&[]).to_string();
        for text in [
            String::new(),
            good[1..].to_owned(),
            good.to_uppercase(),
            format!("../{}", &good[3..]),
            format!("{}é", &good[2..]),
        ] {
            assert_eq!(Digest::try_from(text), Err(NotADigest));
        }
    }
}
