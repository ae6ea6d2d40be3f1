use super::super::tests::sounds::{mixed, noise, rumble, silence, tone, voice};
use super::*;

/// What is heard of silence, sound, silence: from when to when, in frames.
fn heard(parts: &[Vec<f32>]) -> Option<(usize, usize)> {
    let samples = parts.concat();
    let heard = Loudness::of(&samples).heard()?;
    let range = heard.samples(samples.len());
    Some((range.start / FRAME, range.end / FRAME))
}

#[test]
fn silence_at_both_ends_is_left_out_but_for_a_margin() {
    // 50 frames of 20 ms, then 100, then 50; six frames of margin on each side.
    let parts = [silence(1.0), noise(2.0, 0.3), silence(1.0)];
    assert_eq!(heard(&parts), Some((44, 156)));
}

#[test]
fn room_noise_is_left_out_too() {
    let parts = [noise(1.0, 0.002), noise(2.0, 0.3), noise(1.0, 0.002)];
    assert_eq!(heard(&parts), Some((44, 156)));
}

#[test]
fn a_quiet_ending_is_kept() {
    // 30 dB below: a fricative, or a voice that falls.
    let parts = [
        silence(1.0),
        noise(2.0, 0.3),
        noise(0.4, 0.01),
        silence(1.0),
    ];
    assert_eq!(heard(&parts), Some((44, 176)));
}

#[test]
fn a_click_does_not_set_the_level() {
    let mut click = silence(1.0);
    click[12_000..12_100].fill(1.0);
    let parts = [noise(2.0, 0.003), click, noise(2.0, 0.003)];
    assert_eq!(heard(&parts), Some((0, 250)));
}

#[test]
fn nothing_is_heard_in_silence() {
    for samples in [vec![], silence(2.0), noise(2.0, 0.000_5), vec![0.0; 7]] {
        assert_eq!(heard(&[samples]), None);
    }
}

#[test]
fn voices_are_speech() {
    for pitch_hz in [75.0, 110.0, 210.0, 320.0] {
        assert!(is_present(&voice(2.0, pitch_hz)), "{pitch_hz} Hz");
    }
}

#[test]
fn voices_in_noise_are_speech() {
    // Ten dB between voice and noise.
    let voice = voice(3.0, 120.0);
    assert!(is_present(&mixed(&voice, &noise(3.0, 0.06))));
    assert!(is_present(&mixed(&voice, &rumble(3.0, 0.2))));
}

#[test]
fn noise_tones_hum_and_silence_are_not() {
    let mut gusts = rumble(3.0, 1.0);
    for (idx, sample) in gusts.iter_mut().enumerate() {
        *sample *= 0.05 + ((idx / 6_000) % 2) as f32;
    }
    let mut knocks = noise(3.0, 0.5);
    for (idx, sample) in knocks.iter_mut().enumerate() {
        *sample *= if idx % 12_000 < 1_200 { 1.0 } else { 0.001 };
    }
    let sounds = [
        ("silence", silence(3.0)),
        ("nothing", vec![]),
        ("noise", noise(3.0, 0.3)),
        ("gusts", gusts),
        ("knocks", knocks),
        ("tone", tone(3.0, 220.0, 0.5)),
        ("high tone", tone(3.0, 3_000.0, 0.5)),
        ("hum", tone(3.0, 50.0, 0.5)),
        (
            "padded tone",
            [silence(0.2), tone(1.5, 220.0, 0.5), silence(0.2)].concat(),
        ),
    ];
    for (name, sound) in sounds {
        assert!(!is_present(&sound), "{name}");
    }
}

#[test]
fn what_is_heard_around_a_place_is_measured_within_the_audio() {
    let samples = vec![1.0; 1_000];
    for (idx, expected) in [(0, 480.0), (500, 960.0), (1_000, 480.0), (5_000, 0.0)] {
        let measured = energy_around(&samples, idx);
        assert!((measured - expected).abs() < 0.5, "{idx}: {measured}");
    }
}
