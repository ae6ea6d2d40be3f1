//! The models of this service, each behind its queue.

pub mod chatterbox;
pub mod conditioning;
pub mod doctor;
pub mod onnx;
pub mod pack;
