//! What a session and its socket say to each other.

use std::time::Duration;

use actix_ws::CloseCode;
use bytes::Bytes;
use bytestring::ByteString;
use wire::error::ErrorCode;

use crate::api_error::Classify;
use crate::settings::Server;

/// What a socket allows its peer.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest message, in one frame or in many.
    pub max_message_bytes: usize,
    /// Bytes that may wait for a slow reader.
    pub max_outbox_bytes: usize,
    /// How long they may wait.
    pub slow_reader: Duration,
    /// How often the peer is pinged.
    pub ping_interval: Duration,
    /// How long the peer may send no message.
    pub idle_timeout: Duration,
    /// How long the peer may take to answer a close.
    pub close_timeout: Duration,
}

/// What came in.
#[derive(Debug)]
pub enum Received {
    /// A whole text message.
    Text(ByteString),
    /// A whole binary message.
    Binary(Bytes),
    /// The peer broke a rule. Tell it, in the session's own words, and close; or call [`Socket::fail`](super::Socket::fail).
    Fault(Fault),
    /// The peer has closed or vanished. Nothing more will come, and nothing more arrives there.
    Gone(Gone),
}

/// How a peer left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// With a close frame, and perhaps a code.
    Closed(Option<CloseCode>),
    /// Without one: the connection broke.
    Vanished,
    /// It did not even answer pings.
    Unresponsive,
}

/// A rule that the peer broke.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A frame or message is too large. The limit is in bytes.
    #[error("a message may have at most {limit} bytes; send audio in smaller pieces")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// A text message is not UTF-8.
    #[error("a text message must be UTF-8; audio goes in binary messages")]
    NotText,
    /// The bytes are not WebSocket frames.
    #[error("the WebSocket protocol was broken: {0}")]
    Protocol(String),
    /// No message came for too long.
    #[error("no message came for {after:?}; send audio or a keepalive to stay connected")]
    Idle {
        /// The limit.
        after: Duration,
    },
    /// The peer does not read what it is sent.
    #[error("what was sent to this client stayed unread for {after:?}")]
    SlowConsumer {
        /// The limit.
        after: Duration,
    },
}

impl Classify for Fault {
    fn code(&self) -> ErrorCode {
        match self {
            Fault::TooLarge { .. } => ErrorCode::FrameTooLarge,
            Fault::NotText | Fault::Protocol(_) => ErrorCode::ProtocolError,
            Fault::Idle { .. } => ErrorCode::IdleTimeout,
            Fault::SlowConsumer { .. } => ErrorCode::SlowConsumer,
        }
    }
}

/// Why a message could not be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The peer has closed or vanished; there is nobody to tell.
    #[error("the peer is gone")]
    Gone,
    /// The peer does not read. End the session with [`Socket::fail`](super::Socket::fail) or [`Socket::close_for`](super::Socket::close_for).
    #[error(transparent)]
    Slow(Fault),
}

impl Limits {
    /// The limits that the settings say.
    #[must_use]
    pub fn of(server: &Server) -> Limits {
        Limits {
            max_message_bytes: server.max_frame_bytes.get(),
            max_outbox_bytes: server.max_outbox_bytes.get(),
            slow_reader: server.slow_reader,
            ping_interval: server.ping_interval,
            idle_timeout: server.idle_timeout,
            close_timeout: server.close_timeout,
        }
    }
}
