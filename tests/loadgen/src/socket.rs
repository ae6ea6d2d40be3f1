//! A client's end of a stream, opened: the upgrade, and the `ready` that every stream of ours begins with.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::StreamExt;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// A client's end of a stream.
pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// How long a server may take for an upgrade, `ready`, `closed`, and whatever else ought to come at once.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What may come first.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum First {
    Ready,
    Error {
        code: String,
        message: String,
    },
    #[serde(other)]
    Other,
}

/// Opens a stream and waits for `ready`. The outer error is of the network; the inner one a refusal.
///
/// Boxed because a socket carries its buffers and would make every future that holds one large.
pub(crate) async fn open(url: &str) -> Result<Result<Box<Socket>, String>> {
    let connecting = tokio_tungstenite::connect_async_with_config(url, None, true);
    let mut socket = match timeout(PATIENCE, connecting)
        .await
        .context("no answer to the upgrade")?
    {
        Ok((socket, _)) => socket,
        Err(tungstenite::Error::Http(response)) => {
            let body = response
                .body()
                .as_deref()
                .map(String::from_utf8_lossy)
                .unwrap_or_default();
            return Ok(Err(format!("{} {body}", response.status().as_u16())));
        }
        Err(error) => return Err(error).context("cannot connect"),
    };
    // Over all messages and not over each: pings of a server that never gets ready must not count.
    match timeout(PATIENCE, wait_until_ready(&mut socket))
        .await
        .context("no `ready`")??
    {
        None => Ok(Ok(Box::new(socket))),
        Some(refusal) => Ok(Err(refusal)),
    }
}

/// Returns why not, if the server says so.
async fn wait_until_ready(socket: &mut Socket) -> Result<Option<String>> {
    loop {
        match socket.next().await.context("closed before `ready`")?? {
            Message::Text(text) => {
                return match serde_json::from_str(&text).context("not a message")? {
                    First::Ready => Ok(None),
                    First::Error { code, message } => Ok(Some(format!("{code}: {message}"))),
                    First::Other => bail!("expected `ready`. Given: {text}"),
                };
            }
            Message::Close(frame) => return Ok(Some(format!("closed: {frame:?}"))),
            Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    }
}
