//! What a join sounds like, in numbers: nothing at a join may stand out from what the one-shot decode has anywhere.

use rustfft::{FftPlanner, num_complex::Complex};

use super::*;

/// Where the windows meet, in samples: blends end there, and levels have returned 20 ms later.
fn meetings(chunks: &[Chunk]) -> Vec<usize> {
    let (_, before_last) = chunks.split_last().unwrap();
    before_last.iter().map(|it| it.n_tokens * 960).collect()
}

/// The largest step between neighbouring samples.
fn largest_step(samples: &[f32]) -> f32 {
    let steps = samples.windows(2).map(|it| (it[1] - it[0]).abs());
    steps.fold(0.0, f32::max)
}

/// How much each spectrum rises over the one before, in frames of 20 ms every 5 ms, relative to the level there.
fn flux(samples: &[f32]) -> Vec<f32> {
    const FRAME: usize = 480;
    const HOP: usize = 120;
    let fft = FftPlanner::new().plan_fft_forward(FRAME);
    let mut before: Option<Vec<f32>> = None;
    let mut rises = Vec::new();
    for frame in samples.windows(FRAME).step_by(HOP) {
        let mut spectrum: Vec<Complex<f32>> = frame
            .iter()
            .enumerate()
            .map(|(at, it)| {
                let window = 0.5 - 0.5 * (at as f32 / FRAME as f32 * std::f32::consts::TAU).cos();
                Complex::new(it * window, 0.0)
            })
            .collect();
        fft.process(&mut spectrum);
        let magnitudes: Vec<f32> = spectrum[..FRAME / 2].iter().map(|it| it.norm()).collect();
        let rise = before.as_ref().map_or(0.0, |before| {
            let level: f32 = before.iter().sum::<f32>() + 1e-3;
            let rise: f32 = magnitudes
                .iter()
                .zip(before)
                .map(|(now, then)| (now - then).max(0.0))
                .sum();
            rise / level
        });
        rises.push(rise);
        before = Some(magnitudes);
    }
    rises
}

struct Measured {
    step: f32,
    one_shot_step: f32,
    flux: f32,
    one_shot_flux: f32,
}

/// Compares the 50 ms around each meeting with the whole of the one-shot, without its muted head and its end.
fn measure(samples: &[f32], meetings: &[usize], one_shot: &[f32]) -> Measured {
    assert!(3 <= meetings.len(), "too few joins to tell");
    let inner = &one_shot[2_880..one_shot.len() - 4 * 960];
    let near = |at: usize| &samples[at - 480 - 120 - 960..at + 480 + 120 + 960];
    let over = |values: &dyn Fn(&[f32]) -> f32| {
        let inner_meetings = meetings
            .iter()
            .filter(|it| 2_880 < **it && **it + 5 * 960 < samples.len());
        inner_meetings
            .map(|at| values(near(*at)))
            .fold(0.0, f32::max)
    };
    let most = |it: &[f32]| flux(it).into_iter().fold(0.0, f32::max);
    Measured {
        step: over(&largest_step),
        one_shot_step: largest_step(inner),
        flux: over(&most),
        one_shot_flux: most(inner),
    }
}

/// A sentence whose pitch and loudness wander as speech does.
fn wandering(n: usize) -> Vec<i64> {
    (0..n)
        .map(|it| {
            let at = it as f32;
            let value = 50.0 + 30.0 * (at / 6.0).sin() + 15.0 * (at / 2.3).cos();
            #[expect(clippy::cast_possible_truncation, reason = "5 to 95")]
            {
                value as i64
            }
        })
        .collect()
}

fn streamed(sentence: &[i64], sizes: &[usize], toy: &mut Toy) -> (Vec<f32>, Vec<usize>) {
    let chunks = speak(policy(sizes), sentence, 3, toy);
    (joined(&chunks), meetings(&chunks))
}

#[test]
fn joins_do_not_stand_out() {
    let sentence = wandering(200);
    for sizes in [&[4][..], &[12, 20, 30, 45, 60], &[7, 9], &[25]] {
        let mut toy = Toy::new(Artefacts::ALL);
        let one_shot = joined(&speak(policy(&[500]), &sentence, 500, &mut toy));
        let (samples, meetings) = streamed(&sentence, sizes, &mut toy);
        assert_eq!(samples.len(), one_shot.len());
        let it = measure(&samples, &meetings, &one_shot);
        println!(
            "{sizes:?}: {} joins, step {:.4} of {:.4}, flux {:.3} of {:.3}",
            meetings.len(),
            it.step,
            it.one_shot_step,
            it.flux,
            it.one_shot_flux
        );
        assert!(it.step <= it.one_shot_step * 1.05, "a click");
        assert!(it.flux <= it.one_shot_flux * 1.05, "a burst");
    }
}

/// The measures would notice: windows put side by side are heard.
#[test]
fn windows_side_by_side_stand_out() {
    let sentence = wandering(200);
    let mut toy = Toy::new(Artefacts::ALL);
    let one_shot = joined(&speak(policy(&[500]), &sentence, 500, &mut toy));
    let mut samples = Vec::new();
    let mut meetings = Vec::new();
    for from in (0_usize..200).step_by(25) {
        let start = from.saturating_sub(8);
        let end = (from + 25 + 3).min(200);
        let window = toy.decode(&sentence[start..end]);
        let at = (from - start) * 960;
        samples.extend_from_slice(&window[at..at + 25 * 960]);
        meetings.push(from * 960);
    }
    let it = measure(&samples, &meetings[1..], &one_shot);
    assert!(
        it.one_shot_step * 1.5 < it.step,
        "{} of {}",
        it.step,
        it.one_shot_step
    );
    assert!(
        it.one_shot_flux * 1.5 < it.flux,
        "{} of {}",
        it.flux,
        it.one_shot_flux
    );
}

/// The level of a blend is that of what is blended, whether the windows agree or not.
#[test]
fn a_blend_is_as_loud_as_its_neighbours() {
    let level = |it: &[f32]| (it.iter().map(|it| it * it).sum::<f32>() / it.len() as f32).sqrt();
    for (artefacts, most_off) in [
        // A plain tone of one level.
        (
            Artefacts {
                noise: 0.0,
                ..Artefacts::ALL
            },
            0.1,
        ),
        // Noise that is new in every window.
        (
            Artefacts {
                noise: 1.0,
                ..Artefacts::ALL
            },
            0.15,
        ),
    ] {
        let sentence = vec![50; 150];
        let mut toy = Toy::new(artefacts);
        let (samples, meetings) = streamed(&sentence, &[10], &mut toy);
        let expected = level(&samples[9_600..samples.len() - 9_600]);
        let blends = meetings.iter().filter(|it| **it < 140 * 960);
        let off: Vec<f32> = blends
            .map(|at| (level(&samples[at - 480..*at]) / expected - 1.0).abs())
            .collect();
        let mean = off.iter().sum::<f32>() / off.len() as f32;
        println!(
            "noise {}: a blend's level is off by {mean:.3}",
            artefacts.noise
        );
        assert!(mean < most_off, "{off:?}");
    }
}

/// A decoder may be louder in one call than in the next; the level is carried over and returns.
#[test]
fn a_louder_window_does_not_begin_with_a_jump() {
    let held: Vec<f32> = (0..480).map(|it| (it as f32 / 20.0).sin() * 0.2).collect();
    let louder: Vec<f32> = (0..4_800)
        .map(|it| ((it as f32 - 1_440.0) / 20.0).sin() * 0.25)
        .collect();
    let seam = Seam::find(&held, &louder, 1_920, 960, 1_000);
    let mut samples = seam.blend(&held, &louder, 1_920);
    samples.extend_from_slice(&louder[seam.shift(1_920)..seam.shift(1_920) + 960]);
    seam.level(&mut samples, 480);
    let peak = |it: &[f32]| it.iter().fold(0.0_f32, |most, it| most.max(it.abs()));
    assert!(
        (peak(&samples[..480]) - 0.2).abs() < 0.005,
        "{}",
        peak(&samples[..480])
    );
    assert!(
        (peak(&samples[480..600]) - 0.21).abs() < 0.01,
        "{}",
        peak(&samples[480..600])
    );
    assert!((peak(&samples[960..]) - 0.25).abs() < 0.005);
}

#[test]
fn the_best_match_is_found_wherever_it_is() {
    for lag in [-120_isize, -77, 0, 3, 120] {
        let mut toy = Toy::new(Artefacts {
            noise: 0.3,
            ..Artefacts::ALL
        });
        let samples = toy.decode(&wandering(10));
        let from = 1_440_usize.checked_add_signed(lag).unwrap();
        let held = &samples[from..from + 480];
        let seam = Seam::find(held, &samples, 1_920, 960, 1_000);
        assert_eq!(
            seam.shift(1_920),
            1_920_usize.checked_add_signed(lag).unwrap()
        );
        assert_eq!(seam.blend(held, &samples, 1_920).len(), 480);
    }
}

#[test]
fn what_is_muted_is_not_matched() {
    // The best match is 100 samples back, but muted samples reach to 60 before.
    let mut toy = Toy::new(Artefacts {
        noise: 0.3,
        ..Artefacts::ALL
    });
    let samples = toy.decode(&wandering(10));
    let held = &samples[1_340..1_820];
    let seam = Seam::find(held, &samples, 1_920, 1_380, 1_000);
    assert!(1_860 <= seam.shift(1_920));
}
