//! The small English model that is compiled in, so that the server starts with no download at all.

use super::load::{EmbeddedFile, ModelFiles, Source};

macro_rules! embedded {
    ($name:literal) => {
        (
            $name,
            include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/models/demo/", $name)) as &[u8],
        )
    };
}

static FILES: [EmbeddedFile; 5] = [
    embedded!("model.bin"),
    embedded!("config.json"),
    embedded!("vocabulary.json"),
    embedded!("tokenizer.json"),
    embedded!("preprocessor_config.json"),
];

/// The built-in model, `demo`.
pub fn files() -> ModelFiles {
    ModelFiles {
        name: "demo".to_owned(),
        source: Source::Embedded(&FILES),
    }
}
