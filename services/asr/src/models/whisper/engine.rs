//! CTranslate2 itself: which device, and the calls whose rules are easy to break.

use std::{collections::BTreeMap, str::FromStr};

use ct2rs::sys;

use super::{
    MIN_ALIGNED_FRAMES, Row,
    item::ModelError,
    load::{LoadError, ModelCard, ModelFiles, Source},
};

/// Vocabularies from this size on are multilingual: OpenAI's have 51,864 tokens (English) or more.
const MULTILINGUAL_TOKENS: usize = 51_865;

/// Where a model runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    Cpu,
    /// One NVIDIA GPU, counted from 0. Each GPU has a model of its own.
    Cuda {
        index: usize,
    },
}

/// The numbers a model computes with. Those the device lacks are replaced by the nearest it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComputeType {
    /// As the weights were stored.
    Default,
    /// The fastest the device has.
    Auto,
    Float32,
    Float16,
    Bfloat16,
    Int16,
    Int8,
    Int8Float32,
    Int8Float16,
    Int8Bfloat16,
}

/// The names in configurations and what they mean.
const COMPUTE_TYPES: [(&str, ComputeType, sys::ComputeType); 10] = [
    ("default", ComputeType::Default, sys::ComputeType::DEFAULT),
    ("auto", ComputeType::Auto, sys::ComputeType::AUTO),
    ("float32", ComputeType::Float32, sys::ComputeType::FLOAT32),
    ("float16", ComputeType::Float16, sys::ComputeType::FLOAT16),
    (
        "bfloat16",
        ComputeType::Bfloat16,
        sys::ComputeType::BFLOAT16,
    ),
    ("int16", ComputeType::Int16, sys::ComputeType::INT16),
    ("int8", ComputeType::Int8, sys::ComputeType::INT8),
    (
        "int8_float32",
        ComputeType::Int8Float32,
        sys::ComputeType::INT8_FLOAT32,
    ),
    (
        "int8_float16",
        ComputeType::Int8Float16,
        sys::ComputeType::INT8_FLOAT16,
    ),
    (
        "int8_bfloat16",
        ComputeType::Int8Bfloat16,
        sys::ComputeType::INT8_BFLOAT16,
    ),
];

/// No compute type has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown compute type; it is one of default, auto, float32, float16, bfloat16, int16, int8, int8_float32, \
         int8_float16, int8_bfloat16. Given: {given}"
)]
pub struct UnknownComputeType {
    pub given: String,
}

impl FromStr for ComputeType {
    type Err = UnknownComputeType;

    fn from_str(given: &str) -> Result<ComputeType, UnknownComputeType> {
        COMPUTE_TYPES
            .iter()
            .find(|it| it.0 == given)
            .map(|it| it.1)
            .ok_or_else(|| UnknownComputeType {
                given: given.to_owned(),
            })
    }
}

impl ComputeType {
    fn of_engine(self) -> sys::ComputeType {
        COMPUTE_TYPES
            .iter()
            .find(|it| it.1 == self)
            .map_or(sys::ComputeType::DEFAULT, |it| it.2)
    }
}

/// How a model is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    pub device: Device,
    pub compute_type: ComputeType,
    /// CPU threads of one call; 0 leaves it to CTranslate2 (at most four).
    pub n_threads: usize,
}

/// How many NVIDIA GPUs the driver shows. 0 without a driver.
pub fn n_gpus() -> usize {
    usize::try_from(sys::get_device_count(sys::Device::CUDA)).unwrap_or(0)
}

pub(super) fn load(
    files: &ModelFiles,
    card: &ModelCard,
    settings: &Settings,
) -> Result<sys::Whisper, LoadError> {
    let config = config(settings)?;
    let refused = |error: &dyn std::fmt::Display| explain(&card.name, &error.to_string());
    let engine = match &files.source {
        Source::Folder(folder) => sys::Whisper::new(folder, config).map_err(|it| refused(&it))?,
        Source::Embedded(embedded) => {
            let mut reader = sys::ModelMemoryReader::new(&files.name).map_err(|it| refused(&it))?;
            for (name, content) in *embedded {
                reader.register_file(name, content);
            }
            sys::Whisper::new_from_memory(&mut reader, config).map_err(|it| refused(&it))?
        }
    };
    check(&engine, card)?;
    Ok(engine)
}

pub(super) fn refused(model: &str, error: &ModelError) -> LoadError {
    explain(model, &error.to_string())
}

fn config(settings: &Settings) -> Result<sys::Config, LoadError> {
    let (device, index) = match settings.device {
        Device::Cpu => (sys::Device::CPU, 0),
        Device::Cuda { index } => {
            let n_devices = n_gpus();
            if n_devices == 0 {
                return Err(LoadError::NoGpu);
            }
            if n_devices <= index {
                return Err(LoadError::NoSuchGpu {
                    given: index,
                    n_devices,
                });
            }
            (sys::Device::CUDA, index)
        }
    };
    Ok(sys::Config {
        device,
        compute_type: settings.compute_type.of_engine(),
        device_indices: vec![i32::try_from(index).unwrap_or(i32::MAX)],
        num_threads_per_replica: settings.n_threads,
        ..sys::Config::default()
    })
}

/// CTranslate2 decides by one token whether a model is multilingual, and decodes nonsense if that token was lost.
fn check(engine: &sys::Whisper, card: &ModelCard) -> Result<(), LoadError> {
    let n_tokens = card.vocabulary.len();
    let is_multilingual = engine.is_multilingual();
    let is_large = MULTILINGUAL_TOKENS <= n_tokens;
    if is_multilingual != card.tokenizer.is_multilingual() || (is_large && !is_multilingual) {
        return Err(LoadError::Multilingual {
            model: card.name.clone(),
            loaded: if is_multilingual {
                "multilingual"
            } else {
                "English-only"
            },
            n_tokens,
        });
    }
    if engine.n_mels() != card.n_mels {
        return Err(LoadError::Mels {
            model: card.name.clone(),
            loaded: engine.n_mels(),
            configured: card.n_mels,
        });
    }
    Ok(())
}

/// CTranslate2 opens the CUDA libraries when it first needs them, and says so in the middle of a sentence.
fn explain(model: &str, cause: &str) -> LoadError {
    let library = cause
        .split_whitespace()
        .find(|it| it.starts_with("libcu") && it.contains(".so"));
    match library {
        Some(library) => LoadError::NoCudaLibrary {
            library: library.to_owned(),
        },
        None => LoadError::Refused {
            model: model.to_owned(),
            cause: cause.to_owned(),
        },
    }
}

/// One alignment call over the whole batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AlignmentCall {
    pub(super) start_sequence: Vec<usize>,
    pub(super) text: Vec<Vec<usize>>,
    pub(super) n_frames: Vec<usize>,
    /// The rows whose results count.
    pub(super) rows: Vec<usize>,
}

/// Makes calls that give every row what it would get alone.
///
/// A call has one start sequence, so languages and tasks are kept apart. And when all rows of a call have equally many
/// frames, CTranslate2 normalises the attention over the longest text of the call, which moves the words of the
/// shorter ones; when frames differ it takes row by row. So where texts are uneven one row of each call is a dummy of
/// two frames: a row that does not count if there is one, else the one with the shortest text, which then gets a
/// call of its own.
pub(super) fn plan_alignment(rows: Vec<Row>, n_rows: usize) -> Vec<AlignmentCall> {
    let mut groups: BTreeMap<Vec<usize>, Vec<Row>> = BTreeMap::new();
    for row in rows {
        groups
            .entry(row.start_sequence.clone())
            .or_default()
            .push(row);
    }
    let mut calls = Vec::new();
    for (start_sequence, mut rows) in groups {
        let is_even = rows
            .windows(2)
            .all(|it| it[0].text.len() == it[1].text.len());
        let is_uniform = rows
            .windows(2)
            .all(|it| it[0].n_frames / 2 == it[1].n_frames / 2);
        let has_spare = rows.len() < n_rows;
        if !has_spare && is_uniform && !is_even {
            rows.sort_by_key(|it| std::cmp::Reverse(it.text.len()));
            if let Some(shortest) = rows.pop() {
                calls.push(call(&start_sequence, &[shortest], n_rows));
            }
        }
        calls.push(call(&start_sequence, &rows, n_rows));
    }
    calls
}

fn call(start_sequence: &[usize], rows: &[Row], n_rows: usize) -> AlignmentCall {
    let mut call = AlignmentCall {
        start_sequence: start_sequence.to_vec(),
        text: vec![Vec::new(); n_rows],
        n_frames: vec![MIN_ALIGNED_FRAMES; n_rows],
        rows: rows.iter().map(|it| it.row).collect(),
    };
    for row in rows {
        call.text[row.row].clone_from(&row.text);
        call.n_frames[row.row] = row.n_frames;
    }
    call
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(row: usize, start: usize, n_text: usize, n_frames: usize) -> Row {
        Row {
            row,
            start_sequence: vec![start],
            text: vec![7; n_text],
            n_frames,
        }
    }

    /// Texts and frames of each call, `-` where a row is a dummy.
    fn plan(rows: Vec<Row>, n_rows: usize) -> Vec<String> {
        let spell = |call: AlignmentCall| {
            let rows: Vec<String> = (0..n_rows)
                .map(|row| match call.rows.contains(&row) {
                    true => format!("{}/{}", call.text[row].len(), call.n_frames[row]),
                    false => {
                        assert_eq!((call.text[row].len(), call.n_frames[row]), (0, 2));
                        "-".to_owned()
                    }
                })
                .collect();
            format!("{}: {}", call.start_sequence[0], rows.join(" "))
        };
        plan_alignment(rows, n_rows)
            .into_iter()
            .map(spell)
            .collect()
    }

    #[test]
    fn a_row_alone_is_one_call() {
        assert_eq!(plan(vec![row(0, 1, 5, 3000)], 1), ["1: 5/3000"]);
        assert_eq!(plan(vec![], 3), [""; 0]);
    }

    #[test]
    fn uneven_texts_over_equal_frames_never_fill_a_call() {
        let rows = vec![row(0, 1, 5, 3000), row(1, 1, 2, 3000), row(2, 1, 9, 3000)];
        assert_eq!(plan(rows, 3), ["1: - 2/3000 -", "1: 5/3000 - 9/3000"]);
    }

    #[test]
    fn one_call_is_enough_where_nothing_is_normalised_together() {
        assert_eq!(
            plan(vec![row(0, 1, 5, 3000), row(1, 1, 5, 3000)], 2),
            ["1: 5/3000 5/3000"]
        );
        assert_eq!(
            plan(vec![row(0, 1, 5, 3000), row(1, 1, 2, 2998)], 2),
            ["1: 5/3000 2/2998"]
        );
        assert_eq!(
            plan(vec![row(0, 1, 5, 3000), row(2, 1, 2, 3000)], 3),
            ["1: 5/3000 - 2/3000"]
        );
    }

    #[test]
    fn languages_are_kept_apart() {
        let rows = vec![row(0, 1, 5, 3000), row(1, 2, 2, 3000)];
        assert_eq!(plan(rows, 2), ["1: 5/3000 -", "2: - 2/3000"]);
    }

    #[test]
    fn a_missing_cuda_library_is_named() {
        let error = explain(
            "base",
            "Library libcublas.so.12 is not found or cannot be loaded",
        );
        assert!(
            error
                .to_string()
                .starts_with("the CUDA library libcublas.so.12 is missing"),
            "{error}"
        );
        assert!(
            explain("base", "File model.bin is incomplete")
                .to_string()
                .contains("is incomplete")
        );
    }

    #[test]
    fn compute_types_have_the_engines_names() {
        for (name, compute_type, engine) in COMPUTE_TYPES {
            assert_eq!(name.parse(), Ok(compute_type));
            assert_eq!(engine.to_string(), name);
        }
        assert!("fp16".parse::<ComputeType>().is_err());
    }
}
