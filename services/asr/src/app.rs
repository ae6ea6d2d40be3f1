//! What every edge of this service shares.

use chassis::Service;

use crate::error::AsrError;
use crate::metrics::AsrMetrics;
use crate::models::Models;
use crate::settings::Settings;
use crate::transcribe::fetch::Fetcher;

/// The running service, as its edges see it.
#[derive(Debug)]
pub struct App {
    pub service: Service,
    pub settings: Settings,
    pub models: Models,
    pub metrics: AsrMetrics,
    /// Present if addresses may be fetched.
    pub fetcher: Option<Fetcher>,
    /// When the process began, in seconds since 1970.
    pub created: u64,
}

impl App {
    /// Whether finals are in time. New work is refused while they are not, so that admitted work stays fast.
    ///
    /// # Errors
    /// They wait for too long.
    pub fn check_load(&self) -> Result<(), AsrError> {
        let load = self.models.recognizer.load();
        let full = load.urgent.places <= load.urgent.held;
        if full || self.settings.model.max_wait < load.urgent.wait() {
            return Err(AsrError::Busy {
                model: "recogniser",
            });
        }
        Ok(())
    }
}
