//! Reading a body of unknown length from a client of unknown intentions.
//!
//! Invariants:
//! - No more than the limit is ever held, whatever the client claims about its length.
//! - A client that pauses for longer than `body_timeout` is told so, and holds nothing any more.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::error::PayloadError;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _};
use tokio::time::{Instant, Sleep};
use wire::error::ErrorCode;

use crate::api_error::ApiError;
use crate::settings::Server;

/// A body that ends with an error when it grows too large or stops coming. It can be given to a multipart reader.
///
/// The errors are [`PayloadError::Overflow`] and an I/O error of kind `TimedOut`; [`error`] puts them into words.
#[derive(Debug)]
pub struct Bounded<S> {
    inner: S,
    n_left: usize,
    pause: Duration,
    timer: Pin<Box<Sleep>>,
}

impl<S> Bounded<S>
where
    S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
{
    /// Bounds a body by the settings for uploads.
    pub fn new(body: S, server: &Server) -> Bounded<S> {
        Bounded::with_limits(body, server.max_upload_bytes.get(), server.body_timeout)
    }

    /// Bounds a body by a size in bytes and by the longest pause in it.
    pub fn with_limits(body: S, max_bytes: usize, pause: Duration) -> Bounded<S> {
        Bounded {
            inner: body,
            n_left: max_bytes,
            pause,
            timer: Box::pin(tokio::time::sleep(pause)),
        }
    }

    /// Reads all of it.
    ///
    /// # Errors
    /// `PAYLOAD_TOO_LARGE`, `REQUEST_TIMEOUT`, or `INVALID_REQUEST` if the connection or the encoding breaks.
    pub async fn read(mut self) -> Result<Bytes, ApiError> {
        let max_bytes = self.n_left;
        let mut whole = BytesMut::new();
        while let Some(chunk) = self.next().await {
            let chunk = chunk.map_err(|it| error(&it, max_bytes))?;
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.freeze())
    }
}

impl<S> Stream for Bounded<S>
where
    S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
{
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match Pin::new(&mut self.inner).poll_next(cx) {
            Poll::Ready(Some(Ok(chunk))) => {
                let Some(n_left) = self.n_left.checked_sub(chunk.len()) else {
                    return Poll::Ready(Some(Err(PayloadError::Overflow)));
                };
                self.n_left = n_left;
                let until = Instant::now() + self.pause;
                self.timer.as_mut().reset(until);
                Poll::Ready(Some(Ok(chunk)))
            }
            Poll::Ready(end) => Poll::Ready(end),
            Poll::Pending => {
                let paused = self.timer.as_mut().poll(cx);
                paused.map(|()| Some(Err(PayloadError::Io(io::ErrorKind::TimedOut.into()))))
            }
        }
    }
}

/// What a broken body means to the client. `max_bytes` is the limit that it met.
#[must_use]
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the enum is not ours and grows"
)]
pub fn error(error: &PayloadError, max_bytes: usize) -> ApiError {
    match error {
        PayloadError::Overflow => ApiError::new(
            ErrorCode::PayloadTooLarge,
            format!("the body is larger than this server accepts, which is {max_bytes} bytes"),
        ),
        PayloadError::Io(io) if io.kind() == io::ErrorKind::TimedOut => ApiError::new(
            ErrorCode::RequestTimeout,
            "the body stopped coming before it was complete",
        ),
        // Whatever else happens to a body, it cannot be read.
        other => ApiError::new(
            ErrorCode::InvalidRequest,
            format!("the body could not be read: {other}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    const PAUSE: Duration = Duration::from_secs(10);

    fn chunks(sizes: &[usize]) -> impl Stream<Item = Result<Bytes, PayloadError>> + Unpin + use<> {
        let chunks: Vec<_> = sizes
            .iter()
            .map(|size| Ok(Bytes::from(vec![7; *size])))
            .collect();
        stream::iter(chunks)
    }

    #[tokio::test(start_paused = true)]
    async fn the_limit_itself_fits() {
        let body = Bounded::with_limits(chunks(&[4, 6]), 10, PAUSE);
        assert_eq!(body.read().await.unwrap().len(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn one_byte_more_does_not() {
        let body = Bounded::with_limits(chunks(&[4, 7]), 10, PAUSE);
        let error = body.read().await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::PayloadTooLarge);
        assert!(error.message().contains("10 bytes"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stops_coming_is_given_up() {
        let began = Instant::now();
        let body = Bounded::with_limits(chunks(&[4]).chain(stream::pending()), 10, PAUSE);
        assert_eq!(
            body.read().await.unwrap_err().code(),
            ErrorCode::RequestTimeout
        );
        assert_eq!(began.elapsed(), PAUSE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_body_that_keeps_coming_is_read() {
        let slow = stream::unfold(0, |n| async move {
            tokio::time::sleep(PAUSE - Duration::from_secs(1)).await;
            (n < 5).then(|| (Ok(Bytes::from_static(b"x")), n + 1))
        });
        let body = Bounded::with_limits(Box::pin(slow), 10, PAUSE);
        assert_eq!(body.read().await.unwrap().len(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_broken_connection_is_the_clients_loss() {
        let broken = stream::iter([Err(PayloadError::Incomplete(None))]);
        let body = Bounded::with_limits(broken, 10, PAUSE);
        assert_eq!(
            body.read().await.unwrap_err().code(),
            ErrorCode::InvalidRequest
        );
    }
}
