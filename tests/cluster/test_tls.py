"""The clients through nginx's encrypted front, with an authority of our own: those who know it are served, the others are not."""

import asyncio
import http.client
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import unittest
import wave

from real_cluster import RECORDING, ROOT, SPOKEN, Cluster, is_free, need_everything
from servers import binary
from test_faults_client import need_websockets

SENTENCE = "The train to the city leaves at nine."


def setUpModule():
    need_everything()


def need(missing):
    """Skips a test that lacks something; on a machine of CI it fails."""
    if missing:
        if os.environ.get("CI") == "true":
            raise AssertionError(f"missing: {missing}")
        raise unittest.SkipTest(f"missing: {missing}")


class Encrypted(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        need([it for it in ("openssl",) if shutil.which(it) is None])
        cls.cluster = Cluster()
        cls.addClassCleanup(cls.cluster.discard)
        cls.make_certificates()
        cls.cluster.start("--asr", "1", "--tts", "1")
        cls.port, cls.plain = (next(port for port in range(cls.cluster.port + first, cls.cluster.port + 1000) if is_free(port))
                               for first in (200, 300))
        cls.encrypt()
        cls.host = f"localhost:{cls.port}"

    @classmethod
    def make_certificates(cls):
        folder = cls.cluster.folder / "tls"
        folder.mkdir()
        cls.authority = folder / "authority.pem"
        common = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
        subprocess.run([*common, "-subj", "/CN=An authority of our own", "-keyout", folder / "authority.key", "-out", cls.authority,
                        "-addext", "keyUsage=critical,keyCertSign"], check=True, capture_output=True)
        subprocess.run([*common, "-subj", "/CN=localhost", "-keyout", folder / "privkey.pem", "-out", folder / "fullchain.pem",
                        "-CA", cls.authority, "-CAkey", folder / "authority.key", "-addext", "basicConstraints=critical,CA:FALSE",
                        "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True)

    @classmethod
    def encrypt(cls):
        """Takes the shipped example in, as its first lines tell, with the folders and ports of this cluster."""
        text = (ROOT / "nginx/tls.conf").read_text()
        for old, new in (("/etc/voice/", f"{cls.cluster.folder}/"), ("/etc/nginx/voice/", f"{ROOT}/nginx/")):
            text = text.replace(old, new)
        text = re.sub(r"listen (\[::\]:)?443 ", rf"listen \g<1>{cls.port} ", text)
        text = re.sub(r"listen (\[::\]:)?80;", rf"listen \g<1>{cls.plain};", text)
        if not os.path.exists("/proc/net/if_inet6"):
            text = re.sub(r" *listen \[::\].*\n", "", text)
        (cls.cluster.state / "tls.conf").write_text(text)
        conf = cls.cluster.state / "nginx.conf"
        before = conf.read_text()
        conf.write_text(before.replace(f"# include {ROOT}/nginx/tls.conf", f"include {cls.cluster.state}/tls.conf"))
        assert conf.read_text() != before, "voice.conf has no line for tls.conf"
        os.kill(cls.cluster.pid("nginx"), signal.SIGHUP)
        until = time.monotonic() + 30
        while is_free(cls.port):
            assert time.monotonic() < until, cls.cluster.logs()
            time.sleep(0.1)

    def run_program(self, command, environment=None, status=0):
        variables = {**os.environ, **(environment or {})}
        for name in ("SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"):
            if name not in (environment or {}):
                variables.pop(name, None)
        done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode == 0, status == 0, done.stdout + done.stderr)
        return done.stdout if status == 0 else done.stderr

    def example(self, language):
        """That of docs/CLIENTS.md, encrypted."""
        text = (ROOT / "docs/CLIENTS.md").read_text()
        found = re.search(rf"```{language}\n(.*?)```", text, re.S)[1]
        self.assertEqual(found.count("ws://"), 2)
        return found.replace("ws://", "wss://")

    def test_python(self):
        need_websockets()
        from voice_client import Impossible, asr, tts
        with wave.open(str(RECORDING)) as file:
            rate, audio = file.getframerate(), file.readframes(file.getnframes())

        async def converse(url, trust):
            async with asr.connect(f"{url}/v1/stream/asr", sample_rate=rate, ssl=trust) as stream:
                await stream.send(audio)
                await stream.finish()
                heard = [event.text async for event in stream if isinstance(event, asr.Final)]
            return heard, len(await tts.speak(f"{url}/v1/stream/tts", SENTENCE, ssl=trust).audio())

        trust = ssl.create_default_context(cafile=self.authority)
        heard, n_bytes = asyncio.run(converse(f"wss://{self.host}", trust))
        self.assertEqual((heard, n_bytes > 48000), ([SPOKEN], True))
        # A stranger is not tried again and again.
        began = time.monotonic()
        for url, it in ((f"wss://{self.host}", None), (f"wss://127.0.0.1:{self.port}", trust), (f"ws://{self.host}", trust)):
            with self.assertRaises(Impossible, msg=url):
                asyncio.run(converse(url, it))
        self.assertLess(time.monotonic() - began, 20)

    def test_python_as_documented(self):
        need_websockets()
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "example.py")
            with open(path, "w") as file:
                file.write(self.example("python"))
            said = self.run_program([sys.executable, path, self.host, str(RECORDING), os.path.join(folder, "out.wav")],
                                    {"PYTHONPATH": os.pathsep.join(it for it in sys.path if it), "SSL_CERT_FILE": str(self.authority)})
            self.assertEqual(said.strip(), SPOKEN)
            with wave.open(os.path.join(folder, "out.wav")) as spoken:
                self.assertGreater(spoken.getnframes(), spoken.getframerate())

    def test_javascript_as_documented(self):
        need([it for it in ("node",) if shutil.which(it) is None])
        library = json.dumps((ROOT / "services/clients/js/src/index.js").as_uri())
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "example.mjs")
            with open(path, "w") as file:
                file.write(self.example("js").replace('"voice-client"', library))
            command = ["node", "--no-warnings", "--experimental-websocket", path, self.host, str(RECORDING)]
            said = self.run_program(command, {"NODE_EXTRA_CA_CERTS": str(self.authority)}).splitlines()
            self.assertEqual(said[0], SPOKEN)
            self.assertGreater(float(said[1].split()[0]), 1)
            # A stranger: this WebSocket does not tell why, so that attempts are made as usual; without waiting for what never comes.
            with open(path, "w") as file:
                file.write(f"""import {{ listen }} from {library};
                    listen("wss://{self.host}/v1/stream/asr", {{ patience: {{ attempts: 3, firstWait: 1 }} }})
                        .catch((error) => console.log(error.code));""")
            began = time.monotonic()
            self.assertEqual(self.run_program(command).strip(), "GAVE_UP")
            self.assertLess(time.monotonic() - began, 10)

    def test_rust(self):
        program = binary("asr").parent / "examples/hear_and_say"
        need([] if program.is_file() else [f"{program}: cargo build --release -p voice-client --features tls --example {program.name}"])
        command = [str(program), f"wss://{self.host}", str(RECORDING)]
        for arguments, environment in (([str(self.authority)], {}), ([], {"SSL_CERT_FILE": str(self.authority)})):
            said = self.run_program([*command, *arguments], environment).splitlines()
            self.assertEqual(said[0], SPOKEN)
            self.assertGreater(int(said[1].split()[0]), 48000)
        self.assertIn("no authority can be read", self.run_program([*command, str(RECORDING)], status=1))
        # Whom the system trusts, and somebody else by the right authority.
        began = time.monotonic()
        self.assertIn("certificate", self.run_program(command, {"SSL_CERT_FILE": self.other_authority()}, status=1))
        command[1] = f"wss://127.0.0.1:{self.port}"
        self.assertIn("certificate", self.run_program([*command, str(self.authority)], status=1))
        self.assertLess(time.monotonic() - began, 20)

    def other_authority(self):
        path = self.cluster.folder / "tls/other.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=Another authority",
                        "-keyout", "/dev/null", "-out", path], check=True, capture_output=True)
        return str(path)

    def test_requests_and_scripts(self):
        trust = ssl.create_default_context(cafile=self.authority)
        connection = http.client.HTTPSConnection("localhost", self.port, context=trust, timeout=30)
        self.addCleanup(connection.close)
        connection.request("POST", "/v1/synthesize", json.dumps({"text": SENTENCE}), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        self.assertEqual((answer.status, answer.read()[:4]), (200, b"RIFF"))
        connection.request("GET", "/nothing")
        answer = connection.getresponse()
        self.assertEqual((answer.status, json.loads(answer.read())["error"]["code"]), (404, "NOT_FOUND"))
        command = [sys.executable, str(ROOT / "scripts/stream_file.py"), str(RECORDING), "--url", f"wss://{self.host}/v1/stream/asr"]
        self.assertIn(SPOKEN, self.run_program(command, {"SSL_CERT_FILE": str(self.authority)}))
        self.run_program(command, status=1)


if __name__ == "__main__":
    unittest.main()
