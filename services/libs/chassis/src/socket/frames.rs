//! The frames that a peer sends, taken apart one at a time.
//!
//! `actix_ws` has a stream of messages too. It takes in everything that has arrived before it hands out the first message, so a broken
//! frame costs the good ones that came with it, and it holds a frame of any announced length before it finds it too large.
//!
//! Invariants:
//! - A frame that announces more than the limit is refused by its head. No more is held than one frame and what was read with it.
//! - A fault is told after every message that came before it.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_http::ws::{Codec, Frame};
use actix_web::error::PayloadError;
use actix_web::web;
use actix_ws::{Message, ProtocolError};
use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use futures_util::Stream;
use tokio_util::codec::Decoder as _;

/// The frames of one connection.
pub(super) struct Frames<S = web::Payload> {
    payload: S,
    buffer: BytesMut,
    codec: Codec,
    max_bytes: usize,
    /// Nothing more will come in.
    has_ended: bool,
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Next {
    Message(Message),
    /// The next byte has no meaning.
    Broken(Broken),
    /// The connection has ended.
    Gone,
}

/// What is wrong with a frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Broken {
    TooLarge,
    NotText,
    Protocol(String),
}

impl<S> Frames<S>
where
    S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
{
    pub(super) fn new(payload: S, max_bytes: usize) -> Frames<S> {
        Frames {
            payload,
            buffer: BytesMut::new(),
            codec: Codec::new().max_size(max_bytes),
            max_bytes,
            has_ended: false,
        }
    }

    /// The next frame. Cancel safe.
    pub(super) async fn next(&mut self) -> Next {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        loop {
            if let Some(next) = self.decode() {
                return Poll::Ready(next);
            }
            if self.has_ended {
                return Poll::Ready(Next::Gone);
            }
            match Pin::new(&mut self.payload).poll_next(cx) {
                Poll::Ready(Some(Ok(bytes))) if self.buffer.is_empty() => {
                    self.buffer = BytesMut::from(bytes);
                }
                Poll::Ready(Some(Ok(bytes))) => self.buffer.extend_from_slice(&bytes),
                // The payload of an upgraded request ends, or ends with an error, when the connection does.
                Poll::Ready(Some(Err(_)) | None) => self.has_ended = true,
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn decode(&mut self) -> Option<Next> {
        if announced(&self.buffer)
            .is_some_and(|it| u64::try_from(self.max_bytes).unwrap_or(u64::MAX) < it)
        {
            return Some(Next::Broken(Broken::TooLarge));
        }
        match self.codec.decode(&mut self.buffer) {
            Ok(frame) => frame.map(message),
            Err(ProtocolError::Overflow) => Some(Next::Broken(Broken::TooLarge)),
            Err(error) => Some(Next::Broken(Broken::Protocol(error.to_string()))),
        }
    }

    /// Reads and throws away whatever still comes, until the connection ends.
    pub(super) async fn discard(&mut self) {
        self.buffer = BytesMut::new();
        while !self.has_ended {
            let read = poll_fn(|cx| Pin::new(&mut self.payload).poll_next(cx)).await;
            self.has_ended = !matches!(read, Some(Ok(_)));
        }
    }
}

fn message(frame: Frame) -> Next {
    Next::Message(match frame {
        Frame::Text(bytes) => match ByteString::try_from(bytes) {
            Ok(text) => Message::Text(text),
            Err(_) => return Next::Broken(Broken::NotText),
        },
        Frame::Binary(bytes) => Message::Binary(bytes),
        Frame::Continuation(item) => Message::Continuation(item),
        Frame::Ping(bytes) => Message::Ping(bytes),
        Frame::Pong(bytes) => Message::Pong(bytes),
        Frame::Close(reason) => Message::Close(reason),
    })
}

/// The length of the payload that a frame's head announces (RFC 6455, 5.2), once so much of the head is there.
fn announced(head: &[u8]) -> Option<u64> {
    match head.get(1)? & 0x7f {
        126 => {
            let bytes = head.get(2..4)?.try_into().ok()?;
            Some(u64::from(u16::from_be_bytes(bytes)))
        }
        127 => {
            let bytes = head.get(2..10)?.try_into().ok()?;
            Some(u64::from_be_bytes(bytes))
        }
        short => Some(u64::from(short)),
    }
}

#[cfg(test)]
#[allow(
    clippy::cast_possible_truncation,
    clippy::wildcard_enum_match_arm,
    reason = "small numbers of the test's own, and what is not expected fails it"
)]
mod tests {
    use std::collections::VecDeque;

    use futures_util::{FutureExt as _, stream};

    use super::*;

    /// A masked binary frame.
    fn frame(payload: &[u8]) -> Vec<u8> {
        let mut bytes = head(payload.len() as u64);
        bytes.extend(payload);
        bytes
    }

    /// Its head, with a mask of zeros.
    fn head(length: u64) -> Vec<u8> {
        let mut bytes = vec![0x82];
        match length {
            0..=125 => bytes.push(0x80 | length as u8),
            126..=0xffff => {
                bytes.push(0x80 | 126);
                bytes.extend((length as u16).to_be_bytes());
            }
            _ => {
                bytes.push(0x80 | 127);
                bytes.extend(length.to_be_bytes());
            }
        }
        bytes.extend([0; 4]);
        bytes
    }

    fn frames(
        chunks: &[Vec<u8>],
    ) -> Frames<impl Stream<Item = Result<Bytes, PayloadError>> + Unpin + use<>> {
        let chunks: VecDeque<_> = chunks
            .iter()
            .cloned()
            .map(|it| Ok(Bytes::from(it)))
            .collect();
        Frames::new(stream::iter(chunks).chain_pending(), 200)
    }

    trait ChainPending: Stream + Sized {
        fn chain_pending(self) -> stream::Chain<Self, stream::Pending<Self::Item>> {
            futures_util::StreamExt::chain(self, stream::pending())
        }
    }
    impl<S: Stream> ChainPending for S {}

    fn told(chunks: &[Vec<u8>]) -> Vec<String> {
        let mut frames = frames(chunks);
        let mut told = Vec::new();
        while let Some(next) = frames.next().now_or_never() {
            match next {
                Next::Message(Message::Binary(bytes)) => told.push(format!("{}", bytes.len())),
                other => {
                    told.push(format!("{other:?}"));
                    break;
                }
            }
        }
        told
    }

    #[test]
    fn what_came_before_a_fault_is_heard_first() {
        let together = [
            frame(&[7; 3]),
            frame(&[7; 200]),
            frame(&[7; 201]),
            frame(&[7; 4]),
        ]
        .concat();
        let expected = ["3", "200", "Broken(TooLarge)"];
        assert_eq!(told(std::slice::from_ref(&together)), expected);
        let bytewise: Vec<_> = together.iter().map(|byte| vec![*byte]).collect();
        assert_eq!(told(&bytewise), expected);
        let not_text = [frame(&[7; 3]), vec![0x81, 0x81, 0, 0, 0, 0, 0xff]].concat();
        assert_eq!(told(&[not_text]), ["3", "Broken(NotText)"]);
    }

    #[test]
    fn a_length_that_is_only_announced_is_refused_at_once() {
        for length in [201, 70_000, 1 << 40, u64::MAX] {
            assert_eq!(told(&[head(length)]), ["Broken(TooLarge)"], "{length}");
        }
        assert!(
            told(&[head(200)]).is_empty(),
            "its payload is still awaited"
        );
    }

    #[test]
    fn no_more_is_held_than_was_read_with_a_frame() {
        let mut frames = frames(&[frame(&[7; 150]), frame(&[7; 150])]);
        assert!(matches!(
            frames.next().now_or_never(),
            Some(Next::Message(_))
        ));
        assert!(
            frames.buffer.is_empty(),
            "the second was read before it was asked for"
        );
    }
}
