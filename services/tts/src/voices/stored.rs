//! A voice's conditioning as bytes, for the store.
//!
//! ```text
//! "VOXCOND\x01" | rows | hidden | tokens : u32 | prefix f32… | tokens u32… | speaker f32… | mel f32… | SHA-256
//! ```
//!
//! All little-endian. The sum also covers what the bytes are *of*, the pack and the audio, so that a file in the wrong
//! place is as good as a damaged one.
//!
//! Invariants:
//! - Reading allocates no more than the input's size, whatever its header says.
//! - Whatever is not exactly what [`encode`] wrote for this pack and audio reads as `None`: it is made again.

use ndarray::Array2;

use super::digest::Digest;
use crate::models::conditioning::{Conditioning, FRAMES_PER_TOKEN, MEL_BINS, SPEAKER_WIDTH};

const MAGIC: &[u8; 8] = b"VOXCOND\x01";
const SUM_BYTES: usize = 32;

/// Writes a conditioning. `None` if its parts contradict one another.
pub(super) fn encode(conditioning: &Conditioning, pack: &str, audio: &Digest) -> Option<Vec<u8>> {
    let Conditioning {
        prefix,
        prompt_tokens,
        speaker,
        mel,
    } = conditioning;
    let frames = FRAMES_PER_TOKEN * prompt_tokens.len();
    if speaker.len() != SPEAKER_WIDTH || mel.dim() != (frames, MEL_BINS) {
        return None;
    }
    let mut bytes = Vec::with_capacity(weight(conditioning));
    bytes.extend_from_slice(MAGIC);
    for count in [prefix.nrows(), prefix.ncols(), prompt_tokens.len()] {
        bytes.extend_from_slice(&u32::try_from(count).ok()?.to_le_bytes());
    }
    bytes.extend(prefix.iter().flat_map(|it| it.to_le_bytes()));
    for token in prompt_tokens {
        bytes.extend_from_slice(&u32::try_from(*token).ok()?.to_le_bytes());
    }
    bytes.extend(speaker.iter().flat_map(|it| it.to_le_bytes()));
    bytes.extend(mel.iter().flat_map(|it| it.to_le_bytes()));
    let sum = sum(&bytes, pack, audio);
    bytes.extend_from_slice(sum.as_bytes());
    Some(bytes)
}

/// Reads what [`encode`] wrote.
pub(super) fn decode(bytes: &[u8], pack: &str, audio: &Digest) -> Option<Conditioning> {
    let (body, given_sum) = bytes.split_last_chunk::<SUM_BYTES>()?;
    if sum(body, pack, audio).as_bytes() != given_sum {
        return None;
    }
    let mut words = body.strip_prefix(MAGIC)?.chunks_exact(4);
    if !words.remainder().is_empty() {
        return None;
    }
    let mut count = || {
        let word = words.next()?;
        usize::try_from(u32::from_le_bytes(word.try_into().ok()?)).ok()
    };
    let (rows, hidden, n_tokens) = (count()?, count()?, count()?);
    let frames = n_tokens.checked_mul(FRAMES_PER_TOKEN)?;
    let n_prefix = rows.checked_mul(hidden)?;
    let n_mel = frames.checked_mul(MEL_BINS)?;
    let n_words = n_prefix
        .checked_add(n_tokens)?
        .checked_add(SPEAKER_WIDTH)?
        .checked_add(n_mel)?;
    if words.len() != n_words {
        return None;
    }
    // From here on there are as many words as will be taken.
    let mut words = words.filter_map(|it| it.try_into().ok());
    let prefix = words.by_ref().take(n_prefix).map(f32::from_le_bytes);
    let prefix = prefix.collect();
    let tokens = words.by_ref().take(n_tokens).map(u32::from_le_bytes);
    let prompt_tokens = tokens.map(i64::from).collect();
    let speaker = words.by_ref().take(SPEAKER_WIDTH).map(f32::from_le_bytes);
    let speaker = speaker.collect();
    let mel = words.map(f32::from_le_bytes).collect();
    Some(Conditioning {
        prefix: Array2::from_shape_vec((rows, hidden), prefix).ok()?,
        prompt_tokens,
        speaker,
        mel: Array2::from_shape_vec((frames, MEL_BINS), mel).ok()?,
    })
}

/// What a conditioning weighs in memory, near enough, and a little more than it does in the store.
pub(super) fn weight(conditioning: &Conditioning) -> usize {
    const REST: usize = 256;
    let n_floats = conditioning.prefix.len() + conditioning.speaker.len() + conditioning.mel.len();
    4 * n_floats + 8 * conditioning.prompt_tokens.len() + REST
}

fn sum(body: &[u8], pack: &str, audio: &Digest) -> Digest {
    // Neither a pack's id nor a sum holds a zero byte at the place where the other begins.
    Digest::of_bytes(&[pack.as_bytes(), &[0], audio.as_bytes(), body])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn conditioning(rows: usize, hidden: usize, n_tokens: usize) -> Conditioning {
        let value = |idx: usize| (idx as f32).sin();
        Conditioning {
            prefix: Array2::from_shape_fn((rows, hidden), |(a, b)| value(a * 31 + b)),
            prompt_tokens: (0..n_tokens as i64).map(|it| it * 37 % 6_561).collect(),
            speaker: (0..SPEAKER_WIDTH).map(value).collect(),
            mel: Array2::from_shape_fn((2 * n_tokens, MEL_BINS), |(a, b)| value(a + b * 7)),
        }
    }

    fn audio() -> Digest {
        Digest::of_bytes(&[b"audio"])
    }

    #[test]
    fn every_bit_comes_back() {
        for shape in [(33, 64, 250), (1, 1, 0), (0, 0, 1), (34, 1_024, 375)] {
            let mut given = conditioning(shape.0, shape.1, shape.2);
            given.speaker[3] = f32::MIN_POSITIVE / 2.0;
            given.speaker[4] = -0.0;
            let bytes = encode(&given, "pack", &audio()).unwrap();
            assert_eq!(decode(&bytes, "pack", &audio()).unwrap(), given);
            assert!(bytes.len() <= weight(&given) + SUM_BYTES);
        }
    }

    #[test]
    fn no_single_damage_goes_unnoticed() {
        let bytes = encode(&conditioning(2, 3, 1), "pack", &audio()).unwrap();
        for idx in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[idx] ^= 0x10;
            assert_eq!(decode(&damaged, "pack", &audio()), None, "byte {idx}");
            assert_eq!(
                decode(&bytes[..idx], "pack", &audio()),
                None,
                "cut at {idx}"
            );
        }
        let mut longer = bytes;
        longer.push(0);
        assert_eq!(decode(&longer, "pack", &audio()), None);
    }

    #[test]
    fn another_pack_s_or_voice_s_is_not_taken() {
        let bytes = encode(&conditioning(2, 3, 1), "pack", &audio()).unwrap();
        assert_eq!(decode(&bytes, "kcap", &audio()), None);
        assert_eq!(decode(&bytes, "pack", &Digest::of_bytes(&[b"other"])), None);
    }

    #[test]
    fn a_header_that_lies_is_not_believed() {
        // The sum is right, the counts are not: written by something else than `encode`.
        for counts in [[u32::MAX; 3], [1, 1, u32::MAX], [0, 0, 3], [2, 3, 2]] {
            let mut body = MAGIC.to_vec();
            body.extend(counts.iter().flat_map(|it| it.to_le_bytes()));
            body.extend(vec![0; 4 * (6 + 1 + SPEAKER_WIDTH + 2 * MEL_BINS)]);
            let sum = sum(&body, "pack", &audio());
            body.extend_from_slice(sum.as_bytes());
            assert_eq!(decode(&body, "pack", &audio()), None);
        }
    }

    #[test]
    fn what_contradicts_itself_is_not_written() {
        let mut given = conditioning(2, 3, 4);
        given.prompt_tokens.pop();
        assert_eq!(encode(&given, "pack", &audio()), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..4_000)) {
            let _none = decode(&bytes, "pack", &audio());
            let mut signed = MAGIC.to_vec();
            signed.extend(bytes);
            let sum = sum(&signed, "pack", &audio());
            signed.extend_from_slice(sum.as_bytes());
            let _any = decode(&signed, "pack", &audio());
        }
    }
}
