"""One training window: several clips with pauses between them, heard through a chance channel, and what the decoder should write.

Everything happens in the mel domain, where clips are added as powers, so that each window costs a few milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from asr import features, noise, telephone
from asr.clips import UNKNOWN, Clip, Clips
from asr.tokenizer import Special

# The encoder's frames are of 20 ms: two of the features'.
PER_ENCODER_FRAME = 2
# Tokens of text whose history is spoiled, of those windows whose history is.
WRONG_HISTORY = 0.25
# Frames between two that the classifiers of tokens look at.
TOKEN_FRAME_STEP = 3


@dataclass(frozen=True)
class Kind:
    """How long a window is, how many tokens it has room for, and how strongly it is changed (0 to 1)."""

    frames: int
    tokens: int
    strength: float
    wrong_history: float = 0.5


@dataclass
class Placed:
    """A clip in a window: from which frame on, and its times moved there."""

    clip: Clip
    begin: float
    end: float
    spans: np.ndarray | None


@dataclass
class Sound:
    """A window while it is composed: powers, phone labels for each set, and who speaks when."""

    power: np.ndarray
    phones: np.ndarray
    placed: list[Placed] = field(default_factory=list)
    level: float = 1e-3

    @property
    def end(self) -> int:
        return int(self.placed[-1].end) + 1 if self.placed else 0


class Composer:
    """Makes windows of a corpus. The same generator gives the same window."""

    def __init__(self, clips: Clips, special: Special, seed: int) -> None:
        self.clips, self.special = clips, special
        r = np.random.default_rng(seed)
        self.noises = []
        for i in range(32):
            kind = "coloured" if i % 2 else list(noise.KINDS)[i // 2 % len(noise.KINDS)]
            power = 10 ** features.raw_log_mel(noise.make(kind, r, 12.0))
            self.noises.append((power / power.mean()).astype(np.float32))

    def window(self, r: np.random.Generator, kind: Kind, silent: bool) -> dict[str, np.ndarray]:
        """Features, decoder input and targets, and everything that supervises the encoder. Tries again if the tokens do not fit."""
        while True:
            sound = Sound(np.full((kind.frames, features.MELS), features.FLOOR, np.float32), np.zeros((2, kind.frames), np.int32))
            if not silent:
                self._speak(r, kind, sound)
            heard = self._channel(r, kind, sound)
            made = self._decoder_side(r, kind, sound)
            if made is not None:
                return {"mel": heard, **made}

    # --- what is said ---

    def _speak(self, r: np.random.Generator, kind: Kind, sound: Sound) -> None:
        left, cursor = kind.frames - 6, 0
        tight = r.random() < 0.75
        n = 1 if kind.frames < 200 or r.random() < 0.55 else int(r.integers(2, 4 if kind.frames < 1300 else 8))
        for i in range(n):
            most = (left - 8) / (n - i) / (1 if tight else 1.3)
            if most < 30:
                break
            fewest = (0.8 if tight and n == 1 else 0.5) * min(most, 500)
            clip = self.clips.of_length(r, fewest, most)
            log_mel, phones, stretch = self._warped(r, clip, kind.strength, (left - 4) / clip.frames)
            room = max(2, int((left - len(log_mel)) / (n - i)))
            if i == 0:
                gap = int(r.integers(0, min(room, 30) if r.random() < 0.6 else room))
            else:
                gap = int(r.integers(min(15, room - 1), min(room, 400)))
            at = cursor + gap
            if at + len(log_mel) > kind.frames:
                break
            power = 10**log_mel
            sound.level = float(power.mean())
            sound.power[at : at + len(power)] += power
            here = slice(at, at + len(power))
            sound.phones[:, here] = UNKNOWN
            sound.phones[clip.phone_set, here] = phones
            spans = None if clip.spans is None else clip.spans * stretch + at
            sound.placed.append(Placed(clip, clip.begin * stretch + at, clip.end * stretch + at, spans))
            cursor = at + len(power)
            left = kind.frames - cursor

    def _warped(self, r: np.random.Generator, clip: Clip, strength: float, longest: float) -> tuple[np.ndarray, np.ndarray, float]:
        """Another length of the vocal tract (along frequency) and another tempo (along time)."""
        log_mel, phones, stretch = clip.log_mel(), clip.phones, 1.0
        if r.random() < 1.4 * strength:
            log_mel = _between(log_mel.T, np.clip(np.arange(features.MELS) * r.uniform(0.88, 1.13), 0, features.MELS - 1)).T
        if r.random() < 0.6 * strength:
            stretch = min(r.uniform(0.82, 1.2), longest)
            at = np.minimum(np.arange(int(len(log_mel) * stretch)) / stretch, len(log_mel) - 1)
            log_mel, phones = _between(log_mel, at), phones[at.astype(int)]
        return log_mel, phones, stretch

    # --- how it is heard ---

    def _channel(self, r: np.random.Generator, kind: Kind, sound: Sound) -> np.ndarray:
        n, strength, silent = kind.frames, kind.strength, not sound.placed
        end = sound.end if not silent else int(r.integers(20, n))
        # Where the audio ends; after it comes padding.
        length = n if r.random() < 0.45 else int(r.integers(min(end + 6, n), n + 1))
        if silent or r.random() < 0.75:
            bank = self.noises[r.integers(len(self.noises))]
            at = np.arange(n) + r.integers(0, len(bank))
            loud = 10 ** r.uniform(-8, 0) if silent else sound.level / 10 ** (r.uniform(25 - 22 * strength, 45) / 10)
            sound.power += np.take(bank, at, 0, mode="wrap") * loud
            if not silent and r.random() < 0.1 * strength:
                self._babble(r, sound)
        log_mel = np.log10(np.maximum(sound.power, features.FLOOR))
        bands = np.arange(features.MELS) / features.MELS
        if r.random() < strength:
            log_mel = log_mel + r.uniform(-0.8, 0.8) * (bands - 0.5)
            log_mel = log_mel + r.uniform(-0.25, 0.25) * np.cos(bands * np.pi * r.integers(1, 6) + r.uniform(0, 6))
        if r.random() < 0.6 * strength:
            log_mel = telephone.features_through(r, log_mel)
        log_mel = np.maximum(log_mel + r.uniform(-1.5, 0.8) * strength, np.log10(features.FLOOR))[:length]
        if not silent:
            if r.random() < 0.25 * strength:
                band = r.integers(0, features.MELS - 8)
                log_mel[:, band : band + r.integers(1, 8)] = log_mel.mean()
            if r.random() < 0.25 * strength and length > 60:
                frame = r.integers(0, length - 20)
                log_mel[frame : frame + r.integers(2, 12)] = log_mel.mean()
        scaled = features.scaled(log_mel)
        # faster-whisper pads with zeros, which are not silence; others pad the audio.
        padded = np.zeros((n, features.MELS), np.float32)
        padded[:length] = scaled
        if r.random() < 0.3:
            padded[length:] = scaled.min()
        sound.phones[:, length:] = UNKNOWN if r.random() < 0.5 else 0
        return padded

    def _babble(self, r: np.random.Generator, sound: Sound) -> None:
        """Somebody else, far away."""
        power = 10 ** self.clips.any(r).log_mel()[: len(sound.power)]
        sound.power[: len(power)] += power / power.mean() * sound.level * 10 ** r.uniform(-3, -1.8)

    # --- what is to be written ---

    def _decoder_side(self, r: np.random.Generator, kind: Kind, sound: Sound) -> dict[str, np.ndarray] | None:
        special, frames = self.special, kind.frames // PER_ENCODER_FRAME
        # A short window lies anywhere in the 30 s, so that all positions are learned at the price of short windows.
        offset = 0 if r.random() < 0.5 or frames >= 1500 else int(r.integers(0, 1500 - frames))
        inputs, targets, guide = _transcript(r, sound, special, frames, offset)
        base = 0
        if r.random() < 0.12:
            prompt = self._prompt(r, kind.tokens - len(inputs))
            inputs, targets = prompt + inputs, [-1] * len(prompt) + targets
            guide = [(row + len(prompt), a, b) for row, a, b in guide]
        elif r.random() < 0.15:
            base = int(r.integers(1, 226))
        n = len(inputs)
        if n > kind.tokens:
            return None
        if r.random() < kind.wrong_history:
            self._spoil(r, inputs)
        where = np.zeros((kind.tokens, frames), np.float32)
        for row, a, b in guide:
            first = int(np.clip(round(a), 0, frames - 1))
            last = int(np.clip(round(b), first + 1, frames))
            where[row, first:last] = 1 / (last - first)
        return {
            "inputs": np.pad(np.array(inputs, np.int32), (0, kind.tokens - n), constant_values=special.end),
            "targets": np.pad(np.array(targets, np.int32), (0, kind.tokens - n), constant_values=-1),
            "positions": (base + np.arange(kind.tokens)).astype(np.int32),
            "guide": where,
            "phones": sound.phones[:, ::PER_ENCODER_FRAME],
            "spoken": _spoken(sound, special, frames)[:, ::TOKEN_FRAME_STEP],
            "offset": np.int32(offset),
        }

    def _prompt(self, r: np.random.Generator, room: int) -> list[int]:
        """What was said before, as Whisper is told it: unrelated text, at times with timestamps."""
        if room <= 4:
            return []
        stamps, tokens = r.random() < 0.5, []
        for _ in range(r.integers(1, 6)):
            text = self.clips.any(r).tokens.tolist()
            at = self.special.first_timestamp + int(r.integers(0, 1200))
            tokens += [at, *text, at + 100] if stamps else text
        return [self.special.previous, *tokens[-(room - 1) :]]

    def _spoil(self, r: np.random.Generator, inputs: list[int]) -> None:
        """Wrong words in the history: one mistake must not derail the rest."""
        for i in range(1, len(inputs)):
            if 256 <= inputs[i] < self.special.end and r.random() < WRONG_HISTORY:
                inputs[i] = int(r.choice(self.clips.any(r).tokens))


Guide = list[tuple[int, float, float]]


def _transcript(r: np.random.Generator, sound: Sound, special: Special, frames: int, offset: int) -> tuple[list[int], list[int], Guide]:
    """Decoder input, targets (-1: not scored), and for rows of the decoder the encoder's frames at which they should look."""
    stamps = r.random() < 0.6
    first = special.first_timestamp + offset

    def stamp(frame: float) -> int:
        return first + int(np.clip(round(frame), 0, frames))

    if not sound.placed:
        return [special.start, first if stamps else special.no_timestamps], [special.no_speech, special.end], []
    inputs, targets, guide = [special.start], [], []
    if not stamps:
        inputs.append(special.no_timestamps)
        targets.append(-1)

    def write(token: int) -> None:
        targets.append(token)
        inputs.append(token)

    for i, placed in enumerate(sound.placed):
        begin, end = placed.begin / PER_ENCODER_FRAME, placed.end / PER_ENCODER_FRAME
        if stamps:
            guide.append((len(targets), begin - 1, begin + 2))
            # Decoders begin at 1.00 s at the latest.
            write(min(stamp(begin), special.first_timestamp + 50) if i == 0 and offset == 0 else stamp(begin))
        for j, token in enumerate(placed.clip.tokens):
            if placed.spans is not None:
                guide.append((len(targets), *(placed.spans[j] / PER_ENCODER_FRAME)))
            write(int(token))
        if stamps:
            guide.append((len(targets), end - 2, end + 1))
            write(stamp(end))
    guide.append((len(targets), end - 1, end + 3))
    targets.append(special.end)
    return inputs, targets, guide


def _spoken(sound: Sound, special: Special, frames: int) -> np.ndarray:
    """For each of the encoder's frames the token that is being spoken and the one before it, -1 where nobody knows."""
    spoken = np.full((2, frames), -1, np.int32)
    last = special.start
    for placed in sound.placed:
        for token, span in zip(placed.clip.tokens, placed.spans if placed.spans is not None else ()):
            a = round(span[0] / PER_ENCODER_FRAME)
            b = max(round(span[1] / PER_ENCODER_FRAME), a + 1)
            spoken[0, a:b], spoken[1, a:b] = token, last
            last = int(token)
    return spoken


def _between(rows: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Rows at places between the rows, by straight lines."""
    i = at.astype(int)
    j = np.minimum(i + 1, len(rows) - 1)
    share = (at - i)[:, None].astype(np.float32)
    return rows[i] * (1 - share) + rows[j] * share
