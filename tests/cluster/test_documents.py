"""The commands of the documents, run as they are written, on ports that are free."""

import re
import subprocess
import time
import unittest

from real_cluster import ROOT, Cluster, need_everything


def setUpModule():
    need_everything()


def commands(name):
    """The lines of every block of shell in a document."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / name).read_text(), re.S)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


class Documents(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster()
        self.addCleanup(self.cluster.discard)

    def run_line(self, line):
        """One command, with the documents' ports and names put as this cluster has them."""
        new = {8000: self.cluster.port, 8003: self.cluster.speech, 8080: self.cluster.status_port, 8001: self.cluster.asr[0],
               8011: self.cluster.asr[1], 8021: self.cluster.ports[5], 8002: self.cluster.tts[0], 8012: self.cluster.tts[1],
               9000: self.cluster.port, 9001: self.cluster.asr[0], 9002: self.cluster.tts[0]}
        line = re.sub(r"\b(8\d\d\d|900\d)\b", lambda it: str(new[int(it[0])]), line)
        line = re.sub(r"(-o|--out) (\w+\.wav)", rf"\1 {self.cluster.folder}/\2", line)
        done = subprocess.run(["bash", "-eu", "-o", "pipefail", "-c", line], cwd=ROOT, env=self.cluster.environment,
                              capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, f"{line}\n{done.stdout}{done.stderr}{self.cluster.logs()}")
        return done.stdout

    def test_the_quick_start(self):
        lines = [it for it in commands("QUICKSTART.md") if "quickstart.sh" not in it]
        self.assertGreater(len(lines), 12)
        for line in lines:
            with self.subTest(line):
                if "start_all.sh" in line:
                    self.cluster.script("stop_all.sh")
                out = self.run_line(line)
                if "curl" in line and "transcribe" in line or "stream_file" in line:
                    self.assertIn("I need to change my problem.", out)
        for name in ("morning.wav", "messages.wav"):
            self.assertEqual((self.cluster.folder / name).read_bytes()[:4], b"RIFF")

    def test_the_list_of_instances_and_the_roll(self):
        lines = [it for it in commands("LOAD_BALANCING.md") if "sudo" not in it]
        self.assertGreater(len(lines), 5)
        self.cluster.start("--tts", "1", "--services", "asr,nginx")
        for line in lines:
            with self.subTest(line):
                self.run_line(line)
                if "--add" in line:
                    # Nobody is there; the others serve.
                    self.assertEqual({self.cluster.transcribe()[0] for _ in range(3)}, {200})
                time.sleep(0.2)


if __name__ == "__main__":
    unittest.main()
