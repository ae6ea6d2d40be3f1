"""The recipes from texts to a report, with models that are far too small to be of use. Takes minutes: `scripts/test.sh --long` asks for it
with TRAIN_SMALL_RUNS=1."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts/train_demo"))

PATIENCE_S = 1800
# The environment of whoever runs this is that of the recipes.
ENVIRONMENT = os.environ | {"TRAIN_VENV": str(pathlib.Path(sys.prefix))}


def lines_of(path, kind):
    text = path.read_text() if path.exists() else ""
    return [line for line in map(json.loads, text.splitlines()) if line["kind"] == kind]


@unittest.skipUnless(os.environ.get("TRAIN_SMALL_RUNS"), "takes minutes; TRAIN_SMALL_RUNS=1 asks for it")
class Recogniser(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.run_folder = pathlib.Path(folder.name) / "run"
        command = [ROOT / "scripts/train_demo/asr/train.sh", "--small", "--minutes", "1.5", "--run", cls.run_folder]
        # The first process is killed in the middle of training, with at least one checkpoint behind it.
        first = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        began = time.monotonic()
        while not (cls.run_folder / "training.pkl").exists():
            if first.poll() is not None or time.monotonic() - began > PATIENCE_S:
                first.kill()
                raise AssertionError(f"no checkpoint came: {first.communicate()[0]}")
            time.sleep(0.1)
        first.send_signal(signal.SIGKILL)
        first.communicate()
        cls.was_done = {path.name for path in (cls.run_folder / "done").iterdir()}
        cls.told = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        if cls.told.returncode:
            raise AssertionError(cls.told.stdout + cls.told.stderr)

    def test_a_killed_run_goes_on(self):
        self.assertEqual(self.was_done, {"tokenizer", "corpus", "tests"})
        for stage in self.was_done:
            self.assertIn(f"==> {stage}: done before", self.told.stdout)
        resumed = int(self.told.stdout.split("from step ")[1].split()[0])
        self.assertGreater(resumed, 0)

    def test_it_learns(self):
        steps = lines_of(self.run_folder / "progress.jsonl", "step")
        self.assertGreater(len(steps), 1)
        self.assertLess(steps[-1]["loss"], steps[0]["loss"])
        self.assertLess(steps[-1]["phone"], steps[0]["phone"])

    def test_the_report_tells_all(self):
        report = json.loads((self.run_folder / "report.json").read_text())
        self.assertIn("held_ked_random", report["groups"])
        self.assertGreaterEqual(report["nothing"]["clips"], 2)
        self.assertIn("| what | reached | goal |", (self.run_folder / "report.md").read_text())
        self.assertIn("## Origin and licence", (self.run_folder / "model/README.md").read_text())
        for picture in ("progress.png", "errors.png", "attention.png"):
            self.assertEqual((self.run_folder / picture).read_bytes()[:4], b"\x89PNG", picture)

    def test_no_held_out_voice_or_sentence_was_learned_from(self):
        from asr import voices
        from shared.splits import split_of

        clips = [clip for path in (self.run_folder / "corpus").glob("clips_*.json") for clip in json.loads(path.read_text())]
        self.assertGreater(len(clips), 50)
        held = {name.split("+")[-1] for name in voices.HELD_OUT_ESPEAK + [*voices.DEVELOPMENT_ESPEAK, *voices.HELD_OUT_FESTIVAL.values()]}
        for clip in clips:
            self.assertNotIn(clip["voice"].split("+")[-1], held)
            self.assertEqual(split_of(" ".join(word for word, _, _ in clip["words"])), "train")
        tests = json.loads((self.run_folder / "test/tests.json").read_text())
        self.assertTrue(any(entry["voice"].split("+")[-1] in held for entry in tests))
        for entry in tests:
            if entry["group"].endswith(("_sentences", "_random")):
                self.assertEqual(split_of(entry["text"]), "test")

    def test_the_exported_model_hears_what_the_trained_one_hears(self):
        import ctranslate2
        import jax.numpy as jnp
        import numpy as np
        import soundfile

        from asr import export, features, model

        weights, shape = export.weights_of(self.run_folder / "training.pkl")
        folder = self.run_folder / "exact"
        export.export(weights, shape, self.run_folder / "tokenizer.json", folder, "float32")
        wav = next((self.run_folder / "test").glob("held_espeak_sentences_*.wav"))
        mel = features.scaled(features.raw_log_mel(soundfile.read(wav, dtype="float32")[0]))[:200]
        ours = model.encode(weights, jnp.asarray(mel)[None], jnp.asarray(model.sinusoids(1500, shape.width))[None, :100], shape.heads)
        exported = ctranslate2.models.Whisper(str(folder), device="cpu", compute_type="float32")
        theirs = exported.encode(ctranslate2.StorageView.from_array(np.ascontiguousarray(mel.T[None])))
        np.testing.assert_allclose(np.array(theirs), np.asarray(ours), atol=1e-4)


if __name__ == "__main__":
    unittest.main()
