#!/usr/bin/env python3
"""Lets the synthesiser speak a text into a file, and prints when which piece of audio came.

Over the WebSocket the audio comes while it is made, so that playing can begin at once; over REST a file of any format comes.
Standard library only, so it runs wherever Python 3.8 does; it is also a small example of a client.
"""

import argparse
import base64
import json
import os
import sys
import threading
import time
import urllib.error
import urllib.request
import wave

from plain_websocket import Problem, WebSocket

REQUEST = "speak"
# What of a request is sent at a time with --pieces, as a language model would.
PIECE_CHARS = 12
PIECE_S = 0.03
TIMEOUT_S = 120


class Speech:
    """The audio of one request as it comes, checked, with what a listener who began to play at once would notice."""

    def __init__(self, say):
        self.say = say
        self.began = time.monotonic()
        self.audio = []
        self.rate = None
        self.n_samples = 0
        self.n_chunks = 0
        self.play_from = None
        self.starved_s = 0.0
        self.closed = None

    def chunk(self, header, audio):
        now = time.monotonic()
        if header["start_sample"] != self.n_samples:
            raise Problem(f"a chunk begins at sample {header['start_sample']}, but {self.n_samples} came so far")
        if len(audio) != 2 * header["samples"]:
            raise Problem(f"a chunk of {header['samples']} samples came with {len(audio)} bytes")
        self.rate = header["sample_rate"]
        if self.play_from is None:
            self.play_from = now
        ahead_s = self.play_from + self.n_samples / self.rate - now
        if ahead_s < 0:
            # The player stopped for so long, and is late from here on.
            self.starved_s -= ahead_s
            self.play_from -= ahead_s
        self.n_samples += header["samples"]
        self.n_chunks += 1
        self.audio.append(audio)
        spare = "starts to play" if self.n_chunks == 1 else f"{ahead_s:.2f} s before it was needed"
        self.say("chunk", f"{header['samples'] / self.rate:5.2f} s of audio, {spare}")

    def complete(self, it):
        if (it["total_samples"], it["chunks_sent"]) != (self.n_samples, self.n_chunks):
            raise Problem(f"{self.n_chunks} chunks with {self.n_samples} samples came, but the server says: {it}")
        took = time.monotonic() - self.began
        seconds = self.n_samples / self.rate if self.rate else 0.0
        starved = f"; playing would have stopped for {self.starved_s:.2f} s" if self.starved_s > 0 else ""
        self.say("complete", f"{seconds:.2f} s of audio in {took:.2f} s ({seconds / max(took, 1e-3):.0f} times real time){starved}")


def over_websocket(arguments, text):
    connection = WebSocket(arguments.url, headers(arguments), timeout_s=30)
    connection.socket.settimeout(TIMEOUT_S)
    began = time.monotonic()

    def say(kind, what):
        if not arguments.json:
            print(f"  {time.monotonic() - began:6.2f} s  {kind:<9} {what}", flush=True)

    speech = Speech(say)
    header = None
    while speech.closed is None:
        message = connection.receive()
        if isinstance(message, tuple):
            raise Problem(f"the server closed the connection: {message[0]} {message[1]}")
        if isinstance(message, bytes):
            if header is None:
                raise Problem("audio came without a header")
            speech.chunk(header, message)
            header = None
            continue
        it = json.loads(message)
        kind = it.get("type")
        if arguments.json:
            print(json.dumps(it, ensure_ascii=False), flush=True)
        if kind == "ready" and arguments.learn:
            with open(arguments.learn, "rb") as file:
                recording = base64.b64encode(file.read()).decode()
            began = time.monotonic()
            connection.send(json.dumps({"type": "register_voice", "voice_id": arguments.voice, "reference_audio": recording, "replace": True}))
        elif kind in ("ready", "voice_registered"):
            if kind == "voice_registered":
                say("voice", f"{it['voice_id']} learnt from {arguments.learn}")
            began = speech.began = time.monotonic()
            # Beside the receiving, as the first audio may come before the last piece of text is sent.
            threading.Thread(target=ask, args=(connection, arguments, text), daemon=True).start()
        elif kind == "audio_chunk":
            header = it
        elif kind == "synthesis_complete":
            speech.complete(it)
            connection.send('{"type":"close"}')
        elif kind == "closed":
            speech.closed = it
        elif kind == "cancelled":
            raise Problem("the server cancelled the request")
        elif kind == "error":
            raise Problem(f"{it['code']}: {it['message']}")
    if not speech.n_samples:
        raise Problem("no audio came")
    if arguments.out:
        with wave.open(arguments.out, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(speech.rate)
            file.writeframes(b"".join(speech.audio))


def ask(connection, arguments, text):
    how = {"request_id": REQUEST, "encoding": "pcm_s16le", **options(arguments)}
    if not arguments.pieces:
        connection.send(json.dumps({"type": "synthesize", "text": text, **how}))
        return
    for at in range(0, len(text), PIECE_CHARS):
        connection.send(json.dumps({"type": "text", "text": text[at:at + PIECE_CHARS], **how}))
        time.sleep(PIECE_S)
    connection.send(json.dumps({"type": "end", "request_id": REQUEST}))


def over_rest(arguments, text):
    ending = os.path.splitext(arguments.out or "")[1].lstrip(".").lower() or "wav"
    body = {"text": text, "format": {"ogg": "opus", "raw": "pcm"}.get(ending, ending), **options(arguments)}
    given = {"Content-Type": "application/json", **headers(arguments)}
    no_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(arguments.url, json.dumps(body).encode(), given)
    began, first, n_bytes = time.monotonic(), None, 0
    try:
        with no_proxy.open(request, timeout=TIMEOUT_S) as answer, open(arguments.out or os.devnull, "wb") as file:
            for part in iter(lambda: answer.read1(1 << 16), b""):
                first = first or time.monotonic() - began
                n_bytes += len(part)
                file.write(part)
            kind = answer.headers.get("content-type")
    except urllib.error.HTTPError as error:
        raise Problem(f"{error.code} {error.read().decode('utf-8', 'replace')}") from None
    except urllib.error.URLError as error:
        raise Problem(f"no server answers at {arguments.url} ({error.reason}). Is it running?") from None
    if not n_bytes:
        raise Problem("no audio came")
    print(f"  {n_bytes:,} bytes of {kind}: the first after {first:.2f} s, all after {time.monotonic() - began:.2f} s")
    if arguments.out and body["format"] == "wav":
        state_length(arguments.out)


def state_length(path):
    """A WAV file that was sent while it was made says that its length is unknown; not every program reads that."""
    n_bytes = os.path.getsize(path)
    with open(path, "r+b") as file:
        head = file.read(44)
        if head[36:40] == b"data" and head[40:44] == b"\xff" * 4:
            for at, value in ((4, n_bytes - 8), (40, n_bytes - 44)):
                file.seek(at)
                file.write(value.to_bytes(4, "little"))


def options(arguments):
    given = {"voice_id": arguments.voice} if arguments.voice else {}
    for pair in arguments.set:
        key, equals, value = pair.partition("=")
        if not equals:
            raise Problem(f"--set wants KEY=VALUE. Given: {pair}")
        given[key] = as_json(value)
    return given


def as_json(value):
    try:
        return json.loads(value)
    except ValueError:
        return value


def headers(arguments):
    return {"Authorization": f"Bearer {arguments.api_key}"} if arguments.api_key else {}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text", help="what to say; - reads it from the standard input")
    parser.add_argument("-o", "--out", metavar="FILE", help="where the audio goes; over REST its ending is the format")
    parser.add_argument("--url", default="ws://127.0.0.1:8002/v1/stream/tts",
                        help="the WebSocket, or http://HOST:PORT/v1/synthesize (default: %(default)s)")
    parser.add_argument("--voice", metavar="ID", help="who speaks")
    parser.add_argument("--learn", metavar="FILE", help="register --voice from this recording first (WebSocket only)")
    parser.add_argument("--pieces", action="store_true", help="send the text in pieces, as a language model writes it (WebSocket only)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE",
                        help="an option of the speech, for example speed=1.2 or sample_rate=16000")
    parser.add_argument("--api-key", default=os.environ.get("TTS_API_KEY"))
    parser.add_argument("--json", action="store_true", help="print the messages as they come (WebSocket only)")
    arguments = parser.parse_args()
    try:
        if arguments.learn and not arguments.voice:
            raise Problem("--learn needs --voice ID: what the voice shall be called")
        text = sys.stdin.read() if arguments.text == "-" else arguments.text
        if arguments.url.startswith("ws"):
            over_websocket(arguments, text)
        elif arguments.learn or arguments.pieces or arguments.json:
            raise Problem("--learn, --pieces and --json are for the WebSocket; with curl, POST the recording to /v1/voices")
        else:
            over_rest(arguments, text)
    except (Problem, OSError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
