//! The doing half of a session: audio onwards to the core, and what the core wants done.

use std::time::{Duration, Instant};

use batcher::Lane;
use bytes::Buf as _;
use chassis::api_error::ApiError;
use chassis::socket::{CloseCode, Socket};
use wire::asr::stream::Limits;
use wire::error::{ErrorCode, ErrorMessage};

use super::{Closing, End, Listening, MAX_FRAMES};
use crate::dialect::Notice;
use crate::session::{Action, Event, Message, Method};

/// A verdict on a live turn that takes longer has lost its worth: the session goes on, and silence or a later look ends the turn.
const VERDICT_PATIENCE: Duration = Duration::from_millis(500);

impl Listening {
    /// Takes audio as far as there is room, and lets it be heard, until nothing moves any more.
    pub(super) async fn advance(&mut self, socket: &mut Socket) -> Result<(), End> {
        loop {
            let moved = self.decode(socket).await?;
            let heard = self.listen(socket).await?;
            let at_end = self.closing.is_some() && self.pending.is_empty();
            if at_end && !self.finished {
                self.finish(socket).await?;
            } else if at_end && !self.close_sent && !self.ear.has_backlog() {
                self.close_sent = true;
                self.received(socket).await?;
                self.on(socket, Event::Close).await?;
            } else if !moved && !heard {
                return Ok(());
            }
            // Other sessions live on this thread, and one frame may hold a minute of audio.
            tokio::task::yield_now().await;
        }
    }

    /// Decodes one piece of what came. Says whether anything moved.
    async fn decode(&mut self, socket: &mut Socket) -> Result<bool, End> {
        let settled = self.ear.settle();
        if self.pending.is_empty() {
            if settled {
                self.received(socket).await?;
            }
            return Ok(settled);
        }
        let listened = self.ear.listen(&self.pending).map_err(|error| {
            End::Failed(ApiError::new(ErrorCode::InvalidAudio, error.to_string()))
        })?;
        self.pending.advance(listened.n_bytes);
        self.n_replaced += listened.n_replaced;
        if self.pending.is_empty() && self.n_replaced > 0 {
            let n = std::mem::take(&mut self.n_replaced);
            let message = format!(
                "{n} samples of this frame were no numbers or lay on damaged pages; silence took their place"
            );
            self.tell(socket, &ApiError::new(ErrorCode::InvalidSamples, message))
                .await?;
        }
        if listened.n_bytes > 0 || settled {
            self.received(socket).await?;
        }
        Ok(listened.n_bytes > 0 || settled)
    }

    /// Whether the audio comes as fast as it is spoken. Who sends it faster waits for nothing but the end.
    ///
    /// A client that was cut off and is back stays ahead of the clock, and is live all the same: unless it still sends faster, all
    /// that it sent is here, and more will come.
    fn is_live(&self) -> bool {
        let now = Instant::now();
        let all_is_here = self.pending.is_empty() && self.closing.is_none();
        !self.pace.is_ahead(now) || (all_is_here && !self.pace.is_faster(now))
    }

    /// Tells the core how far the audio reaches.
    async fn received(&mut self, socket: &mut Socket) -> Result<(), End> {
        let (until, client_samples) = (self.ear.until(), self.ear.client_samples());
        let now = Instant::now();
        self.arrivals.note(until, now);
        self.pace.note(until, now);
        let new = client_samples - self.counted_samples;
        self.counted_samples = client_samples;
        self.app
            .metrics
            .stream_audio
            .inc_by(new as f64 / f64::from(self.options.clock.rate_hz));
        self.on(
            socket,
            Event::Received {
                until,
                client_samples,
            },
        )
        .await
    }

    /// Hands the next frames to the detector. Says whether it could.
    async fn listen(&mut self, socket: &mut Socket) -> Result<bool, End> {
        if self.ear.n_frames() == 0 || self.hearing.is_none() {
            return Ok(false);
        }
        let Some((first_end, frames)) = self.ear.take_frames(MAX_FRAMES) else {
            return Ok(false);
        };
        let method = self.options.policy.method;
        match method {
            Method::SileroSmartTurn | Method::Silero => {
                if let Some(hearing) = self.hearing.take() {
                    self.jobs.hear(
                        &self.app.models,
                        self.generation,
                        hearing,
                        (first_end, frames),
                    );
                }
            }
            Method::Energy => {
                let n = usize::try_from(method.frame_samples()).unwrap_or(usize::MAX);
                let peaks: Vec<f32> = frames.chunks_exact(n).map(peak).collect();
                for event in super::heard(first_end, method, &peaks) {
                    self.on(socket, event).await?;
                }
            }
        }
        Ok(true)
    }

    /// The audio is at its end. What the resampler still held may have to wait for room.
    async fn finish(&mut self, socket: &mut Socket) -> Result<(), End> {
        self.finished = true;
        let n_left = self.ear.finish();
        if n_left > 0 {
            let message = format!(
                "the stream ended inside a sample or page; its {n_left} bytes were not used and not counted"
            );
            self.tell(socket, &ApiError::new(ErrorCode::InvalidSamples, message))
                .await?;
        }
        Ok(())
    }

    /// Asks the core what to do about an event, and does it.
    pub(super) async fn on(&mut self, socket: &mut Socket, event: Event) -> Result<(), End> {
        let was_reset = matches!(event, Event::Reset);
        let discarded = self.session.totals().discarded;
        let actions = self.session.on(event);
        self.count_discarded(self.session.totals().discarded - discarded, was_reset);
        for action in actions {
            match action {
                Action::Judge { job, range, again } => match self.ear.clip(&range) {
                    Some(clip) => {
                        let lane = if again { Lane::Normal } else { Lane::Urgent };
                        let deadline = self.is_live().then(|| Instant::now() + VERDICT_PATIENCE);
                        self.jobs
                            .judge(&self.app.models, job, clip, (lane, deadline));
                    }
                    None => return Err(lost(&range)),
                },
                Action::Transcribe(work) => match self.ear.clip(&work.range) {
                    Some(clip) => {
                        self.jobs.transcribe(
                            &self.app.models.recognizer,
                            work,
                            clip,
                            (&self.options, self.stream),
                        );
                    }
                    None => return Err(lost(&work.range)),
                },
                Action::Cancel { job } => self.jobs.cancel(job),
                Action::Forget { before } => {
                    self.ear.forget(before);
                    self.arrivals.forget(before);
                }
                Action::Emit(message) => self.emit(socket, message).await?,
            }
        }
        Ok(())
    }

    fn count_discarded(&self, n_samples: u64, was_reset: bool) {
        let metrics = &self.app.metrics;
        let counter = if was_reset {
            &metrics.audio_reset
        } else {
            &metrics.audio_lost
        };
        counter.inc_by(n_samples as f64 / f64::from(self.options.clock.rate_hz));
    }

    async fn emit(&mut self, socket: &mut Socket, message: Message) -> Result<(), End> {
        let now = Instant::now();
        let mut latency = Duration::ZERO;
        match &message {
            Message::Final(last) => {
                latency = now.saturating_duration_since(self.arrivals.when(last.end, now));
                self.app.metrics.final_sent(latency);
                // Where to resume from has moved, and perhaps no more audio comes to tell it by.
                self.owe_progress(now);
            }
            Message::Failed { .. } => {
                self.app.metrics.failures.inc();
                self.owe_progress(now);
            }
            Message::Partial(_) => {
                if let Some(asked) = self.draft_asked.take() {
                    self.app
                        .metrics
                        .partial_latency
                        .observe(asked.elapsed().as_secs_f64());
                }
            }
            Message::SpeechStart { .. }
            | Message::SpeechEnd { .. }
            | Message::TurnEnd { .. }
            | Message::Finalized { .. }
            | Message::ResetDone { .. }
            | Message::Closed(_) => {}
        }
        let is_last = matches!(message, Message::Closed(_));
        if let Some(text) = self.dialect.said(message, &self.options, latency) {
            socket.send_text(text).await?;
        }
        if is_last { Err(End::Closed) } else { Ok(()) }
    }

    pub(super) async fn send_ready(&mut self, socket: &mut Socket) -> Result<(), End> {
        let server = self.app.service.server();
        let limits = Limits {
            max_frame_bytes: server.max_frame_bytes.get() as u64,
            max_buffer_seconds: self.app.settings.stream.max_buffer.as_secs(),
            idle_timeout_s: server.idle_timeout.as_secs(),
        };
        let instance = &self.app.service.identity().instance;
        let notice = Notice::Ready {
            session_id: &self.id,
            instance,
            options: &self.options,
            limits,
        };
        if let Some(text) = self.dialect.notice(notice) {
            socket.send_text(text).await?;
        }
        Ok(())
    }

    pub(super) async fn notice(
        &mut self,
        socket: &mut Socket,
        notice: Notice<'_>,
    ) -> Result<(), End> {
        if let Some(text) = self.dialect.notice(notice) {
            socket.send_text(text).await?;
        }
        Ok(())
    }

    /// Tells the client of a mistake after which the session goes on.
    pub(super) async fn tell(&mut self, socket: &mut Socket, error: &ApiError) -> Result<(), End> {
        error.log();
        self.app.service.metrics().count_rejected(error.code());
        self.notice(
            socket,
            Notice::Error(ErrorMessage {
                recoverable: true,
                ..error.to_message(None)
            }),
        )
        .await
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
        // What this session still had in a queue is for nobody now.
        self.jobs = super::Jobs::default();
        let message = ErrorMessage {
            recoverable: false,
            ..error.to_message(None)
        };
        let last_words = self.dialect.notice(Notice::Error(message));
        socket.close_for(error.code(), last_words).await;
    }
}

fn peak(frame: &[f32]) -> f32 {
    frame.iter().fold(0.0, |peak, it| peak.max(it.abs()))
}

/// The core asked for audio that it had let go: a fault of ours, which must not pass as silence.
fn lost(range: &std::ops::Range<u64>) -> End {
    End::Failed(ApiError::new(
        ErrorCode::Internal,
        format!("samples {range:?} are not at hand any more"),
    ))
}
