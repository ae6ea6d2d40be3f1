//! What one session awaits of the voices.
//!
//! Invariants:
//! - What changes or tells the voices is done one after the other, as it was asked for; looking one up to speak does not wait for that.
//! - Dropping it abandons what has not begun.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;

use crate::registry;
use crate::utterance::RequestKey;
use crate::voices::{
    IfExists, Notes, Registration, Requester, Upload, Voice, VoiceError, VoiceStore,
};

/// Tasks about voices that may wait on one connection. Each holds a recording.
const MAX_TASKS: usize = 4;

/// Something that came to an end.
#[derive(Debug)]
pub(super) enum Done {
    /// The voice of a request.
    Found {
        of: RequestKey,
        answer: Result<Arc<Voice>, VoiceError>,
    },
    Registered {
        voice: String,
        answer: Result<wire::tts::Voice, VoiceError>,
    },
    Deleted {
        voice: String,
        answer: Result<(), VoiceError>,
    },
    Listed(Result<Vec<wire::tts::Voice>, VoiceError>),
}

/// A task about the voices as such.
#[derive(Debug)]
pub(super) enum Task {
    Register(Box<Registration>),
    Delete(String),
    List,
}

/// The tasks of one session.
pub(super) struct Jobs {
    voices: VoiceStore,
    requester: Requester,
    lookups: FuturesUnordered<LocalBoxFuture<'static, Done>>,
    tasks: VecDeque<Task>,
    running: Option<LocalBoxFuture<'static, Done>>,
}

impl Jobs {
    pub(super) fn new(voices: VoiceStore, requester: Requester) -> Jobs {
        Jobs {
            voices,
            requester,
            lookups: FuturesUnordered::new(),
            tasks: VecDeque::new(),
            running: None,
        }
    }

    /// Waits for the next thing to end; for ever, if there is none. May be dropped and asked again.
    pub(super) async fn next(&mut self) -> Done {
        if self.running.is_none()
            && let Some(task) = self.tasks.pop_front()
        {
            self.running = Some(self.begin(task));
        }
        let Jobs {
            lookups, running, ..
        } = self;
        let task = async {
            match running {
                Some(task) => task.await,
                None => std::future::pending().await,
            }
        };
        let lookup = async {
            match lookups.next().await {
                Some(done) => done,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            done = lookup => done,
            done = task => {
                self.running = None;
                done
            }
        }
    }

    /// Whether somebody waits to hear what became of voices.
    pub(super) fn has_tasks(&self) -> bool {
        self.running.is_some() || !self.tasks.is_empty()
    }

    /// Looks up who shall speak a request.
    pub(super) fn find(&mut self, of: RequestKey, voice: String) {
        let voices = self.voices.clone();
        self.lookups.push(Box::pin(async move {
            Done::Found {
                of,
                answer: voices.resolve(&voice).await,
            }
        }));
    }

    /// A recording to be registered, as who is connected.
    pub(super) fn registration(
        &self,
        id: String,
        (file, notes): (Vec<u8>, Notes),
        if_exists: IfExists,
    ) -> Registration {
        Registration {
            id,
            upload: Upload::File(file.into()),
            notes,
            requester: self.requester.clone(),
            if_exists,
        }
    }

    /// Takes on a task.
    ///
    /// # Errors
    /// There are as many as may wait.
    pub(super) fn add(&mut self, task: Task) -> Result<(), usize> {
        if MAX_TASKS <= self.tasks.len() {
            return Err(MAX_TASKS);
        }
        self.tasks.push_back(task);
        Ok(())
    }

    fn begin(&self, task: Task) -> LocalBoxFuture<'static, Done> {
        let voices = self.voices.clone();
        match task {
            Task::Register(registration) => Box::pin(async move {
                let requester = registration.requester.clone();
                let voice = registration.id.clone();
                let answer = match voices.register(*registration).await {
                    Ok(record) => Ok(registry::told(&voices, &record, &requester).await),
                    Err(error) => Err(error),
                };
                Done::Registered { voice, answer }
            }),
            Task::Delete(voice) => {
                let requester = self.requester.clone();
                Box::pin(async move {
                    let answer = voices.delete(&voice, &requester).await;
                    Done::Deleted { voice, answer }
                })
            }
            Task::List => {
                let requester = self.requester.clone();
                Box::pin(async move { Done::Listed(registry::all(&voices, &requester).await) })
            }
        }
    }
}

impl std::fmt::Debug for Jobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Jobs")
            .field("n_lookups", &self.lookups.len())
            .field("n_tasks", &self.tasks.len())
            .finish_non_exhaustive()
    }
}
