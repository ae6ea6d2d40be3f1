#!/usr/bin/env python3
"""Writes what the plain reference loop makes of a set of texts, voices and settings: `tests/fixtures/tts-golden/*.json`.

    golden.py [PACK ...]     # needs what requirements.txt says

Greedy, one thread, float32 on the host: then tokens hang on the graphs, the contract and rounding. How near a case is to the
edge is tried here: every case is run twice more with noise of 1e-5 in what the model reads, and a case whose tokens change
is left out and named at the end. `tests/fixtures/tts-golden/README.md` says what the files hold.
"""

from __future__ import annotations

import json
import pathlib
import sys

import numpy as np

import batching
import controls
from cases import cases_of
from reference import SAMPLES_PER_TOKEN, SILENCE, Pack, Settings, Voice, read_wav

ROOT = pathlib.Path(__file__).resolve().parents[3]
OUT = ROOT / "tests/fixtures/tts-golden"
CONTRACT = "tests/fixtures/tts-contract"
VOICES = ROOT / "tests/fixtures/tts-voices"
# The folder of each pack, and which precision of a graph is meant where there are several.
PACKS = {"demo": ("services/tts/models/demo", {})} | {
    name: (f"{CONTRACT}/{name}", {"language_model": "_fp16"} if name == "en-f16" else {})
    for name in "en en-f16 en-plain en-batch1 multilingual turbo turbo-plain".split()
}
ENVELOPE, CALLS = 480, 12
# Cases of the built-in model whose samples are kept: short, and with a tail of silence or without.
KEPT_SAMPLES = (("Hi.", "default", 3), ("Yes!", "high", 0), ("Hello there.", "higher", 3))


def load_voices(pack: Pack) -> dict[str, np.ndarray]:
    default = pack.folder / "default_voice.wav"
    voices = {"default": read_wav(default)} if default.exists() else {}
    voices |= {name: read_wav(VOICES / f"{name}.wav") for name in ("high", "higher")}
    # Longer than any part of the encoder listens to.
    return voices | {"long": np.tile(voices["high"], 3)}


def numbers(tensor: np.ndarray) -> dict:
    flat = tensor.astype(np.float64).reshape(-1)
    short = lambda it: float(f"{it:.6g}")
    summary = {"mean": short(flat.mean()), "rms": short(np.sqrt((flat**2).mean()))}
    ends = {"first": [short(it) for it in flat[:6]], "last": [short(it) for it in flat[-6:]]}
    return {"shape": list(tensor.shape[1:])} | summary | ends


def heard(voice: Voice, samples: np.ndarray) -> dict:
    return {
        "samples": len(samples),
        "prefix": numbers(voice.prefix),
        "tokens": voice.tokens[0].tolist(),
        "speaker": numbers(voice.speaker),
        "mel": numbers(voice.mel),
    }


def facts(pack: Pack) -> dict:
    return {
        "layers": pack.layers,
        "kv_heads": pack.kv_heads,
        "head_width": pack.head_width,
        "cache": np.dtype(pack.cache_type).name,
        "width": pack.width,
        "logits": pack.head,
        "explicit_positions": pack.has_positions,
        "embeds_positions": "position_ids" in pack.embed_inputs,
        "languages": pack.languages,
    }


def write_cases(pack: Pack, voices: dict[str, Voice]) -> tuple[list[dict], list[str]]:
    rows, fragile = [], []
    for case in cases_of(pack.family, "default" in voices):
        settings = Settings(**case["settings"])
        text, ids = pack.encode(case["text"], case["language"])
        voice = voices[case["voice"]]
        said = pack.say(voice, ids, settings)
        # As many as it says by itself, and one more: the limit comes before the stop.
        if case.get("limit_at_end"):
            settings = Settings(**case["settings"] | {"max_tokens": len(said.tokens) + case["limit_at_end"] - 1})
            said = pack.say(voice, ids, settings)
        again = [pack.say(voice, ids, settings, np.random.RandomState(seed)) for seed in (1, 2)]
        if any((it.tokens, it.stop) != (said.tokens, said.stop) for it in again):
            fragile.append(f"{case['text'][:30]} {case['settings']}")
            continue
        row = {key: case[key] for key in ("text", "language", "voice")} | vars(settings)
        row |= {"prepared": text, "ids": ids, "positions": pack.positions(ids), "tokens": said.tokens, "stop": said.stop}
        rows.append(row)
    return rows, fragile


def write_decoder(name: str, pack: Pack, voices: dict[str, Voice], cases: list[dict]) -> dict:
    first = next(it for it in cases if 12 <= len(it["tokens"]) <= 80)
    voice, tokens = voices[first["voice"]], first["tokens"]
    calls = [pack.decode(voice, tokens) for _ in range(CALLS if name != "demo" else 2)]
    is_noisy = bool(np.abs(calls[0] - calls[1]).max() > 0)
    found = {"is_noisy": is_noisy, "batches": _batches(pack, voice, tokens), "looks_ahead": _looks_ahead(pack, voice, tokens)}
    if name == "demo":
        return found | {"samples": [_keep(pack, voices, at, *it) for at, it in enumerate(KEPT_SAMPLES)]}
    levels = np.stack([np.sqrt((it.reshape(-1, ENVELOPE).astype(np.float64) ** 2).mean(axis=1)) for it in calls])
    mean = levels.mean(axis=0)
    return found | {
        "voice": first["voice"],
        "tokens": tokens,
        "envelope": {"every": ENVELOPE, "rms": [round(float(it), 5) for it in mean]},
        # Twice what a dozen calls differed by.
        "within": round(float(np.abs(levels - mean).max()) * 2, 5),
        "peak": round(float(max(np.abs(it).max() for it in calls)), 3),
    }


def _keep(pack: Pack, voices: dict[str, Voice], at: int, text: str, voice: str, tail: int) -> dict:
    said = pack.say(voices[voice], pack.encode(text)[1], Settings())
    sound = pack.decode(voices[voice], said.tokens + [SILENCE] * tail)
    assert len(sound) == SAMPLES_PER_TOKEN * (len(said.tokens) + tail)
    file = f"demo-{at}.s16"
    np.round(np.clip(sound, -1, 1) * 32_767).astype("<i2").tofile(OUT / file)
    return {"text": text, "voice": voice, "tail": tail, "tokens": said.tokens, "samples": len(sound), "file": file}


def _batches(pack: Pack, voice: Voice, tokens: list[int]) -> bool:
    """Whether two rows in one call are what each is alone, as far as noise lets one see."""
    rows = [np.concatenate([voice.tokens[0], it]) for it in (tokens, tokens[::-1])]
    inputs = {"speech_tokens": np.stack(rows), "speaker_embeddings": np.repeat(voice.speaker, 2, 0), "speaker_features": np.repeat(voice.mel, 2, 0)}
    try:
        both = pack.decoder.run(["waveform"], inputs)[0]
    except Exception:  # noqa: BLE001 - a decoder that refuses does not batch
        return False
    alone = [pack.decode(voice, it) for it in (tokens, tokens[::-1])]
    return all(np.abs(a - b).max() < 0.15 for a, b in zip(both, alone))


def _looks_ahead(pack: Pack, voice: Voice, tokens: list[int]) -> int:
    """How many of the last tokens of a prefix sound otherwise than in the whole."""
    whole, short = pack.decode(voice, tokens), pack.decode(voice, tokens[:-10] if len(tokens) > 24 else tokens[:-5])
    # Averaged over each tenth of a token, noise is far below this.
    difference = np.abs(short - whole[: len(short)]).reshape(-1, 96).mean(axis=1) > 0.0155
    # The demo decoder has no noise, and its tail is long and faint.
    if not np.abs(pack.decode(voice, tokens) - whole).max():
        difference = np.abs(short - whole[: len(short)]).reshape(-1, 96).max(axis=1) > 1e-3
    first = int(difference.argmax()) if difference.any() else len(difference)
    return -(-(len(difference) - first) // 10)


def prompts_for_batching(pack: Pack, voices: dict[str, Voice]) -> list[tuple[np.ndarray, float]]:
    texts = (("Hello there, how are you?", "high", 0.5), ("Hi.", "higher", 0.75), ("The weather tomorrow will be cold and windy.", "high", 1.0))
    return [(pack.prompt(voices[voice], pack.encode(text)[1], strength), strength) for text, voice, strength in texts]


def write(name: str) -> None:
    folder, suffixes = PACKS[name]
    pack = Pack(ROOT / folder, suffixes)
    print(f"{name}: {pack.family}", flush=True)
    samples = load_voices(pack)
    voices = {key: pack.listen(it) for key, it in samples.items()}
    schemes = batching.try_all(pack, prompts_for_batching(pack, voices))
    rows, fragile = write_cases(pack, voices)
    decoder = write_decoder(name, pack, voices, rows)
    mistakes = controls.try_all(pack, voices, rows)
    assert name == "demo" or not any(it.startswith("0 ") for it in mistakes.values()), f"{name} is deaf to a mistake: {mistakes}"
    files = {graph: str(path.relative_to(ROOT / folder)) for graph, path in pack.files.items()}
    head = {"pack": name, "folder": folder, "files": files, "family": pack.family, "facts": facts(pack)}
    head |= {"batching": schemes, "decoder": decoder, "controls": mistakes}
    compact = lambda it: json.dumps(it, ensure_ascii=False, separators=(",", ":"))
    lines = [f'"{key}":{compact(value)}' for key, value in head.items()]
    lines.append('"voices":{\n' + ",\n".join(f'"{key}":{compact(heard(it, samples[key]))}' for key, it in voices.items()) + "\n}")
    lines.append('"cases":[\n' + ",\n".join(compact(it) for it in rows) + "\n]")
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / f"{name}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"  {len(rows)} cases; left out as too near the edge: {len(fragile)} {fragile}")
    print(f"  controls: {mistakes}\n  decoder: batches {decoder['batches']}, looks ahead {decoder['looks_ahead']}", flush=True)


def main() -> None:
    for name in sys.argv[1:] or PACKS:
        write(name)


if __name__ == "__main__":
    main()
