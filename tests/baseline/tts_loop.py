#!/usr/bin/env python3
"""Speaks one text with the published loop, one request at a time, and prints what it took as JSON.

    tts_loop.py PACK [--text TEXT] [--voice WAV] [--threads N] [--times N] [--max-tokens N] [--graph GRAPH=SUFFIX] [--out WAV]

This is the bare loop to compare a server with: no server, no queue, no streaming, and in its favour the cache never
leaves onnxruntime (the loops in circulation copy it to numpy and back at every step) and the voice is heard once, before
the clock starts. Greedy, as the published examples are. The fastest of `--times` runs is shown, and the median of the totals.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import resource
import statistics
import sys
import time

import numpy as np
import onnxruntime
import soundfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/golden/tts"))

from reference import CODES, RATE, START, STOP, Pack, Settings, Voice, next_inputs, read_wav  # noqa: E402

TEXT = "The weather tomorrow will be cold and windy, but we should go for a walk anyway."


def best(scores: np.ndarray, said: np.ndarray, penalty: float) -> int:
    scores = scores.copy()
    heard = scores[said]
    scores[said] = np.where(heard > 0, heard / penalty, heard * penalty)
    scores[CODES] = -np.inf
    return int(scores[: STOP + 1].argmax())


def say(pack: Pack, voice: Voice, text: str, settings: Settings) -> tuple[list[int], dict[str, float]]:
    begun = time.perf_counter()
    _, ids = pack.encode(text)
    embeds = pack.prompt(voice, ids, settings.exaggeration)
    length = embeds.shape[1]
    positions = np.arange(length, dtype=np.int64)[None]
    cache = [onnxruntime.OrtValue.ortvalue_from_numpy(it) for it in pack.empty_cache(1)]
    # As long as it can get, so that what was said is a view and not a new array at every step.
    said = np.empty(settings.max_tokens + 1, np.int64)
    said[0], n, first = START, 1, 0.0
    while n <= settings.max_tokens:
        given = {"inputs_embeds": embeds, "attention_mask": np.ones((1, length), np.int64)}
        if pack.has_positions:
            given["position_ids"] = positions
        inputs = {name: onnxruntime.OrtValue.ortvalue_from_numpy(it) for name, it in given.items()}
        logits, *cache = pack.model.run_with_ort_values(pack.outputs, inputs | dict(zip(pack.pasts, cache)))
        token = best(logits.numpy()[0, -1], said[:n], settings.repetition_penalty)
        first = first or time.perf_counter() - begun
        if token == STOP:
            break
        said[n] = token
        embeds = pack.embed(*next_inputs([token], [n], [settings.exaggeration]))
        n += 1
        positions = np.array([[length]], np.int64)
        length += 1
    return said[1:n].tolist(), {"first_token_s": first, "tokens_s": time.perf_counter() - begun}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("pack", type=pathlib.Path, help="the folder of a model")
    parser.add_argument("--text", default=TEXT)
    parser.add_argument("--voice", type=pathlib.Path, help="24 kHz; the pack's own by default")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--max-tokens", type=int, default=1_000)
    parser.add_argument("--graph", action="append", default=[], metavar="GRAPH=SUFFIX", help="as in language_model=_fp16")
    parser.add_argument("--out", type=pathlib.Path, help="keep what was said")
    arguments = parser.parse_args()

    begun = time.perf_counter()
    pack = Pack(arguments.pack, dict(it.split("=", 1) for it in arguments.graph), arguments.threads)
    loaded = time.perf_counter() - begun
    samples = read_wav(arguments.voice or arguments.pack / "default_voice.wav")
    begun = time.perf_counter()
    voice = pack.listen(samples)
    listened = time.perf_counter() - begun

    settings = Settings(max_tokens=arguments.max_tokens)
    fastest: dict[str, float] = {}
    totals = []
    for _ in range(arguments.times):
        said, took = say(pack, voice, arguments.text, settings)
        begun = time.perf_counter()
        sound = pack.decode(voice, said)
        took["decode_s"] = time.perf_counter() - begun
        took["total_s"] = took["tokens_s"] + took["decode_s"]
        totals.append(took["total_s"])
        fastest = took if not fastest or took["total_s"] < fastest["total_s"] else fastest
    audio = len(sound) / RATE
    if arguments.out:
        soundfile.write(arguments.out, np.clip(sound, -1, 1), RATE, subtype="PCM_16")
    result = {
        "pack": arguments.pack.name,
        "threads": arguments.threads,
        "load_s": loaded,
        "listen_s": listened,
        **fastest,
        "median_total_s": statistics.median(totals),
        "tokens": len(said),
        "tokens_per_s": len(said) / fastest["tokens_s"],
        "audio_s": audio,
        "real_time_factor": fastest["total_s"] / audio,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps({key: round(it, 4) if isinstance(it, float) else it for key, it in result.items()}))


if __name__ == "__main__":
    main()
