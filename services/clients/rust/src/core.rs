//! What the cores of both streams have in common: how a connection ends, and what a core is to whoever drives it.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use wire::error::ErrorCode;

use crate::Error;

/// How a connection ended, or why there is none.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Break {
    /// Nothing is known of the other side any more.
    Lost(String),
    /// The upgrade was answered with something else.
    Refused {
        status: u16,
        code: String,
        message: String,
        retry_after: Option<Duration>,
    },
    /// The server said why it would close, or could not do what was asked.
    Said { code: ErrorCode, message: String },
    /// The server closed and gave a code.
    Closed { code: u16, reason: String },
    /// The server said what it may not.
    Protocol(String),
    /// Somebody else seems to answer, or nobody vouches for who does.
    #[cfg_attr(
        not(feature = "tls"),
        expect(dead_code, reason = "there are no certificates")
    )]
    Untrusted(String),
}

impl Break {
    /// The error that it is, if no other attempt would end differently.
    pub(crate) fn as_final(&self) -> Option<Error> {
        match self {
            Break::Lost(_) => None,
            Break::Refused { status, .. }
                if 500 <= *status || matches!(status, 408 | 425 | 429) =>
            {
                None
            }
            Break::Refused { code, message, .. } => Some(Error::Refused {
                code: code.clone(),
                message: message.clone(),
            }),
            Break::Said { code, .. } if is_passing(*code) => None,
            Break::Said { code, message } => Some(Error::Refused {
                code: code.as_str().to_owned(),
                message: message.clone(),
            }),
            Break::Closed { code, reason } => {
                // Broken frames, wrong data, no key, too large: what was sent would be sent again.
                matches!(code, 1002 | 1003 | 1007..=1010).then(|| Error::Refused {
                    code: format!("CLOSED_{code}"),
                    message: reason.clone(),
                })
            }
            Break::Protocol(what) => Some(Error::Protocol(what.clone())),
            Break::Untrusted(what) => Some(Error::Impossible(what.clone())),
        }
    }

    /// How long the server asked to be left alone.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Break::Refused { retry_after, .. } => *retry_after,
            Break::Lost(_)
            | Break::Said { .. }
            | Break::Closed { .. }
            | Break::Protocol(_)
            | Break::Untrusted(_) => None,
        }
    }
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Break::Lost(what) | Break::Protocol(what) | Break::Untrusted(what) => f.write_str(what),
            Break::Refused {
                status,
                code,
                message,
                ..
            } => write!(f, "answered {status} {code}: {message}"),
            Break::Said { code, message } => write!(f, "{}: {message}", code.as_str()),
            Break::Closed { code, reason } => write!(f, "closed with {code} {reason}"),
        }
    }
}

/// Whether another instance, or the same one later, may answer differently.
pub(crate) fn is_passing(code: ErrorCode) -> bool {
    use ErrorCode as Code;
    // A list of what passes, so that a code that is new does not make clients call again and again.
    [
        Code::Draining,
        Code::AtCapacity,
        Code::Overloaded,
        Code::NotReady,
        Code::SlowConsumer,
        Code::IdleTimeout,
        Code::Internal,
        Code::StorageFailed,
        Code::Timeout,
    ]
    .contains(&code)
}

/// What is to be sent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outgoing {
    Text(String),
    Binary(Vec<u8>),
}

/// A stream apart from its connections.
pub(crate) trait Core {
    type Command;
    type Event;
    type Output: Clone;

    /// A connection was made: from here on everything is said anew that is not answered for.
    fn connected(&mut self);

    /// What comes next on this connection, if anything can be sent now. `None` stays `None` until something else happens.
    fn outgoing(&mut self) -> Option<Outgoing>;

    /// What to send so that the server knows that somebody is there.
    fn keepalive(&self) -> Option<Outgoing>;

    /// How soon it has to hear that.
    fn keepalive_every(&self) -> Duration;

    /// Takes in a text frame.
    fn on_text(&mut self, text: &str) -> Result<Vec<Self::Event>, Break>;

    /// Takes in a binary frame.
    fn on_binary(&mut self, bytes: Bytes) -> Result<Vec<Self::Event>, Break>;

    /// The connection ended, in this way as far as the socket knows. What the server said of it before counts more.
    fn broken(&mut self, why: Break) -> (Break, Vec<Self::Event>);

    /// Whether this connection, or the one before it if it is broken, delivered anything.
    fn has_advanced(&self) -> bool;

    /// Takes in what the user wants.
    fn command(&mut self, command: Self::Command) -> Vec<Self::Event>;

    /// No more commands will come. Says whether the stream is over by that.
    fn abandoned(&mut self) -> bool;

    /// Nobody listens any more. Says whether the stream is over by that.
    fn deserted(&self) -> bool;

    /// Whether there is room for another command.
    fn has_room(&self) -> bool;

    /// What is to be told at the end, once it has come.
    fn output(&self) -> Option<Self::Output>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_tried_again_and_what_does_not_is_an_error() {
        let refused = |status| Break::Refused {
            status,
            code: String::new(),
            message: String::new(),
            retry_after: None,
        };
        let closed = |code| Break::Closed {
            code,
            reason: String::new(),
        };
        let said = |code| Break::Said {
            code,
            message: String::new(),
        };
        for passes in [
            Break::Lost(String::new()),
            refused(502),
            refused(503),
            refused(429),
            refused(408),
            closed(1000),
            closed(1001),
            closed(1006),
            closed(1011),
            closed(1012),
            closed(1013),
            said(ErrorCode::Draining),
            said(ErrorCode::SlowConsumer),
        ] {
            assert_eq!(passes.as_final(), None, "{passes}");
        }
        for last in [
            refused(400),
            refused(401),
            refused(404),
            refused(422),
            closed(1003),
            closed(1008),
            closed(1009),
            said(ErrorCode::InvalidParameter),
            said(ErrorCode::Unauthorized),
            Break::Protocol(String::new()),
        ] {
            assert!(last.as_final().is_some(), "{last}");
        }
    }
}
