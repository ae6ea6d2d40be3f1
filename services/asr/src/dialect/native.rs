//! The native vocabulary of `GET /v1/stream/asr`, as `docs/PROTOCOL.md` describes it.
//!
//! Invariants:
//! - Every message of the core has its word here; none is left out.
//! - Positions become the client's samples and seconds by the stream's own clock, and nowhere else.

use std::time::Duration;

use wire::asr::stream::{
    ClientMessage, Closed, Draining, Final, Finalized, Partial, Ready, ResetDone, ServerMessage,
    SpeechEnd, SpeechStart, StreamError, StreamWord, TurnEnd, TurnEndReason,
};
use wire::error::{ErrorCode, ErrorMessage};

use super::{Command, Dialect, Notice};
use crate::error::AsrError;
use crate::options::StreamOptions;
use crate::session::{self, Clock, Failure, Message, Progress, RATE_HZ};

/// The version of the protocol, for `ready`.
pub const PROTOCOL: u32 = 1;

/// The native vocabulary. It has nothing to remember.
#[derive(Clone, Copy, Debug, Default)]
pub struct Native;

impl Dialect for Native {
    fn command(&mut self, text: &str) -> Result<Command, AsrError> {
        Ok(match ClientMessage::parse(text)? {
            ClientMessage::Config(config) => Command::Configure(config),
            ClientMessage::Finalize(finalize) => Command::Finalize { id: finalize.id },
            ClientMessage::Reset(_) => Command::Reset,
            ClientMessage::Keepalive(_) => Command::Keepalive,
            ClientMessage::Close(_) => Command::Close,
        })
    }

    fn said(
        &mut self,
        message: Message,
        options: &StreamOptions,
        latency: Duration,
    ) -> Option<String> {
        Some(said(message, options, latency).to_text())
    }

    fn notice(&mut self, notice: Notice<'_>) -> Option<String> {
        let message = match notice {
            Notice::Ready {
                session_id,
                instance,
                options,
                limits,
            } => ServerMessage::Ready(Box::new(Ready {
                session_id: session_id.to_owned(),
                instance: instance.to_owned(),
                protocol: PROTOCOL,
                config: options.effective.clone(),
                limits,
            })),
            Notice::Progress(Progress {
                received_sample,
                safe_sample,
                queued,
                ..
            }) => ServerMessage::Progress(wire::asr::stream::Progress {
                received_sample,
                safe_sample,
                queued_ms: queued * 1_000 / RATE_HZ,
            }),
            Notice::Draining { deadline } => ServerMessage::Draining(Draining {
                deadline_ms: millis(deadline),
            }),
            Notice::Error(ErrorMessage {
                code,
                message,
                recoverable,
                segment_id,
            }) => ServerMessage::Error(StreamError {
                code,
                message,
                recoverable,
                segment_id,
            }),
        };
        Some(message.to_text())
    }
}

fn said(message: Message, options: &StreamOptions, latency: Duration) -> ServerMessage {
    let clock = &options.clock;
    match message {
        Message::SpeechStart { segment, at } => ServerMessage::SpeechStart(SpeechStart {
            segment_id: segment,
            timestamp: clock.seconds(at),
        }),
        Message::Partial(partial) => ServerMessage::Partial(Partial {
            segment_id: partial.segment,
            revision: partial.revision,
            text: partial.text,
            stable_text: partial.stable_text,
            timestamp: clock.seconds(partial.until),
            confidence: partial.confidence,
        }),
        Message::SpeechEnd {
            segment,
            start,
            end,
        } => ServerMessage::SpeechEnd(SpeechEnd {
            segment_id: segment,
            timestamp: clock.seconds(end),
            duration: clock.seconds(end) - clock.seconds(start),
        }),
        Message::Final(last) => {
            ServerMessage::Final(Box::new(told(*last, clock, options.words, latency)))
        }
        Message::Failed { segment, failure } => ServerMessage::Error(failed(segment, failure)),
        Message::TurnEnd {
            segment,
            probability,
            reason,
        } => ServerMessage::TurnEnd(TurnEnd {
            segment_id: segment,
            probability,
            reason: reason_of(reason),
        }),
        Message::Finalized { id } => ServerMessage::Finalized(Finalized { id }),
        Message::ResetDone { discarded } => ServerMessage::ResetDone(ResetDone {
            discarded_samples: discarded,
        }),
        Message::Closed(totals) => ServerMessage::Closed(Closed {
            received_samples: totals.received,
            transcribed_samples: totals.transcribed,
            silence_samples: totals.silence,
            discarded_samples: totals.discarded,
            segments: totals.segments,
        }),
    }
}

fn told(last: session::Final, clock: &Clock, words: bool, latency: Duration) -> Final {
    let one = |it: crate::transcript::Word| StreamWord {
        word: it.word.trim().to_owned(),
        start: it.start,
        end: it.end,
        confidence: it.probability,
    };
    Final {
        segment_id: last.segment,
        text: last.text,
        start_time: clock.seconds(last.start),
        end_time: clock.seconds(last.end),
        end_sample: clock.sample(last.end),
        language: last.language,
        confidence: last.confidence,
        no_speech_prob: last.no_speech_prob,
        words: words.then(|| last.words.into_iter().map(one).collect()),
        latency_ms: millis(latency),
    }
}

fn failed(segment: session::SegmentId, failure: Failure) -> StreamError {
    let (code, message) = match failure {
        Failure::Transcription => (
            ErrorCode::TranscriptionFailed,
            "the recogniser failed on this segment; its audio is counted as discarded",
        ),
        Failure::Reset => (
            ErrorCode::InvalidRequest,
            "this segment was dropped by `reset`",
        ),
    };
    StreamError {
        code,
        message: message.to_owned(),
        recoverable: true,
        segment_id: Some(segment),
    }
}

fn reason_of(reason: session::TurnEndReason) -> TurnEndReason {
    match reason {
        session::TurnEndReason::SmartTurn => TurnEndReason::SmartTurn,
        session::TurnEndReason::Silence => TurnEndReason::Silence,
        session::TurnEndReason::Finalize => TurnEndReason::Finalize,
        session::TurnEndReason::MaxDuration => TurnEndReason::MaxDuration,
        session::TurnEndReason::Close => TurnEndReason::Close,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
