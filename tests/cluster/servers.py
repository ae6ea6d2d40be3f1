"""The built servers, started by tests on a free port."""

import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request

REPOSITORY = pathlib.Path(__file__).parents[2]


def binary(name):
    """The server that was built here, release before debug. VOICE_BIN names another folder."""
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or REPOSITORY / "target")
    folders = [os.environ["VOICE_BIN"]] if os.environ.get("VOICE_BIN") else [target / "release", target / "debug"]
    for folder in folders:
        path = pathlib.Path(folder, name)
        if path.is_file():
            return path
    if os.environ.get("CI") == "true":
        raise AssertionError(f"{name} is not built")
    raise unittest.SkipTest(f"{name} is not built: cargo build --release -p {name}")


class Server:
    """One server on a port of its own choice, its log in a file. Killed at the end of the `with`, if it still runs."""

    def __init__(self, program, arguments=(), environment=None):
        self.program, self.arguments = program, arguments
        self.environment = {"PATH": "/usr/bin:/bin", "ORT_DISABLE_TELEMETRY": "1", **(environment or {})}

    def __enter__(self):
        self.log_file = tempfile.NamedTemporaryFile("w+", suffix=".log")
        command = [str(self.program), "--host", "127.0.0.1", "--port", "0", "--set", "log.format=json", *self.arguments]
        self.process = subprocess.Popen(command, env=self.environment, cwd=REPOSITORY, stdout=self.log_file, stderr=self.log_file)
        return self

    def __exit__(self, *_exception):
        self.process.kill()
        self.process.wait(30)
        self.log_file.close()

    def log(self):
        return pathlib.Path(self.log_file.name).read_text()

    def address(self):
        """Where it listens, as its log says: `127.0.0.1:41234`."""
        return self.until(lambda: re.search(r'"address":"([0-9.]+:[0-9]+)"', self.log()), "the port in its log").group(1)

    def get(self, path):
        """The status and the text of an answer; 0 while nobody answers."""
        try:
            with urllib.request.urlopen(f"http://{self.address()}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except (urllib.error.URLError, OSError):
            return 0, ""

    def until(self, look, what, seconds=60):
        """What `look` returns as soon as it is something."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = look()
            if found:
                return found
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended with {self.process.returncode} before {what}:\n{self.log()}")
            time.sleep(0.02)
        raise AssertionError(f"no {what} within {seconds} s:\n{self.log()}")

    def until_ready(self):
        self.until(lambda: self.get("/readyz")[0] == 200, "readiness")


class Manager:
    """The end of the notification socket that systemd would hold."""

    def __init__(self, folder):
        self.path = str(pathlib.Path(folder, "notify"))
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.told = []

    def close(self):
        self.socket.close()

    def read(self, seconds=0.05):
        """Takes what has been told, as lines."""
        self.socket.settimeout(seconds)
        try:
            while True:
                self.told += self.socket.recv(4096).decode().splitlines()
        except (TimeoutError, socket.timeout):
            return self.told


def open_session(address, path):
    """A WebSocket, and its first message."""
    sys.path.insert(0, str(REPOSITORY / "scripts"))
    import plain_websocket
    session = plain_websocket.WebSocket(f"ws://{address}{path}", {}, 20)
    return session, json.loads(session.receive())
