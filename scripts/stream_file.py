#!/usr/bin/env python3
"""Streams a WAV file to the recogniser's WebSocket as a microphone would, and prints what comes back, when.

Standard library only, so it runs wherever Python 3.8 does; it is also a small example of a client.
"""

import argparse
import json
import os
import sys
import threading
import time
import urllib.parse
import wave

from plain_websocket import Problem, WebSocket

FRAME_S = 0.02


class Listener(threading.Thread):
    """Prints every message with the time since the stream began."""

    def __init__(self, connection, sent, as_json):
        super().__init__(daemon=True)
        self.connection, self.sent, self.as_json = connection, sent, as_json
        self.began = time.monotonic()
        self.ready = threading.Event()
        self.closed = None
        self.n_finals = 0
        self.n_partials = 0
        self.problem = None

    def run(self):
        try:
            while True:
                message = self.connection.receive()
                if isinstance(message, tuple):
                    if self.closed is None:
                        self.problem = f"the server closed the connection: {message[0]} {message[1]}"
                    break
                if isinstance(message, str):
                    self.show(json.loads(message))
        except Problem as problem:
            self.problem = str(problem)
        except (OSError, ValueError) as error:
            self.problem = f"the connection broke: {error}"
        self.ready.set()

    def say(self, kind, text):
        print(f"  {time.monotonic() - self.began:6.2f} s  {kind:<12} {text}", flush=True)

    def show(self, it):
        kind = it.get("type")
        if self.as_json:
            print(json.dumps(it, ensure_ascii=False), flush=True)
        if kind == "ready":
            self.ready.set()
        elif kind == "closed":
            self.closed = it
        elif kind == "final":
            self.n_finals += 1
        elif kind == "partial":
            self.n_partials += 1
        if not self.as_json:
            self.describe(kind, it)

    def describe(self, kind, it):
        if kind == "speech_start":
            self.say("speech", f"starts at {it['timestamp']:.2f} s")
        elif kind == "partial":
            stable = it.get("stable_text", "")
            rest = it["text"][len(stable):] if it["text"].startswith(stable) else it["text"]
            self.say("partial", f"{stable}[{rest}]" if rest else stable)
        elif kind == "final":
            waited = self.sent.since(it["end_time"])
            after = f", {1000 * waited:.0f} ms after the speech ended" if waited is not None else ""
            self.say("final", f"{it['text']}   ({it['start_time']:.2f} to {it['end_time']:.2f} s{after})")
        elif kind == "turn_end":
            probability = it.get("probability")
            sure = f", probability {probability:.2f}" if probability is not None else ""
            self.say("turn", f"ends ({it['reason']}{sure})")
        elif kind == "error":
            self.say("error", f"{it['code']}: {it['message']}")
        elif kind == "closed":
            self.say("closed", "samples received {received_samples} = transcribed {transcribed_samples} + silence "
                               "{silence_samples} + discarded {discarded_samples}".format(**it))


class Sent:
    """When each moment of the audio was on the wire, to tell how long an answer took."""

    def __init__(self):
        self.moments = []  # (seconds of audio sent so far, when)

    def note(self, audio_s):
        self.moments.append((audio_s, time.monotonic()))

    def since(self, audio_s):
        """Seconds since the audio up to `audio_s` was sent. None if it was not."""
        for until_s, when in self.moments:
            if until_s >= audio_s:
                return time.monotonic() - when
        return None


def read_wav(path):
    try:
        with wave.open(path) as file:
            if file.getsampwidth() != 2:
                raise Problem(f"{path} has {8 * file.getsampwidth()}-bit samples; this program sends 16-bit ones")
            return file.readframes(file.getnframes()), file.getframerate(), file.getnchannels()
    except (wave.Error, EOFError) as error:
        raise Problem(
            f"{path} is not a 16-bit WAV file ({error}). Make one: ffmpeg -i {path} -ac 1 -ar 16000 out.wav\n"
            "  Any format can be sent as a file: curl -F file=@FILE http://HOST:8001/v1/transcribe"
        ) from None
    except OSError as error:
        raise Problem(str(error)) from None


def stream(connection, listener, sent, arguments, audio, rate, channels):
    frame_bytes = int(rate * FRAME_S) * 2 * channels
    silence = b"\0" * (int(rate * arguments.tail) * 2 * channels)
    began = listener.began = time.monotonic()
    position = 0
    for at in range(0, len(audio) + len(silence), frame_bytes):
        if listener.problem:
            raise Problem(listener.problem)
        frame = (audio + silence)[at:at + frame_bytes] if at + frame_bytes > len(audio) else audio[at:at + frame_bytes]
        position += len(frame) / (2 * channels * rate)
        if arguments.pace:
            # The end of a frame cannot be sent before it was spoken.
            time.sleep(max(0.0, began + position / arguments.pace - time.monotonic()))
        connection.send(frame)
        sent.note(position)
    connection.send(json.dumps({"type": "close"}))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", help="a WAV file with 16-bit samples")
    parser.add_argument("--url", default="ws://127.0.0.1:8001/v1/stream/asr")
    parser.add_argument("--pace", type=float, default=1.0, help="1 is real time, 2 twice as fast, 0 as fast as it goes")
    parser.add_argument("--tail", type=float, default=1.0, help="seconds of silence after the file, as a microphone gives")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE",
                        help="a key of the stream's configuration, for example language=en or final_on=vad_stop")
    parser.add_argument("--api-key", default=os.environ.get("ASR_API_KEY"))
    parser.add_argument("--json", action="store_true", help="print the messages as they come")
    arguments = parser.parse_args()
    try:
        return run(arguments)
    except Problem as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def run(arguments):
    audio, rate, channels = read_wav(arguments.file)
    # In the query, so that a mistake is answered before the stream begins. A `config` message could carry the same keys.
    config = {"encoding": "pcm_s16le", "sample_rate": rate, "channels": channels}
    config.update(pair.partition("=")[::2] for pair in arguments.set)
    url = f"{arguments.url}{'&' if '?' in arguments.url else '?'}{urllib.parse.urlencode(config)}"
    headers = {"Authorization": f"Bearer {arguments.api_key}"} if arguments.api_key else {}
    connection = WebSocket(url, headers, timeout_s=30)
    sent = Sent()
    listener = Listener(connection, sent, arguments.json)
    listener.start()
    if not listener.ready.wait(30):
        raise Problem("the server did not say that it is ready in 30 s")
    try:
        stream(connection, listener, sent, arguments, audio, rate, channels)
    except OSError as error:
        raise Problem(listener.problem or f"the connection broke: {error}") from None
    listener.join(60)
    if listener.problem or listener.closed is None:
        raise Problem(listener.problem or "the server did not close the stream in 60 s")
    totals = listener.closed
    accounted = sum(totals[it] for it in ("transcribed_samples", "silence_samples", "discarded_samples"))
    if totals["received_samples"] != accounted:
        raise Problem(f"samples are missing from the totals: {totals}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
