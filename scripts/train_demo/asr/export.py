"""Weights → a CTranslate2 Whisper folder, as `ct2rs` and faster-whisper load it.

    python -m asr.export CHECKPOINT TOKENIZER OUT      # CHECKPOINT: training.pkl
"""

from __future__ import annotations

import argparse
import json
import pathlib
import pickle
import shutil

import jax
import numpy as np
from ctranslate2.specs import common_spec, whisper_spec

from asr import model, tokenizer
from asr.model import Shape, Tree

SUPPRESSED = "startoftranscript en translate transcribe startoflm startofprev nospeech".split()
PREPROCESSOR = {
    "chunk_length": 30,
    "feature_extractor_type": "WhisperFeatureExtractor",
    "feature_size": 80,
    "hop_length": 160,
    "n_fft": 400,
    "n_samples": 480_000,
    "nb_max_frames": 3000,
    "padding_side": "right",
    "padding_value": 0.0,
    "return_attention_mask": False,
    "sampling_rate": 16_000,
}


def _own(array: np.ndarray) -> np.ndarray:
    # Quantisation writes in place.
    return np.array(array, np.float32, order="C")


def _linear(spec: common_spec.LinearSpec, *parts: Tree) -> None:
    spec.weight = _own(np.concatenate([part["w"].T for part in parts]))
    spec.bias = _own(np.concatenate([part.get("b", np.zeros(part["w"].shape[1])) for part in parts]))


def _norm(spec: common_spec.LayerNormSpec, weights: Tree) -> None:
    spec.gamma, spec.beta = _own(weights["g"]), _own(weights["b"])


def _attention(spec: object, weights: Tree, norm: Tree, cross: bool = False) -> None:
    _norm(spec.layer_norm, norm)
    q, k, v, o = (weights[name] for name in "qkvo")
    for part, sources in zip(spec.linear, ([q], [k, v], [o]) if cross else ([q, k, v], [o])):
        _linear(part, *sources)


def _feed_forward(spec: object, layer: Tree) -> None:
    _norm(spec.layer_norm, layer["ln2"])
    _linear(spec.linear_0, layer["fc1"])
    _linear(spec.linear_1, layer["fc2"])


def filled(weights: Tree, shape: Shape) -> whisper_spec.WhisperSpec:
    """CTranslate2's description of a Whisper, with these (folded) weights in it."""
    spec = whisper_spec.WhisperSpec(shape.encoder_layers, shape.heads, shape.decoder_layers, shape.heads)
    encoder, decoder = spec.encoder, spec.decoder
    for name in ("conv1", "conv2"):
        part = getattr(encoder, name)
        part.weight = _own(np.transpose(weights[name]["w"], (2, 1, 0)))
        part.bias = _own(weights[name]["b"])
    encoder.position_encodings.encodings = _own(model.sinusoids(shape.audio_positions, shape.width))
    _norm(encoder.layer_norm, weights["enc_ln"])
    for part, layer in zip(encoder.layer, weights["enc"]):
        _attention(part.self_attention, layer["att"], layer["ln1"])
        _feed_forward(part.ffn, layer)
    decoder.embeddings.weight, decoder.projection.weight = _own(weights["emb"]), _own(weights["emb"])
    decoder.position_encodings.encodings = _own(weights["pos"])
    _norm(decoder.layer_norm, weights["dec_ln"])
    for part, layer in zip(decoder.layer, weights["dec"]):
        _attention(part.self_attention, layer["att"], layer["ln1"])
        _attention(part.attention, layer["xatt"], layer["lnx"], cross=True)
        _feed_forward(part.ffn, layer)
    return spec


def weights_of(checkpoint: pathlib.Path) -> tuple[Tree, Shape]:
    """The running average of the weights of `training.pkl`, folded."""
    state = pickle.loads(checkpoint.read_bytes())
    shape = Shape(**state["shape"])
    return model.folded(state["average"], shape, state["pieces"]), shape


def export(weights: Tree, shape: Shape, words_file: pathlib.Path, out: pathlib.Path, quantization: str = "int8") -> None:
    """Writes the folder anew; the weights are folded ones."""
    weights = jax.tree.map(np.asarray, weights)
    words = tokenizer.load(words_file)
    ids = {name: words.token_to_id(f"<|{name}|>") for name in tokenizer.SPECIAL}
    spec = filled(weights, shape)
    spec.register_vocabulary([words.id_to_token(i) for i in range(shape.vocabulary)])
    spec.config.suppress_ids = [ids[name] for name in SUPPRESSED]
    spec.config.suppress_ids_begin = [words.token_to_id("Ġ"), ids["endoftext"]]
    spec.config.lang_ids = [ids["en"]]
    spec.config.alignment_heads = [[1, head] for head in range(model.TAUGHT_HEADS)]
    spec.validate()
    spec.optimize(quantization=None if quantization == "float32" else quantization)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    spec.save(str(out))
    shutil.copyfile(words_file, out / "tokenizer.json")
    (out / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR, indent=2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=pathlib.Path)
    parser.add_argument("tokenizer", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--quantization", default="int8", choices=["int8", "int8_float32", "float16", "float32"])
    given = parser.parse_args()
    export(*weights_of(given.checkpoint), given.tokenizer, given.out, given.quantization)


if __name__ == "__main__":
    main()
