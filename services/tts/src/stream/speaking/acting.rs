//! The speaking half of a session: what the core wants done, and what the client is told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use batcher::SubmitError;
use chassis::api_error::ApiError;
use chassis::socket::{CloseCode, Socket};
use wire::error::ErrorCode;
use wire::tts::stream::Limits;

use super::super::outgoing::{Parcel, Sent};
use super::{Closing, End, Saying, Speaking};
use crate::dialect::{Facts, Frame, Notice};
use crate::error::TtsError;
use crate::metrics::{Edge, Outcome};
use crate::models::conditioning::SAMPLE_RATE_HZ;
use crate::utterance::{Action, Event, Message, Phrase, PhraseId, RequestKey};
use crate::voices::VoiceError;

impl Speaking {
    /// Tells the core what happened, and does what it wants.
    pub(super) fn on(&mut self, event: Event) {
        for action in self.utterances.on(event) {
            match action {
                Action::Speak { phrase, of, text } => self.speak(phrase, of, &text),
                Action::Stop { phrase } => self.stop(phrase),
                Action::Emit(message) => self.emit(message),
            }
        }
        self.say_unsaid();
    }

    fn speak(&mut self, id: PhraseId, of: RequestKey, phrase: &Phrase) {
        let request = self.requests.get_mut(&of);
        // A phrase is only given out when the voice is there.
        if let Some(line) = request.and_then(|it| it.line(phrase)) {
            self.unsaid.push_back(Saying {
                id,
                of,
                line,
                pause_samples: phrase.pause_samples,
                since: Instant::now(),
            });
        }
    }

    fn stop(&mut self, id: PhraseId) {
        self.unsaid.retain(|it| it.id != id);
        let idx = self.said.iter().find(|(_, it)| it.id == id);
        if let Some(idx) = idx.map(|(idx, _)| *idx) {
            self.said.remove(&idx);
            self.narration.stop(idx);
        }
    }

    /// Gives phrases to the models, in order, as far as there are places.
    pub(super) fn say_unsaid(&mut self) {
        while let Some(saying) = self.unsaid.pop_front() {
            let said = self.narration.say(saying.line.clone());
            let error = match said {
                Ok(idx) => {
                    self.said.insert(idx, saying);
                    continue;
                }
                Err(error) => error,
            };
            if matches!(error, SubmitError::Full { .. }) && self.may_wait(&saying) {
                self.unsaid.push_front(saying);
                return;
            }
            // What this lets go of is not in the queue any more, so this ends.
            self.give_up(saying.id, TtsError::refused("speech model", error));
        }
    }

    fn emit(&mut self, message: Message) {
        let now = Instant::now();
        let mut piece = None;
        let mut ended = None;
        match &message {
            Message::Started { key, .. } => {
                if let Some(request) = self.requests.get_mut(key) {
                    request.turn = Some(now);
                }
            }
            Message::Piece(it) => {
                piece = Some(Sent {
                    of: it.of,
                    until: it.start + it.n_samples,
                });
                if let Some(request) = self.requests.get_mut(&it.of) {
                    if request.first_chunk.is_none() {
                        let turn = request.turn.unwrap_or(request.arrived);
                        self.app.metrics.first_chunk(Edge::Stream, turn.elapsed());
                        request.first_chunk = Some(request.arrived.elapsed());
                    }
                    self.max_on_the_way = request.bytes_per_second();
                }
            }
            Message::Complete { key, .. } => ended = Some((*key, Outcome::Complete)),
            Message::Cancelled { key, .. } => ended = Some((*key, Outcome::Cancelled)),
            Message::Failed { key, .. } => ended = Some((*key, Outcome::Failed)),
            Message::Closed(_) => {}
        }
        if let Some((key, Outcome::Cancelled | Outcome::Failed)) = ended {
            self.outgoing.take_back(key);
        }
        let parcel = Parcel {
            piece,
            cancelled_at: matches!(message, Message::Cancelled { .. }).then_some(now),
            is_last: matches!(message, Message::Closed(_)),
            frames: self.frames(message, ended.map(|it| it.0)),
        };
        self.outgoing.push(parcel);
        if let Some((key, outcome)) = ended {
            self.end(key, outcome);
        }
    }

    fn frames(&mut self, message: Message, ended: Option<RequestKey>) -> Vec<Frame> {
        let key = match &message {
            Message::Started { key, .. } => Some(*key),
            Message::Piece(piece) => Some(piece.of),
            Message::Complete { .. } | Message::Cancelled { .. } | Message::Failed { .. } => ended,
            Message::Closed(_) => None,
        };
        let request = key.and_then(|it| self.requests.get(&it));
        let speech = request.map_or(&self.client.speech, |it| &it.speech);
        let facts = Facts {
            request: key.map_or("", |it| self.names.name(it)),
            voice: &speech.voice,
            encoding: speech.wire_encoding(),
            rate_hz: speech.rate.hz(),
            seed: speech.sampling.seed,
            n_sent: request.map_or(self.n_sent, |it| it.n_sent),
            sent_until: request.map_or(0, |it| it.sent_until),
            first_chunk: request.and_then(|it| it.first_chunk),
            took: request
                .and_then(|it| it.turn)
                .map_or(Duration::ZERO, |it| it.elapsed()),
        };
        self.client.dialect.said(message, &facts)
    }

    fn end(&mut self, key: RequestKey, outcome: Outcome) {
        let request = self.requests.remove(&key);
        let may_get_text = request.as_ref().is_some_and(super::Request::text_is_open);
        self.names.end(key, may_get_text);
        let (audio, took) = request.map_or((Duration::ZERO, Duration::ZERO), |it| {
            let made = Duration::from_secs_f64(it.n_made() as f64 / f64::from(SAMPLE_RATE_HZ));
            (made, it.turn.map_or(Duration::ZERO, |it| it.elapsed()))
        });
        self.app.metrics.ended(Edge::Stream, outcome, audio, took);
    }

    /// Sends what may be on its way at a time.
    pub(super) async fn send_what_fits(&mut self, socket: &mut Socket) -> Result<(), End> {
        while socket.n_waiting_bytes() <= self.max_on_the_way {
            self.stuck_since = None;
            let Some(parcel) = self.next_parcel() else {
                return Ok(());
            };
            for frame in parcel.frames {
                match frame {
                    Frame::Text(text) => socket.send_text(text).await?,
                    Frame::Binary(bytes) => socket.send_binary(bytes).await?,
                }
            }
            if let Some(Sent { of, until }) = parcel.piece {
                self.n_sent += 1;
                if let Some(request) = self.requests.get_mut(&of) {
                    request.n_sent += 1;
                    request.sent_until = until;
                }
            }
            if let Some(asked) = parcel.cancelled_at {
                self.app
                    .metrics
                    .cancel
                    .observe(asked.elapsed().as_secs_f64());
            }
            if parcel.is_last {
                return Err(End::Closed);
            }
        }
        if self.outgoing.is_empty() && !self.utterances.is_over() {
            self.stuck_since = None;
        } else {
            self.stuck_since.get_or_insert_with(Instant::now);
        }
        Ok(())
    }

    /// What is to be sent next: the last word only when nothing else is left to be told.
    fn next_parcel(&mut self) -> Option<Parcel> {
        // Who says `close` still hears what became of the voices asked for before, if there is time.
        let is_urgent = matches!(self.closing, Some(Closing::Drain | Closing::Fault(_)));
        let may_part = is_urgent || !self.jobs.has_tasks();
        if may_part && self.outgoing.is_empty() && self.utterances.is_over() {
            self.on(Event::Flushed);
        }
        self.outgoing.pop()
    }

    pub(super) async fn send_ready(&mut self, socket: &mut Socket) -> Result<(), End> {
        let server = self.app.service.server();
        let limits = Limits {
            max_frame_bytes: server.max_frame_bytes.get() as u64,
            max_text_chars: self.app.settings.text.max_chars.get() as u64,
            max_requests: self.app.settings.stream.max_requests.get() as u64,
            idle_timeout_s: server.idle_timeout.as_secs(),
        };
        let app = Arc::clone(&self.app);
        let id = self.client.id.clone();
        let config = self.client.speech.effective.clone();
        let notice = Notice::Ready {
            session_id: &id,
            instance: &app.service.identity().instance,
            config: &config,
            limits,
        };
        self.notice(socket, notice).await
    }

    pub(super) async fn notice_draining(
        &mut self,
        socket: &mut Socket,
        deadline: Duration,
    ) -> Result<(), End> {
        self.notice(socket, Notice::Draining { deadline }).await
    }

    async fn notice(&mut self, socket: &mut Socket, notice: Notice<'_>) -> Result<(), End> {
        if let Some(text) = self.client.dialect.notice(notice) {
            socket.send_text(text).await?;
        }
        Ok(())
    }

    /// Tells the client of a mistake that ends no request.
    pub(super) async fn tell(
        &mut self,
        socket: &mut Socket,
        error: &ApiError,
        voice: Option<String>,
    ) -> Result<(), End> {
        error.log();
        self.app.service.metrics().count_rejected(error.code());
        let notice = Notice::Error {
            code: error.code(),
            message: error.message(),
            recoverable: true,
            voice,
        };
        self.notice(socket, notice).await
    }

    pub(super) async fn on_registered(
        &mut self,
        socket: &mut Socket,
        voice: String,
        answer: Result<wire::tts::Voice, VoiceError>,
    ) -> Result<(), End> {
        match answer {
            Ok(voice) => self.notice(socket, Notice::VoiceRegistered(voice)).await,
            Err(error) => {
                let error = TtsError::from(error).into();
                self.tell(socket, &error, Some(voice)).await
            }
        }
    }

    pub(super) async fn on_deleted(
        &mut self,
        socket: &mut Socket,
        voice: String,
        answer: Result<(), VoiceError>,
    ) -> Result<(), End> {
        match answer {
            Ok(()) => self.notice(socket, Notice::VoiceDeleted { voice }).await,
            Err(error) => {
                let error = TtsError::from(error).into();
                self.tell(socket, &error, Some(voice)).await
            }
        }
    }

    pub(super) async fn on_listed(
        &mut self,
        socket: &mut Socket,
        answer: Result<Vec<wire::tts::Voice>, VoiceError>,
    ) -> Result<(), End> {
        match answer {
            Ok(voices) => self.notice(socket, Notice::Voices(voices)).await,
            Err(error) => {
                let error = TtsError::from(error).into();
                self.tell(socket, &error, None).await
            }
        }
    }

    /// Says good-bye in the way that fits the end.
    pub(super) async fn part(mut self, socket: Socket, end: End) {
        let error = match end {
            End::Closed => match self.closing.take() {
                Some(Closing::Asked) => return socket.close(CloseCode::Normal, "").await,
                Some(Closing::Drain) | None => {
                    return socket.close_for(ErrorCode::Draining, None).await;
                }
                Some(Closing::Fault(fault)) => ApiError::from(fault),
            },
            End::Gone => return socket.close(CloseCode::Normal, "").await,
            End::Slow(fault) => ApiError::from(fault),
            End::Failed(error) => error,
        };
        error.log();
        self.app.service.metrics().count_rejected(error.code());
        let last_words = self.client.dialect.notice(Notice::Error {
            code: error.code(),
            message: error.message(),
            recoverable: false,
            voice: None,
        });
        socket.close_for(error.code(), last_words).await;
    }
}
