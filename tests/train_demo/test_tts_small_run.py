"""The voice's recipe from texts to a report, with a model that is far too small to be of use. Takes minutes: `scripts/test.sh --long`
asks for it with TRAIN_SMALL_RUNS=1."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts/train_demo"))

PATIENCE_S = 3600
ENVIRONMENT = os.environ | {"TRAIN_VENV": str(pathlib.Path(sys.prefix))}


@unittest.skipUnless(os.environ.get("TRAIN_SMALL_RUNS"), "takes minutes; TRAIN_SMALL_RUNS=1 asks for it")
class Voice(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.run_folder = pathlib.Path(folder.name) / "run"
        cls.first, cls.told = (cls.train(minutes) for minutes in ("1", "1.5"))

    @classmethod
    def train(cls, minutes):
        command = [ROOT / "scripts/train_demo/tts/train.sh", "--small", "--minutes", minutes, "--run", cls.run_folder]
        done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        if done.returncode:
            raise AssertionError(done.stdout + done.stderr)
        return done.stdout

    def notes(self, kind):
        lines = map(json.loads, (self.run_folder / "progress.jsonl").read_text().splitlines())
        return [it for it in lines if it["kind"] == kind]

    def test_more_minutes_go_on_with_what_was_learned(self):
        for stage in ("speech", "inventory", "acoustics", "classifier"):
            self.assertNotIn(f"==> {stage}: done before", self.first)
            self.assertIn(f"==> {stage}: done before", self.told)
        begun = int(self.told.split("weights, step ")[1].split()[0])
        self.assertGreater(begun, 0)

    def test_the_report_tells_all(self):
        report = json.loads((self.run_folder / "report.json").read_text())
        for part in ("natural", "long", "spelled", "stops", "voices", "prosody", "round_trip"):
            self.assertIn(part, report)
        self.assertIn("| what | reached | goal |", (self.run_folder / "report.md").read_text())
        card = (self.run_folder / "model/README.md").read_text()
        for word in ("flite", "rms", "default_voice.wav", "MIT"):
            self.assertIn(word, card.split("## Origin and licence")[1])
        for picture in ("progress.png", "attention.png", "spectrogram.png"):
            self.assertEqual((self.run_folder / picture).read_bytes()[:4], b"\x89PNG", picture)

    def test_the_graphs_say_what_the_network_says(self):
        from tts import contract

        found = contract.check(self.run_folder / "model", self.run_folder)
        self.assertLess(found["logits_off"], 0.3)
        self.assertLess(found["together_off"], 1e-3)
        self.assertEqual(found["samples_per_token"], 960)


if __name__ == "__main__":
    unittest.main()
