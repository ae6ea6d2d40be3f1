//! Raw audio: the first byte picks the format, the second the cuts, which must not change what comes out.
#![no_main]

use audio::encoding::{Channels, Encoding, PcmDecoder, encode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((&[format, n_piece], audio)) = bytes.split_first_chunk::<2>() else {
        return;
    };
    let encoding = Encoding::ALL[usize::from(format & 3)];
    let channels = if format & 4 == 0 {
        Channels::Mono
    } else {
        Channels::Stereo
    };

    let mut whole = Vec::new();
    let mut decoder = PcmDecoder::new(encoding, channels);
    let n_replaced = decoder.push(audio, &mut whole).n_replaced;
    assert_eq!(
        whole.len() * decoder.bytes_per_frame() + decoder.pending_bytes(),
        audio.len()
    );
    assert!(whole.iter().all(|sample| (-1.0..=1.0).contains(sample)));

    let mut pieces = Vec::new();
    let mut decoder = PcmDecoder::new(encoding, channels);
    let counted: usize = audio
        .chunks(usize::from(n_piece).max(1))
        .map(|piece| decoder.push(piece, &mut pieces).n_replaced)
        .sum();
    assert_eq!((pieces, counted), (whole.clone(), n_replaced));

    // What was decoded from one channel is written back as it was, except for what was no number, too loud, or one of
    // the two zeros of mu-law and of floats.
    if channels == Channels::Mono && matches!(encoding, Encoding::PcmS16le | Encoding::Alaw) {
        let mut back = Vec::new();
        encode(&whole, encoding, &mut back);
        assert_eq!(back, audio[..back.len()]);
    }
});
