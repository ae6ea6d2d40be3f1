//! What the ONNX models have in common: one thread each, and a look at the file before it is trusted.
//!
//! Invariants:
//! - A file with other inputs or outputs than the code expects is refused when it is opened, by name.
//! - [`load_runtime`] has been called before.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use ort::environment::Environment;
use ort::logging::LogLevel;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::{Outlet, TensorElementType, ValueType};

/// Why a model file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("`{}` cannot be opened as an ONNX model: {reason}; run `scripts/setup.sh` to install it again", .path.display())]
    Unreadable { path: PathBuf, reason: String },
    #[error(
        "`{}` is not the model that is expected: {what}; run `scripts/setup.sh` to install the right one", .path.display()
    )]
    Unexpected { path: PathBuf, what: String },
}

/// ONNX Runtime cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[error("`{}` cannot be used as ONNX Runtime: {reason}; run `scripts/setup.sh` to install the right one", .library.display())]
pub struct BadLibrary {
    library: PathBuf,
    reason: String,
}

/// Loads ONNX Runtime into this process. To be called before any of its models is built; again is harmless.
///
/// # Errors
/// The library is damaged, or too old.
pub fn load_runtime(library: &Path) -> Result<(), BadLibrary> {
    match ort::init_from(library) {
        Ok(_builder) => Ok(()),
        Err(error) => Err(BadLibrary {
            reason: error.to_string(),
            library: library.to_owned(),
        }),
    }
}

/// A call to a model failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct RunError(Arc<str>);

impl RunError {
    pub(super) fn new(reason: impl Display) -> RunError {
        RunError(reason.to_string().into())
    }
}

impl<T> From<ort::Error<T>> for RunError {
    fn from(error: ort::Error<T>) -> RunError {
        RunError::new(error)
    }
}

/// An input or output that a model must have. A length of -1 may vary.
#[derive(Clone, Copy, Debug)]
pub(super) struct Port {
    pub(super) name: &'static str,
    pub(super) element: TensorElementType,
    pub(super) shape: &'static [i64],
}

/// Opens a model to run on the calling thread and `n_threads - 1` others.
pub(super) fn open(
    path: &Path,
    n_threads: usize,
    inputs: &[Port],
    outputs: &[Port],
) -> Result<Session, OpenError> {
    let unreadable = |reason: &dyn Display| OpenError::Unreadable {
        path: path.to_owned(),
        reason: reason.to_string(),
    };
    let environment = environment().map_err(|reason| unreadable(&reason))?;
    let session = commit(environment, path, n_threads).map_err(|error| unreadable(&error))?;
    let unexpected = |what| OpenError::Unexpected {
        path: path.to_owned(),
        what,
    };
    check("input", session.inputs(), inputs).map_err(unexpected)?;
    check("output", session.outputs(), outputs).map_err(unexpected)?;
    Ok(session)
}

fn commit(environment: &Environment, path: &Path, n_threads: usize) -> ort::Result<Session> {
    Session::builder(environment)?
        .with_intra_threads(n_threads)?
        .with_inter_threads(1)?
        .with_optimization_level(GraphOptimizationLevel::Level3)?
        .with_log_level(LogLevel::Error)?
        .commit_from_file(path)
}

/// ONNX Runtime allows one to a process.
fn environment() -> Result<&'static Environment, &'static str> {
    static ENVIRONMENT: OnceLock<Result<Environment, String>> = OnceLock::new();
    let made = ENVIRONMENT.get_or_init(|| {
        ort::init()
            .with_name("asr")
            .build()
            .map_err(|it| it.to_string())
    });
    made.as_ref().map_err(String::as_str)
}

/// Says what is missing or different. More than is expected is no harm in outputs, and none in inputs that have a default.
fn check(side: &str, found: &[Outlet], expected: &[Port]) -> Result<(), String> {
    for port in expected {
        let Some(outlet) = found.iter().find(|it| it.name() == port.name) else {
            let names: Vec<String> = found.iter().map(|it| format!("`{}`", it.name())).collect();
            return Err(format!(
                "it has no {side} `{}`, only {}",
                port.name,
                names.join(", ")
            ));
        };
        let fits =
            |(found, expected): (&i64, &i64)| *found == -1 || *expected == -1 || found == expected;
        let same = match outlet.dtype() {
            ValueType::Tensor { ty, shape, .. } => {
                *ty == port.element
                    && shape.len() == port.shape.len()
                    && shape.iter().zip(port.shape).all(fits)
            }
            ValueType::Sequence(_) | ValueType::Map { .. } | ValueType::Optional(_) => false,
        };
        if !same {
            let Port {
                name,
                element,
                shape,
            } = port;
            return Err(format!(
                "its {side} `{name}` is {}, not {element:?} {shape:?}",
                outlet.dtype()
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_is_none_is_refused_in_words() {
        let file = tempfile::NamedTempFile::new().unwrap();
        // Another test may have loaded the real one, which then stays.
        if let Err(error) = load_runtime(file.path()) {
            assert!(error.to_string().contains("scripts/setup.sh"), "{error}");
        }
    }
}
