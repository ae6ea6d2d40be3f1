//! The sections that every service has: `server`, `drain`, `log` and `auth`, as read and as checked.

use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Problems;
use crate::auth::ApiKeys;

/// Section `server`, as read.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerRaw {
    /// The address to listen at; `0.0.0.0` is every IPv4 address of the machine.
    pub host: String,
    /// The port to listen at; 0 takes any free one.
    pub port: u16,
    /// Threads that serve sockets; 0 is one for each core.
    pub workers: usize,
    /// Sessions and requests served at a time; one more is refused.
    pub max_connections: usize,
    /// Connections that the kernel holds until they are accepted.
    pub backlog: u32,
    /// Time in which the head of a request must arrive.
    pub header_timeout_ms: u64,
    /// Longest pause inside the body of a request.
    pub body_timeout_ms: u64,
    /// Time in which a request must be answered.
    pub request_timeout_ms: u64,
    /// How long a connection without a request is kept.
    pub keep_alive_ms: u64,
    /// How often a WebSocket is pinged; a peer that leaves two pings unanswered is gone.
    pub ping_interval_ms: u64,
    /// A WebSocket without a message for so long is closed.
    pub idle_timeout_ms: u64,
    /// How long a client may leave what it was sent unread.
    pub slow_reader_ms: u64,
    /// How long the other side may take to answer a close.
    pub close_timeout_ms: u64,
    /// Bytes that may wait for a slow reader.
    pub max_outbox_bytes: usize,
    /// Largest body of a request.
    pub max_upload_bytes: usize,
    /// Largest WebSocket message, in one frame or in many.
    pub max_frame_bytes: usize,
    /// Largest JSON body.
    pub max_json_bytes: usize,
    /// A port of its own for health and metrics; null serves them only beside everything else.
    pub admin_port: Option<u16>,
    /// The address of that port.
    pub admin_host: String,
    /// Web pages that may call us, by origin; `*` is every page.
    pub cors_origins: Vec<String>,
    /// Requests a minute for each key or, without keys, each address; 0 is no limit.
    pub rate_limit_per_minute: u32,
    /// Requests that may come at once before that rate counts.
    pub rate_limit_burst: u32,
    /// Whether `X-Forwarded-For` names the client. Only behind a proxy of ours that sets it.
    pub trust_forwarded: bool,
}

impl ServerRaw {
    /// The defaults, with the port that the service is known for.
    #[must_use]
    pub fn defaults(port: u16) -> ServerRaw {
        ServerRaw {
            host: "0.0.0.0".to_owned(),
            port,
            workers: 0,
            max_connections: 100,
            backlog: 1024,
            header_timeout_ms: 5_000,
            body_timeout_ms: 15_000,
            request_timeout_ms: 600_000,
            keep_alive_ms: 75_000,
            ping_interval_ms: 15_000,
            idle_timeout_ms: 300_000,
            slow_reader_ms: 10_000,
            close_timeout_ms: 2_000,
            max_outbox_bytes: 1_048_576,
            max_upload_bytes: 268_435_456,
            max_frame_bytes: 1_048_576,
            max_json_bytes: 1_048_576,
            admin_port: None,
            admin_host: "127.0.0.1".to_owned(),
            cors_origins: Vec::new(),
            rate_limit_per_minute: 0,
            rate_limit_burst: 30,
            trust_forwarded: false,
        }
    }

    /// Checks every rule of the section.
    pub fn check(&self, problems: &mut Problems) -> Server {
        let ping_interval = problems.some_ms("server.ping_interval_ms", self.ping_interval_ms);
        let idle_timeout = problems.some_ms("server.idle_timeout_ms", self.idle_timeout_ms);
        if idle_timeout <= ping_interval {
            problems.add(
                "server.idle_timeout_ms",
                format!(
                    "`server.idle_timeout_ms` must be longer than `server.ping_interval_ms`. Given: {} and {}",
                    self.idle_timeout_ms, self.ping_interval_ms
                ),
            );
        }
        let admin = self.admin_port.map(|port| {
            if port == self.port && port != 0 {
                problems.add(
                    "server.admin_port",
                    format!(
                        "`server.admin_port` must differ from `server.port`. Given: {port} for both"
                    ),
                );
            }
            SocketAddr::new(host(problems, "server.admin_host", &self.admin_host), port)
        });
        for origin in &self.cors_origins {
            if origin != "*" && !is_origin(&as_browsers_write(origin)) {
                problems.add(
                    "server.cors_origins",
                    format!("`server.cors_origins` takes origins such as `https://example.com`, without a path. Given: `{origin}`"),
                );
            }
        }
        let rate_limit = NonZeroU32::new(self.rate_limit_per_minute).map(|per_minute| {
            let burst = NonZeroU32::new(self.rate_limit_burst);
            if burst.is_none() {
                problems.add(
                    "server.rate_limit_burst",
                    "`server.rate_limit_burst` must be at least 1 where there is a rate limit. Given: 0",
                );
            }
            let burst = burst.unwrap_or(NonZeroU32::MIN);
            RateLimit { per_minute, burst }
        });
        Server {
            address: SocketAddr::new(host(problems, "server.host", &self.host), self.port),
            workers: NonZeroUsize::new(self.workers),
            max_connections: problems.at_least_one("server.max_connections", self.max_connections),
            backlog: problems.in_range("server.backlog", self.backlog, 1..=65_535),
            header_timeout: problems.some_ms("server.header_timeout_ms", self.header_timeout_ms),
            body_timeout: problems.some_ms("server.body_timeout_ms", self.body_timeout_ms),
            request_timeout: problems.some_ms("server.request_timeout_ms", self.request_timeout_ms),
            keep_alive: problems.some_ms("server.keep_alive_ms", self.keep_alive_ms),
            ping_interval,
            idle_timeout,
            slow_reader: problems.some_ms("server.slow_reader_ms", self.slow_reader_ms),
            close_timeout: problems.some_ms("server.close_timeout_ms", self.close_timeout_ms),
            max_outbox_bytes: problems
                .at_least_one("server.max_outbox_bytes", self.max_outbox_bytes),
            max_upload_bytes: problems
                .at_least_one("server.max_upload_bytes", self.max_upload_bytes),
            max_frame_bytes: problems.at_least_one("server.max_frame_bytes", self.max_frame_bytes),
            max_json_bytes: problems.at_least_one("server.max_json_bytes", self.max_json_bytes),
            admin,
            cors_origins: self
                .cors_origins
                .iter()
                .map(|it| as_browsers_write(it))
                .collect(),
            rate_limit,
            trust_forwarded: self.trust_forwarded,
        }
    }
}

fn host(problems: &mut Problems, key: &str, given: &str) -> IpAddr {
    let given = if given == "localhost" {
        "127.0.0.1"
    } else {
        given
    };
    given.parse().unwrap_or_else(|_| {
        problems.add(
            key,
            format!(
                "`{key}` must be an IP address, for example 127.0.0.1 or 0.0.0.0. Given: `{given}`"
            ),
        );
        IpAddr::from([127, 0, 0, 1])
    })
}

/// An origin in small letters and without the port that its scheme has anyway: letter by letter what browsers send.
fn as_browsers_write(origin: &str) -> String {
    let small = origin.to_ascii_lowercase();
    let usual_port = if small.starts_with("https://") {
        ":443"
    } else {
        ":80"
    };
    small.strip_suffix(usual_port).unwrap_or(&small).to_owned()
}

fn is_origin(text: &str) -> bool {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', ' ', '*']))
}

/// Section `server`, checked. Its fields mean what those of [`ServerRaw`] mean.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "said once, at `ServerRaw`")]
pub struct Server {
    pub address: SocketAddr,
    /// `None` is one for each core.
    pub workers: Option<NonZeroUsize>,
    pub max_connections: NonZeroUsize,
    pub backlog: u32,
    pub header_timeout: Duration,
    pub body_timeout: Duration,
    pub request_timeout: Duration,
    pub keep_alive: Duration,
    pub ping_interval: Duration,
    pub idle_timeout: Duration,
    pub slow_reader: Duration,
    pub close_timeout: Duration,
    pub max_outbox_bytes: NonZeroUsize,
    pub max_upload_bytes: NonZeroUsize,
    pub max_frame_bytes: NonZeroUsize,
    pub max_json_bytes: NonZeroUsize,
    pub admin: Option<SocketAddr>,
    pub cors_origins: Vec<String>,
    pub rate_limit: Option<RateLimit>,
    pub trust_forwarded: bool,
}

/// How often one caller may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests a minute in the long run.
    pub per_minute: NonZeroU32,
    /// Requests at once.
    pub burst: NonZeroU32,
}

/// Section `drain`, as read.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrainRaw {
    /// How long running work may take to finish once the process was told to stop.
    pub deadline_ms: u64,
    /// How long to be unready and still accept, so that a balancer that polls has noticed. 0 without one.
    pub announce_ms: u64,
}

impl DrainRaw {
    /// The defaults.
    #[must_use]
    pub fn defaults() -> DrainRaw {
        DrainRaw {
            deadline_ms: 120_000,
            announce_ms: 0,
        }
    }

    /// Checks every rule of the section.
    pub fn check(&self, problems: &mut Problems) -> DrainTimes {
        DrainTimes {
            deadline: problems.some_ms("drain.deadline_ms", self.deadline_ms),
            announce: Duration::from_millis(self.announce_ms),
        }
    }
}

/// Section `drain`, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainTimes {
    /// How long running work may take to finish.
    pub deadline: Duration,
    /// How long to be unready before new work is refused.
    pub announce: Duration,
}

/// Section `log`, as read.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogRaw {
    /// `text`, `json`, or `auto`: text on a terminal, JSON elsewhere.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug`, `trace`, or rules such as `info,asr=debug`.
    pub level: String,
}

/// What a line of the log looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

impl LogRaw {
    /// The defaults.
    #[must_use]
    pub fn defaults() -> LogRaw {
        LogRaw {
            format: LogFormat::Auto,
            level: "info".to_owned(),
        }
    }

    /// Checks every rule of the section.
    pub fn check(&self, problems: &mut Problems) -> Log {
        let level = self.level.trim();
        // An empty rule would silence even errors.
        if level.is_empty() || tracing_subscriber::EnvFilter::try_new(level).is_err() {
            problems.add(
                "log.level",
                format!(
                    "`log.level` must be error, warn, info, debug, trace or rules such as `info,chassis=debug`. Given: `{}`",
                    self.level
                ),
            );
        }
        Log {
            format: self.format,
            level: level.to_owned(),
        }
    }
}

/// Section `log`, checked.
#[derive(Clone, Debug)]
pub struct Log {
    /// What a line looks like.
    pub format: LogFormat,
    /// Rules that the subscriber understands.
    pub level: String,
}

/// Section `auth`, as read.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthRaw {
    /// A file with a key a line, as `name:sha256`; null lets everyone in.
    pub api_keys_file: Option<PathBuf>,
}

impl AuthRaw {
    /// The defaults: no keys, everyone may call.
    #[must_use]
    pub fn defaults() -> AuthRaw {
        AuthRaw {
            api_keys_file: None,
        }
    }

    /// Checks the section, which reads the file of keys.
    pub fn check(&self, problems: &mut Problems) -> Auth {
        let path = self
            .api_keys_file
            .as_ref()
            .filter(|it| !it.as_os_str().is_empty());
        let keys = path.and_then(|path| match ApiKeys::read(path) {
            Ok(keys) => Some(Arc::new(keys)),
            Err(error) => {
                problems.add(
                    "auth.api_keys_file",
                    format!("`auth.api_keys_file`: {error}"),
                );
                None
            }
        });
        Auth { keys }
    }
}

/// Section `auth`, checked.
#[derive(Clone, Debug, Default)]
pub struct Auth {
    /// Who may call; `None` lets everyone in.
    pub keys: Option<Arc<ApiKeys>>,
}
