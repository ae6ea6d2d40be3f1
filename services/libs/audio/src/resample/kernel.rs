//! The low-pass filter between two rates, and its value at any point between two samples.

use std::collections::HashMap;
use std::f64::consts::PI;
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};

use crate::SampleRate;

/// Half the filter's length in samples of the lower rate. With `BETA` it makes the transition band 0.09 of the lower
/// Nyquist frequency wide: `(80 - 7.95) / (14.36 * 112)` of the rate, by Kaiser's formula.
const HALF_WIDTH: f64 = 56.0;
/// Kaiser's window for 80 dB.
const BETA: f64 = 7.857;
/// Middle of the transition band, as a fraction of the lower Nyquist frequency: it ends where aliasing begins.
const CUTOFF: f64 = 0.955;
/// Points per lower-rate sample at which the shared curve for unusual rates is kept. Between them it is read linearly,
/// which errs by less than `(1 / 512)^2 * PI^2 / 24`: 116 dB down.
const CURVE_STEPS: usize = 512;

/// Rates between which a table with every phase is kept for good, in hertz. The list is closed because a stream may name
/// any rate and a table takes up to [`MAX_TABLE_TAPS`].
const USUAL_HZ: [u32; 13] = [
    8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 88_200, 96_000, 176_400,
    192_000,
];

/// Half a megabyte. Only ratios that nobody uses need more, such as 11,025 to 192,000.
const MAX_TABLE_TAPS: usize = 128 << 10;

/// How two rates are joined.
#[derive(Debug)]
pub(super) struct Kernel {
    up: usize,
    down: usize,
    n_taps: usize,
    shape: Shape,
}

#[derive(Debug)]
enum Shape {
    /// `up` rows of `n_taps`.
    Table(Arc<[f32]>),
    /// Computed for every output from the shared curve; a few times slower, but nothing to keep.
    Curve {
        taps: Vec<f32>,
        steps_per_sample: f64,
    },
}

impl Kernel {
    pub(super) fn new(from: SampleRate, to: SampleRate) -> Self {
        let divisor = greatest_common_divisor(from.hz(), to.hz());
        let (up, down) = ((to.hz() / divisor) as usize, (from.hz() / divisor) as usize);
        let n_taps = n_taps(up, down);
        let is_usual = USUAL_HZ.contains(&from.hz())
            && USUAL_HZ.contains(&to.hz())
            && up * n_taps <= MAX_TABLE_TAPS;
        let shape = if is_usual {
            Shape::Table(usual_table(up, down))
        } else {
            let steps_per_sample = CURVE_STEPS as f64 * lower_over_input(up, down);
            Shape::Curve {
                taps: vec![0.0; n_taps],
                steps_per_sample,
            }
        };
        Self {
            up,
            down,
            n_taps,
            shape,
        }
    }

    /// Outputs per `down` inputs.
    pub(super) const fn up(&self) -> usize {
        self.up
    }

    /// Inputs per `up` outputs.
    pub(super) const fn down(&self) -> usize {
        self.down
    }

    /// How many inputs one output looks at: half of them before it, half after.
    pub(super) const fn n_taps(&self) -> usize {
        self.n_taps
    }

    pub(super) fn own_bytes(&self) -> usize {
        match &self.shape {
            Shape::Table(_) => 0,
            Shape::Curve { taps, .. } => taps.capacity() * size_of::<f32>(),
        }
    }

    /// The output that lies `phase / up` behind the middle of `reach`, which is `n_taps` long.
    pub(super) fn at(&mut self, phase: usize, reach: &[f32]) -> f32 {
        match &mut self.shape {
            Shape::Table(rows) => dot(&rows[phase * self.n_taps..(phase + 1) * self.n_taps], reach),
            Shape::Curve {
                taps,
                steps_per_sample,
            } => {
                let offset = phase as f64 / self.up as f64;
                let sum = read_curve(offset, *steps_per_sample, taps);
                dot(taps, reach) / sum
            }
        }
    }
}

fn n_taps(up: usize, down: usize) -> usize {
    let half = HALF_WIDTH / lower_over_input(up, down);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive and some thousands"
    )]
    let half = half.ceil() as usize;
    2 * half
}

/// The lower of both rates as a fraction of the input's.
fn lower_over_input(up: usize, down: usize) -> f64 {
    (up as f64 / down as f64).min(1.0)
}

/// By the two numbers of the ratio.
type Tables = HashMap<(usize, usize), Arc<[f32]>>;

fn usual_table(up: usize, down: usize) -> Arc<[f32]> {
    static TABLES: LazyLock<Mutex<Tables>> = LazyLock::new(Mutex::default);
    let mut tables = TABLES.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(tables.entry((up, down)).or_insert_with(|| table(up, down)))
}

fn table(up: usize, down: usize) -> Arc<[f32]> {
    let (n_taps, scale) = (n_taps(up, down), lower_over_input(up, down));
    let mut rows = Vec::with_capacity(up * n_taps);
    for phase in 0..up {
        let middle = (n_taps / 2 - 1) as f64 + phase as f64 / up as f64;
        let row: Vec<f64> = (0..n_taps)
            .map(|tap| curve((tap as f64 - middle) * scale))
            .collect();
        // Every phase passes a constant unchanged: otherwise the phases differ a little, which sounds as a tone.
        let sum: f64 = row.iter().sum();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "coefficients are kept in single precision"
        )]
        rows.extend(row.iter().map(|tap| (tap / sum) as f32));
    }
    rows.into()
}

/// The filter's impulse response at `x` samples of the lower rate from its middle.
fn curve(x: f64) -> f64 {
    let from_edge = 1.0 - (x / HALF_WIDTH).powi(2);
    if from_edge < 0.0 {
        return 0.0;
    }
    let angle = PI * CUTOFF * x;
    let sinc = if angle.abs() < 1e-9 {
        1.0
    } else {
        angle.sin() / angle
    };
    sinc * bessel_i0(BETA * from_edge.sqrt()) / bessel_i0(BETA)
}

/// The modified Bessel function of the first kind and order zero, by its power series.
fn bessel_i0(x: f64) -> f64 {
    let quarter_square = x * x / 4.0;
    let (mut term, mut sum, mut n) = (1.0, 1.0, 1.0);
    while term > sum * 1e-17 {
        term *= quarter_square / (n * n);
        sum += term;
        n += 1.0;
    }
    sum
}

/// One side of the curve, from the middle outwards: its value at every point and what is to be added up to the next.
fn shared_curve() -> &'static [[f32; 2]] {
    static POINTS: OnceLock<Vec<[f32; 2]>> = OnceLock::new();
    POINTS.get_or_init(|| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "56"
        )]
        let n_points = CURVE_STEPS * HALF_WIDTH as usize + 1;
        let value = |point: usize| curve(point as f64 / CURVE_STEPS as f64);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "coefficients are kept in single precision"
        )]
        let pair = |point| {
            [
                value(point) as f32,
                (value(point + 1) - value(point)) as f32,
            ]
        };
        (0..n_points).map(pair).collect()
    })
}

/// Writes the filter for an output `offset` behind an input into `taps`; returns their sum.
fn read_curve(offset: f64, steps_per_sample: f64, taps: &mut [f32]) -> f32 {
    // Places on the curve are counted in 2^-32 of a step, because walking along in integers is several times faster
    // than rounding a float for every tap.
    const ONE: f64 = 4_294_967_296.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive and below 2^41"
    )]
    let [step, before, after] =
        [1.0, offset, 1.0 - offset].map(|samples| (samples * steps_per_sample * ONE) as u64);
    let points = shared_curve();
    let (left, right) = taps.split_at_mut(taps.len() / 2);
    walk(points, before, step, left.iter_mut().rev()) + walk(points, after, step, right.iter_mut())
}

fn walk<'a>(
    points: &[[f32; 2]],
    start: u64,
    step: u64,
    taps: impl Iterator<Item = &'a mut f32>,
) -> f32 {
    let (mut at, mut sum) = (start, 0.0);
    for tap in taps {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the lower half is what lies between two points"
        )]
        let (point, between) = (
            (at >> 32) as usize,
            (at as u32) as f32 * (1.0 / (65_536.0 * 65_536.0)),
        );
        let [value, rise] = points.get(point).copied().unwrap_or_default();
        *tap = value + rise * between;
        sum += *tap;
        at += step;
    }
    sum
}

/// Sixteen running sums: the compiler makes four vectors of them, enough to hide an addition's latency.
fn dot(taps: &[f32], samples: &[f32]) -> f32 {
    let ((taps, taps_rest), (samples, samples_rest)) =
        (taps.as_chunks::<16>(), samples.as_chunks::<16>());
    let mut sums = [0.0_f32; 16];
    for (taps, samples) in taps.iter().zip(samples) {
        for ((sum, tap), sample) in sums.iter_mut().zip(taps).zip(samples) {
            *sum += tap * sample;
        }
    }
    let rest: f32 = taps_rest
        .iter()
        .zip(samples_rest)
        .map(|(tap, sample)| tap * sample)
        .sum();
    sums.iter().sum::<f32>() + rest
}

const fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 {
        a
    } else {
        greatest_common_divisor(b, a % b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_for_unusual_rates_is_the_table_for_usual_ones() {
        let (up, down) = (160, 441);
        let n_taps = n_taps(up, down);
        let rows = table(up, down);
        let mut taps = vec![0.0; n_taps];
        for phase in 0..up {
            let sum = read_curve(
                phase as f64 / up as f64,
                CURVE_STEPS as f64 * lower_over_input(up, down),
                &mut taps,
            );
            for (tap, exact) in taps.iter().zip(&rows[phase * n_taps..]) {
                assert!((tap / sum - exact).abs() < 2e-6, "phase {phase}");
            }
        }
    }

    #[test]
    fn rates_of_sound_cards_and_telephones_have_tables() {
        for from in [
            8_000, 11_025, 22_050, 24_000, 44_100, 48_000, 96_000, 192_000,
        ] {
            for to in [16_000, 24_000, 48_000] {
                let kernel =
                    Kernel::new(SampleRate::new(from).unwrap(), SampleRate::new(to).unwrap());
                assert!(matches!(kernel.shape, Shape::Table(_)), "{from} to {to}");
            }
        }
        let kernel = Kernel::new(SampleRate::new(15_999).unwrap(), SampleRate::HZ_16000);
        assert!(matches!(kernel.shape, Shape::Curve { .. }));
    }
}
