//! The names of Whisper models, and where each is.

use std::path::Path;

use chassis::home::Home;

use super::whisper::{demo, load::ModelFiles};

/// The model that is compiled in.
pub const DEMO: &str = "demo";

/// The short form of a name, in which the folders of known models are called: `openai/whisper-base` is `base`. A path stays as it is.
pub fn canonical(given: &str) -> String {
    let given = given.trim();
    if Path::new(given).is_absolute() {
        return given.to_owned();
    }
    // Who names an owner means what lies there, and OpenAI's first large model kept the name. Without an owner, `large` is the
    // latest, as for OpenAI's own program and for faster-whisper.
    if given == "openai/whisper-large" {
        return "large-v1".to_owned();
    }
    let name = match given.split_once('/') {
        Some((_owner, name)) => name,
        None => given,
    };
    let name = match name.strip_prefix("faster-") {
        Some(name) => name,
        None => name,
    };
    // `distil-whisper-small.en` is called `distil-small.en` elsewhere.
    let (distil, name) = match name.strip_prefix("distil-") {
        Some(name) => ("distil-", name),
        None => ("", name),
    };
    let name = name.strip_prefix("whisper-").unwrap_or(name);
    match (distil, name) {
        ("", "large") => "large-v3".to_owned(),
        ("", "turbo") => "large-v3-turbo".to_owned(),
        (distil, name) => format!("{distil}{name}"),
    }
}

/// The files of a model. Whether they are there shows when they are read.
pub fn files(name: &str, home: &Home) -> ModelFiles {
    let name = name.trim();
    if name == DEMO {
        return demo::files();
    }
    let path = Path::new(name);
    if path.is_absolute() {
        let short = path
            .file_name()
            .map_or_else(|| name.to_owned(), |it| it.to_string_lossy().into_owned());
        return ModelFiles::folder(short, path);
    }
    // A model that is not known by name lies under that of its repository: `own/whisper-medical` in `whisper-medical`.
    let folder = name.rsplit_once('/').map_or(name, |(_owner, own)| own);
    if home.model(folder).is_dir() {
        return ModelFiles::folder(folder, home.model(folder));
    }
    let short = canonical(name);
    ModelFiles::folder(short.as_str(), home.model(&short))
}

/// Whether a model of this name was trained to translate. Turbo and distilled ones were not.
pub fn translates(name: &str) -> bool {
    !name.contains("turbo") && !name.contains("distil")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_hubs_are_understood() {
        for (given, short) in [
            ("openai/whisper-base", "base"),
            ("openai/whisper-large-v3-turbo", "large-v3-turbo"),
            ("Systran/faster-whisper-small.en", "small.en"),
            (
                "Systran/faster-distil-whisper-medium.en",
                "distil-medium.en",
            ),
            ("distil-whisper/distil-large-v3", "distil-large-v3"),
            ("large-v3", "large-v3"),
            ("turbo", "large-v3-turbo"),
            ("large", "large-v3"),
            ("whisper-large", "large-v3"),
            ("openai/whisper-large", "large-v1"),
            (" demo ", "demo"),
            ("/models/whisper-own", "/models/whisper-own"),
        ] {
            assert_eq!(canonical(given), short, "{given}");
        }
    }

    #[test]
    fn a_folder_that_is_there_goes_before_the_short_form_of_its_name() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["lib", "models/whisper-medical-ct2"] {
            std::fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        std::fs::write(root.path().join("lib/libonnxruntime.so"), b"").unwrap();
        let home = Home::of_process(Some(root.path())).unwrap();
        for (given, name) in [
            ("whisper-medical-ct2", "whisper-medical-ct2"),
            ("own/whisper-medical-ct2 ", "whisper-medical-ct2"),
            ("openai/whisper-base", "base"),
            ("demo", "demo"),
        ] {
            assert_eq!(files(given, &home).name, name, "{given}");
        }
    }
}
