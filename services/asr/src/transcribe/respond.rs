//! The forms of an answer: JSON, text, subtitles, and segments as they are ready.
//!
//! Invariants:
//! - A stream that fails says so by an event of its own and then ends; it never just stops.
//! - A stream holds its place and its drain guard until its last byte, and its jobs no longer than that.

use std::convert::Infallible;

use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError as _};
use bytes::Bytes;
use chassis::api_error::ApiError;
use chassis::limits::Admission;
use futures_util::stream;
use serde::Serialize;
use wire::asr::rest::StreamEvent;
use wire::asr::{ResponseFormat, Segment, Transcription, Word};

use super::run::{Transcripts, add};
use crate::app::App;
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
        let mut out = String::new();
        match transcripts.next().await {
            Ok(Some(clip)) => {
                for it in &clip.segments {
                    push(
                        &mut out,
                        &StreamEvent::Segment {
                            segment: segment(it, words),
                        },
                    );
                }
                add(&mut whole, clip);
                Some((chunk(out), Some((transcripts, whole, admission))))
            }
            Ok(None) => {
                let transcription = Transcription {
                    segments: Vec::new(),
                    ..transcription(&whole, false)
                };
                push(&mut out, &StreamEvent::Done { transcription });
                Some((chunk(out), None))
            }
            Err(error) => {
                let error = ApiError::from(error);
                error.log();
                push(
                    &mut out,
                    &StreamEvent::Error {
                        error: error.body().error,
                    },
                );
                Some((chunk(out), None))
            }
        }
    });
    events_response().streaming(events)
}

/// OpenAI's answer as events: deltas, then the whole text.
pub(super) fn openai_stream(transcripts: Transcripts, admission: Admission) -> HttpResponse {
    let duration_s = transcripts.duration_s;
    let state = Some((transcripts, Deltas::default(), admission));
    let events = stream::unfold(state, move |state| async move {
        let (mut transcripts, mut deltas, admission) = state?;
        let mut out = String::new();
        match transcripts.next().await {
            Ok(Some(clip)) => {
                for delta in clip.segments.iter().filter_map(|it| deltas.push(it)) {
                    push(&mut out, &delta);
                }
                Some((chunk(out), Some((transcripts, deltas, admission))))
            }
            Ok(None) => {
                let done: Event = deltas.done(duration_s);
                push(&mut out, &done);
                Some((chunk(out), None))
            }
            Err(error) => {
                let error = ApiError::from(error);
                error.log();
                push(&mut out, &openai_rest::error_event(error.body()));
                Some((chunk(out), None))
            }
        }
    });
    events_response().streaming(events)
}

/// A piece of the body. Never an empty one, which would end it: a comment keeps proxies patient instead.
fn chunk(out: String) -> Result<Bytes, Infallible> {
    Ok(if out.is_empty() {
        Bytes::from_static(b":\n\n")
    } else {
        Bytes::from(out)
    })
}

fn events_response() -> HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response
        .content_type("text/event-stream; charset=utf-8")
        .insert_header(("cache-control", "no-cache"));
    // nginx would otherwise keep the events until there are many.
    response.insert_header(("x-accel-buffering", "no"));
    response
}

fn push(out: &mut String, event: &impl Serialize) {
    // Plain structs with text keys: serialising them cannot fail, and their JSON holds no line break.
    if let Ok(json) = serde_json::to_string(event) {
        out.push_str("data: ");
        out.push_str(&json);
        out.push_str("\n\n");
    }
}

/// A failure in OpenAI's spelling.
pub(crate) fn openai_error(app: &App, error: ApiError) -> HttpResponse {
    error.log();
    app.service.metrics().count_rejected(error.code());
    let ours = error.error_response();
    let mut response = HttpResponse::build(ours.status());
    for (name, value) in ours.headers() {
        if name != actix_web::http::header::CONTENT_LENGTH
            && name != actix_web::http::header::CONTENT_TYPE
        {
            response.insert_header((name.clone(), value.clone()));
        }
    }
    response.json(openai_rest::error(error.body()))
}
