//! What every edge of this service shares.

use std::sync::OnceLock;

use chassis::Service;

use crate::error::TtsError;
use crate::metrics::TtsMetrics;
use crate::models::Models;
use crate::phrases::Phrases;
use crate::settings::Settings;
use crate::voices::VoiceStore;

/// The running service, as its edges see it.
#[derive(Debug)]
pub struct App {
    pub service: Service,
    pub settings: Settings,
    pub models: Models,
    pub metrics: TtsMetrics,
    /// Present if finished speech is kept.
    pub phrases: Option<Phrases>,
    /// When the process began, in seconds since 1970.
    pub created: u64,
    /// Opened once the models are there, because the built-in voice is made by them.
    pub(crate) voices: OnceLock<VoiceStore>,
}

impl App {
    /// The voices.
    ///
    /// # Errors
    /// The server is starting.
    pub fn voices(&self) -> Result<&VoiceStore, TtsError> {
        self.voices.get().ok_or(TtsError::NotReady)
    }

    /// Where drawing begins for a request that names no seed. With a cache the same sentence is said the same anyway; then it is the
    /// same seed too, so that the one that is told makes what was heard.
    pub fn draw(&self) -> u64 {
        match self.phrases {
            Some(_) => 0,
            // Half the bits: seeds are told in JSON, whose readers may keep 53.
            None => uuid::Uuid::new_v4().as_u64_pair().1 & u64::from(u32::MAX),
        }
    }

    /// Whether sentences are spoken in time. New work is refused while they are not, so that admitted work stays fast.
    ///
    /// # Errors
    /// They wait for too long.
    pub fn check_load(&self) -> Result<(), TtsError> {
        let load = self.models.speaker.load();
        let lane = load.normal;
        if lane.places <= lane.held || self.settings.model.max_wait < lane.wait() {
            return Err(TtsError::Busy {
                model: "speech model",
            });
        }
        Ok(())
    }
}
