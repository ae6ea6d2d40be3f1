"""The command of the recogniser's recipe: what it keeps of a run, and what it does when it is called again. Plain Python."""

import contextlib
import io
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts/train_demo"))

from asr import train  # noqa: E402 - found through the line above
from shared.runs import RunFolder  # noqa: E402


class Command(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name) / "run"

    def settle(self, *more):
        run = RunFolder(self.path)
        return run, train.settle(run, train.arguments(["--run", str(self.path), *more]))

    def test_a_run_keeps_what_it_was_begun_with(self):
        _, first = self.settle("--minutes", "10", "--seed", "7", "--width", "256", "--layers", "6", "4")
        with contextlib.redirect_stderr(io.StringIO()) as told:
            _, again = self.settle("--minutes", "10", "--seed", "8")
        self.assertEqual(again, first)
        # Only what was asked for: the shape was not.
        self.assertEqual(told.getvalue(), "seed stays 7: this run was begun with it\n")
        self.assertEqual((first["seed"], first["shape"]), (7, {"width": 256, "encoder_layers": 6, "decoder_layers": 4}))

    def test_more_minutes_train_again_and_make_no_speech_again(self):
        run, _ = self.settle("--minutes", "10")
        with contextlib.redirect_stdout(io.StringIO()):
            for name in ("corpus", "training", "export", "evaluation"):
                with run.stage(name):
                    pass
            with contextlib.redirect_stderr(io.StringIO()) as told:
                run, settings = self.settle("--minutes", "5")
            self.assertIn("minutes stays 10", told.getvalue())
            self.assertEqual(settings["minutes"], 10)
            self.assertTrue(run.done("training"))
            run, settings = self.settle("--minutes", "20")
        self.assertEqual(settings["minutes"], 20)
        self.assertEqual([run.done(name) for name in ("corpus", "training", "export", "evaluation")], [True, False, False, False])

    def test_resume_begins_nothing(self):
        with self.assertRaisesRegex(SystemExit, "no run"):
            self.settle("--resume")
        self.settle()
        self.settle("--resume")

    def test_a_gpu_learns_from_more_at_once(self):
        self.assertEqual(self.settle("--device", "gpu")[1]["batch"], 16)

    def test_without_its_environment_it_says_what_makes_one(self):
        told = subprocess.run(
            [ROOT / "scripts/train_demo/asr/train.sh", "--help"],
            env={"PATH": "/usr/bin:/bin", "TRAIN_VENV": "/nowhere"}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        self.assertEqual(told.returncode, 1)
        self.assertIn("scripts/train_demo/setup.sh", told.stderr)


if __name__ == "__main__":
    unittest.main()
