//! Fetching audio from an address that a client names, without lending it our place in the network.
//!
//! Invariants:
//! - Only `http` and `https`, only addresses that anybody on the Internet could reach: every address is checked when its name is
//!   resolved, after which it is the one connected to, and literal ones are checked in every redirect too.
//! - Size and time are bounded while reading; what the far end says about itself is not believed.
//! - The environment's proxies are not used: they would resolve names for us, unchecked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};

use crate::error::AsrError;

/// Redirects that are followed before it looks like a game.
const MAX_REDIRECTS: usize = 5;

/// Gets files from foreign servers.
#[derive(Clone, Debug)]
pub struct Fetcher {
    client: Client,
    max_bytes: usize,
    guard: Guard,
}

/// What a fetch may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub max_bytes: usize,
    pub timeout: Duration,
    /// Whether addresses of the own network are reachable too. For tests and closed networks.
    pub private_addresses: bool,
}

impl Fetcher {
    /// A fetcher, ready to be cloned.
    ///
    /// # Errors
    /// The TLS library could not be set up.
    pub fn new(limits: Limits) -> Result<Fetcher, reqwest::Error> {
        // An `Err` means that some other part has installed one; then that one serves.
        drop(rustls::crypto::ring::default_provider().install_default());
        let guard = Guard {
            private_addresses: limits.private_addresses,
        };
        let client = Client::builder()
            .no_proxy()
            .timeout(limits.timeout)
            .connect_timeout(limits.timeout.min(Duration::from_secs(10)))
            .dns_resolver(Arc::new(guard))
            .redirect(Policy::custom(move |attempt| {
                if MAX_REDIRECTS <= attempt.previous().len() {
                    return attempt
                        .error(Forbidden(format!("more than {MAX_REDIRECTS} redirects")));
                }
                match guard.check(attempt.url()) {
                    Ok(()) => attempt.follow(),
                    Err(forbidden) => attempt.error(forbidden),
                }
            }))
            .build()?;
        Ok(Fetcher {
            client,
            max_bytes: limits.max_bytes,
            guard,
        })
    }

    /// The content behind `url`.
    ///
    /// # Errors
    /// The address is not allowed, or did not give its content in time and size.
    pub async fn get(&self, url: &str) -> Result<Bytes, AsrError> {
        let url = Url::parse(url).map_err(|error| AsrError::UrlFailed {
            message: format!("`audio_url` is not a URL: {error}"),
            cause: None,
        })?;
        self.guard
            .check(&url)
            .map_err(|it| AsrError::UrlForbidden(it.to_string()))?;
        let mut answer = self.client.get(url).send().await.map_err(failed)?;
        if !answer.status().is_success() {
            return Err(AsrError::UrlFailed {
                message: format!(
                    "the server behind `audio_url` answered {}",
                    answer.status().as_u16()
                ),
                cause: None,
            });
        }
        let mut whole = BytesMut::new();
        while let Some(piece) = answer.chunk().await.map_err(failed)? {
            if self.max_bytes - whole.len() < piece.len() {
                return Err(AsrError::TooLarge {
                    limit: self.max_bytes as u64,
                });
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }
}

fn failed(error: reqwest::Error) -> AsrError {
    // Somewhere below there may be our own refusal, which the client should read.
    let mut cause: Option<&dyn std::error::Error> = Some(&error);
    while let Some(it) = cause {
        if let Some(forbidden) = it.downcast_ref::<Forbidden>() {
            return AsrError::UrlForbidden(forbidden.to_string());
        }
        cause = it.source();
    }
    let message = if error.is_timeout() {
        "the server behind `audio_url` did not answer in time"
    } else if error.is_connect() {
        "the server behind `audio_url` could not be reached"
    } else {
        "`audio_url` could not be fetched"
    };
    AsrError::UrlFailed {
        message: message.to_owned(),
        cause: Some(Box::new(error.without_url())),
    }
}

/// An address that must not be fetched.
#[derive(Debug, thiserror::Error)]
#[error("`audio_url` is not allowed: {0}")]
struct Forbidden(String);

/// Decides which addresses may be reached.
#[derive(Clone, Copy, Debug)]
struct Guard {
    private_addresses: bool,
}

impl Guard {
    /// What can be said before a name is resolved.
    fn check(self, url: &Url) -> Result<(), Forbidden> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Forbidden(format!(
                "only http and https can be fetched. Given: {}",
                url.scheme()
            )));
        }
        let host = url.host_str().unwrap_or_default();
        // Literal addresses never reach the resolver. The URL parser has already unified their many spellings.
        match host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>()
        {
            Ok(address) => self.check_address(address),
            Err(_) if host.is_empty() => Err(Forbidden("it names no host".to_owned())),
            Err(_) => Ok(()),
        }
    }

    fn check_address(self, address: IpAddr) -> Result<(), Forbidden> {
        if self.private_addresses || is_public(address) {
            return Ok(());
        }
        Err(Forbidden(
            "it leads to a private or reserved address".to_owned(),
        ))
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = *self;
        Box::pin(async move {
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            // One private address among them is enough to refuse: who answers so is up to something.
            for address in &found {
                guard.check_address(address.ip())?;
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Whether anybody on the Internet could reach this address.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let reserved = a == 0 // this network
        || address.is_private()
        || (a == 100 && (64..128).contains(&b)) // carrier-grade NAT
        || address.is_loopback()
        || address.is_link_local()
        || (a == 192 && b == 0 && c == 0) // protocol assignments
        || (a == 192 && b == 88 && c == 99) // 6to4 relays
        || (a == 198 && (b == 18 || b == 19)) // benchmarks
        || address.is_documentation()
        || address.is_multicast()
        || a >= 240; // reserved and broadcast
    !reserved
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    // Addresses that carry another one are as public as that one: mapped, compatible, NAT64, 6to4.
    if let Some(inner) = embedded_v4(address) {
        return is_public_v4(inner);
    }
    let [first, second, ..] = address.segments();
    // Global unicast is 2000::/3; outside lie loopback, link-local, unique-local, site-local and multicast.
    let global = first & 0xe000 == 0x2000;
    let reserved = match first {
        // Teredo, ORCHID, benchmarks and other assignments; documentation.
        0x2001 => second < 0x0200 || second == 0x0db8,
        // Documentation.
        0x3fff => second < 0x1000,
        _ => false,
    };
    global && !reserved
}

fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let join = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match (a, b, c, d, e, f) {
        // `::` and `::1` are among the compatible ones and come out as 0.0.0.0/8, which is refused.
        (0, 0, 0, 0, 0, 0 | 0xffff) | (0, 0, 0, 0, 0xffff, 0) | (0x0064, 0xff9b, 0, 0, 0, 0) => {
            Some(join(g, h))
        }
        (0x2002, ..) => Some(join(b, c)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
