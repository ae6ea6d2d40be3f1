//! Recordings with their texts, and where in them somebody speaks.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

/// Everything is sent at this rate.
pub(crate) const RATE: u32 = 16_000;

/// Speech is looked for in steps of 10 ms.
const STEP: usize = 160;

/// A step this far below the loudest one is a pause. The clips are clean, so the exact value hardly
/// moves the ends of speech: between -30 and -40 dB they differ by less than 30 ms.
const FLOOR_DB: f64 = -35.0;

/// One recording.
#[derive(Debug)]
pub(crate) struct Clip {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) samples: Vec<i16>,
    /// From the first to just after the last voiced sample.
    pub(crate) voiced: Range<usize>,
    /// The file as it is, for uploads.
    pub(crate) file: Vec<u8>,
}

/// Reads the recordings named in `expected.json` of a directory; only those in `only`, if any are given.
pub(crate) fn load(directory: &Path, only: &[String]) -> Result<Vec<Clip>> {
    let list = directory.join("expected.json");
    let texts =
        fs::read_to_string(&list).with_context(|| format!("cannot read {}", list.display()))?;
    let texts: BTreeMap<String, serde_json::Value> = serde_json::from_str(&texts)
        .with_context(|| format!("{} is not a JSON object", list.display()))?;
    let mut clips = Vec::new();
    for (file, text) in &texts {
        let name = file.trim_end_matches(".wav");
        if !only.is_empty()
            && !only
                .iter()
                .any(|wanted| wanted.trim_end_matches(".wav") == name)
        {
            continue;
        }
        let Some(text) = text.as_str().or_else(|| text.get("text")?.as_str()) else {
            bail!("{}: `{file}` has no text", list.display());
        };
        clips.push(read(&directory.join(file), name, text)?);
    }
    ensure!(
        !clips.is_empty(),
        "no recordings to play. Looked in {} for {only:?}",
        list.display()
    );
    Ok(clips)
}

fn read(path: &Path, name: &str, text: &str) -> Result<Clip> {
    let file = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut wav = hound::WavReader::new(file.as_slice())
        .with_context(|| format!("{} is not a WAV file", path.display()))?;
    let spec = wav.spec();
    ensure!(
        spec.channels == 1 && spec.sample_rate == RATE && spec.bits_per_sample == 16,
        "{} must be mono, {RATE} Hz, 16 bit. Given: {spec:?}",
        path.display()
    );
    let samples = wav.samples::<i16>().collect::<Result<Vec<_>, _>>()?;
    let Some(voiced) = voiced(&samples) else {
        bail!("{} holds nothing but silence", path.display());
    };
    Ok(Clip {
        name: name.to_owned(),
        text: text.to_owned(),
        samples,
        voiced,
        file,
    })
}

fn voiced(samples: &[i16]) -> Option<Range<usize>> {
    let energy: Vec<f64> = samples
        .chunks(STEP)
        .map(|step| {
            step.iter()
                .map(|&sample| f64::from(sample).powi(2))
                .sum::<f64>()
                / step.len() as f64
        })
        .collect();
    let loudest = energy.iter().copied().fold(0.0, f64::max);
    if loudest <= 0.0 {
        return None;
    }
    let floor = loudest * 10f64.powf(FLOOR_DB / 10.0);
    let first = energy.iter().position(|&step| step >= floor)?;
    let last = energy.iter().rposition(|&step| step >= floor)?;
    Some(first * STEP..((last + 1) * STEP).min(samples.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speech_is_found_between_the_silences() {
        let mut samples = vec![3i16; 1600];
        samples.extend((0..3200).map(|n| if n % 2 == 0 { 9000 } else { -9000 }));
        samples.extend(vec![-2i16; 1000]);
        assert_eq!(voiced(&samples), Some(1600..4800));
    }

    #[test]
    fn silence_has_no_speech() {
        assert_eq!(voiced(&[0; 5000]), None);
        assert_eq!(voiced(&[]), None);
    }
}
