"""What surrounds a server fails: its disk is full, nobody reads its log, its GPU is not there. It says so, and does what it still can."""

import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time
import unittest

from real_cluster import Cluster, is_ready, need_everything
from servers import binary

ROOT = pathlib.Path(__file__).parents[2]
RECORDING = ROOT / "tests/fixtures/speech/pair_01.wav"


def setUpModule():
    need_everything()


class World(unittest.TestCase):
    """Instances of a cluster that the test started itself, so that it can choose what surrounds them."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster()
        cls.addClassCleanup(cls.cluster.discard)
        cls.cluster.start("--services", "nginx")

    def join(self, service, port, command_before=(), more=(), **streams):
        """An instance in the balancer, alone in it."""
        command = [*command_before, str(binary(service)), "--host", "127.0.0.1", "--port", str(port), *more]
        child = subprocess.Popen(command, cwd=ROOT, **streams)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        until = time.monotonic() + 60
        while not is_ready(port):
            self.assertIsNone(child.poll(), "it ended while it was starting")
            self.assertLess(time.monotonic(), until)
            time.sleep(0.1)
        name = f"{service}-{port}"
        self.cluster.script("nginx_upstreams.sh", "--add", f"{name}=127.0.0.1:{port}", "--reload")
        self.addCleanup(self.cluster.script, "nginx_upstreams.sh", "--remove", name, "--reload")
        # nginx takes up its new list when it comes to it.
        while self.cluster.ask(f"/{service}/version")[0] != 200:
            self.assertLess(time.monotonic(), until)
            time.sleep(0.1)
        return child

    def bring_voice(self, voice_id):
        head = (f'--cut\r\nContent-Disposition: form-data; name="voice_id"\r\n\r\n{voice_id}\r\n'
                '--cut\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n').encode()
        status, _, body = self.cluster.ask("/v1/voices", "POST", head + RECORDING.read_bytes() + b"\r\n--cut--\r\n",
                                           {"Content-Type": "multipart/form-data; boundary=cut"})
        return status, json.loads(body)

    def test_no_room_for_voices(self):
        folder = self.cluster.folder / "full"
        folder.mkdir()
        # A disk of 64 KiB that only this process sees, and that is gone with it.
        apart = ["unshare", "-m", *(["-r"] if os.geteuid() else [])]
        mounts = [*apart, "sh", "-c", 'mount -t tmpfs -o size=64k none "$0" && exec "$@"', str(folder)]
        if subprocess.run([*mounts, "true"], capture_output=True).returncode:
            self.skipTest("a small disk cannot be mounted here: neither root nor user namespaces")
        with open(self.cluster.folder / "full.log", "w") as log:
            child = self.join("tts", self.cluster.tts[0], mounts, ["--set", f"voices.store={folder}"], stdout=log, stderr=log)
        status, body = self.bring_voice("somebody")
        print(f"\n  no room for voices: {status} {body['error']['code']}: {body['error']['message']}")
        self.assertIn((status, body["error"]["code"]), [(507, "STORAGE_FULL"), (503, "STORAGE_FAILED")])
        self.assertTrue(body["error"]["message"])
        # Half a voice is none, and the others speak.
        self.assertNotIn("somebody", [it["voice_id"] for it in json.loads(self.cluster.ask("/v1/voices")[2])["voices"]])
        self.assertEqual(self.cluster.say("It still speaks.")[0], 200)
        self.assertEqual(self.cluster.ask("/readyz", port=self.cluster.tts[0])[0], 200)
        self.assertIsNone(child.poll())

    def check_it_serves(self, child, port, what):
        before = (self.cluster.transcribe()[0], self.cluster.transcribe()[0])
        healthy = self.cluster.ask("/healthz", port=port)[0]
        child.send_signal(signal.SIGTERM)
        ended = child.wait(30)
        print(f"\n  {what}: transcribed with {before}, health {healthy}, exit {ended} when told to stop")
        self.assertEqual((before, healthy, ended), ((200, 200), 200, 0))

    def test_nobody_reads_the_log(self):
        read_end, write_end = os.pipe()
        child = self.join("asr", self.cluster.asr[0], more=["--set", "log.level=debug"], stdout=write_end, stderr=write_end)
        os.close(write_end)
        os.close(read_end)
        self.check_it_serves(child, self.cluster.asr[0], "the pipe of the log is closed")

    def test_no_room_for_the_log(self):
        with open("/dev/full", "w") as full:
            child = self.join("asr", self.cluster.asr[0], more=["--set", "log.level=debug"], stdout=full, stderr=full)
        self.check_it_serves(child, self.cluster.asr[0], "the disk of the log is full")

    def test_no_gpu(self):
        """Where there is one it is hidden."""
        for service in ("asr", "tts"):
            ended = subprocess.run([binary(service), "--host", "127.0.0.1", "--port", "0", "--set", "model.device=cuda",
                                    *(["--set", f"voices.store={tempfile.gettempdir()}"] if service == "tts" else [])],
                                   cwd=ROOT, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""}, capture_output=True, text=True, timeout=60)
            # Among lines of the log, which other threads may still write.
            said = [it for it in (ended.stderr + ended.stdout).splitlines() if it.startswith(f"{service}: ")]
            print(f"\n  no GPU: exit {ended.returncode}, {said}")
            self.assertEqual(ended.returncode, 1)
            self.assertEqual(len(said), 1, ended.stderr)
            self.assertRegex(said[0], "(?i)cuda")
            self.assertIn("`model.device: cpu`", said[0])


if __name__ == "__main__":
    unittest.main()
