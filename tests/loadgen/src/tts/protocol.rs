//! The messages of `GET /v1/stream/tts`, as a client written from the public description knows them.
//!
//! On purpose not the server's own types: a message that the server changes by mistake must not change here too.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How samples come.
#[derive(Clone, Copy, Debug, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Encoding {
    #[value(name = "pcm_s16le")]
    PcmS16le,
    #[value(name = "pcm_f32le")]
    PcmF32le,
    #[value(name = "mulaw")]
    Mulaw,
    #[value(name = "alaw")]
    Alaw,
}

impl Encoding {
    pub(crate) fn bytes_per_sample(self) -> u64 {
        match self {
            Encoding::PcmS16le => 2,
            Encoding::PcmF32le => 4,
            Encoding::Mulaw | Encoding::Alaw => 1,
        }
    }
}

/// What every request of a run asks for.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Wanted {
    pub(crate) encoding: Encoding,
    pub(crate) sample_rate: u32,
    /// The same for all, so that the same text in the same voice is as long every time.
    pub(crate) seed: u64,
}

impl Wanted {
    /// The address of a stream at a server.
    pub(crate) fn url(self, server: &str) -> String {
        let encoding = serde_json::to_value(self.encoding).unwrap_or_default();
        format!(
            "ws://{server}/v1/stream/tts?encoding={}&sample_rate={}&seed={}",
            encoding.as_str().unwrap_or_default(),
            self.sample_rate,
            self.seed
        )
    }
}

/// What a client says.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ask<'a> {
    Synthesize {
        id: &'a str,
        text: &'a str,
        voice: &'a str,
    },
    /// The next piece of a text; `voice` counts in the first.
    Text {
        id: &'a str,
        text: &'a str,
        voice: &'a str,
    },
    End {
        id: &'a str,
    },
    Cancel {
        id: &'a str,
    },
    RegisterVoice {
        voice: &'a str,
        recording: &'a str,
    },
    DeleteVoice {
        voice: &'a str,
    },
    Close,
}

impl Ask<'_> {
    pub(crate) fn json(self) -> Value {
        match self {
            Ask::Synthesize { id, text, voice } => {
                json!({"type": "synthesize", "request_id": id, "text": text, "voice_id": voice})
            }
            Ask::Text { id, text, voice } => {
                json!({"type": "text", "request_id": id, "text": text, "voice_id": voice})
            }
            Ask::End { id } => json!({"type": "end", "request_id": id}),
            Ask::Cancel { id } => json!({"type": "cancel", "request_id": id}),
            Ask::RegisterVoice { voice, recording } => {
                // A run that was killed may have left it.
                json!({"type": "register_voice", "voice_id": voice, "reference_audio": recording, "replace": true})
            }
            Ask::DeleteVoice { voice } => json!({"type": "delete_voice", "voice_id": voice}),
            Ask::Close => json!({"type": "close"}),
        }
    }
}

/// What describes the binary frame after it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Header {
    pub(crate) request_id: String,
    pub(crate) chunk_id: u64,
    pub(crate) start_sample: u64,
    pub(crate) samples: u64,
    pub(crate) sample_rate: u32,
    pub(crate) text_start: u64,
    pub(crate) text_end: u64,
}

/// `synthesis_complete`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Complete {
    pub(crate) request_id: String,
    pub(crate) total_duration_ms: f64,
    pub(crate) total_samples: u64,
    pub(crate) chunks_sent: u64,
    pub(crate) first_chunk_ms: Option<f64>,
}

/// `closed`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
pub(crate) struct Totals {
    pub(crate) requests: u64,
    pub(crate) completed: u64,
    pub(crate) cancelled: u64,
    pub(crate) failed: u64,
    pub(crate) chunks_sent: u64,
}

/// What a server says.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Said {
    Ready,
    SynthesisStarted {
        request_id: String,
    },
    AudioChunk(Header),
    SynthesisComplete(Complete),
    Cancelled {
        request_id: String,
        chunks_sent: u64,
        end_sample: u64,
    },
    VoiceRegistered {
        voice_id: String,
    },
    VoiceDeleted {
        voice_id: String,
    },
    Error {
        code: String,
        message: String,
        #[serde(default)]
        recoverable: bool,
        request_id: Option<String>,
        voice_id: Option<String>,
    },
    Closed(Totals),
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
            r#"{"type":"audio_chunk","request_id":"r","chunk_id":1,"start_sample":0,"samples":960,"duration_ms":40.0,
                "sample_rate":24000,"text_start":0,"text_end":4,"estimated_words":[]}"#,
        )
        .expect("parses");
        assert!(matches!(
            said,
            Said::AudioChunk(Header { samples: 960, .. })
        ));
    }

    #[test]
    fn what_is_asked_is_as_documented() {
        let wanted = Wanted {
            encoding: Encoding::PcmS16le,
            sample_rate: 24_000,
            seed: 7,
        };
        assert_eq!(
            wanted.url("127.0.0.1:8002"),
            "ws://127.0.0.1:8002/v1/stream/tts?encoding=pcm_s16le&sample_rate=24000&seed=7"
        );
        let ask = Ask::Synthesize {
            id: "r1",
            text: "Hello.",
            voice: "default",
        };
        assert_eq!(
            ask.json().to_string(),
            r#"{"request_id":"r1","text":"Hello.","type":"synthesize","voice_id":"default"}"#
        );
    }
}
