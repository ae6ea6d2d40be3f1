//! The plain AAC inside HE-AAC.
//!
//! HE-AAC is AAC at half the rate with a recipe for the upper half of the spectrum, which Symphonia cannot follow. The plain
//! half reaches to 8 kHz and beyond at every usual rate: all that speech recognition hears.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

/// Rates by their index in an `AudioSpecificConfig`, in hertz.
const RATES_HZ: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];
const LOW_COMPLEXITY: u16 = 2;
const BAND_REPLICATION: u16 = 5;
const PARAMETRIC_STEREO: u16 = 29;

/// How the plain half is to be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Core {
    pub(super) rate_hz: u32,
    /// An `AudioSpecificConfig` of nothing but plain AAC.
    pub(super) config: [u8; 2],
}

/// The plain half that a decoder's configuration (ISO/IEC 14496-3, 1.6.2.1) describes, if it has one of two channels at most.
pub(super) fn core(config: &[u8]) -> Option<Core> {
    // Five bits of object type, four of rate, four of channels. What follows is about the other half.
    let fields = u16::from_be_bytes(*config.first_chunk::<2>()?);
    let (object_type, rate_idx, channels) =
        (fields >> 11, (fields >> 7) & 0xF, (fields >> 3) & 0xF);
    let is_known = matches!(
        object_type,
        LOW_COMPLEXITY | BAND_REPLICATION | PARAMETRIC_STEREO
    );
    let rate_hz = *RATES_HZ.get(usize::from(rate_idx))?;
    (is_known && matches!(channels, 1 | 2)).then_some(Core {
        rate_hz,
        config: ((LOW_COMPLEXITY << 11) | (rate_idx << 7) | (channels << 3)).to_be_bytes(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_core_of_every_signalling_is_found() {
        let stereo_22050 = Some(Core {
            rate_hz: 22_050,
            config: [0x13, 0x90],
        });
        // Explicit: object type 5, index 7 (22,050), 2 channels, extension index 4 (44,100), object type 2.
        assert_eq!(core(&[0x2B, 0x92, 0x08, 0x00]), stereo_22050);
        // Compatible: plain first, the extension behind a sync word.
        assert_eq!(core(&[0x13, 0x90, 0x56, 0xE5, 0xA0]), stereo_22050);
        // Parametric stereo: object type 29, index 6 (24,000), mono.
        assert_eq!(
            core(&[0xEB, 0x09, 0x88, 0x00]),
            Some(Core {
                rate_hz: 24_000,
                config: [0x13, 0x08]
            })
        );
    }

    #[test]
    fn what_has_no_such_core_has_none() {
        // Six channels; a rate that is spelt out; object type 42 (USAC); cut off.
        for config in [
            [0x2B, 0xB0].as_slice(),
            &[0x17, 0x88],
            &[0xF9, 0x50],
            &[0x13],
            &[],
        ] {
            assert_eq!(core(config), None, "{config:x?}");
        }
    }
}
