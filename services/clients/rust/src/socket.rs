//! EDGE: one connection, made or refused.

#[cfg(feature = "tls")]
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};
use tokio_tungstenite::tungstenite::{Error as SocketError, error::UrlError, handshake};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::Error;
use crate::core::Break;

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Where to connect, and as whom.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    url: String,
    authorization: Option<HeaderValue>,
    #[cfg(feature = "tls")]
    tls: Option<Arc<rustls::ClientConfig>>,
}

impl Request {
    pub(crate) fn new(url: &str, api_key: Option<String>) -> Result<Request, Error> {
        if !["ws://", "wss://"].iter().any(|it| url.starts_with(it)) {
            return Err(Error::Impossible(format!(
                "an address must begin with ws:// or wss://. Given: {url}"
            )));
        }
        let header = |key: String| {
            let mut value = HeaderValue::try_from(format!("Bearer {key}"))
                .map_err(|_| Error::Impossible("the key has characters that no key has".into()))?;
            value.set_sensitive(true);
            Ok(value)
        };
        let request = Request {
            url: url.to_owned(),
            authorization: api_key.map(header).transpose()?,
            #[cfg(feature = "tls")]
            tls: None,
        };
        request.build()?;
        Ok(request)
    }

    /// With whom to speak, if not those whom the system trusts.
    #[cfg(feature = "tls")]
    pub(crate) fn trusting(self, tls: Option<Arc<rustls::ClientConfig>>) -> Request {
        Request { tls, ..self }
    }

    fn build(&self) -> Result<handshake::client::Request, Error> {
        let mut request = self
            .url
            .as_str()
            .into_client_request()
            .map_err(|error| Error::Impossible(format!("{}: {error}", self.url)))?;
        if let Some(value) = &self.authorization {
            request
                .headers_mut()
                .insert(header::AUTHORIZATION, value.clone());
        }
        Ok(request)
    }

    /// Connects.
    pub(crate) async fn connect(&self, patience: Duration) -> Result<Socket, Break> {
        let request = self
            .build()
            .map_err(|error| Break::Protocol(error.to_string()))?;
        #[cfg(not(feature = "tls"))]
        let connecting = tokio_tungstenite::connect_async_with_config(request, None, true);
        #[cfg(feature = "tls")]
        let connecting = tokio_tungstenite::connect_async_tls_with_config(
            request,
            None,
            true,
            self.tls.clone().map(tokio_tungstenite::Connector::Rustls),
        );
        match timeout(patience, connecting).await {
            Err(_) => Err(Break::Lost("no connection in time".to_owned())),
            Ok(Ok((socket, _))) => Ok(socket),
            Ok(Err(SocketError::Http(answer))) => {
                let (head, body) = answer.into_parts();
                Err(refused(
                    head.status.as_u16(),
                    head.headers.get(header::RETRY_AFTER),
                    body.as_deref().unwrap_or_default(),
                ))
            }
            Ok(Err(SocketError::Url(UrlError::TlsFeatureNotEnabled))) => Err(Break::Protocol(
                "this client was built without its feature `tls`".to_owned(),
            )),
            #[cfg(feature = "tls")]
            Ok(Err(SocketError::Io(error))) if is_untrusted(&error) => {
                Err(Break::Untrusted(format!("cannot connect: {error}")))
            }
            Ok(Err(error)) => Err(Break::Lost(format!("cannot connect: {error}"))),
        }
    }
}

/// Whether a certificate was refused, which no other attempt would change.
#[cfg(feature = "tls")]
fn is_untrusted(error: &std::io::Error) -> bool {
    let inner = error.get_ref().and_then(|it| it.downcast_ref());
    matches!(inner, Some(rustls::Error::InvalidCertificate(_)))
}

/// What an answer says that is no upgrade. Balancers answer in their own words.
fn refused(status: u16, retry_after: Option<&HeaderValue>, body: &[u8]) -> Break {
    let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let said = |key: &str| body["error"][key].as_str().map(str::to_owned);
    let seconds = retry_after.and_then(|it| it.to_str().ok()?.trim().parse().ok());
    Break::Refused {
        status,
        code: said("code").unwrap_or_else(|| format!("HTTP {status}")),
        message: said("message").unwrap_or_else(|| "no reason was given".to_owned()),
        retry_after: seconds.map(Duration::from_secs),
    }
}

/// Reads a text frame whose `type` is one of these. One that is not is newer than this client, and nothing to it.
pub(crate) fn read<T: serde::de::DeserializeOwned>(
    text: &str,
    known: &[&str],
) -> Result<Option<T>, Break> {
    let broken = |error: serde_json::Error| Break::Protocol(format!("{error}: {text:.200}"));
    let value: serde_json::Value = serde_json::from_str(text).map_err(broken)?;
    match value["type"].as_str() {
        Some(kind) if known.contains(&kind) => {
            serde_json::from_value(value).map(Some).map_err(broken)
        }
        Some(_) => Ok(None),
        None => Err(Break::Protocol(format!(
            "a message has no `type`: {text:.200}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_read_in_our_words_and_in_those_of_a_balancer() {
        let body = br#"{"error":{"code":"AT_CAPACITY","message":"full","type":"x"}}"#;
        let ours = refused(503, Some(&HeaderValue::from_static("7")), body);
        assert_eq!(
            ours,
            Break::Refused {
                status: 503,
                code: "AT_CAPACITY".to_owned(),
                message: "full".to_owned(),
                retry_after: Some(Duration::from_secs(7))
            }
        );
        let theirs = refused(502, None, b"<html>bad gateway</html>");
        assert!(theirs.to_string().contains("HTTP 502"), "{theirs}");
    }

    #[test]
    fn an_address_that_is_none_is_refused_before_anything_is_sent() {
        for url in ["http://localhost", "ws://", "ws://a b"] {
            assert!(
                matches!(Request::new(url, None), Err(Error::Impossible(_))),
                "{url}"
            );
        }
        let key = Some("bad\nkey".to_owned());
        assert!(Request::new("ws://localhost", key).is_err());
        let request = Request::new("ws://localhost", Some("secret".to_owned())).unwrap();
        assert!(!format!("{request:?}").contains("secret"));
    }
}
