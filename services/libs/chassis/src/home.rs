//! The folder with the native libraries and the models.
//!
//! ```text
//! <home>/lib/libonnxruntime.so      /opt/voice-agent when installed, <checkout>/.native in a checkout
//! <home>/models/...
//! <home>/cuda-asr/lib, cuda-tts/lib  with `scripts/setup.sh --cuda`
//! ```
//!
//! Invariants:
//! - The folder is found by the same rule everywhere: the setting, else beside the binary, else a checkout above it.
//! - What is missing is named with its full path and with the command that installs it.
//! - Nothing is loaded here: that is for whoever knows the library.

use std::path::{Path, PathBuf};

/// The name of ONNX Runtime's library within `lib`: every service has models that run on it.
const ONNX_RUNTIME: &str = "libonnxruntime.so";

/// Where native libraries and models are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home(PathBuf);

/// Why there is no home, or it is of no use.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// Nothing is set, and nothing was found.
    #[error(
        "the native libraries were not found: no `lib/{ONNX_RUNTIME}` beside this program and no `.native/lib/{ONNX_RUNTIME}` above \
         it or above the working directory; run `scripts/setup.sh`, or set `home`"
    )]
    NotFound,
    /// What is set is no such folder.
    #[error("`{}` is missing; `home` is set to `{}`; run `scripts/setup.sh`, or correct the setting", .library.display(), .home.display())]
    NotInHome {
        /// The setting.
        home: PathBuf,
        /// What is not there.
        library: PathBuf,
    },
    /// A model that `scripts/setup.sh` installs is not there.
    #[error("the model file `{}` is missing; run `scripts/setup.sh` to install it", .0.display())]
    NoModel(PathBuf),
}

impl Home {
    /// The home of this process.
    ///
    /// # Errors
    /// There is none, or the one that is set has no libraries.
    pub fn of_process(setting: Option<&Path>) -> Result<Home, HomeError> {
        // A place that the system does not tell is a place not to look at.
        let program = std::env::current_exe().ok();
        let working = std::env::current_dir().ok();
        Home::find(setting, program.as_deref(), working.as_deref())
    }

    fn find(
        setting: Option<&Path>,
        program: Option<&Path>,
        working: Option<&Path>,
    ) -> Result<Home, HomeError> {
        if let Some(home) = setting {
            let library = home.join("lib").join(ONNX_RUNTIME);
            if !library.is_file() {
                return Err(HomeError::NotInHome {
                    home: home.to_owned(),
                    library,
                });
            }
            return Ok(Home(home.to_owned()));
        }
        let installed = program
            .and_then(Path::parent)
            .and_then(Path::parent)
            .map(Path::to_owned);
        let above = [program, working]
            .into_iter()
            .flatten()
            .flat_map(Path::ancestors);
        let candidates = installed
            .into_iter()
            .chain(above.map(|it| it.join(".native")));
        let is_home = |it: &PathBuf| it.join("lib").join(ONNX_RUNTIME).is_file();
        candidates
            .into_iter()
            .find(is_home)
            .map(Home)
            .ok_or(HomeError::NotFound)
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A model's file or folder by its name.
    #[must_use]
    pub fn model(&self, name: &str) -> PathBuf {
        self.0.join("models").join(name)
    }

    /// A model's file, which has to be there.
    ///
    /// # Errors
    /// It is not.
    pub fn model_file(&self, name: &str) -> Result<PathBuf, HomeError> {
        let path = self.model(name);
        if path.is_file() {
            Ok(path)
        } else {
            Err(HomeError::NoModel(path))
        }
    }

    /// The folder with what a service needs for GPUs. The services need different versions of CUDA.
    #[must_use]
    pub fn cuda(&self, service: &str) -> PathBuf {
        self.0.join(format!("cuda-{service}")).join("lib")
    }

    /// ONNX Runtime's library.
    #[must_use]
    pub fn onnx_runtime(&self) -> PathBuf {
        self.0.join("lib").join(ONNX_RUNTIME)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn with_library(folder: &Path) -> PathBuf {
        fs::create_dir_all(folder.join("lib")).unwrap();
        fs::write(folder.join("lib").join(ONNX_RUNTIME), b"").unwrap();
        folder.to_owned()
    }

    #[test]
    fn the_setting_wins_over_the_program_s_place_over_a_checkout() {
        let root = tempfile::tempdir().unwrap();
        let checkout = with_library(&root.path().join("repo/.native"));
        let program = root.path().join("repo/target/debug/service");
        let find = |setting: Option<&Path>| {
            Home::find(setting, Some(&program), Some(root.path())).map(|it| it.0)
        };
        assert_eq!(find(None).unwrap(), checkout);
        let installed = with_library(&root.path().join("repo/target"));
        assert_eq!(find(None).unwrap(), installed);
        let set = with_library(&root.path().join("elsewhere"));
        assert_eq!(find(Some(&set)).unwrap(), set);
    }

    #[test]
    fn a_checkout_is_found_from_the_working_directory_too() {
        let root = tempfile::tempdir().unwrap();
        let checkout = with_library(&root.path().join("repo/.native"));
        let working = root.path().join("repo/docs");
        assert_eq!(
            Home::find(None, Some(Path::new("/nowhere/service")), Some(&working))
                .unwrap()
                .0,
            checkout
        );
    }

    #[test]
    fn what_is_missing_is_named_with_the_remedy() {
        let root = tempfile::tempdir().unwrap();
        for setting in [None, Some(root.path())] {
            let error = Home::find(setting, None, Some(root.path()))
                .unwrap_err()
                .to_string();
            assert!(
                error.contains("scripts/setup.sh") && error.contains(ONNX_RUNTIME),
                "{error}"
            );
        }
        let home = Home(root.path().to_owned());
        assert!(home.onnx_runtime().ends_with("lib/libonnxruntime.so"));
        let error = home.model_file("silero_vad.onnx").unwrap_err().to_string();
        assert!(error.contains("models/silero_vad.onnx"), "{error}");
    }
}
