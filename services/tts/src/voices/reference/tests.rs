use proptest::prelude::*;

use super::super::tests::sounds::{mixed, noise, silence, tone, voice};
use super::*;

const RULES: Rules = Rules {
    min: Samples(24_000),
    max_seconds: 30,
    keep: Samples(15 * 24_000),
    check_speech: true,
};

fn wav(samples: &[f32]) -> Upload {
    Upload::File(wav::file(samples, Encoding::PcmF32le, RATE).into())
}

fn prepared(samples: &[f32]) -> Result<Reference, ReferenceError> {
    RULES.prepare(&wav(samples))
}

#[test]
fn a_recording_becomes_a_reference() {
    let recording = [silence(1.0), voice(6.0, 120.0), silence(0.5)].concat();
    let reference = prepared(&recording).unwrap();
    assert_eq!(reference.samples.len() % SAMPLES_PER_TOKEN, 0);
    // Six seconds and two margins of 120 ms, cut to whole tokens; a syllable begins and ends softly.
    let seconds = Samples::of(&reference.samples).seconds(RATE);
    assert!((6.0..=6.24).contains(&seconds), "{seconds}");
    assert_eq!(reference.warnings, []);
    assert_eq!(reference.digest, Digest::of_samples(&reference.samples));
    // Nothing but cut: the samples are those of the recording.
    let start = recording
        .windows(4)
        .position(|it| it == &reference.samples[4_000..4_004])
        .unwrap();
    assert_eq!(
        recording[start..start + 9_600],
        reference.samples[4_000..13_600]
    );
}

#[test]
fn channels_and_rates_are_evened_out() {
    // The same voice in both channels at 44.1 kHz.
    let mono = resample::resample_all(&voice(6.0, 120.0), RATE, SampleRate::new(44_100).unwrap());
    let stereo: Vec<f32> = mono.iter().flat_map(|it| [*it, *it]).collect();
    let mut file = wav::header(
        Encoding::PcmF32le,
        SampleRate::new(44_100).unwrap(),
        2,
        wav::Length::of(stereo.len(), Encoding::PcmF32le),
    );
    audio::encoding::encode(&stereo, Encoding::PcmF32le, &mut file);
    let reference = RULES.prepare(&Upload::File(file.into())).unwrap();
    let expected = prepared(&voice(6.0, 120.0)).unwrap();
    assert_eq!(reference.samples.len(), expected.samples.len());
    let error = reference.samples.iter().zip(&expected.samples);
    let error = error.fold(0.0_f32, |most, (a, b)| most.max((a - b).abs()));
    assert!(error < 0.01, "{error}");
    assert_eq!(reference.warnings, []);
}

#[test]
fn decoded_and_raw_samples_do_as_well() {
    let samples = voice(6.0, 120.0);
    let expected = prepared(&samples).unwrap();
    let decoded = Upload::Decoded {
        samples: samples.clone(),
        rate: RATE,
    };
    assert_eq!(RULES.prepare(&decoded).unwrap(), expected);
    let mut bytes = Vec::new();
    audio::encoding::encode(&samples, Encoding::PcmF32le, &mut bytes);
    let raw = Upload::Raw {
        bytes: bytes.into(),
        format: RawFormat {
            encoding: Encoding::PcmF32le,
            rate: RATE,
            n_channels: 1,
        },
    };
    assert_eq!(RULES.prepare(&raw).unwrap(), expected);
}

#[test]
fn what_is_too_long_to_keep_is_cut_in_a_pause() {
    // A pause every 250 ms, because the syllables fade.
    let reference = prepared(&voice(22.0, 120.0)).unwrap();
    let seconds = Samples::of(&reference.samples).seconds(RATE);
    assert!((14.0..=15.0).contains(&seconds), "{seconds}");
    let last = &reference.samples[reference.samples.len() - 480..];
    assert!(level::peak(last) < 0.05 * level::peak(&reference.samples));
    assert_eq!(reference.warnings, [Warning::Cut]);
}

#[test]
fn what_just_fits_is_kept_whole() {
    let loud = mixed(&voice(15.0, 120.0), &noise(15.0, 0.005));
    let reference = prepared(&loud).unwrap();
    assert_eq!(reference.samples.len(), 15 * 24_000);
    assert_eq!(reference.warnings, []);
}

fn check_refused(samples: &[f32], code: ErrorCode, words: &str) {
    let error = prepared(samples).unwrap_err();
    let text = error.to_string();
    assert_eq!(error.code(), code, "{text}");
    assert!(text.contains(words), "{text}");
}

#[test]
fn what_cannot_be_a_reference_is_refused_with_a_reason() {
    let short = ErrorCode::AudioTooShort;
    check_refused(&voice(0.99, 120.0), short, "must last 1.0 s at least");
    check_refused(
        &[silence(3.0), voice(0.5, 120.0), silence(3.0)].concat(),
        short,
        "in a recording of 6.50 s",
    );
    let long = ErrorCode::AudioTooLong;
    check_refused(&voice(30.5, 120.0), long, "must last 30 s at most");
    check_refused(&voice(40.0, 120.0), long, "longer than 30 s");
    let none = ErrorCode::NoSpeech;
    check_refused(&silence(5.0), none, "silent");
    check_refused(&noise(5.0, 0.000_3), none, "silent");
    check_refused(&noise(5.0, 0.3), none, "nobody seems to speak");
    check_refused(&tone(5.0, 220.0, 0.3), none, "nobody seems to speak");
}

#[test]
fn a_file_with_samples_that_are_no_numbers_is_refused() {
    let samples = voice(5.0, 120.0);
    let mut file = wav::file(&samples, Encoding::PcmF32le, RATE);
    let at = file.len() - 4 * 60_000;
    file[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    let error = RULES.prepare(&Upload::File(file.into())).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidSamples);
    assert!(error.to_string().contains("first at 2.5"), "{error}");
}

#[test]
fn half_a_minute_passes_with_the_padding_of_a_codec() {
    assert!(prepared(&voice(30.0, 120.0)).is_ok());
    assert!(prepared(&voice(30.2, 120.0)).is_ok());
}

#[test]
fn what_is_not_audio_is_refused() {
    let refused = |bytes: &'static [u8]| {
        let upload = Upload::File(Bytes::from_static(bytes));
        RULES.prepare(&upload).unwrap_err().code()
    };
    assert_eq!(refused(b""), ErrorCode::InvalidAudio);
    assert_eq!(refused(b"%PDF-1.7 and so on"), ErrorCode::InvalidAudio);
    assert_eq!(refused(b"RIFF\0\0\0\0WAVE"), ErrorCode::InvalidAudio);
    assert_eq!(refused(&[0; 4_096]), ErrorCode::InvalidAudio);
}

#[test]
fn decoded_samples_that_are_no_numbers_are_refused() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut samples = voice(5.0, 120.0);
        samples[60_000] = bad;
        let rate = RATE;
        let error = RULES.prepare(&Upload::Decoded { samples, rate });
        assert_eq!(error, Err(ReferenceError::NotFinite { at_s: 2.5 }));
    }
}

#[test]
fn speech_need_not_be_checked() {
    let rules = Rules {
        check_speech: false,
        ..RULES
    };
    assert!(rules.prepare(&wav(&noise(5.0, 0.3))).is_ok());
}

fn warnings_of(samples: Vec<f32>, rate: SampleRate) -> Vec<Warning> {
    let upload = Upload::Decoded { samples, rate };
    RULES.prepare(&upload).unwrap().warnings
}

fn scaled(samples: &[f32], peak: f32) -> Vec<f32> {
    let factor = peak / level::peak(samples);
    samples.iter().map(|it| it * factor).collect()
}

#[test]
fn what_could_be_better_is_said() {
    let good = voice(6.0, 120.0);
    assert_eq!(warnings_of(scaled(&good, 0.99), RATE), []);
    assert_eq!(warnings_of(voice(4.0, 120.0), RATE), [Warning::Short]);
    assert_eq!(warnings_of(scaled(&good, 0.01), RATE), [Warning::Quiet]);
    let clipped = scaled(&good, 3.0)
        .iter()
        .map(|it| it.clamp(-1.0, 1.0))
        .collect();
    assert_eq!(warnings_of(clipped, RATE), [Warning::Clipped]);
    let narrow = resample::resample_all(&good, RATE, SampleRate::HZ_8000);
    assert_eq!(warnings_of(narrow, SampleRate::HZ_8000), [Warning::Narrow]);
    let mut file = wav::file(&good, Encoding::PcmS16le, RATE);
    file.truncate(file.len() - 24_000);
    let reference = RULES.prepare(&Upload::File(file.into())).unwrap();
    assert_eq!(reference.warnings, [Warning::Incomplete]);
}

#[test]
fn what_goes_beyond_full_scale_is_clipped() {
    for beyond in [1.5, 4.0] {
        for rate in [RATE, SampleRate::HZ_16000] {
            let samples = scaled(&voice(6.0, 120.0), beyond);
            let reference = RULES.prepare(&Upload::Decoded { samples, rate }).unwrap();
            assert!(level::peak(&reference.samples) <= 1.0);
            assert!(reference.warnings.contains(&Warning::Clipped));
        }
    }
    let mut click = voice(6.0, 120.0);
    click[70_000] = f32::MAX;
    let rate = SampleRate::HZ_48000;
    let click = Upload::Decoded {
        samples: click,
        rate,
    };
    let reference = RULES.prepare(&click).unwrap();
    assert!(level::peak(&reference.samples) <= 1.0);
}

#[test]
fn every_bit_survives_the_store() {
    let reference = prepared(&voice(3.0, 120.0)).unwrap();
    let mut file = reference.to_wav();
    let samples = from_wav(&file, &reference.digest).unwrap();
    assert_eq!(samples, reference.samples);
    assert_eq!(from_wav(&file, &Digest::of_bytes(&[])), None);
    *file.last_mut().unwrap() ^= 1;
    assert_eq!(from_wav(&file, &reference.digest), None);
    assert_eq!(from_wav(b"", &reference.digest), None);
}

#[test]
fn recorded_and_synthetic_speech_passes() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let mut n_files = 0;
    for folder in [
        "services/tts/models/demo",
        "tests/fixtures/speech",
        "tests/fixtures/tts-voices",
    ] {
        for entry in std::fs::read_dir(format!("{root}/{folder}")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|it| it == "wav") {
                let file = Upload::File(std::fs::read(&path).unwrap().into());
                let outcome = RULES.prepare(&file);
                assert!(outcome.is_ok(), "{}: {outcome:?}", path.display());
                n_files += 1;
            }
        }
    }
    assert!(5 < n_files, "{n_files}");
}

#[test]
fn a_batch_is_answered_in_order() {
    let mut preparer = Preparer { rules: RULES };
    let (a, b) = (wav(&voice(2.0, 120.0)), wav(&voice(3.0, 200.0)));
    let answers = preparer.run(&[a.clone(), b.clone()]).unwrap();
    assert_eq!(
        answers,
        [RULES.prepare(&a).unwrap(), RULES.prepare(&b).unwrap()]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn every_reference_keeps_its_promises(
        before in 0.0_f32..2.0,
        seconds in 1.0_f32..20.0,
        after in 0.0_f32..2.0,
        pitch_hz in 80.0_f32..300.0,
        peak in 0.01_f32..4.0,
    ) {
        let recording = [silence(before), scaled(&voice(seconds, pitch_hz), peak), silence(after)];
        if let Ok(reference) = prepared(&recording.concat()) {
            let n_samples = reference.samples.len();
            prop_assert_eq!(n_samples % SAMPLES_PER_TOKEN, 0);
            prop_assert!(RULES.min.as_usize() - SAMPLES_PER_TOKEN <= n_samples);
            prop_assert!(n_samples <= RULES.keep.as_usize());
            prop_assert!(level::peak(&reference.samples) <= 1.0);
        } else {
            // Only the shortest may fail: their first and last syllable fade.
            prop_assert!(seconds < 1.3);
        }
    }
}
