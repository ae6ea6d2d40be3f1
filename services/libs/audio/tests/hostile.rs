//! Bytes that nobody would send by accident. The decoders may refuse them in any way but these: panicking, going on for ever,
//! and taking more memory than the limits allow.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use audio::container::{self, Limits, Target};
use audio::ogg_opus::OggOpusDecoder;

const LIMITS: Limits = Limits {
    max_seconds: 20,
    max_channels: 8,
    min_rate_hz: 1000,
    max_rate_hz: 192_000,
};
/// What the largest clip within `LIMITS` takes, decoders and a loaded machine's slack included.
const MEMORY_BOUND_KB: u64 = 300_000;
/// One file; they take milliseconds.
const TIME_BOUND: Duration = Duration::from_secs(20);

fn fixtures() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/fixtures/containers");
    let is_audio = |path: &PathBuf| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        extension.is_some_and(|extension| !["md", "sh", "s16"].contains(&extension))
    };
    let paths = fs::read_dir(folder)
        .expect("the fixtures are part of the repository")
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = paths
        .filter(is_audio)
        .map(|path| {
            (
                path.file_name().unwrap().to_string_lossy().into_owned(),
                fs::read(path).unwrap(),
            )
        })
        .collect();
    files.sort();
    assert!(files.len() > 25, "only {} fixtures were found", files.len());
    files
}

fn decode(what: &str, bytes: &[u8]) {
    let started = Instant::now();
    if let Ok(clip) = container::decode(bytes, Target::Source, &LIMITS) {
        assert!(!clip.samples.is_empty(), "{what}: a clip of nothing");
        assert!(
            clip.samples
                .iter()
                .all(|sample| (-1.0..=1.0).contains(sample)),
            "{what}: out of range"
        );
        let seconds = clip.samples.len() as u64 / u64::from(clip.rate.hz());
        assert!(
            seconds <= u64::from(LIMITS.max_seconds),
            "{what}: longer than allowed"
        );
    }
    assert!(
        started.elapsed() < TIME_BOUND,
        "{what} took {:?}",
        started.elapsed()
    );
}

fn assert_memory_is_bounded() {
    let Ok(status) = fs::read_to_string("/proc/self/status") else {
        return;
    };
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("Linux says so");
    let kilobytes: u64 = peak
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .expect("a number of kilobytes");
    assert!(kilobytes < MEMORY_BOUND_KB, "peaked at {kilobytes} kB");
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    fn byte(&mut self) -> u8 {
        // Lengths and counts are most interesting at their ends.
        match self.below(4) {
            0 => 0xFF,
            1 => 0,
            _ => u8::try_from(self.below(256)).unwrap(),
        }
    }
}

#[test]
fn files_cut_anywhere() {
    for (name, bytes) in fixtures() {
        // Headers at every byte, the rest in strides that are prime to everything.
        let cuts =
            (0..bytes.len()).filter(|&cut| cut < 700 || cut % 97 == 0 || cut + 40 > bytes.len());
        for cut in cuts {
            decode(&format!("{name} cut at {cut}"), &bytes[..cut]);
        }
    }
    assert_memory_is_bounded();
}

#[test]
fn headers_with_wrong_bytes() {
    let mut random = Random(1);
    for (name, bytes) in fixtures() {
        for round in 0..250 {
            let mut hurt = bytes.clone();
            let reach = bytes.len().min(if round % 2 == 0 { 120 } else { 1000 });
            for _ in 0..=random.below(4) {
                hurt[random.below(reach)] = random.byte();
            }
            decode(&format!("{name}, round {round}"), &hurt);
        }
    }
    assert_memory_is_bounded();
}

#[test]
fn bodies_with_wrong_bytes() {
    let mut random = Random(2);
    for (name, bytes) in fixtures() {
        for round in 0..80 {
            let mut hurt = bytes.clone();
            for _ in 0..=random.below(bytes.len() / 50 + 1) {
                let at = random.below(bytes.len());
                hurt[at] = random.byte();
            }
            if random.below(3) == 0 {
                let (from, to) = (random.below(bytes.len()), random.below(bytes.len()));
                let moved = hurt[from.min(to)..from.max(to)].to_vec();
                let at = random.below(hurt.len());
                hurt.splice(at..at, moved);
            }
            decode(&format!("{name}, round {round}"), &hurt);
        }
    }
    assert_memory_is_bounded();
}

#[test]
fn noise_behind_every_magic() {
    let mut random = Random(3);
    let magics: [&[u8]; 9] = [
        b"RIFF\0\0\0\0WAVE",
        b"FORM\0\0\0\0AIFF",
        b"caff\0\x01\0\0",
        b"fLaC",
        b"OggS",
        &[0x1A, 0x45, 0xDF, 0xA3],
        b"\0\0\0\x18ftypM4A ",
        &[0xFF, 0xFB, 0x90, 0x00],
        &[0xFF, 0xF1, 0x50, 0x80],
    ];
    for magic in magics {
        for round in 0..60 {
            let mut bytes = magic.to_vec();
            bytes.extend((0..random.below(3000)).map(|_| random.byte()));
            decode(&format!("{magic:?}, round {round}"), &bytes);
        }
    }
    assert_memory_is_bounded();
}

#[test]
fn live_opus_with_wrong_bytes() {
    let mut random = Random(4);
    let streams = fixtures()
        .into_iter()
        .filter(|(name, _)| name.starts_with("opus") && name.ends_with(".ogg"));
    for (name, bytes) in streams {
        for round in 0..300 {
            let mut hurt = bytes.clone();
            for _ in 0..=random.below(6) {
                let at = random.below(bytes.len());
                hurt[at] = random.byte();
            }
            let mut decoder = OggOpusDecoder::new();
            let (mut out, mut rest) = (Vec::new(), hurt.as_slice());
            while !rest.is_empty() {
                let piece = &rest[..rest.len().min(1 + random.below(700))];
                let Ok(pushed) = decoder.push(piece, &mut out) else {
                    break;
                };
                assert!(decoder.pending_bytes() <= 65_307, "{name}, round {round}");
                rest = &rest[pushed.n_bytes..];
            }
            assert!(
                out.iter().all(|sample| (-1.0..=1.0).contains(sample)),
                "{name}, round {round}"
            );
        }
    }
}

#[test]
fn live_opus_is_the_same_however_it_is_cut() {
    for (name, bytes) in fixtures()
        .into_iter()
        .filter(|(name, _)| name.starts_with("opus") && name.ends_with(".ogg"))
    {
        let mut whole = Vec::new();
        let mut decoder = OggOpusDecoder::new();
        assert_eq!(
            decoder.push(&bytes, &mut whole).unwrap().n_bytes,
            bytes.len()
        );
        assert!(decoder.has_ended());
        for n_piece in [1, 160, 441, 4096] {
            let mut decoder = OggOpusDecoder::new();
            let mut out = Vec::new();
            for piece in bytes.chunks(n_piece) {
                assert_eq!(decoder.push(piece, &mut out).unwrap().n_bytes, piece.len());
            }
            assert!(out == whole, "{name} in pieces of {n_piece}");
        }
    }
}
