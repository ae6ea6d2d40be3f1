#!/usr/bin/env python3
"""How much of what was spoken a recogniser understands: PocketSphinx, a small and independent one of an older kind, or our own server.

    hear.py FOLDER [--texts FILE] [--server HOST:PORT]     # FOLDER/000.wav is line 1 of FILE, FOLDER/001.wav line 2, and so on

Prints JSON: word errors, words, and what was heard. PocketSphinx errs by itself (2 to 9 % on the speech our small voice learned
from), and our own demo model knows few words; so compare figures of one text list with each other, and nothing else.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import re
import sys
import urllib.request
import uuid
from math import gcd

import numpy as np
import soundfile
from pocketsphinx import Decoder
from scipy.signal import resample_poly

RATE = 16_000
TEXTS = pathlib.Path(__file__).with_name("tts_sentences.txt")
# Before and after, so that the first and the last word are not cut; a little noise, since digital silence upsets it.
SILENCE_S, NOISE, PEAK = 0.25, 1e-4, 0.5


def words(text: str) -> list[str]:
    return re.sub(r"[^a-z' ]", " ", text.lower().replace("’", "'")).split()


def errors(said: list[str], heard: list[str]) -> int:
    """Words to insert, leave out or replace."""
    row = list(range(len(heard) + 1))
    for word in said:
        above, row[0] = row[0], row[0] + 1
        for at, other in enumerate(heard, 1):
            above, row[at] = row[at], min(row[at] + 1, row[at - 1] + 1, above + (word != other))
    return row[-1]


class Server:
    """The recogniser that runs at `address`."""

    def __init__(self, address: str) -> None:
        self._url = f"http://{address}/v1/transcribe"

    def hear(self, path: pathlib.Path) -> str:
        cut = uuid.uuid4().hex
        head = f'--{cut}\r\nContent-Disposition: form-data; name="file"; filename="{path.name}"\r\n\r\n'
        body = head.encode() + path.read_bytes() + f"\r\n--{cut}--\r\n".encode()
        request = urllib.request.Request(self._url, body, {"Content-Type": f"multipart/form-data; boundary={cut}"})
        no_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with no_proxy.open(request, timeout=120) as answer:
            return str(json.load(answer)["text"])


class Listener:
    def __init__(self) -> None:
        self._decoder = Decoder(samprate=RATE, loglevel="FATAL")

    def hear(self, path: pathlib.Path) -> str:
        samples, rate = soundfile.read(path, dtype="float64", always_2d=True)
        samples = samples.mean(axis=1)
        common = gcd(rate, RATE)
        samples = resample_poly(samples, RATE // common, rate // common)
        samples = np.pad(samples, int(SILENCE_S * RATE))
        samples = samples / max(np.abs(samples).max(), 1e-9) * PEAK
        samples += np.random.RandomState(0).standard_normal(len(samples)) * NOISE
        self._decoder.start_utt()
        self._decoder.process_raw((samples * 32_767).astype("<i2").tobytes(), full_utt=True)
        self._decoder.end_utt()
        found = self._decoder.hyp()
        return found.hypstr if found else ""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--texts", type=pathlib.Path, default=TEXTS)
    parser.add_argument("--server", metavar="HOST:PORT", help="ask the recogniser there instead of PocketSphinx")
    arguments = parser.parse_args()
    texts = arguments.texts.read_text().splitlines()
    listener: Listener | Server = Server(arguments.server) if arguments.server else Listener()
    rows = []
    for number, text in enumerate(texts):
        path = arguments.folder / f"{number:03}.wav"
        if not path.exists():
            sys.exit(f"{path} is not there: {len(texts)} files are expected, one for each line of {arguments.texts}")
        heard = listener.hear(path)
        rows.append({"text": text, "heard": heard, "errors": errors(words(text), words(heard)), "words": len(words(text))})
    n_errors, n_words = (sum(it[key] for it in rows) for key in ("errors", "words"))
    result = {"word_error_rate": round(n_errors / n_words, 4), "errors": n_errors, "words": n_words, "files": rows}
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
