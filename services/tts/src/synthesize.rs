//! EDGE of requests for speech: read what is asked, find the voice, speak, and answer while it is being spoken.
//!
//! ```text
//! body ─► options, sentences, voice ─► saying (a recital) ─► first chunk ─► 200 ─► render ─► bytes, events, JSON
//!                │ refused here: an HTTP error                    │ failed here: an HTTP error
//! ```
//!
//! Invariants:
//! - What can be refused is refused before the work begins: model, options, text, voice, load.
//! - The head of the answer is sent when there is audio, so a failure until then has its own status. A later one breaks the body off,
//!   or is an event of its own where the body consists of events; it never looks like an end.
//! - A request that is dropped (its client left) drops its work, which ends within a decoder call.
//! - A request holds its place and its drain guard until its last byte.

mod respond;
mod saying;

use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use audio::SampleRate;
use audio::encoding::Encoding as Pcm;
use chassis::api_error::ApiError;
use chassis::limits::Admission;
use chassis::payload::Bounded;
use wire::tts::{Format, SynthesizeRequest};

use crate::app::App;
use crate::dialect::openai_speech::{self, StreamFormat};
use crate::error::TtsError;
use crate::options::Speech;
use crate::render::{self, Shape};
use crate::speaker::Pace;
use saying::Saying;

/// Telephones; what G.711 is for.
const TELEPHONE_HZ: u32 = 8_000;

/// `POST /v1/synthesize`.
pub async fn native(
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
    admission: Admission,
) -> Result<HttpResponse, ApiError> {
    let app = app.into_inner();
    let body = body(&app, payload).await?;
    let asked = read(&request, &body)?;
    let format = asked.format.unwrap_or(app.settings.speech.format);
    let mut options = asked.options;
    if matches!(format, Format::Ulaw | Format::Alaw) {
        options.sample_rate.get_or_insert(TELEPHONE_HZ);
    }
    let speech = speech(&app, &options)?;
    let rendered = render_format(format, speech.encoding);
    let shape = shape(rendered, &speech)?;
    let is_whole = format == Format::Base64 || !speech.streaming;
    let pace = pace(is_whole);
    let saying = say(&app, &asked.text, (speech, pace)).await?;
    if format == Format::Base64 {
        respond::base64(saying, shape).await
    } else if is_whole {
        respond::whole(saying, shape).await
    } else {
        respond::stream(saying, shape, admission).await
    }
}

/// `POST /v1/audio/speech`.
pub async fn openai(
    payload: web::Payload,
    app: web::Data<App>,
    admission: Admission,
) -> Result<HttpResponse, ApiError> {
    let app = app.into_inner();
    let body = body(&app, payload).await?;
    let asked = openai_speech::Request::from_json(&body)?;
    let speech = speech(&app, &asked.options)?;
    let shape = shape(asked.format, &speech)?;
    let n_chars = asked.input.chars().count();
    let is_whole = !speech.streaming;
    let pace = pace(is_whole);
    let saying = say(&app, &asked.input, (speech, pace))
        .await
        .map_err(openai_speech::in_its_words)?;
    match asked.stream_format {
        StreamFormat::Audio if is_whole => respond::whole(saying, shape).await,
        StreamFormat::Audio => respond::stream(saying, shape, admission).await,
        StreamFormat::Sse => respond::events(saying, shape, (n_chars, admission)).await,
    }
}

async fn body(app: &App, payload: web::Payload) -> Result<web::Bytes, ApiError> {
    let server = app.service.server();
    let max_bytes = server.max_json_bytes.get();
    Bounded::with_limits(payload, max_bytes, server.body_timeout)
        .read()
        .await
}

/// A JSON body, or the pairs of a form. What looks like JSON is read as that, whatever its client calls it.
fn read(request: &HttpRequest, body: &[u8]) -> Result<SynthesizeRequest, ApiError> {
    let kind = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|it| it.to_str().ok())
        .unwrap_or_default();
    let is_object = body.trim_ascii_start().starts_with(b"{");
    if is_object || !kind.starts_with("application/x-www-form-urlencoded") {
        return Ok(SynthesizeRequest::from_json(body).map_err(TtsError::from)?);
    }
    let form = std::str::from_utf8(body)
        .map_err(|_| TtsError::Malformed("the form is not UTF-8 text".to_owned()))?;
    let pairs = web::Query::<Vec<(String, String)>>::from_query(form)
        .map_err(|error| TtsError::Malformed(format!("the form cannot be read: {error}")))?;
    let pairs = pairs
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    Ok(SynthesizeRequest::from_pairs(pairs).map_err(TtsError::from)?)
}

fn pace(is_whole: bool) -> Pace {
    if is_whole { Pace::Fast } else { Pace::RealTime }
}

fn speech(app: &App, options: &wire::tts::SpeechOptions) -> Result<Speech, TtsError> {
    let speech = Speech::new(options, &app.settings, app.models.served(), app.draw())?;
    Ok(speech)
}

fn render_format(format: Format, encoding: Pcm) -> render::Format {
    match format {
        Format::Wav | Format::Base64 => render::Format::Wav,
        Format::Mp3 => render::Format::Mp3,
        Format::Opus => render::Format::Opus,
        Format::Flac => render::Format::Flac,
        Format::Pcm => render::Format::Raw(encoding),
        Format::Ulaw => render::Format::Raw(Pcm::Mulaw),
        Format::Alaw => render::Format::Raw(Pcm::Alaw),
    }
}

fn shape(format: render::Format, speech: &Speech) -> Result<Shape, TtsError> {
    let sample_rate: SampleRate = speech.rate;
    format.check_rate(sample_rate)?;
    Ok(Shape {
        format,
        sample_rate,
        speed: speech.speed,
    })
}

/// Has the models begin. Refuses what cannot be said, and what there is no time for.
async fn say(
    app: &Arc<App>,
    text: &str,
    (speech, pace): (Speech, Pace),
) -> Result<Saying, ApiError> {
    let sentences = app
        .models
        .front_end
        .sentences(text, &speech.language)
        .map_err(TtsError::from)?;
    let checked = app.models.check(&sentences, &speech.language);
    checked.map_err(TtsError::from)?;
    app.check_load()?;
    let voice = app.voices()?.resolve(&speech.voice).await?;
    app.metrics.characters.inc_by(text.chars().count() as u64);
    Ok(Saying::begin(app, &sentences, (voice, speech, pace))?)
}
