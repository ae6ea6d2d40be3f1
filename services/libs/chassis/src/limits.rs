//! How much is let in: places for what runs, and a rate for each caller.
//!
//! Invariants:
//! - A [`Place`] is counted from the moment it is given until it is dropped, and the gauge with it.
//! - The limiter holds at most `2 * MAX_CALLERS` callers, whoever asks and however often.

use std::collections::HashMap;
use std::future::{Ready, ready};
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::{FromRequest, HttpRequest, dev};
use prometheus::IntGauge;
use wire::error::ErrorCode;

use crate::api_error::{ApiError, Classify};
use crate::auth::Caller;
use crate::drain::Guard;
use crate::service::Service;
use crate::settings::RateLimit;

/// Callers remembered by the limiter at a time; a busy service has far fewer, so this is where an attack ends.
const MAX_CALLERS: usize = 20_000;

/// The places for sessions and requests. Clones are the same places.
#[derive(Clone, Debug)]
pub struct Places {
    max: NonZeroUsize,
    n_taken: Arc<AtomicUsize>,
    gauge: IntGauge,
}

/// One place, given back when dropped.
#[derive(Debug)]
#[must_use = "a place that is dropped is free again"]
pub struct Place {
    places: Places,
}

/// Every place is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("all {max} places for connections are taken; try again soon or ask another instance")]
pub struct AtCapacity {
    /// How many there are.
    pub max: NonZeroUsize,
}

impl Classify for AtCapacity {
    fn code(&self) -> ErrorCode {
        ErrorCode::AtCapacity
    }
}

impl Places {
    pub(crate) fn new(max: NonZeroUsize, gauge: IntGauge) -> Places {
        Places {
            max,
            n_taken: Arc::default(),
            gauge,
        }
    }

    /// Takes a place.
    ///
    /// # Errors
    /// If none is free. It never waits: the caller can ask another instance.
    pub fn take(&self) -> Result<Place, AtCapacity> {
        let max = self.max.get();
        let taken = self
            .n_taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n_taken| {
                (n_taken < max).then_some(n_taken + 1)
            });
        if taken.is_err() {
            return Err(AtCapacity { max: self.max });
        }
        self.gauge.inc();
        Ok(Place {
            places: self.clone(),
        })
    }

    /// How many are taken.
    #[must_use]
    pub fn n_taken(&self) -> usize {
        self.n_taken.load(Ordering::Relaxed)
    }

    /// How many there are.
    #[must_use]
    pub fn max(&self) -> usize {
        self.max.get()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.n_taken.fetch_sub(1, Ordering::Relaxed);
        self.places.gauge.dec();
    }
}

/// Leave to do work: the service is loaded, does not drain, and has a place. Held as long as the work lasts.
///
/// As an argument of a handler it refuses before the handler runs, so before any upgrade.
#[derive(Debug)]
pub struct Admission {
    /// Tells of the drain, and makes it wait.
    pub guard: Guard,
    _place: Place,
}

impl Admission {
    /// Asks for leave.
    ///
    /// # Errors
    /// `NOT_READY`, `DRAINING` or `AT_CAPACITY`, in this order.
    pub fn ask(service: &Service) -> Result<Admission, ApiError> {
        if !service.readiness().is_loaded() {
            let reasons = service.readiness().reasons().join(", ");
            return Err(ApiError::new(
                ErrorCode::NotReady,
                format!("the server is starting: {reasons}"),
            ));
        }
        Ok(Admission {
            guard: service.drain().enter()?,
            _place: service.places().take()?,
        })
    }
}

impl FromRequest for Admission {
    type Error = ApiError;
    type Future = Ready<Result<Admission, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        ready(Service::of(request).and_then(Admission::ask))
    }
}

/// How often each caller may ask: a bucket of `burst` tokens, filled at `per_minute`.
#[derive(Debug)]
pub struct RateLimiter {
    per_second: f64,
    burst: f64,
    max_callers: usize,
    /// The key of a caller is a keyed hash: of fixed size, and no address is kept.
    hasher: RandomState,
    buckets: Mutex<Buckets>,
}

/// Two generations of buckets. A bucket that nobody touched for a whole generation is full, so forgetting it changes
/// nothing; only when an attack fills a generation early is anybody forgiven anything.
#[derive(Debug)]
struct Buckets {
    young: HashMap<u64, Bucket>,
    old: HashMap<u64, Bucket>,
    turned_at: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

/// A caller asked too often.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("too many requests from this caller; the next is welcome in {wait:.1?}")]
pub struct RateLimited {
    /// When the next request will be let in.
    pub wait: Duration,
}

impl Classify for RateLimited {
    fn code(&self) -> ErrorCode {
        ErrorCode::RateLimited
    }

    fn retry_after(&self) -> Option<Duration> {
        Some(self.wait)
    }
}

impl RateLimiter {
    /// A limiter that remembers nobody yet.
    #[must_use]
    pub fn new(limit: RateLimit, now: Instant) -> RateLimiter {
        RateLimiter {
            per_second: f64::from(limit.per_minute.get()) / 60.0,
            burst: f64::from(limit.burst.get()),
            max_callers: MAX_CALLERS,
            hasher: RandomState::new(),
            buckets: Mutex::new(Buckets {
                young: HashMap::new(),
                old: HashMap::new(),
                turned_at: now,
            }),
        }
    }

    /// Lets one request of a caller in, or not.
    ///
    /// # Errors
    /// [`RateLimited`], with the time to wait.
    pub fn check(&self, caller: &str, now: Instant) -> Result<(), RateLimited> {
        let key = self.hasher.hash_one(caller);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let to_fill = Duration::from_secs_f64(self.burst / self.per_second);
        let is_time = to_fill <= now.saturating_duration_since(buckets.turned_at);
        if is_time || self.max_callers <= buckets.young.len() {
            buckets.old = std::mem::take(&mut buckets.young);
            buckets.turned_at = now;
        }
        let known = buckets.young.get(&key).or_else(|| buckets.old.get(&key));
        let mut bucket = known.copied().unwrap_or(Bucket {
            tokens: self.burst,
            at: now,
        });
        let waited = now.saturating_duration_since(bucket.at).as_secs_f64();
        bucket.tokens = (bucket.tokens + waited * self.per_second).min(self.burst);
        bucket.at = now;
        let answer = if 1.0 <= bucket.tokens {
            bucket.tokens -= 1.0;
            Ok(())
        } else {
            let missing = (1.0 - bucket.tokens) / self.per_second;
            Err(RateLimited {
                wait: Duration::from_secs_f64(missing),
            })
        };
        buckets.young.insert(key, bucket);
        answer
    }

    #[cfg(test)]
    fn n_callers(&self) -> usize {
        let buckets = self.buckets.lock().unwrap();
        buckets.young.len() + buckets.old.len()
    }
}

/// Who asks, for the limiter: the name of the key, or the address.
pub(crate) fn caller_of(
    request: &HttpRequest,
    caller: Option<&Caller>,
    trust_forwarded: bool,
) -> String {
    if let Some(Caller(name)) = caller {
        return format!("key {name}");
    }
    let forwarded = || {
        let headers = request.headers().get_all("x-forwarded-for");
        // The last entry of the last line is our proxy's own word; those before it are the client's.
        let last = headers.last()?.to_str().ok()?;
        last.rsplit(',').next()?.trim().parse::<IpAddr>().ok()
    };
    let peer = request.peer_addr().map(|it| it.ip());
    let address = if trust_forwarded {
        forwarded().or(peer)
    } else {
        peer
    };
    match address {
        // One customer has a whole /64.
        Some(IpAddr::V6(address)) => format!("net {:x}", address.to_bits() >> 64),
        Some(IpAddr::V4(address)) => format!("address {address}"),
        None => "nobody".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use actix_web::test::TestRequest;

    use super::*;

    fn limiter(per_minute: u32, burst: u32, now: Instant) -> RateLimiter {
        let limit = RateLimit {
            per_minute: NonZeroU32::new(per_minute).unwrap(),
            burst: NonZeroU32::new(burst).unwrap(),
        };
        RateLimiter::new(limit, now)
    }

    #[test]
    fn places_come_back() {
        let gauge = IntGauge::new("places", "taken").unwrap();
        let places = Places::new(NonZeroUsize::new(2).unwrap(), gauge.clone());
        let first = places.take().unwrap();
        let second = places.take().unwrap();
        assert_eq!(places.take().unwrap_err().max.get(), 2);
        assert_eq!((places.n_taken(), gauge.get()), (2, 2));
        drop(first);
        let third = places.take().unwrap();
        drop((second, third));
        assert_eq!((places.n_taken(), gauge.get()), (0, 0));
    }

    #[test]
    fn a_burst_then_a_rate() {
        let start = Instant::now();
        let limiter = limiter(60, 3, start);
        for _ in 0..3 {
            assert_eq!(limiter.check("ann", start), Ok(()));
        }
        let refused = limiter.check("ann", start).unwrap_err();
        assert_eq!(refused.wait, Duration::from_secs(1));
        assert_eq!(limiter.check("bob", start), Ok(()), "others are served");
        let later = start + Duration::from_secs(1);
        assert_eq!(limiter.check("ann", later), Ok(()));
        assert!(limiter.check("ann", later).is_err());
    }

    #[test]
    fn being_refused_costs_nothing() {
        let start = Instant::now();
        let limiter = limiter(60, 1, start);
        limiter.check("ann", start).unwrap();
        for ms in (100..1000).step_by(100) {
            assert!(
                limiter
                    .check("ann", start + Duration::from_millis(ms))
                    .is_err()
            );
        }
        assert_eq!(
            limiter.check("ann", start + Duration::from_millis(1001)),
            Ok(())
        );
    }

    #[test]
    fn a_turn_of_the_generations_forgives_nothing() {
        let start = Instant::now();
        let limiter = limiter(60, 60, start);
        let almost = start + Duration::from_millis(59_900);
        for _ in 0..60 {
            limiter.check("ann", almost).unwrap();
        }
        let turned = start + Duration::from_millis(60_100);
        assert!(
            limiter.check("ann", turned).is_err(),
            "the bucket was carried over"
        );
    }

    #[test]
    fn a_crowd_takes_bounded_room() {
        let start = Instant::now();
        let mut limiter = limiter(60, 10, start);
        limiter.max_callers = 100;
        for n in 0..10_000 {
            limiter.check(&format!("caller {n}"), start).unwrap();
            assert!(limiter.n_callers() <= 200, "after {n}");
        }
    }

    #[test]
    fn who_asks() {
        let from = |address: &str| {
            TestRequest::default().peer_addr(format!("{address}:5").parse().unwrap())
        };
        let forwarded = from("10.0.0.1")
            .insert_header(("x-forwarded-for", "6.6.6.6, 192.0.2.7"))
            .to_http_request();
        assert_eq!(caller_of(&forwarded, None, false), "address 10.0.0.1");
        assert_eq!(caller_of(&forwarded, None, true), "address 192.0.2.7");
        let two_lines = from("10.0.0.1")
            .append_header(("x-forwarded-for", "6.6.6.6"))
            .append_header(("x-forwarded-for", "192.0.2.7"))
            .to_http_request();
        assert_eq!(caller_of(&two_lines, None, true), "address 192.0.2.7");
        let ann = Caller("ann".to_owned());
        assert_eq!(caller_of(&forwarded, Some(&ann), true), "key ann");
        let one = from("[2001:db8::1]").to_http_request();
        let other = from("[2001:db8::2]").to_http_request();
        assert_eq!(caller_of(&one, None, false), caller_of(&other, None, false));
    }
}
