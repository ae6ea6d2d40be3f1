//! Triangular mel filters on Slaney's scale, kept without their zeros.

/// Hertz per mel below the break; above it mels are logarithmic.
const LINEAR_HZ: f64 = 200.0 / 3.0;
const BREAK_HZ: f64 = 1000.0;
const BREAK_MEL: f64 = BREAK_HZ / LINEAR_HZ;
const SAMPLE_RATE_HZ: f64 = 16_000.0;

/// One row of weights for every mel band.
#[derive(Debug)]
pub(super) struct Filters {
    bands: Vec<Band>,
    /// The weights of all bands, one after the other.
    weights: Vec<f32>,
}

#[derive(Debug)]
struct Band {
    first_bin: usize,
    n_bins: usize,
}

impl Filters {
    pub(super) fn new(n_mels: usize, n_bins: usize) -> Self {
        let highest_mel = mel_of(SAMPLE_RATE_HZ / 2.0);
        let corners: Vec<f64> = (0..n_mels + 2)
            .map(|corner| hz_of(highest_mel * corner as f64 / (n_mels + 1) as f64))
            .collect();
        let bin_hz = SAMPLE_RATE_HZ / 2.0 / (n_bins - 1) as f64;
        let (mut bands, mut weights) = (Vec::with_capacity(n_mels), Vec::new());
        for corner in corners.windows(3) {
            let &[low, middle, high] = corner else {
                continue;
            };
            let row = (0..n_bins).map(|bin| {
                let hz = bin as f64 * bin_hz;
                let height = ((hz - low) / (middle - low))
                    .min((high - hz) / (high - middle))
                    .max(0.0);
                // Every triangle has the same area.
                height * 2.0 / (high - low)
            });
            let first_weight = weights.len();
            let mut first_bin = 0;
            for (bin, weight) in row.enumerate() {
                if weight > 0.0 {
                    if weights.len() == first_weight {
                        first_bin = bin;
                    }
                    #[expect(
                        clippy::cast_possible_truncation,
                        reason = "the reference keeps them in single precision"
                    )]
                    weights.push(weight as f32);
                }
            }
            // With 128 bands the lowest triangles are narrower than a bin; one that falls between two bins is empty.
            bands.push(Band {
                first_bin,
                n_bins: weights.len() - first_weight,
            });
        }
        Self { bands, weights }
    }

    pub(super) fn n_mels(&self) -> usize {
        self.bands.len()
    }

    /// From the lowest to the highest.
    pub(super) fn bands(&self) -> impl Iterator<Item = Triangle<'_>> {
        let mut weights = self.weights.as_slice();
        self.bands.iter().map(move |band| {
            let (own, others) = weights.split_at(band.n_bins);
            weights = others;
            Triangle {
                first_bin: band.first_bin,
                weights: own,
            }
        })
    }
}

/// One band's filter.
pub(super) struct Triangle<'a> {
    first_bin: usize,
    weights: &'a [f32],
}

impl Triangle<'_> {
    /// The power in the band, for several frames side by side.
    pub(super) fn apply<const N: usize>(&self, power: &[[f32; N]]) -> [f32; N] {
        let mut sums = [0.0; N];
        for (weight, bins) in self.weights.iter().zip(&power[self.first_bin..]) {
            for (sum, bin) in sums.iter_mut().zip(bins) {
                *sum += weight * bin;
            }
        }
        sums
    }
}

fn mel_of(hz: f64) -> f64 {
    if hz < BREAK_HZ {
        hz / LINEAR_HZ
    } else {
        BREAK_MEL + (hz / BREAK_HZ).ln() * 27.0 / 6.4_f64.ln()
    }
}

fn hz_of(mel: f64) -> f64 {
    if mel < BREAK_MEL {
        mel * LINEAR_HZ
    } else {
        BREAK_HZ * ((mel - BREAK_MEL) * 6.4_f64.ln() / 27.0).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_has_slaney_s_fixed_points() {
        assert!((mel_of(1000.0) - 15.0).abs() < 1e-12);
        assert!((mel_of(8000.0) - 45.245_640_471_924_965).abs() < 1e-9);
        for hz in [0.0, 440.0, 999.0, 1001.0, 7999.0] {
            assert!((hz_of(mel_of(hz)) - hz).abs() < 1e-9);
        }
    }

    #[test]
    fn a_bin_touches_two_bands_at_most() {
        for n_mels in [80, 128] {
            let filters = Filters::new(n_mels, 201);
            assert_eq!(filters.n_mels(), n_mels);
            let mut n_touched = [0; 201];
            for band in &filters.bands {
                n_touched[band.first_bin..band.first_bin + band.n_bins]
                    .iter_mut()
                    .for_each(|n| *n += 1);
            }
            assert!(n_touched.iter().all(|&n| n <= 2));
            // Neither end of the spectrum belongs to a band.
            assert_eq!((n_touched[0], n_touched[200]), (0, 0));
        }
    }
}
