//! ONNX Runtime: its library, its sessions on a device, and tensors of either float type.
//!
//! Invariants:
//! - [`load_runtime`] or [`load_gpu_runtime`] has been called before anything else here.
//! - Idle threads sleep: a thread that spins for the next step takes a core from the others.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::fs::File;
use std::io::{self, Cursor};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use half::f16;
use ort::environment::Environment;
use ort::ep;
use ort::logging::LogLevel;
use ort::memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType};
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::value::{DynTensor, DynValue, Tensor, TensorElementType};

pub mod gpu;
pub mod graph;

pub use gpu::{GpuError, has_driver, load_gpu_runtime};

/// Why a model file is of no use.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OpenError {
    #[error("`{}` cannot be used as ONNX Runtime: {reason}", .library.display())]
    BadLibrary { library: PathBuf, reason: String },
    #[error("`{file}` cannot be opened as an ONNX model: {reason}")]
    Unreadable { file: String, reason: String },
    #[error("`{file}` is not the model that is expected: {what}")]
    Unexpected { file: String, what: String },
    #[error(
        "the GPU `{device}` does not answer: {reason}; check `nvidia-smi`, `CUDA_VISIBLE_DEVICES` and `model.device_index`, or set \
         `model.device: cpu`"
    )]
    Gpu { device: Device, reason: String },
}

/// A call to a model failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct RunError(Arc<str>);

impl RunError {
    pub(crate) fn new(reason: impl Display) -> RunError {
        RunError(reason.to_string().into())
    }
}

impl<T> From<ort::Error<T>> for RunError {
    fn from(error: ort::Error<T>) -> RunError {
        RunError::new(error)
    }
}

/// Where a graph is.
#[derive(Clone)]
pub enum GraphFile {
    /// Within this program.
    Embedded {
        name: &'static str,
        bytes: &'static [u8],
    },
    /// A file, with its sidecars beside it.
    Path(PathBuf),
}

impl GraphFile {
    /// What it declares.
    ///
    /// # Errors
    /// It is missing or not an ONNX model.
    pub fn declaration(&self) -> Result<graph::Graph, OpenError> {
        let read = match self {
            GraphFile::Embedded { bytes, .. } => graph::Graph::read(Cursor::new(bytes)),
            GraphFile::Path(path) => File::open(path).and_then(graph::Graph::read),
        };
        read.map_err(|cause| OpenError::Unreadable {
            file: self.to_string(),
            reason: self.explain(&cause),
        })
    }

    /// A pointer of Git LFS where weights are expected is the usual accident of a download.
    fn explain(&self, cause: &io::Error) -> String {
        if let GraphFile::Path(path) = self
            && std::fs::metadata(path).is_ok_and(|it| it.len() < 1024)
            && std::fs::read(path).is_ok_and(|it| it.starts_with(b"version https://git-lfs"))
        {
            return "it is a Git LFS pointer; fetch the file itself".to_owned();
        }
        cause.to_string()
    }
}

impl Display for GraphFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GraphFile::Embedded { name, .. } => write!(f, "{name} (built in)"),
            GraphFile::Path(path) => path.display().fmt(f),
        }
    }
}

impl fmt::Debug for GraphFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GraphFile({self})")
    }
}

/// What a session runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    Cpu,
    /// An NVIDIA GPU by its number.
    Cuda(i32),
}

impl Device {
    pub(super) fn memory(self) -> ort::Result<MemoryInfo<'static>> {
        let (place, id) = match self {
            Device::Cpu => (AllocationDevice::CPU, 0),
            Device::Cuda(id) => (AllocationDevice::CUDA, id),
        };
        MemoryInfo::new(place, id, AllocatorType::Device, MemoryType::Default)
    }

    /// The tensor on this device. One that is there already is not copied.
    pub(super) fn take(self, tensor: DynTensor) -> ort::Result<DynTensor> {
        match self {
            Device::Cpu => Ok(tensor),
            Device::Cuda(id) => tensor.to(AllocationDevice::CUDA, id),
        }
    }
}

impl Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Cpu => f.write_str("cpu"),
            Device::Cuda(id) => write!(f, "cuda:{id}"),
        }
    }
}

/// How a session is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionSettings {
    pub device: Device,
    /// Threads of one call on the CPU, the calling one among them.
    pub n_threads: usize,
}

/// Loads ONNX Runtime into this process; again is harmless.
///
/// # Errors
/// The library is missing, damaged or too old.
pub fn load_runtime(library: &Path) -> Result<(), OpenError> {
    match ort::init_from(library) {
        Ok(_builder) => Ok(()),
        Err(error) => Err(OpenError::BadLibrary {
            library: library.to_owned(),
            reason: error.to_string(),
        }),
    }
}

/// Opens a graph.
pub(super) fn open(file: &GraphFile, settings: SessionSettings) -> Result<Session, OpenError> {
    let unreadable = |reason: &dyn Display| OpenError::Unreadable {
        file: file.to_string(),
        reason: reason.to_string(),
    };
    let environment = environment().map_err(|reason| unreadable(&reason))?;
    let builder = builder(environment, settings.n_threads).map_err(|error| unreadable(&error))?;
    let mut builder = on_device(builder, settings.device).map_err(|error| OpenError::Gpu {
        device: settings.device,
        reason: error.to_string(),
    })?;
    match file {
        GraphFile::Embedded { bytes, .. } => builder.commit_from_memory(bytes),
        GraphFile::Path(path) => builder.commit_from_file(path),
    }
    .map_err(|error| unreadable(&error))
}

fn builder(environment: &Environment, n_threads: usize) -> ort::Result<SessionBuilder> {
    Ok(Session::builder(environment)?
        .with_intra_threads(n_threads)?
        .with_inter_threads(1)?
        .with_intra_op_spinning(false)?
        .with_inter_op_spinning(false)?
        .with_optimization_level(GraphOptimizationLevel::Level3)?
        // Every call has other lengths, and a pattern would be kept for each.
        .with_memory_pattern(false)?
        // What fails is returned, and some things are tried that may fail.
        .with_log_level(LogLevel::Fatal)?)
}

fn on_device(builder: SessionBuilder, device: Device) -> ort::Result<SessionBuilder> {
    let Device::Cuda(id) = device else {
        return Ok(builder);
    };
    Ok(builder.with_execution_providers([ep::CUDA::default()
        .with_device_id(id)
        // By default the arena doubles and never shrinks.
        .with_arena_extend_strategy(ep::ArenaExtendStrategy::SameAsRequested)
        // An exhaustive search begins anew for each length.
        .with_conv_algorithm_search(ep::cuda::ConvAlgorithmSearch::Heuristic)
        .build()
        .error_on_failure()])?)
}

/// ONNX Runtime allows one to a process.
fn environment() -> Result<&'static Environment, &'static str> {
    static ENVIRONMENT: OnceLock<Result<Environment, String>> = OnceLock::new();
    let made = ENVIRONMENT.get_or_init(|| {
        ort::init()
            .with_name("tts")
            .build()
            .map_err(|it| it.to_string())
    });
    made.as_ref().map_err(String::as_str)
}

/// A float type that a graph may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Float {
    F32,
    F16,
}

impl Float {
    pub(super) fn of(element: Option<TensorElementType>) -> Option<Float> {
        match element {
            Some(TensorElementType::Float32) => Some(Float::F32),
            Some(TensorElementType::Float16) => Some(Float::F16),
            _ => None,
        }
    }

    pub(super) fn element(self) -> TensorElementType {
        match self {
            Float::F32 => TensorElementType::Float32,
            Float::F16 => TensorElementType::Float16,
        }
    }

    /// A tensor of this type.
    pub(super) fn tensor<const N: usize>(
        self,
        shape: [usize; N],
        values: &[f32],
    ) -> ort::Result<DynTensor> {
        match self {
            Float::F32 => Ok(Tensor::from_array((shape, values.to_vec()))?.upcast()),
            Float::F16 => {
                let values: Vec<f16> = values.iter().map(|it| f16::from_f32(*it)).collect();
                Ok(Tensor::from_array((shape, values))?.upcast())
            }
        }
    }
}

impl Display for Float {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Float::F32 => "f32",
            Float::F16 => "f16",
        })
    }
}

/// The values of a tensor of either float type on the CPU, and its shape.
pub(super) fn floats(value: &DynValue) -> ort::Result<(Vec<usize>, Cow<'_, [f32]>)> {
    if let Ok((shape, values)) = value.try_extract_tensor::<f32>() {
        return Ok((lengths(shape), Cow::Borrowed(values)));
    }
    let (shape, values) = value.try_extract_tensor::<f16>()?;
    let values = values.iter().map(|it| it.to_f32()).collect();
    Ok((lengths(shape), Cow::Owned(values)))
}

fn lengths(shape: &[i64]) -> Vec<usize> {
    shape
        .iter()
        .map(|it| usize::try_from(*it).unwrap_or_default())
        .collect()
}
