//! ONNX Runtime for NVIDIA's GPUs: another library than the one for the CPU, with a folder of its own.
//!
//! Its provider opens CUDA's libraries by name and says nowhere where they are, so those of the folder are loaded before it.

use std::path::{Path, PathBuf};

use chassis::settings::variable_of_library;
use ort::ep::{self, ExecutionProvider as _};

use super::{OpenError, load_runtime};

/// What an NVIDIA driver shows of itself.
const DRIVER: &str = "/proc/driver/nvidia/version";
const RUNTIME: &str = "libonnxruntime.so";
const PROVIDER: &str = "libonnxruntime_providers_cuda.so";
/// What the provider needs, in the order in which they need one another.
const LIBRARIES: [&str; 8] = [
    "libcudart.so.13",
    "libnvrtc.so.13",
    "libnvJitLink.so.13",
    "libcublasLt.so.13",
    "libcublas.so.13",
    "libcufft.so.12",
    "libcurand.so.10",
    "libcudnn.so.9",
];

/// Why no GPU can be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum GpuError {
    #[error("there is no ONNX Runtime for GPUs: `{}` is missing", .0.display())]
    Missing(PathBuf),
    #[error("the CUDA library `{}` cannot be loaded: {reason}", .library.display())]
    Library { library: PathBuf, reason: String },
    #[error(transparent)]
    Runtime(#[from] OpenError),
    #[error("`{}` was built without the CUDA provider", .0.display())]
    NoProvider(PathBuf),
}

/// Whether the system has NVIDIA's driver, and this process was not told to leave its GPUs alone.
pub fn has_driver() -> bool {
    Path::new(DRIVER).exists()
        && shows_devices(variable_of_library("CUDA_VISIBLE_DEVICES").as_deref())
}

/// What CUDA makes of `CUDA_VISIBLE_DEVICES`: devices up to the first that cannot be.
fn shows_devices(visible: Option<&str>) -> bool {
    visible.is_none_or(|them| {
        let first = them.split(',').next().unwrap_or_default().trim();
        !first.is_empty() && !first.starts_with('-') && first != "NoDevFiles"
    })
}

/// Loads the ONNX Runtime of `folder` into this process, with what it needs for GPUs. It computes on the CPU too.
///
/// # Errors
/// Something is missing or cannot be loaded. Unless it is [`GpuError::NoProvider`], another runtime may be loaded then.
pub fn load_gpu_runtime(folder: &Path) -> Result<(), GpuError> {
    let runtime = folder.join(RUNTIME);
    for library in [&runtime, &folder.join(PROVIDER)] {
        if !library.is_file() {
            return Err(GpuError::Missing(library.clone()));
        }
    }
    for name in LIBRARIES {
        let library = folder.join(name);
        ort::util::preload_dylib(&library).map_err(|cause| GpuError::Library {
            library,
            reason: cause.to_string(),
        })?;
    }
    load_runtime(&runtime)?;
    if ep::CUDA::is_available().unwrap_or(false) {
        Ok(())
    } else {
        Err(GpuError::NoProvider(runtime))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn no_device_is_visible_before_the_first_that_cannot_be() {
        for (visible, expected) in [
            (None, true),
            (Some("0"), true),
            (Some("1,0"), true),
            (Some("GPU-5a"), true),
            (Some(""), false),
            (Some(" "), false),
            (Some("-1"), false),
            (Some("-1,0"), false),
            (Some("NoDevFiles"), false),
        ] {
            assert_eq!(shows_devices(visible), expected, "{visible:?}");
        }
    }

    #[test]
    fn what_is_missing_is_named_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let told = || load_gpu_runtime(folder.path()).unwrap_err().to_string();
        for (name, left) in [
            (RUNTIME, "libonnxruntime.so` is missing"),
            (PROVIDER, "providers_cuda.so` is missing"),
        ] {
            assert!(told().contains(left), "{}", told());
            assert!(
                told().contains(folder.path().to_str().unwrap()),
                "{}",
                told()
            );
            fs::write(folder.path().join(name), b"").unwrap();
        }
        let first = folder.path().join(LIBRARIES[0]);
        assert!(
            told().contains(&format!("`{}`", first.display())),
            "{}",
            told()
        );
        fs::write(&first, b"no library").unwrap();
        assert!(told().contains("cannot be loaded"), "{}", told());
    }

    #[test]
    fn the_libraries_are_those_that_are_installed() {
        let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/native.json");
        let list = fs::read_to_string(list).unwrap();
        for name in LIBRARIES.iter().chain(&[RUNTIME, PROVIDER]) {
            let installed = format!("\"cuda-tts/lib/{name}\"");
            assert!(list.contains(&installed), "{installed}");
        }
    }
}
