//! One page of an Ogg stream (RFC 3533).
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

const CAPTURE: &[u8] = b"OggS";
const HEADER_BYTES: usize = 27;

/// What a buffer begins with.
pub(super) enum Found<'a> {
    /// Nothing to be said before it is `n_needed` bytes long.
    Unfinished { n_needed: usize },
    /// So many bytes belong to no page.
    Garbage { n_bytes: usize },
    /// A page, as long as the buffer.
    Page(Page<'a>),
}

/// A page whose checksum holds.
#[derive(Clone, Copy)]
pub(super) struct Page<'a> {
    flags: u8,
    granule: i64,
    pub(super) serial: u32,
    pub(super) sequence: u32,
    lacing: &'a [u8],
    body: &'a [u8],
}

/// A piece of a packet.
pub(super) struct Piece<'a> {
    pub(super) bytes: &'a [u8],
    /// Whether the packet ends with this piece; otherwise the next page has more of it.
    pub(super) is_last: bool,
}

impl<'a> Page<'a> {
    /// Whether the page begins in the middle of a packet.
    pub(super) const fn is_continued(&self) -> bool {
        self.flags & 1 != 0
    }

    pub(super) const fn is_first(&self) -> bool {
        self.flags & 2 != 0
    }

    pub(super) const fn is_last(&self) -> bool {
        self.flags & 4 != 0
    }

    /// The stream's position after the last packet that ends on this page; `None` if none does.
    pub(super) fn end(&self) -> Option<u64> {
        u64::try_from(self.granule).ok()
    }

    pub(super) fn pieces(&self) -> impl Iterator<Item = Piece<'a>> + use<'a> {
        let (mut lacing, mut body) = (self.lacing, self.body);
        std::iter::from_fn(move || {
            let mut n_bytes = 0_usize;
            let mut is_last = false;
            while let Some((&segment, rest)) = lacing.split_first() {
                lacing = rest;
                n_bytes = n_bytes.saturating_add(usize::from(segment));
                if segment < 255 {
                    is_last = true;
                    break;
                }
            }
            if n_bytes == 0 && !is_last {
                return None;
            }
            let (bytes, rest) = body.split_at_checked(n_bytes)?;
            body = rest;
            Some(Piece { bytes, is_last })
        })
    }
}

pub(super) fn find(buffer: &[u8]) -> Found<'_> {
    let n_matched = buffer
        .iter()
        .zip(CAPTURE)
        .take_while(|(a, b)| a == b)
        .count();
    if n_matched < CAPTURE.len().min(buffer.len()) {
        let next = buffer.iter().skip(1).position(|&byte| byte == b'O');
        return Found::Garbage {
            n_bytes: next.map_or(buffer.len(), |at| at.saturating_add(1)),
        };
    }
    let Some((header, rest)) = buffer.split_first_chunk::<HEADER_BYTES>() else {
        return Found::Unfinished {
            n_needed: HEADER_BYTES,
        };
    };
    let &[
        _,
        _,
        _,
        _,
        version,
        flags,
        g0,
        g1,
        g2,
        g3,
        g4,
        g5,
        g6,
        g7,
        s0,
        s1,
        s2,
        s3,
        n0,
        n1,
        n2,
        n3,
        c0,
        c1,
        c2,
        c3,
        n_segments,
    ] = header;
    let Some((lacing, rest)) = rest.split_at_checked(usize::from(n_segments)) else {
        return Found::Unfinished {
            n_needed: HEADER_BYTES.saturating_add(usize::from(n_segments)),
        };
    };
    let n_body: usize = lacing.iter().map(|&segment| usize::from(segment)).sum();
    let Some(body) = rest.get(..n_body) else {
        let n_needed = HEADER_BYTES
            .saturating_add(lacing.len())
            .saturating_add(n_body);
        return Found::Unfinished { n_needed };
    };
    // The whole page goes when its sum is wrong. Searching for another page inside it would find one only if the
    // length itself was hit, and would let a hostile stream make us sum the same bytes thousands of times.
    let page = Page {
        flags,
        granule: i64::from_le_bytes([g0, g1, g2, g3, g4, g5, g6, g7]),
        serial: u32::from_le_bytes([s0, s1, s2, s3]),
        sequence: u32::from_le_bytes([n0, n1, n2, n3]),
        lacing,
        body,
    };
    let is_whole = checksum(header, lacing, body) == u32::from_le_bytes([c0, c1, c2, c3]);
    if version == 0 && is_whole {
        Found::Page(page)
    } else {
        Found::Garbage {
            n_bytes: buffer.len(),
        }
    }
}

/// The page's checksum, as if its own field were zero.
fn checksum(header: &[u8; HEADER_BYTES], lacing: &[u8], body: &[u8]) -> u32 {
    let mut header = *header;
    if let Some(field) = header.get_mut(22..26) {
        field.fill(0);
    }
    header
        .iter()
        .chain(lacing)
        .chain(body)
        .fold(0, |crc, &byte| {
            let at = (crc >> 24) as u8 ^ byte;
            (crc << 8) ^ TABLE.get(usize::from(at)).copied().unwrap_or(0)
        })
}

/// CRC-32 with polynomial 0x04C11DB7, not reflected, no inversion.
static TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0_u8;
    #[expect(clippy::indexing_slicing, reason = "256 entries for 256 bytes")]
    loop {
        let mut crc = (byte as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000_0000 == 0 {
                crc << 1
            } else {
                (crc << 1) ^ 0x04C1_1DB7
            };
            bit += 1;
        }
        table[byte as usize] = crc;
        if byte == u8::MAX {
            break table;
        }
        byte += 1;
    }
};

/// Writes pages, for tests that need streams with faults.
#[cfg(test)]
pub(super) fn write(flags: u8, granule: i64, sequence: u32, packets: &[&[u8]]) -> Vec<u8> {
    let mut lacing = Vec::new();
    for packet in packets {
        lacing.extend(std::iter::repeat_n(255, packet.len() / 255));
        lacing.push(u8::try_from(packet.len() % 255).unwrap());
    }
    let mut header = [0; HEADER_BYTES];
    header[..4].copy_from_slice(CAPTURE);
    header[5] = flags;
    header[6..14].copy_from_slice(&granule.to_le_bytes());
    header[14..18].copy_from_slice(&7_u32.to_le_bytes());
    header[18..22].copy_from_slice(&sequence.to_le_bytes());
    header[26] = u8::try_from(lacing.len()).unwrap();
    let body = packets.concat();
    let sum = checksum(&header, &lacing, &body);
    header[22..26].copy_from_slice(&sum.to_le_bytes());
    [header.as_slice(), &lacing, &body].concat()
}
