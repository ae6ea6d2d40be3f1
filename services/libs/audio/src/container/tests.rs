use std::fs;
use std::path::Path;

use super::*;

const LIMITS: Limits = Limits {
    max_seconds: 60,
    max_channels: 8,
    min_rate_hz: 1000,
    max_rate_hz: 192_000,
};

fn read(name: &str) -> Option<Vec<u8>> {
    fs::read(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../../tests/fixtures/containers")
            .join(name),
    )
    .ok()
}

fn fixture(name: &str) -> Vec<u8> {
    read(name).expect("the fixture is part of the repository")
}

fn native(bytes: &[u8]) -> Result<Clip, DecodeError> {
    decode(bytes, Target::Source, &LIMITS)
}

fn clip(name: &str) -> Clip {
    native(&fixture(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn snr_db<'a>(got: impl Iterator<Item = &'a f32>, wanted: impl Iterator<Item = &'a f32>) -> f64 {
    let (mut error, mut power) = (1e-12, 0.0);
    for (got, wanted) in got.zip(wanted) {
        error += f64::from(got - wanted).powi(2);
        power += f64::from(*wanted).powi(2);
    }
    10.0 * (power / error).log10()
}

/// A WAV file around `data`, whatever that is.
fn wav(tag: u16, n_channels: u16, rate_hz: u32, bits: u16, data: &[u8]) -> Vec<u8> {
    let n_data = u32::try_from(data.len()).unwrap();
    let frame_bytes = n_channels.wrapping_mul(bits / 8);
    [
        b"RIFF".as_slice(),
        &(n_data + 36).to_le_bytes(),
        b"WAVEfmt \x10\0\0\0",
        &tag.to_le_bytes(),
        &n_channels.to_le_bytes(),
        &rate_hz.to_le_bytes(),
        &rate_hz.wrapping_mul(u32::from(frame_bytes)).to_le_bytes(),
        &frame_bytes.to_le_bytes(),
        &bits.to_le_bytes(),
        b"data",
        &n_data.to_le_bytes(),
        data,
    ]
    .concat()
}

#[test]
fn every_container_is_read_to_its_last_sample() {
    for (name, container, codec, rate_hz, n_channels, n_samples) in [
        ("reference.wav", "wav", "pcm_s16le", 16_000, 1, 12_800),
        ("u8.wav", "wav", "pcm_u8", 16_000, 1, 4000),
        ("s24.wav", "wav", "pcm_s24le", 16_000, 1, 1600),
        ("s32.wav", "wav", "pcm_s32le", 16_000, 1, 1600),
        ("f32.wav", "wav", "pcm_f32le", 16_000, 1, 1600),
        ("f64.wav", "wav", "pcm_f64le", 16_000, 1, 1600),
        ("mulaw.wav", "wav", "mulaw", 8_000, 1, 6400),
        ("alaw.wav", "wav", "alaw", 8_000, 1, 6400),
        ("adpcm_ima.wav", "wav", "adpcm_ima", 16_000, 1, 14_287),
        ("adpcm_ms.wav", "wav", "adpcm_ms", 16_000, 1, 14_252),
        ("stereo.wav", "wav", "pcm_s16le", 16_000, 2, 1600),
        ("surround.wav", "wav", "pcm_s24le", 16_000, 6, 800),
        ("s16.aiff", "aiff", "pcm_s16be", 16_000, 1, 4000),
        ("s16.caf", "caf", "pcm_s16le", 16_000, 1, 4000),
        ("alac.caf", "caf", "alac", 16_000, 1, 4000),
        ("mono.flac", "flac", "flac", 16_000, 1, 12_800),
        ("stereo_44100.flac", "flac", "flac", 44_100, 2, 11_025),
        ("mono.mp3", "mp3", "mp3", 16_000, 1, 12_800),
        ("stereo_44100.mp3", "mp3", "mp3", 44_100, 2, 35_280),
        ("vorbis.ogg", "ogg", "vorbis", 16_000, 1, 12_800),
        ("flac.ogg", "ogg", "flac", 16_000, 1, 4000),
        ("opus.ogg", "ogg", "opus", 48_000, 1, 38_400),
        ("opus_stereo.ogg", "ogg", "opus", 48_000, 2, 38_400),
        ("opus_surround.ogg", "ogg", "opus", 48_000, 6, 12_000),
        ("opus.webm", "matroska", "opus", 48_000, 1, 38_400),
        ("opus_live.webm", "matroska", "opus", 48_000, 1, 38_400),
        ("vorbis.webm", "matroska", "vorbis", 16_000, 1, 13_184),
        ("aac.m4a", "mp4", "aac", 16_000, 1, 13_312),
        ("aac_fragmented.mp4", "mp4", "aac", 16_000, 1, 14_336),
        ("alac.m4a", "mp4", "alac", 16_000, 1, 4000),
        ("opus.mp4", "mp4", "opus", 48_000, 1, 39_048),
        ("aac.aac", "adts", "aac", 16_000, 1, 14_336),
    ] {
        let clip = clip(name);
        let rate = SampleRate::new(rate_hz).unwrap();
        assert_eq!(
            clip.source,
            Source {
                container,
                codec,
                rate,
                n_channels
            },
            "{name}"
        );
        assert_eq!(
            (clip.samples.len(), clip.rate, clip.incomplete),
            (n_samples, rate, None),
            "{name}"
        );
    }
}

#[test]
fn lossless_files_are_the_reference_bit_for_bit() {
    let reference = clip("reference.wav").samples;
    for name in [
        "s24.wav",
        "s32.wav",
        "f32.wav",
        "f64.wav",
        "stereo.wav",
        "surround.wav",
        "s16.aiff",
        "s16.caf",
        "alac.caf",
        "mono.flac",
        "flac.ogg",
        "alac.m4a",
    ] {
        let samples = clip(name).samples;
        assert!(samples == reference[..samples.len()], "{name}");
    }
}

#[test]
fn lossy_files_sound_as_ffmpeg_says() {
    for name in [
        "mono.mp3",
        "stereo_44100.mp3",
        "vorbis.ogg",
        "opus.ogg",
        "opus_stereo.ogg",
        "opus_surround.ogg",
        "opus.webm",
        "opus_live.webm",
        "vorbis.webm",
        "aac.m4a",
        "aac_fragmented.mp4",
        "aac.aac",
        "adpcm_ima.wav",
        "adpcm_ms.wav",
    ] {
        let (got, golden) = (clip(name).samples, fixture(&format!("{name}.s16")));
        let (length, golden) = golden.split_first_chunk::<4>().unwrap();
        // This ffmpeg plays the padding of Ogg Vorbis, which the file marks as such.
        if name != "vorbis.ogg" {
            assert_eq!(
                u32::from_le_bytes(*length),
                u32::try_from(got.len()).unwrap(),
                "{name}"
            );
        }
        let golden: Vec<f32> = golden
            .chunks_exact(2)
            .map(|pair| f32::from(i16::from_le_bytes([pair[0], pair[1]])) / 32_768.0)
            .collect();
        let snr_db = snr_db(got.iter().step_by(16), golden.iter());
        // The surround file is quiet once it is mixed, and the golden samples have 16 bits.
        let limit_db = if name == "opus_surround.ogg" {
            40.0
        } else {
            70.0
        };
        assert!(snr_db > limit_db, "{name}: {snr_db:.1} dB");
    }
}

#[test]
fn opus_in_mp4_starts_where_it_starts_in_ogg() {
    // The same packets, so the same samples; ffmpeg itself is 208 samples off here.
    let (ogg, mp4) = (clip("opus.ogg").samples, clip("opus.mp4").samples);
    assert!(mp4[..ogg.len()] == ogg);
}

#[test]
fn clips_come_at_the_rate_that_is_wanted() {
    let reference = clip("reference.wav").samples;
    for (name, n_samples, limit_db) in [
        ("stereo_44100.flac", 4000, 25.0),
        ("opus.ogg", 12_800, 5.0),
        ("mulaw.wav", 12_800, 10.0),
        ("mono.flac", 12_800, 100.0),
    ] {
        let clip = decode(&fixture(name), Target::Rate(SampleRate::HZ_16000), &LIMITS).unwrap();
        assert_eq!(
            (clip.samples.len(), clip.rate),
            (n_samples, SampleRate::HZ_16000),
            "{name}"
        );
        // What telephones and 16 kbit/s leave of speech differs, but a shift by one sample would differ more.
        let snr_db = snr_db(clip.samples.iter(), reference.iter());
        assert!(snr_db > limit_db, "{name}: {snr_db:.1} dB");
    }
}

#[test]
fn what_is_not_audio_is_said_to_be_not_audio() {
    assert_eq!(native(&[]), Err(DecodeError::Empty));
    for bytes in [
        b"hello, this is no audio".as_slice(),
        &[0; 5000],
        b"%PDF-1.7",
        b"<html>",
        &[0xFF; 300],
        b"R",
        b"OggX",
    ] {
        assert_eq!(native(bytes), Err(DecodeError::NotAudio));
    }
}

#[test]
fn absurd_rates_and_channels_are_refused_with_their_limits() {
    for given_hz in [0, 1, 999, 192_001, 1_000_000, u32::MAX] {
        let error = native(&wav(1, 1, given_hz, 16, &[0; 100])).unwrap_err();
        assert_eq!(
            error,
            DecodeError::Rate {
                given_hz,
                min_hz: 1000,
                max_hz: 192_000
            }
        );
    }
    for given in [0, 9, 65_535] {
        let error = native(&wav(1, given, 16_000, 16, &[0; 100])).unwrap_err();
        assert_eq!(
            error,
            DecodeError::Channels {
                given: u32::from(given),
                limit: 8
            }
        );
    }
    let strict = Limits {
        max_channels: 1,
        ..LIMITS
    };
    let error = decode(&fixture("opus_stereo.ogg"), Target::Source, &strict).unwrap_err();
    assert_eq!(error, DecodeError::Channels { given: 2, limit: 1 });
}

#[test]
fn too_long_is_too_long_to_the_sample() {
    let strict = Limits {
        max_seconds: 1,
        ..LIMITS
    };
    let just = wav(1, 1, 8000, 16, &[0; 16_000]);
    assert_eq!(
        decode(&just, Target::Source, &strict)
            .unwrap()
            .samples
            .len(),
        8000
    );
    let over = wav(1, 1, 8000, 16, &[0; 16_002]);
    assert_eq!(
        decode(&over, Target::Source, &strict),
        Err(DecodeError::TooLong { limit_s: 1 })
    );
    let strict = Limits {
        max_seconds: 0,
        ..LIMITS
    };
    for name in [
        "mono.flac",
        "mono.mp3",
        "opus.ogg",
        "aac.m4a",
        "vorbis.webm",
    ] {
        assert_eq!(
            decode(&fixture(name), Target::Source, &strict),
            Err(DecodeError::TooLong { limit_s: 0 }),
            "{name}"
        );
    }
}

#[test]
fn what_an_edit_list_skips_counts_as_far_as_the_limit() {
    let mut skips_all = fixture("aac.m4a");
    let list = skips_all
        .windows(4)
        .position(|name| name == b"elst")
        .unwrap();
    skips_all[list + 16..list + 20].copy_from_slice(&i32::MAX.to_be_bytes());
    let decoded = |max_seconds| {
        let limits = Limits {
            max_seconds,
            ..LIMITS
        };
        decode(&skips_all, Target::Source, &limits)
    };
    assert_eq!(decoded(0), Err(DecodeError::TooLong { limit_s: 0 }));
    let container = "mp4";
    assert_eq!(decoded(20), Err(DecodeError::NoSamples { container }));
}

#[test]
fn headers_that_claim_too_much_are_believed_as_far_as_there_are_bytes() {
    let mut lying = wav(1, 1, 16_000, 16, &[1; 2000]);
    lying[40..44].copy_from_slice(&1_000_000_u32.to_le_bytes());
    let clip = native(&lying).unwrap();
    let incomplete = Incomplete {
        claimed: Some(Samples(500_000)),
        found: Samples(1000),
    };
    assert_eq!(
        (clip.samples.len(), clip.incomplete),
        (1000, Some(incomplete))
    );
}

#[test]
fn lengths_that_a_streaming_writer_left_open_are_no_lies() {
    for (riff, data) in [
        (u32::MAX, u32::MAX),
        (0, 0),
        (0x7FFF_FFFF, 0x7FFF_FFDB),
        (u32::MAX, 0),
        (36, 0),
    ] {
        let mut open = wav(1, 1, 16_000, 16, &[1; 2000]);
        open[4..8].copy_from_slice(&riff.to_le_bytes());
        open[40..44].copy_from_slice(&data.to_le_bytes());
        let clip = native(&open).unwrap();
        assert_eq!(
            (clip.samples.len(), clip.incomplete),
            (1000, None),
            "{riff:#x} {data:#x}"
        );
    }
}

#[test]
fn files_without_samples_say_so() {
    let container = "wav";
    assert_eq!(
        native(&wav(1, 1, 16_000, 16, &[])),
        Err(DecodeError::NoSamples { container })
    );
    for n_bytes in [12, 20, 30, 43] {
        let cut = &wav(1, 1, 16_000, 16, &[0; 100])[..n_bytes];
        assert_eq!(
            native(cut),
            Err(DecodeError::Truncated { container }),
            "{n_bytes} bytes"
        );
    }
    assert_eq!(
        native(&wav(1, 1, 16_000, 16, &[0])),
        Err(DecodeError::Truncated { container })
    );
    let empty_flac = [
        b"fLaC\x80\0\0\x22\x10\0\x10\0\0\0\0\0\0\0\x03\xE8\0\xF0\0\0\0\0".as_slice(),
        &[0; 16],
    ]
    .concat();
    let error = native(&empty_flac).unwrap_err();
    assert!(
        matches!(
            error,
            DecodeError::NoSamples { .. } | DecodeError::Truncated { .. }
        ),
        "{error:?}"
    );
}

#[test]
fn half_a_frame_at_the_end_is_noticed() {
    let clip = native(&wav(1, 2, 16_000, 16, &[0; 4001])).unwrap();
    assert_eq!(
        (clip.samples.len(), clip.incomplete),
        (
            1000,
            Some(Incomplete {
                claimed: None,
                found: Samples(1000)
            })
        )
    );
}

#[test]
fn codecs_that_we_lack_are_named() {
    let error = native(&wav(0x55, 1, 16_000, 0, &[0; 100])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the wav file holds `WAVE format 0x0055 with 0 bits`, which we cannot decode"
    );
    let error = native(&wav(1, 1, 16_000, 48, &[0; 100])).unwrap_err();
    assert!(
        matches!(error, DecodeError::UnsupportedCodec { .. }),
        "{error:?}"
    );
}

#[test]
fn samples_that_are_no_numbers_are_refused_with_their_place() {
    for nonsense in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut samples = vec![0.25_f32; 16_000];
        samples[8000] = nonsense;
        let data: Vec<u8> = samples
            .iter()
            .flat_map(|sample| sample.to_le_bytes())
            .collect();
        assert_eq!(
            native(&wav(3, 1, 16_000, 32, &data)),
            Err(DecodeError::NotFinite { at_s: 0.5 })
        );
    }
    let data: Vec<u8> = [0.5, f64::NAN]
        .iter()
        .flat_map(|sample| sample.to_le_bytes())
        .collect();
    assert!(matches!(
        native(&wav(3, 1, 16_000, 64, &data)),
        Err(DecodeError::NotFinite { .. })
    ));
}

#[test]
fn louder_than_full_scale_is_clipped() {
    let data: Vec<u8> = [2.0_f32, -3e38, 0.5]
        .iter()
        .flat_map(|sample| sample.to_le_bytes())
        .collect();
    assert_eq!(
        native(&wav(3, 1, 16_000, 32, &data)).unwrap().samples,
        [1.0, -1.0, 0.5]
    );
}

#[test]
fn other_chunks_are_stepped_over() {
    let plain = wav(1, 1, 16_000, 16, &[9; 100]);
    let (head, tail) = plain.split_at(36);
    let listed = [head, b"LIST\x05\0\0\0abcde\0", tail, b"junk\x04\0\0\0abcd"].concat();
    assert_eq!(native(&listed).unwrap(), native(&plain).unwrap());
    let big = [
        b"RF64\xFF\xFF\xFF\xFF".as_slice(),
        &plain[8..36],
        b"data\xFF\xFF\xFF\xFF",
        &[9; 100],
    ]
    .concat();
    assert_eq!(native(&big).unwrap(), native(&plain).unwrap());
}

#[test]
fn half_of_a_file_gives_half_of_its_audio() {
    for (name, at_least) in [
        ("reference.wav", 6000),
        ("mono.flac", 3000),
        ("mono.mp3", 4000),
        ("aac.aac", 5000),
        ("opus.webm", 12_000),
        ("opus_live.webm", 12_000),
        ("aac_fragmented.mp4", 4000),
        ("adpcm_ima.wav", 6000),
    ] {
        let bytes = fixture(name);
        let clip =
            native(&bytes[..bytes.len() / 2]).unwrap_or_else(|error| panic!("{name}: {error}"));
        let incomplete = clip
            .incomplete
            .unwrap_or_else(|| panic!("{name} seems whole"));
        assert_eq!(incomplete.found, Samples::of(&clip.samples), "{name}");
        assert!(
            incomplete
                .claimed
                .is_none_or(|claimed| claimed > incomplete.found),
            "{name}"
        );
        assert!(
            clip.samples.len() >= at_least,
            "{name}: {}",
            clip.samples.len()
        );
    }
    for name in [
        "aac.m4a",
        "opus.mp4",
        "s16.aiff",
        "s16.caf",
        "opus.ogg",
        "vorbis.ogg",
    ] {
        let bytes = fixture(name);
        let error = native(&bytes[..bytes.len() / 2]).unwrap_err();
        assert!(
            matches!(error, DecodeError::Truncated { .. }),
            "{name}: {error:?}"
        );
    }
}

#[test]
fn tags_before_and_after_do_not_matter() {
    let plain = fixture("mono.mp3");
    let tagged = [
        b"ID3\x04\0\0\0\0\x02\0".as_slice(),
        &[0; 256],
        &plain,
        b"TAG",
        &[0; 125],
    ]
    .concat();
    assert_eq!(native(&tagged).unwrap(), native(&plain).unwrap());
}

#[test]
fn raw_audio_is_what_it_is_declared_to_be() {
    let format = RawFormat {
        encoding: Encoding::PcmS16le,
        rate: SampleRate::HZ_8000,
        n_channels: 2,
    };
    let clip = decode_raw(
        &[0, 64, 0, 0, 0, 32, 0, 32, 7],
        format,
        Target::Source,
        &LIMITS,
    )
    .unwrap();
    assert_eq!(clip.samples, [0.25, 0.25]);
    assert_eq!(
        (
            clip.source.container,
            clip.source.codec,
            clip.incomplete.is_some()
        ),
        ("raw", "pcm_s16le", true)
    );
    let mulaw = RawFormat {
        encoding: Encoding::Mulaw,
        n_channels: 1,
        ..format
    };
    let clip = decode_raw(
        &[0xFF; 800],
        mulaw,
        Target::Rate(SampleRate::HZ_16000),
        &LIMITS,
    )
    .unwrap();
    assert_eq!(clip.samples, vec![0.0; 1600]);
    assert_eq!(
        decode_raw(&[], format, Target::Source, &LIMITS),
        Err(DecodeError::Empty)
    );
    let none = RawFormat {
        n_channels: 0,
        ..format
    };
    assert_eq!(
        decode_raw(&[1], none, Target::Source, &LIMITS),
        Err(DecodeError::Channels { given: 0, limit: 8 })
    );
}

#[test]
fn he_aac_is_decoded_as_the_plain_aac_in_it() {
    // The same file with its codec declared to be HE-AAC at 32 kHz: object type 5 and plain AAC at 16 kHz inside.
    let plain = fixture("aac.m4a");
    let place = |name: &[u8]| {
        plain
            .windows(name.len())
            .position(|window| window == name)
            .unwrap()
    };
    let config = place(&[0x05, 0x80, 0x80, 0x80, 0x05, 0x14, 0x08, 0x56, 0xE5, 0x00]);
    let mut he = plain.clone();
    // Explicit signalling fits into the five bytes that compatible signalling took.
    he[config + 5..config + 10].copy_from_slice(&[0x2C, 0x0A, 0x88, 0x00, 0x00]);
    let (he, plain) = (native(&he).unwrap(), native(&plain).unwrap());
    assert!(he.samples == plain.samples);
    assert_eq!(he.source, plain.source);
}
