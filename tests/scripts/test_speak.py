"""`scripts/speak.py` against a small server on this machine that says what a script says."""

import base64
import hashlib
import json
import pathlib
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import unittest
import wave

SCRIPT = pathlib.Path(__file__).parents[2] / "scripts" / "speak.py"
READY = {"type": "ready"}
AUDIO = b"\x01\x02" * 960


def chunk(number, start, samples=960):
    return {"type": "audio_chunk", "request_id": "speak", "chunk_id": number, "start_sample": start, "samples": samples,
            "sample_rate": 24000, "text_start": 0, "text_end": 5}


def complete(samples, chunks):
    return {"type": "synthesis_complete", "request_id": "speak", "total_samples": samples, "chunks_sent": chunks}


CLOSED = {"type": "closed", "requests": 1}
WHOLE = [chunk(1, 0), AUDIO, chunk(2, 960), AUDIO, complete(1920, 2)]


class Server(threading.Thread):
    """Answers one connection: after each kind of message from the client, what `answers` has for it."""

    def __init__(self, answers):
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"ws://127.0.0.1:{self.listener.getsockname()[1]}/v1/stream/tts"
        self.answers = answers
        self.heard = []
        self.start()

    def run(self):
        connection, _address = self.listener.accept()
        with connection, connection.makefile("rb") as reader:
            head = b"".join(iter(lambda: reader.readline().strip() + b"\n", b"\n")).decode()
            key = next(line.split(": ")[1] for line in head.splitlines() if line.lower().startswith("sec-websocket-key"))
            accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
            connection.sendall(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
            )
            self.say(connection, [READY])
            while True:
                start = reader.read(2)
                if len(start) < 2 or start[0] & 0x0F != 1:
                    return
                length = start[1] & 0x7F
                if length == 126:
                    (length,) = struct.unpack("!H", reader.read(2))
                elif length == 127:
                    (length,) = struct.unpack("!Q", reader.read(8))
                mask = reader.read(4)
                text = bytes(byte ^ mask[at % 4] for at, byte in enumerate(reader.read(length))).decode()
                self.heard.append(json.loads(text))
                self.say(connection, self.answers.get(self.heard[-1]["type"], []))

    @staticmethod
    def say(connection, messages):
        for it in messages:
            kind, payload = (2, it) if isinstance(it, bytes) else (1, json.dumps(it).encode())
            length = bytes([len(payload)]) if len(payload) < 126 else b"\x7e" + struct.pack("!H", len(payload))
            connection.sendall(bytes([0x80 | kind]) + length + payload)


class Speak(unittest.TestCase):
    def speak(self, answers, *options):
        server = Server(answers)
        self.addCleanup(server.listener.close)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.out = pathlib.Path(folder.name) / "out.wav"
        result = subprocess.run(
            [sys.executable, SCRIPT, "Hello there, all of you.", "--url", server.url, "--out", self.out, *options],
            capture_output=True, text=True, timeout=60, check=False,
        )
        return server, result

    def test_what_was_spoken_is_written_as_it_came(self):
        server, result = self.speak({"synthesize": WHOLE, "close": [CLOSED]}, "--voice", "jenny", "--set", "speed=1.5")
        self.assertEqual(result.returncode, 0, result.stderr)
        with wave.open(str(self.out)) as file:
            self.assertEqual((file.getframerate(), file.getnchannels(), file.getsampwidth()), (24000, 1, 2))
            self.assertEqual(file.readframes(9999), AUDIO * 2)
        asked = server.heard[0]
        self.assertEqual((asked["text"], asked["voice_id"], asked["speed"]), ("Hello there, all of you.", "jenny", 1.5))
        self.assertIn("0.08 s of audio in", result.stdout)

    def test_a_text_in_pieces_arrives_whole(self):
        server, result = self.speak({"end": WHOLE, "close": [CLOSED]}, "--pieces")
        self.assertEqual(result.returncode, 0, result.stderr)
        pieces = [it["text"] for it in server.heard if it["type"] == "text"]
        self.assertEqual("".join(pieces), "Hello there, all of you.")
        self.assertGreater(len(pieces), 1)

    def test_a_voice_is_learnt_before_it_speaks(self):
        answers = {"register_voice": [{"type": "voice_registered", "voice_id": "me"}], "synthesize": WHOLE, "close": [CLOSED]}
        server, result = self.speak(answers, "--voice", "me", "--learn", __file__)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual([it["type"] for it in server.heard], ["register_voice", "synthesize", "close"])
        self.assertEqual(base64.b64decode(server.heard[0]["reference_audio"]), pathlib.Path(__file__).read_bytes())

    def test_what_does_not_fit_together_is_an_error(self):
        cases = [
            ([chunk(1, 0), AUDIO, chunk(2, 961), AUDIO], "begins at sample 961"),
            ([chunk(1, 0, samples=959), AUDIO], "came with 1920 bytes"),
            ([AUDIO], "without a header"),
            ([chunk(1, 0), AUDIO, complete(1920, 2)], "1 chunks with 960 samples"),
            ([complete(0, 0)], "no audio came"),
            ([{"type": "error", "code": "UNKNOWN_VOICE", "message": "no such voice", "recoverable": True}], "UNKNOWN_VOICE: no such voice"),
        ]
        for said, part in cases:
            _server, result = self.speak({"synthesize": said, "close": [CLOSED]})
            self.assertEqual(result.returncode, 1, part)
            self.assertIn(part, result.stderr)
            self.assertNotIn("Traceback", result.stderr)
            self.assertFalse(self.out.exists(), part)

    def test_no_server_is_no_traceback(self):
        with socket.create_server(("127.0.0.1", 0)) as unused:
            url = f"ws://127.0.0.1:{unused.getsockname()[1]}/"
        result = subprocess.run([sys.executable, SCRIPT, "Hello.", "--url", url], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn("Is it running?", result.stderr)
        self.assertNotIn("Traceback", result.stderr)


if __name__ == "__main__":
    unittest.main()
