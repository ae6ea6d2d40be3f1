"""What the recogniser begins with and how it steps: tokens by their sounds, weights taken over, Muon. Needs what scripts/train_demo/setup.sh installs."""

import json
import pathlib
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts/train_demo"))

try:
    import jax
    import numpy as np
    from asr import export, learn, model, optimiser, pieces, tokenizer
    from asr.clips import Clips
except ImportError:  # only scripts/train_demo/setup.sh brings what these need
    np = None

WORDS = {"night": "nait", "knight": "nait", "light": "lait", "lamp": "lamp", "number": "namba"}


@unittest.skipIf(np is None, "numpy, JAX and others are missing: scripts/train_demo/setup.sh")
class Start(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.words = tokenizer.train(1, texts=8000)
        # The longest pieces of these words, so that a word is one token.
        entries = []
        for _ in range(5):
            for word, phones in WORDS.items():
                each = 0.2 / len(phones)
                entries.append({
                    "voice": "v", "phone_set": "cmu", "frames": 20, "words": [[word, 0, 0.2]],
                    "phones": [[i * each, (i + 1) * each, phone] for i, phone in enumerate(phones)],
                })  # fmt: skip
        (cls.folder / "clips_000.json").write_text(json.dumps(entries))
        np.save(cls.folder / "features_000.npy", np.zeros((20 * len(entries), 80), np.float16))
        cls.clips = Clips(cls.folder, cls.words)
        cls.first = cls.words.token_to_id("<|0.00|>")
        cls.shape = model.Shape(width=48, encoder_layers=2, decoder_layers=2, vocabulary=cls.words.get_vocab_size(), first_timestamp=cls.first)

    def begin(self, given=None):
        return learn.start(learn.Plan(1, 5), self.shape, self.clips, self.words, given)

    def last_token(self, word):
        return self.words.encode(f" {word}").ids[-1]

    def test_tokens_that_sound_alike_have_like_rows(self):
        sounds = pieces._sound(self.clips, self.first)
        night, knight, light, lamp = (sounds[self.last_token(word)] for word in ("night", "knight", "light", "lamp"))
        self.assertLess(np.linalg.norm(night - knight), np.linalg.norm(night - lamp))
        self.assertGreater(night @ light, night @ lamp)
        never = self.words.token_to_id("Ġ7")
        self.assertEqual(np.abs(sounds[never]).max(), 0)

    def test_rows_are_of_a_length_whatever_there_was_to_hear(self):
        table = pieces.rows(self.clips, self.words, self.first)
        self.assertEqual(table.shape, (self.first, pieces.KEPT))
        self.assertAlmostEqual(float(np.sqrt((table**2).sum(1).mean())), 4, places=2)

    def test_known_tokens_keep_their_embeddings_and_others_are_guessed(self):
        r = np.random.default_rng(3)
        table = pieces.rows(self.clips, self.words, self.first)
        secret = r.standard_normal((pieces.KEPT, 48)).astype(np.float32)
        theirs = table @ secret + 0.5
        # Another vocabulary, in which some of ours have another place and some are missing.
        other = tokenizer.train(9, texts=8000)
        names = [other.id_to_token(i) for i in range(self.first)]
        ours = [self.words.token_to_id(name) for name in names]
        embeddings = np.stack([theirs[i] if i is not None else r.standard_normal(48) for i in ours]).astype(np.float32)
        own, weights = pieces.taken_over(embeddings, other, self.words, table)
        made = own + table @ weights
        known = sorted({i for i in ours if i is not None})
        unknown = sorted(set(range(self.first)) - set(known))
        self.assertGreater(len(unknown), 5)
        np.testing.assert_allclose(made[known], theirs[known], atol=1e-3)
        guessed, mean = np.linalg.norm(made[unknown] - theirs[unknown]), np.linalg.norm(made[known].mean(0) - theirs[unknown])
        self.assertLess(guessed, 0.8 * mean)

    def test_a_model_folder_is_gone_on_from_as_it_is(self):
        state = self.begin()
        whole = model.folded(jax.tree.map(jax.numpy.asarray, state["weights"]), self.shape, state["pieces"])
        (self.folder / "words.json").write_text(self.words.to_str())
        for quantization, error in (("float32", 1e-6), ("int8", 0.01), ("float16", 1e-3)):
            export.export(whole, self.shape, self.folder / "words.json", self.folder / "model", quantization)
            given = learn.Given.of(self.folder / "model")
            self.assertEqual(given.shape, self.shape)
            again = self.begin(given)
            taken = model.folded(jax.tree.map(jax.numpy.asarray, again["weights"]), self.shape, again["pieces"])
            for (path, ours), theirs in zip(jax.tree_util.tree_leaves_with_path(whole), jax.tree.leaves(taken), strict=True):
                # Classifiers are not exported.
                if path[0].key not in ("phone", "tok_now", "tok_prev"):
                    where = f"{quantization} {jax.tree_util.keystr(path)}"
                    np.testing.assert_allclose(theirs, ours, atol=error * max(1, float(np.abs(ours).max())), err_msg=where)

    def test_a_run_is_gone_on_from_with_its_classifiers(self):
        state = self.begin()
        learn.RunFolder(self.folder / "run").save(learn.STATE, state | {"shape": self.shape.as_json(), "phone_names": self.clips.phone_names})
        (self.folder / "run/tokenizer.json").write_text(self.words.to_str())
        given = learn.Given.of(self.folder / "run")
        self.assertEqual(given.phone_names, self.clips.phone_names)
        np.testing.assert_array_equal(self.begin(given)["weights"]["phone"]["w"], state["weights"]["phone"]["w"])

    def test_another_format_is_refused(self):
        (self.folder / "old").mkdir()
        (self.folder / "old/model.bin").write_bytes(b"\x05\0\0\0" + bytes(40))
        (self.folder / "old/tokenizer.json").write_text(self.words.to_str())
        with self.assertRaisesRegex(ValueError, "binary version 5"):
            learn.Given.of(self.folder / "old")


@unittest.skipIf(np is None, "numpy, JAX and others are missing: scripts/train_demo/setup.sh")
class Muon(unittest.TestCase):
    def test_all_directions_get_the_same_length(self):
        r = np.random.default_rng(1)
        for rows, columns in ((24, 24), (24, 96), (96, 24)):
            matrix = r.standard_normal((rows, columns)).astype(np.float32)
            lengths = np.linalg.svd(np.asarray(optimiser.orthogonal(matrix)), compute_uv=False)
            # Nearly: directions that hardly are in the matrix stay shorter.
            self.assertLess(lengths.max(), 1.15)
            self.assertGreater(np.median(lengths), 0.9)

    def test_it_moves_matrices_of_layers_and_adam_the_rest(self):
        weights = {"enc": [{"fc1": {"w": np.ones((4, 8), np.float32), "b": np.ones(8, np.float32)}}], "emb": np.ones((9, 4), np.float32)}
        weights = jax.tree.map(jax.numpy.asarray, weights)
        r = np.random.default_rng(2)
        gradient = jax.tree.map(lambda w: jax.numpy.asarray(r.standard_normal(w.shape).astype(np.float32)), weights)
        rule = optimiser.make()
        update, _ = rule.update(gradient, rule.init(weights), weights)
        moved = np.asarray(update["enc"][0]["fc1"]["w"]) - 0.01
        lengths = np.linalg.svd(moved, compute_uv=False) / (0.2 * np.sqrt(8))
        np.testing.assert_allclose(lengths, 1, atol=0.15)
        # Adam's first step is as long as the rate everywhere.
        np.testing.assert_allclose(np.abs(np.asarray(update["emb"]) - 0.01), 1, atol=1e-3)
        np.testing.assert_allclose(np.abs(np.asarray(update["enc"][0]["fc1"]["b"])), 1, atol=1e-3)


if __name__ == "__main__":
    unittest.main()
