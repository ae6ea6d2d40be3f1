//! The forms of an answer: bytes or events while it is spoken, or all of it at once.

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpResponse, HttpResponseBuilder, web};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chassis::api_error::{ApiError, OpenAiErrorEvent};
use chassis::events::{self, Events};
use chassis::limits::Admission;
use futures_util::{Stream, stream};
use wire::error::ErrorCode;
use wire::tts::rest::SynthesizedAudio;

use super::saying::Saying;
use crate::dialect::openai_speech::{Event, Usage};
use crate::error::TtsError;
use crate::options::Speech;
use crate::render::{Format, Rendered, Renderer, Shape, Whole};

/// What listeners, and programs that write files, may want to know beside the bytes.
const SAMPLE_RATE: HeaderName = HeaderName::from_static("x-sample-rate");
const VOICE: HeaderName = HeaderName::from_static("x-voice-id");
const SEED: HeaderName = HeaderName::from_static("x-seed");

/// The bytes, while they are made.
pub(super) async fn stream(
    saying: Saying,
    shape: Shape,
    admission: Admission,
) -> Result<HttpResponse, ApiError> {
    let mut response = HttpResponse::Ok();
    response.content_type(shape.format.content_type());
    tell(&mut response, &saying.speech);
    // nginx would otherwise keep the bytes until there are many.
    response.insert_header(("x-accel-buffering", "no"));
    let writing = Writing::begin(saying, shape).await?;
    Ok(response.streaming(pieces(writing, admission)))
}

fn pieces(
    writing: Writing,
    admission: Admission,
) -> impl Stream<Item = Result<Bytes, actix_web::Error>> + 'static {
    let state = Some((writing, admission));
    stream::unfold(state, |state| async move {
        let (mut writing, admission) = state?;
        match writing.next().await {
            Ok(Some(bytes)) => Some((Ok(bytes), Some((writing, admission)))),
            Ok(None) => None,
            Err(error) => {
                error.log();
                // The body breaks off, so that nobody takes it for complete.
                Some((Err(error.into()), None))
            }
        }
    })
}

/// OpenAI's events, while the bytes in them are made.
pub(super) async fn events(
    saying: Saying,
    shape: Shape,
    (n_chars, admission): (usize, Admission),
) -> Result<HttpResponse, ApiError> {
    let mut response = events::response();
    tell(&mut response, &saying.speech);
    let writing = Writing::begin(saying, shape).await?;
    let state = Some((writing, admission));
    let events = stream::unfold(state, move |state| async move {
        let (mut writing, admission) = state?;
        let mut out = Events::default();
        match writing.next().await {
            Ok(Some(bytes)) => {
                out.push(&Event::Delta {
                    audio: STANDARD.encode(bytes),
                });
                Some((out.chunk(), Some((writing, admission))))
            }
            Ok(None) => {
                out.push(&Event::Done {
                    usage: Usage::new(n_chars, writing.saying.n_tokens()),
                });
                Some((out.chunk(), None))
            }
            Err(error) => {
                error.log();
                out.push(&OpenAiErrorEvent::from(error.body()));
                Some((out.chunk(), None))
            }
        }
    });
    Ok(response.streaming(events))
}

/// All of it, with its length.
pub(super) async fn whole(saying: Saying, shape: Shape) -> Result<HttpResponse, ApiError> {
    let mut response = HttpResponse::Ok();
    response.content_type(shape.format.content_type());
    tell(&mut response, &saying.speech);
    let (rendered, _speech) = all(saying, shape).await?;
    Ok(response.body(rendered.bytes))
}

/// All of it, as JSON.
pub(super) async fn base64(saying: Saying, shape: Shape) -> Result<HttpResponse, ApiError> {
    let (rendered, speech) = all(saying, shape).await?;
    let samples = rendered.samples as u64;
    let audio = off_thread(move || Ok(STANDARD.encode(rendered.bytes))).await?;
    Ok(HttpResponse::Ok().json(SynthesizedAudio {
        audio,
        format: wire::tts::Format::Wav,
        sample_rate: shape.sample_rate.hz(),
        samples,
        duration: samples as f64 / f64::from(shape.sample_rate.hz()),
        voice_id: speech.voice,
        seed: speech.sampling.seed,
    }))
}

/// Has it all written as it is made. Whoever leaves meanwhile ends that.
async fn all(mut saying: Saying, shape: Shape) -> Result<(Rendered, Speech), ApiError> {
    let mut whole = Whole::new(&shape).map_err(TtsError::from)?;
    let is_quick = is_quick(shape.format, &saying.speech);
    while let Some(samples) = saying.next().await? {
        let write = move || {
            whole.push(&samples)?;
            Ok(whole)
        };
        whole = perhaps_off_thread(is_quick, write).await?;
    }
    let speech = saying.speech.clone();
    let rendered = perhaps_off_thread(is_quick, move || Ok(whole.finish()?)).await?;
    Ok((rendered, speech))
}

fn tell(response: &mut HttpResponseBuilder, speech: &Speech) {
    response.insert_header((SAMPLE_RATE, speech.rate.hz()));
    response.insert_header((SEED, speech.sampling.seed));
    // An id is ASCII by its own rule.
    if let Ok(voice) = HeaderValue::from_str(&speech.voice) {
        response.insert_header((VOICE, voice));
    }
}

/// Speech on its way into bytes.
struct Writing {
    saying: Saying,
    format: Format,
    /// `None` once everything is written.
    renderer: Option<Renderer>,
    /// What was written before the answer began.
    ready: Option<Bytes>,
}

impl Writing {
    /// Waits for the first bytes of audio: the head of a container alone is no answer.
    async fn begin(saying: Saying, shape: Shape) -> Result<Writing, ApiError> {
        let (renderer, head) = Renderer::new(&shape).map_err(TtsError::from)?;
        let mut writing = Writing {
            saying,
            format: shape.format,
            renderer: Some(renderer),
            ready: None,
        };
        let first = writing.next().await?;
        let first = [Bytes::from(head), first.unwrap_or_default()].concat();
        writing.ready = Some(Bytes::from(first)).filter(|it| !it.is_empty());
        Ok(writing)
    }

    /// The next bytes, never none; `None` after the last.
    async fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        if let Some(ready) = self.ready.take() {
            return Ok(Some(ready));
        }
        while let Some(renderer) = self.renderer.take() {
            let samples = self.saying.next().await?;
            let (renderer, bytes) = self.write(renderer, samples).await?;
            self.renderer = renderer;
            // An encoder may want more before it writes anything.
            if !bytes.is_empty() {
                return Ok(Some(bytes.into()));
            }
        }
        Ok(None)
    }

    async fn write(
        &self,
        mut renderer: Renderer,
        samples: Option<Vec<f32>>,
    ) -> Result<(Option<Renderer>, Vec<u8>), ApiError> {
        let write = move || match samples {
            Some(samples) => {
                let rendered = renderer.push(&samples)?;
                Ok((Some(renderer), rendered.bytes))
            }
            None => Ok((None, renderer.finish()?.bytes)),
        };
        perhaps_off_thread(is_quick(self.format, &self.saying.speech), write).await
    }
}

/// Whether samples only have to be copied. Else a chunk takes milliseconds: longer than a socket's thread may be held.
fn is_quick(format: Format, speech: &Speech) -> bool {
    matches!(format, Format::Wav | Format::Raw(_)) && speech.is_plain()
}

async fn perhaps_off_thread<T: Send + 'static>(
    is_quick: bool,
    work: impl FnOnce() -> Result<T, TtsError> + Send + 'static,
) -> Result<T, ApiError> {
    if is_quick {
        return Ok(work()?);
    }
    off_thread(work).await
}

/// One at a time for each request that holds a place.
async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TtsError> + Send + 'static,
) -> Result<T, ApiError> {
    let done = web::block(work).await;
    let done = done.map_err(|it| ApiError::new(ErrorCode::Internal, it.to_string()))?;
    Ok(done?)
}
