"""The published models' loop as plainly as it can be written: one request at a time, greedy, numpy and onnxruntime.

It is the measure for the server's engine, so it shares nothing with it: names, widths, layers and number types are read
from the graphs, everything else is from the published contract.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
import unicodedata

import numpy as np
import onnxruntime
import soundfile
from tokenizers import Tokenizer

RATE, SAMPLES_PER_TOKEN = 24_000, 960
START, STOP, EXAGGERATION, SILENCE = 6561, 6562, 6563, 4299
CODES = 6561
GRAPHS = ("speech_encoder", "embed_tokens", "language_model", "conditional_decoder")
NUMPY = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
# Both ends of a text in the tokenizer's template.
ENGLISH_START, ENGLISH_END, TURBO_END = [EXAGGERATION, 255], [0, START, START], [50_256, 50_256]


@dataclasses.dataclass(frozen=True)
class Voice:
    prefix: np.ndarray
    tokens: np.ndarray
    speaker: np.ndarray
    mel: np.ndarray


@dataclasses.dataclass(frozen=True)
class Settings:
    exaggeration: float = 0.5
    cfg_weight: float = 0.0
    repetition_penalty: float = 1.2
    max_tokens: int = 1_000


@dataclasses.dataclass(frozen=True)
class Said:
    tokens: list[int]
    stop: str
    # How far the least certain choice was from being another.
    margin: float


def read_wav(path: pathlib.Path) -> np.ndarray:
    """Cut to whole tokens, so that there are two mel frames for each prompt token; otherwise as it is."""
    samples, rate = soundfile.read(path, dtype="float32")
    assert rate == RATE and samples.ndim == 1, path
    return samples[: len(samples) // SAMPLES_PER_TOKEN * SAMPLES_PER_TOKEN]


def punctuation(text: str, family: str) -> str:
    """What every family does to a text before it is tokenised."""
    text = " ".join(text.split())
    if not text:
        raise ValueError("no text")
    text = text[0].upper() + text[1:]
    rules = [("...", ", "), ("…", ", "), (":", ","), (" - ", ", "), (";", ", "), ("—", "-"), ("–", "-"), (" ,", ",")]
    rules += [("“", '"'), ("”", '"'), ("‘", "'"), ("’", "'")]
    if family == "turbo":
        rules = [it for it in rules if it[0] not in ("...", " - ", ";")]
    for found, instead in rules:
        text = text.replace(found, instead)
    text = text.rstrip(" ")
    ends = ".!?-," + ("、，。？！" if family == "multilingual" else "")
    return text if text[-1] in ends else text + "."


def written(text: str, language: str) -> str:
    """What the multilingual packs do to a language's letters. Chinese and Hebrew need tables, which are not for here."""
    if language == "ko":
        return "".join(unicodedata.normalize("NFD", it) if "가" <= it <= "힣" else it for it in text)
    return unicodedata.normalize("NFKD", text) if language == "ja" else text


class Pack:
    def __init__(self, folder: pathlib.Path, suffixes: dict[str, str] | None = None, threads: int = 1) -> None:
        """`suffixes` picks one of several precisions of a graph, as in `{"language_model": "_fp16"}`."""
        self.folder = folder
        self.files = {it: _find(folder, it, (suffixes or {}).get(it)) for it in GRAPHS}
        sessions = {it: _load(path, threads) for it, path in self.files.items()}
        self.encoder, self.embedder, self.model, self.decoder = (sessions[it] for it in GRAPHS)
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        inputs = {it.name: it for it in self.model.get_inputs()}
        outputs = [it.name for it in self.model.get_outputs()]
        self.outputs = ["logits", *(it for it in outputs if it.startswith("present."))]
        # Presents become pasts by name: their order is nobody's promise.
        self.pasts = [it.replace("present.", "past_key_values.", 1) for it in self.outputs[1:]]
        first = inputs[self.pasts[0]]
        self.layers, self.kv_heads, self.head_width = len(self.pasts) // 2, first.shape[1], first.shape[3]
        self.cache_type = NUMPY[first.type]
        self.has_positions = "position_ids" in inputs
        self.width = inputs["inputs_embeds"].shape[2]
        self.head = self.model.get_outputs()[outputs.index("logits")].shape[2]
        self.embed_inputs = [it.name for it in self.embedder.get_inputs()]
        languages = re.findall(r'"\[([a-z]{2})\]"', (folder / "tokenizer.json").read_text())
        self.languages = sorted(set(languages)) or ["en"]
        if "exaggeration" not in self.embed_inputs:
            self.family = "turbo"
        else:
            self.family = "multilingual" if len(self.languages) > 1 else "english"

    # --- voice ---

    def listen(self, samples: np.ndarray) -> Voice:
        names = ["audio_features", "audio_tokens", "speaker_embeddings", "speaker_features"]
        return Voice(*self.encoder.run(names, {"audio_values": samples[None]}))

    # --- text ---

    def encode(self, text: str, language: str = "en") -> tuple[str, list[int]]:
        text = punctuation(text, self.family)
        if self.family == "multilingual":
            text = f"[{language}]{written(text, language)}"
        ids = self.tokenizer.encode(text).ids
        if self.family == "turbo":
            assert ids[-2:] == TURBO_END
        else:
            assert ids[:2] == ENGLISH_START and ids[-3:] == ENGLISH_END
        return text, ids

    def positions(self, ids: list[int]) -> list[int]:
        """Of the text; speech ids have none. Only families whose embedding asks for them have any."""
        if "position_ids" not in self.embed_inputs:
            return []
        return [0 if it >= START else at - 1 for at, it in enumerate(ids)]

    def embed(self, ids: np.ndarray, positions: np.ndarray, exaggeration: np.ndarray) -> np.ndarray:
        given = {"input_ids": ids, "position_ids": positions, "exaggeration": exaggeration}
        inputs = {it: given[it] for it in self.embed_inputs}
        return self.embedder.run(["inputs_embeds"], inputs)[0].astype(np.float32)

    def prompt(self, voice: Voice, ids: list[int], exaggeration: float, cfg: bool = False) -> np.ndarray:
        """[rows, length, width]: the voice and the text; with `cfg` a second row whose text is nought."""
        positions = np.array([self.positions(ids)], np.int64)
        text = self.embed(np.array([ids], np.int64), positions, np.array([exaggeration], np.float32))
        row = np.concatenate([voice.prefix.astype(np.float32), text], axis=1)
        if not cfg:
            return row
        without = row.copy()
        first = voice.prefix.shape[1] + 1
        without[:, first : first + ids.index(0)] = 0
        return np.concatenate([row, without])

    # --- speech ---

    def empty_cache(self, rows: int) -> list[np.ndarray]:
        shape = (rows, self.kv_heads, 0, self.head_width)
        return [np.zeros(shape, self.cache_type) for _ in self.pasts]

    def step(self, embeds: np.ndarray, mask: np.ndarray, positions: np.ndarray, cache: list[np.ndarray]):
        inputs = {"inputs_embeds": embeds, "attention_mask": mask, **dict(zip(self.pasts, cache))}
        if self.has_positions:
            inputs["position_ids"] = positions
        logits, *cache = self.model.run(self.outputs, inputs)
        return logits.astype(np.float32), cache

    def say(self, voice: Voice, ids: list[int], settings: Settings, noise: np.random.RandomState | None = None) -> Said:
        cfg = settings.cfg_weight > 0
        embeds = self.prompt(voice, ids, settings.exaggeration, cfg)
        if noise:
            embeds = embeds + noise.uniform(-1e-5, 1e-5, embeds.shape).astype(np.float32)
        rows, length, _ = embeds.shape
        cache = self.empty_cache(rows)
        positions = np.tile(np.arange(length, dtype=np.int64), (rows, 1))
        said: list[int] = []
        margin = float("inf")
        while len(said) < settings.max_tokens:
            mask = np.ones((rows, length), np.int64)
            logits, cache = self.step(embeds, mask, positions, cache)
            token, sure = choose(logits[:, -1], said, settings)
            margin = min(margin, sure)
            if token == STOP:
                return Said(said, "stop_token", margin)
            said.append(token)
            embeds = self.embed(*next_inputs([token] * rows, [len(said)] * rows, [settings.exaggeration] * rows))
            positions = np.full((rows, 1), length, np.int64)
            length += 1
        return Said(said, "max_tokens", margin)

    def decode(self, voice: Voice, tokens: list[int]) -> np.ndarray:
        everything = np.concatenate([voice.tokens, np.array([tokens], np.int64).reshape(1, -1)], axis=1)
        inputs = {"speech_tokens": everything, "speaker_embeddings": voice.speaker, "speaker_features": voice.mel}
        return self.decoder.run(["waveform"], inputs)[0][0]


def next_inputs(tokens: list[int], numbers: list[int], exaggerations: list[float]):
    """Inputs that embed one token for each row: the k-th token of a row has speech position k, from 1."""
    column = lambda values: np.array(values, np.int64)[:, None]
    return column(tokens), column(numbers), np.array(exaggerations, np.float32)


def choose(logits: np.ndarray, said: list[int], settings: Settings) -> tuple[int, float]:
    """Guidance, then the penalty for what was said (START counts as said), then the best of what may be said."""
    scores = logits[0].copy()
    if len(logits) == 2:
        scores += settings.cfg_weight * (logits[0] - logits[1])
    seen = np.unique([START, *said])
    penalty = np.float32(settings.repetition_penalty)
    scores[seen] = np.where(scores[seen] > 0, scores[seen] / penalty, scores[seen] * penalty)
    scores[CODES] = -np.inf
    scores[STOP + 1 :] = -np.inf
    second, first = np.partition(scores, -2)[-2:]
    return int(scores.argmax()), float(first - second)


def _find(folder: pathlib.Path, graph: str, suffix: str | None) -> pathlib.Path:
    wanted = f"{graph}{suffix if suffix is not None else '*'}.onnx"
    found = sorted(it for place in (folder, folder / "onnx") for it in place.glob(wanted))
    # Without a suffix `language_model*` is also every other precision of it: the plain name comes first.
    exact = [it for it in found if it.stem == graph] or found
    assert exact, f"{wanted} is not in {folder}"
    return exact[0]


def _load(path: pathlib.Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
