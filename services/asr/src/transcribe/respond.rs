//! The forms of an answer: JSON, text, subtitles, and segments as they are ready.
//!
//! Invariants:
//! - A stream that fails says so by an event of its own and then ends; it never just stops.
//! - A stream holds its place and its drain guard until its last byte, and its jobs no longer than that.

use actix_web::HttpResponse;
use chassis::api_error::{ApiError, OpenAiErrorEvent};
use chassis::events::{self, Events};
use chassis::limits::Admission;
use futures_util::stream;
use wire::asr::rest::StreamEvent;
use wire::asr::{ResponseFormat, Segment, Transcription, Word};

use super::run::{Transcripts, add};
use crate::dialect::openai_rest::{self, Deltas, Event, Format, Kind};
use crate::dialect::subtitles;
use crate::transcript::{self, Transcript};

const TEXT: &str = "text/plain; charset=utf-8";
const VTT: &str = "text/vtt; charset=utf-8";

/// The native answer.
pub(super) fn native(transcript: &Transcript, format: ResponseFormat, words: bool) -> HttpResponse {
    match format {
        ResponseFormat::Json | ResponseFormat::VerboseJson => {
            HttpResponse::Ok().json(transcription(transcript, words))
        }
        ResponseFormat::Text => text(transcript),
        ResponseFormat::Srt => HttpResponse::Ok()
            .content_type(TEXT)
            .body(subtitles::srt(&transcript.segments)),
        ResponseFormat::Vtt => HttpResponse::Ok()
            .content_type(VTT)
            .body(subtitles::vtt(&transcript.segments)),
    }
}

/// OpenAI's answer.
pub(super) fn openai(
    transcript: &Transcript,
    kind: Kind,
    (format, words): (Format, bool),
) -> HttpResponse {
    match format {
        Format::Json => HttpResponse::Ok().json(openai_rest::json(transcript)),
        Format::VerboseJson => {
            HttpResponse::Ok().json(openai_rest::verbose(transcript, kind, words))
        }
        Format::Text => text(transcript),
        Format::Srt => HttpResponse::Ok()
            .content_type(TEXT)
            .body(subtitles::srt(&transcript.segments)),
        Format::Vtt => HttpResponse::Ok()
            .content_type(VTT)
            .body(subtitles::vtt(&transcript.segments)),
    }
}

fn text(transcript: &Transcript) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(TEXT)
        .body(format!("{}\n", transcript.text()))
}

fn transcription(transcript: &Transcript, words: bool) -> Transcription {
    Transcription {
        text: transcript.text(),
        segments: transcript
            .segments
            .iter()
            .map(|it| segment(it, words))
            .collect(),
        language: transcript.language.clone(),
        language_probability: transcript.language_probability,
        duration: transcript.duration_s,
    }
}

fn segment(it: &transcript::Segment, words: bool) -> Segment {
    let word = |it: &transcript::Word| Word {
        word: it.word.trim().to_owned(),
        start: it.start,
        end: it.end,
        probability: it.probability,
    };
    Segment {
        id: it.id as u64,
        start: it.start,
        end: it.end,
        text: it.text.clone(),
        avg_logprob: it.avg_logprob,
        no_speech_prob: it.no_speech_prob,
        compression_ratio: it.compression_ratio,
        words: words.then(|| it.words.iter().flatten().map(word).collect()),
    }
}

/// The native answer as events: each segment as it is ready, then the whole without its segments.
pub(super) fn stream(transcripts: Transcripts, words: bool, admission: Admission) -> HttpResponse {
    let whole = transcripts.nothing();
    let state = Some((transcripts, whole, admission));
    let events = stream::unfold(state, move |state| async move {
        let (mut transcripts, mut whole, admission) = state?;
        let mut out = Events::default();
        match transcripts.next().await {
            Ok(Some(clip)) => {
                for it in &clip.segments {
                    out.push(&StreamEvent::Segment {
                        segment: segment(it, words),
                    });
                }
                add(&mut whole, clip);
                Some((out.chunk(), Some((transcripts, whole, admission))))
            }
            Ok(None) => {
                let transcription = Transcription {
                    segments: Vec::new(),
                    ..transcription(&whole, false)
                };
                out.push(&StreamEvent::Done { transcription });
                Some((out.chunk(), None))
            }
            Err(error) => {
                let error = ApiError::from(error);
                error.log();
                out.push(&StreamEvent::Error {
                    error: error.body().error,
                });
                Some((out.chunk(), None))
            }
        }
    });
    events::response().streaming(events)
}

/// OpenAI's answer as events: deltas, then the whole text.
pub(super) fn openai_stream(transcripts: Transcripts, admission: Admission) -> HttpResponse {
    let duration_s = transcripts.duration_s;
    let state = Some((transcripts, Deltas::default(), admission));
    let events = stream::unfold(state, move |state| async move {
        let (mut transcripts, mut deltas, admission) = state?;
        let mut out = Events::default();
        match transcripts.next().await {
            Ok(Some(clip)) => {
                for delta in clip.segments.iter().filter_map(|it| deltas.push(it)) {
                    out.push(&delta);
                }
                Some((out.chunk(), Some((transcripts, deltas, admission))))
            }
            Ok(None) => {
                let done: Event = deltas.done(duration_s);
                out.push(&done);
                Some((out.chunk(), None))
            }
            Err(error) => {
                let error = ApiError::from(error);
                error.log();
                out.push(&OpenAiErrorEvent::from(error.body()));
                Some((out.chunk(), None))
            }
        }
    });
    events::response().streaming(events)
}
