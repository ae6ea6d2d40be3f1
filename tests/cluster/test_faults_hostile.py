"""Clients that misbehave, through a real nginx: each is ended with its reason, and nobody beside them notices."""

import json
import re
import socket
import struct
import time
import unittest

from real_cluster import Cluster, need_everything
from plain_websocket import BINARY, Problem, WebSocket
from resuming import RATE, check_crowd, crowd, p95_ms, samples_of

QUICK = ["server.ping_interval_ms=1500", "server.idle_timeout_ms=4000", "server.slow_reader_ms=2000"]


def setUpModule():
    need_everything()


class Hostile(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster()
        cls.addClassCleanup(cls.cluster.discard)
        # Who does not read answers no pings either, and is to be given up for the former, however long speech takes to fill the buffers.
        cls.cluster.start(*(word for it in QUICK for word in ("--asr-set", it)), "--tts-set", "server.slow_reader_ms=2000",
                          "--tts-set", "server.ping_interval_ms=60000")
        # What well-behaved sessions need when nobody bothers them.
        alone = crowd(cls.cluster.port, 6, 1)
        check_crowd(unittest.TestCase(), alone)
        cls.undisturbed_ms = p95_ms(alone)

    def setUp(self):
        """Somebody talks beside every one of them, and is heard."""
        speakers = crowd(self.cluster.port, 6, 1)

        def heard():
            n_words = check_crowd(self, speakers)
            self.assertEqual([len(it.connections) for it in speakers], [1] * 6)
            print(f"    beside it: {len(speakers)} streams, {n_words} words of {n_words}, p95 of the final {p95_ms(speakers)} ms "
                  f"({self.undisturbed_ms} ms when alone)")

        self.addCleanup(heard)

    def open(self, service="asr", more=""):
        session = WebSocket(f"ws://127.0.0.1:{self.cluster.port}/v1/stream/{service}?{more}", {}, 30)
        self.addCleanup(session.socket.close)
        self.addCleanup(session.reader.close)
        self.assertEqual(json.loads(session.receive())["type"], "ready")
        return session

    def end_of(self, session):
        """What was told before the end, and how it ended."""
        told = []
        while True:
            message = session.receive()
            if isinstance(message, tuple):
                return told, message
            if isinstance(message, str):
                told.append(json.loads(message))

    def test_a_handshake_that_is_never_finished(self):
        began = time.monotonic()
        with socket.create_connection(("127.0.0.1", self.cluster.port), timeout=30) as half:
            half.sendall(b"GET /v1/stream/asr HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nX-Slow: ")
            try:
                answer = half.recv(4096)
            except ConnectionResetError:
                answer = b""
        took_s = time.monotonic() - began
        log = [json.loads(it) for it in (self.cluster.state / "access.log").read_text().splitlines()]
        found = [it["status"] for it in log if it["status"] == 408]
        print(f"\n  half a handshake: ended by nginx after {took_s:.1f} s, status {found[:1]} in its log, {len(answer)} bytes of answer")
        self.assertEqual(found, [408])

    def test_a_peer_that_is_gone_without_a_word(self):
        session = self.open()
        session.send(samples_of("held_ked_136.wav"))
        began = time.monotonic()
        # It does not answer pings, and its kernel still holds the connection.
        session.reader.close()
        try:
            while session.socket.recv(65536):
                pass
        except ConnectionResetError:
            pass
        took_s = time.monotonic() - began
        print(f"\n  a peer that does not answer pings: ended after {took_s:.1f} s (a ping every 1.5 s)")
        self.assertLess(took_s, 15)

    def test_a_client_that_says_nothing(self):
        session = self.open()
        began = time.monotonic()
        told, end = self.end_of(session)
        print(f"\n  a silent client: {[it.get('code') for it in told if it['type'] == 'error']} and close {end[0]} "
              f"after {time.monotonic() - began:.1f} s")
        self.assertIn("IDLE_TIMEOUT", [it.get("code") for it in told])
        self.assertEqual(end[0], 1008)

    def test_frames_of_one_byte(self):
        audio = samples_of("held_ked_136.wav")
        session = self.open(more=f"sample_rate={RATE}")
        frames = b"".join(bytes([0x80 | BINARY, 0x81, 0, 0, 0, 0, it]) for it in audio)
        for at in range(0, len(frames), 7000):
            session.socket.sendall(frames[at:at + 7000])
        session.send(json.dumps({"type": "close"}))
        told, end = self.end_of(session)
        text = " ".join(it["text"] for it in told if it["type"] == "final")
        print(f"\n  {len(audio)} frames of one byte: heard {text!r}, close {end[0]}")
        self.assertEqual((text, end[0]), ("I need to change my problem.", 1000))
        self.assertEqual(told[-1]["received_samples"], len(audio) // 2)

    def test_a_frame_of_16_mib(self):
        for service, limit in (("asr", 1 << 20), ("tts", 4 << 20)):
            session = self.open(service)
            n_sent = 0
            session.socket.sendall(bytes([0x80 | BINARY, 0xFF]) + struct.pack("!Q", 16 << 20) + bytes(4))
            try:
                while n_sent < 16 << 20:
                    session.socket.sendall(bytes(1 << 16))
                    n_sent += 1 << 16
            except OSError:
                pass
            try:
                told, end = self.end_of(session)
            except (Problem, OSError) as error:
                told, end = [], (None, str(error))
            print(f"\n  a frame of 16 MiB to {service} (limit {limit >> 20} MiB): {[it.get('code') for it in told]}, close {end}, "
                  f"{n_sent >> 10} KiB were taken")
            self.assertIn("FRAME_TOO_LARGE", [it.get("code") for it in told])
            self.assertEqual(end[0], 1009)

    def test_a_reader_that_stops_reading(self):
        session = self.open("tts", "encoding=pcm_f32le&sample_rate=48000")
        sentence = "The train leaves the station at nine in the morning. "
        session.send(json.dumps({"type": "synthesize", "request_id": "r", "text": sentence * 400}))
        instance = f"tts-{self.instance_with_sessions()}"
        began = time.monotonic()
        # Its window is shut, so it cannot be told; the operator is.
        while (counted := self.metric(instance, 'rejected_total{reason="slow_consumer"}')) != 1 or self.metric(instance, "connections"):
            self.assertLess(time.monotonic() - began, 100, counted)
            time.sleep(0.2)
        took_s = time.monotonic() - began
        n_bytes = 0
        try:
            while data := session.socket.recv(1 << 20):
                n_bytes += len(data)
        except ConnectionResetError:
            pass
        print(f"\n  a reader that stops: given up by {instance} after {took_s:.1f} s, counted as slow_consumer; "
              f"{n_bytes >> 10} KiB were on the way")
        # What was held for it was bounded, by the kernel's buffers and the server's.
        self.assertLess(n_bytes, 64 << 20)

    def instance_with_sessions(self):
        until = time.monotonic() + 10
        while time.monotonic() < until:
            for port in self.cluster.tts:
                if self.cluster.table()[f"tts-{port}"]["sessions"]:
                    return port
        self.fail("nobody has the session")

    def metric(self, name, what):
        _, _, body = self.cluster.ask("/metrics", port=int(name[4:]))
        found = re.search(rf"^tts_{re.escape(what)} (\d+)", body.decode(), re.M)
        return int(found[1]) if found else 0



if __name__ == "__main__":
    unittest.main()
