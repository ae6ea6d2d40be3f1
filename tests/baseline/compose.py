#!/usr/bin/env python3
"""Writes a long WAV file made of the recordings of a folder and pauses, and beside it what is said in it.

    compose.py RECORDINGS_FOLDER OUT.wav SECONDS [NAME,…]

Of all recordings, or of those named. About half of it is speech, in a fixed order, with a pause of half a second to four seconds after each recording.
"""

from __future__ import annotations

import json
import pathlib
import random
import sys
import wave

RATE = 16_000


def main() -> None:
    folder, out, seconds = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3])
    only = sys.argv[4].split(",") if len(sys.argv) > 4 else None
    order = random.Random(1)
    clips = []
    for name, text in json.loads((folder / "expected.json").read_text()).items():
        if only and pathlib.Path(name).stem not in only:
            continue
        with wave.open(str(folder / name)) as clip:
            if (clip.getframerate(), clip.getnchannels(), clip.getsampwidth()) != (RATE, 1, 2):
                sys.exit(f"{name} is not mono, 16 kHz, 16 bit")
            clips.append((clip.readframes(clip.getnframes()), text))
    if not clips:
        sys.exit(f"no recordings in {folder}")
    audio, texts = bytearray(), []
    # Whole recordings only, so that the text is right; silence fills the rest.
    while True:
        for samples, text in order.sample(clips, len(clips)):
            piece = samples + bytes(2 * order.randint(RATE // 2, 4 * RATE))
            if len(audio) + len(piece) > seconds * RATE * 2:
                audio += bytes(seconds * RATE * 2 - len(audio))
                with wave.open(str(out), "wb") as file:
                    file.setparams((1, 2, RATE, 0, "NONE", ""))
                    file.writeframes(audio)
                out.with_suffix(".txt").write_text(" ".join(texts) + "\n")
                return
            audio += piece
            texts.append(text)


if __name__ == "__main__":
    main()
