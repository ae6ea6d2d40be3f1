//! What every HTTP and WebSocket service stands on.
//!
//! A module belongs here only if all services use it and it would be the same in a service with no audio and no model.
//!
//! ```text
//!              settings ──► Service (identity, drain, readiness, registry, places)
//!                               │
//!     ┌─────────────────────────┼───────────────────────────────┐
//!   admin                    server                     watchdog ► systemd
//!  own port       access ► cors ► gate ► handler
//!                                          │
//!                              Admission, payload, socket
//! ```
//!
//! The start and stop order is in [`server`]. Other invariants:
//! - After start, settings do not change.
//! - Every bound is a setting, and every refusal says which one it met.
#![warn(missing_docs)]

pub mod cli;
pub mod home;
pub mod settings;

pub mod api_error;
pub mod drain;
pub mod readiness;
pub mod service;
pub mod stop;
pub mod telemetry;

pub mod access;
pub mod admin;
pub mod assembly;
pub mod auth;
pub mod limits;
pub mod openapi;
pub mod request_id;
pub mod routes;
pub mod server;

pub mod events;
pub mod form;
pub mod payload;
pub mod socket;
pub mod task;

pub mod systemd;
pub mod watchdog;

mod extract;
mod gpu;

pub use service::{Identity, Service};
