//! What was rendered, read back by decoders that are not ours.

use audio::container::{Clip, Limits, Target, decode};
use proptest::prelude::*;

use super::*;

/// A voice-like sound: a tone of 220 Hz with harmonics that comes and goes.
fn voice(n_samples: usize) -> Vec<f32> {
    let rate = SAMPLE_RATE_HZ as f32;
    let at = |n: usize| {
        let t = n as f32 / rate;
        let tone = |k: f32| (std::f32::consts::TAU * 220.0 * k * t).sin() / k;
        0.3 * (tone(1.0) + tone(2.0) + tone(3.0)) * (0.6 + 0.4 * (4.0 * t).sin())
    };
    (0..n_samples).map(at).collect()
}

fn shape(format: Format, rate_hz: u32) -> Shape {
    Shape {
        format,
        sample_rate: SampleRate::new(rate_hz).unwrap(),
        speed: 1.0,
    }
}

fn read(bytes: &[u8]) -> Clip {
    let limits = Limits {
        max_seconds: 60,
        max_channels: 2,
        min_rate_hz: 8_000,
        max_rate_hz: 48_000,
    };
    decode(bytes, Target::Source, &limits).unwrap()
}

/// All at once.
fn render(samples: &[f32], shape: &Shape) -> Result<Rendered, RenderError> {
    let mut whole = Whole::new(shape)?;
    whole.push(samples)?;
    whole.finish()
}

/// These sizes, over and over.
fn pieces<'a>(samples: &'a [f32], sizes: &'a [usize]) -> impl Iterator<Item = &'a [f32]> {
    let mut rest = samples;
    sizes.iter().cycle().map_while(move |size| {
        if rest.is_empty() {
            return None;
        }
        let (piece, later) = rest.split_at((*size).min(rest.len()));
        rest = later;
        Some(piece)
    })
}

/// Streamed in pieces of these sizes, over and over.
fn in_pieces(samples: &[f32], sizes: &[usize], shape: &Shape) -> Rendered {
    let (mut renderer, mut bytes) = Renderer::new(shape).unwrap();
    let mut n_samples = 0;
    for piece in pieces(samples, sizes) {
        let rendered = renderer.push(piece).unwrap();
        bytes.extend(rendered.bytes);
        n_samples += rendered.samples;
    }
    let rendered = renderer.finish().unwrap();
    bytes.extend(rendered.bytes);
    Rendered {
        bytes,
        samples: n_samples + rendered.samples,
    }
}

/// The frequency of the strongest period between 100 and 400 Hz.
fn pitch(samples: &[f32], rate_hz: u32) -> f32 {
    let middle = &samples[samples.len() / 4..samples.len() * 3 / 4];
    let likeness =
        |lag: usize| -> f32 { middle.iter().zip(&middle[lag..]).map(|(a, b)| a * b).sum() };
    let rate_hz = rate_hz as usize;
    let lag = (rate_hz / 400..rate_hz / 150)
        .max_by(|a, b| likeness(*a).total_cmp(&likeness(*b)))
        .unwrap();
    rate_hz as f32 / lag as f32
}

fn rms(samples: &[f32]) -> f32 {
    (samples.iter().map(|it| it * it).sum::<f32>() / samples.len() as f32).sqrt()
}

#[test]
fn every_format_and_rate_reads_back_as_long_as_loud_and_as_high() {
    let samples = voice(48_000);
    let cases = [
        (
            Format::Wav,
            &[8_000, 16_000, 22_050, 24_000, 44_100, 48_000][..],
            0,
        ),
        (Format::Flac, &[8_000, 11_025, 24_000, 44_100, 48_000], 0),
        (Format::Opus, &opus::RATES, 0),
        // No length in the stream: the codec's delay and the last frame are heard.
        (Format::Mp3, &mp3::RATES, 3 * 1_152),
    ];
    for (format, rates, slack) in cases {
        for &rate_hz in rates {
            let rendered = render(&samples, &shape(format, rate_hz)).unwrap();
            let clip = read(&rendered.bytes);
            // Opus is decoded at 48 kHz whatever was encoded.
            let given_hz = clip.rate.hz();
            assert!(
                given_hz == rate_hz || format == Format::Opus,
                "{format:?} {rate_hz}"
            );
            let due = 2 * given_hz as usize;
            let n = clip.samples.len();
            assert!(
                due <= n && n <= due + slack,
                "{format:?} at {rate_hz}: {n} of {due}"
            );
            assert_eq!(rendered.samples, 2 * rate_hz as usize);
            let (loud, was) = (rms(&clip.samples), rms(&samples));
            assert!(
                (loud / was - 1.0).abs() < 0.1,
                "{format:?} at {rate_hz}: {loud} of {was}"
            );
            let high = pitch(&clip.samples, given_hz);
            assert!(
                (high - 220.0).abs() < 4.0,
                "{format:?} at {rate_hz}: {high} Hz"
            );
        }
    }
}

#[test]
fn lossless_formats_hold_the_same_samples() {
    let samples = voice(10_000);
    let wav = read(&render(&samples, &shape(Format::Wav, 24_000)).unwrap().bytes);
    let flac = read(
        &render(&samples, &shape(Format::Flac, 24_000))
            .unwrap()
            .bytes,
    );
    assert_eq!(flac.samples.len(), samples.len());
    for (a, b) in wav.samples.iter().zip(&flac.samples) {
        assert!((a - b).abs() < 1.01 / 32_768.0, "{a} {b}");
    }
    for (a, b) in samples.iter().zip(&wav.samples) {
        assert!((a - b).abs() < 1.01 / 32_768.0, "{a} {b}");
    }
}

#[test]
fn raw_samples_are_nothing_but_samples() {
    for (encoding, n_bytes) in [
        (Encoding::PcmS16le, 2),
        (Encoding::PcmF32le, 4),
        (Encoding::Mulaw, 1),
        (Encoding::Alaw, 1),
    ] {
        let rendered = render(&voice(2_400), &shape(Format::Raw(encoding), 8_000)).unwrap();
        assert_eq!(
            (rendered.samples, rendered.bytes.len()),
            (800, 800 * n_bytes)
        );
    }
}

#[test]
fn a_whole_wav_file_knows_its_length_and_a_stream_does_not() {
    let samples = voice(1_000);
    let shape = shape(Format::Wav, 24_000);
    let whole = render(&samples, &shape).unwrap().bytes;
    assert_eq!(whole[40..44], 2_000_u32.to_le_bytes());
    let (_, head) = Renderer::new(&shape).unwrap();
    assert_eq!(head[40..44], u32::MAX.to_le_bytes());
}

#[test]
fn a_whole_clip_holds_what_is_streamed() {
    let samples = voice(20_000);
    let sizes = [1, 4_800, 700];
    for format in [
        Format::Wav,
        Format::Mp3,
        Format::Opus,
        Format::Flac,
        Format::Raw(Encoding::PcmF32le),
    ] {
        let shape = Shape {
            speed: 0.25,
            ..shape(format, 48_000)
        };
        let mut whole = Whole::new(&shape).unwrap();
        for piece in pieces(&samples, &sizes) {
            whole.push(piece).unwrap();
        }
        let (whole, streamed) = (whole.finish().unwrap(), in_pieces(&samples, &sizes, &shape));
        assert_eq!(whole.samples, streamed.samples, "{format:?}");
        let n_head = if format == Format::Wav { 44 } else { 0 };
        assert_eq!(whole.bytes.len(), streamed.bytes.len(), "{format:?}");
        assert!(
            whole.bytes[n_head..] == streamed.bytes[n_head..],
            "{format:?}"
        );
        if format == Format::Wav {
            let n_bytes = u32::try_from(2 * whole.samples).unwrap();
            assert_eq!(whole.bytes[40..44], n_bytes.to_le_bytes());
        }
    }
}

#[test]
fn speed_changes_the_length_and_not_the_pitch() {
    let samples = voice(96_000);
    for speed in [0.25, 0.5, 0.8, 1.25, 2.0, 4.0] {
        let fast = Shape {
            speed,
            ..shape(Format::Raw(Encoding::PcmF32le), 24_000)
        };
        let rendered = render(&samples, &fast).unwrap();
        let due = f64::from(96_000) / f64::from(speed);
        let given = rendered.samples as f64;
        assert!((given - due).abs() <= 0.5, "at {speed}: {given}");
        let heard: Vec<f32> = rendered
            .bytes
            .chunks_exact(4)
            .map(|it| f32::from_le_bytes(it.try_into().unwrap()))
            .collect();
        let high = pitch(&heard, 24_000);
        assert!((high - 220.0).abs() < 4.0, "at {speed}: {high} Hz");
    }
}

#[test]
fn impossible_shapes_are_refused_with_what_is_possible() {
    let refused = |shape: Shape| Renderer::new(&shape).unwrap_err().to_string();
    assert_eq!(
        refused(shape(Format::Opus, 44_100)),
        "`sample_rate` must be 8000, 12000, 16000, 24000 or 48000 for opus. Given: 44100"
    );
    assert!(refused(shape(Format::Mp3, 8_001)).starts_with("`sample_rate` must be 8000, 11025"));
    assert!(refused(shape(Format::Wav, 7_999)).contains("from 8000 to 48000"));
    for speed in [0.0, 0.2, 4.1, f32::NAN, f32::INFINITY] {
        let shape = Shape {
            speed,
            ..shape(Format::Wav, 24_000)
        };
        assert!(refused(shape).contains("`speed`"), "{speed}");
    }
}

#[test]
fn loud_samples_are_clipped_and_none_are_no_numbers() {
    let samples = [0.0, 3.0, -3.0, f32::NAN, f32::INFINITY, 0.5].repeat(1_000);
    for format in [Format::Wav, Format::Flac, Format::Opus, Format::Mp3] {
        let clip = read(&render(&samples, &shape(format, 24_000)).unwrap().bytes);
        assert!(clip.samples.iter().all(|it| it.is_finite()), "{format:?}");
    }
}

#[test]
fn nothing_becomes_an_empty_file_and_no_fault() {
    for format in [Format::Wav, Format::Flac, Format::Opus, Format::Mp3] {
        for n in [0, 1, 31, 479] {
            let rendered = render(&voice(n), &shape(format, 24_000)).unwrap();
            assert_eq!(rendered.samples, n, "{format:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_bytes_do_not_depend_on_how_the_samples_came(
        n in 0_usize..20_000,
        sizes in prop::collection::vec(1_usize..5_000, 1..5),
        format in prop::sample::select(vec![Format::Wav, Format::Flac, Format::Opus, Format::Mp3, Format::Raw(Encoding::Mulaw)]),
        rate in prop::sample::select(vec![8_000_u32, 16_000, 24_000, 48_000]),
        speed in prop::sample::select(vec![1.0_f32, 0.7, 1.9]),
    ) {
        let samples = voice(n);
        let shape = Shape { speed, ..shape(format, rate) };
        let whole = in_pieces(&samples, &[n.max(1)], &shape);
        prop_assert_eq!(in_pieces(&samples, &sizes, &shape), whole);
    }
}
