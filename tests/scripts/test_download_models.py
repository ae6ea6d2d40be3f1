"""`scripts/download_models.sh` against a small hub on this machine: Whisper and Smart Turn, and everything that can fail on the way."""

import json
import unittest

from small_hub import COMMIT, WithHub

MODEL_BIN = bytes(range(256)) * 20_000  # 5 MB: several chunks
FILES = {
    "README.md": b"not wanted",
    "config.json": b'{"alignment_heads": []}',
    "model.bin": MODEL_BIN,
    "tokenizer.json": b"{}",
    "vocabulary.txt": b"a\nb\n",
}
REPOSITORIES = {
    "Systran/faster-whisper-base": FILES,
    "deepdml/faster-whisper-large-v3-turbo-ct2": FILES,
    "someone/plain-transformers": {"config.json": b"{}", "model.safetensors": b"x"},
    "pipecat-ai/smart-turn-v3": {"smart-turn-v3.2-gpu.onnx": b"onnx" * 1000},
}


class DownloadModels(WithHub):
    REPOSITORIES = REPOSITORIES

    def assert_whole(self, name="base"):
        wanted = {it: content for it, content in FILES.items() if it != "README.md"}
        found = {it.name: it.read_bytes() for it in (self.folder / name).iterdir() if it.name != "source.json"}
        self.assertEqual(found, wanted)
        self.assertEqual([it.name for it in self.folder.iterdir()], [name], "nothing else stays behind")

    def test_a_model_arrives_whole(self):
        result = self.run_script("base")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assert_whole()
        self.assertEqual(json.loads((self.folder / "base/source.json").read_text())["commit"], COMMIT)

    def test_a_second_run_downloads_nothing(self):
        self.run_script("base")
        self.hub.requests.clear()
        result = self.run_script("base")
        self.assertIn("already there", result.stdout)
        self.assertEqual([path for path, *_ in self.hub.requests if "/resolve/" in path], [])

    def test_other_spellings_are_the_same_model(self):
        for spelling in ("openai/whisper-base", "whisper-base", "Systran/faster-whisper-base"):
            result = self.run_script(spelling)
            self.assertEqual(result.returncode, 0, result.stderr)
        self.assert_whole()

    def test_a_cut_connection_is_continued_where_it_broke(self):
        self.hub.cut_after = [1_000_000, 2_000_000]
        result = self.run_script("base")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(self.ranges_of("model.bin"), [None, "bytes=1000000-", "bytes=3000000-"])
        self.assert_whole()

    def test_a_later_run_continues_what_an_earlier_one_began(self):
        self.hub.cut_after = [1_000_000] + [0] * 5
        self.assertEqual(self.run_script("base").returncode, 1)
        self.assertFalse((self.folder / "base").exists(), "an incomplete model has no final name")
        self.hub.requests.clear()
        result = self.run_script("base")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(self.ranges_of("model.bin"), ["bytes=1000000-"])
        self.assertEqual(self.ranges_of("config.json"), [], "complete files are not fetched again")
        self.assert_whole()

    def test_a_server_that_cannot_continue_starts_again(self):
        self.hub.cut_after = [1_000_000]
        self.hub.ignore_range = True
        result = self.run_script("base")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertNotIn("damaged", result.stdout)
        self.assert_whole()

    def test_a_damaged_file_is_fetched_again(self):
        self.hub.damage = 1
        result = self.run_script("base")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("arrived damaged", result.stdout)
        self.assert_whole()

    def test_a_file_that_stays_damaged_is_not_installed(self):
        self.hub.damage = 9
        result = self.run_script("base")
        self.assertEqual(result.returncode, 1)
        self.assertIn("is not what the hub states", result.stderr)
        self.assertFalse((self.folder / "base").exists())

    def test_an_installed_file_that_rotted_is_replaced(self):
        self.run_script("base")
        (self.folder / "base/model.bin").write_bytes(MODEL_BIN[:-1] + b"!")
        self.assertEqual(self.run_script("base").returncode, 0)
        self.assert_whole()

    def test_a_busy_hub_is_asked_again(self):
        self.hub.busy = 2
        result = self.run_script("base")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("503", result.stdout)

    def test_the_second_repository_serves_when_the_first_is_gone(self):
        result = self.run_script("turbo")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assert_whole("large-v3-turbo")

    def test_smart_turn_is_one_file(self):
        result = self.run_script("smart-turn-gpu")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual([it.name for it in self.folder.iterdir()], ["smart-turn-v3.2-gpu.onnx"])

    def test_the_token_goes_to_the_hub_and_not_to_its_storage(self):
        self.hub.private = True
        self.hub.storage = self.start_hub()
        result = self.run_script("base", HF_TOKEN="secret")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual({key for *_, key in self.hub.requests}, {"Bearer secret"})
        self.assertEqual([key for *_, key in self.hub.storage.requests], [None])

    def test_a_private_model_asks_for_a_token(self):
        self.hub.private = True
        result = self.run_script("base")
        self.assertEqual(result.returncode, 1)
        self.assertIn("HF_TOKEN", result.stderr)

    def test_an_unknown_name_suggests_the_nearest(self):
        result = self.run_script("large-v3-trubo")
        self.assertEqual(result.returncode, 1)
        self.assertIn("large-v3-turbo", result.stderr)
        self.assertEqual(self.hub.requests, [])

    def test_an_unknown_repository_is_named(self):
        result = self.run_script("nobody/nothing")
        self.assertEqual(result.returncode, 1)
        self.assertIn("nobody/nothing", result.stderr)
        self.assertIn("404", result.stderr)

    def test_a_repository_in_another_format_says_what_to_do(self):
        result = self.run_script("someone/plain-transformers")
        self.assertEqual(result.returncode, 1)
        self.assertIn("Convert a Whisper model", result.stderr)

    def test_offline_is_told_at_once_and_with_advice(self):
        result = self.run_script("base", endpoint="http://127.0.0.1:9")
        self.assertEqual(result.returncode, 1)
        self.assertIn("cannot be reached", result.stderr)
        self.assertIn("--dir", result.stderr)
        self.assertNotIn("trying again", result.stdout)

    def test_something_that_is_no_hub_is_no_traceback(self):
        result = self.run_script("base", endpoint=self.hub.url + "/elsewhere")
        self.assertEqual(result.returncode, 1)
        self.assertNotIn("Traceback", result.stderr)


if __name__ == "__main__":
    unittest.main()
