//! What the edge knows of one request: its options, its voice, its text as far as it has come, and who speaks it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wire::tts::SpeechOptions;

use crate::app::App;
use crate::error::TtsError;
use crate::models::Models;
use crate::models::conditioning::{SAMPLE_RATE_HZ, SAMPLES_PER_TOKEN};
use crate::narration::{Line, Script};
use crate::options::Speech;
use crate::render::{Format, RenderError, Renderer, Shape};
use crate::settings;
use crate::speaker::Pace;
use crate::text::{FrontEnd, Pause, Sentence, TextStream, word_times};
use crate::utterance::{Delivery, Order, Phrase, Render, Rendered, WordShare};
use crate::voices::Voice;

/// No piece is longer, whatever is asked for: a client that plays what it reads, as it reads it, takes a piece in so long, and who
/// takes nothing for `server.slow_reader_ms` is taken for dead.
const LONGEST_PIECE: Duration = Duration::from_secs(4);

/// What phrases are made with.
pub(super) type Tools<'a> = (&'a Models, &'a settings::Text);

/// A request that is under way.
#[derive(Debug)]
pub(super) struct Request {
    /// As it was asked for, before anything was filled in.
    pub(super) asked: SpeechOptions,
    pub(super) speech: Speech,
    /// Once it is known who speaks.
    script: Option<Script>,
    text: Text,
    pub(super) arrived: Instant,
    /// When it had its turn.
    pub(super) turn: Option<Instant>,
    /// From its arrival to its first audio.
    pub(super) first_chunk: Option<Duration>,
    pub(super) n_sent: u64,
    /// Where what was sent ends; where it begins, as long as nothing was.
    pub(super) sent_until: u64,
}

/// The text of a request.
#[derive(Debug)]
enum Text {
    Whole,
    Pieces {
        stream: Box<TextStream>,
        last_at: Instant,
        /// Whether something came since it was last said that all is to be spoken.
        is_pending: bool,
    },
}

impl Request {
    /// One whose audio is wanted from sample `skip` on.
    pub(super) fn new(asked: SpeechOptions, speech: Speech, skip: u64) -> Request {
        Request {
            asked,
            speech,
            script: None,
            text: Text::Whole,
            arrived: Instant::now(),
            turn: None,
            first_chunk: None,
            n_sent: 0,
            sent_until: skip,
        }
    }

    /// The same, whose text comes in pieces.
    pub(super) fn in_pieces(self, front_end: &FrontEnd) -> Request {
        let stream = Box::new(front_end.stream(&self.speech.language));
        Request {
            text: Text::Pieces {
                stream,
                last_at: Instant::now(),
                is_pending: false,
            },
            ..self
        }
    }

    /// How its audio is wanted. For a request of which nothing was sent.
    ///
    /// # Errors
    /// It cannot be rendered so.
    pub(super) fn order(&self) -> Result<Order, RenderError> {
        let speech = &self.speech;
        let shape = Shape {
            format: Format::Raw(speech.encoding),
            sample_rate: speech.rate,
            speed: speech.speed,
        };
        let (renderer, head) = Renderer::new(&shape)?;
        debug_assert!(head.is_empty(), "raw samples have no head");
        let rate_hz = speech.rate.hz();
        let asked = speech.chunk_tokens as u64 * SAMPLES_PER_TOKEN as u64 * u64::from(rate_hz)
            / u64::from(SAMPLE_RATE_HZ);
        let longest = LONGEST_PIECE.as_secs() * u64::from(rate_hz);
        Ok(Order {
            render: Box::new(Raw(Some(renderer))),
            rate_hz,
            bytes_per_sample: speech.encoding.bytes_per_sample(),
            skip: self.sent_until,
            max_piece: usize::try_from(asked.min(longest))
                .unwrap_or(usize::MAX)
                .max(1),
            delivery: if speech.streaming {
                Delivery::AsMade
            } else {
                Delivery::WholePhrases
            },
            speed: speech.speed,
        })
    }

    /// So many bytes are a second of its audio.
    pub(super) fn bytes_per_second(&self) -> usize {
        self.speech.rate.hz() as usize * self.speech.encoding.bytes_per_sample()
    }

    pub(super) fn text_is_open(&self) -> bool {
        matches!(self.text, Text::Pieces { .. })
    }

    /// More of the text.
    ///
    /// # Errors
    /// It is longer than a text may be, or nothing that the model can say.
    pub(super) fn push(&mut self, piece: &str, tools: Tools<'_>) -> Result<Vec<Phrase>, TtsError> {
        let Text::Pieces {
            stream,
            last_at,
            is_pending,
        } = &mut self.text
        else {
            return Ok(Vec::new());
        };
        *last_at = Instant::now();
        *is_pending |= !piece.is_empty();
        phrases(stream.push(piece)?, &self.speech.language, tools)
    }

    /// All that has come is to be spoken.
    ///
    /// # Errors
    /// It is nothing that the model can say.
    pub(super) fn flush(&mut self, tools: Tools<'_>) -> Result<Vec<Phrase>, TtsError> {
        let Text::Pieces {
            stream, is_pending, ..
        } = &mut self.text
        else {
            return Ok(Vec::new());
        };
        *is_pending = false;
        phrases(stream.flush(), &self.speech.language, tools)
    }

    /// No more text comes.
    ///
    /// # Errors
    /// What is left is nothing that the model can say.
    pub(super) fn end_text(&mut self, tools: Tools<'_>) -> Result<Vec<Phrase>, TtsError> {
        match std::mem::replace(&mut self.text, Text::Whole) {
            Text::Whole => Ok(Vec::new()),
            Text::Pieces { stream, .. } => phrases(stream.end(), &self.speech.language, tools),
        }
    }

    /// The characters of a text in pieces so far.
    pub(super) fn n_chars(&self) -> u64 {
        match &self.text {
            Text::Whole => 0,
            Text::Pieces { stream, .. } => stream.n_chars() as u64,
        }
    }

    /// When text last came, and whether some of it waits to become a sentence; of a text that is still coming.
    pub(super) fn waits_for_text(&self) -> Option<(Instant, bool)> {
        match &self.text {
            Text::Whole => None,
            Text::Pieces {
                last_at,
                is_pending,
                ..
            } => Some((*last_at, *is_pending)),
        }
    }

    pub(super) fn found(&mut self, app: &App, voice: Arc<Voice>) {
        let pace = if self.speech.streaming {
            Pace::RealTime
        } else {
            Pace::Fast
        };
        self.script = Some(Script::new(app, voice, self.speech.clone(), pace));
    }

    /// What is to be said for its next phrase. `None` while nobody is there to say it.
    pub(super) fn line(&mut self, phrase: &Phrase) -> Option<Line> {
        Some(self.script.as_mut()?.line(&phrase.spoken))
    }

    /// Counts audio that was made of it, and the silence before, at the models' rate.
    ///
    /// # Errors
    /// It would be more than one request may have.
    pub(super) fn made(&mut self, n_samples: usize, pause: usize) -> Result<(), TtsError> {
        let Some(script) = &mut self.script else {
            return Ok(());
        };
        // Nothing is waited for before the first phrase.
        let pause = if script.n_samples() == 0 { 0 } else { pause };
        script.count(pause + n_samples)
    }

    /// Audio made, at the models' rate.
    pub(super) fn n_made(&self) -> u64 {
        self.script.as_ref().map_or(0, Script::n_samples)
    }
}

/// The sentences of a whole text.
///
/// # Errors
/// It is too long, or there is nothing to say, or nothing that the model can.
pub(super) fn whole(text: &str, language: &str, tools: Tools<'_>) -> Result<Vec<Phrase>, TtsError> {
    let sentences = tools.0.front_end.sentences(text, language)?;
    phrases(sentences, language, tools)
}

fn phrases(
    sentences: Vec<Sentence>,
    language: &str,
    (models, settings): Tools<'_>,
) -> Result<Vec<Phrase>, TtsError> {
    models.check(&sentences, language)?;
    let phrases = sentences.into_iter().map(|it| phrase(it, settings));
    Ok(phrases.collect())
}

fn phrase(sentence: Sentence, settings: &settings::Text) -> Phrase {
    // Any length does: what is asked for is which part of it each word takes.
    const WHOLE: Duration = Duration::from_secs(1_000);
    let words = word_times(&sentence, WHOLE)
        .into_iter()
        .map(|it| WordShare {
            text: it.text,
            start: it.start.div_duration_f64(WHOLE),
            end: it.end.div_duration_f64(WHOLE),
        });
    let pause = match sentence.pause_before {
        Pause::None => Duration::ZERO,
        Pause::Clause => settings.clause_pause,
        Pause::Sentence => settings.sentence_pause,
        Pause::Paragraph => settings.paragraph_pause,
    };
    let pause_samples = pause.as_millis() * u128::from(SAMPLE_RATE_HZ) / 1_000;
    Phrase {
        words: words.collect(),
        chars: sentence.source_chars,
        pause_samples: usize::try_from(pause_samples).unwrap_or(usize::MAX),
        spoken: sentence.spoken,
    }
}

/// Samples without a container.
struct Raw(Option<Renderer>);

impl Render for Raw {
    fn push(&mut self, samples: &[f32]) -> Rendered {
        rendered(self.0.as_mut().map(|it| it.push(samples)))
    }

    fn finish(&mut self) -> Rendered {
        rendered(self.0.take().map(Renderer::finish))
    }
}

/// Only containers can fail.
fn rendered(rendered: Option<Result<crate::render::Rendered, RenderError>>) -> Rendered {
    match rendered {
        Some(Ok(it)) => Rendered {
            bytes: it.bytes,
            n_samples: it.samples,
        },
        Some(Err(error)) => {
            tracing::error!(%error, "raw samples could not be written");
            Rendered::default()
        }
        None => Rendered::default(),
    }
}
