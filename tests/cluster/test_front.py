"""The real servers behind nginx: what streams, what is full, who is who, and what stays when nginx takes a new configuration."""

import http.client
import json
import sys
import time
import unittest
import wave
from io import BytesIO

from real_cluster import ROOT, SPOKEN, Cluster, Listening, need_everything
from plain_websocket import Problem, WebSocket

sys.path.insert(0, str(ROOT / "tests/scripts"))
from nginx_front import need_ipv6  # noqa: E402

LONG = "The meeting is at half past nine. " * 12


def setUpModule():
    need_everything()


class Front(unittest.TestCase):
    """Two instances of each, with as many places as a test can fill."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster()
        cls.addClassCleanup(cls.cluster.discard)
        cls.cluster.start("--asr-set", "server.max_connections=2", "--tts-set", "server.max_connections=2")

    def test_a_file_and_a_sentence(self):
        status, headers, body = self.cluster.transcribe()
        self.assertEqual((status, json.loads(body)["text"]), (200, SPOKEN))
        for port in (self.cluster.port, self.cluster.speech):
            status, headers, body = self.cluster.ask(
                "/v1/audio/speech", "POST", json.dumps({"model": "tts-1", "voice": "alloy", "input": "Good morning.",
                                                        "response_format": "wav"}),
                {"Content-Type": "application/json", "X-Request-ID": "my-own:1"}, port=port)
            self.assertEqual((status, headers["X-Request-ID"], body[:4]), (200, "my-own:1", b"RIFF"))

    def test_every_page_of_both(self):
        for service in ("asr", "tts"):
            for page in ("health", "readyz", "healthz", "version", "docs", "openapi.json", "v1/models"):
                status, _, body = self.cluster.ask(f"/{service}/{page}")
                self.assertEqual(status, 200, page)
            self.assertIn(service, self.cluster.ask(f"/{service}/version")[2].decode())
            # Every address of the document is reached, and refused by the server itself where something is missing.
            for path, methods in json.loads(self.cluster.ask(f"/{service}/openapi.json")[2])["paths"].items():
                if "/stream/" in path or path in ("/docs", "/openapi.json", "/metrics", "/version", "/health"):
                    continue
                for method in methods:
                    name = path.replace("{id}", "tts-1" if "models" in path else "nobody")
                    status, headers, body = self.cluster.ask(name, method.upper(), b"" if method == "post" else None)
                    self.assertNotEqual(status, 502, path)
                    self.assertNotIn("nothing lives here", body.decode("utf-8", "replace"), path)
        self.assertEqual(self.cluster.ask("/v1/models/tts-1")[0], 200)
        self.assertEqual(self.cluster.ask("/v1/models/whisper-1")[0], 200)
        self.assertEqual(self.cluster.ask("/v1/models/nobody-2")[0], 404)

    def test_audio_comes_while_it_is_made(self):
        for path, body in (("/v1/synthesize", {"text": LONG, "format": "pcm"}),
                           ("/v1/audio/speech", {"model": "tts-1", "voice": "alloy", "input": LONG, "stream_format": "sse"})):
            connection = http.client.HTTPConnection("127.0.0.1", self.cluster.port, timeout=60)
            began = time.monotonic()
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            self.assertEqual(answer.status, 200)
            answer.read1(1)
            first = time.monotonic() - began
            answer.read()
            last = time.monotonic() - began
            connection.close()
            self.assertLess(first, 0.5 * last, path)

    def test_a_spoken_sentence_over_a_websocket(self):
        socket = WebSocket(f"ws://127.0.0.1:{self.cluster.port}/v1/stream/tts", {}, 30)
        socket.send(json.dumps({"type": "synthesize", "request_id": "r1", "text": LONG}))
        began = time.monotonic()
        first, samples = None, 0
        while True:
            message = socket.receive()
            if isinstance(message, bytes):
                first = first or time.monotonic() - began
                samples += len(message) // 2
            elif json.loads(message)["type"] == "synthesis_complete":
                break
        last = time.monotonic() - began
        self.assertLess(first, 0.5 * last)
        self.assertGreater(samples, 24000 * 5)
        socket.send(json.dumps({"type": "close"}))
        socket.reader.close()
        socket.socket.close()

    def test_full_instances_send_one_on_and_then_say_no_at_once(self):
        # Two places are taken behind nginx's back, so that it asks an instance that says no.
        first, second = self.cluster.asr
        sessions = [Listening(first) for _ in range(2)] + [self.cluster.listen() for _ in range(2)]
        self.assertEqual([it.instance for it in sessions], [f"asr-{first}"] * 2 + [f"asr-{second}"] * 2)
        times = []
        for _ in range(10):
            began = time.monotonic()
            status, headers, body = self.cluster.ask("/v1/stream/asr", headers={
                "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "eA=="})
            times.append(time.monotonic() - began)
            self.assertEqual((status, json.loads(body)["error"]["code"]), (503, "AT_CAPACITY"))
            self.assertGreaterEqual(int(headers["Retry-After"]), 1)
        # The fastest: the others tell what else the machine has to do.
        self.assertLess(min(times), 0.05, times)
        with self.assertRaisesRegex(Problem, "503"):
            self.cluster.listen()
        # One place is free again: it is found, on whichever instance it is, also for a file.
        sessions[0].close()
        sessions[0].to_the_end()
        self.cluster.wait_for_sessions(first, 1)
        status, _, body = self.cluster.transcribe()
        self.assertEqual((status, json.loads(body)["text"]), (200, SPOKEN))
        sessions[0] = self.cluster.listen()
        self.assertEqual(sessions[0].instance, f"asr-{first}")
        for it in sessions:
            it.close()
            it.to_the_end()

    def test_sessions_outlive_reloads(self):
        session = self.cluster.listen()
        for idx in range(4):
            session.speak(0.8 * idx, 0.8 * (idx + 1) if idx < 3 else None, pace=0.5)
            self.cluster.script("nginx_upstreams.sh", "--reload")
        session.close()
        self.assertEqual(session.to_the_end(), (SPOKEN, 1000))

    def test_one_voice_for_all_instances(self):
        recording = (ROOT / "tests/fixtures/tts-voices/high.wav").read_bytes()
        body = (b'--cut\r\nContent-Disposition: form-data; name="voice_id"\r\n\r\nann\r\n'
                b'--cut\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + recording + b"\r\n--cut--\r\n")
        status, _, answer = self.cluster.ask("/v1/voices", "POST", body, {"Content-Type": "multipart/form-data; boundary=cut"})
        self.assertIn(status, (200, 201), answer)
        # So long may pass until another instance sees it: `voices.refresh_ms`.
        time.sleep(2.5)
        for _ in range(4):
            status, _, audio = self.cluster.say("Good morning.", voice_id="ann")
            self.assertEqual(status, 200)
            with wave.open(BytesIO(audio)) as file:
                self.assertEqual(file.getframerate(), 24000)
        self.assertIn(self.cluster.ask("/v1/voices/ann", "DELETE")[0], (200, 204))

    def test_the_operators_port_has_every_instance(self):
        listed = json.loads(self.cluster.ask("/instances.json", port=self.cluster.status_port)[2])
        self.assertEqual(len(listed), 4)
        for it in listed:
            status, _, body = self.cluster.ask(f"/instances/{it['name']}/health", port=self.cluster.status_port)
            self.assertEqual((status, json.loads(body)["instance"]), (200, it["name"]))
            body = self.cluster.ask(f"/instances/{it['name']}/metrics", port=self.cluster.status_port)[2].decode()
            self.assertIn(f"{it['service']}_connections", body)
        self.assertEqual(self.cluster.ask("/metrics")[0], 403)


class Addresses(unittest.TestCase):
    def test_everything_over_ipv6(self):
        need_ipv6()
        cluster = Cluster()
        self.addCleanup(cluster.discard)
        cluster.start("--services", "nginx")
        cluster.script("start_asr.sh", "--host", "::1", "--port", str(cluster.asr[0]))
        self.assertIn(f"[::1]:{cluster.asr[0]}", (cluster.state / "instances.tsv").read_text())
        session = cluster.listen("[::1]")
        session.speak(pace=0.2)
        session.close()
        self.assertEqual(session.to_the_end(), (SPOKEN, 1000))
        self.assertEqual(cluster.table()[f"asr-{cluster.asr[0]}"]["state"], "ok")


class Pages(unittest.TestCase):
    """A web page that may call reads every answer, whoever gives it."""

    def test_refusals_can_be_read(self):
        cluster = Cluster()
        self.addCleanup(cluster.discard)
        cluster.start("--asr", "1", "--tts", "1", "--asr-set", "server.max_connections=1", "--origin", "https://a.example",
                      "--origin", "https://b.example:8443")
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "eA=="}
        session = cluster.listen()
        cluster.script("nginx_upstreams.sh", "--remove", f"tts-{cluster.tts[0]}", "--reload")
        for origin, allowed in (("https://a.example", True), ("https://b.example:8443", True), ("https://c.example", False)):
            exposed = set()
            for path, method, body, headers, expected in (
                    ("/v1/stream/asr", "GET", None, upgrade, (503, "AT_CAPACITY")),
                    ("/asr/v1/models/nobody", "GET", None, {}, (404, "model_not_found")),
                    ("/nothing", "GET", None, {}, (404, "NOT_FOUND")),
                    ("/v1/synthesize", "POST", b"{}", {}, (503, "NOT_READY")),
                    ("/v1/synthesize", "POST", bytes((1 << 20) + 1), {}, (413, "PAYLOAD_TOO_LARGE"))):
                with self.subTest(origin=origin, path=path):
                    status, headers, answer = cluster.ask(path, method, body, {**headers, "Origin": origin})
                    self.assertEqual((status, json.loads(answer)["error"]["code"]), expected)
                    self.assertEqual(headers.get_all("Access-Control-Allow-Origin"), [origin] if allowed else None)
                    self.assertIn("Origin", headers["Vary"])
                    exposed.add(", ".join(sorted(it.strip().lower() for it in (headers["Access-Control-Expose-Headers"] or "").split(","))))
            if allowed:
                self.assertEqual(exposed, {"retry-after, x-request-id"}, "nginx and the servers show the same")
        session.close()
        session.to_the_end()
        # What is asked before: told the same by nginx as by a server.
        told = []
        for port in (cluster.port, cluster.asr[0]):
            status, headers, _ = cluster.ask("/v1/transcribe", "OPTIONS", headers={
                "Origin": "https://a.example", "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization"}, port=port)
            told.append((status // 100, headers.get_all("Access-Control-Allow-Origin"), headers["Access-Control-Allow-Headers"],
                         headers["Access-Control-Max-Age"], "POST" in headers["Access-Control-Allow-Methods"]))
        self.assertEqual(told, [(2, ["https://a.example"], "authorization", "3600", True)] * 2)


if __name__ == "__main__":
    unittest.main()
