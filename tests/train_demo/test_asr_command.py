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
        self.assertEqual((first["seed"], first["width"], first["layers"]), (7, 256, [6, 4]))

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

    def test_who_asks_for_no_minutes_gets_no_more_of_them(self):
        run, _ = self.settle("--minutes", "60")
        with contextlib.redirect_stdout(io.StringIO()), run.stage("training"):
            pass
        run, settings = self.settle("--resume")
        self.assertEqual((settings["minutes"], run.done("training")), (60, True))

    def test_what_is_asked_for_and_usual_is_told_as_well(self):
        self.settle("--seed", "7")
        with contextlib.redirect_stderr(io.StringIO()) as told:
            self.settle("--seed", "1")
        self.assertEqual(told.getvalue(), "seed stays 7: this run was begun with it\n")

    def test_a_gpu_learns_from_more_at_once(self):
        self.assertEqual(self.settle("--device", "gpu")[1]["batch"], 16)
        # The same run on a CPU has a CPU's steps.
        self.assertEqual(self.settle()[1]["batch"], 1)

    def test_what_cannot_be_trained_begins_no_run(self):
        model = ROOT / "services/asr/models/demo"
        for words, why in (
            (["--minutes", "0"], "more than 0"),
            (["--width", "90"], "multiple of 16"),
            (["--layers", "4", "1"], "at least 1 and 2"),
            (["--from", "/nowhere"], "holds no training.pkl"),
            (["--from", str(model), "--width", "256"], "--from has its own"),
            (["--small", "--width", "256"], "--small has its own"),
        ):
            with contextlib.redirect_stderr(io.StringIO()) as told, self.assertRaises(SystemExit):
                self.settle(*words)
            self.assertIn(why, told.getvalue())
        self.assertFalse((self.path / "settings.json").exists())
        self.assertEqual(self.settle("--from", str(model))[1]["from"], str(model))

    def test_two_processes_are_never_at_one_run(self):
        with RunFolder(self.path).alone(), self.assertRaisesRegex(SystemExit, "another process"), RunFolder(self.path).alone():
            pass
        with RunFolder(self.path).alone():
            pass

    def test_a_folder_of_something_else_becomes_no_environment(self):
        self.path.mkdir()
        (self.path / "work.txt").write_text("mine")
        told = subprocess.run(
            [ROOT / "scripts/train_demo/setup.sh"], env={"PATH": "/usr/bin:/bin", "TRAIN_VENV": self.path.name}, cwd=self.path.parent,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        self.assertEqual(told.returncode, 1)
        self.assertIn(f"{self.path} holds other things", told.stderr)
        self.assertEqual((self.path / "work.txt").read_text(), "mine")

    def test_without_its_environment_it_says_what_makes_one(self):
        told = subprocess.run(
            [ROOT / "scripts/train_demo/asr/train.sh", "--help"],
            env={"PATH": "/usr/bin:/bin", "TRAIN_VENV": "/nowhere"}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        self.assertEqual(told.returncode, 1)
        self.assertIn("scripts/train_demo/setup.sh", told.stderr)


if __name__ == "__main__":
    unittest.main()
