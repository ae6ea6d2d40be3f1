//! A logarithm that the compiler can work on eight at a time.

use std::f32::consts::{LN_2, LN_10};

/// log10 of a positive, normal number, to one unit in the last place or 3e-7, whichever is more.
///
/// The exponent is read off the bits; the rest is `ln(m) = 2 atanh((m - 1) / (m + 1))` for `m` between the square roots of
/// a half and of two, where four terms of the series suffice.
pub(super) fn log10(x: f32) -> f32 {
    // Shifting the bits by those of sqrt(1/2) makes the exponent round to the nearest power of two.
    const ROOT_HALF_BITS: u32 = 0x3F35_04F3;
    let shifted = x.to_bits().wrapping_sub(ROOT_HALF_BITS);
    let exponent = shifted.cast_signed() >> 23;
    let mantissa = f32::from_bits((shifted & 0x007F_FFFF) + ROOT_HALF_BITS);
    let ratio = (mantissa - 1.0) / (mantissa + 1.0);
    let square = ratio * ratio;
    let series = 1.0
        + square * (1.0 / 3.0 + square * (1.0 / 5.0 + square * (1.0 / 7.0 + square * (1.0 / 9.0))));
    exponent as f32 * (LN_2 / LN_10) + ratio * series * (2.0 / LN_10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_logarithm() {
        let mut x = 1e-10_f32;
        while x < 1e10 {
            let exact = f64::from(x).log10();
            let error = (f64::from(log10(x)) - exact).abs();
            assert!(
                error < 3e-7 + 1.2e-7 * exact.abs(),
                "log10({x}) is off by {error}"
            );
            x *= 1.000_37;
        }
        assert_eq!(log10(1.0).to_bits(), 0.0_f32.to_bits());
    }
}
