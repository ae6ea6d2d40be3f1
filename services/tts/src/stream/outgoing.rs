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

/// Answers to a client that does not read, before it is not listened to any more. One message may bring as many more as requests may be
/// under way.
const MAX_ANSWERS: usize = 256;

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

    /// Whether as many answers are left as may wait. Audio is none: no more of it is made while some is left.
    pub(super) fn is_full(&self) -> bool {
        MAX_ANSWERS <= self.0.iter().filter(|it| it.piece.is_none()).count()
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
        outgoing.take_back(RequestKey(1));
        let mut left = Vec::new();
        while let Some(parcel) = outgoing.pop() {
            left.extend(parcel.frames);
        }
        let texts = ["started", "two", "end"].map(|it| Frame::Text(it.to_owned()));
        assert_eq!(left, texts);
        assert!(outgoing.is_empty());
    }

    #[test]
    fn audio_does_not_fill_it_and_answers_do() {
        let mut outgoing = Outgoing::default();
        for _ in 0..2 * MAX_ANSWERS {
            outgoing.push(parcel("audio", Some(1)));
        }
        assert!(!outgoing.is_full());
        for _ in 0..MAX_ANSWERS {
            assert!(!outgoing.is_full());
            outgoing.push(parcel("refused", None));
        }
        assert!(outgoing.is_full());
        outgoing.take_back(RequestKey(1));
        assert!(outgoing.is_full());
        outgoing.pop();
        assert!(!outgoing.is_full());
    }
}
