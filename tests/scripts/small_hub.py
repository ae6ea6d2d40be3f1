"""A model hub on this machine, whole and failing in the ways real ones fail, for the tests of `scripts/download_models.sh`."""

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


def facts(name, content):
    git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    entry = {"rfilename": name, "size": len(content), "blobId": git}
    if name.endswith((".bin", ".onnx", "_data")):
        entry["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    return entry


class Hub(http.server.ThreadingHTTPServer):
    """`storage` is a second server, as real hubs redirect large files to another host."""

    def __init__(self, repositories):
        super().__init__(("127.0.0.1", 0), Answer)
        self.repositories = repositories
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.storage = None
        self.requests = []  # (path, Range, Authorization)
        self.cut_after = []  # for each coming download: bytes to send before hanging up, None for all
        self.damage = 0  # so many coming downloads carry a wrong byte
        self.busy = 0  # so many coming requests are answered 503
        self.ignore_range = False
        self.private = False
        self.silent_about_files = False  # as a mirror that knows neither sizes nor sums
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
            files = hub.repositories.get(described[1])
            if files is None:
                return self.reply(404, b"no such repository")
            siblings = [facts(name, content) for name, content in files.items()]
            if hub.silent_about_files:
                siblings = [{"rfilename": it["rfilename"]} for it in siblings]
            return self.reply(200, json.dumps({"sha": COMMIT, "siblings": siblings}).encode())
        asked = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([0-9a-f]+)/(.+)", self.path)
        if not asked or asked[2] != COMMIT or asked[3] not in hub.repositories.get(asked[1], {}):
            return self.reply(404, b"no such file")
        content = hub.repositories[asked[1]][asked[3]]
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


class WithHub(unittest.TestCase):
    """A hub with `REPOSITORIES` and an empty folder for each test."""

    REPOSITORIES = {}

    def setUp(self):
        self.hub = self.start_hub()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def start_hub(self):
        hub = Hub(self.REPOSITORIES)
        self.addCleanup(hub.server_close)
        self.addCleanup(hub.shutdown)
        return hub

    def run_script(self, *names, endpoint=None, **environment):
        inherited = {it: os.environ[it] for it in ("PATH", "HOME") if it in os.environ}
        return subprocess.run(
            [SCRIPT, *names, "--dir", self.folder],
            env={**inherited, "HF_ENDPOINT": endpoint or self.hub.url, "DOWNLOAD_PAUSE_FACTOR": "0.01", **environment},
            capture_output=True, text=True, timeout=60, check=False,
        )

    def ranges_of(self, name):
        return [wanted for path, wanted, _key in self.hub.requests if path.endswith("/" + name)]
