#!/usr/bin/env python3
"""Writes the golden file of end-of-turn detection: services/asr/tests/golden/vad_smart_turn.json.

    python -m pip install pipecat-ai==1.14.0 numpy==2.4.6
    python tests/golden/smart_turn.py

What pipecat's own analyzer says of the beginnings of fixtures: cut in the middle of a sentence, at its end, with silence after it,
longer than 8 s, and nothing at all. `services/asr/tests/turn_golden.rs` repeats the rules.
"""

import json
import wave
from pathlib import Path

import numpy as np
from pipecat.audio.turn.smart_turn.local_smart_turn_v3 import LocalSmartTurnAnalyzerV3

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "services/asr/tests/golden/vad_smart_turn.json"
SPEECH = ROOT / "tests/fixtures/speech"
MODEL = ROOT / ".native/models/smart-turn-v3.2-cpu.onnx"

# Fixtures joined, samples kept of them (None: all), zeros after them.
TURNS = [
    (["held_ked_136"], None, 0),
    (["held_ked_136"], None, 3200),
    (["held_ked_136"], 20000, 0),
    (["held_ked_136"], 20000, 16000),
    (["held_espeak_084"], None, 3200),
    (["held_espeak_084"], 30000, 3200),
    (["seen_flite_014"], None, 3200),
    (["seen_flite_014"], 26000, 3200),
    (["held_slt_hts_110"], None, 0),
    (["tel_held_espeak_084"], None, 3200),
    (["held_espeak_080", "held_ked_112", "held_ked_113", "held_slt_hts_110"], None, 3200),
    (["held_espeak_080", "held_ked_112", "held_ked_113", "held_slt_hts_110"], 150001, 0),
    (["held_ked_112"], 4000, 124000),
    (["held_ked_112"], 0, 1),
]


def samples(names):
    pieces = []
    for name in names:
        with wave.open(str(SPEECH / f"{name}.wav")) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2)
            pieces.append(np.frombuffer(file.readframes(file.getnframes()), "<i2"))
    return np.concatenate(pieces).astype(np.float32) / 32768


if __name__ == "__main__":
    analyzer = LocalSmartTurnAnalyzerV3(smart_turn_model_path=str(MODEL), sample_rate=16000)
    lines = []
    for names, kept, zeros in TURNS:
        audio = np.concatenate([samples(names)[:kept], np.zeros(zeros, np.float32)])
        probability = round(analyzer._predict_endpoint(audio)["probability"], 6)
        case = {"files": names, "kept": kept, "zeros": zeros, "n_samples": len(audio), "probability": probability}
        lines.append(json.dumps(case, separators=(",", ":")))
    OUT.write_text("[\n" + ",\n".join(lines) + "\n]\n")
