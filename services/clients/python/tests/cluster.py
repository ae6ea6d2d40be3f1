"""Real servers as processes of their own, behind a port that leads to one that is up."""

import asyncio
import contextlib
import os
import random
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.request

from . import ROOT

TARGET = os.path.join(os.environ.get("CARGO_TARGET_DIR") or os.path.join(ROOT, "target"), "release")


def need_servers():
    """Skips the test where the servers are not built. Where everything is built that is a failure."""
    missing = [it for it in ("asr", "tts") if not os.path.exists(os.path.join(TARGET, it))]
    if missing:
        if os.environ.get("CI") == "true":
            raise AssertionError(f"no {missing} in {TARGET}")
        raise unittest.SkipTest(f"no {missing} in {TARGET}: cargo build --release -p asr -p tts")


def free_port():
    """A port that was free a moment ago."""
    while True:
        port = random.randrange(12_000, 20_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


class Instance:
    """A server that runs."""

    def __init__(self, name):
        # Not one that the kernel gives to a connection before the server has it.
        self.port = free_port()
        self._log = tempfile.TemporaryFile()
        self._process = subprocess.Popen([os.path.join(TARGET, name), "--host", "127.0.0.1", "--port", str(self.port)],
                                         cwd=ROOT, stdout=self._log, stderr=self._log)

    def wait(self):
        """Waits until it is ready."""
        for _ in range(600):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5):
                return
            assert self._process.poll() is None, self.log()
            time.sleep(0.1)
        raise AssertionError(f"not ready: {self.log()}")

    def log(self):
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def kill(self):
        """As when the machine is gone."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._log.close()


class Cluster:
    """Two instances of each, and a balancer."""

    def __init__(self):
        self.instances = {name: [Instance(name), Instance(name)] for name in ("asr", "tts")}

    def wait(self):
        for instance in self.all():
            instance.wait()

    def all(self):
        return [it for instances in self.instances.values() for it in instances]

    def stop(self):
        for instance in self.all():
            instance.kill()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.host = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_):
        self._server.close()

    async def _accept(self, reader, writer):
        """Leads to the first instance that answers, by the path that is asked for."""
        head = await reader.readline()
        for instance in self.instances["tts" if b"/stream/tts" in head else "asr"]:
            with contextlib.suppress(OSError):
                back, forth = await asyncio.open_connection("127.0.0.1", instance.port)
                forth.write(head)
                await asyncio.gather(self._copy(reader, forth), self._copy(back, writer))
                return
        writer.close()

    @staticmethod
    async def _copy(reader, writer):
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()
