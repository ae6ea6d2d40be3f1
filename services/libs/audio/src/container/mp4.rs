//! What the boxes of an MP4 file say that Symphonia does not apply: how many samples at the start are the encoder's and not the
//! speaker's, and whether the file is all there. And what it must not be given: tables that it would read anew for every packet.
//!
//! Without the first, everything in an M4A file comes 20 to 50 ms late.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use std::ops::Range;

/// The most entries of a table of sample times: Symphonia looks for the time of each packet from the table's start. Real files have a handful.
const MOST_TIMES: usize = 256;

/// Where the audio that counts begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start {
    /// In units of the track's own clock.
    pub(super) time: u64,
    /// Units per second.
    pub(super) timescale: u32,
}

impl Start {
    /// Samples at `rate_hz` before it.
    pub(super) fn samples(self, rate_hz: u32) -> u64 {
        self.time
            .saturating_mul(u64::from(rate_hz))
            .checked_div(u64::from(self.timescale))
            .unwrap_or(0)
    }
}

/// The start that the first audio track declares.
pub(super) fn audio_start(file: &[u8]) -> Option<Start> {
    let movie = boxes(file).find(|found| found.name == *b"moov")?;
    let track = boxes(movie.body)
        .filter(|found| found.name == *b"trak")
        .find(|track| {
            path(track.body, &[*b"mdia", *b"hdlr"]).and_then(|hdlr| hdlr.get(8..12))
                == Some(b"soun")
        })?;
    let edits = path(track.body, &[*b"edts", *b"elst"])?;
    let header = path(track.body, &[*b"mdia", *b"mdhd"])?;
    let timescale = match header.first()? {
        0 => header.get(12..)?,
        _ => header.get(20..)?,
    };
    let timescale = u32::from_be_bytes(*timescale.first_chunk()?);
    let n_entries = u32::from_be_bytes(*edits.get(4..)?.first_chunk()?);
    let is_wide = *edits.first()? != 0;
    let entries = edits.get(8..)?.chunks_exact(if is_wide { 20 } else { 12 });
    let time = entries
        .take(usize::try_from(n_entries).unwrap_or(usize::MAX))
        .find_map(|entry| {
            let time = if is_wide {
                i64::from_be_bytes(*entry.get(8..)?.first_chunk()?)
            } else {
                i64::from(i32::from_be_bytes(*entry.get(4..)?.first_chunk()?))
            };
            // An entry with a time of -1 is a pause before the first sample, which players do not play either.
            u64::try_from(time).ok()
        })?;
    Some(Start { time, timescale })
}

/// The file with a last box that claims more than there is made to fit, and with long tables of times made short; `None` if there is
/// neither.
pub(super) fn mended(file: &[u8]) -> Option<Vec<u8>> {
    let mut mended = fitted(file);
    for (place, table) in short_times(mended.as_deref().unwrap_or(file)) {
        let copy = mended.get_or_insert_with(|| file.to_vec());
        if let Some(there) = copy.get_mut(place) {
            there.copy_from_slice(&table);
        }
    }
    mended
}

/// What is to be written over the starts of tables of sample times (`stts`) that are too long: two entries with as many samples and the
/// same sum. Times are used for nothing but the length of packets that are damaged.
fn short_times(file: &[u8]) -> Vec<(Range<usize>, [u8; 20])> {
    let mut tables = vec![file];
    for name in [*b"moov", *b"trak", *b"mdia", *b"minf", *b"stbl", *b"stts"] {
        tables = tables
            .into_iter()
            .flat_map(boxes)
            .filter(|found| found.name == name)
            .map(|found| found.body)
            .collect();
    }
    let shortened = tables.into_iter().filter_map(|table| {
        let number = |bytes: &[u8]| bytes.first_chunk().map(|it| u32::from_be_bytes(*it));
        let entries = table.get(8..)?;
        let n_entries = usize::try_from(number(table.get(4..)?)?).ok()?;
        if n_entries <= MOST_TIMES || entries.len() < 16 {
            return None;
        }
        let (mut n_samples, mut sum) = (0_u64, 0_u64);
        for entry in entries.chunks_exact(8).take(n_entries) {
            let (n, each) = (
                u64::from(number(entry)?),
                u64::from(number(entry.get(4..)?)?),
            );
            n_samples = n_samples.saturating_add(n);
            sum = sum.saturating_add(n.saturating_mul(each));
        }
        let n_samples = n_samples.min(u64::from(u32::MAX));
        let n_first = n_samples.saturating_sub(1);
        let each = sum.checked_div(n_samples).unwrap_or(0);
        let last = sum.saturating_sub(n_first.saturating_mul(each));
        let mut made = [0; 20];
        let numbers = [2, n_first, each, n_samples.min(1), last];
        for (place, it) in made.chunks_exact_mut(4).zip(numbers) {
            let fitting = u32::try_from(it).unwrap_or(u32::MAX);
            place.copy_from_slice(&fitting.to_be_bytes());
        }
        let at = table.as_ptr().addr().checked_sub(file.as_ptr().addr())?;
        let (begin, end) = (at.checked_add(4)?, at.checked_add(24)?);
        Some((begin..end, made))
    });
    shortened.collect()
}

fn fitted(file: &[u8]) -> Option<Vec<u8>> {
    let n_whole: usize = boxes(file)
        .map(|found| found.n_bytes)
        .fold(0, usize::saturating_add);
    let cut = file.get(n_whole..)?;
    let (size, _) = cut.split_first_chunk::<4>()?;
    // A box with a wide size keeps it behind its name, and is a recording of 4 GiB.
    let is_wide = u32::from_be_bytes(*size) == 1;
    let n_left = u32::try_from(cut.len())
        .ok()
        .filter(|&n_left| n_left >= 8 && !is_wide)?;
    let mut mended = file.to_vec();
    mended
        .get_mut(n_whole..)?
        .first_chunk_mut::<4>()?
        .copy_from_slice(&n_left.to_be_bytes());
    Some(mended)
}

/// Whether bytes are missing at the end.
pub(super) fn is_cut(file: &[u8]) -> bool {
    boxes(file)
        .map(|found| found.n_bytes)
        .fold(0, usize::saturating_add)
        < file.len()
}

struct Found<'a> {
    name: [u8; 4],
    body: &'a [u8],
    /// Header included.
    n_bytes: usize,
}

/// The boxes that lie one after the other in `bytes`.
fn boxes(mut bytes: &[u8]) -> impl Iterator<Item = Found<'_>> {
    std::iter::from_fn(move || {
        let &[s0, s1, s2, s3, n0, n1, n2, n3] = bytes.first_chunk()?;
        let name = [n0, n1, n2, n3];
        let (size, header) = match u32::from_be_bytes([s0, s1, s2, s3]) {
            0 => (bytes.len(), 8),
            1 => (
                usize::try_from(u64::from_be_bytes(*bytes.get(8..)?.first_chunk()?)).ok()?,
                16,
            ),
            size => (usize::try_from(size).ok()?, 8),
        };
        let body = bytes.get(header..size)?;
        bytes = bytes.get(size..)?;
        Some(Found {
            name,
            body,
            n_bytes: size,
        })
    })
}

fn path<'a>(bytes: &'a [u8], names: &[[u8; 4]]) -> Option<&'a [u8]> {
    names.iter().try_fold(bytes, |inside, name| {
        boxes(inside)
            .find(|found| found.name == *name)
            .map(|found| found.body)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(name: [u8; 4], body: &[u8]) -> Vec<u8> {
        let size = u32::try_from(body.len() + 8).unwrap();
        [size.to_be_bytes().as_slice(), &name, body].concat()
    }

    fn movie(handler: [u8; 4], entries: &[i32]) -> Vec<u8> {
        let n_entries = u32::try_from(entries.len()).unwrap().to_be_bytes();
        let entries = entries
            .iter()
            .flat_map(|time| [[0, 0, 1, 0], time.to_be_bytes(), [0, 1, 0, 0]].concat());
        let list = [[0; 4].as_slice(), &n_entries, &entries.collect::<Vec<u8>>()].concat();
        let header = [[0; 12].as_slice(), &16_000_u32.to_be_bytes(), &[0; 8]].concat();
        let media = [
            make(*b"mdhd", &header),
            make(*b"hdlr", &[[0; 8].as_slice(), &handler, &[0; 12]].concat()),
        ];
        let track = [
            make(*b"edts", &make(*b"elst", &list)),
            make(*b"mdia", &media.concat()),
        ];
        make(*b"moov", &make(*b"trak", &track.concat()))
    }

    #[test]
    fn the_first_real_entry_counts() {
        let start = audio_start(&movie(*b"soun", &[-1, 1024])).unwrap();
        assert_eq!((start.samples(16_000), start.samples(48_000)), (1024, 3072));
    }

    #[test]
    fn other_tracks_and_empty_lists_say_nothing() {
        assert_eq!(audio_start(&movie(*b"vide", &[1024])), None);
        assert_eq!(audio_start(&movie(*b"soun", &[])), None);
    }

    #[test]
    fn a_cut_box_is_made_to_fit() {
        let whole = [make(*b"ftyp", b"isom"), make(*b"mdat", &[7; 20])].concat();
        assert!(!is_cut(&whole));
        assert_eq!(mended(&whole), None);
        let cut = &whole[..30];
        assert!(is_cut(cut));
        assert_eq!(
            mended(cut),
            Some([make(*b"ftyp", b"isom"), make(*b"mdat", &[7; 10])].concat())
        );
    }

    fn with_times(entries: &[[u32; 2]]) -> Vec<u8> {
        let n_entries = u32::try_from(entries.len()).unwrap().to_be_bytes();
        let entries = entries.iter().flatten().flat_map(|it| it.to_be_bytes());
        let table = [[0; 4].as_slice(), &n_entries, &entries.collect::<Vec<u8>>()].concat();
        [*b"stts", *b"stbl", *b"minf", *b"mdia", *b"trak", *b"moov"]
            .into_iter()
            .fold(table, |inside, name| make(name, &inside))
    }

    #[test]
    fn a_long_table_of_times_becomes_a_short_one_with_the_same_sum() {
        let mut times = vec![[1, 1000], [0, 77], [3, 1001]];
        times.resize(MOST_TIMES + 1, [1, 1000]);
        let file = with_times(&times);
        let mended = mended(&file).unwrap();
        assert_eq!(mended.len(), file.len());
        let table = &mended[6 * 8 + 4..];
        let (n_samples, sum) = (1 + 3 + 254, 1000 + 3003 + 254 * 1000);
        let numbers = [2, n_samples - 1, 1000, 1, sum - (n_samples - 1) * 1000];
        let expected: Vec<u8> = numbers
            .into_iter()
            .flat_map(|it: u32| it.to_be_bytes())
            .collect();
        assert_eq!(&table[..20], expected);
        times.truncate(MOST_TIMES);
        assert_eq!(super::mended(&with_times(&times)), None);
    }

    #[test]
    fn tables_that_lie_are_left_or_shortened_and_nothing_panics() {
        let full = with_times(&vec![[u32::MAX, u32::MAX]; MOST_TIMES + 1]);
        assert!(mended(&full).is_some());
        assert!(mended(&with_times(&vec![[0, 5]; MOST_TIMES + 1])).is_some());
        let mut lying = with_times(&[[1, 5]]);
        lying[6 * 8 + 4..][..4].copy_from_slice(&u32::MAX.to_be_bytes());
        assert_eq!(mended(&lying), None);
    }

    #[test]
    fn no_cut_makes_it_panic() {
        let whole = movie(*b"soun", &[-1, 1024]);
        for n_bytes in 0..whole.len() {
            assert_eq!(audio_start(&whole[..n_bytes]), None);
            let mut broken = whole.clone();
            broken[n_bytes] ^= 0xFF;
            let _start = audio_start(&broken);
            assert!(mended(&broken).is_none_or(|mended| mended.len() == broken.len()));
        }
    }
}
