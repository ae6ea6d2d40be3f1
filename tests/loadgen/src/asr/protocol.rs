//! The messages of `GET /v1/stream/asr`, as a client written from the public description knows them.
//!
//! On purpose not the server's own types: a message that the server changes by mistake must not change here too.

use serde::{Deserialize, Serialize};

use crate::clip::RATE;

/// What a stream asks for, in the query so that it holds from the first `ready` on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) partials: bool,
    pub(crate) final_on: FinalOn,
    /// Where a resumed stream begins.
    pub(crate) start_sample: u64,
}

impl Wanted {
    /// The address of a stream at a server.
    pub(crate) fn url(self, server: &str) -> String {
        let final_on = match self.final_on {
            FinalOn::VadStop => "vad_stop",
            FinalOn::TurnEnd => "turn_end",
        };
        let mut url = format!(
            "ws://{server}/v1/stream/asr?encoding=pcm_s16le&sample_rate={RATE}&partials={}&final_on={final_on}",
            self.partials
        );
        if self.start_sample != 0 {
            url.push_str(&format!("&start_sample={}", self.start_sample));
        }
        url
    }
}

/// What ends a piece of speech.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FinalOn {
    /// A pause, at once.
    #[value(name = "vad_stop")]
    VadStop,
    /// A pause after which Smart Turn holds the turn to be complete, or a long one.
    #[value(name = "turn_end")]
    TurnEnd,
}

/// What a server says.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Said {
    Ready,
    SpeechStart {
        segment_id: u64,
        timestamp: f64,
    },
    Partial {
        segment_id: u64,
        text: String,
        #[serde(default)]
        stable_text: String,
    },
    SpeechEnd {
        segment_id: u64,
    },
    Final {
        segment_id: u64,
        text: String,
        start_time: f64,
        end_time: f64,
        end_sample: u64,
        #[serde(default)]
        latency_ms: f64,
    },
    TurnEnd {
        segment_id: u64,
        reason: String,
    },
    Progress {
        safe_sample: u64,
    },
    Error {
        code: String,
        message: String,
        #[serde(default)]
        recoverable: bool,
        segment_id: Option<u64>,
    },
    Closed {
        received_samples: u64,
        transcribed_samples: u64,
        silence_samples: u64,
        discarded_samples: u64,
    },
    Draining,
    /// Anything newer than this client.
    #[serde(other)]
    Other,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_messages_and_fields_are_no_trouble() {
        let said: Said =
            serde_json::from_str(r#"{"type":"from_the_future","x":1}"#).expect("parses");
        assert!(matches!(said, Said::Other));
        let said: Said = serde_json::from_str(
            r#"{"type":"progress","received_sample":9,"safe_sample":4,"queued_ms":80}"#,
        )
        .expect("parses");
        assert!(matches!(said, Said::Progress { safe_sample: 4 }));
    }

    #[test]
    fn the_address_is_as_documented() {
        let mut wanted = Wanted {
            partials: true,
            final_on: FinalOn::VadStop,
            start_sample: 0,
        };
        assert_eq!(
            wanted.url("127.0.0.1:8001"),
            "ws://127.0.0.1:8001/v1/stream/asr?encoding=pcm_s16le&sample_rate=16000&partials=true&final_on=vad_stop"
        );
        wanted.start_sample = 320;
        assert!(wanted.url("h").ends_with("&start_sample=320"));
    }
}
