use proptest::prelude::*;

use super::*;

fn decode(encoding: Encoding, channels: Channels, bytes: &[u8]) -> (Vec<f32>, Pushed, usize) {
    let mut decoder = PcmDecoder::new(encoding, channels);
    let mut out = Vec::new();
    let pushed = decoder.push(bytes, &mut out);
    (out, pushed, decoder.pending_bytes())
}

#[test]
fn s16le_is_read_at_full_scale() {
    let (samples, pushed, pending) = decode(
        Encoding::PcmS16le,
        Channels::Mono,
        &[0, 0x80, 0, 0, 0xFF, 0x7F, 9],
    );
    assert_eq!(samples, [-1.0, 0.0, 32_767.0 / 32_768.0]);
    assert_eq!((pushed.n_samples, pushed.n_replaced, pending), (3, 0, 1));
}

#[test]
fn stereo_is_averaged() {
    let bytes: Vec<u8> = [16_384_i16, 0, -8192, -24_576]
        .into_iter()
        .flat_map(i16::to_le_bytes)
        .collect();
    assert_eq!(
        decode(Encoding::PcmS16le, Channels::Stereo, &bytes).0,
        [0.25, -0.5]
    );
    assert_eq!(
        decode(Encoding::Mulaw, Channels::Stereo, &[0x80, 0x00, 0x80, 0x80]).0,
        [0.0, 32_124.0 / 32_768.0]
    );
    assert_eq!(
        decode(Encoding::Alaw, Channels::Stereo, &[0xAA, 0x2A]).0,
        [0.0]
    );
}

#[test]
fn floats_are_clipped_and_what_is_no_number_is_counted() {
    let given = [0.5, f32::NAN, f32::INFINITY, 1.5, f32::NEG_INFINITY, -3e38];
    let bytes: Vec<u8> = given.into_iter().flat_map(f32::to_le_bytes).collect();
    let (samples, pushed, _) = decode(Encoding::PcmF32le, Channels::Mono, &bytes);
    assert_eq!(samples, [0.5, 0.0, 0.0, 1.0, 0.0, -1.0]);
    assert_eq!(pushed.n_replaced, 3);
    let (samples, pushed, _) = decode(Encoding::PcmF32le, Channels::Stereo, &bytes);
    assert_eq!(samples, [0.25, 0.5, -0.5]);
    assert_eq!(pushed.n_replaced, 3);
}

#[test]
fn a_pending_frame_can_be_discarded() {
    let mut decoder = PcmDecoder::new(Encoding::PcmF32le, Channels::Stereo);
    let mut out = Vec::new();
    decoder.push(&[1; 7], &mut out);
    assert_eq!((decoder.pending_bytes(), out.len()), (7, 0));
    assert_eq!(decoder.discard_pending(), 7);
    decoder.push(&[0; 8], &mut out);
    assert_eq!((decoder.pending_bytes(), out), (0, vec![0.0]));
}

#[test]
fn names_are_read_and_strangers_refused() {
    for encoding in Encoding::ALL {
        assert_eq!(encoding.to_string().parse(), Ok(encoding));
    }
    let error = "pcm_s24le".parse::<Encoding>().unwrap_err();
    assert!(error.to_string().ends_with("Given: pcm_s24le"), "{error}");
}

#[test]
fn writing_clips_and_survives_nonsense() {
    let mut bytes = Vec::new();
    encode(&[2.0, -2.0, f32::NAN, 0.25], Encoding::PcmS16le, &mut bytes);
    assert_eq!(bytes, [0xFF, 0x7F, 0, 0x80, 0, 0, 0, 0x20]);
    bytes.clear();
    encode(&[2.0, f32::NAN], Encoding::PcmF32le, &mut bytes);
    assert_eq!(
        bytes,
        [1.0_f32.to_le_bytes(), 0.0_f32.to_le_bytes()].concat()
    );
}

#[test]
fn every_16_bit_value_survives_the_round_trip() {
    let bytes: Vec<u8> = (i16::MIN..=i16::MAX).flat_map(i16::to_le_bytes).collect();
    let (samples, ..) = decode(Encoding::PcmS16le, Channels::Mono, &bytes);
    let mut back = Vec::new();
    encode(&samples, Encoding::PcmS16le, &mut back);
    assert_eq!(back, bytes);
}

fn encodings() -> impl Strategy<Value = Encoding> {
    prop::sample::select(Encoding::ALL.to_vec())
}

proptest! {
    #[test]
    fn cuts_do_not_matter(
        encoding in encodings(),
        channels in prop::sample::select(vec![Channels::Mono, Channels::Stereo]),
        bytes in prop::collection::vec(any::<u8>(), 0..3000),
        cuts in prop::collection::vec(0..50_usize, 0..100),
    ) {
        let (whole, pushed, pending) = decode(encoding, channels, &bytes);
        let mut decoder = PcmDecoder::new(encoding, channels);
        let (mut out, mut rest, mut n_replaced) = (Vec::new(), bytes.as_slice(), 0);
        for cut in cuts {
            let (head, tail) = rest.split_at(cut.min(rest.len()));
            n_replaced += decoder.push(head, &mut out).n_replaced;
            rest = tail;
        }
        n_replaced += decoder.push(rest, &mut out).n_replaced;
        prop_assert_eq!(&out, &whole);
        prop_assert_eq!((n_replaced, decoder.pending_bytes()), (pushed.n_replaced, pending));
        prop_assert_eq!(bytes.len(), pending + out.len() * decoder.bytes_per_frame());
        prop_assert!(out.iter().all(|sample| (-1.0..=1.0).contains(sample)));
    }

    #[test]
    fn what_is_written_can_be_read(samples in prop::collection::vec(-1.0..1.0_f32, 0..500), encoding in encodings()) {
        let mut bytes = Vec::new();
        encode(&samples, encoding, &mut bytes);
        let (back, ..) = decode(encoding, Channels::Mono, &bytes);
        prop_assert_eq!(back.len(), samples.len());
        for (given, got) in samples.iter().zip(back) {
            // The coarsest G.711 interval is 1024 wide on the 16-bit scale.
            let tolerance = match encoding {
                Encoding::PcmF32le => 0.0,
                Encoding::PcmS16le => 1.0 / 32_768.0,
                Encoding::Mulaw | Encoding::Alaw => 0.0004 + given.abs() / 24.0,
            };
            prop_assert!((given - got).abs() <= tolerance, "{given} became {got}");
        }
    }
}
