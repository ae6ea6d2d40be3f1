"""A cluster of the built servers behind a real nginx, started and stopped by the scripts, on ports that are free."""

import http.client
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import wave

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
from plain_websocket import WebSocket  # noqa: E402

RECORDING = ROOT / "tests/fixtures/speech/held_ked_136.wav"
SPOKEN = "I need to change my problem."


def need_everything():
    """Skips a test where the servers are not built or nginx is not there; on a machine of CI that is a failure."""
    folder = pathlib.Path(os.environ.get("VOICE_BIN") or pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release")
    missing = [str(folder / it) for it in ("asr", "tts") if not (folder / it).exists()]
    if shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin") is None:
        missing.append("nginx")
    if missing:
        message = f"missing: {', '.join(missing)}; see scripts/setup.sh --tests and cargo build --release"
        if os.environ.get("CI") == "true":
            raise AssertionError(message)
        raise unittest.SkipTest(message)


def is_free(port):
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def is_ready(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def use_of(pid):
    """Descriptors, threads, and MiB of memory of its own of a process."""
    folder = pathlib.Path(f"/proc/{pid}")
    lines = (it.split() for it in (folder / "status").read_text().splitlines())
    field = {it[0]: it[1] for it in lines if len(it) > 1}
    return len(list((folder / "fd").iterdir())), int(field["Threads:"]), int(field["RssAnon:"]) / 1024


class Cluster:
    """A folder and ports of its own."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cluster-"))
        self.state = self.folder / "cluster"
        while True:
            base = int(os.environ.get("VOICE_TEST_PORTS", 21000)) + random.randrange(900)
            self.ports = [base + it for it in (0, 3, 80, 1, 11, 21, 2, 12)]
            if all(map(is_free, self.ports)):
                break
        self.port, self.speech, self.status_port = base, base + 3, base + 80
        self.asr, self.tts = [base + 1, base + 11], [base + 2, base + 12]
        self.environment = {
            **os.environ, "VOICE_RUN": str(self.folder), "VOICE_PORT": str(self.port), "VOICE_TTS_FRONT": str(self.speech),
            "VOICE_STATUS_PORT": str(self.status_port), "VOICE_ASR_PORT": str(self.asr[0]), "VOICE_TTS_PORT": str(self.tts[0])}

    def script(self, name, *arguments, timeout_s=120, check=True):
        """Runs a script to its end."""
        done = subprocess.run([str(ROOT / "scripts" / name), *arguments], env=self.environment, capture_output=True, text=True,
                              timeout=timeout_s)
        if check and done.returncode != 0:
            raise AssertionError(f"{name} ended with {done.returncode}\n{done.stdout}{done.stderr}{self.logs()}")
        return done

    def start(self, *arguments, check=True):
        """Starts it all, with a folder of its own for voices."""
        return self.script("start_all.sh", "--tts-set", f"voices.store={self.folder}/voices", *arguments, check=check)

    def begin(self, name, *arguments):
        """Runs a script beside the test. It can be interrupted, even where the test itself runs in the background of a shell."""
        return subprocess.Popen([str(ROOT / "scripts" / name), *arguments], env=self.environment, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))

    def logs(self):
        return "".join(f"--- {it.name}\n{it.read_text()[-2000:]}" for it in sorted(self.state.glob("*.log")))

    def table(self):
        """What status.sh says, by name."""
        done = self.script("status.sh", "--json", check=False)
        return {it["name"]: it for it in json.loads(done.stdout)["instances"]}

    def pid(self, name):
        return int((self.state / f"{name}.pid").read_text().split()[0])

    def started_as(self, name):
        """The command and the environment of an instance."""
        process = pathlib.Path(f"/proc/{self.pid(name)}")
        return (process / "cmdline").read_bytes(), sorted((process / "environ").read_bytes().split(b"\0"))

    def ask(self, path, method="GET", body=None, headers=None, port=None):
        """The status, the headers and the body of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=30)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def wait_for_sessions(self, port, wanted):
        """Until an instance has noticed who has left."""
        until = time.monotonic() + 20
        while json.loads(self.ask("/health", port=port)[2])["connections"] != wanted:
            if until < time.monotonic():
                raise AssertionError(f"the instance at {port} has not {wanted} sessions after 20 s")
            time.sleep(0.05)

    def say(self, text, **more):
        """What a synthesiser answers."""
        body = json.dumps({"text": text, **more})
        return self.ask("/v1/synthesize", "POST", body, {"Content-Type": "application/json"})

    def transcribe(self):
        """What a recogniser answers about the recording."""
        head = b'--cut\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
        body = head + RECORDING.read_bytes() + b"\r\n--cut--\r\n"
        return self.ask("/v1/transcribe", "POST", body, {"Content-Type": "multipart/form-data; boundary=cut"})

    def listen(self, host="127.0.0.1"):
        return Listening(self.port, host)

    def processes(self):
        """Every process that this cluster started and that runs, by its command line or its environment."""
        found = []
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                variables = (folder / "environ").read_bytes()
            except OSError:
                continue
            if command and f"VOICE_RUN={self.folder}".encode() in variables:
                found.append(command)
        return found

    def discard(self):
        self.script("stop_all.sh", "--now", check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


class Listening:
    """A session of the recogniser, through the front."""

    def __init__(self, port, host="127.0.0.1"):
        with wave.open(str(RECORDING)) as file:
            self.rate, self.audio = file.getframerate(), file.readframes(file.getnframes())
        self.socket = WebSocket(f"ws://{host}:{port}/v1/stream/asr?sample_rate={self.rate}", {}, 30)
        self.heard = []
        self.instance = self.until("ready")["instance"]

    def speak(self, start_s=0.0, end_s=None, pace=1.0):
        """Sends a part of the recording as a microphone would."""
        step = self.rate // 20 * 2
        end = len(self.audio) if end_s is None else int(end_s * self.rate) * 2
        for at in range(int(start_s * self.rate) * 2, end, step):
            self.socket.send(self.audio[at:at + step])
            time.sleep(0.05 * pace)

    def hang_up(self):
        self.socket.reader.close()
        self.socket.socket.close()

    def close(self):
        self.socket.send(json.dumps({"type": "close"}))

    def until(self, kind):
        """The next message of a kind. Those before it are kept."""
        while True:
            message = self.socket.receive()
            if isinstance(message, tuple):
                raise AssertionError(f"closed with {message} before {kind}; heard {self.heard}")
            self.heard.append(json.loads(message))
            if self.heard[-1]["type"] == kind:
                return self.heard[-1]

    def to_the_end(self):
        """Every final text, and the code of the close."""
        while True:
            message = self.socket.receive()
            if isinstance(message, tuple):
                texts = [it["text"] for it in self.heard if it["type"] == "final"]
                self.hang_up()
                return " ".join(texts), message[0]
            self.heard.append(json.loads(message))
