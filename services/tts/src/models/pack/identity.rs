//! A name for what a model computes, made of its files.
//!
//! Weights of gigabytes are not read whole: their length and samples of them are. Two trained models differ everywhere.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::{PackError, PackFiles, Parts, TOKENIZER};
use crate::models::onnx::GraphFile;
use crate::models::onnx::graph::Graph;

/// Files up to here are read whole.
const WHOLE_BYTES: u64 = 16 << 20;
const SAMPLE_BYTES: u64 = 1 << 20;
const N_SAMPLES: u64 = 4;
/// Hex digits of an identity: 64 bits are plenty to tell models apart.
const DIGITS: usize = 16;

/// Of everything, and of what voices are extracted with.
pub(super) fn of(
    files: &PackFiles,
    graphs: &Parts<GraphFile>,
    declared: &Parts<Graph>,
) -> Result<(String, String), PackError> {
    let mut all = Sha256::new();
    all.update(files.need(TOKENIZER, "the tokenizer of the same model")?);
    let mut voice = String::new();
    for (idx, (file, declared)) in graphs.each().into_iter().zip(declared.each()).enumerate() {
        let digest = digest_of(file, declared).map_err(|cause| PackError::Unreadable {
            file: file.to_string(),
            reason: cause.to_string(),
        })?;
        // The first is the speech encoder.
        if idx == 0 {
            voice.clone_from(&digest);
        }
        all.update(digest);
    }
    Ok((hex(&all.finalize()), voice))
}

fn digest_of(file: &GraphFile, declared: &Graph) -> io::Result<String> {
    let mut digest = Sha256::new();
    match file {
        GraphFile::Embedded { bytes, .. } => digest.update(bytes),
        GraphFile::Path(path) => {
            add(path, &mut digest)?;
            for sidecar in &declared.sidecars {
                add(&path.with_file_name(sidecar), &mut digest)?;
            }
        }
    }
    Ok(hex(&digest.finalize()))
}

fn add(path: &Path, digest: &mut Sha256) -> io::Result<()> {
    let mut file = File::open(path)?;
    let n_bytes = file.metadata()?.len();
    if n_bytes <= WHOLE_BYTES {
        return add_all(file, digest);
    }
    digest.update(n_bytes.to_le_bytes());
    for sample in 0..N_SAMPLES {
        let at = (n_bytes - SAMPLE_BYTES) / (N_SAMPLES - 1) * sample;
        file.seek(SeekFrom::Start(at))?;
        add_all((&mut file).take(SAMPLE_BYTES), digest)?;
    }
    Ok(())
}

fn add_all(mut source: impl Read, digest: &mut Sha256) -> io::Result<()> {
    let mut piece = vec![0; 64 << 10];
    loop {
        match source.read(&mut piece)? {
            0 => return Ok(()),
            n_bytes => digest.update(&piece[..n_bytes]),
        }
    }
}

fn hex(digest: &[u8]) -> String {
    let digits = digest.iter().map(|it| format!("{it:02x}"));
    digits.take(DIGITS / 2).collect()
}
