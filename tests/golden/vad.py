#!/usr/bin/env python3
"""Writes the golden files of voice activity detection: services/asr/tests/golden/vad.json and vad_rules.json.

    python -m pip install faster-whisper==1.2.1 pipecat-ai==1.14.0 numpy==2.4.6
    python tests/golden/vad.py

`vad.json`: recordings made of fixtures, silence and noise by rules that `services/asr/tests/vad_golden.rs` repeats; for each the
probability of every frame, from faster-whisper's own model over the whole recording and, where `stream` is given, from pipecat's
wrapper frame by frame; and the stretches of speech that faster-whisper finds with its sequential and its batched options.

`vad_rules.json`: probabilities drawn by lot from a few levels, and what faster-whisper's rules make of them: stretches, clips put
together of them, and times put back.
"""

import json
import random
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import numpy as np
from faster_whisper import vad
from faster_whisper.transcribe import restore_speech_timestamps
from faster_whisper.vad import VadOptions, collect_chunks, get_speech_timestamps, get_vad_model
from pipecat.audio.vad import silero

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "services/asr/tests/golden"
SPEECH = ROOT / "tests/fixtures/speech"
STREAM_MODEL = ROOT / ".native/models/silero_vad.onnx"

# `file NAME`, `zeros N`, `noise N SHIFT` (the upper half of a linear congruential generator, SHIFT bits quieter than full scale).
RECORDINGS = {
    "one": ["file held_ked_136"],
    "whole frames": ["zeros 512", "file held_espeak_084", "zeros 345"],
    "speech to the end": ["file held_espeak_082", "file seen_flite_014 24000"],
    "ends in speech": ["zeros 4000", "file seen_flite_014 30040"],
    "many pauses": [
        "file held_espeak_080", "zeros 1600", "file held_ked_112", "zeros 6400", "file held_slt_hts_110", "noise 16000 7",
        "file held_ked_113", "zeros 40000", "file pair_01", "noise 80000 9", "file tel_held_espeak_084", "zeros 3201",
    ],
    "long speech": ["file seen_flite_014", "file held_espeak_080", "file held_ked_113", "file held_ked_136", "file held_ked_112"] * 4,
    "noise": ["noise 40000 2"],
    "silence": ["zeros 40000"],
    "short": ["zeros 100"],
}
STREAMS = ["one", "many pauses"]


def noise(count, shift):
    state, out = 1, np.empty(count, np.int16)
    for i in range(count):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        out[i] = ((state >> 16) - 32768) >> shift
    return out


def recording(parts):
    pieces = []
    for part in parts:
        kind, first, *rest = part.split()
        if kind == "file":
            with wave.open(str(SPEECH / f"{first}.wav")) as file:
                assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2)
                samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
            pieces.append(samples[: int(rest[0])] if rest else samples)
        elif kind == "zeros":
            pieces.append(np.zeros(int(first), np.int16))
        else:
            pieces.append(noise(int(first), int(rest[0])))
    return np.concatenate(pieces).astype(np.float32) / 32768


def stretches(found):
    return [[it["start"], it["end"]] for it in found]


def of_recordings():
    cases = []
    for name, parts in RECORDINGS.items():
        audio = recording(parts)
        padded = np.pad(audio, (0, 512 - audio.shape[0] % 512))
        probabilities = get_vad_model()(padded)
        # The test finds stretches in its own probabilities: none may lie where a rounding error decides.
        assert np.abs(probabilities - 0.5).min() > 1e-5 and np.abs(probabilities - 0.35).min() > 1e-5, name
        case = {
            "name": name,
            "parts": parts,
            "n_samples": len(audio),
            "probabilities": [round(float(it), 5) for it in probabilities],
            "sequential": stretches(get_speech_timestamps(audio, VadOptions())),
            "batched": stretches(
                get_speech_timestamps(audio, VadOptions(max_speech_duration_s=30, min_silence_duration_ms=160))
            ),
        }
        if name in STREAMS:
            model = silero.SileroOnnxModel(str(STREAM_MODEL))
            frames = audio[: len(audio) // 512 * 512].reshape(-1, 512)
            case["stream"] = [round(float(model(frame, 16000).item()), 5) for frame in frames]
        cases.append(case)
    return cases


@dataclass
class Word:
    start: float
    end: float


@dataclass
class Segment:
    start: float
    end: float
    words: Optional[list]


LEVELS = {".": 0.02, ",": 0.34, "-": 0.4, "#": 0.9}


def drawn(chance):
    """A row of levels that looks a little like speech."""
    row = ""
    while len(row) < chance.randint(40, 900):
        row += chance.choice("....,--####") * chance.choice([1, 2, 3, 5, 6, 8, 20, 70, 150])
    return row


def packed(row):
    out, previous, count = "", row[0], 0
    for level in row + "!":
        if level == previous:
            count += 1
        else:
            out += f"{previous}{count}"
            previous, count = level, 1
    return out


def of_rules():
    chance = random.Random(17)
    cases = []
    for _ in range(150):
        row = drawn(chance)
        n_samples = 512 * len(row) - chance.randint(1, 512)
        options = {
            "threshold": chance.choice([0.5, 0.5, 0.35, 0.7, 0.9]),
            "neg_threshold": chance.choice([None, None, 0.1, 0.4]),
            "min_speech_duration_ms": chance.choice([0, 0, 250]),
            # 1.024 s less a frame is a whole number of frames: the limit itself is met.
            "max_speech_duration_s": chance.choice([float("inf"), 30, 5, 2, 1.024, 1.024]),
            "min_silence_duration_ms": chance.choice([2000, 160, 100, 500]),
            "speech_pad_ms": chance.choice([400, 30, 0, 405]),
        }
        probabilities = np.array([LEVELS[it] for it in row], np.float32)
        vad.get_vad_model = lambda: lambda _audio, given=probabilities: given
        audio = np.arange(n_samples, dtype=np.float32)
        found = get_speech_timestamps(audio, VadOptions(**options))
        case = {
            "row": packed(row),
            "n_samples": n_samples,
            "options": {k: v for k, v in options.items() if v is not None and v != float("inf")},
            "stretches": stretches(found),
        }
        if found:
            max_s = chance.choice([30, 6])
            chunks, metadata = collect_chunks(audio, found, max_duration=max_s)
            # The audio counts its own samples, so that a clip says of what it was made: first, last and sum.
            clips = [
                [round(meta["offset"] * 16000), len(it), int(it[0]), int(it[-1]), int(it.astype(np.float64).sum())]
                for it, meta in zip(chunks, metadata)
                if len(it)
            ]
            case["gathered"] = {"max_s": max_s, "clips": clips}
            total = sum(it["end"] - it["start"] for it in found) / 16000
            segments = []
            for _ in range(6):
                a, b = sorted(round(chance.uniform(0, total), 2) for _ in range(2))
                words = None
                if chance.random() < 0.5:
                    cuts = sorted(round(chance.uniform(a, b), 2) for _ in range(4))
                    words = [Word(cuts[0], cuts[1]), Word(cuts[2], cuts[3])]
                segments.append(Segment(a, b, words))
            # An end that falls on a border belongs to the stretch before it, a start to the one after.
            border = (found[0]["end"] - found[0]["start"]) / 16000
            segments.append(Segment(0.0, border, None))
            segments.append(Segment(border, total, None))
            shape = lambda it: [it.start, it.end, [[w.start, w.end] for w in it.words] if it.words else None]
            before = [shape(it) for it in segments]
            after = [shape(it) for it in restore_speech_timestamps(segments, found, 16000)]
            case["restored"] = [[a, b] for a, b in zip(before, after)]
        cases.append(case)
    return cases


def write(name, cases):
    lines = ",\n".join(json.dumps(it, separators=(",", ":")) for it in cases)
    (OUT / name).write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    write("vad.json", of_recordings())
    write("vad_rules.json", of_rules())
