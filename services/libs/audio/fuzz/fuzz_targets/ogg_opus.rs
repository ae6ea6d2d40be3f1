//! A live stream, cut as its own first byte says: the cuts must not change what comes out.
#![no_main]

use audio::ogg_opus::{OggOpusDecoder, OggOpusError};
use libfuzzer_sys::fuzz_target;

const MOST_SAMPLES: usize = 4_000_000;

fn play(stream: &[u8], n_piece: usize) -> (Vec<f32>, Option<OggOpusError>) {
    let mut decoder = OggOpusDecoder::new();
    let mut out = Vec::new();
    for mut piece in stream.chunks(n_piece) {
        while !piece.is_empty() && out.len() < MOST_SAMPLES {
            match decoder.push(piece, &mut out) {
                Ok(pushed) => piece = &piece[pushed.n_bytes..],
                Err(error) => return (out, Some(error)),
            }
            assert!(decoder.pending_bytes() <= 65_307);
        }
    }
    (out, None)
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&n_piece, stream)) = bytes.split_first() else {
        return;
    };
    let whole = play(stream, stream.len().max(1));
    if whole.0.len() < MOST_SAMPLES {
        assert!(play(stream, usize::from(n_piece).max(1)) == whole);
    }
});
