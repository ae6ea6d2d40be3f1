//! What every HTTP and WebSocket service stands on.
//!
//! A module belongs here only if all services use it and it would be the same in a service with no audio and no model.
#![warn(missing_docs)]

pub mod api_error;
pub mod auth;
pub mod drain;
pub mod readiness;
pub mod settings;
pub mod socket;
pub mod task;
