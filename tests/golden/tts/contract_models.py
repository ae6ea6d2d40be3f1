#!/usr/bin/env python3
"""Makes the contract models in `tests/fixtures/tts-contract`: small, random, and with exactly the published interface.

    contract_models.py [VARIANT ...]     # needs numpy, onnx, scipy

Their names, shapes, number types, ids, tokenizer templates and file layouts are those of the published exports; what they say
is a hum. `contract_language.py` and `contract_audio.py` say how they were made so that mistakes are audible.
The outcome is committed: tests must not depend on how a platform rounds.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import shutil
import sys

import contract_audio as audio
import contract_tokenizers as tokenizers
from contract_language import STOP, Language, write_embeddings, write_language_model

OUT = pathlib.Path(__file__).resolve().parents[2] / "fixtures/tts-contract"
GRAPHS = ("speech_encoder", "embed_tokens", "language_model", "conditional_decoder")
PREFIX = "past_key_values"


@dataclasses.dataclass(frozen=True)
class Variant:
    language: Language
    # In `onnx/` with the weights in a sidecar, as published, or beside the tokenizer in one file each.
    published_layout: bool = False
    # The ending of each graph's file name, which says its precision. Only the language model's cache differs for real.
    suffixes: dict[str, str] = dataclasses.field(default_factory=dict)
    one_at_a_time: bool = False
    multilingual: bool = False
    # Pitch, seconds, peak and floating point or not of the default voice.
    voice: tuple[float, float, float, bool] | None = (110.0, 1.24, 0.7, False)


ENGLISH = Language(seed=100)
VARIANTS = {
    "en": Variant(ENGLISH),
    # The published voice is in floating point, goes beyond 1 and is no whole number of tokens long.
    "en-f16": Variant(
        dataclasses.replace(ENGLISH, half_cache=True),
        published_layout=True,
        suffixes={"language_model": "_fp16"},
        voice=(140.0, 1.27, 1.08, True),
    ),
    "en-plain": Variant(dataclasses.replace(ENGLISH, seed=200, fused=False, layers=3)),
    "en-batch1": Variant(dataclasses.replace(ENGLISH, seed=300), one_at_a_time=True),
    "multilingual": Variant(
        Language(seed=400, text_rows=tokenizers.MULTILINGUAL_ROWS),
        published_layout=True,
        multilingual=True,
        one_at_a_time=True,
        voice=(190.0, 1.24, 0.7, False),
    ),
    "turbo": Variant(
        Language(seed=500, turbo=True, layers=3, half_cache=True),
        published_layout=True,
        suffixes={"embed_tokens": "_fp16", "language_model": "_q4f16", "conditional_decoder": "_q4"},
        voice=None,
    ),
    "turbo-plain": Variant(Language(seed=600, turbo=True, fused=False, layers=12), voice=(95.0, 1.24, 0.7, False)),
}


def write(name: str, it: Variant) -> None:
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    seed, turbo = it.language.seed, it.language.turbo
    graphs = folder / "onnx" if it.published_layout else folder
    path = lambda graph: graphs / f"{graph}{it.suffixes.get(graph, '')}.onnx"
    sidecar = it.published_layout
    audio.write_encoder(path("speech_encoder"), seed + 2, turbo, sidecar)
    write_embeddings(path("embed_tokens"), it.language, sidecar)
    write_language_model(path("language_model"), it.language, sidecar)
    audio.write_decoder(path("conditional_decoder"), seed + 3, it.one_at_a_time, sidecar)
    if name == "en-f16":
        # Two precisions beside each other, so that one must be chosen.
        both = dataclasses.replace(it.language, half_cache=False)
        write_language_model(graphs / "language_model.onnx", both, sidecar)
    vocabulary = tokenizers.turbo() if turbo else tokenizers.english(it.multilingual)
    save(folder / "tokenizer.json", vocabulary)
    ends = STOP if turbo else [2, STOP]
    save(folder / "generation_config.json", {"bos_token_id": 1, "eos_token_id": ends, "repetition_penalty": 1.2})
    cache = {"fp16": "float16", "q4f16": "float16"}
    save(folder / "config.json", {"model_type": "chatterbox", "transformers.js_config": {"kv_cache_dtype": cache}})
    if it.voice:
        audio.write_voice(folder / "default_voice.wav", *it.voice)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(f"{name}: {size / 1e3:.0f} kB")


def save(path: pathlib.Path, value: dict) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")


def main() -> None:
    for name in sys.argv[1:] or VARIANTS:
        write(name, VARIANTS[name])


if __name__ == "__main__":
    main()
