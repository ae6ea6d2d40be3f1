"""`scripts/download_models.sh` against a small hub on this machine: the files that make a speaking model."""

import json
import unittest

from small_hub import WithHub

LARGE = bytes(range(256)) * 5_000  # more than a chunk
GRAPHS = ("speech_encoder", "embed_tokens", "language_model", "conditional_decoder")


def graph(name, suffix="", parts=("_data",)):
    file = f"onnx/{name}{suffix}.onnx"
    return {file: f"graph {file}".encode(), **{file + it: f"{file}{it}".encode() + LARGE for it in parts}}


ROOT = {"README.md": b"not wanted", "tokenizer.json": b"{}", "config.json": b"{}", "generation_config.json": b"{}"}
VOICE = {"default_voice.wav": b"RIFF"}
# As they are published: of this family only the language model is quantised.
MULTILINGUAL = {
    **ROOT, **VOICE, "Cangjie5_TC.json": b"{}",
    **graph("speech_encoder"), **graph("embed_tokens"), **graph("conditional_decoder"),
    **graph("language_model", parts=("_data", "_data_1")), **graph("language_model", "_fp16"),
    **graph("language_model", "_q4"), **graph("language_model", "_q4f16"),
}
TURBO = {
    **ROOT,
    **{file: content for name in GRAPHS for suffix in ("", "_fp16", "_q4", "_q4f16", "_quantized")
       for file, content in graph(name, suffix).items()},
}
NANO = {
    **ROOT, **VOICE, **graph("conditional_decoder", "_q4"), **graph("embed_tokens", "_fp16"),
    **graph("language_model", "_q4f16"), **graph("speech_encoder", "_q4f16"),
}
HUB = {
    "onnx-community/chatterbox-multilingual-ONNX": MULTILINGUAL,
    "ResembleAI/chatterbox-turbo-ONNX": TURBO,
    "Masterx/chatterbox-nano-ONNX": NANO,
    "someone/flat": {it.replace("onnx/", ""): content for it, content in NANO.items()},
    "someone/mixed": {**ROOT, **graph("speech_encoder"), **graph("speech_encoder", "_q4"), **graph("speech_encoder", "_quantized"),
                      **graph("embed_tokens", "_fp16"), **graph("language_model", "_fp16"), **graph("conditional_decoder", "_fp16")},
    "someone/headless": {it: content for it, content in NANO.items() if it != "tokenizer.json"},
}


class ChatterboxPacks(WithHub):
    REPOSITORIES = HUB

    def files_in(self, name):
        folder = self.folder / name
        return {it.relative_to(folder).as_posix() for it in folder.rglob("*") if it.is_file()} - {"source.json"}

    def fetch(self, *arguments):
        result = self.run_script(*arguments)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        return result.stdout

    def graphs_in(self, name):
        return {it[len("onnx/"):] for it in self.files_in(name) if it.startswith("onnx/")}

    def test_graphs_and_their_weights_lie_together_beside_the_tokenizer(self):
        self.fetch("chatterbox-multilingual")
        self.assertEqual(self.files_in("chatterbox-multilingual"), {
            "tokenizer.json", "config.json", "generation_config.json", "default_voice.wav", "Cangjie5_TC.json",
            "onnx/speech_encoder.onnx", "onnx/speech_encoder.onnx_data", "onnx/embed_tokens.onnx", "onnx/embed_tokens.onnx_data",
            "onnx/conditional_decoder.onnx", "onnx/conditional_decoder.onnx_data",
            "onnx/language_model_q4.onnx", "onnx/language_model_q4.onnx_data",
        })
        for file in self.files_in("chatterbox-multilingual"):
            self.assertEqual((self.folder / "chatterbox-multilingual" / file).read_bytes(), MULTILINGUAL[file])

    def test_weights_in_several_files_are_all_fetched(self):
        self.fetch("chatterbox-multilingual-fp32")
        of_model = {it for it in self.graphs_in("chatterbox-multilingual-fp32") if it.startswith("language_model")}
        self.assertEqual(of_model, {"language_model.onnx", "language_model.onnx_data", "language_model.onnx_data_1"})

    def test_every_precision_has_its_own_folder_and_files(self):
        for precision, suffix in (("fp32", ""), ("fp16", "_fp16"), ("q4", "_q4"), ("q4f16", "_q4f16"), ("quantized", "_quantized")):
            name = f"chatterbox-turbo-{precision}"
            self.fetch(name)
            expected = {f"{it}{suffix}.onnx{end}" for it in GRAPHS for end in ("", "_data")}
            self.assertEqual(self.graphs_in(name), expected)

    def test_a_precision_is_given_in_the_name_or_beside_it(self):
        self.fetch("chatterbox-turbo", "--precision", "fp16")
        self.assertIn("language_model_fp16.onnx", self.graphs_in("chatterbox-turbo-fp16"))
        self.assertIn("already there", self.fetch("chatterbox-turbo-fp16"))

    def test_one_graph_may_have_another_precision(self):
        said = self.fetch("chatterbox-turbo-q4", "--precision", "language_model=fp16")
        graphs = {it for it in self.graphs_in("chatterbox-turbo-q4-language_model-fp16") if it.endswith(".onnx")}
        self.assertEqual(graphs, {
            "speech_encoder_q4.onnx", "embed_tokens_q4.onnx", "conditional_decoder_q4.onnx", "language_model_fp16.onnx",
        })
        self.assertIn("language_model fp16", said)

    def test_what_is_not_published_in_a_precision_is_taken_in_the_nearest(self):
        self.fetch("chatterbox-nano")
        graphs = {it for it in self.graphs_in("chatterbox-nano") if it.endswith(".onnx")}
        self.assertEqual(graphs, {
            "conditional_decoder_q4.onnx", "embed_tokens_fp16.onnx", "language_model_q4f16.onnx", "speech_encoder_q4f16.onnx",
        })

    def test_the_nearest_precision_is_the_one_that_runs_as_well(self):
        self.fetch("someone/mixed", "--precision", "fp16")
        self.assertIn("onnx/speech_encoder.onnx", self.files_in("mixed-fp16"))

    def test_a_precision_that_nothing_is_published_in_is_refused(self):
        result = self.run_script("chatterbox-multilingual-quantized")
        self.assertEqual(result.returncode, 1)
        self.assertIn("Published: fp16, fp32, q4, q4f16", result.stderr)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_a_graph_that_is_not_published_so_is_refused(self):
        result = self.run_script("chatterbox-multilingual", "--precision", "speech_encoder=q4")
        self.assertEqual(result.returncode, 1)
        self.assertIn("no speech_encoder in q4. Published: fp32", result.stderr)

    def test_a_precision_that_does_not_exist_is_refused_before_anything_is_asked(self):
        for given in ("int8", "model=q4", "language_model=", "=q4"):
            result = self.run_script("chatterbox-turbo", "--precision", given)
            self.assertEqual(result.returncode, 1, given)
            self.assertIn("--precision", result.stderr)
        result = self.run_script("chatterbox-turbo-q4", "--precision", "fp16")
        self.assertIn("which of the two", result.stderr)
        self.assertEqual(self.hub.requests, [])

    def test_a_pack_without_a_voice_says_so(self):
        self.assertIn("without a voice", self.fetch("chatterbox-turbo"))
        self.assertNotIn("without a voice", self.fetch("chatterbox-nano"))

    def test_a_cut_connection_is_continued_in_the_folder_of_the_graphs(self):
        self.hub.cut_after = [1_000] + [0] * 5
        self.assertEqual(self.run_script("chatterbox-nano").returncode, 1)
        self.assertFalse((self.folder / "chatterbox-nano").exists(), "an incomplete pack has no final name")
        self.hub.requests.clear()
        self.fetch("chatterbox-nano")
        self.assertEqual([it for path, it, _key in self.hub.requests if it], ["bytes=1000-"])
        self.assertEqual([it.name for it in self.folder.iterdir()], ["chatterbox-nano"])
        self.assertEqual(len(self.graphs_in("chatterbox-nano")), 8, "no part of a file stays behind")

    def test_files_of_another_wish_do_not_stay_behind(self):
        incoming = self.folder / ".chatterbox-nano.incoming" / "onnx"
        incoming.mkdir(parents=True)
        (incoming / "language_model.onnx").write_bytes(b"old")
        self.fetch("chatterbox-nano")
        self.assertNotIn("language_model.onnx", self.graphs_in("chatterbox-nano"))

    def test_damaged_weights_are_not_installed(self):
        self.hub.damage = 99
        result = self.run_script("chatterbox-nano")
        self.assertEqual(result.returncode, 1)
        self.assertIn("is not what the hub states", result.stderr)
        self.assertFalse((self.folder / "chatterbox-nano").exists())

    def test_a_hub_that_states_nothing_is_held_to_the_known_sizes(self):
        self.hub.silent_about_files = True
        result = self.run_script("chatterbox-multilingual")
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr + result.stdout, "of (13286|227911|714320) bytes|714320")

    def test_the_first_repository_that_exists_serves(self):
        self.fetch("chatterbox-nano")
        source = json.loads((self.folder / "chatterbox-nano/source.json").read_text())
        self.assertEqual(source["repository"], "Masterx/chatterbox-nano-ONNX")

    def test_any_repository_with_the_graphs_is_taken(self):
        said = self.fetch("someone/flat")
        self.assertIn("language_model_q4f16.onnx_data", self.files_in("flat"))
        self.assertRegex(said, r"Use it: tts --set model\.name=/.*flat")

    def test_a_pack_without_a_tokenizer_is_refused(self):
        result = self.run_script("someone/headless")
        self.assertEqual(result.returncode, 1)
        self.assertIn("tokenizer.json", result.stderr)

    def test_a_misspelt_pack_suggests_the_nearest(self):
        result = self.run_script("chaterbox-turbo")
        self.assertEqual(result.returncode, 1)
        self.assertIn("chatterbox-turbo", result.stderr)
        self.assertEqual(self.hub.requests, [])

    def test_offline_is_told_at_once_and_with_advice(self):
        result = self.run_script("chatterbox", endpoint="http://127.0.0.1:9")
        self.assertEqual(result.returncode, 1)
        self.assertIn("cannot be reached", result.stderr)
        self.assertIn("HF_ENDPOINT", result.stderr)
        self.assertNotIn("trying again", result.stdout)

    def test_the_list_names_every_pack_and_precision(self):
        listed = self.run_script("--list").stdout
        for name in ("chatterbox-q4f16", "chatterbox-multilingual-fp16", "chatterbox-multilingual-v3-q4", "chatterbox-turbo-quantized",
                     "chatterbox-nano-q4"):
            self.assertIn(name, listed)


if __name__ == "__main__":
    unittest.main()
