//! Pages of one logical stream to samples: which packets they hold, and which samples of those count.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use super::OggOpusError;
use super::page::Page;
use crate::opus::{Head, PacketDecoder};

/// A packet longer than this is no Opus: eight streams of 61 KB would be, and nobody sends those.
const MAX_PACKET_BYTES: usize = 128 << 10;

/// Samples that may be thrown away beside as many as are given: a minute. A page has at most half of it, the start of a link 1.4 s.
const MOST_HOLLOW: u64 = 60 * 48_000;

#[derive(Default)]
pub(super) struct Stream {
    playing: Option<Playing>,
    has_ended: bool,
    /// Over all links: samples that were given, and that were decoded and thrown away.
    n_given: u64,
    n_thrown_away: u64,
}

struct Playing {
    serial: u32,
    next_sequence: u32,
    decoder: PacketDecoder,
    /// The beginning of a packet that the next page goes on with.
    begun: Option<Begun>,
    has_tags: bool,
    /// Samples still to be thrown away at the start.
    n_to_skip: usize,
    /// The stream's own count of samples, skipped ones included, after the last page. `None` before the first.
    position: Option<u64>,
}

/// What a page held.
struct Read {
    n_damaged: usize,
    /// Samples, those included that are not to be played.
    n_decoded: usize,
}

enum Begun {
    Audio(Vec<u8>),
    /// Comments may hold a picture of several megabytes. They are read past and never kept.
    Tags,
}

impl Stream {
    pub(super) const fn has_ended(&self) -> bool {
        self.has_ended
    }

    pub(super) fn n_channels(&self) -> Option<u16> {
        self.playing
            .as_ref()
            .map(|playing| u16::from(playing.decoder.head().n_channels))
    }

    /// Appends the page's samples to `out`; returns how much of it was damaged.
    pub(super) fn read(
        &mut self,
        page: &Page<'_>,
        out: &mut Vec<f32>,
    ) -> Result<usize, OggOpusError> {
        if page.is_first() {
            return self.begin(page);
        }
        let Some(playing) = &mut self.playing else {
            // Every stream has announced itself before the first page that is not a beginning.
            return Err(OggOpusError::NotOpus);
        };
        if page.serial != playing.serial {
            return Ok(0);
        }
        if self.has_ended {
            return Ok(1);
        }
        self.has_ended = page.is_last();
        let n_before = out.len();
        let read = playing.read(page, out);
        let n_given = out.len().saturating_sub(n_before) as u64;
        self.n_given = self.n_given.saturating_add(n_given);
        self.n_thrown_away = self
            .n_thrown_away
            .saturating_add((read.n_decoded as u64).saturating_sub(n_given));
        if self.n_thrown_away > self.n_given.saturating_add(MOST_HOLLOW) {
            return Err(OggOpusError::Hollow);
        }
        Ok(read.n_damaged)
    }

    /// Other streams beside ours, such as video, are ignored. Streams side by side all begin before the first audio, so an
    /// Opus stream that begins later is a sequel, whether ours said that it ended or not.
    fn begin(&mut self, page: &Page<'_>) -> Result<usize, OggOpusError> {
        let packet = page
            .pieces()
            .next()
            .map_or([].as_slice(), |piece| piece.bytes);
        let is_wanted =
            self.has_ended || self.playing.as_ref().is_none_or(|playing| playing.has_tags);
        if !is_wanted || !packet.starts_with(Head::MAGIC) {
            return Ok(0);
        }
        let head = Head::parse(packet).map_err(|fault| OggOpusError::Header { fault })?;
        self.has_ended = page.is_last();
        self.playing = Some(Playing {
            serial: page.serial,
            next_sequence: page.sequence.wrapping_add(1),
            n_to_skip: usize::from(head.pre_skip),
            decoder: PacketDecoder::new(head),
            begun: None,
            has_tags: false,
            position: None,
        });
        Ok(0)
    }
}

impl Playing {
    fn read(&mut self, page: &Page<'_>, out: &mut Vec<f32>) -> Read {
        let mut n_damaged = 0_usize;
        if page.sequence != self.next_sequence || page.is_continued() != self.begun.is_some() {
            n_damaged = 1;
            self.begun = None;
        }
        self.next_sequence = page.sequence.wrapping_add(1);
        let has_lost_beginning = page.is_continued() && self.begun.is_none();

        let n_before = out.len();
        for (nth, piece) in page.pieces().enumerate() {
            if nth == 0 && has_lost_beginning {
                continue;
            }
            n_damaged =
                n_damaged.saturating_add(usize::from(!self.take(piece.bytes, piece.is_last, out)));
        }
        let n_decoded = out.len().saturating_sub(n_before);
        self.trim(page, n_before, out);
        Read {
            n_damaged,
            n_decoded,
        }
    }

    /// Whether the piece was fine.
    fn take(&mut self, bytes: &[u8], is_last: bool, out: &mut Vec<f32>) -> bool {
        let begun = match self.begun.take() {
            Some(begun) => begun,
            None if !self.has_tags && bytes.starts_with(b"OpusTags") => Begun::Tags,
            None if is_last => {
                self.has_tags = true;
                return self.decoder.decode(bytes, out).is_ok();
            }
            None => Begun::Audio(Vec::new()),
        };
        match (begun, is_last) {
            (Begun::Tags, true) => self.has_tags = true,
            (Begun::Tags, false) => self.begun = Some(Begun::Tags),
            (Begun::Audio(packet), _)
                if packet.len().saturating_add(bytes.len()) > MAX_PACKET_BYTES =>
            {
                return false;
            }
            (Begun::Audio(mut packet), false) => {
                packet.extend_from_slice(bytes);
                self.begun = Some(Begun::Audio(packet));
            }
            (Begun::Audio(mut packet), true) => {
                packet.extend_from_slice(bytes);
                return self.decoder.decode(&packet, out).is_ok();
            }
        }
        true
    }

    /// Takes away from what this page gave: its end, if the stream ends inside it, and then what is to be skipped.
    fn trim(&mut self, page: &Page<'_>, n_before: usize, out: &mut Vec<f32>) {
        let n_decoded = out.len().saturating_sub(n_before);
        // Pages of headers count nothing.
        if let Some(end) = page.end()
            && n_decoded > 0
        {
            // A live stream may begin at any count; only a stream shorter than its last page begins before zero.
            let begin = self
                .position
                .unwrap_or_else(|| end.saturating_sub(n_decoded as u64));
            if page.is_last() {
                let n_due = usize::try_from(end.saturating_sub(begin))
                    .unwrap_or(usize::MAX)
                    .min(n_decoded);
                out.truncate(n_before.saturating_add(n_due));
            }
            self.position = Some(begin.saturating_add(n_decoded as u64));
        }
        let n_skipped = self.n_to_skip.min(out.len().saturating_sub(n_before));
        out.drain(n_before..n_before.saturating_add(n_skipped));
        self.n_to_skip = self.n_to_skip.saturating_sub(n_skipped);
    }
}
