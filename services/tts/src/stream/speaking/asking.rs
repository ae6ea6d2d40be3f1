//! The hearing half of a session: what the client asks for, as events of the core.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chassis::api_error::ApiError;
use chassis::socket::Socket;
use wire::error::ErrorCode;
use wire::tts::SpeechOptions;
use wire::tts::stream::{RegisterVoice, Synthesize, Text};

use super::super::jobs::Task;
use super::super::names::{Known, Names};
use super::super::request::{self, Request};
use super::{Closing, End, Speaking, failure};
use crate::dialect::{Command, Misheard};
use crate::error::TtsError;
use crate::options::Speech;
use crate::utterance::{Event, Phrase, RequestKey};
use crate::voices::{IfExists, Notes};

impl Speaking {
    pub(super) async fn on_command(
        &mut self,
        socket: &mut Socket,
        command: Command,
    ) -> Result<(), End> {
        match command {
            Command::Synthesize(asked) => self.synthesize(socket, *asked).await,
            Command::Text(piece) => self.text(socket, *piece).await,
            Command::Flush { request } => match self.names.find(&request) {
                Known::UnderWay(key) if self.text_is_open(key) => {
                    self.flush(key);
                    Ok(())
                }
                Known::Deaf => Ok(()),
                known @ (Known::UnderWay(_) | Known::Ended | Known::Unknown) => {
                    self.no_text(socket, &request, known).await
                }
            },
            Command::End { request } => match self.names.find(&request) {
                Known::UnderWay(key) if self.text_is_open(key) => {
                    self.end_text(key);
                    Ok(())
                }
                Known::Deaf => {
                    self.names.text_ended(&request);
                    Ok(())
                }
                known @ (Known::UnderWay(_) | Known::Ended | Known::Unknown) => {
                    self.no_text(socket, &request, known).await
                }
            },
            Command::Cancel { request: None } => {
                // The last first: none has its turn only to lose it.
                let mut keys: Vec<RequestKey> = self.requests.keys().copied().collect();
                keys.sort_unstable();
                for key in keys.into_iter().rev() {
                    self.on(Event::Cancel { key });
                }
                Ok(())
            }
            Command::Cancel {
                request: Some(name),
            } => match self.names.find(&name) {
                Known::UnderWay(key) => {
                    self.on(Event::Cancel { key });
                    Ok(())
                }
                // Its end is on its way to the client.
                Known::Ended | Known::Deaf => Ok(()),
                Known::Unknown => {
                    let error = TtsError::parameter(
                        "request_id",
                        "name a request of this connection",
                        shortened(&name),
                    );
                    self.tell(socket, &error.into(), None).await
                }
            },
            Command::RegisterVoice(voice) => self.register(socket, *voice).await,
            Command::DeleteVoice { voice } => {
                let task = Task::Delete(voice.clone());
                self.add_task(socket, task, Some(voice)).await
            }
            Command::ListVoices => self.add_task(socket, Task::List, None).await,
            Command::Keepalive => Ok(()),
            Command::Close => {
                self.closing.get_or_insert(Closing::Asked);
                let mut keys: Vec<RequestKey> = self.requests.keys().copied().collect();
                keys.sort_unstable();
                for key in keys {
                    if self.text_is_open(key) {
                        self.end_text(key);
                    }
                }
                self.on(Event::Close);
                Ok(())
            }
        }
    }

    pub(super) async fn on_misheard(
        &mut self,
        socket: &mut Socket,
        misheard: Misheard,
    ) -> Result<(), End> {
        let error = ApiError::from(TtsError::from(misheard.rejected));
        let Some(name) = misheard.request else {
            return self.tell(socket, &error, None).await;
        };
        if misheard.is_text {
            return self.deny_text(socket, name, error).await;
        }
        self.deny(socket, name, error).await
    }

    async fn synthesize(&mut self, socket: &mut Socket, asked: Synthesize) -> Result<(), End> {
        let Synthesize {
            request_id,
            text,
            skip_samples,
            options,
        } = asked;
        let name = request_id.unwrap_or_else(|| self.names.make_up());
        let Some(key) = self.new_request(socket, &name).await? else {
            return Ok(());
        };
        let begun = self.speech(&options).and_then(|speech| {
            let tools = (&self.app.models, &self.app.settings.text);
            let phrases = request::whole(&text, &speech.language, tools)?;
            let request = Request::new(options, speech, skip_samples.unwrap_or(0));
            let order = request.order().map_err(render)?;
            Ok((phrases, request, order))
        });
        let (phrases, request, order) = match begun {
            Ok(begun) => begun,
            Err(error) => return self.deny(socket, name, error.into()).await,
        };
        let n_chars = text.chars().count() as u64;
        self.app.metrics.characters.inc_by(n_chars);
        self.begin(key, name, request);
        self.on(Event::Asked { key, order });
        self.on(Event::Phrases {
            key,
            phrases,
            n_chars,
        });
        self.on(Event::TextEnded { key });
        self.find_voice(key);
        Ok(())
    }

    async fn text(&mut self, socket: &mut Socket, piece: Text) -> Result<(), End> {
        let Text {
            request_id: name,
            text,
            skip_samples,
            options,
        } = piece;
        let key = match self.names.find(&name) {
            Known::Deaf => return Ok(()),
            Known::UnderWay(key) if self.text_is_open(key) => {
                let is_same = self
                    .requests
                    .get(&key)
                    .is_some_and(|it| it.asked == options);
                if !is_same && options != SpeechOptions::default() {
                    let error = TtsError::parameter(
                        "text",
                        "say its options in the first piece; later ones may only repeat them",
                        shortened(&name),
                    );
                    return self.tell(socket, &error.into(), None).await;
                }
                key
            }
            known @ Known::UnderWay(_) => return self.no_text(socket, &name, known).await,
            Known::Ended | Known::Unknown => {
                let Some(key) = self.new_request(socket, &name).await? else {
                    return Ok(());
                };
                let begun = self.speech(&options).and_then(|speech| {
                    let request = Request::new(options, speech, skip_samples.unwrap_or(0));
                    let request = request.in_pieces(&self.app.models.front_end);
                    let order = request.order().map_err(render)?;
                    Ok((request, order))
                });
                match begun {
                    Ok((request, order)) => {
                        self.begin(key, name, request);
                        self.on(Event::Asked { key, order });
                        self.find_voice(key);
                    }
                    Err(error) => return self.deny_text(socket, name, error.into()).await,
                }
                key
            }
        };
        let tools = (&self.app.models, &self.app.settings.text);
        // It may be gone: more of them than there may be, or a server that takes no new ones.
        let Some(request) = self.requests.get_mut(&key) else {
            return Ok(());
        };
        let phrases = request.push(&text, tools);
        let n_chars = request.n_chars();
        if phrases.is_ok() {
            let n_new = text.chars().count() as u64;
            self.app.metrics.characters.inc_by(n_new);
        }
        self.add(key, phrases, n_chars);
        Ok(())
    }

    /// What has become of a text so far.
    fn add(&mut self, key: RequestKey, phrases: Result<Vec<Phrase>, TtsError>, n_chars: u64) {
        match phrases {
            Ok(phrases) => self.on(Event::Phrases {
                key,
                phrases,
                n_chars,
            }),
            Err(error) => self.refuse(key, error),
        }
    }

    /// What options mean on this connection.
    fn speech(&self, asked: &SpeechOptions) -> Result<Speech, TtsError> {
        let asked = asked.clone().over(self.client.asked.clone());
        let app = &self.app;
        Ok(Speech::new(
            &asked,
            &app.settings,
            app.models.served(),
            app.draw(),
        )?)
    }

    /// A key for a new request, if it may have this name.
    async fn new_request(
        &mut self,
        socket: &mut Socket,
        name: &str,
    ) -> Result<Option<RequestKey>, End> {
        let problem = match self.names.find(name) {
            // Without the name as `request_id`: that would be the end of the other.
            Known::UnderWay(_) => Some(format!(
                "`request_id` must not be that of a request under way. Given: {:?}",
                shortened(name)
            )),
            Known::Deaf | Known::Ended | Known::Unknown => Names::check(name).err(),
        };
        if let Some(message) = problem {
            let error = ApiError::at("request_id", ErrorCode::InvalidParameter, message);
            self.tell(socket, &error, None).await?;
            return Ok(None);
        }
        self.n_keys += 1;
        Ok(Some(RequestKey(self.n_keys)))
    }

    fn begin(&mut self, key: RequestKey, name: String, request: Request) {
        self.names.begin(name, key);
        self.requests.insert(key, request);
    }

    /// A request that cannot be done at all gets its end at once.
    async fn deny(
        &mut self,
        socket: &mut Socket,
        name: String,
        error: ApiError,
    ) -> Result<(), End> {
        let is_free = !matches!(self.names.find(&name), Known::UnderWay(_));
        if !is_free || Names::check(&name).is_err() {
            return self.tell(socket, &error, None).await;
        }
        error.log();
        self.app.service.metrics().count_rejected(error.code());
        self.n_keys += 1;
        let key = RequestKey(self.n_keys);
        self.names.begin(name, key);
        self.on(Event::Denied {
            key,
            failure: failure(&error),
        });
        Ok(())
    }

    /// The same for a text in pieces: the others are on their way, and must not begin it anew without its options.
    async fn deny_text(
        &mut self,
        socket: &mut Socket,
        name: String,
        error: ApiError,
    ) -> Result<(), End> {
        match self.names.find(&name) {
            Known::Deaf => Ok(()),
            Known::UnderWay(_) => self.tell(socket, &error, None).await,
            Known::Ended | Known::Unknown => {
                self.deny(socket, name.clone(), error).await?;
                self.names.expect_text(&name);
                Ok(())
            }
        }
    }

    /// A request that was taken cannot be done after all.
    pub(super) fn refuse(&mut self, key: RequestKey, error: impl Into<ApiError>) {
        let error = error.into();
        error.log();
        self.app.service.metrics().count_rejected(error.code());
        self.on(Event::Refused {
            key,
            failure: failure(&error),
        });
    }

    fn find_voice(&mut self, key: RequestKey) {
        if let Some(request) = self.requests.get(&key) {
            let voice = request.speech.voice.clone();
            self.jobs.find(key, voice);
        }
    }

    fn text_is_open(&self, key: RequestKey) -> bool {
        self.requests.get(&key).is_some_and(Request::text_is_open)
    }

    pub(super) fn flush(&mut self, key: RequestKey) {
        let tools = (&self.app.models, &self.app.settings.text);
        if let Some(request) = self.requests.get_mut(&key) {
            let phrases = request.flush(tools);
            let n_chars = request.n_chars();
            self.add(key, phrases, n_chars);
        }
    }

    fn end_text(&mut self, key: RequestKey) {
        let tools = (&self.app.models, &self.app.settings.text);
        if let Some(request) = self.requests.get_mut(&key) {
            let n_chars = request.n_chars();
            let phrases = request.end_text(tools);
            self.add(key, phrases, n_chars);
            self.on(Event::TextEnded { key });
        }
    }

    /// A message about a text in pieces that is none.
    async fn no_text(&mut self, socket: &mut Socket, name: &str, known: Known) -> Result<(), End> {
        let what = match known {
            Known::UnderWay(_) => "its text is complete",
            Known::Ended | Known::Deaf => "it has ended",
            Known::Unknown => "no `text` of it came",
        };
        let error = ApiError::at(
            "request_id",
            ErrorCode::UnexpectedMessage,
            format!(
                "`request_id` must be that of a text that is still coming; {what}. Given: {:?}",
                shortened(name)
            ),
        );
        self.tell(socket, &error, None).await
    }

    async fn register(&mut self, socket: &mut Socket, asked: RegisterVoice) -> Result<(), End> {
        let RegisterVoice {
            voice_id,
            reference_audio,
            description,
            language,
            consent,
            replace,
        } = asked;
        let Ok(file) = STANDARD.decode(reference_audio.trim()) else {
            let error = TtsError::parameter(
                "reference_audio",
                "be the bytes of an audio file as base64",
                format!("{} characters that are none", reference_audio.len()),
            );
            return self.tell(socket, &error.into(), Some(voice_id)).await;
        };
        let notes = Notes {
            description: description.unwrap_or_default(),
            consent,
            language,
        };
        let registration = self.jobs.registration(
            voice_id.clone(),
            (file, notes),
            if replace == Some(true) {
                IfExists::Replace
            } else {
                IfExists::Refuse
            },
        );
        let task = Task::Register(Box::new(registration));
        self.add_task(socket, task, Some(voice_id)).await
    }

    async fn add_task(
        &mut self,
        socket: &mut Socket,
        task: Task,
        voice: Option<String>,
    ) -> Result<(), End> {
        let error = match &self.closing {
            // It would go on for as long as the client asks.
            Some(Closing::Asked) => ApiError::new(
                ErrorCode::UnexpectedMessage,
                "nothing can be asked for after `close`",
            ),
            Some(Closing::Drain | Closing::Fault(_)) => ApiError::new(
                ErrorCode::Draining,
                "the server is going down and takes nothing new; connect again",
            ),
            None => match self.jobs.add(task) {
                Ok(()) => return Ok(()),
                Err(most) => ApiError::new(
                    ErrorCode::RateLimited,
                    format!(
                        "at most {most} tasks about voices may wait on one connection; wait for an answer"
                    ),
                ),
            },
        };
        self.tell(socket, &error, voice).await
    }
}

fn render(error: crate::render::RenderError) -> TtsError {
    TtsError::from(error)
}

/// A message quotes at most so much of what was given.
fn shortened(given: &str) -> String {
    given.chars().take(60).collect()
}
