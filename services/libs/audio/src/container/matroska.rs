//! What the outline of a Matroska file says that Symphonia does not: whether the file is all there, and how much of its last
//! packet is padding.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

const SEGMENT: u32 = 0x1853_8067;
const SEEK_HEAD: u32 = 0x114D_9B74;
const VOID: u8 = 0xEC;
const CLUSTER: u32 = 0x1F43_B675;
const BLOCK_GROUP: u32 = 0xA0;
const BLOCK: u32 = 0xA1;
const SIMPLE_BLOCK: u32 = 0xA3;
const DISCARD_PADDING: u32 = 0x75A2;

/// The outline of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outline {
    /// Whether something in it claims more bytes than there are. Live recordings claim nothing.
    pub(super) is_cut: bool,
    /// Where the sizes of the segment and of its last cluster are written, if those are what claims it.
    excessive: [Option<(usize, usize)>; 2],
    /// Where the table of contents is, which Symphonia follows to wherever it points.
    seek_head: Option<(usize, usize)>,
    /// Nanoseconds at the end of the last packet that are the encoder's.
    padding_ns: u64,
}

impl Outline {
    pub(super) fn of(file: &[u8]) -> Self {
        let mut outline = Self::default();
        let mut rest = file;
        // Containers are stepped into and not over, so the file is one flat row and any nesting costs nothing.
        while let Some(element) = Element::first(rest) {
            let n_bytes = match (element.id, element.size) {
                (SEGMENT | CLUSTER | BLOCK_GROUP, size) => {
                    if size.is_some_and(|size| size > element.rest.len() as u64) {
                        outline.is_cut = true;
                        let end = file.len().saturating_sub(element.rest.len());
                        let place = (end.saturating_sub(element.n_size), end);
                        match element.id {
                            SEGMENT => outline.excessive[0] = Some(place),
                            CLUSTER => outline.excessive[1] = Some(place),
                            _ => {}
                        }
                    }
                    0
                }
                (_, Some(size)) => size,
                // Only containers may leave their size open.
                (_, None) => break,
            };
            let Some((body, after)) = usize::try_from(n_bytes)
                .ok()
                .and_then(|n_bytes| element.rest.split_at_checked(n_bytes))
            else {
                outline.is_cut = true;
                break;
            };
            match element.id {
                BLOCK | SIMPLE_BLOCK => outline.padding_ns = 0,
                DISCARD_PADDING => outline.padding_ns = unsigned(body),
                SEEK_HEAD => {
                    let place = |rest: &[u8]| file.len().saturating_sub(rest.len());
                    outline.seek_head = Some((place(rest), place(after)));
                }
                _ => {}
            }
            rest = after;
        }
        outline
    }

    /// The file with sizes that claim too much left open instead, as in a live recording, and without its table of
    /// contents; `None` if nothing claims too much.
    pub(super) fn mended(self, file: &[u8]) -> Option<Vec<u8>> {
        self.excessive.iter().flatten().next()?;
        let mut mended = file.to_vec();
        for &(start, end) in self.excessive.iter().flatten() {
            let size = mended.get_mut(start..end)?;
            let n_bits = u32::try_from(size.len()).ok()?;
            let (first, rest) = size.split_first_mut()?;
            // The leading one says how long the size is; all other bits set mean that it is not known.
            *first = 0xFF_u8.checked_shr(n_bits.saturating_sub(1))?;
            rest.fill(0xFF);
        }
        if let Some(element) = self
            .seek_head
            .and_then(|(start, end)| mended.get_mut(start..end))
        {
            make_void(element);
        }
        Some(mended)
    }

    pub(super) fn padding_samples(self, rate_hz: u32) -> u64 {
        // Rounded: nanoseconds were rounded from samples.
        let scaled = u128::from(self.padding_ns)
            .saturating_mul(u128::from(rate_hz))
            .saturating_add(500_000_000);
        u64::try_from(scaled.checked_div(1_000_000_000).unwrap_or(0)).unwrap_or(0)
    }
}

struct Element<'a> {
    id: u32,
    /// `None` if it is left open.
    size: Option<u64>,
    /// Bytes in which it is written.
    n_size: usize,
    rest: &'a [u8],
}

impl<'a> Element<'a> {
    fn first(bytes: &'a [u8]) -> Option<Self> {
        let n_id = usize::try_from(bytes.first()?.leading_zeros())
            .ok()?
            .saturating_add(1);
        if n_id > 4 {
            return None;
        }
        let (id, rest) = bytes.split_at_checked(n_id)?;
        let id = id.iter().fold(0, |id, &byte| (id << 8) | u32::from(byte));

        let n_size = rest.first()?.leading_zeros().saturating_add(1);
        if n_size > 8 {
            return None;
        }
        let (size, rest) = rest.split_at_checked(usize::try_from(n_size).ok()?)?;
        let n_written = size.len();
        let n_bits = n_size.saturating_mul(7);
        let mask = 1_u64.checked_shl(n_bits)?.saturating_sub(1);
        let size = size
            .iter()
            .fold(0, |size, &byte| (size << 8) | u64::from(byte))
            & mask;
        Some(Self {
            id,
            size: (size != mask).then_some(size),
            n_size: n_written,
            rest,
        })
    }
}

/// Turns an element into one of the same length that nobody reads.
fn make_void(element: &mut [u8]) {
    let Some((header, body)) = element.split_first_chunk_mut::<9>() else {
        // Too short to point anywhere.
        return;
    };
    let [_, s1, s2, s3, s4, s5, s6, s7] = (body.len() as u64).to_be_bytes();
    *header = [VOID, 0x01, s1, s2, s3, s4, s5, s6, s7];
}

/// Zero if the number is negative, which would ask for samples that do not exist.
fn unsigned(bytes: &[u8]) -> u64 {
    match bytes {
        [first, ..] if *first < 0x80 && bytes.len() <= 8 => bytes
            .iter()
            .fold(0, |number, &byte| (number << 8) | u64::from(byte)),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(id: &[u8], body: &[u8]) -> Vec<u8> {
        [id, &[0x80 | u8::try_from(body.len()).unwrap()], body].concat()
    }

    fn file(is_open: bool) -> Vec<u8> {
        let padded = |ns: [u8; 3]| {
            element(
                &[0xA0],
                &[
                    element(&[0xA1], &[0x81, 0, 0, 0]),
                    element(&[0x75, 0xA2], &ns),
                ]
                .concat(),
            )
        };
        let blocks = [
            element(&[0xA3], &[0x81, 0, 0, 0]),
            padded([0, 0, 1]),
            padded([0x0C, 0xB7, 0x35]),
        ]
        .concat();
        let cluster = if is_open {
            [
                [
                    0x1F, 0x43, 0xB6, 0x75, 0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
                ]
                .as_slice(),
                &blocks,
            ]
            .concat()
        } else {
            element(&[0x1F, 0x43, 0xB6, 0x75], &blocks)
        };
        let segment = if is_open {
            [[0x18, 0x53, 0x80, 0x67, 0xFF].as_slice(), &cluster].concat()
        } else {
            element(&[0x18, 0x53, 0x80, 0x67], &cluster)
        };
        [element(&[0x1A, 0x45, 0xDF, 0xA3], &[0; 9]), segment].concat()
    }

    #[test]
    fn the_last_padding_counts() {
        for is_open in [false, true] {
            let outline = Outline::of(&file(is_open));
            assert_eq!(
                (outline.is_cut, outline.padding_samples(48_000)),
                (false, 40),
                "open: {is_open}"
            );
        }
    }

    #[test]
    fn a_cut_shows_where_sizes_are_stated() {
        let whole = file(false);
        for n_bytes in 20..whole.len() {
            assert!(Outline::of(&whole[..n_bytes]).is_cut, "{n_bytes}");
        }
    }

    #[test]
    fn a_cut_file_becomes_a_live_one() {
        let whole = file(false);
        assert_eq!(Outline::of(&whole).mended(&whole), None);
        let cut = &whole[..whole.len() - 1];
        let mended = Outline::of(cut).mended(cut).unwrap();
        // The header is 14 bytes long, the segment's name four, the cluster's too.
        assert_eq!((mended[18], mended[23]), (0xFF, 0xFF));
        assert_eq!(mended.len(), cut.len());
        assert!(mended.iter().zip(cut).filter(|(a, b)| a != b).count() == 2);
    }

    #[test]
    fn a_void_is_as_long_as_what_it_replaces() {
        let mut element = element(&[0x11, 0x4D, 0x9B, 0x74], &[7; 30]);
        let n_bytes = element.len();
        make_void(&mut element);
        let found = Element::first(&element).unwrap();
        assert_eq!(
            (found.id, found.size),
            (u32::from(VOID), Some(found.rest.len() as u64))
        );
        assert_eq!(element.len(), n_bytes);
    }

    #[test]
    fn open_sizes_of_other_elements_end_the_walk() {
        assert_eq!(Outline::of(&[0xEC, 0xFF, 1, 2, 3]), Outline::default());
        assert_eq!(Outline::of(&[0xFF; 40]), Outline::default());
        assert_eq!(Outline::of(&[0; 40]), Outline::default());
    }
}
