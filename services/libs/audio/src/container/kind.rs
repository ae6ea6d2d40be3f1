//! What kind of file some bytes are.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

/// The containers we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Wav,
    Aiff,
    Caf,
    Flac,
    Mp3,
    Adts,
    Ogg,
    Mp4,
    Matroska,
}

/// How far into a file the first frame of MP3 or ADTS may lie: recorders cut them anywhere.
const MAX_JUNK_BYTES: usize = 64 << 10;

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Wav => "wav",
            Self::Aiff => "aiff",
            Self::Caf => "caf",
            Self::Flac => "flac",
            Self::Mp3 => "mp3",
            Self::Adts => "adts",
            Self::Ogg => "ogg",
            Self::Mp4 => "mp4",
            Self::Matroska => "matroska",
        }
    }

    /// The kind, and the bytes without tags or junk before the first of it.
    pub(super) fn of(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let bytes = without_tags(bytes);
        if let Some(kind) = by_magic(bytes) {
            return Some((kind, bytes));
        }
        let searched = bytes.len().min(MAX_JUNK_BYTES);
        (0..searched).find_map(|at| {
            let rest = bytes.get(at..)?;
            let kind = by_frames(rest)?;
            Some((kind, rest))
        })
    }
}

fn by_magic(bytes: &[u8]) -> Option<Kind> {
    let (first, second, third) = (
        bytes.get(..4)?,
        bytes.get(4..8).unwrap_or_default(),
        bytes.get(8..12).unwrap_or_default(),
    );
    match (first, second, third) {
        (b"RIFF" | b"RF64" | b"BW64", _, b"WAVE") => Some(Kind::Wav),
        (b"FORM", _, b"AIFF" | b"AIFC") => Some(Kind::Aiff),
        (b"caff", ..) => Some(Kind::Caf),
        (b"fLaC", ..) => Some(Kind::Flac),
        (b"OggS", ..) => Some(Kind::Ogg),
        ([0x1A, 0x45, 0xDF, 0xA3], ..) => Some(Kind::Matroska),
        (_, b"ftyp" | b"moov" | b"moof" | b"styp", _) => Some(Kind::Mp4),
        _ => None,
    }
}

/// ID3v2 before the audio (there may be several), ID3v1 after it.
fn without_tags(mut bytes: &[u8]) -> &[u8] {
    while let Some(&[b'I', b'D', b'3', major, _, flags, a, b, c, d]) = bytes.first_chunk::<10>()
        && major != 0xFF
        && (a | b | c | d) < 0x80
    {
        let size = [a, b, c, d]
            .into_iter()
            .fold(0_usize, |size, seven| (size << 7) | usize::from(seven));
        let footer = if flags & 0x10 == 0 { 0 } else { 10 };
        match bytes.get(size.saturating_add(10).saturating_add(footer)..) {
            Some(rest) => bytes = rest,
            None => break,
        }
    }
    match bytes.split_at_checked(bytes.len().saturating_sub(128)) {
        Some((audio, tag)) if tag.len() == 128 && tag.starts_with(b"TAG") => audio,
        _ => bytes,
    }
}

/// Frames of MPEG audio have no magic, only eleven set bits; so another frame must follow where this one ends,
/// or the file must end there.
fn by_frames(bytes: &[u8]) -> Option<Kind> {
    if bytes.first() != Some(&0xFF) {
        return None;
    }
    let (kind, length) = frame(bytes)?;
    let mut next = bytes.get(length..)?;
    for _ in 0..2 {
        if next.is_empty() {
            return Some(kind);
        }
        let (next_kind, length) = frame(next)?;
        if next_kind != kind {
            return None;
        }
        match next.get(length..) {
            Some(rest) => next = rest,
            // Cut off in its second or third frame.
            None => return Some(kind),
        }
    }
    Some(kind)
}

fn frame(bytes: &[u8]) -> Option<(Kind, usize)> {
    let &[sync, second, third, fourth] = bytes.first_chunk::<4>()?;
    if sync != 0xFF {
        return None;
    }
    if second & 0xF6 == 0xF0 {
        let length = (usize::from(fourth & 3) << 11)
            | (usize::from(*bytes.get(4)?) << 3)
            | usize::from(bytes.get(5).copied()? >> 5);
        let has_rate = (third >> 2) & 0xF < 13;
        return (has_rate && length > 7).then_some((Kind::Adts, length));
    }
    mpeg_length(second, third).map(|length| (Kind::Mp3, length))
}

/// The length of a frame of MPEG 1, 2 or 2.5 audio, layers II and III.
fn mpeg_length(second: u8, third: u8) -> Option<usize> {
    const LAYER_3: [usize; 14] = [
        32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320,
    ];
    const LAYER_2: [usize; 14] = [
        32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384,
    ];
    const LOW: [usize; 14] = [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
    if second & 0xE0 != 0xE0 {
        return None;
    }
    // Bits 3 and 4: 3 is MPEG 1, 2 is MPEG 2, 0 is 2.5; 1 is reserved.
    let (version, layer) = ((second >> 3) & 3, (second >> 1) & 3);
    let bitrate_idx = usize::from(third >> 4).checked_sub(1)?;
    let kilobits = match (version, layer) {
        (3, 1) => LAYER_3.get(bitrate_idx)?,
        (3, 2) => LAYER_2.get(bitrate_idx)?,
        (0 | 2, 1 | 2) => LOW.get(bitrate_idx)?,
        _ => return None,
    };
    let base_hz = [44_100_usize, 48_000, 32_000]
        .get(usize::from((third >> 2) & 3))
        .copied()?;
    let hz = match version {
        3 => base_hz,
        2 => base_hz / 2,
        _ => base_hz / 4,
    };
    let samples_in_bytes = if version != 3 && layer == 1 {
        72_000_usize
    } else {
        144_000
    };
    let padding = usize::from((third >> 1) & 1);
    Some(
        samples_in_bytes
            .checked_mul(*kilobits)?
            .checked_div(hz)?
            .saturating_add(padding),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_lengths_are_those_of_the_standard() {
        // MPEG 1 layer III, 128 kbit/s, 44.1 kHz, with and without padding; MPEG 2 layer III, 32 kbit/s, 16 kHz.
        assert_eq!(mpeg_length(0xFB, 0x90), Some(417));
        assert_eq!(mpeg_length(0xFB, 0x92), Some(418));
        assert_eq!(mpeg_length(0xF3, 0x48), Some(144));
        assert_eq!(mpeg_length(0xFB, 0xF0), None);
        assert_eq!(mpeg_length(0xFB, 0x0C), None);
    }

    #[test]
    fn tags_are_stepped_over() {
        let tagged = [
            b"ID3\x04\0\0\0\0\0\x05".as_slice(),
            &[0; 5],
            b"ID3\x03\0\0\0\0\0\0",
            b"fLaC1234",
        ]
        .concat();
        assert_eq!(
            Kind::of(&tagged),
            Some((Kind::Flac, b"fLaC1234".as_slice()))
        );
    }

    #[test]
    fn one_sync_word_is_no_file() {
        let mut bytes = vec![0; 2000];
        bytes[..4].copy_from_slice(&[0xFF, 0xFB, 0x90, 0]);
        assert_eq!(Kind::of(&bytes), None);
        bytes[417..421].copy_from_slice(&[0xFF, 0xFB, 0x90, 0]);
        bytes[834..838].copy_from_slice(&[0xFF, 0xFB, 0x90, 0]);
        assert_eq!(Kind::of(&bytes).map(|(kind, _)| kind), Some(Kind::Mp3));
        let shifted = [[7; 100].as_slice(), &bytes].concat();
        assert_eq!(
            Kind::of(&shifted).map(|(kind, rest)| (kind, rest.len())),
            Some((Kind::Mp3, 2000))
        );
    }

    #[test]
    fn text_and_pictures_are_not_audio() {
        for bytes in [
            b"{\"audio\":\"\"}".as_slice(),
            b"\x89PNG\r\n\x1a\n",
            b"RIFF\0\0\0\0AVI ",
            b"\xFF",
            b"ID3\x04\0\0\x7F\x7F\x7F\x7F",
        ] {
            assert_eq!(Kind::of(bytes), None, "{bytes:?}");
        }
    }
}
