#!/usr/bin/env python3
"""Times a long file through faster-whisper and through our server, in turns, on the same model and threads.

Each contender is warm before it is timed, and they take turns within a round, so that a slow minute of the machine
hits all of them. faster-whisper runs in this process on the path of the file, our server gets the file over HTTP: what
that costs is on our side of the scale.

The server under test is started with the same model, threads and compute type by whoever calls this.
"""

from __future__ import annotations

import argparse
import http.client
import json
import pathlib
import re
import statistics
import time
import uuid
from collections.abc import Callable

from faster_whisper import BatchedInferencePipeline, WhisperModel


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="directory of the CTranslate2 model, also loaded by the servers")
    parser.add_argument("--audio", required=True, type=pathlib.Path, help="WAV file with its text in a .txt beside it")
    parser.add_argument("--server", action="append", default=[], metavar="NAME=HOST:PORT", help="our server; may be repeated")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compute-type", default="int8")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=8, help="of faster-whisper's batched pipeline")
    parser.add_argument("--json", required=True, type=pathlib.Path)
    return parser.parse_args()


def words(text: str) -> list[str]:
    return [word for word in (re.sub(r"[^\w']", "", word).lower() for word in text.split()) if word]


def word_errors(reference: list[str], heard: list[str]) -> int:
    row = list(range(len(heard) + 1))
    for said_idx, said in enumerate(reference):
        diagonal, row[0] = row[0], said_idx + 1
        for idx, word in enumerate(heard):
            cost = min(diagonal + (word != said), row[idx] + 1, row[idx + 1] + 1)
            diagonal, row[idx + 1] = row[idx + 1], cost
    return row[-1]


def ours(server: str, audio: pathlib.Path, vad: bool) -> str:
    boundary = uuid.uuid4().hex
    # faster-whisper does not time words unless it is told to; ours does, unless it is told not to.
    fields = {"vad": str(vad).lower(), "timestamps": "false"}
    field = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()
    )
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{audio.name}"\r\nContent-Type: audio/wav\r\n\r\n'
    body = field.encode() + head.encode() + audio.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    connection = http.client.HTTPConnection(server, timeout=3600)
    connection.request("POST", "/v1/transcribe", body, {"Content-Type": f"multipart/form-data; boundary={boundary}"})
    response = connection.getresponse()
    answer = response.read()
    if response.status != 200:
        raise SystemExit(f"{server} answered {response.status}: {answer.decode(errors='replace')}")
    return json.loads(answer)["text"]


def main() -> None:
    args = arguments()
    model = WhisperModel(args.model, device="cpu", compute_type=args.compute_type, cpu_threads=args.threads)
    batched = BatchedInferencePipeline(model)
    reference = words(args.audio.with_suffix(".txt").read_text())

    def sequential(vad: bool) -> str:
        segments, _ = model.transcribe(str(args.audio), vad_filter=vad)
        return "".join(segment.text for segment in segments)

    def pipeline() -> str:
        segments, _ = batched.transcribe(str(args.audio), batch_size=args.batch_size)
        return "".join(segment.text for segment in segments)

    contenders: dict[str, Callable[[], str]] = {
        "faster-whisper sequential, VAD": lambda: sequential(True),
        "faster-whisper sequential, no VAD": lambda: sequential(False),
        "faster-whisper batched, VAD": pipeline,
    }
    for given in args.server:
        name, server = given.split("=", 1)
        contenders[f"{name}, VAD"] = lambda server=server: ours(server, args.audio, True)
        contenders[f"{name}, no VAD"] = lambda server=server: ours(server, args.audio, False)

    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    texts: dict[str, str] = {}
    # The first round warms caches and allocators, and is not counted.
    for number in range(args.rounds + 1):
        for name, run in contenders.items():
            begun = time.perf_counter()
            texts[name] = run()
            took = time.perf_counter() - begun
            if number:
                seconds[name].append(took)
            print(f"{'warm-up' if number == 0 else f'round {number}'}  {name:<36} {took:8.2f} s", flush=True)
    length = (args.audio.stat().st_size - 44) / 32_000
    rows = [
        {
            "name": name,
            "seconds": times,
            "median_s": statistics.median(times),
            "times_real_time": length / statistics.median(times),
            "words": len(reference),
            "word_errors": word_errors(reference, words(texts[name])),
        }
        for name, times in seconds.items()
    ]
    args.json.write_text(json.dumps({"model": args.model, "audio_s": length, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
