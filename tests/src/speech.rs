//! The recordings of `fixtures/speech`, and sound made up on the spot.

use std::path::{Path, PathBuf};

/// What the built-in model reads word for word, and what it reads.
pub const READ_WELL: [(&str, &str); 6] = [
    ("held_espeak_086.wav", "They want to fix the book."),
    ("held_espeak_084.wav", "He is 25 years old."),
    ("held_ked_112.wav", "My name is Grace."),
    ("held_ked_136.wav", "I need to change my problem."),
    ("held_slt_hts_110.wav", "Don't forget the sugar."),
    ("seen_flite_014.wav", "How many trains do you have?"),
];

/// Where a recording is.
pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/speech")
        .join(name)
}

/// The bytes of a recording's file.
pub fn file(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).unwrap()
}

/// The samples of a recording: 16 kHz, mono, signed 16-bit.
pub fn samples(name: &str) -> Vec<i16> {
    let file = file(name);
    // The files are made by one tool: a header, one `data` chunk.
    let data = file.windows(4).position(|it| it == b"data").unwrap() + 8;
    file[data..]
        .chunks_exact(2)
        .map(|it| i16::from_le_bytes([it[0], it[1]]))
        .collect()
}

/// Samples as they go over the wire.
pub fn bytes(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|it| it.to_le_bytes()).collect()
}

/// Silence.
pub fn silence(seconds: f64) -> Vec<i16> {
    vec![0; n_samples(seconds)]
}

/// A hum that the scripted detector takes for speech.
pub fn hum(seconds: f64) -> Vec<i16> {
    (0..n_samples(seconds))
        .map(|it| if it / 40 % 2 == 0 { 8_000 } else { -8_000 })
        .collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "lengths of test sounds"
)]
fn n_samples(seconds: f64) -> usize {
    (seconds * 16_000.0).round() as usize
}

/// A WAV file around samples.
pub fn wav(samples: &[i16], rate_hz: u32) -> Vec<u8> {
    let data = bytes(samples);
    let n = u32::try_from(data.len()).unwrap();
    let mut file = b"RIFF".to_vec();
    file.extend((36 + n).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16_u32.to_le_bytes());
    file.extend(1_u16.to_le_bytes());
    file.extend(1_u16.to_le_bytes());
    file.extend(rate_hz.to_le_bytes());
    file.extend((rate_hz * 2).to_le_bytes());
    file.extend(2_u16.to_le_bytes());
    file.extend(16_u16.to_le_bytes());
    file.extend(b"data");
    file.extend(n.to_le_bytes());
    file.extend(data);
    file
}
