//! The native vocabulary of `GET /v1/stream/tts`, as `docs/PROTOCOL.md` describes it.
//!
//! Invariants:
//! - Every message of the core has its word here; none is left out.
//! - Audio goes in a binary frame of its own, directly after the message that describes it.

use std::time::Duration;

use wire::strict::Rejected;
use wire::tts::stream::{
    AudioChunk, Cancelled, ClientMessage, Closed, Draining, EstimatedWord, Ready, StreamError,
    SynthesisComplete, SynthesisStarted, VoiceDeleted, VoiceRegistered, VoicesKnown,
};
use wire::tts::{ServerMessage, Voice};

use super::{Command, Dialect, Facts, Frame, Misheard, Notice};
use crate::utterance::{Message, Piece};
use crate::voices::{Record, Requester};

/// The version of the protocol, for `ready`.
pub const PROTOCOL: u32 = 1;

/// The native vocabulary. It has nothing to remember.
#[derive(Clone, Copy, Debug, Default)]
pub struct Native;

impl Dialect for Native {
    fn command(&mut self, text: &str) -> Result<Command, Misheard> {
        let message = ClientMessage::parse(text).map_err(|rejected| misheard(text, rejected))?;
        Ok(match message {
            ClientMessage::Synthesize(asked) => Command::Synthesize(asked),
            ClientMessage::Text(piece) => Command::Text(piece),
            ClientMessage::Flush(of) => Command::Flush {
                request: of.request_id,
            },
            ClientMessage::End(of) => Command::End {
                request: of.request_id,
            },
            ClientMessage::Cancel(of) => Command::Cancel {
                request: of.request_id,
            },
            ClientMessage::RegisterVoice(voice) => Command::RegisterVoice(voice),
            ClientMessage::ListVoices(_) => Command::ListVoices,
            ClientMessage::DeleteVoice(of) => Command::DeleteVoice { voice: of.voice_id },
            ClientMessage::Keepalive(_) => Command::Keepalive,
            ClientMessage::Close(_) => Command::Close,
        })
    }

    fn said(&mut self, message: Message, facts: &Facts<'_>) -> Vec<Frame> {
        let audio = match &message {
            Message::Piece(piece) => Some(Frame::Binary(piece.bytes.clone())),
            Message::Started { .. }
            | Message::Complete { .. }
            | Message::Cancelled { .. }
            | Message::Failed { .. }
            | Message::Closed(_) => None,
        };
        let text = Frame::Text(said(message, facts).to_text());
        [text].into_iter().chain(audio).collect()
    }

    fn notice(&mut self, notice: Notice<'_>) -> Option<String> {
        let message = match notice {
            Notice::Ready {
                session_id,
                instance,
                config,
                limits,
            } => ServerMessage::Ready(Box::new(Ready {
                session_id: session_id.to_owned(),
                instance: instance.to_owned(),
                protocol: PROTOCOL,
                config: config.clone(),
                limits,
            })),
            Notice::VoiceRegistered(voice) => {
                ServerMessage::VoiceRegistered(Box::new(VoiceRegistered {
                    voice_id: voice.voice_id.clone(),
                    voice,
                }))
            }
            Notice::VoiceDeleted { voice } => {
                ServerMessage::VoiceDeleted(VoiceDeleted { voice_id: voice })
            }
            Notice::Voices(voices) => ServerMessage::VoiceList(VoicesKnown { voices }),
            Notice::Draining { deadline } => ServerMessage::Draining(Draining {
                deadline_ms: millis(deadline),
            }),
            Notice::Error {
                code,
                message,
                recoverable,
                voice,
            } => ServerMessage::Error(StreamError {
                code,
                message,
                recoverable,
                request_id: None,
                voice_id: voice,
            }),
        };
        Some(message.to_text())
    }
}

/// Finds the request that a frame was meant to begin.
fn misheard(text: &str, rejected: Rejected) -> Misheard {
    #[derive(serde::Deserialize)]
    struct Kind {
        r#type: String,
    }
    let kind = serde_json::from_str::<Kind>(text).ok().map(|it| it.r#type);
    let is_text = kind.as_deref() == Some("text");
    let begins = is_text || kind.as_deref() == Some("synthesize");
    Misheard {
        rejected,
        request: begins.then(|| ClientMessage::request_of(text)).flatten(),
        is_text,
    }
}

fn said(message: Message, facts: &Facts<'_>) -> ServerMessage {
    let request_id = facts.request.to_owned();
    match message {
        Message::Started {
            n_chars,
            estimated_ms,
            ..
        } => ServerMessage::SynthesisStarted(SynthesisStarted {
            request_id,
            text_length: n_chars,
            estimated_duration_ms: estimated_ms,
            voice_id: facts.voice.to_owned(),
            encoding: facts.encoding,
            sample_rate: facts.rate_hz,
            seed: facts.seed,
        }),
        Message::Piece(piece) => ServerMessage::AudioChunk(chunk(piece, facts)),
        Message::Complete {
            n_pieces,
            n_samples,
            n_skipped,
            ..
        } => {
            let seconds = n_samples as f64 / f64::from(facts.rate_hz.max(1));
            #[expect(
                clippy::cast_possible_truncation,
                reason = "of a ratio seven digits are enough"
            )]
            let real_time_factor = if 0 < n_samples {
                (facts.took.as_secs_f64() / seconds) as f32
            } else {
                0.0
            };
            ServerMessage::SynthesisComplete(SynthesisComplete {
                request_id,
                total_duration_ms: seconds * 1_000.0,
                total_samples: n_samples,
                skipped_samples: n_skipped,
                chunks_sent: n_pieces,
                real_time_factor,
                first_chunk_ms: facts.first_chunk.map(millis),
            })
        }
        Message::Cancelled { .. } => ServerMessage::Cancelled(Cancelled {
            request_id,
            chunks_sent: facts.n_sent,
            end_sample: facts.sent_until,
        }),
        Message::Failed { failure, .. } => ServerMessage::Error(StreamError {
            code: failure.code,
            message: failure.message,
            recoverable: true,
            request_id: Some(request_id),
            voice_id: None,
        }),
        Message::Closed(totals) => ServerMessage::Closed(Closed {
            requests: totals.requests,
            completed: totals.completed,
            cancelled: totals.cancelled,
            failed: totals.failed,
            chunks_sent: facts.n_sent,
        }),
    }
}

fn chunk(piece: Piece, facts: &Facts<'_>) -> AudioChunk {
    let words = piece.words.into_iter().map(|it| EstimatedWord {
        word: it.text,
        start: it.start_s,
        end: it.end_s,
    });
    AudioChunk {
        request_id: facts.request.to_owned(),
        chunk_id: piece.number,
        start_sample: piece.start,
        samples: piece.n_samples,
        duration_ms: piece.n_samples as f64 * 1_000.0 / f64::from(facts.rate_hz.max(1)),
        sample_rate: facts.rate_hz,
        text_start: piece.chars.start as u64,
        text_end: piece.chars.end as u64,
        estimated_words: words.collect(),
    }
}

/// A voice, as `requester` sees it: who may not change it is not told who agreed to what.
pub fn voice(record: &Record, aliases: Vec<String>, requester: &Requester) -> Voice {
    let may_change = requester.may_change(record.owner.as_ref());
    Voice {
        voice_id: record.id.to_string(),
        description: record.description.clone(),
        language: record.language.clone(),
        aliases,
        built_in: record.built_in,
        duration: record.seconds,
        created: (!record.built_in).then_some(record.created_unix_s),
        consent: record.consent.clone().filter(|_| may_change),
        warnings: record
            .warnings
            .iter()
            .map(|it| it.text().to_owned())
            .collect(),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use expect_test::{Expect, expect};
    use wire::error::ErrorCode;
    use wire::tts::Encoding;

    use super::*;
    use crate::utterance::{Failure, RequestKey, Totals, Word};

    const KEY: RequestKey = RequestKey(4);

    fn facts() -> Facts<'static> {
        Facts {
            request: "r1",
            voice: "jenny",
            encoding: Encoding::Mulaw,
            rate_hz: 8_000,
            seed: 7,
            n_sent: 2,
            sent_until: 12_000,
            first_chunk: Some(Duration::from_micros(47_900)),
            took: Duration::from_millis(500),
        }
    }

    fn check(message: Message, told: &Expect) {
        let frames = Native.said(message, &facts());
        let lines: Vec<String> = frames
            .iter()
            .map(|frame| match frame {
                Frame::Text(text) => format!("{text}\n"),
                Frame::Binary(bytes) => format!("{} bytes\n", bytes.len()),
            })
            .collect();
        told.assert_eq(&lines.concat());
    }

    #[test]
    fn audio_follows_the_message_that_describes_it() {
        let piece = Piece {
            of: KEY,
            number: 2,
            start: 8_000,
            n_samples: 4_000,
            chars: 3..14,
            words: vec![Word {
                text: "there".into(),
                start_s: 1.01,
                end_s: 1.4,
            }],
            bytes: Bytes::from(vec![0; 4_000]),
        };
        check(
            Message::Piece(piece),
            &expect![[r#"
                {"type":"audio_chunk","request_id":"r1","chunk_id":2,"start_sample":8000,"samples":4000,"duration_ms":500.0,"sample_rate":8000,"text_start":3,"text_end":14,"estimated_words":[{"word":"there","start":1.01,"end":1.4}]}
                4000 bytes
            "#]],
        );
    }

    #[test]
    fn what_the_edge_knows_is_told_with_what_the_core_says() {
        check(
            Message::Started {
                key: KEY,
                n_chars: 12,
                estimated_ms: 800,
            },
            &expect![[r#"
                {"type":"synthesis_started","request_id":"r1","text_length":12,"estimated_duration_ms":800,"voice_id":"jenny","encoding":"mulaw","sample_rate":8000,"seed":7}
            "#]],
        );
        check(
            Message::Complete {
                key: KEY,
                n_pieces: 2,
                n_samples: 16_000,
                n_skipped: 4_000,
            },
            &expect![[r#"
                {"type":"synthesis_complete","request_id":"r1","total_duration_ms":2000.0,"total_samples":16000,"skipped_samples":4000,"chunks_sent":2,"real_time_factor":0.25,"first_chunk_ms":47}
            "#]],
        );
        check(
            Message::Complete {
                key: KEY,
                n_pieces: 0,
                n_samples: 0,
                n_skipped: 0,
            },
            &expect![[r#"
                {"type":"synthesis_complete","request_id":"r1","total_duration_ms":0.0,"total_samples":0,"skipped_samples":0,"chunks_sent":0,"real_time_factor":0.0,"first_chunk_ms":47}
            "#]],
        );
    }

    #[test]
    fn a_cancel_tells_what_was_sent_and_not_what_was_made() {
        check(
            Message::Cancelled {
                key: KEY,
                n_pieces: 5,
                end: 20_000,
            },
            &expect![[r#"
                {"type":"cancelled","request_id":"r1","chunks_sent":2,"end_sample":12000}
            "#]],
        );
    }

    #[test]
    fn ends() {
        check(
            Message::Failed {
                key: KEY,
                failure: Failure {
                    code: ErrorCode::UnknownVoice,
                    message: "no such voice".into(),
                },
            },
            &expect![[r#"
                {"type":"error","code":"UNKNOWN_VOICE","message":"no such voice","recoverable":true,"request_id":"r1"}
            "#]],
        );
        check(
            Message::Closed(Totals {
                requests: 3,
                completed: 1,
                cancelled: 1,
                failed: 1,
                pieces: 9,
            }),
            &expect![[r#"
                {"type":"closed","requests":3,"completed":1,"cancelled":1,"failed":1,"chunks_sent":2}
            "#]],
        );
    }

    #[test]
    fn only_a_mistake_in_what_begins_a_request_is_its_end() {
        let request = |text: &str| Native.command(text).unwrap_err().request;
        for kind in ["synthesize", "text"] {
            let text = format!(r#"{{"type":"{kind}","request_id":"r1","text":7}}"#);
            assert_eq!(request(&text).as_deref(), Some("r1"));
            let is_text = Native.command(&text).unwrap_err().is_text;
            assert_eq!(is_text, kind == "text");
        }
        for other in [
            r#"{"type":"end","request_id":"r1","now":true}"#,
            r#"{"type":"cancel","request_id":7}"#,
            "{",
        ] {
            assert_eq!(request(other), None, "{other}");
        }
    }
}
