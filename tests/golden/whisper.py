#!/usr/bin/env python3
"""Writes what faster-whisper makes of a set of inputs and options, for `services/asr/tests/whisper_golden.rs`.

    whisper.py [--only SUBSTRING]        # needs faster-whisper==1.2.1 ctranslate2==4.8.4

Sequential mode, temperature 0 (samples drawn at other temperatures cannot be repeated), one thread, float32: then the
outcome hangs on the input, the weights and a library that both sides share, and on rounding. How near a case is to the
edge is tried here: every case is run twice more with noise of 1e-5 in the features, ten times what the two feature
extractors differ by, and a case whose tokens change is left out and named at the end.

Inputs are made by a recipe in whole numbers that the Rust test repeats; only short recordings are in the repository.
"""

import argparse
import io
import json
import pathlib
import wave

import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.audio import decode_audio
from faster_whisper.feature_extractor import FeatureExtractor
from faster_whisper.vad import VadOptions, collect_chunks, get_speech_timestamps

ROOT = pathlib.Path(__file__).resolve().parents[2]
SPEECH = ROOT / "tests/fixtures/speech"
OUT = ROOT / "services/asr/tests/golden"
MODELS = {"demo": ROOT / "services/asr/models/demo", "random": ROOT / "tests/fixtures/whisper-random"}
RATE = 16_000
# As in `whisper_files.rs`.
MOVED_S = 0.06
RECORDINGS = """held_espeak_080 held_espeak_082 held_espeak_084 held_ked_112 held_ked_113 held_ked_136 held_slt_hts_110
    pair_01 seen_flite_014 tel_held_espeak_084""".split()


def read(name):
    with wave.open(str(SPEECH / f"{name}.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").astype(np.int64)


def noise(n_samples, shift):
    """A linear congruential generator's upper bits."""
    state, samples = 1, np.empty(n_samples, dtype=np.int64)
    for i in range(n_samples):
        state = (state * 1_103_515_245 + 12_345) & 0x7FFF_FFFF
        samples[i] = ((state >> 16) - 16_384) >> shift
    return samples


def silence(n_samples):
    return np.zeros(n_samples, dtype=np.int64)


def chain(n_samples):
    """The recordings one after the other, with pauses from nothing to 1.2 s, until there is enough."""
    parts, total, i = [], 0, 0
    while total < n_samples:
        parts += [read(RECORDINGS[i * 7 % len(RECORDINGS)]), silence(i * 5 % 13 * 1_600)]
        total += len(parts[-1]) + len(parts[-2])
        i += 1
    return np.concatenate(parts)[:n_samples]


def overlaid(a, b):
    n = max(len(a), len(b))
    return (np.pad(a, (0, n - len(a))) + np.pad(b, (0, n - len(b)))) >> 1


def inputs():
    made = {name: read(name) for name in RECORDINGS}
    a, b = made["held_espeak_084"], made["held_slt_hts_110"]
    made["silence"] = silence(5 * RATE)
    made["noise"] = noise(5 * RATE, 4)
    made["speech_in_noise"] = a + noise(len(a), 6)
    made["clipped"] = np.clip(a * 8, -32_768, 32_767)
    made["quiet"] = a >> 6
    made["two_at_once"] = overlaid(a, b)
    made["pause"] = np.concatenate([a, silence(40_000), b])
    made["late"] = np.concatenate([silence(12 * RATE), b, silence(10 * RATE)])
    made["half_word"] = a[: RATE // 4]
    made["click"] = a[8_000:8_320]
    made["one_window"] = chain(30 * RATE)
    made["over_a_window"] = chain(30 * RATE + 1_000)
    made["minute"] = chain(70 * RATE)
    made["five_minutes"] = chain(300 * RATE)
    return {name: np.clip(samples, -32_768, 32_767).astype(np.int16) for name, samples in made.items()}


WORDS = {"word_timestamps": True}
FREE = {"log_prob_threshold": None, "compression_ratio_threshold": None, "no_speech_threshold": None}
# Every set is tried on a few inputs of both models (those that need languages on the random one only).
OPTIONS = {
    "plain": {},
    "free": FREE,
    "greedy": {"beam_size": 1, **FREE},
    "patient": {"beam_size": 3, "patience": 2.0, "length_penalty": 0.8, **FREE},
    "varied": {"repetition_penalty": 1.3, "no_repeat_ngram_size": 3, **FREE},
    "without_timestamps": {"without_timestamps": True, **FREE},
    "without_timestamps_words": {"without_timestamps": True, **WORDS, **FREE},
    "alone": {"condition_on_previous_text": False, **WORDS, **FREE},
    "prompt": {"initial_prompt": " Hello, my name is Grace. ", **WORDS, **FREE},
    "hotwords": {"hotwords": "sugar, Denver", **WORDS, **FREE},
    "hotwords_and_prompt": {"hotwords": "sugar", "initial_prompt": "The flight to Denver.", **FREE},
    "long_prompt": {"initial_prompt": "My name is Grace and I need to change my problem. " * 30, **FREE},
    "prefix": {"prefix": "He is", **WORDS, **FREE},
    "prefix_without_timestamps": {"prefix": "He is", "without_timestamps": True, **FREE},
    "first_at_once": {"max_initial_timestamp": 0.0, **WORDS, **FREE},
    "first_late": {"max_initial_timestamp": 5.0, **FREE},
    "few_tokens": {"max_new_tokens": 12, **FREE},
    "all_symbols": {"suppress_tokens": [], "suppress_blank": False, **FREE},
    "some_symbols": {"suppress_tokens": [-1, 11, 13, 100], **FREE},
    "no_inventions": {"hallucination_silence_threshold": 0.5, **WORDS, **FREE},
    "few_inventions": {"hallucination_silence_threshold": 2.0, **WORDS, **FREE},
    "silence_is_likely": {"no_speech_threshold": 1e-6, "log_prob_threshold": -0.1},
    "sure_only": {"no_speech_threshold": 0.2, "log_prob_threshold": -0.65, **WORDS},
    "not_repetitive": {"compression_ratio_threshold": 0.9, "log_prob_threshold": None, **WORDS},
}
LANGUAGE_OPTIONS = {
    "english": {"language": "en", **WORDS, **FREE},
    "japanese": {"language": "ja", **WORDS, **FREE},
    "cantonese": {"language": "yue", **WORDS, **FREE},
    "translate": {"language": "de", "task": "translate", **WORDS, **FREE},
    "translate_unknown": {"task": "translate", **FREE},
    "every_window": {"multilingual": True, **WORDS, **FREE},
    "vote": {"language_detection_segments": 3, "language_detection_threshold": 0.9999, **FREE},
    "vote_over": {"language_detection_segments": 3, "language_detection_threshold": 0.2, **FREE},
}


def cases():
    for name in inputs():
        for model in MODELS:
            yield model, name, "words", WORDS
    # The random model fills its windows with text, so it gets the longer inputs only where windows follow on each other.
    for label, options in OPTIONS.items():
        for name in ("held_espeak_084", "pause"):
            yield "demo", name, label, options
            yield "random", name, label, options
        yield "demo", "over_a_window", label, options
        if label in ("free", "alone", "prompt", "hotwords", "prefix", "sure_only", "no_inventions"):
            yield "random", "over_a_window", label, options
    for model in MODELS:
        for label in ("free", "alone", "prompt", "hotwords", "sure_only", "no_inventions"):
            yield model, "minute", label, OPTIONS[label]
    for name in ("held_ked_113", "pause", "over_a_window"):
        for label, options in LANGUAGE_OPTIONS.items():
            yield "random", name, label, options
    for model in MODELS:
        yield model, "five_minutes", "alone", OPTIONS["alone"]
        yield model, "five_minutes", "free", FREE


def short(value, digits=6):
    return float(f"{value:.{digits}g}")


def run(model, samples, options):
    segments, info = model.transcribe(samples, temperature=[0.0], **options)
    rows = [
        {
            "seek": it.seek,
            "start": round(float(it.start), 4),
            "end": round(float(it.end), 4),
            "text": it.text,
            "tokens": it.tokens,
            "avg_logprob": short(it.avg_logprob),
            "compression_ratio": it.compression_ratio,
            "no_speech_prob": short(it.no_speech_prob),
        }
        | ({"words": [[w.word, round(float(w.start), 4), round(float(w.end), 4), short(w.probability, 4)] for w in it.words]} if it.words is not None else {})
        for it in segments
    ]
    return {"language": info.language, "language_probability": short(info.language_probability), "segments": rows}


class Noisy:
    """Features with a little noise, as another extractor might compute them."""

    original = FeatureExtractor.__call__

    def __init__(self, seed):
        self.random = np.random.RandomState(seed)

    def __enter__(self):
        random = self.random

        def call(extractor, *args, **kwargs):
            features = Noisy.original(extractor, *args, **kwargs)
            return (features + random.uniform(-1e-5, 1e-5, features.shape)).astype(np.float32)

        FeatureExtractor.__call__ = call

    def __exit__(self, *_):
        FeatureExtractor.__call__ = Noisy.original


def tokens(result):
    return [(it["seek"], it["tokens"], [w[:3] for w in it.get("words", [])]) for it in result["segments"]]


def write_cases(models, only):
    kept, fragile, made = [], [], inputs()
    for model, name, label, options in cases():
        title = f"{model}/{name}/{label}"
        if only and only not in title:
            continue
        samples = made[name].astype(np.float32) / 32_768
        result = run(models[model], samples, options)
        is_steady = True
        for seed in (1, 2):
            with Noisy(seed):
                is_steady &= tokens(run(models[model], samples, options)) == tokens(result)
        n_words = sum(len(it.get("words", [])) for it in result["segments"])
        print(f"{title}: {len(result['segments'])} segments, {n_words} words{'' if is_steady else ' FRAGILE'}", flush=True)
        if is_steady:
            kept.append({"model": model, "input": name, "label": label, "options": options} | result)
        else:
            fragile.append(title)
    print(f"kept {len(kept)}, left out as too near the edge: {len(fragile)} {fragile}")
    return kept


def wav(samples, rate, n_channels):
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(n_channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    out.seek(0)
    return out


def at_rate(samples, rate):
    """Linear interpolation in whole numbers."""
    at = np.arange(len(samples) * rate // RATE, dtype=np.int64) * RATE
    left, part = at // rate, at % rate
    right = np.minimum(left + 1, len(samples) - 1)
    return (samples[left] * (rate - part) + samples[right] * part) // rate


def ideal(samples, rate, band=1.0):
    """Resampled to 16 kHz in the frequency domain: what another good resampler might give.

    Resamplers differ in how much of the band's upper end they keep.
    """
    n_out = len(samples) * RATE // rate
    spectrum = np.fft.rfft(samples)
    n_bins = n_out // 2 + 1
    kept = np.zeros(n_bins, dtype=complex)
    n_kept = int(min(n_bins, len(spectrum)) * band)
    kept[:n_kept] = spectrum[:n_kept]
    return np.fft.irfft(kept, n_out) * (n_out / len(samples))


def is_heard_alike(one, other):
    """The same words, at times as near as the test asks for."""
    ours, theirs = ([word for it in result["segments"] for word in it["words"]] for result in (one, other))
    if [word[0] for word in ours] != [word[0] for word in theirs]:
        return False
    return all(abs(a - b) <= MOVED_S for mine, its in zip(ours, theirs) for a, b in zip(mine[1:3], its[1:3]))


def write_files(models):
    """What the reference makes of whole files: other rates, two channels, every container.

    Decoders and resamplers differ by a little, so a case is kept only if neither noise of a few units nor two
    other resamplers change a word or move it.
    """
    model, rows, left_out = models["demo"], [], []
    random = np.random.RandomState(1)

    def add(title, row, file, *others):
        result = run(model, file, WORDS)
        for samples in others * 3:
            noisy = np.clip(np.round(samples) + random.randint(-4, 5, len(samples)), -32_768, 32_767)
            if not is_heard_alike(run(model, noisy.astype(np.float32) / 32_768, WORDS), result):
                left_out.append(title)
                return
        rows.append(row | result)

    for name in ("held_espeak_084", "held_ked_136", "held_slt_hts_110", "seen_flite_014"):
        samples = read(name)
        for rate in (8_000, 11_025, 22_050, 24_000, 44_100, 48_000):
            other = at_rate(samples, rate)
            row = {"input": name, "rate": rate, "channels": 1}
            add(f"{name} at {rate} Hz", row, wav(other, rate, 1), ideal(other, rate), ideal(other, rate, 0.9))
        both = np.stack([samples, samples >> 1], axis=1).reshape(-1)
        row = {"input": name, "rate": RATE, "channels": 2}
        add(f"{name} in stereo", row, wav(both, RATE, 2), samples * 3 // 4)
    folder = ROOT / "tests/fixtures/containers"
    for path in sorted(folder.iterdir()):
        if path.suffix in (".md", ".sh", ".s16"):
            continue
        add(path.name, {"file": path.name}, str(path), decode_audio(str(path)) * 32_768)
    print(f"{len(rows)} files; left out as too near the edge: {len(left_out)} {left_out}")
    return rows


def write_joined(models):
    """Files whose silence is cut out before and whose times are put back after."""
    rows, made = [], inputs()
    for name in ("pause", "late", "minute", "five_minutes"):
        samples = made[name].astype(np.float32) / 32_768
        chunks = get_speech_timestamps(samples, VadOptions())
        parts, _ = collect_chunks(samples, chunks)
        joined = run(models["demo"], np.concatenate(parts), WORDS)
        restored = run(models["demo"], samples, {"vad_filter": True, **WORDS})
        plain = run(models["demo"], samples, {"vad_filter": True})
        spans = [[it["start"], it["end"]] for it in chunks]
        rows.append({"input": name, "speech": spans, "joined": joined, "restored": restored, "restored_plain": plain})
        print(f"joined/{name}: {len(spans)} spans, {len(restored['segments'])} segments")
    return rows


def write_text(models):
    """Rules that need no audio."""
    import zlib

    from faster_whisper.tokenizer import Tokenizer

    texts = ["", "a", " Hello, hello.", "na " * 40, "The flight to Denver leaves at seven o'clock.", "日本語のテキスト、です。"]
    texts += [" ".join(f"word{i * i % (3 + k)}" for i in range(10 * k)) for k in range(1, 12)]
    # Long ones of few words, in which levels and implementations of deflate find different matches.
    state = 1
    for n_words in (60, 90, 120, 180, 240, 300):
        words = []
        for _ in range(n_words):
            state = (state * 1_103_515_245 + 12_345) & 0x7FFF_FFFF
            words.append(f"w{(state >> 16) % 40 * (state >> 24) % 97:x}ord")
        texts.append(" ".join(words))
    sizes = [[text, len(text.encode()), len(zlib.compress(text.encode()))] for text in texts]
    out = {"zlib": sizes, "models": {}}
    for name, model in models.items():
        tokenizer = Tokenizer(model.hf_tokenizer, model.model.is_multilingual, task="transcribe", language="en")
        spaceless = Tokenizer(model.hf_tokenizer, model.model.is_multilingual, task="transcribe", language="ja")
        rows = []
        for text in [" Hello, \"you\" — it's 7.30!", " naïve café 日本語 😀 end", "", "  two  spaces ", " x\u2028y", "...", " (a) [b] {c}"]:
            ids = tokenizer.encode(text)
            # Cut short, the last character may be half there.
            for ids in (ids, ids[:-1], ids[1:]):
                split = [tokenizer.split_to_word_tokens(ids + [tokenizer.eot])]
                split.append(spaceless.split_to_word_tokens(ids + [tokenizer.eot]) if name == "random" else split[0])
                rows.append({"text": text, "ids": ids, "decoded": tokenizer.decode(ids), "words": [list(zip(*it)) for it in split]})
        out["models"][name] = {"texts": rows, "non_speech": list(tokenizer.non_speech_tokens)}
    return out


def save(name, value):
    text = "[\n" + ",\n".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in value) + "\n]\n"
    (OUT / name).write_text(text)
    print(f"{name}: {len(text.encode())} bytes")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", help="only cases whose name contains this, printed and not written")
    parser.add_argument("--part", choices=("text", "files", "joined", "cases"), help="write only this file")
    arguments = parser.parse_args()
    only = arguments.only
    load = lambda path: WhisperModel(str(path), device="cpu", cpu_threads=1, compute_type="float32")
    models = {name: load(path) for name, path in MODELS.items()}
    if only:
        write_cases(models, only)
        return
    OUT.mkdir(parents=True, exist_ok=True)
    parts = {
        "text": lambda: [write_text(models)],
        "files": lambda: write_files(models),
        "joined": lambda: write_joined(models),
        "cases": lambda: write_cases(models, None),
    }
    for name, part in parts.items():
        if arguments.part in (None, name):
            save(f"whisper_{name}.json", part())


if __name__ == "__main__":
    main()
