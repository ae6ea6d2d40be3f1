"""`scripts/download_models.sh` against a small hub on this machine, whole and failing in the ways real ones fail."""

import hashlib
import http.server
import json
import os
import pathlib
import re
import subprocess
import tempfile
import threading
import unittest

SCRIPT = pathlib.Path(__file__).parents[2] / "scripts" / "download_models.sh"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
MODEL_BIN = bytes(range(256)) * 20_000  # 5 MB: several chunks
FILES = {
    "README.md": b"not wanted",
    "config.json": b'{"alignment_heads": []}',
    "model.bin": MODEL_BIN,
    "tokenizer.json": b"{}",
    "vocabulary.txt": b"a\nb\n",
}
REPOSITORIES = {
    "Systran/faster-whisper-base": FILES,
    "deepdml/faster-whisper-large-v3-turbo-ct2": FILES,
    "someone/plain-transformers": {"config.json": b"{}", "model.safetensors": b"x"},
    "pipecat-ai/smart-turn-v3": {"smart-turn-v3.2-gpu.onnx": b"onnx" * 1000},
}


def facts(name, content):
    git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    entry = {"rfilename": name, "size": len(content), "blobId": git}
    if name.endswith((".bin", ".onnx")):
        entry["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    return entry


class Hub(http.server.ThreadingHTTPServer):
    """`storage` is a second server, as real hubs redirect large files to another host."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.storage = None
        self.requests = []  # (path, Range, Authorization)
        self.cut_after = []  # for each coming download: bytes to send before hanging up, None for all
        self.damage = 0  # so many coming downloads carry a wrong byte
        self.busy = 0  # so many coming requests are answered 503
        self.ignore_range = False
        self.private = False
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def handle_error(self, *_arguments):
        pass  # a client that left in the middle is part of the tests


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_arguments):
        pass

    def do_GET(self):
        hub = self.server
        hub.requests.append((self.path, self.headers.get("Range"), self.headers.get("Authorization")))
        if hub.busy:
            hub.busy -= 1
            return self.reply(503, b"busy")
        if hub.private and self.headers.get("Authorization") != "Bearer secret":
            return self.reply(401, b"who are you")
        described = re.fullmatch(r"/api/models/(.+)/revision/([^/?]+)\?blobs=true", self.path)
        if described:
            files = REPOSITORIES.get(described[1])
            if files is None:
                return self.reply(404, b"no such repository")
            siblings = [facts(name, content) for name, content in files.items()]
            return self.reply(200, json.dumps({"sha": COMMIT, "siblings": siblings}).encode())
        asked = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([0-9a-f]+)/(.+)", self.path)
        if not asked or asked[2] != COMMIT or asked[3] not in REPOSITORIES.get(asked[1], {}):
            return self.reply(404, b"no such file")
        content = REPOSITORIES[asked[1]][asked[3]]
        if hub.storage and len(content) > 1000:
            self.send_response(302)
            self.send_header("Location", hub.storage.url + self.path)
            self.send_header("Content-Length", "0")
            return self.end_headers()
        return self.send_file(hub, content)

    def send_file(self, hub, content):
        start = 0
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if wanted and not hub.ignore_range:
            start = int(wanted[1])
            if start >= len(content):
                return self.reply(416, b"")
        if hub.damage and len(content) > 1000:
            hub.damage -= 1
            content = content[:-1] + b"!"
        body = content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        cut = hub.cut_after.pop(0) if hub.cut_after and len(content) > 1000 else None
        self.wfile.write(body if cut is None else body[:cut])
        if cut is not None:
            self.close_connection = True

    def reply(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class DownloadModels(unittest.TestCase):
    def setUp(self):
        self.hub = Hub()
        self.addCleanup(self.hub.server_close)
        self.addCleanup(self.hub.shutdown)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def run_script(self, *names, endpoint=None, **environment):
        inherited = {it: os.environ[it] for it in ("PATH", "HOME") if it in os.environ}
        return subprocess.run(
            [SCRIPT, *names, "--dir", self.folder],
            env={**inherited, "HF_ENDPOINT": endpoint or self.hub.url, "DOWNLOAD_PAUSE_FACTOR": "0.01", **environment},
            capture_output=True, text=True, timeout=60, check=False,
        )

    def ranges_of(self, name):
        return [wanted for path, wanted, _key in self.hub.requests if path.endswith("/" + name)]

    def assert_whole(self, name="base"):
        wanted = {it: content for it, content in FILES.items() if it != "README.md"}
        found = {it.name: it.read_bytes() for it in (self.folder / name).iterdir() if it.name != "source.json"}
        self.assertEqual(found, wanted)
        self.assertEqual([it.name for it in self.folder.iterdir()], [name], "nothing else stays behind")

    def test_a_model_arrives_whole(self):
        result = self.run_script("base")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assert_whole()
        self.assertEqual(json.loads((self.folder / "base/source.json").read_text())["commit"], COMMIT)

    def test_a_second_run_downloads_nothing(self):
        self.run_script("base")
        self.hub.requests.clear()
        result = self.run_script("base")
        self.assertIn("already there", result.stdout)
        self.assertEqual([path for path, *_ in self.hub.requests if "/resolve/" in path], [])

    def test_other_spellings_are_the_same_model(self):
        for spelling in ("openai/whisper-base", "whisper-base", "Systran/faster-whisper-base"):
            result = self.run_script(spelling)
            self.assertEqual(result.returncode, 0, result.stderr)
        self.assert_whole()

    def test_a_cut_connection_is_continued_where_it_broke(self):
        self.hub.cut_after = [1_000_000, 2_000_000]
        result = self.run_script("base")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(self.ranges_of("model.bin"), [None, "bytes=1000000-", "bytes=3000000-"])
        self.assert_whole()

    def test_a_later_run_continues_what_an_earlier_one_began(self):
        self.hub.cut_after = [1_000_000] + [0] * 5
        self.assertEqual(self.run_script("base").returncode, 1)
        self.assertFalse((self.folder / "base").exists(), "an incomplete model has no final name")
        self.hub.requests.clear()
        result = self.run_script("base")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(self.ranges_of("model.bin"), ["bytes=1000000-"])
        self.assertEqual(self.ranges_of("config.json"), [], "complete files are not fetched again")
        self.assert_whole()

    def test_a_server_that_cannot_continue_starts_again(self):
        self.hub.cut_after = [1_000_000]
        self.hub.ignore_range = True
        result = self.run_script("base")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertNotIn("damaged", result.stdout)
        self.assert_whole()

    def test_a_damaged_file_is_fetched_again(self):
        self.hub.damage = 1
        result = self.run_script("base")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("arrived damaged", result.stdout)
        self.assert_whole()

    def test_a_file_that_stays_damaged_is_not_installed(self):
        self.hub.damage = 9
        result = self.run_script("base")
        self.assertEqual(result.returncode, 1)
        self.assertIn("is not what the hub states", result.stderr)
        self.assertFalse((self.folder / "base").exists())

    def test_an_installed_file_that_rotted_is_replaced(self):
        self.run_script("base")
        (self.folder / "base/model.bin").write_bytes(MODEL_BIN[:-1] + b"!")
        self.assertEqual(self.run_script("base").returncode, 0)
        self.assert_whole()

    def test_a_busy_hub_is_asked_again(self):
        self.hub.busy = 2
        result = self.run_script("base")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("503", result.stdout)

    def test_the_second_repository_serves_when_the_first_is_gone(self):
        result = self.run_script("turbo")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assert_whole("large-v3-turbo")

    def test_smart_turn_is_one_file(self):
        result = self.run_script("smart-turn-gpu")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual([it.name for it in self.folder.iterdir()], ["smart-turn-v3.2-gpu.onnx"])

    def test_the_token_goes_to_the_hub_and_not_to_its_storage(self):
        self.hub.private = True
        self.hub.storage = Hub()
        self.addCleanup(self.hub.storage.server_close)
        self.addCleanup(self.hub.storage.shutdown)
        result = self.run_script("base", HF_TOKEN="secret")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual({key for *_, key in self.hub.requests}, {"Bearer secret"})
        self.assertEqual([key for *_, key in self.hub.storage.requests], [None])

    def test_a_private_model_asks_for_a_token(self):
        self.hub.private = True
        result = self.run_script("base")
        self.assertEqual(result.returncode, 1)
        self.assertIn("HF_TOKEN", result.stderr)

    def test_an_unknown_name_suggests_the_nearest(self):
        result = self.run_script("large-v3-trubo")
        self.assertEqual(result.returncode, 1)
        self.assertIn("large-v3-turbo", result.stderr)
        self.assertEqual(self.hub.requests, [])

    def test_an_unknown_repository_is_named(self):
        result = self.run_script("nobody/nothing")
        self.assertEqual(result.returncode, 1)
        self.assertIn("nobody/nothing", result.stderr)
        self.assertIn("404", result.stderr)

    def test_a_repository_in_another_format_says_what_to_do(self):
        result = self.run_script("someone/plain-transformers")
        self.assertEqual(result.returncode, 1)
        self.assertIn("Convert it", result.stderr)

    def test_offline_is_told_at_once_and_with_advice(self):
        result = self.run_script("base", endpoint="http://127.0.0.1:9")
        self.assertEqual(result.returncode, 1)
        self.assertIn("cannot be reached", result.stderr)
        self.assertIn("--dir", result.stderr)
        self.assertNotIn("trying again", result.stdout)

    def test_something_that_is_no_hub_is_no_traceback(self):
        result = self.run_script("base", endpoint=self.hub.url + "/elsewhere")
        self.assertEqual(result.returncode, 1)
        self.assertNotIn("Traceback", result.stderr)


if __name__ == "__main__":
    unittest.main()
