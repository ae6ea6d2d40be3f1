//! Server-sent events: an answer that is told in pieces.
//!
//! Invariants:
//! - A piece of a body is never empty, which would end the body.

use std::convert::Infallible;

use actix_web::{HttpResponse, HttpResponseBuilder};
use bytes::Bytes;
use serde::Serialize;

/// The events of one piece of a body.
#[derive(Debug, Default)]
pub struct Events(String);

impl Events {
    /// Adds an event whose data is `event` as JSON.
    pub fn push(&mut self, event: &impl Serialize) {
        // Plain structs with text keys: serialising them cannot fail, and their JSON holds no line break.
        if let Ok(json) = serde_json::to_string(event) {
            self.0.push_str("data: ");
            self.0.push_str(&json);
            self.0.push_str("\n\n");
        }
    }

    /// The piece. Without an event it is a comment, which keeps proxies patient.
    ///
    /// # Errors
    /// Never; a body is a stream of results.
    pub fn chunk(self) -> Result<Bytes, Infallible> {
        Ok(if self.0.is_empty() {
            Bytes::from_static(b":\n\n")
        } else {
            Bytes::from(self.0)
        })
    }
}

/// The head of an answer that consists of events.
#[must_use]
pub fn response() -> HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response
        .content_type("text/event-stream; charset=utf-8")
        .insert_header(("cache-control", "no-cache"));
    // nginx would otherwise keep the events until there are many.
    response.insert_header(("x-accel-buffering", "no"));
    response
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_stand_apart_and_no_piece_is_empty() {
        let mut events = Events::default();
        events.push(&json!({"a": "line\nbreak"}));
        events.push(&json!(1));
        let text = "data: {\"a\":\"line\\nbreak\"}\n\ndata: 1\n\n";
        assert_eq!(events.chunk().unwrap(), text);
        assert_eq!(Events::default().chunk().unwrap(), ":\n\n");
    }
}
