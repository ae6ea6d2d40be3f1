use super::*;

/// A packet that lasts 20 ms and holds nothing: CELT, fullband, mono, one frame of no bytes.
const QUIET: &[u8] = &[0xF8];
const QUIET_SAMPLES: usize = 960;

fn head(pre_skip: u16) -> Vec<u8> {
    let [low, high] = pre_skip.to_le_bytes();
    [
        b"OpusHead\x01\x01".as_slice(),
        &[low, high],
        &48_000_u32.to_le_bytes(),
        &[0, 0, 0],
    ]
    .concat()
}

fn tags() -> Vec<u8> {
    b"OpusTags\0\0\0\0\0\0\0\0".to_vec()
}

fn start(pre_skip: u16) -> Vec<u8> {
    [
        page::write(2, 0, 0, &[&head(pre_skip)]),
        page::write(0, 0, 1, &[&tags()]),
    ]
    .concat()
}

/// Samples given, all of which must be silent, and pieces of damage.
fn play(stream: &[u8]) -> Result<(usize, usize), OggOpusError> {
    let mut decoder = OggOpusDecoder::new();
    let (mut out, mut rest, mut n_damaged) = (Vec::new(), stream, 0);
    while !rest.is_empty() {
        let pushed = decoder.push(rest, &mut out)?;
        assert!(pushed.n_bytes > 0, "a push that takes nothing never ends");
        rest = &rest[pushed.n_bytes..];
        n_damaged += pushed.n_damaged;
    }
    assert!(out.iter().all(|&sample| sample == 0.0));
    Ok((out.len(), n_damaged))
}

#[test]
fn the_start_is_skipped_and_the_end_is_cut() {
    let stream = [
        start(312),
        page::write(0, 1920, 2, &[QUIET, QUIET]),
        page::write(4, 1920 + 1000, 3, &[QUIET, QUIET]),
    ]
    .concat();
    assert_eq!(play(&stream).unwrap().0, 1920 + 1000 - 312);
}

#[test]
fn a_skip_may_last_longer_than_a_page() {
    let stream = [
        start(1000),
        page::write(0, 960, 2, &[QUIET]),
        page::write(4, 1920, 3, &[QUIET]),
    ]
    .concat();
    assert_eq!(play(&stream).unwrap().0, 920);
}

#[test]
fn a_stream_of_one_page_is_cut_at_both_ends() {
    let stream = [start(100), page::write(4, 500, 2, &[QUIET])].concat();
    assert_eq!(play(&stream).unwrap().0, 400);
}

#[test]
fn a_live_stream_may_begin_at_any_count() {
    let stream = [
        start(0),
        page::write(0, 1_000_960, 2, &[QUIET]),
        page::write(4, 1_001_000, 3, &[QUIET]),
    ]
    .concat();
    assert_eq!(play(&stream), Ok((960 + 40, 0)));
}

#[test]
fn a_packet_may_go_on_from_page_to_page() {
    // Padding makes a packet long without making it loud: code 3, one frame, padding of 254 per count byte.
    let mut long = vec![0xFB, 0x41];
    long.extend([255, 255, 30]);
    long.resize(5 + 254 + 254 + 30, 0);
    let (first, second) = long.split_at(510);
    let mut begun = page::write(0, -1, 2, &[first]);
    // `write` ends the packet with a segment of no bytes; without it the packet goes on.
    assert_eq!(begun[26], 3);
    begun[26] = 2;
    begun.remove(27 + 2);
    let sum = test_checksum(&begun);
    begun[22..26].copy_from_slice(&sum.to_le_bytes());
    let stream = [start(0), begun, page::write(1 | 4, 960, 3, &[second])].concat();
    assert_eq!(play(&stream), Ok((960, 0)));
}

fn test_checksum(page: &[u8]) -> u32 {
    let mut crc = 0_u32;
    for (at, &byte) in page.iter().enumerate() {
        crc ^= u32::from(if (22..26).contains(&at) { 0 } else { byte }) << 24;
        for _ in 0..8 {
            crc = if crc >> 31 == 0 {
                crc << 1
            } else {
                (crc << 1) ^ 0x04C1_1DB7
            };
        }
    }
    crc
}

#[test]
fn comments_of_any_size_are_read_past() {
    let mut stream = page::write(2, 0, 0, &[&head(0)]);
    let mut picture = tags();
    picture.resize(255 * 255, 1);
    for sequence in 1..40 {
        let mut page = page::write(
            u8::from(sequence > 1),
            -1,
            sequence,
            &[&picture[..254 * 255]],
        );
        page[26] -= 1;
        page.remove(27 + 254);
        let sum = test_checksum(&page);
        page[22..26].copy_from_slice(&sum.to_le_bytes());
        stream.extend(page);
    }
    stream.extend(page::write(1, 0, 40, &[&[1]]));
    stream.extend(page::write(4, 960, 41, &[QUIET]));
    assert_eq!(play(&stream), Ok((QUIET_SAMPLES, 0)));
}

#[test]
fn a_damaged_page_costs_only_itself() {
    let mut damaged = page::write(0, 1920, 3, &[QUIET]);
    *damaged.last_mut().unwrap() ^= 1;
    let stream = [
        start(0),
        page::write(0, 960, 2, &[QUIET]),
        damaged,
        page::write(4, 2880, 4, &[QUIET]),
    ]
    .concat();
    // Counted twice: as a page that could not be read and as one that is missing.
    assert_eq!(play(&stream), Ok((2 * QUIET_SAMPLES, 2)));
}

#[test]
fn noise_between_pages_is_read_past() {
    let stream = [
        start(0),
        vec![b'O'; 1000],
        b"OggOgg".to_vec(),
        page::write(4, 960, 2, &[QUIET]),
    ]
    .concat();
    assert_eq!(play(&stream), Ok((QUIET_SAMPLES, 1)));
}

#[test]
fn a_packet_beyond_decoding_becomes_silence() {
    let stream = [
        start(0),
        page::write(4, 1920 + 960, 2, &[&[0xF9, 1], QUIET]),
    ]
    .concat();
    assert_eq!(play(&stream), Ok((1920 + 960, 1)));
}

#[test]
fn other_streams_are_ignored_and_sequels_played() {
    let mut video = page::write(2, 0, 0, &[b"\x80theora"]);
    video[14] = 9;
    let sum = test_checksum(&video);
    video[22..26].copy_from_slice(&sum.to_le_bytes());
    let piece = [start(0), page::write(4, 960, 2, &[QUIET])].concat();
    let unended = [start(0), page::write(0, 960, 2, &[QUIET])].concat();
    let stream = [video, piece.clone(), unended, piece].concat();
    assert_eq!(play(&stream), Ok((3 * QUIET_SAMPLES, 0)));
}

#[test]
fn what_is_not_ogg_opus_is_refused() {
    assert_eq!(play(b"RIFF....WAVE"), Err(OggOpusError::NotOgg));
    let vorbis = [
        page::write(2, 0, 0, &[b"\x01vorbis"]),
        page::write(0, 0, 1, &[b"\x03vorbis"]),
    ]
    .concat();
    assert_eq!(play(&vorbis), Err(OggOpusError::NotOpus));
    let mut strange = head(0);
    strange[18] = 2;
    let fault = "its channel mapping is not one of mono, stereo and surround";
    assert_eq!(
        play(&page::write(2, 0, 0, &[&strange])),
        Err(OggOpusError::Header { fault })
    );
}

#[test]
fn a_stream_of_what_is_not_to_be_played_is_refused() {
    // 255 packets of one byte that last 60 ms each, and a last page that says that nothing of it counts.
    let packets = [[0x18].as_slice(); 255];
    let hollow = [start(0), page::write(4, 0, 2, &packets)].concat();
    assert_eq!(play(&hollow.repeat(3)), Ok((0, 0)));
    assert_eq!(play(&hollow.repeat(50)), Err(OggOpusError::Hollow));
    // Beside as much that is played it is no harm.
    let full = [start(0), page::write(4, 255 * 2880, 2, &packets)].concat();
    let both = [full, hollow].concat();
    assert_eq!(play(&both.repeat(6)), Ok((6 * 255 * 2880, 0)));
}

#[test]
fn output_is_bounded_whatever_the_input_says() {
    // 255 packets of one byte that last 60 ms each: 500 bytes for 15 seconds.
    let packets = [[0x18].as_slice(); 255];
    let mut stream = start(0);
    for sequence in 2..200 {
        stream.extend(page::write(
            0,
            2880 * 255 * i64::from(sequence - 1),
            sequence,
            &packets,
        ));
    }
    let mut decoder = OggOpusDecoder::new();
    let mut out = Vec::new();
    let pushed = decoder.push(&stream, &mut out).unwrap();
    assert!(out.len() <= OggOpusDecoder::ENOUGH_SAMPLES + 255 * 5760);
    assert!(pushed.n_bytes < stream.len());
}
