//! What the graphs of a model declare: the sizes that are read, and the names that have to be there.

use ort::value::TensorElementType;

use super::{Part, Parts};
use crate::models::conditioning::{MEL_BINS, SPEAKER_WIDTH};
use crate::models::onnx::graph::{Graph, Port};
use crate::models::onnx::{Float, GraphFile, OpenError};

/// Attention that knows how long each row is.
pub(super) const GROUPED: &str = "GroupQueryAttention";
/// The speech tokens and the two marks.
const MIN_HEAD: usize = 6563;

/// Sizes and types that differ between families and precisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    pub hidden: usize,
    pub n_layers: usize,
    pub n_kv_heads: usize,
    pub head_dim: usize,
    pub kv: Float,
    /// `None` if the graph does not say.
    pub n_logits: Option<usize>,
    pub asks: Asks,
    /// The decoder declares that it takes several sentences at once.
    pub decoder_batch: bool,
    pub floats: Floats,
}

/// What the graphs ask for in some families only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asks {
    /// The language model asks where it is.
    pub lm_positions: bool,
    /// The embedding asks where it is: the families with learned positions.
    pub embed_positions: bool,
    pub exaggeration: bool,
}

/// The float types that the graphs ask for; what they answer is seen when they do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Floats {
    pub audio: Float,
    pub exaggeration: Float,
    pub lm_embeds: Float,
    pub speaker: Float,
    pub mel: Float,
}

impl Shape {
    pub(super) fn of(
        graphs: &Parts<GraphFile>,
        declared: &Parts<Graph>,
    ) -> Result<Shape, OpenError> {
        let check = |part| Check {
            file: graphs.get(part),
            graph: declared.get(part),
        };
        let encoder = check(Part::SpeechEncoder);
        let embed = check(Part::EmbedTokens);
        let lm = check(Part::LanguageModel);
        let decoder = check(Part::ConditionalDecoder);

        let audio = encoder.float_input("audio_values", &[None, None])?;
        encoder.float_output("audio_features", &[None, None, None])?;
        encoder.output("audio_tokens", TensorElementType::Int64, &[None, None])?;
        encoder.float_output("speaker_embeddings", &[None, Some(SPEAKER_WIDTH)])?;
        encoder.float_output("speaker_features", &[None, None, Some(MEL_BINS)])?;
        encoder.no_other_inputs(&["audio_values"])?;

        embed.input("input_ids", TensorElementType::Int64, &[None, None])?;
        let embed_positions = embed.graph.input("position_ids").is_some();
        if embed_positions {
            embed.input("position_ids", TensorElementType::Int64, &[None, None])?;
        }
        let exaggeration = embed.graph.input("exaggeration").is_some();
        let exaggeration_float = if exaggeration {
            embed.float_input("exaggeration", &[None])?
        } else {
            Float::F32
        };
        embed.float_output("inputs_embeds", &[None, None, None])?;
        embed.no_other_inputs(&["input_ids", "position_ids", "exaggeration"])?;

        let speaker = decoder.float_input("speaker_embeddings", &[None, Some(SPEAKER_WIDTH)])?;
        let mel = decoder.float_input("speaker_features", &[None, None, Some(MEL_BINS)])?;
        let tokens = decoder.input("speech_tokens", TensorElementType::Int64, &[None, None])?;
        decoder.float_output("waveform", &[None, None])?;
        decoder.no_other_inputs(&["speech_tokens", "speaker_embeddings", "speaker_features"])?;

        let head = Head::of(&lm)?;
        let lm_embeds = lm.float_input("inputs_embeds", &[None, None, None])?;
        Ok(Shape {
            hidden: hidden(&[
                (&lm, lm.graph.input("inputs_embeds")),
                (&embed, embed.graph.output("inputs_embeds")),
                (&encoder, encoder.graph.output("audio_features")),
            ])?,
            n_layers: head.n_layers,
            n_kv_heads: head.n_kv_heads,
            head_dim: head.head_dim,
            kv: head.kv,
            n_logits: head.n_logits,
            asks: Asks {
                lm_positions: lm.graph.input("position_ids").is_some(),
                embed_positions,
                exaggeration,
            },
            decoder_batch: tokens.shape[0].is_none(),
            floats: Floats {
                audio,
                exaggeration: exaggeration_float,
                lm_embeds,
                speaker,
                mel,
            },
        })
    }
}

/// What the language model says of its memory and its answer.
struct Head {
    n_layers: usize,
    n_kv_heads: usize,
    head_dim: usize,
    kv: Float,
    n_logits: Option<usize>,
}

impl Head {
    fn of(lm: &Check<'_>) -> Result<Head, OpenError> {
        lm.input("attention_mask", TensorElementType::Int64, &[None, None])?;
        let logits = lm.float_output("logits", &[None, None, None])?;
        let _: Float = logits;
        let n_logits = lm
            .graph
            .output("logits")
            .and_then(|it| it.shape.get(2).copied().flatten());
        if let Some(given) = n_logits.filter(|it| *it < MIN_HEAD) {
            return Err(lm.unexpected(format!(
                "its output `logits` must have at least {MIN_HEAD} columns. Given: {given}"
            )));
        }
        let n_layers = lm
            .graph
            .inputs
            .iter()
            .filter(|it| it.name.starts_with("past_key_values.") && it.name.ends_with(".key"))
            .count();
        if n_layers == 0 {
            return Err(lm.unexpected("it has no inputs `past_key_values.0.key` and so on"));
        }
        let kv = lm.float_input("past_key_values.0.key", &[None, None, None, None])?;
        let shape = lm.graph.input("past_key_values.0.key").map(|it| &*it.shape);
        let Some([_, Some(n_kv_heads), _, Some(head_dim)]) = shape else {
            return Err(lm.unexpected(
                "its input `past_key_values.0.key` does not say how many heads it has and how wide they are",
            ));
        };
        let expected = [None, Some(*n_kv_heads), None, Some(*head_dim)];
        let mut known = vec![
            "inputs_embeds".to_owned(),
            "attention_mask".to_owned(),
            "position_ids".to_owned(),
        ];
        for layer in 0..n_layers {
            for half in ["key", "value"] {
                let past = format!("past_key_values.{layer}.{half}");
                lm.input(&past, kv.element(), &expected)?;
                lm.output(&format!("present.{layer}.{half}"), kv.element(), &expected)?;
                known.push(past);
            }
        }
        if lm.graph.input("position_ids").is_some() {
            lm.input("position_ids", TensorElementType::Int64, &[None, None])?;
        }
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        lm.no_other_inputs(&known)?;
        Ok(Head {
            n_layers,
            n_kv_heads: *n_kv_heads,
            head_dim: *head_dim,
            kv,
            n_logits,
        })
    }
}

/// The one width that all that say it agree on.
fn hidden(declared: &[(&Check<'_>, Option<&Port>)]) -> Result<usize, OpenError> {
    let mut found: Option<usize> = None;
    for (check, port) in declared {
        let Some(width) = port.and_then(|it| it.shape.last().copied().flatten()) else {
            continue;
        };
        if found.is_some_and(|it| it != width) {
            return Err(check.unexpected(format!(
                "it is {width} wide and the language model {}; they are of different models",
                found.unwrap_or_default()
            )));
        }
        found = Some(width);
    }
    let (lm, _) = declared[0];
    found.ok_or_else(|| lm.unexpected("no graph says how wide `inputs_embeds` is"))
}

/// A graph that is compared with what is expected of it.
struct Check<'a> {
    file: &'a GraphFile,
    graph: &'a Graph,
}

impl<'a> Check<'a> {
    fn unexpected(&self, what: impl Into<String>) -> OpenError {
        OpenError::Unexpected {
            file: self.file.to_string(),
            what: what.into(),
        }
    }

    fn input(
        &self,
        name: &str,
        element: TensorElementType,
        shape: &[Option<usize>],
    ) -> Result<&'a Port, OpenError> {
        let port = self.find("input", &self.graph.inputs, name)?;
        self.compare("input", port, &[element], shape)?;
        Ok(port)
    }

    fn output(
        &self,
        name: &str,
        element: TensorElementType,
        shape: &[Option<usize>],
    ) -> Result<&'a Port, OpenError> {
        let port = self.find("output", &self.graph.outputs, name)?;
        self.compare("output", port, &[element], shape)?;
        Ok(port)
    }

    fn float_input(&self, name: &str, shape: &[Option<usize>]) -> Result<Float, OpenError> {
        self.float("input", &self.graph.inputs, name, shape)
    }

    fn float_output(&self, name: &str, shape: &[Option<usize>]) -> Result<Float, OpenError> {
        self.float("output", &self.graph.outputs, name, shape)
    }

    fn float(
        &self,
        side: &str,
        ports: &[Port],
        name: &str,
        shape: &[Option<usize>],
    ) -> Result<Float, OpenError> {
        let port = self.find(side, ports, name)?;
        let floats = [TensorElementType::Float32, TensorElementType::Float16];
        self.compare(side, port, &floats, shape)?;
        Float::of(port.element)
            .ok_or_else(|| self.unexpected(format!("its {side} `{name}` is not a float")))
    }

    fn find<'p>(&self, side: &str, ports: &'p [Port], name: &str) -> Result<&'p Port, OpenError> {
        ports.iter().find(|it| it.name == name).ok_or_else(|| {
            let names: Vec<String> = ports.iter().map(|it| format!("`{}`", it.name)).collect();
            self.unexpected(format!(
                "it has no {side} `{name}`, only {}",
                names.join(", ")
            ))
        })
    }

    fn compare(
        &self,
        side: &str,
        port: &Port,
        elements: &[TensorElementType],
        shape: &[Option<usize>],
    ) -> Result<(), OpenError> {
        let fits = |(found, expected): (&Option<usize>, &Option<usize>)| {
            found.is_none() || expected.is_none() || found == expected
        };
        let same = port.element.is_some_and(|it| elements.contains(&it))
            // An exporter may leave the shape of an output open.
            && (port.shape.len() == shape.len() || (side == "output" && port.shape.is_empty()))
            && port.shape.iter().zip(shape).all(fits);
        if same {
            return Ok(());
        }
        let expected: Vec<String> = elements.iter().map(ToString::to_string).collect();
        Err(self.unexpected(format!(
            "its {side} `{}` is {} {}, not {} {}",
            port.name,
            port.element
                .map_or_else(|| "no tensor".to_owned(), |it| it.to_string()),
            lengths(&port.shape),
            expected.join(" or "),
            lengths(shape),
        )))
    }

    fn no_other_inputs(&self, known: &[&str]) -> Result<(), OpenError> {
        let other = self
            .graph
            .inputs
            .iter()
            .find(|it| !known.contains(&&*it.name));
        match other {
            None => Ok(()),
            Some(port) => Err(self.unexpected(format!(
                "it asks for `{}`, which no published model of a known family does",
                port.name
            ))),
        }
    }
}

fn lengths(shape: &[Option<usize>]) -> String {
    let lengths: Vec<String> = shape
        .iter()
        .map(|it| it.map_or_else(|| "any".to_owned(), |it| it.to_string()))
        .collect();
    format!("[{}]", lengths.join(", "))
}
