//! The id of a request: the client's own if it is harmless, else a new one.

use std::fmt;

use actix_web::http::header::{HeaderMap, HeaderName};

/// Where the id travels, both ways.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The id of a request. Found in the extensions of every request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(String);

impl RequestId {
    /// The client's id, or a new one.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> RequestId {
        let given = headers.get(HEADER).and_then(|it| it.to_str().ok());
        match given.filter(|id| is_valid(id)) {
            Some(id) => RequestId(id.to_owned()),
            None => RequestId(uuid::Uuid::new_v4().to_string()),
        }
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// 1 to 128 characters that mean nothing in a log line, a shell or a web page.
fn is_valid(id: &str) -> bool {
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(&byte);
    (1..=128).contains(&id.len()) && id.bytes().all(is_safe)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn of(value: &[u8]) -> RequestId {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_bytes(value).unwrap());
        RequestId::of(&headers)
    }

    #[test]
    fn a_harmless_id_is_kept() {
        let longest = "x".repeat(128);
        for id in ["a", "3fa8-1.b_c:d/e+f=@", longest.as_str()] {
            assert_eq!(of(id.as_bytes()).as_str(), id);
        }
    }

    #[test]
    fn any_other_is_replaced() {
        let too_long = "x".repeat(129);
        let cases: [&[u8]; 6] = [
            b"",
            b"a b",
            b"<script>",
            b"a\"b",
            b"\xff\xfe",
            too_long.as_bytes(),
        ];
        for given in cases {
            let id = of(given);
            assert_ne!(id.as_str().as_bytes(), given);
            assert!(is_valid(id.as_str()));
        }
    }

    #[test]
    fn new_ids_differ() {
        let none = HeaderMap::new();
        assert_ne!(RequestId::of(&none), RequestId::of(&none));
    }
}
