//! The models of this service, each behind its queue.

pub mod conditioning;
