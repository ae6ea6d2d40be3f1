//! EDGE of uploaded files: read the request, decode, transcribe, answer in the form that was asked for.
//!
//! ```text
//! body ─► form, JSON, bytes ─► decode (a job) ─► silence out ─► clips ─► recogniser, several at a time ─► answer
//! ```
//!
//! Invariants:
//! - What can be refused is refused before the work begins: model, options, size.
//! - A request that is dropped (its client left) drops its jobs.
//! - However many clips run at a time, segments come out in order.

pub mod fetch;
mod respond;
pub mod run;
mod source;

use actix_web::{HttpRequest, HttpResponse, web};
use chassis::api_error::ApiError;
use chassis::form::{self, FormLimits};
use chassis::limits::Admission;
use chassis::settings::Server;
use wire::asr::{DetectedSpeech, Detection, ResponseFormat, Task};

use crate::app::App;
use crate::dialect::openai_rest::{self, Format, Kind};
use crate::error::AsrError;
use crate::models::upload::Recording;
use crate::options::Recognition;

use run::Plan;

/// `POST /v1/transcribe`.
pub async fn native(
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
    admission: Admission,
) -> Result<HttpResponse, ApiError> {
    let app = app.into_inner();
    let (source, mut asked) = source::read(&app, &request, payload).await?;
    if let Some(model) = &asked.model {
        app.models.served().check_name(model)?;
    }
    let format = asked.response_format.unwrap_or_default();
    if format == ResponseFormat::VerboseJson {
        asked.timestamps.get_or_insert(true);
    }
    let options = Recognition::from(&asked).options(&app.settings.decode, app.models.served())?;
    let words = options.word_timestamps;
    let plan = Plan {
        options,
        vad: asked.vad.unwrap_or(app.settings.files.vad),
    };
    app.check_load()?;
    let file = source.decode(&app, &asked).await?;
    let transcripts = run::transcripts(&app, file, plan).await?;
    if asked.stream.unwrap_or(false) {
        return Ok(respond::stream(transcripts, words, admission));
    }
    let transcript = transcripts.whole().await?;
    Ok(respond::native(&transcript, format, words))
}

/// `POST /v1/audio/transcriptions`.
pub async fn openai_transcriptions(
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
    admission: Admission,
) -> Result<HttpResponse, ApiError> {
    let app = app.into_inner();
    openai(&app, &request, payload, (Kind::Transcription, admission)).await
}

/// `POST /v1/audio/translations`.
pub async fn openai_translations(
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
    admission: Admission,
) -> Result<HttpResponse, ApiError> {
    let app = app.into_inner();
    openai(&app, &request, payload, (Kind::Translation, admission)).await
}

async fn openai(
    app: &std::sync::Arc<App>,
    request: &HttpRequest,
    payload: web::Payload,
    (kind, admission): (Kind, Admission),
) -> Result<HttpResponse, ApiError> {
    let form = form::read(
        request.headers(),
        payload,
        form_limits(app.service.server()),
    )
    .await?;
    let asked = openai_rest::Request::from_fields(&form.fields)?;
    let served = app.models.served();
    if let Some(model) = &asked.model {
        served.check_name(model)?;
    }
    if kind == Kind::Translation && !served.translates {
        // 400 and not 422: the request is fine in itself, but this address cannot be used with this model.
        let message = format!(
            "the model `{}` was not trained to translate; ask for a transcription",
            served.name
        );
        return Err(AsrError::Malformed(message).into());
    }
    let recognition = Recognition {
        language: asked.language.as_deref(),
        task: Some(match kind {
            Kind::Transcription => Task::Transcribe,
            Kind::Translation => Task::Translate,
        }),
        prompt: asked.prompt.as_deref(),
        hotwords: asked.hotwords.as_deref(),
        beam_size: asked.beam_size,
        temperature: asked.temperature,
        words: asked.words && asked.format == Format::VerboseJson,
    };
    let plan = Plan {
        options: recognition.options(&app.settings.decode, served)?,
        vad: asked.vad.unwrap_or(app.settings.files.vad),
    };
    let file = form
        .file
        .ok_or_else(|| AsrError::parameter("file", "be an audio file in the form", "nothing"))?;
    app.check_load()?;
    let file = app.models.decode(file, None).await?;
    let transcripts = run::transcripts(app, file, plan).await?;
    if asked.stream {
        return Ok(respond::openai_stream(transcripts, admission));
    }
    let transcript = transcripts.whole().await?;
    Ok(respond::openai(
        &transcript,
        kind,
        (asked.format, asked.words),
    ))
}

/// `POST /v1/detect`.
pub async fn detect(
    request: HttpRequest,
    payload: web::Payload,
    app: web::Data<App>,
    _admission: Admission,
) -> Result<HttpResponse, ApiError> {
    let app = app.into_inner();
    let (source, asked) = source::read(&app, &request, payload).await?;
    app.check_load()?;
    let (Recording { samples, rate }, _room) = source.decode(&app, &asked).await?;
    let heard = run::hear(&app, &samples).await?;
    let segments: Vec<DetectedSpeech> = heard.speech();
    let turn_end_probability = match segments.is_empty() {
        true => None,
        false => Some(
            app.models
                .judge(run::tail(&samples), batcher::Lane::Background, None)
                .await?,
        ),
    };
    let detection = Detection {
        speech: !segments.is_empty(),
        segments,
        turn_end_probability,
        duration: run::seconds(samples.len()),
        sample_rate: rate.hz(),
    };
    Ok(HttpResponse::Ok().json(detection))
}

/// What a form with a recording may be.
fn form_limits(server: &Server) -> FormLimits {
    FormLimits {
        // That of OpenAI's API, and that of one older client.
        file_fields: &["file", "audio_file"],
        max_bytes: server.max_upload_bytes.get(),
        pause: server.body_timeout,
    }
}

#[cfg(test)]
mod tests;
