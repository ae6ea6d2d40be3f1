//! MP3. The frame with the total length, which comes first in a file, is left out: it is known only at the end.

use audio::SampleRate;
use rusty_mp3::{Mp3Encoder, Mp3EncoderConfig};

use super::RenderError;

pub(super) const RATES: [u32; 9] = [
    8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000,
];
pub(super) const RATES_IN_WORDS: &str =
    "8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100 or 48000";
/// Enough for one voice.
const KBPS_UP_TO_24_KHZ: u32 = 64;
const KBPS_ABOVE: f32 = 96.0;

/// A stream of MP3 frames.
pub(super) struct Mp3 {
    encoder: Mp3Encoder,
    rate: SampleRate,
    has_tag: bool,
}

impl Mp3 {
    pub(super) fn new(rate: SampleRate) -> Mp3 {
        // At a constant bit rate the library keeps all frames above 24 kHz until the end, to share out their bits.
        let vbr_quality = (24_000 < rate.hz()).then_some(KBPS_ABOVE);
        let config = Mp3EncoderConfig {
            bitrate_kbps: KBPS_UP_TO_24_KHZ,
            vbr_quality,
        };
        Mp3 {
            encoder: Mp3Encoder::new(config),
            rate,
            has_tag: true,
        }
    }

    pub(super) fn push(
        &mut self,
        samples: &[f32],
        is_last: bool,
        bytes: &mut Vec<u8>,
    ) -> Result<(), RenderError> {
        let failed = |error: rusty_mp3::Error| RenderError::Encoder {
            format: "mp3",
            cause: error.to_string(),
        };
        self.encoder
            .push_pcm_f32(samples, 1, self.rate.hz())
            .map_err(failed)?;
        if is_last {
            self.encoder.finish();
        }
        // An error means that more is wanted before there is another frame, or that there is none.
        while let Ok(frame) = self.encoder.next_packet() {
            if std::mem::take(&mut self.has_tag) {
                continue;
            }
            bytes.extend_from_slice(&frame);
        }
        Ok(())
    }
}

impl std::fmt::Debug for Mp3 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mp3")
            .field("rate", &self.rate)
            .finish_non_exhaustive()
    }
}
