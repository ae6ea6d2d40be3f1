//! Ogg files that hold Opus, by the decoder for live streams.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use super::sink::{End, Sink};
use super::{Clip, DecodeError};
use crate::ogg_opus::{OggOpusDecoder, OggOpusError};

/// Where the first packets of all streams lie: a few pages of some dozens of bytes.
const HEADER_BYTES: usize = 4096;

pub(super) fn is_opus(bytes: &[u8]) -> bool {
    let start = bytes.get(..HEADER_BYTES).unwrap_or(bytes);
    start.windows(8).any(|window| window == b"OpusHead")
}

/// Whether the last page says that it is the last.
pub(super) fn has_last_page(bytes: &[u8]) -> bool {
    let last = bytes.windows(6).rev().find_map(|window| match window {
        &[b'O', b'g', b'g', b'S', 0, flags] => Some(flags),
        _ => None,
    });
    last.is_some_and(|flags| flags & 4 != 0)
}

pub(super) fn decode_opus(bytes: &[u8], mut sink: Sink) -> Result<Clip, DecodeError> {
    let container = sink.container();
    let mut decoder = OggOpusDecoder::new();
    let (mut rest, mut n_damaged) = (bytes, 0_usize);
    let mut samples = Vec::new();
    while !rest.is_empty() {
        samples.clear();
        let pushed = decoder.push(rest, &mut samples).map_err(|error| {
            let fault = error.to_string();
            match error {
                OggOpusError::Header { .. } => DecodeError::UnsupportedCodec {
                    container,
                    codec: format!("opus: {fault}"),
                },
                OggOpusError::NotOgg | OggOpusError::NotOpus | OggOpusError::Hollow => {
                    DecodeError::Malformed { container, fault }
                }
            }
        })?;
        if let Some(n_channels) = decoder.n_channels() {
            sink.open(OggOpusDecoder::RATE.hz(), u32::from(n_channels), "opus")?;
        }
        sink.push_mono(&samples)?;
        n_damaged = n_damaged.saturating_add(pushed.n_damaged);
        rest = rest.get(pushed.n_bytes..).unwrap_or_default();
    }
    let is_whole = decoder.has_ended() && decoder.pending_bytes() == 0 && n_damaged == 0;
    sink.finish(if is_whole {
        End::Whole
    } else {
        End::Early { claimed: None }
    })
}
