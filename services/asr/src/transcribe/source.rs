//! Where the bytes of a native request come from, and what is asked about them.

use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpRequest, web};
use audio::SampleRate;
use audio::container::RawFormat;
use audio::encoding::Encoding as Pcm;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chassis::api_error::ApiError;
use chassis::form;
use chassis::payload::Bounded;
use wire::asr::{Encoding, TranscribeRequest};
use wire::error::ErrorCode;

use crate::app::App;
use crate::error::AsrError;
use crate::models::Room;
use crate::models::upload::Recording;

/// What a JSON body may hold beside its base64.
const JSON_SLACK: usize = 256 * 1024;

/// The bytes of a file, or where they are.
#[derive(Debug)]
pub(super) enum Source {
    Bytes(Bytes),
    Url(String),
}

/// Reads a request of any of the native kinds.
pub(super) async fn read(
    app: &Arc<App>,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<(Source, TranscribeRequest), ApiError> {
    let server = app.service.server();
    let content_type = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|it| it.to_str().ok())
        .unwrap_or_default();
    let kind = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    match kind.as_str() {
        "multipart/form-data" => {
            let form = form::read(request.headers(), payload, super::form_limits(server)).await?;
            let pairs = form
                .fields
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()));
            let asked = TranscribeRequest::from_pairs(pairs).map_err(AsrError::from)?;
            match form.file {
                Some(_) if asked.audio.is_some() || asked.audio_url.is_some() => {
                    Err(too_many().into())
                }
                Some(file) => Ok((Source::Bytes(file), asked)),
                None => of_body(asked).await,
            }
        }
        "application/json" => {
            // Base64 takes four bytes for three.
            let max_bytes = server.max_upload_bytes.get() / 3 * 4 + JSON_SLACK;
            let body = Bounded::with_limits(payload, max_bytes, server.body_timeout)
                .read()
                .await?;
            // Megabytes of JSON take longer than a socket's thread may be held.
            let asked = web::block(move || TranscribeRequest::from_json(&body))
                .await
                .map_err(|it| internal(&it))?;
            of_body(asked.map_err(AsrError::from)?).await
        }
        kind if kind.starts_with("audio/")
            || kind.starts_with("video/")
            || kind == "application/octet-stream" =>
        {
            let query = web::Query::<Vec<(String, String)>>::from_query(request.query_string())
                .map_err(|error| {
                    AsrError::Malformed(format!("the query string cannot be read: {error}"))
                })?;
            let pairs = query.iter().filter(|(name, _)| name != "api_key");
            let asked = TranscribeRequest::from_pairs(
                pairs.map(|(name, value)| (name.as_str(), value.as_str())),
            )
            .map_err(AsrError::from)?;
            if asked.audio.is_some() || asked.audio_url.is_some() {
                return Err(too_many().into());
            }
            Ok((
                Source::Bytes(Bounded::new(payload, server).read().await?),
                asked,
            ))
        }
        given => Err(ApiError::new(
            ErrorCode::UnsupportedAudio,
            format!(
                "send the audio as `multipart/form-data` (field `file`), as `application/json` (`audio` in base64, or `audio_url`), \
                 or as the body with an `audio/` content type. Given: {given:?}"
            ),
        )),
    }
}

async fn of_body(mut asked: TranscribeRequest) -> Result<(Source, TranscribeRequest), ApiError> {
    match (asked.audio.take(), asked.audio_url.take()) {
        (Some(audio), None) => {
            let bytes = web::block(move || decode_base64(&audio))
                .await
                .map_err(|it| internal(&it))??;
            Ok((Source::Bytes(bytes), asked))
        }
        (None, Some(url)) => Ok((Source::Url(url), asked)),
        (None, None) => Err(AsrError::parameter(
            "file",
            "be there: a file in the form, or `audio` in base64, or `audio_url`",
            "nothing",
        )
        .into()),
        (Some(_), Some(_)) => Err(too_many().into()),
    }
}

fn too_many() -> AsrError {
    AsrError::Malformed(
        "give the audio once: as the file, as `audio`, or as `audio_url`".to_owned(),
    )
}

fn internal(error: &actix_web::error::BlockingError) -> ApiError {
    ApiError::new(ErrorCode::Internal, error.to_string())
}

fn decode_base64(text: &str) -> Result<Bytes, AsrError> {
    // A data URL is what browsers make of a file.
    let text = match text.split_once(";base64,") {
        Some((head, rest)) if head.starts_with("data:") => rest,
        Some(_) | None => text,
    };
    let decoded = if text.contains(['\n', '\r']) {
        STANDARD.decode(text.replace(['\n', '\r'], ""))
    } else {
        STANDARD.decode(text.trim())
    };
    let invalid = |error: base64::DecodeError| AsrError::Parameter {
        name: "audio",
        message: format!("`audio` must be base64: {error}"),
    };
    decoded.map(Bytes::from).map_err(invalid)
}

impl Source {
    /// Fetches the bytes if need be, and decodes them.
    pub(super) async fn decode(
        self,
        app: &App,
        asked: &TranscribeRequest,
    ) -> Result<(Recording, Room), ApiError> {
        let bytes = match self {
            Source::Bytes(bytes) => bytes,
            Source::Url(url) => match &app.fetcher {
                Some(fetcher) => fetcher.get(&url).await?,
                None => {
                    let message = "this server does not fetch `audio_url`; send the audio itself, or set `files.url_enabled`";
                    return Err(AsrError::UrlForbidden(message.to_owned()).into());
                }
            },
        };
        Ok(app.models.decode(bytes, raw_format(asked)?).await?)
    }
}

fn raw_format(asked: &TranscribeRequest) -> Result<Option<RawFormat>, AsrError> {
    let encoding = match asked.encoding {
        Some(Encoding::PcmS16le) => Pcm::PcmS16le,
        Some(Encoding::PcmF32le) => Pcm::PcmF32le,
        Some(Encoding::Mulaw) => Pcm::Mulaw,
        Some(Encoding::Alaw) => Pcm::Alaw,
        // A container, which says everything itself.
        Some(Encoding::OggOpus) | None => {
            return match (asked.sample_rate, asked.channels) {
                (None, None) => Ok(None),
                (rate, channels) => Err(AsrError::parameter(
                    "encoding",
                    "be given with `sample_rate` and `channels`, which are for samples without a container",
                    (rate, channels),
                )),
            };
        }
    };
    let rate_hz = asked.sample_rate.unwrap_or(16_000);
    let rate = SampleRate::new(rate_hz)
        .ok_or_else(|| AsrError::parameter("sample_rate", "not be 0", rate_hz))?;
    let channels = asked.channels.unwrap_or(1);
    let n_channels = u16::try_from(channels)
        .map_err(|_| AsrError::parameter("channels", "be at most 32", channels))?;
    Ok(Some(RawFormat {
        encoding,
        rate,
        n_channels,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_as_people_send_it() {
        for text in [
            "UklGRg==",
            "data:audio/wav;base64,UklGRg==",
            "Ukl\nGRg==\r\n",
            " UklGRg== ",
        ] {
            assert_eq!(&decode_base64(text).unwrap()[..], b"RIFF", "{text}");
        }
        let error = decode_base64("RIFF!").unwrap_err().to_string();
        assert!(error.contains("`audio`"), "{error}");
    }

    #[test]
    fn raw_samples_need_a_declared_encoding() {
        let asked = |encoding, sample_rate| TranscribeRequest {
            encoding,
            sample_rate,
            ..TranscribeRequest::default()
        };
        assert_eq!(raw_format(&asked(None, None)).unwrap(), None);
        assert!(raw_format(&asked(None, Some(8_000))).is_err());
        assert!(raw_format(&asked(Some(Encoding::Mulaw), Some(0))).is_err());
        let format = raw_format(&asked(Some(Encoding::Mulaw), Some(8_000)))
            .unwrap()
            .unwrap();
        assert_eq!(
            (format.encoding, format.rate.hz(), format.n_channels),
            (Pcm::Mulaw, 8_000, 1)
        );
    }
}
