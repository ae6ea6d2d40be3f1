"""The corpus in memory: where each clip's features are, its tokens, and what is spoken in each frame."""

from __future__ import annotations

import json
import pathlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from asr.model import PHONE_SETS

# A phone set in which a frame has no label.
UNKNOWN = -1


@dataclass(frozen=True)
class Clip:
    """Frames are of 10 ms. `spans` says for each token when it is spoken; None where only the whole's begin and end are known."""

    features: np.ndarray
    first: int
    frames: int
    tokens: np.ndarray
    spans: np.ndarray | None
    begin: float
    end: float
    phones: np.ndarray
    phone_set: int

    def log_mel(self) -> np.ndarray:
        return np.asarray(self.features[self.first : self.first + self.frames], np.float32)


class Clips:
    """All clips of a folder. Phones get their numbers as they come; `phone_names` are those that have theirs from an earlier process."""

    def __init__(self, folder: pathlib.Path, tokenizer: Tokenizer, phone_names: list[dict[str, int]] | None = None) -> None:
        self._tokenizer = tokenizer
        self._pieces: dict[str, tuple[list[int], np.ndarray]] = {}
        self.phone_names = phone_names or [{"sil": 0} for _ in PHONE_SETS]
        self.all: list[Clip] = []
        for path in sorted(folder.glob("clips_*.json")):
            features = np.load(path.with_name(path.name.replace("clips", "features")).with_suffix(".npy"), mmap_mode="r")
            at = 0
            for entry in json.loads(path.read_text()):
                self.all.append(self._clip(entry, features, at))
                at += entry["frames"]
        if not self.all:
            raise FileNotFoundError(f"no clips in {folder}")
        lengths = np.array([clip.frames for clip in self.all])
        self._by_length = np.argsort(lengths, kind="stable")
        self._lengths = lengths[self._by_length]

    def __len__(self) -> int:
        return len(self.all)

    def any(self, r: np.random.Generator) -> Clip:
        return self.all[r.integers(len(self.all))]

    def of_length(self, r: np.random.Generator, fewest: float, most: float) -> Clip:
        """A clip with so many frames; where there is none, a shorter one."""
        low, high = np.searchsorted(self._lengths, [fewest, most])
        if high <= low:
            low, high = 0, max(1, high)
        return self.all[self._by_length[r.integers(low, high)]]

    def pieces(self, word: str) -> tuple[list[int], np.ndarray]:
        """The tokens of a word, and the shares of its time at which each begins and ends: by the letters."""
        if word not in self._pieces:
            ids = self._tokenizer.encode(f" {word}").ids
            letters = [max(1, len(self._tokenizer.decode([i]).strip())) for i in ids]
            edges = np.cumsum([0, *letters]) / sum(letters)
            self._pieces[word] = ids, np.stack([edges[:-1], edges[1:]], 1)
        return self._pieces[word]

    def _clip(self, entry: dict[str, Any], features: np.ndarray, first: int) -> Clip:
        labels, phone_set = self._labels(entry)
        tokens: list[int] = []
        spans: list[np.ndarray] = []
        for word, start, end in entry["words"]:
            ids, shares = self.pieces(word)
            tokens += ids
            spans.append(100 * (start + (end - start) * shares))
        timed = entry.get("timed", True)
        whole = np.concatenate(spans)
        return Clip(
            features, first, entry["frames"], np.array(tokens), whole if timed else None, whole[0, 0], whole[-1, 1], labels, phone_set
        )  # fmt: skip

    def _labels(self, entry: dict[str, Any]) -> tuple[np.ndarray, int]:
        if entry["phone_set"] not in PHONE_SETS:
            return np.full(entry["frames"], UNKNOWN, np.int16), 0
        phone_set = list(PHONE_SETS).index(entry["phone_set"])
        labels, names = np.zeros(entry["frames"], np.int16), self.phone_names[phone_set]
        room = PHONE_SETS[entry["phone_set"]]
        for start, end, name in entry["phones"]:
            label = names.setdefault(name, len(names))
            # A set has room for all its usual phones; the rarest stay without a label.
            labels[max(0, round(start * 100)) : max(0, round(end * 100))] = label if label < room else UNKNOWN
        return labels, phone_set
