//! What is to be sent and was not sent yet, because the client reads slowly.
//!
//! Invariants:
//! - Order is kept, and what belongs together stays together.
//! - What is taken back was never sent: the accounts of a request that is cancelled count what left this queue.

use std::collections::VecDeque;
use std::time::Instant;

use crate::dialect::Frame;
use crate::utterance::RequestKey;

/// Frames that are sent together, and what they are.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) frames: Vec<Frame>,
    /// The audio of it, if it is audio.
    pub(super) piece: Option<Sent>,
    /// When the client asked for the cancel that it confirms.
    pub(super) cancelled_at: Option<Instant>,
    /// Whether it is the last of the session.
    pub(super) is_last: bool,
}

/// Audio that is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) of: RequestKey,
    /// Where it ends.
    pub(super) until: u64,
}

#[derive(Debug, Default)]
pub(super) struct Outgoing(VecDeque<Parcel>);

impl Outgoing {
    pub(super) fn push(&mut self, parcel: Parcel) {
        self.0.push_back(parcel);
    }

    pub(super) fn pop(&mut self) -> Option<Parcel> {
        self.0.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether nothing but the end of the session is left.
    pub(super) fn is_at_the_last(&self) -> bool {
        self.0.front().is_some_and(|it| it.is_last)
    }

    /// How many pieces of audio are left.
    pub(super) fn n_pieces(&self) -> u64 {
        self.0.iter().filter(|it| it.piece.is_some()).count() as u64
    }

    /// Takes back the audio of a request.
    pub(super) fn take_back(&mut self, key: RequestKey) {
        self.0
            .retain(|it| it.piece.is_none_or(|piece| piece.of != key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parcel(text: &str, of: Option<u64>) -> Parcel {
        Parcel {
            frames: vec![Frame::Text(text.to_owned())],
            piece: of.map(|it| Sent {
                of: RequestKey(it),
                until: 0,
            }),
            cancelled_at: None,
            is_last: false,
        }
    }

    #[test]
    fn the_audio_of_one_request_is_taken_back_and_nothing_else() {
        let mut outgoing = Outgoing::default();
        for (text, of) in [
            ("started", None),
            ("one", Some(1)),
            ("two", Some(2)),
            ("one again", Some(1)),
            ("end", None),
        ] {
            outgoing.push(parcel(text, of));
        }
        assert_eq!(outgoing.n_pieces(), 3);
        outgoing.take_back(RequestKey(1));
        assert_eq!(outgoing.n_pieces(), 1);
        let mut left = Vec::new();
        while let Some(parcel) = outgoing.pop() {
            left.extend(parcel.frames);
        }
        let texts = ["started", "two", "end"].map(|it| Frame::Text(it.to_owned()));
        assert_eq!(left, texts);
        assert!(outgoing.is_empty());
    }
}
