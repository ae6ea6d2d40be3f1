//! ITU-T G.711, by the formulae and not by tables: the compiler makes the tables.
//!
//! Linear values are on the 16-bit scale, as every codec library has them: G.711's 14-bit mu-law values times
//! four, its 13-bit A-law values times eight.

const MULAW_BIAS: i32 = 33;
const MULAW_MAX: i32 = 8158;

/// The linear value of a mu-law byte: -32124 to 32124.
#[must_use]
pub const fn mulaw_to_linear(byte: u8) -> i16 {
    MULAW[byte as usize]
}

/// The linear value of an A-law byte: -32256 to 32256.
#[must_use]
pub const fn alaw_to_linear(byte: u8) -> i16 {
    ALAW[byte as usize]
}

/// The mu-law byte for a linear value.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "segment and step fit seven bits"
)]
pub const fn linear_to_mulaw(linear: i16) -> u8 {
    // One's complement for negatives, as in ITU-T G.191: truncation then goes towards zero on both sides.
    let magnitude = if linear < 0 {
        !(linear as i32)
    } else {
        linear as i32
    } >> 2;
    let clipped = if magnitude > MULAW_MAX {
        MULAW_MAX
    } else {
        magnitude
    };
    let biased = clipped + MULAW_BIAS;
    // The leading one sits at bit 5 in segment 0 and at bit 12 in segment 7.
    let segment = 26 - biased.leading_zeros() as i32;
    let step = (biased >> (segment + 1)) & 0x0F;
    let sign = if linear < 0 { 0x80 } else { 0 };
    !(sign | (segment << 4) | step) as u8
}

/// The A-law byte for a linear value.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "segment and step fit seven bits"
)]
pub const fn linear_to_alaw(linear: i16) -> u8 {
    // One's complement again: A-law has no zero, its first negative interval begins at -1.
    let magnitude = (if linear < 0 {
        !(linear as i32)
    } else {
        linear as i32
    }) >> 3;
    let segment = if magnitude < 32 {
        0
    } else {
        27 - magnitude.leading_zeros() as i32
    };
    let step = if segment < 2 {
        magnitude >> 1
    } else {
        magnitude >> segment
    } & 0x0F;
    let sign = if linear < 0 { 0 } else { 0x80 };
    ((sign | (segment << 4) | step) ^ 0x55) as u8
}

const MULAW: [i16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0_u8;
    loop {
        table[byte as usize] = mulaw_formula(byte);
        if byte == u8::MAX {
            break table;
        }
        byte += 1;
    }
};

const ALAW: [i16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0_u8;
    loop {
        table[byte as usize] = alaw_formula(byte);
        if byte == u8::MAX {
            break table;
        }
        byte += 1;
    }
};

const fn mulaw_formula(byte: u8) -> i16 {
    let inverted = !byte;
    let segment = (inverted >> 4) & 7;
    let step = (inverted & 0x0F) as i16;
    let magnitude = (((2 * step + 33) << segment) - 33) * 4;
    if inverted & 0x80 == 0 {
        magnitude
    } else {
        -magnitude
    }
}

const fn alaw_formula(byte: u8) -> i16 {
    let even_inverted = byte ^ 0x55;
    let segment = (even_inverted >> 4) & 7;
    let step = (even_inverted & 0x0F) as i16;
    let magnitude = match segment {
        0 => (2 * step + 1) * 8,
        _ => ((2 * step + 33) << (segment - 1)) * 8,
    };
    if even_inverted & 0x80 == 0 {
        -magnitude
    } else {
        magnitude
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Width of the quantising interval that `linear` falls into, on the 16-bit scale, from G.711's tables 1 and 2:
    /// intervals double from segment to segment.
    fn mulaw_interval(linear: i32) -> i32 {
        let biased = (linear.abs() / 4 + 33).min(8191);
        (0..8)
            .find(|segment| biased < 64 << segment)
            .map(|segment| 8 << segment)
            .unwrap()
    }

    fn alaw_interval(linear: i32) -> i32 {
        let magnitude = linear.abs().min(32767) / 8;
        (1..8)
            .find(|segment| magnitude < 32 << segment)
            .map(|segment| 8 << segment)
            .unwrap()
    }

    #[test]
    fn mulaw_has_the_recommendation_s_values() {
        // G.711 table 2a, characters in order of transmission, times four.
        for (byte, linear) in [
            (0x80, 8031),
            (0x81, 7775),
            (0x8F, 4191),
            (0x9F, 2079),
            (0xAF, 1023),
            (0xBF, 495),
            (0xCF, 231),
            (0xDF, 99),
            (0xEF, 33),
            (0xFE, 2),
            (0xFF, 0),
        ] {
            assert_eq!(mulaw_to_linear(byte), linear * 4, "{byte:#04x}");
            assert_eq!(
                mulaw_to_linear(byte & 0x7F),
                -linear * 4,
                "{byte:#04x} with the other sign"
            );
        }
    }

    #[test]
    fn alaw_has_the_recommendation_s_values() {
        // G.711 table 1a, even bits inverted, times eight.
        for (byte, linear) in [
            (0xD5, 1),
            (0xD4, 3),
            (0xC5, 33),
            (0xF5, 66),
            (0xE5, 132),
            (0x95, 264),
            (0x85, 528),
            (0xB5, 1056),
            (0xA5, 2112),
            (0xAA, 4032),
        ] {
            assert_eq!(alaw_to_linear(byte), linear * 8, "{byte:#04x}");
            assert_eq!(
                alaw_to_linear(byte & 0x7F),
                -linear * 8,
                "{byte:#04x} with the other sign"
            );
        }
    }

    #[test]
    fn every_byte_survives_the_round_trip() {
        for byte in 0..=255 {
            assert_eq!(linear_to_alaw(alaw_to_linear(byte)), byte);
            // Mu-law has two zeros; the negative one is never written.
            let expected = if byte == 0x7F { 0xFF } else { byte };
            assert_eq!(linear_to_mulaw(mulaw_to_linear(byte)), expected);
        }
    }

    #[test]
    fn every_linear_value_lands_in_its_own_interval() {
        for linear in i16::MIN..=i16::MAX {
            let wide = i32::from(linear);
            let mulaw = i32::from(mulaw_to_linear(linear_to_mulaw(linear)));
            let clipped = wide.clamp(-32_635, 32_635);
            assert!(
                (mulaw - clipped).abs() <= mulaw_interval(wide) / 2 + 3,
                "{linear} became {mulaw}"
            );
            let alaw = i32::from(alaw_to_linear(linear_to_alaw(linear)));
            assert!(
                (alaw - wide).abs() <= alaw_interval(wide),
                "{linear} became {alaw}"
            );
            assert!(wide == 0 || mulaw.signum() * wide.signum() >= 0);
            assert_eq!(alaw < 0, wide < 0);
        }
    }

    #[test]
    fn encoding_never_runs_backwards() {
        for linear in i16::MIN..i16::MAX {
            assert!(
                mulaw_to_linear(linear_to_mulaw(linear))
                    <= mulaw_to_linear(linear_to_mulaw(linear + 1))
            );
            assert!(
                alaw_to_linear(linear_to_alaw(linear))
                    <= alaw_to_linear(linear_to_alaw(linear + 1))
            );
        }
    }
}
